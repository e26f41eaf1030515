//! What a reviewer asks for, as the address of the page says it: conditions that combine, and an order.
//!
//! The address is the state: each condition is a parameter, so a view is a link. [`PARAMETERS`] is the list of them, for
//! the page and for the API alike.

use super::{Catalogue, NONE, Row, RowSet};
use callmark_query::TrustLimits;
use callmark_types::{Handler, Outcome, Timestamp};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Longest address that is read, in bytes.
const MOST_QUERY_BYTES: usize = 16_384;

/// Name and meaning of each parameter.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    (
        "q",
        "Words said or written, all of them; \"in quotes\" one after the other, -word not, customer:word, agent:word, word*",
    ),
    ("handler", "Who took the call first: ai, human, ivr; several with commas"),
    ("last", "Who had the call last: ai, human, ivr"),
    (
        "outcome",
        "resolved, escalated_resolved, transferred, unresolved, abandoned, unknown; several with commas",
    ),
    ("queue", "Queues by name, several with commas; a comma in a name is written \\,"),
    ("issue", "Issue types by name, several with commas; a comma in a name is written \\,"),
    ("language", "Languages, several with commas"),
    ("asked", "yes: the customer asked for a person; no"),
    ("honoured", "no: asked for a person and heard none; yes"),
    ("deflected", "yes: a request was answered with something else than a handoff; no"),
    ("sentiment_below", "Customer sentiment below this, -5 to 5"),
    ("sentiment_above", "Customer sentiment above this, -5 to 5"),
    ("longer", "Recordings of at least so many seconds"),
    ("trust", "low: transcripts that figures are also shown without; ok"),
    ("from", "Calls that began on this day (UTC, YYYY-MM-DD) or later"),
    ("until", "Calls that began before this day"),
    (
        "found",
        "Events or rules that fired, such as deflection, loop, human_request.direct; several with commas, all of them",
    ),
    ("reviewed", "yes: somebody is done with it; no; mine: I am; not_mine: I am not"),
    ("assigned", "me, or a reviewer's name"),
    ("sample", "Calls of a sample, by its name"),
];

/// What cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {parameter}: {reason}")]
pub struct FilterError {
    /// The parameter.
    pub parameter: String,
    /// What is wrong with it.
    pub reason: String,
}

fn wrong<T>(parameter: &str, reason: impl Into<String>) -> Result<T, FilterError> {
    Err(FilterError { parameter: parameter.to_owned(), reason: reason.into() })
}

/// In which order calls come. Calls without the value come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    /// The latest first.
    #[default]
    Newest,
    Oldest,
    Longest,
    /// The lowest customer sentiment first.
    Unhappiest,
    /// Those first whose scores are least sure.
    LeastSure,
    /// Those first who waited longest for a person.
    LongestWait,
}

impl Sort {
    pub(crate) const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Newest, "newest", "newest first"),
        (Self::Oldest, "oldest", "oldest first"),
        (Self::Longest, "longest", "longest first"),
        (Self::Unhappiest, "unhappiest", "least happy first"),
        (Self::LeastSure, "least_sure", "least sure first"),
        (Self::LongestWait, "longest_wait", "longest wait for a person first"),
    ];

    /// What rows are ordered by, smallest first.
    pub(crate) fn key(self, row: &Row) -> i64 {
        let last = i64::MAX;
        let length = |ms: i32| if ms == NONE { last } else { -i64::from(ms) };
        match self {
            Self::Newest => row.started_ms.map_or(last, |ms| -ms),
            Self::Oldest => row.started_ms.unwrap_or(last),
            Self::Longest => length(row.duration_ms),
            Self::Unhappiest if row.sentiment.is_nan() => last,
            Self::Unhappiest => (row.sentiment * 1e4) as i64,
            Self::LeastSure => -((row.doubt() * 1e6) as i64),
            // Who asked and never heard one waits longest.
            Self::LongestWait if row.honoured == Some(false) => i64::MIN + 1,
            Self::LongestWait => length(row.time_to_human_ms),
        }
    }
}

/// A condition whose rows the caller has to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Words said.
    Said(String),
    /// Events or rules that fired.
    Found(Vec<String>),
    Reviewed(bool),
    ReviewedByMe(bool),
    /// Assigned to this name; `None`: to me.
    Assigned(Option<String>),
    Sample(String),
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    First(Vec<Handler>),
    Last(Vec<Handler>),
    Outcome(Vec<Outcome>),
    Queue(Vec<String>),
    Issue(Vec<String>),
    Language(Vec<String>),
    Asked(bool),
    Honoured(bool),
    Deflected(bool),
    SentimentBelow(f32),
    SentimentAbove(f32),
    LongerMs(i32),
    Doubtful(bool),
    FromMs(i64),
    UntilMs(i64),
}

/// Conditions that all hold, and the order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) sort: Sort,
    /// The parameters as they were given, in order, without empty ones: the address of this view.
    pub(crate) given: Vec<(String, String)>,
}

impl Filter {
    /// Reads the parameters of an address; those that are not about calls (`after`, `limit`) are left to the caller.
    pub(crate) fn parse<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut bytes = 0;
        for (name, value) in parameters {
            let value = value.trim();
            bytes += name.len() + value.len();
            if bytes > MOST_QUERY_BYTES {
                return wrong(name, format!("the address is longer than {MOST_QUERY_BYTES} bytes"));
            }
            if value.is_empty() {
                continue;
            }
            if value.contains('\0') {
                return wrong(name, "has a zero byte in it");
            }
            if name == "sort" {
                filter.sort = sort(value)?;
            } else if let Some(mark) = mark(name, value)? {
                filter.marks.push(mark);
            } else if let Some(condition) = condition(name, value)? {
                filter.conditions.push(condition);
            } else {
                continue;
            }
            filter.given.push((name.to_owned(), value.to_owned()));
        }
        Ok(filter)
    }

    /// Reads an address, `name=value&…`.
    pub(crate) fn parse_query(query: &str) -> Result<Self, FilterError> {
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        Self::parse(parameters.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// The value of a parameter as it was given, or nothing.
    pub(crate) fn given(&self, name: &str) -> &str {
        self.given.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// The address of this view, `name=value&…`, without `sort` where it is the default.
    pub(crate) fn query(&self) -> String {
        query(self.given.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The same with one parameter set otherwise, or left out where `value` is empty.
    pub(crate) fn query_with(&self, name: &str, value: &str) -> String {
        let others = self.given.iter().filter(|(given, _)| given != name);
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        query(others.chain((!value.is_empty()).then_some((name, value))))
    }

    /// The address of those calls of this view that meet these conditions, too: a condition of the view stays beside them.
    pub(crate) fn query_and(&self, conditions: &[(&str, &str)]) -> String {
        let given: Vec<(&str, &str)> = self.given.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let new = conditions.iter().copied().filter(|condition| !given.contains(condition));
        query(given.iter().copied().chain(new))
    }

    /// Whether it only picks a period and who took the call: a sample of such calls stands for the arms.
    pub(crate) fn is_impartial(&self) -> bool {
        let fair =
            |c: &Condition| matches!(c, Condition::First(_) | Condition::FromMs(_) | Condition::UntilMs(_));
        self.marks.is_empty() && self.conditions.iter().all(fair)
    }

    /// The rows that meet all conditions and are in all of `sets`, with their numbers.
    pub(crate) fn rows<'a>(
        &self,
        catalogue: &'a Catalogue,
        sets: &'a [RowSet],
        limits: TrustLimits,
    ) -> impl Iterator<Item = (u32, &'a Row)> + use<'a> {
        let tests: Vec<Test> = self.conditions.iter().map(|c| Test::of(c, catalogue, limits)).collect();
        let numbered = catalogue.rows.iter().enumerate().map(|(number, row)| (number as u32, row));
        numbered.filter(move |(number, row)| {
            sets.iter().all(|set| set.contains(*number)) && tests.iter().all(|test| test.holds(row))
        })
    }
}

/// Parameters as an address.
pub(crate) fn query<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        if !text.is_empty() {
            text.push('&');
        }
        let _ = write!(text, "{name}={}", crate::text::percent_encode(value));
    }
    text
}

fn sort(value: &str) -> Result<Sort, FilterError> {
    match Sort::ALL.into_iter().find(|(_, name, _)| *name == value) {
        Some((sort, ..)) => Ok(sort),
        None => wrong("sort", format!("use one of {}", Sort::ALL.map(|(_, name, _)| name).join(", "))),
    }
}

fn mark(name: &str, value: &str) -> Result<Option<Mark>, FilterError> {
    Ok(Some(match name {
        "q" => Mark::Said(value.to_owned()),
        "found" => Mark::Found(listed(value)),
        "reviewed" if matches!(value, "mine" | "not_mine") => Mark::ReviewedByMe(value == "mine"),
        "reviewed" => Mark::Reviewed(yes_or_no(name, value)?),
        "assigned" => Mark::Assigned((value != "me").then(|| value.to_owned())),
        "sample" => Mark::Sample(value.to_owned()),
        _ => return Ok(None),
    }))
}

fn condition(name: &str, value: &str) -> Result<Option<Condition>, FilterError> {
    Ok(Some(match name {
        "handler" => Condition::First(named(name, value, "ai, human, ivr")?),
        "last" => Condition::Last(named(name, value, "ai, human, ivr")?),
        "outcome" => Condition::Outcome(named(
            name,
            value,
            "resolved, escalated_resolved, transferred, unresolved, abandoned, unknown",
        )?),
        "queue" => Condition::Queue(listed(value)),
        "issue" => Condition::Issue(listed(value)),
        "language" => Condition::Language(listed(value)),
        "asked" => Condition::Asked(yes_or_no(name, value)?),
        "honoured" => Condition::Honoured(yes_or_no(name, value)?),
        "deflected" => Condition::Deflected(yes_or_no(name, value)?),
        "sentiment_below" => Condition::SentimentBelow(number(name, value, SENTIMENT)?),
        "sentiment_above" => Condition::SentimentAbove(number(name, value, SENTIMENT)?),
        "longer" => Condition::LongerMs((number(name, value, SECONDS)? * 1_000.0) as i32),
        "trust" => match value {
            "low" => Condition::Doubtful(true),
            "ok" => Condition::Doubtful(false),
            _ => return wrong(name, "use low or ok"),
        },
        "from" => Condition::FromMs(day(name, value)?),
        "until" => Condition::UntilMs(day(name, value)?),
        _ => return Ok(None),
    }))
}

/// Names that stand between commas; a comma or backslash that belongs to a name has a backslash before it.
fn listed(value: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match (c, names.last_mut()) {
            ('\\', Some(name)) => name.extend(characters.next()),
            (',', _) => names.push(String::new()),
            (c, Some(name)) => name.push(c),
            (_, None) => {}
        }
    }
    names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A name as one entry of such a list.
pub(crate) fn as_listed(name: &str) -> String {
    name.replace('\\', "\\\\").replace(',', "\\,")
}

fn named<T: DeserializeOwned>(parameter: &str, value: &str, known: &str) -> Result<Vec<T>, FilterError> {
    let read = |name: String| {
        serde_json::from_value(serde_json::Value::from(name))
            .or_else(|_| wrong(parameter, format!("use {known}")))
    };
    listed(value).into_iter().map(read).collect()
}

fn yes_or_no(parameter: &str, value: &str) -> Result<bool, FilterError> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => wrong(parameter, "use yes or no"),
    }
}

/// Bounds of the numbers that are asked for.
const SENTIMENT: RangeInclusive<f32> = -5.0..=5.0;
const SECONDS: RangeInclusive<f32> = 0.0..=86_400.0;

fn number(parameter: &str, value: &str, within: RangeInclusive<f32>) -> Result<f32, FilterError> {
    match value.parse::<f32>() {
        Ok(number) if within.contains(&number) => Ok(number),
        _ => wrong(parameter, format!("use a number from {} to {}", within.start(), within.end())),
    }
}

fn day(parameter: &str, value: &str) -> Result<i64, FilterError> {
    let is_day = value.len() == 10
        && value.bytes().enumerate().all(
            |(i, b)| {
                if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() }
            },
        );
    let read = is_day.then(|| Timestamp::parse(&format!("{value}T00:00:00Z")).ok()).flatten();
    read.map_or_else(|| wrong(parameter, "use a day as 2026-03-31"), |time| Ok(time.epoch_millis()))
}

/// A condition with names as numbers.
enum Test {
    First(Vec<Handler>),
    Last(Vec<Handler>),
    Outcome(Vec<Outcome>),
    Queue(Vec<u16>),
    Issue(Vec<u16>),
    Language(Vec<u16>),
    Asked(bool),
    Honoured(bool),
    Deflected(bool),
    Below(f32),
    Above(f32),
    Longer(i32),
    Doubtful(bool, TrustLimits),
    From(i64),
    Until(i64),
}

impl Test {
    fn of(condition: &Condition, catalogue: &Catalogue, limits: TrustLimits) -> Self {
        let numbers = |names: &[String], known: &super::Names| {
            names.iter().filter_map(|name| known.find(name)).collect::<Vec<u16>>()
        };
        match condition {
            Condition::First(handlers) => Self::First(handlers.clone()),
            Condition::Last(handlers) => Self::Last(handlers.clone()),
            Condition::Outcome(outcomes) => Self::Outcome(outcomes.clone()),
            Condition::Queue(names) => Self::Queue(numbers(names, &catalogue.queues)),
            Condition::Issue(names) => Self::Issue(numbers(names, &catalogue.issues)),
            Condition::Language(names) => Self::Language(numbers(names, &catalogue.languages)),
            Condition::Asked(yes) => Self::Asked(*yes),
            Condition::Honoured(yes) => Self::Honoured(*yes),
            Condition::Deflected(yes) => Self::Deflected(*yes),
            Condition::SentimentBelow(limit) => Self::Below(*limit),
            Condition::SentimentAbove(limit) => Self::Above(*limit),
            Condition::LongerMs(ms) => Self::Longer(*ms),
            Condition::Doubtful(yes) => Self::Doubtful(*yes, limits),
            Condition::FromMs(ms) => Self::From(*ms),
            Condition::UntilMs(ms) => Self::Until(*ms),
        }
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::First(handlers) => row.first.is_some_and(|first| handlers.contains(&first)),
            Self::Last(handlers) => row.last.is_some_and(|last| handlers.contains(&last)),
            Self::Outcome(outcomes) => outcomes.contains(&row.outcome),
            Self::Queue(queues) => queues.contains(&row.queue),
            Self::Issue(issues) => issues.contains(&row.issue),
            Self::Language(languages) => languages.contains(&row.language),
            Self::Asked(yes) => (row.requests > 0) == *yes,
            Self::Honoured(yes) => row.honoured == Some(*yes),
            Self::Deflected(yes) => (row.deflections > 0) == *yes,
            Self::Below(limit) => row.sentiment < *limit,
            Self::Above(limit) => row.sentiment > *limit,
            Self::Longer(ms) => row.duration_ms != NONE && row.duration_ms >= *ms,
            Self::Doubtful(yes, limits) => row.is_doubtful(*limits) == *yes,
            Self::From(ms) => row.started_ms.is_some_and(|at| at >= *ms),
            Self::Until(ms) => row.started_ms.is_some_and(|at| at < *ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::row;

    fn parse(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text.split('&').filter_map(|pair| pair.split_once('=')))
    }

    fn meets(text: &str, row: &Row) -> bool {
        let mut catalogue = Catalogue::default();
        catalogue.queues.number(Some("orders"));
        catalogue.rows.push(row.clone());
        parse(text).unwrap().rows(&catalogue, &[], TrustLimits::default()).count() == 1
    }

    #[test]
    fn conditions_combine() {
        let call = Row {
            started_ms: Some(1_772_000_000_000),
            queue: 1,
            requests: 2,
            honoured: Some(false),
            first: Some(Handler::Ai),
            sentiment: -1.5,
            asr_confidence: 0.5,
            outcome: Outcome::Abandoned,
            ..row("a")
        };
        for met in [
            "handler=ai,human&asked=yes&honoured=no&queue=orders&outcome=abandoned,unresolved",
            "sentiment_below=-1&sentiment_above=-2&trust=low",
            "from=2026-02-25&until=2026-02-26",
        ] {
            assert!(meets(met, &call), "{met}");
        }
        for missed in
            ["handler=human", "queue=billing", "honoured=yes", "longer=1", "until=2026-02-25", "trust=ok"]
        {
            assert!(!meets(missed, &call), "{missed}");
        }
        // Conditions on one thing hold together.
        assert!(!meets("handler=ai&handler=human", &call) && meets("handler=ai&handler=ai,human", &call));
        // What is not known is neither.
        assert!(!meets("sentiment_below=5", &row("b")) && !meets("honoured=no", &row("b")));
    }

    #[test]
    fn commas_in_names_are_told_from_commas_between_them() {
        for name in ["a&b,c", r"back\slash", r"\,", "plain"] {
            assert_eq!(listed(&as_listed(name)), [name]);
        }
        assert_eq!(listed("a, b,,c"), ["a", "b", "c"]);
    }

    #[test]
    fn wrong_values_are_named() {
        for wrong in [
            "handler=robot",
            "asked=maybe",
            "from=yesterday",
            "sentiment_below=NaN",
            "sentiment_above=6",
            "longer=-1",
            "sort=best",
            "trust=1",
            "from=2026-13-01",
        ] {
            let name = wrong.split('=').next().unwrap();
            assert_eq!(parse(wrong).unwrap_err().parameter, name, "{wrong}");
        }
        assert!(parse(&format!("q={}", "x".repeat(20_000))).is_err());
    }

    #[test]
    fn the_address_of_a_view_is_what_was_given() {
        let filter = parse("q=refund now&handler=ai&sort=oldest&limit=5&queue=").unwrap();
        assert_eq!(filter.query(), "q=refund%20now&handler=ai&sort=oldest");
        assert_eq!(filter.query_with("handler", ""), "q=refund%20now&sort=oldest");
        assert_eq!(filter.query_with("asked", "yes"), "q=refund%20now&handler=ai&sort=oldest&asked=yes");
        let both = filter.query_and(&[("handler", "ai"), ("handler", "human")]);
        assert_eq!(both, "q=refund%20now&handler=ai&sort=oldest&handler=human");
        assert!(!filter.is_impartial() && parse("handler=ai&from=2026-01-01").unwrap().is_impartial());
    }
}
