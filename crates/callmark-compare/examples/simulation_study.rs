//! The simulation study: many data sets with a known truth, and how often each estimator's interval holds it.
//!
//! `cargo run --release -p callmark-compare --example simulation_study [REPLICATIONS [CALLS]]` prints a Markdown table.
//! The truth is the average effect over four million calls of the scenario.

#![allow(clippy::similar_names, reason = "cells and calls are what the formulas call them")]

use callmark_compare::simulate::{Scenario, SimulatedCall, draw, true_effects};
use callmark_compare::stats::clusters::{Clusters, variance_of_mean};
use callmark_compare::stats::doubly_robust::doubly_robust;
use callmark_compare::stats::estimate::Estimate;
use callmark_compare::stats::margin::Difference;
use callmark_compare::stats::standardise::standardise;
use callmark_compare::stats::strata::{ArmSums, Cells, Covariate};
use callmark_compare::stats::weighting::{Calls, Propensity, inverse_propensity};
use rayon::prelude::*;

/// Calls that the truth is averaged over.
const TRUTH_CALLS: u64 = 4_000_000;
/// The limit of restricted means, minutes.
const LIMIT: f64 = 30.0;
/// The margin of sentiment, points.
const MARGIN: f64 = 0.3;
const LEVEL: f64 = 0.95;
const OUTCOMES: [&str; 3] = ["share settled", "minutes", "sentiment"];
const ESTIMATORS: [&str; 4] = ["raw", "standardised", "weighted", "doubly robust"];

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let replications: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(1000);
    let calls: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(10_000);
    println!("# Simulation study\n");
    println!(
        "{replications} data sets a scenario, {calls} calls each, seeds from 1000; truth over {TRUTH_CALLS} calls."
    );
    println!(
        "`bias` is in per cent of the true effect, with its Monte-Carlo standard error; in standard errors of the estimate where there is no effect.\n"
    );
    println!(
        "| scenario | outcome | truth | estimator | mean | bias | coverage of 95 % | not worse, adjusted, wrongly at 5 % |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for name in ["confounded", "null", "simpson", "margin"] {
        let Some(scenario) = Scenario::named(name) else { continue };
        let truth = truth(&scenario);
        let found: Vec<[[Option<Estimate>; 4]; 3]> =
            (0..replications).into_par_iter().map(|r| replicate(&scenario, 1000 + r, calls)).collect();
        for (outcome, label) in OUTCOMES.iter().enumerate() {
            for (estimator, method) in ESTIMATORS.iter().enumerate() {
                let estimates: Vec<Estimate> = found.iter().filter_map(|f| f[outcome][estimator]).collect();
                println!("{}", line(name, label, truth[outcome], method, &estimates));
            }
        }
    }
}

/// The true effects, in parts that run side by side.
fn truth(scenario: &Scenario) -> [f64; 3] {
    let parts: Vec<[f64; 3]> = (0..100u64)
        .into_par_iter()
        .map(|part| {
            let size = TRUTH_CALLS / 100;
            true_effects((part * size..(part + 1) * size).map(|i| draw(scenario, 77, TRUTH_CALLS, i)), LIMIT)
        })
        .collect();
    [0, 1, 2].map(|o| parts.iter().map(|p| p[o]).sum::<f64>() / 100.0)
}

fn line(scenario: &str, outcome: &str, truth: f64, method: &str, estimates: &[Estimate]) -> String {
    let n = estimates.len() as f64;
    let mean = estimates.iter().map(|e| e.value).sum::<f64>() / n;
    let inside = estimates.iter().filter(|e| e.low <= truth && truth <= e.high).count() as f64 / n;
    let bias = if truth.abs() > 0.005 {
        let spread = estimates.iter().map(|e| (e.value - mean).powi(2)).sum::<f64>() / n;
        let chance = 100.0 * (spread / n).sqrt() / truth.abs();
        format!("{:+.1} % ± {chance:.1}", 100.0 * (mean - truth) / truth.abs())
    } else {
        let error = estimates.iter().map(|e| e.standard_error).sum::<f64>() / n;
        format!("{:+.2} SE", (mean - truth) / error)
    };
    let wrong = if outcome == "sentiment" && scenario == "margin" {
        let passed =
            |e: &&Estimate| Difference::normal(e.value, e.standard_error).non_inferiority_p(MARGIN) < 0.05;
        format!("{:.1} %", 100.0 * estimates.iter().filter(passed).count() as f64 / n)
    } else {
        String::new()
    };
    format!(
        "| {scenario} | {outcome} | {truth:+.4} | {method} | {mean:+.4} | {bias} | {:.1} % | {wrong} |",
        100.0 * inside
    )
}

fn replicate(scenario: &Scenario, seed: u64, count: u64) -> [[Option<Estimate>; 4]; 3] {
    let calls: Vec<SimulatedCall> = (0..count).map(|i| draw(scenario, seed, count, i)).collect();
    let treated: Vec<bool> = calls.iter().map(|c| c.ai).collect();
    let customer: Vec<u32> = calls.iter().map(|c| c.customer as u32).collect();
    let clusters = Clusters { customer: &customer, agent: None };
    let covariates: Vec<Covariate> = ["issue", "queue", "language"]
        .into_iter()
        .enumerate()
        .map(|(position, name)| {
            let codes: Vec<u16> = calls.iter().map(|c| c.codes[position] as u16).collect();
            let levels = codes.iter().max().map_or(0, |m| m + 1);
            Covariate { name: name.to_owned(), levels: (0..levels).map(|l| l.to_string()).collect(), codes }
        })
        .collect();
    let cells = Cells::new(calls.len(), &covariates);
    [0, 1, 2].map(|outcome| {
        let values: Vec<f64> = calls.iter().map(|c| value(c, outcome)).collect();
        let sums = ArmSums::new(&cells, &treated, &values, |_| 1.0);
        let calls = Calls { treated: &treated, outcome: &values, clusters };
        let adjusted = |propensity: &Propensity| {
            [
                inverse_propensity(&cells, propensity, &sums, calls, LEVEL).map(|a| a.difference),
                doubly_robust(&cells, propensity, &sums, calls, LEVEL).map(|a| a.difference),
            ]
        };
        let [weighted, robust] =
            Propensity::fit(&cells, &sums, (0.01, 0.99)).map_or([None, None], |p| adjusted(&p));
        [raw(&sums, calls), standardise(&cells, &sums, calls, LEVEL).map(|a| a.difference), weighted, robust]
    })
}

fn value(call: &SimulatedCall, outcome: usize) -> f64 {
    let happened = call.happened();
    let resolved = happened.ended.is_resolved();
    match outcome {
        0 => f64::from(resolved),
        1 if resolved => (happened.end_ms as f64 / 60_000.0).min(LIMIT),
        1 => LIMIT,
        _ => happened.sentiment,
    }
}

fn raw(sums: &ArmSums, calls: Calls) -> Option<Estimate> {
    let (means, totals) = ([sums.mean(0), sums.mean(1)], [sums.total(0), sums.total(1)]);
    let n = calls.treated.len() as f64;
    let influence: Vec<f64> = calls
        .treated
        .iter()
        .zip(calls.outcome)
        .map(|(t, y)| {
            let arm = usize::from(*t);
            (if *t { 1.0 } else { -1.0 }) * (y - means[arm]) * n / totals[arm]
        })
        .collect();
    Some(Estimate::wald(means[1] - means[0], variance_of_mean(&influence, calls.clusters)?.sqrt(), LEVEL))
}
