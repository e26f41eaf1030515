//! The right to a person: of those who ask for one, who reaches one, and how soon.

use super::Observed;
use super::resolution::{banded, share};
use super::waiting;
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Plot, Report, Unit};
use crate::stats::bootstrap::summarise;
use crate::stats::curves::{BootstrapCurve, CurveAnswers, CurveQuestions};
use crate::stats::estimate::Estimate;

/// Moments looked at, seconds.
const SECONDS: [i64; 5] = [30, 60, 120, 180, 300];
/// Quantiles of the time until a person speaks.
const QUANTILES: [f64; 2] = [0.5, 0.9];
/// Steps of the curve.
const GRID: usize = 120;
const METHOD: &str = "share of requests, bootstrap by customer, widened by what agents add to the error";

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let asked: Vec<usize> = (0..cohort.len()).filter(|i| cohort.human_requests[*i] > 0).collect();
    if asked.is_empty() {
        return;
    }
    let end = SECONDS[SECONDS.len() - 1] as f64;
    let grid: Vec<f64> = (0..=GRID).map(|i| end * i as f64 / GRID as f64).collect();
    let curves = curves(cohort, config, &grid);
    let mut rows = Vec::new();
    for seconds in SECONDS {
        let outcome = within(cohort, Some(seconds));
        let mut cells = vec![format!("a person speaks within {seconds} s")];
        for (arm, ai) in [("ai", true), ("human", false)] {
            let id = format!("human_within_{seconds}s_{arm}");
            cells.push(share(report, &id, cohort, &outcome, ai, config.level));
        }
        rows.push(cells);
    }
    for (place, quantile) in QUANTILES.iter().enumerate() {
        let mut cells = vec![format!("seconds until {:.0} % of them hear one", 100.0 * quantile)];
        for (arm, curve) in ["ai", "human"].iter().zip(&curves) {
            let label = format!("seconds until a person speaks, {:.0} % of requests", 100.0 * quantile);
            let found = quantile_of(curve.as_ref(), place, config.level);
            let told = found.is_some();
            let own = asked.iter().filter(|i| cohort.ai[**i] == (*arm == "ai")).count() as f64;
            let figure = Figure::estimate(&label, Unit::Number, found, METHOD).at_level(config.level);
            let figure = figure.with("requests", own);
            let reason = "so many never reach one, or recordings break off before";
            let figure = if told { figure } else { figure.because(reason) };
            let id = format!("seconds_to_human_{:.0}_{arm}", 100.0 * quantile);
            cells.push(report.figure(&id, figure));
        }
        rows.push(cells);
    }
    let series = ["AI first", "people first"]
        .iter()
        .zip(&curves)
        .filter_map(|(name, curve)| Some(banded(name, curve.as_ref()?, &grid, config.level)));
    let blocks = vec![
        target(report, config),
        Block::Table {
            caption: "Of calls in which the customer asks for a person, from the first request".to_owned(),
            columns: ["", "AI first", "people first"].map(str::to_owned).to_vec(),
            rows,
        },
        Block::Plot(Plot {
            caption: "Requests for a person after which one speaks within so many seconds, with bands that hold the whole curve"
                .to_owned(),
            x: "seconds since the first request".to_owned(),
            y: "% of requests".to_owned(),
            series: series.collect(),
        }),
    ];
    report.section("human-access", "Do those who ask reach a person", false, blocks);
}

/// Calls in which a person was asked for: reaching one is the event, never reaching one is being left without.
fn curves(cohort: &Cohort, config: &CompareConfig, grid: &[f64]) -> [Option<BootstrapCurve>; 2] {
    let ends = |i: usize| {
        let (reached, heard) = (cohort.time_to_human[i], cohort.heard_after_request[i].max(0));
        let end = match (reached >= 0, cohort.truncated[i]) {
            (true, _) => (reached as f64 / 1000.0, 1),
            (false, true) => (heard as f64 / 1000.0, 0),
            (false, false) => (f64::MAX, 2),
        };
        (cohort.human_requests[i] > 0).then_some(end)
    };
    let questions = CurveQuestions { grid, quantiles: &QUANTILES, limit: grid[grid.len() - 1] };
    waiting::curves(cohort, config, &[true, false], questions, ends)
}

fn quantile_of(curve: Option<&BootstrapCurve>, place: usize, level: f64) -> Option<Estimate> {
    let curve = curve?;
    let value = curve.answers.quantiles[place];
    let replicates = curve.each(|r: &CurveAnswers| r.quantiles[place]);
    value.is_finite().then(|| summarise(value, &replicates, level)).flatten()
}

/// Of calls in which the customer asks for a person, whether one spoke within so many seconds, or at all; not a number for
/// other calls. A recording that breaks off before does not tell.
pub(super) fn within(cohort: &Cohort, seconds: Option<i64>) -> Vec<f64> {
    let limit = seconds.map_or(i64::MAX, |seconds| seconds * 1000);
    let observed = Observed::new(cohort, |i| {
        let (reached, heard) = (cohort.time_to_human[i], cohort.heard_after_request[i].max(0));
        let followed = if reached >= 0 { reached } else { heard };
        let known = reached >= 0 || !cohort.truncated[i] || heard >= limit;
        (cohort.human_requests[i] > 0).then_some((followed.min(limit) as f64, known))
    });
    observed.values(|i| f64::from((0..=limit).contains(&cohort.time_to_human[i])))
}

/// Whether the profile's share of requests is honoured in time in AI's arm, by the interval that is shown.
fn target(report: &Report, config: &CompareConfig) -> Block {
    let wanted = config.honoured_share;
    let shown = report.figures.get("honoured_in_time_ai");
    let profile = format!(
        "The profile asks that {:.0} % of those who ask hear a person within {} s. Of AI's calls {{{{honoured_in_time_ai}}}} do",
        100.0 * wanted,
        config.honoured_within_seconds
    );
    match shown.and_then(|f| f.low.zip(f.high)) {
        Some((_, high)) if high < wanted => Block::Alarm(format!("{profile}: the profile is not met.")),
        Some((low, _)) if low >= wanted => Block::Text(format!("{profile}: the profile is met.")),
        _ => Block::Text(format!("{profile}: these data cannot tell whether the profile is met.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::mix::Mix;
    use crate::analysis::rates;

    /// The profile's verdict on so many requests of which so many are honoured.
    fn verdict(requests: usize, honoured: usize) -> Block {
        let cohort = Cohort {
            ai: vec![true; requests],
            customer: (0..requests as u32).collect(),
            agent: vec![u32::MAX; requests],
            human_requests: vec![1; requests],
            time_to_human: (0..requests).map(|i| if i < honoured { 5000 } else { -1 }).collect(),
            heard_after_request: vec![60_000; requests],
            truncated: vec![false; requests],
            ended: vec![crate::cohort::Ended::Resolved; requests],
            minutes: vec![1.0; requests],
            confidence: vec![1.0; requests],
            reached_human: vec![Some(true); requests],
            minutes_to_request: vec![0.5; requests],
            disclosed: vec![true; requests],
            deflections: vec![0; requests],
            follow_up: crate::cohort::FollowUp::of(&vec![(0, 0); requests], Vec::new()),
            ..Cohort::default()
        };
        let config = CompareConfig { covariates: Vec::new(), ..CompareConfig::default() };
        let mut report = Report::default();
        rates::add(&mut report, &cohort, &config, &Mix::new(&cohort, &config));
        target(&report, &config)
    }

    #[test]
    fn a_profile_is_met_or_missed_only_where_the_shown_interval_says_so() {
        let said = |block| match block {
            Block::Text(text) | Block::Alarm(text) => text,
            _ => String::new(),
        };
        assert!(said(verdict(2, 2)).contains("cannot tell"));
        assert!(said(verdict(500, 499)).contains("is met"));
        assert!(said(verdict(100, 50)).contains("is not met"));
    }

    #[test]
    fn a_recording_that_breaks_off_after_a_request_is_not_a_request_that_was_ignored() {
        let cohort = Cohort {
            ai: vec![true; 4],
            human_requests: vec![1; 4],
            time_to_human: vec![5000, 5000, -1, -1],
            heard_after_request: vec![9000, 9000, 60_000, 1000],
            truncated: vec![false, false, false, true],
            ..Cohort::default()
        };
        let found = within(&cohort, None);
        // Heard for a second only: the three others stand for it, two of which reach a person.
        assert!((found.iter().sum::<f64>() / 4.0 - 2.0 / 3.0).abs() < 1e-12, "{found:?}");
    }
}
