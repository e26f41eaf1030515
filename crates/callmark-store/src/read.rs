//! Calls read back from the tables: for who scores them again, or takes something out of them.
//!
//! It reads what a commit wrote, by the names of the columns; a column that a newer version added is left alone, and
//! what an older version did not write yet is null.

use crate::batch::SourceKey;
use crate::error::StoreError;
use crate::layout::{CommitRecord, read_committed_file};
use crate::place::Location;
use crate::schema::Table;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, Event, HandlerSegment, HumanAccess, Lineage,
    Millis, Resolution, ScoredCall, SentimentRollup, SentimentScores, SideMetrics, SourcePosition, Span,
    Timestamp, Trust, Turn, Word,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// The calls of one commit with the keys that they were committed under, in the order of their rows.
///
/// # Errors
/// Where a file is missing, is no Parquet or does not hold what was written.
pub fn read_calls(
    dir: impl Into<Location>,
    commit: &CommitRecord,
) -> Result<Vec<(SourceKey, ScoredCall)>, StoreError> {
    let dir = dir.into();
    let read = |table: Table| -> Result<Vec<RecordBatch>, StoreError> {
        let mut batches = Vec::new();
        for file in commit.files.iter().filter(|file| file.table == table) {
            let bytes = read_committed_file(dir.clone(), &file.path)?;
            let damaged =
                |reason: String| StoreError::UnreadableTable { path: PathBuf::from(&file.path), reason };
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))
                .and_then(ParquetRecordBatchReaderBuilder::build)
                .map_err(|e| damaged(e.to_string()))?;
            for batch in reader {
                batches.push(batch.map_err(|e| damaged(e.to_string()))?);
            }
        }
        Ok(batches)
    };
    let calls = calls_of_rows(&read(Table::Calls)?, &read(Table::Turns)?, &read(Table::Events)?).map_err(
        |reason| {
            let path = commit.files.last().map(|file| PathBuf::from(&file.path)).unwrap_or_default();
            StoreError::UnreadableTable { path, reason }
        },
    )?;
    let keys: HashMap<&CallId, SourceKey> =
        commit.entries.iter().map(|entry| (&entry.call_id, entry.key)).collect();
    let keyed = calls.into_iter().map(|call| {
        let key = keys.get(&call.record.call_id).copied().ok_or_else(|| StoreError::UnreadableTable {
            path: PathBuf::from(commit.record_path()),
            reason: "the tables hold a call that the commit does not name".to_owned(),
        })?;
        Ok((key, call))
    });
    keyed.collect()
}

/// Calls out of the rows of the three tables, in the order of `calls`. The error says which column or row is wrong.
pub fn calls_of_rows(
    calls: &[RecordBatch],
    turns: &[RecordBatch],
    events: &[RecordBatch],
) -> Result<Vec<ScoredCall>, String> {
    let mut turns_of: BTreeMap<String, Vec<(Turn, Option<f64>)>> = BTreeMap::new();
    for rows in tables(turns) {
        for index in 0..rows.len() {
            turns_of.entry(rows.text("call_id", index)?).or_default().push(turn(&rows, index)?);
        }
    }
    let mut events_of: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for rows in tables(events) {
        for index in 0..rows.len() {
            let list = events_of.entry(rows.text("call_id", index)?).or_default();
            if rows.int32("event_index", index)? != Some(list.len() as i32) {
                return Err("the events of a call are not all there, or not in order".to_owned());
            }
            list.push(event(&rows, index)?);
        }
    }
    let mut found = Vec::new();
    for rows in tables(calls) {
        for index in 0..rows.len() {
            let record = record(&rows, index)?;
            let id = record.call_id.as_str();
            let (turns, turn_sentiment) = turns_of.remove(id).unwrap_or_default().into_iter().unzip();
            let events = events_of.remove(id).unwrap_or_default();
            found.push(ScoredCall { record, turns, turn_sentiment, events });
        }
    }
    if turns_of.is_empty() && events_of.is_empty() {
        Ok(found)
    } else {
        Err("there are turns or events without a call".to_owned())
    }
}

fn tables(batches: &[RecordBatch]) -> impl Iterator<Item = Rows> {
    batches.iter().map(|batch| Rows(StructArray::from(batch.clone())))
}

/// The rows of a table, or the structs of a list, read by column and position.
struct Rows(StructArray);

type Read<T> = Result<T, String>;

impl Rows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get<A: Array + 'static, T>(
        &self,
        name: &str,
        index: usize,
        value: impl Fn(&A, usize) -> T,
    ) -> Read<Option<T>> {
        let Some(column) = self.0.column_by_name(name) else { return Ok(None) };
        let array = column.as_any().downcast_ref::<A>().ok_or_else(|| other_type(name))?;
        Ok(array.is_valid(index).then(|| value(array, index)))
    }

    fn optional_text(&self, name: &str, index: usize) -> Read<Option<String>> {
        self.get::<StringArray, _>(name, index, |array, i| array.value(i).to_owned())
    }

    fn text(&self, name: &str, index: usize) -> Read<String> {
        there(name, self.optional_text(name, index)?)
    }

    fn int32(&self, name: &str, index: usize) -> Read<Option<i32>> {
        self.get::<Int32Array, _>(name, index, Int32Array::value)
    }

    fn unsigned(&self, name: &str, index: usize) -> Read<Option<u32>> {
        let number = self.int32(name, index)?.map(u32::try_from).transpose();
        number.map_err(|_| format!("column {name} has a number below 0"))
    }

    fn int64(&self, name: &str, index: usize) -> Read<Option<i64>> {
        self.get::<Int64Array, _>(name, index, Int64Array::value)
    }

    fn millis(&self, name: &str, index: usize) -> Read<Option<Millis>> {
        Ok(self.int64(name, index)?.map(Millis))
    }

    fn float64(&self, name: &str, index: usize) -> Read<Option<f64>> {
        self.get::<Float64Array, _>(name, index, Float64Array::value)
    }

    fn named<T: DeserializeOwned>(&self, name: &str, index: usize) -> Read<Option<T>> {
        let Some(text) = self.optional_text(name, index)? else { return Ok(None) };
        let unknown = format!("column {name} holds the unknown value {text:?}");
        serde_json::from_value(serde_json::Value::String(text)).map(Some).map_err(|_| unknown)
    }

    fn list(&self, name: &str, index: usize) -> Read<ArrayRef> {
        there(name, self.get::<ListArray, _>(name, index, ListArray::value)?)
    }

    /// The structs of a list.
    fn members(&self, name: &str, index: usize) -> Read<Rows> {
        let list = self.list(name, index)?;
        Ok(Rows(list.as_struct_opt().ok_or_else(|| other_type(name))?.clone()))
    }

    fn texts(&self, name: &str, index: usize) -> Read<Vec<String>> {
        let list = self.list(name, index)?;
        let list = list.as_string_opt::<i32>().ok_or_else(|| other_type(name))?;
        list.iter().map(|text| there(name, text.map(str::to_owned))).collect()
    }

    fn span(&self, index: usize) -> Read<Option<Span>> {
        let Some(start) = self.millis("start_ms", index)? else { return Ok(None) };
        // A message that was sent at that time has no length.
        let end = self.millis("end_ms", index)?.unwrap_or(start);
        Ok(Some(Span { start, end }))
    }
}

fn other_type(name: &str) -> String {
    format!("column {name} has another type than the schema's")
}

fn there<T>(name: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| format!("column {name} is missing, or null where it cannot be"))
}

fn turn(row: &Rows, index: usize) -> Read<(Turn, Option<f64>)> {
    let words = row.members("words", index)?;
    let word = |i: usize| -> Read<Word> {
        Ok(Word {
            word: words.text("word", i)?,
            span: there("words.start_ms", words.span(i)?)?,
            probability: there(
                "words.probability",
                words.get::<Float32Array, _>("probability", i, Float32Array::value)?,
            )?,
        })
    };
    let channel = row.int32("channel", index)?.map(u16::try_from).transpose();
    let turn = Turn {
        index: there("turn_index", row.unsigned("turn_index", index)?)?,
        channel: channel.map_err(|_| "column channel holds no channel's number".to_owned())?,
        speaker: there("speaker", row.named("speaker", index)?)?,
        span: row.span(index)?,
        text: row.text("text", index)?,
        words: (0..words.len()).map(word).collect::<Read<_>>()?,
        asr_confidence: row.float64("asr_confidence", index)?,
        no_speech_probability: row.float64("no_speech_probability", index)?,
        loudness_dbfs: row.float64("loudness_dbfs", index)?,
        dropped_reason: row.named("dropped_reason", index)?,
    };
    Ok((turn, row.float64("sentiment_score", index)?))
}

fn event(row: &Rows, index: usize) -> Read<Event> {
    Ok(Event {
        kind: there("type", row.named("type", index)?)?,
        span: row.span(index)?,
        turn_index: row.unsigned("turn_index", index)?,
        speaker: row.named("speaker", index)?,
        detail: row.optional_text("detail", index)?,
        rule_id: row.optional_text("rule_id", index)?,
        rule_version: row.optional_text("rule_version", index)?,
        confidence: row.float64("confidence", index)?,
        evidence_text: row.optional_text("evidence_text", index)?,
    })
}

fn record(row: &Rows, index: usize) -> Read<CallRecord> {
    let id = row.text("call_id", index)?;
    let started =
        row.get::<TimestampMillisecondArray, _>("started_at", index, TimestampMillisecondArray::value)?;
    let started_at = started.map(|millis| {
        Timestamp::from_epoch_millis(millis).ok_or_else(|| "column started_at holds no time".to_owned())
    });
    Ok(CallRecord {
        call_id: CallId::new(id).map_err(|e| e.to_string())?,
        started_at: started_at.transpose()?,
        source: SourcePosition {
            uri: row.optional_text("source_uri", index)?,
            sha256: row.optional_text("source_sha256", index)?,
            topic: row.optional_text("source_topic", index)?,
            partition: row.int32("source_partition", index)?,
            offset: row.int64("source_offset", index)?,
        },
        first_handler: row.named("first_handler", index)?,
        final_handler: row.named("final_handler", index)?,
        handler_segments: handler_segments(row, index)?,
        agent_ids: row.texts("agent_ids", index)?,
        customer_key: row.optional_text("customer_key", index)?,
        queue: row.optional_text("queue", index)?,
        issue_type: row.optional_text("issue_type", index)?,
        language: row.optional_text("language", index)?,
        audio: AudioColumns {
            codec: row.optional_text("codec", index)?,
            sample_rate: row.int32("sample_rate", index)?,
            channels: row.int32("channels", index)?,
            total_conversation_duration: row.millis("total_conversation_duration_ms", index)?,
            clipped_ratio: row.float64("clipped_ratio", index)?,
            snr_db: row.float64("snr_db", index)?,
        },
        conversation: conversation(row, index)?,
        sentiment: SentimentRollup {
            customer: scores(row, "customer", index)?,
            agent: scores(row, "agent", index)?,
            customer_with_ai: row.float64("sentiment_score_customer_with_ai", index)?,
            customer_with_human: row.float64("sentiment_score_customer_with_human", index)?,
        },
        human_access: human_access(row, index)?,
        resolution: Resolution {
            outcome: there("outcome", row.named("outcome", index)?)?,
            resolved_at: row.millis("resolved_at_ms", index)?,
            resolution_time: row.millis("resolution_time_ms", index)?,
            confidence: there("resolution_confidence", row.float64("resolution_confidence", index)?)?,
            evidence_turn: row.unsigned("resolution_evidence_turn", index)?,
        },
        trust: Trust {
            asr_confidence: row.float64("asr_confidence", index)?,
            hallucination_risk: row.float64("hallucination_risk", index)?,
            non_speech_ratio: row.float64("non_speech_ratio", index)?,
            flags: row.texts("flags", index)?,
        },
        lineage: lineage(row, index)?,
    })
}

fn handler_segments(row: &Rows, index: usize) -> Read<Vec<HandlerSegment>> {
    let segments = row.members("handler_segments", index)?;
    let segment = |i: usize| -> Read<HandlerSegment> {
        Ok(HandlerSegment {
            handler: there("handler", segments.named("handler", i)?)?,
            span: there("handler_segments.start_ms", segments.span(i)?)?,
            agent_id: segments.optional_text("agent_id", i)?,
        })
    };
    (0..segments.len()).map(segment).collect()
}

fn human_access(row: &Rows, index: usize) -> Read<HumanAccess> {
    Ok(HumanAccess {
        human_request_count: there("human_request_count", row.int32("human_request_count", index)?)?,
        first_human_request: row.millis("first_human_request_ms", index)?,
        deflection_count: there("deflection_count", row.int32("deflection_count", index)?)?,
        human_reached: row.millis("human_reached_ms", index)?,
        time_to_human: row.millis("time_to_human_ms", index)?,
        human_request_honoured: row.get::<BooleanArray, _>(
            "human_request_honoured",
            index,
            BooleanArray::value,
        )?,
    })
}

fn lineage(row: &Rows, index: usize) -> Read<Lineage> {
    Ok(Lineage {
        pipeline_version: row.text("pipeline_version", index)?,
        asr_model: row.optional_text("asr_model", index)?,
        asr_model_sha256: row.optional_text("asr_model_sha256", index)?,
        rules_sha256: row.text("rules_sha256", index)?,
        text_model_sha256: row.optional_text("text_model_sha256", index)?,
    })
}

fn conversation(row: &Rows, index: usize) -> Read<ConversationMetrics> {
    Ok(ConversationMetrics {
        agent: side(row, "agent", index)?,
        customer: side(row, "customer", index)?,
        talk_time_total: row.millis("talk_time_total_ms", index)?,
        non_talk_time_total: row.millis("non_talk_time_total_ms", index)?,
        overlap_time: row.millis("overlap_time_ms", index)?,
        hold_time: row.millis("hold_time_ms", index)?,
        queue_time: row.millis("queue_time_ms", index)?,
        greeting_time_agent: row.millis("greeting_time_agent_ms", index)?,
    })
}

fn side(row: &Rows, side: &str, index: usize) -> Read<SideMetrics> {
    Ok(SideMetrics {
        talk_time: row.millis(&format!("talk_time_{side}_ms"), index)?,
        interruptions_count: row.int32(&format!("interruptions_{side}_count"), index)?,
        interruptions_time: row.millis(&format!("interruptions_{side}_time_ms"), index)?,
        talk_speed_wpm: row.float64(&format!("talk_speed_{side}_wpm"), index)?,
        response_time_average: row.millis(&format!("response_time_average_{side}_ms"), index)?,
        response_time_maximum: row.millis(&format!("response_time_maximum_{side}_ms"), index)?,
    })
}

fn scores(row: &Rows, side: &str, index: usize) -> Read<SentimentScores> {
    let quarter = |n: u8| row.float64(&format!("sentiment_quarter_{n}_score_{side}"), index);
    Ok(SentimentScores {
        overall: row.float64(&format!("sentiment_overall_score_{side}"), index)?,
        start: row.float64(&format!("sentiment_start_score_{side}"), index)?,
        end: row.float64(&format!("sentiment_end_score_{side}"), index)?,
        quarters: [quarter(1)?, quarter(2)?, quarter(3)?, quarter(4)?],
        slope_per_minute: row.float64(&format!("sentiment_slope_per_minute_{side}"), index)?,
    })
}
