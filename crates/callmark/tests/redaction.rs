//! Personal data is in no byte that a run leaves behind, through the real command. Needs the base model (`make model`).

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{callmark, sql, write};

/// Everything that a dataset's tables say.
fn tables(out: &Path) -> String {
    let all = ["calls", "turns", "events"].map(|table| sql(out, &format!("select * from {table}")));
    serde_json::to_string(&all).expect("JSON")
}

/// The files below `folder` that hold `value`.
fn holding(folder: &Path, value: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a file");
        bytes.windows(value.len()).any(|w| w == value.as_bytes())
    };
    files_below(folder).into_iter().filter(holds).collect()
}

#[test]
fn nothing_that_is_redacted_of_a_chat_is_in_any_byte_of_the_dataset() {
    // Each is long enough, or of letters that no digest has, that no file holds it by chance.
    const PLANTED: [&str; 7] =
        ["4242 4242", "Lowe", "mary.lowe", "sample.org", "0149917", "Mill Lane", "QT713022"];
    let folder = tempfile::tempdir().unwrap();
    let turns = [
        ("agent", "May I have your full name, please?"),
        ("customer", "Yes, it's Mary Lowe."),
        ("agent", "Thank you, Mrs Lowe. And the card?"),
        ("customer", "It is 4242 4242 4242 4242. I want to speak to a person!"),
        ("agent", "What number can I reach you on?"),
        ("customer", "555 0149917, or mary.lowe@sample.org. I live at 48 Mill Lane, the order is QT713022."),
    ];
    let turns = turns.map(|(speaker, text)| serde_json::json!({"speaker": speaker, "text": text}));
    let line = serde_json::json!({"call_id": "c1", "turns": turns}).to_string();
    let chats = write(folder.path(), "chats.jsonl", line);
    let score = |out: &Path, flags: &[&str]| {
        let arguments = ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let ran = callmark(&[&arguments[..], flags].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    let plain = folder.path().join("plain");
    score(&plain, &[]);
    let told = tables(&plain);
    assert!(PLANTED.iter().all(|value| told.contains(value)), "{told}");
    assert!(
        sql(&plain, "select * from events where type = 'pii' and evidence_text not like '[%]'").is_empty()
    );

    let out = folder.path().join("redacted");
    let ran = score(&out, &["--redact"]);
    let told = tables(&out);
    for value in PLANTED {
        assert!(
            !told.contains(value) && !ran.stderr.contains(value) && !ran.stdout.contains(value),
            "{value}: {told}"
        );
        assert_eq!(holding(&out, value), Vec::<PathBuf>::new(), "{value}");
    }
    assert_eq!(sql(&out, "select human_request_count as n from calls")[0]["n"], 1);
    assert_eq!(sql(&out, "select count(*) as n from events where type = 'pii'")[0]["n"], 7);
    // What was said is judged before it is taken out: but for the texts both are the same.
    for query in [
        "select * from calls",
        "select call_id, turn_index, speaker, sentiment_score from turns order by turn_index",
        "select * exclude (evidence_text) from events order by turn_index, type, rule_id, detail",
    ] {
        assert_eq!(sql(&plain, query), sql(&out, query), "{query}");
    }
    let ran = callmark(&["score", chats.to_str().unwrap(), "--out", "x", "--redact=cards"]);
    assert!(ran.code == 2 && ran.stderr.contains("no kind of personal data"), "{}", ran.stderr);
}

#[test]
fn nothing_that_is_redacted_of_a_recording_is_in_any_byte_or_heard_in_the_copy() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo");
    let truth: Value =
        serde_json::from_slice(&std::fs::read(demo.join("truth/demo-06.json")).unwrap()).unwrap();
    let planted = truth["events"].as_array().unwrap().iter().find(|e| e["type"] == "pii").unwrap();
    assert_eq!(planted["value"], "Peter Holloway");
    let folder = tempfile::tempdir().unwrap();
    // Without metadata beside it, the recording has its own name for an id.
    let recording = demo.join("audio/demo-06.mp3");
    let score = |name: &str, redact: &str| {
        let (out, copies) = (folder.path().join(name), folder.path().join(format!("{name}-audio")));
        let arguments = ["score", recording.to_str().unwrap(), "--out", out.to_str().unwrap(), redact];
        let ran = callmark(&[&arguments[..], &["--redacted-audio", copies.to_str().unwrap()]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (out, copies, format!("{}{}", ran.stdout, ran.stderr))
    };
    // Nobody gives a national number away: this run takes nothing out, and shows what there is to find.
    let (plain, whole, _) = score("plain", "--redact=national_id");
    let (out, copies, printed) = score("redacted", "--redact");
    let told = tables(&out);
    for name in ["Peter", "Holloway"] {
        assert!(tables(&plain).contains(name), "{name} was not heard: {}", tables(&plain));
        assert!(!told.contains(name) && !printed.contains(name), "{name}: {told}");
        assert_eq!(holding(folder.path().join("redacted").as_path(), name), Vec::<PathBuf>::new(), "{name}");
        assert_eq!(holding(&copies, name), Vec::<PathBuf>::new(), "{name}");
    }

    let samples = |folder: &Path| {
        let files = files_below(folder);
        assert_eq!(files.len(), 1, "{files:?}");
        let mut wav = hound::WavReader::open(&files[0]).unwrap();
        let frames = usize::from(wav.spec().channels) * wav.spec().sample_rate as usize / 1000;
        (wav.samples::<i16>().map(Result::unwrap).collect::<Vec<i16>>(), frames)
    };
    let ((kept, per_ms), (silenced, _)) = (samples(&whole), samples(&copies));
    let at = |field: &str| planted[field].as_u64().unwrap() as usize * per_ms;
    let said = at("start_ms")..at("end_ms");
    let loud = |sound: &[i16]| sound.iter().filter(|s| s.unsigned_abs() > 200).count();
    assert!(loud(&kept[said.clone()]) > 1_000);
    assert_eq!(loud(&silenced[said.clone()]), 0, "the name is heard");
    // What comes a second before and after it stays.
    let around = 1_500 * per_ms;
    assert_eq!(kept[..said.start - around], silenced[..said.start - around]);
    assert!(loud(&silenced[said.end + around..]) > 1_000);
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
