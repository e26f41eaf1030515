//! Two groups of times compared without a mean: who is quicker, how often, by how much.
//!
//! Probability of superiority: Mann & Whitney (1947) with ties counted half; its variance from the placements (DeLong,
//! DeLong & Clarke-Pearson 1988), so that clusters can be respected. Shift: Hodges & Lehmann (1963), the median of all
//! pairwise differences, with the interval that inverts the rank test (Hollander & Wolfe, "Nonparametric Statistical
//! Methods", 4.3). The differences are never listed: the k-th smallest is found by bisection on the value, counting
//! with two pointers, in O((m + n) · 64).

use super::distributions::normal_critical;
use super::estimate::Estimate;

/// P(X < Y) + ½ P(X = Y), and each value's influence on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Superiority {
    /// The probability that a value of the first group is below one of the second.
    pub probability: f64,
    /// Influence of each value of the first group, scaled so that the variance is their sum of squares.
    pub first: Vec<f64>,
    /// The same for the second group.
    pub second: Vec<f64>,
}

/// Compares each value of `first` with each of `second`; `None` where a group is empty.
pub fn superiority(first: &[f64], second: &[f64]) -> Option<Superiority> {
    let (m, n) = (first.len() as f64, second.len() as f64);
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (sorted_first, sorted_second) = (sorted(first), sorted(second));
    let placements = |values: &[f64], others: &[f64]| -> Vec<f64> {
        values.iter().map(|v| share_below(others, *v)).collect()
    };
    // Share of the second group above each of the first; share of the first below each of the second.
    let above: Vec<f64> = placements(first, &sorted_second).into_iter().map(|p| 1.0 - p).collect();
    let below = placements(second, &sorted_first);
    let probability = above.iter().sum::<f64>() / m;
    let scaled = |placements: &[f64], count: f64| {
        placements.iter().map(|p| (p - probability) / count).collect::<Vec<_>>()
    };
    Some(Superiority { probability, first: scaled(&above, m), second: scaled(&below, n) })
}

impl Superiority {
    /// DeLong's standard error, for independent values; `None` for fewer than two in a group.
    pub fn standard_error(&self) -> Option<f64> {
        let part = |values: &[f64]| {
            let n = values.len() as f64;
            (n >= 2.0).then(|| values.iter().map(|v| v * v).sum::<f64>() * n / (n - 1.0))
        };
        Some((part(&self.first)? + part(&self.second)?).sqrt())
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Share of `sorted` below `value`, ties half.
fn share_below(sorted: &[f64], value: f64) -> f64 {
    let below = sorted.partition_point(|v| *v < value);
    let up_to = sorted.partition_point(|v| *v <= value);
    (below + up_to) as f64 / 2.0 / sorted.len() as f64
}

/// Median of all differences first − second, with the interval of the rank test whose variance is `design_effect`
/// times that of independent values. `None` where a group is empty.
pub fn hodges_lehmann(first: &[f64], second: &[f64], design_effect: f64, level: f64) -> Option<Estimate> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (first, second) = (sorted(first), sorted(second));
    let (m, n) = (first.len() as u64, second.len() as u64);
    let pairs = m * n;
    let value = if pairs % 2 == 1 {
        kth_difference(&first, &second, pairs / 2)
    } else {
        f64::midpoint(
            kth_difference(&first, &second, pairs / 2 - 1),
            kth_difference(&first, &second, pairs / 2),
        )
    };
    let (m, n) = (m as f64, n as f64);
    let reach = normal_critical(level) * (design_effect.max(1.0) * m * n * (m + n + 1.0) / 12.0).sqrt();
    let rank = ((pairs as f64 / 2.0 - reach).floor().max(0.0) as u64).min(pairs - 1);
    Some(Estimate {
        value,
        standard_error: f64::NAN,
        low: kth_difference(&first, &second, rank),
        high: kth_difference(&first, &second, pairs - 1 - rank),
    })
}

/// The `k`-th smallest (from 0) of all first − second; both sorted and not empty.
fn kth_difference(first: &[f64], second: &[f64], k: u64) -> f64 {
    let (mut low, mut high) =
        (ordered_bits(first[0] - second[second.len() - 1]), ordered_bits(first[first.len() - 1] - second[0]));
    while low < high {
        let middle = low + (high - low) / 2;
        if count_up_to(first, second, from_ordered_bits(middle)) > k {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    from_ordered_bits(low)
}

/// How many differences are at most `limit`.
fn count_up_to(first: &[f64], second: &[f64], limit: f64) -> u64 {
    // As x rises, the y with x - y ≤ limit move up.
    let mut start = 0;
    let mut count = 0;
    for x in first {
        while start < second.len() && x - second[start] > limit {
            start += 1;
        }
        count += (second.len() - start) as u64;
    }
    count
}

/// The bits of a float as a whole number in the same order.
fn ordered_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn from_ordered_bits(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    #[test]
    fn the_shift_is_the_median_of_all_differences() {
        for case in 0..200 {
            let mut draws = Draws::new(1, case);
            let mut group = || -> Vec<f64> {
                let count = 1 + draws.below(30);
                (0..count).map(|_| (draws.below(100) as f64 - 50.0) / 7.0).collect()
            };
            let (first, second) = (group(), group());
            let mut all: Vec<f64> = first.iter().flat_map(|x| second.iter().map(move |y| x - y)).collect();
            all.sort_by(f64::total_cmp);
            let half = all.len() / 2;
            let median = if all.len() % 2 == 1 { all[half] } else { f64::midpoint(all[half - 1], all[half]) };
            let found = hodges_lehmann(&first, &second, 1.0, 0.95).unwrap();
            assert!((found.value - median).abs() < 1e-12, "case {case}");
            assert!(found.low <= found.value && found.value <= found.high, "case {case}");
        }
    }

    #[test]
    fn alike_groups_are_even_and_the_quicker_one_wins() {
        assert_eq!(superiority(&[1.0, 1.0], &[1.0]).unwrap().probability, 0.5);
        assert_eq!(superiority(&[1.0, 2.0], &[3.0, 4.0]).unwrap().probability, 1.0);
        assert_eq!(superiority(&[], &[1.0]), None);
    }
}
