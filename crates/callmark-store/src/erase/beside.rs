//! What lies beside the tables of a dataset and may hold something of a call. Other crates write it; what becomes of it
//! when a call is erased is said here, in one place:
//!
//! | path | what it is | an erasure |
//! | --- | --- | --- |
//! | `_spool/*` | what was heard, kept until it is committed | removes all: an entry does not say whose it is, and is heard again |
//! | `_rescore/changes.jsonl` | what a rescore changed, a line a call | writes it without the calls' lines |
//! | `_rescore/*.half`, `repeats/*.half` | left by a run that was cut short | removes |
//! | `repeats/*.parquet` | passes of `callmark repeats` | removes those that name a call or customer: made again by another pass |
//! | `_review/*` | reviews, search index, decoded recordings of `callmark-web` | whoever calls sees to it: see [`super::erase()`] |
//! | `*.parquet` with a column `call_id` | reviews and surveys put into the dataset's folder | writes it without the calls' rows |
//!
//! Dead letters are in [`super::survey`]. `_lock`, `_rescore/plan.json`, `_rescore/report.json` and `truth.json` name no call.

use super::rows;
use crate::error::StoreError;
use crate::place::Backend;
use std::collections::{BTreeSet, HashSet};

/// Checkpoints of `callmark-pipeline`.
const SPOOL: &str = "_spool";
/// Notes of `callmark-pipeline`'s rescore.
const RESCORE: &str = "_rescore";
const CHANGES: &str = "_rescore/changes.jsonl";
/// Second passes of `callmark-query`.
const REPEATS: &str = "repeats";
/// What these two call a file that is not whole yet.
const HALF_SUFFIX: &str = ".half";
const PARQUET_SUFFIX: &str = ".parquet";

/// What becomes of a file beside the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beside {
    /// Goes.
    Removed(String),
    /// Lines of JSON objects, written without those of the calls.
    Lines(String),
    /// Parquet, written without the rows of the calls.
    Rows(String),
}

impl Beside {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Removed(path) | Self::Lines(path) | Self::Rows(path) => path,
        }
    }

    pub(super) fn is_rewritten(&self) -> bool {
        !matches!(self, Self::Removed(_))
    }
}

/// What of a dataset, beside tables, commits and dead letters, has to change.
pub(super) fn beside(
    directory: &dyn Backend,
    ids: &HashSet<String>,
    customer_keys: &BTreeSet<String>,
) -> Result<Vec<Beside>, StoreError> {
    let in_folder = |folder: &str| -> Result<Vec<String>, StoreError> {
        Ok(directory.files_in(folder)?.into_iter().map(|name| format!("{folder}/{name}")).collect())
    };
    let mut found: Vec<Beside> = in_folder(SPOOL)?.into_iter().map(Beside::Removed).collect();
    let (notes, passes) = (in_folder(RESCORE)?, in_folder(REPEATS)?);
    let halves = notes.into_iter().chain(passes.iter().cloned()).filter(|path| path.ends_with(HALF_SUFFIX));
    found.extend(halves.map(Beside::Removed));
    if directory.exists(CHANGES)? {
        let text = directory.read(CHANGES)?;
        if without_lines_of(&text, ids).len() < text.len() {
            found.push(Beside::Lines(CHANGES.to_owned()));
        }
    }
    let names = |text: &[u8]| {
        std::str::from_utf8(text).is_ok_and(|text| ids.contains(text) || customer_keys.contains(text))
    };
    for path in passes.into_iter().filter(|path| path.ends_with(PARQUET_SUFFIX)) {
        if holds(directory, &path, &names)? {
            found.push(Beside::Removed(path));
        }
    }
    for path in directory.files_in("")?.into_iter().filter(|path| path.ends_with(PARQUET_SUFFIX)) {
        let on_disk = directory.path(&path);
        if rows::has_call_ids(&on_disk)? && rows::count(&on_disk, &|id| ids.contains(id))?.0 > 0 {
            found.push(Beside::Rows(path));
        }
    }
    Ok(found)
}

/// Whether any value of a Parquet file is one of them.
fn holds(directory: &dyn Backend, path: &str, is_one: &dyn Fn(&[u8]) -> bool) -> Result<bool, StoreError> {
    let on_disk = directory.path(path);
    for batch in rows::read(&on_disk, &[])? {
        let batch = batch.map_err(|e| StoreError::parquet("read", &on_disk, e.into()))?;
        if batch.columns().iter().any(|column| rows::any_text(column, &mut |text| is_one(text))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The lines that are not of these calls. A line that is no JSON object is nobody's and stays.
pub(super) fn without_lines_of(text: &[u8], ids: &HashSet<String>) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Line {
        call_id: String,
    }
    let is_theirs =
        |line: &&[u8]| serde_json::from_slice::<Line>(line).is_ok_and(|l| ids.contains(&l.call_id));
    text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_theirs(line)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_calls_stay_byte_for_byte() {
        let text = b"{\"call_id\":\"a\"}\n{\"call_id\": \"b\", \"x\":[1]}\nnonsense\n{\"call_id\":\"c\"}";
        let ids = HashSet::from(["a".to_owned(), "c".to_owned()]);
        assert_eq!(without_lines_of(text, &ids), b"{\"call_id\": \"b\", \"x\":[1]}\nnonsense\n");
    }
}
