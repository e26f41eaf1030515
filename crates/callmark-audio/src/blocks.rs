//! Streams of samples and fixed blocks, read and decoded piece by piece.

use crate::codec::{BlockCodec, Codec, SampleCodec, codec_for};
use crate::damage::Damage;
use crate::error::Fault;
use crate::headers::Stream;
use crate::input::Input;
use crate::options::DecodeLimits;
use crate::sink::Sink;
use callmark_types::Truncation;
use std::io::{Seek, SeekFrom};

/// Bytes read and decoded at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// Decodes `stream`; what comes back with the sink says where the sound broke off, if it did.
pub(crate) fn decode(
    input: &mut Input,
    stream: &Stream,
    limits: &DecodeLimits,
) -> Result<(Sink, Option<Truncation>), Fault> {
    let mut sink = Sink::new(stream.sample_rate_hz, stream.channels, limits, stream.format_offset)?;
    let codec = codec_for(&stream.encoding, sink.channels())
        .map_err(|reason| Fault::malformed(stream.format_offset, reason))?;
    let available = input.len().saturating_sub(stream.data_offset);
    let promised = stream.data_len.unwrap_or(available);
    let readable = promised.min(available);
    input.seek(SeekFrom::Start(stream.data_offset))?;
    let broke_off = match codec {
        Codec::Samples(mut codec) => {
            decode_samples(input, codec.as_mut(), readable, &mut sink)?;
            None
        }
        Codec::Blocks(mut codec) => decode_blocks(input, codec.as_mut(), stream, readable, &mut sink)?,
    };
    let is_cut = promised > available;
    let cut = is_cut.then(|| Truncation {
        byte_offset: input.len(),
        reason: format!("the header promises {promised} bytes of sound, the file has {available}"),
    });
    Ok((sink, broke_off.or(cut)))
}

fn decode_samples(
    input: &mut Input,
    codec: &mut dyn SampleCodec,
    readable: u64,
    sink: &mut Sink,
) -> Result<(), Fault> {
    let unit = codec.unit_bytes();
    sink.reserve(readable / unit as u64 * codec.unit_frames() as u64)?;
    let mut piece = vec![0; (PIECE_BYTES / unit).max(1) * unit];
    let mut samples = Vec::new();
    let mut left = readable;
    while left > 0 {
        let wanted = (piece.len() as u64).min(left) as usize;
        let filled = input.read_full(&mut piece[..wanted])?;
        let whole = filled / unit * unit;
        samples.clear();
        codec.decode(&piece[..whole], &mut samples);
        sink.push_i16(&samples)?;
        if filled < wanted {
            break;
        }
        left -= filled as u64;
    }
    Ok(())
}

fn decode_blocks(
    input: &mut Input,
    codec: &mut dyn BlockCodec,
    stream: &Stream,
    readable: u64,
    sink: &mut Sink,
) -> Result<Option<Truncation>, Fault> {
    let block_bytes = codec.block_bytes();
    let blocks = readable.div_ceil(block_bytes as u64);
    let frames =
        frames_to_keep(stream.frames, blocks * codec.block_frames() as u64, codec.block_frames() as u64);
    // The last block may be short or padded, so its frames may go beyond a limit that the recording keeps.
    sink.reserve(frames.saturating_sub(codec.block_frames() as u64))?;
    let mut damage = Damage::default();
    let mut block = vec![0; block_bytes];
    let mut samples = Vec::new();
    let mut offset = 0;
    while offset < readable {
        let wanted = (block_bytes as u64).min(readable - offset) as usize;
        let filled = input.read_full(&mut block[..wanted])?;
        samples.clear();
        match codec.decode(&block[..filled], &mut samples) {
            Ok(()) => {
                sink.push_silence(damage.good())?;
                let left = frames.saturating_sub(sink.frames_in()).min(usize::MAX as u64) as usize;
                let kept = (left.saturating_mul(sink.channels())).min(samples.len());
                sink.push_i16(&samples[..kept])?;
            }
            // A remainder that is no whole block: padding or the end of a file cut short.
            Err(_) if filled < block_bytes => break,
            Err(reason) => {
                if damage.bad(stream.data_offset + offset, reason, codec.block_frames()) {
                    break;
                }
            }
        }
        offset += filled as u64;
        if filled < wanted {
            break;
        }
    }
    damage.verdict()
}

/// Frames to keep of `decodable`: what the header states, where that takes off padding of the last block and nothing
/// else; some writers state samples of all channels together, or nonsense.
fn frames_to_keep(stated: Option<u64>, decodable: u64, block_frames: u64) -> u64 {
    stated.filter(|&frames| frames <= decodable && decodable - frames < block_frames).unwrap_or(decodable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_length_takes_off_padding_and_nothing_else() {
        assert_eq!(frames_to_keep(Some(950), 1_000, 100), 950);
        assert_eq!(frames_to_keep(Some(500), 1_000, 100), 1_000);
        assert_eq!(frames_to_keep(Some(2_000), 1_000, 100), 1_000);
        assert_eq!(frames_to_keep(None, 1_000, 100), 1_000);
    }
}
