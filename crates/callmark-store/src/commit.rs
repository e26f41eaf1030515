//! The steps of a commit. The order is the protocol: until the record has its name nothing happened, after it has
//! its name everything did, and what is left can be finished by anyone who reads the record.

use crate::batch::{Batch, SourceId};
use crate::dead_letters::{self, DeadLetterId};
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, FileEntry, Intent, Plan, STAGING};
use crate::place::{Backend, Created};
use crate::schema::Table;
use crate::writer;
use callmark_types::ScoredCall;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::thread;

/// A point of a commit, or of recovery, that has just been reached. Tests stop the process there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitStep {
    /// The batch's dead letters are written.
    DeadLettersWritten,
    /// The intent is written.
    IntentWritten,
    /// One more file is staged.
    FileStaged,
    /// The names of the staged files are durable.
    StagingSynced,
    /// The record is written but has no name yet.
    RecordWritten,
    /// The record has its name: the batch is committed.
    RecordNamed,
    /// The record's name is durable.
    RecordSynced,
    /// One more file is where readers look.
    FilePublished,
    /// The names of the published files are durable.
    PublishedSynced,
    /// Dead letters of inputs that succeeded are removed.
    DeadLettersRemoved,
    /// The intent is removed.
    IntentRemoved,
    /// Recovery removed one leftover.
    LeftoverRemoved,
}

impl CommitStep {
    /// Every step, in the order in which a commit comes to them.
    pub const ALL: [Self; 12] = [
        Self::DeadLettersWritten,
        Self::IntentWritten,
        Self::FileStaged,
        Self::StagingSynced,
        Self::RecordWritten,
        Self::RecordNamed,
        Self::RecordSynced,
        Self::FilePublished,
        Self::PublishedSynced,
        Self::DeadLettersRemoved,
        Self::IntentRemoved,
        Self::LeftoverRemoved,
    ];
}

/// Called at each step.
pub(crate) type StepHook = Box<dyn FnMut(CommitStep) + Send>;

/// What a commit wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The files, relative to the dataset; empty for a batch without calls.
    pub files: Vec<FileEntry>,
    /// Calls in the batch.
    pub calls: u64,
    /// Dead letters written.
    pub dead_letters: u64,
    /// Dead letters removed, because their inputs succeeded.
    pub settled_dead_letters: u64,
}

/// Pretty JSON with a final line feed.
pub(crate) fn to_json<T: Serialize>(value: &T, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::DamagedRecord { path: path.to_path_buf(), source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// How far an attempt to name the record came.
pub(crate) enum Naming {
    /// The batch is committed.
    Committed,
    /// Another writer's record has the name; this batch is not committed.
    Lost,
    /// The record has its name, but whether that survives a power failure is open.
    InDoubt(StoreError),
}

/// Writes intent and staged files, and returns the record that would commit them.
pub(crate) fn stage(
    directory: &dyn Backend,
    plan: &Plan,
    batch: &Batch,
    hook: &mut StepHook,
) -> Result<CommitRecord, StoreError> {
    directory.create_directories(&layout::commit_directory(&batch.source))?;
    directory.create_directories(STAGING)?;
    let intent_path = plan.intent_path();
    directory.replace(&intent_path, &to_json(&plan.intent, &directory.path(&intent_path))?)?;
    hook(CommitStep::IntentWritten);

    let files = write_files(directory, plan, hook)?;
    directory.sync_directory(STAGING)?;
    hook(CommitStep::StagingSynced);
    Ok(plan.record(files, batch, letters_to_settle(directory, batch)?))
}

/// Writes the plan's files to where they wait for the commit, as many at once as the place is good for.
fn write_files(
    directory: &dyn Backend,
    plan: &Plan,
    hook: &mut StepHook,
) -> Result<Vec<FileEntry>, StoreError> {
    let write = &|(table, path, calls): &(Table, String, Vec<&ScoredCall>)| {
        writer::write_table_file(*table, calls, directory, path)
    };
    let mut files = Vec::with_capacity(plan.files.len());
    for group in plan.files.chunks(directory.writes_at_once()) {
        if let [file] = group {
            files.push(write(file)?);
            hook(CommitStep::FileStaged);
            continue;
        }
        let written: Vec<Result<FileEntry, StoreError>> = thread::scope(|scope| {
            let writes: Vec<_> = group.iter().map(|file| scope.spawn(move || write(file))).collect();
            writes.into_iter().map(joined).collect()
        });
        for file in written {
            files.push(file?);
            hook(CommitStep::FileStaged);
        }
    }
    Ok(files)
}

/// What a thread came to; its panic goes on in this one.
fn joined<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn letters_to_settle(directory: &dyn Backend, batch: &Batch) -> Result<Vec<DeadLetterId>, StoreError> {
    let rewritten: BTreeSet<DeadLetterId> =
        batch.dead_letters.iter().map(dead_letters::DeadLetter::id).collect();
    let ids: BTreeSet<DeadLetterId> =
        batch.calls.iter().map(|call| DeadLetterId::of(&call.record.source)).collect();
    dead_letters::existing(directory, ids.difference(&rewritten).cloned().collect())
}

/// Removes what [`stage`] wrote, as far as that can be done; recovery removes the rest.
pub(crate) fn discard(directory: &dyn Backend, plan: &Plan) {
    for (_, path, _) in &plan.files {
        let _ = directory.remove(&directory.staging_path(path));
    }
    let _ = directory.remove(&plan.intent_path());
}

/// Removes what an attempt left that lost its race; the intent goes last, so that nothing outlives it.
pub(crate) fn discard_attempt(directory: &dyn Backend, intent_path: &str) -> Result<(), StoreError> {
    let path = directory.path(intent_path);
    let bytes = match directory.read(intent_path) {
        // Its writer was quicker.
        Err(_) if !directory.exists(intent_path)? => return Ok(()),
        read => read?,
    };
    let intent: Intent =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::DamagedRecord { path, source })?;
    for file in &intent.files {
        directory.remove(&directory.staging_path(file))?;
    }
    directory.remove(intent_path)
}

/// Removes the attempts at the batch `first` that were under way when it was won: whoever made them can only lose.
pub(crate) fn discard_beaten(
    directory: &dyn Backend,
    open_intents: &mut Vec<(String, String)>,
    first: &str,
) -> Result<(), StoreError> {
    for (_, lost) in open_intents.extract_if(.., |(name, _)| *name == first) {
        discard_attempt(directory, &lost)?;
    }
    Ok(())
}

/// On an object store, removes the files of losers that died after what they wrote had been removed once: attempts at a
/// batch of `remembered`, on the days that those have files of, which are the days that an attempt at one of them had.
pub(crate) fn remove_written_by_losers(
    directory: &dyn Backend,
    source: &SourceId,
    remembered: &[CommitRecord],
) -> Result<(), StoreError> {
    let prefix = layout::file_prefix(source);
    let winners: HashMap<&str, String> =
        remembered.iter().map(|record| (record.first.as_str(), record.attempt.to_string())).collect();
    let files = remembered.iter().flat_map(|record| &record.files);
    let days: BTreeSet<&str> = files.filter_map(|file| file.path.split('/').nth(1)).collect();
    for place in days.iter().flat_map(|day| Table::ALL.map(|table| format!("{table}/{day}"))) {
        for name in directory.files_beginning(&place, &prefix)? {
            let own = name.strip_prefix(&prefix).and_then(|own| own.strip_suffix(".parquet"));
            let Some((first, attempt)) = own.and_then(|own| own.split_once('~')) else { continue };
            if winners.get(first).is_some_and(|winner| winner != attempt) {
                directory.remove(&format!("{place}/{name}"))?;
            }
        }
    }
    Ok(())
}

/// Commits: gives the record its name, create-only. An error means that the batch is not committed.
pub(crate) fn name_record(
    directory: &dyn Backend,
    record: &CommitRecord,
    hook: &mut StepHook,
) -> Result<Naming, StoreError> {
    let record_path = record.record_path();
    let bytes = to_json(record, &directory.path(&record_path))?;
    match directory.create_once(&record_path, &bytes, &mut || hook(CommitStep::RecordWritten))? {
        Created::Yes => {}
        Created::Taken => return Ok(Naming::Lost),
        Created::InDoubt(error) => return Ok(Naming::InDoubt(error)),
    }
    hook(CommitStep::RecordNamed);
    let place = format!("{}/{}/{}", layout::COMMITS, record.source, record.partition);
    if let Err(e) = directory.sync_directory(&place) {
        return Ok(Naming::InDoubt(e));
    }
    hook(CommitStep::RecordSynced);
    Ok(Naming::Committed)
}

/// Moves the committed files that still wait in staging to where readers look. Returns how many were moved and
/// which are in neither place. On an object store they were written there, and nobody looks whether they still are:
/// [`crate::check`] does.
pub(crate) fn publish(
    directory: &dyn Backend,
    record: &CommitRecord,
    hook: &mut StepHook,
) -> Result<(u64, Vec<String>), StoreError> {
    let mut moved = 0;
    let mut missing = Vec::new();
    let mut parents = BTreeSet::new();
    for file in &record.files {
        let staged = directory.staging_path(&file.path);
        if staged == file.path {
            continue;
        }
        if !directory.exists(&staged)? {
            if !directory.exists(&file.path)? {
                missing.push(file.path.clone());
            }
            continue;
        }
        let parent = file.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        directory.create_directories(parent)?;
        directory.rename(&staged, &file.path)?;
        parents.insert(parent);
        moved += 1;
        hook(CommitStep::FilePublished);
    }
    for parent in parents {
        directory.sync_directory(parent)?;
    }
    if moved > 0 {
        hook(CommitStep::PublishedSynced);
    }
    Ok((moved, missing))
}

/// What follows once all files are in place: old dead letters go, then the intent.
pub(crate) fn finish(
    directory: &dyn Backend,
    record: &CommitRecord,
    hook: &mut StepHook,
) -> Result<(), StoreError> {
    for id in &record.settled_dead_letters {
        dead_letters::remove_from(directory, id)?;
    }
    hook(CommitStep::DeadLettersRemoved);
    directory.remove(&record.intent_path())?;
    hook(CommitStep::IntentRemoved);
    Ok(())
}
