//! Sends messages and waits for the broker's word on each.

use super::consumer::log;
use super::failure::{StreamError, client_refused, explained, lasting};
use super::properties::Properties;
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the broker may take to acknowledge before a message is sent again.
const DELIVERY_LIMIT_MS: &str = "30000";
/// How long the client may take to say what became of a message: longer than [`DELIVERY_LIMIT_MS`].
const CLIENT_LIMIT: Duration = Duration::from_mins(2);
/// Bytes that wait to be sent, in KiB.
const QUEUED_KIB: &str = "131072";
/// Largest message sent: the broker's own bound holds before this one.
const LARGEST_MESSAGE_BYTES: &str = "134217728";
/// Wait while the queue to the broker is full, and between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    /// `None`: by its key, as Java's clients do it.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Where the broker's word on a message goes.
pub(crate) struct Ticket {
    index: usize,
    reply: Sender<(usize, Result<(), RDKafkaErrorCode>)>,
}

/// What the client says of itself.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// The last error that does not mend itself.
    lasting: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code().filter(|code| lasting(*code).is_some()) {
            let said = format!("{} ({reason})", explained("Kafka", code));
            *self.lasting.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        } else {
            tracing::debug!(reason, "the broker cannot be reached, trying again");
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        // Whoever asked may have given up.
        let _ = ticket.reply.send((ticket.index, outcome));
    }
}

/// Sends, and waits for the broker's word.
pub(crate) struct Publisher {
    producer: ThreadedProducer<Deliveries>,
}

impl Publisher {
    /// A producer for `brokers`, told what each of `properties` says in turn; connects in the background.
    pub(crate) fn new(brokers: &str, properties: &[&Properties]) -> Result<Self, StreamError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "callmark")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            // As Java's clients do it: messages of one call meet, whoever sent them.
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", DELIVERY_LIMIT_MS)
            .set("queue.buffering.max.kbytes", QUEUED_KIB)
            .set("message.max.bytes", LARGEST_MESSAGE_BYTES);
        for some in properties {
            some.apply(&mut config);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        let producer = config.create_with_context(Deliveries::default()).map_err(|e| client_refused(&e))?;
        Ok(Self { producer })
    }

    /// The client, for questions to the broker.
    pub(crate) fn client(&self) -> &Client<Deliveries> {
        self.producer.client()
    }

    /// The last error that does not mend itself.
    pub(crate) fn lasting_error(&self) -> Option<String> {
        self.producer.context().lasting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends all of `messages` and returns when the broker has them; tries for `patience`.
    pub(crate) fn send(&self, messages: Vec<Outgoing>, patience: Duration) -> Result<(), StreamError> {
        let deadline = Instant::now() + patience;
        let mut left = messages;
        let mut pause = PAUSE;
        loop {
            let (failed, code) = self.send_once(left, deadline)?;
            let Some(code) = code else { return Ok(()) };
            if let Some(said) =
                self.lasting_error().or_else(|| lasting(code).map(|_| explained("sending", code)))
            {
                return Err(StreamError::Broker(said));
            }
            if Instant::now() >= deadline {
                let seconds = patience.as_secs();
                return Err(StreamError::Broker(format!(
                    "the broker took no messages for {seconds} s ({code}); nothing is lost: mend that and start again"
                )));
            }
            tracing::warn!(count = failed.len(), %code, "messages were not taken, sending them again");
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            left = failed;
        }
    }

    /// Sends once; what failed, and one reason.
    fn send_once(
        &self,
        messages: Vec<Outgoing>,
        deadline: Instant,
    ) -> Result<(Vec<Outgoing>, Option<RDKafkaErrorCode>), StreamError> {
        let (reply, replies) = channel();
        let mut outcomes = vec![Err(RDKafkaErrorCode::MessageTimedOut); messages.len()];
        for (index, message) in messages.iter().enumerate() {
            if let Err(code) = self.queue(message, index, &reply, deadline) {
                let _ = reply.send((index, Err(code)));
            }
        }
        drop(reply);
        loop {
            match replies.recv_timeout(CLIENT_LIMIT) {
                Ok((index, outcome)) => outcomes[index] = outcome,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(StreamError::Broker("the client lost a message on its way".to_owned()));
                }
            }
        }
        let mut failed = Vec::new();
        let mut reason = None;
        for (message, outcome) in messages.into_iter().zip(outcomes) {
            let Err(code) = outcome else { continue };
            reason = Some(code);
            failed.push(match code {
                RDKafkaErrorCode::MessageSizeTooLarge => without_value(message)?,
                _ => message,
            });
        }
        Ok((failed, reason))
    }

    fn queue(
        &self,
        message: &Outgoing,
        index: usize,
        reply: &Sender<(usize, Result<(), RDKafkaErrorCode>)>,
        deadline: Instant,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut ticket = Box::new(Ticket { index, reply: reply.clone() });
        loop {
            let headers = message.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value) })
            });
            let mut record = BaseRecord::<[u8], [u8], Box<Ticket>>::with_opaque_to(&message.topic, ticket)
                .headers(headers);
            if let Some(key) = &message.key {
                record = record.key(key);
            }
            if let Some(value) = &message.value {
                record = record.payload(value);
            }
            if let Some(partition) = message.partition {
                record = record.partition(partition);
            }
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record))
                    if Instant::now() < deadline =>
                {
                    ticket = record.delivery_opaque;
                    std::thread::sleep(PAUSE);
                }
                Err((error, _)) => {
                    return Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown));
                }
            }
        }
    }
}

/// A message that the topic does not take as large as it is goes without its value, which is in the dataset.
fn without_value(message: Outgoing) -> Result<Outgoing, StreamError> {
    if message.value.is_none() {
        return Err(StreamError::Broker(format!(
            "topic {} takes no message, not even one without a value: raise its max.message.bytes",
            message.topic
        )));
    }
    let mut headers = message.headers;
    headers.push(("value".to_owned(), b"too large for this topic: see the dataset".to_vec()));
    Ok(Outgoing { value: None, headers, ..message })
}
