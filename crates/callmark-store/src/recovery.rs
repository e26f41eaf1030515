//! What opening a dataset puts right after a writer died: finishes what is committed, removes what is not.
//!
//! It runs under the writer's lock, which a paused writer still holds and a dead one does not: whatever of the files'
//! source no commit names belongs to nobody, and can go. Streams have no such lock and are left alone (see `stream`).
//!
//! An object store has no lock either. There the batches of files are a chain like a stream, and an attempt of which
//! it is open whether it will win stays until it is beaten.

use crate::batch::SourceId;
use crate::commit::{self, CommitStep, StepHook};
use crate::dead_letters;
use crate::erase;
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, STAGING};
use crate::place::Backend;
use crate::stream::REMEMBERED_COMMITS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What recovery found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Committed files that were moved to where readers look.
    pub published_files: u64,
    /// Intents, staged and half-written files of attempts that were never committed.
    pub removed_leftovers: u64,
    /// An erasure that was cut short is finished.
    pub finished_erasure: bool,
    /// Committed files that are gone; their calls are not in the tables and are not scored again. On an object store
    /// nobody looks; [`crate::check`] does.
    pub missing_files: Vec<PathBuf>,
}

impl Recovery {
    /// Whether the last writer had left nothing undone.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// The dataset's commits, what was done, and the attempts at batches of files that may still win.
pub(crate) struct Recovered {
    pub(crate) records: Vec<CommitRecord>,
    pub(crate) recovery: Recovery,
    /// Name of the batch and path of the intent.
    pub(crate) open_intents: Vec<(String, String)>,
}

/// Recovers the dataset and returns its commits.
pub(crate) fn recover(directory: &dyn Backend, hook: &mut StepHook) -> Result<Recovered, StoreError> {
    let erasure = if directory.has_staging() {
        erase::resume(directory, &mut |_| {})?
    } else {
        erase::Resumed::default()
    };
    let found = layout::read_commit_files(directory)?;
    let mut recovery = Recovery {
        finished_erasure: erasure.finished,
        removed_leftovers: erasure.removed,
        ..Recovery::default()
    };
    for record in &found.records {
        let (moved, missing) = commit::publish(directory, record, hook)?;
        recovery.published_files += moved;
        recovery.missing_files.extend(missing.iter().map(|path| directory.path(path)));
    }
    let mut by_intent: BTreeMap<String, &CommitRecord> = BTreeMap::new();
    if !found.intents.is_empty() {
        by_intent.extend(found.records.iter().map(|record| (record.intent_path(), record)));
    }
    let own = format!("{}/", layout::commit_directory(&SourceId::files()));
    let mut unnamed = Vec::new();
    for intent in found.intents {
        match by_intent.get(&intent) {
            Some(record) => commit::finish(directory, record, hook)?,
            None if intent.starts_with(&own) => unnamed.push(intent),
            None => {}
        }
    }
    let mut open_intents = Vec::new();
    if directory.has_staging() {
        let temporaries = found.temporaries.into_iter().filter(|path| path.starts_with(&own));
        remove_leftovers(directory, unnamed.into_iter().chain(temporaries), &mut recovery, hook)?;
    } else {
        let files = SourceId::files();
        let own: Vec<CommitRecord> =
            found.records.iter().filter(|record| record.source == files.source()).cloned().collect();
        let names: BTreeSet<&str> = own.iter().map(|record| record.first.as_str()).collect();
        let newest = own.len().saturating_sub(REMEMBERED_COMMITS);
        commit::remove_written_by_losers(directory, &files, &own[newest..])?;
        for intent in unnamed {
            let name = layout::batch_of_intent(&intent).to_owned();
            if names.contains(name.as_str()) {
                commit::discard_attempt(directory, &intent)?;
                recovery.removed_leftovers += 1;
                hook(CommitStep::LeftoverRemoved);
            } else {
                open_intents.push((name, intent));
            }
        }
    }
    Ok(Recovered { records: found.records, recovery, open_intents })
}

/// Removes what no commit names, which under the lock belongs to nobody.
fn remove_leftovers(
    directory: &dyn Backend,
    unnamed: impl Iterator<Item = String>,
    recovery: &mut Recovery,
    hook: &mut StepHook,
) -> Result<(), StoreError> {
    // Staged files go before the intents that name them, so that an intent never outlives its meaning.
    let own_file = layout::file_prefix(&SourceId::files());
    let staged = directory.files_in(STAGING)?.into_iter().filter(|name| name.contains(&own_file));
    let staged = staged.map(|name| format!("{STAGING}/{name}"));
    for leftover in staged.chain(unnamed) {
        directory.remove(&leftover)?;
        recovery.removed_leftovers += 1;
        hook(CommitStep::LeftoverRemoved);
    }
    recovery.removed_leftovers += dead_letters::clean(directory)?;
    Ok(())
}
