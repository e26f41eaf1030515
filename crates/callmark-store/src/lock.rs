//! One writer a dataset: an advisory lock that the system drops when its owner dies, however it dies.

use crate::error::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

/// Name of the lock file. It stays when the lock is released; only the lock on it means anything.
pub(crate) const LOCK_FILE: &str = "_lock";
/// Tries at the lock, because [`WriterLock::is_held`] holds it for a moment in order to ask.
const LOCK_ATTEMPTS: u32 = 3;
/// Pause between them.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Held while a dataset is open for writing.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn acquire(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(LOCK_FILE);
        let fail = |e| StoreError::io("lock", &path, e);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(fail)?;
        let mut attempt = 1;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => attempt += 1,
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked {
                        path: root.to_path_buf(),
                        owner: read_owner(&mut file),
                    });
                }
                Err(TryLockError::Error(e)) => return Err(fail(e)),
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file })
    }

    /// Whether some process writes the dataset now. `false` also where that cannot be told.
    pub(crate) fn is_held(root: &Path) -> bool {
        let Ok(file) = File::open(root.join(LOCK_FILE)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

fn read_owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
