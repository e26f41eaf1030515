//! An operator's producer: recordings and conversations, or live chunks in real time, into Kafka.
//!
//! It exists so that a pipeline can be tried, tested and loaded without writing a producer first, and it shows what a
//! producer has to send.

use super::failure::StreamError;
use super::live_feed::LiveCall;
use super::properties::Properties;
use super::publisher::{Outgoing, Publisher};
use super::startup::partitions_of;
use crate::inputs::{Plan, Task, plan};
use crate::metadata_file::read_metadata;
use crate::run::RunError;
use callmark_store::Envelope;
use callmark_store::dead_letters::StoredDeadLetter;
use callmark_types::{CallMetadata, ChannelRole};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Messages sent before their acknowledgements are waited for.
const BATCH_MESSAGES: usize = 200;
/// Bytes of them.
const BATCH_BYTES: usize = 16 << 20;
/// How long the broker may fail.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest pause between two looks at whether to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What to send where.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// Files and folders.
    pub inputs: Vec<PathBuf>,
    /// CTI metadata.
    pub calls: Option<PathBuf>,
    /// `host:port,…`.
    pub brokers: String,
    /// Topic of recordings, or of live audio.
    pub topic: String,
    /// What librdkafka is told.
    pub properties: Properties,
    /// Sends where a recording is rather than what is in it.
    pub by_uri: bool,
    /// Sends chunks as they would come from calls that go on.
    pub live: Option<LiveFeed>,
}

/// How live calls are sent.
#[derive(Debug, Clone)]
pub struct LiveFeed {
    /// Topic of call events.
    pub events_topic: String,
    /// Times real time; 0 sends as fast as the broker takes it.
    pub speed: f64,
    /// Length of a chunk.
    pub chunk: Duration,
    /// `pcm_s16le` or `pcmu`.
    pub codec: String,
    /// Calls at the same time.
    pub concurrent: usize,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedReport {
    /// Calls sent.
    pub calls: u64,
    /// Messages sent and acknowledged.
    pub messages: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Inputs that cannot be sent.
    pub refused: u64,
}

/// Sends what `options` name until it is sent or `stop` is set.
pub fn feed(
    options: &FeedOptions,
    stop: &AtomicBool,
    refused: &dyn Fn(&str),
) -> Result<FeedReport, StreamError> {
    let table = options.calls.as_deref().map(read_metadata).transpose().map_err(RunError::from)?;
    let plan = plan(&options.inputs, table.as_ref(), &BTreeMap::new());
    if let Some(table) = &table {
        plan.check_metadata(table).map_err(RunError::from)?;
    }
    let Plan { tasks, .. } = plan;
    let publisher = Publisher::new(&options.brokers, &[&options.properties])?;
    partitions_of(&publisher, &options.brokers, &options.topic)?;
    if let Some(live) = &options.live {
        partitions_of(&publisher, &options.brokers, &live.events_topic)?;
    }
    let mut sender =
        Sender { publisher, waiting: Vec::new(), waiting_bytes: 0, report: FeedReport::default() };
    match &options.live {
        Some(live) => send_live(options, live, tasks, &mut sender, stop, refused)?,
        None => {
            for task in tasks {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match message_of(options, task) {
                    Ok(message) => {
                        sender.report.calls += 1;
                        sender.take(message)?;
                    }
                    Err(reason) => {
                        sender.report.refused += 1;
                        refused(&reason);
                    }
                }
            }
        }
    }
    sender.flush()?;
    Ok(sender.report)
}

/// Sends dead letters' messages again, as they came but for the count of tries: key, headers and bytes to the topic
/// they came from. Returns when the broker has them all.
pub fn resend(
    brokers: &str,
    properties: &Properties,
    letters: Vec<(StoredDeadLetter, Vec<u8>)>,
) -> Result<(), StreamError> {
    let publisher = Publisher::new(brokers, &[properties])?;
    let messages = letters.into_iter().filter_map(|(letter, bytes)| {
        let Envelope { key, mut headers } = letter.envelope.unwrap_or_default();
        headers.retain(|(name, _)| name != "attempts");
        headers.push(header("attempts", letter.attempts.to_string().as_bytes()));
        let value = Some(bytes).filter(|bytes| !bytes.is_empty());
        // Where it was, its partition knows the calls that it had.
        Some(Outgoing { topic: letter.topic?, partition: letter.partition, key, headers, value })
    });
    let messages: Vec<Outgoing> = messages.collect();
    let topics: std::collections::BTreeSet<&str> = messages.iter().map(|m| m.topic.as_str()).collect();
    for topic in topics {
        partitions_of(&publisher, brokers, topic)?;
    }
    publisher.send(messages, PATIENCE)
}

struct Sender {
    publisher: Publisher,
    waiting: Vec<Outgoing>,
    waiting_bytes: usize,
    report: FeedReport,
}

impl Sender {
    fn take(&mut self, message: Outgoing) -> Result<(), StreamError> {
        self.waiting_bytes += message.value.as_ref().map_or(0, Vec::len);
        self.waiting.push(message);
        if self.waiting.len() >= BATCH_MESSAGES || self.waiting_bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        let messages = std::mem::take(&mut self.waiting);
        self.report.messages += messages.len() as u64;
        self.report.bytes += std::mem::take(&mut self.waiting_bytes) as u64;
        self.publisher.send(messages, PATIENCE)
    }
}

fn message_of(options: &FeedOptions, task: Task) -> Result<Outgoing, String> {
    let unreadable = |path: &Path, e: &std::io::Error| format!("{}: {e}", path.display());
    match task {
        Task::Refused { path, reason, .. } => Err(format!("{}: {reason}", path.display())),
        Task::Written { path, offset, bytes, .. } => {
            let line = read_at(&path, offset, bytes).map_err(|e| unreadable(&path, &e))?;
            let id = crate::transcripts::call_id_of_line(&line);
            let key = id.map(|id| id.as_str().as_bytes().to_vec());
            let headers = vec![header("content-type", b"application/json")];
            Ok(Outgoing {
                topic: options.topic.clone(),
                partition: None,
                key,
                headers,
                value: Some(line.trim_ascii().to_vec()),
            })
        }
        Task::Recording { path, metadata, .. } => {
            let key = Some(metadata.call_id.as_str().as_bytes().to_vec());
            let mut fields = metadata_json(&metadata);
            if options.by_uri {
                let absolute = path.canonicalize().map_err(|e| unreadable(&path, &e))?;
                let uri = url::Url::from_file_path(&absolute)
                    .map_err(|()| format!("{}: its path makes no uri", path.display()))?;
                fields.insert("uri".to_owned(), Value::String(uri.to_string()));
                let headers = vec![header("content-type", b"application/json")];
                let value = Some(Value::Object(fields).to_string().into_bytes());
                return Ok(Outgoing { topic: options.topic.clone(), partition: None, key, headers, value });
            }
            let value = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
            let headers = vec![
                header("content-type", content_type_of(&path).as_bytes()),
                header("call", Value::Object(fields).to_string().as_bytes()),
            ];
            Ok(Outgoing { topic: options.topic.clone(), partition: None, key, headers, value: Some(value) })
        }
    }
}

pub(crate) fn header(name: &str, value: &[u8]) -> (String, Vec<u8>) {
    (name.to_owned(), value.to_vec())
}

fn read_at(path: &Path, offset: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut line = Vec::new();
    file.take(bytes).read_to_end(&mut line)?;
    Ok(line)
}

/// The media type of a recording by its name; content decides where it has a header of its own.
fn content_type_of(path: &Path) -> &'static str {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "m4a" | "mp4" => "audio/mp4",
        "ogg" | "opus" | "oga" => "audio/ogg",
        "webm" => "audio/webm",
        "flac" => "audio/flac",
        "ulaw" => "audio/PCMU;rate=8000",
        "alaw" => "audio/PCMA;rate=8000",
        "gsm" => "audio/GSM",
        "g722" => "audio/G722",
        _ => "application/octet-stream",
    }
}

/// Metadata as a message carries it: the fields of a `calls.csv`.
pub(crate) fn metadata_json(metadata: &CallMetadata) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() && value != json!([]) {
            fields.insert(name.to_owned(), value);
        }
    };
    put("call_id", json!(metadata.call_id));
    put("started_at", json!(metadata.started_at.map(|at| at.to_string())));
    put("first_handler", json!(metadata.first_handler));
    put("agent_ids", json!(metadata.agent_ids));
    put("handler_segments", json!(metadata.handler_segments));
    put("customer_key", json!(metadata.customer_key));
    put("queue", json!(metadata.queue));
    put("issue_type", json!(metadata.issue_type));
    put("language", json!(metadata.language));
    for (channel, role) in metadata.channel_roles.iter().enumerate() {
        let role = role.map(|role| match role {
            ChannelRole::Customer => "customer",
            ChannelRole::Agent => "agent",
            ChannelRole::Mixed => "mixed",
        });
        put(&format!("channel_{channel}_role"), json!(role));
    }
    fields
}

/// Sends calls chunk by chunk, each chunk when it would come; `concurrent` calls go on at a time.
fn send_live(
    options: &FeedOptions,
    live: &LiveFeed,
    tasks: Vec<Task>,
    sender: &mut Sender,
    stop: &AtomicBool,
    refused: &dyn Fn(&str),
) -> Result<(), StreamError> {
    let mut waiting = tasks.into_iter();
    let mut going_on: Vec<LiveCall> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        while going_on.len() < live.concurrent.max(1) {
            let Some(task) = waiting.next() else { break };
            match LiveCall::of(task, &options.topic, live, Instant::now()) {
                Ok(call) => {
                    sender.report.calls += 1;
                    going_on.push(call);
                }
                Err(reason) => {
                    sender.report.refused += 1;
                    refused(&reason);
                }
            }
        }
        let Some(due) = going_on.iter().map(LiveCall::due).min() else { return Ok(()) };
        let now = Instant::now();
        if due > now {
            sender.flush()?;
            std::thread::sleep((due - now).min(LOOK));
            continue;
        }
        for call in &mut going_on {
            if call.due() <= now {
                for message in call.take_due() {
                    sender.take(message)?;
                }
            }
        }
        going_on.retain(|call| !call.is_over());
    }
    Ok(())
}
