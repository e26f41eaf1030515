//! What opening a dataset puts right after a writer died: finishes what is committed, removes what is not.
//!
//! It runs under the writer's lock, which a paused writer still holds and a dead one does not: whatever of the files'
//! source no commit names belongs to nobody, and can go. Streams have no such lock and are left alone (see `stream`).

use crate::batch::SourceId;
use crate::commit::{self, CommitStep, StepHook};
use crate::dead_letters;
use crate::directory::LocalDirectory;
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, STAGING};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What recovery found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Committed files that were moved to where readers look.
    pub published_files: u64,
    /// Intents, staged and half-written files of attempts that were never committed.
    pub removed_leftovers: u64,
    /// Committed files that are gone; their calls are not in the tables and are not scored again.
    pub missing_files: Vec<PathBuf>,
}

impl Recovery {
    /// Whether the last writer had left nothing undone.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Recovers the dataset and returns its commits.
pub(crate) fn recover(
    directory: &LocalDirectory,
    hook: &mut StepHook,
) -> Result<(Vec<CommitRecord>, Recovery), StoreError> {
    let found = layout::read_commit_files(directory)?;
    let mut recovery = Recovery::default();
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
    let mut leftovers = found.temporaries;
    for intent in found.intents {
        match by_intent.get(&intent) {
            Some(record) => commit::finish(directory, record, hook)?,
            None => leftovers.push(intent),
        }
    }
    // Staged files go before the intents that name them, so that an intent never outlives its meaning.
    let own_file = layout::file_prefix(&SourceId::files());
    let staged = directory.files_in(STAGING)?.into_iter().filter(|name| name.contains(&own_file));
    let staged = staged.map(|name| format!("{STAGING}/{name}"));
    for leftover in staged.chain(leftovers.into_iter().filter(|path| path.starts_with(&own))) {
        directory.remove(&leftover)?;
        recovery.removed_leftovers += 1;
        hook(CommitStep::LeftoverRemoved);
    }
    recovery.removed_leftovers += dead_letters::clean(directory)?;
    Ok((found.records, recovery))
}
