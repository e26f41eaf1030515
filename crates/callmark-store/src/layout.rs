//! Where things lie in a dataset and what the commit records say, for writers and readers alike.

use crate::batch::{Batch, BatchEntry, SourceId};
use crate::dead_letters::DeadLetterId;
use crate::error::StoreError;
use crate::place::{Backend, Location};
use crate::schema::{SCHEMA_VERSION, Table};
use callmark_types::ScoredCall;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Value of the partition column for calls whose start is not known: null to Hive, Spark, DuckDB, Polars and pyarrow.
pub const NULL_DATE_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";
/// Directory of the commit records.
pub(crate) const COMMITS: &str = "_commits";
/// Whether `folder` is a dataset: its folders whose names begin with `_` are then the store's own.
pub fn is_dataset(folder: &Path) -> bool {
    folder.join(COMMITS).is_dir()
}

/// On an object store, says that this is a dataset before anything is committed.
const DATASET_MARK: &str = "_commits/dataset.json";
/// Directory of files that are not in place yet.
pub(crate) const STAGING: &str = "_staging";
/// Suffix of an intent's name.
pub(crate) const INTENT_SUFFIX: &str = ".intent.json";
/// Suffix of a commit record's name; also ends an intent's.
const RECORD_SUFFIX: &str = ".json";
/// Format of records and intents that this version writes.
pub(crate) const RECORD_FORMAT: u32 = 1;
/// Format of records of which calls were erased, and the newest that this version reads: an older one, which does not
/// know what was erased, would bring it back.
pub(crate) const ERASED_FORMAT: u32 = 2;

/// A committed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its table.
    pub table: Table,
    /// Where it lies, relative to the dataset, with `/`.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, hex.
    pub sha256: String,
}

/// One commit: its existence makes its files part of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Format of this record.
    pub format: u32,
    /// Version of the schema of the files.
    pub schema_version: u32,
    /// Source of the batch.
    pub source: String,
    /// Partition of the source.
    pub partition: String,
    /// Name of the batch within the partition.
    pub first: String,
    /// The last offset that it settles, for streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// Positions that companion topics had come to (`topic/partition`), for streams.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<String, i64>,
    /// Which attempt at this batch won.
    pub attempt: u64,
    /// The files, `calls` last.
    pub files: Vec<FileEntry>,
    /// The inputs that are settled by it.
    pub entries: Vec<BatchEntry>,
    /// Dead letters of inputs that succeeded this time; they are removed.
    pub settled_dead_letters: Vec<DeadLetterId>,
}

impl CommitRecord {
    pub(crate) fn intent_path(&self) -> String {
        intent_path(&self.source, &self.partition, &self.first, self.attempt)
    }

    pub(crate) fn record_path(&self) -> String {
        record_path(&self.source, &self.partition, &self.first)
    }
}

/// What an attempt at a batch is about to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) format: u32,
    pub(crate) source: String,
    pub(crate) partition: String,
    pub(crate) first: String,
    pub(crate) attempt: u64,
    pub(crate) files: Vec<String>,
}

/// A batch sorted into the files it will become.
pub(crate) struct Plan<'a> {
    pub(crate) intent: Intent,
    /// Table, relative path and calls of each file, `calls` last, so that a call that is seen has its turns.
    pub(crate) files: Vec<(Table, String, Vec<&'a ScoredCall>)>,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(batch: &'a Batch, attempt: u64) -> Self {
        let mut by_date: BTreeMap<String, Vec<&ScoredCall>> = BTreeMap::new();
        for call in &batch.calls {
            by_date.entry(date_partition(call)).or_default().push(call);
        }
        let (source, partition) = (batch.source.source(), batch.source.partition());
        let name = format!("{}{}~{attempt}.parquet", file_prefix(&batch.source), batch.first);
        let mut files = Vec::new();
        for table in [Table::Events, Table::Turns, Table::Calls] {
            for (date, calls) in &by_date {
                files.push((table, format!("{table}/date={date}/{name}"), calls.clone()));
            }
        }
        let intent = Intent {
            format: RECORD_FORMAT,
            source: source.to_owned(),
            partition: partition.to_owned(),
            first: batch.first.clone(),
            attempt,
            files: files.iter().map(|(_, path, _)| path.clone()).collect(),
        };
        Self { intent, files }
    }

    pub(crate) fn intent_path(&self) -> String {
        intent_path(&self.intent.source, &self.intent.partition, &self.intent.first, self.intent.attempt)
    }

    /// The record that commits `files`.
    pub(crate) fn record(
        &self,
        files: Vec<FileEntry>,
        batch: &Batch,
        settled_dead_letters: Vec<DeadLetterId>,
    ) -> CommitRecord {
        CommitRecord {
            format: RECORD_FORMAT,
            schema_version: SCHEMA_VERSION,
            source: self.intent.source.clone(),
            partition: self.intent.partition.clone(),
            first: self.intent.first.clone(),
            last: batch.last,
            positions: batch.positions.clone(),
            attempt: self.intent.attempt,
            files,
            entries: batch.entries.clone(),
            settled_dead_letters,
        }
    }
}

/// How the names of a partition's files begin.
pub(crate) fn file_prefix(source: &SourceId) -> String {
    format!("part-{}~{}~", source.source(), source.partition())
}

/// The UTC day of the call's start; null outside the years 1 to 9999, which no reader takes for a date.
fn date_partition(call: &ScoredCall) -> String {
    let date = call.record.started_at.map(callmark_types::Timestamp::utc_date);
    match date {
        Some(date) if date.len() == 10 && !date.starts_with('-') && !date.starts_with("0000") => date,
        _ => NULL_DATE_PARTITION.to_owned(),
    }
}

pub(crate) fn commit_directory(source: &SourceId) -> String {
    format!("{COMMITS}/{}/{}", source.source(), source.partition())
}

/// Where the record of the batch `first` lies in the directory of its partition.
pub(crate) fn record_in(place: &str, first: &str) -> String {
    format!("{place}/{first}{RECORD_SUFFIX}")
}

fn record_path(source: &str, partition: &str, first: &str) -> String {
    record_in(&format!("{COMMITS}/{source}/{partition}"), first)
}

fn intent_path(source: &str, partition: &str, first: &str, attempt: u64) -> String {
    format!("{COMMITS}/{source}/{partition}/{first}.{attempt}{INTENT_SUFFIX}")
}

/// One more than the highest attempt at this batch of which something is left on disk, from 0.
pub(crate) fn next_attempt(directory: &dyn Backend, batch: &Batch) -> Result<u64, StoreError> {
    let prefix = format!("{}.", batch.first);
    let names = directory.files_in(&commit_directory(&batch.source))?;
    let attempts = names
        .iter()
        .filter_map(|name| name.strip_prefix(&prefix)?.strip_suffix(INTENT_SUFFIX)?.parse::<u64>().ok());
    Ok(attempts.max().map_or(0, |highest| highest + 1))
}

/// The batch that the intent at `path` is an attempt at.
pub(crate) fn batch_of_intent(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.split_once('.').map_or(name, |(batch, _)| batch)
}

/// What lies in the directory of one partition, without reading it.
#[derive(Debug, Default)]
pub(crate) struct PartitionNames {
    /// Names of batches that are committed, in order.
    pub(crate) records: BTreeSet<String>,
    /// Name of the batch and path of each intent.
    pub(crate) intents: Vec<(String, String)>,
    /// The same of what means nothing.
    pub(crate) temporaries: Vec<(String, String)>,
}

/// Lists the commits and intents of one partition.
pub(crate) fn partition_names(directory: &dyn Backend, place: &str) -> Result<PartitionNames, StoreError> {
    let mut names = PartitionNames::default();
    for name in directory.files_in(place)? {
        if let Some((first, _)) = name.strip_suffix(INTENT_SUFFIX).and_then(|stem| stem.split_once('.')) {
            names.intents.push((first.to_owned(), format!("{place}/{name}")));
        } else if let Some(first) = name.strip_suffix(RECORD_SUFFIX) {
            names.records.insert(first.to_owned());
        } else if let Some((first, _)) = name.split_once('.') {
            names.temporaries.push((first.to_owned(), format!("{place}/{name}")));
        }
    }
    Ok(names)
}

/// Fails where the directory holds tables that were not written by this store.
pub(crate) fn refuse_foreign_data(directory: &dyn Backend) -> Result<(), StoreError> {
    if directory.directory_exists(COMMITS)? {
        return Ok(());
    }
    for table in Table::ALL {
        // Asked again: a first writer beside this one makes `_commits` before any table.
        if directory.directory_exists(table.name())? && !directory.directory_exists(COMMITS)? {
            return Err(StoreError::ForeignData { path: directory.root(), found: table.name().to_owned() });
        }
    }
    Ok(())
}

/// Makes the place a dataset, where it is none: an object store knows no empty directory.
pub(crate) fn begin_dataset(directory: &dyn Backend) -> Result<(), StoreError> {
    directory.create_directories(COMMITS)?;
    if directory.has_staging() || directory.exists(DATASET_MARK)? {
        return Ok(());
    }
    directory.replace(DATASET_MARK, format!("{{\"format\": {RECORD_FORMAT}}}\n").as_bytes())
}

/// Fails where there is no dataset.
pub(crate) fn require_dataset(directory: &dyn Backend) -> Result<(), StoreError> {
    if directory.directory_exists(COMMITS)? {
        return Ok(());
    }
    Err(StoreError::NotADataset { path: directory.root() })
}

/// What lies in `_commits`.
#[derive(Debug, Default)]
pub(crate) struct CommitFiles {
    pub(crate) records: Vec<CommitRecord>,
    /// Relative paths.
    pub(crate) intents: Vec<String>,
    /// Relative paths of what means nothing.
    pub(crate) temporaries: Vec<String>,
}

/// Reads `_commits`, in order of source, partition and name.
pub(crate) fn read_commit_files(directory: &dyn Backend) -> Result<CommitFiles, StoreError> {
    let mut found = CommitFiles::default();
    let mut records = Vec::new();
    for source in directory.directories_in(COMMITS)? {
        for partition in directory.directories_in(&format!("{COMMITS}/{source}"))? {
            let place = format!("{COMMITS}/{source}/{partition}");
            for name in directory.files_in(&place)? {
                let path = format!("{place}/{name}");
                if name.ends_with(INTENT_SUFFIX) {
                    found.intents.push(path);
                } else if name.ends_with(RECORD_SUFFIX) {
                    records.push(path);
                } else {
                    found.temporaries.push(path);
                }
            }
        }
    }
    // Not as file names sort, in which `7-000001.json` comes before `7.json`.
    records.sort_by(|a, b| a.strip_suffix(RECORD_SUFFIX).cmp(&b.strip_suffix(RECORD_SUFFIX)));
    found.records = read_records(directory, &records)?;
    Ok(found)
}

pub(crate) fn read_record(directory: &dyn Backend, relative: &str) -> Result<CommitRecord, StoreError> {
    parse_record(directory, relative, &directory.read(relative)?)
}

/// Many records, in order.
pub(crate) fn read_records(
    directory: &dyn Backend,
    relatives: &[String],
) -> Result<Vec<CommitRecord>, StoreError> {
    let contents = directory.read_many(relatives)?;
    relatives.iter().zip(contents).map(|(path, bytes)| parse_record(directory, path, &bytes)).collect()
}

fn parse_record(directory: &dyn Backend, relative: &str, bytes: &[u8]) -> Result<CommitRecord, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |source| StoreError::DamagedRecord { path: directory.path(relative), source };
    let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > ERASED_FORMAT {
        let path = directory.path(relative);
        return Err(StoreError::NewerFormat { path, found: format, supported: ERASED_FORMAT });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// Every commit of the dataset at `dir`, in order of source, partition and name. Takes no lock.
pub fn read_commits(dir: impl Into<Location>) -> Result<Vec<CommitRecord>, StoreError> {
    let directory = dir.into().open()?;
    require_dataset(&*directory)?;
    Ok(read_commit_files(&*directory)?.records)
}

/// The committed files of `table`, in order of path: what to read of a dataset on an object store, where a plain glob
/// can also find files of a commit under way.
pub fn committed_files(dir: impl Into<Location>, table: Table) -> Result<Vec<FileEntry>, StoreError> {
    let files = read_commits(dir)?.into_iter().flat_map(|record| record.files);
    let mut files: Vec<FileEntry> = files.filter(|file| file.table == table).collect();
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The content of the committed file at `path`, as its [`FileEntry`] gives it.
pub fn read_committed_file(dir: impl Into<Location>, path: &str) -> Result<Vec<u8>, StoreError> {
    dir.into().open()?.read(path)
}

/// The files of `table` as a plain glob `<table>/date=*/*.parquet` finds them, sorted; none where there are none.
pub fn table_files(dir: impl Into<Location>, table: Table) -> Result<Vec<PathBuf>, StoreError> {
    let directory = dir.into().open()?;
    Ok(table_file_names(&*directory, table)?.into_iter().map(|path| directory.path(&path)).collect())
}

/// The same as relative paths.
pub(crate) fn table_file_names(directory: &dyn Backend, table: Table) -> Result<Vec<String>, StoreError> {
    let mut paths = Vec::new();
    for partition in directory.directories_in(table.name())? {
        if !partition.starts_with("date=") {
            continue;
        }
        for name in directory.files_in(&format!("{table}/{partition}"))? {
            if Path::new(&name).extension().is_some_and(|extension| extension == "parquet") {
                paths.push(format!("{table}/{partition}/{name}"));
            }
        }
    }
    Ok(paths)
}
