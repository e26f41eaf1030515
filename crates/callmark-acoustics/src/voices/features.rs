//! What a voice sounds like, frame by frame: the shape of the spectrum (mel cepstra) and the pitch.
//!
//! Frames of 25 ms every 10 ms for the shape, of 64 ms every 20 ms for the pitch, on the signal halved in rate.

use callmark_types::{PIPELINE_SAMPLE_RATE_HZ, Pcm, Span};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Cepstral coefficients, without the zeroth: loudness is no property of a voice here.
pub(super) const CEPSTRA: usize = 15;
/// Milliseconds from frame to frame.
pub(super) const FRAME_MS: i64 = 10;

const RATE_HZ: f32 = PIPELINE_SAMPLE_RATE_HZ as f32 / 2.0;
/// Samples, at the halved rate, from frame to frame.
const STEP: usize = 80;
const WINDOW: usize = 200;
const SHAPE_FFT: usize = 256;
const SHAPE_BINS: usize = SHAPE_FFT / 2 + 1;
const BANDS: usize = 24;
/// The telephone band, in hertz.
const LOWEST_HZ: f32 = 150.0;
const HIGHEST_HZ: f32 = 3600.0;
/// Added to each band's power (16-bit scale) so that the noise of a quiet line does not shape the cepstra.
const BAND_FLOOR: f32 = 300.0;
const PITCH_WINDOW: usize = 512;
const PITCH_FFT: usize = 1024;
/// Every how many frames the pitch is measured.
const PITCH_EVERY: usize = 2;
/// Lags searched for the period: 65 to 400 Hz.
const SHORTEST_LAG: usize = 20;
const LONGEST_LAG: usize = 123;
/// Correlation from which a frame is voiced.
const VOICED: f32 = 0.6;
/// A shorter period is preferred if it correlates nearly as well: multiples of the period correlate too.
const PREFER_SHORTER: f32 = 0.92;

/// One 10 ms frame of speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct VoiceFrame {
    /// Index of the frame in the recording.
    pub(super) index: usize,
    /// Mel cepstra 1 to [`CEPSTRA`].
    pub(super) cepstra: [f32; CEPSTRA],
    /// Natural logarithm of the pitch in hertz; `None` where the sound is not voiced.
    pub(super) log_pitch: Option<f32>,
    /// Mean square of the frame, full scale = 1.
    pub(super) power: f32,
}

/// Plans, windows and filters.
pub(super) struct FeatureExtractor {
    shape_fft: Arc<dyn RealToComplex<f32>>,
    pitch_fft: Arc<dyn RealToComplex<f32>>,
    pitch_inverse: Arc<dyn ComplexToReal<f32>>,
    hamming: [f32; WINDOW],
    /// Per band: its first bin, and its weights from there on.
    bands: Vec<(usize, Vec<f32>)>,
    /// By coefficient, then band.
    cosines: Vec<[f32; BANDS]>,
}

impl FeatureExtractor {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let angle = |i: usize| std::f32::consts::TAU * i as f32 / (WINDOW - 1) as f32;
        Self {
            shape_fft: planner.plan_fft_forward(SHAPE_FFT),
            pitch_fft: planner.plan_fft_forward(PITCH_FFT),
            pitch_inverse: planner.plan_fft_inverse(PITCH_FFT),
            hamming: std::array::from_fn(|i| 0.54 - 0.46 * angle(i).cos()),
            bands: mel_bands(),
            cosines: (1..=CEPSTRA)
                .map(|k| {
                    std::array::from_fn(|band| {
                        let phase = std::f32::consts::PI * k as f32 * (band as f32 + 0.5) / BANDS as f32;
                        phase.cos() * (2.0 / BANDS as f32).sqrt()
                    })
                })
                .collect(),
        }
    }

    /// The frames that lie wholly inside `span`, in order.
    pub(super) fn frames(&self, pcm: &Pcm, span: Span) -> Vec<VoiceFrame> {
        let halved: Vec<f32> =
            pcm.slice(span).chunks_exact(2).map(|p| 0.5 * (f32::from(p[0]) + f32::from(p[1]))).collect();
        let count = halved.len().saturating_sub(WINDOW - STEP) / STEP;
        let first = (span.start.0.max(0) / FRAME_MS) as usize;
        let mut pitch = None;
        (0..count)
            .map(|i| {
                let from = i * STEP;
                if i % PITCH_EVERY == 0 {
                    pitch = self.log_pitch(&halved[from..halved.len().min(from + PITCH_WINDOW)]);
                }
                let part = &halved[from..from + WINDOW];
                let power = part.iter().map(|x| x * x).sum::<f32>() / (WINDOW as f32 * 32768.0 * 32768.0);
                VoiceFrame { index: first + i, cepstra: self.cepstra(part), log_pitch: pitch, power }
            })
            .collect()
    }

    fn cepstra(&self, part: &[f32]) -> [f32; CEPSTRA] {
        let mut padded = [0.0_f32; SHAPE_FFT];
        for ((out, x), w) in padded.iter_mut().zip(part).zip(&self.hamming) {
            *out = x * w;
        }
        let mut bins = [Complex::new(0.0_f32, 0.0); SHAPE_BINS];
        self.shape_fft.process(&mut padded, &mut bins).expect("all buffers have the lengths of the plan");
        let mut logarithms = [0.0_f32; BANDS];
        for (out, (first, weights)) in logarithms.iter_mut().zip(&self.bands) {
            let power: f32 = bins[*first..].iter().zip(weights).map(|(bin, w)| w * bin.norm_sqr()).sum();
            *out = (power + BAND_FLOOR).ln();
        }
        std::array::from_fn(|k| self.cosines[k].iter().zip(&logarithms).map(|(c, l)| c * l).sum())
    }

    /// The pitch by the highest normalised autocorrelation (Boersma 1993, without its path search).
    fn log_pitch(&self, part: &[f32]) -> Option<f32> {
        if part.len() < PITCH_WINDOW {
            return None;
        }
        let mean = part.iter().sum::<f32>() / part.len() as f32;
        let mut padded = [0.0_f32; PITCH_FFT];
        for (out, x) in padded.iter_mut().zip(part) {
            *out = x - mean;
        }
        let mut bins = self.pitch_fft.make_output_vec();
        self.pitch_fft.process(&mut padded, &mut bins).expect("all buffers have the lengths of the plan");
        for bin in &mut bins {
            *bin = Complex::new(bin.norm_sqr(), 0.0);
        }
        self.pitch_inverse.process(&mut bins, &mut padded).expect("a power spectrum has no imaginary ends");
        let whole = padded[0];
        if whole <= 0.0 {
            return None;
        }
        let correlation = |lag: usize| padded[lag] / whole / (1.0 - lag as f32 / PITCH_WINDOW as f32);
        let best = (SHORTEST_LAG..=LONGEST_LAG).map(correlation).fold(0.0, f32::max);
        if best < VOICED {
            return None;
        }
        let peak = (SHORTEST_LAG..=LONGEST_LAG).find(|lag| {
            let here = correlation(*lag);
            here >= PREFER_SHORTER * best && here >= correlation(lag - 1) && here >= correlation(lag + 1)
        })?;
        Some((RATE_HZ / peak as f32).ln())
    }
}

/// Triangles of equal width on the mel scale.
fn mel_bands() -> Vec<(usize, Vec<f32>)> {
    let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
    let hertz = |mel: f32| 700.0 * (10.0_f32.powf(mel / 2595.0) - 1.0);
    let (lowest, highest) = (mel(LOWEST_HZ), mel(HIGHEST_HZ));
    let edge = |i: usize| {
        hertz(lowest + (highest - lowest) * i as f32 / (BANDS + 1) as f32) / (RATE_HZ / SHAPE_FFT as f32)
    };
    (0..BANDS)
        .map(|band| {
            let (left, middle, right) = (edge(band), edge(band + 1), edge(band + 2));
            let first = left.ceil() as usize;
            let weight = |bin: usize| {
                let bin = bin as f32;
                ((bin - left) / (middle - left)).min((right - bin) / (right - middle)).max(0.0)
            };
            (first, (first..=right.floor() as usize).map(weight).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pulse train of `hertz` through a mild resonance: a sustained vowel.
    fn vowel(hertz: f64, seconds: f64) -> Pcm {
        let tone = |t: f64| {
            (1..=12)
                .map(|k| (std::f64::consts::TAU * hertz * f64::from(k) * t).sin() / f64::from(k))
                .sum::<f64>()
        };
        let samples = (0..(seconds * 16_000.0) as usize).map(|i| (tone(i as f64 / 16_000.0) * 4000.0) as i16);
        Pcm { samples: samples.collect() }
    }

    #[test]
    fn the_pitch_of_a_vowel_is_found_within_three_percent() {
        for hertz in [90.0, 120.0, 200.0, 310.0] {
            let pcm = vowel(hertz, 0.5);
            let frames = FeatureExtractor::new().frames(&pcm, Span::of_ms(0, 500));
            assert!(frames.len() >= 47, "{}", frames.len());
            let pitch = frames[10].log_pitch.unwrap().exp();
            assert!((f64::from(pitch) / hertz - 1.0).abs() < 0.03, "{hertz}: {pitch}");
        }
    }

    #[test]
    fn silence_has_no_pitch_and_short_spans_no_frames() {
        let extractor = FeatureExtractor::new();
        let silence = Pcm { samples: vec![0; 16_000] };
        assert!(extractor.frames(&silence, Span::of_ms(0, 1000)).iter().all(|f| f.log_pitch.is_none()));
        assert!(extractor.frames(&silence, Span::of_ms(0, 20)).is_empty());
        assert!(extractor.frames(&silence, Span::of_ms(5000, 6000)).is_empty());
    }
}
