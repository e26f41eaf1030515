//! What every kind of place must do: one suite for a folder, a store in memory, and a real S3 server.

use crate::reading::{assemble, read_table};
use crate::samples::{sample_batch, sample_call, sample_key};
use callmark_store::{
    Batch, CommitStep, Dataset, DeadLetter, Location, SourceId, StoreError, StreamBatch, StreamPartition,
    Table, check, committed_files, dead_letters, read_commits, read_committed_file, table_files,
};
use callmark_types::{CallId, ScoredCall, SourcePosition};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

/// Offsets of the stream: one call each, but for the one that fails.
const OFFSETS: i64 = 12;
const FAILS_AT: i64 = 5;
/// Calls of the job over files, in batches of three.
const CALLS: u32 = 9;
/// Tries after which a writer that only ever loses gives up.
const MAX_TRIES: usize = 100;

/// A place where nothing is yet, and what has to live as long as it.
pub(crate) struct Fresh {
    pub(crate) location: Location,
    pub(crate) _folder: Option<tempfile::TempDir>,
}

/// Makes a place.
pub(crate) type Make = fn() -> Fresh;

fn partition_0() -> SourceId {
    SourceId::new("calls.recordings", "0").unwrap()
}

fn open(at: &Location) -> StreamPartition {
    StreamPartition::open(at, partition_0()).unwrap().0
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

fn write_the_rest(partition: &mut StreamPartition) {
    while partition.next_offset().unwrap_or(0) < OFFSETS {
        let next = partition.next_offset().unwrap_or(0);
        partition.commit(batch(next..=(next + 3).min(OFFSETS - 1))).unwrap();
    }
}

/// Every call in the committed files, in order of call id.
pub(crate) fn committed_calls(at: &Location) -> Vec<ScoredCall> {
    let rows = |table| {
        let files = committed_files(at, table).unwrap();
        files
            .iter()
            .flat_map(|file| read_table(read_committed_file(at, &file.path).unwrap().into()))
            .collect::<Vec<_>>()
    };
    let mut calls = assemble(&rows(Table::Calls), &rows(Table::Turns), &rows(Table::Events));
    calls.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    calls
}

/// The dataset holds these calls with all their rows, and nothing but what its commits name.
fn assert_whole(at: &Location, numbers: impl Iterator<Item = u32>) {
    let mut expected: Vec<ScoredCall> = numbers.map(sample_call).collect();
    expected.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    let found = committed_calls(at);
    let ids = |calls: &[ScoredCall]| -> Vec<CallId> {
        calls.iter().map(|call| call.record.call_id.clone()).collect()
    };
    assert_eq!(ids(&found), ids(&expected));
    assert!(found == expected, "a call has other rows than were committed");
    let report = check(at).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
    assert_a_glob_finds_what_is_committed(at);
}

fn assert_a_glob_finds_what_is_committed(at: &Location) {
    for table in Table::ALL {
        let glob: BTreeSet<String> = table_files(at, table)
            .unwrap()
            .into_iter()
            .map(|path| path.strip_prefix(at.as_path()).unwrap().to_str().unwrap().to_owned())
            .collect();
        let committed = committed_files(at, table).unwrap();
        assert_eq!(glob, committed.into_iter().map(|file| file.path).collect());
    }
}

fn assert_stream_is_whole(at: &Location) {
    assert_whole(at, (0..OFFSETS as u32).filter(|number| i64::from(*number) != FAILS_AT));
    assert_eq!(dead_letters::list(at).unwrap().len(), 1);
}

/// Runs `work` with a hook that panics when it comes to `step` for the `occurrence`th time: to whoever comes later
/// that is no other than a process that died there. Whether it died.
fn dies(step: CommitStep, occurrence: u32, work: impl FnOnce(Box<dyn FnMut(CommitStep) + Send>)) -> bool {
    let mut left = occurrence;
    let hook = move |reached| {
        if reached == step {
            left -= 1;
            assert!(left > 0, "dies here");
        }
    };
    catch_unwind(AssertUnwindSafe(|| work(Box::new(hook)))).is_err()
}

pub(crate) fn batches_of_files_are_in_the_tables_once(make: Make) {
    let place = make();
    let at = &place.location;
    let (mut dataset, recovery) = Dataset::open_for_writing(at).unwrap();
    assert!(recovery.is_clean());
    assert!(read_commits(at).unwrap().is_empty(), "a dataset without commits is one");
    let failed = DeadLetter { source: sample_call(7).record.source, ..letter(0) };
    let other = letter(1);
    dataset.commit(&Batch::of_files(Vec::new(), vec![failed.clone(), other.clone()])).unwrap();
    assert_eq!(dead_letters::list(at).unwrap().len(), 2);
    assert_eq!(dead_letters::payload(at, &failed.id()).unwrap(), failed.payload);
    write_files(&mut dataset);
    let letters = dead_letters::list(at).unwrap();
    assert_eq!(letters.iter().map(|letter| &letter.id).collect::<Vec<_>>(), [&other.id()]);
    let error = dataset.commit(&sample_batch(2..3)).unwrap_err();
    assert!(matches!(error, StoreError::AlreadyCommitted { .. }), "{error:?}");
    let totals = dataset.totals();
    drop(dataset);
    let (dataset, recovery) = Dataset::open_for_writing(at).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(dataset.totals(), totals);
    assert_eq!(dataset.committed_call(&sample_call(4).record.call_id), Some(&sample_key(4)));
    drop(dataset);
    assert!(dead_letters::remove(at, &other.id()).unwrap());
    assert!(!dead_letters::remove(at, &other.id()).unwrap());
    assert_whole(at, 0..CALLS);
}

fn write_files(dataset: &mut Dataset) {
    for first in (0..CALLS).step_by(3) {
        if !dataset.is_committed(&sample_key(first)) {
            dataset.commit(&sample_batch(first..first + 3)).unwrap();
        }
    }
}

pub(crate) fn a_place_that_is_no_dataset_is_said_to_be_none(make: Make) {
    let place = make();
    let error = read_commits(&place.location).unwrap_err();
    assert!(matches!(error, StoreError::NotADataset { .. }), "{error:?}");
    assert!(error.to_string().contains(place.location.as_path().to_str().unwrap()), "{error}");
    assert!(matches!(check(&place.location), Err(StoreError::NotADataset { .. })));
    assert!(dead_letters::list(&place.location).unwrap().is_empty());
}

pub(crate) fn a_writer_of_files_that_dies_at_any_step_is_recovered(make: Make) {
    for step in CommitStep::ALL {
        for occurrence in [1, 2] {
            let place = make();
            let at = &place.location;
            let died = dies(step, occurrence, |hook| {
                write_files(&mut Dataset::open_with_step_hook(at, hook).unwrap().0);
            });
            assert!(died || step_may_be_missing(step), "{step:?} is never reached");
            // Once to see what is left, once to see that nothing is.
            write_files(&mut Dataset::open_for_writing(at).unwrap().0);
            drop(Dataset::open_for_writing(at).unwrap());
            assert_whole(at, 0..CALLS);
        }
    }
}

/// An object store has nothing to publish; an undisturbed run leaves nothing over.
fn step_may_be_missing(step: CommitStep) -> bool {
    matches!(step, CommitStep::FilePublished | CommitStep::PublishedSynced | CommitStep::LeftoverRemoved)
}

pub(crate) fn of_many_writers_of_files_each_batch_has_one(make: Make) {
    let place = make();
    let write = || {
        for _ in 0..MAX_TRIES {
            let opened = Dataset::open_for_writing(&place.location);
            let mut dataset = match opened {
                Ok((dataset, _)) => dataset,
                Err(StoreError::Locked { .. }) => {
                    thread::yield_now();
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            };
            let missing = (0..CALLS).filter(|call| !dataset.is_committed(&sample_key(*call)));
            let Some(next) = missing.min() else { return };
            match dataset.commit(&sample_batch(next..next + 1)) {
                Ok(_) | Err(StoreError::LostRace { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(write);
        }
    });
    write_singly(&mut Dataset::open_for_writing(&place.location).unwrap().0);
    assert_whole(&place.location, 0..CALLS);
}

fn write_singly(dataset: &mut Dataset) {
    for call in (0..CALLS).filter(|call| !dataset.is_committed(&sample_key(*call))).collect::<Vec<_>>() {
        dataset.commit(&sample_batch(call..call + 1)).unwrap();
    }
}

pub(crate) fn a_partition_is_one_chain_and_remembers_positions(make: Make) {
    let place = make();
    let at = &place.location;
    let mut partition = open(at);
    assert_eq!(partition.next_offset(), None);
    partition.commit(batch(0..=1)).unwrap();
    let positions = BTreeMap::from([("calls.events/0".to_owned(), 17)]);
    let stays = StreamBatch { last: 1, ..batch(2..=2) };
    partition.commit_with_positions(stays, positions.clone()).unwrap();
    let mut again = open(at);
    assert_eq!((again.next_offset(), again.positions()), (Some(2), &positions));
    assert_eq!(again.committed_call(&sample_call(2).record.call_id), Some(&sample_key(2)));
    again.commit(batch(3..=4)).unwrap();
    again.commit(batch(FAILS_AT..=FAILS_AT)).unwrap();
    assert_eq!(open(at).next_offset(), Some(FAILS_AT + 1));
    let error = partition.commit(batch(2..=3)).unwrap_err();
    assert!(matches!(error, StoreError::LostRace { .. }), "{error:?}");
    assert!(matches!(partition.commit(batch(2..=3)), Err(StoreError::MustReopen { .. })));
    write_the_rest(&mut open(at));
    assert_stream_is_whole(at);
}

pub(crate) fn a_worker_that_dies_at_any_step_leaves_a_chain_that_another_continues(make: Make) {
    for step in CommitStep::ALL {
        for occurrence in [1, 2] {
            let place = make();
            let at = &place.location;
            let died = dies(step, occurrence, |hook| {
                let (mut partition, _) =
                    StreamPartition::open_with_step_hook(at, partition_0(), hook).unwrap();
                write_the_rest(&mut partition);
            });
            assert!(died || step_may_be_missing(step), "{step:?} is never reached");
            write_the_rest(&mut open(at));
            drop(open(at));
            assert_stream_is_whole(at);
        }
    }
}

pub(crate) fn an_attempt_that_may_still_win_is_kept_until_it_is_beaten(make: Make) {
    let place = make();
    let at = &place.location;
    open(at).commit(batch(0..=1)).unwrap();
    let (reached, staged) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let slow = scope.spawn(move || {
            let hook = move |step| {
                if step == CommitStep::StagingSynced {
                    reached.send(()).unwrap();
                    gate.recv().unwrap();
                }
            };
            let (mut slow, _) = StreamPartition::open_with_step_hook(at, partition_0(), hook).unwrap();
            slow.commit(batch(2..=3))
        });
        staged.recv().unwrap();
        drop(open(at));
        go_on.send(()).unwrap();
        slow.join().unwrap().unwrap();
    });
    write_the_rest(&mut open(at));
    assert_stream_is_whole(at);
}

pub(crate) fn a_worker_that_was_beaten_and_dies_while_it_writes_leaves_nothing(make: Make) {
    let place = make();
    let at = &place.location;
    open(at).commit(batch(0..=1)).unwrap();
    let (reached, begun) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let slow = scope.spawn(move || {
            let mut paused = false;
            let hook = move |step| {
                if step == CommitStep::IntentWritten && !paused {
                    paused = true;
                    reached.send(()).unwrap();
                    gate.recv().unwrap();
                }
                assert!(step != CommitStep::StagingSynced, "dies with all files written");
            };
            let (mut slow, _) = StreamPartition::open_with_step_hook(at, partition_0(), hook).unwrap();
            catch_unwind(AssertUnwindSafe(|| slow.commit(batch(2..=3)))).is_err()
        });
        begun.recv().unwrap();
        open(at).commit(batch(2..=4)).unwrap();
        go_on.send(()).unwrap();
        assert!(slow.join().unwrap(), "it died");
    });
    assert!(!check(at).unwrap().is_consistent(), "its files lie about");
    write_the_rest(&mut open(at));
    assert_stream_is_whole(at);
}

pub(crate) fn of_many_workers_that_take_themselves_for_the_owner_one_wins_each_batch(make: Make) {
    let place = make();
    let at = &place.location;
    let work = || {
        let mut partition = open(at);
        while partition.next_offset().unwrap_or(0) < OFFSETS {
            let next = partition.next_offset().unwrap_or(0);
            match partition.commit(batch(next..=next)) {
                Ok(_) => {}
                Err(StoreError::LostRace { .. }) => partition = open(at),
                // Its files went to recovery by a winner that was quicker: no more than a lost race.
                Err(_) if at.folder().is_some() => partition = open(at),
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    drop(open(at));
    assert_stream_is_whole(at);
}

/// The suite for one kind of place.
macro_rules! suite {
    ($place:ident, $make:expr $(, $attribute:meta)?) => {
        $crate::conformance::suite!(@tests $place, $make, ($($attribute)?),
            batches_of_files_are_in_the_tables_once
            a_place_that_is_no_dataset_is_said_to_be_none
            a_writer_of_files_that_dies_at_any_step_is_recovered
            of_many_writers_of_files_each_batch_has_one
            a_partition_is_one_chain_and_remembers_positions
            a_worker_that_dies_at_any_step_leaves_a_chain_that_another_continues
            an_attempt_that_may_still_win_is_kept_until_it_is_beaten
            a_worker_that_was_beaten_and_dies_while_it_writes_leaves_nothing
            of_many_workers_that_take_themselves_for_the_owner_one_wins_each_batch
        );
    };
    (@tests $place:ident, $make:expr, $attribute:tt, $($case:ident)*) => {
        mod $place {
            $( $crate::conformance::suite!(@test $make, $attribute, $case); )*
        }
    };
    (@test $make:expr, ($($attribute:meta)?), $case:ident) => {
        #[test]
        $(#[$attribute])?
        fn $case() {
            $crate::conformance::$case($make);
        }
    };
}
pub(crate) use suite;

pub(crate) fn folder() -> Fresh {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    Fresh { location: Location::from(folder.path().join("calls")), _folder: Some(folder) }
}

pub(crate) fn memory() -> Fresh {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Fresh { location: Location::from(format!("memory://test-{number}/team/calls")), _folder: None }
}

suite!(in_a_folder, crate::conformance::folder);
suite!(in_memory, crate::conformance::memory);
