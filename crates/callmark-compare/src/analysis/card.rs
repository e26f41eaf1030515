//! The claim card: the press-release numbers of this dataset, each with what it means, of how many calls, how sure, and like
//! with like; and whether they agree with each other.

use crate::claim::{Claim, WEEKS_PER_MONTH, arithmetic};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Report, Unit};

/// The sentence, what the reader must not miss, then the numbers one by one.
pub(super) fn blocks(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    alarms: Vec<Block>,
) -> Vec<Block> {
    let refused = report.figures.get("resolved_difference_adjusted").is_some_and(|f| f.value.is_none());
    let left_out = if cohort.excluded.is_empty() { "" } else { " (of {{calls_seen}} in the dataset)" };
    let told = |id: &str| report.figures.get(id).is_some_and(|f| f.value.is_some());
    let medians = if told("median_minutes_ai") && told("median_minutes_human") {
        "Half of its calls are settled within {{median_minutes_ai}}, half of people's within {{median_minutes_human}}, calls that \
         are never settled counted in."
    } else {
        "The time within which half of the calls are settled, those never settled counted in: AI's {{median_minutes_ai}}, \
         people's {{median_minutes_human}}."
    };
    let mut blocks = vec![Block::Text(format!(
        "AI was the first to take {{{{share_ai}}}} of the {{{{calls_compared}}}} calls that are compared{left_out}. {medians} Settled, \
         by whomever: AI's {{{{resolved_any_ai}}}}, people's {{{{resolved_any_human}}}}."
    ))];
    if refused {
        blocks.push(Block::Alarm(
            "Whether AI does as well on the same kind of calls is {{resolved_difference_adjusted}}."
                .to_owned(),
        ));
    } else {
        blocks.push(Block::Text(
            "On like calls the share settled differs by {{resolved_difference_adjusted}} (raw {{resolved_difference_raw}}) and the time \
             until settled by {{minutes_difference_adjusted}} (raw {{minutes_difference_raw}}), AI less people."
                .to_owned(),
        ));
        blocks.push(Block::Text(
            "Customer sentiment on like calls differs by {{sentiment_difference_adjusted}}, AI less people: {{sentiment_verdict_adjusted}}."
                .to_owned(),
        ));
    }
    blocks.push(Block::Text(scored_by_machine(report)));
    if cohort.human_requests.iter().any(|n| *n > 0) {
        let text = if ["human_request_ai", "honoured_ai", "honoured_in_time_ai"].into_iter().all(told) {
            "In {{human_request_ai}} of the calls that AI took the customer asked for a person; in {{honoured_ai}} of those one \
             spoke, in {{honoured_in_time_ai}} in time."
        } else {
            "How often customers asked for a person in calls that AI took: {{human_request_ai}}. How often one spoke then: \
             {{honoured_ai}}."
        };
        blocks.push(Block::Text(text.to_owned()));
    }
    if report.figures.contains_key("fte") {
        let text = match report.figures["fte"].value {
            Some(posts) if posts < 0.0 => {
                "AI's calls save no work, they cost some: {{fte}} full-time posts, depending on assumptions; below zero are \
                 posts that they take."
            }
            Some(_) => "AI's calls stand for the work of {{fte}} full-time posts, depending on assumptions.",
            None => "How many posts AI's calls stand for is {{fte}}.",
        };
        blocks.push(Block::Text(text.to_owned()));
    }
    blocks.extend(alarms);
    blocks.push(numbers(report));
    blocks.push(consistency(report, config));
    blocks
}

/// Who says that a matter is settled, and what people who listened make of it.
fn scored_by_machine(report: &Report) -> String {
    let machine = "Whether a matter is settled, and how a customer feels, is read from transcripts by a machine, which errs, and may \
                   err on AI's calls in another way than on people's";
    let corrected = report.figures.get("resolved_prediction_powered_difference");
    if let Some(corrected) = corrected.filter(|figure| figure.value.is_some()) {
        let labels = crate::report::thousands(corrected.inputs.get("labels").copied().unwrap_or_default());
        return format!(
            "{machine}. Put right by {labels} calls that people reviewed, the raw difference in the share settled is \
             {{{{resolved_prediction_powered_difference}}}}, as scored {{{{resolved_as_scored_difference}}}}."
        );
    }
    format!(
        "{machine}. No interval here holds that error: reviews of calls picked by chance (--reviews) would."
    )
}

/// The numbers of the sentence: figure, what it is, where the calls are counted that it is of, and like with like.
const NUMBERS: [(&str, &str, &str, &str); 12] = [
    ("share_ai", "calls whose first handler is AI, of all that are compared", "share_ai.calls", ""),
    (
        "median_minutes_ai",
        "minutes by which half of AI's calls are settled, those never settled counted in",
        "median_minutes_ai.calls",
        "median_minutes_ai_adjusted",
    ),
    (
        "median_minutes_human",
        "the same of people's calls",
        "median_minutes_human.calls",
        "median_minutes_human_adjusted",
    ),
    (
        "resolved_any_ai",
        "AI's calls in which the matter is settled, by whomever",
        "resolved_any_ai.of",
        "resolved_any_ai_adjusted",
    ),
    (
        "resolved_any_human",
        "people's calls in which the matter is settled",
        "resolved_any_human.of",
        "resolved_any_human_adjusted",
    ),
    (
        "resolved_difference_raw",
        "share settled, AI less people",
        "resolved_difference_raw.calls",
        "resolved_difference_adjusted",
    ),
    (
        "minutes_difference_raw",
        "mean minutes until settled up to the limit, AI less people",
        "minutes_difference_raw.calls",
        "minutes_difference_adjusted",
    ),
    (
        "sentiment_difference_raw",
        "customer sentiment, AI less people",
        "sentiment_difference_raw.calls",
        "sentiment_difference_adjusted",
    ),
    (
        "contained_difference",
        "share contained, no handoff and no transfer, AI less people",
        "contained_difference.calls",
        "contained_difference_adjusted",
    ),
    (
        "assumed_resolved_difference",
        "share contained in which nobody hung up, AI less people",
        "assumed_resolved_difference.calls",
        "assumed_resolved_difference_adjusted",
    ),
    (
        "human_request_difference",
        "share in which the customer asks for a person, AI less people",
        "human_request_difference.calls",
        "human_request_difference_adjusted",
    ),
    ("fte", "posts that AI's calls stand for; a range of assumptions, not an interval", "calls_ai", ""),
];

/// Each number of the sentence with its definition, denominator, and adjusted value.
fn numbers(report: &Report) -> Block {
    let stands = |id: &str| if id.is_empty() { String::new() } else { format!("{{{{{id}}}}}") };
    let denominator = |id: &str| match id.split_once('.') {
        Some((figure, input)) => report
            .figures
            .get(figure)
            .and_then(|f| f.inputs.get(input))
            .map_or_else(String::new, |n| crate::report::thousands(*n)),
        None => stands(id),
    };
    let present = NUMBERS.into_iter().filter(|(id, ..)| report.figures.contains_key(*id));
    Block::Table {
        caption: "Each number: what it is, of how many calls, and like with like".to_owned(),
        columns: ["what", "of calls", "here", "like with like"].map(str::to_owned).to_vec(),
        rows: present
            .map(|(id, what, of, like)| vec![what.to_owned(), denominator(of), stands(id), stands(like)])
            .collect(),
    }
}

/// Whether the numbers agree with each other.
fn consistency(report: &mut Report, config: &CompareConfig) -> Block {
    let value = |id: &str| report.figures.get(id).and_then(|f| f.value);
    let mut rows = Vec::new();
    let left_out: f64 = report
        .figures
        .iter()
        .filter(|(id, _)| id.starts_with("left_out_"))
        .filter_map(|(_, f)| f.value)
        .sum();
    if let (Some(seen), Some(ai), Some(human)) =
        (value("calls_seen"), value("calls_ai"), value("calls_human"))
    {
        let agree = (seen - ai - human - left_out).abs() < 0.5;
        rows.push(("both arms and the calls left out are all calls".to_owned(), yes(agree).to_owned()));
    }
    let minutes = ["median_minutes_difference", "minutes_difference_raw", "minutes_difference_adjusted"];
    let directions = minutes.map(|id| report.figures.get(id).map_or(Points::NotTold, Points::of));
    rows.push((
        "median, mean and adjusted mean of minutes point the same way".to_owned(),
        same_way(directions).to_owned(),
    ));
    rows.push((
        "\"as content\" is shown, on like calls".to_owned(),
        "{{sentiment_verdict_adjusted}}".to_owned(),
    ));
    if let Some(row) = minutes_and_posts(report, config) {
        rows.push(row);
    }
    Block::Table {
        caption: "Do these numbers agree with each other".to_owned(),
        columns: ["check", "finding"].map(str::to_owned).to_vec(),
        rows: rows.into_iter().map(|(check, finding)| vec![check, finding]).collect(),
    }
}

/// Which way a difference points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Points {
    Up,
    Down,
    /// Its interval holds 0: it may point either way.
    Either,
    NotTold,
}

impl Points {
    fn of(figure: &Figure) -> Self {
        match (figure.low, figure.high) {
            (Some(low), _) if low > 0.0 => Self::Up,
            (_, Some(high)) if high < 0.0 => Self::Down,
            (Some(_), Some(_)) => Self::Either,
            _ => Self::NotTold,
        }
    }
}

/// Whether differences point the same way, as far as their intervals tell.
fn same_way(differences: [Points; 3]) -> &'static str {
    if differences.contains(&Points::Up) && differences.contains(&Points::Down) {
        return "no: what is quicker for half of the calls is not so on average, or not on like calls; quote them together";
    }
    if differences.contains(&Points::NotTold) {
        return "cannot tell: not all of them are told";
    }
    if differences.contains(&Points::Either) { "cannot tell: an interval holds 0" } else { "yes" }
}

fn yes(agree: bool) -> &'static str {
    if agree { "yes" } else { "no" }
}

/// The arithmetic that a published claim is put to: calls and minutes against posts. The minutes are those that people work
/// on such a call, from which posts are counted too, not those until it is settled: what sets the two apart is the work that
/// AI's calls still leave to people.
fn minutes_and_posts(report: &mut Report, config: &CompareConfig) -> Option<(String, String)> {
    let fte = report.figures.get("fte")?;
    let input = |name: &str| fte.inputs.get(name).copied();
    let after_call = f64::midpoint(config.fte.after_call_minutes.0, config.fte.after_call_minutes.1);
    let still = input("minutes_people_still_spend")? + input("share_handed_over")? * after_call;
    let own = Claim {
        conversations_per_month: Some(input("calls_a_week")? * WEEKS_PER_MONTH),
        minutes_human: Some(input("minutes_a_person_takes")? + after_call),
        posts: fte.value.filter(|posts| *posts > 0.0),
        hours_per_week: config.fte.hours_per_week,
        utilisation: (
            (1.0 - config.fte.shrinkage.1) * config.fte.occupancy.0,
            (1.0 - config.fte.shrinkage.0) * config.fte.occupancy.1,
        ),
        ..Claim::named("own")
    };
    let found = arithmetic(&own)?;
    let label = "conversations at a time that calls, minutes of work and posts imply";
    let mut figure = Figure::exact(
        label,
        Unit::Number,
        f64::midpoint(found.concurrency.0, found.concurrency.1),
        "arithmetic",
    );
    (figure.low, figure.high) = (Some(found.concurrency.0), Some(found.concurrency.1));
    for (name, value) in [
        ("conversations_per_month", own.conversations_per_month),
        ("minutes_human", own.minutes_human),
        ("posts", own.posts),
        ("minutes_people_still_spend", Some(still)),
    ] {
        figure = figure.with(name, value.unwrap_or_default());
    }
    let implied = report.figure("card_concurrency", figure);
    let (low, high) = config.fte.concurrency;
    let agree = found.concurrency.0 <= high && low <= found.concurrency.1;
    let words = if agree {
        format!("yes: they imply {implied} conversations at a time")
    } else {
        format!(
            "no: they imply {implied} conversations at a time; of the minutes of such a call people still spend {still:.1}, which \
             posts leave out and calls times minutes do not"
        )
    };
    Some(("calls, the minutes people work on one, and posts fit together".to_owned(), words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check of calls, minutes and posts where people still spend so many minutes on AI's calls.
    fn fit(still: f64) -> String {
        let (config, mut report) = (CompareConfig::default(), Report::default());
        let (calls, person, after) = (1000.0, 6.0, 1.25);
        let of_post = 40.0 * 0.7 * 0.8;
        let posts = calls * (person + after - still) / 60.0 / of_post;
        let figure = Figure::exact("posts", Unit::Number, posts, "formula")
            .with("calls_a_week", calls)
            .with("minutes_a_person_takes", person)
            .with("minutes_people_still_spend", still)
            .with("share_handed_over", 0.0);
        report.figure("fte", figure);
        minutes_and_posts(&mut report, &config).unwrap().1
    }

    #[test]
    fn calls_minutes_and_posts_fit_unless_people_still_do_much_of_the_work() {
        assert!(fit(0.5).starts_with("yes"), "{}", fit(0.5));
        assert!(fit(4.0).starts_with("no"), "{}", fit(4.0));
    }

    #[test]
    fn numbers_contradict_each_other_only_where_both_intervals_leave_out_0() {
        use Points::{Down, Either, NotTold, Up};
        assert!(same_way([Down, Down, Either]).starts_with("cannot tell"));
        assert!(same_way([Down, Up, Either]).starts_with("no"));
        assert_eq!(same_way([Up, Up, Up]), "yes");
        assert!(same_way([Up, NotTold, Up]).starts_with("cannot tell"));
        let estimate =
            crate::stats::estimate::Estimate { value: 0.12, standard_error: 0.18, low: -0.24, high: 0.48 };
        let figure = Figure::estimate("x", Unit::MinutesDifference, Some(estimate), "counted");
        assert_eq!(Points::of(&figure), Either);
    }
}
