//! How often: containment under every definition in use, repeat contact, requests for a person, disclosure.

use super::difference_figure;
use super::human_access::within;
use super::mix::Mix;
use super::resolution::share_or;
use super::{Observed, counts, resolved};
use crate::cohort::{Cohort, Ended, REPEAT_DAYS};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};
use crate::stats::clusters::Clusters;

/// A resolution is verified when the customer did not call again within so many days.
const VERIFIED_DAYS: i64 = 7;

/// Of an arm of which fewer calls are followed for so long, nothing is said about what follows.
const LEAST_FOLLOWED_CALLS: usize = 10;
/// Rates that only calls of one arm can have.
const ONE_ARM: [&str; 1] = ["disclosed"];
/// Rates that are told at equal case mix too.
const ADJUSTED: [&str; 7] = [
    "contained",
    "assumed_resolved",
    "resolved_first_handler",
    "resolved_any",
    "verified_resolved",
    "repeat_7d",
    "human_request",
];

/// A rate of calls.
struct Rate {
    id: String,
    words: String,
    /// Of each call 1, 0, or not a number where it does not apply.
    values: Vec<f64>,
    /// What is said of an arm where it applies to none: people's, AI's.
    nothing: [String; 2],
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let enough = cohort.count(true).min(cohort.count(false)) >= config.least_calls;
    let mut put = |rates: Vec<Rate>| -> Vec<Vec<String>> {
        rates
            .into_iter()
            .map(|Rate { id, words, values, nothing }| {
                let of = |ai: bool, report: &mut Report| {
                    let arm = if ai { "ai" } else { "human" };
                    let nothing = &nothing[usize::from(ai)];
                    share_or(report, &format!("{id}_{arm}"), cohort, &values, (ai, config.level), nothing)
                };
                let (ai, human) = (of(true, report), of(false, report));
                let mut cells = vec![words.clone(), ai, human];
                if enough {
                    cells.extend(differences(
                        report,
                        (cohort, config, mix),
                        (&id, &words, &nothing),
                        &values,
                    ));
                }
                cells
            })
            .collect()
    };
    let definitions = put(containment(cohort, config));
    let other = put(other(cohort, config));
    let columns = || {
        let all =
            ["", "AI first", "people first", "AI less people, raw", "like with like"].map(str::to_owned);
        all[..if enough { 5 } else { 3 }].to_vec()
    };
    let blocks = vec![
        Block::Text(
            "\"Resolved without a person\" means something else at every vendor. Below are the definitions in use, each with \
             its own denominator in the JSON; only the last needs that the customer did not come back. A customer comes back with \
             any call of the dataset, in whatever queue and also after the period; a call tells about so many days only where \
             the dataset goes on for so many days after it."
                .to_owned(),
        ),
        Block::Table { caption: "Containment and resolution, by definition".to_owned(), columns: columns(), rows: definitions },
        Block::Table { caption: "Coming back, and asking for a person".to_owned(), columns: columns(), rows: other },
    ];
    report.section("rates", "How often", true, blocks);
}

/// The difference of a rate, raw and, for what vendors quote and what proves a resolution, at equal case mix; nothing where
/// an arm has no such calls by nature.
fn differences(
    report: &mut Report,
    (cohort, config, mix): (&Cohort, &CompareConfig, &Mix),
    (id, words, nothing): (&str, &str, &[String; 2]),
    values: &[f64],
) -> [String; 2] {
    if ONE_ARM.contains(&id) {
        return [String::new(), String::new()];
    }
    let [ai, human] = counts(cohort, values);
    let told = |figure: Figure| match (human > 0.0, ai > 0.0) {
        (false, _) => figure.because(&nothing[0]),
        (_, false) => figure.because(&nothing[1]),
        (true, true) => figure,
    };
    let label = format!("difference in the share, {words}");
    let raw = difference_figure(cohort, &label, Unit::ShareDifference, values, config.level);
    let raw = report.figure(&format!("{id}_difference"), told(raw));
    if !ADJUSTED.contains(&id) {
        return [raw, String::new()];
    }
    let asked = (&*format!("adjusted {label}"), Unit::ShareDifference, config.level);
    let like = mix.figure_of_all(asked, values);
    [raw, report.figure(&format!("{id}_difference_adjusted"), told(like))]
}

fn rate(id: &str, words: &str, values: Vec<f64>, nothing: &str) -> Rate {
    let nothing = [nothing.to_owned(), nothing.to_owned()];
    Rate { id: id.to_owned(), words: words.to_owned(), values, nothing }
}

/// Which calls tell about so many days after them.
struct Followed<'a> {
    cohort: &'a Cohort,
    days: i64,
    /// How many calls do, of people's and of AI's.
    calls: [usize; 2],
}

impl<'a> Followed<'a> {
    fn new(cohort: &'a Cohort, days: i64) -> Self {
        let mut calls = [0; 2];
        for i in (0..cohort.len()).filter(|i| cohort.follow_up.within(*i, days).is_some()) {
            calls[usize::from(cohort.ai[i])] += 1;
        }
        Self { cohort, days, calls }
    }

    /// Whether the customer of a call came back; `None` where the call does not tell, or its arm has next to none that do.
    fn back(&self, call: usize) -> Option<bool> {
        let enough = self.calls[usize::from(self.cohort.ai[call])] >= LEAST_FOLLOWED_CALLS;
        self.cohort.follow_up.within(call, self.days).filter(|_| enough)
    }

    /// What is said of arms that have next to none.
    fn nothing(&self) -> [String; 2] {
        let unit = if self.days == 1 { "day" } else { "days" };
        let nobody = self.cohort.customer.iter().all(|customer| *customer == Clusters::ALONE);
        let dated = self.cohort.started_at.iter().any(|start| *start != i64::MIN);
        self.calls.map(|calls| match calls {
            _ if nobody => "who the customers are is not known".to_owned(),
            0 if !dated => "when the calls began is not known".to_owned(),
            0 => format!("the dataset ends within {} {unit} of every one of these calls", self.days),
            few if few < LEAST_FOLLOWED_CALLS => {
                format!("after only {few} of these calls the dataset goes on for {} {unit}", self.days)
            }
            _ => "recordings break off before it shows".to_owned(),
        })
    }
}

fn containment(cohort: &Cohort, config: &CompareConfig) -> Vec<Rate> {
    let ends = Observed::ends(cohort, |_| true);
    let followed = Followed::new(cohort, VERIFIED_DAYS);
    let verifiable = Observed::ends(cohort, |i| followed.back(i).is_some());
    // Of an AI's call of which nobody knows whether a person took over, nothing is said.
    let told = Observed::ends(cohort, |i| !cohort.ai[i] || cohort.reached_human[i].is_some());
    let contained = |i: usize| {
        !(cohort.ai[i] && cohort.reached_human[i] == Some(true)) && cohort.ended[i] != Ended::Transferred
    };
    let flag = |b: bool| f64::from(b);
    // Of calls that are followed for so long, settled or not: the others tell nothing either way.
    let verified = |i: usize| {
        let back = followed.back(i) == Some(true);
        let sure = cohort.confidence[i] >= config.verified_confidence;
        flag(cohort.ended[i].is_resolved() && sure && !back)
    };
    let broken = "recordings break off before it shows";
    let unknown = "whether a person took over is not known, or recordings break off before it shows";
    vec![
        rate("contained", "contained: no handoff, no transfer", told.values(|i| flag(contained(i))), unknown),
        rate(
            "assumed_resolved",
            "assumed resolved: contained, and nobody hung up",
            told.values(|i| flag(contained(i) && cohort.ended[i] != Ended::Abandoned)),
            unknown,
        ),
        rate(
            "resolved_first_handler",
            "settled by whoever took the call first",
            ends.values(|i| flag(cohort.ended[i] == Ended::Resolved)),
            broken,
        ),
        rate("resolved_any", "settled by anyone (Callmark's resolution)", resolved(cohort), broken),
        Rate {
            nothing: followed.nothing(),
            ..rate(
                "verified_resolved",
                &format!("verified: settled with evidence, customer not back within {VERIFIED_DAYS} days"),
                verifiable.values(verified),
                "",
            )
        },
    ]
}

fn other(cohort: &Cohort, config: &CompareConfig) -> Vec<Rate> {
    let calls = || 0..cohort.len();
    let flag = |b: bool| f64::from(b);
    let mut rates: Vec<Rate> = REPEAT_DAYS
        .into_iter()
        .map(|days| {
            let followed = Followed::new(cohort, days);
            let unit = if days == 1 { "day" } else { "days" };
            let words = format!("customer calls again within {days} {unit}");
            let values = calls().map(|i| followed.back(i).map_or(f64::NAN, f64::from)).collect();
            Rate { nothing: followed.nothing(), ..rate(&format!("repeat_{days}d"), &words, values, "") }
        })
        .collect();
    let nobody = "no customer asked, or recordings break off before it shows";
    rates.push(rate("human_request", "customer asks for a person", asks(cohort), nobody));
    rates.push(rate("deflected", "of these, put off at least once", put_off(cohort), nobody));
    rates.push(rate("honoured", "of these, a person spoke", within(cohort, None), nobody));
    rates.push(rate(
        "honoured_in_time",
        &format!("of these, a person spoke within {} s", config.honoured_within_seconds),
        within(cohort, Some(config.honoured_within_seconds)),
        nobody,
    ));
    rates.push(rate(
        "disclosed",
        "the AI says that it is one",
        calls().map(|i| if cohort.ai[i] { flag(cohort.disclosed[i]) } else { f64::NAN }).collect(),
        "people are none",
    ));
    rates
}

/// Whether the customer asks for a person: a recording that breaks off before he did does not tell.
pub(super) fn asks(cohort: &Cohort) -> Vec<f64> {
    let asked = |i: usize| cohort.human_requests[i] > 0;
    let observed = Observed::new(cohort, |i| {
        let until = if asked(i) { cohort.minutes_to_request[i] } else { cohort.minutes[i] };
        let until = if until.is_finite() { until } else { 0.0 };
        Some((until, asked(i) || !cohort.breaks_off(i)))
    });
    observed.values(|i| f64::from(asked(i)))
}

/// Whether those who ask are put off: who was not before the recording broke off may have been later. That somebody was put
/// off is known as soon as he asked, to a moment.
fn put_off(cohort: &Cohort) -> Vec<f64> {
    let observed = Observed::new(cohort, |i| {
        let off = cohort.deflections[i] > 0;
        let heard = if off { 0 } else { cohort.heard_after_request[i].max(0) };
        (cohort.human_requests[i] > 0).then_some((heard as f64, off || !cohort.breaks_off(i)))
    });
    observed.values(|i| f64::from(cohort.deflections[i] > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_breaks_off_before_anybody_asked_does_not_say_that_nobody_did() {
        // Eight calls; half of the customers ask in minute 3, and of the four who do not two are cut off in minute 2.
        let cohort = Cohort {
            ai: vec![true; 8],
            human_requests: vec![1, 1, 1, 1, 0, 0, 0, 0],
            deflections: vec![1, 1, 0, 0, 0, 0, 0, 0],
            minutes_to_request: vec![3.0, 3.0, 3.0, 3.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN],
            heard_after_request: vec![60_000, 60_000, 60_000, 1000, -1, -1, -1, -1],
            minutes: vec![5.0, 5.0, 5.0, 3.1, 5.0, 5.0, 2.0, 2.0],
            truncated: vec![false, false, false, true, false, false, true, true],
            ended: vec![Ended::Unknown; 8],
            ..Cohort::default()
        };
        // Of the six that are heard until minute 3 four ask, and two of three are put off who were heard to the end.
        let asked = asks(&cohort);
        assert!((asked.iter().sum::<f64>() / 8.0 - 4.0 / 6.0).abs() < 1e-12, "{asked:?}");
        let off = put_off(&cohort);
        let told: Vec<f64> = off.into_iter().filter(|v| v.is_finite()).collect();
        assert!((told.iter().sum::<f64>() / 4.0 - 0.5).abs() < 1e-12, "{told:?}");
    }

    #[test]
    fn where_nobody_knows_whether_a_person_took_over_nothing_is_contained() {
        let cohort = |reached: Option<bool>| Cohort {
            ai: vec![true; 40],
            reached_human: (0..40).map(|i| if i < 20 { Some(i < 10) } else { reached }).collect(),
            minutes: vec![5.0; 40],
            truncated: vec![false; 40],
            ended: vec![Ended::Resolved; 40],
            confidence: vec![1.0; 40],
            customer: (0..40).collect(),
            follow_up: crate::cohort::FollowUp::of(&[(0, 0); 40], Vec::new()),
            ..Cohort::default()
        };
        let share = |cohort: &Cohort| {
            let [contained, ..] = &containment(cohort, &CompareConfig::default())[..] else { panic!("none") };
            let told: Vec<f64> = contained.values.iter().copied().filter(|v| v.is_finite()).collect();
            (told.iter().sum::<f64>() / told.len() as f64, told.len())
        };
        assert_eq!(share(&cohort(None)), (0.5, 20));
        assert_eq!(share(&cohort(Some(false))), (0.75, 40));
    }
}
