//! The right to a person: of those who ask for one, who reaches one, and how soon.

use super::{mean, resolution::share};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Plot, Report, Series, Unit};
use crate::stats::bootstrap::{Bootstrap, Units, summarise};
use crate::stats::curves::{BootstrapCurve, CurveAnswers, CurveQuestions, OrderedCalls, bootstrap_curves};
use crate::stats::estimate::Estimate;
use crate::stats::margin::{Verdict, verdict};

/// Moments looked at, seconds.
const SECONDS: [i64; 5] = [30, 60, 120, 180, 300];
/// Quantiles of the time until a person speaks.
const QUANTILES: [f64; 2] = [0.5, 0.9];
/// Steps of the curve.
const GRID: usize = 120;
const METHOD: &str = "share of requests, bootstrap by customer";

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let asked: Vec<usize> = (0..cohort.len()).filter(|i| cohort.human_requests[*i] > 0).collect();
    if asked.is_empty() {
        return;
    }
    let end = SECONDS[SECONDS.len() - 1] as f64;
    let grid: Vec<f64> = (0..=GRID).map(|i| end * i as f64 / GRID as f64).collect();
    let curves = curves(cohort, config, &asked, &grid);
    let within = |i: usize, seconds: i64| {
        if cohort.human_requests[i] == 0 {
            return f64::NAN;
        }
        f64::from((0..=seconds * 1000).contains(&cohort.time_to_human[i]))
    };
    let mut rows = Vec::new();
    for seconds in SECONDS {
        let outcome: Vec<f64> = (0..cohort.len()).map(|i| within(i, seconds)).collect();
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
            let figure = Figure::estimate(&label, Unit::Number, found, METHOD).at_level(config.level);
            let figure = if told { figure } else { figure.because("so many never reach one") };
            let id = format!("seconds_to_human_{:.0}_{arm}", 100.0 * quantile);
            cells.push(report.figure(&id, figure));
        }
        rows.push(cells);
    }
    let series = ["AI first", "people first"].iter().zip(&curves).filter_map(|(name, curve)| {
        let points = grid
            .iter()
            .zip(curve.as_ref()?.band(config.level))
            .map(|(t, e)| (*t, 100.0 * e.value, 100.0 * e.low, 100.0 * e.high));
        Some(Series { name: (*name).to_owned(), points: points.collect(), steps: true })
    });
    let blocks = vec![
        target(cohort, config, &(0..cohort.len()).map(|i| within(i, config.honoured_within_seconds)).collect::<Vec<_>>()),
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
fn curves(
    cohort: &Cohort,
    config: &CompareConfig,
    asked: &[usize],
    grid: &[f64],
) -> [Option<BootstrapCurve>; 2] {
    let customers: Vec<u32> = asked.iter().map(|i| cohort.customer[*i]).collect();
    let units = Units::new(&customers);
    let ordered = [true, false].map(|ai| {
        let own: Vec<usize> = (0..asked.len()).filter(|a| cohort.ai[asked[*a]] == ai).collect();
        let reached = |a: usize| cohort.time_to_human[asked[a]];
        let time = |a: usize| if reached(a) >= 0 { reached(a) as f64 / 1000.0 } else { f64::MAX };
        let times: Vec<f64> = own.iter().map(|a| time(*a)).collect();
        let causes: Vec<u8> = own.iter().map(|a| if reached(*a) >= 0 { 1 } else { 2 }).collect();
        let of: Vec<u32> = own.iter().map(|a| units.of_call[*a]).collect();
        OrderedCalls::new(&times, &causes, &of, &[true, false])
    });
    let limit = grid[grid.len() - 1];
    let questions = CurveQuestions { grid, quantiles: &QUANTILES, limit };
    let bootstrap = Bootstrap { replicates: config.replicates, seed: config.seed };
    bootstrap_curves(&ordered, units.count, questions, bootstrap)
}

fn quantile_of(curve: Option<&BootstrapCurve>, place: usize, level: f64) -> Option<Estimate> {
    let curve = curve?;
    let value = curve.answers.quantiles[place];
    let replicates = curve.each(|r: &CurveAnswers| r.quantiles[place]);
    value.is_finite().then(|| summarise(value, &replicates, level)).flatten()
}

/// Whether the profile's share of requests is honoured in time in AI's arm.
fn target(cohort: &Cohort, config: &CompareConfig, in_time: &[f64]) -> Block {
    let wanted = config.honoured_share;
    let found = mean(cohort, in_time, true, config.level).estimate;
    let profile = format!(
        "The profile asks that {:.0} % of those who ask hear a person within {} s. Of AI's calls {{{{honoured_in_time_ai}}}} do",
        100.0 * wanted,
        config.honoured_within_seconds
    );
    match found.map(|e| verdict(e.low - wanted, e.high - wanted, f64::MIN_POSITIVE)) {
        Some(Verdict::Worse) => Block::Alarm(format!("{profile}: the profile is not met.")),
        Some(Verdict::Better) => Block::Text(format!("{profile}: the profile is met.")),
        _ => Block::Text(format!("{profile}: these data cannot tell whether the profile is met.")),
    }
}
