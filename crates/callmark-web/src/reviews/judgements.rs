//! Judgements: what a person says of one question on one call, and what that makes of the call.

use super::{Done, ReviewError, Reviews, checked, new_id, now_ms, number, optional, text};
use callmark_types::{EventKind, Outcome, Speaker};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// Judgements that one person may give on one call in all, answers of scorecards included.
const MOST_JUDGEMENTS: i64 = 2_000;

/// What a judgement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// How the matter ended; `value` is an outcome.
    Outcome,
    /// Whether the customer asked for a person; `yes` or `no`.
    HumanRequest,
    /// Whether a person was heard after that; `yes` or `no`.
    Honoured,
    /// When the matter was settled, ms from the start.
    ResolvedAtMs,
    /// Sentiment of the customer over the call, -5 to 5.
    Sentiment,
    /// An event that was found; `subject` is its index; agreed or not.
    Event,
    /// An event that was not found; `subject` is `turn:first word-last word`, `value` its type.
    Missed,
    /// Who speaks in a turn; `subject` is the turn, `value` a speaker.
    Speaker,
    /// What is said in a turn; `subject` is the turn, `value` the right words.
    Words,
    /// An item of a scorecard; `subject` is `card@version/item`, `value` the answer; agreed where it is what was filled in
    /// beforehand.
    Scorecard,
    /// The call is done with.
    Done,
}

impl Question {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Outcome,
        Self::HumanRequest,
        Self::Honoured,
        Self::ResolvedAtMs,
        Self::Sentiment,
        Self::Event,
        Self::Missed,
        Self::Speaker,
        Self::Words,
        Self::Scorecard,
        Self::Done,
    ];

    /// Its name in the database and in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::HumanRequest => "human_request",
            Self::Honoured => "honoured",
            Self::ResolvedAtMs => "resolved_at_ms",
            Self::Sentiment => "sentiment",
            Self::Event => "event",
            Self::Missed => "missed",
            Self::Speaker => "speaker",
            Self::Words => "words",
            Self::Scorecard => "scorecard",
            Self::Done => "done",
        }
    }

    /// The question of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|question| question.as_str() == name)
    }

    /// Whether it is asked once a call.
    fn is_of_call(self) -> bool {
        !matches!(self, Self::Event | Self::Missed | Self::Speaker | Self::Words | Self::Scorecard)
    }
}

/// What a judgement says of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is right.
    Agree,
    /// It is wrong; `value` is right, where there is one.
    Correct,
    /// The earlier judgement of the same person is taken back.
    Withdraw,
}

impl Verdict {
    /// Its name in the database and in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Correct => "correct",
            Self::Withdraw => "withdraw",
        }
    }

    /// The verdict of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Agree, Self::Correct, Self::Withdraw].into_iter().find(|verdict| verdict.as_str() == name)
    }
}

/// A judgement to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJudgement {
    /// What it is about.
    pub question: Question,
    /// The part of the call that it is about; empty for the whole.
    #[serde(default)]
    pub subject: String,
    /// What it says.
    pub verdict: Verdict,
    /// The right value.
    pub value: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// A judgement as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Judgement {
    /// Its id; ids sort by time.
    pub judgement_id: String,
    /// The call.
    pub call_id: String,
    /// Who says it.
    pub reviewer: String,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
    /// What it is about.
    pub question: Question,
    /// The part of the call that it is about; empty for the whole.
    pub subject: String,
    /// What it says.
    pub verdict: Verdict,
    /// What is right, by it.
    pub value: Option<String>,
    /// What was found, when it was given.
    pub seen: Option<String>,
    /// SHA-256 of the rules by which that was found.
    pub seen_rules: String,
    /// Version of Callmark that found it.
    pub seen_version: String,
    /// Why.
    pub note: Option<String>,
}

impl NewJudgement {
    /// Writes numbers one way: `00` is the event `0`, and a sentiment of `1e0` is `1.0`, as it is found.
    pub(crate) fn tidy(&mut self) {
        if matches!(self.question, Question::Event | Question::Speaker | Question::Words)
            && let Ok(number) = self.subject.parse::<usize>()
        {
            self.subject = number.to_string();
        }
        if let (Question::Missed, Some((turn, first, last))) = (self.question, missed_place(&self.subject)) {
            self.subject = format!("{turn}:{first}-{last}");
        }
        if let (Question::Sentiment, Some(value)) = (self.question, &mut self.value)
            && let Ok(score) = value.parse::<f64>()
        {
            // No minus before nothing.
            *value = format!("{:.1}", (score * 10.0).round() / 10.0 + 0.0);
        }
    }

    /// Whether it can be stored: the value is one of the question's, the subject one of a call with so many turns and events.
    pub(crate) fn check(&self, turns: usize, events: usize) -> Done<()> {
        let invalid = |field, reason: &str| Err(ReviewError::Invalid { field, reason: reason.to_owned() });
        for (field, given) in [("value", &self.value), ("note", &self.note)] {
            if let Some(given) = given {
                checked(field, given)?;
            }
        }
        let part = |limit: usize, text: &str| text.parse::<usize>().is_ok_and(|number| number < limit);
        let subject_is_right = match self.question {
            question if question.is_of_call() => self.subject.is_empty(),
            Question::Event => part(events, &self.subject),
            Question::Speaker | Question::Words => part(turns, &self.subject),
            Question::Missed => missed_place(&self.subject).is_some_and(|(turn, ..)| turn < turns),
            _ => self.subject.len() < 200 && self.subject.contains('/') && self.subject.contains('@'),
        };
        if !subject_is_right {
            return invalid("subject", "names no part of this call");
        }
        if self.verdict == Verdict::Withdraw || self.question == Question::Done {
            return Ok(());
        }
        let value = self.value.as_deref().unwrap_or_default();
        let named = |value: &str| serde_json::Value::from(value);
        let value_is_right = match self.question {
            Question::Outcome => serde_json::from_value::<Outcome>(named(value)).is_ok(),
            Question::HumanRequest => matches!(value, "yes" | "no"),
            Question::Honoured => matches!(value, "yes" | "no" | "none"),
            Question::ResolvedAtMs => value == "none" || value.parse::<u32>().is_ok(),
            Question::Sentiment => value.parse::<f64>().is_ok_and(|v| (-5.0..=5.0).contains(&v)),
            Question::Event => value.is_empty() || value == "no",
            Question::Missed => EventKind::ALL.iter().any(|kind| kind.as_str() == value),
            Question::Speaker => serde_json::from_value::<Speaker>(named(value)).is_ok(),
            Question::Words | Question::Scorecard => !value.is_empty(),
            Question::Done => true,
        };
        if value_is_right { Ok(()) } else { invalid("value", "is none that this question can have") }
    }
}

/// Turn, first and last word of `turn:first-last`.
pub(crate) fn missed_place(subject: &str) -> Option<(usize, usize, usize)> {
    let (turn, words) = subject.split_once(':')?;
    let (first, last) = words.split_once('-')?;
    let place = (turn.parse().ok()?, first.parse().ok()?, last.parse().ok()?);
    (place.1 <= place.2 && place.2 < 10_000).then_some(place)
}

/// Columns of a judgement, for all questions.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select j.judgement_id, j.call_id, u.name, j.at_ms, j.question, j.subject, j.verdict, j.value, j.seen, \
             j.seen_rules, j.seen_version, j.note from judgements j join users u on u.user_id = j.user_id ",
            $rest
        )
    };
}

impl Reviews {
    /// Stores judgements of one person on one call, all or none. `seen` gives what was found for each.
    pub async fn judge(
        &self,
        call_id: &str,
        user_id: &str,
        given: &[(NewJudgement, Option<String>)],
        [rules, version]: [&str; 2],
    ) -> Done<Vec<String>> {
        let now = now_ms();
        let mut transaction = self.pool.begin().await?;
        let mut ids = Vec::new();
        for (judgement, seen) in given {
            let id = new_id()?;
            let tidy = |field, text: &Option<String>| text.as_deref().map(|t| checked(field, t)).transpose();
            sqlx::query(
                "insert into judgements (judgement_id, call_id, user_id, at_ms, question, subject, verdict, value, seen, \
                 seen_rules, seen_version, note) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(id.as_str())
            .bind(call_id)
            .bind(user_id)
            .bind(now)
            .bind(judgement.question.as_str())
            .bind(judgement.subject.as_str())
            .bind(judgement.verdict.as_str())
            .bind(tidy("value", &judgement.value)?)
            .bind(seen.clone())
            .bind(rules)
            .bind(version)
            .bind(tidy("note", &judgement.note)?)
            .execute(&mut *transaction)
            .await?;
            ids.push(id);
        }
        let asked = sqlx::query("select count(*) from judgements where call_id = $1 and user_id = $2");
        let count = number(&asked.bind(call_id).bind(user_id).fetch_one(&mut *transaction).await?, 0)?;
        if count > MOST_JUDGEMENTS {
            let reason = format!("you have said more than {MOST_JUDGEMENTS} things about this call");
            return Err(ReviewError::Invalid { field: "judgements", reason });
        }
        transaction.commit().await?;
        Ok(ids)
    }

    /// All that was said of a call, in order of time.
    pub async fn judgements(&self, call_id: &str) -> Done<Vec<Judgement>> {
        let asked = sqlx::query(select!("where j.call_id = $1 order by j.judgement_id"));
        asked.bind(call_id).fetch_all(&self.pool).await?.iter().map(judgement).collect()
    }

    /// All that was said of all calls, in order of time.
    pub async fn all_judgements(&self) -> Done<Vec<Judgement>> {
        let asked = sqlx::query(select!("order by j.judgement_id"));
        asked.fetch_all(&self.pool).await?.iter().map(judgement).collect()
    }

    /// Calls that somebody, or that user, is done with.
    pub(crate) async fn done_calls(&self, user_id: Option<&str>) -> Done<HashSet<String>> {
        let done = self.done_with().await?.into_iter();
        Ok(done.filter(|(_, by)| user_id.is_none_or(|user| user == by)).map(|(call, _)| call).collect())
    }

    /// Who is done with which call: call and id of the user.
    pub(crate) async fn done_with(&self) -> Done<HashSet<(String, String)>> {
        let asked = sqlx::query(
            "select call_id, user_id, verdict from judgements where question = 'done' order by judgement_id",
        );
        let mut done: HashSet<(String, String)> = HashSet::new();
        for row in asked.fetch_all(&self.pool).await? {
            let key = (text(&row, 0)?, text(&row, 1)?);
            if text(&row, 2)? == "withdraw" {
                done.remove(&key);
            } else {
                done.insert(key);
            }
        }
        Ok(done)
    }

    /// Of these calls, by whom each is done.
    pub(crate) async fn done_by(&self, call_ids: &[&str]) -> Done<HashMap<String, Vec<String>>> {
        if call_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let places: Vec<String> = (1..=call_ids.len()).map(|at| format!("${at}")).collect();
        let sql = format!(
            "select j.call_id, u.name, j.verdict from judgements j join users u on u.user_id = j.user_id \
             where j.question = 'done' and j.call_id in ({}) order by j.judgement_id",
            places.join(", ")
        );
        let mut asked = sqlx::query(AssertSqlSafe(sql));
        for id in call_ids {
            asked = asked.bind(*id);
        }
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for row in asked.fetch_all(&self.pool).await? {
            let (call, name, verdict) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?);
            let names = found.entry(call).or_default();
            names.retain(|known| *known != name);
            if verdict != "withdraw" {
                names.push(name);
            }
        }
        Ok(found)
    }
}

fn judgement(row: &AnyRow) -> Done<Judgement> {
    let unknown = |what: &str| ReviewError::Database(format!("holds a {what} of a newer version"));
    Ok(Judgement {
        judgement_id: text(row, 0)?,
        call_id: text(row, 1)?,
        reviewer: text(row, 2)?,
        at_ms: row.try_get(3)?,
        question: Question::parse(&text(row, 4)?).ok_or_else(|| unknown("question"))?,
        subject: text(row, 5)?,
        verdict: Verdict::parse(&text(row, 6)?).ok_or_else(|| unknown("verdict"))?,
        value: optional(row, 7)?,
        seen: optional(row, 8)?,
        seen_rules: text(row, 9)?,
        seen_version: text(row, 10)?,
        note: optional(row, 11)?,
    })
}

/// The newest judgement of each reviewer on each part, those taken back left out, in order of time.
pub(crate) fn standing(judgements: &[Judgement]) -> Vec<&Judgement> {
    let mut newest: HashMap<(&str, Question, &str), &Judgement> = HashMap::new();
    for judgement in judgements {
        newest.insert((&judgement.reviewer, judgement.question, &judgement.subject), judgement);
    }
    let mut found: Vec<&Judgement> =
        newest.into_values().filter(|judgement| judgement.verdict != Verdict::Withdraw).collect();
    found.sort_by(|a, b| a.judgement_id.cmp(&b.judgement_id));
    found
}
