//! Dead letters are kept whole, replaced when an input fails again, and gone when it succeeds.

use crate::samples::{sample_batch, sample_call};
use callmark_store::{Batch, Dataset, DeadLetter, DeadLetterId, StoreError, dead_letters};
use callmark_types::{CallId, SourcePosition, Timestamp};

fn letter(uri: &str, reason: &str, payload: Option<Vec<u8>>) -> DeadLetter {
    DeadLetter {
        source: SourcePosition { uri: Some(uri.to_owned()), ..SourcePosition::default() },
        call_id: CallId::new("broken ☎").ok(),
        stage: "decode".to_owned(),
        reason: reason.to_owned(),
        attempts: 2,
        first_seen: Timestamp::parse("2026-09-14T09:12:31Z").ok(),
        metadata_uri: Some("/data/calls.csv".to_owned()),
        payload,
        envelope: None,
    }
}

#[test]
fn a_dead_letter_is_listed_shown_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(dead_letters::list(dir.path()).unwrap().is_empty());
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let broken = letter("file:///a.wav", "no RIFF header at byte 0", Some(vec![0, 159, 146, 150]));
    let empty = letter("file:///b.wav", "the file is empty", None);
    let batch = Batch::of_files(Vec::new(), vec![broken.clone(), empty.clone()]);
    let receipt = dataset.commit(&batch).unwrap();
    assert_eq!((receipt.calls, receipt.dead_letters), (0, 2));
    assert!(dataset.commits().unwrap().is_empty(), "a batch without calls is no commit");

    let listed = dead_letters::list(dir.path()).unwrap();
    assert_eq!(listed.len(), 2);
    let shown = dead_letters::show(dir.path(), &broken.id()).unwrap();
    assert!(listed.contains(&shown));
    assert_eq!(shown.reason, "no RIFF header at byte 0");
    assert_eq!((shown.attempts, shown.payload_bytes), (2, Some(4)));
    assert_eq!(shown.first_seen, broken.first_seen);
    assert_eq!(dead_letters::payload(dir.path(), &broken.id()).unwrap(), broken.payload);
    assert_eq!(dead_letters::payload(dir.path(), &empty.id()).unwrap(), None);

    assert!(dead_letters::remove(dir.path(), &broken.id()).unwrap());
    assert!(!dead_letters::remove(dir.path(), &broken.id()).unwrap());
    let error = dead_letters::show(dir.path(), &broken.id()).unwrap_err();
    assert!(matches!(error, StoreError::NoSuchDeadLetter { .. }), "{error:?}");
    assert_eq!(dead_letters::list(dir.path()).unwrap().len(), 1);
}

#[test]
fn an_input_that_fails_again_replaces_its_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    for (reason, payload) in [("first", Some(vec![1; 10])), ("second", None)] {
        let again = letter("file:///a.wav", reason, payload);
        dataset.commit(&Batch::of_files(Vec::new(), vec![again])).unwrap();
    }
    let listed = dead_letters::list(dir.path()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].reason.as_str(), listed[0].payload_bytes), ("second", None));
    assert_eq!(dead_letters::payload(dir.path(), &listed[0].id).unwrap(), None);
}

#[test]
fn an_input_that_succeeds_removes_its_letter_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let call = sample_call(1).record;
    let mut failed = letter("", "busy", None);
    (failed.source, failed.call_id) = (call.source, Some(call.call_id));
    let other = letter("file:///b.wav", "busy", None);
    dataset.commit(&Batch::of_files(Vec::new(), vec![failed, other.clone()])).unwrap();
    let receipt = dataset.commit(&sample_batch(0..3)).unwrap();
    assert_eq!(receipt.settled_dead_letters, 1);
    let listed = dead_letters::list(dir.path()).unwrap();
    assert_eq!(listed.iter().map(|letter| &letter.id).collect::<Vec<_>>(), [&other.id()]);
}

#[test]
fn a_kafka_message_is_known_by_its_position_and_a_file_by_its_uri() {
    let at = |offset| SourcePosition {
        topic: Some("calls.recordings".to_owned()),
        partition: Some(3),
        offset: Some(offset),
        ..SourcePosition::default()
    };
    assert_eq!(DeadLetterId::of(&at(7)), DeadLetterId::of(&at(7)));
    assert_ne!(DeadLetterId::of(&at(7)), DeadLetterId::of(&at(8)));
    let line = |uri: &str| SourcePosition { uri: Some(uri.to_owned()), ..SourcePosition::default() };
    assert_ne!(DeadLetterId::of(&line("/chats.jsonl:1")), DeadLetterId::of(&line("/chats.jsonl:2")));
}

#[test]
fn an_id_that_is_a_path_is_no_id() {
    for text in ["../../etc/passwd", "", "ABCDEF0123456789ABCDEF01", "0123456789abcdef0123456"] {
        assert!(DeadLetterId::try_from(text.to_owned()).is_err(), "{text}");
    }
}
