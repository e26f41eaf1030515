//! The harder scenarios, through the whole comparison: what the command says of them, and what it would say wrong if it
//! left something out.

use super::{COVERAGE, LIMIT, SCENARIOS, inside, mean, per_cent, seed, share};
use callmark_compare::analysis;
use callmark_compare::cohort::{Coded, Cohort, Ended, FollowUp, Review};
use callmark_compare::config::CompareConfig;
use callmark_compare::report::Report;
use callmark_compare::simulate::{
    ISSUES, LANGUAGES, QUEUES, Scenario, SimulatedCall, draw, sample_effects, sample_return_effect,
};
use callmark_compare::stats::clusters::Clusters;
use callmark_compare::stats::estimate::Estimate;
use rayon::prelude::*;

/// Scenarios whose effects cannot be integrated, or in which calls are lost; the whole comparison runs on them.
const HARDER: [&str; 2] = ["hard", "breaks-off"];
/// Data sets of each of them where no other number is asked for.
pub(crate) const HARDER_SETS: u64 = 600;
/// Data sets whose true effects are averaged to that of the scenario.
const TRUTH_SETS: u64 = 2000;
/// Days within which a customer's return counts.
const RETURN_DAYS: i64 = 7;
const ABOUT_HARDER: &str = "\
Here runs the whole comparison, as `callmark compare` runs it (case mix with the hour, customers and agents as
clusters, default settings). In `hard` agents differ, AI hands over what it would not settle, its effect runs from 0 for
the easiest to 10 points less for the hardest issue, and customers who were not helped come back, which makes a call of the
same customer and issue. In `breaks-off` 6 of 100 minutes of AI's recordings and 2 of people's break them off. The truth is
the average effect over many data sets; bias is measured against that of each data set's own calls. Beside what the command
does stands what it would do wrong otherwise.
";

/// What is measured on the harder scenarios: figures of the comparison, raw and adjusted.
const OUTCOMES: [(&str, [&str; 2]); 4] = [
    ("share settled", ["resolved_difference_raw", "resolved_difference_adjusted"]),
    ("minutes", ["minutes_difference_raw", "minutes_difference_adjusted"]),
    ("sentiment", ["sentiment_difference_raw", "sentiment_difference_adjusted"]),
    ("back within 7 days", ["repeat_7d_difference", "repeat_7d_difference_adjusted"]),
];

/// The whole comparison on the harder scenarios, and what goes wrong where it leaves something out.
pub(crate) fn table(count: u64, sets: u64) {
    println!("\n## Harder scenarios\n\n{sets} data sets a scenario, {count} calls each. {ABOUT_HARDER}");
    println!("| scenario | outcome | true effect | estimator | mean | bias | coverage | coverage held |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (place, name) in HARDER.into_iter().enumerate() {
        let Some(scenario) = Scenario::named(name) else { continue };
        let first = seed(SCENARIOS.len() + 2 + place);
        let wrong = if name == "hard" { "agents not known" } else { "broken off counted as not settled" };
        let truths: Vec<[f64; 4]> = (0..TRUTH_SETS)
            .into_par_iter()
            .map(|r| effects(&(0..count).map(|i| draw(&scenario, first + r, count, i)).collect::<Vec<_>>()))
            .collect();
        let found: Vec<[Report; 2]> = (0..sets)
            .into_par_iter()
            .map(|r| {
                let calls: Vec<SimulatedCall> =
                    (0..count).map(|i| draw(&scenario, first + r, count, i)).collect();
                reports(&calls, name)
            })
            .collect();
        let outcomes = OUTCOMES.iter().enumerate();
        for (outcome, (label, figures)) in outcomes.filter(|(o, _)| *o < 3 || name == "hard") {
            let truth = mean(&truths.iter().map(|t| t[outcome]).collect::<Vec<_>>()).0;
            let [raw, adjusted] = figures;
            for (kind, variant, figure) in [
                ("raw", 0, raw),
                ("doubly robust", 0, adjusted),
                (&*format!("doubly robust, {wrong}"), 1, adjusted),
            ] {
                let estimates: Vec<(Estimate, f64)> = found
                    .iter()
                    .zip(&truths)
                    .filter_map(|(reports, own)| Some((told(&reports[variant], figure)?, own[outcome])))
                    .collect();
                println!("| {name} | {label} | {} |", line(truth, kind, &estimates));
            }
        }
    }
}

/// The effects over the calls of one data set: share settled, minutes, sentiment, coming back.
fn effects(calls: &[SimulatedCall]) -> [f64; 4] {
    let [resolved, minutes, sentiment] = sample_effects(calls.iter().copied(), LIMIT);
    [resolved, minutes, sentiment, sample_return_effect(calls.iter().copied(), RETURN_DAYS)]
}

fn told(report: &Report, figure: &str) -> Option<Estimate> {
    let figure = report.figures.get(figure)?;
    Some(Estimate { value: figure.value?, standard_error: f64::NAN, low: figure.low?, high: figure.high? })
}

fn line(truth: f64, kind: &str, estimates: &[(Estimate, f64)]) -> String {
    let average = mean(&estimates.iter().map(|(e, _)| e.value).collect::<Vec<_>>()).0;
    let (bias, chance) = mean(&estimates.iter().map(|(e, own)| e.value - own).collect::<Vec<_>>());
    let covered = share(estimates, |(e, _)| e.low <= truth && truth <= e.high);
    format!(
        "{truth:+.4} | {kind} | {average:+.4} | {:+.2} % ± {:.2} | {} | {}",
        100.0 * bias / truth.abs(),
        100.0 * chance / truth.abs(),
        per_cent(covered),
        inside(covered.0, COVERAGE)
    )
}

/// The comparison of these calls, and the same with something left out.
fn reports(calls: &[SimulatedCall], name: &str) -> [Report; 2] {
    // The bootstrap's figures are not looked at here.
    let config = CompareConfig { replicates: 20, ..CompareConfig::default() };
    let cohort = cohort_of(calls);
    let mut without = cohort.clone();
    if name == "hard" {
        without.agent = vec![Clusters::ALONE; calls.len()];
    } else {
        without.truncated = vec![false; calls.len()];
    }
    [cohort, without].map(|cohort| analysis::compare(&cohort, &config, name))
}

/// The calls as the comparison reads them.
fn cohort_of(calls: &[SimulatedCall]) -> Cohort {
    let coded = |names: &[&str], position: usize| Coded {
        names: std::iter::once("(not known)").chain(names.iter().copied()).map(str::to_owned).collect(),
        codes: calls.iter().map(|c| c.codes[position] as u16 + 1).collect(),
    };
    let who_and_when: Vec<(u32, i64)> = calls.iter().map(|c| (c.customer as u32, c.started_at)).collect();
    let sentiment: Vec<f64> =
        calls.iter().map(|c| if c.silent { f64::NAN } else { c.happened().sentiment }).collect();
    let end_ms = |c: &SimulatedCall| c.breaks_ms.unwrap_or(c.happened().end_ms);
    let handed_over = |c: &SimulatedCall| c.happened().handoff_ms.is_some_and(|at| at < end_ms(c));
    let ended = |c: &SimulatedCall| if c.breaks_ms.is_some() { Ended::Unknown } else { c.scored };
    Cohort {
        ai: calls.iter().map(|c| c.ai).collect(),
        customer: calls.iter().map(|c| c.customer as u32).collect(),
        agent: calls.iter().map(|c| if c.ai { Clusters::ALONE } else { c.agent as u32 }).collect(),
        queue: coded(&QUEUES, 1),
        issue: coded(&ISSUES, 0),
        language: coded(&LANGUAGES, 2),
        started_at: calls.iter().map(|c| c.started_at).collect(),
        ended: calls.iter().map(ended).collect(),
        minutes: calls.iter().map(|c| end_ms(c) as f64 / 60_000.0).collect(),
        truncated: calls.iter().map(|c| c.breaks_ms.is_some()).collect(),
        confidence: vec![0.9; calls.len()],
        sentiment_overall: sentiment.clone(),
        sentiment_end: sentiment.clone(),
        sentiment_start: sentiment,
        human_requests: calls.iter().map(|c| i32::from(c.asks)).collect(),
        deflections: vec![0; calls.len()],
        time_to_human: vec![-1; calls.len()],
        heard_after_request: vec![-1; calls.len()],
        human_minutes: vec![f64::NAN; calls.len()],
        reached_human: calls.iter().map(|c| Some(!c.ai || handed_over(c))).collect(),
        minutes_to_request: calls.iter().map(|c| end_ms(c) as f64 / 300_000.0).collect(),
        disclosed: vec![true; calls.len()],
        low_trust: calls.iter().map(|c| c.breaks_ms.is_some()).collect(),
        asr_confidence: calls.iter().map(|c| c.asr_confidence).collect(),
        survey: vec![f64::NAN; calls.len()],
        reviewed: vec![Review::NONE; calls.len()],
        follow_up: FollowUp::of(&who_and_when, who_and_when.clone()),
        seen: calls.len() as u64,
        ..Cohort::default()
    }
}
