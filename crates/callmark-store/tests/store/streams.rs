//! A partition of a stream is one chain of commits, whoever writes it and whenever they die or wake up.
//!
//! The writer that dies is this very test program, started again with the step to die at.

use crate::dying::directory;
use crate::reading::{glob, read_dataset};
use crate::samples::{sample_call, sample_key};
use callmark_store::{
    CommitStep, Dataset, DeadLetter, SourceId, StoreError, StreamBatch, StreamPartition, Table, check,
    dead_letters, read_commits,
};
use callmark_types::{CallId, SourcePosition};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

const DIRECTORY: &str = "CALLMARK_STORE_TEST_STREAM_DIRECTORY";
const STEP: &str = "CALLMARK_STORE_TEST_STREAM_STEP";

/// Offsets of the stream: one call each, but for the one that fails.
const OFFSETS: i64 = 12;
const FAILS_AT: i64 = 5;

fn partition_0() -> SourceId {
    SourceId::new("calls.recordings", "0").unwrap()
}

fn open(dir: &Path) -> StreamPartition {
    StreamPartition::open(dir, partition_0()).unwrap().0
}

fn letter(offset: i64) -> DeadLetter {
    DeadLetter {
        source: SourcePosition {
            topic: Some("calls.recordings".to_owned()),
            partition: Some(0),
            offset: Some(offset),
            ..SourcePosition::default()
        },
        call_id: None,
        stage: "parse".to_owned(),
        reason: "not a JSON object".to_owned(),
        attempts: 1,
        first_seen: None,
        metadata_uri: None,
        payload: Some(vec![0xff, 0]),
        envelope: None,
    }
}

fn batch(offsets: RangeInclusive<i64>) -> StreamBatch {
    let last = *offsets.end();
    let good = offsets.clone().filter(|offset| *offset != FAILS_AT);
    StreamBatch {
        last,
        calls: good.map(|offset| (sample_key(offset as u32), sample_call(offset as u32))).collect(),
        dead_letters: offsets.filter(|offset| *offset == FAILS_AT).map(letter).collect(),
    }
}

/// Goes on where the dataset stops, in batches of four offsets.
fn write_the_rest(partition: &mut StreamPartition) {
    while partition.next_offset().unwrap_or(0) < OFFSETS {
        let next = partition.next_offset().unwrap_or(0);
        partition.commit(batch(next..=(next + 3).min(OFFSETS - 1))).unwrap();
    }
}

fn assert_whole(dir: &Path) {
    let mut ids: Vec<CallId> = read_dataset(dir).into_iter().map(|call| call.record.call_id).collect();
    ids.sort();
    let mut expected: Vec<CallId> = (0..OFFSETS)
        .filter(|offset| *offset != FAILS_AT)
        .map(|offset| sample_call(offset as u32).record.call_id)
        .collect();
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(dead_letters::list(dir).unwrap().len(), 1);
    let report = check(dir).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

#[test]
fn a_partition_goes_on_behind_its_last_commit() {
    let dir = directory();
    let mut partition = open(dir.path());
    assert_eq!(partition.next_offset(), None);
    // Offsets may have gaps, and a batch may settle them without a call.
    partition.commit(StreamBatch { last: 2, calls: Vec::new(), dead_letters: Vec::new() }).unwrap();
    partition.commit(batch(FAILS_AT..=FAILS_AT)).unwrap();
    partition.commit(batch(6..=8)).unwrap();
    let again = open(dir.path());
    assert_eq!(again.next_offset(), Some(9));
    assert_eq!(again.committed_call(&sample_call(7).record.call_id), Some(&sample_key(7)));
    assert_eq!(read_dataset(dir.path()).len(), 3);
    let names: Vec<String> = read_commits(dir.path()).unwrap().into_iter().map(|r| r.first).collect();
    assert_eq!(names, [0, 3, 6].map(|first| format!("{first:020}")));
    let other = StreamPartition::open(dir.path(), SourceId::new("calls.recordings", "1").unwrap()).unwrap().0;
    assert_eq!(other.next_offset(), None);
}

#[test]
fn a_partition_that_settled_nothing_yet_is_not_new_any_more() {
    let dir = directory();
    let mut partition = open(dir.path());
    assert!(partition.is_new());
    partition.commit(StreamBatch { last: -1, ..StreamBatch::default() }).unwrap();
    let partition = open(dir.path());
    assert_eq!((partition.is_new(), partition.next_offset()), (false, None));
}

#[test]
fn a_batch_that_ends_before_it_begins_is_refused() {
    let dir = directory();
    let mut partition = open(dir.path());
    partition.commit(batch(0..=3)).unwrap();
    let error = partition.commit(batch(1..=2)).unwrap_err();
    assert!(matches!(error, StoreError::InvalidBatch { .. }), "{error:?}");
}

#[test]
fn a_worker_that_wakes_up_after_it_lost_its_partition_changes_nothing() {
    let dir = directory();
    let mut paused = open(dir.path());
    paused.commit(batch(0..=1)).unwrap();
    let mut owner = open(dir.path());
    owner.commit(batch(2..=3)).unwrap();
    let error = paused.commit(batch(2..=7)).unwrap_err();
    assert!(matches!(error, StoreError::LostRace { .. }), "{error:?}");
    assert!(matches!(paused.commit(batch(2..=7)).unwrap_err(), StoreError::MustReopen { .. }));
    write_the_rest(&mut owner);
    assert_whole(dir.path());
    assert_eq!(open(dir.path()).next_offset(), Some(OFFSETS));
}

#[test]
fn of_many_workers_that_take_themselves_for_the_owner_one_wins_each_batch() {
    let dir = directory();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut partition = open(dir.path());
                while partition.next_offset().unwrap_or(0) < OFFSETS {
                    let next = partition.next_offset().unwrap_or(0);
                    if partition.commit(batch(next..=next)).is_err() {
                        partition = open(dir.path());
                    }
                }
            });
        }
    });
    drop(open(dir.path()));
    assert_whole(dir.path());
}

/// The part of the child process; in an ordinary run there is no directory and nothing to do.
#[test]
fn child_that_dies_at_a_step() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let step = std::env::var(STEP).unwrap();
    let die = move |reached: CommitStep| {
        if format!("{reached:?}") == step {
            std::process::abort();
        }
    };
    let dir = Path::new(&directory);
    let (mut partition, _) = StreamPartition::open_with_step_hook(dir, partition_0(), die).unwrap();
    write_the_rest(&mut partition);
}

#[test]
fn a_worker_killed_at_any_step_leaves_a_chain_that_another_one_continues() {
    for step in CommitStep::ALL {
        let dir = directory();
        open(dir.path()).commit(batch(0..=1)).unwrap();
        // A worker that is only slow: its intent and files must outlive the others until they are beaten.
        let slow = SlowWorker::before_its_commit(dir.path());
        for _ in 0..2 {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "streams::child_that_dies_at_a_step", "--nocapture"])
                .env(DIRECTORY, dir.path())
                .env(STEP, format!("{step:?}"))
                .output()
                .unwrap();
            let died = std::os::unix::process::ExitStatusExt::signal(&output.status).is_some();
            assert!(died || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        slow.assert_kept_or_beaten(dir.path());
        write_the_rest(&mut open(dir.path()));
        drop(open(dir.path()));
        assert_whole(dir.path());
        assert!(glob(dir.path(), Table::Calls).len() >= 3, "{step:?}");
    }
}

/// An attempt at the batch behind offset 1 that has staged its files and not come to its commit.
struct SlowWorker {
    staged: std::path::PathBuf,
}

impl SlowWorker {
    fn before_its_commit(dir: &Path) -> Self {
        let stop = |step| assert!(step != CommitStep::StagingSynced, "stops here");
        let attempt = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let (mut slow, _) =
                        StreamPartition::open_with_step_hook(dir, partition_0(), stop).unwrap();
                    slow.commit(batch(2..=3))
                })
                .join()
        });
        assert!(attempt.is_err(), "it stopped");
        let mut staged = std::fs::read_dir(dir.join("_staging")).unwrap();
        Self { staged: staged.next().unwrap().unwrap().path() }
    }

    fn assert_kept_or_beaten(&self, dir: &Path) {
        let beaten = read_commits(dir).unwrap().iter().any(|record| record.first == format!("{:020}", 2));
        assert!(beaten || self.staged.exists(), "removed before anybody won");
    }
}

#[test]
fn a_run_over_files_leaves_a_stream_that_is_written_meanwhile_alone() {
    let dir = directory();
    open(dir.path()).commit(batch(0..=1)).unwrap();
    let slow = SlowWorker::before_its_commit(dir.path());
    let (mut dataset, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert!(slow.staged.exists());
    assert_eq!(dataset.committed_call(&sample_call(1).record.call_id), Some(&sample_key(1)));
    dataset.commit(&crate::samples::sample_batch(20..22)).unwrap();
    drop(dataset);
    write_the_rest(&mut open(dir.path()));
    assert_eq!(read_dataset(dir.path()).len(), OFFSETS as usize - 1 + 2);
}
