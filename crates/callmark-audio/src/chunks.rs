//! Sound that comes in chunks while a call goes on: one channel, decoded with a memory from chunk to chunk.
//!
//! A chunk is raw codec bytes without any header. What `decode` gives out lies on the clock of what went in: the filter's
//! delay is taken off, and [`ChunkDecoder::finish`] brings the length to the exact sample.

use crate::codec::g711;
use crate::opus::OpusPackets;
use crate::resample::{BlockResampler, output_frames};
use callmark_types::PIPELINE_SAMPLE_RATE_HZ;

/// Lowest sample rate of a chunk, in hertz.
pub const MIN_CHUNK_RATE_HZ: u32 = 8_000;
/// Highest sample rate of a chunk, in hertz.
pub const MAX_CHUNK_RATE_HZ: u32 = 48_000;

/// How the bytes of a chunk are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkCodec {
    /// G.711 mu-law, one byte a sample.
    Pcmu,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// Signed linear, 16 bit, little-endian.
    PcmS16le,
    /// One Opus packet a chunk, mono.
    Opus,
}

impl ChunkCodec {
    /// Every codec, by the name that a message gives it.
    pub const ALL: [(&'static str, Self); 4] =
        [("pcmu", Self::Pcmu), ("pcma", Self::Pcma), ("pcm_s16le", Self::PcmS16le), ("opus", Self::Opus)];

    /// The codec of a name, whatever its case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim())).map(|(_, codec)| *codec)
    }

    /// The name that a message gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::PcmS16le => "pcm_s16le",
            Self::Opus => "opus",
        }
    }
}

/// Why a chunk or a stream of chunks was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The rate is outside the range.
    #[error(
        "the sample rate of {0} Hz is not in the range from {MIN_CHUNK_RATE_HZ} to {MAX_CHUNK_RATE_HZ} Hz"
    )]
    Rate(u32),
    /// The bytes are not what the codec says.
    #[error("the chunk cannot be decoded: {0}")]
    Broken(String),
}

/// Decodes the chunks of one channel, in order, as long as codec and rate stay the same.
pub struct ChunkDecoder {
    codec: ChunkCodec,
    rate_hz: u32,
    opus: Option<OpusPackets>,
    resampler: Option<BlockResampler>,
    frames_in: u64,
}

impl std::fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkDecoder")
            .field("codec", &self.codec)
            .field("rate_hz", &self.rate_hz)
            .finish_non_exhaustive()
    }
}

impl ChunkDecoder {
    /// A decoder for chunks of `codec` at `rate_hz` samples a second. Opus is decoded at 16 kHz whatever the rate says.
    pub fn new(codec: ChunkCodec, rate_hz: u32) -> Result<Self, ChunkError> {
        Self::check_rate(rate_hz)?;
        let opus = match codec {
            ChunkCodec::Opus => {
                let opened = OpusPackets::new(None, 1);
                Some(opened.map_err(|_| ChunkError::Broken("the Opus decoder cannot start".to_owned()))?)
            }
            _ => None,
        };
        let decoded_rate_hz = if codec == ChunkCodec::Opus { PIPELINE_SAMPLE_RATE_HZ } else { rate_hz };
        let resampler =
            (decoded_rate_hz != PIPELINE_SAMPLE_RATE_HZ).then(|| BlockResampler::new(decoded_rate_hz, 1));
        Ok(Self { codec, rate_hz: decoded_rate_hz, opus, resampler, frames_in: 0 })
    }

    /// Whether chunks may have `rate_hz` samples a second.
    pub fn check_rate(rate_hz: u32) -> Result<(), ChunkError> {
        let allowed = (MIN_CHUNK_RATE_HZ..=MAX_CHUNK_RATE_HZ).contains(&rate_hz);
        if allowed { Ok(()) } else { Err(ChunkError::Rate(rate_hz)) }
    }

    /// Samples at 16 kHz that everything handed in so far lasts; what is not given out yet is in the filter.
    pub fn samples_due(&self) -> u64 {
        output_frames(self.frames_in, self.rate_hz)
    }

    /// Decodes one chunk; appends what is ready to `out`. An error appends nothing and leaves the decoder usable.
    pub fn decode(&mut self, bytes: &[u8], out: &mut Vec<i16>) -> Result<(), ChunkError> {
        match self.codec {
            ChunkCodec::Pcmu => self.push(bytes.iter().map(|b| g711::ULAW[usize::from(*b)]), out),
            ChunkCodec::Pcma => self.push(bytes.iter().map(|b| g711::ALAW[usize::from(*b)]), out),
            ChunkCodec::PcmS16le => {
                let (samples, rest) = bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    let reason = format!("{} bytes are no whole number of 16-bit samples", bytes.len());
                    return Err(ChunkError::Broken(reason));
                }
                self.push(samples.iter().map(|s| i16::from_le_bytes(*s)), out);
            }
            ChunkCodec::Opus => {
                let Some(opus) = &mut self.opus else { return Ok(()) };
                let decoded = opus.decode(bytes, 0).map_err(ChunkError::Broken)?;
                self.frames_in += decoded.len() as u64;
                out.extend(decoded.iter().map(|s| crate::resample::sample_of(s.clamp(-4.0, 4.0))));
            }
        }
        Ok(())
    }

    /// Puts `milliseconds` of silence on the clock, in place of sound that never came.
    pub fn silence(&mut self, milliseconds: u64, out: &mut Vec<i16>) {
        let frames = usize::try_from(milliseconds * u64::from(self.rate_hz) / 1000).unwrap_or(usize::MAX);
        self.push(std::iter::repeat_n(0, frames), out);
    }

    /// Ends the stream: appends the rest, so that what was given out is [`ChunkDecoder::samples_due`] long.
    pub fn finish(mut self, out: &mut Vec<i16>) {
        if let Some(resampler) = &mut self.resampler {
            let mut converted = [Vec::new()];
            resampler.finish(&mut converted);
            out.append(&mut converted[0]);
        }
    }

    fn push(&mut self, samples: impl ExactSizeIterator<Item = i16>, out: &mut Vec<i16>) {
        self.frames_in += samples.len() as u64;
        let Some(resampler) = &mut self.resampler else {
            out.extend(samples);
            return;
        };
        let mut samples = samples.peekable();
        let mut converted = [std::mem::take(out)];
        while samples.peek().is_some() {
            let frames = samples.len().min(resampler.room());
            resampler.push(frames, &mut converted, |_, pending| {
                pending.extend(samples.by_ref().take(frames).map(|s| f32::from(s) / 32_768.0));
            });
        }
        *out = std::mem::take(&mut converted[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(codec: ChunkCodec, rate_hz: u32, bytes: &[u8], chunk_bytes: usize) -> Vec<i16> {
        let mut decoder = ChunkDecoder::new(codec, rate_hz).unwrap();
        let mut out = Vec::new();
        for chunk in bytes.chunks(chunk_bytes) {
            decoder.decode(chunk, &mut out).unwrap();
        }
        let due = decoder.samples_due();
        decoder.finish(&mut out);
        assert_eq!(out.len() as u64, due);
        out
    }

    #[test]
    fn a_name_is_read_in_any_case_and_an_unknown_one_is_not() {
        assert_eq!(ChunkCodec::parse("PCMU"), Some(ChunkCodec::Pcmu));
        assert_eq!(ChunkCodec::parse("g729"), None);
        for (name, codec) in ChunkCodec::ALL {
            assert_eq!(codec.as_str(), name);
        }
    }

    #[test]
    fn a_rate_outside_the_range_and_half_a_sample_are_refused() {
        assert_eq!(ChunkDecoder::new(ChunkCodec::Pcmu, 7_999).unwrap_err(), ChunkError::Rate(7_999));
        assert_eq!(ChunkDecoder::new(ChunkCodec::Pcma, 48_001).unwrap_err(), ChunkError::Rate(48_001));
        let mut decoder = ChunkDecoder::new(ChunkCodec::PcmS16le, 16_000).unwrap();
        assert!(matches!(decoder.decode(&[1, 2, 3], &mut Vec::new()), Err(ChunkError::Broken(_))));
        assert_eq!(decoder.samples_due(), 0);
    }

    #[test]
    fn an_opus_packet_keeps_its_length_and_a_broken_one_is_an_error() {
        // 20 ms of SILK wideband, mono: TOC byte 0x48, and a payload that says nothing.
        let mut decoder = ChunkDecoder::new(ChunkCodec::Opus, 48_000).unwrap();
        let mut out = Vec::new();
        decoder.decode(&[0x48, 0, 0], &mut out).unwrap();
        assert_eq!((out.len(), decoder.samples_due()), (320, 320));
        assert!(decoder.decode(&[], &mut out).is_err());
        assert_eq!(out.len(), 320);
    }

    #[test]
    fn silence_takes_its_place_on_the_clock() {
        let mut decoder = ChunkDecoder::new(ChunkCodec::PcmS16le, 8_000).unwrap();
        let mut out = Vec::new();
        decoder.silence(1_500, &mut out);
        assert_eq!(decoder.samples_due(), 24_000);
        decoder.finish(&mut out);
        assert_eq!(out, vec![0; 24_000]);
    }

    proptest! {
        #[test]
        fn how_the_sound_is_cut_into_chunks_does_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..6_000),
            chunk_bytes in 1_usize..3_000,
            rate_hz in prop_oneof![Just(8_000), Just(11_025), Just(16_000), Just(48_000)],
        ) {
            let whole = decoded(ChunkCodec::Pcmu, rate_hz, &bytes, 6_000);
            prop_assert_eq!(decoded(ChunkCodec::Pcmu, rate_hz, &bytes, chunk_bytes), whole);
        }
    }
}
