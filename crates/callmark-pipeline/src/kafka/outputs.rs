//! What a stream says: scored calls and dead letters, each sent and acknowledged before its offset is settled.
//!
//! At least once: a worker that dies between the acknowledgement and the dataset's commit sends the same again. Every
//! message names its position in the source, by which a reader drops repeats.

use super::config::KafkaPipeline;
use super::failure::StreamError;
use super::partition::Dead;
use super::publisher::{Outgoing, Publisher};
use callmark_store::json;
use callmark_types::{ScoredCall, SourcePosition};

/// Schema of the messages on `calls.scored`.
const SCORED_SCHEMA: &str = "callmark.call/1";

/// Where a stream says what.
pub(crate) struct Outputs {
    pub(crate) publisher: Publisher,
    scored_topic: Option<String>,
    dead_letters_topic: Option<String>,
}

impl Outputs {
    /// A producer for `pipeline`; connects in the background.
    pub(crate) fn new(pipeline: &KafkaPipeline) -> Result<Self, StreamError> {
        let properties = [&pipeline.properties, &pipeline.output_properties];
        Ok(Self {
            publisher: Publisher::new(&pipeline.brokers, &properties)?,
            scored_topic: pipeline.scored_topic.clone(),
            dead_letters_topic: pipeline.dead_letters_topic.clone(),
        })
    }

    /// What there is to say of a batch.
    pub(crate) fn messages_of(&self, calls: &[&ScoredCall], dead: &[Dead]) -> Vec<Outgoing> {
        let mut messages = Vec::new();
        if let Some(topic) = &self.scored_topic {
            messages.extend(scored(topic, calls));
        }
        if let Some(topic) = &self.dead_letters_topic {
            messages.extend(dead.iter().map(|dead| dead_letter(topic, dead)));
        }
        messages
    }
}

fn position(source: &SourcePosition) -> Vec<(String, Vec<u8>)> {
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    [
        ("source-topic", source.topic.clone().unwrap_or_default()),
        ("source-partition", number(source.partition.map(i64::from))),
        ("source-offset", number(source.offset)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into_bytes()))
    .collect()
}

fn scored(topic: &str, calls: &[&ScoredCall]) -> Vec<Outgoing> {
    let rows = json::call_rows(calls).unwrap_or_else(|error| {
        tracing::error!(%error, "calls cannot be written as JSON");
        Vec::new()
    });
    let messages = calls.iter().zip(rows).map(|(call, row)| {
        let events = json::event_rows(call).unwrap_or_default();
        let value = serde_json::json!({ "call": row, "events": events });
        let mut headers = vec![("schema".to_owned(), SCORED_SCHEMA.as_bytes().to_vec())];
        headers.extend(position(&call.record.source));
        Outgoing {
            topic: topic.to_owned(),
            partition: None,
            key: Some(call.record.call_id.as_str().as_bytes().to_vec()),
            headers,
            value: Some(value.to_string().into_bytes()),
        }
    });
    messages.collect()
}

fn dead_letter(topic: &str, dead: &Dead) -> Outgoing {
    let mut headers: Vec<(String, Vec<u8>)> =
        dead.original.headers.iter().filter(|(name, _)| name != "attempts").cloned().collect();
    for (name, value) in [
        ("stage", dead.letter.stage.clone()),
        ("reason", dead.letter.reason.clone()),
        ("attempts", dead.letter.attempts.to_string()),
    ] {
        headers.push((name.to_owned(), value.into_bytes()));
    }
    headers.extend(position(&dead.letter.source));
    Outgoing {
        topic: topic.to_owned(),
        partition: None,
        key: dead.original.key.clone(),
        headers,
        value: dead.original.value.clone(),
    }
}
