//! Apple/EA AIFF and AIFF-C.

use super::{Encoding, Header, Stream, bytes_at, u16_be, u32_be};
use crate::error::Fault;
use crate::input::Input;
use crate::names::convert_hint;

/// Most chunks walked through in search of the sound.
const MAX_CHUNKS: usize = 4_096;
/// Longest `COMM` chunk read.
const MAX_COMMON_BYTES: u64 = 1_024;

struct Common {
    encoding: Encoding,
    sample_rate_hz: u32,
    channels: u32,
    frames: u64,
    offset: u64,
}

/// Reads the chunks up to the sound and its description, which come in any order.
pub(crate) fn parse(input: &mut Input) -> Result<Header, Fault> {
    let is_compressed = input.read_at(8, 4)? == b"AIFC";
    let mut position = 12_u64;
    let mut common = None;
    let mut sound = None;
    for _ in 0..MAX_CHUNKS {
        let head = input.read_at(position, 8)?;
        let (Some(id), Some(size)) = (bytes_at::<4>(&head, 0), u32_be(&head, 4).map(u64::from)) else {
            break;
        };
        let body = position + 8;
        match &id {
            b"COMM" => {
                let bytes = input.read_at(body, size.min(MAX_COMMON_BYTES) as usize)?;
                common = Some(parse_common(&bytes, is_compressed, body)?);
            }
            b"SSND" => {
                let skip = u32_be(&input.read_at(body, 4)?, 0).map_or(0, u64::from);
                sound = Some((body + 8 + skip, size.saturating_sub(8 + skip)));
            }
            _ => {}
        }
        if let (Some(common), Some((data_offset, data_len))) = (&common, sound) {
            return Ok(stream(common, data_offset, data_len));
        }
        position = body + size + size % 2;
    }
    let missing = if common.is_none() { "no description (COMM)" } else { "no sound (SSND)" };
    Err(Fault::malformed(position.min(input.len()), format!("the AIFF file has {missing}")))
}

fn stream(common: &Common, data_offset: u64, stated_len: u64) -> Header {
    let sample_bytes = match common.encoding {
        Encoding::Signed { bytes, .. } | Encoding::Float { bytes, .. } => bytes as u64,
        _ => 1,
    };
    let by_frames = common.frames.saturating_mul(sample_bytes * u64::from(common.channels));
    // Streaming writers leave zeros in both places; otherwise the sound may be padded.
    let data_len = match (by_frames, stated_len) {
        (0, 0) => None,
        (0, len) | (len, 0) => Some(len),
        (frames, len) => Some(frames.min(len)),
    };
    Header::Stream(Stream {
        container: "aiff",
        encoding: common.encoding.clone(),
        sample_rate_hz: common.sample_rate_hz,
        channels: common.channels,
        format_offset: common.offset,
        data_offset,
        data_len,
        frames: None,
    })
}

fn parse_common(bytes: &[u8], is_compressed: bool, offset: u64) -> Result<Common, Fault> {
    let short = || Fault::malformed(offset, format!("the AIFF description has only {} bytes", bytes.len()));
    let channels = u32::from(u16_be(bytes, 0).ok_or_else(short)?);
    let frames = u64::from(u32_be(bytes, 2).ok_or_else(short)?);
    let width = usize::from(u16_be(bytes, 6).ok_or_else(short)?).div_ceil(8);
    let sample_rate_hz = extended_to_hertz(bytes_at(bytes, 8).ok_or_else(short)?);
    let kind = if is_compressed { bytes_at(bytes, 18).ok_or_else(short)? } else { *b"NONE" };
    let signed = |big_endian| match width {
        1..=4 => Ok(Encoding::Signed { bytes: width, big_endian }),
        _ => Err(Fault::malformed(offset, format!("AIFF samples of {width} bytes do not exist"))),
    };
    let encoding = match &kind {
        b"NONE" | b"twos" | b"in24" | b"in32" => signed(true)?,
        b"sowt" => signed(false)?,
        b"raw " => Encoding::Unsigned8,
        b"ulaw" | b"ULAW" => Encoding::Ulaw,
        b"alaw" | b"ALAW" => Encoding::Alaw,
        b"fl32" | b"FL32" => Encoding::Float { bytes: 4, big_endian: true },
        b"fl64" | b"FL64" => Encoding::Float { bytes: 8, big_endian: true },
        _ => {
            let format = format!("AIFF-C with {}", kind.escape_ascii());
            return Err(Fault::Unsupported { format, hint: convert_hint() });
        }
    };
    Ok(Common { encoding, sample_rate_hz, channels, frames, offset })
}

/// An 80-bit extended float, rounded to a whole number; 0 for what is none.
fn extended_to_hertz(bytes: [u8; 10]) -> u32 {
    let exponent = i32::from(u16::from_be_bytes([bytes[0], bytes[1]])) - 16_383;
    let mantissa = bytes[2..].iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    if !(0..=31).contains(&exponent) {
        return 0;
    }
    let shift = 63 - exponent as u32;
    u32::try_from((mantissa >> shift) + (mantissa >> (shift - 1) & 1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_extended_floats() {
        assert_eq!(extended_to_hertz([0x40, 0x0B, 0xFA, 0, 0, 0, 0, 0, 0, 0]), 8_000);
        assert_eq!(extended_to_hertz([0x40, 0x0E, 0xAC, 0x44, 0, 0, 0, 0, 0, 0]), 44_100);
        assert_eq!(extended_to_hertz([0; 10]), 0);
        assert_eq!(extended_to_hertz([0xFF; 10]), 0);
    }
}
