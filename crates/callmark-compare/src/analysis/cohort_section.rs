//! Who is compared, and who was left out.

use crate::cohort::Cohort;
use crate::config::{CompareConfig, day_name};
use crate::report::{Block, Figure, Report, Unit, plain_words};
use crate::stats::clusters::one_way;
use crate::stats::proportion::wilson_clustered;

/// More calls without a customer than this share are said to be many.
const MANY: f64 = 0.5;

/// AI's share of the calls that are `chosen`. Customers are clusters; agents are not, for who has one is not AI's.
pub(super) fn ai_share(cohort: &Cohort, label: &str, chosen: impl Fn(usize) -> bool, level: f64) -> Figure {
    let told = |i: usize| if chosen(i) { f64::from(cohort.ai[i]) } else { f64::NAN };
    let mut values: Vec<f64> = (0..cohort.len()).map(told).collect();
    let calls = values.iter().filter(|value| value.is_finite()).count() as f64;
    let ai: f64 = values.iter().filter(|value| value.is_finite()).sum();
    for value in &mut values {
        *value = (*value - ai / calls) / calls;
    }
    let error = one_way(&values, &cohort.customer).map(f64::sqrt);
    let found = error.and_then(|error| wilson_clustered(ai, calls, error, level));
    Figure::estimate(label, Unit::Share, found, "Wilson with the design effect of customers")
        .with("calls", calls)
        .with("calls_ai", ai)
        .at_level(level)
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let (ai, human) = (cohort.count(true) as f64, cohort.count(false) as f64);
    let count = |label: &str, value: f64| Figure::exact(label, Unit::Count, value, "counted");
    let seen = report.figure("calls_seen", count("calls in the dataset", cohort.seen as f64));
    let compared = count("calls that are compared", ai + human);
    let compared = report.figure("calls_compared", compared.with("calls_ai", ai).with("calls_human", human));
    let ai_calls = report.figure("calls_ai", count("calls that AI took first", ai));
    let human_calls = report.figure("calls_human", count("calls that a person took first", human));
    let share = ai_share(cohort, "share of compared calls that AI took first", |_| true, config.level);
    let share = report.figure("share_ai", share);
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
    blocks.extend(not_known(report, cohort));
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

/// What is not known of calls and makes other figures less sure than they look: customers, handoffs, answers.
fn not_known(report: &mut Report, cohort: &Cohort) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut count = |id: &str, label: &str, value: usize| {
        report.figure(id, Figure::exact(label, Unit::Count, value as f64, "counted"))
    };
    let strangers = cohort.len() - cohort.customers_known();
    if strangers > 0 {
        let calls = count("customers_not_known", "calls whose customer is not known", strangers);
        let text = format!(
            "The customer of {calls} calls is not known. Each counts as another customer's: where customers call again, intervals \
             are wider in truth than shown here."
        );
        let many = strangers as f64 > MANY * cohort.len() as f64;
        blocks.push(if many { Block::Alarm(text) } else { Block::Text(text) });
    }
    let handed = (0..cohort.len()).filter(|i| cohort.ai[*i] && cohort.reached_human[*i].is_none()).count();
    if handed > 0 {
        let calls = count("handoffs_not_known", "AI's calls of which a handoff is not known", handed);
        blocks.push(Block::Alarm(format!(
            "Whether a person took over is not known of {calls} of AI's calls: handler segments are missing, and neither a final \
             handler nor a time when a person spoke is there. They count neither as contained nor as handed over."
        )));
    }
    if cohort.has_survey && cohort.survey.iter().all(|answer| answer.is_nan()) {
        let text =
            "No answer of the survey is of a call that is compared. Are its call_id those of this dataset?";
        blocks.push(Block::Alarm(text.to_owned()));
    }
    blocks
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
