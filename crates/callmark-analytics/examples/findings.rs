//! Findings as JSON lines, for measuring rules without a build of the whole product.
//!
//! `findings text FILE.jsonl` classifies `{text}` lines; `findings calls FILE.jsonl` scores conversations of
//! `{call_id, first_handler?, handler_segments?, duration_ms?, turns: [{speaker, start_ms?, end_ms?, text, words?}]}`.
//! Rule files are read from `pipelines/rules` on disk, so a change of a rule needs no build.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use callmark_analytics::{
    Conversation, Lane, LaneTurn, Ruleset, assign_speakers, classify_human_request, classify_sentiment, score,
};
use callmark_types::{
    CallId, CallMetadata, ChannelRole, Handler, HandlerSegment, Millis, Span, Speaker, Turn, Word,
};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, file] = arguments.as_slice() else {
        panic!("usage: findings text|sentiment|calls FILE.jsonl")
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/rules");
    let mut texts: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "toml"))
        .map(|e| (format!("rules/{}", e.file_name().display()), std::fs::read_to_string(e.path()).unwrap()))
        .collect();
    texts.sort();
    let sources: Vec<(&str, &str)> = texts.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let rules = Ruleset::from_sources(&sources).unwrap_or_else(|e| panic!("{e}"));
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let found = match mode.as_str() {
            "text" | "sentiment" => {
                let text = value["text"].as_str().unwrap();
                let found = if mode == "text" {
                    classify_human_request(&rules, text, None, &[])
                } else {
                    classify_sentiment(&rules, text, None, &[])
                };
                json!({"label": found.label, "score": found.score, "rule_id": found.rule_id})
            }
            _ => call(&rules, &value),
        };
        println!("{found}");
    }
}

fn handler(value: &Value) -> Option<Handler> {
    serde_json::from_value(value.clone()).ok()
}

fn span(value: &Value) -> Option<Span> {
    Some(Span::of_ms(value["start_ms"].as_i64()?, value["end_ms"].as_i64()?))
}

fn call(rules: &Ruleset, value: &Value) -> Value {
    let id = CallId::new(value["call_id"].as_str().unwrap()).unwrap();
    let mut metadata = CallMetadata::unknown(id);
    metadata.first_handler = handler(&value["first_handler"]);
    for s in value["handler_segments"].as_array().into_iter().flatten() {
        let segment = HandlerSegment {
            handler: handler(&s["handler"]).unwrap(),
            span: span(s).unwrap(),
            agent_id: None,
        };
        metadata.handler_segments.push(segment);
    }
    let blind = value["blind"].as_bool() == Some(true);
    let written = value["turns"].as_array().unwrap();
    let lanes: Vec<LaneTurn> = written
        .iter()
        .map(|t| {
            let customer = t["speaker"] == "customer";
            LaneTurn {
                lane: Lane::Channel(u16::from(!customer)),
                span: span(t),
                text: t["text"].as_str().unwrap().to_owned(),
                told_role: (!blind).then_some(if customer {
                    ChannelRole::Customer
                } else {
                    ChannelRole::Agent
                }),
            }
        })
        .collect();
    let assigned = assign_speakers(rules, &metadata, &lanes);
    let turns: Vec<Turn> = written
        .iter()
        .zip(&assigned.speakers)
        .enumerate()
        .map(|(i, (t, speaker))| turn(i, t, *speaker))
        .collect();
    let end = value["duration_ms"].as_i64().map(Millis);
    let began = std::time::Instant::now();
    let scores = score(rules, &Conversation { metadata: &metadata, turns: &turns, audio: None, end });
    let took = began.elapsed();
    let resolution = &scores.resolution;
    json!({
        "call_id": value["call_id"], "took_us": took.as_micros() as u64,
        "outcome": resolution.outcome.as_str(), "resolved_at_ms": resolution.resolved_at,
        "confidence": resolution.confidence, "evidence_turn": resolution.evidence_turn,
        "human_request_count": scores.human_access.human_request_count,
        "human_request_honoured": scores.human_access.human_request_honoured,
        "human_reached_ms": scores.human_access.human_reached,
        "deflection_count": scores.human_access.deflection_count,
        "first_handler": scores.first_handler, "final_handler": scores.final_handler,
        "speakers": turns.iter().map(|t| t.speaker).collect::<Vec<Speaker>>(),
        "sentiment": scores.turn_sentiment,
        "events": scores.events.iter().map(|e| json!({
            "type": e.kind, "start_ms": e.span.map(|s| s.start), "end_ms": e.span.map(|s| s.end),
            "turn": e.turn_index, "detail": e.detail, "rule_id": e.rule_id, "text": e.evidence_text,
        })).collect::<Vec<Value>>(),
    })
}

fn turn(index: usize, value: &Value, speaker: Speaker) -> Turn {
    let words = value["words"].as_array().into_iter().flatten().map(|w| Word {
        word: w["word"].as_str().unwrap().to_owned(),
        span: span(w).unwrap(),
        probability: 0.9,
    });
    Turn {
        index: index as u32,
        channel: None,
        speaker,
        span: span(value),
        text: value["text"].as_str().unwrap().to_owned(),
        words: words.collect(),
        asr_confidence: None,
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    }
}
