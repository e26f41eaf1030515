//! After an erasure the dataset is what it would be without the calls, nothing names them, and they do not come back.

use crate::reading::read_dataset;
use crate::round_trip::tree;
use crate::samples::{sample_batch, sample_call, sample_key};
use crate::strategies::scored_call;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use callmark_store::erase::{find, search};
use callmark_store::{
    Batch, CommitStep, Dataset, DeadLetter, Envelope, Selection, SourceId, SourceKey, StoreError,
    StreamBatch, StreamPartition, check, dead_letters, erase, read_calls, read_commits,
};
use callmark_types::{CallId, ScoredCall};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Calls of customer-1 in [`build`], and one more.
pub(crate) const ERASED: [u32; 5] = [1, 5, 9, 21, 2];
/// The others.
pub(crate) const KEPT: [u32; 9] = [0, 3, 4, 6, 7, 8, 20, 22, 23];

/// customer-1 with all of their calls, and call 2 of another.
pub(crate) fn selection() -> Selection {
    Selection {
        customer_keys: BTreeSet::from(["customer-1".to_owned()]),
        call_ids: BTreeSet::from([sample_call(2).record.call_id]),
        ..Selection::default()
    }
}

fn erase_calls(dir: &Path, selection: &Selection) -> callmark_store::Erased {
    erase(dir, selection, &mut |_| Ok(()), &mut |_| {}).unwrap()
}

fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<CallId> {
    numbers.into_iter().map(|number| sample_call(number).record.call_id).collect()
}

fn letter(number: u32, call_id: Option<CallId>, payload: &str) -> DeadLetter {
    DeadLetter {
        source: callmark_types::SourcePosition {
            uri: Some(format!("/in/{number}.json")),
            ..Default::default()
        },
        call_id,
        stage: "parse".to_owned(),
        reason: "not what it should be".to_owned(),
        attempts: 1,
        first_seen: None,
        metadata_uri: None,
        payload: Some(payload.as_bytes().to_vec()),
        envelope: Some(Envelope { key: Some(payload.as_bytes().to_vec()), headers: Vec::new() }),
    }
}

fn stream() -> SourceId {
    SourceId::new("calls.recordings", "0").unwrap()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// As other writers encode it.
fn large_texts<const N: usize>(texts: [&str; N]) -> ArrayRef {
    Arc::new(arrow::array::LargeStringArray::from(texts.to_vec()))
}

fn texts<const N: usize>(texts: [&str; N]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

/// A dataset of two sources over several days, with everything beside the tables that may name a call.
pub(crate) fn build() -> TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let mut first = sample_batch(0..4);
    first.dead_letters = vec![
        letter(1, Some(sample_call(1).record.call_id), "bytes"),
        letter(2, CallId::new("call-7001").ok(), "{\"customer_key\":\"customer-1\"}"),
        letter(3, CallId::new("call-7001").ok(), "nothing that tells"),
        letter(4, CallId::new("call-7002").ok(), "{\"customer_key\":\"customer-12\"}"),
    ];
    dataset.commit(&first).unwrap();
    dataset.commit(&sample_batch(5..6)).unwrap();
    let mut rest = sample_batch(4..10);
    rest.calls.remove(1);
    rest.entries.remove(1);
    dataset.commit(&rest).unwrap();
    drop(dataset);
    let (mut partition, _) = StreamPartition::open(dir.path(), stream()).unwrap();
    let calls = (20..24).map(|number| (sample_key(number), sample_call(number))).collect();
    partition.commit(StreamBatch { last: 3, calls, dead_letters: Vec::new() }).unwrap();

    let id = |number: u32| sample_call(number).record.call_id.to_string();
    let (one, three) = (id(1), id(3));
    let put = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("_spool/aa.json", format!("{{\"text\":\"{one}\"}}"));
    put("_rescore/changes.jsonl", format!("{{\"call_id\":\"{one}\"}}\n{{\"call_id\":\"{three}\"}}\n"));
    put("_rescore/report.half", one.clone());
    put("truth.json", "{\"calls\":9}".to_owned());
    let customers = || ("customer_key", texts(["customer-1", "customer-3"]));
    parquet(
        &dir.path().join("repeats/part-1.parquet"),
        vec![("call_id", texts([&one, &three])), customers()],
    );
    parquet(&dir.path().join("repeats/part-2.parquet"), vec![("call_id", texts([&three, &three]))]);
    let scores = Arc::new(Int64Array::from(vec![5, 7]));
    parquet(
        &dir.path().join("reviews.parquet"),
        vec![("call_id", large_texts([&one, &three])), ("score", scores)],
    );
    dir
}

pub(crate) fn letters_left(dir: &Path) -> usize {
    dead_letters::list(dir).unwrap().len()
}

/// Everything beside the tables, as text.
pub(crate) fn beside(dir: &Path) -> String {
    let files = tree(dir);
    let beside = files.iter().filter(|(name, _)| {
        !["calls/", "turns/", "events/", "_dead_letters/"].iter().any(|table| name.starts_with(table))
    });
    beside.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
}

#[test]
fn the_calls_go_from_every_file_and_the_rest_is_as_it_was() {
    let dir = build();
    let dir = dir.path();
    let before = read_dataset(dir);
    let all = ids(ERASED);
    let found = search(dir, &[], &all, &selection().customer_keys).unwrap();
    let has = |name: &str| found.found.iter().any(|path| path.to_str().unwrap().starts_with(name));
    for place in
        ["calls/", "turns/", "_commits/", "_dead_letters/", "_spool/", "_rescore/", "repeats/", "reviews"]
    {
        assert!(has(place), "{place} {:?}", found.found);
    }
    let would = find(dir, &selection()).unwrap();
    let untouched = tree(dir);
    let erased = erase_calls(dir, &selection());
    assert_eq!(would, erased);
    assert_ne!(untouched, tree(dir));

    let expected: BTreeSet<CallId> = all.iter().cloned().chain(CallId::new("call-7001").ok()).collect();
    assert_eq!(erased.call_ids.iter().cloned().collect::<BTreeSet<_>>(), expected);
    let turns = |numbers: &[u32]| numbers.iter().map(|n| sample_call(*n).turns.len() as u64).sum::<u64>();
    let events = |numbers: &[u32]| numbers.iter().map(|n| sample_call(*n).events.len() as u64).sum::<u64>();
    assert_eq!(
        (erased.rows.calls, erased.rows.turns, erased.rows.events),
        (5, turns(&ERASED), events(&ERASED))
    );
    assert!(erased.rewritten_files > 0 && erased.removed_files > 0, "{erased:?}");
    assert_eq!((erased.dead_letters.len(), letters_left(dir)), (3, 1));
    let uris = ERASED.iter().map(|n| sample_call(*n).record.source.uri.unwrap());
    let failed = [1, 2, 3].map(|n| format!("/in/{n}.json"));
    assert_eq!(erased.sources, uris.chain(failed).collect());
    assert_eq!(erased.rewritten_beside, ["_rescore/changes.jsonl", "reviews.parquet"]);
    assert_eq!(erased.removed_beside, ["_spool/aa.json", "_rescore/report.half", "repeats/part-1.parquet"]);

    let kept: Vec<ScoredCall> =
        before.into_iter().filter(|call| !all.contains(&call.record.call_id)).collect();
    assert_eq!(read_dataset(dir), kept, "what stays, in the order it had");
    let report = check(dir).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
    assert_eq!((report.calls, report.erased), (9, 6));
    let by_commit: Vec<ScoredCall> = read_commits(dir)
        .unwrap()
        .iter()
        .flat_map(|commit| read_calls(dir, commit).unwrap())
        .map(|(_, call)| call)
        .collect();
    assert_eq!(by_commit.len(), 9);
    let totals = Dataset::open_for_writing(dir).unwrap().0.totals();
    assert_eq!((totals.calls, totals.turns, totals.events), (9, turns(&KEPT), events(&KEPT)));

    let proof = search(dir, &[], &expected, &selection().customer_keys).unwrap();
    assert!(proof.is_clean(), "{proof:?}");
    assert_eq!(proof.files, tree(dir).len() as u64 + 1, "and the lock");
    assert!(!dir.join("_erasure").exists());
}

#[test]
fn an_erased_call_does_not_come_back_and_leaves_no_dead_letter() {
    let dir = build();
    let dir = dir.path();
    erase_calls(dir, &selection());
    let (mut dataset, recovery) = Dataset::open_for_writing(dir).unwrap();
    assert!(recovery.is_clean());
    for number in ERASED {
        let id = sample_call(number).record.call_id;
        assert!(dataset.is_committed(&sample_key(number)) && dataset.erased().has_call(&id));
        assert!(dataset.committed_call(&id).is_none());
        let other = (SourceKey::of_file(&id, "other content"), sample_call(number));
        for call in [(sample_key(number), sample_call(number)), other] {
            let refused = dataset.commit(&Batch::of_files(vec![call], Vec::new())).unwrap_err();
            assert!(matches!(refused, StoreError::AlreadyCommitted { .. }));
        }
    }
    assert!(dataset.is_committed(&sample_key(3)) && !dataset.is_committed(&sample_key(30)));
    let mut batch = sample_batch(30..31);
    batch.dead_letters = vec![letter(9, Some(sample_call(1).record.call_id), "x")];
    dataset.commit(&batch).unwrap();
    let (mut partition, _) = StreamPartition::open(dir, stream()).unwrap();
    assert!(
        partition.erased().has_key(&sample_key(21))
            && partition.erased().has_call(&ids([21]).pop_first().unwrap())
    );
    let dead = vec![letter(8, Some(sample_call(21).record.call_id), "x")];
    partition.commit(StreamBatch { last: 5, calls: Vec::new(), dead_letters: dead }).unwrap();
    assert_eq!(letters_left(dir), 1);
    assert!(search(dir, &[], &ids(ERASED), &BTreeSet::new()).unwrap().is_clean());
}

#[test]
fn nobodys_key_changes_nothing_and_a_second_erasure_knows_of_the_first() {
    let dir = build();
    let dir = dir.path();
    let before = tree(dir);
    let nobody = Selection {
        customer_keys: BTreeSet::from(["customer-99".to_owned()]),
        call_ids: BTreeSet::from([CallId::new("call-9999").unwrap()]),
        ..Selection::default()
    };
    let mut asked = false;
    let erased = erase(
        dir,
        &nobody,
        &mut |_| {
            asked = true;
            Ok(())
        },
        &mut |_| {},
    );
    let erased = erased.unwrap();
    assert!(erased.is_empty() && !asked);
    assert_eq!((erased.unknown_calls, erased.unknown_customers), (1, 1));
    assert!(tree(dir) == before);

    erase_calls(dir, &selection());
    let again = erase_calls(dir, &selection());
    assert_eq!((again.is_empty(), again.erased_before, again.unknown_customers), (true, 1, 1));
    let more = Selection { call_ids: ids([3]), ..Selection::default() };
    assert_eq!(erase_calls(dir, &more).call_ids.len(), 1);
    let (dataset, _) = Dataset::open_for_writing(dir).unwrap();
    assert!(dataset.is_committed(&sample_key(3)) && dataset.is_committed(&sample_key(1)));
}

#[test]
fn what_must_go_elsewhere_first_and_cannot_stops_the_erasure() {
    let dir = build();
    let before = tree(dir.path());
    let stopped = erase(dir.path(), &selection(), &mut |_| Err("no such machine".into()), &mut |_| {});
    assert!(stopped.unwrap_err().to_string().contains("no such machine"));
    let (dataset, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert!(recovery.removed_leftovers > 0 && !recovery.finished_erasure);
    drop(dataset);
    assert!(tree(dir.path()) == before);
}

#[test]
fn a_writer_an_object_store_and_a_foreign_folder_are_refused() {
    let dir = build();
    let (_dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let refused = |at: &str| erase(at, &selection(), &mut |_| Ok(()), &mut |_| {}).unwrap_err();
    assert!(matches!(refused(dir.path().to_str().unwrap()), StoreError::Locked { .. }));
    let error = refused("memory://erasing");
    assert!(error.to_string().contains("in a folder only"), "{error}");
    assert!(!error.to_string().contains("customer-1"));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(refused(empty.path().to_str().unwrap()), StoreError::NotADataset { .. }));
    assert!(tree(empty.path()).is_empty());
}

#[test]
fn a_worker_at_work_meanwhile_loses_its_commit_and_what_it_had_staged() {
    let dir = build();
    let path = dir.path().to_path_buf();
    let mut erased = false;
    let hook = move |step: CommitStep| {
        if step == CommitStep::StagingSynced && !erased {
            erased = true;
            assert!(fs::read_dir(path.join("_staging")).unwrap().count() > 0);
            erase_calls(&path, &selection());
            assert_eq!(fs::read_dir(path.join("_staging")).unwrap().count(), 0);
        }
    };
    let (mut worker, _) = StreamPartition::open_with_step_hook(dir.path(), stream(), hook).unwrap();
    // A call of the customer that nobody has committed yet.
    let batch = |calls: &[u32]| StreamBatch {
        last: 4,
        calls: calls.iter().map(|number| (sample_key(*number), sample_call(*number))).collect(),
        dead_letters: Vec::new(),
    };
    let lost = worker.commit(batch(&[25])).unwrap_err();
    assert!(matches!(lost, StoreError::LostRace { .. }), "{lost}");
    let proof =
        search(dir.path(), &[], &ids(ERASED.into_iter().chain([25])), &selection().customer_keys).unwrap();
    assert!(proof.is_clean(), "{proof:?}");
    let (mut again, _) = StreamPartition::open(dir.path(), stream()).unwrap();
    assert_eq!(again.next_offset(), Some(4));
    assert_eq!(again.committed_call(&sample_call(22).record.call_id), Some(&sample_key(22)));
    again.commit(batch(&[26])).unwrap();
    let report = check(dir.path()).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

#[test]
fn a_name_that_is_left_is_found_wherever_it_stands() {
    let dir = build();
    let dir = dir.path();
    erase_calls(dir, &selection());
    let (all, keys) = (ids(ERASED), selection().customer_keys);
    let places: [(&str, &[u8]); 6] = [
        ("notes/a.txt", b"see customer-1, please"),
        ("notes/b.bin", b"\0\0\xffcustomer-1\xff"),
        ("notes/c.json", b"{\"envelope\":\"637573746f6d65722d31\"}"),
        ("customer-1.log", b"empty"),
        ("_commits/x.json", b"{\"a\":[{\"b\":\"customer-1\"}]}"),
        ("_staging/d", &[&vec![b'x'; (1 << 20) - 5][..], b"customer-1", &[b'x'; 99]].concat()),
    ];
    for (name, bytes) in places {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let proof = search(dir, &[], &all, &keys).unwrap();
        assert_eq!(proof.found, [Path::new(name)]);
        fs::remove_file(path).unwrap();
    }
    std::os::unix::fs::symlink(dir.join("calls"), dir.join("notes/again")).unwrap();
    assert!(search(dir, &[], &all, &keys).unwrap().is_clean(), "a folder behind a link is looked into once");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("f"), "customer-1").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.join("notes/more")).unwrap();
    assert_eq!(search(dir, &[], &all, &keys).unwrap().found, [Path::new("notes/more/f")]);
    fs::remove_file(dir.join("notes/more")).unwrap();
    parquet(&dir.join("notes/e.parquet"), vec![("anything", texts(["a customer-1 b"]))]);
    assert_eq!(search(dir, &[], &all, &keys).unwrap().found, [Path::new("notes/e.parquet")]);
    fs::write(dir.join("notes/e.parquet"), b"PAR1 half").unwrap();
    let proof = search(dir, &[], &all, &keys).unwrap();
    assert_eq!(proof.unread, [Path::new("notes/e.parquet")]);
    assert!(!proof.is_clean());
}

#[test]
fn a_number_or_a_spoken_word_is_no_trace_of_a_short_id() {
    let dir = tempfile::tempdir().unwrap();
    let call = |id: &str, key: &str, number: u32| {
        let mut call = sample_call(number);
        call.record.call_id = CallId::new(id).unwrap();
        call.record.customer_key = Some(key.to_owned());
        call.record.source.uri = None;
        for turn in &mut call.turns {
            turn.text = "it is 1 or 7, and 12".to_owned();
        }
        (SourceKey::of_parts(&[id]), call)
    };
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let calls = vec![call("1", "7", 1), call("12", "70", 3), call("a-1", "x7", 6)];
    dataset.commit(&Batch::of_files(calls, Vec::new())).unwrap();
    drop(dataset);
    let selection = Selection { customer_keys: BTreeSet::from(["7".to_owned()]), ..Selection::default() };
    let erased = erase_calls(dir.path(), &selection);
    let ids: BTreeSet<CallId> = erased.call_ids.iter().cloned().collect();
    assert_eq!(ids.len(), 1);
    let proof = search(dir.path(), &[], &ids, &selection.customer_keys).unwrap();
    assert!(proof.is_clean(), "{proof:?}");
    assert_eq!((proof.names, proof.short_names), (2, 2));
    fs::write(dir.path().join("left.json"), "{\"customer\":\"7\", \"n\": 7}").unwrap();
    assert_eq!(
        search(dir.path(), &[], &ids, &selection.customer_keys).unwrap().found,
        [Path::new("left.json")]
    );
}

/// A worker is stopped between its commit and the moves of its files, while another process erases a call of that commit.
#[test]
fn a_commit_whose_files_are_not_in_place_yet_is_erased_from_too() {
    let dir = build();
    let path = dir.path().to_path_buf();
    let mut erased = false;
    let hook = move |step: CommitStep| {
        if step == CommitStep::RecordSynced && !erased {
            erased = true;
            assert_eq!(erase_calls(&path, &selection()).call_ids.len(), ERASED.len() + 2);
        }
    };
    let (mut worker, _) = StreamPartition::open_with_step_hook(dir.path(), stream(), hook).unwrap();
    let calls = [25, 26].map(|number| (sample_key(number), sample_call(number))).to_vec();
    worker.commit(StreamBatch { last: 5, calls, dead_letters: Vec::new() }).unwrap();
    let proof =
        search(dir.path(), &[], &ids(ERASED.into_iter().chain([25])), &selection().customer_keys).unwrap();
    assert!(proof.is_clean(), "{proof:?}");
    assert!(read_dataset(dir.path()).contains(&sample_call(26)));
    let report = check(dir.path()).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_calls_without_any_of_them_are_what_is_left(
        mut calls in prop::collection::vec(scored_call(), 1..8), chosen in any::<u8>(), batches in 1..4_usize,
    ) {
        let mut seen = HashSet::new();
        calls.retain(|call| seen.insert(call.record.call_id.clone()));
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
        for batch in calls.chunks(calls.len().div_ceil(batches)) {
            let keyed = batch.iter().map(|call| (SourceKey::of_parts(&[call.record.call_id.as_str()]), call.clone()));
            dataset.commit(&Batch::of_files(keyed.collect(), Vec::new())).unwrap();
        }
        drop(dataset);
        let before = read_dataset(dir.path());
        let picked = |index: usize| chosen & (1 << index) != 0;
        let going: BTreeSet<CallId> = (calls.iter().enumerate())
            .filter(|(index, _)| picked(*index))
            .map(|(_, call)| call.record.call_id.clone())
            .collect();
        let selection = Selection { call_ids: going.clone(), ..Selection::default() };
        let erased = erase_calls(dir.path(), &selection);
        prop_assert_eq!(erased.call_ids.len(), going.len());
        let kept: Vec<ScoredCall> =
            before.into_iter().filter(|call| !going.contains(&call.record.call_id)).collect();
        prop_assert_eq!(read_dataset(dir.path()), kept);
        let report = check(dir.path()).unwrap();
        prop_assert!(report.is_consistent(), "{:?}", report.problems);
        prop_assert_eq!(report.calls as usize, calls.len() - going.len());
    }
}
