//! What calls are like, made once: the doubly robust difference of any outcome at equal case mix, or why it is refused.

use super::RowClusters;
use super::difference::{Kind, too_little};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Figure, Unit};
use crate::stats::doubly_robust::{doubly_robust, outcome_model};
use crate::stats::estimate::Estimate;
use crate::stats::strata::{ArmSums, Cells, Covariate};
use crate::stats::weighting::{Adjusted, Calls, Propensity, Support, weight_of};

/// A characteristic that fewer calls have than this share says nothing about which calls are alike.
const LEAST_KNOWN: f64 = 0.5;
/// One that fewer have than this is said to be known in part.
const MOSTLY_KNOWN: f64 = 0.8;
const METHOD: &str = "doubly robust (AIPW), influence function";

/// What calls are like: made once, used for every outcome and every part of the calls.
pub(super) struct Mix<'a> {
    pub(super) cohort: &'a Cohort,
    pub(super) config: &'a CompareConfig,
    pub(super) covariates: Vec<Covariate>,
    pub(super) cells: Cells,
    /// Why no two calls can be said to be alike, if so.
    pub(super) unlike: Option<String>,
}

/// Calls that can be compared like with like, and who would go where.
pub(super) struct Fit {
    pub(super) data: Data,
    pub(super) propensity: Propensity,
}

impl Fit {
    /// What calls of each arm (people's, AI's) count as where all of them are alike.
    pub(super) fn trials(&self) -> [f64; 2] {
        self.propensity.support.effective
    }

    /// The rows that take part, each with as how many calls it counts.
    pub(super) fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let support = &self.propensity.support;
        let cells = self.data.rows.iter().zip(&self.data.cells.of_call).zip(&self.data.treated);
        let inside = cells.filter(|((_, cell), _)| support.inside[**cell as usize]);
        inside
            .map(|((row, cell), ai)| (*row, weight_of(support.propensity[*cell as usize], usize::from(*ai))))
    }

    /// The doubly robust means and their difference.
    pub(super) fn adjusted(&self, level: f64) -> Option<Adjusted> {
        doubly_robust(&self.data.cells, &self.propensity, &self.data.sums, self.data.calls(), level)
    }

    /// An adjusted difference with the interval that its kind has.
    pub(super) fn difference(&self, found: &Adjusted, kind: Kind, level: f64) -> Option<Estimate> {
        match kind {
            Kind::Share => found.of_shares(self.trials(), level),
            Kind::Mean => Some(found.of_means()),
        }
    }
}

impl<'a> Mix<'a> {
    pub(super) fn new(cohort: &'a Cohort, config: &'a CompareConfig) -> Self {
        let rows: Vec<usize> = (0..cohort.len()).collect();
        let covariates = cohort.covariates(&config.covariates, &rows);
        let cells = Cells::new(rows.len(), &covariates);
        Self { cohort, config, covariates, cells, unlike: nothing_known(cohort, config) }
    }

    pub(super) fn cohort(&self) -> &'a Cohort {
        self.cohort
    }

    /// The calls at `rows` whose value is known, ready to be compared, or why that is refused. What is the same for all of
    /// them takes no part.
    pub(super) fn fit(&self, values: &[f64], rows: impl Iterator<Item = usize>) -> Result<Fit, String> {
        if let Some(reason) = &self.unlike {
            return Err(reason.clone());
        }
        let data = Data::new(self, values, rows);
        let customers = data.clusters.get().customer;
        if let Some(reason) = too_little(customers, &data.treated, &data.values) {
            return Err(reason);
        }
        let propensity = data.propensity(self.config);
        if let Some(reason) = refusal(propensity.as_ref().map(|p| &p.support), self.config) {
            return Err(reason);
        }
        let nobody = || "one arm has no call of which it is known".to_owned();
        Ok(Fit { propensity: propensity.ok_or_else(nobody)?, data })
    }

    /// The doubly robust difference among the calls at `rows`, or why it is not told.
    pub(super) fn difference(
        &self,
        values: &[f64],
        rows: impl Iterator<Item = usize>,
        kind: Kind,
        level: f64,
    ) -> Result<Estimate, String> {
        let fit = self.fit(values, rows)?;
        let found = fit.adjusted(level).and_then(|found| fit.difference(&found, kind, level));
        found.ok_or_else(|| "all calls are of one customer".to_owned())
    }

    /// The doubly robust difference among the calls at `rows` as a figure, or why there is none.
    pub(super) fn figure(
        &self,
        (label, unit, level): (&str, Unit, f64),
        values: &[f64],
        rows: &[usize],
    ) -> Figure {
        let found = self.difference(values, rows.iter().copied(), Kind::of(unit), level);
        let [ai, human] = [true, false].map(|ai| {
            rows.iter().filter(|i| self.cohort.ai[**i] == ai && values[**i].is_finite()).count() as f64
        });
        let figure = Figure::told(label, unit, found, METHOD).at_level(level);
        figure.with("calls", ai + human).with("calls_ai", ai).with("calls_human", human)
    }

    /// The same among all calls.
    pub(super) fn figure_of_all(&self, asked: (&str, Unit, f64), values: &[f64]) -> Figure {
        self.figure(asked, values, &(0..self.cohort.len()).collect::<Vec<_>>())
    }

    /// The share of either arm, AI's and people's, had it taken all calls that can be compared, as figures.
    pub(super) fn shares_of_arms(&self, label: &str, values: &[f64], level: f64) -> [Figure; 2] {
        let fit = self.fit(values, 0..self.cohort.len());
        let found = fit
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|fit| fit.adjusted(level).ok_or_else(|| "all calls are of one customer".to_owned()));
        [1, 0].map(|arm| {
            let share = found.as_ref().map_err(Clone::clone).and_then(|found| {
                let trials = fit.as_ref().map_or(0.0, |fit| fit.trials()[arm]);
                let share = found.arm(arm, trials).wilson(level);
                share.ok_or_else(|| "there are no such calls".to_owned())
            });
            let who = if arm == 1 { "AI first" } else { "people first" };
            let calls = fit.as_ref().map_or(0.0, |fit| fit.data.sums.total(arm));
            let figure = Figure::told(&format!("{label}, {who}, like with like"), Unit::Share, share, METHOD);
            figure.with("calls", calls).at_level(level)
        })
    }

    /// The mean of `values`, minutes of people's calls, as the calls that AI took would have it: by a model of people's
    /// calls on case mix, over AI's calls that have calls like them. Or why it is refused.
    pub(super) fn on_calls_of_ai(&self, values: &[f64]) -> Result<f64, String> {
        if let Some(reason) = &self.unlike {
            return Err(reason.clone());
        }
        let data = Data::new(self, values, 0..self.cohort.len());
        let Some(propensity) = data.propensity(self.config) else {
            return Err("one arm has no call of which people's minutes are known".to_owned());
        };
        if let Some(reason) = refusal(Some(&propensity.support), self.config) {
            return Err(reason);
        }
        let [of_people, _] = outcome_model(&data.cells, &data.sums, &propensity.support);
        let inside = || (0..data.cells.len()).filter(|c| propensity.support.inside[*c]);
        let calls: f64 = inside().map(|c| data.sums.count[1][c]).sum();
        Ok(inside().map(|c| data.sums.count[1][c] * of_people[c]).sum::<f64>() / calls)
    }
}

/// Calls whose outcome is known, as columns.
pub(super) struct Data {
    pub(super) rows: Vec<usize>,
    pub(super) treated: Vec<bool>,
    pub(super) values: Vec<f64>,
    clusters: RowClusters,
    pub(super) cells: Cells,
    pub(super) sums: ArmSums,
}

impl Data {
    pub(super) fn new(mix: &Mix, values: &[f64], rows: impl Iterator<Item = usize>) -> Self {
        let rows: Vec<usize> = rows.filter(|i| values[*i].is_finite()).collect();
        let treated: Vec<bool> = rows.iter().map(|i| mix.cohort.ai[*i]).collect();
        let values: Vec<f64> = rows.iter().map(|i| values[*i]).collect();
        let cells = mix.cells.part(&rows);
        let sums = ArmSums::new(&cells, &treated, &values);
        let clusters = RowClusters::of(mix.cohort, &rows);
        Self { rows, treated, values, clusters, cells, sums }
    }

    pub(super) fn calls(&self) -> Calls<'_> {
        Calls { treated: &self.treated, outcome: &self.values, clusters: self.clusters.get() }
    }

    pub(super) fn propensity(&self, config: &CompareConfig) -> Option<Propensity> {
        Propensity::fit(&self.cells, &self.sums, config.trim)
    }
}

/// The share of calls of which a characteristic is known, for those that case mix is made of but the hour.
fn known_shares<'a>(
    cohort: &'a Cohort,
    config: &'a CompareConfig,
) -> impl Iterator<Item = (&'a String, f64)> + 'a {
    let share = |name: &'a String| {
        let coded = cohort.coded(name)?;
        let known = coded.codes.iter().filter(|code| **code > 0).count();
        Some((name, known as f64 / cohort.len() as f64))
    };
    config.covariates.iter().filter(|name| *name != "hour").filter_map(share)
}

/// Why no two calls can be said to be alike, if so: calls at the same hour are not.
fn nothing_known(cohort: &Cohort, config: &CompareConfig) -> Option<String> {
    let any = known_shares(cohort, config).any(|(_, share)| share >= LEAST_KNOWN);
    let reason = "nothing tells which calls are alike: neither issue nor queue nor language is known of half of the calls, \
                  or none is among the covariates";
    (!any).then(|| reason.to_owned())
}

/// An alarm where a characteristic is known of some calls only, and another of more.
pub(super) fn partly_known(mix: &Mix) -> Option<String> {
    if mix.unlike.is_some() {
        return None;
    }
    let partly: Vec<String> = known_shares(mix.cohort, mix.config)
        .filter(|(_, share)| *share < MOSTLY_KNOWN)
        .map(|(name, share)| format!("{name} of {:.0} %", 100.0 * share))
        .collect();
    let text = format!(
        "What calls are about is known in part: {} of the calls. \"Like with like\" cannot be more alike than that.",
        partly.join(", ")
    );
    (!partly.is_empty()).then_some(text)
}

/// Why an adjusted comparison is refused, if it is.
fn refusal(support: Option<&Support>, config: &CompareConfig) -> Option<String> {
    let Some(support) = support else { return Some("one arm has no call of which it is known".to_owned()) };
    let (human, ai) = (support.share[0], support.share[1]);
    if human.min(ai) >= config.least_support {
        return None;
    }
    Some(format!(
        "no overlap: only {:.0} % of AI's calls and {:.0} % of people's have calls like them in the other arm, and {:.0} % \
         are needed",
        // The sum over no call at all is minus zero.
        100.0 * ai.max(0.0),
        100.0 * human.max(0.0),
        100.0 * config.least_support
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support(share: [f64; 2]) -> Support {
        Support { propensity: vec![], inside: vec![], share, effective: [0.0; 2], concordance: 1.0 }
    }

    #[test]
    fn no_call_at_all_is_not_minus_zero_per_cent() {
        let none: f64 = std::iter::empty::<f64>().sum();
        let reason = refusal(Some(&support([-none.abs(), -0.0])), &CompareConfig::default()).unwrap();
        assert!(reason.contains("only 0 % of AI's calls and 0 %"), "{reason}");
    }

    /// AI's and people's calls of one kind or two, each of another customer.
    fn calls(count: u32) -> Cohort {
        let names = ["?", "a", "b"].map(str::to_owned).to_vec();
        let codes = (0..count).map(|i| 1 + (i / 2 % 2) as u16).collect();
        Cohort {
            ai: (0..count).map(|i| i % 2 == 0).collect(),
            customer: (0..count).collect(),
            agent: vec![u32::MAX; count as usize],
            issue: crate::cohort::Coded { names, codes },
            ..Cohort::default()
        }
    }

    fn config() -> CompareConfig {
        CompareConfig { covariates: vec!["issue".to_owned()], ..CompareConfig::default() }
    }

    #[test]
    fn an_adjusted_difference_of_values_that_are_all_alike_is_not_sure_either() {
        let (cohort, config) = (calls(120), config());
        let mix = Mix::new(&cohort, &config);
        let of = |values: &[f64], kind| mix.difference(values, 0..120, kind, 0.95).unwrap();
        let all = of(&[1.0; 120], Kind::Share);
        assert!(all.value.abs() < 1e-9 && all.low < -0.03 && all.high > 0.03, "{all:?}");
        let ai: Vec<f64> = (0..120).map(|i| f64::from(i % 2 == 0)).collect();
        let found = of(&ai, Kind::Share);
        assert!(found.low < 0.96 && found.high <= 1.0, "{found:?}");
        assert!(!of(&[0.5; 120], Kind::Mean).has_interval());
        assert!(!of(&ai, Kind::Mean).has_interval());
    }

    #[test]
    fn a_value_an_arm_is_no_adjusted_difference() {
        let (cohort, config) = (calls(120), config());
        let mix = Mix::new(&cohort, &config);
        let mut values = vec![f64::NAN; 120];
        (values[0], values[1]) = (5.0, 1.0);
        let reason = mix.difference(&values, 0..120, Kind::Mean, 0.95).unwrap_err();
        assert!(reason.contains("too few calls"), "{reason}");
    }
}
