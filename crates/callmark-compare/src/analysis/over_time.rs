//! Week by week: the share settled of either arm, and their difference at equal case mix.

use super::mix::Mix;
use super::{resolved, rows_of, share_at};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Plot, Report, Series, Unit};
use std::collections::BTreeMap;

/// Milliseconds of a week.
pub(super) const WEEK_MS: i64 = 7 * 86_400_000;
/// 1970-01-05, a Monday.
const FIRST_MONDAY_MS: i64 = 4 * 86_400_000;
/// Weeks with fewer calls in an arm are not shown.
const LEAST_CALLS: usize = 20;
/// Weeks whose difference is adjusted one by one; of a longer time only the shares are shown.
const MOST_WEEKS: usize = 120;

/// The number of the week in which an instant, ms since 1970, lies; weeks begin on Monday, UTC.
fn week_of(instant_ms: i64) -> i32 {
    (instant_ms - FIRST_MONDAY_MS).div_euclid(WEEK_MS) as i32
}

/// The week of each call; `None` where its start is not known.
fn weeks(cohort: &Cohort) -> Vec<Option<i32>> {
    cohort.started_at.iter().map(|t| (*t != i64::MIN).then(|| week_of(*t))).collect()
}

/// The calls at `rows` by week.
fn by_week(weeks: &[Option<i32>], rows: impl Iterator<Item = usize>) -> BTreeMap<i32, Vec<usize>> {
    let mut found: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for row in rows {
        if let Some(week) = weeks[row] {
            found.entry(week).or_default().push(row);
        }
    }
    found
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let (outcome, weeks) = (resolved(cohort), weeks(cohort));
    let Some(first) = weeks.iter().flatten().min() else { return };
    let place = |week: i32| f64::from(week - first + 1);
    let series = |ai: bool, name: &str| {
        let own = by_week(&weeks, rows_of(cohort, ai).into_iter());
        let points = own.iter().filter(|(_, rows)| rows.len() >= LEAST_CALLS).filter_map(|(week, rows)| {
            let e = share_at(cohort, &outcome, rows, config.level)?;
            let per_cent = |share: f64| 100.0 * share.clamp(0.0, 1.0);
            Some((place(*week), per_cent(e.value), per_cent(e.low), per_cent(e.high)))
        });
        Series { name: name.to_owned(), points: points.collect(), steps: false }
    };
    let mut blocks = vec![Block::Plot(Plot {
        caption: "Share of calls settled, by week, with intervals (not adjusted for case mix)".to_owned(),
        x: "week".to_owned(),
        y: "% settled".to_owned(),
        series: vec![series(true, "AI first"), series(false, "people first")],
    })];
    let all = by_week(&weeks, 0..cohort.len());
    if all.len() <= MOST_WEEKS {
        let points = all.iter().filter_map(|(week, rows)| {
            let ai = rows.iter().filter(|i| cohort.ai[**i]).count();
            if ai < LEAST_CALLS || rows.len() - ai < LEAST_CALLS {
                return None;
            }
            let asked = ("adjusted difference in the share settled", Unit::ShareDifference, config.level);
            let figure = mix.figure(asked, &outcome, rows);
            let points = |value: Option<f64>| value.map(|v| 100.0 * v);
            Some((place(*week), points(figure.value)?, points(figure.low)?, points(figure.high)?))
        });
        let points: Vec<_> = points.collect();
        if points.len() > 1 {
            blocks.push(Block::Plot(Plot {
                caption: "Share settled, AI less people, by week, like with like within each week; weeks without overlap are \
                          left out"
                    .to_owned(),
                x: "week".to_owned(),
                y: "points".to_owned(),
                series: vec![Series { name: "AI less people".to_owned(), points, steps: false }],
            }));
        }
    }
    report.section("over-time", "Week by week", false, blocks);
}
