//! For whom: the difference by issue and by language, with p-values that allow for looking at many.

use super::{difference, resolved};
use crate::cohort::{Coded, Cohort};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::estimate::Estimate;
use crate::stats::heterogeneity::heterogeneity;
use crate::stats::multiplicity::{benjamini_hochberg, holm};

/// Segments with fewer calls in an arm are not shown.
const LEAST_CALLS: usize = 20;

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let outcome = resolved(cohort);
    let mut blocks = Vec::new();
    for (name, coded) in [("issue", &cohort.issue), ("language", &cohort.language)] {
        let found = differences(cohort, config, &outcome, coded);
        if found.len() > 1 {
            blocks.append(&mut table(report, config, name, &found));
        }
    }
    if blocks.is_empty() {
        return;
    }
    blocks.insert(
        0,
        Block::Text(
            "Looking at many segments finds differences by chance. \"Holm\" keeps the chance of any false finding, \
             \"Benjamini-Hochberg\" the share of false ones among those found."
                .to_owned(),
        ),
    );
    report.section("segments", "For whom", false, blocks);
}

fn differences(
    cohort: &Cohort,
    config: &CompareConfig,
    outcome: &[f64],
    coded: &Coded,
) -> Vec<(String, Estimate)> {
    let mut counts = vec![[0usize; 2]; coded.names.len()];
    for (code, ai) in coded.codes.iter().zip(&cohort.ai) {
        counts[usize::from(*code)][usize::from(*ai)] += 1;
    }
    let shown = (0..counts.len()).filter(|code| counts[*code].iter().all(|n| *n >= LEAST_CALLS));
    shown
        .filter_map(|code| {
            let inside = |i: usize| usize::from(coded.codes[i]) == code;
            let own: Vec<f64> =
                outcome.iter().enumerate().map(|(i, v)| if inside(i) { *v } else { f64::NAN }).collect();
            let e = difference(cohort, &own, config.level).filter(|e| e.standard_error > 0.0)?;
            Some((coded.names[code].clone(), e))
        })
        .collect()
}

fn table(
    report: &mut Report,
    config: &CompareConfig,
    name: &str,
    found: &[(String, Estimate)],
) -> Vec<Block> {
    let p: Vec<f64> = found.iter().map(|(_, e)| e.p_value(0.0)).collect();
    let adjusted = holm(&p).into_iter().zip(benjamini_hochberg(&p));
    let mut rows = Vec::new();
    for (number, ((level, e), (holm, bh))) in found.iter().zip(adjusted).enumerate() {
        let label = format!("difference in the share settled, {name} {level}");
        let figure =
            Figure::estimate(&label, Unit::ShareDifference, Some(*e), "clusters of customers and agents");
        let id = format!("segment_{name}_{number}");
        let mut p_value = |method: &str, value: f64| {
            let label = format!("{label}: adjusted p-value");
            let name = method.to_lowercase().replace('-', "_");
            report.figure(&format!("{id}_p_{name}"), Figure::exact(&label, Unit::PValue, value, method))
        };
        let (holm, bh) = (p_value("Holm", holm), p_value("Benjamini-Hochberg", bh));
        rows.push(vec![plain_words(level), report.figure(&id, figure.at_level(config.level)), holm, bh]);
    }
    let mut blocks = vec![Block::Table {
        caption: format!(
            "Share settled, AI less people, by {name} (p-values for {} comparisons at once; raw within each)",
            found.len()
        ),
        columns: [name, "difference", "p (Holm)", "p (Benjamini-Hochberg)"].map(str::to_owned).to_vec(),
        rows,
    }];
    let estimates: Vec<Estimate> = found.iter().map(|(_, e)| *e).collect();
    if let Some(all) = heterogeneity(&estimates) {
        let label = format!("p-value of the difference being the same for every {name}");
        let figure = Figure::exact(&label, Unit::PValue, all.p_value, "Cochran's Q")
            .with("q", all.q)
            .with("degrees", all.degrees)
            .with("i_squared", all.i_squared);
        let p = report.figure(&format!("heterogeneity_{name}"), figure);
        let label = format!("share of the variation by {name} that is more than chance, I²");
        let share = Figure::exact(&label, Unit::Share, all.i_squared, "Higgins & Thompson");
        let share = report.figure(&format!("heterogeneity_share_{name}"), share);
        blocks.push(Block::Text(format!(
            "That the difference is the same for every {name} has p-value {p}; {share} of its variation is more than chance."
        )));
    }
    blocks
}
