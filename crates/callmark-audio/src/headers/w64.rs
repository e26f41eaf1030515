//! Sony Wave64: RIFF with 128-bit chunk names and 64-bit sizes that count the chunk's own head.

use super::{Header, Stream, bytes_at, parse_wave_format, u64_le};
use crate::error::Fault;
use crate::input::Input;

/// Most chunks walked through in search of the sound.
const MAX_CHUNKS: usize = 4_096;
/// Bytes of a chunk's name and size.
const CHUNK_HEAD_BYTES: u64 = 24;
/// All chunk names but `riff` end alike.
const GUID_TAIL: [u8; 12] = [0xF3, 0xAC, 0xD3, 0x11, 0x8C, 0xD1, 0x00, 0xC0, 0x4F, 0x8E, 0xDB, 0x8A];

/// Reads the chunks up to the sound.
pub(crate) fn parse(input: &mut Input) -> Result<Header, Fault> {
    let mut position = 40_u64;
    let mut format = None;
    let mut frames = None;
    for _ in 0..MAX_CHUNKS {
        let head = input.read_at(position, CHUNK_HEAD_BYTES as usize)?;
        let (Some(name), Some(tail), Some(size)) =
            (bytes_at::<4>(&head, 0), bytes_at(&head, 4), u64_le(&head, 16))
        else {
            break;
        };
        let body = position + CHUNK_HEAD_BYTES;
        let len = size.saturating_sub(CHUNK_HEAD_BYTES);
        match (&name, tail == GUID_TAIL) {
            (b"fmt ", true) => {
                let bytes = input.read_at(body, len.min(super::wave_format::MAX_FORMAT_BYTES) as usize)?;
                format = Some((parse_wave_format(&bytes, body)?, body));
            }
            (b"fact", true) => frames = u64_le(&input.read_at(body, 8)?, 0),
            (b"data", true) => {
                let Some((format, format_offset)) = format else {
                    return Err(Fault::malformed(position, "the data chunk comes before any format chunk"));
                };
                let is_placeholder = size < CHUNK_HEAD_BYTES || size > i64::MAX as u64;
                let data_len = (!is_placeholder).then_some(len);
                return Ok(match format.encoding {
                    None => Header::Mpeg { data_offset: body, data_len },
                    Some(encoding) => Header::Stream(Stream {
                        container: "w64",
                        encoding,
                        sample_rate_hz: format.sample_rate_hz,
                        channels: format.channels,
                        format_offset,
                        data_offset: body,
                        data_len,
                        frames: frames.filter(|&count| count > 0),
                    }),
                });
            }
            _ => {}
        }
        // Chunks begin at multiples of eight bytes; a chunk is never shorter than its head.
        let step = size.max(CHUNK_HEAD_BYTES).checked_next_multiple_of(8);
        position = match step.and_then(|step| position.checked_add(step)) {
            Some(next) => next,
            None => break,
        };
    }
    Err(Fault::malformed(position.min(input.len()), "it has no data chunk"))
}
