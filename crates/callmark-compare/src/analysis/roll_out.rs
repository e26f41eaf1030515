//! Before and after a roll-out that reached some queues later than others, when its dates are given.

use super::over_time::{week_of, weeks};
use super::resolved;
use crate::cohort::Cohort;
use crate::config::{CompareConfig, day_of};
use crate::report::{Block, Figure, Plot, Report, Series, Unit, plain_words};
use crate::stats::clusters::variance_of_sum;
use crate::stats::differences::{Cells, Contrast, GroupPeriod, roll_out};
use crate::stats::estimate::Estimate;
use std::collections::BTreeMap;

const METHOD: &str =
    "difference in differences, queues not yet started as controls, clusters of customers and agents";

/// All calls of a queue, whoever took them: the roll-out is the treatment.
pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    if config.treatment_start.is_empty() {
        return;
    }
    let (outcome, weeks) = (resolved(cohort), weeks(cohort));
    let at = |i: usize| weeks[i].map(|week| (u32::from(cohort.queue.codes[i]), week));
    let mut cells = Cells::new();
    for (i, value) in outcome.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        if let Some(place) = at(i) {
            let entry = cells.entry(place).or_default();
            *entry = (entry.0 + value, entry.1 + 1.0);
        }
    }
    let starts: BTreeMap<u32, i32> = config
        .treatment_start
        .iter()
        .filter_map(|(queue, day)| {
            let group = cohort.queue.names.iter().position(|name| name == queue)? as u32;
            Some((group, week_of(day_of(day)?)))
        })
        .collect();
    let mut blocks: Vec<Block> = unknown_queues(cohort, config).into_iter().collect();
    let Some(found) = roll_out(&cells, &starts) else {
        let text = "The roll-out cannot be judged: no queue has both a week before its start and another queue that had not \
                    started.";
        blocks.push(Block::Alarm(text.to_owned()));
        report.section("roll-out", "Before and after", false, blocks);
        return;
    };
    let places: Vec<Option<GroupPeriod>> = (0..cohort.len()).map(at).collect();
    let estimate = |contrast: &Contrast| {
        let influence: Vec<f64> = places
            .iter()
            .zip(&outcome)
            .map(|(place, value)| {
                let told = place.filter(|_| value.is_finite());
                told.map_or(f64::NAN, |place| contrast.influence(&cells, place, *value))
            })
            .collect();
        let error = variance_of_sum(&influence, cohort.clusters()).map_or(f64::NAN, f64::sqrt);
        Estimate::wald(contrast.value, error, config.level)
    };
    let mut put = |id: &str, label: &str, contrast: &Contrast| {
        let figure = Figure::estimate(label, Unit::ShareDifference, Some(estimate(contrast)), METHOD);
        report.figure(id, figure.with("calls", contrast.calls).at_level(config.level))
    };
    let effect = put("roll_out_effect", "effect of the roll-out on the share settled", &found.effect);
    let before = found.before.as_ref().map_or("not told (no earlier week)".to_owned(), |before| {
        put("roll_out_check", "the same before the start: should be near 0", before)
    });
    let points = found.by_distance.iter().map(|(distance, contrast)| {
        let e = estimate(contrast);
        (f64::from(*distance), 100.0 * e.value, 100.0 * e.low, 100.0 * e.high)
    });
    let series = Series { name: "effect".to_owned(), points: points.collect(), steps: false };
    blocks.extend([
        Block::Text(format!(
            "Effect of the roll-out on the share of all calls settled, whoever took them: {effect}. The same for the weeks before \
             the start, which should hold 0: {before}. The intervals are those of the calls; what else befell one of the {} queues \
             in those weeks is not in them and cannot be told from so few.",
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

/// A roll-out by a queue that is misspelt must not vanish silently.
fn unknown_queues(cohort: &Cohort, config: &CompareConfig) -> Option<Block> {
    let known = |queue: &String| cohort.queue.names.contains(queue);
    let unknown: Vec<&str> =
        config.treatment_start.keys().filter(|queue| !known(queue)).map(String::as_str).collect();
    let names = plain_words(&unknown.join(", "));
    let text = format!("No call is of a queue that treatment_start names: {names}.");
    (!unknown.is_empty()).then_some(Block::Alarm(text))
}
