//! Calls as JSON documents in the shape of Amazon Contact Lens post-call analysis, so that tools which read those
//! read these.
//!
//! Shape: "Example Contact Lens output files for a call analyzed by Contact Lens" in the Amazon Connect
//! administrator guide. What Callmark does not know is left out, never invented.

use crate::output::json_rows;
use crate::tables::{QueryError, Tables};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Calls whose turns and events are held in memory at a time.
const CALLS_AT_A_TIME: usize = 500;

/// Sentiment scores above this are POSITIVE, below its negative NEGATIVE, between them NEUTRAL.
const NEUTRAL_BAND: f64 = 0.5;

type Row = Map<String, Value>;

/// Hands `sink` one document a call, in order of call id: `(call_id, document)`.
pub async fn export_contact_lens(
    tables: &Tables,
    mut sink: impl FnMut(&str, &Value) -> Result<(), QueryError>,
) -> Result<usize, QueryError> {
    let ids: Vec<String> = json_rows(&tables.query("select call_id from calls order by call_id").await?)?
        .iter()
        .filter_map(|row| text(row, "call_id").map(str::to_owned))
        .collect();
    for chunk in ids.chunks(CALLS_AT_A_TIME) {
        let list =
            chunk.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect::<Vec<_>>().join(",");
        let calls =
            rows(tables, &format!("select * from calls where call_id in ({list}) order by call_id")).await?;
        let mut turns = by_call(rows(
            tables,
            &format!("select call_id, turn_index, speaker, start_ms, end_ms, text, sentiment_score, loudness_dbfs from turns where call_id in ({list}) and dropped_reason is null order by call_id, turn_index"),
        ).await?);
        let mut events = by_call(rows(
            tables,
            &format!("select call_id, type, start_ms, end_ms, speaker, detail, rule_id, turn_index from events where call_id in ({list}) order by call_id, event_index"),
        ).await?);
        for call in &calls {
            let id = text(call, "call_id").unwrap_or_default();
            let turns = turns.remove(id).unwrap_or_default();
            let events = events.remove(id).unwrap_or_default();
            sink(id, &document(call, &turns, &events))?;
        }
    }
    Ok(ids.len())
}

async fn rows(tables: &Tables, sql: &str) -> Result<Vec<Row>, QueryError> {
    json_rows(&tables.query(sql).await?)
}

fn by_call(rows: Vec<Row>) -> HashMap<String, Vec<Row>> {
    let mut grouped: HashMap<String, Vec<Row>> = HashMap::new();
    for row in rows {
        let id = text(&row, "call_id").unwrap_or_default().to_owned();
        grouped.entry(id).or_default().push(row);
    }
    grouped
}

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column).and_then(Value::as_str)
}

fn integer(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

fn number(row: &Row, column: &str) -> Option<f64> {
    row.get(column).and_then(Value::as_f64)
}

fn participant(speaker: Option<&str>) -> &'static str {
    match speaker {
        Some("customer") => "CUSTOMER",
        Some("ai_agent" | "human_agent") => "AGENT",
        Some("ivr") => "SYSTEM",
        _ => "UNKNOWN",
    }
}

fn document(call: &Row, turns: &[Row], events: &[Row]) -> Value {
    let channel = if call.get("codec").is_some_and(|c| !c.is_null()) { "VOICE" } else { "CHAT" };
    let mut participants: Vec<&str> = turns.iter().map(|t| participant(text(t, "speaker"))).collect();
    participants.sort_unstable();
    participants.dedup();
    json!({
        "Version": "1.1.0",
        "Channel": channel,
        "JobStatus": "COMPLETED",
        "LanguageCode": call.get("language").cloned().unwrap_or(Value::Null),
        "ContentMetadata": {"Output": "Raw"},
        "CustomerMetadata": {"ContactId": text(call, "call_id")},
        "Participants": participants.iter().map(|p| json!({"ParticipantId": p, "ParticipantRole": p})).collect::<Vec<_>>(),
        "Categories": categories(events),
        "ConversationCharacteristics": characteristics(call, events),
        "Transcript": turns.iter().map(transcript_item).collect::<Vec<_>>(),
    })
}

fn categories(events: &[Row]) -> Value {
    let mut details: Map<String, Value> = Map::new();
    for event in events.iter().filter(|e| text(e, "type") == Some("category")) {
        let Some(name) = text(event, "detail").or(text(event, "rule_id")) else { continue };
        let entry = details.entry(name.to_owned()).or_insert_with(|| json!({"PointsOfInterest": []}));
        if let Some(points) = entry["PointsOfInterest"].as_array_mut() {
            points.push(offsets(event));
        }
    }
    json!({"MatchedCategories": details.keys().collect::<Vec<_>>(), "MatchedDetails": details})
}

fn offsets(row: &Row) -> Value {
    json!({"BeginOffsetMillis": integer(row, "start_ms"), "EndOffsetMillis": integer(row, "end_ms")})
}

fn characteristics(call: &Row, events: &[Row]) -> Value {
    let sides = [("AGENT", "agent"), ("CUSTOMER", "customer")];
    let each = |make: &dyn Fn(&str) -> Option<Value>| -> Map<String, Value> {
        sides.iter().filter_map(|(role, side)| Some(((*role).to_owned(), make(side)?))).collect()
    };
    let interruptions = |side: &str| -> Vec<Value> {
        events
            .iter()
            .filter(|e| {
                text(e, "type") == Some("interruption")
                    && participant(text(e, "speaker")).eq_ignore_ascii_case(side)
            })
            .map(instance)
            .collect()
    };
    let silences: Vec<Value> =
        events.iter().filter(|e| matches!(text(e, "type"), Some("silence" | "hold"))).map(instance).collect();
    let count = |side: &str| integer(call, &format!("interruptions_{side}_count")).unwrap_or(0);
    let time = |side: &str| integer(call, &format!("interruptions_{side}_time_ms")).unwrap_or(0);
    json!({
        "TotalConversationDurationMillis": integer(call, "total_conversation_duration_ms"),
        "Sentiment": {
            "OverallSentiment": each(&|side| number(call, &format!("sentiment_overall_score_{side}")).map(|s| json!(s))),
            "SentimentByPeriod": {"QUARTER": each(&|side| Some(Value::Array(quarters(call, side))))},
        },
        "Interruptions": {
            "InterruptionsByInterrupter": each(&|side| Some(Value::Array(interruptions(side)))),
            "TotalCount": count("agent") + count("customer"),
            "TotalTimeMillis": time("agent") + time("customer"),
        },
        "NonTalkTime": {"TotalTimeMillis": integer(call, "non_talk_time_total_ms"), "Instances": silences},
        "TalkSpeed": {"DetailsByParticipant": each(&|side| {
            number(call, &format!("talk_speed_{side}_wpm")).map(|wpm| json!({"AverageWordsPerMinute": wpm.round()}))
        })},
        "TalkTime": {
            "TotalTimeMillis": integer(call, "talk_time_total_ms"),
            "DetailsByParticipant": each(&|side| {
                integer(call, &format!("talk_time_{side}_ms")).map(|ms| json!({"TotalTimeMillis": ms}))
            }),
        },
    })
}

fn instance(event: &Row) -> Value {
    let (start, end) = (integer(event, "start_ms"), integer(event, "end_ms"));
    json!({
        "BeginOffsetMillis": start,
        "EndOffsetMillis": end,
        "DurationMillis": start.zip(end).map(|(start, end)| end - start),
    })
}

fn quarters(call: &Row, side: &str) -> Vec<Value> {
    let duration = integer(call, "total_conversation_duration_ms");
    (1..=4i64)
        .filter_map(|quarter| {
            let score = number(call, &format!("sentiment_quarter_{quarter}_score_{side}"))?;
            let duration = duration?;
            Some(json!({
                "BeginOffsetMillis": duration * (quarter - 1) / 4,
                "EndOffsetMillis": duration * quarter / 4,
                "Score": score,
            }))
        })
        .collect()
}

fn transcript_item(turn: &Row) -> Value {
    let speaker = participant(text(turn, "speaker"));
    let sentiment = number(turn, "sentiment_score").map(|score| match score {
        s if s > NEUTRAL_BAND => "POSITIVE",
        s if s < -NEUTRAL_BAND => "NEGATIVE",
        _ => "NEUTRAL",
    });
    json!({
        "Id": format!("{}-{}", text(turn, "call_id").unwrap_or_default(), integer(turn, "turn_index").unwrap_or_default()),
        "ParticipantId": speaker,
        "BeginOffsetMillis": integer(turn, "start_ms"),
        "EndOffsetMillis": integer(turn, "end_ms"),
        "Content": text(turn, "text"),
        "Sentiment": sentiment,
    })
}
