//! Opus packets to 16 kHz, by libopus.

use crate::error::Fault;
use crate::names::convert_hint;
use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use opusic_c::{Channels, Decoder, SampleRate};

/// The clock of Opus, in hertz, in which delays are stated.
const OPUS_CLOCK_HZ: u32 = 48_000;
/// Longest packet, in frames at 16 kHz: 120 ms (RFC 6716).
const MAX_PACKET_FRAMES: usize = 1_920;
/// Bytes of the identification header that are read.
const HEAD_BYTES: usize = 19;

/// Decodes the packets of one stream.
pub(crate) struct OpusPackets {
    decoder: Decoder,
    channels: usize,
    /// Frames still to be dropped from the start, at 16 kHz.
    skip: usize,
    /// Sample rate of what was encoded, in hertz, by the header.
    pub(crate) recorded_rate_hz: u32,
    samples: Vec<f32>,
}

impl OpusPackets {
    /// A decoder for the stream that `head` (`OpusHead`, RFC 7845 section 5.1) introduces.
    pub(crate) fn new(head: Option<&[u8]>, channels: usize) -> Result<Self, Fault> {
        let layout = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            _ => {
                let format = format!("Opus with {channels} channels");
                return Err(Fault::Unsupported { format, hint: convert_hint() });
            }
        };
        let broken = |error| Fault::malformed(0, format!("the Opus decoder cannot start: {error:?}"));
        let mut decoder = Decoder::new(layout, SampleRate::Hz16000).map_err(broken)?;
        let mut this_skip = 0;
        let mut recorded_rate_hz = OPUS_CLOCK_HZ;
        if let Some(head) = head.filter(|head| head.len() >= HEAD_BYTES && head.starts_with(b"OpusHead")) {
            let pre_skip = u32::from(u16::from_le_bytes([head[10], head[11]]));
            this_skip = (pre_skip * PIPELINE_SAMPLE_RATE_HZ).div_ceil(OPUS_CLOCK_HZ) as usize;
            let stated = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
            if (crate::MIN_SAMPLE_RATE_HZ..=crate::MAX_SAMPLE_RATE_HZ).contains(&stated) {
                recorded_rate_hz = stated;
            }
            let gain = i32::from(i16::from_le_bytes([head[16], head[17]]));
            decoder.set_gain(gain).map_err(broken)?;
        }
        let samples = vec![0.0; MAX_PACKET_FRAMES * channels];
        Ok(Self { decoder, channels, skip: this_skip, recorded_rate_hz, samples })
    }

    /// Decodes one packet to interleaved samples; drops the encoder's delay, and `trim_end` frames from the end.
    pub(crate) fn decode(&mut self, packet: &[u8], trim_end: usize) -> Result<&[f32], String> {
        if packet.is_empty() {
            return Err("an Opus packet is empty".to_owned());
        }
        let frames = self
            .decoder
            .decode_float_to_slice(packet, &mut self.samples, false)
            .map_err(|error| format!("an Opus packet cannot be decoded: {error:?}"))?
            .min(MAX_PACKET_FRAMES);
        let start = self.skip.min(frames);
        self.skip -= start;
        let end = frames.saturating_sub(trim_end).max(start);
        Ok(&self.samples[start * self.channels..end * self.channels])
    }
}
