//! Figures put right by what people labelled, arm by arm: the scorer may err on AI's calls in another way than on people's.

use super::{Mean, mean_of};
use crate::cohort::{Cohort, Review};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::correction::{Agreement, rectified, rogan_gladen};
use crate::stats::estimate::Estimate;

/// Fewer labels in an arm correct nothing.
const LEAST_LABELS: f64 = 20.0;
const ARMS: [(&str, bool); 2] = [("ai", true), ("human", false)];

/// What the scorer says and what a person says of each call, and the units of a mean and a difference.
struct Judged {
    id: &'static str,
    label: &'static str,
    units: [Unit; 2],
    /// Whether it is a share, which Rogan and Gladen can correct.
    share: bool,
    scored: Vec<f64>,
    labelled: Vec<f64>,
}

/// One arm: as scored, and corrected in two ways.
struct Arm {
    apparent: Mean,
    labels: f64,
    rogan_gladen: Option<Estimate>,
    powered: Option<Estimate>,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    if !cohort.has_reviews {
        return;
    }
    let of = |value: fn(&Review) -> f64| cohort.reviewed.iter().map(value).collect::<Vec<f64>>();
    let judged = [
        Judged {
            id: "resolved",
            label: "share settled",
            units: [Unit::Share, Unit::ShareDifference],
            share: true,
            scored: super::resolved(cohort),
            labelled: of(|r| r.settled),
        },
        Judged {
            id: "human_request",
            label: "share in which the customer asks for a person",
            units: [Unit::Share, Unit::ShareDifference],
            share: true,
            scored: cohort.human_requests.iter().map(|n| f64::from(*n > 0)).collect(),
            labelled: of(|r| r.human_request),
        },
        Judged {
            id: "sentiment",
            label: "customer sentiment",
            units: [Unit::Points, Unit::PointsDifference],
            share: false,
            scored: cohort.sentiment_overall.clone(),
            labelled: of(|r| r.sentiment),
        },
    ];
    let mut rows = Vec::new();
    for judged in &judged {
        let arms = ARMS.map(|(_, ai)| arm(cohort, config, judged, ai));
        if arms.iter().all(|arm| arm.labels == 0.0) {
            continue;
        }
        rows.append(&mut rows_of(report, config, judged, &arms));
    }
    let left_out = Figure::exact(
        "reviews left out because their calls were not picked by chance",
        Unit::Count,
        cohort.reviews_not_random as f64,
        "counted",
    );
    let left_out = report.figure("reviews_not_random", left_out);
    let blocks = vec![
        Block::Text(format!(
            "People reviewed some of the calls. Where they and the scorer differ, the figures are put right, for each arm by its \
             own labels: by sensitivity and specificity (Rogan & Gladen), and by adding the scorer's mean error to what it \
             found (prediction-powered inference). Both need labels of calls picked by chance: {left_out} reviews of others \
             were left out. The differences are raw: case mix is not adjusted for here."
        )),
        Block::Table {
            caption: "As scored, and put right by labels".to_owned(),
            columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
            rows,
        },
    ];
    report.section("reviews", "What people who listened found", false, blocks);
}

fn arm(cohort: &Cohort, config: &CompareConfig, judged: &Judged, ai: bool) -> Arm {
    let level = config.level;
    let own = |i: usize| cohort.ai[i] == ai && judged.scored[i].is_finite();
    let labelled = |i: usize| own(i) && judged.labelled[i].is_finite();
    let apparent = mean_of(cohort, &judged.scored, own, level);
    let others = mean_of(cohort, &judged.scored, |i| own(i) && !labelled(i), level);
    let errors: Vec<f64> =
        judged.labelled.iter().zip(&judged.scored).map(|(label, scored)| label - scored).collect();
    let error = mean_of(cohort, &errors, labelled, level);
    let mut agreement = Agreement::default();
    for i in (0..cohort.len()).filter(|i| labelled(*i)) {
        agreement.count(judged.scored[i] > 0.5, judged.labelled[i] > 0.5);
    }
    let enough = error.calls >= LEAST_LABELS;
    Arm {
        apparent,
        labels: error.calls,
        rogan_gladen: others
            .estimate
            .filter(|_| enough && judged.share)
            .and_then(|e| rogan_gladen(&e, agreement, level)),
        powered: others
            .estimate
            .zip(error.estimate)
            .filter(|_| enough)
            .map(|(others, error)| rectified(&others, &error, level)),
    }
}

/// As scored, Rogan-Gladen where it is a share, prediction-powered: one row each.
fn rows_of(
    report: &mut Report,
    config: &CompareConfig,
    judged: &Judged,
    arms: &[Arm; 2],
) -> Vec<Vec<String>> {
    type Pick = fn(&Arm) -> Option<Estimate>;
    let kinds: [(&str, &str, Pick); 3] = [
        ("as_scored", "as scored", |arm| arm.apparent.estimate),
        ("rogan_gladen", "Rogan-Gladen", |arm| arm.rogan_gladen),
        ("prediction_powered", "prediction-powered", |arm| arm.powered),
    ];
    let kinds = kinds.into_iter().filter(|(name, ..)| judged.share || *name != "rogan_gladen");
    kinds
        .map(|(name, words, pick)| {
            let label = format!("{}, {words}", judged.label);
            let mut put = |id: &str, unit: Unit, estimate: Option<Estimate>, labels: f64| {
                let figure = Figure::estimate(&label, unit, estimate, words)
                    .with("labels", labels)
                    .at_level(config.level);
                let told = figure.value.is_some();
                let reason = format!("fewer than {LEAST_LABELS} labels, or all alike");
                report.figure(
                    &format!("{}_{name}_{id}", judged.id),
                    if told { figure } else { figure.because(&reason) },
                )
            };
            let mut cells = vec![label.clone()];
            for ((id, _), arm) in ARMS.iter().zip(arms) {
                cells.push(put(id, judged.units[0], pick(arm), arm.labels));
            }
            // The arms have no call in common; a customer who is in both is taken for two.
            let difference = pick(&arms[0]).zip(pick(&arms[1])).map(|(a, h)| {
                Estimate::wald(a.value - h.value, a.standard_error.hypot(h.standard_error), config.level)
            });
            cells.push(put("difference", judged.units[1], difference, arms[0].labels + arms[1].labels));
            cells
        })
        .collect()
}
