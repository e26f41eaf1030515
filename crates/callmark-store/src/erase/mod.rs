//! The right to erasure: every trace of some calls leaves a dataset, and it can be shown that none is left.
//!
//! It exists because the tables are written once and never changed, and a customer may ask to be forgotten all the same.
//! It knows what this program keeps below a dataset; recordings lie elsewhere and are the caller's to remove.
//!
//! # The protocol
//!
//! An erasure runs in a folder, under the writer's lock, and is one step for the whole dataset:
//!
//! 1. What other writers left is put right as by every open. An attempt at a stream's commit that is under way is
//!    beaten by an empty commit under the name that it is after, so that no staged file is left that could hold a call.
//! 2. Everything that changes is written anew in `_erasure/`: files of tables without the calls' rows, the commit records
//!    that name them, the list of erased calls, notes beside the tables.
//! 3. The caller removes what lies elsewhere (recordings), told of the calls and not yet able to forget them.
//! 4. `_erasure/plan.json` gets its name: **this is the erasure**. It says what takes the place of what, in order.
//! 5. The plan is done, a commit at a time: files of `calls`, `turns`, `events` are replaced under the names they have,
//!    then the record that names them, and files in which nothing is left are removed. A reader of a plain glob sees of
//!    each file the old one or the new one, whole, every other call once at any moment, and a row of `calls` only as long
//!    as its turns and events are there. Who opens one file more than once while it is replaced may fail and has to read
//!    again.
//! 6. The plan goes.
//!
//! Whoever dies before 4 has changed no table; whoever dies after it is finished by the next to open the dataset for
//! writing, files or streams, or to erase; [`crate::check`] tells that one is unfinished.
//!
//! # What is remembered
//!
//! `_commits/erased.json` holds of each erased call the digest of its id, its key and its place ([`ErasedCalls`]), so that
//! neither the same recording nor another one under the same id brings it back, and no dead letter is written of it. The
//! digests are pseudonyms: who can guess an id can test the guess. The id itself stands nowhere.
//!
//! Workers of a stream need not be stopped: they know by id what they have committed and lose at most the race for one
//! commit. What they have not committed yet is not in the dataset, and not erased.

mod beside;
mod calls;
mod matcher;
mod plan;
mod rows;
mod search;
mod stage;
mod survey;

pub use calls::ErasedCalls;
pub(crate) use calls::read_erased;
pub(crate) use plan::{Resumed, changing_files, leftovers, resume, resume_unless_locked};
pub use search::{Searched, search};

use crate::dead_letters::DeadLetterId;
use crate::error::StoreError;
use crate::layout;
use crate::lock::WriterLock;
use crate::place::{Backend, Location};
use crate::recovery;
use crate::stream;
use callmark_types::{CallId, Timestamp};
use std::collections::BTreeSet;

/// Which calls go: those of the customers, those named, and those that are too old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Values of `calls.customer_key`.
    pub customer_keys: BTreeSet<String>,
    /// Ids of calls.
    pub call_ids: BTreeSet<CallId>,
    /// Calls that started before this go, and dead letters that were first seen before it. What has no time stays.
    pub before: Option<Timestamp>,
}

/// Rows of each table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows of `calls`.
    pub calls: u64,
    /// Rows of `turns`.
    pub turns: u64,
    /// Rows of `events`.
    pub events: u64,
}

/// What an erasure takes away, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Ids of the calls in the tables, and of those of which there is only a dead letter, in order.
    pub call_ids: Vec<CallId>,
    /// Where their recordings and transcripts came from, as `calls.source_uri` and dead letters have it: paths and URLs.
    pub sources: BTreeSet<String>,
    /// `source_uri` of every call that stays: a recording that is named here is not the erased calls' alone.
    pub kept_sources: BTreeSet<String>,
    /// Rows that go.
    pub rows: RowCounts,
    /// Files of tables that are written anew.
    pub rewritten_files: u64,
    /// Files of tables that go, because all calls in them do.
    pub removed_files: u64,
    /// Dead letters that go, with their bytes.
    pub dead_letters: Vec<DeadLetterId>,
    /// Files beside the tables that are written anew without the calls, relative to the dataset.
    pub rewritten_beside: Vec<String>,
    /// Files beside the tables that go because they can be made again: checkpoints of what was heard and passes of
    /// `callmark repeats`.
    pub removed_beside: Vec<String>,
    /// Calls named of which the dataset knows nothing.
    pub unknown_calls: u64,
    /// Customers named of whom the tables hold no call.
    pub unknown_customers: u64,
    /// Calls named that an earlier erasure took away.
    pub erased_before: u64,
    /// Calls whose age nobody knows, where age was asked for.
    pub without_time: u64,
    /// An earlier erasure was cut short; it is finished first.
    pub finished_earlier: bool,
}

impl Erased {
    /// Whether there is nothing to take away.
    pub fn is_empty(&self) -> bool {
        self.call_ids.is_empty() && self.dead_letters.is_empty()
    }
}

/// A point of an erasure that has just been reached. Tests stop the process there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EraseStep {
    /// What others left is put right, an earlier erasure included.
    PutRight,
    /// One more file is written beside the one that it will replace.
    FileWritten,
    /// The names of these files are durable.
    WrittenSynced,
    /// What lies outside the dataset is removed.
    ElsewhereRemoved,
    /// The plan is written but has no name yet.
    PlanWritten,
    /// The plan has its name: the calls are erased.
    PlanNamed,
    /// One more file has taken the place of another.
    FileReplaced,
    /// One more file is gone.
    FileRemoved,
    /// All of that is durable.
    DoneSynced,
    /// The plan is gone.
    PlanRemoved,
}

impl EraseStep {
    /// Every step, in the order in which an erasure comes to them.
    pub const ALL: [Self; 10] = [
        Self::PutRight,
        Self::FileWritten,
        Self::WrittenSynced,
        Self::ElsewhereRemoved,
        Self::PlanWritten,
        Self::PlanNamed,
        Self::FileReplaced,
        Self::FileRemoved,
        Self::DoneSynced,
        Self::PlanRemoved,
    ];
}

/// Called at each step.
pub(crate) type EraseHook<'a> = &'a mut dyn FnMut(EraseStep);

/// Removes what lies outside the dataset (step 3 of the protocol). An error stops the erasure: the tables keep the calls.
pub type RemoveElsewhere<'a> =
    &'a mut dyn FnMut(&Erased) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// What [`erase`] would take away from the dataset at `dir`. Changes nothing and takes no lock.
///
/// # Errors
/// Where `dir` is no dataset in a folder, or a file of it cannot be read.
pub fn find(dir: impl Into<Location>, selection: &Selection) -> Result<Erased, StoreError> {
    let directory = open(&dir.into())?;
    let mut erased = survey::survey(&*directory, selection)?.erased;
    erased.finished_earlier = plan::is_unfinished(&*directory)?;
    Ok(erased)
}

/// Takes every trace of the calls selected out of the dataset at `dir`. Where there are none, nothing changes.
///
/// `elsewhere` is called once, before the dataset forgets the calls, and not where there are none. `hook` is called at
/// each step; `|_| {}` where nobody asks.
///
/// # Errors
/// Where `dir` is no dataset in a folder, has another writer, or cannot be read or written. Unless the error came in
/// step 5 the tables are as they were; then the next open, or the same call, finishes it.
pub fn erase(
    dir: impl Into<Location>,
    selection: &Selection,
    elsewhere: RemoveElsewhere<'_>,
    hook: &mut dyn FnMut(EraseStep),
) -> Result<Erased, StoreError> {
    let directory = open(&dir.into())?;
    let _lock = directory.folder().map(WriterLock::acquire).transpose()?;
    let finished_earlier = plan::resume(&*directory, hook)?.finished;
    let no_steps: &mut crate::commit::StepHook = &mut (Box::new(|_| {}) as _);
    recovery::recover(&*directory, no_steps)?;
    stream::beat_all_attempts(&directory.root())?;
    hook(EraseStep::PutRight);
    let mut survey = survey::survey(&*directory, selection)?;
    survey.erased.finished_earlier = finished_earlier;
    if survey.erased.is_empty() {
        return Ok(survey.erased);
    }
    for commit in &survey.commits {
        // Of a worker that is between its commit and this step: nothing may wait in staging for a place that is gone.
        crate::commit::publish(&*directory, &commit.record, no_steps)?;
    }
    let plan = stage::stage(&*directory, &survey, hook)?;
    elsewhere(&survey.erased).map_err(|source| StoreError::NotErased { source })?;
    hook(EraseStep::ElsewhereRemoved);
    plan::name(&*directory, &plan, hook)?;
    plan::carry_out(&*directory, &plan, hook)?;
    Ok(survey.erased)
}

/// The dataset's folder. Nothing can be replaced under the eyes of readers on an object store.
fn open(location: &Location) -> Result<std::sync::Arc<dyn Backend>, StoreError> {
    if location.folder().is_none() {
        return Err(StoreError::InvalidLocation {
            location: location.to_string(),
            reason:
                "calls are erased in a folder only: copy the dataset into one, erase there, and replace the \
                     objects by the result"
                    .to_owned(),
        });
    }
    let directory = location.open()?;
    layout::require_dataset(&*directory)?;
    Ok(directory)
}
