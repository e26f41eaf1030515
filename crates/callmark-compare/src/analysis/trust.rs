//! Headlines without the calls that are trusted less, raw and at equal case mix, and how well each arm is heard.

use super::case_mix::adjusted;
use super::{difference, mean, resolution::share, resolved, waits};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let headlines = [
        ("resolved", "share settled", Unit::ShareDifference, resolved(cohort)),
        ("minutes", "minutes until settled", Unit::MinutesDifference, waits(cohort, config.limit_minutes)),
        ("sentiment", "customer sentiment", Unit::PointsDifference, cohort.sentiment_overall.clone()),
    ];
    let rows = headlines
        .into_iter()
        .map(|(id, label, unit, values)| row(report, cohort, config, (id, label), unit, &values))
        .collect();
    let low: Vec<f64> = cohort.low_trust.iter().map(|low| f64::from(*low)).collect();
    let arms = [("ai", true), ("human", false)];
    let shares =
        arms.map(|(arm, ai)| share(report, &format!("low_trust_{arm}"), cohort, &low, ai, config.level));
    let [ai_heard, human_heard] = arms.map(|(arm, ai)| {
        let found = mean(cohort, &cohort.asr_confidence, ai, config.level);
        let figure = Figure::estimate(
            "mean recogniser confidence",
            Unit::Share,
            found.estimate,
            "clusters of customers and agents",
        );
        let figure = figure.with("calls", found.calls).at_level(config.level);
        report.figure(&format!("asr_confidence_{arm}"), figure)
    });
    let gap = Figure::estimate(
        "difference in the recogniser's mean confidence",
        Unit::ShareDifference,
        difference(cohort, &cohort.asr_confidence, config.level),
        "clusters of customers and agents",
    );
    let gap = report.figure("asr_confidence_difference", gap.at_level(config.level));
    let blocks = vec![
        Block::Text(format!(
            "{} of AI's calls and {} of people's are trusted less: broken off, noisy, or poorly recognised. The recogniser's \
             average confidence is {ai_heard} and {human_heard}, a difference of {gap}: a synthetic voice transcribes better, \
             which alone can make the arms differ.",
            shares[0], shares[1]
        )),
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
    ];
    report.section("trust", "What if the transcripts are wrong", false, blocks);
}

/// One headline, raw and at equal case mix, of all calls and of those that are trusted.
fn row(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    (id, label): (&str, &str),
    unit: Unit,
    values: &[f64],
) -> Vec<String> {
    let trusted: Vec<f64> =
        values.iter().zip(&cohort.low_trust).map(|(v, low)| if *low { f64::NAN } else { *v }).collect();
    let raw = Figure::estimate(
        &format!("raw difference in {label}, trusted calls"),
        unit,
        difference(cohort, &trusted, config.level),
        "difference of means, clusters of customers and agents",
    );
    let words = format!("adjusted difference in {label}, trusted calls");
    let method = "doubly robust (AIPW), influence function";
    let like = match adjusted(cohort, config, &trusted) {
        Ok(found) => Figure::estimate(&words, unit, found, method),
        Err(reason) => Figure::estimate(&words, unit, None, method).because(&reason),
    };
    vec![
        label.to_owned(),
        format!("{{{{{id}_difference_raw}}}}"),
        report.figure(&format!("{id}_difference_raw_trusted"), raw.at_level(config.level)),
        format!("{{{{{id}_difference_adjusted}}}}"),
        report.figure(&format!("{id}_difference_adjusted_trusted"), like.at_level(config.level)),
    ]
}
