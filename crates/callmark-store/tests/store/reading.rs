//! Reads the tables back into calls, column by column and by name, without the store's own code.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use callmark_store::Table;
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, Event, HandlerSegment, HumanAccess, Lineage,
    Millis, Resolution, ScoredCall, SentimentRollup, SentimentScores, SideMetrics, SourcePosition, Span,
    Timestamp, Trust, Turn, Word,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Every call of the dataset at `dir`, as a plain glob of `*.parquet` shows it.
pub(crate) fn read_dataset(dir: &Path) -> Vec<ScoredCall> {
    let batches = |table| {
        let files = glob(dir, table);
        files.iter().flat_map(|path| read_file(File::open(path).unwrap())).collect::<Vec<_>>()
    };
    assemble(&batches(Table::Calls), &batches(Table::Turns), &batches(Table::Events))
}

/// The files that a reader's glob `<table>/*/*.parquet` finds, sorted.
pub(crate) fn glob(dir: &Path, table: Table) -> Vec<PathBuf> {
    let Ok(partitions) = std::fs::read_dir(dir.join(table.name())) else { return Vec::new() };
    let mut files: Vec<PathBuf> = partitions
        .flat_map(|partition| std::fs::read_dir(partition.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    files.sort();
    files
}

/// The batches of one file.
pub(crate) fn read_file(file: File) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// The same of a file in memory.
pub(crate) fn read_table(bytes: bytes::Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// Calls out of the rows of the three tables, in order of `calls`.
pub(crate) fn assemble(
    calls: &[RecordBatch],
    turns: &[RecordBatch],
    events: &[RecordBatch],
) -> Vec<ScoredCall> {
    let mut turns_of: BTreeMap<String, Vec<(Turn, Option<f64>)>> = BTreeMap::new();
    for batch in turns {
        let row = Row(batch);
        for index in 0..batch.num_rows() {
            turns_of.entry(row.text("call_id", index).unwrap()).or_default().push(read_turn(&row, index));
        }
    }
    let mut events_of: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for batch in events {
        let row = Row(batch);
        for index in 0..batch.num_rows() {
            let list = events_of.entry(row.text("call_id", index).unwrap()).or_default();
            assert_eq!(row.int32("event_index", index), Some(list.len() as i32));
            list.push(read_event(&row, index));
        }
    }
    let mut found = Vec::new();
    for batch in calls {
        for index in 0..batch.num_rows() {
            let record = read_record(&Row(batch), index);
            let id = record.call_id.as_str().to_owned();
            let (turns, turn_sentiment) = turns_of.remove(&id).unwrap_or_default().into_iter().unzip();
            let events = events_of.remove(&id).unwrap_or_default();
            found.push(ScoredCall { record, turns, turn_sentiment, events });
        }
    }
    assert!(turns_of.is_empty() && events_of.is_empty(), "turns or events without a call");
    found
}

struct Row<'a>(&'a RecordBatch);

impl Row<'_> {
    fn column(&self, name: &str) -> &ArrayRef {
        self.0.column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"))
    }

    fn get<A: Array + 'static, T>(
        &self,
        name: &str,
        index: usize,
        value: impl Fn(&A, usize) -> T,
    ) -> Option<T> {
        value_of(self.column(name), index, value)
    }

    fn text(&self, name: &str, index: usize) -> Option<String> {
        self.get::<StringArray, _>(name, index, |array, i| array.value(i).to_owned())
    }

    fn int32(&self, name: &str, index: usize) -> Option<i32> {
        self.get::<Int32Array, _>(name, index, Int32Array::value)
    }

    fn int64(&self, name: &str, index: usize) -> Option<i64> {
        self.get::<Int64Array, _>(name, index, Int64Array::value)
    }

    fn millis(&self, name: &str, index: usize) -> Option<Millis> {
        self.int64(name, index).map(Millis)
    }

    fn float64(&self, name: &str, index: usize) -> Option<f64> {
        self.get::<Float64Array, _>(name, index, Float64Array::value)
    }

    fn named<T: DeserializeOwned>(&self, name: &str, index: usize) -> Option<T> {
        self.text(name, index).map(named)
    }

    fn list(&self, name: &str, index: usize) -> ArrayRef {
        self.get::<ListArray, _>(name, index, ListArray::value).unwrap()
    }

    fn span(&self, index: usize) -> Option<Span> {
        let start = self.millis("start_ms", index)?;
        // A message that was sent at that time has no length.
        Some(Span { start, end: self.millis("end_ms", index).unwrap_or(start) })
    }
}

fn value_of<A: Array + 'static, T>(
    column: &ArrayRef,
    index: usize,
    value: impl Fn(&A, usize) -> T,
) -> Option<T> {
    let array = column.as_any().downcast_ref::<A>().expect("a column has the type of its schema");
    array.is_valid(index).then(|| value(array, index))
}

fn named<T: DeserializeOwned>(text: String) -> T {
    serde_json::from_value(serde_json::Value::String(text)).unwrap()
}

fn member_text(list: &StructArray, name: &str, index: usize) -> Option<String> {
    value_of::<StringArray, _>(list.column_by_name(name).unwrap(), index, |array, i| {
        array.value(i).to_owned()
    })
}

fn member_span(list: &StructArray, index: usize) -> Span {
    let get = |name: &str| {
        Millis(
            value_of::<Int64Array, _>(list.column_by_name(name).unwrap(), index, Int64Array::value).unwrap(),
        )
    };
    Span { start: get("start_ms"), end: get("end_ms") }
}

fn read_turn(row: &Row, index: usize) -> (Turn, Option<f64>) {
    let words = row.list("words", index);
    let words = words.as_struct();
    let probabilities = words.column_by_name("probability").unwrap();
    let turn = Turn {
        index: row.int32("turn_index", index).unwrap() as u32,
        channel: row.int32("channel", index).map(|channel| u16::try_from(channel).unwrap()),
        speaker: row.named("speaker", index).unwrap(),
        span: row.span(index),
        text: row.text("text", index).unwrap(),
        words: (0..words.len())
            .map(|i| Word {
                word: member_text(words, "word", i).unwrap(),
                span: member_span(words, i),
                probability: value_of::<Float32Array, _>(probabilities, i, Float32Array::value).unwrap(),
            })
            .collect(),
        asr_confidence: row.float64("asr_confidence", index),
        no_speech_probability: row.float64("no_speech_probability", index),
        loudness_dbfs: row.float64("loudness_dbfs", index),
        dropped_reason: row.named("dropped_reason", index),
    };
    (turn, row.float64("sentiment_score", index))
}

fn read_event(row: &Row, index: usize) -> Event {
    Event {
        kind: row.named("type", index).unwrap(),
        span: row.span(index),
        turn_index: row.int32("turn_index", index).map(|turn| turn as u32),
        speaker: row.named("speaker", index),
        detail: row.text("detail", index),
        rule_id: row.text("rule_id", index),
        rule_version: row.text("rule_version", index),
        confidence: row.float64("confidence", index),
        evidence_text: row.text("evidence_text", index),
    }
}

fn read_record(row: &Row, index: usize) -> CallRecord {
    let started_at =
        row.get::<TimestampMillisecondArray, _>("started_at", index, TimestampMillisecondArray::value);
    let segments = row.list("handler_segments", index);
    let segments = segments.as_struct();
    CallRecord {
        call_id: CallId::new(row.text("call_id", index).unwrap()).unwrap(),
        started_at: started_at.map(|millis| Timestamp::from_epoch_millis(millis).unwrap()),
        source: SourcePosition {
            uri: row.text("source_uri", index),
            sha256: row.text("source_sha256", index),
            topic: row.text("source_topic", index),
            partition: row.int32("source_partition", index),
            offset: row.int64("source_offset", index),
        },
        first_handler: row.named("first_handler", index),
        final_handler: row.named("final_handler", index),
        handler_segments: (0..segments.len())
            .map(|i| HandlerSegment {
                handler: named(member_text(segments, "handler", i).unwrap()),
                span: member_span(segments, i),
                agent_id: member_text(segments, "agent_id", i),
            })
            .collect(),
        agent_ids: read_texts(row, "agent_ids", index),
        customer_key: row.text("customer_key", index),
        queue: row.text("queue", index),
        issue_type: row.text("issue_type", index),
        language: row.text("language", index),
        audio: AudioColumns {
            codec: row.text("codec", index),
            sample_rate: row.int32("sample_rate", index),
            channels: row.int32("channels", index),
            total_conversation_duration: row.millis("total_conversation_duration_ms", index),
            clipped_ratio: row.float64("clipped_ratio", index),
            snr_db: row.float64("snr_db", index),
        },
        conversation: read_conversation(row, index),
        sentiment: SentimentRollup {
            customer: read_scores(row, "customer", index),
            agent: read_scores(row, "agent", index),
            customer_with_ai: row.float64("sentiment_score_customer_with_ai", index),
            customer_with_human: row.float64("sentiment_score_customer_with_human", index),
        },
        human_access: HumanAccess {
            human_request_count: row.int32("human_request_count", index).unwrap(),
            first_human_request: row.millis("first_human_request_ms", index),
            deflection_count: row.int32("deflection_count", index).unwrap(),
            human_reached: row.millis("human_reached_ms", index),
            time_to_human: row.millis("time_to_human_ms", index),
            human_request_honoured: row.get::<BooleanArray, _>(
                "human_request_honoured",
                index,
                BooleanArray::value,
            ),
        },
        resolution: Resolution {
            outcome: row.named("outcome", index).unwrap(),
            resolved_at: row.millis("resolved_at_ms", index),
            resolution_time: row.millis("resolution_time_ms", index),
            confidence: row.float64("resolution_confidence", index).unwrap(),
            evidence_turn: row.int32("resolution_evidence_turn", index).map(|turn| turn as u32),
        },
        trust: Trust {
            asr_confidence: row.float64("asr_confidence", index),
            hallucination_risk: row.float64("hallucination_risk", index),
            non_speech_ratio: row.float64("non_speech_ratio", index),
            flags: read_texts(row, "flags", index),
        },
        lineage: read_lineage(row, index),
    }
}

fn read_lineage(row: &Row, index: usize) -> Lineage {
    Lineage {
        pipeline_version: row.text("pipeline_version", index).unwrap(),
        asr_model: row.text("asr_model", index),
        asr_model_sha256: row.text("asr_model_sha256", index),
        rules_sha256: row.text("rules_sha256", index).unwrap(),
        text_model_sha256: row.text("text_model_sha256", index),
    }
}

fn read_texts(row: &Row, name: &str, index: usize) -> Vec<String> {
    row.list(name, index).as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
}

fn read_conversation(row: &Row, index: usize) -> ConversationMetrics {
    ConversationMetrics {
        agent: read_side(row, "agent", index),
        customer: read_side(row, "customer", index),
        talk_time_total: row.millis("talk_time_total_ms", index),
        non_talk_time_total: row.millis("non_talk_time_total_ms", index),
        overlap_time: row.millis("overlap_time_ms", index),
        hold_time: row.millis("hold_time_ms", index),
        queue_time: row.millis("queue_time_ms", index),
        greeting_time_agent: row.millis("greeting_time_agent_ms", index),
    }
}

fn read_side(row: &Row, side: &str, index: usize) -> SideMetrics {
    SideMetrics {
        talk_time: row.millis(&format!("talk_time_{side}_ms"), index),
        interruptions_count: row.int32(&format!("interruptions_{side}_count"), index),
        interruptions_time: row.millis(&format!("interruptions_{side}_time_ms"), index),
        talk_speed_wpm: row.float64(&format!("talk_speed_{side}_wpm"), index),
        response_time_average: row.millis(&format!("response_time_average_{side}_ms"), index),
        response_time_maximum: row.millis(&format!("response_time_maximum_{side}_ms"), index),
    }
}

fn read_scores(row: &Row, side: &str, index: usize) -> SentimentScores {
    SentimentScores {
        overall: row.float64(&format!("sentiment_overall_score_{side}"), index),
        start: row.float64(&format!("sentiment_start_score_{side}"), index),
        end: row.float64(&format!("sentiment_end_score_{side}"), index),
        quarters: [1, 2, 3, 4].map(|n| row.float64(&format!("sentiment_quarter_{n}_score_{side}"), index)),
        slope_per_minute: row.float64(&format!("sentiment_slope_per_minute_{side}"), index),
    }
}
