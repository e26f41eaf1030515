//! The simulation study: many data sets with a known truth, how far each estimator is off and how often its interval
//! holds the truth. It prints the Markdown of SIMULATION.md.
//!
//! `simulation_study [REPLICATIONS [CALLS [REPLICATIONS OF THE HARDER SCENARIOS]]]`
//!
//! Truths are exact ([`exact_effects`]). An effect near 0 cannot be told from a bias of 2 % of it by averaging estimates
//! alone, so bias is measured against an oracle on the same calls: the doubly robust mean with the true propensity and
//! the true expected outcomes, whose own bias is exactly 0. What both have in common cancels.

#![allow(clippy::similar_names, reason = "cells and calls are what the formulas call them")]
#![allow(clippy::print_stdout, reason = "the tables are what this program is for")]

mod harder;

use callmark_compare::simulate::{
    ISSUES, Scenario, SimulatedCall, draw, exact_effects, exact_means_of_arm, expected_outcomes, outcomes,
};
use callmark_compare::stats::bootstrap::Bootstrap;
use callmark_compare::stats::clusters::{Clusters, variance_of_mean};
use callmark_compare::stats::correction::{prediction_powered, rogan_gladen};
use callmark_compare::stats::doubly_robust::{doubly_robust, doubly_robust_bootstrap};
use callmark_compare::stats::estimate::Estimate;
use callmark_compare::stats::margin::Difference;
use callmark_compare::stats::standardise::standardise;
use callmark_compare::stats::strata::{ArmSums, Cells, Covariate};
use callmark_compare::stats::weighting::{Calls, Propensity, inverse_propensity};
use rayon::prelude::*;

/// The limit of restricted means, minutes.
const LIMIT: f64 = 30.0;
/// The margin of sentiment, points.
const MARGIN: f64 = 0.3;
const LEVEL: f64 = 0.95;
/// Propensities outside do not take part: the comparison's default.
const TRIM: (f64, f64) = (0.01, 0.99);
const SCENARIOS: [&str; 6] = ["confounded", "null", "margin", "simpson", "quick", "exact-null"];
const OUTCOMES: [&str; 3] = ["share settled", "minutes", "sentiment"];
/// The last is the first study's: weighting that left out every cell that lacked an arm, be it by chance.
const ESTIMATORS: [&str; 5] =
    ["raw", "standardised", "weighted", "doubly robust", "weighted, cells with both arms"];
/// Effects smaller than this are none.
const NO_EFFECT: f64 = 1e-9;
/// Largest bias that is held, as a share of the effect.
const BIAS: f64 = 0.02;
/// Between which shares coverage and the error of the non-inferiority test are held.
const COVERAGE: (f64, f64) = (0.93, 0.97);
const TYPE_ONE: (f64, f64) = (0.04, 0.06);
/// Seeds of the first scenario begin here, those of each other one so many further on: no two share a data set.
const FIRST_SEED: u64 = 1000;
const SEEDS_APART: u64 = 1_000_000;
/// One-sided levels at which non-inferiority is tried: that of the study, and the comparison's default.
const TRIED: [f64; 2] = [0.05, 0.025];
/// Data sets and replicates of the bootstrap's table.
const BOOTSTRAP_SETS: u64 = 500;
const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 200, seed: 1 };
/// Calls of each arm that people labelled.
const LABELS: usize = 300;

const ABOUT: &str = "\
What each scenario is for stands in `src/simulate/model.rs`. Effects are AI less people, integrated, not sampled. `bias` is
in per cent of the true effect, or of the estimate's standard error where the effect is 0 (`SE`), measured against an oracle
on the same calls (see `examples/simulation_study`); `±` is one Monte-Carlo standard error.
Held are: bias below 2 % of the effect, coverage of 95 % intervals 93 to 97 %, and 4 to 6 % of data sets in which a
sentiment that is worse by exactly the margin is found no worse. `yes` and `no` are beyond two Monte-Carlo standard errors
of bias, `open` is in between.

Every scenario has its own seeds. Two estimators are there to be seen failing: the raw difference, and weighting as it was
in a first study, which left out every cell that lacked an arm, be it by chance, and so chose calls by who went where.
`confounded`, `null`, `margin` and `simpson` are that study's scenarios; `quick` and `exact-null` came after it. These six are
kind: whatever drives who gets which call is known, the effect is the same for every call, given the issue handoffs tell
nothing, agents are alike. The harder ones below are not.
";

/// What one data set gave: estimates by outcome and estimator, and the oracle by outcome.
struct Trial {
    found: [[Option<Estimate>; 5]; 3],
    oracle: [f64; 3],
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let replications: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(2000);
    let calls: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(4000);
    let harder_sets: u64 = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(harder::HARDER_SETS);
    println!("# Simulation study\n");
    println!("`make simulation-study`: {replications} data sets a scenario, {calls} calls each.");
    println!("{ABOUT}");
    println!(
        "| scenario | outcome | true effect | estimator | mean | bias | coverage | bias held | coverage held |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut margin_lines = Vec::new();
    for (place, name) in SCENARIOS.into_iter().enumerate() {
        let Some(scenario) = Scenario::named(name) else { continue };
        let truth = exact_effects(&scenario, LIMIT);
        let expected = expectations(&scenario);
        let trials: Vec<Trial> = (0..replications)
            .into_par_iter()
            .map(|r| trial(&scenario, &expected, seed(place) + r, calls))
            .collect();
        for (outcome, truth) in truth.iter().enumerate() {
            for estimator in 0..ESTIMATORS.len() {
                println!("| {name} | {}", line(*truth, &trials, outcome, estimator));
            }
        }
        if name == "margin" {
            margin_lines = (0..ESTIMATORS.len()).map(|e| margin_line(&trials, e)).collect();
        }
    }
    println!(
        "\nNon-inferiority at the margin (`margin`, sentiment worse by {MARGIN}), at one-sided levels:\n"
    );
    println!("| estimator | found no worse at 5 % | held | at 2.5 %, the default |");
    println!("| --- | --- | --- | --- |");
    for line in &margin_lines {
        println!("{line}");
    }
    bootstrap_table(calls);
    labels_table(replications, calls);
    harder::table(calls, harder_sets);
}

/// The first seed of a scenario, by its place.
fn seed(place: usize) -> u64 {
    FIRST_SEED + SEEDS_APART * place as u64
}

fn trial(scenario: &Scenario, expected: &[[[f64; 3]; 2]], seed: u64, count: u64) -> Trial {
    let data = Data::new(scenario, seed, count);
    Trial {
        found: [0, 1, 2].map(|outcome| data.estimates(outcome)),
        oracle: oracle(scenario, expected, &data.calls),
    }
}

/// One data set, by column.
struct Data {
    calls: Vec<SimulatedCall>,
    treated: Vec<bool>,
    customer: Vec<u32>,
    cells: Cells,
}

impl Data {
    fn new(scenario: &Scenario, seed: u64, count: u64) -> Self {
        let calls: Vec<SimulatedCall> = (0..count).map(|i| draw(scenario, seed, count, i)).collect();
        let covariates: Vec<Covariate> = ["issue", "queue", "language"]
            .into_iter()
            .enumerate()
            .map(|(position, name)| {
                let codes: Vec<u16> = calls.iter().map(|c| c.codes[position] as u16).collect();
                let levels = codes.iter().max().map_or(0, |m| m + 1);
                Covariate {
                    name: name.to_owned(),
                    levels: (0..levels).map(|l| l.to_string()).collect(),
                    codes,
                }
            })
            .collect();
        Self {
            treated: calls.iter().map(|c| c.ai).collect(),
            customer: calls.iter().map(|c| c.customer as u32).collect(),
            cells: Cells::new(calls.len(), &covariates),
            calls,
        }
    }

    fn values(&self, outcome: usize) -> Vec<f64> {
        self.calls.iter().map(|c| outcomes(&c.happened(), LIMIT)[outcome]).collect()
    }

    fn with<'a>(&'a self, values: &'a [f64]) -> Calls<'a> {
        let clusters = Clusters { customer: &self.customer, agent: None };
        Calls { treated: &self.treated, outcome: values, clusters }
    }

    fn estimates(&self, outcome: usize) -> [Option<Estimate>; 5] {
        let values = self.values(outcome);
        let sums = ArmSums::new(&self.cells, &self.treated, &values);
        let calls = self.with(&values);
        let propensity = Propensity::fit(&self.cells, &sums, TRIM);
        let weighted =
            propensity.as_ref().and_then(|p| inverse_propensity(&self.cells, p, &sums, calls, LEVEL));
        let robust = propensity.as_ref().and_then(|p| doubly_robust(&self.cells, p, &sums, calls, LEVEL));
        let both_arms = propensity.as_ref().and_then(|p| {
            let mut cut = p.clone();
            for (c, inside) in cut.support.inside.iter_mut().enumerate() {
                *inside = *inside && sums.count.iter().all(|count| count[c] > 0.0);
            }
            inverse_propensity(&self.cells, &cut, &sums, calls, LEVEL)
        });
        let standardised = standardise(&self.cells, &sums, calls, LEVEL);
        [
            raw(&sums, calls),
            standardised.map(|a| a.difference),
            weighted.map(|a| a.difference),
            robust.map(|a| a.difference),
            both_arms.map(|a| a.difference),
        ]
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

/// The expected outcomes of each issue: people first, AI first.
fn expectations(scenario: &Scenario) -> Vec<[[f64; 3]; 2]> {
    (0..ISSUES.len())
        .map(|issue| [false, true].map(|ai| expected_outcomes(scenario, issue, ai, LIMIT)))
        .collect()
}

/// The doubly robust differences with everything known that an estimator has to estimate: unbiased without any limit.
fn oracle(scenario: &Scenario, expected: &[[[f64; 3]; 2]], calls: &[SimulatedCall]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for call in calls {
        let [control, treated] = expected[call.codes[0]];
        let (happened, e) = (outcomes(&call.happened(), LIMIT), scenario.propensity(call.codes));
        for (outcome, sum) in sums.iter_mut().enumerate() {
            let own = if call.ai {
                (happened[outcome] - treated[outcome]) / e
            } else {
                -(happened[outcome] - control[outcome]) / (1.0 - e)
            };
            *sum += treated[outcome] - control[outcome] + own;
        }
    }
    sums.map(|sum| sum / calls.len() as f64)
}

/// Mean and its Monte-Carlo standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// How often `holds` is true, with its Monte-Carlo standard error.
fn share<T>(values: &[T], holds: impl Fn(&T) -> bool) -> (f64, f64) {
    let share = values.iter().filter(|v| holds(v)).count() as f64 / values.len() as f64;
    (share, (share * (1.0 - share) / values.len() as f64).sqrt())
}

fn per_cent((value, error): (f64, f64)) -> String {
    format!("{:.1} % ± {:.1}", 100.0 * value, 100.0 * error)
}

fn word(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

fn inside(value: f64, (low, high): (f64, f64)) -> &'static str {
    word(low <= value && value <= high)
}

fn line(truth: f64, trials: &[Trial], outcome: usize, estimator: usize) -> String {
    let pairs: Vec<(Estimate, f64)> =
        trials.iter().filter_map(|t| Some((t.found[outcome][estimator]?, t.oracle[outcome]))).collect();
    let (bias, chance) = mean(&pairs.iter().map(|(e, oracle)| e.value - oracle).collect::<Vec<_>>());
    let average = mean(&pairs.iter().map(|(e, _)| e.value).collect::<Vec<_>>()).0;
    let covered = share(&pairs, |(e, _)| e.low <= truth && truth <= e.high);
    let (shown, held) = if truth.abs() > NO_EFFECT {
        let (bias, chance) = (bias / truth.abs(), chance / truth.abs());
        let held = match bias.abs() {
            b if b + 2.0 * chance <= BIAS => "yes",
            b if b - 2.0 * chance > BIAS => "no",
            _ => "open",
        };
        (format!("{:+.2} % ± {:.2}", 100.0 * bias, 100.0 * chance), held)
    } else {
        let error = mean(&pairs.iter().map(|(e, _)| e.standard_error).collect::<Vec<_>>()).0;
        (format!("{:+.3} SE ± {:.3}", bias / error, chance / error), "no effect")
    };
    format!(
        "{} | {truth:+.4} | {} | {average:+.4} | {shown} | {} | {held} | {} |",
        OUTCOMES[outcome],
        ESTIMATORS[estimator],
        per_cent(covered),
        inside(covered.0, COVERAGE)
    )
}

fn margin_line(trials: &[Trial], estimator: usize) -> String {
    let estimates: Vec<Estimate> = trials.iter().filter_map(|t| t.found[2][estimator]).collect();
    let [passed, default] = TRIED.map(|level| {
        share(&estimates, |e| {
            let found = Difference { value: e.value, standard_error: e.standard_error };
            found.non_inferiority_p(MARGIN) < level
        })
    });
    format!(
        "| {} | {} | {} | {} |",
        ESTIMATORS[estimator],
        per_cent(passed),
        inside(passed.0, TYPE_ONE),
        per_cent(default)
    )
}

/// The doubly robust estimate with the interval of the bootstrap by customer.
fn bootstrap_table(calls: u64) {
    println!(
        "\nDoubly robust with the bootstrap's interval (`confounded`, {BOOTSTRAP_SETS} data sets, {} replicates each):\n",
        BOOTSTRAP.replicates
    );
    println!("| outcome | coverage | held |\n| --- | --- | --- |");
    let Some(scenario) = Scenario::named("confounded") else { return };
    let truth = exact_effects(&scenario, LIMIT);
    let found: Vec<[Option<Estimate>; 3]> = (0..BOOTSTRAP_SETS)
        .into_par_iter()
        .map(|r| {
            let data = Data::new(&scenario, seed(SCENARIOS.len()) + r, calls);
            let values = [0, 1, 2].map(|outcome| data.values(outcome));
            let outcomes = [&values[0][..], &values[1][..], &values[2][..]];
            doubly_robust_bootstrap(
                &data.cells,
                &data.treated,
                outcomes,
                &data.customer,
                TRIM,
                BOOTSTRAP,
                [LEVEL; 3],
            )
        })
        .collect();
    for (outcome, label) in OUTCOMES.iter().enumerate() {
        let estimates: Vec<Estimate> = found.iter().filter_map(|f| f[outcome]).collect();
        let covered = share(&estimates, |e| e.low <= truth[outcome] && truth[outcome] <= e.high);
        println!("| {label} | {} | {} |", per_cent(covered), inside(covered.0, COVERAGE));
    }
}

/// The share settled of each arm as the scorer sees it, and as labels put it right.
fn labels_table(replications: u64, calls: u64) {
    println!("\nA scorer that errs, put right by {LABELS} labels an arm (`scorer-error`):\n");
    println!("| arm | true share settled | estimator | bias, points | coverage | held |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let Some(scenario) = Scenario::named("scorer-error") else { return };
    for (arm, ai) in [("AI", true), ("people", false)] {
        let truth = exact_means_of_arm(&scenario, ai, LIMIT)[0];
        let found: Vec<[Option<Estimate>; 3]> = (0..replications)
            .into_par_iter()
            .map(|r| corrected(&scenario, seed(SCENARIOS.len() + 1) + r, calls, ai).unwrap_or([None; 3]))
            .collect();
        for (position, name) in ["as scored", "Rogan-Gladen", "prediction-powered"].iter().enumerate() {
            let estimates: Vec<Estimate> = found.iter().filter_map(|f| f[position]).collect();
            let (bias, chance) = mean(&estimates.iter().map(|e| e.value - truth).collect::<Vec<_>>());
            let covered = share(&estimates, |e| e.low <= truth && truth <= e.high);
            println!(
                "| {arm} | {truth:.4} | {name} | {:+.2} ± {:.2} | {} | {} |",
                100.0 * bias,
                100.0 * chance,
                per_cent(covered),
                inside(covered.0, COVERAGE)
            );
        }
    }
}

/// As scored, by Rogan and Gladen, prediction-powered.
fn corrected(scenario: &Scenario, seed: u64, count: u64, ai: bool) -> Option<[Option<Estimate>; 3]> {
    let calls: Vec<SimulatedCall> =
        (0..count).map(|i| draw(scenario, seed, count, i)).filter(|c| c.ai == ai).collect();
    let scored: Vec<f64> = calls.iter().map(|c| f64::from(c.scored.is_resolved())).collect();
    // Calls are drawn independently of their number, so the first ones are a random sample.
    let label = |(place, call): (usize, &SimulatedCall)| {
        if place < LABELS { f64::from(call.happened().ended.is_resolved()) } else { f64::NAN }
    };
    let labels: Vec<f64> = calls.iter().enumerate().map(label).collect();
    let centre = scored.iter().sum::<f64>() / scored.len() as f64;
    let influence: Vec<f64> = scored.iter().map(|v| v - centre).collect();
    let customer: Vec<u32> = calls.iter().map(|c| c.customer as u32).collect();
    let clusters = Clusters { customer: &customer, agent: None };
    let apparent = Estimate::wald(centre, variance_of_mean(&influence, clusters)?.sqrt(), LEVEL);
    Some([
        Some(apparent),
        rogan_gladen(&scored, &scored, &labels)?.estimate(clusters, LEVEL),
        prediction_powered(&scored, &labels)?.estimate(clusters, LEVEL),
    ])
}
