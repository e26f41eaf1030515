//! Batch runs with a scripted recogniser: order, resumption, checkpoints, failures of one call, redaction.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use callmark_analytics::PersonalKind;
use callmark_asr::{EngineConfig, Script, WorkerPool, spread};
use callmark_pipeline::{Pipeline, Progress, Recogniser, Redaction, RunError, RunReport, run_with};
use callmark_store::{Table, read_calls, read_commits};
use callmark_types::{Millis, ScoredCall};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CALLS: usize = 12;

/// A folder of short recordings, each with other bytes.
fn recordings(folder: &Path) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo/fixtures/speech.wav");
    let speech = std::fs::read(&fixture).unwrap_or_else(|e| panic!("{}: {e}", fixture.display()));
    let audio = folder.join("audio");
    std::fs::create_dir_all(&audio).unwrap();
    for i in 0..CALLS {
        // The last samples differ, so that every recording has a digest of its own.
        let mut bytes = speech.clone();
        let last = bytes.len() - 2;
        bytes[last] = i as u8;
        std::fs::write(audio.join(format!("call-{i:02}.wav")), bytes).unwrap();
    }
    audio
}

fn recogniser(workers: usize, script: Script) -> Result<Recogniser, RunError> {
    let workers = WorkerPool::start(EngineConfig::Scripted(script), workers)?;
    let model_sha256 = "0".repeat(64);
    Ok(Recogniser { workers, second: None, model: "scripted".to_owned(), model_sha256, note: None })
}

fn pipeline(audio: &Path, out: &Path) -> Pipeline {
    Pipeline { batch_calls: 5, ..Pipeline::new(vec![audio.to_owned()], out.to_owned()) }
}

fn run_saying(audio: &Path, out: &Path, workers: usize) -> RunReport {
    let open = |_: &Pipeline| recogniser(workers, Script::saying("hello there"));
    run_with(&pipeline(audio, out), &open, &AtomicBool::new(false), &|_| {}).unwrap()
}

/// Every file below `dir` with its bytes, by relative path.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn whatever_the_number_of_workers_the_tables_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let audio = recordings(folder.path());
    let (one, three) = (folder.path().join("one"), folder.path().join("three"));
    let report = run_saying(&audio, &one, 1);
    assert_eq!((report.scored, report.dead_letters), (CALLS, 0));
    run_saying(&audio, &three, 3);
    for table in [Table::Calls, Table::Turns] {
        let (a, b) = (tree(&one.join(table.name())), tree(&three.join(table.name())));
        assert!(!a.is_empty() && a == b, "{table} differs");
    }
    assert_eq!(read_commits(&one).unwrap().len(), CALLS.div_ceil(5));
    let again = run_saying(&audio, &one, 2);
    assert_eq!((again.scored, again.skipped), (0, CALLS));
}

#[test]
fn a_run_that_was_stopped_hears_no_recording_twice() {
    let folder = tempfile::tempdir().unwrap();
    let audio = recordings(folder.path());
    let out = folder.path().join("dataset");
    let heard = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&heard);
    let script = Script::of(move |pack| {
        counting.fetch_add(1, Ordering::SeqCst);
        Ok(spread("hello there", pack.duration(), 0.9))
    });
    let stop = AtomicBool::new(false);
    let finished = AtomicUsize::new(0);
    let stop_after_seven = |event: Progress| {
        if matches!(event, Progress::Finished { .. }) && finished.fetch_add(1, Ordering::SeqCst) == 6 {
            stop.store(true, Ordering::SeqCst);
        }
    };
    let first =
        run_with(&pipeline(&audio, &out), &|_| recogniser(2, script.clone()), &stop, &stop_after_seven)
            .unwrap();
    assert!(first.stopped && first.scored < CALLS, "{first:?}");
    let go = AtomicBool::new(false);
    let second = run_with(&pipeline(&audio, &out), &|_| recogniser(2, script.clone()), &go, &|_| {}).unwrap();
    assert_eq!(first.scored + second.scored, CALLS);
    assert_eq!(second.skipped, first.scored);
    assert_eq!(heard.load(Ordering::SeqCst), CALLS, "one pack a recording, each heard once");
    assert!(!out.join("_spool").exists(), "checkpoints are removed with their commit");
}

#[test]
fn a_recogniser_that_fails_on_one_call_costs_that_call_only() {
    let folder = tempfile::tempdir().unwrap();
    let audio = recordings(folder.path());
    let out = folder.path().join("dataset");
    let once = Arc::new(AtomicBool::new(true));
    let script = Script::of(move |pack| {
        assert!(!once.swap(false, Ordering::SeqCst), "the recogniser breaks on its first pack");
        Ok(spread("hello there", pack.duration(), 0.9))
    });
    let go = AtomicBool::new(false);
    let lost = std::sync::Mutex::new(Vec::new());
    let note = |event: Progress| {
        if let Progress::Lost { reason } = event {
            lost.lock().unwrap().push(reason);
        }
    };
    let report = run_with(&pipeline(&audio, &out), &|_| recogniser(1, script.clone()), &go, &note).unwrap();
    assert_eq!((report.scored, report.dead_letters), (CALLS - 1, 1));
    assert_eq!(lost.lock().unwrap().len(), 1);
    let letters = callmark_store::dead_letters::list(&out).unwrap();
    assert_eq!(letters[0].stage, "transcribe");
}

/// The calls of a dataset, in order.
fn calls_of(out: &Path) -> Vec<ScoredCall> {
    let commits = read_commits(out).unwrap();
    let calls = commits.iter().flat_map(|commit| read_calls(out, commit).unwrap());
    calls.map(|(_, call)| call).collect()
}

fn samples(wav: &Path) -> Vec<i16> {
    hound::WavReader::open(wav).unwrap().samples::<i16>().map(Result::unwrap).collect()
}

#[test]
fn nothing_that_is_redacted_is_in_any_byte_that_recordings_leave_behind() {
    const SAID: &str = "Sure, my card is 4242424242424242 and I am at mary.lowe@sample.org, thank you.";
    // Long enough that no digest or size in a file holds them by chance.
    const PLANTED: [&str; 3] = ["4242424242424242", "mary.lowe", "sample.org"];
    let folder = tempfile::tempdir().unwrap();
    let audio = recordings(folder.path());
    let run = |name: &str, kinds: &[PersonalKind]| {
        let (out, copies) = (folder.path().join(name), folder.path().join(format!("{name}-audio")));
        let redaction = Redaction { kinds: kinds.iter().copied().collect(), audio: Some(copies.clone()) };
        let pipeline = Pipeline { redaction, ..pipeline(&audio, &out) };
        let open = |_: &Pipeline| recogniser(2, Script::saying(SAID));
        let report = run_with(&pipeline, &open, &AtomicBool::new(false), &|_| {}).unwrap();
        assert_eq!((report.scored, report.dead_letters), (CALLS, 0));
        (out, copies)
    };
    // Where only what nobody said is taken out, all of it is there: the search can find it.
    let (plain, whole) = run("plain", &[PersonalKind::NationalId]);
    let told = format!("{:?}", calls_of(&plain));
    assert!(PLANTED.iter().all(|value| told.contains(value)), "{told}");

    let (out, copies) = run("redacted", &PersonalKind::ALL);
    let calls = calls_of(&out);
    let told = format!("{calls:?}");
    let files = [tree(&out), tree(&copies)].concat();
    for value in PLANTED {
        assert!(!told.contains(value), "{value}: {told}");
        let holds = |bytes: &[u8]| bytes.windows(value.len()).any(|w| w == value.as_bytes());
        let named: Vec<&PathBuf> =
            files.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect();
        assert!(named.is_empty(), "{value} in {named:?}");
    }
    for call in &calls {
        let name = format!("{}.wav", call.record.call_id);
        let (kept, silenced) = (samples(&whole.join(&name)), samples(&copies.join(&name)));
        assert_eq!(kept.len(), silenced.len());
        let hidden: Vec<_> = call.turns[0].words.iter().filter(|w| w.word.starts_with('[')).collect();
        assert_eq!(hidden.len(), 2, "{:?}", call.turns[0].text);
        let frame = |at: Millis| (at.0 * 16) as usize;
        for word in &hidden {
            let said = frame(word.span.start)..frame(word.span.end).min(kept.len());
            assert!(silenced[said.clone()].iter().all(|s| *s == 0), "{}: {:?}", word.word, word.span);
            assert!(kept[said].iter().any(|s| *s != 0), "nothing was said at {:?}", word.span);
        }
        let (first, last) = (frame(hidden[0].span.start), frame(hidden[1].span.end).min(kept.len()));
        let margin = 16_000 / 4;
        assert_eq!(kept[..first - margin], silenced[..first - margin]);
        assert_eq!(kept[(last + margin).min(kept.len())..], silenced[(last + margin).min(kept.len())..]);
    }
}
