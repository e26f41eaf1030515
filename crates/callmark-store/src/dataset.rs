//! A dataset open for writing: the index of what is committed, and the commit itself.

use crate::batch::{Batch, SourceId, SourceKey};
use crate::chain::ChainEnd;
use crate::commit::{self, CommitStep, Naming, Receipt, StepHook};
use crate::dead_letters;
use crate::erase::{self, ErasedCalls};
use crate::error::StoreError;
use crate::layout::{self, CommitRecord, Plan};
use crate::lock::WriterLock;
use crate::place::{self, Directory, Location, unique_number};
use crate::recovery::{self, Recovered, Recovery};
use crate::schema::Table;
use callmark_types::CallId;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How much is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Commits.
    pub commits: u64,
    /// Rows of `calls`.
    pub calls: u64,
    /// Rows of `turns`.
    pub turns: u64,
    /// Rows of `events`.
    pub events: u64,
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Totals {
    /// Counts one commit in.
    pub fn add(&mut self, record: &CommitRecord) {
        self.commits += 1;
        for file in &record.files {
            self.files += 1;
            self.bytes += file.bytes;
            match file.table {
                Table::Calls => self.calls += file.rows,
                Table::Turns => self.turns += file.rows,
                Table::Events => self.events += file.rows,
            }
        }
    }
}

/// A dataset into which this process alone puts batches of files, until it is dropped.
///
/// In a folder a lock keeps a second writer away. On an object store there is none: batches of files form a chain of
/// names there, as those of a stream do, and of two writers that go on from the same end of it one loses
/// ([`StoreError::LostRace`]) and has to open the dataset again.
pub struct Dataset {
    directory: Directory,
    root: PathBuf,
    hook: StepHook,
    keys: HashSet<SourceKey>,
    calls: HashMap<CallId, SourceKey>,
    /// Files by place and content.
    places: HashMap<SourceKey, CallId>,
    erased: ErasedCalls,
    totals: Totals,
    /// A commit whose files are not all in place yet.
    unpublished: Option<CommitRecord>,
    /// Set when only recovery can tell whether a batch was committed.
    must_reopen: bool,
    /// Where the chain of batches stands; `None` in a folder, where the lock does without.
    chain: Option<ChainEnd>,
    /// Name of the batch and path of the intent of attempts that may still win, on an object store.
    open_intents: Vec<(String, String)>,
    _lock: Option<WriterLock>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("root", &self.root)
            .field("totals", &self.totals)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    /// Opens the dataset at `dir` for writing, creating it where there is none, takes its lock, and puts right what
    /// a writer that died left behind.
    ///
    /// Fails when `dir` is a file, holds tables that were not written by this store, or has another writer.
    pub fn open_for_writing(dir: impl Into<Location>) -> Result<(Self, Recovery), StoreError> {
        Self::open_with_step_hook(dir, |_| {})
    }

    /// The same, with `hook` called at each step of recovery and commits. For tests of crashes.
    #[doc(hidden)]
    pub fn open_with_step_hook(
        dir: impl Into<Location>,
        hook: impl FnMut(CommitStep) + Send + 'static,
    ) -> Result<(Self, Recovery), StoreError> {
        let directory = place::open_for_writing(&dir.into())?;
        let lock = directory.folder().map(WriterLock::acquire).transpose()?;
        let mut hook: StepHook = Box::new(hook);
        let Recovered { records, recovery, open_intents } = recovery::recover(&*directory, &mut hook)?;
        let erased = erase::read_erased(&*directory)?;
        let mut dataset = Self {
            root: directory.root(),
            chain: lock.is_none().then(ChainEnd::default),
            open_intents,
            directory,
            hook,
            keys: HashSet::new(),
            calls: HashMap::new(),
            places: HashMap::new(),
            erased,
            totals: Totals::default(),
            unpublished: None,
            must_reopen: false,
            _lock: lock,
        };
        for record in &records {
            dataset.index(record);
        }
        Ok((dataset, recovery))
    }

    /// Where the dataset lies: a path, or a URL.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the input `key` is settled: in the tables, or erased from them.
    pub fn is_committed(&self, key: &SourceKey) -> bool {
        self.keys.contains(key) || self.erased.has_key(key)
    }

    /// The calls that were erased: neither they nor dead letters of them are written again.
    pub fn erased(&self) -> &ErasedCalls {
        &self.erased
    }

    /// The input that call `id` in the tables was made of. Another key than the one at hand means that the call was
    /// scored from another recording.
    pub fn committed_call(&self, id: &CallId) -> Option<&SourceKey> {
        self.calls.get(id)
    }

    /// The call that the file of this place and content ([`SourceKey::of_place`]) became.
    pub fn call_at(&self, place: &SourceKey) -> Option<&CallId> {
        self.places.get(place)
    }

    /// How much is committed.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Every commit, read again from disk.
    pub fn commits(&self) -> Result<Vec<CommitRecord>, StoreError> {
        layout::read_commits(&self.root)
    }

    /// Puts the batch into the tables, whole or not at all, and writes its dead letters.
    ///
    /// On an error the batch is not in the tables, and the same batch may be tried again when
    /// [`StoreError::is_failure_of_surroundings`]; the exceptions are [`StoreError::NotPublished`] (committed: do not
    /// try again, the next commit, [`Self::publish_pending`] or open finishes it) and [`StoreError::MustReopen`].
    /// A batch without calls leaves no commit: what failed is tried again in the next run.
    pub fn commit(&mut self, batch: &Batch) -> Result<Receipt, StoreError> {
        self.publish_pending()?;
        batch.validate()?;
        for entry in &batch.entries {
            if self.is_committed(&entry.key)
                || self.calls.contains_key(&entry.call_id)
                || self.erased.has_call(&entry.call_id)
            {
                return Err(StoreError::AlreadyCommitted { call_id: entry.call_id.clone() });
            }
        }
        dead_letters::write_all(&*self.directory, &batch.dead_letters, &self.erased)?;
        (self.hook)(CommitStep::DeadLettersWritten);
        let mut receipt = Receipt {
            calls: batch.calls.len() as u64,
            dead_letters: batch.dead_letters.len() as u64,
            ..Receipt::default()
        };
        if batch.calls.is_empty() {
            return Ok(receipt);
        }
        let record = match self.chain {
            None => self.write_and_name(batch, layout::next_attempt(&*self.directory, batch)?)?,
            Some(end) => {
                let batch = Batch { first: end.name(), last: Some(end.first()), ..batch.clone() };
                self.write_and_name(&batch, unique_number())?
            }
        };
        receipt.files.clone_from(&record.files);
        receipt.settled_dead_letters = record.settled_dead_letters.len() as u64;
        self.index(&record);
        self.unpublished = Some(record);
        self.publish_pending()?;
        Ok(receipt)
    }

    /// Moves the files of a commit that could not be moved at the time; does nothing where there is none.
    pub fn publish_pending(&mut self) -> Result<(), StoreError> {
        if self.must_reopen {
            return Err(StoreError::MustReopen { path: self.root().to_path_buf() });
        }
        let Some(record) = &self.unpublished else { return Ok(()) };
        let done = commit::publish(&*self.directory, record, &mut self.hook)
            .and_then(|_| commit::finish(&*self.directory, record, &mut self.hook))
            .and_then(|()| commit::discard_beaten(&*self.directory, &mut self.open_intents, &record.first));
        done.map_err(|source| StoreError::NotPublished {
            first: record.first.clone(),
            source: Box::new(source),
        })?;
        self.unpublished = None;
        Ok(())
    }

    /// Stages the batch's files and names its record; leaves nothing behind where that fails.
    fn write_and_name(&mut self, batch: &Batch, attempt: u64) -> Result<CommitRecord, StoreError> {
        let plan = Plan::of(batch, attempt);
        let staged = commit::stage(&*self.directory, &plan, batch, &mut self.hook);
        let named = staged.and_then(|record| {
            commit::name_record(&*self.directory, &record, &mut self.hook).map(|naming| (naming, record))
        });
        match named {
            Ok((Naming::Committed, record)) => Ok(record),
            Ok((Naming::Lost, _)) => {
                commit::discard(&*self.directory, &plan);
                // Behind the winner's batch the index of what is committed is no longer whole.
                self.must_reopen = self.chain.is_some();
                Err(StoreError::LostRace { first: batch.first.clone() })
            }
            Ok((Naming::InDoubt(error), _)) => {
                self.must_reopen = true;
                Err(error)
            }
            Err(error) => {
                commit::discard(&*self.directory, &plan);
                Err(error)
            }
        }
    }

    fn index(&mut self, record: &CommitRecord) {
        self.totals.add(record);
        if let (Some(end), Some(last)) = (&mut self.chain, record.last)
            && record.source == SourceId::files().source()
        {
            *end = ChainEnd::behind(&record.first, last).unwrap_or(*end);
        }
        for entry in &record.entries {
            self.keys.insert(entry.key);
            self.calls.insert(entry.call_id.clone(), entry.key);
            if let Some(place) = entry.place {
                self.places.insert(place, entry.call_id.clone());
            }
        }
    }
}
