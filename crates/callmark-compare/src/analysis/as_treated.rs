//! By who really handled the call, beside by who took it first: to be read, not to be concluded from. AI hands the calls over
//! that go badly, so the calls it keeps look better than it is.

use super::{Kind, difference, difference_between, mean_of, resolved, waits};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::proportion::wilson_clustered;

const METHOD: &str = "mean, clusters of customers and agents";

/// Calls that AI handled alone, that it handed over, that a person took.
const KINDS: [(&str, &str); 3] =
    [("ai_alone", "AI alone"), ("ai_then_person", "AI, then a person"), ("person_first", "a person first")];

/// Which of [`KINDS`] a call is; `None` where it is not known whether a person took over.
fn kind(cohort: &Cohort, i: usize) -> Option<usize> {
    match (cohort.ai[i], cohort.reached_human[i]) {
        (true, Some(false)) => Some(0),
        (true, Some(true)) => Some(1),
        (true, None) => None,
        (false, _) => Some(2),
    }
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let mut calls = vec!["calls".to_owned()];
    for (place, (id, words)) in KINDS.iter().enumerate() {
        let count = (0..cohort.len()).filter(|i| kind(cohort, *i) == Some(place)).count() as f64;
        let figure = Figure::exact(&format!("calls: {words}"), Unit::Count, count, "counted");
        calls.push(report.figure(&format!("calls_{id}"), figure));
    }
    calls.extend([String::new(), String::new()]);
    let settled = [Unit::Share, Unit::ShareDifference];
    let minutes = [Unit::Minutes, Unit::MinutesDifference];
    let points = [Unit::Points, Unit::PointsDifference];
    let waits = waits(cohort, config.limit_minutes);
    let rows = vec![
        calls,
        row(report, cohort, config, ("resolved", "share settled"), settled, &resolved(cohort)),
        row(report, cohort, config, ("minutes", "minutes until settled"), minutes, &waits),
        row(report, cohort, config, ("sentiment", "customer sentiment"), points, &cohort.sentiment_overall),
    ];
    let columns = [
        "",
        "AI alone",
        "AI, then a person",
        "a person first",
        "difference, as treated",
        "difference, by first handler",
    ];
    let blocks = vec![
        Block::Text(
            "Everything else in this report counts a call for whoever took it first. Below, calls that AI handed over stand \
             by themselves. The difference \"as treated\" sets calls that AI handled alone against all others: it flatters AI, \
             which hands over what goes badly, and is shown because others quote it."
                .to_owned(),
        ),
        Block::Table {
            caption: "By who handled the call".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
        },
    ];
    report.section("as-treated", "Who really handled the call", false, blocks);
}

/// One outcome by kind of call, and both differences.
fn row(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    (id, label): (&str, &str),
    [unit, difference_unit]: [Unit; 2],
    values: &[f64],
) -> Vec<String> {
    let level = config.level;
    let mut cells = vec![label.to_owned()];
    for (place, (name, words)) in KINDS.iter().enumerate() {
        let found = mean_of(cohort, values, |i| kind(cohort, i) == Some(place), level);
        let of_share = |e: crate::stats::estimate::Estimate| {
            wilson_clustered(found.sum.clamp(0.0, found.calls), found.calls, e.standard_error, level)
        };
        let shares = unit == Unit::Share;
        let estimate = if shares { found.estimate.and_then(of_share) } else { found.estimate };
        let figure = Figure::estimate(&format!("{label}, {words}"), unit, estimate, METHOD)
            .with("calls", found.calls)
            .at_level(level);
        cells.push(report.figure(&format!("{id}_{name}"), figure));
    }
    let alone: Vec<bool> = (0..cohort.len()).map(|i| kind(cohort, i) == Some(0)).collect();
    let told: Vec<f64> =
        (0..cohort.len()).map(|i| if kind(cohort, i).is_some() { values[i] } else { f64::NAN }).collect();
    let of = Kind::of(difference_unit);
    let estimates = [
        ("as_treated", &alone, &told[..], difference_between(cohort, &alone, &told, of, level)),
        ("by_first_handler", &cohort.ai, values, difference(cohort, values, of, level)),
    ];
    for (name, first, values, estimate) in estimates {
        let label = format!("difference in {label}, {}", name.replace('_', " "));
        let told = |own: bool| first.iter().zip(values).filter(|(f, v)| **f == own && v.is_finite()).count();
        let figure = Figure::told(&label, difference_unit, estimate, of.method())
            .with("calls_first", told(true) as f64)
            .with("calls_others", told(false) as f64)
            .at_level(level);
        cells.push(report.figure(&format!("{id}_difference_{name}"), figure));
    }
    cells
}
