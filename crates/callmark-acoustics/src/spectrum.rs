//! The telephone band of a channel, frame by frame: how flat, how steady and how concentrated its spectrum is. Music
//! and tones are told from speech and noise by these.
//!
//! Frames of 64 ms every 32 ms, on the signal halved in rate, because nothing above 4 kHz is needed. Frames in which
//! nothing can be heard are not transformed.

use crate::power::FRAME_SAMPLES;
use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use std::ops::RangeInclusive;

/// Milliseconds from one frame to the next.
pub(crate) const STEP_MS: i64 = STEP_SAMPLES as i64 * 1000 / PIPELINE_SAMPLE_RATE_HZ as i64;
/// Samples of the channel from one frame to the next.
const STEP_SAMPLES: usize = 512;
/// Samples of the halved signal in a frame.
const WINDOW: usize = 512;
/// Hertz from one bin to the next.
const BIN_HZ: f32 = PIPELINE_SAMPLE_RATE_HZ as f32 / 2.0 / WINDOW as f32;
/// Bins of the band that flatness and steadiness are measured on: 200 to 3400 Hz.
const BAND: RangeInclusive<usize> = 13..=217;
const BAND_BINS: usize = 205;
/// Bins in which tones are looked for: 190 to 3900 Hz.
const TONE_BINS: RangeInclusive<usize> = 12..=250;
/// Bins to either side of a peak that belong to it under the Hann window, with room for a pair 40 Hz apart.
const PEAK_REACH: usize = 3;
/// Frames between two that are compared for steadiness: they share no samples.
const STEADY_FRAMES: usize = 3;
/// Taps of the half-band filter before the rate is halved, outermost first; the middle one is 16, the sum 32.
const HALF_BAND: [f32; 2] = [-1.0, 9.0];

/// What one frame's spectrum looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SpectrumFrame {
    /// Whether there was anything to be heard; all else is 0 if not.
    pub(crate) audible: bool,
    /// Geometric over arithmetic mean of the band: near 0 for tones and music, 0.5 for white noise.
    pub(crate) flatness: f32,
    /// Cosine between this frame's magnitudes and those of the frame 96 ms later, 0 to 1.
    pub(crate) steadiness: f32,
    /// Share of the power that lies in the two strongest peaks, 0 to 1.
    pub(crate) concentration: f32,
    /// Where those lie, in hertz, the stronger first, to some 8 Hz.
    pub(crate) peaks_hz: [f32; 2],
}

/// The frames of a channel. `powers` are those of [`crate::power::frame_powers`]; frames that stay below
/// `audible_power` throughout are skipped.
pub(crate) fn spectrum_frames(samples: &[i16], powers: &[f32], audible_power: f32) -> Vec<SpectrumFrame> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let mut scratch = fft.make_scratch_vec();
    let mut bins = fft.make_output_vec();
    let mut halved = [0.0_f32; WINDOW];
    let hann: [f32; WINDOW] =
        std::array::from_fn(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / WINDOW as f32).cos());
    let count = (samples.len() / STEP_SAMPLES).saturating_sub(1);
    let mut frames = vec![SpectrumFrame::default(); count];
    let mut recent = [[0.0_f32; BAND_BINS]; STEADY_FRAMES];
    for index in 0..count {
        let sounds = |p: &f32| *p > audible_power;
        let first_power = index * STEP_SAMPLES / FRAME_SAMPLES;
        let audible = powers[first_power..].iter().take(2 * STEP_SAMPLES / FRAME_SAMPLES).any(sounds);
        let mut shape = [0.0_f32; BAND_BINS];
        if audible {
            halve(samples, index * STEP_SAMPLES, &hann, &mut halved);
            fft.process_with_scratch(&mut halved, &mut bins, &mut scratch)
                .expect("all buffers have the lengths of the plan");
            let power: [f32; WINDOW / 2 + 1] = std::array::from_fn(|i| Complex::norm_sqr(&bins[i]) + 1e-9);
            frames[index] = describe(&power);
            shape = unit_magnitudes(&power);
        }
        let slot = index % STEADY_FRAMES;
        if index >= STEADY_FRAMES {
            frames[index - STEADY_FRAMES].steadiness =
                recent[slot].iter().zip(&shape).map(|(a, b)| a * b).sum();
        }
        recent[slot] = shape;
    }
    frames
}

/// The windowed signal at half the rate, from `start` on.
fn halve(samples: &[i16], start: usize, hann: &[f32; WINDOW], out: &mut [f32; WINDOW]) {
    let at = |index: usize, offset: isize| -> f32 {
        index.checked_add_signed(offset).and_then(|i| samples.get(i)).map_or(0.0, |s| f32::from(*s))
    };
    for (i, (value, weight)) in out.iter_mut().zip(hann).enumerate() {
        let middle = start + 2 * i;
        let sides =
            HALF_BAND[0] * (at(middle, -3) + at(middle, 3)) + HALF_BAND[1] * (at(middle, -1) + at(middle, 1));
        *value = (16.0 * at(middle, 0) + sides) / 32.0 * weight;
    }
}

fn describe(power: &[f32; WINDOW / 2 + 1]) -> SpectrumFrame {
    let band = &power[BAND];
    let mean = band.iter().sum::<f32>() / BAND_BINS as f32;
    // One logarithm for eight bins: their product, relative to the mean, fits a double.
    let logarithms: f64 = band
        .chunks(8)
        .map(|bins| bins.iter().map(|p| f64::from((p / mean).max(1e-20))).product::<f64>().ln())
        .sum();
    let total: f32 = power[TONE_BINS].iter().sum();
    let first = strongest(power, None);
    let second = strongest(power, Some(first));
    let around = |peak: usize| peak.saturating_sub(PEAK_REACH)..=(peak + PEAK_REACH).min(WINDOW / 2);
    let mut in_peaks: f32 = power[around(first)].iter().sum();
    in_peaks += around(second).filter(|bin| !around(first).contains(bin)).map(|bin| power[bin]).sum::<f32>();
    SpectrumFrame {
        audible: true,
        flatness: (logarithms / BAND_BINS as f64).exp() as f32,
        steadiness: 0.0,
        concentration: (in_peaks / total).min(1.0),
        peaks_hz: [first as f32 * BIN_HZ, second as f32 * BIN_HZ],
    }
}

/// The strongest bin outside the reach of `taken`.
fn strongest(power: &[f32; WINDOW / 2 + 1], taken: Option<usize>) -> usize {
    TONE_BINS
        .filter(|bin| taken.is_none_or(|t| bin.abs_diff(t) > PEAK_REACH))
        .max_by(|a, b| power[*a].total_cmp(&power[*b]))
        .unwrap_or(*TONE_BINS.start())
}

/// The band's magnitudes, scaled to length one.
fn unit_magnitudes(power: &[f32; WINDOW / 2 + 1]) -> [f32; BAND_BINS] {
    let band = &power[BAND];
    let scale = 1.0 / band.iter().sum::<f32>().sqrt();
    std::array::from_fn(|i| band[i].sqrt() * scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::frame_powers;
    use crate::test_sounds::{sine, white_noise};

    fn frames(samples: &[i16]) -> Vec<SpectrumFrame> {
        spectrum_frames(samples, &frame_powers(samples), 1e-7)
    }

    #[test]
    fn a_pure_tone_is_concentrated_steady_and_not_flat() {
        let all = frames(&sine(&[1000.0], 1.0, 0.1));
        for frame in &all[..all.len() - STEADY_FRAMES] {
            assert!(
                frame.concentration > 0.99 && frame.flatness < 0.01 && frame.steadiness > 0.99,
                "{frame:?}"
            );
            assert!((frame.peaks_hz[0] - 1000.0).abs() < 16.0);
        }
    }

    #[test]
    fn white_noise_is_flat_and_silence_is_skipped() {
        assert!(frames(&white_noise(1.0, 0.1)).iter().all(|f| f.flatness > 0.3 && f.concentration < 0.4));
        assert!(frames(&vec![0; 16_000]).iter().all(|f| !f.audible));
    }

    #[test]
    fn a_sound_too_short_for_a_frame_has_none() {
        assert!(frames(&[100; 700]).is_empty());
    }
}
