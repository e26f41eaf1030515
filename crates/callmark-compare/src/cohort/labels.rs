//! What people said of calls, from files beside the dataset: reviews of the QA team, and customers' answers to a survey.
//!
//! Both are Parquet with a column `call_id`; calls that the dataset does not have are passed over, of two rows of one call
//! the later counts. Columns that a file does not have are null; others are ignored.
//!
//! Reviews: `outcome` (text, as in `calls.outcome`; `unknown` is a judgement too: that the matter was settled does not show,
//! and counts as it counts where the scorer says it), `human_request` (boolean: the customer asked for a person), `sentiment`
//! (number, -5 to 5), `random_sample` (boolean). A correction by labels is right only where the labelled calls
//! are a random sample: rows whose `random_sample` is false are counted and left out, those where it is null or
//! absent are taken at their word. Survey: `score` (number, higher is better).

use super::Ended;
use super::extract::digest;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// What sentiment may be.
const SENTIMENT: std::ops::RangeInclusive<f64> = -5.0..=5.0;

/// A survey has no larger answers.
const LARGEST_SCORE: f64 = 1e6;

/// What a person judged of one call. What was not judged is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Review {
    /// Whether the matter was settled, 1 or 0.
    pub settled: f64,
    /// Whether the customer asked for a person, 1 or 0.
    pub human_request: f64,
    /// Customer sentiment.
    pub sentiment: f64,
}

impl Review {
    /// Nobody judged anything.
    pub const NONE: Self = Self { settled: f64::NAN, human_request: f64::NAN, sentiment: f64::NAN };

    /// Whether anything was judged.
    pub fn judges(&self) -> bool {
        [self.settled, self.human_request, self.sentiment].iter().any(|judged| !judged.is_nan())
    }
}

/// What people said of calls, by the digest of their ids.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    pub(super) reviews: HashMap<u64, Review>,
    pub(super) survey: HashMap<u64, f64>,
    pub(super) not_random: u64,
    /// Whether files were read, be they empty.
    pub(super) has_reviews: bool,
    pub(super) has_survey: bool,
}

/// Why labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file cannot be read as Parquet.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A column that there must be is missing, or one holds something else.
    #[error("{path}: column {column} {reason}")]
    Column {
        /// The file.
        path: String,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Labels {
    /// Adds the reviews of a Parquet file.
    pub fn read_reviews(&mut self, path: &Path) -> Result<(), LabelError> {
        let file = Labelled { path };
        self.has_reviews = true;
        file.batches()?.iter().try_for_each(|batch| self.add(&file, batch))
    }

    /// Adds reviews in memory, with the columns that such a file has.
    pub fn add_reviews(&mut self, reviews: &RecordBatch) -> Result<(), LabelError> {
        self.has_reviews = true;
        self.add(&Labelled { path: Path::new("the reviews") }, reviews)
    }

    fn add(&mut self, file: &Labelled<'_>, batch: &RecordBatch) -> Result<(), LabelError> {
        let ids = file.ids(batch)?;
        let outcomes = file.column(batch, "outcome", &DataType::Utf8)?;
        let requests = file.column(batch, "human_request", &DataType::Boolean)?;
        let sentiments = file.column(batch, "sentiment", &DataType::Float64)?;
        let random = file.column(batch, "random_sample", &DataType::Boolean)?;
        let flag = |array: &Option<ArrayRef>, i: usize| {
            array.as_ref().filter(|a| a.is_valid(i)).map(|a| a.as_boolean().value(i))
        };
        for i in 0..batch.num_rows() {
            if flag(&random, i) == Some(false) {
                self.not_random += 1;
                continue;
            }
            let outcome = outcomes.as_ref().filter(|a| a.is_valid(i)).map(|a| a.as_string::<i32>().value(i));
            let review = Review {
                settled: file.settled(outcome)?,
                human_request: flag(&requests, i).map_or(f64::NAN, f64::from),
                sentiment: number(sentiments.as_ref(), i),
            };
            if sentiments.as_ref().is_some_and(|s| s.is_valid(i)) && !SENTIMENT.contains(&review.sentiment) {
                return Err(file.wrong("sentiment", &format!("holds {}, not -5 to 5", review.sentiment)));
            }
            self.reviews.insert(digest(ids.as_string::<i32>().value(i)), review);
        }
        Ok(())
    }

    /// Adds the answers of a Parquet file.
    pub fn read_survey(&mut self, path: &Path) -> Result<(), LabelError> {
        let file = Labelled { path };
        self.has_survey = true;
        for batch in file.batches()? {
            let ids = file.ids(&batch)?;
            let scores = file.column(&batch, "score", &DataType::Float64)?;
            let Some(scores) = scores else { return Err(file.wrong("score", "is missing")) };
            for i in (0..batch.num_rows()).filter(|i| scores.is_valid(*i)) {
                let score = number(Some(&scores), i);
                if !score.is_finite() || score.abs() > LARGEST_SCORE {
                    return Err(file.wrong("score", &format!("holds {score}, which is no answer")));
                }
                self.survey.insert(digest(ids.as_string::<i32>().value(i)), score);
            }
        }
        Ok(())
    }
}

fn number(array: Option<&ArrayRef>, i: usize) -> f64 {
    array.filter(|a| a.is_valid(i)).map_or(f64::NAN, |a| a.as_primitive::<Float64Type>().value(i))
}

/// A file of labels.
struct Labelled<'a> {
    path: &'a Path,
}

impl Labelled<'_> {
    fn batches(&self) -> Result<Vec<RecordBatch>, LabelError> {
        let unreadable =
            |reason: String| LabelError::Unreadable { path: self.path.display().to_string(), reason };
        let file = File::open(self.path).map_err(|e| unreadable(e.to_string()))?;
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
        let batches: Result<Vec<RecordBatch>, _> = reader.map_err(|e| unreadable(e.to_string()))?.collect();
        batches.map_err(|e| unreadable(e.to_string()))
    }

    fn wrong(&self, column: &'static str, reason: &str) -> LabelError {
        LabelError::Column { path: self.path.display().to_string(), column, reason: reason.to_owned() }
    }

    /// A column as `wanted`; `None` where the file has none of that name.
    fn column(
        &self,
        batch: &RecordBatch,
        name: &'static str,
        wanted: &DataType,
    ) -> Result<Option<ArrayRef>, LabelError> {
        let Some(column) = batch.column_by_name(name) else { return Ok(None) };
        let unlike = *wanted == DataType::Boolean && *column.data_type() != DataType::Boolean;
        let found = cast(column, wanted).ok().filter(|a| !unlike && a.null_count() == column.null_count());
        found.map(Some).ok_or_else(|| self.wrong(name, &format!("is {}, not {wanted}", column.data_type())))
    }

    fn ids(&self, batch: &RecordBatch) -> Result<ArrayRef, LabelError> {
        let ids = self.column(batch, "call_id", &DataType::Utf8)?;
        ids.filter(|a| a.null_count() == 0)
            .ok_or_else(|| self.wrong("call_id", "is missing, or null somewhere"))
    }

    /// 1 or 0; not a number where nobody judged it.
    fn settled(&self, outcome: Option<&str>) -> Result<f64, LabelError> {
        let Some(outcome) = outcome else { return Ok(f64::NAN) };
        match Ended::ALL.into_iter().find(|e| e.as_str() == outcome) {
            Some(ended) => Ok(f64::from(ended.is_resolved())),
            None => Err(self.wrong("outcome", &format!("holds {outcome:?}, which is no outcome"))),
        }
    }
}
