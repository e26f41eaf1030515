//! Linear samples of any width and G.711, to 16 bit.

use super::{SampleCodec, g711};
use crate::headers::Encoding;

/// Samples that stand alone.
pub(crate) struct PcmDecoder {
    encoding: Encoding,
    channels: usize,
}

impl PcmDecoder {
    pub(crate) fn new(encoding: Encoding, channels: usize) -> Self {
        Self { encoding, channels }
    }

    fn sample_bytes(&self) -> usize {
        match self.encoding {
            Encoding::Signed { bytes, .. } | Encoding::Float { bytes, .. } => bytes,
            _ => 1,
        }
    }
}

impl SampleCodec for PcmDecoder {
    fn unit_bytes(&self) -> usize {
        self.sample_bytes() * self.channels
    }

    fn unit_frames(&self) -> usize {
        1
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        match self.encoding {
            Encoding::Ulaw => out.extend(bytes.iter().map(|&code| g711::ULAW[usize::from(code)])),
            Encoding::Alaw => out.extend(bytes.iter().map(|&code| g711::ALAW[usize::from(code)])),
            Encoding::Signed { bytes: 1, .. } => {
                out.extend(bytes.iter().map(|&byte| i16::from(byte as i8) << 8));
            }
            Encoding::Signed { bytes: width, big_endian } => {
                // The two most significant bytes; what lies below is under -90 dB full scale.
                let (high, low) = if big_endian { (0, 1) } else { (width - 1, width - 2) };
                out.extend(bytes.chunks_exact(width).map(|s| i16::from_be_bytes([s[high], s[low]])));
            }
            Encoding::Float { bytes: 4, big_endian } => out.extend(bytes.as_chunks().0.iter().map(|&s| {
                from_float(f64::from(if big_endian { f32::from_be_bytes(s) } else { f32::from_le_bytes(s) }))
            })),
            Encoding::Float { big_endian, .. } => out.extend(bytes.as_chunks().0.iter().map(|&s| {
                from_float(if big_endian { f64::from_be_bytes(s) } else { f64::from_le_bytes(s) })
            })),
            // Unsigned 8 bit; block codecs are never made into this decoder.
            _ => out.extend(bytes.iter().map(|&byte| (i16::from(byte) - 128) << 8)),
        }
    }
}

/// A sample of full scale 1.0; beyond it is limited, not-a-number is silence.
fn from_float(value: f64) -> i16 {
    (value * 32_768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<i16> {
        let mut out = Vec::new();
        PcmDecoder::new(encoding, 1).decode(bytes, &mut out);
        out
    }

    #[test]
    fn every_width_and_byte_order_keeps_the_sample() {
        assert_eq!(decoded(Encoding::Unsigned8, &[0, 128, 255]), [-32_768, 0, 32_512]);
        assert_eq!(decoded(Encoding::Signed { bytes: 1, big_endian: true }, &[0x80, 1]), [-32_768, 256]);
        for width in 2..=8 {
            let mut little = vec![0_u8; width];
            little[width - 1] = 0x12;
            little[width - 2] = 0x34;
            let big: Vec<u8> = little.iter().rev().copied().collect();
            assert_eq!(decoded(Encoding::Signed { bytes: width, big_endian: false }, &little), [0x1234]);
            assert_eq!(decoded(Encoding::Signed { bytes: width, big_endian: true }, &big), [0x1234]);
        }
        assert_eq!(
            decoded(Encoding::Float { bytes: 4, big_endian: false }, &0.5_f32.to_le_bytes()),
            [16_384]
        );
        assert_eq!(
            decoded(Encoding::Float { bytes: 8, big_endian: true }, &(-9.0_f64).to_be_bytes()),
            [-32_768]
        );
        assert_eq!(decoded(Encoding::Float { bytes: 4, big_endian: true }, &f32::NAN.to_be_bytes()), [0]);
    }
}
