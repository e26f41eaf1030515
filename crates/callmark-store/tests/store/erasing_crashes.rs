//! Whoever dies at any step of an erasure leaves the old dataset or the new one to the next who opens it, and readers of a
//! plain glob never see a call that stays less or more than once.
//!
//! The process that dies is this very test program, started again with the step to die at.

use crate::dying::{directory, in_child, run_child};
use crate::erasing::{ERASED, KEPT, beside, build, letters_left, selection};
use crate::reading::{glob, read_dataset, read_file};
use crate::round_trip::tree;
use crate::samples::sample_call;
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use callmark_store::{
    Dataset, EraseStep, Erased, Problem, SourceId, StreamPartition, Table, calls_of_rows, check, erase,
};
use callmark_types::ScoredCall;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;

const CHILD: &str = "erasing_crashes::child_that_dies_at_a_step_of_an_erasure";

/// The part of the child process; in an ordinary run there is no directory and nothing to do.
#[test]
fn child_that_dies_at_a_step_of_an_erasure() {
    let Some((directory, mut die)) = in_child::<EraseStep>() else { return };
    erase(Path::new(&directory), &selection(), &mut |_| Ok(()), &mut die).unwrap();
}

/// The same files in a folder of its own.
fn copy_of(files: &BTreeMap<String, Vec<u8>>) -> TempDir {
    let dir = directory();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// What a reader of the plain glob sees: every call that stays once, with its turns and events, and an erased one whole or
/// without its row of `calls`. Rows of an erased call whose row of `calls` is gone may be there still.
fn assert_whole(dir: &Path) {
    let [calls, turns, events] = Table::ALL.map(|table| {
        let files = glob(dir, table);
        files.iter().flat_map(|path| read_file(File::open(path).unwrap())).collect::<Vec<RecordBatch>>()
    });
    let id_of = |batch: &RecordBatch| -> Vec<String> {
        batch
            .column_by_name("call_id")
            .unwrap()
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    };
    let seen: BTreeSet<String> = calls.iter().flat_map(id_of).collect();
    let of_seen = |batches: Vec<RecordBatch>| -> Vec<RecordBatch> {
        let filtered = batches.iter().map(|batch| {
            let mask: BooleanArray = id_of(batch).iter().map(|id| Some(seen.contains(id))).collect();
            arrow::compute::filter_record_batch(batch, &mask).unwrap()
        });
        filtered.collect()
    };
    let found = calls_of_rows(&calls, &of_seen(turns), &of_seen(events)).unwrap();
    let mut numbers = BTreeSet::new();
    for call in &found {
        let number = KEPT.into_iter().chain(ERASED).find(|number| sample_call(*number) == *call);
        assert!(numbers.insert(number.expect("a call that is whole")), "a call is there twice");
    }
    assert!(KEPT.iter().all(|number| numbers.contains(number)), "{numbers:?}");
}

fn sorted(dir: &Path) -> Vec<ScoredCall> {
    let mut calls = read_dataset(dir);
    calls.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    calls
}

fn calls_of(numbers: impl IntoIterator<Item = u32>) -> Vec<ScoredCall> {
    let mut calls: Vec<ScoredCall> = numbers.into_iter().map(sample_call).collect();
    calls.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    calls
}

fn erase_here(dir: &Path) -> Erased {
    erase(dir, &selection(), &mut |_| Ok(()), &mut |_| {}).unwrap()
}

fn is_decided(step: EraseStep) -> bool {
    let order = |step| EraseStep::ALL.iter().position(|s| *s == step).unwrap();
    order(step) >= order(EraseStep::PlanNamed)
}

/// Opens the dataset as its next user does.
fn open_as(who: u32, dir: &Path) -> bool {
    match who % 3 {
        0 => Dataset::open_for_writing(dir).unwrap().1.finished_erasure,
        1 => {
            let source = SourceId::new("calls.recordings", "7").unwrap();
            StreamPartition::open(dir, source).unwrap().1.finished_erasure
        }
        _ => erase_here(dir).finished_earlier,
    }
}

#[test]
fn whoever_dies_at_any_step_leaves_the_old_dataset_or_the_new_one() {
    let original = build();
    let before = tree(original.path());
    let undisturbed = {
        let dir = copy_of(&before);
        assert_eq!(erase_here(dir.path()).call_ids.len(), ERASED.len() + 1, "one is a dead letter only");
        tree(dir.path())
    };
    for step in EraseStep::ALL {
        let mut crashes = 0;
        for occurrence in 1.. {
            let dir = copy_of(&before);
            let dir = dir.path();
            if run_child(CHILD, dir, step, occurrence) {
                break;
            }
            crashes += 1;
            assert_whole(dir);
            let cut_short = dir.join("_erasure/plan.json").exists();
            assert_eq!(cut_short, is_decided(step) && step != EraseStep::PlanRemoved, "{step:?}");
            let problems = check(dir).unwrap().problems;
            if cut_short {
                assert_eq!(problems, [Problem::UnfinishedErasure], "{step:?}");
            } else {
                let is_leftover =
                    |p: &Problem| matches!(p, Problem::Leftover { path } if path.starts_with("_erasure/"));
                assert!(problems.iter().all(is_leftover), "{step:?} {problems:?}");
            }
            let who = crashes + step as u32;
            assert_eq!(open_as(who, dir), cut_short, "{step:?}");
            if is_decided(step) || who % 3 == 2 {
                assert_eq!(sorted(dir), calls_of(KEPT), "{step:?} {occurrence}");
            } else {
                assert_eq!(sorted(dir), calls_of(KEPT.into_iter().chain(ERASED)), "{step:?} {occurrence}");
            }
            erase_here(dir);
            let found = tree(dir);
            assert_eq!(found.keys().collect::<Vec<_>>(), undisturbed.keys().collect::<Vec<_>>(), "{step:?}");
            assert!(
                found == undisturbed,
                "{step:?}: a file has other bytes than after an undisturbed erasure"
            );
            assert!(check(dir).unwrap().is_consistent());
        }
        assert!(crashes > 0, "{step:?} was never reached");
    }
}

#[test]
fn whoever_dies_again_and_again_gets_to_the_same_end() {
    let original = build();
    let before = tree(original.path());
    for step in EraseStep::ALL {
        let dir = copy_of(&before);
        for _ in 0..4 {
            if run_child(CHILD, dir.path(), step, 2) {
                break;
            }
            assert_whole(dir.path());
        }
        erase_here(dir.path());
        assert_eq!(sorted(dir.path()), calls_of(KEPT));
        assert!(check(dir.path()).unwrap().is_consistent());
        assert_eq!(letters_left(dir.path()), 1);
        assert!(!beside(dir.path()).contains("customer-1"));
    }
}
