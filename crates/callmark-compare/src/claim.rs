//! The claim card: the press-release numbers, each with what it means, and whether they fit together.
//!
//! A published claim can be checked against itself without any data: so many conversations of so many minutes are so
//! many hours, and so many posts work so many hours.

use crate::cohort::Cohort;
use crate::report::{Block, Figure, Report, Unit};
use serde::{Deserialize, Serialize};

/// Weeks in a month, on average.
const WEEKS_PER_MONTH: f64 = 365.25 / 7.0 / 12.0;

/// Somebody's published claim. What it does not say is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What it is called.
    pub name: String,
    /// Where it was published.
    pub source: Option<String>,
    /// Conversations that AI handled in a month.
    pub conversations_per_month: Option<f64>,
    /// Share of all conversations that AI handled, 0 to 1.
    pub share_ai: Option<f64>,
    /// Minutes until resolved with people.
    pub minutes_human: Option<f64>,
    /// Minutes until resolved with AI.
    pub minutes_ai: Option<f64>,
    /// Posts that AI does the work of.
    pub posts: Option<f64>,
    /// Whether satisfaction is said to be the same.
    #[serde(default)]
    pub satisfaction_same: bool,
    /// Paid hours a week of a post.
    #[serde(default = "hours_per_week")]
    pub hours_per_week: f64,
    /// Share of paid hours spent in conversations: (1 - shrinkage) × occupancy, low and high.
    #[serde(default = "utilisation")]
    pub utilisation: (f64, f64),
}

fn hours_per_week() -> f64 {
    40.0
}

fn utilisation() -> (f64, f64) {
    (0.45, 0.65)
}

impl Claim {
    /// Reads TOML; unknown keys are refused.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// What a claim implies about itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// Hours of conversation a month that people would have had.
    pub hours: f64,
    /// Hours a month that the claimed posts spend in conversations, low and high.
    pub available: (f64, f64),
    /// Conversations at a time that a person must have had for both to hold, low and high.
    pub concurrency: (f64, f64),
    /// Posts at one conversation at a time, low and high.
    pub posts: (f64, f64),
}

/// The claim's arithmetic; `None` where it does not give conversations, minutes and posts.
pub fn arithmetic(claim: &Claim) -> Option<Arithmetic> {
    let hours = claim.conversations_per_month? * claim.minutes_human? / 60.0;
    let posts = claim.posts?;
    let of_post = |utilisation: f64| claim.hours_per_week * WEEKS_PER_MONTH * utilisation;
    let (low, high) = (of_post(claim.utilisation.0), of_post(claim.utilisation.1));
    Some(Arithmetic {
        hours,
        available: (posts * low, posts * high),
        concurrency: (hours / (posts * high), hours / (posts * low)),
        posts: (hours / high, hours / low),
    })
}

/// The report on a published claim, held against itself and, where there is one, a comparison of own data.
pub fn check(claim: &Claim, own: Option<&Report>) -> Report {
    let mut report = Report { title: format!("Claim: {}", claim.name), ..Report::default() };
    let mut blocks = Vec::new();
    if let Some(source) = &claim.source {
        blocks.push(Block::Text(format!("Source: {source}.")));
    }
    match arithmetic(claim) {
        None => blocks.push(Block::Text(
            "The claim does not give conversations, minutes and posts together; its arithmetic cannot be checked.".to_owned(),
        )),
        Some(found) => blocks.push(arithmetic_block(&mut report, claim, &found)),
    }
    if claim.satisfaction_same {
        blocks.push(Block::Text(
            "\"Satisfaction is the same\" is given without a margin, an interval or a rate of answers: nothing can be checked."
                .to_owned(),
        ));
    }
    if let Some(own) = own {
        blocks.push(beside(&mut report, claim, own));
    }
    report.section("claim", "Do the numbers fit together", true, blocks);
    report
}

fn arithmetic_block(report: &mut Report, claim: &Claim, found: &Arithmetic) -> Block {
    let mut range = |id: &str, label: &str, unit: Unit, (low, high): (f64, f64)| {
        let mut figure = Figure::exact(label, unit, f64::midpoint(low, high), "arithmetic of the claim");
        (figure.low, figure.high) = (Some(low), Some(high));
        report.figure(id, figure)
    };
    let available =
        range("claim_hours_available", "hours a month that the posts talk", Unit::Count, found.available);
    let concurrency = range(
        "claim_concurrency",
        "conversations at a time that make both hold",
        Unit::Number,
        found.concurrency,
    );
    let posts = range("claim_posts_implied", "posts at one conversation at a time", Unit::Count, found.posts);
    let hours = Figure::exact(
        "hours of conversation a month",
        Unit::Count,
        found.hours,
        "conversations × minutes / 60",
    );
    let hours = report.figure("claim_hours", hours);
    let text = format!(
        "{:.0} conversations of {} minutes are {hours} hours a month. {} posts of {} hours a week, of which {:.0} to {:.0} % \
         are spent in conversations, have {available}. Both hold only if a person had {concurrency} conversations at a time; \
         one at a time, it would be the work of {posts} people.",
        claim.conversations_per_month.unwrap_or_default(),
        claim.minutes_human.unwrap_or_default(),
        claim.posts.unwrap_or_default(),
        claim.hours_per_week,
        100.0 * claim.utilisation.0,
        100.0 * claim.utilisation.1
    );
    if found.concurrency.0 <= 1.0 && 1.0 <= found.concurrency.1 {
        Block::Text(format!("{text} The numbers fit together."))
    } else {
        Block::Alarm(format!("{text} The numbers do not fit together as they stand."))
    }
}

fn beside(report: &mut Report, claim: &Claim, own: &Report) -> Block {
    let mut rows = Vec::new();
    let claims = [
        ("share of calls that AI took", claim.share_ai.map(|s| format!("{:.1} %", 100.0 * s)), "share_ai"),
        (
            "minutes until settled, people",
            claim.minutes_human.map(|m| format!("{m} min")),
            "median_minutes_human",
        ),
        ("minutes until settled, AI", claim.minutes_ai.map(|m| format!("{m} min")), "median_minutes_ai"),
        ("posts", claim.posts.map(|p| format!("{p}")), "fte"),
    ];
    for (words, claimed, id) in claims {
        let here =
            own.figures.get(id).map_or_else(|| "not told".to_owned(), |f| report.figure(id, f.clone()));
        rows.push(vec![words.to_owned(), claimed.unwrap_or_else(|| "not claimed".to_owned()), here]);
    }
    Block::Table {
        caption: "The claim beside this dataset".to_owned(),
        columns: ["", "claimed", "here"].map(str::to_owned).to_vec(),
        rows,
    }
}

/// The press-release sentence for a dataset, from the figures of its comparison.
pub(crate) fn card(report: &mut Report, cohort: &Cohort) -> Vec<Block> {
    let verdict = report.figures.get("sentiment_verdict_adjusted").and_then(|f| f.reason.clone());
    let refused = report.figures.get("resolved_difference_adjusted").is_some_and(|f| f.value.is_none());
    let mut blocks = vec![Block::Text(
        "AI took {{share_ai}} of {{calls_seen}} calls first. Half of its calls are settled within {{median_minutes_ai}}, half of \
         people's within {{median_minutes_human}}, calls that are never settled counted in. {{resolved_any_ai}} of AI's calls \
         and {{resolved_any_human}} of people's are settled."
            .to_owned(),
    )];
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
        blocks.push(Block::Text(format!(
            "Customer sentiment at equal case mix differs by {{{{sentiment_difference_adjusted}}}}: {}.",
            verdict.unwrap_or_else(|| "cannot tell".to_owned())
        )));
    }
    if cohort.human_requests.iter().any(|n| *n > 0) {
        blocks.push(Block::Text(
            "{{human_request_ai}} of the customers whom AI answered asked for a person; {{honoured_ai}} of them reached one, \
             {{honoured_in_time_ai}} in time."
                .to_owned(),
        ));
    }
    if report.figures.contains_key("fte") {
        blocks.push(Block::Text(
            "AI's calls stand for the work of {{fte}} full-time posts, depending on assumptions.".to_owned(),
        ));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_numbers_do_not_fit_one_conversation_at_a_time() {
        let claim = Claim::parse(include_str!("../../../pipelines/claims/assistant_2024.toml")).unwrap();
        let found = arithmetic(&claim).unwrap();
        assert!((found.hours - 2_300_000.0 * 11.0 / 60.0).abs() < 1e-6);
        assert!(found.concurrency.0 > 5.0, "{found:?}");
        let report = check(&claim, None);
        assert!(report.sections[0].blocks.iter().any(|b| matches!(b, Block::Alarm(_))));
    }

    #[test]
    fn a_claim_with_an_unknown_key_is_refused() {
        assert!(Claim::parse("name = 'x'\nminutes = 3").is_err());
    }
}
