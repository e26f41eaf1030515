//! Before and after a roll-out that reached some queues later than others, when its dates are given.
//!
//! Weeks are counted from the day on which a queue started, whatever day of the week that was: a week that holds the start
//! would be part treated, and belong neither before nor after. Queues that started on the same day of the week share their
//! weeks; the effects of those that did not are averaged by their calls. A queue is no control in a week in which it starts.

use super::over_time::WEEK_MS;
use super::resolved;
use crate::cohort::Cohort;
use crate::config::{CompareConfig, day_of};
use crate::report::{Block, Figure, Plot, Report, Series, Unit, plain_words};
use crate::stats::clusters::variance_of_sum;
use crate::stats::differences::{Cells, Contrast, GroupPeriod, RollOut, roll_out_of};
use crate::stats::estimate::Estimate;
use std::collections::{BTreeMap, BTreeSet};

const METHOD: &str =
    "difference in differences, queues not yet started as controls, clusters of customers and agents";

/// The queues that started on one day of the week, with their weeks.
struct Calendar {
    /// The queue and the week of each call; `None` where its start is not known.
    places: Vec<Option<GroupPeriod>>,
    cells: Cells,
    found: Option<RollOut>,
}

impl Calendar {
    /// Weeks that begin so many milliseconds after a multiple of a week since 1970.
    fn new(cohort: &Cohort, outcome: &[f64], starts: &BTreeMap<u32, i64>, phase: i64) -> Self {
        let week = |instant: i64| (instant - phase).div_euclid(WEEK_MS) as i32;
        let known = |i: usize| Some(cohort.started_at[i]).filter(|start| *start != i64::MIN);
        let place = |i: usize| Some((u32::from(cohort.queue.codes[i]), week(known(i)?)));
        let places: Vec<Option<GroupPeriod>> = (0..cohort.len()).map(place).collect();
        let mut cells = Cells::new();
        for (place, value) in places.iter().zip(outcome).filter(|(_, value)| value.is_finite()) {
            if let Some(place) = place {
                let entry = cells.entry(*place).or_default();
                *entry = (entry.0 + value, entry.1 + 1.0);
            }
        }
        let own = |queue: u32| starts.get(&queue).is_some_and(|start| start.rem_euclid(WEEK_MS) == phase);
        let weeks = starts.iter().map(|(queue, start)| (*queue, week(*start))).collect();
        let found = roll_out_of(&cells, &weeks, own);
        Self { places, cells, found }
    }
}

/// The average of some contrasts by their calls, with the interval that clusters give it; `None` where there are none.
fn pooled<'a>(
    cohort: &Cohort,
    outcome: &[f64],
    level: f64,
    parts: impl Iterator<Item = (&'a Calendar, &'a Contrast)>,
) -> Option<(Estimate, f64)> {
    let parts: Vec<_> = parts.collect();
    let calls: f64 = parts.iter().map(|(_, contrast)| contrast.calls).sum();
    let value = parts.iter().map(|(_, contrast)| contrast.calls / calls * contrast.value).sum();
    let of_call = |i: usize| {
        let each = parts.iter().map(|(calendar, contrast)| {
            let own =
                calendar.places[i].map_or(0.0, |at| contrast.influence(&calendar.cells, at, outcome[i]));
            contrast.calls / calls * own
        });
        if outcome[i].is_finite() { each.sum() } else { f64::NAN }
    };
    let influence: Vec<f64> = (0..outcome.len()).map(of_call).collect();
    let error = variance_of_sum(&influence, cohort.clusters()).map_or(f64::NAN, f64::sqrt);
    (calls > 0.0).then(|| (Estimate::wald(value, error, level), calls))
}

/// All calls of a queue, whoever took them: the roll-out is the treatment.
pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    if config.treatment_start.is_empty() {
        return;
    }
    let outcome = resolved(cohort);
    let starts: BTreeMap<u32, i64> = config
        .treatment_start
        .iter()
        .filter_map(|(queue, day)| {
            let group = cohort.queue.names.iter().position(|name| name == queue)? as u32;
            Some((group, day_of(day)?))
        })
        .collect();
    let phases: BTreeSet<i64> = starts.values().map(|start| start.rem_euclid(WEEK_MS)).collect();
    let calendars: Vec<Calendar> =
        phases.into_iter().map(|phase| Calendar::new(cohort, &outcome, &starts, phase)).collect();
    let each = || calendars.iter().filter_map(|calendar| Some((calendar, calendar.found.as_ref()?)));
    let pool = |of: &dyn Fn(&RollOut) -> Option<&Contrast>| {
        let parts = each().filter_map(|(calendar, found)| Some((calendar, of(found)?)));
        pooled(cohort, &outcome, config.level, parts)
    };
    let mut blocks: Vec<Block> = left_out_queues(cohort, config).into_iter().collect();
    let Some(effect) = pool(&|found| Some(&found.effect)) else {
        let text = "The roll-out cannot be judged: no queue has both a week before its start and another queue that had not \
                    started.";
        blocks.push(Block::Alarm(text.to_owned()));
        report.section("roll-out", "Before and after", false, blocks);
        return;
    };
    let mut put = |id: &str, label: &str, (estimate, calls): (Estimate, f64)| {
        let figure = Figure::estimate(label, Unit::ShareDifference, Some(estimate), METHOD);
        report.figure(id, figure.with("calls", calls).at_level(config.level))
    };
    let effect = put("roll_out_effect", "effect of the roll-out on the share settled", effect);
    let before = pool(&|found| found.before.as_ref())
        .map_or("not told (no earlier week)".to_owned(), |before| {
            put("roll_out_check", "the same before the start: should be near 0", before)
        });
    let distances: BTreeSet<i32> =
        each().flat_map(|(_, found)| found.by_distance.iter().map(|at| at.0)).collect();
    let points = distances.into_iter().filter_map(|distance| {
        let (e, _) = pool(&|found| found.by_distance.iter().find(|at| at.0 == distance).map(|at| &at.1))?;
        e.has_interval().then_some((f64::from(distance), 100.0 * e.value, 100.0 * e.low, 100.0 * e.high))
    });
    let series = Series { name: "effect".to_owned(), points: points.collect(), steps: false };
    blocks.extend([
        Block::Text(format!(
            "Effect of the roll-out on the share of all calls settled, whoever took them: {effect}. The same for the weeks before \
             the start, which should hold 0: {before}. Weeks are counted from the day of each queue's start. The intervals are \
             those of the calls; what else befell one of the {} queues in those weeks is not in them and cannot be told from so \
             few.",
            cohort.queue.names.len() - 1
        )),
        Block::Plot(Plot {
            caption: "Effect by weeks since the start, against the week before it".to_owned(),
            x: "weeks since the start".to_owned(),
            y: "points".to_owned(),
            series: vec![series],
        }),
    ]);
    report.section("roll-out", "Before and after", false, blocks);
}

/// A queue of the roll-out of which no call is compared must not vanish silently; one that there is not is refused when
/// calls are read.
fn left_out_queues(cohort: &Cohort, config: &CompareConfig) -> Option<Block> {
    let known = |queue: &String| cohort.queue.names.contains(queue);
    let unknown: Vec<&str> =
        config.treatment_start.keys().filter(|queue| !known(queue)).map(String::as_str).collect();
    let names = plain_words(&unknown.join(", "));
    let text = format!("No call that is compared is of a queue that treatment_start names: {names}.");
    (!unknown.is_empty()).then_some(Block::Alarm(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::{Coded, Ended};
    use crate::stats::random::Draws;

    const DAY_MS: i64 = 86_400_000;
    /// 2026-03-02, a Monday.
    const FIRST_DAY: &str = "2026-03-02";

    /// Eight weeks of three queues; from its day on a queue settles 25 of 100 calls more.
    fn calls(starts: [i64; 2]) -> Cohort {
        let mut draws = Draws::new(8, 0);
        let names = ["?", "a", "b", "c"].map(str::to_owned).to_vec();
        let mut cohort = Cohort { queue: Coded { names, codes: Vec::new() }, ..Cohort::default() };
        for i in 0..24_000u32 {
            let (queue, day) = (i % 3, draws.below(56) as i64);
            let treated = starts.get(queue as usize).is_some_and(|start| day >= *start);
            let settled = draws.chance(0.5 + 0.05 * f64::from(queue) + if treated { 0.25 } else { 0.0 });
            cohort.ai.push(treated);
            cohort.customer.push(i);
            cohort.agent.push(u32::MAX);
            cohort.queue.codes.push(1 + queue as u16);
            cohort.started_at.push(day_of(FIRST_DAY).unwrap() + day * DAY_MS + i64::from(i % 86_400) * 1000);
            cohort.ended.push(if settled { Ended::Resolved } else { Ended::Unresolved });
            cohort.minutes.push(5.0);
            cohort.truncated.push(false);
        }
        cohort
    }

    #[test]
    fn a_roll_out_that_starts_on_a_sunday_has_the_effect_of_its_whole_weeks() {
        // Day 27 is a Sunday, day 37 a Wednesday.
        let cohort = calls([27, 37]);
        let text = "[treatment_start]\na = '2026-03-29'\nb = '2026-04-08'\n";
        let (mut report, config) = (Report::default(), CompareConfig::parse(text).unwrap());
        add(&mut report, &cohort, &config);
        let effect = &report.figures["roll_out_effect"];
        assert!((effect.value.unwrap() - 0.25).abs() < 0.03, "{effect:?}");
        assert!(effect.low.unwrap() < 0.25 && 0.25 < effect.high.unwrap(), "{effect:?}");
        let check = &report.figures["roll_out_check"];
        assert!(check.low.unwrap() < 0.0 && 0.0 < check.high.unwrap(), "{check:?}");
    }
}
