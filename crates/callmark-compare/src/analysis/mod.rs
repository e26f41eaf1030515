//! From calls to figures: what is estimated, and what is refused.
//!
//! One module a question. Each takes the calls of both arms and adds its figures and one section to the report; none
//! reads a file.

mod as_treated;
mod card;
mod case_mix;
mod cohort_section;
mod fte;
mod human_access;
mod over_time;
mod rates;
mod resolution;
mod reviews;
mod roll_out;
mod satisfaction;
mod segments;
mod trust;

use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Report};
use crate::stats::clusters::{Clusters, variance_of_mean};
use crate::stats::estimate::Estimate;

/// The comparison of a dataset's calls.
pub fn compare(cohort: &Cohort, config: &CompareConfig, dataset: &str) -> Report {
    let mut report = Report { title: format!("AI and people on calls: {dataset}"), ..Report::default() };
    let (ai, human) = (cohort.count(true), cohort.count(false));
    let enough = ai >= config.least_calls && human >= config.least_calls;
    // The answer comes first and is written last, when everything it draws on is there.
    let mut body = Report::default();
    cohort_section::add(&mut body, cohort, config);
    let verdict = if enough {
        resolution::add(&mut body, cohort, config);
        satisfaction::add(&mut body, cohort, config);
        case_mix::add(&mut body, cohort, config);
        as_treated::add(&mut body, cohort, config);
        rates::add(&mut body, cohort, config);
        human_access::add(&mut body, cohort, config);
        fte::add(&mut body, cohort, config);
        trust::add(&mut body, cohort, config);
        reviews::add(&mut body, cohort, config);
        over_time::add(&mut body, cohort, config);
        segments::add(&mut body, cohort, config);
        roll_out::add(&mut body, cohort, config);
        let case_mix = body.sections.iter().filter(|s| s.id == "case-mix").flat_map(|s| &s.blocks);
        let alarms = case_mix.filter(|b| matches!(b, Block::Alarm(_))).cloned().collect();
        card::blocks(&mut body, cohort, config, alarms)
    } else {
        vec![Block::Alarm(format!(
            "These data cannot tell whether AI does as well as people: AI took {ai} of the calls first and people \
             {human}, and a comparison needs at least {} in each arm. Nothing below compares the arms.",
            config.least_calls
        ))]
    };
    if !enough {
        rates::add(&mut body, cohort, config);
    }
    report.figures = body.figures;
    report.section("answer", "In short", true, verdict);
    report.sections.append(&mut body.sections);
    method(&mut report, config);
    report
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

/// The same of few calls, at `rows`: its cost does not grow with the cohort.
pub(crate) fn mean_at(cohort: &Cohort, outcome: &[f64], rows: &[usize], level: f64) -> Option<Estimate> {
    let (values, rows) = known(outcome, rows);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let influence: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let variance = variance_of_mean(&influence, RowClusters::of(cohort, &rows).get())?;
    Some(Estimate::wald(mean, variance.sqrt(), level))
}

/// The raw difference of an outcome's means, AI less people, with clusters across both arms.
pub(crate) fn difference(cohort: &Cohort, outcome: &[f64], level: f64) -> Option<Estimate> {
    difference_between(cohort, &cohort.ai, outcome, level)
}

/// The difference of an outcome's means, calls that are `first` less the others.
pub(crate) fn difference_between(
    cohort: &Cohort,
    first: &[bool],
    outcome: &[f64],
    level: f64,
) -> Option<Estimate> {
    let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
    for (arm, value) in first.iter().zip(outcome).filter(|(_, value)| value.is_finite()) {
        sums[usize::from(*arm)] += value;
        counts[usize::from(*arm)] += 1.0;
    }
    if counts.contains(&0.0) {
        return None;
    }
    let means = [0, 1].map(|arm| sums[arm] / counts[arm]);
    let total: f64 = counts.iter().sum();
    let scale = [-total / counts[0], total / counts[1]];
    let influence: Vec<f64> = first
        .iter()
        .zip(outcome)
        .map(|(arm, value)| {
            let arm = usize::from(*arm);
            if value.is_finite() { scale[arm] * (value - means[arm]) } else { f64::NAN }
        })
        .collect();
    let variance = variance_of_mean(&influence, cohort.clusters())?;
    Some(Estimate::wald(means[1] - means[0], variance.sqrt(), level))
}

/// 1 where the matter was settled, 0 where not, not a number where the transcript does not tell.
pub(crate) fn resolved(cohort: &Cohort) -> Vec<f64> {
    cohort.ended.iter().map(|e| f64::from(e.is_resolved())).collect()
}

/// Minutes until settled, calls that never were counted as the limit.
pub(crate) fn waits(cohort: &Cohort, limit: f64) -> Vec<f64> {
    let wait = |(ended, minutes): (&crate::cohort::Ended, &f64)| {
        if ended.is_resolved() { minutes.min(limit) } else { limit }
    };
    cohort
        .ended
        .iter()
        .zip(&cohort.minutes)
        .map(|(e, m)| if m.is_finite() { wait((e, m)) } else { f64::NAN })
        .collect()
}

fn method(report: &mut Report, config: &CompareConfig) {
    let text = format!(
        "Arms are by first handler (intention to treat): a call that starts with the AI and ends with a person counts \
         for the AI, with the clock running. Intervals have level {} and respect that calls of one customer, and of \
         one agent, are alike: sums of influence values by cluster, customers plus agents less calls. Curves, medians \
         and bands: {} Poisson bootstrap replicates by customer, seed {}. Restricted means count calls that were not \
         settled as {} minutes. Case mix is {}; propensities outside {} to {} do not take part. All numbers of this \
         page are in the JSON under the same ids.",
        config.level,
        config.replicates,
        config.seed,
        config.limit_minutes,
        config.covariates.join(", "),
        config.trim.0,
        config.trim.1
    );
    report.section("method", "Appendix: method", false, vec![Block::Text(text)]);
}
