//! The work of how many people: a range, with its formula and its inputs.
//!
//! posts = calls a week × (minutes a person would take for such calls + after-call minutes - minutes people still spend -
//!         share handed over × after-call minutes) / 60 / concurrency / (hours a week × (1 - shrinkage) × occupancy)
//!
//! "Such calls" are AI's: where AI gets the easy ones, people would be quicker with them than with their own. So the
//! minutes are those of a model of people's calls on case mix, over AI's calls; where the arms do not overlap nobody knows
//! them, and there is no figure.

use super::mix::Mix;
use super::{known, rows_of, whole_calls};
use crate::cohort::Cohort;
use crate::config::{CompareConfig, FteConfig};
use crate::report::{Block, Figure, Plot, Report, Series, Unit, thousands};

const WEEK_MS: f64 = 7.0 * 86_400_000.0;

/// What is counted, not assumed.
#[derive(Debug, Clone, Copy)]
struct Work {
    calls_a_week: f64,
    /// Minutes that a person would take for a call that AI took.
    person: f64,
    /// Minutes that people still spend on one.
    still: f64,
    /// Share of them that a person takes over, and works on afterwards.
    handed_over: f64,
}

/// Full-time posts for `hours` of talking a week.
fn posts(hours: f64, concurrency: f64, hours_per_week: f64, shrinkage: f64, occupancy: f64) -> f64 {
    hours / concurrency / (hours_per_week * (1.0 - shrinkage) * occupancy)
}

impl Work {
    /// Hours a week that AI took off people, for so many minutes of after-call work; below 0 where it costs more than it
    /// takes off.
    fn hours_saved(&self, after_call: f64) -> f64 {
        let taken_off = self.person + after_call - self.still - self.handed_over * after_call;
        self.calls_a_week * taken_off / 60.0
    }

    /// Of the calls, or why it cannot be counted.
    fn of(cohort: &Cohort, mix: &Mix) -> Result<Self, String> {
        let rows = rows_of(cohort, true);
        let minutes = whole_calls(cohort, |i| cohort.human_minutes[i]);
        let (still, whole) = known(&minutes, &rows);
        let times: Vec<i64> = rows.iter().map(|i| cohort.started_at[*i]).filter(|t| *t != i64::MIN).collect();
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
            return Err("when AI's calls began is not known".to_owned());
        };
        if still.is_empty() && rows.iter().all(|i| cohort.truncated[*i]) {
            return Err(
                "all recordings of AI's calls break off, so that nobody knows how long people had them"
                    .to_owned(),
            );
        }
        if still.is_empty() {
            return Err("handler segments, from which people's minutes are counted, are missing".to_owned());
        }
        // Less than a week of calls is not stretched to one.
        let weeks = ((last - first) as f64 / WEEK_MS).max(1.0);
        let reached = whole.iter().filter(|i| cohort.reached_human[**i] == Some(true)).count() as f64;
        Ok(Self {
            calls_a_week: rows.len() as f64 / weeks,
            person: mix.on_calls_of_ai(&minutes)?,
            still: still.iter().sum::<f64>() / still.len() as f64,
            handed_over: reached / whole.len() as f64,
        })
    }
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let work = Work::of(cohort, mix);
    let text = report.figure("fte", figure(&work, cohort, &config.fte));
    let blocks = match &work {
        Ok(work) => {
            let costs = report.figures.get("fte").and_then(|f| f.value).is_some_and(|posts| posts < 0.0);
            explained(work, &config.fte, &text, costs)
        }
        Err(_) => vec![Block::Text(format!("How many posts AI's calls stand for is {text}."))],
    };
    report.section("fte", "The work of how many people", false, blocks);
}

/// Posts under one set of assumptions: occupancy, shrinkage, concurrency, after-call minutes.
fn at(work: &Work, fte: &FteConfig, [occupancy, shrinkage, concurrency, after_call]: [f64; 4]) -> f64 {
    posts(work.hours_saved(after_call), concurrency, fte.hours_per_week, shrinkage, occupancy)
}

/// The posts with all that they are made of, or why there are none.
fn figure(work: &Result<Work, String>, cohort: &Cohort, fte: &FteConfig) -> Figure {
    let label = "full-time posts that AI's calls stand for";
    let method = "formula, range of assumptions";
    let work = match work {
        Ok(work) => work,
        Err(reason) => {
            let figure = Figure::estimate(label, Unit::Number, None, method).because(reason);
            return figure.with("calls_ai", cohort.count(true) as f64);
        }
    };
    let ranges = [fte.occupancy, fte.shrinkage, fte.concurrency, fte.after_call_minutes];
    let middle = at(work, fte, ranges.map(|(low, high)| f64::midpoint(low, high)));
    let mut figure = Figure::exact(label, Unit::Number, middle, method)
        .with("calls_a_week", work.calls_a_week)
        .with("minutes_a_person_takes", work.person)
        .with("minutes_people_still_spend", work.still)
        .with("share_handed_over", work.handed_over)
        .with("hours_per_week", fte.hours_per_week);
    let names = ["occupancy", "shrinkage", "concurrency", "after_call_minutes"];
    for (name, (low, high)) in names.into_iter().zip(ranges) {
        figure = figure.with(&format!("{name}_low"), low).with(&format!("{name}_high"), high);
    }
    let (low, high) = ends(ranges, |assumed| at(work, fte, assumed));
    (figure.low, figure.high) = (Some(low), Some(high));
    figure
}

/// The smallest and the largest value at the ends of the ranges.
fn ends(ranges: [(f64, f64); 4], of: impl Fn([f64; 4]) -> f64) -> (f64, f64) {
    let corner = |number: usize| {
        let end = |place: usize| {
            let (low, high) = ranges[place];
            if number >> place & 1 == 0 { low } else { high }
        };
        of([end(0), end(1), end(2), end(3)])
    };
    let corners = || (0..16).map(corner);
    (corners().fold(f64::INFINITY, f64::min), corners().fold(f64::NEG_INFINITY, f64::max))
}

fn explained(work: &Work, fte: &FteConfig, text: &str, costs: bool) -> Vec<Block> {
    let concurrency = f64::midpoint(fte.concurrency.0, fte.concurrency.1);
    let point = |step: i32| {
        let occupancy = 0.5 + 0.025 * f64::from(step);
        let of = |shrinkage: f64, after: f64| at(work, fte, [occupancy, shrinkage, concurrency, after]);
        let (low, high) =
            (of(fte.shrinkage.0, fte.after_call_minutes.0), of(fte.shrinkage.1, fte.after_call_minutes.1));
        (occupancy, f64::midpoint(low, high), low.min(high), low.max(high))
    };
    let series = Series { name: "posts".to_owned(), points: (0..=20).map(point).collect(), steps: false };
    let stand = if costs {
        "AI's calls save no work, they cost some: below zero are posts that they take."
    } else {
        ""
    };
    let stand = format!("{stand} AI's calls stand for the work of");
    let stand = stand.trim_start();
    vec![
        Block::Text(format!(
            "{stand} {text} full-time posts. The range is that of the assumptions, not of chance: \
             occupancy {}, shrinkage {}, concurrency {}, minutes of work after a call {}, hours a week {}.",
            words(fte.occupancy),
            words(fte.shrinkage),
            words(fte.concurrency),
            words(fte.after_call_minutes),
            fte.hours_per_week
        )),
        Block::Text(format!(
            "Formula: calls a week ({}) \u{d7} (minutes a person would take for such calls, {:.2}, plus after-call minutes, less \
             minutes people still spend on AI's calls, {:.2}, and after-call minutes of the {:.1} % that are handed over) / 60 / \
             concurrency / (hours a week \u{d7} (1 - shrinkage) \u{d7} occupancy). The minutes a person would take are those of \
             people's calls at the case mix of AI's.",
            thousands(work.calls_a_week),
            work.person,
            work.still,
            100.0 * work.handed_over
        )),
        Block::Plot(Plot {
            caption: "Posts by occupancy; the band is the range of shrinkage and after-call work".to_owned(),
            x: "occupancy".to_owned(),
            y: "posts".to_owned(),
            series: vec![series],
        }),
    ]
}

/// A range, or the one value that it holds.
fn words((low, high): (f64, f64)) -> String {
    if low < high { format!("{low} to {high}") } else { format!("{low}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::{Coded, Ended};

    /// AI takes two of three easy calls and one of three hard ones; people need 4 and 10 minutes. Half of AI's calls are handed
    /// over, for 2 minutes.
    fn calls(overlap: bool) -> Cohort {
        let names = ["?", "easy", "hard"].map(str::to_owned).to_vec();
        let mut cohort = Cohort { issue: Coded { names, codes: Vec::new() }, ..Cohort::default() };
        for i in 0..1200u32 {
            let hard = i % 2 == 1;
            let ai = if overlap { (i / 2 % 3 == 0) == hard } else { !hard };
            let handed = ai && i / 6 % 2 == 0;
            cohort.issue.codes.push(1 + u16::from(hard));
            cohort.ai.push(ai);
            cohort.customer.push(i);
            cohort.agent.push(u32::MAX);
            cohort.started_at.push(i64::from(i) * 504_000);
            cohort.ended.push(Ended::Resolved);
            cohort.truncated.push(false);
            cohort.reached_human.push(Some(!ai || handed));
            let own = if hard { 10.0 } else { 4.0 };
            cohort.human_minutes.push(match (ai, handed) {
                (false, _) => own,
                (true, true) => 2.0,
                (true, false) => 0.0,
            });
        }
        cohort
    }

    fn config() -> CompareConfig {
        CompareConfig { covariates: vec!["issue".to_owned()], ..CompareConfig::default() }
    }

    #[test]
    fn people_s_minutes_are_those_of_ai_s_mix_and_handed_over_calls_cost_after_call_work_too() {
        let (calls, config) = (calls(true), config());
        let work = Work::of(&calls, &Mix::new(&calls, &config)).unwrap();
        // Two of three of AI's calls are easy: 4 × 2/3 + 10 × 1/3; people's own mix would say 8.
        assert!((work.person - 6.0).abs() < 1e-9, "{work:?}");
        assert!((work.still - 1.0).abs() < 0.1 && (work.handed_over - 0.5).abs() < 0.05, "{work:?}");
        let wanted = work.calls_a_week * (6.0 + 2.0 - work.still - 2.0 * work.handed_over) / 60.0;
        assert!((work.hours_saved(2.0) - wanted).abs() < 1e-9);
    }

    #[test]
    fn posts_below_zero_are_said_to_be_a_cost() {
        let mut calls = calls(true);
        // People spend longer on what AI hands over than they would on the whole call.
        for (minutes, ai) in calls.human_minutes.iter_mut().zip(&calls.ai) {
            *minutes += if *ai { 20.0 } else { 0.0 };
        }
        let (mut report, config) = (Report::default(), config());
        add(&mut report, &calls, &config, &Mix::new(&calls, &config));
        assert!(report.figures["fte"].value.unwrap() < 0.0);
        let said = |text: &str| {
            let blocks = &report.sections[0].blocks;
            blocks.iter().any(|block| matches!(block, Block::Text(own) if own.contains(text)))
        };
        assert!(said("save no work, they cost some"));
    }

    #[test]
    fn without_overlap_there_are_no_posts() {
        let (mut report, calls, config) = (Report::default(), calls(false), config());
        add(&mut report, &calls, &config, &Mix::new(&calls, &config));
        let figure = &report.figures["fte"];
        assert!(figure.value.is_none() && figure.text().contains("no overlap"), "{figure:?}");
    }
}
