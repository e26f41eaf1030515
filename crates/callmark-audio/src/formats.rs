//! From a recording to its decoder, and the boundary that no panic of a decoder crosses.

use crate::error::{AudioError, Fault};
use crate::headers::{Encoding, Header, Stream, aiff, au, caf, matroska, riff, sphere, w64};
use crate::input::Input;
use crate::names::{
    convert_hint, headerless_hint, raw_by_content_type, raw_by_extension, refused_by_extension,
};
use crate::options::{DecodeOptions, RawCodec, RawFormat};
use crate::sink::Sink;
use crate::sniff::{self, Container};
use crate::{DecodedAudio, blocks, packets};
use callmark_types::{AudioFormat, Millis, Truncation};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes what `open` gives. A panic inside becomes an error; its message, which may hold call content, is dropped.
pub(crate) fn decode(
    name: &str,
    open: impl FnOnce() -> Result<Input, Fault>,
    content_type: Option<&str>,
    options: &DecodeOptions,
) -> Result<DecodedAudio, AudioError> {
    catch_unwind(AssertUnwindSafe(|| decode_input(name, open()?, content_type, options)))
        .unwrap_or_else(|_| Err(Fault::malformed(0, "the decoder failed on it")))
        .map_err(|fault| fault.named(name, &options.limits))
}

fn decode_input(
    name: &str,
    mut input: Input,
    content_type: Option<&str>,
    options: &DecodeOptions,
) -> Result<DecodedAudio, Fault> {
    if input.len() == 0 {
        return Err(Fault::NoAudio("the file is empty".to_owned()));
    }
    if input.len() > options.limits.max_bytes {
        return Err(Fault::TooLarge(input.len()));
    }
    let head = input.read_at(0, sniff::HEAD_BYTES)?;
    if let Some(container) = sniff::strong(&head) {
        return decode_container(container, input, &head, options);
    }
    let raw =
        options.raw.or_else(|| content_type.and_then(raw_by_content_type)).or_else(|| raw_by_extension(name));
    if let Some(raw) = raw {
        if sniff::is_text(&head) {
            return Err(Fault::malformed(0, "it is text, not sound"));
        }
        let stream = raw_stream(raw, input.len())?;
        return decode_stream(&mut input, &stream, options);
    }
    if let Some(container) = sniff::weak(&head) {
        return decode_container(container, input, &head, options);
    }
    if let Some(format) = refused_by_extension(name).filter(|_| !sniff::is_text(&head)) {
        let is_headerless =
            name.to_ascii_lowercase().ends_with(".raw") || name.to_ascii_lowercase().ends_with(".pcm");
        let hint = if is_headerless { headerless_hint() } else { convert_hint() };
        return Err(Fault::Unsupported { format: format.to_owned(), hint });
    }
    let reason = if sniff::is_text(&head) {
        "it is text, not sound"
    } else {
        "its first bytes show no known sound format"
    };
    Err(Fault::malformed(0, reason))
}

fn decode_container(
    container: Container,
    mut input: Input,
    head: &[u8],
    options: &DecodeOptions,
) -> Result<DecodedAudio, Fault> {
    let header = match container {
        Container::Riff => riff::parse(&mut input, "wav")?,
        Container::Rf64 => riff::parse(&mut input, "rf64")?,
        Container::W64 => w64::parse(&mut input)?,
        Container::Au => au::parse(&mut input)?,
        Container::Sphere => sphere::parse(&mut input)?,
        Container::Flac => return decode_packets(input, "flac", "flac", options),
        Container::Ogg => {
            if let Some(codec) = sniff::refused_ogg_codec(head) {
                return Err(Fault::Unsupported { format: codec.to_owned(), hint: convert_hint() });
            }
            return decode_packets(input, "ogg", "ogg", options);
        }
        Container::Matroska => {
            let input = if matroska::is_cut(&mut input)? { input.sequential() } else { input };
            return decode_packets(input, "matroska", "mkv", options);
        }
        Container::Mp4 => return decode_packets(input, "mp4", "m4a", options),
        Container::Aiff => aiff::parse(&mut input)?,
        Container::Caf => match caf::parse(&mut input)? {
            Some(header) => header,
            None => return decode_packets(input, "caf", "caf", options),
        },
        Container::Mpeg => return decode_packets(input, "mp3", "mp3", options),
        Container::Adts => return decode_packets(input, "adts", "aac", options),
        Container::Refused(format) => {
            return Err(Fault::Unsupported { format: format.to_owned(), hint: convert_hint() });
        }
    };
    match header {
        Header::Stream(stream) => decode_stream(&mut input, &stream, options),
        Header::Mpeg { data_offset, data_len } => {
            let mpeg = input.narrowed(data_offset, data_len.unwrap_or(u64::MAX))?;
            decode_packets(mpeg, "wav", "mp3", options)
        }
    }
}

/// The stream that headerless bytes are.
fn raw_stream(raw: RawFormat, len: u64) -> Result<Stream, Fault> {
    let g726 = |bits| Encoding::G726 { bits, most_significant_first: false };
    let encoding = match raw.codec {
        RawCodec::Ulaw => Encoding::Ulaw,
        RawCodec::Alaw => Encoding::Alaw,
        RawCodec::S16le => Encoding::Signed { bytes: 2, big_endian: false },
        RawCodec::S16be => Encoding::Signed { bytes: 2, big_endian: true },
        RawCodec::Gsm => Encoding::Gsm,
        RawCodec::G722 => Encoding::G722,
        RawCodec::G726Rate16 => g726(2),
        RawCodec::G726Rate24 => g726(3),
        RawCodec::G726Rate32 => g726(4),
        RawCodec::G726Rate40 => g726(5),
    };
    let is_mono_only =
        !matches!(raw.codec, RawCodec::Ulaw | RawCodec::Alaw | RawCodec::S16le | RawCodec::S16be);
    if is_mono_only && raw.channels != 1 {
        let format = format!("{} with {} channels", raw.codec.as_str(), raw.channels);
        return Err(Fault::Unsupported { format, hint: convert_hint() });
    }
    let sample_rate_hz = if raw.codec == RawCodec::G722 { 16_000 } else { raw.sample_rate_hz };
    Ok(Stream {
        container: "raw",
        encoding,
        sample_rate_hz,
        channels: u32::from(raw.channels),
        format_offset: 0,
        data_offset: 0,
        data_len: Some(len),
        frames: None,
    })
}

fn decode_stream(input: &mut Input, stream: &Stream, options: &DecodeOptions) -> Result<DecodedAudio, Fault> {
    let (sink, truncation) = blocks::decode(input, stream, &options.limits)?;
    let codec = stream.encoding.codec_name().to_owned();
    finished(sink, stream.container, codec, stream.sample_rate_hz, truncation)
}

fn decode_packets(
    input: Input,
    container: &str,
    extension: &str,
    options: &DecodeOptions,
) -> Result<DecodedAudio, Fault> {
    let decoded = packets::decode(input, extension, &options.limits)?;
    let Some(sink) = decoded.sink else {
        return Err(Fault::NoAudio("the container holds no sound".to_owned()));
    };
    finished(sink, container, decoded.codec, decoded.sample_rate_hz, decoded.truncation)
}

fn finished(
    sink: Sink,
    container: &str,
    codec: String,
    sample_rate_hz: u32,
    truncation: Option<Truncation>,
) -> Result<DecodedAudio, Fault> {
    let (channels, duration) = sink.finish();
    // A few samples of a cut-off file last less than a millisecond: no call.
    if duration == Millis::ZERO {
        return Err(Fault::NoAudio(match truncation {
            Some(truncation) => truncation.reason,
            None => "it lasts zero seconds".to_owned(),
        }));
    }
    let format = AudioFormat {
        container: container.to_owned(),
        codec,
        sample_rate_hz,
        channels: channels.len() as u16,
        duration,
        truncation,
    };
    Ok(DecodedAudio { format, channels })
}
