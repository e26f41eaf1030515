//! How often: containment under every definition in use, repeat contact, requests for a person, disclosure.

use super::resolution::share;
use super::resolved;
use crate::cohort::{Cohort, Ended, FollowUp, REPEAT_DAYS};
use crate::config::CompareConfig;
use crate::report::{Block, Report};

/// A resolution is verified when the customer did not call again within so many days.
const VERIFIED_DAYS: i64 = 7;

/// A rate: id, words, value of each call (1, 0, or not a number where it does not apply).
type Rate = (String, String, Vec<f64>);

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let mut put = |rates: Vec<Rate>| -> Vec<Vec<String>> {
        rates
            .into_iter()
            .map(|(id, words, values)| {
                let of = |ai: bool, report: &mut Report| {
                    let arm = if ai { "ai" } else { "human" };
                    share(report, &format!("{id}_{arm}"), cohort, &values, ai, config.level)
                };
                let (ai, human) = (of(true, report), of(false, report));
                vec![words, ai, human]
            })
            .collect()
    };
    let follow_up = FollowUp::of(cohort);
    let definitions = put(containment(cohort, config, &follow_up));
    let other = put(other(cohort, config, &follow_up));
    let columns = || ["", "AI first", "people first"].map(str::to_owned).to_vec();
    let blocks = vec![
        Block::Text(
            "\"Resolved without a person\" means something else at every vendor. Below are the definitions in use, each with \
             its own denominator in the JSON; only the last needs that the customer did not come back."
                .to_owned(),
        ),
        Block::Table { caption: "Containment and resolution, by definition".to_owned(), columns: columns(), rows: definitions },
        Block::Table { caption: "Coming back, and asking for a person".to_owned(), columns: columns(), rows: other },
    ];
    report.section("rates", "How often", true, blocks);
}

fn rate(id: &str, words: &str, values: impl Iterator<Item = f64>) -> Rate {
    (id.to_owned(), words.to_owned(), values.collect())
}

fn containment(cohort: &Cohort, config: &CompareConfig, follow_up: &FollowUp) -> Vec<Rate> {
    let calls = || 0..cohort.len();
    let contained =
        |i: usize| !(cohort.ai[i] && cohort.reached_human[i]) && cohort.ended[i] != Ended::Transferred;
    let flag = |b: bool| f64::from(b);
    let verified = |i: usize| match (cohort.ended[i].is_resolved(), follow_up.within(i, VERIFIED_DAYS)) {
        (false, _) | (true, Some(true)) => 0.0,
        (true, Some(false)) => flag(cohort.confidence[i] >= config.verified_confidence),
        (true, None) => f64::NAN,
    };
    vec![
        rate("contained", "contained: no handoff, no transfer", calls().map(|i| flag(contained(i)))),
        rate(
            "assumed_resolved",
            "assumed resolved: contained, and nobody hung up",
            calls().map(|i| flag(contained(i) && cohort.ended[i] != Ended::Abandoned)),
        ),
        rate(
            "resolved_first_handler",
            "settled by whoever took the call first",
            calls().map(|i| flag(cohort.ended[i] == Ended::Resolved)),
        ),
        rate("resolved_any", "settled by anyone (Callmark's resolution)", resolved(cohort).into_iter()),
        rate(
            "verified_resolved",
            &format!("verified: settled with evidence, customer not back within {VERIFIED_DAYS} days"),
            calls().map(verified),
        ),
    ]
}

fn other(cohort: &Cohort, config: &CompareConfig, follow_up: &FollowUp) -> Vec<Rate> {
    let calls = || 0..cohort.len();
    let flag = |b: bool| f64::from(b);
    let mut rates: Vec<Rate> = REPEAT_DAYS
        .into_iter()
        .map(|days| {
            rate(
                &format!("repeat_{days}d"),
                &format!("customer calls again within {days} {}", if days == 1 { "day" } else { "days" }),
                calls().map(|i| follow_up.within(i, days).map_or(f64::NAN, f64::from)),
            )
        })
        .collect();
    let asked = |i: usize| cohort.human_requests[i] > 0;
    let of_asked = |i: usize, value: bool| if asked(i) { flag(value) } else { f64::NAN };
    let limit = config.honoured_within_seconds * 1000;
    let within = |i: usize| (0..=limit).contains(&cohort.time_to_human[i]);
    rates.push(rate("human_request", "customer asks for a person", calls().map(|i| flag(asked(i)))));
    rates.push(rate(
        "deflected",
        "of these, put off at least once",
        calls().map(|i| of_asked(i, cohort.deflections[i] > 0)),
    ));
    rates.push(rate(
        "honoured",
        "of these, a person spoke",
        calls().map(|i| of_asked(i, cohort.time_to_human[i] >= 0)),
    ));
    rates.push(rate(
        "honoured_in_time",
        &format!("of these, a person spoke within {} s", config.honoured_within_seconds),
        calls().map(|i| of_asked(i, within(i))),
    ));
    rates.push(rate(
        "disclosed",
        "the AI says that it is one",
        calls().map(|i| if cohort.ai[i] { flag(cohort.disclosed[i]) } else { f64::NAN }),
    ));
    rates
}
