//! Which pieces of speech come from the same voice: each becomes one vector, the vectors are joined pair by pair, and
//! a join that would put two voices together is undone.

use super::VoiceOptions;
use super::features::{CEPSTRA, FRAME_MS, VoiceFrame};
use super::mixture::{COMPONENTS, Mixture};

/// Frames of a piece that count as much as what all voices of the recording have in common.
const RELEVANCE: f64 = 8.0;
/// Weight of the pitch beside the spectrum's shape.
const PITCH_WEIGHT: f64 = 2.0;
/// Voiced frames of a piece from which its pitch counts half.
const PITCH_RELEVANCE: f64 = 20.0;
/// Fewest pieces of two groups together that say whether these are two voices.
const MINIMUM_PIECES: usize = 5;
/// By how much the separation must be higher for few pieces, times their number: chance separates few points well.
const FEW_PIECES: f64 = 6.0;
/// Numbers in a vector.
pub(super) const DIMENSIONS: usize = COMPONENTS * CEPSTRA + 1;

/// A piece of speech as one point.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) vector: Vec<f64>,
    /// Frames that it stands for.
    pub(super) weight: f64,
}

/// The point of a piece: how far the means of `mixture` move towards its frames, in standard deviations, and how far
/// its pitch lies from `usual_log_pitch`.
pub(super) fn point(frames: &[VoiceFrame], mixture: &Mixture, usual_log_pitch: f64) -> Point {
    let statistics = mixture.statistics(frames);
    let mut vector = Vec::with_capacity(DIMENSIONS);
    for c in 0..COMPONENTS {
        let scale = mixture.weights[c].sqrt() / (statistics.counts[c] + RELEVANCE);
        for k in 0..CEPSTRA {
            let shift = statistics.sums[c][k] - statistics.counts[c] * mixture.means[c][k];
            vector.push(shift * scale / mixture.variances[c][k].sqrt());
        }
    }
    let pitches: Vec<f32> = frames.iter().filter_map(|f| f.log_pitch).collect();
    let voiced = pitches.len() as f64;
    let pitch = crate::power::quantile(&pitches, 0.5)
        .map_or(0.0, |p| (f64::from(p) - usual_log_pitch) * voiced / (voiced + PITCH_RELEVANCE));
    vector.push(PITCH_WEIGHT * pitch);
    Point { vector, weight: frames.len() as f64 }
}

/// Joins the two groups whose union scatters least more than they do (Ward 1963), until `groups` are left. Returns the
/// group of each point, numbered by first appearance.
pub(super) fn join(points: &[Point], groups: usize) -> Vec<usize> {
    let mut members: Vec<Option<Vec<usize>>> = (0..points.len()).map(|i| Some(vec![i])).collect();
    let mut centres: Vec<Point> = points.to_vec();
    let mut costs: Vec<Vec<f64>> =
        (0..points.len()).map(|i| (0..i).map(|j| cost(&centres[i], &centres[j])).collect()).collect();
    for _ in groups..points.len() {
        let mut best: Option<(usize, usize)> = None;
        for i in (0..points.len()).filter(|i| members[*i].is_some()) {
            for j in (0..i).filter(|j| members[*j].is_some()) {
                if best.is_none_or(|(a, b)| costs[i][j] < costs[a][b]) {
                    best = Some((i, j));
                }
            }
        }
        let Some((from, into)) = best else { break };
        let moved = members[from].take().unwrap_or_default();
        members[into].get_or_insert_default().extend(moved);
        centres[into] = centre(&centres[into], &centres[from]);
        for other in (0..points.len()).filter(|o| *o != into && members[*o].is_some()) {
            let (high, low) = (other.max(into), other.min(into));
            costs[high][low] = cost(&centres[high], &centres[low]);
        }
    }
    let mut group_of = vec![usize::MAX; points.len()];
    for (group, member) in members.iter().flatten().flat_map(|m| m.iter().map(move |i| (m[0], *i))) {
        group_of[member] = group;
    }
    renumber(&group_of)
}

/// Whether each of `count` groups has enough speech and every two of them are apart.
pub(super) fn are_apart(points: &[Point], groups: &[usize], count: usize, options: &VoiceOptions) -> bool {
    let summaries: Vec<Summary> = (0..count)
        .map(|group| summary(points.iter().zip(groups).filter(|(_, g)| **g == group).map(|(p, _)| p)))
        .collect();
    let enough = |s: &Summary| s.centre.weight * FRAME_MS as f64 >= options.minimum_voice.0 as f64;
    summaries.iter().all(enough)
        && (1..count).all(|a| (0..a).all(|b| two_are_apart(&summaries[a], &summaries[b], options)))
}

fn two_are_apart(a: &Summary, b: &Summary, options: &VoiceOptions) -> bool {
    let pieces = a.pieces + b.pieces;
    if pieces < MINIMUM_PIECES {
        return false;
    }
    let within = (a.scatter + b.scatter).max(f64::MIN_POSITIVE);
    let by_piece = cost(&a.centre, &b.centre) / within;
    let separation = by_piece * (pieces - 2) as f64;
    separation >= options.minimum_separation + FEW_PIECES / pieces as f64
        && by_piece >= options.minimum_separation_by_piece
}

/// One group: its centre, how many pieces it has, and how they scatter about the centre.
struct Summary {
    centre: Point,
    pieces: usize,
    scatter: f64,
}

fn summary<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Summary {
    let start = Point { vector: vec![0.0; DIMENSIONS], weight: 0.0 };
    let centre = points.clone().fold(start, |sum, p| centre(&sum, p));
    let squared = |p: &Point| p.vector.iter().zip(&centre.vector).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    let scatter = points.clone().map(|p| p.weight * squared(p)).sum();
    Summary { pieces: points.count(), scatter, centre }
}

/// How much the squared scatter grows if both become one.
fn cost(a: &Point, b: &Point) -> f64 {
    let squared: f64 = a.vector.iter().zip(&b.vector).map(|(x, y)| (x - y).powi(2)).sum();
    a.weight * b.weight / (a.weight + b.weight).max(f64::MIN_POSITIVE) * squared
}

fn centre(a: &Point, b: &Point) -> Point {
    let weight = a.weight + b.weight;
    let share = if weight > 0.0 { b.weight / weight } else { 0.5 };
    let vector = a.vector.iter().zip(&b.vector).map(|(x, y)| x + (y - x) * share).collect();
    Point { vector, weight }
}

/// Groups renumbered from 0 in order of first appearance.
pub(super) fn renumber(groups: &[usize]) -> Vec<usize> {
    let mut seen: Vec<usize> = Vec::new();
    groups
        .iter()
        .map(|group| {
            seen.iter().position(|s| s == group).unwrap_or_else(|| {
                seen.push(*group);
                seen.len() - 1
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[f64]) -> Vec<Point> {
        let mut state = 0x2545_f491_u32;
        let mut noise = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / f64::from(u32::MAX) * 0.1
        };
        let mut vector =
            |value: f64| (0..DIMENSIONS).map(|d| if d == 0 { value } else { noise() }).collect::<Vec<f64>>();
        values.iter().map(|v| Point { vector: vector(*v), weight: 100.0 }).collect()
    }

    #[test]
    fn points_about_two_centres_make_two_groups_that_are_apart() {
        let points = points(&[0.0, 5.0, 0.1, 5.1, 0.2, 5.2, 0.1, 5.0]);
        let groups = join(&points, 2);
        assert_eq!(groups, [0, 1, 0, 1, 0, 1, 0, 1]);
        assert!(are_apart(&points, &groups, 2, &VoiceOptions::default()));
    }

    #[test]
    fn points_about_one_centre_are_not_apart() {
        let points = points(&[0.0; 12]);
        let groups = join(&points, 2);
        assert!(!are_apart(&points, &groups, 2, &VoiceOptions::default()));
    }

    proptest! {
        #[test]
        fn groups_are_numbered_by_appearance_without_gaps(
            values in proptest::collection::vec(-1.0_f64..1.0, 1..30), wanted in 1_usize..5,
        ) {
            let groups = join(&points(&values), wanted);
            prop_assert_eq!(groups.len(), values.len());
            prop_assert_eq!(groups.iter().max().map_or(0, |g| g + 1), wanted.min(values.len()));
            let mut seen = 0;
            for group in groups {
                prop_assert!(group <= seen);
                seen = seen.max(group + 1);
            }
        }
    }
}
