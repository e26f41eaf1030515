//! Reads transcripts and chats: JSONL, one conversation a line, scored like recordings but without audio.

use crate::metadata_file::{METADATA_FIELDS, metadata_from_fields, nearest};
use callmark_analytics::{Lane, LaneTurn};
use callmark_types::{CallId, CallMetadata, ChannelRole, Span, Speaker, Turn};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Longest line read, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// Longest conversation, in turns.
const MAX_TURNS: usize = 100_000;

/// A conversation as it was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenConversation {
    /// What is known of it.
    pub metadata: CallMetadata,
    /// Its turns in order. `agent` without more is [`Speaker::Unknown`] until the words or metadata tell its kind.
    pub turns: Vec<Turn>,
    /// For each turn the lane (one a speaker name) and the side that its name tells.
    pub lanes: Vec<LaneTurn>,
}

#[derive(Deserialize)]
struct RawTurn {
    speaker: String,
    #[serde(default)]
    start_ms: Option<i64>,
    #[serde(default)]
    end_ms: Option<i64>,
    text: String,
}

/// The call id of a line, where that much can be read.
pub(crate) fn call_id_of_line(line: &[u8]) -> Option<CallId> {
    let value: Value = serde_json::from_slice(line).ok()?;
    CallId::new(value.get("call_id")?.as_str()?).ok()
}

/// Reads one line. The error says which field is wrong and what to do.
pub fn parse_conversation(line: &[u8]) -> Result<WrittenConversation, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("line has {} bytes, at most {MAX_LINE_BYTES} are read", line.len()));
    }
    let mut record: HashMap<String, Value> =
        serde_json::from_slice(line).map_err(|e| format!("not a JSON object: {e}"))?;
    let id = match record.get("call_id") {
        Some(Value::String(id)) => CallId::new(id.clone()).map_err(|e| format!("field `call_id`: {e}"))?,
        Some(_) => return Err("field `call_id` is not a text".to_owned()),
        None => return Err(missing(&record, "call_id")),
    };
    let Some(turns) = record.remove("turns") else { return Err(missing(&record, "turns")) };
    let raw: Vec<RawTurn> = serde_json::from_value(turns)
        .map_err(|e| format!("field `turns`: not a list of {{speaker, text}} ({e})"))?;
    if raw.len() > MAX_TURNS {
        return Err(format!("field `turns`: {} turns, at most {MAX_TURNS} are read", raw.len()));
    }
    let mut read =
        raw.iter().enumerate().map(|(i, turn)| read_turn(i, turn)).collect::<Result<Vec<_>, _>>()?;
    put_in_order(&mut read);
    let metadata = metadata_from_fields(id, &record).map_err(|e| e.replace("column `", "field `"))?;
    let (turns, lanes) = read.into_iter().unzip();
    Ok(WrittenConversation { metadata, turns, lanes })
}

fn missing(record: &HashMap<String, Value>, field: &str) -> String {
    let strangers = record.keys().map(String::as_str).filter(|name| !METADATA_FIELDS.contains(name));
    let near = nearest(field, strangers);
    near.map_or_else(|| format!("no field `{field}`"), |n| format!("no field `{field}` (is it `{n}`?)"))
}

fn read_turn(index: usize, raw: &RawTurn) -> Result<(Turn, LaneTurn), String> {
    let (speaker, told_role, lane) = parse_speaker(&raw.speaker).ok_or_else(|| {
        format!(
            "turn {index}: `{}` is no speaker: use customer, ai_agent, human_agent, agent, ivr or unknown",
            raw.speaker
        )
    })?;
    let span = match (raw.start_ms, raw.end_ms) {
        (Some(start), Some(end)) if start >= 0 && end >= start => Some(Span::of_ms(start, end)),
        (Some(start), None) if start >= 0 => Some(Span::of_ms(start, start)),
        (None, None) => None,
        (start, end) => {
            return Err(format!("turn {index}: times {start:?} to {end:?} ms do not run forward from 0"));
        }
    };
    let text = raw.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lane_turn = LaneTurn { lane: Lane::Voice(lane), span, text: text.clone(), told_role };
    let turn = Turn {
        index: index as u32,
        channel: None,
        speaker,
        span,
        text,
        words: Vec::new(),
        asr_confidence: None,
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    };
    Ok((turn, lane_turn))
}

/// Speaker, side and lane number of a speaker's name.
fn parse_speaker(text: &str) -> Option<(Speaker, Option<ChannelRole>, u8)> {
    let agent = Some(ChannelRole::Agent);
    Some(match text {
        "customer" | "user" | "caller" => (Speaker::Customer, Some(ChannelRole::Customer), 0),
        "agent" => (Speaker::Unknown, agent, 1),
        "ai_agent" | "ai" | "bot" | "assistant" => (Speaker::AiAgent, agent, 2),
        "human_agent" | "human" => (Speaker::HumanAgent, agent, 3),
        "ivr" | "system" => (Speaker::Ivr, agent, 4),
        "unknown" => (Speaker::Unknown, None, 5),
        _ => return None,
    })
}

/// By start where all turns have times, else as written; indices follow.
fn put_in_order(turns: &mut [(Turn, LaneTurn)]) {
    if turns.iter().all(|(turn, _)| turn.span.is_some()) {
        turns.sort_by_key(|(turn, _)| turn.span.map(|s| s.start));
    }
    for (index, (turn, _)) in turns.iter_mut().enumerate() {
        turn.index = index as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_without_times_keeps_its_order() {
        let line = br#"{"call_id":"t1","first_handler":"ai","turns":[{"speaker":"customer","text":" hi \n there"},{"speaker":"ai_agent","text":"Hello"}]}"#;
        let chat = parse_conversation(line).unwrap();
        assert_eq!(chat.turns[0].text, "hi there");
        assert_eq!(chat.turns[0].span, None);
        assert_eq!((chat.turns[1].index, chat.turns[1].speaker), (1, Speaker::AiAgent));
    }

    #[test]
    fn turns_with_times_are_put_in_order() {
        let line = br#"{"call_id":"t1","turns":[{"speaker":"customer","text":"b","start_ms":500,"end_ms":900},{"speaker":"ai_agent","text":"a","start_ms":0,"end_ms":400}]}"#;
        let texts: Vec<String> =
            parse_conversation(line).unwrap().turns.into_iter().map(|t| t.text).collect();
        assert_eq!(texts, ["a", "b"]);
    }

    #[test]
    fn a_bad_line_says_which_field_and_what_to_do() {
        for (line, part) in [
            (&b"not json"[..], "not a JSON object"),
            (br#"{"turns":[]}"#, "no field `call_id`"),
            (br#"{"call_id":"x","turn":[]}"#, "is it `turn`?"),
            (br#"{"call_id":"x","turns":[{"speaker":"alien","text":"hm"}]}"#, "`alien` is no speaker"),
            (
                br#"{"call_id":"x","turns":[{"speaker":"customer","text":"hm","start_ms":5,"end_ms":1}]}"#,
                "do not run forward",
            ),
            (br#"{"call_id":"x","started_at":"noon","turns":[]}"#, "field `started_at`"),
        ] {
            let error = parse_conversation(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
