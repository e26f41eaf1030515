//! All calls of the dataset in memory, a narrow row each: what a reviewer filters, sorts and counts by.
//!
//! A row is about a hundred bytes, so a million calls are looked through in a few hundredths of a second, whatever is
//! combined; no index has to fit the question. What was said is not here: that is `search`, and a call is read from the
//! tables when it is opened.

mod filter;
mod load;
mod rank;

pub use filter::FilterError;
pub(crate) use filter::{Filter, Mark, PARAMETERS, Sort, as_listed, query};
pub use load::CatalogueError;
pub(crate) use load::Source;
pub(crate) use rank::{Cursor, Page, page};

use callmark_query::TrustLimits;
use callmark_types::{Handler, Outcome};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Stands for a value that is not there, in columns of whole numbers.
pub(crate) const NONE: i32 = i32::MIN;

/// A call as a row of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: Box<str>,
    /// Milliseconds since 1970, UTC.
    pub(crate) started_ms: Option<i64>,
    /// The committed file that holds it.
    pub(crate) file: u32,
    /// Length of the recording, ms, or [`NONE`].
    pub(crate) duration_ms: i32,
    /// From the first request to a person's voice, ms, or [`NONE`].
    pub(crate) time_to_human_ms: i32,
    /// Customer sentiment over the call, -5 to 5; not a number where it has none.
    pub(crate) sentiment: f32,
    /// Mean probability of the words; not a number for chats.
    pub(crate) asr_confidence: f32,
    /// Share of words that were taken for invented; not a number for chats.
    pub(crate) risk: f32,
    pub(crate) resolution_confidence: f32,
    pub(crate) queue: u16,
    pub(crate) issue: u16,
    pub(crate) language: u16,
    pub(crate) requests: u16,
    pub(crate) deflections: u16,
    pub(crate) first: Option<Handler>,
    pub(crate) last: Option<Handler>,
    pub(crate) outcome: Outcome,
    pub(crate) honoured: Option<bool>,
}

impl Row {
    /// Whether its transcript is one that figures are also shown without.
    pub(crate) fn is_doubtful(&self, limits: TrustLimits) -> bool {
        f64::from(self.asr_confidence) < limits.least_confidence || f64::from(self.risk) > limits.most_risk
    }

    /// How unsure its scores are, 0 to 1: what a person's look would tell most.
    pub(crate) fn doubt(&self) -> f32 {
        let recogniser = if self.asr_confidence.is_nan() { 0.0 } else { 1.0 - self.asr_confidence };
        (1.0 - self.resolution_confidence).max(recogniser)
    }
}

/// Texts by number; 0 is the absence of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u16>,
}

impl Names {
    fn number(&mut self, name: Option<&str>) -> u16 {
        let Some(name) = name else { return 0 };
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Beyond what fits, all share the last number: a queue of that many names is nobody's.
        let number = u16::try_from(self.names.len() + 1).unwrap_or(u16::MAX);
        if number < u16::MAX {
            self.names.push(name.into());
            self.numbers.insert(name.into(), number);
        }
        number
    }

    pub(crate) fn name(&self, number: u16) -> Option<&str> {
        self.names.get(usize::from(number).checked_sub(1)?).map(|name| &**name)
    }

    pub(crate) fn find(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    /// All of them, by alphabet.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.names.iter().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}

/// The calls at one moment; a newer one is another value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    pub(crate) rows: Vec<Row>,
    pub(crate) queues: Names,
    pub(crate) issues: Names,
    pub(crate) languages: Names,
    /// Committed files of `calls`, relative to the dataset, in the order of their rows.
    pub(crate) files: Vec<Source>,
    /// The first row of each file.
    pub(crate) starts: Vec<u32>,
    /// Row by the hash of its id.
    by_id: HashMap<u64, u32>,
}

impl Catalogue {
    /// The row of the call of this id.
    pub(crate) fn find(&self, id: &str) -> Option<(u32, &Row)> {
        let number = *self.by_id.get(&hash(id))?;
        let row = self.rows.get(number as usize)?;
        if &*row.id == id {
            return Some((number, row));
        }
        // Two ids of one hash: as good as never, and then slow but right.
        let (at, row) = self.rows.iter().enumerate().find(|(_, row)| &*row.id == id)?;
        Some((at as u32, row))
    }

    /// The file in which the call is.
    pub(crate) fn file_of(&self, row: &Row) -> Option<&Arc<str>> {
        self.files.get(row.file as usize).map(|source| &source.path)
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// A set of rows, a bit each.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowSet(Vec<u64>);

impl RowSet {
    pub(crate) fn insert(&mut self, row: u32) {
        let at = row as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (row % 64);
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

impl FromIterator<u32> for RowSet {
    fn from_iter<T: IntoIterator<Item = u32>>(rows: T) -> Self {
        let mut set = Self::default();
        rows.into_iter().for_each(|row| set.insert(row));
        set
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call that nothing is known of.
    pub(crate) fn row(id: &str) -> Row {
        Row {
            id: id.into(),
            started_ms: None,
            file: 0,
            duration_ms: NONE,
            time_to_human_ms: NONE,
            sentiment: f32::NAN,
            asr_confidence: f32::NAN,
            risk: f32::NAN,
            resolution_confidence: 0.0,
            queue: 0,
            issue: 0,
            language: 0,
            requests: 0,
            deflections: 0,
            first: None,
            last: None,
            outcome: Outcome::Unknown,
            honoured: None,
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: RowSet = [0, 63, 64, 1_000_000].into_iter().collect();
        let found: Vec<u32> = (0..1_000_100).filter(|row| set.contains(*row)).collect();
        assert_eq!(found, [0, 63, 64, 1_000_000]);
        assert!(!RowSet::default().contains(5));
    }

    #[test]
    fn names_are_numbered_once_and_absence_is_zero() {
        let mut names = Names::default();
        assert_eq!((names.number(Some("orders")), names.number(None)), (1, 0));
        assert_eq!((names.number(Some("billing")), names.number(Some("orders"))), (2, 1));
        assert_eq!((names.name(2), names.name(0), names.find("x")), (Some("billing"), None, None));
        assert_eq!(names.sorted(), ["billing", "orders"]);
    }
}
