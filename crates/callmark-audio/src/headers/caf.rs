//! Apple Core Audio Format, where it holds plain samples; other codecs in it go through the packet decoders.

use super::{Encoding, Header, Stream, bytes_at, u32_be, u64_be};
use crate::error::Fault;
use crate::input::Input;

/// Most chunks walked through in search of the sound.
const MAX_CHUNKS: usize = 4_096;
/// Bytes of the file's head, and of the description.
const FILE_HEAD_BYTES: u64 = 8;
const DESCRIPTION_BYTES: usize = 32;
/// A data chunk of this size goes up to the end of the file.
const UNKNOWN_SIZE: u64 = u64::MAX;
/// Bytes of the edit count before the sound.
const EDIT_COUNT_BYTES: u64 = 4;

/// Reads the chunks up to the sound; `None` where its codec is one of packets.
pub(crate) fn parse(input: &mut Input) -> Result<Option<Header>, Fault> {
    let mut position = FILE_HEAD_BYTES;
    let mut description = None;
    for _ in 0..MAX_CHUNKS {
        let head = input.read_at(position, 12)?;
        let (Some(id), Some(size)) = (bytes_at::<4>(&head, 0), u64_be(&head, 4)) else {
            break;
        };
        let body = position + 12;
        match &id {
            b"desc" => {
                let bytes = input.read_at(body, DESCRIPTION_BYTES)?;
                let Some(parsed) = parse_description(&bytes, body)? else {
                    return Ok(None);
                };
                description = Some(parsed);
            }
            b"data" => {
                let Some((encoding, sample_rate_hz, channels)) = description else {
                    return Err(Fault::malformed(position, "the sound comes before its description"));
                };
                return Ok(Some(Header::Stream(Stream {
                    container: "caf",
                    encoding,
                    sample_rate_hz,
                    channels,
                    format_offset: FILE_HEAD_BYTES + 12,
                    data_offset: body + EDIT_COUNT_BYTES,
                    data_len: (size != UNKNOWN_SIZE).then(|| size.saturating_sub(EDIT_COUNT_BYTES)),
                    frames: None,
                })));
            }
            _ => {}
        }
        position = match body.checked_add(size) {
            Some(next) => next,
            None => break,
        };
    }
    Err(Fault::malformed(position.min(input.len()), "the CAF file has no sound (data)"))
}

/// Encoding, rate and channels; `None` for codecs of packets.
fn parse_description(bytes: &[u8], offset: u64) -> Result<Option<(Encoding, u32, u32)>, Fault> {
    let short = || Fault::malformed(offset, "the file ends within the CAF description");
    let rate = f64::from_be_bytes(bytes_at(bytes, 0).ok_or_else(short)?);
    let kind: [u8; 4] = bytes_at(bytes, 8).ok_or_else(short)?;
    let flags = u32_be(bytes, 12).ok_or_else(short)?;
    let packet_bytes = u32_be(bytes, 16).ok_or_else(short)?;
    let channels = u32_be(bytes, 24).ok_or_else(short)?;
    let bits = u32_be(bytes, 28).ok_or_else(short)?;
    let (is_float, big_endian) = (flags & 1 != 0, flags & 2 == 0);
    let width = packet_bytes
        .checked_div(channels)
        .filter(|&width| width >= bits.div_ceil(8))
        .unwrap_or(bits.div_ceil(8));
    let encoding = match (&kind, width) {
        (b"lpcm", 4 | 8) if is_float => Encoding::Float { bytes: width as usize, big_endian },
        (b"lpcm", 1..=8) if !is_float => Encoding::Signed { bytes: width as usize, big_endian },
        (b"lpcm", _) => {
            return Err(Fault::malformed(offset, format!("CAF samples of {width} bytes do not exist")));
        }
        (b"ulaw", _) => Encoding::Ulaw,
        (b"alaw", _) => Encoding::Alaw,
        _ => return Ok(None),
    };
    // A rate that is no number becomes 0, which the range check refuses.
    Ok(Some((encoding, rate.round() as u32, channels)))
}
