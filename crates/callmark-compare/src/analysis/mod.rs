//! From calls to figures: what is estimated, and what is refused.
//!
//! One module a question. Each takes the calls of both arms and adds its figures and one section to the report; none
//! reads a file.

mod as_treated;
mod card;
mod case_mix;
mod cohort_section;
mod difference;
mod fte;
mod human_access;
mod medians;
mod mix;
mod over_time;
mod rates;
mod resolution;
mod reviews;
mod roll_out;
mod satisfaction;
mod segments;
mod sooner;
mod trust;
mod waiting;

pub(crate) use difference::{Kind, difference, difference_between, difference_figure, too_little};

use crate::cohort::{Cohort, MOST_LEVELS, RARE_CALLS};
use crate::config::CompareConfig;
use crate::report::{Block, Report};
use crate::stats::censoring::{Censoring, LEAST_FOLLOWED};
use crate::stats::clusters::{Clusters, variance_of_mean};
use crate::stats::estimate::Estimate;
use crate::stats::proportion::wilson_clustered;
use difference::LEAST_VALUES;
use std::collections::BTreeSet;

/// The comparison of a dataset's calls.
pub fn compare(cohort: &Cohort, config: &CompareConfig, dataset: &str) -> Report {
    let mut report = Report {
        title: format!("AI and people on calls: {dataset}"),
        settings: serde_json::to_value(config).unwrap_or_default(),
        ..Report::default()
    };
    let (ai, human) = (cohort.count(true), cohort.count(false));
    let enough = ai >= config.least_calls && human >= config.least_calls;
    // The answer comes first and is written last, when everything it draws on is there.
    let mut body = Report::default();
    cohort_section::add(&mut body, cohort, config);
    let mix = mix::Mix::new(cohort, config);
    let verdict = if enough {
        resolution::add(&mut body, cohort, config, &mix);
        satisfaction::add(&mut body, cohort, config, &mix);
        case_mix::add(&mut body, &mix);
        as_treated::add(&mut body, cohort, config);
        rates::add(&mut body, cohort, config, &mix);
        human_access::add(&mut body, cohort, config);
        fte::add(&mut body, cohort, config, &mix);
        trust::add(&mut body, cohort, config, &mix);
        reviews::add(&mut body, cohort, config);
        over_time::add(&mut body, cohort, config, &mix);
        segments::add(&mut body, cohort, config, &mix);
        roll_out::add(&mut body, cohort, config);
        let alarms = alarms(&body);
        card::blocks(&mut body, cohort, config, alarms)
    } else {
        rates::add(&mut body, cohort, config, &mix);
        let few = Block::Alarm(format!(
            "These data cannot tell whether AI does as well as people: AI took {ai} of the calls first and people \
             {human}, and a comparison needs at least {} in each arm. Nothing below compares the arms.",
            config.least_calls
        ));
        std::iter::once(few).chain(alarms(&body)).collect()
    };
    report.figures = body.figures;
    report.section("answer", "In short", true, verdict);
    report.sections.append(&mut body.sections);
    method(&mut report, cohort, config);
    report
}

/// What any section says that the reader must not miss: it stands in the answer too, where it is read.
fn alarms(report: &Report) -> Vec<Block> {
    let mut said = BTreeSet::new();
    let blocks = report.sections.iter().flat_map(|s| &s.blocks);
    blocks.filter(|b| matches!(b, Block::Alarm(text) if said.insert(text.clone()))).cloned().collect()
}

/// The rows of an arm.
pub(crate) fn rows_of(cohort: &Cohort, ai: bool) -> Vec<usize> {
    (0..cohort.len()).filter(|i| cohort.ai[*i] == ai).collect()
}

/// The values at `rows` that are numbers, and their rows.
pub(crate) fn known(values: &[f64], rows: &[usize]) -> (Vec<f64>, Vec<usize>) {
    let rows: Vec<usize> = rows.iter().copied().filter(|i| values[*i].is_finite()).collect();
    (rows.iter().map(|i| values[*i]).collect(), rows)
}

/// Customers and agents of the calls at `rows`.
pub(crate) struct RowClusters {
    customer: Vec<u32>,
    agent: Vec<u32>,
}

impl RowClusters {
    pub(crate) fn of(cohort: &Cohort, rows: &[usize]) -> Self {
        Self {
            customer: rows.iter().map(|i| cohort.customer[*i]).collect(),
            agent: rows.iter().map(|i| cohort.agent[*i]).collect(),
        }
    }

    pub(crate) fn get(&self) -> Clusters<'_> {
        let any_agent = self.agent.iter().any(|a| *a != Clusters::ALONE);
        Clusters { customer: &self.customer, agent: any_agent.then_some(&self.agent) }
    }
}

/// The mean of some calls' values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    /// The mean with the interval that its clusters give it; `None` where there are too few of them.
    pub(crate) estimate: Option<Estimate>,
    /// The sum of the values.
    pub(crate) sum: f64,
    /// How many values there are.
    pub(crate) calls: f64,
}

/// The mean of the values that are numbers and `chosen`.
pub(crate) fn mean_of(cohort: &Cohort, values: &[f64], chosen: impl Fn(usize) -> bool, level: f64) -> Mean {
    let (mut sum, mut calls) = (0.0, 0.0);
    let mut influence: Vec<f64> = Vec::with_capacity(values.len());
    for (i, value) in values.iter().enumerate() {
        let value = if chosen(i) && value.is_finite() { *value } else { f64::NAN };
        if !value.is_nan() {
            (sum, calls) = (sum + value, calls + 1.0);
        }
        influence.push(value);
    }
    let mean = sum / calls;
    for value in &mut influence {
        *value -= mean;
    }
    let variance = variance_of_mean(&influence, cohort.clusters());
    Mean { estimate: variance.map(|v| Estimate::wald(mean, v.sqrt(), level)), sum, calls }
}

/// The mean of an arm's values that are numbers.
pub(crate) fn mean(cohort: &Cohort, values: &[f64], ai: bool, level: f64) -> Mean {
    mean_of(cohort, values, |i| cohort.ai[i] == ai, level)
}

/// The share of few calls, at `rows`, whose 0 or 1 values are 1: its cost does not grow with the cohort.
pub(crate) fn share_at(cohort: &Cohort, outcome: &[f64], rows: &[usize], level: f64) -> Option<Estimate> {
    let (values, rows) = known(outcome, rows);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let influence: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let variance = variance_of_mean(&influence, RowClusters::of(cohort, &rows).get())?;
    let trials = values.len() as f64;
    wilson_clustered((mean * trials).clamp(0.0, trials), trials, variance.sqrt(), level)
}

/// How many values each arm has: AI, people.
pub(crate) fn counts(cohort: &Cohort, values: &[f64]) -> [f64; 2] {
    let told = || cohort.ai.iter().zip(values).filter(|(_, value)| value.is_finite());
    let ai = told().filter(|(ai, _)| **ai).count();
    [ai as f64, (told().count() - ai) as f64]
}

/// How long calls were followed, arm by arm, and what stands for a value that depends on their end.
pub(crate) struct Observed {
    calls: usize,
    rows: [Vec<usize>; 2],
    /// `None` where every call of the arm was followed.
    censoring: [Option<Censoring>; 2],
}

impl Observed {
    /// Of each call that takes part: for how long it was followed, and whether its value is known then.
    pub(crate) fn new(cohort: &Cohort, of: impl Fn(usize) -> Option<(f64, bool)>) -> Self {
        let mut rows = [Vec::new(), Vec::new()];
        let mut followed: [Vec<(f64, bool)>; 2] = [Vec::new(), Vec::new()];
        for i in 0..cohort.len() {
            if let Some(own) = of(i) {
                rows[usize::from(cohort.ai[i])].push(i);
                followed[usize::from(cohort.ai[i])].push(own);
            }
        }
        let censoring = followed.map(|followed| {
            let (times, known): (Vec<f64>, Vec<bool>) = followed.into_iter().unzip();
            known.contains(&false).then(|| Censoring::new(&times, &known))
        });
        Self { calls: cohort.len(), rows, censoring }
    }

    /// Until the end of each call that is a `member`: a recording that breaks off before the matter is settled does not
    /// tell how its call ended.
    pub(crate) fn ends(cohort: &Cohort, member: impl Fn(usize) -> bool) -> Self {
        Self::new(cohort, |i| {
            let minutes = if cohort.minutes[i].is_finite() { cohort.minutes[i] } else { 0.0 };
            member(i).then_some((minutes, !cohort.breaks_off(i)))
        })
    }

    /// One number a call whose mean is the estimate ([`Censoring::values`]); not a number for calls that take no part, and
    /// for an arm in which too few are known. Without a call that was lost it is the value itself.
    pub(crate) fn values(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut found = vec![f64::NAN; self.calls];
        for (rows, censoring) in self.rows.iter().zip(&self.censoring) {
            let own: Vec<f64> = rows.iter().map(|i| value(*i)).collect();
            let own = censoring.as_ref().map_or(Some(own.clone()), |censoring| censoring.values(&own));
            for (i, value) in rows.iter().zip(own.into_iter().flatten()) {
                found[*i] = value;
            }
        }
        found
    }

    /// As how many calls each counts: 0 where it takes no part or was lost, 1 in an arm without losses.
    pub(crate) fn weights(&self) -> Vec<f64> {
        let mut found = vec![0.0; self.calls];
        for (rows, censoring) in self.rows.iter().zip(&self.censoring) {
            let own = censoring.as_ref().map_or_else(|| vec![1.0; rows.len()], Censoring::weights);
            for (i, weight) in rows.iter().zip(own) {
                found[*i] = weight;
            }
        }
        found
    }
}

/// 1 where the matter was settled, 0 where not; what stands for it where the recording breaks off.
pub(crate) fn resolved(cohort: &Cohort) -> Vec<f64> {
    Observed::ends(cohort, |_| true).values(|i| f64::from(cohort.ended[i].is_resolved()))
}

/// Minutes until settled, calls that never were counted as the limit; what stands for it where the recording breaks off
/// before the limit; not a number where the time is not known.
pub(crate) fn waits(cohort: &Cohort, limit: f64) -> Vec<f64> {
    followed_until(cohort, limit).values(|i| wait(cohort, i, limit))
}

/// Of calls whose time is known, how long they were followed, up to the limit, and whether it is known by then what became of
/// them.
pub(crate) fn followed_until(cohort: &Cohort, limit: f64) -> Observed {
    Observed::new(cohort, |i| {
        let minutes = cohort.minutes[i];
        minutes.is_finite().then(|| (minutes.min(limit), !cohort.breaks_off(i) || minutes >= limit))
    })
}

/// Minutes until a call was settled, the limit where it never was.
fn wait(cohort: &Cohort, i: usize, limit: f64) -> f64 {
    if cohort.ended[i].is_resolved() { cohort.minutes[i].min(limit) } else { limit }
}

/// `value` of the calls whose recordings do not break off.
pub(crate) fn whole_calls(cohort: &Cohort, value: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..cohort.len()).map(|i| if cohort.truncated[i] { f64::NAN } else { value(i) }).collect()
}

fn method(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let nobody = cohort.customers_known() == 0;
    let who = if nobody {
        "No customer is known here, so that every call counts as another customer's: intervals are too narrow where customers \
         call again. "
    } else {
        ""
    };
    let text = format!(
        "Arms are by first handler (intention to treat): a call that starts with the AI and ends with a person counts \
         for the AI, with the clock running. Intervals have level {level}, those of what is judged against a margin {judged} \
         (1 - 2 alpha), and respect that calls of one customer, and of one agent, are alike: sums of influence values by \
         cluster, customers plus agents less calls. {who}Differences of shares have Newcombe's hybrid interval, made of Wilson \
         intervals with the arms' design effects; where fewer than {LEAST_VALUES} values of an arm are known, or all are of one \
         customer, there is none, and none of means whose values are all alike. Curves, medians and bands: {replicates} Poisson \
         bootstrap replicates by customer, seed {seed}, each put as much further from the estimate as agents add to the error. \
         Restricted means count calls that were not settled as {limit} minutes.",
        level = config.level,
        judged = config.judged_level(),
        replicates = config.replicates,
        seed = config.seed,
        limit = config.limit_minutes,
    );
    let lost = format!(
        "A recording that breaks off before the matter is settled does not tell how its call ended. Such calls are not counted \
         as unsettled, nor left out: calls of the same arm that were followed for longer stand for them (inverse probability \
         of censoring, which is what the Aalen-Johansen curve does). This takes for granted that recordings break off for \
         reasons that have nothing to do with the call; where less than {:.0} % of an arm can be told so, it is not told.",
        100.0 * LEAST_FOLLOWED
    );
    let mix = format!(
        "Case mix is {}; levels of fewer than {RARE_CALLS} calls count as one, and all but the one with the most levels keep \
         {MOST_LEVELS}; propensities outside {} to {} do not take part. Every figure of this page is in the JSON under the \
         same id, with the numbers it was made of; the settings stand there too.",
        config.covariates.join(", "),
        config.trim.0,
        config.trim.1
    );
    report.section("method", "Appendix: method", false, [text, lost, mix].map(Block::Text).to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::Ended;
    use crate::stats::random::Draws;

    /// Calls of many customers; AI's break off as often as `broken` says, after a random part.
    fn calls(broken: f64) -> Cohort {
        let mut draws = Draws::new(4, 0);
        let mut cohort = Cohort::default();
        for i in 0..6000 {
            let (ai, minutes) = (i % 2 == 0, 1.0 + 9.0 * draws.uniform());
            let settled = draws.chance(0.9 - 0.06 * minutes);
            let until = if ai && draws.chance(broken) { 10.0 * draws.uniform() } else { f64::INFINITY };
            let ended = if settled { Ended::Resolved } else { Ended::Unresolved };
            cohort.ai.push(ai);
            cohort.customer.push(i);
            cohort.agent.push(u32::MAX);
            cohort.ended.push(if until < minutes { Ended::Unknown } else { ended });
            cohort.minutes.push(minutes.min(until));
            cohort.truncated.push(until < minutes);
        }
        cohort
    }

    #[test]
    fn recordings_that_break_off_move_neither_the_share_settled_nor_the_minutes() {
        let (whole, broken) = (calls(0.0), calls(0.4));
        for values in [resolved as fn(&Cohort) -> Vec<f64>, |cohort| waits(cohort, 8.0)] {
            let of = |cohort: &Cohort| difference(cohort, &values(cohort), Kind::Mean, 0.95).unwrap();
            let (wanted, found) = (of(&whole), of(&broken));
            let chance = wanted.standard_error.hypot(found.standard_error);
            assert!((wanted.value - found.value).abs() < 3.0 * chance, "{wanted:?} {found:?}");
            assert!(found.standard_error > wanted.standard_error);
        }
    }

    #[test]
    fn where_all_recordings_break_off_nothing_is_told() {
        let mut cohort = calls(0.0);
        cohort.truncated = vec![true; cohort.len()];
        cohort.ended = vec![Ended::Unknown; cohort.len()];
        assert!(difference(&cohort, &resolved(&cohort), Kind::Share, 0.95).is_err());
        assert!(difference(&cohort, &waits(&cohort, 30.0), Kind::Mean, 0.95).is_err());
    }
}
