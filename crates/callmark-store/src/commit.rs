//! The steps of a commit. The order is the protocol: until the record has its name nothing happened, after it has
//! its name everything did, and what is left can be finished by anyone who reads the record.

use crate::batch::Batch;
use crate::dead_letters::{self, DeadLetterId};
use crate::directory::LocalDirectory;
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, FileEntry, Intent, Plan, STAGING, staging_path};
use crate::writer;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

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
    directory: &LocalDirectory,
    plan: &Plan,
    batch: &Batch,
    hook: &mut StepHook,
) -> Result<CommitRecord, StoreError> {
    directory.create_directories(&layout::commit_directory(&batch.source))?;
    directory.create_directories(STAGING)?;
    let intent_path = plan.intent_path();
    directory.replace(&intent_path, &to_json(&plan.intent, &directory.path(&intent_path))?)?;
    hook(CommitStep::IntentWritten);

    let mut files = Vec::with_capacity(plan.files.len());
    for (table, path, calls) in &plan.files {
        let written = writer::write_table_file(*table, calls, &directory.path(&staging_path(path)))?;
        files.push(FileEntry {
            table: *table,
            path: path.clone(),
            rows: written.rows,
            bytes: written.bytes,
            sha256: written.sha256,
        });
        hook(CommitStep::FileStaged);
    }
    directory.sync_directory(STAGING)?;
    hook(CommitStep::StagingSynced);
    Ok(plan.record(files, batch, letters_to_settle(directory, batch)?))
}

fn letters_to_settle(directory: &LocalDirectory, batch: &Batch) -> Result<Vec<DeadLetterId>, StoreError> {
    let rewritten: BTreeSet<DeadLetterId> =
        batch.dead_letters.iter().map(dead_letters::DeadLetter::id).collect();
    let mut settled = BTreeSet::new();
    for call in &batch.calls {
        let id = DeadLetterId::of(&call.record.source);
        if !rewritten.contains(&id) && dead_letters::exists(directory, &id)? {
            settled.insert(id);
        }
    }
    Ok(settled.into_iter().collect())
}

/// Removes what [`stage`] wrote, as far as that can be done; recovery removes the rest.
pub(crate) fn discard(directory: &LocalDirectory, plan: &Plan) {
    for (_, path, _) in &plan.files {
        let _ = directory.remove(&staging_path(path));
    }
    let _ = directory.remove(&plan.intent_path());
}

/// Removes what an attempt left that lost its race; the intent goes last, so that nothing outlives it.
pub(crate) fn discard_attempt(directory: &LocalDirectory, intent_path: &str) -> Result<(), StoreError> {
    let path = directory.path(intent_path);
    let bytes = match directory.read(intent_path) {
        // Its writer was quicker.
        Err(_) if !directory.exists(intent_path)? => return Ok(()),
        read => read?,
    };
    let intent: Intent =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::DamagedRecord { path, source })?;
    for file in &intent.files {
        directory.remove(&staging_path(file))?;
    }
    directory.remove(intent_path).map(|_| ())
}

/// Commits: gives the record its name, create-only. An error means that the batch is not committed.
pub(crate) fn name_record(
    directory: &LocalDirectory,
    record: &CommitRecord,
    hook: &mut StepHook,
) -> Result<Naming, StoreError> {
    let record_path = record.record_path();
    let bytes = to_json(record, &directory.path(&record_path))?;
    let temporary = directory.write_temporary(&record_path, &bytes)?;
    hook(CommitStep::RecordWritten);
    if !directory.name_once(&temporary, &record_path)? {
        return Ok(Naming::Lost);
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
/// which are in neither place.
pub(crate) fn publish(
    directory: &LocalDirectory,
    record: &CommitRecord,
    hook: &mut StepHook,
) -> Result<(u64, Vec<String>), StoreError> {
    let mut moved = 0;
    let mut missing = Vec::new();
    let mut parents = BTreeSet::new();
    for file in &record.files {
        let staged = staging_path(&file.path);
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
    directory: &LocalDirectory,
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
