//! The sound as Whisper's encoder takes it: logarithmic mel spectra, one every 10 ms.
//!
//! The arithmetic is that of OpenAI's `whisper/audio.py` (`log_mel_spectrogram`), so that the published weights hear
//! what they were trained on; the filters are Slaney's, as `librosa.filters.mel` computes them.

use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Samples of one spectrum: 25 ms.
const WINDOW: usize = 400;
/// Samples from one spectrum to the next: 10 ms.
pub(crate) const HOP: usize = 160;
/// Frequencies of a spectrum.
const BINS: usize = WINDOW / 2 + 1;
/// Power taken for nothing.
const FLOOR: f32 = 1e-10;
/// What is this far below the loudest value, in tenths of a decade of power, is taken for that far below.
const RANGE: f32 = 8.0;

/// Slaney's scale: linear below this frequency, …
const LINEAR_END_HZ: f64 = 1_000.0;
/// … with this many Hz a mel, …
const HZ_A_MEL: f64 = 200.0 / 3.0;
/// … and above with a step of 6.4 in 27.
const LOG_STEP: f64 = 0.068_751_777_420_949_12;

/// Computes spectra; made once for each worker.
pub(crate) struct Mel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// Of each mel band the first frequency that counts, and the weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
}

impl std::fmt::Debug for Mel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mel").field("bands", &self.bands.len()).finish_non_exhaustive()
    }
}

impl Mel {
    /// For models that take `mels` bands.
    pub(crate) fn new(mels: usize) -> Self {
        let turn = std::f64::consts::TAU / WINDOW as f64;
        let window = (0..WINDOW).map(|i| (0.5 - 0.5 * (turn * i as f64).cos()) as f32).collect();
        Self { fft: RealFftPlanner::new().plan_fft_forward(WINDOW), window, bands: bands(mels) }
    }

    /// `frames` spectra of `samples` followed by silence, band by band; at least as many as the samples take.
    pub(crate) fn spectra(&self, samples: &[f32], frames: usize) -> Vec<f32> {
        let mels = self.bands.len();
        let mut out = vec![FLOOR.log10(); mels * frames];
        let mut buffer = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = vec![0.0_f32; BINS];
        // The last spectrum with a sample in it; what follows is the floor already.
        let heard = frames.min((samples.len() + WINDOW / 2).div_ceil(HOP));
        for frame in 0..heard {
            self.cut(samples, frame, &mut buffer);
            // The three lengths are the plan's own, which is all that can be wrong with them.
            if self.fft.process_with_scratch(&mut buffer, &mut spectrum, &mut scratch).is_err() {
                continue;
            }
            for (slot, value) in power.iter_mut().zip(&spectrum) {
                *slot = Complex::norm_sqr(value);
            }
            for (band, (first, weights)) in self.bands.iter().enumerate() {
                let energy: f32 = weights.iter().zip(&power[*first..]).map(|(w, p)| w * p).sum();
                out[band * frames + frame] = energy.max(FLOOR).log10();
            }
        }
        let loudest = out.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut out {
            *value = (value.max(loudest - RANGE) + 4.0) / 4.0;
        }
        out
    }

    /// The windowed samples around the middle of `frame`; before the first sample the sound is mirrored.
    fn cut(&self, samples: &[f32], frame: usize, buffer: &mut [f32]) {
        let start = (frame * HOP) as i64 - (WINDOW / 2) as i64;
        for (i, slot) in buffer.iter_mut().enumerate() {
            let at = (start + i as i64).unsigned_abs() as usize;
            *slot = samples.get(at).copied().unwrap_or(0.0) * self.window[i];
        }
    }
}

fn hz_of_mel(mel: f64) -> f64 {
    let linear_end = LINEAR_END_HZ / HZ_A_MEL;
    if mel < linear_end { mel * HZ_A_MEL } else { LINEAR_END_HZ * (LOG_STEP * (mel - linear_end)).exp() }
}

fn mel_of_hz(hz: f64) -> f64 {
    let linear_end = LINEAR_END_HZ / HZ_A_MEL;
    if hz < LINEAR_END_HZ { hz / HZ_A_MEL } else { linear_end + (hz / LINEAR_END_HZ).ln() / LOG_STEP }
}

/// Triangles between neighbouring mel steps, each of the area one.
fn bands(mels: usize) -> Vec<(usize, Vec<f32>)> {
    let nyquist = f64::from(PIPELINE_SAMPLE_RATE_HZ) / 2.0;
    let top = mel_of_hz(nyquist);
    let edges: Vec<f64> = (0..mels + 2).map(|i| hz_of_mel(top * i as f64 / (mels + 1) as f64)).collect();
    edges
        .windows(3)
        .map(|edge| {
            let weight = |bin: usize| {
                let hz = nyquist * bin as f64 / (BINS - 1) as f64;
                let rising = (hz - edge[0]) / (edge[1] - edge[0]);
                let falling = (edge[2] - hz) / (edge[2] - edge[1]);
                (rising.min(falling).max(0.0) * 2.0 / (edge[2] - edge[0])) as f32
            };
            let inside: Vec<usize> = (0..BINS).filter(|&bin| weight(bin) > 0.0).collect();
            let first = inside.first().copied().unwrap_or(0);
            (first, inside.into_iter().map(weight).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_the_published_ones() {
        // Rows 0, 40 and 79 of mel_80 in openai-whisper's mel_filters.npz: where they begin, how long they are, how high.
        let bands = bands(80);
        for (row, first, length, highest) in
            [(0, 1, 1, 0.024_862_595_f32), (40, 42, 3, 0.014_735_566), (79, 186, 14, 0.003_164_712)]
        {
            let (found, weights) = &bands[row];
            assert_eq!((*found, weights.len()), (first, length), "row {row}");
            let top = weights.iter().copied().fold(0.0, f32::max);
            assert!((top - highest).abs() < 1e-7, "row {row}: {top}");
        }
    }

    #[test]
    fn silence_is_flat_and_a_tone_stands_in_its_band() {
        let mel = Mel::new(80);
        let silence = mel.spectra(&[], 4);
        assert!(silence.iter().all(|&value| value == silence[0]));
        let tone: Vec<f32> =
            (0..16_000).map(|i| (i as f32 * 1_000.0 * std::f32::consts::TAU / 16_000.0).sin()).collect();
        let frames = 200;
        let spectra = mel.spectra(&tone, frames);
        let band_of = |frame: usize| {
            (0..80).max_by(|&a, &b| spectra[a * frames + frame].total_cmp(&spectra[b * frames + frame]))
        };
        let middle = mel_of_hz(1_000.0) / mel_of_hz(8_000.0) * 81.0 - 1.0;
        assert!(band_of(50).is_some_and(|band| (band as f64 - middle).abs() <= 1.0));
        let low = spectra.iter().copied().fold(f32::INFINITY, f32::min);
        let high = spectra.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!((high - low - 2.0).abs() < 1e-5, "eight decades are two: {low} {high}");
    }
}
