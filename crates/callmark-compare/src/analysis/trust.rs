//! Headlines without the calls that are trusted less, and how well each arm is heard.

use super::{difference, known, mean, resolved, rows_of, waits};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let headlines = [
        ("resolved", "share settled", Unit::ShareDifference, resolved(cohort)),
        ("minutes", "minutes until settled", Unit::MinutesDifference, waits(cohort, config.limit_minutes)),
        ("sentiment", "customer sentiment", Unit::PointsDifference, cohort.sentiment_overall.clone()),
    ];
    let mut rows = Vec::new();
    for (id, label, unit, values) in headlines {
        let trusted: Vec<f64> =
            values.iter().zip(&cohort.low_trust).map(|(v, low)| if *low { f64::NAN } else { *v }).collect();
        let mut put = |name: &str, values: &[f64]| {
            let estimate = difference(cohort, values, config.level);
            let figure = Figure::estimate(
                &format!("raw difference in {label}, {name}"),
                unit,
                estimate,
                "difference of means",
            );
            report.figure(&format!("{id}_difference_{name}"), figure.at_level(config.level))
        };
        rows.push(vec![label.to_owned(), put("all_calls", &values), put("trusted_calls", &trusted)]);
    }
    let low = |ai: bool| {
        let rows = rows_of(cohort, ai);
        rows.iter().filter(|i| cohort.low_trust[**i]).count() as f64 / rows.len().max(1) as f64
    };
    let shares = [("ai", true), ("human", false)].map(|(arm, ai)| {
        let label = "share of calls trusted less";
        report.figure(&format!("low_trust_{arm}"), Figure::exact(label, Unit::Share, low(ai), "counted"))
    });
    let heard = [("ai", true), ("human", false)].map(|(arm, ai)| {
        let (values, at) = known(&cohort.asr_confidence, &rows_of(cohort, ai));
        let estimate = mean(cohort, &values, &at, config.level);
        let figure = Figure::estimate(
            "mean recogniser confidence",
            Unit::Share,
            estimate,
            "clusters of customers and agents",
        );
        report.figure(&format!("asr_confidence_{arm}"), figure.at_level(config.level))
    });
    let blocks = vec![
        Block::Text(format!(
            "{} of AI's calls and {} of people's are trusted less: broken off, noisy, or poorly recognised. The recogniser's \
             average confidence is {} and {}: a synthetic voice transcribes better, which alone can make the arms differ.",
            shares[0], shares[1], heard[0], heard[1]
        )),
        Block::Table {
            caption: "Raw differences, AI less people".to_owned(),
            columns: ["", "all calls", "without calls trusted less"].map(str::to_owned).to_vec(),
            rows,
        },
    ];
    report.section("trust", "What if the transcripts are wrong", false, blocks);
}
