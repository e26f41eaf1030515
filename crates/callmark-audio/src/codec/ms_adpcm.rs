//! Microsoft ADPCM (`WAVE_FORMAT_ADPCM`, Microsoft's "Multimedia Data Standards Update", 1994).

use super::BlockCodec;

/// Bytes of each channel's head in a block: predictor, delta, two samples.
const HEAD_BYTES: usize = 7;
/// Smallest quantiser step.
const MIN_DELTA: i32 = 16;

/// The coefficient pairs that every file has, in 1/256.
pub(crate) const STANDARD_COEFFICIENTS: [[i16; 2]; 7] =
    [[256, 0], [512, -256], [0, 0], [192, 64], [240, 0], [460, -208], [392, -232]];

/// How each code scales the quantiser step, in 1/256.
const ADAPTATION: [i32; 16] =
    [230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230];

/// Decodes blocks; every block stands alone.
pub(crate) struct MsAdpcmDecoder {
    block_bytes: usize,
    channels: usize,
    coefficients: Vec<[i16; 2]>,
}

struct Channel {
    coefficients: [i64; 2],
    delta: i32,
    newest: i64,
    older: i64,
}

impl MsAdpcmDecoder {
    pub(crate) fn new(
        block_bytes: usize,
        channels: usize,
        coefficients: Vec<[i16; 2]>,
    ) -> Result<Self, String> {
        if block_bytes < HEAD_BYTES * channels {
            return Err(format!("MS ADPCM blocks of {block_bytes} bytes cannot hold {channels} channels"));
        }
        if channels > 2 {
            return Err(format!("MS ADPCM has one or two channels, not {channels}"));
        }
        Ok(Self { block_bytes, channels, coefficients })
    }

    fn heads(&self, heads: &[u8]) -> Option<Vec<Channel>> {
        let (count, words) = (self.channels, &heads[self.channels..]);
        let word = |group: usize, channel: usize| {
            let at = 2 * (group * count + channel);
            i32::from(i16::from_le_bytes([words[at], words[at + 1]]))
        };
        (0..count)
            .map(|channel| {
                let pair = self.coefficients.get(usize::from(heads[channel]))?;
                Some(Channel {
                    coefficients: pair.map(i64::from),
                    delta: word(0, channel),
                    newest: i64::from(word(1, channel)),
                    older: i64::from(word(2, channel)),
                })
            })
            .collect()
    }
}

impl Channel {
    fn next_sample(&mut self, code: u8) -> i16 {
        let signed = i64::from(code) - if code & 8 == 0 { 0 } else { 16 };
        let [newest_weight, older_weight] = self.coefficients;
        let predicted = (self.newest * newest_weight + self.older * older_weight) >> 8;
        let sample = predicted + signed * i64::from(self.delta);
        let sample = sample.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
        self.older = self.newest;
        self.newest = sample;
        // Bounded so that hostile codes cannot overflow: no real step comes near.
        self.delta = ((ADAPTATION[usize::from(code)] * self.delta) >> 8).clamp(MIN_DELTA, i32::MAX / 1024);
        sample as i16
    }
}

impl BlockCodec for MsAdpcmDecoder {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn block_frames(&self) -> usize {
        2 + (self.block_bytes - HEAD_BYTES * self.channels) * 2 / self.channels
    }

    fn decode(&mut self, block: &[u8], out: &mut Vec<i16>) -> Result<(), &'static str> {
        let heads_bytes = HEAD_BYTES * self.channels;
        let (Some(heads), Some(body)) = (block.get(..heads_bytes), block.get(heads_bytes..)) else {
            return Err("an ADPCM block is shorter than its head");
        };
        let Some(mut channels) = self.heads(heads) else {
            return Err("an ADPCM block names a predictor that the header does not have");
        };
        out.extend(channels.iter().map(|channel| channel.older as i16));
        out.extend(channels.iter().map(|channel| channel.newest as i16));
        let count = channels.len();
        for (position, code) in body.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).enumerate() {
            out.push(channels[position % count].next_sample(code));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_starts_with_the_samples_of_its_head_and_predicts_from_them() {
        let mut decoder = MsAdpcmDecoder::new(8, 1, STANDARD_COEFFICIENTS.to_vec()).unwrap();
        assert_eq!(decoder.block_frames(), 4);
        let mut out = Vec::new();
        // Predictor 1 (2, -1), delta 16, newest 110, older 100; codes 1 and -1.
        decoder.decode(&[1, 16, 0, 110, 0, 100, 0, 0x1F], &mut out).unwrap();
        assert_eq!(out, [100, 110, 120 + 16, 162 - 16]);
    }

    #[test]
    fn the_widest_coefficients_do_not_overflow() {
        let mut decoder = MsAdpcmDecoder::new(16, 1, vec![[i16::MIN; 2]]).unwrap();
        let mut out = Vec::new();
        decoder
            .decode(&[0, 0, 0x80, 0, 0x80, 0, 0x80, 0x88, 0x88, 0x77, 0, 0, 0, 0, 0, 0], &mut out)
            .unwrap();
        assert_eq!(out[..3], [i16::MIN, i16::MIN, i16::MAX]);
    }

    #[test]
    fn an_unknown_predictor_is_no_sound_and_hostile_codes_do_not_overflow() {
        let mut decoder = MsAdpcmDecoder::new(1_024, 1, STANDARD_COEFFICIENTS.to_vec()).unwrap();
        let mut out = Vec::new();
        let mut block = [0x77; 1_024];
        assert!(decoder.decode(&block, &mut out).is_err() && out.is_empty());
        block[0] = 1;
        decoder.decode(&block, &mut out).unwrap();
        block[1..3].copy_from_slice(&[0, 0x80]);
        decoder.decode(&block, &mut out).unwrap();
        assert_eq!(out.len(), 2 * decoder.block_frames());
    }
}
