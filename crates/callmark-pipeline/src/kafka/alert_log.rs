//! The topic of alerts, written so that each alert is in it once whatever dies.
//!
//! A worker that takes a partition over hears its open calls again from their first messages and comes to the same alerts
//! with the same ids. Two things keep them from being sent twice: whoever opens a partition takes over its
//! transactional id, after which the broker takes nothing more from the one before, and then reads in the topic itself
//! which alerts were sent since those calls began. A reader with `isolation.level=read_committed`, the default of
//! librdkafka, sees each once.

use super::config::KafkaPipeline;
use super::consumer::log;
use super::event::{Epoch, PartitionNumber};
use super::failure::{client_refused, explained, lasting};
use super::properties::Properties;
use callmark_live::Alert;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reads alerts and calls for a look at what was sent.
type Reader = BaseConsumer<Quiet>;

/// What the client says of itself, in the log of this program. That a partition was read to its end is no error.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::debug!(reason, "the broker cannot be reached, trying again");
        }
    }
}

impl ConsumerContext for Quiet {}

/// Schema of the messages.
const ALERT_SCHEMA: &[u8] = b"callmark.alert/1";
/// How long the broker may take to answer one question.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long taking over, or one transaction, may take.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(30);
/// After that the broker gives a transaction up whose worker is gone.
const TRANSACTION_TIMEOUT_MS: &str = "15000";
/// How long an alert may be on its way; below the timeout of its transaction.
const DELIVERY_LIMIT_MS: &str = "10000";
/// How long transactions that others have open are waited for: longer than their timeout.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long the first message of a partition may take to come.
const FIRST_MESSAGE_LIMIT: Duration = Duration::from_secs(10);
/// By how much the clocks of those who send chunks and of workers may differ.
const CLOCK_MARGIN_MS: i64 = 600_000;
/// Alerts read back at most.
const MAX_READ_BACK: usize = 1_000_000;
/// Longest pause between two tries of a transaction.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why alerts could not be sent or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub(crate) struct AlertTrouble {
    pub(crate) said: String,
    /// Waiting will not help.
    pub(crate) lasts: bool,
}

/// How sending ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Sent,
    /// Another worker has taken the partition over: what was to be sent is its to send.
    Fenced,
}

type Producers = BTreeMap<PartitionNumber, (Epoch, Arc<BaseProducer>)>;

/// Sends alerts, by partition of the calls.
pub(crate) struct AlertLog {
    topic: String,
    source_topics: [String; 2],
    brokers: String,
    /// Names the stream among all that share a broker.
    stream: String,
    group: String,
    consumer_properties: Properties,
    producer_properties: [Properties; 2],
    /// How long the broker may fail.
    patience: Duration,
    producers: Mutex<Producers>,
}

impl AlertLog {
    /// The log of `pipeline`, where it sends alerts.
    pub(crate) fn of(pipeline: &KafkaPipeline) -> Option<Self> {
        Some(Self {
            topic: pipeline.alerts_topic.clone()?,
            source_topics: [pipeline.topic.clone(), pipeline.events_topic.clone()],
            brokers: pipeline.brokers.clone(),
            stream: format!("callmark-{}-{}", pipeline.group, pipeline.name),
            group: pipeline.group.clone(),
            consumer_properties: pipeline.properties.clone(),
            producer_properties: [pipeline.properties.clone(), pipeline.output_properties.clone()],
            patience: pipeline.give_up_after,
            producers: Mutex::default(),
        })
    }

    fn producers(&self) -> std::sync::MutexGuard<'_, Producers> {
        self.producers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a partition over whose calls are heard again from `next` (chunks and events) on: the ids of the alerts
    /// that were sent of them.
    pub(crate) fn open(
        &self,
        partition: PartitionNumber,
        epoch: Epoch,
        next: [Option<i64>; 2],
    ) -> Result<HashSet<String>, AlertTrouble> {
        // Whatever this process had of the partition is fenced with all others.
        self.producers().remove(&partition);
        let producer = self.producer(partition)?;
        producer.init_transactions(TRANSACTION_LIMIT).map_err(|e| said("taking the alerts over", &e))?;
        let reader = self.reader("read_committed")?;
        let alerted = match self.heard_again_since(&reader, partition, next)? {
            Some(since_ms) => self.sent_since(&reader, since_ms - CLOCK_MARGIN_MS)?,
            None => HashSet::new(),
        };
        tracing::debug!(partition, alerts = alerted.len(), "alerts of calls that are heard again");
        self.producers().insert(partition, (epoch, Arc::new(producer)));
        Ok(alerted)
    }

    /// Forgets a partition.
    pub(crate) fn close(&self, partition: PartitionNumber, epoch: Epoch) {
        let mut producers = self.producers();
        if producers.get(&partition).is_some_and(|(open, _)| *open == epoch) {
            producers.remove(&partition);
        }
    }

    /// Sends alerts of calls of a partition, all or none, and waits for the broker's word.
    pub(crate) fn send(
        &self,
        partition: PartitionNumber,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<Sent, AlertTrouble> {
        let producer = self.producers().get(&partition).cloned();
        let Some((_, producer)) = producer.filter(|(open, _)| *open == epoch) else {
            return Ok(Sent::Fenced);
        };
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSE;
        loop {
            let Err(error) = self.transaction(&producer, alerts, deadline) else { return Ok(Sent::Sent) };
            // Whatever the client cannot get over, a new one gets over, and reads first what this one has sent.
            if producer.client().fatal_error().is_some() || is_fenced(&error) {
                return Ok(Sent::Fenced);
            }
            let trouble = said("sending alerts", &error);
            if trouble.lasts || Instant::now() >= deadline {
                return Err(trouble);
            }
            tracing::warn!(%error, count = alerts.len(), "alerts were not taken, sending them again");
            if producer.abort_transaction(TRANSACTION_LIMIT).is_err() {
                return Ok(Sent::Fenced);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn transaction(
        &self,
        producer: &BaseProducer,
        alerts: &[Alert],
        deadline: Instant,
    ) -> Result<(), KafkaError> {
        producer.begin_transaction()?;
        for alert in alerts {
            let (key, value) = (alert.call_id.as_str().as_bytes(), alert.to_json());
            let headers = OwnedHeaders::new().insert(Header { key: "schema", value: Some(ALERT_SCHEMA) });
            let record = BaseRecord::to(&self.topic).key(key).payload(&value).headers(headers);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        loop {
            // Flushes, and fails where a message did not arrive. One that only took too long may have been committed:
            // it is asked for again, not sent again.
            match producer.commit_transaction(TRANSACTION_LIMIT) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
                done => return done,
            }
        }
    }

    fn producer(&self, partition: PartitionNumber) -> Result<BaseProducer, AlertTrouble> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "callmark")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("message.timeout.ms", DELIVERY_LIMIT_MS)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
        for properties in &self.producer_properties {
            properties.apply(&mut config);
        }
        config.set("transactional.id", format!("{}-{partition}", self.stream));
        config.create().map_err(|e| refused(&e))
    }

    /// A consumer without a group; at the end of a partition it says so.
    fn reader(&self, isolation: &str) -> Result<Reader, AlertTrouble> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "callmark")
            // Reading needs the name of a group, and no place in it.
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "100");
        self.consumer_properties.apply(&mut config);
        config.set("enable.partition.eof", "true").set("isolation.level", isolation);
        config.remove("group.instance.id");
        config.create_with_context(Quiet).map_err(|e| refused(&e))
    }

    /// When the first message was sent that is read again; `None` where nothing is.
    fn heard_again_since(
        &self,
        reader: &Reader,
        partition: PartitionNumber,
        next: [Option<i64>; 2],
    ) -> Result<Option<i64>, AlertTrouble> {
        let mut first: Option<i64> = None;
        for (topic, next) in self.source_topics.iter().zip(next) {
            let offset = next.map_or(Offset::Beginning, Offset::Offset);
            assign(reader, topic, &[(partition, offset)])?;
            let deadline = Instant::now() + FIRST_MESSAGE_LIMIT;
            loop {
                match reader.poll(POLL) {
                    Some(Ok(message)) => {
                        let sent = message.timestamp().to_millis().unwrap_or(0);
                        first = Some(first.map_or(sent, |first| first.min(sent)));
                        break;
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => break,
                    Some(Err(error)) if lasts(&error) => {
                        return Err(said("reading calls", &error));
                    }
                    Some(Err(_)) | None => {}
                }
                if Instant::now() >= deadline {
                    return Err(passing(format!("partition {partition} of {topic} does not answer")));
                }
            }
        }
        Ok(first)
    }

    /// Ids of all alerts sent since then.
    fn sent_since(&self, reader: &Reader, since_ms: i64) -> Result<HashSet<String>, AlertTrouble> {
        let metadata = reader
            .client()
            .fetch_metadata(Some(&self.topic), ANSWER_LIMIT)
            .map_err(|e| said("looking at the alerts", &e))?;
        let partitions: Vec<PartitionNumber> = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id))
            .collect();
        self.wait_for_open_transactions(reader, &partitions)?;
        let mut wanted = TopicPartitionList::new();
        for partition in &partitions {
            let since = Offset::Offset(since_ms.max(0));
            wanted
                .add_partition_offset(&self.topic, *partition, since)
                .map_err(|e| said("naming alerts", &e))?;
        }
        let found =
            reader.offsets_for_times(wanted, ANSWER_LIMIT).map_err(|e| said("looking for alerts", &e))?;
        let starts: Vec<(PartitionNumber, Offset)> = found
            .elements()
            .iter()
            .filter(|element| matches!(element.offset(), Offset::Offset(_)))
            .map(|element| (element.partition(), element.offset()))
            .collect();
        if starts.is_empty() {
            return Ok(HashSet::new());
        }
        assign(reader, &self.topic, &starts)?;
        let mut left: HashSet<PartitionNumber> = starts.iter().map(|(partition, _)| *partition).collect();
        let mut ids = HashSet::new();
        let mut heard = Instant::now();
        while !left.is_empty() {
            match reader.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    ids.extend(message.payload().and_then(id_of));
                    if ids.len() > MAX_READ_BACK {
                        return Err(passing(format!(
                            "more than {MAX_READ_BACK} alerts lie in {} since the oldest open call began: end it, or use a topic of its own",
                            self.topic
                        )));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left.remove(&partition);
                }
                Some(Err(error)) if lasts(&error) => {
                    return Err(said("reading alerts back (grant Read on their topic)", &error));
                }
                Some(Err(_)) | None if heard.elapsed() > SETTLE_LIMIT => {
                    return Err(passing(format!("topic {} does not answer", self.topic)));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(ids)
    }

    /// Alerts that are committed may lie behind a transaction that another partition's worker has open: no reader of
    /// committed messages sees them before it ends.
    fn wait_for_open_transactions(
        &self,
        reader: &Reader,
        partitions: &[PartitionNumber],
    ) -> Result<(), AlertTrouble> {
        let everything = self.reader("read_uncommitted")?;
        let deadline = Instant::now() + SETTLE_LIMIT;
        for partition in partitions {
            let end = |reader: &Reader| {
                let ends = reader.fetch_watermarks(&self.topic, *partition, ANSWER_LIMIT);
                ends.map(|(_, high)| high).map_err(|e| said("looking at the alerts", &e))
            };
            let until = end(&everything)?;
            while end(reader)? < until {
                if Instant::now() >= deadline {
                    return Err(passing(format!(
                        "a transaction on {} does not end: who else writes there?",
                        self.topic
                    )));
                }
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

fn assign(reader: &Reader, topic: &str, starts: &[(PartitionNumber, Offset)]) -> Result<(), AlertTrouble> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in starts {
        list.add_partition_offset(topic, *partition, *offset).map_err(|e| said("naming a partition", &e))?;
    }
    reader.assign(&list).map_err(|e| said("reading a partition", &e))
}

fn id_of(value: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    Some(value.get("alert_id")?.as_str()?.to_owned())
}

fn is_fenced(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
                | RDKafkaErrorCode::InvalidProducerIdMapping
                | RDKafkaErrorCode::Fatal
        )
    )
}

fn passing(said: impl Into<String>) -> AlertTrouble {
    AlertTrouble { said: said.into(), lasts: false }
}

fn said(what: &str, error: &KafkaError) -> AlertTrouble {
    let code = error.rdkafka_error_code();
    AlertTrouble {
        said: code.map_or_else(|| format!("{what}: {error}"), |code| explained(what, code)),
        lasts: lasts(error),
    }
}

fn lasts(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| lasting(code).is_some())
}

fn refused(error: &KafkaError) -> AlertTrouble {
    AlertTrouble { said: client_refused(error).to_string(), lasts: true }
}
