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
    /// What is said where it applies to none.
    nothing: String,
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let mut put = |rates: Vec<Rate>| -> Vec<Vec<String>> {
        rates
            .into_iter()
            .map(|Rate { id, words, values, nothing }| {
                let of = |ai: bool, report: &mut Report| {
                    let arm = if ai { "ai" } else { "human" };
                    share_or(report, &format!("{id}_{arm}"), cohort, &values, (ai, config.level), &nothing)
                };
                let (ai, human) = (of(true, report), of(false, report));
                let [raw, like] =
                    differences(report, cohort, (config, mix), (&id, &words, &nothing), &values);
                vec![words, ai, human, raw, like]
            })
            .collect()
    };
    let definitions = put(containment(cohort, config));
    let other = put(other(cohort, config));
    let columns = || {
        ["", "AI first", "people first", "AI less people, raw", "like with like"].map(str::to_owned).to_vec()
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
/// calls by nature, or too few for any comparison.
fn differences(
    report: &mut Report,
    cohort: &Cohort,
    (config, mix): (&CompareConfig, &Mix),
    (id, words, nothing): (&str, &str, &str),
    values: &[f64],
) -> [String; 2] {
    let enough = cohort.count(true).min(cohort.count(false)) >= config.least_calls;
    if !enough || ONE_ARM.contains(&id) {
        return [String::new(), String::new()];
    }
    let none = counts(cohort, values).contains(&0.0);
    let told = |figure: Figure| if none { figure.because(nothing) } else { figure };
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
    Rate { id: id.to_owned(), words: words.to_owned(), values, nothing: nothing.to_owned() }
}

/// What is said where no call can be followed for so many days.
fn not_followed(cohort: &Cohort, days: i64) -> String {
    if cohort.customer.iter().all(|customer| *customer == Clusters::ALONE) {
        return "who the customers are is not known".to_owned();
    }
    let unit = if days == 1 { "day" } else { "days" };
    if (0..cohort.len()).all(|i| cohort.follow_up.within(i, days).is_none()) {
        return format!("the dataset ends within {days} {unit} of every one of these calls");
    }
    "recordings break off before it shows, or all such calls are of the other arm".to_owned()
}

fn containment(cohort: &Cohort, config: &CompareConfig) -> Vec<Rate> {
    let ends = Observed::ends(cohort, |_| true);
    let verifiable = Observed::ends(cohort, |i| cohort.follow_up.within(i, VERIFIED_DAYS).is_some());
    let contained =
        |i: usize| !(cohort.ai[i] && cohort.reached_human[i]) && cohort.ended[i] != Ended::Transferred;
    let flag = |b: bool| f64::from(b);
    // Of calls that are followed for so long, settled or not: the others tell nothing either way.
    let verified = |i: usize| {
        let back = cohort.follow_up.within(i, VERIFIED_DAYS) == Some(true);
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
        rate(
            "verified_resolved",
            &format!("verified: settled with evidence, customer not back within {VERIFIED_DAYS} days"),
            verifiable.values(verified),
            &not_followed(cohort, VERIFIED_DAYS),
        ),
    ]
}

fn other(cohort: &Cohort, config: &CompareConfig) -> Vec<Rate> {
    let calls = || 0..cohort.len();
    let flag = |b: bool| f64::from(b);
    let mut rates: Vec<Rate> = REPEAT_DAYS
        .into_iter()
        .map(|days| {
            rate(
                &format!("repeat_{days}d"),
                &format!("customer calls again within {days} {}", if days == 1 { "day" } else { "days" }),
                calls().map(|i| cohort.follow_up.within(i, days).map_or(f64::NAN, f64::from)).collect(),
                &not_followed(cohort, days),
            )
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
