//! GSM 06.10 full rate (ETSI EN 300 961), decoder, bit-exact, in both packings that files have.

use super::BlockCodec;
use super::gsm_tables::{BLOCK_MANTISSA, LAR_BITS, LAR_DECODING, LONG_TERM_GAIN};

/// Samples of one frame (20 ms at 8 kHz).
const FRAME_SAMPLES: usize = 160;
/// Samples of a quarter of a frame, for which excitation is coded.
const SUBFRAME_SAMPLES: usize = 40;
/// Longest lag of the long-term predictor, in samples.
const MAX_LAG: usize = 120;
/// Bytes of a frame with its signature, as `.gsm` files and RTP carry it.
const FRAME_BYTES: usize = 33;
/// Bytes of two frames in WAV49 packing.
const PAIR_BYTES: usize = 65;
/// The four bits that begin each frame of 33 bytes.
const SIGNATURE: u32 = 0xD;

/// Frames of 33 bytes, most significant bit first.
#[derive(Default)]
pub(crate) struct GsmDecoder {
    synthesis: Synthesis,
}

/// Pairs of frames in 65 bytes, least significant bit first, as in WAV files of format 49.
#[derive(Default)]
pub(crate) struct GsmPairDecoder {
    synthesis: Synthesis,
}

impl BlockCodec for GsmDecoder {
    fn block_bytes(&self) -> usize {
        FRAME_BYTES
    }

    fn block_frames(&self) -> usize {
        FRAME_SAMPLES
    }

    fn decode(&mut self, block: &[u8], out: &mut Vec<i16>) -> Result<(), &'static str> {
        if block.len() < FRAME_BYTES {
            return Err("a GSM frame is cut short");
        }
        let mut bits = Bits { bytes: block, position: 0, most_significant_first: true };
        if bits.take(4) != SIGNATURE {
            return Err("a GSM frame does not begin with its signature");
        }
        self.synthesis.frame(&mut bits, out);
        Ok(())
    }
}

impl BlockCodec for GsmPairDecoder {
    fn block_bytes(&self) -> usize {
        PAIR_BYTES
    }

    fn block_frames(&self) -> usize {
        2 * FRAME_SAMPLES
    }

    fn decode(&mut self, block: &[u8], out: &mut Vec<i16>) -> Result<(), &'static str> {
        if block.len() < FRAME_BYTES {
            return Err("a pair of GSM frames is cut short");
        }
        let mut bits = Bits { bytes: block, position: 0, most_significant_first: false };
        self.synthesis.frame(&mut bits, out);
        if block.len() == PAIR_BYTES {
            self.synthesis.frame(&mut bits, out);
        }
        Ok(())
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    most_significant_first: bool,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for taken in 0..count {
            let byte = u32::from(self.bytes[self.position / 8]);
            let shift = (self.position % 8) as u32;
            self.position += 1;
            if self.most_significant_first {
                value = value << 1 | (byte >> (7 - shift) & 1);
            } else {
                value |= (byte >> shift & 1) << taken;
            }
        }
        value
    }

    fn take_word(&mut self, count: u32) -> i16 {
        self.take(count) as i16
    }
}

/// What the decoder remembers from frame to frame.
struct Synthesis {
    excitation: [i16; MAX_LAG + SUBFRAME_SAMPLES],
    lag: usize,
    ratios: [i16; 8],
    lattice: [i16; 9],
    emphasis: i16,
}

impl Default for Synthesis {
    fn default() -> Self {
        Self {
            excitation: [0; MAX_LAG + SUBFRAME_SAMPLES],
            lag: SUBFRAME_SAMPLES,
            ratios: [0; 8],
            lattice: [0; 9],
            emphasis: 0,
        }
    }
}

impl Synthesis {
    fn frame(&mut self, bits: &mut Bits<'_>, out: &mut Vec<i16>) {
        let codes = LAR_BITS.map(|count| bits.take_word(count));
        let mut samples = [0; FRAME_SAMPLES];
        for part in samples.chunks_exact_mut(SUBFRAME_SAMPLES) {
            self.long_term(bits);
            part.copy_from_slice(&self.excitation[MAX_LAG..]);
            self.excitation.copy_within(SUBFRAME_SAMPLES.., 0);
        }
        self.short_term(codes, &mut samples);
        for sample in &mut samples {
            // De-emphasis, up-scaling and truncation (clause 5.3.5 and 5.3.6).
            self.emphasis = sample.saturating_add(times(self.emphasis, 28_180));
            *sample = self.emphasis.saturating_add(self.emphasis) & !7;
        }
        out.extend_from_slice(&samples);
    }

    /// Decodes the excitation of a quarter frame and adds the long-term prediction (clauses 5.3.1 and 5.3.2).
    fn long_term(&mut self, bits: &mut Bits<'_>) {
        let lag = bits.take(7) as usize;
        let gain = LONG_TERM_GAIN[bits.take(2) as usize];
        let grid = bits.take(2) as usize;
        let amplitude = bits.take_word(6);
        let mut residual = [0_i16; SUBFRAME_SAMPLES];
        let (exponent, mantissa) = exponent_and_mantissa(amplitude);
        let shift = 6 - exponent;
        let rounding = if shift == 0 { 0 } else { 1_i16 << (shift - 1) };
        for pulse in 0..13 {
            let code = (2 * bits.take_word(3) - 7) << 12;
            residual[grid + 3 * pulse] =
                times(BLOCK_MANTISSA[mantissa], code).saturating_add(rounding) >> shift;
        }
        if (SUBFRAME_SAMPLES..=MAX_LAG).contains(&lag) {
            self.lag = lag;
        }
        for (k, &pulse) in residual.iter().enumerate() {
            let past = self.excitation[MAX_LAG + k - self.lag];
            self.excitation[MAX_LAG + k] = pulse.saturating_add(times(gain, past));
        }
    }

    /// The lattice filter, its coefficients faded in from the last frame's (clause 5.3.3 and 5.3.4).
    fn short_term(&mut self, codes: [i16; 8], samples: &mut [i16; FRAME_SAMPLES]) {
        let mut ratios = [0; 8];
        for ((ratio, code), (offset, smallest, inverse)) in ratios.iter_mut().zip(codes).zip(LAR_DECODING) {
            let value = ((code + smallest) << 10).saturating_sub(offset);
            let value = times(inverse, value);
            *ratio = value.saturating_add(value);
        }
        let before = std::mem::replace(&mut self.ratios, ratios);
        let mix = |fade: fn(i16, i16) -> i16| {
            std::array::from_fn::<i16, 8, _>(|i| reflection(fade(before[i], ratios[i])))
        };
        let (first, rest) = samples.split_at_mut(13);
        let (second, rest) = rest.split_at_mut(14);
        let (third, last) = rest.split_at_mut(13);
        self.filter(mix(|old, new| (old >> 2).saturating_add(new >> 2).saturating_add(old >> 1)), first);
        self.filter(mix(|old, new| (old >> 1).saturating_add(new >> 1)), second);
        self.filter(mix(|old, new| (old >> 2).saturating_add(new >> 2).saturating_add(new >> 1)), third);
        self.filter(mix(|_, new| new), last);
    }

    fn filter(&mut self, reflections: [i16; 8], samples: &mut [i16]) {
        for sample in samples {
            let mut value = *sample;
            for i in (0..8).rev() {
                value = value.saturating_sub(times(reflections[i], self.lattice[i]));
                self.lattice[i + 1] = self.lattice[i].saturating_add(times(reflections[i], value));
            }
            self.lattice[0] = value;
            *sample = value;
        }
    }
}

/// Product of two fractions of 1/32768, rounded.
fn times(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    ((i32::from(a) * i32::from(b) + 16_384) >> 15) as i16
}

/// Block amplitude code to exponent and index of the mantissa (clause 5.2.15).
fn exponent_and_mantissa(code: i16) -> (i16, usize) {
    let mut exponent = if code > 15 { (code >> 3) - 1 } else { 0 };
    let mut mantissa = code - (exponent << 3);
    if mantissa == 0 {
        return (-4, 7);
    }
    while mantissa <= 7 {
        mantissa = mantissa << 1 | 1;
        exponent -= 1;
    }
    (exponent, (mantissa - 8) as usize)
}

/// Log area ratio to reflection coefficient (clause 5.3.3, table in 5.2.9.2).
fn reflection(ratio: i16) -> i16 {
    let magnitude = ratio.saturating_abs();
    let value = match magnitude {
        ..11_059 => magnitude << 1,
        11_059..20_070 => magnitude + 11_059,
        _ => (magnitude >> 2).saturating_add(26_112),
    };
    if ratio < 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_its_signature_is_no_sound() {
        let mut out = Vec::new();
        assert!(GsmDecoder::default().decode(&[0; 33], &mut out).is_err());
        assert!(GsmDecoder::default().decode(&[0xD0; 32], &mut out).is_err());
        assert!(out.is_empty());
        GsmDecoder::default().decode(&[0xD0; 33], &mut out).unwrap();
        assert_eq!(out.len(), FRAME_SAMPLES);
    }

    #[test]
    fn the_block_amplitude_decodes_as_in_the_standard() {
        assert_eq!(exponent_and_mantissa(0), (-4, 7));
        assert_eq!(exponent_and_mantissa(1), (-3, 7));
        assert_eq!(exponent_and_mantissa(15), (0, 7));
        assert_eq!(exponent_and_mantissa(16), (1, 0));
        assert_eq!(exponent_and_mantissa(63), (6, 7));
    }

    #[test]
    fn any_bits_decode_without_overflow() {
        let mut state = 1_u32;
        let mut out = Vec::new();
        let mut decoder = GsmPairDecoder::default();
        for round in 0..500 {
            let block: [u8; PAIR_BYTES] = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if round % 3 == 0 { 0xFF } else { (state >> 24) as u8 }
            });
            decoder.decode(&block, &mut out).unwrap();
        }
        assert_eq!(out.len(), 500 * 2 * FRAME_SAMPLES);
    }
}
