//! How often: containment under every definition in use, repeat contact, requests for a person, disclosure.

use super::case_mix::Mix;
use super::difference_figure;
use super::human_access::within;
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
const ADJUSTED: [&str; 2] = ["verified_resolved", "repeat_7d"];

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

/// The difference of a rate, raw and, for what proves a resolution, at equal case mix; nothing where an arm has no such
/// calls by nature.
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
        self.calls.map(|calls| match calls {
            _ if nobody => "who the customers are is not known".to_owned(),
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
    let contained =
        |i: usize| !(cohort.ai[i] && cohort.reached_human[i]) && cohort.ended[i] != Ended::Transferred;
    let flag = |b: bool| f64::from(b);
    // Of calls that are followed for so long, settled or not: the others tell nothing either way.
    let verified = |i: usize| {
        let back = followed.back(i) == Some(true);
        let sure = cohort.confidence[i] >= config.verified_confidence;
        flag(cohort.ended[i].is_resolved() && sure && !back)
    };
    let broken = "recordings break off before it shows";
    vec![
        rate("contained", "contained: no handoff, no transfer", ends.values(|i| flag(contained(i))), broken),
        rate(
            "assumed_resolved",
            "assumed resolved: contained, and nobody hung up",
            ends.values(|i| flag(contained(i) && cohort.ended[i] != Ended::Abandoned)),
            broken,
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
    let asked = |i: usize| cohort.human_requests[i] > 0;
    let nobody = "no customer asked, or recordings break off before it shows";
    let deflected = |i: usize| if asked(i) { flag(cohort.deflections[i] > 0) } else { f64::NAN };
    rates.push(rate(
        "human_request",
        "customer asks for a person",
        calls().map(|i| flag(asked(i))).collect(),
        nobody,
    ));
    rates.push(rate(
        "deflected",
        "of these, put off at least once",
        calls().map(deflected).collect(),
        nobody,
    ));
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
