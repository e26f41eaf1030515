//! The work of how many people: a range, with its formula and its inputs.
//!
//! posts = calls a week × (minutes a person would take + after-call minutes - minutes people still spend) / 60
//!         / concurrency / (hours a week × (1 - shrinkage) × occupancy)

use super::{known, rows_of};
use crate::cohort::Cohort;
use crate::config::{CompareConfig, FteConfig};
use crate::report::{Block, Figure, Plot, Report, Series, Unit, thousands};

const WEEK_MS: f64 = 7.0 * 86_400_000.0;

/// Full-time posts for `hours` of talking a week.
fn posts(hours: f64, concurrency: f64, hours_per_week: f64, shrinkage: f64, occupancy: f64) -> f64 {
    hours / concurrency / (hours_per_week * (1.0 - shrinkage) * occupancy)
}

/// Hours a week that AI took off people, for so many minutes of after-call work.
fn hours_saved(calls_a_week: f64, human_minutes: f64, still_human: f64, after_call: f64) -> f64 {
    calls_a_week * (human_minutes + after_call - still_human).max(0.0) / 60.0
}

#[allow(clippy::too_many_lines, reason = "one line a figure of the section")]
pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let fte = &config.fte;
    let (ai_rows, human_rows) = (rows_of(cohort, true), rows_of(cohort, false));
    let (human, _) = known(&cohort.human_minutes, &human_rows);
    let (after, _) = known(&cohort.human_minutes, &ai_rows);
    let times: Vec<i64> = ai_rows.iter().map(|i| cohort.started_at[*i]).filter(|t| *t != i64::MIN).collect();
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return };
    // Less than a week of calls is not stretched to one.
    let weeks = ((last - first) as f64 / WEEK_MS).max(1.0);
    if human.is_empty() || after.is_empty() {
        let text =
            "Not told: handler segments, from which people's minutes are counted, are missing.".to_owned();
        report.section("fte", "The work of how many people", false, vec![Block::Text(text)]);
        return;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (per_call, still, calls) = (mean(&human), mean(&after), ai_rows.len() as f64 / weeks);
    let at = |occupancy: f64, shrinkage: f64, concurrency: f64, after_call: f64| {
        let hours = hours_saved(calls, per_call, still, after_call);
        posts(hours, concurrency, fte.hours_per_week, shrinkage, occupancy)
    };
    let low = at(fte.occupancy.1, fte.shrinkage.0, fte.concurrency.1, fte.after_call_minutes.0);
    let high = at(fte.occupancy.0, fte.shrinkage.1, fte.concurrency.0, fte.after_call_minutes.1);
    let middle = middle(fte, at);
    let mut figure = Figure::exact(
        "full-time posts that AI's calls stand for",
        Unit::Number,
        middle,
        "formula, range of assumptions",
    )
    .with("calls_a_week", calls)
    .with("minutes_a_person_takes", per_call)
    .with("minutes_people_still_spend", still);
    (figure.low, figure.high) = (Some(low), Some(high));
    let text = report.figure("fte", figure);
    let series = Series {
        name: "posts".to_owned(),
        points: (0..=20)
            .map(|i| {
                let occupancy = 0.5 + 0.025 * f64::from(i);
                let of = |shrinkage: f64, after: f64| {
                    at(occupancy, shrinkage, f64::midpoint(fte.concurrency.0, fte.concurrency.1), after)
                };
                let (low, high) = (
                    of(fte.shrinkage.0, fte.after_call_minutes.0),
                    of(fte.shrinkage.1, fte.after_call_minutes.1),
                );
                (occupancy, f64::midpoint(low, high), low, high)
            })
            .collect(),
        steps: false,
    };
    let blocks = vec![
        Block::Text(format!(
            "AI's calls stand for the work of {text} full-time posts. The range is that of the assumptions, not of chance: \
             occupancy {}, shrinkage {}, concurrency {}, minutes of work after a call {}, hours a week {}.",
            words(fte.occupancy),
            words(fte.shrinkage),
            words(fte.concurrency),
            words(fte.after_call_minutes),
            fte.hours_per_week
        )),
        Block::Text(format!(
            "Formula: calls a week ({}) \u{d7} (minutes a person takes, {per_call:.2}, plus after-call minutes, less minutes \
             people still spend on AI's calls, {still:.2}) / 60 / concurrency / (hours a week \u{d7} (1 - shrinkage) \u{d7} occupancy). \
             It takes AI's calls to be as long for people as theirs are: see \"Like with like\".",
            thousands(calls)
        )),
        Block::Plot(Plot {
            caption: "Posts by occupancy; the band is the range of shrinkage and after-call work".to_owned(),
            x: "occupancy".to_owned(),
            y: "posts".to_owned(),
            series: vec![series],
        }),
    ];
    report.section("fte", "The work of how many people", false, blocks);
}

/// A range, or the one value that it holds.
fn words((low, high): (f64, f64)) -> String {
    if low < high { format!("{low} to {high}") } else { format!("{low}") }
}

fn middle(fte: &FteConfig, at: impl Fn(f64, f64, f64, f64) -> f64) -> f64 {
    let of = |range: (f64, f64)| f64::midpoint(range.0, range.1);
    at(of(fte.occupancy), of(fte.shrinkage), of(fte.concurrency), of(fte.after_call_minutes))
}
