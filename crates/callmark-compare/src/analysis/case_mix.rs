//! Like with like: differences at equal case mix, or a refusal.

use super::difference::{Kind, difference, or_broken_off, too_little};
use super::mix::{Data, Mix, partly_known};
use super::{counts, resolved, waits};
use crate::cohort::RARE_CALLS;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::bootstrap::Bootstrap;
use crate::stats::doubly_robust::doubly_robust_bootstrap;
use crate::stats::estimate::Estimate;
use crate::stats::sensitivity::{Direction, direction, e_value_of_difference};
use crate::stats::standardise::standardise;
use crate::stats::weighting::{Adjusted, Support, balance, inverse_propensity};

/// Standardised differences beyond this are imbalance (Austin 2009).
const IMBALANCE: f64 = 0.1;
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
    /// Whether it shows at a call's end.
    at_end: bool,
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
            at_end: true,
            level: config.level,
        },
        Outcome {
            id: "minutes",
            label: "minutes until settled",
            unit: Unit::MinutesDifference,
            values: waits(cohort, config.limit_minutes),
            at_end: true,
            level: config.level,
        },
        Outcome {
            id: "sentiment",
            label: "customer sentiment",
            unit: Unit::PointsDifference,
            values: cohort.sentiment_overall.clone(),
            at_end: false,
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

/// An outcome at equal case mix: standardised, weighted, doubly robust, and that with the bootstrap's interval.
type Ways = [Result<Estimate, String>; 4];

/// All ways, or the one reason why none.
fn ways(mix: &Mix, outcome: &Outcome, replicated: Option<Estimate>) -> Ways {
    let level = outcome.level;
    let fit = match mix.fit(&outcome.values, 0..mix.cohort.len()) {
        Ok(fit) => fit,
        Err(reason) => return std::array::from_fn(|_| Err(reason.clone())),
    };
    let (data, propensity) = (&fit.data, &fit.propensity);
    let kind = Kind::of(outcome.unit);
    let told = |found: Option<&Adjusted>| {
        let estimate = found.and_then(|found| fit.difference(found, kind, level));
        estimate.ok_or_else(|| "too few calls or customers to tell".to_owned())
    };
    let robust = fit.adjusted(level);
    let bootstrapped = match (&robust, replicated) {
        (Some(robust), Some(replicated)) if robust.varies() => {
            Ok(replicated.widened(robust.beyond_customers))
        }
        (Some(robust), Some(_)) if !robust.varies() => Err("all values of an arm are alike".to_owned()),
        _ => Err("too few customers, or more kinds of call than a bootstrap is made of".to_owned()),
    };
    [
        told(standardise(&data.cells, &data.sums, data.calls(), level).as_ref()),
        told(inverse_propensity(&data.cells, propensity, &data.sums, data.calls(), level).as_ref()),
        told(robust.as_ref()),
        bootstrapped,
    ]
}

fn adjust(
    report: &mut Report,
    mix: &Mix,
    outcome: &Outcome,
    replicated: Option<Estimate>,
) -> (Vec<String>, Vec<String>) {
    let (level, config) = (outcome.level, mix.config);
    let raw = difference(mix.cohort, &outcome.values, Kind::of(outcome.unit), level);
    let [ai, human] = counts(mix.cohort, &outcome.values);
    let why = |reason: String| {
        if outcome.at_end { or_broken_off(mix.cohort, &outcome.values, reason) } else { reason }
    };
    let raw = raw.map_err(why);
    let found = ways(mix, outcome, replicated).map(|estimate| estimate.map_err(why));
    let mut cells = vec![outcome.label.to_owned()];
    let mut put = |id: &str, estimate: &Result<Estimate, String>, method: &str| {
        let label = format!("difference in {}, {id}", outcome.label);
        let figure = Figure::told(&label, outcome.unit, estimate.clone(), method)
            .with("calls", ai + human)
            .with("calls_ai", ai)
            .with("calls_human", human)
            .at_level(level);
        cells.push(report.figure(&format!("{}_difference_{id}", outcome.id), figure));
    };
    put("raw", &raw, Kind::of(outcome.unit).method());
    put("standardised", &found[0], "direct standardisation over strata");
    put("weighted", &found[1], "inverse propensity, normalised and trimmed");
    put("adjusted", &found[2], "doubly robust (AIPW), influence function");
    put(
        "adjusted_bootstrap",
        &found[3],
        "doubly robust (AIPW), bootstrap by customer, widened by what agents add to the error",
    );
    let known: Vec<f64> = outcome.values.iter().copied().filter(|value| value.is_finite()).collect();
    let spread = spread(&known);
    let adjusted = found[2].as_ref().ok().filter(|e| e.has_interval());
    let e_value = adjusted.and_then(|e| e_value_of_difference(e, spread));
    let label = format!("E-value of the adjusted difference in {}: interval's end", outcome.label);
    let figure = match e_value {
        Some(e) => {
            Figure::exact(&label, Unit::Number, e.interval, "VanderWeele & Ding").with("estimate", e.estimate)
        }
        None => Figure::estimate(&label, Unit::Number, None, "VanderWeele & Ding"),
    };
    let figure = figure.with("standard_deviation", spread).with("calls", ai + human);
    cells.push(report.figure(&format!("{}_e_value", outcome.id), figure));
    let mut alarms = Vec::new();
    if let Err(why) = &found[2] {
        let few = too_little(&mix.cohort.customer, &mix.cohort.ai, &outcome.values).is_some();
        alarms.push(if few {
            format!("The arms cannot be compared in {}: {why}.", outcome.label)
        } else {
            format!("The adjusted comparison is refused: {why}.")
        });
    }
    if let (Ok(raw), Some(adjusted)) = (&raw, adjusted) {
        alarms.extend(alarm(outcome, direction(raw, adjusted)));
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
