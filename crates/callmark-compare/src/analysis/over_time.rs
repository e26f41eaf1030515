//! Week by week.

use super::{mean_at, resolved, rows_of};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Plot, Report, Series};
use std::collections::BTreeMap;

const WEEK_MS: i64 = 7 * 86_400_000;
/// 1970-01-05, a Monday.
const FIRST_MONDAY_MS: i64 = 4 * 86_400_000;
/// Weeks with fewer calls in an arm are not shown.
const LEAST_CALLS: usize = 20;

/// The number of the week in which an instant, ms since 1970, lies; weeks begin on Monday, UTC.
pub(super) fn week_of(instant_ms: i64) -> i32 {
    (instant_ms - FIRST_MONDAY_MS).div_euclid(WEEK_MS) as i32
}

/// The week of each call; `None` where its start is not known.
pub(super) fn weeks(cohort: &Cohort) -> Vec<Option<i32>> {
    cohort.started_at.iter().map(|t| (*t != i64::MIN).then(|| week_of(*t))).collect()
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let (outcome, weeks) = (resolved(cohort), weeks(cohort));
    let Some(first) = weeks.iter().flatten().min() else { return };
    let series = |ai: bool, name: &str| {
        let mut by_week: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for row in rows_of(cohort, ai) {
            if let Some(week) = weeks[row] {
                by_week.entry(week).or_default().push(row);
            }
        }
        let points =
            by_week.iter().filter(|(_, rows)| rows.len() >= LEAST_CALLS).filter_map(|(week, rows)| {
                let e = mean_at(cohort, &outcome, rows, config.level)?;
                let per_cent = |share: f64| 100.0 * share.clamp(0.0, 1.0);
                Some((f64::from(week - first + 1), per_cent(e.value), per_cent(e.low), per_cent(e.high)))
            });
        Series { name: name.to_owned(), points: points.collect(), steps: false }
    };
    let plot = Block::Plot(Plot {
        caption: "Share of calls settled, by week, with intervals (not adjusted for case mix)".to_owned(),
        x: "week".to_owned(),
        y: "% settled".to_owned(),
        series: vec![series(true, "AI first"), series(false, "people first")],
    });
    report.section("over-time", "Week by week", false, vec![plot]);
}
