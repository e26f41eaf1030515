//! Are customers as content: non-inferiority and equivalence of sentiment against a declared margin.

use super::mix::Mix;
use super::{Kind, counts, difference, difference_figure, mean};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::estimate::Estimate;
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
        let level = config.judged_level();
        let like = mix.difference(measure.values, 0..cohort.len(), Kind::Mean, level);
        let raw = difference(cohort, measure.values, Kind::Mean, level);
        tests.push(test_row(report, cohort, config, measure, ("adjusted", "like with like", like)));
        tests.push(test_row(report, cohort, config, measure, ("raw", "raw", raw)));
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
                "AI less people",
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

/// A measure against its margin: the tests of one difference, or why there are none.
fn test_row(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    measure: &Measure,
    (kind, kind_words, estimate): (&str, &str, Result<Estimate, String>),
) -> Vec<String> {
    let (id, margin) = (measure.id, measure.margin);
    let [ai, human] = counts(cohort, measure.values);
    let alike = || "all values of an arm are alike: there is no interval".to_owned();
    let found = estimate.and_then(|e| {
        let tested = Difference { value: e.value, standard_error: e.standard_error };
        if e.has_interval() { Ok(tested) } else { Err(alike()) }
    });
    let method = "normal, two one-sided tests";
    let mut number = |what: &str, unit: Unit, of: &dyn Fn(Difference) -> f64| {
        let label = format!("{}, {}, {kind_words}", what.replace('_', " "), measure.words);
        let figure = match &found {
            Ok(found) => Figure::exact(&label, unit, of(*found), method)
                .with("difference", found.value)
                .with("standard_error", found.standard_error),
            Err(reason) => Figure::estimate(&label, unit, None, method).because(reason),
        };
        let figure = figure.with("margin", margin).with("calls_ai", ai).with("calls_human", human);
        report.figure(&format!("{id}_{what}_{kind}"), figure)
    };
    vec![
        format!("{}, {kind_words}", measure.words),
        format!("{margin} points"),
        format!("{{{{{id}_verdict_{kind}}}}}"),
        number("non_inferiority_p", Unit::PValue, &|found| found.non_inferiority_p(margin)),
        number("equivalence_p", Unit::PValue, &|found| found.equivalence_p(margin)),
        number("minimum_detectable", Unit::Points, &|found| found.minimum_detectable(config.level, POWER)),
        number("non_inferiority_power", Unit::Share, &|found| {
            found.non_inferiority_power(margin, config.alpha)
        }),
    ]
}
