//! A dataset in a folder of the local file system.

use super::{Backend, Created, Output, unique_number};
use crate::error::StoreError;
use crate::layout::STAGING;
use std::fs::{self, File};
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

    /// Writes the bytes beside `relative`, under a name that means nothing, and returns that name's path.
    fn write_temporary(&self, relative: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
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

impl Backend for LocalDirectory {
    fn path(&self, relative: &str) -> PathBuf {
        if relative.is_empty() { self.root.clone() } else { self.root.join(relative) }
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn exists(&self, relative: &str) -> Result<bool, StoreError> {
        let path = self.path(relative);
        path.try_exists().map_err(|e| StoreError::io("look for", &path, e))
    }

    fn directory_exists(&self, relative: &str) -> Result<bool, StoreError> {
        self.exists(relative)
    }

    fn read(&self, relative: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.path(relative);
        fs::read(&path).map_err(|e| StoreError::io("read", &path, e))
    }

    fn files_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        self.names_in(relative, false)
    }

    fn directories_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        self.names_in(relative, true)
    }

    fn create_directories(&self, relative: &str) -> Result<(), StoreError> {
        create_directories(&self.path(relative))
    }

    fn sync_directory(&self, relative: &str) -> Result<(), StoreError> {
        sync_directory(&self.path(relative))
    }

    fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(relative);
        let temporary = self.write_temporary(relative, bytes)?;
        fs::rename(&temporary, &path).map_err(|e| StoreError::io("write", &path, e))?;
        sync_parent(&path)
    }

    fn create_once(
        &self,
        relative: &str,
        bytes: &[u8],
        written: &mut dyn FnMut(),
    ) -> Result<Created, StoreError> {
        let temporary = self.write_temporary(relative, bytes)?;
        written();
        let path = self.path(relative);
        let created = match fs::hard_link(&temporary, &path) {
            Ok(()) => Created::Yes,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Created::Taken,
            Err(e) if is_disk_trouble(&e) || e.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::io("write", &path, e));
            }
            // A file system without hard links: the dataset's lock keeps other writers away meanwhile.
            Err(_) if self.exists(relative)? => Created::Taken,
            Err(_) => {
                fs::rename(&temporary, &path).map_err(|e| StoreError::io("write", &path, e))?;
                return Ok(Created::Yes);
            }
        };
        // Best effort: recovery removes it too.
        let _ = fs::remove_file(&temporary);
        Ok(created)
    }

    fn create(&self, relative: &str) -> Result<Box<dyn Output + '_>, StoreError> {
        let path = self.path(relative);
        let file = File::create(&path).map_err(|e| StoreError::io("write", &path, e))?;
        Ok(Box::new(LocalOutput { file, path }))
    }

    fn staging_path(&self, path: &str) -> String {
        format!("{STAGING}/{}", path.replace('/', "."))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let target = self.path(to);
        match fs::rename(self.path(from), &target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && target.is_file() => Ok(()),
            moved => moved.map_err(|e| StoreError::io("move a finished file to", &target, e)),
        }
    }

    fn remove(&self, relative: &str) -> Result<(), StoreError> {
        let path = self.path(relative);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    fn writes_at_once(&self) -> usize {
        1
    }
}

struct LocalOutput {
    file: File,
    path: PathBuf,
}

impl Write for LocalOutput {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for LocalOutput {
    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|e| StoreError::io("write", &self.path, e))
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
