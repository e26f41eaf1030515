//! Figures put right by what people labelled, arm by arm: the scorer may err on AI's calls in another way than on people's.

use super::{Kind, Observed, difference, mean_of, resolved};
use crate::cohort::{Cohort, Review};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::correction::{Corrected, prediction_powered, rogan_gladen};
use crate::stats::estimate::Estimate;
use crate::stats::proportion::wilson_clustered;

/// Fewer labels in an arm correct nothing.
const LEAST_LABELS: f64 = 20.0;
const TITLE: &str = "What people who listened found";
const ARMS: [(&str, bool); 2] = [("ai", true), ("human", false)];

/// What the scorer says and what a person says of each call, and the units of a mean and a difference. Where recordings break
/// off, calls that were followed for longer stand for them, among all calls and among those that are labelled.
struct Judged {
    id: &'static str,
    label: &'static str,
    units: [Unit; 2],
    /// Whether it is a share, which Rogan and Gladen can correct.
    share: bool,
    /// What stands for each call in the mean of what the scorer says.
    scored: Vec<f64>,
    /// What the scorer says; not a number where the recording breaks off before it shows.
    said: Vec<f64>,
    /// What a person says.
    labelled: Vec<f64>,
    /// What stands for each labelled call in the mean of what the scorer is off by.
    off_by: Vec<f64>,
}

impl Judged {
    /// Calls of which the scorer says what it says at their end, or before.
    fn until_end(
        cohort: &Cohort,
        (id, label): (&'static str, &'static str),
        scored: Vec<f64>,
        said: impl Fn(usize) -> f64,
        labelled: Vec<f64>,
    ) -> Self {
        let said: Vec<f64> =
            (0..cohort.len()).map(|i| if cohort.breaks_off(i) { f64::NAN } else { said(i) }).collect();
        let ends = Observed::ends(cohort, |i| labelled[i].is_finite() && scored[i].is_finite());
        let off_by = ends.values(|i| labelled[i] - said[i]);
        Self {
            id,
            label,
            units: [Unit::Share, Unit::ShareDifference],
            share: true,
            scored,
            said,
            labelled,
            off_by,
        }
    }
}

/// One arm: as scored, and corrected in two ways.
struct Arm {
    apparent: Option<Estimate>,
    labels: f64,
    rogan_gladen: Option<Corrected>,
    powered: Option<Corrected>,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    if cohort.reviews + cohort.reviews_not_random == 0 {
        if cohort.has_reviews {
            let text = "The file of reviews holds none: nothing is put right.";
            report.section("reviews", TITLE, true, vec![Block::Alarm(text.to_owned())]);
        }
        return;
    }
    let judged = judged(cohort);
    let mut rows = Vec::new();
    for judged in &judged {
        let arms = ARMS.map(|(_, ai)| arm(cohort, config, judged, ai));
        if arms.iter().all(|arm| arm.labels == 0.0) {
            continue;
        }
        rows.append(&mut rows_of(report, cohort, config, judged, &arms));
    }
    let mut count = |id: &str, label: &str, value: u64| {
        report.figure(id, Figure::exact(label, Unit::Count, value as f64, "counted"))
    };
    let left_out = count(
        "reviews_not_random",
        "reviews left out because their calls were not picked by chance",
        cohort.reviews_not_random,
    );
    let met = cohort.reviewed.iter().filter(|review| review.judges()).count() as u64;
    let given = count("reviews_given", "reviews of calls picked by chance", cohort.reviews);
    let used = count("reviews_used", "reviews of calls that are compared", met);
    let mut blocks = vec![Block::Text(format!(
        "People reviewed some of the calls. Where they and the scorer differ, the figures are put right, for each arm by its \
         own labels: by sensitivity and specificity (Rogan & Gladen), and by adding the scorer's mean error to what it \
         found (prediction-powered inference). Both need labels of calls picked by chance: {left_out} reviews of others \
         were left out. Of {given} reviews {used} are of calls that are compared. A reviewer's \"unknown\" counts as the scorer's \
         does, as not shown to be settled; for recordings that break off stand those that were followed for longer. The \
         differences are raw: case mix is not adjusted for here."
    ))];
    if met == 0 {
        blocks.push(Block::Alarm(format!(
            "None of the {given} reviews is of a call that is compared: nothing is put right. Are their call_id those of this \
             dataset?"
        )));
    }
    blocks.push(Block::Table {
        caption: "As scored, and put right by labels".to_owned(),
        columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows,
    });
    report.section("reviews", TITLE, true, blocks);
}

/// What scorer and reviewers both judge.
fn judged(cohort: &Cohort) -> [Judged; 3] {
    let of = |value: fn(&Review) -> f64| cohort.reviewed.iter().map(value).collect::<Vec<f64>>();
    let sentiment = (of(|r| r.sentiment), cohort.sentiment_overall.clone());
    [
        Judged::until_end(
            cohort,
            ("resolved", "share settled"),
            resolved(cohort),
            |i| f64::from(cohort.ended[i].is_resolved()),
            of(|r| r.settled),
        ),
        Judged::until_end(
            cohort,
            ("human_request", "share in which the customer asks for a person"),
            super::rates::asks(cohort),
            |i| f64::from(cohort.human_requests[i] > 0),
            of(|r| r.human_request),
        ),
        Judged {
            id: "sentiment",
            label: "customer sentiment",
            units: [Unit::Points, Unit::PointsDifference],
            share: false,
            off_by: sentiment.0.iter().zip(&sentiment.1).map(|(label, score)| label - score).collect(),
            said: sentiment.1.clone(),
            scored: sentiment.1,
            labelled: sentiment.0,
        },
    ]
}

fn arm(cohort: &Cohort, config: &CompareConfig, judged: &Judged, ai: bool) -> Arm {
    let own = |i: usize| cohort.ai[i] == ai && judged.scored[i].is_finite();
    let of = |values: &[f64]| -> Vec<f64> {
        (0..cohort.len()).map(|i| if own(i) { values[i] } else { f64::NAN }).collect()
    };
    let (scored, off_by) = (of(&judged.scored), of(&judged.off_by));
    // Sensitivity and specificity are of labelled calls of which the scorer said something.
    let said = |i: usize| if judged.said[i].is_finite() { judged.labelled[i] } else { f64::NAN };
    let judged_both = of(&(0..cohort.len()).map(said).collect::<Vec<f64>>());
    let labels = off_by.iter().filter(|label| label.is_finite()).count() as f64;
    let enough = labels >= LEAST_LABELS;
    let put_right: Vec<f64> = scored.iter().zip(&off_by).map(|(score, off_by)| score + off_by).collect();
    let found = mean_of(cohort, &scored, own, config.level);
    let of_share = |e: Estimate| {
        wilson_clustered(found.sum.clamp(0.0, found.calls), found.calls, e.standard_error, config.level)
    };
    Arm {
        apparent: if judged.share { found.estimate.and_then(of_share) } else { found.estimate },
        labels,
        rogan_gladen: if enough && judged.share {
            rogan_gladen(&scored, &judged.said, &judged_both)
        } else {
            None
        },
        powered: if enough { prediction_powered(&scored, &put_right) } else { None },
    }
}

/// The estimate of an arm, or of a difference, with its interval.
fn told(cohort: &Cohort, config: &CompareConfig, corrected: &Corrected) -> Option<Estimate> {
    corrected.estimate(cohort.clusters(), config.level)
}

/// As scored, Rogan-Gladen where it is a share, prediction-powered: one row each.
fn rows_of(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    judged: &Judged,
    arms: &[Arm; 2],
) -> Vec<Vec<String>> {
    let kind = if judged.share { Kind::Share } else { Kind::Mean };
    let raw = difference(cohort, &judged.scored, kind, config.level).ok();
    let as_scored = [arms[0].apparent, arms[1].apparent, raw];
    let corrected = |pick: fn(&Arm) -> &Option<Corrected>, cut: bool| {
        let [ai, human] = arms.each_ref().map(pick);
        let cut = |estimate: Option<Estimate>| estimate.map(|e| if cut { e.clamped(0.0, 1.0) } else { e });
        let of_arm = |arm: &Option<Corrected>| cut(arm.as_ref().and_then(|c| told(cohort, config, c)));
        let both = ai.as_ref().zip(human.as_ref());
        [of_arm(ai), of_arm(human), both.and_then(|(ai, human)| told(cohort, config, &ai.less(human)))]
    };
    let mut kinds = vec![("as_scored", "as scored", as_scored)];
    if judged.share {
        kinds.push(("rogan_gladen", "Rogan-Gladen", corrected(|arm| &arm.rogan_gladen, true)));
    }
    let powered = corrected(|arm| &arm.powered, judged.share);
    kinds.push(("prediction_powered", "prediction-powered", powered));
    let labels = [arms[0].labels, arms[1].labels, arms[0].labels + arms[1].labels];
    let reason = format!("fewer than {LEAST_LABELS} labels, or all alike");
    kinds
        .into_iter()
        .map(|(name, words, estimates)| {
            let label = format!("{}, {words}", judged.label);
            let mut cells = vec![label.clone()];
            let units = [judged.units[0], judged.units[0], judged.units[1]];
            let places = ["ai", "human", "difference"].into_iter().zip(units).zip(estimates).zip(labels);
            for (((id, unit), estimate), labels) in places {
                let figure = Figure::estimate(&label, unit, estimate, words).at_level(config.level);
                let figure = if estimate.is_some() { figure } else { figure.because(&reason) };
                let id = format!("{}_{name}_{id}", judged.id);
                cells.push(report.figure(&id, figure.with("labels", labels)));
            }
            cells
        })
        .collect()
}
