//! Median minutes at equal case mix: each call counted as calls like it went to either arm.
//!
//! The quantile of the weighted curve (inverse propensity, and inverse probability of censoring for recordings that break
//! off), with the interval in which the curve's own interval at one half begins and ends (Woodruff 1952, "Confidence
//! intervals for medians and other position measures"). That propensities are estimated makes it a little too wide.

use super::mix::Mix;
use super::{Observed, RowClusters};
use crate::stats::clusters::variance_of_sum;
use crate::stats::distributions::normal_critical;
use crate::stats::estimate::Estimate;
use crate::stats::shift::Weighted;

const NEVER: &str = "half of the calls are never settled";

/// The median minutes until settled of AI's calls and of people's on the case mix of all calls, or why not.
pub(super) fn adjusted_medians(mix: &Mix, level: f64) -> [Result<Estimate, String>; 2] {
    let cohort = mix.cohort();
    let ends = Observed::ends(cohort, |i| cohort.minutes[i].is_finite());
    // Of calls that take part, a number that stands for being settled; all that is asked here is which do.
    let settled = ends.values(|i| f64::from(cohort.ended[i].is_resolved()));
    let fit = match mix.fit(&settled, 0..cohort.len()) {
        Ok(fit) => fit,
        Err(reason) => return [Err(reason.clone()), Err(reason)],
    };
    let mut weights = vec![0.0; cohort.len()];
    for (row, weight) in fit.weights() {
        weights[row] = weight;
    }
    let followed = ends.weights();
    [true, false].map(|ai| {
        let rows: Vec<usize> =
            (0..cohort.len()).filter(|i| cohort.ai[*i] == ai && weights[*i] > 0.0).collect();
        // Those never settled come after all times.
        let time = |i: usize| if cohort.ended[i].is_resolved() { cohort.minutes[i] } else { f64::INFINITY };
        let curve = Weighted::new(rows.iter().map(|i| (time(*i), weights[*i] * followed[*i])));
        let at = |share: f64| curve.quantile(share).filter(|median| median.is_finite());
        let median = at(0.5).ok_or_else(|| NEVER.to_owned())?;
        let by_then = ends.values(|i| f64::from(time(i) <= median));
        let total: f64 = rows.iter().map(|i| weights[*i]).sum();
        let share = rows.iter().map(|i| weights[*i] * by_then[*i]).sum::<f64>() / total;
        let influence: Vec<f64> = rows.iter().map(|i| weights[*i] * (by_then[*i] - share) / total).collect();
        let variance = variance_of_sum(&influence, RowClusters::of(cohort, &rows).get());
        let error = variance.ok_or_else(|| "all calls of an arm are of one customer".to_owned())?.sqrt();
        let reach = normal_critical(level) * error;
        let (low, high) = (at((0.5 - reach).max(0.0)), at((0.5 + reach).min(1.0)));
        Ok(Estimate {
            value: median,
            standard_error: f64::NAN,
            low: low.unwrap_or(f64::NAN),
            high: high.unwrap_or(f64::NAN),
        })
    })
}
