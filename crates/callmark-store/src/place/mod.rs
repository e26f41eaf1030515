//! The few operations that the commit protocol needs of a place: a folder, or a prefix on an object store.
//!
//! Paths are relative to the dataset, with `/`. An operation that returns has reached the disk (or the store),
//! directory entries included, unless it says otherwise. What the two kinds of place do not share is said here:
//!
//! | | folder | object store |
//! | --- | --- | --- |
//! | a file before its commit | in `_staging/` | under its final name, which carries the attempt |
//! | a name that only one can create | hard link | put if none is there |
//! | one writer of files at a time | advisory lock | chain of names, like a stream |

mod local;
mod location;
mod object;

pub(crate) use local::{LocalDirectory, TEMPORARY_SUFFIX};
pub use location::Location;
pub use location::{RemotePlace, remote_place};

use crate::error::StoreError;
use crate::layout;
use local::create_directories;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place that is shared by all that works on one dataset.
pub(crate) type Directory = Arc<dyn Backend>;

/// What became of an attempt to create a name that only one can create.
#[derive(Debug)]
pub(crate) enum Created {
    /// The name is there and means these bytes. The caller makes it durable with [`Backend::sync_directory`].
    Yes,
    /// Somebody else's bytes have the name.
    Taken,
    /// The place did not answer: the name may be there now or, in the hands of some network, a little later.
    InDoubt(StoreError),
}

/// A file that is being written. Dropped, it is none that anybody reads.
pub(crate) trait Output: Write + Send {
    /// Everything written is durable but for its name.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// What the commit protocol asks of a place. `relative` names files and directories in the dataset.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Where `relative` lies, as a path or URL, for messages and readers.
    fn path(&self, relative: &str) -> PathBuf;

    /// The folder, where it is one.
    fn folder(&self) -> Option<&Path>;

    /// Whether there is such a file.
    fn exists(&self, relative: &str) -> Result<bool, StoreError>;

    /// Whether there is such a directory; on an object store, whether anything lies in it.
    fn directory_exists(&self, relative: &str) -> Result<bool, StoreError>;

    /// The content of a file.
    fn read(&self, relative: &str) -> Result<Vec<u8>, StoreError>;

    /// The contents of many files, in order.
    fn read_many(&self, relatives: &[String]) -> Result<Vec<Vec<u8>>, StoreError> {
        relatives.iter().map(|relative| self.read(relative)).collect()
    }

    /// Names of the files in a directory, sorted; none where it does not exist.
    fn files_in(&self, relative: &str) -> Result<Vec<String>, StoreError>;

    /// Those of [`Self::files_in`] that begin with `prefix`.
    fn files_beginning(&self, relative: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let names = self.files_in(relative)?;
        Ok(names.into_iter().filter(|name| name.starts_with(prefix)).collect())
    }

    /// Names of the directories in a directory, sorted; none where it does not exist.
    fn directories_in(&self, relative: &str) -> Result<Vec<String>, StoreError>;

    /// Creates `relative` and what is missing above it; nothing on an object store.
    fn create_directories(&self, relative: &str) -> Result<(), StoreError>;

    /// Makes the names in directory `relative` durable; on an object store they are.
    fn sync_directory(&self, relative: &str) -> Result<(), StoreError>;

    /// Writes a new file, or replaces one, so that a reader sees the old bytes or the new ones.
    fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Creates a file unless its name is taken. `written` is called when the bytes are ready for their name.
    /// An error means that the name was not created.
    fn create_once(
        &self,
        relative: &str,
        bytes: &[u8],
        written: &mut dyn FnMut(),
    ) -> Result<Created, StoreError>;

    /// Begins a file under a name that nobody else uses.
    fn create(&self, relative: &str) -> Result<Box<dyn Output + '_>, StoreError>;

    /// Where the file that readers will find at `path` waits until it is committed; `path` itself where nothing
    /// can be renamed.
    fn staging_path(&self, path: &str) -> String;

    /// Moves a file; whoever else moves it there at the same time does no harm. The caller makes the names durable
    /// with [`Self::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Removes a file, if there is one. Durable whenever the system gets to it.
    fn remove(&self, relative: &str) -> Result<(), StoreError>;

    /// How many files are worth writing at once.
    fn writes_at_once(&self) -> usize;
}

impl dyn Backend + '_ {
    /// The dataset's own path or URL.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("")
    }

    /// Whether files wait for their commit where readers do not look.
    pub(crate) fn has_staging(&self) -> bool {
        self.folder().is_some()
    }
}

/// Opens the place for a writer and makes it a dataset where there is none; refuses what holds something else.
pub(crate) fn open_for_writing(location: &Location) -> Result<Directory, StoreError> {
    if let Some(folder) = location.folder() {
        if folder.exists() && !folder.is_dir() {
            return Err(StoreError::NotADirectory { path: folder.to_path_buf() });
        }
        create_directories(folder)?;
    }
    let directory = location.open()?;
    layout::refuse_foreign_data(&*directory)?;
    layout::begin_dataset(&*directory)?;
    Ok(directory)
}

/// A number that no other attempt has, in this process or another.
pub(crate) fn unique_number() -> u64 {
    RandomState::new().build_hasher().finish()
}
