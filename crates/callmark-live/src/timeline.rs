//! One channel's sound on the call's clock: decoded as it comes, kept as it came.
//!
//! What is kept is the coded bytes, a quarter of the decoded sound for telephony; decoding them again at the end of the
//! call gives the very samples that were heard while it went on.

use callmark_audio::{ChunkCodec, ChunkDecoder, ChunkError};
use callmark_types::Pcm;

/// Samples of a millisecond at 16 kHz.
pub(crate) const SAMPLES_PER_MS: u64 = 16;
/// Bytes of a block of kept sound: large enough that blocks cost nothing, small enough that half-empty ones do not.
const BLOCK_BYTES: usize = 32 << 10;
/// Longest silence decoded at a time, in milliseconds.
const SILENCE_STEP_MS: u64 = 10_000;

/// Decodes a channel whose codec may change.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    decoder: Option<(ChunkCodec, u32, ChunkDecoder)>,
    /// Samples before the present decoder.
    before: u64,
}

impl Timeline {
    /// Samples at 16 kHz that everything so far lasts.
    pub(crate) fn due(&self) -> u64 {
        self.before + self.decoder.as_ref().map_or(0, |(_, _, decoder)| decoder.samples_due())
    }

    /// Decodes a chunk; on another codec or rate than before, with a new decoder.
    pub(crate) fn chunk(
        &mut self,
        codec: ChunkCodec,
        rate_hz: u32,
        bytes: &[u8],
        out: &mut Vec<i16>,
    ) -> Result<(), ChunkError> {
        let same = |(c, r, _): &(ChunkCodec, u32, ChunkDecoder)| (*c, *r) == (codec, rate_hz);
        if !self.decoder.as_ref().is_some_and(same) {
            self.finish(out);
            self.decoder = Some((codec, rate_hz, ChunkDecoder::new(codec, rate_hz)?));
        }
        match &mut self.decoder {
            Some((_, _, decoder)) => decoder.decode(bytes, out),
            None => Ok(()),
        }
    }

    /// Puts silence on the clock.
    pub(crate) fn silence(&mut self, milliseconds: u64, out: &mut Vec<i16>) {
        if let Some((_, _, decoder)) = &mut self.decoder {
            decoder.silence(milliseconds, out);
        } else {
            let samples = milliseconds * SAMPLES_PER_MS;
            self.before += samples;
            out.resize(out.len() + samples as usize, 0);
        }
    }

    /// Gives out what is in the decoder's filter; the clock goes on.
    pub(crate) fn finish(&mut self, out: &mut Vec<i16>) {
        if let Some((_, _, decoder)) = self.decoder.take() {
            self.before += decoder.samples_due();
            decoder.finish(out);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Coded { codec: ChunkCodec, rate_hz: u32, bytes: Vec<u8>, lengths: Vec<u32> },
    Silence { milliseconds: u64 },
}

/// The sound of one channel as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptSound {
    blocks: Vec<Block>,
    bytes: usize,
}

impl KeptSound {
    /// Memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Codec and rate of the first chunk.
    pub(crate) fn first_format(&self) -> Option<(ChunkCodec, u32)> {
        self.blocks.iter().find_map(|block| match block {
            Block::Coded { codec, rate_hz, .. } => Some((*codec, *rate_hz)),
            Block::Silence { .. } => None,
        })
    }

    pub(crate) fn push_chunk(&mut self, codec: ChunkCodec, rate_hz: u32, chunk: &[u8]) {
        self.bytes += chunk.len() + size_of::<u32>();
        if let Some(Block::Coded { codec: c, rate_hz: r, bytes, lengths }) = self.blocks.last_mut()
            && (*c, *r) == (codec, rate_hz)
            && bytes.len() + chunk.len() <= BLOCK_BYTES
        {
            bytes.extend_from_slice(chunk);
            lengths.push(chunk.len() as u32);
            return;
        }
        self.blocks.push(Block::Coded {
            codec,
            rate_hz,
            bytes: chunk.to_vec(),
            lengths: vec![chunk.len() as u32],
        });
    }

    pub(crate) fn push_silence(&mut self, milliseconds: u64) {
        self.bytes += size_of::<Block>();
        self.blocks.push(Block::Silence { milliseconds });
    }

    /// Decodes everything.
    pub(crate) fn decode(&self) -> Pcm {
        let mut timeline = Timeline::default();
        let mut samples = Vec::new();
        for block in &self.blocks {
            match block {
                Block::Silence { milliseconds } => timeline.silence(*milliseconds, &mut samples),
                Block::Coded { codec, rate_hz, bytes, lengths } => {
                    let mut rest = bytes.as_slice();
                    for length in lengths {
                        let (chunk, later) = rest.split_at(*length as usize);
                        rest = later;
                        // It could be decoded when it came, or it would not be here.
                        let _ = timeline.chunk(*codec, *rate_hz, chunk, &mut samples);
                    }
                }
            }
        }
        timeline.finish(&mut samples);
        samples.shrink_to_fit();
        Pcm { samples }
    }
}

/// Lengths of the pieces in which `milliseconds` of silence are decoded.
pub(crate) fn silence_steps(milliseconds: u64) -> impl Iterator<Item = u64> {
    let whole = milliseconds / SILENCE_STEP_MS;
    let rest = milliseconds % SILENCE_STEP_MS;
    std::iter::repeat_n(SILENCE_STEP_MS, whole as usize).chain((rest > 0).then_some(rest))
}
