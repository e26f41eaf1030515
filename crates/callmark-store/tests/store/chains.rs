//! Commits that settle no offset: rows of calls that are finished while an earlier one is still open.

use crate::reading::read_dataset;
use crate::samples::{sample_call, sample_key};
use callmark_store::{CommitStep, SourceId, StoreError, StreamBatch, StreamPartition, check, read_commits};
use std::collections::BTreeMap;
use std::path::Path;

fn open(dir: &Path) -> StreamPartition {
    StreamPartition::open(dir, SourceId::new("calls.audio", "3").unwrap()).unwrap().0
}

fn calls(numbers: &[u32], last: i64) -> StreamBatch {
    StreamBatch {
        last,
        calls: numbers.iter().map(|number| (sample_key(*number), sample_call(*number))).collect(),
        dead_letters: Vec::new(),
    }
}

fn positions(offset: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([("calls.events/3".to_owned(), offset)])
}

fn names(dir: &Path) -> Vec<String> {
    read_commits(dir).unwrap().into_iter().map(|record| record.first).collect()
}

#[test]
fn rows_are_committed_while_the_low_water_mark_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(dir.path());
    partition.commit(calls(&[1], 99)).unwrap();
    partition.commit(calls(&[2], 99)).unwrap();
    partition.commit(calls(&[3, 4], 99)).unwrap();
    assert_eq!(partition.next_offset(), Some(100));
    let mut again = open(dir.path());
    assert_eq!(again.next_offset(), Some(100));
    for number in 1..=4 {
        let id = sample_call(number).record.call_id;
        assert_eq!(again.committed_call(&id), Some(&sample_key(number)), "a replay knows call {number}");
    }
    again.commit(calls(&[5], 120)).unwrap();
    assert_eq!(open(dir.path()).next_offset(), Some(121));
    assert_eq!(read_dataset(dir.path()).len(), 5);
    let zero = format!("{:020}", 0);
    let hundred = format!("{:020}", 100);
    let expected = [zero, hundred.clone(), format!("{hundred}-000001"), format!("{hundred}-000002")];
    assert_eq!(names(dir.path()), expected);
    assert!(check(dir.path()).unwrap().is_consistent());
}

#[test]
fn a_partition_of_which_nothing_is_settled_says_so_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(dir.path());
    partition.commit(calls(&[1], -1)).unwrap();
    assert_eq!(partition.next_offset(), None);
    let mut again = open(dir.path());
    assert_eq!(again.next_offset(), None);
    again.commit(calls(&[2], -1)).unwrap();
    again.commit(calls(&[3], 7)).unwrap();
    assert_eq!(open(dir.path()).next_offset(), Some(8));
    assert_eq!(read_dataset(dir.path()).len(), 3);
}

#[test]
fn a_batch_that_would_unsettle_an_offset_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(dir.path());
    partition.commit(calls(&[1], 9)).unwrap();
    let error = partition.commit(calls(&[2], 8)).unwrap_err();
    assert!(matches!(error, StoreError::InvalidBatch { .. }), "{error:?}");
    assert_eq!(read_dataset(dir.path()).len(), 1);
}

#[test]
fn positions_of_companion_topics_are_committed_with_the_batch_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(dir.path());
    partition.commit_with_positions(calls(&[1], 9), positions(123)).unwrap();
    partition.commit(calls(&[2], 9)).unwrap();
    assert_eq!(open(dir.path()).positions(), &positions(123), "a commit without positions keeps them");
    partition.commit_with_positions(calls(&[3], 9), positions(130)).unwrap();
    let other = BTreeMap::from([("calls.events/4".to_owned(), 5)]);
    partition.commit_with_positions(calls(&[4], 12), other.clone()).unwrap();
    let mut both = positions(130);
    both.extend(other);
    assert_eq!(open(dir.path()).positions(), &both);
    let many = (0..2000).map(|number| (format!("calls.events/{number}"), 1)).collect();
    let error = partition.commit_with_positions(calls(&[5], 13), many).unwrap_err();
    assert!(matches!(error, StoreError::InvalidBatch { .. }), "{error:?}");
}

#[test]
fn of_many_workers_that_settle_nothing_one_wins_each_name() {
    const CALLS: u32 = 10;
    let dir = tempfile::tempdir().unwrap();
    let write = || {
        let mut partition = open(dir.path());
        let mut lost = 0;
        while let Some(number) =
            (0..CALLS).find(|n| partition.committed_call(&sample_call(*n).record.call_id).is_none())
        {
            match partition.commit(calls(&[number], -1)) {
                Ok(_) => {}
                Err(StoreError::LostRace { .. }) => {
                    lost += 1;
                    partition = open(dir.path());
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        lost
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(write);
        }
    });
    drop(open(dir.path()));
    assert_eq!(read_dataset(dir.path()).len(), CALLS as usize);
    assert_eq!(names(dir.path()).len(), CALLS as usize);
    let report = check(dir.path()).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

#[test]
fn a_worker_that_dies_at_any_step_of_a_commit_that_settles_nothing_is_recovered() {
    for step in CommitStep::ALL {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).commit(calls(&[0], 4)).unwrap();
        let attempt = std::panic::catch_unwind(|| {
            let source = SourceId::new("calls.audio", "3").unwrap();
            let die = move |reached| assert!(reached != step, "dies at {step:?}");
            let (mut partition, _) = StreamPartition::open_with_step_hook(dir.path(), source, die).unwrap();
            partition.commit_with_positions(calls(&[1], 4), positions(7)).unwrap();
        });
        assert_eq!(attempt.is_err(), step != CommitStep::LeftoverRemoved, "{step:?}");
        let mut again = open(dir.path());
        if again.committed_call(&sample_call(1).record.call_id).is_none() {
            assert!(again.positions().is_empty());
            again.commit_with_positions(calls(&[1], 4), positions(7)).unwrap();
        }
        again.commit(calls(&[2], 5)).unwrap();
        let last = open(dir.path());
        assert_eq!((last.next_offset(), last.positions()), (Some(6), &positions(7)));
        assert_eq!(read_dataset(dir.path()).len(), 3);
        let report = check(dir.path()).unwrap();
        assert!(report.is_consistent(), "{step:?}: {:?}", report.problems);
    }
}
