//! The codecs against other implementations: generated codes, and the FNV-1a digest of the samples that libgsm (by
//! `sox -t gsm codes -t raw -`) and FFmpeg 5.1 (by `ffmpeg -f g722 -i codes -f s16le -` and the like) make of them.

use super::{Codec, codec_for};
use crate::headers::Encoding;

/// Bytes of a linear congruential generator.
fn generated(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn digest(samples: &[i16]) -> u64 {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn decoded(encoding: &Encoding, channels: usize, bytes: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    match codec_for(encoding, channels).unwrap() {
        Codec::Samples(mut codec) => codec.decode(bytes, &mut out),
        Codec::Blocks(mut codec) => {
            for block in bytes.chunks(codec.block_bytes()) {
                codec.decode(block, &mut out).unwrap();
            }
        }
    }
    out
}

/// Frames of GSM parameters in their order in the stream, value and width, of moderate level.
fn gsm_frames(count: usize) -> Vec<Vec<(u128, u32)>> {
    let mut bytes = generated(count * 100).into_iter().map(u128::from);
    let mut next = |mask: u128| bytes.next().expect("a frame takes fewer than 100 bytes") & mask;
    (0..count)
        .map(|_| {
            let mut fields = Vec::new();
            for width in [6_u32, 6, 5, 5, 4, 4, 3, 3] {
                fields.push(((next((1 << width) - 1) >> 1) + (1 << (width - 2)), width));
            }
            for _ in 0..4 {
                fields.extend([(next(127), 7), (next(1), 2), (next(3), 2), (next(15), 6)]);
                fields.extend((0..13).map(|_| (next(7), 3)));
            }
            fields
        })
        .collect()
}

/// Packs values of a width each, from the least or the most significant bit of each byte on.
fn packed(fields: &[(u128, u32)], most_significant_first: bool) -> Vec<u8> {
    let bits = fields.iter().flat_map(|&(value, width)| {
        (0..width).map(move |n| (value >> if most_significant_first { width - 1 - n } else { n }) as u8 & 1)
    });
    let bits: Vec<u8> = bits.collect();
    let place = |n: usize| if most_significant_first { 7 - n } else { n };
    bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(n, bit)| bit << place(n)).sum()).collect()
}

#[test]
fn gsm_is_decoded_bit_by_bit_as_libgsm_does() {
    let frames = gsm_frames(50);
    let signed: Vec<u8> =
        frames.iter().flat_map(|frame| packed(&[&[(0xD, 4)], frame.as_slice()].concat(), true)).collect();
    assert_eq!(digest(&decoded(&Encoding::Gsm, 1, &signed)), 0x0AF8_4AD8_BB30_D87C);
    let pairs: Vec<u8> = frames.chunks(2).flat_map(|pair| packed(&pair.concat(), false)).collect();
    assert_eq!(digest(&decoded(&Encoding::GsmPairs, 1, &pairs)), 0x0AF8_4AD8_BB30_D87C);
    // Codes without sense drive every sum to its limit.
    let mut noise = generated(33 * 50);
    noise.iter_mut().step_by(33).for_each(|byte| *byte = 0xD0 | *byte & 0x0F);
    assert_eq!(digest(&decoded(&Encoding::Gsm, 1, &noise)), 0x00B2_A8F6_728B_E9BF);
}

#[test]
fn g722_is_decoded_bit_by_bit_as_ffmpeg_does() {
    assert_eq!(digest(&decoded(&Encoding::G722, 1, &generated(4_000))), 0x53C3_9CB4_5B3B_B2AA);
}

#[test]
fn g726_is_decoded_bit_by_bit_as_ffmpeg_does() {
    // At 40 kbit/s FFmpeg leaks its zero predictor as at the lower rates; the standard does not (clause 4.2.6).
    for (bits, expected) in
        [(2, 0x044B_FF02_745A_208C), (3, 0x46FE_F17A_5D64_99E0), (4, 0x71B5_DECD_3783_95C0)]
    {
        let codes: Vec<(u128, u32)> = generated(8_000)
            .into_iter()
            .map(|byte| {
                let magnitude = if bits >= 4 { byte & 3 } else { u8::from(byte % 16 == 0) };
                let code = if byte & 0x80 == 0 { magnitude } else { (1 << bits) - 1 - magnitude };
                (u128::from(code), bits)
            })
            .collect();
        for most_significant_first in [false, true] {
            let encoding = Encoding::G726 { bits, most_significant_first };
            let samples = decoded(&encoding, 1, &packed(&codes, most_significant_first));
            assert_eq!(digest(&samples), expected, "{bits} bits");
        }
    }
}
