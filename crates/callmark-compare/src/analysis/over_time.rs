//! Week by week, segment by segment, and before and after a roll-out.

use super::{difference, known, mean, resolved, rows_of};
use crate::cohort::{Coded, Cohort};
use crate::config::{CompareConfig, day_of};
use crate::report::{Block, Figure, Plot, Report, Series, Unit};
use crate::stats::differences::{GroupPeriod, roll_out};
use crate::stats::multiplicity::{benjamini_hochberg, holm};
use std::collections::BTreeMap;

const WEEK_MS: i64 = 7 * 86_400_000;
/// 1970-01-05, a Monday.
const FIRST_MONDAY_MS: i64 = 4 * 86_400_000;
/// Segments and weeks with fewer calls in an arm are not shown.
const LEAST_CALLS: usize = 20;

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let outcome = resolved(cohort);
    let mut blocks = Vec::new();
    let weeks: Vec<Option<i32>> = cohort
        .started_at
        .iter()
        .map(|t| (*t != i64::MIN).then(|| (t - FIRST_MONDAY_MS).div_euclid(WEEK_MS) as i32))
        .collect();
    blocks.extend(weekly(cohort, config, &outcome, &weeks));
    blocks.extend(segments(report, cohort, config, &outcome, "issue", &cohort.issue));
    blocks.extend(segments(report, cohort, config, &outcome, "language", &cohort.language));
    blocks.extend(rolled_out(report, cohort, config, &outcome, &weeks));
    report.section("over-time", "Over time, and for whom", false, blocks);
}

fn weekly(cohort: &Cohort, config: &CompareConfig, outcome: &[f64], weeks: &[Option<i32>]) -> Option<Block> {
    let first = weeks.iter().flatten().min()?;
    let series = |ai: bool, name: &str| {
        let mut by_week: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for row in rows_of(cohort, ai) {
            if let Some(week) = weeks[row] {
                by_week.entry(week).or_default().push(row);
            }
        }
        let points =
            by_week.iter().filter(|(_, rows)| rows.len() >= LEAST_CALLS).filter_map(|(week, rows)| {
                let (values, rows) = known(outcome, rows);
                let e = mean(cohort, &values, &rows, config.level)?;
                Some((
                    f64::from(week - first + 1),
                    100.0 * e.value,
                    100.0 * e.low.max(0.0),
                    100.0 * e.high.min(1.0),
                ))
            });
        Series { name: name.to_owned(), points: points.collect(), steps: false }
    };
    Some(Block::Plot(Plot {
        caption: "Share of calls settled, by week, with intervals (not adjusted for case mix)".to_owned(),
        x: "week".to_owned(),
        y: "% settled".to_owned(),
        series: vec![series(true, "AI first"), series(false, "people first")],
    }))
}

fn segments(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    outcome: &[f64],
    name: &str,
    coded: &Coded,
) -> Option<Block> {
    let mut found = Vec::new();
    for (code, level) in coded.names.iter().enumerate() {
        let inside = |i: usize| usize::from(coded.codes[i]) == code;
        let count = |ai: bool| (0..cohort.len()).filter(|i| inside(*i) && cohort.ai[*i] == ai).count();
        if count(true) < LEAST_CALLS || count(false) < LEAST_CALLS {
            continue;
        }
        let values: Vec<f64> =
            outcome.iter().enumerate().map(|(i, v)| if inside(i) { *v } else { f64::NAN }).collect();
        if let Some(e) = difference(cohort, &values, config.level).filter(|e| e.standard_error > 0.0) {
            found.push((level.clone(), e));
        }
    }
    if found.len() < 2 {
        return None;
    }
    let p: Vec<f64> = found.iter().map(|(_, e)| e.p_value(0.0)).collect();
    let adjusted = holm(&p).into_iter().zip(benjamini_hochberg(&p));
    let rows = found.iter().zip(adjusted).enumerate().map(|(number, ((level, e), (holm, bh)))| {
        let label = format!("difference in the share settled, {name} {level}");
        let figure =
            Figure::estimate(&label, Unit::ShareDifference, Some(*e), "clusters of customers and agents");
        let figure = figure.with("p_holm", holm).with("p_benjamini_hochberg", bh).at_level(config.level);
        let text = report.figure(&format!("segment_{name}_{number}"), figure);
        vec![level.replace("{{", "{ {"), text, format!("{holm:.3}"), format!("{bh:.3}")]
    });
    Some(Block::Table {
        caption: format!(
            "Share settled, AI less people, by {name} (p-values for {} comparisons at once)",
            found.len()
        ),
        columns: [name, "difference", "p (Holm)", "p (Benjamini-Hochberg)"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    })
}

/// All calls of a queue, whoever took them: the roll-out is the treatment.
fn rolled_out(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    outcome: &[f64],
    weeks: &[Option<i32>],
) -> Option<Block> {
    if config.treatment_start.is_empty() {
        return None;
    }
    let mut sums: BTreeMap<(u32, i32), (f64, f64)> = BTreeMap::new();
    for (i, week) in weeks.iter().enumerate() {
        if let (Some(week), true) = (week, outcome[i].is_finite()) {
            let entry = sums.entry((u32::from(cohort.queue.codes[i]), *week)).or_default();
            *entry = (entry.0 + outcome[i], entry.1 + 1.0);
        }
    }
    let data: Vec<GroupPeriod> = sums
        .into_iter()
        .map(|((group, period), (sum, count))| GroupPeriod { group, period, sum, count })
        .collect();
    let starts: BTreeMap<u32, i32> = config
        .treatment_start
        .iter()
        .filter_map(|(queue, day)| {
            let group = cohort.queue.names.iter().position(|name| name == queue)? as u32;
            Some((group, (day_of(day)? - FIRST_MONDAY_MS).div_euclid(WEEK_MS) as i32))
        })
        .collect();
    let Some(found) = roll_out(&data, &starts) else {
        return Some(Block::Alarm(
            "The roll-out cannot be judged: no queue has both a week before its start and another queue that had not started."
                .to_owned(),
        ));
    };
    let method = "difference in differences, queues not yet started as controls";
    let label = "effect of the roll-out on the share settled";
    let effect =
        report.figure("roll_out_effect", Figure::exact(label, Unit::ShareDifference, found.effect, method));
    let before = found.before.map_or("no earlier week to check with".to_owned(), |before| {
        let label = "the same before the start: should be near 0";
        report.figure("roll_out_check", Figure::exact(label, Unit::ShareDifference, before, method))
    });
    Some(Block::Text(format!(
        "Effect of the roll-out on the share settled: {effect}; the same before the start: {before}. With {} queues its \
         uncertainty cannot be told from the calls alone, and no interval is given.",
        starts.len()
    )))
}
