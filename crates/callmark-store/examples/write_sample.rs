//! Writes a small dataset, and beside it what a reader must find in it.
//!
//! `cargo run -p callmark-store --example write_sample -- DIR` makes `DIR/tables` and `DIR/expected.json`; the
//! latter holds, for each table, the type of each column and every row. Both cover what readers differ on: a
//! partition without a date, nulls in every type, empty and nested lists, a file without rows, text beyond ASCII.

#[path = "../tests/store/samples.rs"]
mod samples;

use arrow::datatypes::DataType;
use callmark_store::{Dataset, Table, arrow_schema};
use callmark_types::{Event, Handler, Millis, ScoredCall, SentimentScores, SideMetrics, Span, Speaker, Turn};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::path::PathBuf;

/// Calls in the sample: enough for each date and for the null partition to have some.
const CALLS: u32 = 24;
/// Calls a commit.
const CALLS_PER_BATCH: u32 = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: write_sample DIR")?;
    let (mut dataset, _) = Dataset::open_for_writing(dir.join("tables"))?;
    let mut calls = Vec::new();
    for first in (0..CALLS).step_by(CALLS_PER_BATCH as usize) {
        let batch = samples::sample_batch(first..CALLS.min(first + CALLS_PER_BATCH));
        if !dataset.is_committed(&samples::sample_key(first)) {
            dataset.commit(&batch)?;
        }
        calls.extend(batch.calls);
    }
    let expected: Map<String, Value> =
        Table::ALL.map(|table| (table.name().to_owned(), expect(table, &calls))).into_iter().collect();
    std::fs::write(dir.join("expected.json"), serde_json::to_vec_pretty(&expected)?)?;
    Ok(())
}

fn expect(table: Table, calls: &[ScoredCall]) -> Value {
    let schema = arrow_schema(table);
    let types: Map<String, Value> = schema
        .fields()
        .iter()
        .map(|field| (field.name().clone(), json!(type_name(field.data_type()))))
        .collect();
    let rows: Vec<Value> = calls
        .iter()
        .flat_map(|call| match table {
            Table::Calls => vec![call_row(call)],
            Table::Turns => {
                let turns = call.turns.iter().zip(&call.turn_sentiment);
                turns.map(|(turn, sentiment)| turn_row(call, turn, *sentiment)).collect()
            }
            Table::Events => {
                call.events.iter().zip(0..).map(|(event, index)| event_row(call, event, index)).collect()
            }
        })
        .collect();
    json!({ "types": types, "rows": rows })
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Timestamp(_, _) => "timestamp".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Float32 => "float32".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::List(element) => format!("list<{}>", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let members =
                fields.iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
            format!("struct<{}>", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string().to_lowercase(),
    }
}

fn date(call: &ScoredCall) -> Option<String> {
    call.record.started_at.map(callmark_types::Timestamp::utc_date)
}

fn ms(millis: Option<Millis>) -> Option<i64> {
    millis.map(|millis| millis.0)
}

fn turn_row(call: &ScoredCall, turn: &Turn, sentiment: Option<f64>) -> Value {
    let words = turn.words.iter().map(|word| {
        json!({
            "word": word.word, "start_ms": word.span.start.0, "end_ms": word.span.end.0,
            "probability": f64::from(word.probability),
        })
    });
    json!({
        "date": date(call), "call_id": call.record.call_id, "turn_index": turn.index, "channel": turn.channel,
        "speaker": turn.speaker.as_str(), "start_ms": ms(turn.span.map(|span| span.start)),
        "end_ms": ms(turn.span.map(|span| span.end)), "text": turn.text, "words": words.collect::<Vec<_>>(),
        "asr_confidence": turn.asr_confidence, "no_speech_probability": turn.no_speech_probability,
        "sentiment_score": sentiment, "loudness_dbfs": turn.loudness_dbfs,
        "dropped_reason": turn.dropped_reason.map(callmark_types::DroppedReason::as_str),
    })
}

fn event_row(call: &ScoredCall, event: &Event, index: i32) -> Value {
    let span: Option<Span> = event.span;
    json!({
        "date": date(call), "call_id": call.record.call_id, "event_index": index, "type": event.kind.as_str(),
        "start_ms": ms(span.map(|span| span.start)), "end_ms": ms(span.map(|span| span.end)),
        "turn_index": event.turn_index, "speaker": event.speaker.map(Speaker::as_str), "detail": event.detail,
        "rule_id": event.rule_id, "rule_version": event.rule_version, "confidence": event.confidence,
        "evidence_text": event.evidence_text,
    })
}

fn call_row(call: &ScoredCall) -> Value {
    let record = &call.record;
    let segments = record.handler_segments.iter().map(|segment| {
        json!({
            "handler": segment.handler.as_str(), "start_ms": segment.span.start.0, "end_ms": segment.span.end.0,
            "agent_id": segment.agent_id,
        })
    });
    let mut row = Map::new();
    let mut add = |group: Value| {
        if let Value::Object(group) = group {
            row.extend(group);
        }
    };
    add(json!({
        "date": date(call), "call_id": record.call_id,
        "started_at": record.started_at.map(callmark_types::Timestamp::epoch_millis),
        "source_uri": record.source.uri, "source_sha256": record.source.sha256, "source_topic": record.source.topic,
        "source_partition": record.source.partition, "source_offset": record.source.offset,
        "first_handler": record.first_handler.map(Handler::as_str),
        "final_handler": record.final_handler.map(Handler::as_str),
        "handler_segments": segments.collect::<Vec<_>>(), "agent_ids": record.agent_ids,
        "customer_key": record.customer_key, "queue": record.queue, "issue_type": record.issue_type,
        "language": record.language,
    }));
    let (audio, access, resolution) = (&record.audio, &record.human_access, &record.resolution);
    add(json!({
        "codec": audio.codec, "sample_rate": audio.sample_rate, "channels": audio.channels,
        "total_conversation_duration_ms": ms(audio.total_conversation_duration),
        "clipped_ratio": audio.clipped_ratio, "snr_db": audio.snr_db,
        "human_request_count": access.human_request_count,
        "first_human_request_ms": ms(access.first_human_request), "deflection_count": access.deflection_count,
        "human_reached_ms": ms(access.human_reached), "time_to_human_ms": ms(access.time_to_human),
        "human_request_honoured": access.human_request_honoured, "outcome": resolution.outcome.as_str(),
        "resolved_at_ms": ms(resolution.resolved_at), "resolution_time_ms": ms(resolution.resolution_time),
        "resolution_confidence": resolution.confidence, "resolution_evidence_turn": resolution.evidence_turn,
    }));
    let (metrics, trust, lineage) = (&record.conversation, &record.trust, &record.lineage);
    add(json!({
        "talk_time_total_ms": ms(metrics.talk_time_total), "non_talk_time_total_ms": ms(metrics.non_talk_time_total),
        "overlap_time_ms": ms(metrics.overlap_time), "hold_time_ms": ms(metrics.hold_time),
        "queue_time_ms": ms(metrics.queue_time), "greeting_time_agent_ms": ms(metrics.greeting_time_agent),
        "sentiment_score_customer_with_ai": record.sentiment.customer_with_ai,
        "sentiment_score_customer_with_human": record.sentiment.customer_with_human,
        "asr_confidence": trust.asr_confidence, "hallucination_risk": trust.hallucination_risk,
        "non_speech_ratio": trust.non_speech_ratio, "flags": trust.flags,
        "pipeline_version": lineage.pipeline_version, "asr_model": lineage.asr_model,
        "asr_model_sha256": lineage.asr_model_sha256, "rules_sha256": lineage.rules_sha256,
        "text_model_sha256": lineage.text_model_sha256,
    }));
    for (side, metrics, scores) in [
        ("agent", &metrics.agent, &record.sentiment.agent),
        ("customer", &metrics.customer, &record.sentiment.customer),
    ] {
        row.extend(side_columns(side, metrics, scores));
    }
    Value::Object(row)
}

fn side_columns(side: &str, metrics: &SideMetrics, scores: &SentimentScores) -> Vec<(String, Value)> {
    let mut columns = vec![
        (format!("talk_time_{side}_ms"), json!(ms(metrics.talk_time))),
        (format!("interruptions_{side}_count"), json!(metrics.interruptions_count)),
        (format!("interruptions_{side}_time_ms"), json!(ms(metrics.interruptions_time))),
        (format!("talk_speed_{side}_wpm"), json!(metrics.talk_speed_wpm)),
        (format!("response_time_average_{side}_ms"), json!(ms(metrics.response_time_average))),
        (format!("response_time_maximum_{side}_ms"), json!(ms(metrics.response_time_maximum))),
        (format!("sentiment_overall_score_{side}"), json!(scores.overall)),
        (format!("sentiment_start_score_{side}"), json!(scores.start)),
        (format!("sentiment_end_score_{side}"), json!(scores.end)),
        (format!("sentiment_slope_per_minute_{side}"), json!(scores.slope_per_minute)),
    ];
    for (quarter, score) in (1..).zip(scores.quarters) {
        columns.push((format!("sentiment_quarter_{quarter}_score_{side}"), json!(score)));
    }
    columns
}
