//! From calls to figures: what is estimated, and what is refused.
//!
//! One module a question. Each takes the calls of both arms and adds its figures and one section to the report; none
//! reads a file.

mod case_mix;
mod cohort_section;
mod fte;
mod over_time;
mod rates;
mod resolution;
mod satisfaction;
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
        rates::add(&mut body, cohort, config);
        fte::add(&mut body, cohort, config);
        trust::add(&mut body, cohort, config);
        over_time::add(&mut body, cohort, config);
        let mut card = crate::claim::card(&mut body, cohort);
        let case_mix = body.sections.iter().filter(|s| s.id == "case-mix").flat_map(|s| &s.blocks);
        card.extend(case_mix.filter(|b| matches!(b, Block::Alarm(_))).cloned());
        card
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

/// A mean with the interval that its clusters give it.
pub(crate) fn mean(cohort: &Cohort, values: &[f64], rows: &[usize], level: f64) -> Option<Estimate> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let influence: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let variance = variance_of_mean(&influence, RowClusters::of(cohort, rows).get())?;
    Some(Estimate::wald(mean, variance.sqrt(), level))
}

/// The raw difference of an outcome's means, AI less people, with clusters across both arms.
pub(crate) fn difference(cohort: &Cohort, outcome: &[f64], level: f64) -> Option<Estimate> {
    let (ai_values, ai_rows) = known(outcome, &rows_of(cohort, true));
    let (human_values, human_rows) = known(outcome, &rows_of(cohort, false));
    if ai_values.is_empty() || human_values.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (ai, human) = (mean(&ai_values), mean(&human_values));
    let total = (ai_values.len() + human_values.len()) as f64;
    let scaled = |values: &[f64], mean: f64, sign: f64| -> Vec<f64> {
        let share = values.len() as f64 / total;
        values.iter().map(|v| sign * (v - mean) / share).collect()
    };
    let influence = [scaled(&ai_values, ai, 1.0), scaled(&human_values, human, -1.0)].concat();
    let rows = [ai_rows, human_rows].concat();
    let variance = variance_of_mean(&influence, RowClusters::of(cohort, &rows).get())?;
    Some(Estimate::wald(ai - human, variance.sqrt(), level))
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
