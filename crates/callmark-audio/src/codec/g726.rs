//! ITU-T G.726 ADPCM at 16, 24, 32 and 40 kbit/s (32 is the former G.721), decoder.

use super::SampleCodec;

/// What depends on the rate: per code, the log of the quantised difference, the scale factor's move (in 1/32 of the
/// standard's W), and the speed control's F.
struct Tables {
    log_differences: &'static [i32],
    scale_moves: &'static [i32],
    speeds: &'static [i32],
}

/// Tables 8, 10 and 12 of G.726, 16 kbit/s.
const RATE_16: Tables = Tables {
    log_differences: &[116, 365, 365, 116],
    scale_moves: &[-704, 14_048, 14_048, -704],
    speeds: &[0, 0xE00, 0xE00, 0],
};

/// 24 kbit/s.
const RATE_24: Tables = Tables {
    log_differences: &[-2048, 135, 273, 373, 373, 273, 135, -2048],
    scale_moves: &[-128, 960, 4_384, 18_624, 18_624, 4_384, 960, -128],
    speeds: &[0, 0x200, 0x400, 0xE00, 0xE00, 0x400, 0x200, 0],
};

/// 32 kbit/s.
const RATE_32: Tables = Tables {
    log_differences: &[-2048, 4, 135, 213, 273, 323, 373, 425, 425, 373, 323, 273, 213, 135, 4, -2048],
    scale_moves: &[
        -384, 576, 1_312, 2_048, 3_584, 6_336, 11_360, 35_904, 35_904, 11_360, 6_336, 3_584, 2_048, 1_312,
        576, -384,
    ],
    speeds: &[0, 0, 0, 0x200, 0x200, 0x200, 0x600, 0xE00, 0xE00, 0x600, 0x200, 0x200, 0x200, 0, 0, 0],
};

/// 40 kbit/s.
const RATE_40: Tables = Tables {
    log_differences: &[
        -2048, -66, 28, 104, 169, 224, 274, 318, 358, 395, 429, 459, 488, 514, 539, 566, 566, 539, 514, 488,
        459, 429, 395, 358, 318, 274, 224, 169, 104, 28, -66, -2048,
    ],
    scale_moves: &[
        448, 448, 768, 1_248, 1_280, 1_312, 1_856, 3_200, 4_512, 5_728, 7_008, 8_960, 11_456, 14_080, 16_928,
        22_272, 22_272, 16_928, 14_080, 11_456, 8_960, 7_008, 5_728, 4_512, 3_200, 1_856, 1_312, 1_280,
        1_248, 768, 448, 448,
    ],
    speeds: &[
        0, 0, 0, 0, 0, 0x200, 0x200, 0x200, 0x200, 0x200, 0x400, 0x600, 0x800, 0xA00, 0xC00, 0xC00, 0xC00,
        0xC00, 0xA00, 0x800, 0x600, 0x400, 0x200, 0x200, 0x200, 0x200, 0x200, 0, 0, 0, 0, 0,
    ],
};

/// Decodes one mono stream. Variables bear the standard's names where it has short ones.
pub(crate) struct G726Decoder {
    bits: u32,
    most_significant_first: bool,
    tables: &'static Tables,
    /// Locked (slow) scale factor, 6 more fractional bits than `yu`.
    yl: i32,
    /// Unlocked (fast) scale factor.
    yu: i32,
    /// Short-term average of F.
    dms: i32,
    /// Long-term average of F.
    dml: i32,
    /// Speed control.
    ap: i32,
    /// Coefficients of the pole predictor.
    a: [i32; 2],
    /// Coefficients of the zero predictor.
    b: [i32; 6],
    /// Signs of the last two partly reconstructed signals.
    pk: [bool; 2],
    /// Last six differences in the standard's floating-point form.
    dq: [i32; 6],
    /// Last two reconstructed signals in that form.
    sr: [i32; 2],
    /// Whether the last sample looked like a tone.
    td: bool,
}

impl G726Decoder {
    /// A decoder of codes of 2 to 5 `bits`.
    pub(crate) fn new(bits: u32, most_significant_first: bool) -> Self {
        let tables = match bits {
            2 => &RATE_16,
            3 => &RATE_24,
            4 => &RATE_32,
            _ => &RATE_40,
        };
        Self {
            bits,
            most_significant_first,
            tables,
            yl: 34_816,
            yu: 544,
            dms: 0,
            dml: 0,
            ap: 0,
            a: [0; 2],
            b: [0; 6],
            pk: [false; 2],
            dq: [32; 6],
            sr: [32; 2],
            td: false,
        }
    }

    fn next_sample(&mut self, code: usize) -> i16 {
        let zeros: i32 = self.b.iter().zip(self.dq).map(|(b, dq)| float_product(b >> 2, dq)).sum();
        let poles: i32 = self.a.iter().zip(self.sr).map(|(a, sr)| float_product(a >> 2, sr)).sum();
        let se = (zeros + poles) >> 1;
        let y = self.scale_factor();
        let is_negative = code >> (self.bits - 1) != 0;
        let magnitude = magnitude(self.tables.log_differences[code], y);
        let sr = if is_negative { se - magnitude } else { se + magnitude };
        self.update(y, code, is_negative, magnitude, sr, sr - se + (zeros >> 1));
        (sr << 2).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    }

    /// Scale factor adaptation's mix of fast and slow (clause 4.2.5).
    fn scale_factor(&self) -> i32 {
        if self.ap >= 256 {
            return self.yu;
        }
        let slow = self.yl >> 6;
        let difference = self.yu - slow;
        let share = self.ap >> 2;
        slow + if difference > 0 { (difference * share) >> 6 } else { (difference * share + 0x3F) >> 6 }
    }

    fn update(&mut self, y: i32, code: usize, is_negative: bool, magnitude: i32, sr: i32, dqsez: i32) {
        let is_transition = self.is_transition(magnitude);
        self.yu = (y + ((self.tables.scale_moves[code] - y) >> 5)).clamp(544, 5_120);
        self.yl += self.yu + ((-self.yl) >> 6);
        let pk0 = dqsez < 0;
        if is_transition {
            self.a = [0; 2];
            self.b = [0; 6];
        } else {
            self.adapt_poles(pk0, dqsez);
            self.adapt_zeros(is_negative, magnitude);
        }
        self.dq.copy_within(..5, 1);
        self.dq[0] = float_form(magnitude, is_negative);
        self.sr[1] = self.sr[0];
        self.sr[0] = if sr > i32::from(i16::MIN) { float_form(sr.abs(), sr < 0) } else { -992 };
        self.pk = [pk0, self.pk[0]];
        self.td = !is_transition && self.a[1] < -11_776;
        self.adapt_speed(y, self.tables.speeds[code], is_transition);
    }

    /// Whether a narrow-band signal changes abruptly, as a modem's does (clause 4.2.8).
    fn is_transition(&self, magnitude: i32) -> bool {
        let whole = self.yl >> 15;
        let fraction = (self.yl >> 10) & 0x1F;
        let threshold = if whole > 9 { 31 << 10 } else { (32 + fraction) << whole };
        self.td && magnitude > (threshold + (threshold >> 1)) >> 1
    }

    fn adapt_poles(&mut self, pk0: bool, dqsez: i32) {
        let differs = pk0 != self.pk[0];
        let mut a2 = self.a[1] - (self.a[1] >> 7);
        if dqsez != 0 {
            let fa1 = if differs { self.a[0] } else { -self.a[0] };
            a2 += match fa1 {
                ..-8_191 => -0x100,
                8_192.. => 0xFF,
                _ => fa1 >> 5,
            };
            a2 += if pk0 == self.pk[1] { 0x80 } else { -0x80 };
            a2 = a2.clamp(-12_288, 12_288);
        }
        self.a[1] = a2;
        self.a[0] -= self.a[0] >> 8;
        if dqsez != 0 {
            self.a[0] += if differs { -192 } else { 192 };
        }
        let limit = 15_360 - a2;
        self.a[0] = self.a[0].clamp(-limit, limit);
    }

    fn adapt_zeros(&mut self, is_negative: bool, magnitude: i32) {
        let leak = if self.bits == 5 { 9 } else { 8 };
        for (b, dq) in self.b.iter_mut().zip(self.dq) {
            *b -= *b >> leak;
            if magnitude != 0 {
                *b += if is_negative == (dq < 0) { 128 } else { -128 };
            }
        }
    }

    fn adapt_speed(&mut self, y: i32, f: i32, is_transition: bool) {
        self.dms += (f - self.dms) >> 5;
        self.dml += ((f << 2) - self.dml) >> 7;
        self.ap = if is_transition {
            256
        } else if y < 1_536 || self.td || ((self.dms << 2) - self.dml).abs() >= self.dml >> 3 {
            self.ap + ((0x200 - self.ap) >> 4)
        } else {
            self.ap + ((-self.ap) >> 4)
        };
    }
}

/// Magnitude of the quantised difference (clause 4.2.4).
fn magnitude(log_difference: i32, y: i32) -> i32 {
    let log = log_difference + (y >> 2);
    if log < 0 {
        return 0;
    }
    ((128 + (log & 127)) << 7) >> (14 - ((log >> 7) & 15)).max(0)
}

/// Bits that `value` needs, 15 at most.
fn bit_length(value: i32) -> i32 {
    (32 - value.leading_zeros() as i32).min(15)
}

/// Exponent in bits 6 to 9, mantissa in bits 0 to 5, minus 1024 for negative values (clause 4.2.6).
fn float_form(magnitude: i32, is_negative: bool) -> i32 {
    let value = if magnitude == 0 {
        32
    } else {
        let exponent = bit_length(magnitude);
        (exponent << 6) + ((magnitude << 6) >> exponent)
    };
    if is_negative { value - 0x400 } else { value }
}

/// Product of a predictor coefficient and a value in floating-point form (FMULT in the standard).
fn float_product(coefficient: i32, value: i32) -> i32 {
    let magnitude = if coefficient > 0 { coefficient } else { -coefficient & 0x1FFF };
    let exponent = bit_length(magnitude) - 6;
    let mantissa = match magnitude {
        0 => 32,
        _ if exponent >= 0 => magnitude >> exponent,
        _ => magnitude << -exponent,
    };
    let product_exponent = exponent + ((value >> 6) & 0xF) - 13;
    let product = (mantissa * (value & 0x3F) + 0x30) >> 4;
    let product = if product_exponent >= 0 {
        (product << product_exponent) & 0x7FFF
    } else {
        product >> -product_exponent
    };
    if (coefficient ^ value) < 0 { -product } else { product }
}

impl SampleCodec for G726Decoder {
    fn unit_bytes(&self) -> usize {
        if self.bits.is_multiple_of(2) { 1 } else { self.bits as usize }
    }

    fn unit_frames(&self) -> usize {
        self.unit_bytes() * 8 / self.bits as usize
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        let mask = (1_u64 << self.bits) - 1;
        for unit in bytes.chunks_exact(self.unit_bytes()) {
            let (mut word, width) = (0_u64, 8 * unit.len() as u32);
            for (index, byte) in unit.iter().enumerate() {
                let at = if self.most_significant_first { unit.len() - 1 - index } else { index };
                word |= u64::from(*byte) << (8 * at);
            }
            for index in 0..self.unit_frames() as u32 {
                let shift = if self.most_significant_first {
                    width - (index + 1) * self.bits
                } else {
                    index * self.bits
                };
                let sample = self.next_sample((word >> shift & mask) as usize);
                out.push(sample);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_codes_decode_without_overflow_at_every_rate_and_in_both_bit_orders() {
        let mut state = 1_u32;
        let bytes: Vec<u8> = (0..60_000)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if (n / 500) % 4 == 0 { (n / 2_000) as u8 } else { (state >> 24) as u8 }
            })
            .collect();
        for bits in 2..=5 {
            for most_significant_first in [false, true] {
                let mut out = Vec::new();
                G726Decoder::new(bits, most_significant_first).decode(&bytes, &mut out);
                assert_eq!(out.len(), bytes.len() * 8 / bits as usize);
            }
        }
    }
}
