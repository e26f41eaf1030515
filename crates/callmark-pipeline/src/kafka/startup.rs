//! What is looked at before a stream starts: can the broker be reached, are the topics there?
//!
//! A wrong password or a missing topic is said at once and in words, rather than tried again for ever.

use super::config::{KafkaPipeline, StreamKind};
use super::failure::{StreamError, explained, lasting};
use super::publisher::Publisher;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::{Duration, Instant};

/// How long a broker may take to answer the first question.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long one try may take.
const ONE_TRY: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Every topic that `pipeline` reads or writes.
pub(crate) fn topics(pipeline: &KafkaPipeline) -> Vec<String> {
    let mut topics = vec![pipeline.topic.clone()];
    if pipeline.kind == StreamKind::Live {
        topics.push(pipeline.events_topic.clone());
        topics.extend(pipeline.alerts_topic.clone());
    }
    topics.extend(pipeline.scored_topic.clone());
    topics.extend(pipeline.dead_letters_topic.clone());
    topics
}

/// Partitions of `topic`, or why they cannot be had.
pub(crate) fn partitions_of(publisher: &Publisher, brokers: &str, topic: &str) -> Result<usize, StreamError> {
    let deadline = Instant::now() + FIRST_ANSWER_LIMIT;
    loop {
        let code = match publisher.client().fetch_metadata(Some(topic), ONE_TRY) {
            Ok(metadata) => match metadata.topics().iter().find(|found| found.name() == topic) {
                Some(found) => match found.error() {
                    None => return Ok(found.partitions().len()),
                    Some(error) => error.into(),
                },
                None => RDKafkaErrorCode::UnknownTopicOrPartition,
            },
            Err(KafkaError::MetadataFetch(code)) => code,
            Err(other) => return Err(StreamError::Broker(other.to_string())),
        };
        if let Some(said) = publisher.lasting_error() {
            return Err(StreamError::Broker(said));
        }
        if lasting(code).is_some() {
            return Err(StreamError::Broker(explained(&format!("topic {topic}"), code)));
        }
        if matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) {
            return Err(StreamError::Broker(format!(
                "there is no topic {topic} at {brokers}: create it, or correct its name in the pipeline file"
            )));
        }
        if Instant::now() >= deadline {
            let seconds = FIRST_ANSWER_LIMIT.as_secs();
            return Err(StreamError::Broker(format!(
                "no broker at {brokers} answered within {seconds} s ({code}): check `brokers`, security.protocol and the network"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks at every topic of `pipeline`.
pub(crate) fn check(pipeline: &KafkaPipeline, publisher: &Publisher) -> Result<(), StreamError> {
    let mut counts = Vec::new();
    for topic in topics(pipeline) {
        let count = partitions_of(publisher, &pipeline.brokers, &topic)?;
        counts.push((topic, count));
    }
    uneven(pipeline, &counts).map_or(Ok(()), |said| Err(StreamError::Broker(said)))
}

/// What is wrong where a call's chunks and events cannot meet.
pub(crate) fn uneven(pipeline: &KafkaPipeline, counts: &[(String, usize)]) -> Option<String> {
    if pipeline.kind != StreamKind::Live {
        return None;
    }
    let count_of = |name: &str| counts.iter().find(|(topic, _)| topic == name).map(|(_, count)| *count);
    let (audio, events) = (count_of(&pipeline.topic)?, count_of(&pipeline.events_topic)?);
    (audio != events).then(|| {
        format!(
            "{} has {audio} partitions and {} has {events}: give both the same number, a call's messages must meet",
            pipeline.topic, pipeline.events_topic
        )
    })
}
