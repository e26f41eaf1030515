//! Are customers as content: non-inferiority and equivalence of sentiment against a declared margin.

use super::case_mix::Mix;
use super::{counts, difference, difference_figure, mean};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::margin::Difference;

/// Power that a study should have.
const POWER: f64 = 0.8;

/// One way to ask how content customers are.
struct Measure<'a> {
    id: &'static str,
    words: &'static str,
    values: &'a [f64],
    margin: f64,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let change: Vec<f64> =
        cohort.sentiment_end.iter().zip(&cohort.sentiment_start).map(|(end, start)| end - start).collect();
    let measure = |id, words, values, margin| Measure { id, words, values, margin };
    let margin = config.sentiment_margin;
    let mut measures = vec![
        measure("sentiment_overall", "sentiment over the call", &cohort.sentiment_overall[..], margin),
        measure("sentiment_end", "sentiment at its end", &cohort.sentiment_end, margin),
        measure("sentiment_change", "change of sentiment from start to end", &change, margin),
    ];
    if cohort.has_survey {
        measures.push(measure("survey", "answer to the survey", &cohort.survey, config.survey_margin));
    }
    let mut rows = Vec::new();
    let mut tests = Vec::new();
    let mut missing = Vec::new();
    for measure in &measures {
        rows.push(means_row(report, cohort, (config, mix), measure));
        if let Some(found) = difference(cohort, measure.values, config.judged_level()) {
            let found = Difference { value: found.value, standard_error: found.standard_error };
            tests.push(test_row(report, cohort, config, measure, found));
        }
        missing.push(missing_row(report, cohort, measure, config.level));
    }
    let blocks = vec![
        Block::Text(format!(
            "Sentiment is read from the customer's words, -5 to 5: a proxy, not a survey. It was declared beforehand that AI may \
             lose up to {margin} points and still count as no worse. What is said of a difference is what its interval, at \
             level {}, says: \"better\" and \"worse\" where it leaves out 0. That a difference is not significant is not taken \
             for equality.",
            config.judged_level()
        )),
        Block::Table {
            caption: "Customer sentiment, and survey where there is one".to_owned(),
            columns: ["", "AI first", "people first", "AI less people, raw", "AI less people, like with like"]
                .map(str::to_owned)
                .to_vec(),
            rows,
        },
        Block::Table {
            caption: "Against the margin".to_owned(),
            columns: [
                "",
                "margin",
                "like with like",
                "raw",
                "p, not worse (raw)",
                "p, equivalent (raw)",
                "smallest raw difference seen with power 0.8",
                "power at the margin (raw)",
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

/// Both means, and their difference raw and at equal case mix.
fn means_row(
    report: &mut Report,
    cohort: &Cohort,
    (config, mix): (&CompareConfig, &Mix),
    measure: &Measure,
) -> Vec<String> {
    let Measure { id, words, values, .. } = measure;
    let mut cells = vec![(*words).to_owned()];
    for (arm, ai) in [("ai", true), ("human", false)] {
        let found = mean(cohort, values, ai, config.level);
        let method = "mean, clusters of customers and agents";
        let figure = Figure::estimate(&format!("mean {words}"), Unit::Points, found.estimate, method);
        let figure = figure.with("calls", found.calls).at_level(config.level);
        cells.push(report.figure(&format!("{id}_{arm}"), figure));
    }
    let level = config.judged_level();
    let label = format!("difference of {words}");
    let raw = difference_figure(cohort, &label, Unit::PointsDifference, values, level);
    let label = format!("adjusted difference of {words}");
    let like = mix.figure_of_all((&label, Unit::PointsDifference, level), values);
    for (kind, figure) in [("raw", &raw), ("adjusted", &like)] {
        let label = format!("{words} against the margin, {kind}");
        let verdict = Figure::verdict(&label, figure, measure.margin);
        report.figure(&format!("{id}_verdict_{kind}"), verdict);
    }
    cells.push(report.figure(&format!("{id}_difference"), raw));
    cells.push(report.figure(&format!("{id}_difference_adjusted"), like));
    cells
}

/// How many calls have no answer.
fn missing_row(report: &mut Report, cohort: &Cohort, measure: &Measure, level: f64) -> Vec<String> {
    let Measure { id, words, values, .. } = measure;
    let silent: Vec<f64> = values.iter().map(|v| f64::from(!v.is_finite())).collect();
    let mut cells = vec![(*words).to_owned()];
    for arm in ["ai", "human"] {
        let id = format!("{id}_missing_{arm}");
        cells.push(super::resolution::share(report, &id, cohort, &silent, arm == "ai", level));
    }
    let label = format!("difference in the share of calls without {words}");
    let figure = difference_figure(cohort, &label, Unit::ShareDifference, &silent, level);
    cells.push(report.figure(&format!("{id}_missing_difference"), figure));
    cells
}

fn test_row(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    measure: &Measure,
    found: Difference,
) -> Vec<String> {
    let (id, margin) = (measure.id, measure.margin);
    let [ai, human] = counts(cohort, measure.values);
    let mut number = |what: &str, value: f64, unit: Unit| {
        let label = format!("{}, {}", what.replace('_', " "), measure.words);
        let figure = Figure::exact(&label, unit, value, "normal, two one-sided tests")
            .with("margin", margin)
            .with("difference", found.value)
            .with("standard_error", found.standard_error)
            .with("calls_ai", ai)
            .with("calls_human", human);
        report.figure(&format!("{id}_{what}"), figure)
    };
    vec![
        measure.words.to_owned(),
        format!("{margin} points"),
        format!("{{{{{id}_verdict_adjusted}}}}"),
        format!("{{{{{id}_verdict_raw}}}}"),
        number("non_inferiority_p", found.non_inferiority_p(margin), Unit::PValue),
        number("equivalence_p", found.equivalence_p(margin), Unit::PValue),
        number("minimum_detectable", found.minimum_detectable(config.level, POWER), Unit::Points),
        number("non_inferiority_power", found.non_inferiority_power(margin, config.alpha), Unit::Share),
    ]
}
