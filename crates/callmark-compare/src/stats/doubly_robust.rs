//! Augmented inverse-propensity weighting: right when either the model of who goes where or the model of the outcome is.
//!
//! Robins, Rotnitzky & Zhao (1994); influence function as in Glynn & Quinn (2010). The outcome is fitted by least
//! squares on the cells' main effects in each arm, for shares too: the residuals put right what a line gets wrong.

use super::bootstrap::{Bootstrap, Units, summarise};
use super::estimate::Estimate;
use super::linear::least_squares;
use super::strata::{ArmSums, Cells};
use super::weighting::{Adjusted, Calls, Propensity, Support, inside_count, weight_of};

/// Fitted outcomes of each cell in each arm, by least squares within the support.
pub fn outcome_model(cells: &Cells, sums: &ArmSums, support: &Support) -> [Vec<f64>; 2] {
    [0, 1].map(|arm| {
        let kept = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&support.inside).map(|(v, i)| if *i { *v } else { 0.0 }).collect()
        };
        let coefficients = least_squares(&cells.design, &kept(&sums.count[arm]), &kept(&sums.sum[arm]));
        (0..cells.len()).map(|cell| cells.design.value(cell, &coefficients)).collect()
    })
}

/// The means of both arms from sums by cell: (control, treated).
pub fn doubly_robust_means(cells: &Cells, sums: &ArmSums, support: &Support) -> [f64; 2] {
    let fitted = outcome_model(cells, sums, support);
    let inside = || (0..cells.len()).filter(|c| support.inside[*c]);
    let total: f64 = inside().map(|c| sums.both(c)).sum();
    [0, 1].map(|arm| {
        let sum: f64 = inside()
            .map(|c| {
                let e = if arm == 1 { support.propensity[c] } else { 1.0 - support.propensity[c] };
                sums.both(c) * fitted[arm][c] + (sums.sum[arm][c] - sums.count[arm][c] * fitted[arm][c]) / e
            })
            .sum();
        sum / total
    })
}

/// The estimate with the interval of its influence function; `None` where nothing takes part or there are too few
/// clusters.
pub fn doubly_robust(
    cells: &Cells,
    propensity: &Propensity,
    sums: &ArmSums,
    calls: Calls,
    level: f64,
) -> Option<Adjusted> {
    let support = &propensity.support;
    let fitted = outcome_model(cells, sums, support);
    let means = doubly_robust_means(cells, sums, support);
    let count = inside_count(cells, support);
    if count == 0 {
        return None;
    }
    let influence = [0, 1].map(|arm: usize| -> Vec<f64> {
        (0..calls.treated.len())
            .map(|i| {
                let (c, own_arm) = (cells.of_call[i] as usize, usize::from(calls.treated[i]));
                if !support.inside[c] {
                    return 0.0;
                }
                let residual = if own_arm == arm {
                    weight_of(support.propensity[c], arm) * (calls.outcome[i] - fitted[arm][c])
                } else {
                    0.0
                };
                (fitted[arm][c] + residual - means[arm]) / count as f64
            })
            .collect()
    });
    Adjusted::of(means, influence, calls, count, level)
}

/// The differences of several outcomes of the same calls, each with the interval of a bootstrap by customer in which both
/// models are fitted anew in each replicate. An outcome that is not a number takes no part in its own difference.
///
/// Calls lie by customer, so that a replicate draws one weight a customer for all outcomes, passes over those it does not
/// draw, and otherwise reads memory from front to back. It holds values in single precision: they only make the interval.
/// One customer's calls have none.
pub fn doubly_robust_bootstrap<const N: usize>(
    cells: &Cells,
    treated: &[bool],
    outcomes: [&[f64]; N],
    customers: &[u32],
    trim: (f64, f64),
    bootstrap: Bootstrap,
    levels: [f64; N],
) -> [Option<Estimate>; N] {
    let difference = |sums: &ArmSums| {
        let propensity = Propensity::fit(cells, sums, trim)?;
        let means = doubly_robust_means(cells, sums, &propensity.support);
        Some(means[1] - means[0])
    };
    let units = Units::new(customers);
    if units.count < 2 {
        return [None; N];
    }
    let (starts, order) = units.grouped();
    let row = |call: &u32| {
        let call = *call as usize;
        (cells.of_call[call], treated[call], outcomes.map(|values| values[call] as f32))
    };
    let rows: Vec<(u32, bool, [f32; N])> = order.iter().map(row).collect();
    let replicates: Vec<[f64; N]> = bootstrap.run(|weights| {
        let mut sums: [ArmSums; N] = std::array::from_fn(|_| ArmSums::zeros(cells));
        for (unit, run) in starts.windows(2).enumerate() {
            let weight = weights.of(unit);
            if weight == 0 {
                continue;
            }
            for (cell, treated, values) in &rows[run[0] as usize..run[1] as usize] {
                for (sums, value) in sums.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()) {
                    sums.add(*cell as usize, *treated, f64::from(*value), f64::from(weight));
                }
            }
        }
        std::array::from_fn(|outcome| difference(&sums[outcome]).unwrap_or(f64::NAN))
    });
    std::array::from_fn(|outcome| {
        let value = difference(&ArmSums::new(cells, treated, outcomes[outcome]))?;
        let own: Vec<f64> = replicates.iter().map(|r| r[outcome]).collect();
        summarise(value, &own, levels[outcome])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::clusters::Clusters;
    use crate::stats::random::Draws;
    use crate::stats::strata::Covariate;

    #[test]
    fn both_intervals_agree_and_hold_the_truth() {
        let mut draws = Draws::new(11, 0);
        let count = 4000;
        let codes: Vec<u16> = (0..count).map(|_| draws.below(4) as u16).collect();
        let treated: Vec<bool> = codes.iter().map(|c| draws.chance(0.2 + 0.15 * f64::from(*c))).collect();
        let outcome: Vec<f64> = codes
            .iter()
            .zip(&treated)
            .map(|(c, t)| 0.5 * f64::from(*t) - f64::from(*c) + draws.normal())
            .collect();
        let levels = (0..4).map(|l| l.to_string()).collect();
        let cells = Cells::new(count, &[Covariate { name: "issue".to_owned(), levels, codes }]);
        let customer = vec![Clusters::ALONE; count];
        let clusters = Clusters { customer: &customer, agent: None };
        let calls = Calls { treated: &treated, outcome: &outcome, clusters };
        let sums = ArmSums::new(&cells, &treated, &outcome);
        let propensity = Propensity::fit(&cells, &sums, (0.01, 0.99)).unwrap();
        let found = doubly_robust(&cells, &propensity, &sums, calls, 0.95).unwrap().difference;
        let bootstrap = Bootstrap { replicates: 400, seed: 1 };
        let halves: Vec<f64> = outcome.iter().map(|y| y / 2.0).collect();
        let outcomes = [&outcome[..], &halves[..]];
        let trim = (0.01, 0.99);
        let [again, half] =
            doubly_robust_bootstrap(&cells, &treated, outcomes, &customer, trim, bootstrap, [0.95; 2]);
        let (again, half) = (again.unwrap(), half.unwrap());
        assert!((half.standard_error * 2.0 - again.standard_error).abs() < 1e-4);
        assert!(found.low < 0.5 && 0.5 < found.high, "{found:?}");
        assert!((found.value - again.value).abs() < 1e-9);
        assert!((found.standard_error / again.standard_error - 1.0).abs() < 0.12, "{found:?} {again:?}");
    }
}
