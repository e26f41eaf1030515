//! Mixtures of Gaussians with diagonal covariances over cepstra: how all voices of a recording sound together, and,
//! with the means moved towards one voice's frames, how that voice sounds (Reynolds, Quatieri and Dunn 2000).

use super::features::{CEPSTRA, VoiceFrame};

/// Components.
pub(super) const COMPONENTS: usize = 16;
/// Rounds of expectation and maximisation.
const ROUNDS: usize = 8;
/// Rounds of k-means before them.
const SEED_ROUNDS: usize = 5;
/// A component's variance is at least this share of the whole variance.
const VARIANCE_FLOOR: f64 = 0.05;
/// Frames that a mixture is fitted to at most; of more, every n-th is taken.
const MAXIMUM_FRAMES: usize = 20_000;

/// A vector of cepstra.
pub(super) type Cepstra = [f64; CEPSTRA];

/// A mixture.
#[derive(Debug, Clone)]
pub(super) struct Mixture {
    pub(super) weights: [f64; COMPONENTS],
    pub(super) means: [Cepstra; COMPONENTS],
    pub(super) variances: [Cepstra; COMPONENTS],
    /// Logarithm of weight over normaliser, per component.
    constants: [f64; COMPONENTS],
}

/// Sums over frames, per component: how many, how much, how much squared.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    pub(super) counts: [f64; COMPONENTS],
    pub(super) sums: [Cepstra; COMPONENTS],
    squares: [Cepstra; COMPONENTS],
}

impl Statistics {
    pub(super) fn new() -> Self {
        Self {
            counts: [0.0; COMPONENTS],
            sums: [[0.0; CEPSTRA]; COMPONENTS],
            squares: [[0.0; CEPSTRA]; COMPONENTS],
        }
    }

    fn add(&mut self, frame: &VoiceFrame, component: usize, share: f64) {
        self.counts[component] += share;
        for (k, value) in frame.cepstra.iter().enumerate() {
            let value = f64::from(*value);
            self.sums[component][k] += share * value;
            self.squares[component][k] += share * value * value;
        }
    }
}

impl Mixture {
    /// The mixture that fits `frames`; `None` for fewer frames than components.
    pub(super) fn fit(frames: &[VoiceFrame]) -> Option<Self> {
        let sampled: Vec<&VoiceFrame> =
            frames.iter().step_by(frames.len().div_ceil(MAXIMUM_FRAMES).max(1)).collect();
        if sampled.len() < COMPONENTS {
            return None;
        }
        let (_, whole) = moments(&sampled);
        let mut mixture = Self {
            weights: [1.0 / COMPONENTS as f64; COMPONENTS],
            means: std::array::from_fn(|c| {
                sampled[c * (sampled.len() - 1) / (COMPONENTS - 1)].cepstra.map(f64::from)
            }),
            variances: [whole; COMPONENTS],
            constants: [0.0; COMPONENTS],
        };
        mixture.update_constants();
        for round in 0..SEED_ROUNDS + ROUNDS {
            let mut statistics = Statistics::new();
            for frame in &sampled {
                let shares = mixture.shares(frame);
                if round < SEED_ROUNDS {
                    let nearest =
                        (0..COMPONENTS).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
                    statistics.add(frame, nearest, 1.0);
                } else {
                    (0..COMPONENTS).for_each(|c| statistics.add(frame, c, shares[c]));
                }
            }
            mixture.maximise(&statistics, &whole, round >= SEED_ROUNDS);
        }
        Some(mixture)
    }

    fn maximise(&mut self, statistics: &Statistics, whole: &Cepstra, all: bool) {
        let total: f64 = statistics.counts.iter().sum();
        for c in 0..COMPONENTS {
            let count = statistics.counts[c];
            if count < 1.0 {
                continue;
            }
            self.means[c] = statistics.sums[c].map(|s| s / count);
            if all {
                self.weights[c] = count / total;
                self.variances[c] = std::array::from_fn(|k| {
                    let variance = statistics.squares[c][k] / count - self.means[c][k].powi(2);
                    variance.max(VARIANCE_FLOOR * whole[k])
                });
            }
        }
        self.update_constants();
    }

    fn update_constants(&mut self) {
        for c in 0..COMPONENTS {
            let spread: f64 = self.variances[c].iter().map(|v| (std::f64::consts::TAU * v).ln()).sum();
            self.constants[c] = self.weights[c].ln() - 0.5 * spread;
        }
    }

    /// Logarithm of each component's likelihood for a frame, weight included.
    fn component_logs(&self, frame: &VoiceFrame) -> [f64; COMPONENTS] {
        std::array::from_fn(|c| {
            let distance: f64 = (0..CEPSTRA)
                .map(|k| (f64::from(frame.cepstra[k]) - self.means[c][k]).powi(2) / self.variances[c][k])
                .sum();
            self.constants[c] - 0.5 * distance
        })
    }

    /// Logarithm of a frame's likelihood.
    pub(super) fn log_likelihood(&self, frame: &VoiceFrame) -> f64 {
        let logs = self.component_logs(frame);
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        highest + logs.iter().map(|l| (l - highest).exp()).sum::<f64>().ln()
    }

    /// How much of a frame each component explains; the shares add up to 1.
    fn shares(&self, frame: &VoiceFrame) -> [f64; COMPONENTS] {
        let logs = self.component_logs(frame);
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let raw = logs.map(|l| (l - highest).exp());
        let total: f64 = raw.iter().sum();
        raw.map(|r| r / total)
    }

    /// The statistics of `frames` under this mixture.
    pub(super) fn statistics<'a>(&self, frames: impl IntoIterator<Item = &'a VoiceFrame>) -> Statistics {
        let mut statistics = Statistics::new();
        for frame in frames {
            let shares = self.shares(frame);
            (0..COMPONENTS).for_each(|c| statistics.add(frame, c, shares[c]));
        }
        statistics
    }

    /// This mixture with its means moved towards `statistics`: fully where there is much, hardly where there is less
    /// than `relevance` frames.
    pub(super) fn adapted(&self, statistics: &Statistics, relevance: f64) -> Self {
        let mut adapted = self.clone();
        for c in 0..COMPONENTS {
            for k in 0..CEPSTRA {
                let shift = statistics.sums[c][k] - statistics.counts[c] * self.means[c][k];
                adapted.means[c][k] += shift / (statistics.counts[c] + relevance);
            }
        }
        adapted
    }
}

/// Mean and variance of each coefficient; variances are above zero.
fn moments(frames: &[&VoiceFrame]) -> (Cepstra, Cepstra) {
    let count = frames.len() as f64;
    let mean: Cepstra =
        std::array::from_fn(|k| frames.iter().map(|f| f64::from(f.cepstra[k])).sum::<f64>() / count);
    let variance: Cepstra = std::array::from_fn(|k| {
        (frames.iter().map(|f| (f64::from(f.cepstra[k]) - mean[k]).powi(2)).sum::<f64>() / count).max(1e-6)
    });
    (mean, variance)
}
