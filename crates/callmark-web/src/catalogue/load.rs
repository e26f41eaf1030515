//! From committed files to rows; and what a newer state of the dataset adds.

use super::{Catalogue, NONE, Row, hash};
use crate::tables::columns;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use callmark_store::{StoreError, Table, read_commits};
use callmark_types::Outcome;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Columns of `calls` that are kept in memory.
const COLUMNS: [&str; 17] = [
    "call_id",
    "started_at",
    "total_conversation_duration_ms",
    "time_to_human_ms",
    "sentiment_overall_score_customer",
    "asr_confidence",
    "hallucination_risk",
    "resolution_confidence",
    "queue",
    "issue_type",
    "language",
    "human_request_count",
    "deflection_count",
    "first_handler",
    "final_handler",
    "outcome",
    "human_request_honoured",
];

/// Most calls that are kept in memory; four times what is promised.
const MOST_CALLS: usize = 4_000_000;

/// Why the calls cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The dataset's commits cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A committed file cannot be read, or does not hold what was written.
    #[error("the dataset is damaged: {0} (`callmark doctor --dataset DIR` says what is wrong)")]
    Unreadable(String),
    /// There are more calls than fit.
    #[error(
        "the dataset has more than {MOST_CALLS} calls, which is more than the review page holds; review a part of it (`callmark sql` or a dataset by month)"
    )]
    TooMany,
}

/// A committed file of `calls`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// Where, relative to the dataset.
    pub(crate) path: Arc<str>,
    /// Its digest: a file that was written anew is another one.
    pub(crate) sha256: Arc<str>,
    /// Its rows.
    pub(crate) rows: u64,
}

/// The committed files of `calls`, in the order of the commits.
pub(crate) fn sources(dataset: &Path) -> Result<Vec<Source>, CatalogueError> {
    let commits = read_commits(dataset)?;
    let files = commits.into_iter().flat_map(|commit| commit.files);
    let calls = files.filter(|file| file.table == Table::Calls).map(|file| Source {
        path: file.path.into(),
        sha256: file.sha256.into(),
        rows: file.rows,
    });
    Ok(calls.collect())
}

impl Catalogue {
    /// The dataset as it is now; `None` where that is `self`. What `self` has read is not read again, unless a file that it
    /// was read from is there no more.
    pub(crate) fn renewed(&self, dataset: &Path) -> Result<Option<Self>, CatalogueError> {
        let known: HashSet<&Source> = self.files.iter().collect();
        // A commit is visible a moment before its files are in place: those come with the next look.
        let is_there = |source: &Source| known.contains(source) || dataset.join(&*source.path).exists();
        let now: Vec<Source> = sources(dataset)?.into_iter().filter(is_there).collect();
        let grown = has_all(&now, &self.files);
        if grown && now.len() == self.files.len() {
            return Ok(None);
        }
        let mut next = if grown { self.clone() } else { Self::default() };
        let had: HashSet<Source> = next.files.iter().cloned().collect();
        for source in now.into_iter().filter(|source| !had.contains(source)) {
            next.read(dataset, source)?;
        }
        Ok(Some(next))
    }

    /// Whether it has all that `old` had.
    pub(crate) fn has_grown_from(&self, old: &Self) -> bool {
        has_all(&self.files, &old.files)
    }

    fn read(&mut self, dataset: &Path, source: Source) -> Result<(), CatalogueError> {
        let number = self.files.len() as u32;
        self.starts.push(self.rows.len() as u32);
        for batch in columns(dataset, &source.path, &COLUMNS).map_err(CatalogueError::Unreadable)? {
            if self.rows.len() + batch.num_rows() > MOST_CALLS {
                return Err(CatalogueError::TooMany);
            }
            let wrong = |reason: String| CatalogueError::Unreadable(format!("{}: {reason}", source.path));
            self.add(&Columns::of(&batch).map_err(wrong)?, number).map_err(wrong)?;
        }
        let read = self.rows.len() as u64 - u64::from(self.starts[number as usize]);
        if read != source.rows {
            let reason = format!("{}: it has {read} rows, and {} were committed", source.path, source.rows);
            return Err(CatalogueError::Unreadable(reason));
        }
        self.files.push(source);
        Ok(())
    }

    fn add(&mut self, columns: &Columns<'_>, file: u32) -> Result<(), String> {
        for at in 0..columns.id.len() {
            let id = columns.id.value(at);
            self.by_id.insert(hash(id), self.rows.len() as u32);
            let row = Row {
                id: id.into(),
                started_ms: columns.started.is_valid(at).then(|| columns.started.value(at)),
                file,
                duration_ms: small(columns.duration, at),
                time_to_human_ms: small(columns.time_to_human, at),
                sentiment: float(columns.sentiment, at),
                asr_confidence: float(columns.asr_confidence, at),
                risk: float(columns.risk, at),
                resolution_confidence: float(columns.resolution_confidence, at),
                queue: self.queues.number(text(columns.queue, at)),
                issue: self.issues.number(text(columns.issue, at)),
                language: self.languages.number(text(columns.language, at)),
                requests: count(columns.requests, at),
                deflections: count(columns.deflections, at),
                first: named("first_handler", text(columns.first, at))?,
                last: named("final_handler", text(columns.last, at))?,
                outcome: named("outcome", text(columns.outcome, at))?.unwrap_or(Outcome::Unknown),
                honoured: columns.honoured.is_valid(at).then(|| columns.honoured.value(at)),
            };
            self.rows.push(row);
        }
        Ok(())
    }
}

fn has_all(now: &[Source], before: &[Source]) -> bool {
    let has: HashSet<&Source> = now.iter().collect();
    before.iter().all(|source| has.contains(source))
}

/// The columns of one batch, as what they are.
struct Columns<'a> {
    id: &'a StringArray,
    started: &'a TimestampMillisecondArray,
    duration: &'a Int64Array,
    time_to_human: &'a Int64Array,
    sentiment: &'a Float64Array,
    asr_confidence: &'a Float64Array,
    risk: &'a Float64Array,
    resolution_confidence: &'a Float64Array,
    queue: &'a StringArray,
    issue: &'a StringArray,
    language: &'a StringArray,
    requests: &'a Int32Array,
    deflections: &'a Int32Array,
    first: &'a StringArray,
    last: &'a StringArray,
    outcome: &'a StringArray,
    honoured: &'a BooleanArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        Ok(Self {
            id: column(batch, "call_id")?,
            started: column(batch, "started_at")?,
            duration: column(batch, "total_conversation_duration_ms")?,
            time_to_human: column(batch, "time_to_human_ms")?,
            sentiment: column(batch, "sentiment_overall_score_customer")?,
            asr_confidence: column(batch, "asr_confidence")?,
            risk: column(batch, "hallucination_risk")?,
            resolution_confidence: column(batch, "resolution_confidence")?,
            queue: column(batch, "queue")?,
            issue: column(batch, "issue_type")?,
            language: column(batch, "language")?,
            requests: column(batch, "human_request_count")?,
            deflections: column(batch, "deflection_count")?,
            first: column(batch, "first_handler")?,
            last: column(batch, "final_handler")?,
            outcome: column(batch, "outcome")?,
            honoured: column(batch, "human_request_honoured")?,
        })
    }
}

fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, String> {
    let found: &ArrayRef = batch.column_by_name(name).ok_or_else(|| format!("it has no column {name}"))?;
    found.as_any_opt().ok_or_else(|| format!("column {name} has another type than the schema's"))
}

/// A cast by the type that is wanted.
trait AsAnyOf {
    fn as_any_opt<A: Array + 'static>(&self) -> Option<&A>;
}

impl AsAnyOf for ArrayRef {
    fn as_any_opt<A: Array + 'static>(&self) -> Option<&A> {
        self.as_any().downcast_ref()
    }
}

fn text(array: &StringArray, at: usize) -> Option<&str> {
    array.is_valid(at).then(|| array.value(at))
}

fn float(array: &Float64Array, at: usize) -> f32 {
    if array.is_valid(at) { array.value(at) as f32 } else { f32::NAN }
}

/// Milliseconds of up to 24 days; longer ones are shown as that long.
fn small(array: &Int64Array, at: usize) -> i32 {
    if array.is_valid(at) {
        array.value(at).clamp(i64::from(NONE) + 1, i64::from(i32::MAX)) as i32
    } else {
        NONE
    }
}

fn count(array: &Int32Array, at: usize) -> u16 {
    if array.is_valid(at) { array.value(at).clamp(0, i32::from(u16::MAX)) as u16 } else { 0 }
}

fn named<T: DeserializeOwned>(column: &str, name: Option<&str>) -> Result<Option<T>, String> {
    let Some(name) = name else { return Ok(None) };
    serde_json::from_value(serde_json::Value::from(name))
        .map(Some)
        .map_err(|_| format!("column {column} holds the unknown value {name:?}"))
}
