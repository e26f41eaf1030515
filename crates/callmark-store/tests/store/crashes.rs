//! A writer that dies at any step loses nothing, doubles nothing and shows no reader half a file.
//!
//! The writer is this very test program, started again with the step to die at.

use crate::dying::{directory, in_child, run_child};
use crate::reading::{glob, read_dataset, read_file};
use crate::round_trip::tree;
use crate::samples::{sample_batch, sample_call};
use callmark_store::{Batch, CommitStep, Dataset, DeadLetter, Table, check, read_commits};
use callmark_types::ScoredCall;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

const CHILD: &str = "crashes::child_that_dies_at_a_step";

/// The job: three batches over several days; the first has a dead letter, which the last one's success settles.
fn job() -> Vec<Batch> {
    let mut batches = vec![sample_batch(0..4), sample_batch(4..5), sample_batch(5..9)];
    batches[0].dead_letters = vec![failed(7), failed(100)];
    batches
}

fn failed(number: u32) -> DeadLetter {
    let call = sample_call(number).record;
    DeadLetter {
        source: call.source,
        call_id: Some(call.call_id),
        stage: "decode".to_owned(),
        reason: "the file ends in its header".to_owned(),
        attempts: 1,
        metadata_uri: None,
        first_seen: None,
        payload: Some(vec![number as u8; 100]),
        envelope: None,
    }
}

fn write_what_is_missing(dataset: &mut Dataset) {
    for batch in job() {
        if !dataset.is_committed(&batch.entries[0].key) {
            dataset.commit(&batch).unwrap();
        }
    }
}

/// The part of the child process; in an ordinary run there is no directory and nothing to do.
#[test]
fn child_that_dies_at_a_step() {
    let Some((directory, die)) = in_child::<CommitStep>() else { return };
    let (mut dataset, _) = Dataset::open_with_step_hook(Path::new(&directory), die).unwrap();
    write_what_is_missing(&mut dataset);
}

/// What a reader sees at this moment is whole files of committed batches, no call twice.
fn assert_readable(dir: &Path) {
    let committed: BTreeSet<String> = read_commits(dir)
        .unwrap()
        .into_iter()
        .flat_map(|record| record.files)
        .map(|file| file.path)
        .collect();
    let mut calls = BTreeSet::new();
    for table in Table::ALL {
        for path in glob(dir, table) {
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap();
            assert!(committed.contains(name), "{name} is visible but not committed");
            for batch in read_file(File::open(&path).unwrap()) {
                if table == Table::Calls {
                    let ids =
                        arrow::array::AsArray::as_string::<i32>(batch.column_by_name("call_id").unwrap());
                    for id in ids {
                        assert!(calls.insert(id.unwrap().to_owned()), "{id:?} is visible twice");
                    }
                }
            }
        }
    }
}

/// Everything on disk is what an undisturbed run leaves, but for empty directories.
fn assert_equals_an_undisturbed_run(dir: &Path, undisturbed: &BTreeMap<String, Vec<u8>>) {
    let found = tree(dir);
    let names: (Vec<_>, Vec<_>) = (found.keys().collect(), undisturbed.keys().collect());
    assert_eq!(names.0, names.1);
    assert!(&found == undisturbed, "a file has other bytes than in an undisturbed run");
    let report = check(dir).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

fn undisturbed_run() -> BTreeMap<String, Vec<u8>> {
    let dir = directory();
    write_what_is_missing(&mut Dataset::open_for_writing(dir.path()).unwrap().0);
    let mut calls = read_dataset(dir.path());
    calls.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    let expected: Vec<ScoredCall> = (0..9).map(sample_call).collect();
    assert_eq!(calls, expected);
    let left = tree(dir.path());
    assert_eq!(
        left.keys().filter(|name| name.starts_with("_dead_letters/")).count(),
        2,
        "one record, one payload"
    );
    left
}

#[test]
fn a_writer_killed_at_any_step_and_started_again_leaves_what_an_undisturbed_one_leaves() {
    let undisturbed = undisturbed_run();
    for step in CommitStep::ALL {
        let mut crashes = 0;
        for occurrence in 1.. {
            let dir = directory();
            if run_child(CHILD, dir.path(), step, occurrence) {
                break;
            }
            crashes += 1;
            assert_readable(dir.path());
            write_what_is_missing(&mut Dataset::open_for_writing(dir.path()).unwrap().0);
            assert_equals_an_undisturbed_run(dir.path(), &undisturbed);
        }
        assert_eq!(crashes > 0, step != CommitStep::LeftoverRemoved, "{step:?} was reached {crashes} times");
    }
}

#[test]
fn a_writer_killed_again_and_again_at_the_same_step_gets_to_the_same_end() {
    let undisturbed = undisturbed_run();
    for step in CommitStep::ALL {
        let dir = directory();
        for _ in 0..4 {
            if run_child(CHILD, dir.path(), step, 2) {
                break;
            }
            assert_readable(dir.path());
        }
        write_what_is_missing(&mut Dataset::open_for_writing(dir.path()).unwrap().0);
        assert_equals_an_undisturbed_run(dir.path(), &undisturbed);
    }
}

#[test]
fn a_writer_killed_during_recovery_is_recovered_in_turn() {
    let undisturbed = undisturbed_run();
    let mut died_in_recovery = 0;
    for (commit_step, occurrence) in [
        (CommitStep::FileStaged, 4),
        (CommitStep::StagingSynced, 1),
        (CommitStep::RecordWritten, 2),
        (CommitStep::RecordNamed, 1),
        (CommitStep::FilePublished, 2),
        (CommitStep::PublishedSynced, 1),
    ] {
        for recovery_step in [
            CommitStep::FilePublished,
            CommitStep::PublishedSynced,
            CommitStep::DeadLettersRemoved,
            CommitStep::IntentRemoved,
            CommitStep::LeftoverRemoved,
        ] {
            let dir = directory();
            assert!(!run_child(CHILD, dir.path(), commit_step, occurrence));
            died_in_recovery += u32::from(!run_child(CHILD, dir.path(), recovery_step, 1));
            assert_readable(dir.path());
            write_what_is_missing(&mut Dataset::open_for_writing(dir.path()).unwrap().0);
            assert_equals_an_undisturbed_run(dir.path(), &undisturbed);
        }
    }
    assert!(died_in_recovery >= 25, "only {died_in_recovery} of 30 writers died");
}

#[test]
fn half_written_files_of_a_lost_power_supply_are_removed() {
    let dir = directory();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    dataset.commit(&sample_batch(0..3)).unwrap();
    drop(dataset);
    let before = tree(dir.path());
    for garbage in [
        "_staging/calls.date=2026-09-14.part-files~0~abc~0.parquet",
        "_commits/files/0/abc.0.intent.json",
        "_commits/files/0/abc.0.intent.json.tmp",
        "_commits/files/0/abc.json.tmp",
        "_dead_letters/abc.bin",
        "_dead_letters/abc.json.tmp",
    ] {
        let path = dir.path().join(garbage);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"PAR1 half").unwrap();
    }
    assert_eq!(check(dir.path()).unwrap().problems.len(), 4);
    let (_, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert_eq!(recovery.removed_leftovers, 6);
    assert!(tree(dir.path()) == before);
}
