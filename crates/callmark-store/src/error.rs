//! What can go wrong, told so that an operator knows which path to look at and what to do.

use callmark_types::CallId;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space, quota or file-size limit left: free space and run again; nothing partial is visible to readers.
    #[error("no space left while trying to {action} {}: free some space and run again", path.display())]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The user may not write (or read) there.
    #[error("permission denied while trying to {action} {}: choose another directory or change its owner", path.display())]
    PermissionDenied {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file system is mounted read-only.
    #[error("cannot {action} {}: the file system is read-only, choose another directory", path.display())]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// An object store could not be reached, or did not do what it was asked, retries included.
    #[error("cannot {action} {}: {}; {advice}", path.display(), without_body(cause))]
    ObjectStore {
        /// What was tried.
        action: &'static str,
        /// The URL.
        path: PathBuf,
        /// What the operator can do.
        advice: &'static str,
        /// The store's word. No source of this error: what a store answers may quote keys, and a chain would be printed.
        cause: Box<object_store::Error>,
    },
    /// The text names no place that a dataset can lie in.
    #[error("{location} cannot hold a dataset: {reason}")]
    InvalidLocation {
        /// What was given.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The output is a file, not a directory.
    #[error("{} is a file: give a directory for the tables", path.display())]
    NotADirectory {
        /// The output that was given.
        path: PathBuf,
    },
    /// The directory is no dataset.
    #[error("{} is not a dataset: it has no _commits directory, give the directory that was the --out of a run", path.display())]
    NotADataset {
        /// The directory that was given.
        path: PathBuf,
    },
    /// The directory holds tables that this store did not write.
    #[error(
        "{} holds {found}/ but no _commits: its files were not written by callmark, give an empty directory",
        path.display()
    )]
    ForeignData {
        /// The directory that was given.
        path: PathBuf,
        /// The table directory found in it.
        found: String,
    },
    /// Another writer holds the dataset.
    #[error(
        "{} is being written by {}: wait until it has finished, or stop it",
        path.display(),
        owner.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The dataset.
        path: PathBuf,
        /// Process id of the writer, where it could be read.
        owner: Option<u32>,
    },
    /// A record was written by a later version.
    #[error("{} has format {found}, this version reads up to {supported}: use a newer callmark", path.display())]
    NewerFormat {
        /// The record.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// A committed file of a table cannot be read back.
    #[error("{} cannot be read: {reason}; restore it from a copy", path.display())]
    UnreadableTable {
        /// The file, within the dataset.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A record or dead letter is not what was written.
    #[error("{} is damaged: {source}; restore it from a copy", path.display())]
    DamagedRecord {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Parquet could not be written or read.
    #[error("cannot {action} {}: {source}", path.display())]
    Parquet {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The library's word.
        source: parquet::errors::ParquetError,
    },
    /// The batch contradicts itself; nothing was written.
    #[error("batch {first} cannot be committed: {reason}")]
    InvalidBatch {
        /// The batch.
        first: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A call of the batch is in the tables already; nothing was written.
    #[error("call {call_id} is in the tables already")]
    AlreadyCommitted {
        /// The call.
        call_id: CallId,
    },
    /// Another writer committed a batch with the same first entry; this one's files are removed.
    #[error("batch {first} was committed by another writer: open the dataset again and go on behind it")]
    LostRace {
        /// The batch.
        first: String,
    },
    /// The batch is committed, yet its files are not all in place. The next commit or open finishes that.
    #[error("batch {first} is committed but its files are not in place yet: {source}")]
    NotPublished {
        /// The batch.
        first: String,
        /// What stopped it.
        source: Box<StoreError>,
    },
    /// An earlier failure left it open whether a batch was committed; only recovery can tell.
    #[error("an earlier write to {} failed half-way: open the dataset again before writing on", path.display())]
    MustReopen {
        /// The dataset.
        path: PathBuf,
    },
    /// What an erasure has to remove elsewhere could not be; the tables are as they were.
    #[error("nothing was erased from the tables: {source}")]
    NotErased {
        /// What stopped it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such dead letter.
    #[error("there is no dead letter {id} in {}", path.display())]
    NoSuchDeadLetter {
        /// The id asked for.
        id: String,
        /// The dataset.
        path: PathBuf,
    },
}

/// What an object store's client says, without the body of the store's answer.
fn without_body(error: &object_store::Error) -> String {
    let said = error.to_string();
    let head = said.split_once('<').map_or(said.as_str(), |(head, _)| head);
    head.trim_end_matches([' ', ':', '\n']).to_owned()
}

impl StoreError {
    /// Sorts a system error into the variant that says what to do.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { action, path, source }
            }
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { action, path, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { action, path, source },
            _ => Self::Io { action, path, source },
        }
    }

    /// Says what an operator can do about what an object store said.
    pub(crate) fn object_store(action: &'static str, path: &Path, source: object_store::Error) -> Self {
        let advice = match source {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                "check the keys in the environment and what they may do with the bucket"
            }
            object_store::Error::NotFound { .. } => "check the names of the bucket and of the dataset",
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
                "commits need a store that creates an object only where there is none"
            }
            object_store::Error::InvalidPath { .. } => "use another name for the dataset",
            _ => "check the endpoint and that it can be reached, then run again",
        };
        Self::ObjectStore { action, path: path.to_path_buf(), advice, cause: Box::new(source) }
    }

    /// Unwraps the system error that the Parquet library may carry.
    pub(crate) fn parquet(action: &'static str, path: &Path, source: parquet::errors::ParquetError) -> Self {
        match source {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(error) => Self::io(action, path, *error),
                Err(inner) => Self::Parquet {
                    action,
                    path: path.to_path_buf(),
                    source: parquet::errors::ParquetError::External(inner),
                },
            },
            source => Self::Parquet { action, path: path.to_path_buf(), source },
        }
    }

    /// Whether the surroundings failed (disk, permissions, an object store), so that the same batch may succeed later.
    pub fn is_failure_of_surroundings(&self) -> bool {
        match self {
            Self::DiskFull { .. }
            | Self::PermissionDenied { .. }
            | Self::ReadOnly { .. }
            | Self::Io { .. }
            | Self::ObjectStore { .. }
            | Self::NotPublished { .. } => true,
            Self::InvalidLocation { .. }
            | Self::NotADirectory { .. }
            | Self::NotADataset { .. }
            | Self::ForeignData { .. }
            | Self::Locked { .. }
            | Self::NewerFormat { .. }
            | Self::DamagedRecord { .. }
            | Self::UnreadableTable { .. }
            | Self::Parquet { .. }
            | Self::InvalidBatch { .. }
            | Self::AlreadyCommitted { .. }
            | Self::LostRace { .. }
            | Self::MustReopen { .. }
            | Self::NotErased { .. }
            | Self::NoSuchDeadLetter { .. } => false,
        }
    }
}
