//! Headlines without the calls that are trusted less, raw and at equal case mix, and how well each arm is heard.

use super::cohort_section::ai_share;
use super::difference::{Kind, difference_figure_of};
use super::mix::Mix;
use super::resolution::share;
use super::{difference_figure, mean, resolved, waits, whole_calls};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};

const ARMS: [(&str, bool); 2] = [("ai", true), ("human", false)];

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let limit = config.limit_minutes;
    let settled = |i: usize| f64::from(cohort.ended[i].is_resolved());
    let waited =
        |i: usize| if cohort.minutes[i].is_finite() { super::wait(cohort, i, limit) } else { f64::NAN };
    // Recordings that break off are trusted less, so that those that are trusted have an end.
    let headlines = [
        ("resolved", "share settled", Unit::ShareDifference, resolved(cohort), whole_calls(cohort, settled)),
        (
            "minutes",
            "minutes until settled",
            Unit::MinutesDifference,
            waits(cohort, limit),
            whole_calls(cohort, waited),
        ),
        (
            "sentiment",
            "customer sentiment",
            Unit::PointsDifference,
            cohort.sentiment_overall.clone(),
            cohort.sentiment_overall.clone(),
        ),
    ];
    let mut levels = vec![share_of_ai(report, cohort, config)];
    let mut rows = Vec::new();
    for (id, label, unit, all, whole) in &headlines {
        let trusted: Vec<f64> =
            whole.iter().zip(&cohort.low_trust).map(|(v, low)| if *low { f64::NAN } else { *v }).collect();
        rows.push(differences_row(report, cohort, (config, mix), (id, label, *unit), &trusted));
        for (arm, ai) in ARMS {
            levels.push(level_row(report, cohort, config, (id, label, *unit), (arm, ai), [all, &trusted]));
        }
    }
    let low: Vec<f64> = cohort.low_trust.iter().map(|low| f64::from(*low)).collect();
    let shares =
        ARMS.map(|(arm, ai)| share(report, &format!("low_trust_{arm}"), cohort, &low, ai, config.level));
    let blocks = vec![
        Block::Text(format!(
            "{} of AI's calls and {} of people's are trusted less: broken off, noisy, or poorly recognised.",
            shares[0], shares[1]
        )),
        heard(report, cohort, config),
        Block::Table {
            caption: "AI less people, with and without the calls that are trusted less".to_owned(),
            columns: [
                "",
                "raw, all calls",
                "raw, trusted calls",
                "like with like, all calls",
                "like with like, trusted calls",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows,
        },
        Block::Table {
            caption: "Each arm, with and without the calls that are trusted less".to_owned(),
            columns: ["", "all calls", "trusted calls"].map(str::to_owned).to_vec(),
            rows: levels,
        },
    ];
    report.section("trust", "What if the transcripts are wrong", true, blocks);
}

/// How sure the recogniser is of either arm's words: which way the gap goes is for the data to say.
fn heard(report: &mut Report, cohort: &Cohort, config: &CompareConfig) -> Block {
    let [ai, human] = ARMS.map(|(arm, ai)| {
        let found = mean(cohort, &cohort.asr_confidence, ai, config.level);
        let label = "mean recogniser confidence";
        let figure =
            Figure::estimate(label, Unit::Share, found.estimate, "mean, clusters of customers and agents");
        let figure = figure.with("calls", found.calls).at_level(config.level);
        report.figure(&format!("asr_confidence_{arm}"), figure)
    });
    let label = "difference in the recogniser's mean confidence";
    // A mean of probabilities, not a share of calls.
    let measured = (Unit::ShareDifference, Kind::Mean);
    let gap = difference_figure_of(cohort, label, measured, &cohort.asr_confidence, config.level);
    let says = match gap.low.zip(gap.high) {
        Some((low, _)) if low > 0.0 => {
            "AI's calls are heard more surely, as a synthetic voice often is: that alone can make the arms differ"
        }
        Some((_, high)) if high < 0.0 => {
            "people's calls are heard more surely: that alone can make the arms differ"
        }
        Some(_) => "these data show no difference in how surely the arms are heard",
        None => "whether one arm is heard more surely cannot be told",
    };
    let gap = report.figure("asr_confidence_difference", gap);
    Block::Text(format!(
        "The recogniser's average confidence is {ai} for AI's calls and {human} for people's, a difference of {gap}: {says}. \
         Confidence is what the recogniser thinks of itself; its error would need calls that people wrote down."
    ))
}

/// AI's share of the calls, all and trusted.
fn share_of_ai(report: &mut Report, cohort: &Cohort, config: &CompareConfig) -> Vec<String> {
    let label = "share of trusted calls that AI took first";
    let figure = ai_share(cohort, label, |i| !cohort.low_trust[i], config.level);
    vec![
        "share that AI took first".to_owned(),
        "{{share_ai}}".to_owned(),
        report.figure("share_ai_trusted", figure),
    ]
}

/// One headline of one arm, of all calls and of those that are trusted.
fn level_row(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    (id, label, unit): (&str, &str, Unit),
    (arm, ai): (&str, bool),
    values: [&[f64]; 2],
) -> Vec<String> {
    let who = if ai { "AI first" } else { "people first" };
    let mut cells = vec![format!("{label}, {who}")];
    for (kind, values) in ["all", "trusted"].into_iter().zip(values) {
        let id = format!("{id}_{kind}_calls_{arm}");
        if unit == Unit::ShareDifference {
            cells.push(share(report, &id, cohort, values, ai, config.level));
            continue;
        }
        let found = mean(cohort, values, ai, config.level);
        let unit = if unit == Unit::MinutesDifference { Unit::Minutes } else { Unit::Points };
        let label = format!("{label}, {kind} calls, {who}");
        let figure = Figure::estimate(&label, unit, found.estimate, "mean, clusters of customers and agents");
        cells.push(report.figure(&id, figure.with("calls", found.calls).at_level(config.level)));
    }
    cells
}

/// One headline's difference, raw and at equal case mix, of all calls and of those that are trusted.
fn differences_row(
    report: &mut Report,
    cohort: &Cohort,
    (config, mix): (&CompareConfig, &Mix),
    (id, label, unit): (&str, &str, Unit),
    trusted: &[f64],
) -> Vec<String> {
    let level = if unit == Unit::PointsDifference { config.judged_level() } else { config.level };
    let words = format!("raw difference in {label}, trusted calls");
    let raw = difference_figure(cohort, &words, unit, trusted, level);
    let words = format!("adjusted difference in {label}, trusted calls");
    let like = mix.figure_of_all((&words, unit, level), trusted);
    vec![
        label.to_owned(),
        format!("{{{{{id}_difference_raw}}}}"),
        report.figure(&format!("{id}_difference_raw_trusted"), raw),
        format!("{{{{{id}_difference_adjusted}}}}"),
        report.figure(&format!("{id}_difference_adjusted_trusted"), like),
    ]
}
