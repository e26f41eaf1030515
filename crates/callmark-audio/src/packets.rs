//! Containers of packets (FLAC, Ogg, MP4, Matroska, CAF, MPEG, ADTS), by symphonia and libopus.

use crate::damage::Damage;
use crate::error::Fault;
use crate::input::{Input, Progress};
use crate::mp4_edits::{self, Edit};
use crate::names::convert_hint;
use crate::options::DecodeLimits;
use crate::opus::OpusPackets;
use crate::sink::Sink;
use callmark_types::{PIPELINE_SAMPLE_RATE_HZ, Truncation};
use std::io::{self, Seek, SeekFrom};
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};

/// Missing sound at the end that is no sign of a cut: lengths in headers are rounded and padded.
const END_TOLERANCE_SECONDS: f64 = 0.3;

/// Packets of other tracks, and packets without sound, in a row after which a file is taken for malformed.
const MAX_FRUITLESS_PACKETS: u32 = 100_000;

/// Frames by which every AAC encoder delays the sound (ISO/IEC 14496-3: one frame of overlap); a bare ADTS stream
/// does not state it.
const AAC_DELAY_FRAMES: u64 = 1_024;

/// A decoded recording.
pub(crate) struct Decoded {
    pub(crate) sink: Option<Sink>,
    pub(crate) codec: String,
    pub(crate) sample_rate_hz: u32,
    pub(crate) truncation: Option<Truncation>,
}

/// Which decoded frames belong to the recording.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    edit: Option<Edit>,
    skip_frames: u64,
    /// First frame, counted from the first decoded one, that does not belong to it.
    end_frame: Option<u64>,
    decoded_frames: u64,
}

impl Cut {
    /// Fixes the frames once the rate is known.
    fn at_rate(&mut self, rate_hz: u32) {
        if let Some(edit) = self.edit {
            self.skip_frames = edit.skip.frames(rate_hz);
            self.end_frame = edit.keep.map(|keep| self.skip_frames.saturating_add(keep.frames(rate_hz)));
        }
    }

    /// The part to keep of the next `frames` decoded.
    fn take(&mut self, frames: usize) -> std::ops::Range<usize> {
        let first = self.decoded_frames;
        self.decoded_frames += frames as u64;
        let end = self.end_frame.unwrap_or(u64::MAX).saturating_sub(first).min(frames as u64);
        let start = self.skip_frames.saturating_sub(first).min(end);
        start as usize..end as usize
    }
}

enum PacketDecoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
}

/// One track while it is decoded.
struct Session {
    decoder: PacketDecoder,
    time_base: Option<TimeBase>,
    stated_rate_hz: u32,
    stated_channels: u32,
    sink: Option<Sink>,
    rate_hz: u32,
    channels: usize,
    interleaved: Vec<f32>,
    cut: Cut,
    limits: DecodeLimits,
}

/// Decodes the first track of sound; `extension` is a hint to tell the container.
pub(crate) fn decode(mut input: Input, extension: &str, limits: &DecodeLimits) -> Result<Decoded, Fault> {
    let progress = input.progress();
    let mut cut = Cut::default();
    match extension {
        "m4a" => cut.edit = mp4_edits::first_sound_edit(&mut input)?,
        "aac" => cut.skip_frames = AAC_DELAY_FRAMES,
        _ => {}
    }
    input.seek(SeekFrom::Start(0))?;
    let stream = MediaSourceStream::new(Box::new(input), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    hint.with_extension(extension);
    let mut reader = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| header_fault(error, &progress))?;
    let track = sound_track(reader.as_ref())
        .ok_or_else(|| Fault::NoAudio("the container holds no track of sound".to_owned()))?;
    let track_id = track.id;
    let stated_seconds = stated_seconds(track);
    let (mut session, codec) = Session::new(track, cut, limits, &progress)?;
    let mut truncation = session.run(reader.as_mut(), track_id, &progress)?;
    let seconds = session.cut.decoded_frames as f64 / f64::from(session.rate_hz.max(1));
    if let Some(stated) = stated_seconds
        && truncation.is_none()
        && seconds + END_TOLERANCE_SECONDS < stated
    {
        let reason = format!("the header promises {stated:.3} s of sound, the file has {seconds:.3} s");
        truncation = Some(Truncation { byte_offset: progress.position(), reason });
    }
    let sample_rate_hz = match &session.decoder {
        PacketDecoder::Opus(opus) => opus.recorded_rate_hz,
        PacketDecoder::Symphonia(_) => session.rate_hz,
    };
    Ok(Decoded { sink: session.sink, codec, sample_rate_hz, truncation })
}

fn sound_track(reader: &dyn FormatReader) -> Option<&Track> {
    reader.first_track_known_codec(TrackType::Audio).or_else(|| reader.first_track(TrackType::Audio))
}

fn parameters(track: &Track) -> Option<&AudioCodecParameters> {
    track.codec_params.as_ref()?.audio()
}

fn stated_seconds(track: &Track) -> Option<f64> {
    let rate_hz = parameters(track)?.sample_rate?;
    Some(track.num_frames? as f64 / f64::from(rate_hz))
}

impl Session {
    fn new(
        track: &Track,
        cut: Cut,
        limits: &DecodeLimits,
        progress: &Progress,
    ) -> Result<(Self, String), Fault> {
        let parameters = parameters(track)
            .ok_or_else(|| Fault::malformed(progress.position(), "the track of sound has no codec"))?;
        let stated_channels = parameters.channels.as_ref().map_or(0, |channels| channels.count() as u32);
        let stated_rate_hz = parameters.sample_rate.unwrap_or(0);
        // Refuses absurd headers before a decoder takes memory for them.
        if stated_channels > 0 && stated_rate_hz > 0 {
            Sink::new(stated_rate_hz, stated_channels, limits, progress.position())?;
        }
        let (decoder, codec) = if parameters.codec == CODEC_ID_OPUS {
            let opus = OpusPackets::new(parameters.extra_data.as_deref(), stated_channels as usize)?;
            (PacketDecoder::Opus(Box::new(opus)), "opus".to_owned())
        } else {
            let options = AudioDecoderOptions::default().gapless(true);
            let decoder = symphonia::default::get_codecs()
                .make_audio_decoder(parameters, &options)
                .map_err(|error| header_fault(error, progress))?;
            let codec = decoder.codec_info().short_name.to_owned();
            (PacketDecoder::Symphonia(decoder), codec)
        };
        let session = Self {
            decoder,
            time_base: track.time_base,
            stated_rate_hz,
            stated_channels,
            sink: None,
            rate_hz: 0,
            channels: 0,
            interleaved: Vec::new(),
            cut,
            limits: *limits,
        };
        Ok((session, codec))
    }

    /// Decodes packets up to the end of the track or to where it breaks off.
    fn run(
        &mut self,
        reader: &mut dyn FormatReader,
        track_id: u32,
        progress: &Progress,
    ) -> Result<Option<Truncation>, Fault> {
        let mut damage = Damage::default();
        let mut fruitless = 0;
        let broke_off = loop {
            let packet = match reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break None,
                Err(Error::ResetRequired) => break Some("a second stream follows the first".to_owned()),
                Err(error) => {
                    if progress.has_failed()
                        && let Error::IoError(error) = error
                    {
                        return Err(Fault::Unreadable(error));
                    }
                    break Some(reason_of(&error));
                }
            };
            fruitless += 1;
            if fruitless > MAX_FRUITLESS_PACKETS {
                break Some("packets without sound follow each other without end".to_owned());
            }
            if packet.track_id != track_id {
                continue;
            }
            let frames_before = self.sink.as_ref().map_or(0, Sink::frames_in);
            match self.packet(&packet, &mut damage)? {
                Ok(()) => {}
                Err(PacketTrouble::Stop(reason)) => break Some(reason),
                Err(PacketTrouble::Bad(reason)) => {
                    if damage.bad(progress.position(), &reason, self.frames_of(packet.dur)) {
                        break None;
                    }
                }
            }
            if self.sink.as_ref().map_or(0, Sink::frames_in) > frames_before {
                fruitless = 0;
            }
        };
        let position = progress.position();
        let verdict = damage.verdict()?;
        if self.sink.is_none()
            && let Some(reason) = broke_off
        {
            return Err(Fault::malformed(position, reason));
        }
        Ok(verdict.or(broke_off.map(|reason| Truncation { byte_offset: position, reason })))
    }

    /// Decodes one packet into the sink.
    fn packet(&mut self, packet: &Packet, damage: &mut Damage) -> Result<Result<(), PacketTrouble>, Fault> {
        let trim_end = match self.time_base {
            Some(_) => self.frames_at(packet.trim_end, PIPELINE_SAMPLE_RATE_HZ),
            None => 0,
        };
        self.interleaved.clear();
        let (rate_hz, channels) = match &mut self.decoder {
            PacketDecoder::Opus(opus) => match opus.decode(&packet.data, trim_end) {
                Ok(samples) => {
                    self.interleaved.extend_from_slice(samples);
                    (PIPELINE_SAMPLE_RATE_HZ, self.stated_channels as usize)
                }
                Err(reason) => return Ok(Err(PacketTrouble::Bad(reason))),
            },
            PacketDecoder::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(buffer) => {
                    buffer.copy_to_vec_interleaved(&mut self.interleaved);
                    (buffer.spec().rate(), buffer.spec().channels().count())
                }
                Err(Error::Unsupported(feature)) => {
                    let format = format!("sound with {feature}");
                    return Err(Fault::Unsupported { format, hint: convert_hint() });
                }
                Err(Error::ResetRequired) => {
                    return Ok(Err(PacketTrouble::Stop("the decoder cannot go on".to_owned())));
                }
                Err(error) => return Ok(Err(PacketTrouble::Bad(reason_of(&error)))),
            },
        };
        if self.sink.is_none() {
            self.sink = Some(Sink::new(rate_hz, channels as u32, &self.limits, 0)?);
            (self.rate_hz, self.channels) = (rate_hz, channels);
            self.cut.at_rate(rate_hz);
        }
        if (rate_hz, channels) != (self.rate_hz, self.channels) {
            let reason = format!("the sound changes to {rate_hz} Hz and {channels} channels");
            return Ok(Err(PacketTrouble::Stop(reason)));
        }
        if let Some(sink) = &mut self.sink {
            let gap = self.cut.take(damage.good());
            sink.push_silence(gap.len())?;
            let kept = self.cut.take(self.interleaved.len() / channels);
            sink.push_f32(&self.interleaved[kept.start * channels..kept.end * channels])?;
        }
        Ok(Ok(()))
    }

    /// Frames of a packet of length `duration` at the sink's rate, at most those of a second.
    fn frames_of(&self, duration: Duration) -> usize {
        let rate_hz = match (&self.decoder, self.rate_hz) {
            (PacketDecoder::Opus(_), _) => PIPELINE_SAMPLE_RATE_HZ,
            (_, 0) => self.stated_rate_hz,
            (_, rate_hz) => rate_hz,
        };
        self.frames_at(duration, rate_hz)
    }

    fn frames_at(&self, duration: Duration, rate_hz: u32) -> usize {
        let Some(time_base) = self.time_base else {
            return 0;
        };
        let ticks = u128::from(duration.get()) * u128::from(time_base.numer.get()) * u128::from(rate_hz);
        (ticks / u128::from(time_base.denom.get())).min(u128::from(rate_hz)) as usize
    }
}

enum PacketTrouble {
    /// The packet is broken; others may follow.
    Bad(String),
    /// Nothing after it can be decoded.
    Stop(String),
}

fn reason_of(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the file ends in the middle of the sound".to_owned()
        }
        other => other.to_string(),
    }
}

/// What an error before the first packet means.
fn header_fault(error: Error, progress: &Progress) -> Fault {
    match error {
        Error::IoError(error) if progress.has_failed() => Fault::Unreadable(error),
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::malformed(progress.position(), "the file ends within its header")
        }
        // Containers cut before what describes the sound (an MP4 whose index stands at its end).
        Error::Unsupported(feature) if feature.contains("missing") => {
            Fault::malformed(progress.position(), feature.to_owned())
        }
        Error::Unsupported(feature) => {
            Fault::Unsupported { format: format!("sound with {feature}"), hint: convert_hint() }
        }
        other => Fault::malformed(progress.position(), reason_of(&other)),
    }
}
