//! Reads transcripts and chats: JSONL, one conversation a line, scored like recordings but without audio.

use crate::metadata_fields::{
    LONGEST_CALL, METADATA_FIELDS, channel_of_role_column, metadata_from_fields, nearest,
};
use crate::metadata_file::BYTE_ORDER_MARK;
use callmark_analytics::{Lane, LaneTurn};
use callmark_types::{CallId, CallMetadata, ChannelRole, Span, Speaker, Turn};
use serde_json::Value;
use std::collections::HashMap;

/// Longest line read, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// What is read of a turn.
const TURN_FIELDS: [&str; 4] = ["speaker", "text", "start_ms", "end_ms"];

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
    /// Fields without a meaning whose names are near one that has one, and that one. No other is named: a name may be
    /// anything.
    pub misspelt: Vec<String>,
}

/// The call id of a line, where that much can be read.
pub(crate) fn call_id_of_line(line: &[u8]) -> Option<CallId> {
    let value: Value = serde_json::from_slice(without_mark(line)).ok()?;
    CallId::new(value.get("call_id")?.as_str()?).ok()
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// Reads one line. The error says which field is wrong and what to do, and quotes nothing that was said.
pub fn parse_conversation(line: &[u8]) -> Result<WrittenConversation, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("line has {} bytes, at most {MAX_LINE_BYTES} are read", line.len()));
    }
    let value: Value =
        serde_json::from_slice(without_mark(line)).map_err(|e| format!("not a JSON object: {e}"))?;
    let Value::Object(record) = value else { return Err("not a JSON object".to_owned()) };
    let mut record: HashMap<String, Value> = record.into_iter().collect();
    let id = match record.get("call_id") {
        Some(Value::String(id)) => CallId::new(id.clone()).map_err(|e| format!("field `call_id`: {e}"))?,
        Some(_) => return Err("field `call_id` is not a text".to_owned()),
        None => return Err(missing(&record, "call_id")),
    };
    let Some(turns) = record.remove("turns") else { return Err(missing(&record, "turns")) };
    let Value::Array(raw) = turns else {
        return Err("field `turns`: not a list of {speaker, text, start_ms?, end_ms?}".to_owned());
    };
    if raw.len() > MAX_TURNS {
        return Err(format!("field `turns`: {} turns, at most {MAX_TURNS} are read", raw.len()));
    }
    let misspelt = misspelt(&record, &raw);
    let mut read = raw
        .iter()
        .enumerate()
        .map(|(index, turn)| read_turn(index, turn).map_err(|reason| format!("turn {index}: {reason}")))
        .collect::<Result<Vec<_>, _>>()?;
    put_in_order(&mut read);
    let metadata = metadata_from_fields(id, &record).map_err(|e| e.replace("column `", "field `"))?;
    let (turns, lanes) = read.into_iter().unzip();
    Ok(WrittenConversation { metadata, turns, lanes, misspelt })
}

/// Names in the record and in its first turn that are likely slips of the pen.
fn misspelt(record: &HashMap<String, Value>, turns: &[Value]) -> Vec<String> {
    let slip = |name: &str, known: &[&'static str]| {
        if known.contains(&name) || channel_of_role_column(name).is_some() {
            return None;
        }
        nearest(name, known.iter().copied()).map(|near| format!("{name} (is it {near}?)"))
    };
    let fields: Vec<&str> = ["call_id", "turns"].into_iter().chain(METADATA_FIELDS).collect();
    let of_record = record.keys().filter_map(|name| slip(name, &fields));
    let first = turns.first().and_then(Value::as_object).into_iter().flat_map(|turn| turn.keys());
    let mut found: Vec<String> = of_record.chain(first.filter_map(|name| slip(name, &TURN_FIELDS))).collect();
    found.sort();
    found
}

fn missing(record: &HashMap<String, Value>, field: &str) -> String {
    let strangers = record.keys().map(String::as_str).filter(|name| !METADATA_FIELDS.contains(name));
    let near = nearest(field, strangers);
    near.map_or_else(|| format!("no field `{field}`"), |n| format!("no field `{field}` (is it `{n}`?)"))
}

fn read_turn(index: usize, raw: &Value) -> Result<(Turn, LaneTurn), String> {
    let text_of = |field: &str| raw.get(field).and_then(Value::as_str);
    let Some(said) = text_of("text") else { return Err("its `text` is missing or no text".to_owned()) };
    let (speaker, told_role, lane) = text_of("speaker")
        .and_then(parse_speaker)
        .ok_or("its `speaker` is none of customer, ai_agent, human_agent, agent, ivr, unknown")?;
    let time = |field: &str| match raw.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(ms) if (0..=LONGEST_CALL.0).contains(&ms) => Ok(Some(ms)),
            _ => Err(format!("its `{field}` is no whole number from 0 to {}", LONGEST_CALL.0)),
        },
    };
    let span = match (time("start_ms")?, time("end_ms")?) {
        (None, None) => None,
        (Some(start), end) if end.unwrap_or(start) >= start => Some(Span::of_ms(start, end.unwrap_or(start))),
        _ => return Err("its `end_ms` does not follow its `start_ms`".to_owned()),
    };
    let text = said.split_whitespace().collect::<Vec<_>>().join(" ");
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
            (
                br#"{"call_id":"x","turns":[{"speaker":"alien","text":"hm"}]}"#,
                "turn 0: its `speaker` is none of",
            ),
            (
                br#"{"call_id":"x","turns":[{"speaker":"customer","text":"hm","start_ms":5,"end_ms":1}]}"#,
                "turn 0: its `end_ms` does not follow",
            ),
            (br#"{"call_id":"x","started_at":"noon","turns":[]}"#, "field `started_at`"),
        ] {
            let error = parse_conversation(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_error_quotes_nothing_that_was_said() {
        for line in [
            r#"{"call_id":"x","turns":"my card is 4111"}"#,
            r#"{"call_id":"x","turns":["my card is 4111"]}"#,
            r#"{"call_id":"x","turns":[{"speaker":"customer","text":{"my card is":"4111"}}]}"#,
            r#"{"call_id":"x","turns":[{"speaker":"customer","text":"hm","start_ms":"4111"}]}"#,
            r#"{"call_id":"x","turns":[{"speaker":"Jo 4111","text":"hm"}]}"#,
            r#"{"call_id":"x","started_at":"4111","turns":[]}"#,
            r#"{"call_id":"x","first_handler":"4111","turns":[]}"#,
            r#"{"call_id":"x","channel_0_role":"4111","turns":[]}"#,
            r#"{"call_id":"x","handler_segments":[{"handler":"4111"}],"turns":[]}"#,
            r#""my card is 4111""#,
        ] {
            let error = parse_conversation(line.as_bytes()).unwrap_err();
            assert!(!error.contains("4111"), "{error}");
        }
    }

    #[test]
    fn a_time_that_no_call_can_have_is_refused() {
        let line = br#"{"call_id":"x","turns":[{"speaker":"customer","text":"hm","start_ms":0,"end_ms":9223372036854775807}]}"#;
        assert!(parse_conversation(line).unwrap_err().contains("`end_ms` is no whole number"));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert!(parse_conversation(b"\xef\xbb\xbf{\"call_id\":\"x\",\"turns\":[]}").is_ok());
    }

    #[test]
    fn a_slip_of_the_pen_is_named_and_what_is_only_unknown_is_not() {
        let line = br#"{"call_id":"x","startedAt":"2026-01-01T00:00:00Z","Queue":"a","shoe":44,"turns":[{"speaker":"customer","text":"hm","startMs":4}]}"#;
        let misspelt = parse_conversation(line).unwrap().misspelt;
        assert_eq!(
            misspelt,
            ["Queue (is it queue?)", "startMs (is it start_ms?)", "startedAt (is it started_at?)"]
        );
    }
}
