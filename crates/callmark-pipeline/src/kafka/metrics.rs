//! What is counted. Names are `callmark_<noun>_<unit>`; labels have few values and never a call's id or text.

use super::event::PartitionNumber;
use super::partition::Dead;
use callmark_store::SourceKey;
use callmark_types::ScoredCall;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PartitionLabel {
    pub(crate) partition: i64,
}

/// Where a call failed: one of the few stages of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StageLabel {
    pub(crate) stage: String,
}

/// What a stream did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) repeats: u64,
    pub(crate) dead_letters: u64,
    pub(crate) audio_seconds: f64,
}

/// Everything that is counted of one stream.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) messages: Counter,
    pub(crate) message_bytes: Counter,
    calls: Counter,
    repeats: Counter,
    dead_letters: Family<StageLabel, Counter>,
    dead: AtomicU64,
    audio_seconds: Counter<f64, AtomicU64>,
    hearing_seconds: Counter<f64, AtomicU64>,
    real_time_factor: Gauge<f64, AtomicU64>,
    pub(crate) commit_seconds: Histogram,
    live_seconds: Histogram,
    alerts: Counter,
    pub(crate) live_sessions: Gauge,
    pub(crate) lost_races: Counter,
    pub(crate) store_retries: Counter,
    pub(crate) broker_silence: Gauge,
    pub(crate) partitions: Gauge,
    pub(crate) in_flight_calls: Gauge,
    pub(crate) in_flight_bytes: Gauge,
    lag: Family<PartitionLabel, Gauge>,
    next: Mutex<BTreeMap<PartitionNumber, i64>>,
    started: Instant,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("callmark")),
            messages: Counter::default(),
            message_bytes: Counter::default(),
            calls: Counter::default(),
            repeats: Counter::default(),
            dead_letters: Family::default(),
            dead: AtomicU64::new(0),
            audio_seconds: Counter::default(),
            hearing_seconds: Counter::default(),
            real_time_factor: Gauge::default(),
            // 1 ms to 65 s.
            commit_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            // 50 ms to 51 s.
            live_seconds: Histogram::new(exponential_buckets(0.05, 2.0, 11)),
            alerts: Counter::default(),
            live_sessions: Gauge::default(),
            lost_races: Counter::default(),
            store_retries: Counter::default(),
            broker_silence: Gauge::default(),
            partitions: Gauge::default(),
            in_flight_calls: Gauge::default(),
            in_flight_bytes: Gauge::default(),
            lag: Family::default(),
            next: Mutex::default(),
            started: Instant::now(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register("messages", "Messages taken in", self.messages.clone());
        r.register("message_bytes", "Bytes of messages taken in", self.message_bytes.clone());
        r.register("calls", "Calls scored and committed", self.calls.clone());
        r.register(
            "repeated_calls",
            "Messages about calls that were in the tables already",
            self.repeats.clone(),
        );
        r.register(
            "dead_letters",
            "Messages that could not be processed, by stage",
            self.dead_letters.clone(),
        );
        r.register("audio_seconds", "Length of the calls committed", self.audio_seconds.clone());
        r.register("hearing_seconds", "Time of call threads spent on messages", self.hearing_seconds.clone());
        r.register(
            "real_time_factor",
            "Seconds of calls committed per second since the start",
            self.real_time_factor.clone(),
        );
        r.register("commit_seconds", "Time of one commit, outputs included", self.commit_seconds.clone());
        r.register(
            "live_alert_seconds",
            "From the end of an utterance to its alert",
            self.live_seconds.clone(),
        );
        r.register("alerts", "Alerts sent", self.alerts.clone());
        r.register("live_sessions", "Live calls under way", self.live_sessions.clone());
        r.register(
            "lost_races",
            "Batches that another worker had committed already",
            self.lost_races.clone(),
        );
        r.register(
            "store_retries",
            "Tries to write that failed and were made again",
            self.store_retries.clone(),
        );
        r.register("partitions", "Partitions that this worker holds", self.partitions.clone());
        r.register("broker_silence_seconds", "Since the broker said anything", self.broker_silence.clone());
        r.register("in_flight_calls", "Messages taken in and not committed", self.in_flight_calls.clone());
        r.register(
            "in_flight_bytes",
            "Bytes of messages taken in and not committed",
            self.in_flight_bytes.clone(),
        );
        r.register("lag_messages", "Messages of a partition that are not in the dataset", self.lag.clone());
    }

    /// A batch is in the dataset.
    pub(crate) fn committed(
        &self,
        _: PartitionNumber,
        calls: &[(SourceKey, ScoredCall)],
        dead: &[Dead],
        repeats: usize,
    ) {
        self.calls.inc_by(calls.len() as u64);
        self.repeats.inc_by(repeats as u64);
        self.dead.fetch_add(dead.len() as u64, Ordering::Relaxed);
        for dead in dead {
            self.dead_letters.get_or_create(&StageLabel { stage: dead.letter.stage.clone() }).inc();
        }
        let lengths = calls.iter().filter_map(|(_, call)| call.record.audio.total_conversation_duration);
        self.audio_seconds.inc_by(lengths.map(callmark_types::Millis::seconds).sum());
        self.real_time_factor.set(self.audio_seconds.get() / self.started.elapsed().as_secs_f64().max(0.001));
    }

    /// A message was worked off.
    pub(crate) fn heard(&self, seconds: f64) {
        self.hearing_seconds.inc_by(seconds);
    }

    /// Alerts have reached the broker, so long after they could be known.
    pub(crate) fn alerts_sent(&self, count: usize, seconds: impl Iterator<Item = f64>) {
        self.alerts.inc_by(count as u64);
        seconds.for_each(|seconds| self.live_seconds.observe(seconds));
    }

    /// How far the dataset is in a partition; `None` when it is not this worker's any more.
    pub(crate) fn at(&self, partition: PartitionNumber, next: Option<i64>) {
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = next {
            all.insert(partition, next);
        } else {
            all.remove(&partition);
            self.lag.remove(&PartitionLabel { partition: i64::from(partition) });
        }
    }

    /// Partitions and how far the dataset is in them.
    pub(crate) fn positions(&self) -> Vec<(PartitionNumber, i64)> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(p, n)| (*p, *n)).collect()
    }

    /// How far a partition of the topic goes.
    pub(crate) fn goes_to(&self, partition: PartitionNumber, low: i64, high: i64) {
        let all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = all.get(&partition) {
            let lag = (high - (*next).max(low)).max(0);
            self.lag.get_or_create(&PartitionLabel { partition: i64::from(partition) }).set(lag);
        }
    }

    /// Totals for the report at the end.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            calls: self.calls.get(),
            repeats: self.repeats.get(),
            dead_letters: self.dead.load(Ordering::Relaxed),
            audio_seconds: self.audio_seconds.get(),
        }
    }

    /// All of it in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
