//! Are customers as content: non-inferiority and equivalence of sentiment against a declared margin.

use super::{difference, mean};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::margin::{Difference, Verdict, verdict};

/// Power that a study should have.
const POWER: f64 = 0.8;

#[allow(clippy::too_many_lines, reason = "one line a figure of the section")]
pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let change: Vec<f64> =
        cohort.sentiment_end.iter().zip(&cohort.sentiment_start).map(|(end, start)| end - start).collect();
    let mut measures = vec![
        ("sentiment_overall", "sentiment over the call", &cohort.sentiment_overall, config.sentiment_margin),
        ("sentiment_end", "sentiment at its end", &cohort.sentiment_end, config.sentiment_margin),
        ("sentiment_change", "change of sentiment from start to end", &change, config.sentiment_margin),
    ];
    if cohort.has_survey {
        measures.push(("survey", "answer to the survey", &cohort.survey, config.survey_margin));
    }
    let mut rows = Vec::new();
    let mut tests = Vec::new();
    let mut missing = Vec::new();
    for (name, words, values, margin) in measures {
        let mut cells = vec![words.to_owned()];
        for (arm, ai) in [("ai", true), ("human", false)] {
            let found = mean(cohort, values, ai, config.level);
            let figure = Figure::estimate(
                &format!("mean {words}"),
                Unit::Points,
                found.estimate,
                "clusters of customers and agents",
            );
            let figure = figure.with("calls", found.calls).at_level(config.level);
            cells.push(report.figure(&format!("{name}_{arm}"), figure));
        }
        let found = difference(cohort, values, config.level);
        let figure = Figure::estimate(
            &format!("difference of {words}"),
            Unit::PointsDifference,
            found,
            "clusters of customers and agents",
        );
        cells.push(report.figure(&format!("{name}_difference"), figure.at_level(config.level)));
        rows.push(cells);
        if let Some(found) = found {
            tests.push(test_row(
                report,
                name,
                words,
                Difference::normal(found.value, found.standard_error),
                margin,
                config,
            ));
        }
        missing.push(missing_row(report, cohort, name, words, values, config.level));
    }
    let blocks = vec![
        Block::Text(format!(
            "Sentiment is read from the customer's words, -5 to 5: a proxy, not a survey. AI counts as no worse when it \
             is shown to lose less than {} points. That a difference is not significant is not taken for equality.",
            config.sentiment_margin
        )),
        Block::Table {
            caption: "Customer sentiment, and survey where there is one".to_owned(),
            columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
            rows,
        },
        Block::Table {
            caption: "Against the margin, before case mix".to_owned(),
            columns: [
                "",
                "margin",
                "finding",
                "p, not worse",
                "p, equivalent",
                "smallest difference seen with power 0.8",
                "power at the margin",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: tests,
        },
        Block::Table {
            caption: "Calls without an answer, left out above. Where the arms differ here, those who answer may not be alike"
                .to_owned(),
            columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
            rows: missing,
        },
    ];
    report.section("satisfaction", "Are customers as content", true, blocks);
}

/// A verdict in words.
pub(super) fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Equivalent => "equivalent within the margin",
        Verdict::Better => "better",
        Verdict::NotWorse => "no worse than the margin allows",
        Verdict::Worse => "worse by more than the margin",
        Verdict::CannotTell => "cannot tell",
    }
}

/// How many calls have no answer.
fn missing_row(
    report: &mut Report,
    cohort: &Cohort,
    name: &str,
    words: &str,
    values: &[f64],
    level: f64,
) -> Vec<String> {
    let silent: Vec<f64> = values.iter().map(|v| f64::from(!v.is_finite())).collect();
    let mut cells = vec![words.to_owned()];
    for arm in ["ai", "human"] {
        cells.push(super::resolution::share(
            report,
            &format!("{name}_missing_{arm}"),
            cohort,
            &silent,
            arm == "ai",
            level,
        ));
    }
    let figure = Figure::estimate(
        &format!("difference in the share of calls without {words}"),
        Unit::ShareDifference,
        difference(cohort, &silent, level),
        "clusters of customers and agents",
    );
    cells.push(report.figure(&format!("{name}_missing_difference"), figure.at_level(level)));
    cells
}

fn test_row(
    report: &mut Report,
    name: &str,
    label: &str,
    found: Difference,
    margin: f64,
    config: &CompareConfig,
) -> Vec<String> {
    let (low, high) = found.interval(1.0 - 2.0 * config.alpha);
    let mut number = |what: &str, value: f64, unit: Unit| {
        let words = what.replace('_', " ");
        let figure = Figure::exact(&format!("{words}, {label}"), unit, value, "normal, two one-sided tests");
        let figure = figure.with("margin", margin).with("standard_error", found.standard_error);
        report.figure(&format!("{name}_{what}"), figure)
    };
    vec![
        label.to_owned(),
        format!("{margin} points"),
        words(verdict(low, high, margin)).to_owned(),
        number("non_inferiority_p", found.non_inferiority_p(margin), Unit::PValue),
        number("equivalence_p", found.equivalence_p(margin), Unit::PValue),
        number("minimum_detectable", found.minimum_detectable(config.level, POWER), Unit::Points),
        number("non_inferiority_power", found.non_inferiority_power(margin, config.alpha), Unit::Share),
    ]
}
