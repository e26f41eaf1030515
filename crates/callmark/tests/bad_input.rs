//! What goes wrong in the field: each gives one clear message, the right exit code, a dead letter where a call was
//! lost, and the rest is done. Needs the base model (`make model`).

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use std::path::Path;
use support::{CHATS, callmark, callmark_with, demo, sql, write, write_wav};

fn letters(dataset: &Path) -> Vec<serde_json::Value> {
    let ran = callmark(&["dead-letters", "list", dataset.to_str().unwrap(), "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_wrong_path_alone_means_that_nothing_could_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dataset");
    let ran = callmark(&["score", "/no/such/folder", "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("/no/such/folder: no such input"), "{}", ran.stderr);
    assert_eq!(letters(&out)[0]["stage"], "input");
}

#[test]
fn broken_recordings_are_dead_letters_and_the_rest_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("audio");
    write(&audio, "text.wav", "this is a text file, however it is named");
    write(&audio, "empty.wav", "");
    write_wav(&audio.join("zero.wav"), std::iter::empty());
    write_wav(&audio.join("silence.wav"), std::iter::repeat_n(0i16, 16_000));
    write(&audio, "chats.jsonl", CHATS);
    let out = folder.path().join("dataset");
    let ran = callmark(&["score", audio.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for name in ["text.wav", "empty.wav", "zero.wav"] {
        assert_eq!(
            ran.stderr.lines().filter(|l| l.starts_with("lost:") && l.contains(name)).count(),
            1,
            "{}",
            ran.stderr
        );
    }
    let mut lost: Vec<String> =
        letters(&out).iter().map(|l| l["call_id"].as_str().unwrap().to_owned()).collect();
    lost.sort();
    assert_eq!(lost, ["empty", "text", "zero"]);
    let rows = sql(
        &out,
        "select call_id, outcome, talk_time_customer_ms, flags from calls where call_id = 'silence'",
    );
    assert!(rows[0]["flags"].as_array().unwrap().contains(&"no_speech".into()), "{rows:?}");
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 4);
}

#[test]
fn a_letter_is_settled_when_its_recording_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("audio");
    let out = folder.path().join("dataset");
    let broken = write(&audio, "late.wav", "not yet copied");
    assert_eq!(callmark(&["score", audio.to_str().unwrap(), "--out", out.to_str().unwrap()]).code, 3);
    write_wav(&broken, std::iter::repeat_n(0i16, 16_000));
    let ran = callmark(&["dead-letters", "replay", out.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(letters(&out).is_empty());
    assert_eq!(sql(&out, "select call_id from calls")[0]["call_id"], "late");
}

#[test]
fn a_missing_or_broken_model_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("audio");
    std::fs::create_dir_all(&audio).unwrap();
    write_wav(&audio.join("a.wav"), std::iter::repeat_n(0i16, 8_000));
    let models = folder.path().join("models");
    let out = folder.path().join("dataset");
    let arguments = ["score", audio.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let environment = [("CALLMARK_MODELS", models.to_str().unwrap())];
    let ran = callmark_with(&arguments, &environment);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("callmark models pull base"), "{}", ran.stderr);
    write(&models, "ggml-base.bin", "GGML, or so it says");
    let ran = callmark_with(&arguments, &environment);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("ggml-base.bin") && ran.stderr.contains("callmark models pull base"),
        "{}",
        ran.stderr
    );
    let ran = callmark_with(&[&arguments[..], &["--model", "bass"]].concat(), &environment);
    assert!(ran.code == 2 && ran.stderr.contains("bass"), "{}", ran.stderr);
}

#[test]
fn bad_call_metadata_is_named_by_column_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["good.wav", "late.wav"] {
        write_wav(&folder.path().join(name), std::iter::repeat_n(0i16, 8_000));
    }
    let run = |csv: &str, out: &str| {
        let calls = write(folder.path(), "calls.csv", csv);
        let out = folder.path().join(out);
        let ran = callmark(&[
            "score",
            folder.path().join("good.wav").to_str().unwrap(),
            folder.path().join("late.wav").to_str().unwrap(),
            "--calls",
            calls.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        (ran, out)
    };
    let (ran, _) = run("call_identity,file\ng,good.wav\n", "missing-column");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("no column `call_id`"), "{}", ran.stderr);

    let (ran, out) =
        run("call_id,file,started_at\ng,good.wav,2026-01-05T10:00:00Z\nl,late.wav,5 past noon\n", "bad-time");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("line 3: column `started_at`: no time with a zone"), "{}", ran.stderr);
    assert_eq!(letters(&out)[0]["call_id"], "l");
    assert_eq!(sql(&out, "select call_id from calls")[0]["call_id"], "g");

    let (ran, out) = run("call_id,file\ng,good.wav\nl,late.wav\nghost,ghost.wav\n", "unknown-id");
    assert_eq!(ran.code, 0, "a row about a recording that nobody asked for is no loss: {}", ran.stderr);
    assert!(
        ran.stderr
            .contains("1 rows of call metadata name recordings outside the inputs: left alone (line 4: ")
            && ran.stderr.contains("ghost.wav, which does not exist"),
        "{}",
        ran.stderr
    );
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 2);

    let (ran, out) = run("call_id,file\nghost,ghost.wav\n", "none-matches");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("names none of the recordings") && ran.stderr.contains("ghost.wav"),
        "{}",
        ran.stderr
    );
    assert!(!out.exists(), "a run that did not start leaves nothing");

    let (ran, out) = run(
        "call_id,file,language,channel_3_role\ng,good.wav,klingon,\nl,late.wav,en,agent\n",
        "no-such-language-and-channel",
    );
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("line 2: column `language`: no language tag"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("channel 3, counted from 0, is given a role, and the recording has 1"),
        "{}",
        ran.stderr
    );
    assert_eq!(letters(&out).len(), 2);
}

#[test]
fn wrong_flags_and_pipeline_files_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(callmark(&["score"]).code, 2);
    assert_eq!(callmark(&["scroe", "x"]).code, 2);
    let ran = callmark(&["score", "x.wav", "--out", "y", "--channels", "customer,robot"]);
    assert!(ran.code == 2 && ran.stderr.contains("no channel role"), "{}", ran.stderr);
    let pipeline = write(
        folder.path(),
        "p.toml",
        "version = 1\n[source]\nkind = \"files\"\ninput = [\"x\"]\n[output]\ndir = \"y\"\n",
    );
    let ran = callmark(&["run", pipeline.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.stderr.contains("did you mean `inputs`?"), "{}", ran.stderr);
    let ran = callmark(&["run", folder.path().join("none.toml").to_str().unwrap()]);
    assert!(ran.code == 2 && ran.stderr.contains("none.toml"), "{}", ran.stderr);
}

#[test]
fn an_output_that_cannot_be_written_stops_the_run_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(folder.path(), "chats.jsonl", CHATS);
    let file = write(folder.path(), "a-file", "x");
    let ran = callmark(&["score", chats.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    assert!(ran.code == 3 && ran.stderr.contains("a-file"), "{}", ran.stderr);
}

#[test]
fn a_disk_that_fills_up_stops_the_run_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = |size: &str, options: &str| {
        let options = format!("size={size}{options}");
        std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&disk)
            .status()
            .is_ok_and(|s| s.success())
    };
    if !mount("96k", "") {
        eprintln!("skipped: mounting a small disk is not permitted here");
        return;
    }
    let chat = |i: u32| {
        format!(
            "{{\"call_id\":\"chat-{i}\",\"turns\":[{{\"speaker\":\"customer\",\"text\":\"{}\"}}]}}",
            i * 7919
        )
    };
    let chats = (0..400).map(chat).collect::<Vec<_>>().join("\n");
    let chats = write(folder.path(), "chats.jsonl", chats);
    let out = disk.join("dataset");
    let arguments = ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let full = callmark(&arguments);
    let remounted = mount("64m", ",remount");
    let ran = callmark(&arguments);
    let count = sql(&out, "select count(*) as n, count(distinct call_id) as d from calls");
    let unmounted = std::process::Command::new("umount").arg(&disk).status().is_ok_and(|s| s.success());
    assert_eq!(full.code, 3, "{}", full.stderr);
    assert!(
        full.stderr.contains("No space left on device") || full.stderr.contains("disk is full"),
        "{}",
        full.stderr
    );
    assert!(remounted && unmounted);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((&count[0]["n"], &count[0]["d"]), (&400.into(), &400.into()));
}

#[test]
fn two_calls_scored_one_after_the_other_never_share_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut recordings: Vec<_> =
        std::fs::read_dir(demo().join("audio")).unwrap().map(|e| e.unwrap().path()).collect();
    recordings.sort();
    let texts = |inputs: &[&str], out: &str| {
        let out = folder.path().join(out);
        let ran =
            callmark(&[&["score"], inputs, &["--workers", "1", "--out", out.to_str().unwrap()]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let id = Path::new(inputs[inputs.len() - 1]).file_stem().unwrap().to_str().unwrap().to_owned();
        sql(&out, &format!("select turn_index, text from turns where call_id = '{id}' order by 1"))
    };
    let (first, second) = (recordings[0].to_str().unwrap(), recordings[1].to_str().unwrap());
    let alone = texts(&[second], "alone");
    assert!(!alone.is_empty());
    assert_eq!(texts(&[first, second], "after-another"), alone);
}

#[test]
fn metadata_that_is_mended_later_counts_no_recording_twice() {
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("audio");
    for (name, level) in [("a.wav", 0i16), ("b.wav", 1)] {
        std::fs::create_dir_all(&audio).unwrap();
        write_wav(&audio.join(name), std::iter::repeat_n(level, 8_000));
    }
    let out = folder.path().join("dataset");
    let score = |csv: &str| {
        let calls = write(&audio, "calls.csv", csv);
        let arguments = ["score", audio.to_str().unwrap(), "--calls", calls.to_str().unwrap(), "--out"];
        callmark(&[&arguments[..], &[out.to_str().unwrap()]].concat())
    };
    let first = score("call_id,file\nCALL-1,a.wav\nCALL-2,bb.wav\n");
    assert_eq!(first.code, 1, "{}", first.stderr);
    let mended = score("call_id,file\nCALL-1,a.wav\nCALL-2,b.wav\n");
    assert_eq!(mended.code, 1, "{}", mended.stderr);
    assert!(mended.stderr.contains("has this recording already, as call `b`"), "{}", mended.stderr);
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 2);
}

#[test]
fn a_letter_goes_when_its_call_is_dealt_with_or_dismissed_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("x.wav", 0i16), ("h2.wav", 1)] {
        write_wav(&folder.path().join(name), std::iter::repeat_n(level, 8_000));
    }
    write(folder.path(), "x.wav", "not yet copied");
    let out = folder.path().join("dataset");
    let (dir, audio) = (out.to_str().unwrap(), folder.path().to_str().unwrap());
    let calls = write(folder.path(), "calls.csv", "call_id,file,queue\nX,x.wav,q\nG2,,q\n");
    let score = || callmark(&["score", audio, "--calls", calls.to_str().unwrap(), "--out", dir]);
    assert_eq!(score().code, 1);
    let id_of = |call: &str| {
        let letter = letters(&out).into_iter().find(|letter| letter["call_id"] == call);
        letter.map(|letter| letter["id"].as_str().unwrap().to_owned())
    };
    // The row is mended, and what is tried again is another call.
    write(folder.path(), "calls.csv", "call_id,file,queue\nX,x.wav,q\nG2,h3.wav,q\n");
    let ran = callmark(&["dead-letters", "replay", dir, &id_of("X").unwrap()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(id_of("G2").is_some(), "a letter of a call that nobody looked at stays");
    // What is gone for good is told, and goes when it is dismissed.
    std::fs::remove_file(folder.path().join("x.wav")).unwrap();
    let ran = callmark(&["dead-letters", "replay", dir, &id_of("X").unwrap()]);
    assert!(ran.code == 3 && ran.stderr.contains("1 dead letters are left"), "{}", ran.stderr);
    let id = id_of("X").unwrap();
    assert_eq!(callmark(&["dead-letters", "dismiss", dir, &id]).code, 0);
    assert_eq!(id_of("X"), None);
    assert_eq!(callmark(&["dead-letters", "dismiss", dir, &id]).code, 3);
}
