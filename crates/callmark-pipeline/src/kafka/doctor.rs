//! Looks at a stream's surroundings without touching them: brokers, topics, rights, group.

use super::config::KafkaPipeline;
use super::failure::{explained, lasting};
use super::publisher::Publisher;
use super::startup::{partitions_of, topics, uneven};
use super::uri::UriGate;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long the broker may take to answer one question.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Pause before a question is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaFinding {
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found, and what to do where it is not good.
    pub what: String,
}

fn good(what: String) -> KafkaFinding {
    KafkaFinding { good: true, what }
}

fn bad(what: String) -> KafkaFinding {
    KafkaFinding { good: false, what }
}

/// Whether `pipeline` could run.
pub fn examine_kafka(pipeline: &KafkaPipeline) -> Vec<KafkaFinding> {
    let properties = [&pipeline.properties, &pipeline.output_properties];
    let publisher = match Publisher::new(&pipeline.brokers, &properties) {
        Ok(publisher) => publisher,
        Err(error) => return vec![bad(error.to_string())],
    };
    let mut findings = Vec::new();
    if let Err(reason) = UriGate::new(&pipeline.allowed_uri_prefixes) {
        findings.push(bad(format!("source.allowed_uri_prefixes: {reason}")));
    }
    let mut counts = Vec::new();
    for topic in topics(pipeline) {
        match partitions_of(&publisher, &pipeline.brokers, &topic) {
            Ok(count) => {
                counts.push((topic.clone(), count));
                findings.push(good(format!("topic {topic} has {count} partitions")));
            }
            Err(error) => {
                findings.push(bad(error.to_string()));
                // Where nobody answers, asking on only takes time.
                if counts.is_empty() && publisher.lasting_error().is_some() {
                    return findings;
                }
            }
        }
    }
    let count_of = |name: &str| counts.iter().find(|(topic, _)| topic == name).map(|(_, count)| *count);
    findings.extend(uneven(pipeline, &counts).map(bad));
    if let Some(count) = count_of(&pipeline.topic) {
        findings.push(group(pipeline, &publisher, count));
    }
    findings
}

/// The group's offsets. A broker that is used for the first time appoints the group's coordinator only then.
fn committed_offsets(
    consumer: &BaseConsumer,
    partitions: &TopicPartitionList,
) -> Result<TopicPartitionList, KafkaError> {
    let begun = Instant::now();
    loop {
        let answer = consumer.committed_offsets(partitions.clone(), ANSWER_LIMIT);
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let settles = matches!(
            code,
            Some(
                RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorNotAvailable
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
            )
        );
        if !settles || begun.elapsed() > ANSWER_LIMIT {
            return answer;
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// Whether the group may be used, and how far it is.
fn group(pipeline: &KafkaPipeline, publisher: &Publisher, count: usize) -> KafkaFinding {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &pipeline.brokers).set("group.id", &pipeline.group);
    pipeline.properties.apply(&mut config);
    let consumer: BaseConsumer = match config.create() {
        Ok(consumer) => consumer,
        Err(error) => return bad(super::failure::client_refused(&error).to_string()),
    };
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&pipeline.topic, 0, count.saturating_sub(1) as i32);
    let committed = match committed_offsets(&consumer, &list) {
        Ok(committed) => committed,
        Err(error) => {
            let code = error.rdkafka_error_code();
            let said = code.map_or_else(|| error.to_string(), |code| explained("its offsets", code));
            return bad(format!("group {}: {said}", pipeline.group));
        }
    };
    let refused =
        committed.elements().iter().find_map(|e| e.error().err().and_then(|e| e.rdkafka_error_code()));
    if let Some(code) = refused.filter(|code| lasting(*code).is_some()) {
        return bad(explained(&format!("group {}", pipeline.group), code));
    }
    let mut lag = 0;
    for element in committed.elements() {
        let watermarks =
            publisher.client().fetch_watermarks(&pipeline.topic, element.partition(), ANSWER_LIMIT);
        let Ok((low, high)) = watermarks else { continue };
        let at = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => low,
        };
        lag += (high - at).max(0);
    }
    good(format!(
        "group {} may be used; {lag} messages wait. The rights to write show when a worker starts",
        pipeline.group
    ))
}
