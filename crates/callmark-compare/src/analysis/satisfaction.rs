//! Are customers as content: non-inferiority and equivalence of sentiment against a declared margin.

use super::{difference, known, mean, rows_of};
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
    let measures = [
        ("overall", "over the call", &cohort.sentiment_overall),
        ("end", "at its end", &cohort.sentiment_end),
        ("change", "change from start to end", &change),
    ];
    let mut rows = Vec::new();
    let mut tests = Vec::new();
    for (name, words, values) in measures {
        let mut cells = vec![words.to_owned()];
        for (arm, ai) in [("ai", true), ("human", false)] {
            let (values, at) = known(values, &rows_of(cohort, ai));
            let figure = Figure::estimate(
                &format!("mean customer sentiment {words}"),
                Unit::Points,
                mean(cohort, &values, &at, config.level),
                "clusters of customers and agents",
            );
            let figure = figure.with("calls", values.len() as f64).at_level(config.level);
            cells.push(report.figure(&format!("sentiment_{name}_{arm}"), figure));
        }
        let found = difference(cohort, values, config.level);
        let figure = Figure::estimate(
            &format!("difference of customer sentiment {words}"),
            Unit::PointsDifference,
            found,
            "clusters of customers and agents",
        );
        cells.push(report.figure(&format!("sentiment_{name}_difference"), figure.at_level(config.level)));
        rows.push(cells);
        if let Some(found) = found {
            tests.push(test_row(
                report,
                name,
                words,
                Difference::normal(found.value, found.standard_error),
                config,
            ));
        }
    }
    let missing = |ai: bool| {
        let rows = rows_of(cohort, ai);
        let silent = rows.iter().filter(|i| cohort.sentiment_overall[**i].is_nan()).count();
        silent as f64 / rows.len().max(1) as f64
    };
    let lost = [("ai", true), ("human", false)].map(|(arm, ai)| {
        let figure = Figure::exact("share of calls without a sentiment", Unit::Share, missing(ai), "counted");
        report.figure(&format!("sentiment_missing_{arm}"), figure)
    });
    let blocks = vec![
        Block::Text(format!(
            "Sentiment is read from the customer's words, -5 to 5: a proxy, not a survey. AI counts as no worse when it \
             is shown to lose less than {} points. That a difference is not significant is not taken for equality.",
            config.sentiment_margin
        )),
        Block::Table {
            caption: "Customer sentiment".to_owned(),
            columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
            rows,
        },
        Block::Table {
            caption: format!("Against the margin of {} points, before case mix", config.sentiment_margin),
            columns: [
                "",
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
        Block::Text(format!(
            "Calls without a sentiment: {} of AI's and {} of people's. They are left out of this section.",
            lost[0], lost[1]
        )),
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

fn test_row(
    report: &mut Report,
    name: &str,
    label: &str,
    found: Difference,
    config: &CompareConfig,
) -> Vec<String> {
    let margin = config.sentiment_margin;
    let (low, high) = found.interval(1.0 - 2.0 * config.alpha);
    let mut number = |what: &str, value: f64, unit: Unit| {
        let figure =
            Figure::exact(&format!("{what}, sentiment {label}"), unit, value, "normal, two one-sided tests");
        let figure = figure.with("margin", margin).with("standard_error", found.standard_error);
        report.figure(&format!("sentiment_{name}_{what}"), figure)
    };
    vec![
        label.to_owned(),
        words(verdict(low, high, margin)).to_owned(),
        number("non_inferiority_p", found.non_inferiority_p(margin), Unit::PValue),
        number("equivalence_p", found.equivalence_p(margin), Unit::PValue),
        number("minimum_detectable", found.minimum_detectable(config.level, POWER), Unit::Points),
        number("non_inferiority_power", found.non_inferiority_power(margin, config.alpha), Unit::Share),
    ]
}
