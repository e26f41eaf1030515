//! Sun/NeXT AU (`.snd`).

use super::{Encoding, Header, Stream, u32_be};
use crate::error::Fault;
use crate::input::Input;
use crate::names::convert_hint;

/// Bytes of the fixed part of the header.
const HEADER_BYTES: usize = 24;

/// Reads the header.
pub(crate) fn parse(input: &mut Input) -> Result<Header, Fault> {
    let head = input.read_at(0, HEADER_BYTES)?;
    let field = |index: usize| {
        u32_be(&head, 4 * index)
            .ok_or_else(|| Fault::malformed(head.len() as u64, "the file ends within the AU header"))
    };
    let data_offset = u64::from(field(1)?);
    let data_len = field(2)?;
    let code = field(3)?;
    let sample_rate_hz = field(4)?;
    let channels = field(5)?;
    if data_offset < HEADER_BYTES as u64 {
        return Err(Fault::malformed(
            4,
            format!("the sound cannot begin at byte {data_offset}, within the header"),
        ));
    }
    let signed = |bytes| Encoding::Signed { bytes, big_endian: true };
    let float = |bytes| Encoding::Float { bytes, big_endian: true };
    let g726 = |bits| Encoding::G726 { bits, most_significant_first: false };
    let (encoding, is_mono) = match code {
        1 => (Encoding::Ulaw, false),
        2 => (signed(1), false),
        3 => (signed(2), false),
        4 => (signed(3), false),
        5 => (signed(4), false),
        6 => (float(4), false),
        7 => (float(8), false),
        27 => (Encoding::Alaw, false),
        23 => (g726(4), true),
        24 => (Encoding::G722, true),
        25 => (g726(3), true),
        26 => (g726(5), true),
        _ => {
            let format = format!("AU with encoding {code}");
            return Err(Fault::Unsupported { format, hint: convert_hint() });
        }
    };
    if is_mono && channels > 1 {
        let format = format!("AU with {} and {channels} channels", encoding.codec_name());
        return Err(Fault::Unsupported { format, hint: convert_hint() });
    }
    let sample_rate_hz = if encoding == Encoding::G722 { 16_000 } else { sample_rate_hz };
    Ok(Header::Stream(Stream {
        container: "au",
        encoding,
        sample_rate_hz,
        channels,
        format_offset: 12,
        data_offset,
        data_len: (data_len != u32::MAX && data_len != 0).then_some(u64::from(data_len)),
        frames: None,
    }))
}
