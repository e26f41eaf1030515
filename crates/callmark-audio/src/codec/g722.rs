//! ITU-T G.722 at 64 kbit/s, decoder: two ADPCM bands joined to 16 kHz sound. Block names are the standard's.

use super::SampleCodec;

/// W_L: how each low-band code (by `LOW_RANK`) moves the log of the scale factor.
const LOW_SCALE_MOVES: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1_198, 3_042];
const LOW_RANK: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
/// W_H: the same for the high band.
const HIGH_SCALE_MOVES: [i32; 4] = [798, -214, 798, -214];
/// Inverse logarithm in steps of 1/32 octave.
const INVERSE_LOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Inverse quantiser of the high band.
const HIGH_LEVELS: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
/// Inverse quantiser of the low band's four core bits, which drive the adaptation.
const LOW_CORE_LEVELS: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584,
    1_200, 0,
];
/// Inverse quantiser of the low band's six bits.
const LOW_LEVELS: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
/// Even taps of the quadrature mirror filter; the odd ones are these backwards.
const MIRROR_TAPS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];

/// Decodes one mono stream.
pub(crate) struct G722Decoder {
    low: Band,
    high: Band,
    history: [i32; 24],
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), history: [0; 24] }
    }
}

impl SampleCodec for G722Decoder {
    fn unit_bytes(&self) -> usize {
        1
    }

    fn unit_frames(&self) -> usize {
        2
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        for &code in bytes {
            let low_code = usize::from(code & 0x3F);
            let low = limited(self.low.predicted + ((self.low.scale * LOW_LEVELS[low_code]) >> 15));
            let core = low_code >> 2;
            self.low.adapt(LOW_CORE_LEVELS[core], LOW_SCALE_MOVES[LOW_RANK[core]], 18_432, 8);

            let high_code = usize::from(code >> 6);
            let high = limited(self.high.predicted + ((self.high.scale * HIGH_LEVELS[high_code]) >> 15));
            self.high.adapt(HIGH_LEVELS[high_code], HIGH_SCALE_MOVES[high_code], 22_528, 10);

            self.history.copy_within(2.., 0);
            self.history[22] = low + high;
            self.history[23] = low - high;
            let (mut first, mut second) = (0, 0);
            for (i, pair) in self.history.as_chunks::<2>().0.iter().enumerate() {
                second += pair[0] * MIRROR_TAPS[i];
                first += pair[1] * MIRROR_TAPS[11 - i];
            }
            out.push(saturated(first >> 11) as i16);
            out.push(saturated(second >> 11) as i16);
        }
    }
}

/// One band's predictor and scale. Index 0 of each array is the newest value.
struct Band {
    /// DET: scale factor.
    scale: i32,
    /// NB: its logarithm.
    log_scale: i32,
    /// S: what the predictor expects.
    predicted: i32,
    /// SZ: the zero section's part of it.
    predicted_by_zeros: i32,
    /// A: coefficients of the pole section.
    poles: [i32; 2],
    /// B: coefficients of the zero section.
    zeros: [i32; 6],
    /// R: reconstructed signal.
    reconstructed: [i32; 2],
    /// P: partly reconstructed signal.
    partial: [i32; 2],
    /// D: quantised differences.
    differences: [i32; 6],
}

impl Band {
    fn new(scale: i32) -> Self {
        Self {
            scale,
            log_scale: 0,
            predicted: 0,
            predicted_by_zeros: 0,
            poles: [0; 2],
            zeros: [0; 6],
            reconstructed: [0; 2],
            partial: [0; 2],
            differences: [0; 6],
        }
    }

    /// Takes the quantised `level` of a code: adapts the scale (LOGSCL, SCALEL) and the predictor (blocks 4).
    fn adapt(&mut self, level: i32, scale_move: i32, max_log_scale: i32, octaves: i32) {
        let difference = (self.scale * level) >> 15;
        self.log_scale = (((self.log_scale * 127) >> 7) + scale_move).clamp(0, max_log_scale);
        let mantissa = INVERSE_LOG[(self.log_scale >> 6 & 31) as usize];
        let shift = octaves - (self.log_scale >> 11);
        self.scale = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
        self.predict(difference);
    }

    fn predict(&mut self, difference: i32) {
        let reconstructed = saturated(self.predicted + difference);
        let partial = saturated(self.predicted_by_zeros + difference);
        let same = |past: i32| (partial < 0) == (past < 0);

        // UPPOL2 and UPPOL1.
        let quadruple = saturated(self.poles[0] << 2);
        let pull = if same(self.partial[0]) { -quadruple } else { quadruple }.min(32_767) >> 7;
        let push = if same(self.partial[1]) { 128 } else { -128 };
        let second = (pull + push + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let step = if same(self.partial[0]) { 192 } else { -192 };
        let limit = 15_360 - second;
        let first = saturated(step + ((self.poles[0] * 32_640) >> 15)).clamp(-limit, limit);
        self.poles = [first, second];

        // UPZERO.
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let signed = if (past < 0) == (difference < 0) { step } else { -step };
            *zero = saturated(signed + ((*zero * 32_640) >> 15));
        }

        // DELAYA, FILTEP, FILTEZ, PREDIC.
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        let double_product = |value: i32, coefficient: i32| (saturated(value + value) * coefficient) >> 15;
        let by_poles: i32 =
            self.reconstructed.iter().zip(self.poles).map(|(&r, a)| double_product(r, a)).sum();
        let by_zeros: i32 = self.differences.iter().zip(self.zeros).map(|(&d, b)| double_product(d, b)).sum();
        self.predicted_by_zeros = saturated(by_zeros);
        self.predicted = saturated(saturated(by_poles) + self.predicted_by_zeros);
    }
}

fn saturated(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// LIMIT: a band's signal has 15 bits.
fn limited(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_codes_decode_without_overflow() {
        let mut state = 1_u32;
        let bytes: Vec<u8> = (0..100_000)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if (n / 1_000) % 3 == 0 { (n / 3_000) as u8 } else { (state >> 24) as u8 }
            })
            .collect();
        let mut out = Vec::new();
        G722Decoder::default().decode(&bytes, &mut out);
        assert_eq!(out.len(), 2 * bytes.len());
    }
}
