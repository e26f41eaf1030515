//! Remembers that a file's digest was computed, so that a start does not read hundreds of megabytes again.
//!
//! A stamp holds the digest together with the file's size, time of change and inode; when one of these differs, the
//! stamp says nothing and the file is read. It saves time and proves nothing: `verify` always reads the file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

/// A stamp larger than this is not one.
const STAMP_BYTES_MAX: u64 = 1 << 12;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    path: String,
    bytes: u64,
    modified_ns: u64,
    inode: u64,
    sha256: String,
}

/// The digest remembered for the file as it now is.
pub(crate) fn remembered_sha256(stamps: &Path, file: &Path) -> Option<String> {
    let stamp_path = stamp_path(stamps, file);
    if std::fs::metadata(&stamp_path).ok()?.len() > STAMP_BYTES_MAX {
        return None;
    }
    let stamp: Stamp = toml::from_str(&std::fs::read_to_string(stamp_path).ok()?).ok()?;
    let now = Stamp::of(file, stamp.sha256.clone())?;
    (now == stamp).then_some(stamp.sha256)
}

/// Remembers a digest. A stamp that cannot be written costs time at the next start and nothing else.
pub(crate) fn remember_sha256(stamps: &Path, file: &Path, sha256: &str) {
    let Some(stamp) = Stamp::of(file, sha256.to_owned()) else { return };
    let Ok(text) = toml::to_string(&stamp) else { return };
    let path = stamp_path(stamps, file);
    let staged = path.with_extension(format!("{}.staged", std::process::id()));
    let written = std::fs::create_dir_all(stamps)
        .and_then(|()| std::fs::write(&staged, text))
        .and_then(|()| std::fs::rename(&staged, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
}

impl Stamp {
    fn of(file: &Path, sha256: String) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        let modified = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Stamp {
            path: absolute(file).to_string_lossy().into_owned(),
            bytes: metadata.len(),
            modified_ns: u64::try_from(modified.as_nanos()).ok()?,
            inode: inode(&metadata),
            sha256,
        })
    }
}

fn stamp_path(stamps: &Path, file: &Path) -> PathBuf {
    let digest = sha256_hex(absolute(file).as_os_str().as_encoded_bytes());
    stamps.join(format!("{}.toml", &digest[..32]))
}

fn absolute(file: &Path) -> PathBuf {
    std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf())
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_remembered_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (stamps, file) = (dir.path().join("stamps"), dir.path().join("m.bin"));
        std::fs::write(&file, b"abc").unwrap();
        assert_eq!(remembered_sha256(&stamps, &file), None);
        remember_sha256(&stamps, &file, "feed");
        assert_eq!(remembered_sha256(&stamps, &file).as_deref(), Some("feed"));
        std::fs::write(&file, b"abcd").unwrap();
        assert_eq!(remembered_sha256(&stamps, &file), None);
    }

    #[test]
    fn a_file_replaced_by_another_of_the_same_size_and_time_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let (stamps, file, other) =
            (dir.path().join("stamps"), dir.path().join("m.bin"), dir.path().join("o"));
        std::fs::write(&file, b"abc").unwrap();
        remember_sha256(&stamps, &file, "feed");
        let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::write(&other, b"abd").unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert_eq!(remembered_sha256(&stamps, &file), None);
    }

    #[test]
    fn a_stamp_directory_that_cannot_be_written_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.bin");
        std::fs::write(&file, b"abc").unwrap();
        remember_sha256(&file.join("not-a-directory"), &file, "feed");
        assert_eq!(remembered_sha256(&file.join("not-a-directory"), &file), None);
    }
}
