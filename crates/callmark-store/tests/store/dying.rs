//! A process that dies at a step: this very test program, started again with the step to die at.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const DIRECTORY: &str = "CALLMARK_STORE_TEST_CRASH_DIRECTORY";
const STEP: &str = "CALLMARK_STORE_TEST_CRASH_STEP";
const OCCURRENCE: &str = "CALLMARK_STORE_TEST_CRASH_OCCURRENCE";

/// A directory in memory where there is such a place: a process that dies loses no more there than on a disk, and
/// the many files of these tests need not wait for one.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs `test` as a child that dies at a step's `occurrence`; whether it got to the end.
pub(crate) fn run_child(test: &str, dir: &Path, step: impl Debug, occurrence: u32) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, dir)
        .env(STEP, format!("{step:?}"))
        .env(OCCURRENCE, occurrence.to_string())
        .output()
        .unwrap();
    let aborted = std::os::unix::process::ExitStatusExt::signal(&output.status).is_some();
    assert!(aborted || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    !aborted
}

/// In the child: the directory, and what dies at the step; nothing in an ordinary run.
pub(crate) fn in_child<S: Debug>() -> Option<(OsString, impl FnMut(S) + Send + 'static)> {
    let directory = std::env::var_os(DIRECTORY)?;
    let step = std::env::var(STEP).unwrap();
    let mut left: u32 = std::env::var(OCCURRENCE).unwrap().parse().unwrap();
    let die = move |reached: S| {
        if format!("{reached:?}") == step {
            left -= 1;
            if left == 0 {
                std::process::abort();
            }
        }
    };
    Some((directory, die))
}
