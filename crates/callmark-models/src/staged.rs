//! Files that appear under their final name whole or not at all.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::error::ModelError;

/// A file being written beside its final place. Dropped unfinished, it is removed.
pub(crate) struct StagedFile {
    staged: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl StagedFile {
    /// Creates an empty staged file for `target`, and its directory where needed.
    pub(crate) fn create(target: &Path) -> Result<(Self, File), ModelError> {
        let directory = parent(target);
        std::fs::create_dir_all(directory).map_err(ModelError::io("create directory", directory))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = directory.join(format!(".{name}.{}.staged", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&staged)
            .map_err(ModelError::io("create", &staged))?;
        Ok((StagedFile { staged, target: target.to_path_buf(), finished: false }, file))
    }

    /// Where the bytes lie until [`StagedFile::finish`].
    pub(crate) fn path(&self) -> &Path {
        &self.staged
    }

    /// Makes the bytes durable and gives them their final name, replacing what was there.
    pub(crate) fn finish(mut self) -> Result<(), ModelError> {
        publish(&self.staged, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done about a file that cannot be removed; its name shows what it is.
            let _ = std::fs::remove_file(&self.staged);
        }
    }
}

/// Makes a finished file durable and renames it to `target`.
pub(crate) fn publish(finished: &Path, target: &Path) -> Result<(), ModelError> {
    let file = File::open(finished).map_err(ModelError::io("read", finished))?;
    file.sync_all().map_err(ModelError::io("write", finished))?;
    std::fs::rename(finished, target).map_err(ModelError::io("rename to", target))?;
    if let Ok(directory) = File::open(parent(target)) {
        // Some file systems cannot sync a directory; the rename itself has succeeded.
        let _ = directory.sync_all();
    }
    Ok(())
}

/// Removes a file; that it is already gone is as good.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), ModelError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ModelError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_file_dropped_unfinished_leaves_nothing_and_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("m.bin");
        std::fs::write(&target, b"old").unwrap();
        let (staged, mut file) = StagedFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        drop(staged);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_finished_file_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new").join("m.bin");
        let (staged, mut file) = StagedFile::create(&target).unwrap();
        file.write_all(b"whole").unwrap();
        staged.finish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
    }
}
