//! Somebody's published claim: whether its numbers fit together, and whether own data agree.
//!
//! A published claim can be checked against itself without any data: so many conversations of so many minutes are so
//! many hours, and so many posts work so many hours.

use crate::report::{Block, Figure, Report, Unit, thousands};
use serde::{Deserialize, Serialize};

/// Weeks in a month, on average.
pub(crate) const WEEKS_PER_MONTH: f64 = 365.25 / 7.0 / 12.0;

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
    /// One that says nothing yet.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: None,
            conversations_per_month: None,
            share_ai: None,
            minutes_human: None,
            minutes_ai: None,
            posts: None,
            satisfaction_same: false,
            hours_per_week: hours_per_week(),
            utilisation: utilisation(),
        }
    }

    /// Reads and checks TOML; unknown keys are refused.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let claim: Self = toml::from_str(text)?;
        claim.validate()?;
        Ok(claim)
    }

    /// Whether every number can be one of a claim. Ranges hold no value that is not a number.
    fn validate(&self) -> Result<(), ClaimError> {
        const SMALLEST: f64 = 1e-6;
        let (low, high) = self.utilisation;
        for (key, value, (least, most), wanted) in [
            ("conversations_per_month", self.conversations_per_month, (SMALLEST, LARGEST), "above 0"),
            ("share_ai", self.share_ai, (0.0, 1.0), "a share from 0 to 1"),
            ("minutes_human", self.minutes_human, (SMALLEST, LARGEST), "above 0"),
            ("minutes_ai", self.minutes_ai, (SMALLEST, LARGEST), "above 0"),
            ("posts", self.posts, (SMALLEST, LARGEST), "above 0"),
            ("hours_per_week", Some(self.hours_per_week), (1.0, 168.0), "1 to 168"),
            ("utilisation", Some(low), (0.01, 1.0), "low and high, above 0 and at most 1"),
            ("utilisation", Some(high), (low, 1.0), "low and high, above 0 and at most 1"),
        ] {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(ClaimError::Value { key, value, wanted });
            }
        }
        Ok(())
    }
}

/// No number of a claim is larger.
const LARGEST: f64 = 1e12;

/// Why a claim cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It is no TOML, or has keys or types that there are not.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A number makes no sense.
    #[error("{key} is {value}, which is not {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it was set to.
        value: f64,
        /// What it may be.
        wanted: &'static str,
    },
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
    let mut report = Report {
        title: format!("Claim: {}", claim.name),
        claim: serde_json::to_value(claim).unwrap_or_default(),
        ..Report::default()
    };
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
    blocks.extend(shares_and_speed(claim));
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

/// What the claim's share and AI's minutes say beside the rest of it.
fn shares_and_speed(claim: &Claim) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let (Some(ai), Some(human)) = (claim.minutes_ai, claim.minutes_human) {
        let times = format!("AI's {ai} minutes are {:.2} times people's {human}", ai / human);
        blocks.push(if ai > human {
            Block::Alarm(format!("{times}: by the claim's own numbers AI is slower."))
        } else {
            Block::Text(format!(
                "{times}. That says nothing of those never settled, nor of which calls went to whom."
            ))
        });
    }
    if let (Some(share), Some(calls)) = (claim.share_ai, claim.conversations_per_month) {
        let all = calls / share;
        blocks.push(if all.is_finite() {
            Block::Text(format!(
                "If {} conversations are {:.1} % of all, there are {} a month, and {} are left to people.",
                thousands(calls),
                100.0 * share,
                thousands(all),
                thousands(all - calls)
            ))
        } else {
            Block::Alarm(format!("{} conversations cannot be none of all.", thousands(calls)))
        });
    }
    blocks
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
    let words = if found.concurrency.1 < 1.0 {
        format!(
            "That is more people than the conversations have work for: one at a time, they are the work of {posts} people, and the \
             claim's would be idle for most of that time (they would have {concurrency} conversations at a time)."
        )
    } else {
        format!(
            "Both hold only if a person had {concurrency} conversations at a time; one at a time, it would be the work of {posts} \
             people."
        )
    };
    let text = format!(
        "{} conversations of {} minutes are {hours} hours a month. {} posts of {} hours a week, of which {:.0} to {:.0} % \
         are spent in conversations, have {available}. {words}",
        thousands(claim.conversations_per_month.unwrap_or_default()),
        shown(claim.minutes_human.unwrap_or_default()),
        shown(claim.posts.unwrap_or_default()),
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

/// A number as it was claimed, unless nobody can read so many digits.
fn shown(value: f64) -> String {
    if value.abs() >= 1e9 { thousands(value) } else { format!("{value}") }
}

fn beside(report: &mut Report, claim: &Claim, own: &Report) -> Block {
    let mut rows = Vec::new();
    let figure = |id: &str| own.figures.get(id);
    let claims = [
        ("share of calls that AI took", claim.share_ai, "share_ai", figure("share_ai").cloned()),
        (
            "minutes until settled, people",
            claim.minutes_human,
            "median_minutes_human",
            figure("median_minutes_human").cloned(),
        ),
        (
            "minutes until settled, AI",
            claim.minutes_ai,
            "median_minutes_ai",
            figure("median_minutes_ai").cloned(),
        ),
        (
            "posts, at the claim's number of conversations",
            claim.posts,
            "fte_scaled",
            scaled_posts(claim, figure("fte")),
        ),
    ];
    for (words, claimed, id, figure) in claims {
        let here = figure.clone().map_or_else(|| "not told".to_owned(), |f| report.figure(id, f));
        let words_of_claim = claimed.map_or("not claimed".to_owned(), |value| match id {
            "share_ai" => format!("{:.1} %", 100.0 * value),
            _ => shown(value),
        });
        let found = claimed.zip(figure.and_then(|f| f.low.zip(f.high)));
        let agrees = found.map_or("cannot be told", |(value, (low, high))| {
            if low <= value && value <= high { "inside the interval" } else { "outside the interval" }
        });
        rows.push(vec![words.to_owned(), words_of_claim, here, agrees.to_owned()]);
    }
    if claim.satisfaction_same {
        let told = |id: &str, report: &mut Report| {
            figure(id).map_or_else(|| "cannot be told".to_owned(), |f| report.figure(id, f.clone()))
        };
        let here = told("sentiment_difference_adjusted", report);
        let verdict = told("sentiment_verdict_adjusted", report);
        rows.push(vec!["satisfaction, AI less people".to_owned(), "the same".to_owned(), here, verdict]);
    }
    Block::Table {
        caption: "The claim beside this dataset".to_owned(),
        columns: ["", "claimed", "here", "the claim against the data"].map(str::to_owned).to_vec(),
        rows,
    }
}

/// This dataset's posts for as many conversations as the claim has: a claim about millions is not held against the posts of
/// a few thousand calls. Without a number of conversations there is nothing to scale by.
fn scaled_posts(claim: &Claim, own: Option<&Figure>) -> Option<Figure> {
    let own = own?;
    let calls_a_week = own.inputs.get("calls_a_week").filter(|calls| **calls > 0.0)?;
    let factor = claim.conversations_per_month? / (calls_a_week * WEEKS_PER_MONTH);
    let scale = |value: Option<f64>| value.map(|v| v * factor);
    let figure = Figure {
        label: "full-time posts that so many calls as the claim has would stand for here".to_owned(),
        value: scale(own.value),
        low: scale(own.low),
        high: scale(own.high),
        ..own.clone()
    };
    Some(figure.with("factor", factor))
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
    fn a_claim_outside_the_interval_of_the_data_is_told() {
        let claim =
            Claim::parse("name = 'x'\nshare_ai = 0.7\nminutes_ai = 2\nsatisfaction_same = true").unwrap();
        let mut own = Report::default();
        let estimate = crate::stats::estimate::Estimate::wald(0.5, 0.01, 0.95);
        own.figure("share_ai", Figure::estimate("share", Unit::Share, Some(estimate), "counted"));
        let report = check(&claim, Some(&own));
        let Some(Block::Table { rows, .. }) = report.sections[0].blocks.last() else { panic!("no table") };
        assert_eq!(rows[0][3], "outside the interval");
        assert_eq!(rows[2][3], "cannot be told");
        assert_eq!(rows[4][3], "cannot be told");
    }

    #[test]
    fn what_a_claim_says_of_shares_and_speed_takes_part_in_the_check() {
        let said = |text: &str| -> Vec<(bool, String)> {
            let report = check(&Claim::parse(&format!("name = 'x'\n{text}")).unwrap(), None);
            let block = |b: &Block| match b {
                Block::Alarm(text) => Some((true, crate::report::filled(&report, text))),
                Block::Text(text) => Some((false, crate::report::filled(&report, text))),
                _ => None,
            };
            report.sections[0].blocks.iter().filter_map(block).collect()
        };
        let slower = said("minutes_ai = 12\nminutes_human = 11");
        assert!(slower.iter().any(|(alarm, text)| *alarm && text.contains("AI is slower")), "{slower:?}");
        let left = said("share_ai = 0.5\nconversations_per_month = 1000");
        assert!(left.iter().any(|(_, text)| text.contains("2,000 a month, and 1,000 are left")), "{left:?}");
        let idle = said("conversations_per_month = 1000\nminutes_human = 5\nposts = 700");
        assert!(idle.iter().any(|(alarm, text)| *alarm && text.contains("more people than")), "{idle:?}");
        let vast = said("conversations_per_month = 1000000000000\nminutes_human = 1000000000000\nposts = 1");
        let digits = |text: &str| text.split(' ').map(str::len).max();
        assert!(vast.iter().all(|(_, text)| digits(text) < Some(24)), "{vast:?}");
    }

    #[test]
    fn posts_are_scaled_to_the_claim_s_conversations() {
        let mut own = Report::default();
        let mut fte = Figure::exact("posts", Unit::Number, 6.0, "formula");
        (fte.low, fte.high) = (Some(5.0), Some(7.0));
        own.figure("fte", fte.with("calls_a_week", 1000.0));
        let held = |text: &str| {
            let Some(Block::Table { rows, .. }) =
                check(&Claim::parse(text).unwrap(), Some(&own)).sections[0].blocks.last().cloned()
            else {
                panic!("no table")
            };
            rows[3][3].clone()
        };
        // A hundred times as many calls are 500 to 700 posts.
        let month = 100.0 * 1000.0 * WEEKS_PER_MONTH;
        assert_eq!(
            held(&format!("name = 'x'\nposts = 620\nconversations_per_month = {month}")),
            "inside the interval"
        );
        assert_eq!(
            held(&format!("name = 'x'\nposts = 6\nconversations_per_month = {month}")),
            "outside the interval"
        );
        assert_eq!(held("name = 'x'\nposts = 6"), "cannot be told");
    }

    #[test]
    fn a_claim_with_an_unknown_key_or_a_senseless_number_is_refused() {
        for bad in [
            "minutes = 3",
            "posts = 0",
            "posts = nan",
            "conversations_per_month = -1",
            "share_ai = 66.7",
            "minutes_ai = 0",
            "minutes_human = inf",
            "hours_per_week = -40",
            "utilisation = [0.65, 0.45]",
            "utilisation = [0.0, 4.5]",
            "utilisation = [0.5, 4.5]",
        ] {
            assert!(Claim::parse(&format!("name = 'x'\n{bad}")).is_err(), "{bad}");
        }
    }
}
