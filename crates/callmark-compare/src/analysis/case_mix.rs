//! Like with like: differences at equal case mix, or a refusal.

use super::{RowClusters, counts, difference, resolved, waits};
use crate::cohort::{Cohort, RARE_CALLS};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::bootstrap::Bootstrap;
use crate::stats::doubly_robust::{doubly_robust, doubly_robust_bootstrap, outcome_model};
use crate::stats::estimate::Estimate;
use crate::stats::sensitivity::{Direction, direction, e_value_of_difference};
use crate::stats::standardise::standardise;
use crate::stats::strata::{ArmSums, Cells, Covariate};
use crate::stats::weighting::{Calls, Propensity, Support, balance, inverse_propensity};

/// Standardised differences beyond this are imbalance (Austin 2009).
const IMBALANCE: f64 = 0.1;
/// A characteristic that fewer calls have than this share says nothing about which calls are alike.
const LEAST_KNOWN: f64 = 0.5;
/// One that fewer have than this is said to be known in part.
const MOSTLY_KNOWN: f64 = 0.8;
/// Kinds of call times replicates up to which the bootstrap fits its models anew: more would take minutes.
const BOOTSTRAP_FITS: usize = 20_000_000;
/// Rows of the balance table; the rest are in the JSON.
const BALANCE_ROWS: usize = 30;

/// An outcome to adjust.
struct Outcome {
    id: &'static str,
    label: &'static str,
    unit: Unit,
    values: Vec<f64>,
    /// Level of its intervals.
    level: f64,
}

pub(super) fn add(report: &mut Report, mix: &Mix) {
    let Mix { cohort, config, .. } = *mix;
    let outcomes = [
        Outcome {
            id: "resolved",
            label: "share settled",
            unit: Unit::ShareDifference,
            values: resolved(cohort),
            level: config.level,
        },
        Outcome {
            id: "minutes",
            label: "minutes until settled",
            unit: Unit::MinutesDifference,
            values: waits(cohort, config.limit_minutes),
            level: config.level,
        },
        Outcome {
            id: "sentiment",
            label: "customer sentiment",
            unit: Unit::PointsDifference,
            values: cohort.sentiment_overall.clone(),
            level: config.judged_level(),
        },
    ];
    let mut blocks = vec![Block::Text(
        "AI and people do not get the same calls. Here each call counts against calls like it: same issue, queue, \
         language and time of day, as far as they are known. What nobody recorded is not adjusted for."
            .to_owned(),
    )];
    let replicated = bootstrapped(mix, &outcomes);
    let mut rows = Vec::new();
    let mut alarms: Vec<String> = partly_known(mix).into_iter().collect();
    for (outcome, replicated) in outcomes.iter().zip(replicated) {
        let (row, mut found) = adjust(report, mix, outcome, replicated);
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
    blocks.append(&mut overlap_blocks(report, mix));
    report.section("case-mix", "Like with like", true, blocks);
}

/// What calls are like: made once, used for every outcome and every part of the calls.
pub(super) struct Mix<'a> {
    cohort: &'a Cohort,
    config: &'a CompareConfig,
    covariates: Vec<Covariate>,
    cells: Cells,
    /// Why no two calls can be said to be alike, if so.
    unlike: Option<String>,
}

impl<'a> Mix<'a> {
    pub(super) fn new(cohort: &'a Cohort, config: &'a CompareConfig) -> Self {
        let rows: Vec<usize> = (0..cohort.len()).collect();
        let covariates = cohort.covariates(&config.covariates, &rows);
        let cells = Cells::new(rows.len(), &covariates);
        Self { cohort, config, covariates, cells, unlike: nothing_known(cohort, config) }
    }

    /// The doubly robust difference among the calls at `rows`, or why it is refused. What is the same for all of them
    /// takes no part.
    fn difference(
        &self,
        values: &[f64],
        rows: impl Iterator<Item = usize>,
        level: f64,
    ) -> Result<Option<Estimate>, String> {
        if let Some(reason) = &self.unlike {
            return Err(reason.clone());
        }
        let data = Data::new(self, values, rows);
        let propensity = data.propensity(self.config);
        if let Some(reason) = refusal(propensity.as_ref().map(|p| &p.support), self.config) {
            return Err(reason);
        }
        let found = propensity.and_then(|p| doubly_robust(&data.cells, &p, &data.sums, data.calls(), level));
        Ok(found.map(|a| a.difference))
    }

    /// The doubly robust difference among the calls at `rows` as a figure, or why there is none.
    pub(super) fn figure(
        &self,
        (label, unit, level): (&str, Unit, f64),
        values: &[f64],
        rows: &[usize],
    ) -> Figure {
        let [ai, human] = [true, false].map(|ai| {
            rows.iter().filter(|i| self.cohort.ai[**i] == ai && values[**i].is_finite()).count() as f64
        });
        let method = "doubly robust (AIPW), influence function";
        let figure = match self.difference(values, rows.iter().copied(), level) {
            Ok(found) => Figure::estimate(label, unit, found, method),
            Err(reason) => Figure::estimate(label, unit, None, method).because(&reason),
        };
        figure.with("calls", ai + human).with("calls_ai", ai).with("calls_human", human).at_level(level)
    }

    /// The same among all calls.
    pub(super) fn figure_of_all(&self, asked: (&str, Unit, f64), values: &[f64]) -> Figure {
        self.figure(asked, values, &(0..self.cohort.len()).collect::<Vec<_>>())
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
struct Data {
    rows: Vec<usize>,
    treated: Vec<bool>,
    values: Vec<f64>,
    clusters: RowClusters,
    cells: Cells,
    sums: ArmSums,
}

impl Data {
    fn new(mix: &Mix, values: &[f64], rows: impl Iterator<Item = usize>) -> Self {
        let rows: Vec<usize> = rows.filter(|i| values[*i].is_finite()).collect();
        let treated: Vec<bool> = rows.iter().map(|i| mix.cohort.ai[*i]).collect();
        let values: Vec<f64> = rows.iter().map(|i| values[*i]).collect();
        let cells = mix.cells.part(&rows);
        let sums = ArmSums::new(&cells, &treated, &values);
        let clusters = RowClusters::of(mix.cohort, &rows);
        Self { rows, treated, values, clusters, cells, sums }
    }

    fn calls(&self) -> Calls<'_> {
        Calls { treated: &self.treated, outcome: &self.values, clusters: self.clusters.get() }
    }

    fn propensity(&self, config: &CompareConfig) -> Option<Propensity> {
        Propensity::fit(&self.cells, &self.sums, config.trim)
    }
}

/// The doubly robust differences with the bootstrap's intervals, all outcomes from the same replicates.
fn bootstrapped(mix: &Mix, outcomes: &[Outcome; 3]) -> [Option<Estimate>; 3] {
    let Mix { cohort, config, cells, .. } = mix;
    if cells.len() * config.replicates as usize > BOOTSTRAP_FITS {
        return [None; 3];
    }
    let bootstrap = Bootstrap { replicates: config.replicates, seed: config.seed };
    let values = [0, 1, 2].map(|outcome: usize| &outcomes[outcome].values[..]);
    let levels = [0, 1, 2].map(|outcome: usize| outcomes[outcome].level);
    doubly_robust_bootstrap(cells, &cohort.ai, values, &cohort.customer, config.trim, bootstrap, levels)
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
fn partly_known(mix: &Mix) -> Option<String> {
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
        100.0 * ai,
        100.0 * human,
        100.0 * config.least_support
    ))
}

fn adjust(
    report: &mut Report,
    mix: &Mix,
    outcome: &Outcome,
    replicated: Option<Estimate>,
) -> (Vec<String>, Vec<String>) {
    let (level, config) = (outcome.level, mix.config);
    let raw = difference(mix.cohort, &outcome.values, level);
    let [ai, human] = counts(mix.cohort, &outcome.values);
    let data = Data::new(mix, &outcome.values, 0..mix.cohort.len());
    let propensity = data.propensity(config);
    let refused = mix.unlike.clone().or_else(|| refusal(propensity.as_ref().map(|p| &p.support), config));
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
            .with("calls_ai", ai)
            .with("calls_human", human)
            .at_level(level);
        match (estimate, &refused) {
            (None, Some(reason)) if id != "raw" => figure = figure.because(reason),
            (None, None) if id == "adjusted_bootstrap" => {
                figure =
                    figure.because("too few customers, or more kinds of call than a bootstrap is made of");
            }
            _ => {}
        }
        cells.push(report.figure(&format!("{}_difference_{id}", outcome.id), figure));
    };
    put("raw", raw, "difference of means, clusters of customers and agents");
    put("standardised", estimates[0], "direct standardisation over strata");
    put("weighted", estimates[1], "inverse propensity, normalised and trimmed");
    put("adjusted", estimates[2], "doubly robust (AIPW), influence function");
    put("adjusted_bootstrap", estimates[3], "doubly robust (AIPW), bootstrap by customer");
    let spread = spread(&data.values);
    let e_value = estimates[2].and_then(|e| e_value_of_difference(&e, spread));
    let label = format!("E-value of the adjusted difference in {}: interval's end", outcome.label);
    let figure = match e_value {
        Some(e) => {
            Figure::exact(&label, Unit::Number, e.interval, "VanderWeele & Ding").with("estimate", e.estimate)
        }
        None => Figure::estimate(&label, Unit::Number, None, "VanderWeele & Ding"),
    };
    let figure = figure.with("standard_deviation", spread).with("calls", data.rows.len() as f64);
    cells.push(report.figure(&format!("{}_e_value", outcome.id), figure));
    let mut alarms = Vec::new();
    alarms.extend(refused.map(|why| format!("The adjusted comparison is refused: {why}.")));
    if let (Some(raw), Some(adjusted)) = (raw, estimates[2]) {
        alarms.extend(alarm(outcome, direction(&raw, &adjusted)));
    }
    if outcome.id == "sentiment"
        && let Some(shown) = report.figures.get("sentiment_difference_adjusted")
    {
        let figure =
            Figure::verdict("sentiment against the margin, adjusted", shown, config.sentiment_margin);
        report.figure("sentiment_verdict_adjusted", figure);
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
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
}

fn overlap_blocks(report: &mut Report, mix: &Mix) -> Vec<Block> {
    let data = Data::new(mix, &resolved(mix.cohort), 0..mix.cohort.len());
    let Some(propensity) = data.propensity(mix.config) else { return Vec::new() };
    let totals = [data.sums.total(0), data.sums.total(1)];
    let support = &propensity.support;
    let mut number = |id: &str, label: &str, unit: Unit, value: f64| {
        let figure = Figure::exact(label, unit, value, "propensity model on main effects");
        let figure = figure.with("calls_human", totals[0]).with("calls_ai", totals[1]);
        report.figure(id, figure.with("kinds_of_call", data.cells.len() as f64))
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
    let (rows, unbalanced) = balance_rows(report, mix, &data, support);
    let count = rows.len();
    let shown = count.min(BALANCE_ROWS);
    let cut = if shown < count { format!(" of the {shown} that differ most") } else { String::new() };
    let text = format!(
        "{ai} of AI's calls and {human} of people's have calls like them in the other arm; after weighting they count as much \
         as {} and {} calls. Concordance of who gets which calls: {concordance} (0.5: alike; 1: no mixing). {unbalanced} of \
         {} characteristics differ by more than {IMBALANCE} standard deviations after weighting. Those of fewer than {RARE_CALLS} \
         calls are taken together.",
        effective[0], effective[1], count
    );
    vec![
        Block::Text(text),
        Block::Table {
            caption: format!("Balance: standardised mean differences{cut}"),
            columns: ["", "AI", "people", "before", "after weighting"].map(str::to_owned).to_vec(),
            rows: rows.into_iter().take(shown).collect(),
        },
    ]
}

/// The balance of every characteristic, the most unlike first, and how many are unbalanced after weighting.
fn balance_rows(report: &mut Report, mix: &Mix, data: &Data, support: &Support) -> (Vec<Vec<String>>, usize) {
    let mut table = balance(&data.cells, &mix.covariates, &data.sums, support);
    table.sort_by(|a, b| b.before.abs().total_cmp(&a.before.abs()));
    let rows = table.iter().enumerate().map(|(place, b)| {
        let label = format!("{}: {}", b.covariate, b.level);
        let mut cells = vec![plain_words(&label)];
        for (what, unit, value) in [
            ("share of AI's calls", Unit::Share, b.treated),
            ("share of people's calls", Unit::Share, b.control),
            ("standardised difference before", Unit::Number, b.before),
            ("standardised difference after weighting", Unit::Number, b.after),
        ] {
            let figure = Figure::exact(&format!("{label}: {what}"), unit, value, "balance of case mix")
                .with("calls_human", data.sums.total(0))
                .with("calls_ai", data.sums.total(1));
            let id = format!("balance_{place}_{}", cells.len());
            cells.push(report.figure(&id, figure));
        }
        cells
    });
    (rows.collect(), table.iter().filter(|b| b.after.abs() > IMBALANCE).count())
}
