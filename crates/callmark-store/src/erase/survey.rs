//! Which calls a selection means, and where in the dataset anything of them lies. Only reads.

use super::beside::{self, Beside};
use super::calls::{ErasedCalls, read_erased};
use super::matcher::{Kind, Matcher};
use super::rows;
use super::{Erased, Selection};
use crate::dead_letters::{self, StoredDeadLetter};
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, FileEntry};
use crate::place::Backend;
use crate::schema::Table;
use callmark_types::CallId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// What an erasure has to change.
pub(super) struct Survey {
    /// The same as the caller is told.
    pub(super) erased: Erased,
    /// Ids of the calls that go.
    pub(super) ids: HashSet<String>,
    /// Commits of which a call goes.
    pub(super) commits: Vec<ChangedCommit>,
    /// What lies beside the tables.
    pub(super) beside: Vec<Beside>,
    /// All calls erased so far, with these.
    pub(super) list: ErasedCalls,
}

/// A commit of which a call goes.
pub(super) struct ChangedCommit {
    pub(super) record: CommitRecord,
    /// What becomes of each of its files, in their order.
    pub(super) files: Vec<FileChange>,
    /// Calls that stay in it.
    pub(super) staying: u64,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileChange {
    /// No row of it goes.
    Stays,
    /// It is written without some rows.
    Rewritten,
    /// Nothing would be left in it.
    Removed,
}

/// What the tables say.
#[derive(Default)]
struct Tables {
    going: BTreeMap<CallId, Option<String>>,
    kept_ids: HashSet<String>,
    kept_sources: BTreeSet<String>,
    customers: BTreeSet<String>,
    without_time: u64,
}

pub(super) fn survey(directory: &dyn Backend, selection: &Selection) -> Result<Survey, StoreError> {
    let records = layout::read_commit_files(directory)?.records;
    let mut list = read_erased(directory)?;
    let tables = read_tables(directory, &records, selection)?;
    let committed: BTreeSet<CallId> = tables.going.keys().cloned().collect();
    let (letters, ids) = letters_of(directory, &committed, &tables.kept_ids, selection)?;

    let mut erased = Erased {
        call_ids: ids.iter().cloned().collect(),
        sources: tables
            .going
            .values()
            .flatten()
            .chain(letters.iter().filter_map(|letter| letter.uri.as_ref()))
            .filter(|uri| !uri.is_empty())
            .cloned()
            .collect(),
        kept_sources: tables.kept_sources,
        unknown_customers: (selection.customer_keys.len() - tables.customers.len()) as u64,
        without_time: tables.without_time,
        dead_letters: letters.iter().map(|letter| letter.id.clone()).collect(),
        ..Erased::default()
    };
    for id in selection.call_ids.iter().filter(|id| !ids.contains(*id)) {
        if list.has_call(id) {
            erased.erased_before += 1;
        } else {
            erased.unknown_calls += 1;
        }
    }
    let ids: HashSet<String> = ids.iter().map(ToString::to_string).collect();
    let mut commits = Vec::new();
    for record in records {
        if record.entries.iter().any(|entry| ids.contains(entry.call_id.as_str())) {
            commits.push(changes_of(directory, record, &ids, &mut erased)?);
        }
    }
    for commit in &commits {
        for entry in commit.record.entries.iter().filter(|entry| ids.contains(entry.call_id.as_str())) {
            list.add(&entry.call_id, Some(entry.key), entry.place);
        }
    }
    for id in &erased.call_ids {
        list.add(id, None, None);
    }
    let beside = if erased.is_empty() {
        Vec::new()
    } else {
        beside::beside(directory, &ids, &selection.customer_keys)?
    };
    for change in &beside {
        let told =
            if change.is_rewritten() { &mut erased.rewritten_beside } else { &mut erased.removed_beside };
        told.push(change.path().to_owned());
    }
    Ok(Survey { erased, ids, commits, beside, list })
}

/// Every call that is committed, sorted into those that go and those that stay.
fn read_tables(
    directory: &dyn Backend,
    records: &[CommitRecord],
    selection: &Selection,
) -> Result<Tables, StoreError> {
    let mut tables = Tables::default();
    for record in records {
        // Also of a file that is gone: the record names its calls.
        for entry in record.entries.iter().filter(|entry| selection.call_ids.contains(&entry.call_id)) {
            tables.going.entry(entry.call_id.clone()).or_default();
        }
        for file in record.files.iter().filter(|file| file.table == Table::Calls) {
            let Some(path) = lies_at(directory, file)? else { continue };
            let mut bad_id = false;
            rows::for_each_caller(&path, |caller| {
                let Ok(id) = CallId::new(caller.call_id) else {
                    bad_id = true;
                    return;
                };
                let customer = caller.customer_key.filter(|key| selection.customer_keys.contains(key));
                let is_theirs = customer.is_some();
                tables.customers.extend(customer);
                if selection.before.is_some() && caller.started_ms.is_none() {
                    tables.without_time += 1;
                }
                let started = caller.started_ms.zip(selection.before);
                let is_old = started.is_some_and(|(at, before)| at < before.epoch_millis());
                if is_theirs || is_old || selection.call_ids.contains(&id) {
                    tables.going.insert(id, caller.source_uri);
                } else {
                    tables.kept_ids.insert(id.to_string());
                    tables.kept_sources.extend(caller.source_uri);
                }
            })?;
            if bad_id {
                let reason = "it holds a row whose call_id is none".to_owned();
                return Err(StoreError::UnreadableTable { path: PathBuf::from(&file.path), reason });
            }
        }
    }
    Ok(tables)
}

/// Where a committed file lies: published, or staged still; `None` where it is gone, and its rows with it.
fn lies_at(directory: &dyn Backend, file: &FileEntry) -> Result<Option<PathBuf>, StoreError> {
    for path in [file.path.clone(), directory.staging_path(&file.path)] {
        if directory.exists(&path)? {
            return Ok(Some(directory.path(&path)));
        }
    }
    Ok(None)
}

/// The dead letters that are of the calls, or in whose words a customer or a call of them stands, and all ids with
/// those that these letters have of calls that are not in the tables.
fn letters_of(
    directory: &dyn Backend,
    committed: &BTreeSet<CallId>,
    kept_ids: &HashSet<String>,
    selection: &Selection,
) -> Result<(Vec<StoredDeadLetter>, BTreeSet<CallId>), StoreError> {
    let mut left = dead_letters::list(directory.root())?;
    let mut going = Vec::new();
    let mut ids = committed.clone();
    // Each round but the last takes a letter, so there are at most as many as letters.
    loop {
        let named: Vec<&str> = (ids.iter().chain(&selection.call_ids).map(CallId::as_str))
            .chain(selection.customer_keys.iter().map(String::as_str))
            .collect();
        let matcher = Matcher::new(named);
        let before = going.len();
        let mut others = Vec::new();
        for letter in left {
            if is_of(directory, &letter, &ids, selection, &matcher)? {
                let id = letter.call_id.as_ref().filter(|id| !kept_ids.contains(id.as_str()));
                ids.extend(id.cloned());
                going.push(letter);
            } else {
                others.push(letter);
            }
        }
        left = others;
        if going.len() == before {
            going.sort_by(|a, b| a.id.cmp(&b.id));
            return Ok((going, ids));
        }
    }
}

fn is_of(
    directory: &dyn Backend,
    letter: &StoredDeadLetter,
    ids: &BTreeSet<CallId>,
    selection: &Selection,
    matcher: &Matcher,
) -> Result<bool, StoreError> {
    if letter.first_seen.zip(selection.before).is_some_and(|(seen, before)| seen < before) {
        return Ok(true);
    }
    if letter.call_id.as_ref().is_some_and(|id| ids.contains(id) || selection.call_ids.contains(id)) {
        return Ok(true);
    }
    let texts = [letter.uri.as_deref(), Some(letter.reason.as_str())];
    if texts.into_iter().flatten().any(|text| matcher.is_named_in(text.as_bytes())) {
        return Ok(true);
    }
    if let Some(envelope) = &letter.envelope {
        let parts = envelope.key.iter().chain(envelope.headers.iter().map(|(_, value)| value));
        if parts.into_iter().any(|part| matcher.is_named_in(part)) {
            return Ok(true);
        }
    }
    if letter.payload_bytes.is_none() {
        return Ok(false);
    }
    let bytes = dead_letters::payload(directory.root(), &letter.id)?.unwrap_or_default();
    Ok(super::search::kind_of(&bytes) == Kind::Text && matcher.is_named_in(&bytes))
}

/// What becomes of the files of a commit, counted.
fn changes_of(
    directory: &dyn Backend,
    record: CommitRecord,
    ids: &HashSet<String>,
    erased: &mut Erased,
) -> Result<ChangedCommit, StoreError> {
    let goes = |id: &str| ids.contains(id);
    let mut staying_of_day: HashMap<&str, u64> = HashMap::new();
    let mut counts = Vec::new();
    for file in &record.files {
        let count = lies_at(directory, file)?.map(|path| rows::count(&path, &goes)).transpose()?;
        if let (Table::Calls, Some((_, staying))) = (file.table, count) {
            *staying_of_day.entry(day(&file.path)).or_default() += staying;
        }
        counts.push(count);
    }
    let mut changes = Vec::new();
    for (file, count) in record.files.iter().zip(counts) {
        let (going, _) = count.unwrap_or_default();
        let rows = match file.table {
            Table::Calls => &mut erased.rows.calls,
            Table::Turns => &mut erased.rows.turns,
            Table::Events => &mut erased.rows.events,
        };
        *rows += going;
        changes.push(match staying_of_day.get(day(&file.path)) {
            Some(0) => {
                erased.removed_files += 1;
                FileChange::Removed
            }
            _ if going > 0 => {
                erased.rewritten_files += 1;
                FileChange::Rewritten
            }
            _ => FileChange::Stays,
        });
    }
    let staying = record.entries.iter().filter(|entry| !ids.contains(entry.call_id.as_str())).count() as u64;
    Ok(ChangedCommit { record, files: changes, staying })
}

/// The partition that a file of a table lies in.
fn day(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}
