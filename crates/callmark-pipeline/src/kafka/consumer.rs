//! The consumer thread: polls whatever the workers do, obeys commands, and takes no decision of its own.
//!
//! Callbacks of the broker become [`Event`]s. The group's questions (take these, give those back) are answered when
//! the coordinator says so, which librdkafka allows: meanwhile this thread goes on polling, so the group hears from it.
//! Each partition has a queue of its own that is left alone while the partition has no free slot; librdkafka then
//! stops fetching for it once that queue is full.

use super::config::KafkaPipeline;
use super::event::{Command, Epoch, Event, Incoming, PartitionNumber};
use super::failure::{StreamError, client_refused, explained, lasting};
use super::flow::{Flow, Gauge};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// How long one poll waits where nothing is to be had.
const IDLE_POLL: Duration = Duration::from_millis(10);
/// Messages taken from one partition before the next one's turn.
const MESSAGES_A_TURN: usize = 32;
/// How often an offset that was not taken is told again.
const OFFSET_RETRY: Duration = Duration::from_secs(2);

/// Bytes that librdkafka fetches ahead for each partition, in KiB. A message larger than that is fetched alone.
const QUEUED_KIB: &str = "8192";
/// Bytes of one fetch over all partitions of a broker.
const FETCH_BYTES: &str = "16777216";
/// Largest message taken in: the broker's own bound holds before this one.
const LARGEST_MESSAGE_BYTES: &str = "134217728";

/// Turns callbacks into events.
pub(crate) struct Callbacks {
    events: Sender<Event>,
    /// Set when the consumer is being closed: the group's questions are then answered at once.
    closing: AtomicBool,
    /// Offsets that the broker did not take.
    refused: std::sync::Mutex<Vec<(PartitionNumber, i64)>>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report_error(&error, reason, &self.events);
    }
}

/// librdkafka's own lines go where ours go.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "callmark_pipeline::librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => {
            tracing::info!(target: "callmark_pipeline::librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "callmark_pipeline::librdkafka", facility, "{message}"),
    }
}

fn report_error(error: &KafkaError, reason: &str, events: &Sender<Event>) {
    if let Some(code) = error.rdkafka_error_code().filter(|code| lasting(*code).is_some()) {
        let failure = StreamError::Broker(format!("{} ({reason})", explained("Kafka", code)));
        let _ = events.send(Event::ConsumerFailed(failure));
    } else {
        tracing::warn!(reason, "the broker cannot be reached, trying again");
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<PartitionNumber> =
            list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let answered = if assigned { Ok(()) } else { give_back(consumer, list) };
            if let Err(error) = answered {
                tracing::warn!(%error, "leaving the group");
            }
            return;
        }
        tracing::info!(assigned, count = partitions.len(), "partitions of the group change hands");
        let event = if assigned {
            Event::Assigned(partitions)
        } else if consumer.assignment_lost() {
            Event::Lost(partitions)
        } else {
            Event::Revoked(partitions)
        };
        let _ = self.events.send(event);
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, "the broker did not take an offset: it is told again");
            let mut refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            refused.extend(
                offsets.elements().iter().filter_map(|e| Some((e.partition(), e.offset().to_raw()?))),
            );
        }
    }
}

fn give_back(consumer: &BaseConsumer<Callbacks>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}

fn consumer_config(pipeline: &KafkaPipeline) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &pipeline.brokers)
        .set("client.id", "callmark")
        .set("group.id", &pipeline.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", QUEUED_KIB)
        .set("fetch.max.bytes", FETCH_BYTES)
        .set("receive.message.max.bytes", LARGEST_MESSAGE_BYTES);
    // The newer protocol has its assignments made by the broker and knows no strategy of clients.
    if pipeline.properties.get("group.protocol") != Some("consumer") {
        config.set("partition.assignment.strategy", "cooperative-sticky");
    }
    if let Some(id) = &pipeline.instance_id {
        config.set("group.instance.id", id);
    }
    pipeline.properties.apply(&mut config);
    config
}

/// A partition of this worker.
struct Held {
    epoch: Epoch,
    queue: PartitionQueue<Callbacks>,
    flow: Arc<Flow>,
}

/// The consumer and what it holds. Lives on a thread of its own.
pub(crate) struct ConsumerThread {
    consumer: Arc<BaseConsumer<Callbacks>>,
    topic: String,
    events: Sender<Event>,
    commands: Receiver<Command>,
    held: BTreeMap<PartitionNumber, Held>,
    /// Offsets that the broker is to be told, by partition.
    to_commit: HashMap<PartitionNumber, i64>,
    next_commit: Instant,
    in_flight_calls: usize,
    in_flight_bytes: u64,
    gauge: Arc<Gauge>,
    paused: bool,
}

impl ConsumerThread {
    /// Joins the group.
    pub(crate) fn subscribe(
        pipeline: &KafkaPipeline,
        events: Sender<Event>,
        commands: Receiver<Command>,
        gauge: Arc<Gauge>,
    ) -> Result<Self, StreamError> {
        let callbacks = Callbacks {
            events: events.clone(),
            closing: AtomicBool::new(false),
            refused: std::sync::Mutex::default(),
        };
        let consumer: BaseConsumer<Callbacks> =
            consumer_config(pipeline).create_with_context(callbacks).map_err(|e| client_refused(&e))?;
        consumer.subscribe(&[&pipeline.topic]).map_err(|e| StreamError::Broker(e.to_string()))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic: pipeline.topic.clone(),
            events,
            commands,
            held: BTreeMap::new(),
            to_commit: HashMap::new(),
            next_commit: Instant::now(),
            in_flight_calls: pipeline.in_flight_calls,
            in_flight_bytes: pipeline.in_flight_bytes,
            gauge,
            paused: false,
        })
    }

    /// Polls until the coordinator hangs up, then tells the broker the last offsets and leaves the group.
    pub(crate) fn run(mut self) {
        loop {
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return self.leave(),
                }
            }
            self.tell_offsets();
            let took = self.poll_partitions();
            let wait = if took { Duration::ZERO } else { IDLE_POLL };
            match self.consumer.poll(wait) {
                None => {}
                Some(Err(error)) => self.trouble(&error),
                // Each partition has its own queue before it is fetched; what comes here comes again from there.
                Some(Ok(message)) => {
                    tracing::warn!(partition = message.partition(), "a message came past its queue");
                    let partition = message.partition();
                    let offset = message.offset();
                    drop(message);
                    self.seek_back(partition, offset);
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Assign(partitions) => self.assign(partitions),
            Command::Unassign(partitions) => self.unassign(&partitions),
            Command::Restart { partition, epoch, offset } => self.restart(partition, epoch, offset),
            Command::CommitOffset { partition, next } => {
                self.to_commit.insert(partition, next);
            }
            Command::Pause => self.paused = true,
        }
    }

    fn assign(&mut self, partitions: BTreeMap<PartitionNumber, (Epoch, Option<i64>)>) {
        let mut list = TopicPartitionList::new();
        for (partition, (epoch, offset)) in partitions {
            self.hold(partition, epoch);
            self.add(&mut list, partition, offset);
        }
        let done = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            _ => self.consumer.assign(&list),
        };
        if let Err(error) = done {
            // The group has moved on meanwhile and will ask again.
            tracing::warn!(%error, "partitions could not be taken");
        }
    }

    fn hold(&mut self, partition: PartitionNumber, epoch: Epoch) {
        let Some(queue) = self.consumer.split_partition_queue(&self.topic, partition) else {
            tracing::error!(partition, "a partition has no queue");
            return;
        };
        let flow = Flow::new(self.in_flight_calls, Arc::clone(&self.gauge));
        self.held.insert(partition, Held { epoch, queue, flow });
    }

    fn add(&self, list: &mut TopicPartitionList, partition: PartitionNumber, offset: Option<i64>) {
        let offset = offset.map_or(Offset::Beginning, Offset::Offset);
        if let Err(error) = list.add_partition_offset(&self.topic, partition, offset) {
            tracing::error!(%error, partition, "an offset cannot be named");
        }
    }

    fn unassign(&mut self, partitions: &[PartitionNumber]) {
        // What is committed is told before the next owner asks.
        self.next_commit = Instant::now();
        self.tell_offsets();
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            self.held.remove(partition);
            self.to_commit.remove(partition);
            list.add_partition(&self.topic, *partition);
        }
        if let Err(error) = give_back(&self.consumer, &list) {
            tracing::warn!(%error, "partitions could not be given back");
        }
    }

    /// Takes a partition out and in again at another offset: what was fetched before does not come any more.
    fn restart(&mut self, partition: PartitionNumber, epoch: Epoch, offset: Option<i64>) {
        if self.held.remove(&partition).is_none() {
            return;
        }
        let mut list = TopicPartitionList::new();
        self.add(&mut list, partition, offset);
        let again = self.consumer.incremental_unassign(&list).and_then(|()| {
            self.hold(partition, epoch);
            self.consumer.incremental_assign(&list)
        });
        if let Err(error) = again {
            tracing::warn!(%error, partition, "a partition could not be started again");
        }
    }

    fn seek_back(&mut self, partition: PartitionNumber, offset: i64) {
        if let Some(held) = self.held.get(&partition) {
            let epoch = held.epoch;
            self.restart(partition, epoch, Some(offset));
        }
    }

    /// Tells the broker how far the dataset is; what it does not take is told again.
    fn tell_offsets(&mut self) {
        let now = Instant::now();
        let refused = std::mem::take(
            &mut *self.consumer.context().refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for (partition, next) in refused {
            if self.held.contains_key(&partition) {
                self.to_commit.entry(partition).and_modify(|known| *known = next.max(*known)).or_insert(next);
                self.next_commit = now + OFFSET_RETRY;
            }
        }
        if self.to_commit.is_empty() || now < self.next_commit {
            return;
        }
        let list = self.offsets_to_tell();
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(%error, "offsets could not be told");
        }
    }

    fn offsets_to_tell(&mut self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, next) in std::mem::take(&mut self.to_commit) {
            self.add(&mut list, partition, Some(next));
        }
        list
    }

    /// One turn over the partitions; whether a message came.
    fn poll_partitions(&mut self) -> bool {
        let mut took = false;
        if self.paused {
            return false;
        }
        for (partition, held) in &self.held {
            for _ in 0..MESSAGES_A_TURN {
                if self.gauge.bytes() >= self.in_flight_bytes || !held.flow.has_room() {
                    break;
                }
                match held.queue.poll(Duration::ZERO) {
                    None => break,
                    Some(Ok(message)) => {
                        took = true;
                        let _ = self.events.send(taken_in(*partition, held, &message));
                    }
                    Some(Err(error)) => self.trouble(&error),
                }
            }
        }
        took
    }

    fn trouble(&self, error: &KafkaError) {
        let code = error.rdkafka_error_code();
        let missing =
            matches!(code, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic));
        if matches!(error, KafkaError::PartitionEOF(_)) {
            return;
        }
        if missing {
            tracing::warn!(topic = self.topic, "the broker has no such topic: create it; trying again");
            return;
        }
        report_error(error, &error.to_string(), &self.events);
    }

    fn leave(mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        let list = self.offsets_to_tell();
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Sync)
        {
            tracing::warn!(%error, "the last offsets could not be told: the dataset knows them");
        }
        self.held.clear();
    }
}

fn taken_in(partition: PartitionNumber, held: &Held, message: &BorrowedMessage<'_>) -> Event {
    let value = message.payload().map(<[u8]>::to_vec);
    let key = message.key().map(<[u8]>::to_vec);
    let headers: Vec<(String, Vec<u8>)> = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    let bytes = value.as_ref().map_or(0, Vec::len) + headers.iter().map(|(_, v)| v.len()).sum::<usize>();
    let (slot, load) = held.flow.take(bytes as u64);
    let message = Incoming { partition, offset: message.offset(), key, headers, value, load: Some(load) };
    Event::Message { epoch: held.epoch, slot: Some(slot), message: Box::new(message) }
}
