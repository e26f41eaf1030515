//! Digests of files: the one thing that decides whether a file is what the manifest says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::progress::{Activity, Counter, Report};

/// Bytes read at once while hashing.
const HASH_BUFFER_BYTES: usize = 1 << 18;

/// Size and digests of a file, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileDigest {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Computed only when the expectation names one.
    pub(crate) sha1: Option<String>,
}

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) bytes: u64,
    pub(crate) sha256: &'a str,
    pub(crate) sha1: Option<&'a str>,
}

impl Expected<'_> {
    /// Compares; `Err` holds the difference in words.
    pub(crate) fn check(&self, found: &FileDigest) -> Result<(), String> {
        self.check_size(found.bytes)?;
        if found.sha256 != self.sha256 {
            return Err(format!("expected sha256 {}, found {}", self.sha256, found.sha256));
        }
        match (self.sha1, &found.sha1) {
            (Some(expected), Some(found)) if expected != found => {
                Err(format!("expected sha1 {expected}, found {found}"))
            }
            _ => Ok(()),
        }
    }

    /// Compares the size alone, which costs no reading.
    pub(crate) fn check_size(&self, found_bytes: u64) -> Result<(), String> {
        if found_bytes == self.bytes {
            return Ok(());
        }
        Err(format!("expected {} bytes, found {found_bytes}", self.bytes))
    }

    /// Hashes the file and compares. The outer error is the operating system's, the inner one the difference.
    pub(crate) fn check_file(
        &self,
        path: &Path,
        what: &str,
        report: &mut Report<'_>,
    ) -> Result<Result<(), String>, ModelError> {
        let size = std::fs::metadata(path).map_err(ModelError::io("read", path))?.len();
        if let Err(difference) = self.check_size(size) {
            return Ok(Err(difference));
        }
        let found = hash_file(path, what, self.sha1.is_some(), report)?;
        Ok(self.check(&found))
    }
}

/// Hashes a whole file.
pub(crate) fn hash_file(
    path: &Path,
    what: &str,
    with_sha1: bool,
    report: &mut Report<'_>,
) -> Result<FileDigest, ModelError> {
    let mut file = File::open(path).map_err(ModelError::io("read", path))?;
    let total_bytes = file.metadata().map_err(ModelError::io("read", path))?.len();
    let mut counter = Counter::new(Activity::Verify, what, 0, Some(total_bytes), report);
    let mut sha256 = Sha256::new();
    let mut sha1 = with_sha1.then(Sha1::new);
    let mut buffer = vec![0u8; HASH_BUFFER_BYTES];
    let mut bytes = 0u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ModelError::io("read", path)(error)),
        };
        sha256.update(&buffer[..read]);
        if let Some(sha1) = &mut sha1 {
            sha1.update(&buffer[..read]);
        }
        bytes += read as u64;
        counter.add(read);
    }
    Ok(FileDigest { bytes, sha256: hex(&sha256.finalize()), sha1: sha1.map(|sha1| hex(&sha1.finalize())) })
}

/// SHA-256 of some bytes, in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_published_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_file_of_the_right_size_and_the_wrong_content_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"abd").unwrap();
        let sha256 = sha256_hex(b"abc");
        let expected = Expected { bytes: 3, sha256: &sha256, sha1: None };
        let difference = expected.check_file(&path, "f", &mut |_| {}).unwrap().unwrap_err();
        assert!(difference.contains(&sha256), "{difference}");
        std::fs::write(&path, b"abc").unwrap();
        expected.check_file(&path, "f", &mut |_| {}).unwrap().unwrap();
    }

    #[test]
    fn the_published_sha1_is_checked_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        let sha256 = sha256_hex(b"abc");
        let right =
            Expected { bytes: 3, sha256: &sha256, sha1: Some("a9993e364706816aba3e25717850c26c9cd0d89d") };
        right.check_file(&path, "f", &mut |_| {}).unwrap().unwrap();
        let wrong = Expected { sha1: Some("0000000000000000000000000000000000000000"), ..right };
        assert!(wrong.check_file(&path, "f", &mut |_| {}).unwrap().is_err());
    }
}
