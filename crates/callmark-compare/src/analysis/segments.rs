//! For whom: the difference by issue and by language, with p-values that allow for looking at many.
//!
//! Within an issue or a language the arms still differ in all the rest, so a raw difference there can point the wrong way
//! as surely as one over all calls. What is tested is the difference at equal case mix within each.

use super::mix::Mix;
use super::{difference_figure, resolved};
use crate::cohort::{Coded, Cohort};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::estimate::Estimate;
use crate::stats::heterogeneity::heterogeneity;
use crate::stats::multiplicity::{benjamini_hochberg, holm};

/// Segments with fewer calls in an arm are not shown.
const LEAST_CALLS: usize = 20;

/// The calls of one issue or one language.
struct Segment {
    name: String,
    raw: Figure,
    like: Figure,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let outcome = resolved(cohort);
    let mut blocks = Vec::new();
    for (name, coded) in [("issue", &cohort.issue), ("language", &cohort.language)] {
        let found = segments(cohort, mix, config.level, &outcome, (name, coded));
        if found.len() > 1 {
            blocks.append(&mut table(report, config, name, found));
        }
    }
    if blocks.is_empty() {
        return;
    }
    blocks.insert(
        0,
        Block::Text(
            "Looking at many segments finds differences by chance. \"Holm\" keeps the chance of any false finding, \
             \"Benjamini-Hochberg\" the share of false ones among those found. Both are of the difference like with like: within \
             each segment calls count against calls that are alike in the rest. The raw one is shown beside it because it \
             may point the other way."
                .to_owned(),
        ),
    );
    report.section("segments", "For whom", false, blocks);
}

fn segments(
    cohort: &Cohort,
    mix: &Mix,
    level: f64,
    outcome: &[f64],
    (by, coded): (&str, &Coded),
) -> Vec<Segment> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); coded.names.len()];
    for (row, code) in coded.codes.iter().enumerate() {
        rows[usize::from(*code)].push(row);
    }
    let enough = |rows: &Vec<usize>| {
        let ai = rows.iter().filter(|i| cohort.ai[**i]).count();
        ai >= LEAST_CALLS && rows.len() - ai >= LEAST_CALLS
    };
    let shown = rows.iter().zip(&coded.names).filter(|(rows, _)| enough(rows));
    shown
        .map(|(rows, name)| {
            let label = format!("difference in the share settled, {by} {name}");
            let part = cohort.part(rows);
            let own: Vec<f64> = rows.iter().map(|i| outcome[*i]).collect();
            let raw = difference_figure(&part, &label, Unit::ShareDifference, &own, level);
            let label = (&*format!("adjusted {label}"), Unit::ShareDifference, level);
            let like = mix.figure(label, outcome, rows);
            Segment { name: name.clone(), raw, like }
        })
        .collect()
}

/// What a figure estimates, where it can be tested.
fn testable(figure: &Figure) -> Option<Estimate> {
    let (value, low, high) = (figure.value?, figure.low?, figure.high?);
    let level = figure.level?;
    let reach = crate::stats::distributions::normal_critical(level);
    let standard_error = (high - low) / (2.0 * reach);
    (standard_error > 0.0).then_some(Estimate { value, standard_error, low, high })
}

fn table(report: &mut Report, config: &CompareConfig, name: &str, found: Vec<Segment>) -> Vec<Block> {
    let estimates: Vec<Option<Estimate>> = found.iter().map(|s| testable(&s.like)).collect();
    let p: Vec<f64> = estimates.iter().flatten().map(|e| e.p_value(0.0)).collect();
    let mut adjusted = holm(&p).into_iter().zip(benjamini_hochberg(&p));
    let mut rows = Vec::new();
    for ((number, segment), estimate) in found.into_iter().enumerate().zip(&estimates) {
        let (label, id) = (segment.like.label.clone(), format!("segment_{name}_{number}"));
        let tested = estimate.and_then(|_| adjusted.next());
        let mut p_value = |method: &str, value: Option<f64>| {
            let label = format!("{label}: adjusted p-value");
            let name = method.to_lowercase().replace('-', "_");
            let figure = match value {
                Some(value) => Figure::exact(&label, Unit::PValue, value, method),
                None => Figure::estimate(&label, Unit::PValue, None, method).because("no interval to test"),
            };
            report.figure(&format!("{id}_p_{name}"), figure.with("comparisons", p.len() as f64))
        };
        let holm = p_value("Holm", tested.map(|t| t.0));
        let bh = p_value("Benjamini-Hochberg", tested.map(|t| t.1));
        let like = report.figure(&format!("{id}_adjusted"), segment.like);
        rows.push(vec![plain_words(&segment.name), like, holm, bh, report.figure(&id, segment.raw)]);
    }
    let others: Vec<&str> = config.covariates.iter().map(String::as_str).filter(|c| *c != name).collect();
    let mut blocks = vec![Block::Table {
        caption: format!(
            "Share settled, AI less people, by {name} (p-values for {} comparisons at once; like with like in {})",
            p.len(),
            if others.is_empty() { "nothing else".to_owned() } else { others.join(", ") }
        ),
        columns: [name, "like with like", "p (Holm)", "p (Benjamini-Hochberg)", "raw"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }];
    let estimates: Vec<Estimate> = estimates.into_iter().flatten().collect();
    if let Some(all) = heterogeneity(&estimates) {
        let inputs = |figure: Figure| {
            figure.with("q", all.q).with("degrees", all.degrees).with("i_squared", all.i_squared)
        };
        let label = format!("p-value of the difference being the same for every {name}");
        let figure = Figure::exact(&label, Unit::PValue, all.p_value, "Cochran's Q");
        let p = report.figure(&format!("heterogeneity_{name}"), inputs(figure));
        let label = format!("share of the variation by {name} that is more than chance, I²");
        let share = Figure::exact(&label, Unit::Share, all.i_squared, "Higgins & Thompson");
        let share = report.figure(&format!("heterogeneity_share_{name}"), inputs(share));
        blocks.push(Block::Text(format!(
            "That the difference like with like is the same for every {name} has p-value {p}; {share} of its variation is more \
             than chance."
        )));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    #[test]
    fn within_a_language_the_other_case_mix_is_adjusted_for() {
        // AI gets the easy issue and settles 5 points less of either: raw differences by language flatter it.
        let mut draws = Draws::new(6, 0);
        let mut cohort = Cohort::default();
        let coded = |names: [&str; 3]| Coded { names: names.map(str::to_owned).to_vec(), codes: Vec::new() };
        (cohort.issue, cohort.language) = (coded(["?", "easy", "hard"]), coded(["?", "de", "en"]));
        let mut outcome = Vec::new();
        for i in 0..12_000 {
            let hard = draws.chance(0.5);
            let ai = draws.chance(if hard { 0.25 } else { 0.75 });
            cohort.issue.codes.push(1 + u16::from(hard));
            cohort.language.codes.push(1 + u16::from(draws.chance(0.4)));
            cohort.ai.push(ai);
            cohort.customer.push(i);
            cohort.agent.push(u32::MAX);
            let settled = if hard { 0.4 } else { 0.9 } - if ai { 0.05 } else { 0.0 };
            outcome.push(f64::from(draws.chance(settled)));
        }
        let config = CompareConfig {
            covariates: vec!["issue".to_owned(), "language".to_owned()],
            ..CompareConfig::default()
        };
        let found =
            segments(&cohort, &Mix::new(&cohort, &config), 0.95, &outcome, ("language", &cohort.language));
        assert_eq!(found.len(), 2);
        for segment in found {
            assert!(segment.raw.low.unwrap() > 0.0, "{:?}", segment.raw);
            let like = &segment.like;
            assert!(like.low.unwrap() < -0.05 && -0.05 < like.high.unwrap(), "{like:?}");
            assert!(like.high.unwrap() < 0.05, "{like:?}");
        }
    }
}
