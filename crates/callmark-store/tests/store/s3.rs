//! The suite, and what only a server can do: refuse connections, be overloaded, lose answers. `make test-s3` starts
//! `.make/s3_server.py` and runs these against it.

use crate::conformance::{Fresh, committed_calls, suite};
use crate::samples::{sample_call, sample_key};
use callmark_store::{
    Dataset, Location, SourceId, StoreError, StreamBatch, StreamPartition, check, read_commits,
};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BUCKET: &str = "callmark";
/// Longer than the store's first retries, shorter than its patience.
const REFUSED_FOR_MS: u64 = 2_000;

fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL").expect("run these with `make test-s3`, which starts their server")
}

pub(crate) fn bucket() -> Fresh {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    endpoint();
    Fresh {
        location: Location::from(format!("s3://{BUCKET}/run-{}/{number}", std::process::id())),
        _folder: None,
    }
}

suite!(on_s3, crate::s3::bucket, ignore = "needs a server: make test-s3");

/// Asks the server for a fault, see `.make/s3_server.py`.
fn fault(json: &str) {
    let endpoint = endpoint();
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let mut request = format!("POST /_faults HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    write!(request, "Content-Length: {}\r\n\r\n{json}", json.len()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
}

/// A fault of the requests that name the dataset at `at` and `part`.
fn fault_at(at: &Location, part: &str, rest: &str) {
    let prefix = at.as_path().to_str().unwrap().strip_prefix("s3://").unwrap();
    fault(&format!("{{\"contains\": \"{prefix}/{part}\", {rest}}}"));
}

fn partition(at: &Location) -> StreamPartition {
    StreamPartition::open(at, SourceId::new("calls.recordings", "0").unwrap()).unwrap().0
}

fn call(number: u32) -> StreamBatch {
    StreamBatch {
        last: i64::from(number),
        calls: vec![(sample_key(number), sample_call(number))],
        dead_letters: Vec::new(),
    }
}

fn assert_calls(at: &Location, count: usize) {
    assert_eq!(committed_calls(at).len(), count);
    let report = check(at).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
}

#[test]
#[ignore = "needs a server: make test-s3"]
fn a_server_that_refuses_connections_for_a_while_only_delays_commits() {
    let place = bucket();
    let mut partition = partition(&place.location);
    partition.commit(call(0)).unwrap();
    fault(&format!("{{\"refuse_ms\": {REFUSED_FOR_MS}}}"));
    let start = Instant::now();
    // The port closes a moment after the answer.
    for number in 1.. {
        partition.commit(call(number)).unwrap();
        if start.elapsed() > Duration::from_millis(REFUSED_FOR_MS) {
            assert_calls(&place.location, number as usize + 1);
            return;
        }
    }
}

#[test]
#[ignore = "needs a server: make test-s3"]
fn a_server_that_is_overloaded_or_fails_is_asked_again() {
    let place = bucket();
    let at = &place.location;
    let mut writer = partition(at);
    for (number, status) in (0..).zip([500, 503, 429, 502]) {
        for part in ["_commits/calls.recordings/0/0", "calls/", "turns/"] {
            fault_at(at, part, &format!("\"method\": \"PUT\", \"times\": 2, \"status\": {status}"));
        }
        writer.commit(call(number)).unwrap();
        fault_at(at, "_commits", &format!("\"method\": \"GET\", \"times\": 2, \"status\": {status}"));
        writer = partition(at);
    }
    assert_calls(at, 4);
}

#[test]
#[ignore = "needs a server: make test-s3"]
fn a_commit_whose_answer_was_lost_is_known_by_its_record() {
    let place = bucket();
    let at = &place.location;
    let mut writer = partition(at);
    for (number, applied) in [(0, true), (1, false), (2, true)] {
        // Status 0 breaks the connection off: whether the name was created is open.
        let record = format!("_commits/calls.recordings/0/{number:020}.json");
        let status = if number == 2 { 500 } else { 0 };
        fault_at(at, &record, &format!("\"method\": \"PUT\", \"status\": {status}, \"applied\": {applied}"));
        writer.commit(call(number)).unwrap();
    }
    assert_eq!(read_commits(at).unwrap().len(), 3);
    assert_calls(at, 3);
}

#[test]
#[ignore = "needs a server: make test-s3"]
fn a_commit_whose_answer_was_lost_and_whose_record_cannot_be_read_is_open_until_recovery() {
    let place = bucket();
    let at = &place.location;
    let mut writer = partition(at);
    let record = format!("_commits/calls.recordings/0/{:020}.json", 0);
    fault_at(at, &record, "\"method\": \"PUT\", \"status\": 0, \"applied\": true");
    fault_at(at, &record, "\"method\": \"GET\", \"status\": 403");
    let error = writer.commit(call(0)).unwrap_err();
    assert!(error.is_failure_of_surroundings(), "{error:?}");
    assert!(error.to_string().contains(&format!("{}/{record}", at.as_path().display())), "{error}");
    assert!(matches!(writer.commit(call(0)), Err(StoreError::MustReopen { .. })));
    let mut again = partition(at);
    assert_eq!(again.next_offset(), Some(1), "it was committed after all");
    again.commit(call(1)).unwrap();
    assert_calls(at, 2);
}

#[test]
#[ignore = "needs a server: make test-s3"]
fn a_wrong_bucket_is_named_with_what_to_do() {
    endpoint();
    let error = Dataset::open_for_writing("s3://no-such-bucket/calls").unwrap_err();
    let message = error.to_string();
    assert!(message.contains("s3://no-such-bucket/calls"), "{message}");
    assert!(message.contains("bucket"), "{message}");
}
