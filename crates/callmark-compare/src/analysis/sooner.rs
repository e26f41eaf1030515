//! Whose calls are settled sooner, and by how much, without a mean: by ranks.
//!
//! A recording that breaks off has no rank of its own: calls of its arm that were followed for longer stand for it, in the
//! ranks of the other arm's calls by their weights, in the average of its own arm by what stands for a lost value.

use super::difference::or_broken_off;
use super::{counts, followed_until, too_little, wait};
use crate::cohort::Cohort;
use crate::stats::clusters::variance_of_sum;
use crate::stats::estimate::Estimate;
use crate::stats::shift::{Weighted, hodges_lehmann_weighted};

/// What ranks say.
pub(super) struct Ranks {
    /// Probability that a call AI took is settled before one people took, ties half.
    pub(super) sooner: Result<Estimate, String>,
    /// The Hodges-Lehmann shift of minutes, AI less people.
    pub(super) shift: Result<Estimate, String>,
    /// Calls that they are of: AI's, people's.
    pub(super) calls: [f64; 2],
}

pub(super) fn ranks(cohort: &Cohort, limit: f64, level: f64) -> Ranks {
    let observed = followed_until(cohort, limit);
    let weights = observed.weights();
    let own = |i: usize| wait(cohort, i, limit);
    let [human, ai] = [false, true].map(|arm| {
        let rows = (0..cohort.len()).filter(|i| cohort.ai[*i] == arm);
        Weighted::new(rows.map(|i| (own(i), weights[i])))
    });
    let place =
        |i: usize| if cohort.ai[i] { 1.0 - human.share_below(own(i)) } else { ai.share_below(own(i)) };
    let places = observed.values(place);
    let calls = counts(cohort, &places);
    if let Some(reason) = too_little(&cohort.customer, &cohort.ai, &places) {
        let reason = or_broken_off(cohort, &places, reason);
        return Ranks { sooner: Err(reason.clone()), shift: Err(reason), calls };
    }
    let [of_ai, of_human] = calls;
    let means = [false, true].map(|arm| {
        let own = (0..cohort.len()).filter(|i| cohort.ai[*i] == arm).map(|i| places[i]);
        own.filter(|place| place.is_finite()).sum::<f64>() / if arm { of_ai } else { of_human }
    });
    let influence: Vec<f64> = (0..cohort.len())
        .map(|i| (places[i] - means[usize::from(cohort.ai[i])]) / if cohort.ai[i] { of_ai } else { of_human })
        .collect();
    let Some(variance) = variance_of_sum(&influence, cohort.clusters()) else {
        let reason = "all calls are of one customer".to_owned();
        return Ranks { sooner: Err(reason.clone()), shift: Err(reason), calls };
    };
    let independent: f64 = [(false, of_human), (true, of_ai)]
        .map(|(arm, count)| {
            let rows = (0..cohort.len()).filter(|i| cohort.ai[*i] == arm && weights[*i] > 0.0);
            let squares =
                rows.map(|i| weights[i] * (place(i) - means[usize::from(arm)]).powi(2)).sum::<f64>();
            squares / count / (count - 1.0)
        })
        .iter()
        .sum();
    let effect = if independent > 0.0 { variance / independent } else { 1.0 };
    let shift = hodges_lehmann_weighted(&ai, &human, (of_ai, of_human), effect, level);
    Ranks {
        sooner: Ok(Estimate::wald(means[1], variance.sqrt(), level).clamped(0.0, 1.0)),
        shift: shift.ok_or_else(|| "there are no calls of an arm".to_owned()),
        calls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::Ended;
    use crate::stats::random::Draws;
    use crate::stats::shift::{hodges_lehmann, superiority};

    /// Calls of 1 to 10 minutes, AI's shorter; AI's recordings break off as often as `broken` says, after a random part.
    fn calls(broken: f64) -> Cohort {
        let mut draws = Draws::new(14, 0);
        let mut cohort = Cohort::default();
        for i in 0..5000 {
            let ai = i % 2 == 0;
            let minutes = (1.0 + 9.0 * draws.uniform()) * if ai { 0.8 } else { 1.0 };
            let settled = draws.chance(0.9 - 0.06 * minutes);
            let until = if ai && draws.chance(broken) { 10.0 * draws.uniform() } else { f64::INFINITY };
            cohort.ai.push(ai);
            cohort.customer.push(i);
            cohort.agent.push(u32::MAX);
            let ended = if settled { Ended::Resolved } else { Ended::Unresolved };
            cohort.ended.push(if until < minutes { Ended::Unknown } else { ended });
            cohort.minutes.push(minutes.min(until));
            cohort.truncated.push(until < minutes);
        }
        cohort
    }

    #[test]
    fn of_whole_calls_it_is_mann_whitney_and_hodges_lehmann() {
        let cohort = calls(0.0);
        let of = |ai: bool| -> Vec<f64> {
            (0..cohort.len()).filter(|i| cohort.ai[*i] == ai).map(|i| wait(&cohort, i, 8.0)).collect()
        };
        let (found, plain) = (ranks(&cohort, 8.0, 0.95), superiority(&of(true), &of(false)).unwrap());
        let sooner = found.sooner.unwrap();
        assert!((sooner.value - plain.probability).abs() < 1e-12);
        assert!((sooner.standard_error / plain.standard_error().unwrap() - 1.0).abs() < 1e-3);
        let shift = hodges_lehmann(&of(true), &of(false), 1.0, 0.95).unwrap();
        assert!((found.shift.unwrap().value - shift.value).abs() < 1e-9);
        assert_eq!(found.calls, [2500.0, 2500.0]);
    }

    #[test]
    fn recordings_that_break_off_move_no_rank_and_are_in_the_denominator() {
        let (whole, broken) = (ranks(&calls(0.0), 8.0, 0.95), ranks(&calls(0.5), 8.0, 0.95));
        let (whole_sooner, sooner) = (whole.sooner.unwrap(), broken.sooner.unwrap());
        let chance = whole_sooner.standard_error.hypot(sooner.standard_error);
        assert!((whole_sooner.value - sooner.value).abs() < 3.0 * chance, "{whole_sooner:?} {sooner:?}");
        assert!(sooner.standard_error > whole_sooner.standard_error);
        let (wanted, shift) = (whole.shift.unwrap(), broken.shift.unwrap());
        assert!((wanted.value - shift.value).abs() < 0.3, "{wanted:?} {shift:?}");
        assert_eq!(broken.calls, [2500.0, 2500.0]);
    }

    #[test]
    fn where_all_recordings_break_off_nobody_is_sooner() {
        let mut cohort = calls(0.0);
        cohort.truncated = vec![true; cohort.len()];
        cohort.ended = vec![Ended::Unknown; cohort.len()];
        cohort.minutes = vec![2.0; cohort.len()];
        let found = ranks(&cohort, 8.0, 0.95);
        assert!(found.sooner.is_err() && found.shift.is_err());
    }
}
