//! Like with like: differences at equal case mix, or a refusal.

use super::{RowClusters, difference, resolved, satisfaction, waits};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::bootstrap::Bootstrap;
use crate::stats::doubly_robust::{doubly_robust, doubly_robust_bootstrap};
use crate::stats::estimate::Estimate;
use crate::stats::margin::verdict;
use crate::stats::sensitivity::{Direction, direction, e_value_of_difference};
use crate::stats::standardise::standardise;
use crate::stats::strata::{ArmSums, Cells, Covariate};
use crate::stats::weighting::{Calls, Propensity, Support, balance, inverse_propensity};

/// Standardised differences beyond this are imbalance (Austin 2009).
const IMBALANCE: f64 = 0.1;

/// An outcome to adjust.
struct Outcome {
    id: &'static str,
    label: &'static str,
    unit: Unit,
    values: Vec<f64>,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let outcomes = [
        Outcome {
            id: "resolved",
            label: "share settled",
            unit: Unit::ShareDifference,
            values: resolved(cohort),
        },
        Outcome {
            id: "minutes",
            label: "minutes until settled",
            unit: Unit::MinutesDifference,
            values: waits(cohort, config.limit_minutes),
        },
        Outcome {
            id: "sentiment",
            label: "customer sentiment",
            unit: Unit::PointsDifference,
            values: cohort.sentiment_overall.clone(),
        },
    ];
    let mut blocks = vec![Block::Text(
        "AI and people do not get the same calls. Here each call counts against calls like it: same issue, queue, \
         language and time of day, as far as they are known. What nobody recorded is not adjusted for."
            .to_owned(),
    )];
    let replicated = bootstrapped(cohort, config, &outcomes);
    let mut rows = Vec::new();
    let mut alarms = Vec::new();
    for (outcome, replicated) in outcomes.iter().zip(replicated) {
        let (row, mut found) = adjust(report, cohort, config, outcome, replicated);
        rows.push(row);
        alarms.append(&mut found);
    }
    alarms.dedup();
    blocks.extend(alarms.into_iter().map(Block::Alarm));
    blocks.push(Block::Table {
        caption: "AI less people, raw and at equal case mix".to_owned(),
        columns: [
            "",
            "raw",
            "standardised",
            "weighted (IPW)",
            "doubly robust",
            "doubly robust, bootstrap",
            "E-value",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows,
    });
    blocks.append(&mut overlap_blocks(report, cohort, config));
    report.section("case-mix", "Like with like", true, blocks);
}

/// The rows of an outcome that are known, as columns.
struct Data {
    rows: Vec<usize>,
    treated: Vec<bool>,
    values: Vec<f64>,
    clusters: RowClusters,
    covariates: Vec<Covariate>,
    cells: Cells,
    sums: ArmSums,
}

impl Data {
    fn new(cohort: &Cohort, config: &CompareConfig, values: &[f64]) -> Self {
        let rows: Vec<usize> = (0..cohort.len()).filter(|i| values[*i].is_finite()).collect();
        let treated: Vec<bool> = rows.iter().map(|i| cohort.ai[*i]).collect();
        let values: Vec<f64> = rows.iter().map(|i| values[*i]).collect();
        let covariates = cohort.covariates(&config.covariates, &rows);
        let cells = Cells::new(rows.len(), &covariates);
        let sums = ArmSums::new(&cells, &treated, &values);
        let clusters = RowClusters::of(cohort, &rows);
        Self { rows, treated, values, clusters, covariates, cells, sums }
    }

    fn calls(&self) -> Calls<'_> {
        Calls { treated: &self.treated, outcome: &self.values, clusters: self.clusters.get() }
    }
}

/// The doubly robust differences with the bootstrap's intervals, all outcomes from the same replicates.
fn bootstrapped(cohort: &Cohort, config: &CompareConfig, outcomes: &[Outcome; 3]) -> [Option<Estimate>; 3] {
    let rows: Vec<usize> = (0..cohort.len()).collect();
    let cells = Cells::new(rows.len(), &cohort.covariates(&config.covariates, &rows));
    let bootstrap = Bootstrap { replicates: config.replicates, seed: config.seed };
    let values = [0, 1, 2].map(|outcome: usize| &outcomes[outcome].values[..]);
    doubly_robust_bootstrap(
        &cells,
        &cohort.ai,
        values,
        &cohort.customer,
        config.trim,
        bootstrap,
        config.level,
    )
}

/// Why an adjusted comparison is refused, if it is.
fn refusal(support: Option<&Support>, config: &CompareConfig) -> Option<String> {
    let Some(support) = support else { return Some("one arm is empty".to_owned()) };
    let (human, ai) = (support.share[0], support.share[1]);
    if human.min(ai) >= config.least_support {
        return None;
    }
    Some(format!(
        "no overlap: only {:.0} % of AI's calls and {:.0} % of people's have calls like them in the other arm, and {:.0} % \
         are needed",
        100.0 * ai,
        100.0 * human,
        100.0 * config.least_support
    ))
}

/// The doubly robust difference of an outcome, or why it is refused.
pub(super) fn adjusted(
    cohort: &Cohort,
    config: &CompareConfig,
    values: &[f64],
) -> Result<Option<Estimate>, String> {
    let data = Data::new(cohort, config, values);
    let propensity = Propensity::fit(&data.cells, &data.sums, config.trim);
    if let Some(reason) = refusal(propensity.as_ref().map(|p| &p.support), config) {
        return Err(reason);
    }
    let found =
        propensity.and_then(|p| doubly_robust(&data.cells, &p, &data.sums, data.calls(), config.level));
    Ok(found.map(|a| a.difference))
}

fn adjust(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    outcome: &Outcome,
    replicated: Option<Estimate>,
) -> (Vec<String>, Vec<String>) {
    let level = config.level;
    let raw = difference(cohort, &outcome.values, level);
    let data = Data::new(cohort, config, &outcome.values);
    let propensity = Propensity::fit(&data.cells, &data.sums, config.trim);
    let refused = refusal(propensity.as_ref().map(|p| &p.support), config);
    let mut estimates: [Option<Estimate>; 4] = [None; 4];
    if let (Some(propensity), None) = (&propensity, &refused) {
        let calls = data.calls();
        estimates = [
            standardise(&data.cells, &data.sums, calls, level).map(|a| a.difference),
            inverse_propensity(&data.cells, propensity, &data.sums, calls, level).map(|a| a.difference),
            doubly_robust(&data.cells, propensity, &data.sums, calls, level).map(|a| a.difference),
            replicated,
        ];
    }
    let mut cells = vec![outcome.label.to_owned()];
    let mut put = |id: &str, estimate: Option<Estimate>, method: &str| {
        let label = format!("difference in {}, {id}", outcome.label);
        let mut figure = Figure::estimate(&label, outcome.unit, estimate, method)
            .with("calls", data.rows.len() as f64)
            .at_level(level);
        if let (None, Some(reason), true) = (estimate, &refused, id != "raw") {
            figure = figure.because(reason);
        }
        cells.push(report.figure(&format!("{}_difference_{id}", outcome.id), figure));
    };
    put("raw", raw, "difference of means, clusters of customers and agents");
    put("standardised", estimates[0], "direct standardisation over strata");
    put("weighted", estimates[1], "inverse propensity, normalised and trimmed");
    put("adjusted", estimates[2], "doubly robust (AIPW), influence function");
    put("adjusted_bootstrap", estimates[3], "doubly robust (AIPW), bootstrap by customer");
    let e_value = estimates[2].and_then(|e| e_value_of_difference(&e, spread(&data.values)));
    let label = format!("E-value of the adjusted difference in {}: interval's end", outcome.label);
    let figure = match e_value {
        Some(e) => {
            Figure::exact(&label, Unit::Number, e.interval, "VanderWeele & Ding").with("estimate", e.estimate)
        }
        None => Figure::estimate(&label, Unit::Number, None, "VanderWeele & Ding"),
    };
    cells.push(report.figure(&format!("{}_e_value", outcome.id), figure));
    let mut alarms = Vec::new();
    alarms.extend(refused.map(|why| format!("The adjusted comparison is refused: {why}.")));
    if let (Some(raw), Some(adjusted)) = (raw, estimates[2]) {
        alarms.extend(alarm(outcome, direction(&raw, &adjusted)));
        if outcome.id == "sentiment" {
            let tail = Estimate::wald(adjusted.value, adjusted.standard_error, 1.0 - 2.0 * config.alpha);
            let found = verdict(tail.low, tail.high, config.sentiment_margin);
            let figure = Figure::exact(
                "sentiment against the margin, adjusted",
                Unit::Number,
                f64::NAN,
                "two one-sided tests",
            );
            report.figure("sentiment_verdict_adjusted", figure.because(satisfaction::words(found)));
        }
    }
    (cells, alarms)
}

fn alarm(outcome: &Outcome, direction: Direction) -> Option<String> {
    let (label, id) = (outcome.label, outcome.id);
    let tail = format!("raw {{{{{id}_difference_raw}}}}, adjusted {{{{{id}_difference_adjusted}}}}.");
    match direction {
        Direction::Reversed => Some(format!(
            "Simpson's paradox in {label}: at equal case mix the difference points the other way: {tail} Do not quote the raw \
             difference."
        )),
        Direction::Vanishes => {
            Some(format!("At equal case mix the difference in {label} is no longer clear: {tail}"))
        }
        Direction::Unclear => Some(format!("Raw and adjusted differ in sign for {label}: {tail}")),
        Direction::Agree => None,
    }
}

/// The sample standard deviation.
fn spread(values: &[f64]) -> f64 {
    crate::stats::margin::Moments::of(values).map_or(0.0, |m| m.variance.sqrt())
}

fn overlap_blocks(report: &mut Report, cohort: &Cohort, config: &CompareConfig) -> Vec<Block> {
    let data = Data::new(cohort, config, &resolved(cohort));
    let Some(propensity) = Propensity::fit(&data.cells, &data.sums, config.trim) else { return Vec::new() };
    let support = &propensity.support;
    let mut number = |id: &str, label: &str, unit: Unit, value: f64| {
        report.figure(id, Figure::exact(label, unit, value, "propensity model on main effects"))
    };
    let ai =
        number("overlap_share_ai", "share of AI's calls that can be compared", Unit::Share, support.share[1]);
    let human = number(
        "overlap_share_human",
        "share of people's calls that can be compared",
        Unit::Share,
        support.share[0],
    );
    let effective = [
        number("effective_calls_ai", "effective number of AI's calls", Unit::Count, support.effective[1]),
        number(
            "effective_calls_human",
            "effective number of people's calls",
            Unit::Count,
            support.effective[0],
        ),
    ];
    let concordance =
        number("propensity_concordance", "concordance of the propensity", Unit::Number, support.concordance);
    let mut table = balance(&data.cells, &data.covariates, &data.sums, support);
    table.sort_by(|a, b| b.before.abs().total_cmp(&a.before.abs()));
    let unbalanced = table.iter().filter(|b| b.after.abs() > IMBALANCE).count();
    let rows: Vec<Vec<String>> = table
        .iter()
        .enumerate()
        .map(|(place, b)| {
            let label = format!("{}: {}", b.covariate, b.level);
            let mut cells = vec![plain_words(&label)];
            for (what, unit, value) in [
                ("share of AI's calls", Unit::Share, b.treated),
                ("share of people's calls", Unit::Share, b.control),
                ("standardised difference before", Unit::Number, b.before),
                ("standardised difference after weighting", Unit::Number, b.after),
            ] {
                let figure = Figure::exact(&format!("{label}: {what}"), unit, value, "balance of case mix");
                let id = format!("balance_{place}_{}", cells.len());
                cells.push(report.figure(&id, figure));
            }
            cells
        })
        .collect();
    let text = format!(
        "{ai} of AI's calls and {human} of people's have calls like them in the other arm; after weighting they count as much \
         as {} and {} calls. Concordance of who gets which calls: {concordance} (0.5: alike; 1: no mixing). {unbalanced} of \
         {} characteristics differ by more than {IMBALANCE} standard deviations after weighting.",
        effective[0],
        effective[1],
        table.len()
    );
    vec![
        Block::Text(text),
        Block::Table {
            caption: "Balance: standardised mean differences".to_owned(),
            columns: ["", "AI", "people", "before", "after weighting"].map(str::to_owned).to_vec(),
            rows,
        },
    ]
}
