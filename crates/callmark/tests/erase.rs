//! `callmark erase` through the real command: nothing of the calls is left, and nothing else is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use assert_cmd::Command;
use callmark_store::{Batch, Dataset, SourceKey, read_calls, read_commits};
use callmark_types::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::{callmark, sql, write};

/// Three conversations of two customers.
fn chats() -> String {
    let line = |id: &str, customer: &str, day: u32| {
        serde_json::json!({
            "call_id": id, "customer_key": customer, "started_at": format!("2026-03-0{day}T10:00:00Z"),
            "turns": [
                {"speaker": "agent", "text": "Hello, how can I help?"},
                {"speaker": "customer", "text": format!("I want to speak to a person, said {customer}.")},
            ],
        })
        .to_string()
    };
    [
        line("call-aa-1", "cust-alder", 1),
        line("call-bb-1", "cust-birch", 1),
        line("call-aa-2", "cust-alder", 2),
    ]
    .join("\n")
}

fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if !path.ends_with("_lock") {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

fn holds(folder: &Path, needle: &str) -> bool {
    files_below(folder).iter().any(|(path, bytes)| {
        path.to_string_lossy().contains(needle) || bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
    })
}

fn assert_content(dataset: &Path) {
    let doctor = callmark(&["doctor", dataset.to_str().unwrap()]);
    let lines: Vec<&str> = doctor.stdout.lines().filter(|line| line.contains(" dataset ")).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("ok"), "{}", doctor.stdout);
}

/// A dataset of the conversations, scored by the command.
fn scored(folder: &Path) -> (PathBuf, PathBuf) {
    let chats = write(folder, "in/chats.jsonl", chats());
    let out = folder.join("dataset");
    let ran = callmark(&["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    (chats, out)
}

#[test]
fn a_customers_calls_go_are_proved_gone_and_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (chats, out) = scored(folder.path());
    let dir = out.to_str().unwrap();
    let before = files_below(&out);
    let erase = ["erase", dir, "--customer-key", "cust-alder"];
    let dry = callmark(&[&erase[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 1, "two lines of a file are left: {}", dry.stderr);
    assert!(dry.stdout.contains("2 calls would be erased: 2 rows of calls, 4 of turns"), "{}", dry.stdout);
    assert!(files_below(&out) == before);

    let ran = callmark(&[&erase[..], &["--yes"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("2 calls are erased"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("chats.jsonl:1: it is a line of a file of conversations or call metadata"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("ids and keys: none is there"), "{}", ran.stdout);
    for name in ["cust-alder", "call-aa-1", "call-aa-2"] {
        assert!(!holds(&out, name), "{name}");
        assert!(!ran.stdout.contains(name) && !ran.stderr.contains(name), "{name}");
    }
    assert!(holds(&out, "call-bb-1"));
    let rows = sql(&out, "select call_id, (select count(*) from turns) as turns from calls");
    assert_eq!((rows.len(), &rows[0]["call_id"], &rows[0]["turns"]), (1, &"call-bb-1".into(), &2.into()));
    assert_content(&out);

    let again = callmark(&["score", chats.to_str().unwrap(), "--out", dir]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stdout.starts_with("0 calls scored, 2 erased earlier and left out, 1 in the dataset already"),
        "{}",
        again.stdout
    );
    assert!(!holds(&out, "call-aa-1") && !holds(&out, "cust-alder"));

    let unknown = callmark(&[&erase[..], &["--yes"]].concat());
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("no call of the customer (0 calls): nothing is changed"),
        "{}",
        unknown.stderr
    );
    // By its id it is known to have been erased, which can be proved again.
    let by_id = callmark(&["erase", dir, "--call-id", "call-aa-1", "--yes", "--format", "json"]);
    assert_eq!(by_id.code, 0, "{}", by_id.stderr);
    let report: serde_json::Value = serde_json::from_str(&by_id.stdout).unwrap();
    assert_eq!((&report["calls"], &report["erased_before"]), (&0.into(), &1.into()));
    assert_eq!(report["searched"]["found"], serde_json::json!([]));
}

#[test]
fn what_still_names_a_call_is_named_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (chats, out) = scored(folder.path());
    std::fs::remove_file(chats).unwrap();
    write(&out, "exports/notes.csv", "call_id,note\ncall-aa-1,ring back\n");
    let ran = callmark(&["erase", out.to_str().unwrap(), "--customer-key", "cust-alder", "--yes"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    assert!(ran.stderr.contains("exports/notes.csv") && !ran.stderr.contains("call-aa"), "{}", ran.stderr);
    std::fs::remove_file(out.join("exports/notes.csv")).unwrap();
    let ids = ["--call-id", "call-aa-1", "--call-id", "call-aa-2"];
    let ran = callmark(&[&["erase", out.to_str().unwrap(), "--yes"], &ids[..]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_dead_letter_and_the_next_ones_go_too() {
    let folder = tempfile::tempdir().unwrap();
    let broken = format!("{}\n{{\"call_id\":\"call-zz-9\",\"turns\":\"none\"}}\n", chats());
    let chats = write(folder.path(), "chats.jsonl", broken);
    let out = folder.path().join("dataset");
    let score = ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert_eq!(callmark(&score).code, 1);
    assert!(holds(&out, "call-zz-9"));
    let erase = ["erase", out.to_str().unwrap(), "--call-id", "call-zz-9", "--yes", "--format", "json"];
    let ran = callmark(&erase);
    assert_eq!(ran.code, 1, "the line itself is left: {}{}", ran.stdout, ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["calls"], &report["dead_letters"]), (&1.into(), &1.into()));
    assert!(report["audio_left"][0]["source"].as_str().is_some_and(|uri| uri.ends_with("chats.jsonl:4")));
    let again = callmark(&score);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("1 erased earlier"), "{}", again.stdout);
    assert!(!holds(&out, "call-zz-9"));
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 3);
}

/// A dataset of simulated calls whose recordings lie below `folder`.
fn with_recordings(folder: &Path) -> (PathBuf, Vec<(String, String, PathBuf)>) {
    let simulated = folder.join("simulated");
    let ran = callmark(&["simulate", "--calls", "12", "--out", simulated.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let commits = read_commits(simulated.as_path()).unwrap();
    let mut calls = read_calls(simulated.as_path(), &commits[0]).unwrap();
    let mut recordings = Vec::new();
    for (key, call) in &mut calls {
        let id = call.record.call_id.to_string();
        let path = write(folder, &format!("audio/{id}.wav"), "RIFF");
        write(folder, &format!("silenced/{id}.wav"), "RIFF");
        call.record.started_at = Timestamp::parse("2026-03-01T10:00:00Z").ok();
        *key = SourceKey::of_file(&call.record.call_id, "00");
        call.record.source.uri = path.to_str().map(str::to_owned);
        call.record.source.sha256 = Some("00".to_owned());
        // Customers of their own, whose keys no chance repeats.
        let customer = format!("customer-of-{id}");
        call.record.customer_key = Some(customer.clone());
        recordings.push((id, customer, path));
    }
    // The last two share a recording.
    let shared = recordings[10].2.clone();
    calls[11].1.record.source.uri = shared.to_str().map(str::to_owned);
    recordings[11].2 = shared;
    let out = folder.join("dataset");
    let (mut dataset, _) = Dataset::open_for_writing(out.as_path()).unwrap();
    for batch in calls.chunks(5) {
        dataset.commit(&Batch::of_files(batch.to_vec(), Vec::new())).unwrap();
    }
    write(&out, "_spool/aa.json", "{}");
    (out, recordings)
}

#[test]
fn recordings_and_silenced_copies_go_and_a_shared_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (out, recordings) = with_recordings(folder.path());
    let roots = ["audio", "silenced"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let erase = |customer: &str, roots: &[String]| {
        let mut arguments = vec!["erase", out.to_str().unwrap(), "--customer-key", customer, "--yes"];
        for root in roots {
            arguments.extend(["--audio-root", root]);
        }
        callmark(&arguments)
    };
    let (id, customer, path) = &recordings[0];
    let ran = erase(customer, &roots);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("2 recordings and silenced copies removed"), "{}", ran.stdout);
    assert!(!path.exists() && !folder.path().join(format!("silenced/{id}.wav")).exists());

    let (_, customer, path) = &recordings[1];
    let ran = erase(customer, &roots[1..]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("outside every --audio-root") && path.exists(), "{}", ran.stdout);

    let (_, customer, path) = &recordings[11];
    let ran = erase(customer, &roots);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("a call that stays has the same recording") && path.exists(),
        "{}",
        ran.stdout
    );
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 9);
    assert_content(&out);
}

#[test]
fn a_command_killed_at_any_step_is_finished_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    let (original, recordings) = with_recordings(folder.path());
    let files = files_below(&original);
    let (_, customer, _) = &recordings[3];
    for (step, finished) in [
        ("FileWritten:2", false),
        ("ElsewhereRemoved", false),
        ("PlanWritten", false),
        ("PlanNamed", true),
        ("FileReplaced:1", true),
        ("FileReplaced:3", true),
        ("FileRemoved:1", true),
        ("DoneSynced", true),
    ] {
        let out = folder.path().join(format!("copy-{}", step.replace(':', "-")));
        for (path, bytes) in &files {
            write(&out, path.strip_prefix(&original).unwrap().to_str().unwrap(), bytes);
        }
        let root = folder.path().join("audio");
        let arguments = [
            "erase",
            out.to_str().unwrap(),
            "--customer-key",
            customer,
            "--audio-root",
            root.to_str().unwrap(),
            "--yes",
        ];
        let mut command = Command::cargo_bin("callmark").unwrap();
        let killed = command.args(arguments).env("CALLMARK_FAILPOINT", step).output().unwrap();
        assert_eq!(killed.status.code(), None, "{step} was never reached");
        if finished {
            let doctor = callmark(&["doctor", out.to_str().unwrap()]);
            assert!(doctor.stdout.contains("an erasure was cut short"), "{step} {}", doctor.stdout);
        }
        let ran = callmark(&arguments);
        assert_eq!(ran.code, 0, "{step} {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout.contains("an erasure that was cut short is finished"), finished, "{step}");
        assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 11, "{step}");
        assert!(!holds(&out, customer), "{step}");
        assert_content(&out);
    }
    assert!(!recordings[3].2.exists());
}

#[test]
fn calls_that_are_too_old_go_and_those_without_a_time_stay() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::now().epoch_millis();
    let line = |id: &str, days_ago: Option<i64>| {
        let turns = serde_json::json!([{"speaker": "agent", "text": "Hello."}, {"speaker": "customer", "text": "Hello."}]);
        let started =
            days_ago.map(|days| Timestamp::from_epoch_millis(now - days * 86_400_000).unwrap().to_string());
        match started {
            Some(at) => serde_json::json!({"call_id": id, "started_at": at, "turns": turns}),
            None => serde_json::json!({"call_id": id, "turns": turns}),
        }
        .to_string()
    };
    let lines = [line("call-old", Some(41)), line("call-new", Some(39)), line("call-timeless", None)];
    let chats = write(folder.path(), "in/chats.jsonl", lines.join("\n"));
    let out = folder.path().join("dataset");
    let dir = out.to_str().unwrap();
    assert_eq!(callmark(&["score", chats.to_str().unwrap(), "--out", dir]).code, 0);
    let erase = |days: &str| callmark(&["erase", dir, "--older-than-days", days, "--yes"]);
    let none = erase("42");
    assert!(none.code == 0 && none.stderr.contains("no call is so old"), "{}", none.stderr);
    let ran = erase("40");
    // The line of the file it came from is left, and told.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("1 calls are erased") && ran.stdout.contains("1 calls have no started_at"),
        "{}",
        ran.stdout
    );
    assert!(!holds(&out, "call-old"));
    let left = sql(&out, "select call_id from calls order by call_id");
    let left: Vec<&str> = left.iter().filter_map(|row| row["call_id"].as_str()).collect();
    assert_eq!(left, ["call-new", "call-timeless"]);
    assert_eq!(erase("0").code, 2);
}

#[test]
fn wrong_usage_is_told_without_repeating_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out) = scored(folder.path());
    let before = files_below(&out);
    let dir = out.to_str().unwrap();
    let bad = "Jane Doe\u{7}";
    for (arguments, said) in [
        (vec!["erase", dir, "--yes"], "--customer-key"),
        (vec!["erase", dir, "--customer-key", "cust-alder"], "there is no terminal to ask on"),
        (vec!["erase", dir, "--customer-key", "", "--yes"], "an empty key"),
        (vec!["erase", dir, "--call-id", bad, "--yes"], "1 to 256 bytes"),
        (vec!["erase", dir, "--call-id", "c", "--audio-root", "/no/such", "--yes"], "no such folder"),
        (vec!["erase", "s3://bucket/calls", "--call-id", "c", "--yes"], "in a folder only"),
    ] {
        let ran = callmark(&arguments);
        assert_eq!(ran.code, 2, "{arguments:?} {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?} {}", ran.stderr);
        assert!(!ran.stderr.contains("cust-alder") && !ran.stderr.contains("Jane"), "{}", ran.stderr);
    }
    let elsewhere = folder.path().join("nothing");
    let ran = callmark(&["erase", elsewhere.to_str().unwrap(), "--customer-key", "cust-alder", "--yes"]);
    assert!(ran.code == 3 && ran.stderr.contains("is not a dataset"), "{}", ran.stderr);
    assert!(!elsewhere.exists());
    let ran = callmark(&["erase", dir, "--customer-key", "cust-alder-2", "--call-id", "nobody", "--yes"]);
    assert!(ran.code == 1 && ran.stderr.contains("(0 calls)"), "{}", ran.stderr);
    assert!(files_below(&out) == before);
}
