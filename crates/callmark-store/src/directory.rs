//! The few durable operations that the commit protocol needs of a place, on the local file system.
//!
//! Paths are relative, with `/`, as on an object store, so that another place can offer the same operations later.
//! An operation that returns has reached the disk, directory entries included, unless it says otherwise.

use crate::error::StoreError;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Suffix of files that are being written and mean nothing yet.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// A directory of the local file system.
#[derive(Debug, Clone)]
pub(crate) struct LocalDirectory {
    root: PathBuf,
}

impl LocalDirectory {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where `relative` lies on disk.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn exists(&self, relative: &str) -> Result<bool, StoreError> {
        let path = self.path(relative);
        path.try_exists().map_err(|e| StoreError::io("look for", &path, e))
    }

    /// Creates `relative` and what is missing above it, durably.
    pub(crate) fn create_directories(&self, relative: &str) -> Result<(), StoreError> {
        create_directories(&self.path(relative))
    }

    /// Makes the names in directory `relative` durable.
    pub(crate) fn sync_directory(&self, relative: &str) -> Result<(), StoreError> {
        sync_directory(&self.path(relative))
    }

    /// Writes a new file, or replaces one, so that a reader sees the old bytes or the new ones.
    pub(crate) fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(relative);
        let temporary = self.write_temporary(relative, bytes)?;
        fs::rename(&temporary, &path).map_err(|e| StoreError::io("write", &path, e))?;
        sync_parent(&path)
    }

    /// Writes the bytes beside `relative`, under a name that means nothing, and returns that name's path.
    pub(crate) fn write_temporary(&self, relative: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let temporary = self.path(&format!("{relative}.{}{TEMPORARY_SUFFIX}", unique_number()));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| {
            // Best effort: recovery removes it too.
            let _ = fs::remove_file(&temporary);
            StoreError::io("write", &temporary, e)
        })?;
        Ok(temporary)
    }

    /// Gives the file at `temporary` the name `relative` unless that name is taken; `false` where it is.
    /// On success the caller still has to make the name durable with [`Self::sync_directory`].
    pub(crate) fn name_once(&self, temporary: &Path, relative: &str) -> Result<bool, StoreError> {
        let path = self.path(relative);
        let named = match fs::hard_link(temporary, &path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            Err(e) if is_disk_trouble(&e) || e.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::io("write", &path, e));
            }
            // A file system without hard links: the dataset's lock keeps other writers away meanwhile.
            Err(_) if self.exists(relative)? => false,
            Err(_) => {
                fs::rename(temporary, &path).map_err(|e| StoreError::io("write", &path, e))?;
                return Ok(true);
            }
        };
        // Best effort: recovery removes it too.
        let _ = fs::remove_file(temporary);
        Ok(named)
    }

    /// Moves a file; whoever else moves it there at the same time does no harm. The caller makes the names durable
    /// with [`Self::sync_directory`].
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let target = self.path(to);
        match fs::rename(self.path(from), &target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && target.is_file() => Ok(()),
            moved => moved.map_err(|e| StoreError::io("move a finished file to", &target, e)),
        }
    }

    /// Removes a file; `false` where there was none. Durable whenever the system gets to it.
    pub(crate) fn remove(&self, relative: &str) -> Result<bool, StoreError> {
        let path = self.path(relative);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreError::io("remove", &path, e)),
        }
    }

    pub(crate) fn read(&self, relative: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.path(relative);
        fs::read(&path).map_err(|e| StoreError::io("read", &path, e))
    }

    /// Names of the files in a directory, sorted; none where it does not exist.
    pub(crate) fn files_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        self.names_in(relative, false)
    }

    /// Names of the directories in a directory, sorted; none where it does not exist.
    pub(crate) fn directories_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        self.names_in(relative, true)
    }

    fn names_in(&self, relative: &str, directories: bool) -> Result<Vec<String>, StoreError> {
        let path = self.path(relative);
        let fail = |e| StoreError::io("list", &path, e);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            if entry.path().is_dir() == directories {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Creates `path` and what is missing above it; each new name is durable.
pub(crate) fn create_directories(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directories(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(StoreError::io("create directory", path, e)),
    }
}

/// A number that no other attempt has, in this process or another.
pub(crate) fn unique_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| StoreError::io("sync", path, e))
}

fn is_disk_trouble(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}
