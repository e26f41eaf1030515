//! Small conversations and what must be found in them.
//!
//! `tests/conversations/NAME.json` holds the turns, `NAME.expected.txt` the findings. Run with
//! `CALLMARK_UPDATE_GOLDENS=1` to write the findings anew, and read the difference before committing it.
#![allow(clippy::unwrap_used)]

use callmark_analytics::{Conversation, Ruleset, Scores, score};
use callmark_types::{CallId, CallMetadata, EventKind, Millis, Span, Turn};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn conversations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> (CallMetadata, Vec<Turn>) {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut metadata = CallMetadata::unknown(CallId::new("golden").unwrap());
    metadata.first_handler = serde_json::from_value(value["first_handler"].clone()).unwrap();
    if let Some(segments) = value.get("handler_segments") {
        metadata.handler_segments = serde_json::from_value(segments.clone()).unwrap();
    }
    let turns = value["turns"].as_array().unwrap().iter().enumerate().map(|(index, t)| Turn {
        index: u32::try_from(index).unwrap(),
        channel: None,
        speaker: serde_json::from_value(t["speaker"].clone()).unwrap(),
        span: t["start_ms"].as_i64().map(|start| Span::of_ms(start, t["end_ms"].as_i64().unwrap())),
        text: t["text"].as_str().unwrap().to_owned(),
        words: Vec::new(),
        asr_confidence: None,
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    });
    (metadata, turns.collect())
}

fn findings(scores: &Scores) -> String {
    let mut out = String::new();
    let access = &scores.human_access;
    let resolution = &scores.resolution;
    let ms = |time: Option<Millis>| time.map_or("-".to_owned(), |t| t.0.to_string());
    writeln!(out, "outcome {} at {}", resolution.outcome.as_str(), ms(resolution.resolved_at)).unwrap();
    writeln!(
        out,
        "requests {} deflections {} honoured {:?} waited {}",
        access.human_request_count,
        access.deflection_count,
        access.human_request_honoured,
        ms(access.time_to_human)
    )
    .unwrap();
    let measured = [EventKind::Interruption, EventKind::Silence];
    for event in scores.events.iter().filter(|e| !measured.contains(&e.kind)) {
        let turn = event.turn_index.map_or("-".to_owned(), |t| t.to_string());
        let detail = event.detail.as_deref().unwrap_or("-");
        let text = event.evidence_text.as_deref().unwrap_or("-");
        writeln!(out, "{turn} {} {detail} | {text}", event.kind.as_str()).unwrap();
    }
    out
}

#[test]
fn conversations_show_what_was_expected() {
    let rules = Ruleset::built_in();
    let update = std::env::var_os("CALLMARK_UPDATE_GOLDENS").is_some();
    let paths = conversations();
    assert!(paths.len() >= 10, "conversations are missing");
    for path in paths {
        let (metadata, turns) = read(&path);
        let end = turns.last().and_then(|t| t.span).map(|s| s.end);
        let found =
            findings(&score(&rules, &Conversation { metadata: &metadata, turns: &turns, audio: None, end }));
        let expected_path = path.with_extension("expected.txt");
        if update {
            std::fs::write(&expected_path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn times_do_not_change_what_is_found() {
    let rules = Ruleset::built_in();
    for path in conversations() {
        let (metadata, turns) = read(&path);
        let mut chat = turns.clone();
        for turn in &mut chat {
            turn.span = None;
        }
        let of = |turns: &[Turn]| {
            score(&rules, &Conversation { metadata: &metadata, turns, audio: None, end: None })
        };
        let (timed, untimed) = (of(&turns), of(&chat));
        assert_eq!(timed.resolution.outcome, untimed.resolution.outcome, "{}", path.display());
        assert_eq!(
            timed.human_access.human_request_honoured,
            untimed.human_access.human_request_honoured,
            "{}",
            path.display()
        );
        assert_eq!(untimed.human_access.human_reached, None);
    }
}
