//! One partition of a stream, written by the worker it is assigned to.
//!
//! Any number of processes write one dataset this way, each its own partitions, and nothing but the names of commits
//! coordinates them: the commits of a partition form one chain, each named by the offset behind the one before it and
//! created once. Whoever was paused and lost its partition meanwhile finds the name taken, and its batch is none. The
//! dataset is the truth; what the broker remembers of offsets is a hint.

use crate::batch::{Batch, BatchEntry, SourceId, SourceKey};
use crate::chain::ChainEnd;
use crate::commit::{self, CommitStep, Naming, Receipt, StepHook};
use crate::dead_letters::{self, DeadLetter};
use crate::erase::{self, ErasedCalls};
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, Plan, STAGING};
use crate::place::{self, Directory, Location, unique_number};
use callmark_types::{CallId, ScoredCall};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Commits whose calls are remembered, to tell a message that was sent twice: at 500 calls a commit, half a million
/// calls of the partition.
pub(crate) const REMEMBERED_COMMITS: usize = 1_000;

/// Tries at beating the attempts under way in a partition, each of which a worker that is quicker may win.
const BEATING_TRIES: u32 = 5;

/// Positions of companion topics that one partition keeps.
const MAX_POSITIONS: usize = 1_000;

/// What one commit of a partition makes visible: everything up to `last` that no commit before it covers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamBatch {
    /// The last offset that is settled; one less than the offset that the batch begins at where it settles none, as
    /// when a later call is finished while an earlier one is still open.
    pub last: i64,
    /// The calls with the keys of their messages, in order of offset.
    pub calls: Vec<(SourceKey, ScoredCall)>,
    /// What could not be processed.
    pub dead_letters: Vec<DeadLetter>,
}

/// What opening a partition put right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamRecovery {
    /// Committed files that were moved to where readers look.
    pub published_files: u64,
    /// Attempts that lost their race and whose files were removed.
    pub removed_attempts: u64,
    /// An erasure that was cut short is finished.
    pub finished_erasure: bool,
}

/// A partition open for writing. It stays valid until a commit fails; then open it again and go on behind
/// [`Self::next_offset`].
pub struct StreamPartition {
    directory: Directory,
    source: SourceId,
    hook: StepHook,
    end: ChainEnd,
    positions: BTreeMap<String, i64>,
    calls: HashMap<CallId, SourceKey>,
    erased: ErasedCalls,
    /// Name of the batch and path of intents that were there before and have no record: dead, or only slow.
    open_intents: Vec<(String, String)>,
    /// Commits whose calls are remembered.
    remembered: usize,
    must_reopen: bool,
}

impl std::fmt::Debug for StreamPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPartition")
            .field("source", &self.source)
            .field("next", &self.end.next_offset())
            .finish_non_exhaustive()
    }
}

impl StreamPartition {
    /// Opens partition `source` of the dataset at `dir`, creating the dataset where there is none: finishes commits
    /// whose files are not in place yet, and removes attempts that lost.
    pub fn open(dir: impl Into<Location>, source: SourceId) -> Result<(Self, StreamRecovery), StoreError> {
        Self::open_with_step_hook(dir, source, |_| {})
    }

    /// The same, with `hook` called at each step. For tests of crashes.
    #[doc(hidden)]
    pub fn open_with_step_hook(
        dir: impl Into<Location>,
        source: SourceId,
        hook: impl FnMut(CommitStep) + Send + 'static,
    ) -> Result<(Self, StreamRecovery), StoreError> {
        Self::open_remembering(dir, source, REMEMBERED_COMMITS, hook)
    }

    /// The same, with the calls of the last `commits` commits remembered, or of the usual number where that is more: as
    /// many as there may be while the oldest message is held that is read again. `hook` is called at each step, for tests
    /// of crashes.
    pub fn open_remembering(
        dir: impl Into<Location>,
        source: SourceId,
        commits: usize,
        hook: impl FnMut(CommitStep) + Send + 'static,
    ) -> Result<(Self, StreamRecovery), StoreError> {
        let directory = place::open_for_writing(&dir.into())?;
        directory.create_directories(&layout::commit_directory(&source))?;
        directory.create_directories(STAGING)?;
        let mut partition = Self {
            directory,
            source,
            hook: Box::new(hook),
            end: ChainEnd::default(),
            positions: BTreeMap::new(),
            calls: HashMap::new(),
            erased: ErasedCalls::default(),
            open_intents: Vec::new(),
            remembered: commits.max(REMEMBERED_COMMITS),
            must_reopen: false,
        };
        let finished_erasure = erase::resume_unless_locked(&*partition.directory)?;
        let recovery = StreamRecovery { finished_erasure, ..partition.recover()? };
        // After the records: a call that is no longer in them is in this list.
        partition.erased = erase::read_erased(&*partition.directory)?;
        Ok((partition, recovery))
    }

    /// The first offset that no commit covers; `None` where nothing was ever committed.
    pub fn next_offset(&self) -> Option<i64> {
        self.end.next_offset()
    }

    /// Whether nothing was ever committed.
    pub fn is_new(&self) -> bool {
        self.end == ChainEnd::default()
    }

    /// The name of the commit that comes next: another one after each commit.
    pub fn next_commit(&self) -> String {
        self.end.name()
    }

    /// The calls remembered: those of the last commits of this partition.
    pub fn committed_calls(&self) -> impl Iterator<Item = &CallId> {
        self.calls.keys()
    }

    /// The newest position of each companion topic that a commit of this partition carried, such as
    /// `calls.events/3` → 123.
    pub fn positions(&self) -> &BTreeMap<String, i64> {
        &self.positions
    }

    /// The message that call `id` was made of, where it is among the calls remembered: those of the last
    /// commits of this partition.
    pub fn committed_call(&self, id: &CallId) -> Option<&SourceKey> {
        self.calls.get(id)
    }

    /// The calls that had been erased from the dataset when the partition was opened: neither they nor dead letters of
    /// them are written again.
    pub fn erased(&self) -> &ErasedCalls {
        &self.erased
    }

    /// Puts the batch into the tables, whole or not at all, and its dead letters beside them.
    ///
    /// After [`StoreError::LostRace`] another worker has gone on in this partition; after any other error it is open
    /// whether the batch was committed. In both cases open the partition again.
    pub fn commit(&mut self, batch: StreamBatch) -> Result<Receipt, StoreError> {
        self.commit_with_positions(batch, BTreeMap::new())
    }

    /// The same, with the positions that other topics had come to: they are committed with the batch or not at all,
    /// kept until a later commit gives newer ones, and read back by [`Self::positions`].
    pub fn commit_with_positions(
        &mut self,
        batch: StreamBatch,
        positions: BTreeMap<String, i64>,
    ) -> Result<Receipt, StoreError> {
        if self.must_reopen {
            return Err(StoreError::MustReopen { path: self.directory.root() });
        }
        let first = self.end.name();
        let committed = self.try_commit(batch, positions).map_err(|error| self.beaten_or(error, first));
        self.must_reopen = committed.is_err();
        committed
    }

    /// Whoever takes a name removes what other attempts at it have begun, also under the hands of one that is at work.
    fn beaten_or(&self, error: StoreError, first: String) -> StoreError {
        let is_gone =
            matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        let record = layout::record_in(&layout::commit_directory(&self.source), &first);
        if is_gone && self.directory.exists(&record).unwrap_or(false) {
            return StoreError::LostRace { first };
        }
        error
    }

    fn try_commit(
        &mut self,
        batch: StreamBatch,
        positions: BTreeMap<String, i64>,
    ) -> Result<Receipt, StoreError> {
        let end = self.end.after(batch.last)?;
        let batch = self.named(batch, positions);
        batch.validate()?;
        if batch.positions.len() > MAX_POSITIONS {
            let reason = format!("it has {} positions, {MAX_POSITIONS} is the most", batch.positions.len());
            return Err(StoreError::InvalidBatch { first: batch.first, reason });
        }
        dead_letters::write_all(&*self.directory, &batch.dead_letters, &self.erased)?;
        (self.hook)(CommitStep::DeadLettersWritten);
        let plan = Plan::of(&batch, unique_number());
        let record = commit::stage(&*self.directory, &plan, &batch, &mut self.hook)?;
        match commit::name_record(&*self.directory, &record, &mut self.hook)? {
            Naming::Committed => {}
            Naming::Lost => {
                commit::discard(&*self.directory, &plan);
                return Err(StoreError::LostRace { first: batch.first });
            }
            Naming::InDoubt(error) => return Err(error),
        }
        self.end = end;
        self.positions.clone_from(&record.positions);
        self.remember(&record);
        commit::publish(&*self.directory, &record, &mut self.hook)?;
        commit::finish(&*self.directory, &record, &mut self.hook)?;
        commit::discard_beaten(&*self.directory, &mut self.open_intents, &record.first)?;
        Ok(Receipt {
            calls: batch.calls.len() as u64,
            dead_letters: batch.dead_letters.len() as u64,
            settled_dead_letters: record.settled_dead_letters.len() as u64,
            files: record.files,
        })
    }

    fn named(&self, batch: StreamBatch, newer: BTreeMap<String, i64>) -> Batch {
        let mut positions = self.positions.clone();
        positions.extend(newer);
        let entries = batch
            .calls
            .iter()
            .map(|(key, call)| BatchEntry { key: *key, call_id: call.record.call_id.clone(), place: None })
            .collect();
        Batch {
            source: self.source.clone(),
            first: self.end.name(),
            last: Some(batch.last),
            positions,
            entries,
            calls: batch.calls.into_iter().map(|(_, call)| call).collect(),
            dead_letters: batch.dead_letters,
        }
    }

    /// Reads the chain of commits: the names of all, and the newest themselves. An intent whose
    /// record is there is finished; one that its record does not name lost and is removed; one without a record may
    /// belong to a worker that is only slow, and stays.
    fn recover(&mut self) -> Result<StreamRecovery, StoreError> {
        let place = layout::commit_directory(&self.source);
        let names = layout::partition_names(&*self.directory, &place)?;
        let mut recovery = StreamRecovery::default();
        for (first, intent) in &names.intents {
            if !names.records.contains(first) {
                self.open_intents.push((first.clone(), intent.clone()));
                continue;
            }
            let record = layout::read_record(&*self.directory, &layout::record_in(&place, first))?;
            if record.intent_path() == *intent {
                recovery.published_files += commit::publish(&*self.directory, &record, &mut self.hook)?.0;
                commit::finish(&*self.directory, &record, &mut self.hook)?;
            } else {
                commit::discard_attempt(&*self.directory, intent)?;
                recovery.removed_attempts += 1;
                (self.hook)(CommitStep::LeftoverRemoved);
            }
        }
        // A worker that is about to name its record needs it no more once the name is taken.
        for (_, temporary) in names.temporaries.iter().filter(|(first, _)| names.records.contains(first)) {
            self.directory.remove(temporary)?;
        }
        let newest = names.records.len().saturating_sub(self.remembered);
        let newest: Vec<String> =
            names.records.iter().skip(newest).map(|first| layout::record_in(&place, first)).collect();
        let newest = layout::read_records(&*self.directory, &newest)?;
        if self.directory.has_staging() {
            self.remove_staged_by_losers(&place, &names.records)?;
        } else {
            commit::remove_written_by_losers(&*self.directory, &self.source, &newest)?;
        }
        for record in newest {
            let end = record.last.and_then(|last| ChainEnd::behind(&record.first, last));
            self.end = end.unwrap_or(self.end);
            self.remember(&record);
            self.positions = record.positions;
        }
        Ok(recovery)
    }

    /// A loser that died while it staged files may have left some that no intent names any more.
    fn remove_staged_by_losers(&self, place: &str, records: &BTreeSet<String>) -> Result<(), StoreError> {
        let prefix = layout::file_prefix(&self.source);
        for name in self.directory.files_in(STAGING)? {
            let Some((_, own)) = name.split_once(&prefix) else { continue };
            let Some((first, attempt)) = own.split_once('~') else { continue };
            if !records.contains(first) {
                continue;
            }
            let record = layout::read_record(&*self.directory, &layout::record_in(place, first))?;
            if attempt.strip_suffix(".parquet") != Some(&record.attempt.to_string()) {
                self.directory.remove(&format!("{STAGING}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Takes the name that attempts under way are after, with a commit that settles nothing; `false` where there are
    /// none. Whoever makes one, and may only be slow, finds the name taken and opens the partition again.
    fn beat_attempts(&mut self) -> Result<bool, StoreError> {
        let prefix = layout::file_prefix(&self.source);
        let staged = self.directory.files_in(STAGING)?.iter().any(|name| name.contains(&prefix));
        if self.open_intents.is_empty() && !staged {
            return Ok(false);
        }
        let last = self.end.first() - 1;
        self.commit(StreamBatch { last, ..StreamBatch::default() })?;
        Ok(true)
    }

    fn remember(&mut self, record: &CommitRecord) {
        self.calls.extend(record.entries.iter().map(|entry| (entry.call_id.clone(), entry.key)));
    }
}

/// Beats every attempt at a commit of a stream of the dataset at `dir`, so that nothing of one is left on disk that is not
/// committed. Workers may go on meanwhile: what they begin then is theirs.
pub(crate) fn beat_all_attempts(dir: &Path) -> Result<(), StoreError> {
    let directory = Location::from(dir).open()?;
    for source in directory.directories_in(layout::COMMITS)? {
        for partition in directory.directories_in(&format!("{}/{source}", layout::COMMITS))? {
            let id = SourceId::new(&source, &partition)?;
            if id == SourceId::files() {
                continue;
            }
            for attempt in 1.. {
                // The second opening removes what the first has beaten.
                match StreamPartition::open(dir, id.clone())?.0.beat_attempts() {
                    Ok(true) => {
                        StreamPartition::open(dir, id.clone())?;
                        break;
                    }
                    Ok(false) => break,
                    Err(StoreError::LostRace { .. }) if attempt < BEATING_TRIES => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}
