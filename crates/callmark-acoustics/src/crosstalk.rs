//! Speech of the other side that leaks into a channel (a hybrid's echo, a loud earpiece), told from people who really
//! speak at the same time.
//!
//! A leak follows the other channel at a steady, much lower level. The usual level difference is measured on the
//! recording itself, over the chunks in which the other side speaks; what stays close to it is taken for a leak.

use crate::AcousticOptions;
use crate::power::{decibels, quantile};
use crate::speech::FRAMES_IN_CHUNK;

/// Chunks before a chunk in which its cause on the other channel may lie (an echo comes late, by up to 100 ms).
const CHUNKS_BEFORE: usize = 3;
/// Chunks after it: chunk borders do not coincide with sounds.
const CHUNKS_AFTER: usize = 1;
/// Chunks to either side over which a channel's own level is smoothed, so that the quiet sounds inside somebody's
/// words are not cut out of them.
const SMOOTHED_CHUNKS: usize = 4;
/// Fewest chunks of the other side's speech from which a usual level difference is taken.
const MINIMUM_CHUNKS: usize = 50;
/// A chunk counts as the other side's speech from this probability.
const OTHER_SPEAKS: f32 = 0.5;

/// One channel's powers and speech probabilities.
#[derive(Clone, Copy)]
pub(crate) struct Heard<'a> {
    /// Mean square per 8 ms frame.
    pub(crate) powers: &'a [f32],
    /// Speech probability per 32 ms chunk.
    pub(crate) probabilities: &'a [f32],
}

/// The probabilities of `own`, set to zero in the chunks that are explained by `other`.
pub(crate) fn without_leaks(own: Heard<'_>, other: Heard<'_>, options: &AcousticOptions) -> Vec<f32> {
    let own_levels = smoothed(&chunk_powers(own.powers), SMOOTHED_CHUNKS, SMOOTHED_CHUNKS);
    let other_levels = smoothed(&chunk_powers(other.powers), CHUNKS_BEFORE, CHUNKS_AFTER);
    let difference = |chunk: usize| -> Option<f64> {
        let other_level = decibels(f64::from(*other_levels.get(chunk)?))?;
        Some(decibels(f64::from(*own_levels.get(chunk)?)).unwrap_or(-120.0) - other_level)
    };
    let other_speaks = |chunk: usize| {
        let around =
            chunk.saturating_sub(CHUNKS_BEFORE)..(chunk + CHUNKS_AFTER + 1).min(other.probabilities.len());
        other.probabilities.get(around).is_some_and(|p| p.iter().any(|p| *p >= OTHER_SPEAKS))
    };
    let usual: Vec<f32> = (0..own.probabilities.len())
        .filter(|c| other_speaks(*c))
        .filter_map(difference)
        .map(|d| d as f32)
        .collect();
    let limit = leak_limit_db(&usual, options);
    let mut kept = own.probabilities.to_vec();
    for (chunk, probability) in kept.iter_mut().enumerate() {
        if other_speaks(chunk) && difference(chunk).is_some_and(|d| d < limit) {
            *probability = 0.0;
        }
    }
    kept
}

/// Level difference, in dB, below which a chunk is a leak.
fn leak_limit_db(differences: &[f32], options: &AcousticOptions) -> f64 {
    if differences.len() < MINIMUM_CHUNKS {
        return options.leak_always_below_db;
    }
    let usual = quantile(differences, 0.5).map_or(options.leak_always_below_db, f64::from);
    (usual + options.leak_spread_db).clamp(options.leak_always_below_db, options.leak_never_above_db)
}

fn chunk_powers(powers: &[f32]) -> Vec<f32> {
    powers.chunks(FRAMES_IN_CHUNK).map(|c| c.iter().sum::<f32>() / c.len() as f32).collect()
}

/// The highest of each chunk and those `before` and `after` it.
fn smoothed(powers: &[f32], before: usize, after: usize) -> Vec<f32> {
    (0..powers.len())
        .map(|chunk| {
            let end = (chunk + after + 1).min(powers.len());
            powers[chunk.saturating_sub(before)..end].iter().copied().fold(0.0, f32::max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 chunks; the other side speaks in the first 100 at `other`, this side is heard at `own` throughout.
    fn kept_chunks(own: f32, other: f32) -> usize {
        let own_powers = vec![own; 800];
        let mut other_powers = vec![1e-9; 800];
        other_powers[..400].fill(other);
        let mut other_probabilities = vec![0.0; 200];
        other_probabilities[..100].fill(1.0);
        let own = Heard { powers: &own_powers, probabilities: &[1.0; 200] };
        let other = Heard { powers: &other_powers, probabilities: &other_probabilities };
        without_leaks(own, other, &AcousticOptions::default()).iter().filter(|p| **p > 0.0).count()
    }

    #[test]
    fn a_leak_thirty_decibels_down_is_dropped_where_the_other_side_speaks() {
        let kept = kept_chunks(1e-5, 1e-2);
        assert!((94..=100).contains(&kept), "{kept}");
    }

    #[test]
    fn people_who_speak_at_the_same_time_are_both_kept() {
        assert_eq!(kept_chunks(1e-3, 1e-2), 200);
    }
}
