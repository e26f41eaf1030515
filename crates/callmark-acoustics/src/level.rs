//! Level, peak, clipping and signal-to-noise ratio of one channel.

use crate::power::{decibels, frames_of, mean_square};
use callmark_types::Pcm;
use callmark_types::{Millis, Span};

/// A sample counts as at full scale from here: the top step of G.711 is 32124 of 32768, and resampling rounds it off.
const NEAR_FULL_SCALE: i16 = 31_700;
/// Samples in a row at full scale that make a clipped run; a single peak may just be loud.
const CLIPPED_RUN_SAMPLES: usize = 3;
/// Time around speech that is not taken for background: its first and last sounds.
const SPEECH_MARGIN: Millis = Millis(200);
/// Fewest 8 ms frames of background from which its level is taken: a quarter of a second.
const MINIMUM_BACKGROUND_FRAMES: usize = 32;
/// Ratio stated where the background is digital silence, and the highest that 16 bits can hold, in dB.
const HIGHEST_RATIO_DB: f64 = 96.0;

/// Highest sample in dB full scale; `None` for digital silence.
pub(crate) fn peak_dbfs(samples: &[i16]) -> Option<f64> {
    let peak = samples.iter().map(|s| s.unsigned_abs()).max()?;
    decibels((f64::from(peak) / 32768.0).powi(2))
}

/// Share of the samples that lie in runs at full scale, 0 to 1.
pub(crate) fn clipped_ratio(samples: &[i16]) -> f64 {
    let clipped: usize = samples
        .chunk_by(|a, b| side_at_full_scale(*a) == side_at_full_scale(*b))
        .filter(|run| run.len() >= CLIPPED_RUN_SAMPLES && side_at_full_scale(run[0]) != 0)
        .map(<[i16]>::len)
        .sum();
    if samples.is_empty() { 0.0 } else { clipped as f64 / samples.len() as f64 }
}

fn side_at_full_scale(sample: i16) -> i8 {
    if sample >= NEAR_FULL_SCALE {
        1
    } else if sample <= -NEAR_FULL_SCALE {
        -1
    } else {
        0
    }
}

/// Root-mean-square level of all of `spans` together, in dB full scale; `None` for digital silence.
pub(crate) fn level_dbfs(pcm: &Pcm, spans: &[Span]) -> Option<f64> {
    let (mut energy, mut samples) = (0.0, 0);
    for span in spans {
        let part = pcm.slice(*span);
        energy += mean_square(part) * part.len() as f64;
        samples += part.len();
    }
    if samples == 0 { None } else { decibels(energy / samples as f64) }
}

/// Level of the speech over that of the background, in dB, from the power of each 8 ms frame. `sounding` is what is
/// no background: speech, music, tones. `None` without speech or without background.
pub(crate) fn signal_to_noise_db(powers: &[f32], speech: &[Span], sounding: &[Span]) -> Option<f64> {
    let mut background = vec![true; powers.len()];
    for span in sounding {
        let wider = Span::new(span.start - SPEECH_MARGIN, span.end + SPEECH_MARGIN);
        background[frames_of(wider, powers.len())].fill(false);
    }
    let spoken: Vec<f32> =
        speech.iter().flat_map(|s| &powers[frames_of(*s, powers.len())]).copied().collect();
    let quiet: Vec<f32> = powers.iter().zip(&background).filter(|(_, b)| **b).map(|(p, _)| *p).collect();
    if spoken.is_empty() || quiet.len() < MINIMUM_BACKGROUND_FRAMES {
        return None;
    }
    let mean = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
    let noise = mean(&quiet);
    let signal = (mean(&spoken) - noise).max(0.0);
    let ratio = match (decibels(signal), decibels(noise)) {
        (Some(signal), Some(noise)) => signal - noise,
        (Some(_), None) => HIGHEST_RATIO_DB,
        (None, _) => 0.0,
    };
    Some(ratio.clamp(-HIGHEST_RATIO_DB, HIGHEST_RATIO_DB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_at_full_scale_are_clipping() {
        let mut samples = vec![0_i16; 1000];
        samples[10] = i16::MAX;
        samples[20..22].fill(i16::MIN);
        assert_eq!(clipped_ratio(&samples), 0.0);
        samples[30..40].fill(i16::MAX);
        samples[40..45].fill(i16::MIN);
        assert!((clipped_ratio(&samples) - 0.015).abs() < 1e-12);
        assert_eq!(clipped_ratio(&[]), 0.0);
    }

    #[test]
    fn the_peak_of_silence_is_unknown_and_of_full_scale_zero() {
        assert_eq!(peak_dbfs(&[0, 0]), None);
        assert_eq!(peak_dbfs(&[]), None);
        assert_eq!(peak_dbfs(&[5, i16::MIN]), Some(0.0));
    }

    #[test]
    fn speech_twenty_decibels_over_the_background_is_measured_so() {
        let mut powers = vec![1e-6; 1000];
        powers[100..200].fill(1.01e-4);
        let speech = [Span::of_ms(800, 1600)];
        let ratio = signal_to_noise_db(&powers, &speech, &speech).unwrap();
        assert!((ratio - 20.0).abs() < 0.1, "{ratio}");
        assert_eq!(signal_to_noise_db(&powers, &[], &[]), None);
    }
}
