//! The `WAVEFORMATEX` structure that RIFF, RF64 and W64 share.

use super::{Encoding, u16_le, u32_le};
use crate::error::Fault;
use crate::names::convert_hint;

/// `WAVE_FORMAT_EXTENSIBLE`: the real tag begins the sub-format's GUID.
const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// Where the sub-format lies in an extensible structure.
const SUB_FORMAT_OFFSET: usize = 24;
/// Longest `fmt ` chunk read; the longest known (MS ADPCM with many coefficients) has under 1 KiB.
pub(crate) const MAX_FORMAT_BYTES: u64 = 4_096;

/// What the structure says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaveFormat {
    pub(crate) sample_rate_hz: u32,
    pub(crate) channels: u32,
    /// `None`: an MPEG stream.
    pub(crate) encoding: Option<Encoding>,
}

/// Reads the structure in `bytes`, which lies at `offset` of the file.
pub(crate) fn parse_wave_format(bytes: &[u8], offset: u64) -> Result<WaveFormat, Fault> {
    let short = || {
        Fault::malformed(
            offset,
            format!("the format chunk has {} bytes, at least 14 are needed", bytes.len()),
        )
    };
    let mut tag = u16_le(bytes, 0).ok_or_else(short)?;
    let channels = u32::from(u16_le(bytes, 2).ok_or_else(short)?);
    let stated_rate_hz = u32_le(bytes, 4).ok_or_else(short)?;
    let block_bytes = usize::from(u16_le(bytes, 12).ok_or_else(short)?);
    let bits = usize::from(u16_le(bytes, 14).unwrap_or(0));
    if tag == TAG_EXTENSIBLE {
        tag = u16_le(bytes, SUB_FORMAT_OFFSET)
            .ok_or_else(|| Fault::malformed(offset, "the extensible format chunk has no sub-format"))?;
    }
    let encoding = encoding_of(tag, bytes, offset, channels, block_bytes, bits)?;
    // A G.722 stream carries 16 kHz sound; some writers state the 8 kHz of its RTP clock.
    let sample_rate_hz = if encoding == Some(Encoding::G722) { 16_000 } else { stated_rate_hz };
    Ok(WaveFormat { sample_rate_hz, channels, encoding })
}

fn encoding_of(
    tag: u16,
    bytes: &[u8],
    offset: u64,
    channels: u32,
    block_bytes: usize,
    bits: usize,
) -> Result<Option<Encoding>, Fault> {
    let mono = |encoding: Encoding| {
        if channels == 1 {
            Ok(Some(encoding))
        } else {
            let format = format!("{} with {channels} channels", encoding.codec_name());
            Err(Fault::Unsupported { format, hint: convert_hint() })
        }
    };
    let encoding = match tag {
        0x0001 => linear(offset, sample_bytes(bits, block_bytes, channels))?,
        0x0003 => match sample_bytes(bits, block_bytes, channels) {
            bytes @ (4 | 8) => Encoding::Float { bytes, big_endian: false },
            other => {
                return Err(Fault::malformed(offset, format!("float samples of {other} bytes do not exist")));
            }
        },
        0x0002 => Encoding::MsAdpcm { block_bytes, coefficients: ms_coefficients(bytes, offset)? },
        0x0006 => Encoding::Alaw,
        0x0007 => Encoding::Ulaw,
        0x0011 => Encoding::ImaAdpcm { block_bytes },
        0x0031 => return mono(Encoding::GsmPairs),
        0x0065 | 0x028F => return mono(Encoding::G722),
        // ffmpeg and Windows codecs pack these from the most significant bit.
        0x0045 | 0x0040 | 0x0064 => {
            let bits = if tag == 0x0040 { 4 } else { bits as u32 };
            if !(2..=5).contains(&bits) {
                return Err(Fault::malformed(offset, format!("G.726 codes of {bits} bits do not exist")));
            }
            return mono(Encoding::G726 { bits, most_significant_first: true });
        }
        0x0050 | 0x0055 => return Ok(None),
        _ => {
            let format = format!("WAV with {} (tag {tag:#06x})", tag_name(tag));
            return Err(Fault::Unsupported { format, hint: convert_hint() });
        }
    };
    Ok(Some(encoding))
}

/// Bytes a sample: by the block size where that divides, else by the bits.
fn sample_bytes(bits: usize, block_bytes: usize, channels: u32) -> usize {
    let channels = channels.max(1) as usize;
    let by_bits = bits.div_ceil(8);
    let by_block = block_bytes / channels;
    if block_bytes.is_multiple_of(channels) && by_block >= by_bits && (1..=8).contains(&by_block) {
        by_block
    } else {
        by_bits
    }
}

fn linear(offset: u64, bytes: usize) -> Result<Encoding, Fault> {
    match bytes {
        1 => Ok(Encoding::Unsigned8),
        2..=8 => Ok(Encoding::Signed { bytes, big_endian: false }),
        other => Err(Fault::malformed(offset, format!("PCM samples of {other} bytes do not exist"))),
    }
}

/// The coefficient pairs of MS ADPCM; the standard seven where the chunk leaves them out.
fn ms_coefficients(bytes: &[u8], offset: u64) -> Result<Vec<[i16; 2]>, Fault> {
    let Some(count) = u16_le(bytes, 20).filter(|&count| count > 0) else {
        return Ok(crate::codec::ms_adpcm::STANDARD_COEFFICIENTS.to_vec());
    };
    (0..usize::from(count))
        .map(|index| {
            let at = 22 + 4 * index;
            Some([u16_le(bytes, at)? as i16, u16_le(bytes, at + 2)? as i16])
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Fault::malformed(offset, "the format chunk ends within the ADPCM coefficients"))
}

fn tag_name(tag: u16) -> &'static str {
    match tag {
        0x0010 | 0x0017 => "OKI/Dialogic ADPCM",
        0x0014 => "G.723 ADPCM",
        0x0022 => "TrueSpeech",
        0x0042 => "G.723.1",
        0x0038 | 0x0083 | 0x0133 => "G.729",
        0x00FF | 0x1600 | 0x1602 | 0x1610 => "AAC",
        0x0160..=0x0163 => "Windows Media Audio",
        0x0057 => "AMR",
        0xA109 => "Speex",
        _ => "an unknown codec",
    }
}
