//! The consumer thread: polls whatever the workers do, obeys commands, and takes no decision of its own.
//!
//! Callbacks of the broker become [`Event`]s. The group's questions (take these, give those back) are answered when
//! the coordinator says so, which librdkafka allows: meanwhile this thread goes on polling, so the group hears from it.
//! Each partition has a queue of its own that is left alone while the partition has no free slot; librdkafka then
//! stops fetching for it once that queue is full.

use super::config::{KafkaPipeline, StreamKind};
use super::event::{Command, Epoch, Event, Incoming, Lane, PartitionNumber, Start};
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
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one poll waits where nothing is to be had.
const IDLE_POLL: Duration = Duration::from_millis(10);
/// Messages taken from one partition before the next one's turn.
const MESSAGES_A_TURN: usize = 32;
/// How often offsets are told again that were told before: the broker takes none while the group is being dealt out
/// anew, and the client does not say so.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// How often it is said that the broker cannot be reached.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Bytes that librdkafka fetches ahead for each partition, in KiB. A message larger than that is fetched alone.
const QUEUED_KIB: &str = "8192";
/// Bytes of one fetch over all partitions of a broker.
const FETCH_BYTES: &str = "16777216";
/// How long the broker may keep a fetch that finds nothing, for live calls.
const LIVE_FETCH_WAIT_MS: &str = "100";
/// Largest message taken in: the broker's own bound holds before this one.
const LARGEST_MESSAGE_BYTES: &str = "134217728";

/// Turns callbacks into events.
pub(crate) struct Callbacks {
    events: Sender<Event>,
    /// Set when the consumer is being closed: the group's questions are then answered at once.
    closing: AtomicBool,
    /// When it was last said that the broker cannot be reached.
    said: Mutex<Option<Instant>>,
}

impl Callbacks {
    fn report(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        if lasting(code).is_some() {
            let failure = StreamError::Broker(format!("{} ({reason})", explained("Kafka", code)));
            let _ = self.events.send(Event::ConsumerFailed(failure));
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            *said = Some(Instant::now());
            tracing::warn!(reason, "the broker cannot be reached, trying again");
        }
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.report(&error, reason);
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
    if pipeline.kind == StreamKind::Live {
        // What waits for the end of the other topic waits no longer than a fetch.
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", LIVE_FETCH_WAIT_MS);
    }
    if let Some(id) = &pipeline.instance_id {
        config.set("group.instance.id", id);
    }
    pipeline.properties.apply(&mut config);
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// A partition of this worker.
struct Held {
    epoch: Epoch,
    queue: PartitionQueue<Callbacks>,
    flow: Arc<Flow>,
}

/// The consumer and what it holds. Lives on a thread of its own.
///
/// The group deals out the partitions of the main topic. For live calls each brings the partition of events with the
/// same number along, which the group does not know of: so the two cannot come to different workers.
pub(crate) struct ConsumerThread {
    consumer: Arc<BaseConsumer<Callbacks>>,
    topic: String,
    events_topic: Option<String>,
    events: Sender<Event>,
    commands: Receiver<Command>,
    held: BTreeMap<(Lane, PartitionNumber), Held>,
    /// How far the dataset is, by partition held.
    settled: HashMap<(Lane, PartitionNumber), i64>,
    /// When the broker is told that.
    tell_at: Instant,
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
        let events_topic = (pipeline.kind == StreamKind::Live).then(|| pipeline.events_topic.clone());
        let callbacks =
            Callbacks { events: events.clone(), closing: AtomicBool::new(false), said: Mutex::default() };
        let consumer: BaseConsumer<Callbacks> =
            consumer_config(pipeline).create_with_context(callbacks).map_err(|e| client_refused(&e))?;
        consumer.subscribe(&[&pipeline.topic]).map_err(|e| StreamError::Broker(e.to_string()))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic: pipeline.topic.clone(),
            events_topic,
            events,
            commands,
            held: BTreeMap::new(),
            settled: HashMap::new(),
            tell_at: Instant::now(),
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
                    let is_event = self.events_topic.as_deref() == Some(message.topic());
                    let lane = if is_event { Lane::Events } else { Lane::Main };
                    let (partition, offset) = (message.partition(), message.offset());
                    drop(message);
                    self.seek_back(lane, partition, offset);
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Assign(partitions) => self.assign(partitions),
            Command::Unassign(partitions) => self.unassign(&partitions),
            Command::Restart { partition, start } => self.restart(partition, start),
            Command::CommitOffset { partition, next, events_next } => {
                self.settled.insert((Lane::Main, partition), next);
                if let Some(next) = events_next {
                    self.settled.insert((Lane::Events, partition), next);
                }
                self.tell_at = Instant::now();
            }
            Command::Pause => self.paused = true,
        }
    }

    fn assign(&mut self, partitions: BTreeMap<PartitionNumber, Start>) {
        let mut list = TopicPartitionList::new();
        for (partition, start) in partitions {
            self.take(&mut list, partition, start);
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

    /// The lanes of this stream.
    fn lanes(&self) -> impl Iterator<Item = Lane> + use<> {
        let events = self.events_topic.as_ref().map(|_| Lane::Events);
        std::iter::once(Lane::Main).chain(events)
    }

    fn take(&mut self, list: &mut TopicPartitionList, partition: PartitionNumber, start: Start) {
        for lane in self.lanes() {
            self.hold(lane, partition, start.epoch);
            let next = match lane {
                Lane::Main => start.next,
                Lane::Events => start.events_next,
            };
            self.add(list, lane, partition, next);
        }
    }

    fn hold(&mut self, lane: Lane, partition: PartitionNumber, epoch: Epoch) {
        let Some(queue) = self.consumer.split_partition_queue(self.topic_of(lane), partition) else {
            tracing::error!(partition, "a partition has no queue");
            return;
        };
        let flow = Flow::new(self.in_flight_calls, Arc::clone(&self.gauge));
        self.held.insert((lane, partition), Held { epoch, queue, flow });
    }

    fn topic_of(&self, lane: Lane) -> &str {
        match (lane, &self.events_topic) {
            (Lane::Events, Some(topic)) => topic,
            _ => &self.topic,
        }
    }

    fn add(
        &self,
        list: &mut TopicPartitionList,
        lane: Lane,
        partition: PartitionNumber,
        offset: Option<i64>,
    ) {
        let offset = offset.map_or(Offset::Beginning, Offset::Offset);
        if let Err(error) = list.add_partition_offset(self.topic_of(lane), partition, offset) {
            tracing::error!(%error, partition, "an offset cannot be named");
        }
    }

    fn unassign(&mut self, partitions: &[PartitionNumber]) {
        // What is committed is told before the next owner asks.
        self.tell_at = Instant::now();
        self.tell_offsets();
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            for lane in self.lanes() {
                // The group asks back what it gave; of events only what came along is held.
                if self.held.remove(&(lane, *partition)).is_some() || lane == Lane::Main {
                    list.add_partition(self.topic_of(lane), *partition);
                }
                self.settled.remove(&(lane, *partition));
            }
        }
        if let Err(error) = give_back(&self.consumer, &list) {
            tracing::warn!(%error, "partitions could not be given back");
        }
    }

    /// Takes a partition out and in again at other offsets: what was fetched before does not come any more.
    fn restart(&mut self, partition: PartitionNumber, start: Start) {
        let mut list = TopicPartitionList::new();
        for lane in self.lanes() {
            if self.held.remove(&(lane, partition)).is_none() {
                return;
            }
            list.add_partition(self.topic_of(lane), partition);
        }
        let mut again = TopicPartitionList::new();
        let restarted = self.consumer.incremental_unassign(&list).and_then(|()| {
            self.take(&mut again, partition, start);
            self.consumer.incremental_assign(&again)
        });
        if let Err(error) = restarted {
            tracing::warn!(%error, partition, "a partition could not be started again");
        }
    }

    /// Has a message come again that came past its queue.
    fn seek_back(&mut self, lane: Lane, partition: PartitionNumber, offset: i64) {
        let Some(epoch) = self.held.remove(&(lane, partition)).map(|held| held.epoch) else { return };
        let mut list = TopicPartitionList::new();
        self.add(&mut list, lane, partition, Some(offset));
        let again = self.consumer.incremental_unassign(&list).and_then(|()| {
            self.hold(lane, partition, epoch);
            self.consumer.incremental_assign(&list)
        });
        if let Err(error) = again {
            tracing::warn!(%error, partition, "a partition could not be started again");
        }
    }

    /// Tells the broker how far the dataset is, when that has changed and now and then.
    fn tell_offsets(&mut self) {
        let now = Instant::now();
        if self.settled.is_empty() || now < self.tell_at {
            return;
        }
        self.tell_at = now + TELL_AGAIN;
        if let Err(error) = self.consumer.commit(&self.settled_list(), CommitMode::Async) {
            tracing::debug!(%error, "offsets could not be told");
        }
    }

    fn settled_list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((lane, partition), next) in &self.settled {
            self.add(&mut list, *lane, *partition, Some(*next));
        }
        list
    }

    /// One turn over the partitions; whether a message came.
    fn poll_partitions(&mut self) -> bool {
        let mut took = false;
        if self.paused {
            return false;
        }
        for ((lane, partition), held) in &self.held {
            for _ in 0..MESSAGES_A_TURN {
                if self.gauge.bytes() >= self.in_flight_bytes || !held.flow.has_room() {
                    break;
                }
                match held.queue.poll(Duration::ZERO) {
                    None => break,
                    Some(Ok(message)) => {
                        took = true;
                        let _ = self.events.send(taken_in(*lane, *partition, held, &message));
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => {
                        let (lane, partition, epoch) = (*lane, *partition, held.epoch);
                        let _ = self.events.send(Event::CaughtUp { lane, partition, epoch });
                        break;
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
        self.consumer.context().report(error, &error.to_string());
    }

    fn leave(mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
        let list = self.settled_list();
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Sync)
        {
            tracing::warn!(%error, "the last offsets could not be told: the dataset knows them");
        }
        let mut events = TopicPartitionList::new();
        for (lane, partition) in self.held.keys().filter(|(lane, _)| *lane == Lane::Events) {
            events.add_partition(self.topic_of(*lane), *partition);
        }
        self.held.clear();
        // The group knows nothing of these.
        if events.count() > 0
            && let Err(error) = self.consumer.incremental_unassign(&events)
        {
            tracing::debug!(%error, "leaving the events");
        }
    }
}

fn taken_in(lane: Lane, partition: PartitionNumber, held: &Held, message: &BorrowedMessage<'_>) -> Event {
    let value = message.payload().map(<[u8]>::to_vec);
    let key = message.key().map(<[u8]>::to_vec);
    let headers: Vec<(String, Vec<u8>)> = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    let bytes = value.as_ref().map_or(0, Vec::len) + headers.iter().map(|(_, v)| v.len()).sum::<usize>();
    let (slot, load) = held.flow.take(bytes as u64);
    let (offset, timestamp_ms) = (message.offset(), message.timestamp().to_millis());
    let message = Incoming { lane, partition, offset, timestamp_ms, key, headers, value, load: Some(load) };
    Event::Message { epoch: held.epoch, slot: Some(slot), message: Box::new(message) }
}
