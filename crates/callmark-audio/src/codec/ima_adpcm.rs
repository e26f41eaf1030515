//! IMA/DVI ADPCM in the block layout of WAV (Microsoft's `WAVE_FORMAT_IMA_ADPCM`).

use super::BlockCodec;

/// Bytes of each channel's head in a block: first sample, step index, a reserved byte.
const HEAD_BYTES: usize = 4;
/// Bytes of one channel's turn after the heads: eight samples.
const TURN_BYTES: usize = 4;
/// Highest step index.
const MAX_INDEX: i32 = 88;

/// Quantiser steps (IMA Digital Audio Focus and Technical Working Groups, 1992).
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
    97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
    724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
    4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
    18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// How each magnitude moves the step index.
const INDEX_MOVES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// Decodes blocks; every block stands alone.
pub(crate) struct ImaAdpcmDecoder {
    block_bytes: usize,
    channels: usize,
}

impl ImaAdpcmDecoder {
    pub(crate) fn new(block_bytes: usize, channels: usize) -> Result<Self, String> {
        if block_bytes < HEAD_BYTES * channels {
            return Err(format!("IMA ADPCM blocks of {block_bytes} bytes cannot hold {channels} channels"));
        }
        Ok(Self { block_bytes, channels })
    }
}

impl BlockCodec for ImaAdpcmDecoder {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn block_frames(&self) -> usize {
        1 + (self.block_bytes / self.channels - HEAD_BYTES) / TURN_BYTES * 8
    }

    fn decode(&mut self, block: &[u8], out: &mut Vec<i16>) -> Result<(), &'static str> {
        let heads_bytes = HEAD_BYTES * self.channels;
        let (Some(heads), Some(body)) = (block.get(..heads_bytes), block.get(heads_bytes..)) else {
            return Err("an ADPCM block is shorter than its head");
        };
        let turns = body.len() / (TURN_BYTES * self.channels);
        let first = out.len();
        out.resize(first + self.channels * (1 + 8 * turns), 0);
        for channel in 0..self.channels {
            let head = &heads[HEAD_BYTES * channel..];
            let mut predictor = i32::from(i16::from_le_bytes([head[0], head[1]]));
            let mut index = i32::from(head[2]);
            if index > MAX_INDEX {
                out.truncate(first);
                return Err("an ADPCM block has a step index beyond 88");
            }
            let mut at = first + channel;
            out[at] = predictor as i16;
            for turn in 0..turns {
                let bytes = &body[(turn * self.channels + channel) * TURN_BYTES..][..TURN_BYTES];
                for code in bytes.iter().flat_map(|byte| [byte & 0x0F, byte >> 4]) {
                    predictor = next_sample(predictor, &mut index, code);
                    at += self.channels;
                    out[at] = predictor as i16;
                }
            }
        }
        Ok(())
    }
}

fn next_sample(predictor: i32, index: &mut i32, code: u8) -> i32 {
    let step = STEPS[*index as usize];
    let mut difference = step >> 3;
    for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
        if code & bit != 0 {
            difference += part;
        }
    }
    *index = (*index + INDEX_MOVES[usize::from(code & 7)]).clamp(0, MAX_INDEX);
    let next = if code & 8 == 0 { predictor + difference } else { predictor - difference };
    next.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_starts_at_its_head_and_follows_the_steps() {
        let mut decoder = ImaAdpcmDecoder::new(8, 1).unwrap();
        assert_eq!(decoder.block_frames(), 9);
        let mut out = Vec::new();
        decoder.decode(&[0xE8, 0x03, 0, 0, 0x07, 0, 0, 0], &mut out).unwrap();
        // Step 7, code 7: 7/8 + 7 + 7/2 + 7/4 = 0 + 7 + 3 + 1; then step 16: 16/8 = 2, then 14/8 = 1 and so on.
        assert_eq!(out[..4], [1000, 1011, 1013, 1014]);
    }

    #[test]
    fn channels_take_turns_of_eight_samples() {
        let mut decoder = ImaAdpcmDecoder::new(16, 2).unwrap();
        let mut out = Vec::new();
        let block = [100, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x88, 0x88, 0x88];
        decoder.decode(&block, &mut out).unwrap();
        assert_eq!(out.len(), 18);
        assert!(out.iter().step_by(2).all(|&s| s == 100) && out.iter().skip(1).step_by(2).all(|&s| s == 200));
    }

    #[test]
    fn an_impossible_step_index_is_no_sound() {
        let mut decoder = ImaAdpcmDecoder::new(8, 1).unwrap();
        let mut out = Vec::new();
        assert!(decoder.decode(&[0, 0, 89, 0, 0, 0, 0, 0], &mut out).is_err());
        assert!(out.is_empty());
        assert!(ImaAdpcmDecoder::new(7, 2).is_err());
    }
}
