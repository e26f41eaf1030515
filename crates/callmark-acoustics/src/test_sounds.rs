//! Sounds for the tests of this crate, made by formula.

use std::f64::consts::TAU;

const RATE: f64 = 16_000.0;

/// Sines of `hertz` together, `seconds` long, each at `amplitude` of full scale.
pub(crate) fn sine(hertz: &[f64], seconds: f64, amplitude: f64) -> Vec<i16> {
    render(seconds, |t| amplitude * hertz.iter().map(|hz| (TAU * hz * t).sin()).sum::<f64>())
}

/// Uniform noise from a fixed seed.
pub(crate) fn white_noise(seconds: f64, amplitude: f64) -> Vec<i16> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    render(seconds, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        amplitude * ((state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    })
}

/// Three-note chords with overtones, a new one every half second.
pub(crate) fn chords(seconds: f64, amplitude: f64) -> Vec<i16> {
    const ROOTS: [f64; 4] = [261.6, 220.0, 349.2, 392.0];
    render(seconds, |t| {
        let root = ROOTS[(t * 2.0) as usize % ROOTS.len()];
        let note = |hz: f64| (1..5).map(|k| (TAU * hz * f64::from(k) * t).sin() / f64::from(k)).sum::<f64>();
        amplitude / 3.0 * (note(root) + note(root * 1.26) + note(root * 1.5))
    })
}

fn render(seconds: f64, mut value: impl FnMut(f64) -> f64) -> Vec<i16> {
    (0..(seconds * RATE) as usize).map(|i| (value(i as f64 / RATE) * 32767.0) as i16).collect()
}
