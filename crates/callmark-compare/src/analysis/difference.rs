//! Raw differences of two groups of calls, and when there is too little to tell one.

use super::counts;
use crate::cohort::Cohort;
use crate::report::{Figure, Unit};
use crate::stats::clusters::{Clusters, variance_of_sum};
use crate::stats::estimate::{Estimate, is_told};
use crate::stats::proportion::{Arm, newcombe};

/// Fewer values of a group say nothing of a difference: what they vary by is not known.
pub(crate) const LEAST_VALUES: usize = 10;

/// What a difference is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of values of any kind.
    Mean,
    /// Of values that are 0 or 1, or stand for such.
    Share,
}

impl Kind {
    /// Of what is measured so.
    pub(crate) fn of(unit: Unit) -> Self {
        if matches!(unit, Unit::Share | Unit::ShareDifference) { Self::Share } else { Self::Mean }
    }

    /// How a raw difference of its kind is made.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Share => {
                "difference of shares, Newcombe's hybrid interval, clusters of customers and agents"
            }
            Self::Mean => "difference of means, clusters of customers and agents",
        }
    }
}

/// Why nothing is said of the difference of two groups of calls, those that are `first` and the others, if so.
pub(crate) fn too_little(customer: &[u32], first: &[bool], outcome: &[f64]) -> Option<String> {
    let (mut values, mut seen, mut several) = ([0usize; 2], [None; 2], [false; 2]);
    for ((first, value), customer) in first.iter().zip(outcome).zip(customer) {
        if value.is_finite() {
            let group = usize::from(*first);
            values[group] += 1;
            several[group] |= seen[group].is_some_and(|s| s != *customer || s == Clusters::ALONE);
            seen[group] = Some(*customer);
        }
    }
    let [others, own] = values;
    if own.min(others) < LEAST_VALUES {
        return Some(format!(
            "known of too few calls: {own} and {others} in the two groups, {LEAST_VALUES} of each are needed"
        ));
    }
    several.contains(&false).then(|| "all calls of a group are of one customer".to_owned())
}

/// The reason that is given for an outcome that shows at a call's end: that recordings break off, where that is why it is
/// known of too few calls.
pub(crate) fn or_broken_off(cohort: &Cohort, outcome: &[f64], reason: String) -> String {
    let nothing = counts(cohort, outcome).contains(&0.0);
    let broken = (0..cohort.len()).any(|i| cohort.breaks_off(i));
    if nothing && broken { "too many recordings break off before it shows".to_owned() } else { reason }
}

/// The raw difference of an outcome's means, AI less people, with clusters across both arms; or why it is not told.
pub(crate) fn difference(
    cohort: &Cohort,
    outcome: &[f64],
    kind: Kind,
    level: f64,
) -> Result<Estimate, String> {
    difference_between(cohort, &cohort.ai, outcome, kind, level)
}

/// The difference of an outcome's means, calls that are `first` less the others.
pub(crate) fn difference_between(
    cohort: &Cohort,
    first: &[bool],
    outcome: &[f64],
    kind: Kind,
    level: f64,
) -> Result<Estimate, String> {
    if let Some(reason) = too_little(&cohort.customer, first, outcome) {
        return Err(reason);
    }
    let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
    for (arm, value) in first.iter().zip(outcome).filter(|(_, value)| value.is_finite()) {
        sums[usize::from(*arm)] += value;
        counts[usize::from(*arm)] += 1.0;
    }
    let means = [0, 1].map(|arm| sums[arm] / counts[arm]);
    let clusters = cohort.clusters();
    let influence = |of: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let own = |(arm, value): (&bool, &f64)| {
            let arm = usize::from(*arm);
            if value.is_finite() { of(arm, (value - means[arm]) / counts[arm]) } else { f64::NAN }
        };
        first.iter().zip(outcome).map(own).collect()
    };
    let both = influence(&|arm, own| if arm == 1 { own } else { -own });
    let error = variance_of_sum(&both, clusters).map(f64::sqrt);
    let error = error.ok_or_else(|| "all calls are of one customer".to_owned())?;
    let error_of = |wanted: usize| {
        let own = influence(&|arm, own| if arm == wanted { own } else { f64::NAN });
        variance_of_sum(&own, clusters).map_or(f64::NAN, f64::sqrt)
    };
    let arm = |arm: usize| Arm { share: means[arm], standard_error: error_of(arm), trials: counts[arm] };
    let found = match kind {
        Kind::Share => newcombe(arm(1), arm(0), error, level),
        Kind::Mean => {
            let wald = Estimate::wald(means[1] - means[0], error, level);
            let varies = [0, 1].into_iter().all(|arm| is_told(means[arm], error_of(arm)));
            let (low, high) = if varies { (wald.low, wald.high) } else { (f64::NAN, f64::NAN) };
            Some(Estimate { low, high, ..wald })
        }
    };
    found.ok_or_else(|| "there are no calls of a group".to_owned())
}

/// The raw difference of an outcome as a figure, AI less people, with how many calls of each arm it is of.
pub(crate) fn difference_figure(
    cohort: &Cohort,
    label: &str,
    unit: Unit,
    values: &[f64],
    level: f64,
) -> Figure {
    difference_figure_of(cohort, label, (unit, Kind::of(unit)), values, level)
}

/// The same of values whose unit does not say what they are.
pub(crate) fn difference_figure_of(
    cohort: &Cohort,
    label: &str,
    (unit, kind): (Unit, Kind),
    values: &[f64],
    level: f64,
) -> Figure {
    let [ai, human] = counts(cohort, values);
    Figure::told(label, unit, difference(cohort, values, kind, level), kind.method())
        .with("calls", ai + human)
        .with("calls_ai", ai)
        .with("calls_human", human)
        .at_level(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many calls of AI and of people with these values, each of another customer.
    fn calls(ai: &[f64], human: &[f64]) -> (Cohort, Vec<f64>) {
        let count = ai.len() + human.len();
        let cohort = Cohort {
            ai: (0..count).map(|i| i < ai.len()).collect(),
            customer: (0..count as u32).collect(),
            agent: vec![u32::MAX; count],
            ..Cohort::default()
        };
        (cohort, [ai, human].concat())
    }

    #[test]
    fn one_answer_an_arm_is_no_difference_nor_are_those_of_one_customer() {
        let many: Vec<f64> = (0..300).map(|i| f64::from(i % 5)).collect();
        for (ai, human) in [(&[5.0][..], &[1.0][..]), (&[5.0], &many), (&many[..9], &many)] {
            let (cohort, values) = calls(ai, human);
            let found = difference(&cohort, &values, Kind::Mean, 0.95);
            assert!(found.is_err_and(|reason| reason.contains("too few calls")));
        }
        let (mut cohort, values) = calls(&many, &many);
        assert!(difference(&cohort, &values, Kind::Mean, 0.95).is_ok_and(|e| e.has_interval()));
        cohort.customer[..300].fill(7);
        assert!(
            difference(&cohort, &values, Kind::Mean, 0.95)
                .is_err_and(|reason| reason.contains("one customer"))
        );
    }

    #[test]
    fn values_that_are_all_alike_do_not_make_a_difference_sure() {
        let of = |ai: &[f64], human: &[f64], kind| {
            let (cohort, values) = calls(ai, human);
            difference(&cohort, &values, kind, 0.95).unwrap()
        };
        let found = of(&[1.0; 30], &[1.0; 30], Kind::Share);
        assert!(found.value == 0.0 && found.low < -0.1 && found.high > 0.1, "{found:?}");
        let most: Vec<f64> = (0..620).map(|i| f64::from(i % 25 >= 4)).collect();
        let found = of(&most, &[0.0; 69], Kind::Share);
        // Newcombe's, of 521 of 620 and 0 of 69.
        assert!((found.low - 0.776).abs() < 0.005 && (found.high - 0.868).abs() < 0.005, "{found:?}");
        let half = |n: usize| -> Vec<f64> { (0..n).map(|i| f64::from(i % 2 == 0)).collect() };
        let found = of(&half(10), &half(10), Kind::Share);
        assert!(found.low > -1.0 && found.high < 1.0, "{found:?}");
        assert!(!of(&[0.0; 40], &[0.0; 40], Kind::Mean).has_interval());
        // 0.3 and 0.2 do not add up to 0.5 exactly, and their mean is 0.5 to rounding only.
        assert!(!of(&[0.1 + 0.2 + 0.2; 41], &half(40), Kind::Mean).has_interval());
    }
}
