//! RIFF WAVE and its 64-bit relatives RF64 and BW64 (EBU Tech 3306), as recorders and streaming writers leave them.

use super::{Header, Stream, WaveFormat, bytes_at, parse_wave_format, u32_le, u64_le};
use crate::error::Fault;
use crate::input::Input;

/// Most chunks walked through in search of the sound.
const MAX_CHUNKS: usize = 4_096;
/// Data sizes from here on are placeholders of streaming writers when the file is shorter (sox writes 0x7FFFF000,
/// ffmpeg 0xFFFFFFFF).
const PLACEHOLDER_SIZE: u64 = 0x7FFF_F000;
/// Chunks that may follow the sound.
const KNOWN_CHUNKS: [&[u8; 4]; 14] = [
    b"fmt ", b"data", b"fact", b"LIST", b"JUNK", b"junk", b"bext", b"cue ", b"smpl", b"id3 ", b"ID3 ",
    b"PEAK", b"iXML", b"PAD ",
];

/// Reads the chunks up to the sound.
pub(crate) fn parse(input: &mut Input, container: &'static str) -> Result<Header, Fault> {
    let mut position = 12_u64;
    let mut format: Option<(WaveFormat, u64)> = None;
    let mut frames = None;
    let mut wide_data_len = None;
    for _ in 0..MAX_CHUNKS {
        let head = input.read_at(position, 8)?;
        let (Some(id), Some(size)) = (bytes_at::<4>(&head, 0), u32_le(&head, 4)) else {
            break;
        };
        let body = position + 8;
        let available = input.len().saturating_sub(body);
        if u64::from(size) > available && id != *b"data" {
            let reason = format!(
                "the chunk {:?} promises {size} bytes, the file has {available}",
                id.escape_ascii().to_string()
            );
            return Err(Fault::malformed(position, reason));
        }
        match &id {
            b"fmt " => {
                let wanted = u64::from(size).min(super::wave_format::MAX_FORMAT_BYTES);
                let bytes = input.read_at(body, wanted as usize)?;
                format = Some((parse_wave_format(&bytes, body)?, body));
            }
            b"fact" => frames = u32_le(&input.read_at(body, 4)?, 0).map(u64::from),
            b"ds64" => {
                let sizes = input.read_at(body, 24)?;
                wide_data_len = u64_le(&sizes, 8);
                frames = frames.or(u64_le(&sizes, 16).filter(|&count| count > 0));
            }
            b"data" => {
                let Some((format, format_offset)) = format else {
                    return Err(Fault::malformed(position, "the data chunk comes before any format chunk"));
                };
                let size = match (size, wide_data_len) {
                    (u32::MAX, Some(wide)) => wide,
                    _ => u64::from(size),
                };
                let data_len = data_len(input, body, size)?;
                return Ok(header(container, format, format_offset, body, data_len, frames));
            }
            _ => {}
        }
        position = next_chunk(input, body, u64::from(size))?;
    }
    let reason =
        if format.is_some() { "it has no data chunk" } else { "it has neither a format nor a data chunk" };
    Err(Fault::malformed(position.min(input.len()), reason))
}

fn header(
    container: &'static str,
    format: WaveFormat,
    format_offset: u64,
    data_offset: u64,
    data_len: Option<u64>,
    frames: Option<u64>,
) -> Header {
    match format.encoding {
        None => Header::Mpeg { data_offset, data_len },
        Some(encoding) => Header::Stream(Stream {
            container,
            encoding,
            sample_rate_hz: format.sample_rate_hz,
            channels: format.channels,
            format_offset,
            data_offset,
            data_len,
            frames: frames.filter(|&count| count > 0 && count < u64::from(u32::MAX)),
        }),
    }
}

/// The stated length of the sound, or `None` where the writer left a placeholder.
fn data_len(input: &mut Input, body: u64, size: u64) -> Result<Option<u64>, Fault> {
    let available = input.len().saturating_sub(body);
    if size >= PLACEHOLDER_SIZE && size > available {
        return Ok(None);
    }
    if size == 0 && available >= 4 && !is_known_chunk(&input.read_at(body, 4)?) {
        return Ok(None);
    }
    Ok(Some(size))
}

/// Where the chunk after one of `size` bytes begins: chunks are padded to even sizes, which some writers forget.
fn next_chunk(input: &mut Input, body: u64, size: u64) -> Result<u64, Fault> {
    let end = body + size;
    if size % 2 == 1 && is_known_chunk(&input.read_at(end, 4)?) {
        return Ok(end);
    }
    Ok(end + size % 2)
}

fn is_known_chunk(id: &[u8]) -> bool {
    KNOWN_CHUNKS.iter().any(|known| known.as_slice() == id)
}
