//! Who is compared, and who was left out.

use crate::cohort::Cohort;
use crate::config::{CompareConfig, day_name};
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::proportion::wilson;

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let (ai, human) = (cohort.count(true) as f64, cohort.count(false) as f64);
    let count = |label: &str, value: f64| Figure::exact(label, Unit::Count, value, "counted");
    let seen = report.figure("calls_seen", count("calls in the dataset", cohort.seen as f64));
    let compared = count("calls that are compared", ai + human);
    let compared = report.figure("calls_compared", compared.with("calls_ai", ai).with("calls_human", human));
    let ai_calls = report.figure("calls_ai", count("calls that AI took first", ai));
    let human_calls = report.figure("calls_human", count("calls that a person took first", human));
    let share = Figure::estimate(
        "share of compared calls that AI took first",
        Unit::Share,
        wilson(ai, ai + human, config.level),
        "Wilson",
    );
    let share = report
        .figure("share_ai", share.with("calls", ai + human).with("calls_ai", ai).at_level(config.level));
    let mut blocks = vec![Block::Text(format!(
        "The dataset has {seen} calls. Compared are {compared}, those of {}{}: AI took {ai_calls} first and people {human_calls}; \
         AI's share is {share}. A call counts for whoever took it first, also when somebody else ended it (intention to \
         treat).",
        asked_for(config),
        days(cohort)
    ))];
    if cohort.implausible > 0 {
        let refused = count("values that cannot be, taken for not known", cohort.implausible as f64);
        let refused = report.figure("implausible_values", refused);
        blocks.push(Block::Alarm(format!(
            "{refused} values cannot be (a time below 0 or beyond a week, a sentiment beyond -5 to 5, a probability beyond 0 to 1). \
             They are taken for not known."
        )));
    }
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

/// The first and the last day on which a compared call began, UTC.
fn days(cohort: &Cohort) -> String {
    let known = || cohort.started_at.iter().copied().filter(|t| *t != i64::MIN);
    let (Some(first), Some(last)) = (known().min(), known().max()) else { return String::new() };
    format!(" (the first began on {}, the last on {}, UTC)", day_name(first), day_name(last))
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
