//! Two groups of times compared without a mean: who is quicker, how often, by how much.
//!
//! Probability of superiority: Mann & Whitney (1947) with ties counted half; its variance from the placements (DeLong,
//! DeLong & Clarke-Pearson 1988), so that clusters can be respected. Shift: Hodges & Lehmann (1963), the median of all
//! pairwise differences, with the interval that inverts the rank test (Hollander & Wolfe, "Nonparametric Statistical
//! Methods", 4.3). The differences are never listed: the k-th smallest is found by bisection on the value, counting
//! with two pointers, in O((m + n) · 64).

use super::distributions::normal_critical;
use super::estimate::Estimate;

/// What rounding may take off a share of weights.
const ROUNDING: f64 = 1e-12;

/// Values in order, each counted by its weight.
#[derive(Debug, Clone)]
pub struct Weighted {
    values: Vec<f64>,
    /// Sum of the weights of the values before each place, and of all at the end.
    before: Vec<f64>,
}

impl Weighted {
    /// Values with their weights; those of weight 0 count for nothing.
    pub fn new(values: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut pairs: Vec<(f64, f64)> = values.filter(|(_, weight)| *weight > 0.0).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut before = Vec::with_capacity(pairs.len() + 1);
        let mut sum = 0.0;
        before.push(sum);
        for (_, weight) in &pairs {
            sum += weight;
            before.push(sum);
        }
        Self { values: pairs.into_iter().map(|pair| pair.0).collect(), before }
    }

    fn total(&self) -> f64 {
        self.before[self.values.len()]
    }

    /// Share of the weights below `value`, ties half; not a number without any.
    pub fn share_below(&self, value: f64) -> f64 {
        let below = self.values.partition_point(|v| *v < value);
        let up_to = self.values.partition_point(|v| *v <= value);
        f64::midpoint(self.before[below], self.before[up_to]) / self.total()
    }

    /// The smallest value with at least the share `p` of the weights up to it; `None` without values.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let wanted = p * self.total() * (1.0 - ROUNDING);
        let place = self.before[1..].partition_point(|sum| *sum < wanted);
        self.values.get(place.min(self.values.len().saturating_sub(1))).copied()
    }
}

/// Median of all differences first − second by their weights, with the interval of the rank test of so many calls a
/// group, whose variance is `design_effect` times that of independent calls. `None` where a group is empty.
pub fn hodges_lehmann_weighted(
    first: &Weighted,
    second: &Weighted,
    (m, n): (f64, f64),
    design_effect: f64,
    level: f64,
) -> Option<Estimate> {
    if first.values.is_empty() || second.values.is_empty() {
        return None;
    }
    let reach = normal_critical(level) * (design_effect.max(1.0) * (m + n + 1.0) / (12.0 * m * n)).sqrt();
    let at = |share: f64| smallest_difference(first, second, share);
    let half = (at(0.5 - ROUNDING), at(0.5 + ROUNDING));
    Some(Estimate {
        value: f64::midpoint(half.0, half.1),
        standard_error: f64::NAN,
        low: at((0.5 - reach).max(0.0)),
        high: at((0.5 + reach).min(1.0 - ROUNDING)),
    })
}

/// The smallest difference up to which there is more than `share` of the weights.
fn smallest_difference(first: &Weighted, second: &Weighted, share: f64) -> f64 {
    let (x, y) = (&first.values, &second.values);
    let wanted = share * first.total() * second.total();
    bisected((x[0] - y[y.len() - 1], x[x.len() - 1] - y[0]), |limit| {
        let (mut start, mut sum) = (0, 0.0);
        for (place, value) in x.iter().enumerate() {
            while start < y.len() && value - y[start] > limit {
                start += 1;
            }
            let own = first.before[place + 1] - first.before[place];
            sum += own * (second.total() - second.before[start]);
        }
        sum > wanted
    })
}

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
    let once = |values: &[f64]| Weighted::new(values.iter().map(|value| (*value, 1.0)));
    let placements = |values: &[f64], others: &[f64]| -> Vec<f64> {
        let others = once(others);
        values.iter().map(|v| others.share_below(*v)).collect()
    };
    // Share of the second group above each of the first; share of the first below each of the second.
    let above: Vec<f64> = placements(first, second).into_iter().map(|p| 1.0 - p).collect();
    let below = placements(second, first);
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

/// Median of all differences first − second, each counting once, as [`hodges_lehmann_weighted`].
pub fn hodges_lehmann(first: &[f64], second: &[f64], design_effect: f64, level: f64) -> Option<Estimate> {
    let once = |values: &[f64]| Weighted::new(values.iter().map(|value| (*value, 1.0)));
    let counts = (first.len() as f64, second.len() as f64);
    hodges_lehmann_weighted(&once(first), &once(second), counts, design_effect, level)
}

/// The smallest number between two for which `holds`, which holds for all above it too; the last where it holds for none.
fn bisected((least, most): (f64, f64), holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (ordered_bits(least), ordered_bits(most));
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(from_ordered_bits(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    from_ordered_bits(low)
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
    fn a_weight_counts_a_value_as_often_as_it_says() {
        let mut draws = Draws::new(5, 0);
        for _ in 0..50 {
            let mut group = || -> Vec<(f64, u64)> {
                (0..2 + draws.below(9)).map(|_| (draws.below(40) as f64 / 3.0, 1 + draws.below(3))).collect()
            };
            let (first, second) = (group(), group());
            let weighted = |group: &[(f64, u64)]| Weighted::new(group.iter().map(|(v, w)| (*v, *w as f64)));
            let often = |group: &[(f64, u64)]| -> Vec<f64> {
                group.iter().flat_map(|(v, w)| std::iter::repeat_n(*v, *w as usize)).collect()
            };
            let (many, others) = (often(&first), often(&second));
            let counts = (many.len() as f64, others.len() as f64);
            let found =
                hodges_lehmann_weighted(&weighted(&first), &weighted(&second), counts, 1.0, 0.9).unwrap();
            let plain = hodges_lehmann(&many, &others, 1.0, 0.9).unwrap();
            assert!((found.value - plain.value).abs() < 1e-9, "{found:?} {plain:?}");
            assert!((found.low - plain.low).abs() < 1e-9, "{found:?} {plain:?}");
            let below = weighted(&second).share_below(many[0]);
            let counted = |holds: &dyn Fn(f64) -> bool| others.iter().filter(|v| holds(**v)).count() as f64;
            let wanted =
                f64::midpoint(counted(&|v| v < many[0]), counted(&|v| v <= many[0])) / others.len() as f64;
            assert!((below - wanted).abs() < 1e-12);
        }
        let three = Weighted::new([(1.0, 1.0), (2.0, 2.0), (9.0, 0.0)].into_iter());
        assert_eq!(
            (three.quantile(0.3), three.quantile(0.5), three.quantile(1.0)),
            (Some(1.0), Some(2.0), Some(2.0))
        );
        assert_eq!(Weighted::new(std::iter::empty()).quantile(0.5), None);
    }

    #[test]
    fn alike_groups_are_even_and_the_quicker_one_wins() {
        assert_eq!(superiority(&[1.0, 1.0], &[1.0]).unwrap().probability, 0.5);
        assert_eq!(superiority(&[1.0, 2.0], &[3.0, 4.0]).unwrap().probability, 1.0);
        assert_eq!(superiority(&[], &[1.0]), None);
    }
}
