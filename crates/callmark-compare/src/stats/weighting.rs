//! Inverse-propensity weighting: each call counts as many times as calls like it went to either arm.
//!
//! Normalised (Hájek) weights with trimming of propensities (Crump et al. 2009); the interval allows for the propensity
//! being estimated (stacked estimating equations, Lunceford & Davidian 2004). Balance by standardised mean differences
//! before and after (Austin 2009). What cannot be compared is left out by [`Support`] and counted: the estimate is then
//! about the calls that are left, and where too many go the caller must refuse.

use super::clusters::{Clusters, one_way, variance_of_sum};
use super::estimate::{Estimate, is_told};
use super::logistic::{self, Logistic};
use super::proportion::{Arm, newcombe};
use super::strata::{ArmSums, Cells, Covariate};
use std::collections::HashMap;

/// A cell without calls of an arm of which the model expects this many lacks it by design: chance would do that less than
/// once in a hundred times.
const MISSED: f64 = 5.0;

/// Whether each cell can be compared, and what does not take part.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    /// The propensity of each cell: the probability of the treated arm.
    pub propensity: Vec<f64>,
    /// Whether each cell takes part.
    pub inside: Vec<bool>,
    /// Share of each arm's calls that takes part; index 1 is the treated arm.
    pub share: [f64; 2],
    /// Kish's effective number of calls of each arm after weighting.
    pub effective: [f64; 2],
    /// Probability that a treated call has a higher propensity than another: 0.5 when case mix is alike, 1 when
    /// the arms do not mix.
    pub concordance: f64,
}

/// A fitted propensity model with its support.
#[derive(Debug, Clone)]
pub struct Propensity {
    /// The model.
    pub model: Logistic,
    /// The cells that take part.
    pub support: Support,
}

impl Propensity {
    /// Fits the probability of the treated arm on the cells' main effects. Cells that lack
    /// an arm by more than chance, or have propensities outside `trim`, do not take part. `None` where an arm is empty.
    pub fn fit(cells: &Cells, sums: &ArmSums, trim: (f64, f64)) -> Option<Self> {
        let trials: Vec<f64> = (0..cells.len()).map(|c| sums.both(c)).collect();
        let model = logistic::fit(&cells.design, &trials, &sums.count[1])?;
        let propensity: Vec<f64> =
            (0..cells.len()).map(|cell| model.probability(&cells.design, cell)).collect();
        let inside = inside(cells, sums, &propensity, trim);
        let kept = |arm: usize| {
            let inside = (0..cells.len()).filter(|c| inside[*c]).map(|c| sums.count[arm][c]);
            inside.sum::<f64>() / sums.total(arm)
        };
        let effective = |arm: usize| {
            let (mut sum, mut squares) = (0.0, 0.0);
            for c in (0..cells.len()).filter(|c| inside[*c]) {
                let weight = weight_of(propensity[c], arm);
                sum += sums.count[arm][c] * weight;
                squares += sums.count[arm][c] * weight * weight;
            }
            if squares > 0.0 { sum * sum / squares } else { 0.0 }
        };
        let support = Support {
            share: [kept(0), kept(1)],
            effective: [effective(0), effective(1)],
            concordance: concordance(&propensity, sums),
            propensity,
            inside,
        };
        Some(Self { model, support })
    }
}

/// Which cells take part: the propensity is inside `trim`, each of their levels has calls of both arms, and they lack an
/// arm by chance at most. A small cell that happens to have one arm only stays in: leaving it out because of who went
/// where would itself bias what is left.
fn inside(cells: &Cells, sums: &ArmSums, propensity: &[f64], trim: (f64, f64)) -> Vec<bool> {
    let covariates = cells.levels.first().map_or(0, Vec::len);
    let mut seen = vec![HashMap::<u16, [f64; 2]>::new(); covariates];
    for (c, levels) in cells.levels.iter().enumerate() {
        for (seen, level) in seen.iter_mut().zip(levels) {
            let counts = seen.entry(*level).or_default();
            (counts[0], counts[1]) = (counts[0] + sums.count[0][c], counts[1] + sums.count[1][c]);
        }
    }
    let both_arms = |c: usize| {
        seen.iter().zip(&cells.levels[c]).all(|(seen, level)| seen[level].iter().all(|count| *count > 0.0))
    };
    let by_chance = |c: usize| {
        let expected = [1.0 - propensity[c], propensity[c]].map(|p| p * sums.both(c));
        (0..2).all(|arm| sums.count[arm][c] > 0.0 || expected[arm] < MISSED)
    };
    (0..cells.len())
        .map(|c| (trim.0..=trim.1).contains(&propensity[c]) && both_arms(c) && by_chance(c))
        .collect()
}

/// 1 / P(the arm the call went to).
pub fn weight_of(propensity: f64, arm: usize) -> f64 {
    if arm == 1 { 1.0 / propensity } else { 1.0 / (1.0 - propensity) }
}

fn concordance(propensity: &[f64], sums: &ArmSums) -> f64 {
    let mut order: Vec<usize> = (0..propensity.len()).collect();
    order.sort_by(|a, b| propensity[*a].total_cmp(&propensity[*b]));
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| propensity[*a] == propensity[*b]) {
        let count = |arm: usize| tied.iter().map(|c| sums.count[arm][*c]).sum::<f64>();
        pairs += count(1) * (below + count(0) / 2.0);
        below += count(0);
    }
    pairs / (sums.total(0) * sums.total(1))
}

/// Means of both arms as if all calls had gone there, and their difference with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjusted {
    /// Treated less control, with the interval of a normal distribution.
    pub difference: Estimate,
    /// Mean of the treated arm.
    pub treated: f64,
    /// Mean of the control arm.
    pub control: f64,
    /// Standard errors of both means; index 1 is the treated arm.
    pub errors: [f64; 2],
    /// How many times the difference's error is that which customers alone would give it.
    pub beyond_customers: f64,
    /// Calls that took part.
    pub calls: usize,
}

impl Adjusted {
    /// From the means (control, treated) and each call's influence on them, scaled so that a variance is that of their sum.
    pub(super) fn of(
        means: [f64; 2],
        influence: [Vec<f64>; 2],
        calls: Calls,
        part: usize,
        level: f64,
    ) -> Option<Self> {
        let variances = influence.each_ref().map(|own| variance_of_sum(own, calls.clusters));
        let [control, mut both] = influence;
        both.iter_mut().zip(&control).for_each(|(treated, control)| *treated -= control);
        let variance = variance_of_sum(&both, calls.clusters)?;
        let by_customer = one_way(&both, calls.clusters.customer)?;
        let value = means[1] - means[0];
        value.is_finite().then(|| Self {
            difference: Estimate::wald(value, variance.sqrt(), level),
            treated: means[1],
            control: means[0],
            errors: variances.map(|variance| variance.map_or(f64::NAN, f64::sqrt)),
            beyond_customers: if by_customer > 0.0 { (variance / by_customer).sqrt() } else { 1.0 },
            calls: part,
        })
    }

    /// Whether both means show more than rounding for an error.
    pub fn varies(&self) -> bool {
        is_told(self.control, self.errors[0]) && is_told(self.treated, self.errors[1])
    }

    /// The difference as one of means: without an interval where all values of an arm are alike.
    pub fn of_means(&self) -> Estimate {
        let ends = (f64::NAN, f64::NAN);
        let (low, high) = if self.varies() { (self.difference.low, self.difference.high) } else { ends };
        Estimate { low, high, ..self.difference }
    }

    /// The difference as one of shares, by Newcombe's hybrid interval; `trials` (control, treated) is what calls count as
    /// where all of an arm are alike.
    pub fn of_shares(&self, trials: [f64; 2], level: f64) -> Option<Estimate> {
        newcombe(self.arm(1, trials[1]), self.arm(0, trials[0]), self.difference.standard_error, level)
    }

    /// One arm's share; index 1 is the treated arm.
    pub fn arm(&self, arm: usize, trials: f64) -> Arm {
        Arm { share: [self.control, self.treated][arm], standard_error: self.errors[arm], trials }
    }
}

/// The calls, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a> {
    /// Whether each call is in the treated arm.
    pub treated: &'a [bool],
    /// The outcome of each call.
    pub outcome: &'a [f64],
    /// Which calls belong together.
    pub clusters: Clusters<'a>,
}

/// Weighted means from sums by cell: (control, treated).
pub fn weighted_means(support: &Support, sums: &ArmSums) -> [f64; 2] {
    [0, 1].map(|arm| {
        let (mut total, mut weights) = (0.0, 0.0);
        for c in (0..support.inside.len()).filter(|c| support.inside[*c]) {
            let weight = weight_of(support.propensity[c], arm);
            total += weight * sums.sum[arm][c];
            weights += weight * sums.count[arm][c];
        }
        total / weights
    })
}

/// The estimate with its interval; `None` where nothing takes part or there are too few clusters for a variance.
pub fn inverse_propensity(
    cells: &Cells,
    propensity: &Propensity,
    sums: &ArmSums,
    calls: Calls,
    level: f64,
) -> Option<Adjusted> {
    let support = &propensity.support;
    let means = weighted_means(support, sums);
    let denominators = [0, 1].map(|arm| {
        let inside = (0..cells.len()).filter(|c| support.inside[*c]);
        inside.map(|c| weight_of(support.propensity[c], arm) * sums.count[arm][c]).sum::<f64>()
    });
    let slopes = [0, 1].map(|arm| slope(cells, support, sums, means[arm], denominators[arm], arm));
    // How the means move with the coefficients, carried back to each call's share in estimating them.
    let shifts = slopes.map(|slope| propensity.model.covariance.solve(&slope));
    // A call's own arm moves by its outcome, both arms by what it says about the coefficients.
    let by_cell = shifts
        .map(|shift| -> Vec<f64> { (0..cells.len()).map(|cell| cells.design.value(cell, &shift)).collect() });
    let influence = [0, 1].map(|arm: usize| -> Vec<f64> {
        (0..calls.treated.len())
            .map(|i| {
                let (cell, own_arm) = (cells.of_call[i] as usize, usize::from(calls.treated[i]));
                let score = own_arm as f64 - support.propensity[cell];
                let own = if support.inside[cell] && own_arm == arm {
                    weight_of(support.propensity[cell], arm) * (calls.outcome[i] - means[arm])
                        / denominators[arm]
                } else {
                    0.0
                };
                own + score * by_cell[arm][cell]
            })
            .collect()
    });
    Adjusted::of(means, influence, calls, inside_count(cells, support), level)
}

/// How many calls take part.
pub fn inside_count(cells: &Cells, support: &Support) -> usize {
    cells.of_call.iter().filter(|c| support.inside[**c as usize]).count()
}

/// The derivative of an arm's weighted mean by the coefficients of the propensity model.
fn slope(
    cells: &Cells,
    support: &Support,
    sums: &ArmSums,
    mean: f64,
    denominator: f64,
    arm: usize,
) -> Vec<f64> {
    let mut slope = vec![0.0; cells.design.columns];
    for c in (0..cells.len()).filter(|c| support.inside[*c]) {
        let e = support.propensity[c];
        let residual = sums.sum[arm][c] - mean * sums.count[arm][c];
        // d(1/e)/dβ = -(1-e)/e x, d(1/(1-e))/dβ = e/(1-e) x.
        let factor = if arm == 1 { -(1.0 - e) / e } else { e / (1.0 - e) };
        for column in &cells.design.rows[c] {
            slope[*column as usize] += factor * residual / denominator;
        }
    }
    slope
}

/// How one level of a covariate is spread over the arms.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// The covariate.
    pub covariate: String,
    /// The level.
    pub level: String,
    /// Share of the treated arm's calls, before weighting.
    pub treated: f64,
    /// Share of the control arm's calls, before weighting.
    pub control: f64,
    /// Standardised mean difference before weighting.
    pub before: f64,
    /// And after.
    pub after: f64,
}

/// The balance of every level of every covariate.
pub fn balance(cells: &Cells, covariates: &[Covariate], sums: &ArmSums, support: &Support) -> Vec<Balance> {
    let mut table = Vec::new();
    for (position, covariate) in covariates.iter().enumerate() {
        for (code, level) in covariate.levels.iter().enumerate() {
            let share = |arm: usize, weighted: bool| {
                let (mut with, mut all) = (0.0, 0.0);
                for c in (0..cells.len()).filter(|c| !weighted || support.inside[*c]) {
                    let weight = if weighted { weight_of(support.propensity[c], arm) } else { 1.0 };
                    let calls = weight * sums.count[arm][c];
                    all += calls;
                    if usize::from(cells.levels[c][position]) == code {
                        with += calls;
                    }
                }
                if all > 0.0 { with / all } else { 0.0 }
            };
            let (treated, control) = (share(1, false), share(0, false));
            // The spread before weighting is the measure for both, so that weighting cannot look better by it.
            let spread = f64::midpoint(treated * (1.0 - treated), control * (1.0 - control)).sqrt();
            let standardised = |difference: f64| if spread > 0.0 { difference / spread } else { 0.0 };
            table.push(Balance {
                covariate: covariate.name.clone(),
                level: level.clone(),
                treated,
                control,
                before: standardised(treated - control),
                after: standardised(share(1, true) - share(0, true)),
            });
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 cells; the treated arm has mostly the hard one. True effect +1.
    fn confounded() -> (Cells, Vec<Covariate>, Vec<bool>, Vec<f64>) {
        let mut codes = Vec::new();
        let (mut treated, mut outcome) = (Vec::new(), Vec::new());
        for i in 0..400u32 {
            let hard = i % 2 == 0;
            let arm = if hard { i % 8 != 0 } else { i % 8 == 1 };
            codes.push(u16::from(hard));
            treated.push(arm);
            outcome.push(f64::from(arm) - 3.0 * f64::from(hard) + f64::from(i % 5) * 0.1);
        }
        let covariate =
            Covariate { name: "issue".to_owned(), levels: vec!["easy".to_owned(), "hard".to_owned()], codes };
        (Cells::new(400, std::slice::from_ref(&covariate)), vec![covariate], treated, outcome)
    }

    #[test]
    fn weighting_takes_out_what_case_mix_put_in() {
        let (cells, covariates, treated, outcome) = confounded();
        let sums = ArmSums::new(&cells, &treated, &outcome);
        let raw = sums.mean(1) - sums.mean(0);
        let propensity = Propensity::fit(&cells, &sums, (0.01, 0.99)).unwrap();
        let clusters = Clusters { customer: &vec![Clusters::ALONE; 400], agent: None };
        let calls = Calls { treated: &treated, outcome: &outcome, clusters };
        let found = inverse_propensity(&cells, &propensity, &sums, calls, 0.95).unwrap();
        assert!(raw < 0.0, "{raw}");
        assert!((found.difference.value - 1.0).abs() < 0.05, "{found:?}");
        let table = balance(&cells, &covariates, &sums, &propensity.support);
        assert!(table.iter().all(|row| row.after.abs() < 1e-6 && row.before.abs() > 0.5));
    }

    #[test]
    fn a_cell_with_one_arm_only_does_not_take_part() {
        let covariate = Covariate {
            name: "issue".to_owned(),
            levels: vec!["a".to_owned(), "b".to_owned()],
            codes: vec![0, 0, 0, 1, 1],
        };
        let cells = Cells::new(5, &[covariate]);
        let sums = ArmSums::new(&cells, &[true, false, true, true, true], &[1.0; 5]);
        let propensity = Propensity::fit(&cells, &sums, (0.01, 0.99)).unwrap();
        assert_eq!(propensity.support.inside, [true, false]);
        assert_eq!(propensity.support.share, [1.0, 0.5]);
    }
}
