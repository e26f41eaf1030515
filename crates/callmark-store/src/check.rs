//! Whether a dataset is what its commits say: what `callmark doctor` asks.

use crate::erase;
use crate::error::StoreError;
use crate::hex;
use crate::layout::{self, CommitRecord, FileEntry, Intent, STAGING};
use crate::lock::WriterLock;
use crate::place::{Backend, Location};
use crate::schema::Table;
use arrow::array::{Array, StringArray};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// One thing that is not as it should be. Paths are relative to the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A committed file is gone.
    MissingFile {
        /// The file.
        path: String,
    },
    /// A committed file waits in staging; opening the dataset for writing puts it in place.
    NotPublished {
        /// The file.
        path: String,
    },
    /// A committed file has other content than was committed.
    ChangedFile {
        /// The file.
        path: String,
    },
    /// A committed file has other rows than its record says.
    WrongRows {
        /// The file.
        path: String,
        /// Rows in the record.
        recorded: u64,
        /// Rows in the file.
        found: u64,
    },
    /// A committed file cannot be read as Parquet.
    UnreadableFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A Parquet file where readers look that no commit names.
    OrphanFile {
        /// The file.
        path: String,
    },
    /// An intent, staged or half-written file of a writer that died; opening the dataset for writing removes it.
    Leftover {
        /// The file.
        path: String,
    },
    /// An erasure is decided and not done; opening the dataset for writing, or erasing again, finishes it. Files that it
    /// is about to change are not held to their records.
    UnfinishedErasure,
    /// A call has more than one row, or is in more than one commit.
    DuplicateCall {
        /// The call.
        call_id: String,
    },
    /// A row belongs to a call that its commit does not name.
    StrayRow {
        /// The file.
        path: String,
        /// The call.
        call_id: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingFile { path } => write!(f, "{path} is committed but gone: restore it from a copy"),
            Self::NotPublished { path } => {
                write!(f, "{path} is committed but not in place: score into it again")
            }
            Self::ChangedFile { path } => {
                write!(f, "{path} was changed after its commit: restore it from a copy")
            }
            Self::WrongRows { path, recorded, found } => {
                write!(f, "{path} has {found} rows where its commit says {recorded}")
            }
            Self::UnreadableFile { path, reason } => write!(f, "{path} cannot be read: {reason}"),
            Self::OrphanFile { path } => write!(f, "{path} belongs to no commit: move it away"),
            Self::Leftover { path } => {
                write!(f, "{path} was left by a writer that died: the next run into this dataset removes it")
            }
            Self::UnfinishedErasure => {
                write!(
                    f,
                    "an erasure was cut short: the same `callmark erase` again, or the next run into this dataset, finishes it"
                )
            }
            Self::DuplicateCall { call_id } => write!(f, "call {call_id} is in the dataset more than once"),
            Self::StrayRow { path, call_id } => {
                write!(f, "{path} has a row of call {call_id}, which its commit does not name")
            }
        }
    }
}

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsistencyReport {
    /// Commits read.
    pub commits: u64,
    /// Files read.
    pub files: u64,
    /// Calls named by commits.
    pub calls: u64,
    /// Calls that were erased.
    pub erased: u64,
    /// Whether a process is writing now; leftovers are then its own and are not reported.
    pub writer_active: bool,
    /// What is wrong, in order of path.
    pub problems: Vec<Problem>,
}

impl ConsistencyReport {
    /// Whether nothing is wrong.
    pub fn is_consistent(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads every commit and file of the dataset at `dir` and compares them. Changes nothing and takes no lock.
pub fn check(dir: impl Into<Location>) -> Result<ConsistencyReport, StoreError> {
    let place = dir.into().open()?;
    let directory = &*place;
    layout::require_dataset(directory)?;
    let writer_active = directory.folder().is_some_and(WriterLock::is_held);
    let found = layout::read_commit_files(directory)?;
    let mut report = ConsistencyReport { writer_active, ..ConsistencyReport::default() };
    report.erased = erase::read_erased(directory)?.len() as u64;
    let changing = erase::changing_files(directory)?;
    if changing.is_some() && !writer_active {
        report.problems.push(Problem::UnfinishedErasure);
    }
    let changing = changing.unwrap_or_default();
    let mut named: HashSet<&str> = HashSet::new();
    let mut calls: HashSet<String> = HashSet::new();
    for record in &found.records {
        report.commits += 1;
        let entries: HashSet<&str> = record.entries.iter().map(|entry| entry.call_id.as_str()).collect();
        for file in &record.files {
            named.insert(&file.path);
            report.files += 1;
            if changing.contains(&file.path) {
                continue;
            }
            check_file(directory, file, &entries, &mut calls, &mut report.problems)?;
        }
        report.calls += record.entries.len() as u64;
    }
    check_entries(&found.records, &mut report.problems);
    let under_way = files_under_way(directory, &found.intents);
    for table in Table::ALL {
        for path in layout::table_file_names(directory, table)? {
            let is_known =
                named.contains(path.as_str()) || under_way.contains(&path) || changing.contains(&path);
            if !is_known && !writer_active {
                report.problems.push(Problem::OrphanFile { path });
            }
        }
    }
    if !writer_active {
        let waiting: HashSet<String> = named.iter().map(|path| directory.staging_path(path)).collect();
        let staged = directory.files_in(STAGING)?.into_iter().map(|name| format!("{STAGING}/{name}"));
        let leftovers = staged.filter(|path| !waiting.contains(path));
        let leftovers =
            leftovers.chain(found.intents).chain(found.temporaries).chain(erase::leftovers(directory)?);
        report.problems.extend(leftovers.map(|path| Problem::Leftover { path }));
    }
    Ok(report)
}

/// On an object store, the files that intents name: they lie where committed ones do.
fn files_under_way(directory: &dyn Backend, intents: &[String]) -> HashSet<String> {
    if directory.has_staging() {
        return HashSet::new();
    }
    // One that is gone meanwhile, or that cannot be read, names nothing.
    let contents = intents.iter().filter_map(|path| directory.read(path).ok());
    let intents = contents.filter_map(|bytes| serde_json::from_slice::<Intent>(&bytes).ok());
    intents.flat_map(|intent| intent.files).collect()
}

fn check_entries(records: &[CommitRecord], problems: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for entry in records.iter().flat_map(|record| &record.entries) {
        let duplicate = Problem::DuplicateCall { call_id: entry.call_id.to_string() };
        if !seen.insert(&entry.call_id) && !problems.contains(&duplicate) {
            problems.push(duplicate);
        }
    }
}

fn check_file(
    directory: &dyn Backend,
    file: &FileEntry,
    entries: &HashSet<&str>,
    calls: &mut HashSet<String>,
    problems: &mut Vec<Problem>,
) -> Result<(), StoreError> {
    let path = file.path.clone();
    if !directory.exists(&path)? {
        problems.push(if directory.has_staging() && directory.exists(&directory.staging_path(&path))? {
            Problem::NotPublished { path }
        } else {
            Problem::MissingFile { path }
        });
        return Ok(());
    }
    let (digest, ids) = if directory.has_staging() {
        let on_disk = directory.path(&path);
        (digest_of_file(&on_disk)?, read_call_ids_of_file(&on_disk))
    } else {
        let bytes = directory.read(&path)?;
        (hex::encode(&Sha256::digest(&bytes)), read_call_ids(Bytes::from(bytes)))
    };
    if digest != file.sha256 {
        problems.push(Problem::ChangedFile { path });
        return Ok(());
    }
    let ids = match ids {
        Ok(ids) => ids,
        Err(reason) => {
            problems.push(Problem::UnreadableFile { path, reason });
            return Ok(());
        }
    };
    if ids.rows != file.rows {
        problems.push(Problem::WrongRows { path: path.clone(), recorded: file.rows, found: ids.rows });
    }
    for id in ids.distinct {
        if !entries.contains(id.as_str()) {
            problems.push(Problem::StrayRow { path: path.clone(), call_id: id.clone() });
        }
        if file.table == Table::Calls && !calls.insert(id.clone()) {
            problems.push(Problem::DuplicateCall { call_id: id });
        }
    }
    for id in ids.repeated {
        if file.table == Table::Calls {
            problems.push(Problem::DuplicateCall { call_id: id });
        }
    }
    Ok(())
}

fn digest_of_file(path: &Path) -> Result<String, StoreError> {
    struct Sink(Sha256);
    impl io::Write for Sink {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.update(buffer);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fail = |e| StoreError::io("read", path, e);
    let mut sink = Sink(Sha256::new());
    io::copy(&mut File::open(path).map_err(fail)?, &mut sink).map_err(fail)?;
    Ok(hex::encode(&sink.0.finalize()))
}

/// The values of `call_id` in one file.
struct CallIds {
    rows: u64,
    distinct: Vec<String>,
    /// Values that stand in more than one row.
    repeated: Vec<String>,
}

fn read_call_ids_of_file(path: &Path) -> Result<CallIds, String> {
    read_call_ids(File::open(path).map_err(|e| e.to_string())?)
}

fn read_call_ids(file: impl ChunkReader + 'static) -> Result<CallIds, String> {
    let text = |e: &dyn fmt::Display| e.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| text(&e))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["call_id"]);
    let reader = builder.with_projection(mask).build().map_err(|e| text(&e))?;
    let mut ids = CallIds { rows: 0, distinct: Vec::new(), repeated: Vec::new() };
    let mut seen = HashSet::new();
    for batch in reader {
        let batch = batch.map_err(|e| text(&e))?;
        let column = batch.column_by_name("call_id").ok_or("it has no column call_id")?;
        let column = column.as_any().downcast_ref::<StringArray>().ok_or("its call_id is no text")?;
        ids.rows += column.len() as u64;
        for id in column.iter().flatten() {
            if seen.insert(id.to_owned()) {
                ids.distinct.push(id.to_owned());
            } else {
                ids.repeated.push(id.to_owned());
            }
        }
    }
    ids.repeated.sort_unstable();
    ids.repeated.dedup();
    Ok(ids)
}
