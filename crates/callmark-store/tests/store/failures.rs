//! A disk that fills up, a second writer, a wrong directory: one clear error each, and nothing partial.

use crate::reading::{glob, read_dataset};
use crate::samples::{sample_batch, sample_call, sample_key};
use callmark_store::{Batch, Dataset, SourceId, SourceKey, StoreError, Table, check, read_commits};
use callmark_types::CallId;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

const DIRECTORY: &str = "CALLMARK_STORE_TEST_FULL_DIRECTORY";
const BIG_BATCH_CALLS: u32 = 500;

/// Runs a test of this program in a shell after `preparation`, with `$DIR` as its directory.
fn run_child_in_shell(launcher: &[&str], preparation: &str, test: &str, dir: &Path) -> Output {
    let script = format!("{preparation} && exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    command.env(DIRECTORY, dir).env("DIR", dir).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A batch of some four megabytes that no compression makes smaller, in one file a table.
fn big_batch() -> Batch {
    let mut batch = sample_batch(0..BIG_BATCH_CALLS);
    for (call, entry) in batch.calls.iter_mut().zip(&batch.entries) {
        call.record.started_at = None;
        let noise = (0..256)
            .map(|part| SourceKey::of_parts(&[entry.call_id.as_str(), &part.to_string()]).to_string());
        call.record.customer_key = Some(noise.collect());
    }
    batch
}

fn assert_nothing_partial(dir: &Path, committed_calls: usize) {
    assert_eq!(read_dataset(dir).len(), committed_calls);
    let report = check(dir).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

/// The part of the child of the test below, under a limit on the size of files.
#[test]
fn child_under_a_file_size_limit() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    let (mut dataset, _) = Dataset::open_for_writing(dir).unwrap();
    dataset.commit(&sample_batch(3000..3003)).unwrap();
    let error = dataset.commit(&big_batch()).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.is_failure_of_surroundings());
    let message = error.to_string();
    assert!(
        message.starts_with("no space left while trying to write ") && message.contains("_staging/"),
        "{message}"
    );
    assert!(!dataset.is_committed(&sample_key(0)));
    dataset.commit(&sample_batch(3003..3005)).unwrap();
}

#[test]
fn a_file_that_cannot_grow_fails_its_batch_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_child_in_shell(
        &["env"],
        "trap '' XFSZ && ulimit -f 1000",
        "failures::child_under_a_file_size_limit",
        dir.path(),
    );
    assert!(output.status.success(), "{}", text(&output));
    assert_nothing_partial(dir.path(), 5);
    let (mut dataset, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    dataset.commit(&big_batch()).unwrap();
    drop(dataset);
    assert_nothing_partial(dir.path(), BIG_BATCH_CALLS as usize + 5);
}

/// The part of the child of the test below, on a file system of two megabytes that is its own.
#[test]
fn child_on_a_small_disk() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    let out = dir.join("out");
    let (mut dataset, _) = Dataset::open_for_writing(&out).unwrap();
    dataset.commit(&sample_batch(3000..3003)).unwrap();
    let ballast = dir.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    let full = loop {
        if let Err(error) = file.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    for batch in [big_batch(), sample_batch(3003..3005)] {
        let error = dataset.commit(&batch).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    }
    assert_eq!(read_dataset(&out).len(), 3);
    drop(file);
    fs::remove_file(&ballast).unwrap();
    dataset.commit(&sample_batch(3003..3005)).unwrap();
    drop(dataset);
    assert_nothing_partial(&out, 5);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(dir).status().unwrap();
    assert!(remounted.success());
    let error = Dataset::open_for_writing(&out).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_nothing_partial(&out, 5);
}

#[test]
fn a_disk_that_is_full_fails_the_batch_and_freeing_space_is_enough_to_go_on() {
    let may_mount =
        Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !may_mount {
        eprintln!("skipped: this machine lets nobody mount a small file system (unshare -rm)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run_child_in_shell(
        &["unshare", "-rm"],
        "mount -t tmpfs -o size=2m tmpfs \"$DIR\"",
        "failures::child_on_a_small_disk",
        dir.path(),
    );
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_second_writer_is_told_who_holds_the_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let error = Dataset::open_for_writing(dir.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Locked { owner: Some(pid), .. } if *pid == std::process::id()),
        "{error:?}"
    );
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(check(dir.path()).unwrap().writer_active);
    drop(dataset);
    assert!(!check(dir.path()).unwrap().writer_active);
    Dataset::open_for_writing(dir.path()).unwrap();
}

#[test]
fn an_output_that_is_a_file_or_lies_below_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "mine").unwrap();
    let error = Dataset::open_for_writing(&file).unwrap_err();
    assert!(matches!(error, StoreError::NotADirectory { .. }), "{error:?}");
    let error = Dataset::open_for_writing(file.join("out")).unwrap_err();
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn tables_of_somebody_else_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("calls")).unwrap();
    fs::write(dir.path().join("calls/data.parquet"), "theirs").unwrap();
    let error = Dataset::open_for_writing(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::ForeignData { .. }), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(matches!(read_commits(dir.path()), Err(StoreError::NotADataset { .. })));
    assert!(matches!(check(dir.path()), Err(StoreError::NotADataset { .. })));
}

#[test]
fn a_call_that_is_committed_is_refused_under_any_key() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    dataset.commit(&sample_batch(0..3)).unwrap();
    let call = sample_call(1);
    let id = call.record.call_id.clone();
    assert_eq!(dataset.committed_call(&id), Some(&sample_key(1)));
    let other_recording = SourceKey::of_file(&id, "another digest");
    for key in [sample_key(1), other_recording] {
        let error = dataset.commit(&Batch::of_files(vec![(key, call.clone())], Vec::new())).unwrap_err();
        assert!(matches!(&error, StoreError::AlreadyCommitted { call_id } if *call_id == id), "{error:?}");
    }
    assert_eq!(dataset.totals().calls, 3);
    drop(dataset);
    assert_nothing_partial(dir.path(), 3);
}

#[test]
fn a_batch_that_contradicts_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let good = sample_batch(1..4);
    let mut twice = good.clone();
    twice.entries[1] = twice.entries[0].clone();
    twice.calls[1] = twice.calls[0].clone();
    let mut unnamed = good.clone();
    unnamed.entries.pop();
    let mut misplaced = good.clone();
    misplaced.entries[0].call_id = CallId::new("another").unwrap();
    let mut unscored = good.clone();
    unscored.calls[0].turn_sentiment.clear();
    let mut numbered = good.clone();
    numbered.calls[0].turns[0].index = u32::MAX;
    let mut escaping = good.clone();
    escaping.first = "../../elsewhere".to_owned();
    for batch in [twice, unnamed, misplaced, unscored, numbered, escaping] {
        let error = dataset.commit(&batch).unwrap_err();
        assert!(matches!(error, StoreError::InvalidBatch { .. }), "{error:?}");
    }
    for (source, partition) in [("..", "0"), ("calls", "a/b"), ("", "0"), ("calls", "")] {
        assert!(SourceId::new(source, partition).is_err(), "{source}/{partition}");
    }
    assert!(glob(dir.path(), Table::Calls).is_empty());
    dataset.commit(&good).unwrap();
}

#[test]
fn a_record_of_a_later_format_or_a_damaged_one_stops_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    dataset.commit(&sample_batch(0..2)).unwrap();
    drop(dataset);
    let later = dir.path().join("_commits/files/0/later.json");
    fs::write(&later, br#"{"format": 99, "unheard_of": true}"#).unwrap();
    let error = Dataset::open_for_writing(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 99, .. }), "{error:?}");
    fs::write(&later, br#"{"format": 1, "sour"#).unwrap();
    let error = Dataset::open_for_writing(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::DamagedRecord { .. }), "{error:?}");
    fs::remove_file(&later).unwrap();
    let (dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    assert_eq!(dataset.totals().calls, 2);
}

#[test]
fn another_writers_commit_of_the_same_batch_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let batch = sample_batch(0..2);
    let record = dir.path().join(format!("_commits/files/0/{}.json", batch.first));
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    fs::write(&record, "theirs").unwrap();
    let error = dataset.commit(&batch).unwrap_err();
    assert!(matches!(error, StoreError::LostRace { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&record).unwrap(), "theirs");
    assert!(glob(dir.path(), Table::Calls).is_empty());
    assert_eq!(fs::read_dir(dir.path().join("_staging")).unwrap().count(), 0);
}
