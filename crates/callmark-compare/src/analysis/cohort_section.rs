//! Who is compared, and who was left out.

use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::proportion::wilson;

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let (ai, human) = (cohort.count(true) as f64, cohort.count(false) as f64);
    let count = |label: &str, value: f64| Figure::exact(label, Unit::Count, value, "counted");
    let seen = report.figure("calls_seen", count("calls in the dataset", cohort.seen as f64));
    let ai_calls = report.figure("calls_ai", count("calls that AI took first", ai));
    let human_calls = report.figure("calls_human", count("calls that a person took first", human));
    let share = Figure::estimate(
        "share of compared calls that AI took first",
        Unit::Share,
        wilson(ai, ai + human, config.level),
        "Wilson",
    );
    let share = report.figure("share_ai", share.with("calls", ai + human).at_level(config.level));
    let mut blocks = vec![Block::Text(format!(
        "The dataset has {seen} calls. Compared are those of {}: AI took {ai_calls} first and people {human_calls}; AI's share \
         is {share}. A call counts for whoever took it first, also when somebody else ended it (intention to treat).",
        asked_for(config)
    ))];
    if cohort.excluded.is_empty() {
        blocks.push(Block::Text("No call was left out.".to_owned()));
    } else {
        let rows = cohort.excluded.iter().map(|(why, n)| {
            let id = format!("left_out_{}", why.replace([' ', ','], "_").replace("__", "_"));
            let figure = count(&format!("calls left out: {why}"), *n as f64);
            vec![why.clone(), report.figure(&id, figure)]
        });
        blocks.push(Block::Table {
            caption: "Calls left out, each for the first reason that holds".to_owned(),
            columns: vec!["why".to_owned(), "calls".to_owned()],
            rows: rows.collect(),
        });
    }
    report.section("cohort", "Which calls are compared", true, blocks);
}

/// The period and the filters in words.
fn asked_for(config: &CompareConfig) -> String {
    let period = match (&config.from, &config.until) {
        (None, None) => "all days".to_owned(),
        (from, until) => format!(
            "the days from {} until before {}",
            from.as_deref().unwrap_or("the first"),
            until.as_deref().unwrap_or("the end")
        ),
    };
    let wanted = [("queue", &config.queues), ("issue", &config.issues), ("language", &config.languages)];
    let filters = wanted.into_iter().filter(|(_, names)| !names.is_empty());
    filters
        .fold(period, |words, (name, names)| format!("{words}, {name} {}", plain_words(&names.join(" or "))))
}
