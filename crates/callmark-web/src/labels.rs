//! From judgements to labels: what people together say of a call, as `compare` and `trust` take it.
//!
//! Only calls that somebody is done with have labels. What a lead has overturned in a dispute does not count until it is
//! judged again. Where several people are, a lead's word counts before a reviewer's,
//! and of equals the latest. What nobody judged is null: nothing is taken for agreed because it was not corrected.

use crate::reviews::standing;
use crate::reviews::{Judgement, Question, ReviewError, Reviews, Role, Verdict};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// What people say of one call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Label {
    /// How the matter ended.
    pub outcome: Option<String>,
    /// Whether the customer asked for a person.
    pub human_request: Option<bool>,
    /// Whether a person was heard after that.
    pub honoured: Option<bool>,
    /// When the matter was settled, ms from the start.
    pub resolved_at_ms: Option<i64>,
    /// Sentiment of the customer, -5 to 5.
    pub sentiment: Option<f64>,
    /// Who is done with it, the one whose word counts last.
    pub reviewers: Vec<String>,
    /// When the last of them was, ms since 1970 UTC.
    pub reviewed_at_ms: i64,
}

/// Why reviews cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// They cannot be read.
    #[error(transparent)]
    Reviews(#[from] ReviewError),
    /// The file cannot be written.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The label of a call, of all that was said of it; `None` where nobody is done with it.
pub(crate) fn label(said: &[Judgement], role_of: &HashMap<String, Role>) -> Option<Label> {
    let standing = standing(said);
    let role =
        |name: &str| role_of.get(name).copied().unwrap_or(Role::Reviewer).clamp(Role::Reviewer, Role::Lead);
    let mut done: Vec<&Judgement> =
        standing.iter().copied().filter(|j| j.question == Question::Done).collect();
    done.sort_by(|a, b| {
        role(&a.reviewer).cmp(&role(&b.reviewer)).then_with(|| a.judgement_id.cmp(&b.judgement_id))
    });
    let mut label = Label { reviewed_at_ms: done.iter().map(|j| j.at_ms).max()?, ..Label::default() };
    for reviewer in done.iter().map(|j| &j.reviewer) {
        let own: Vec<&Judgement> = standing.iter().copied().filter(|j| j.reviewer == *reviewer).collect();
        label.hear(&own);
        label.reviewers.push(reviewer.clone());
    }
    Some(label)
}

impl Label {
    /// What one reviewer says, over what was said before.
    fn hear(&mut self, own: &[&Judgement]) {
        let answer = |question| {
            let judgement = own.iter().rev().find(|j| j.question == question)?;
            judgement.value.as_deref()
        };
        let yes = |value: &str| (value != "none").then_some(value == "yes");
        if let Some(outcome) = answer(Question::Outcome) {
            self.outcome = Some(outcome.to_owned());
        }
        match answer(Question::HumanRequest) {
            Some(value) => self.human_request = yes(value),
            None => self.human_request = asked(own).or(self.human_request),
        }
        if let Some(value) = answer(Question::Honoured) {
            self.honoured = yes(value);
        }
        if let Some(value) = answer(Question::ResolvedAtMs) {
            self.resolved_at_ms = value.parse().ok();
        }
        if let Some(value) = answer(Question::Sentiment) {
            self.sentiment = value.parse().ok();
        }
    }
}

/// Whether the customer asked for a person, by what was said of the single findings: one that is agreed with or added says so;
/// those that are rejected do not say that there is no other.
fn asked(own: &[&Judgement]) -> Option<bool> {
    let is_request = |value: &Option<String>| value.as_deref() == Some("human_request");
    if own.iter().any(|j| j.question == Question::Missed && is_request(&j.value)) {
        return Some(true);
    }
    let is_agreed =
        |j: &&Judgement| j.question == Question::Event && j.verdict == Verdict::Agree && is_request(&j.seen);
    own.iter().any(is_agreed).then_some(true)
}

/// The labels of all calls, by id.
pub(crate) async fn labels(reviews: &Reviews) -> Result<BTreeMap<String, Label>, ReviewError> {
    let roles: HashMap<String, Role> =
        reviews.users().await?.into_iter().map(|user| (user.name, user.role)).collect();
    let overturned = reviews.overturned().await?;
    let stands = |judgement: &Judgement| {
        let role = roles.get(&judgement.reviewer).copied().unwrap_or(Role::Reviewer);
        let key = (judgement.call_id.clone(), judgement.question.as_str().to_owned());
        role >= Role::Lead || overturned.get(&key).is_none_or(|at| judgement.at_ms > *at)
    };
    let mut of_call: BTreeMap<String, Vec<Judgement>> = BTreeMap::new();
    for judgement in reviews.all_judgements().await?.into_iter().filter(stands) {
        of_call.entry(judgement.call_id.clone()).or_default().push(judgement);
    }
    Ok(of_call.into_iter().filter_map(|(id, said)| Some((id, label(&said, &roles)?))).collect())
}

/// Writes the labels as Parquet, a row a call that somebody is done with: columns `call_id`, `outcome`, `human_request`,
/// `honoured`, `resolved_at_ms`, `sentiment`, `random_sample`, `reviewers`, `reviewed_at`. A reader sees the whole file or
/// none. Returns how many rows there are.
///
/// # Errors
/// Where the reviews cannot be read or the file cannot be written.
pub async fn export_labels(reviews: &Reviews, path: &Path) -> Result<usize, ExportError> {
    let rows = label_rows(reviews).await?;
    write_parquet(path, &rows)?;
    Ok(rows.num_rows())
}

/// The labels of all calls, a row each, with the columns of [`export_labels`].
pub(crate) async fn label_rows(reviews: &Reviews) -> Result<RecordBatch, ReviewError> {
    let (labels, random) = (labels(reviews).await?, reviews.random_calls().await?);
    rows_of(&labels, &random)
        .map_err(|e| ReviewError::Database(format!("cannot be laid out in columns: {e}")))
}

fn rows_of(
    labels: &BTreeMap<String, Label>,
    random: &HashSet<String>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let of = labels.values();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("call_id", Arc::new(StringArray::from_iter_values(labels.keys()))),
        ("outcome", Arc::new(of.clone().map(|l| l.outcome.as_deref()).collect::<StringArray>())),
        ("human_request", Arc::new(of.clone().map(|l| l.human_request).collect::<BooleanArray>())),
        ("honoured", Arc::new(of.clone().map(|l| l.honoured).collect::<BooleanArray>())),
        ("resolved_at_ms", Arc::new(of.clone().map(|l| l.resolved_at_ms).collect::<Int64Array>())),
        ("sentiment", Arc::new(of.clone().map(|l| l.sentiment).collect::<Float64Array>())),
        (
            "random_sample",
            Arc::new(labels.keys().map(|id| Some(random.contains(id))).collect::<BooleanArray>()),
        ),
        ("reviewers", Arc::new(StringArray::from_iter_values(of.clone().map(|l| l.reviewers.join(", "))))),
        ("reviewed_at", Arc::new(times(of.map(|l| l.reviewed_at_ms)))),
    ];
    // All columns may be null, whatever this batch has.
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, name != "call_id")),
    )
}

/// Writes every judgement as Parquet, a row each, those that were taken back or overtaken included. Returns how many.
///
/// # Errors
/// Where the reviews cannot be read or the file cannot be written.
pub async fn export_judgements(reviews: &Reviews, path: &Path) -> Result<usize, ExportError> {
    let all = reviews.all_judgements().await?;
    let text =
        |of: fn(&Judgement) -> &str| Arc::new(StringArray::from_iter_values(all.iter().map(of))) as ArrayRef;
    let optional = |of: fn(&Judgement) -> Option<&str>| {
        Arc::new(all.iter().map(of).collect::<StringArray>()) as ArrayRef
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("judgement_id", text(|j| &j.judgement_id)),
        ("call_id", text(|j| &j.call_id)),
        ("reviewer", text(|j| &j.reviewer)),
        ("at", Arc::new(times(all.iter().map(|j| j.at_ms)))),
        ("question", text(|j| j.question.as_str())),
        ("subject", text(|j| &j.subject)),
        ("verdict", text(|j| j.verdict.as_str())),
        ("value", optional(|j| j.value.as_deref())),
        ("seen", optional(|j| j.seen.as_deref())),
        ("seen_rules_sha256", text(|j| &j.seen_rules)),
        ("seen_pipeline_version", text(|j| &j.seen_version)),
        ("note", optional(|j| j.note.as_deref())),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    write_parquet(path, &rows.map_err(|e| unwritable(path, &e))?)?;
    Ok(all.len())
}

fn times(ms: impl Iterator<Item = i64>) -> TimestampMillisecondArray {
    TimestampMillisecondArray::from_iter_values(ms).with_timezone("UTC")
}

fn unwritable(path: &Path, reason: &dyn std::fmt::Display) -> ExportError {
    ExportError::Unwritable { path: path.display().to_string(), reason: reason.to_string() }
}

fn write_parquet(path: &Path, batch: &RecordBatch) -> Result<(), ExportError> {
    let failed = |e: &dyn std::fmt::Display| unwritable(path, e);
    let part = path.with_extension("parquet.part");
    let file = std::fs::File::create(&part).map_err(|e| failed(&e))?;
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let written = ArrowWriter::try_new(file, batch.schema(), Some(properties)).and_then(|mut writer| {
        writer.write(batch)?;
        writer.close()
    });
    written.map_err(|e| failed(&e))?;
    std::fs::rename(&part, path).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        at: i64,
        who: &str,
        question: Question,
        verdict: Verdict,
        value: Option<&str>,
        seen: Option<&str>,
    ) -> Judgement {
        Judgement {
            judgement_id: format!("{at:04}"),
            call_id: "c".into(),
            reviewer: who.into(),
            at_ms: at,
            question,
            subject: String::new(),
            verdict,
            value: value.map(str::to_owned),
            seen: seen.map(str::to_owned),
            seen_rules: "r".into(),
            seen_version: "v".into(),
            note: None,
        }
    }

    fn roles() -> HashMap<String, Role> {
        [("ann", Role::Reviewer), ("bo", Role::Reviewer), ("lea", Role::Lead)]
            .map(|(n, r)| (n.to_owned(), r))
            .into()
    }

    #[test]
    fn nothing_is_said_until_somebody_is_done() {
        let mut all =
            vec![said(1, "ann", Question::Outcome, Verdict::Correct, Some("unresolved"), Some("resolved"))];
        assert_eq!(label(&all, &roles()), None);
        all.push(said(2, "ann", Question::Done, Verdict::Agree, None, None));
        let found = label(&all, &roles()).unwrap();
        assert_eq!(
            (found.outcome.as_deref(), found.human_request, found.sentiment),
            (Some("unresolved"), None, None)
        );
        all.push(said(3, "ann", Question::Done, Verdict::Withdraw, None, None));
        assert_eq!(label(&all, &roles()), None);
    }

    #[test]
    fn a_lead_counts_before_reviewers_and_the_latest_of_equals() {
        let all = [
            said(1, "lea", Question::Outcome, Verdict::Correct, Some("abandoned"), None),
            said(2, "lea", Question::Done, Verdict::Agree, None, None),
            said(3, "ann", Question::Outcome, Verdict::Agree, Some("resolved"), None),
            said(4, "ann", Question::Sentiment, Verdict::Correct, Some("-2"), None),
            said(5, "ann", Question::Done, Verdict::Agree, None, None),
            said(6, "bo", Question::Sentiment, Verdict::Correct, Some("1.5"), None),
            said(7, "bo", Question::Done, Verdict::Agree, None, None),
        ];
        let found = label(&all, &roles()).unwrap();
        assert_eq!((found.outcome.as_deref(), found.sentiment), (Some("abandoned"), Some(1.5)));
        assert_eq!((found.reviewers.join(" "), found.reviewed_at_ms), ("ann bo lea".to_owned(), 7));
    }

    #[test]
    fn requests_are_counted_from_findings_where_nobody_answers_the_question_itself() {
        let done = said(9, "ann", Question::Done, Verdict::Agree, None, None);
        let wrong = said(1, "ann", Question::Event, Verdict::Correct, None, Some("human_request"));
        assert_eq!(label(&[wrong.clone(), done.clone()], &roles()).unwrap().human_request, None);
        let right = said(1, "ann", Question::Event, Verdict::Agree, None, Some("human_request"));
        assert_eq!(label(&[right, done.clone()], &roles()).unwrap().human_request, Some(true));
        let missed = said(2, "ann", Question::Missed, Verdict::Correct, Some("human_request"), None);
        assert_eq!(
            label(&[wrong.clone(), missed, done.clone()], &roles()).unwrap().human_request,
            Some(true)
        );
        let told = said(3, "ann", Question::HumanRequest, Verdict::Correct, Some("yes"), Some("no"));
        assert_eq!(label(&[wrong, told, done], &roles()).unwrap().human_request, Some(true));
    }

    #[test]
    fn rows_are_what_compare_reads() {
        let label = Label { human_request: Some(true), reviewed_at_ms: 5, ..Label::default() };
        let rows =
            rows_of(&BTreeMap::from([("c".to_owned(), label)]), &HashSet::from(["c".to_owned()])).unwrap();
        let names: Vec<&str> = rows.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
        assert!(
            ["call_id", "outcome", "human_request", "sentiment", "random_sample"]
                .iter()
                .all(|n| names.contains(n))
        );
        assert_eq!(rows.num_rows(), 1);
    }
}
