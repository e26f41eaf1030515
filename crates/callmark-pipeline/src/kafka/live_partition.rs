//! The live calls of one partition: chunks and events in the order in which they were sent, alerts and scored calls out.
//!
//! Two topics carry a call, its sound and what the telephony system tells of it, and one may be read far ahead of the
//! other: after a restart an event that ends a call would come before the sound that it ends. So the two partitions are
//! merged by the time stamps of their messages, as stream processors do; one that is empty is waited for until the
//! broker says that nothing more is there. Pure state: time and messages are arguments.

use super::event::{Action, Epoch, Incoming, Lane, Opened, PartitionNumber};
use super::flow::Slot;
use super::partition::{BatchLimits, BatchToCommit, Finished, Original};
use super::workshop::dead;
use crate::hear::StageError;
use callmark_analytics::Ruleset;
use callmark_live::{
    BrokenChunk, CallEvent, Chunk, FinishedCall, LiveOptions, Output, Position, Refusal, Sessions, Source,
    TranscribeJob, Transcribed,
};
use callmark_store::ErasedCalls;
use callmark_types::{CallId, SourcePosition};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a message waits for an earlier one of the other topic that never comes, as when its partition has no leader.
const MERGE_LIMIT: Duration = Duration::from_secs(30);
/// How often sessions look at the clock.
const SESSION_TICK: Duration = Duration::from_millis(100);
/// How often the dataset is told of progress without rows, so that a restart does not read too much again.
const POSITION_EVERY: Duration = Duration::from_mins(1);

/// What all partitions of live calls share.
#[derive(Debug)]
pub(crate) struct LiveSettings {
    pub(crate) topic: String,
    pub(crate) events_topic: String,
    pub(crate) rules: Arc<Ruleset>,
    pub(crate) options: LiveOptions,
    /// Whether alerts are sent anywhere.
    pub(crate) sends_alerts: bool,
}

/// What a live partition wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum LiveJob {
    /// Have an utterance recognised.
    Transcribe(Box<TranscribeJob>),
    /// Measure and score a call that is over; it began at that position.
    Score(Box<FinishedCall>, SourcePosition),
}

/// What became of a [`LiveJob`], or of alerts.
#[derive(Debug)]
pub(crate) enum LiveDone {
    /// What was understood of an utterance.
    Transcribed(Box<Transcribed>),
    /// A call is scored, or could not be.
    Scored(CallId, Box<Finished>),
    /// That many alerts have reached the broker.
    AlertsSent(usize),
}

/// The messages of one topic that wait.
#[derive(Debug)]
struct Queue {
    /// Bounded by the slots of the consumer.
    waiting: VecDeque<(Box<Incoming>, Option<Slot>)>,
    /// Since when the first of them waits.
    head_since: Instant,
    /// The broker has said that nothing more is there.
    at_end: bool,
    /// The first offset that was not seen.
    expected: i64,
}

impl Queue {
    fn new(next: Option<i64>, now: Instant) -> Self {
        Self { waiting: VecDeque::new(), head_since: now, at_end: false, expected: next.unwrap_or(0) }
    }

    fn head_ms(&self) -> Option<i64> {
        self.waiting.front().map(|(message, _)| message.timestamp_ms.unwrap_or(0))
    }

    /// Whether it is empty and will be, as far as can be known.
    fn has_nothing(&self) -> bool {
        self.waiting.is_empty() && self.at_end
    }

    fn has_waited(&self, now: Instant) -> bool {
        now.duration_since(self.head_since) >= MERGE_LIMIT
    }
}

/// A call or message that is done with, and the call whose messages are not needed any more.
#[derive(Debug)]
struct Ready {
    finished: Finished,
    releases: Option<CallId>,
}

/// One partition of live calls.
#[derive(Debug)]
pub(crate) struct LivePartition {
    pub(crate) epoch: Epoch,
    partition: PartitionNumber,
    settings: Arc<LiveSettings>,
    sessions: Sessions,
    audio: Queue,
    events: Queue,
    committed_calls: HashSet<CallId>,
    erased: ErasedCalls,
    alerted: HashSet<String>,
    first_offsets: HashMap<CallId, i64>,
    /// How far the last commit, or the one on its way, goes: audio and events.
    settled: (Option<i64>, Option<i64>),
    transcribing: usize,
    scoring: usize,
    alerting: usize,
    ready: Vec<Ready>,
    ready_since: Option<Instant>,
    committing: bool,
    last_commit: Instant,
    ticked: Instant,
    sessions_ticked: Instant,
    /// The sessions' clock: time in which the broker was there and everything was handed on.
    clock: Duration,
}

impl LivePartition {
    /// A partition that goes on where `opened` says.
    pub(crate) fn new(
        partition: PartitionNumber,
        epoch: Epoch,
        opened: Opened,
        settings: Arc<LiveSettings>,
        now: Instant,
    ) -> Self {
        let Opened { next, events_next, committed, erased, alerted } = opened;
        Self {
            epoch,
            partition,
            sessions: Sessions::new(Arc::clone(&settings.rules), settings.options.clone()),
            settings,
            audio: Queue::new(next, now),
            events: Queue::new(events_next, now),
            committed_calls: committed,
            erased,
            alerted,
            first_offsets: HashMap::new(),
            settled: (next, events_next),
            transcribing: 0,
            scoring: 0,
            alerting: 0,
            ready: Vec::new(),
            ready_since: None,
            committing: false,
            last_commit: now,
            ticked: now,
            sessions_ticked: now,
            clock: Duration::ZERO,
        }
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Main => &mut self.audio,
            Lane::Events => &mut self.events,
        }
    }

    fn source(&self, lane: Lane) -> Source {
        Source { topic: lane as u16, partition: self.partition }
    }

    fn now_ms(&self) -> i64 {
        self.clock.as_millis() as i64
    }

    /// Takes in the next message. The error is the offset expected at least.
    pub(crate) fn take_in(
        &mut self,
        message: Box<Incoming>,
        slot: Option<Slot>,
        now: Instant,
    ) -> Result<(), i64> {
        let queue = self.queue(message.lane);
        if message.offset < queue.expected {
            return Err(queue.expected);
        }
        queue.expected = message.offset + 1;
        queue.at_end = false;
        if queue.waiting.is_empty() {
            queue.head_since = now;
        }
        queue.waiting.push_back((message, slot));
        Ok(())
    }

    /// Takes in that everything `lane` holds was handed on.
    pub(crate) fn caught_up(&mut self, lane: Lane, now: Instant, actions: &mut Vec<Action>) {
        self.queue(lane).at_end = true;
        self.work_off(now, actions);
    }

    /// Hands in what may be handed in.
    pub(crate) fn work_off(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.transcribing < self.settings.options.max_jobs_in_flight {
            let Some(lane) = self.next_lane(now) else { return };
            let queue = self.queue(lane);
            let Some((message, _slot)) = queue.waiting.pop_front() else { return };
            queue.head_since = now;
            self.hand_in(*message, now, actions);
        }
    }

    /// The topic whose first message was sent first, where that is sure.
    fn next_lane(&self, now: Instant) -> Option<Lane> {
        match (self.audio.head_ms(), self.events.head_ms()) {
            (None, None) => None,
            (Some(audio), Some(event)) => Some(if event < audio { Lane::Events } else { Lane::Main }),
            (Some(_), None) => (self.events.at_end || self.audio.has_waited(now)).then_some(Lane::Main),
            (None, Some(_)) => (self.audio.at_end || self.events.has_waited(now)).then_some(Lane::Events),
        }
    }

    /// What no session takes is a dead letter. A call that finds no session free, too: if it waited, so would the messages
    /// behind it that end other calls.
    fn hand_in(&mut self, message: Incoming, now: Instant, actions: &mut Vec<Action>) {
        let position = Position { source: self.source(message.lane), offset: message.offset };
        let taken = match message.lane {
            Lane::Main => self.chunk(&message, position),
            Lane::Events => self.event(&message, position),
        };
        match taken {
            Ok(outputs) => self.handle(outputs, now, actions),
            Err(refusal) => {
                self.sessions.on_other(position);
                let letter = self.refused(message, &refusal);
                self.finish(letter, None, now);
            }
        }
    }

    fn chunk(&mut self, message: &Incoming, position: Position) -> Result<Vec<Output>, Refusal> {
        let key = String::from_utf8_lossy(message.key.as_deref().unwrap_or_default());
        let bytes = message.value.clone().unwrap_or_default();
        let chunk = Chunk::from_message(&key, |name| message.header(name), bytes)?;
        let call_id = chunk.call_id.clone();
        self.pass_over_committed(&call_id);
        let outputs = self.sessions.on_chunk(position, self.now_ms(), chunk)?;
        if self.sessions.is_open(&call_id) {
            self.first_offsets.entry(call_id).or_insert(position.offset);
        }
        Ok(outputs)
    }

    fn event(&mut self, message: &Incoming, position: Position) -> Result<Vec<Output>, Refusal> {
        let key = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let mut event = CallEvent::from_message(key, message.value.as_deref().unwrap_or_default())?;
        // Not when it is read: that would be another instant each time.
        event.ts_ms = event.ts_ms.or(message.timestamp_ms);
        self.pass_over_committed(&event.call_id);
        self.sessions.on_event(position, self.now_ms(), event)
    }

    /// A call that is in the dataset, or was erased from it, is not heard again.
    fn pass_over_committed(&mut self, call_id: &CallId) {
        if self.sessions.knows(call_id) {
            return;
        }
        if self.committed_calls.contains(call_id) || self.erased.has_call(call_id) {
            self.sessions.ignore(call_id);
        }
    }

    fn handle(&mut self, outputs: Vec<Output>, now: Instant, actions: &mut Vec<Action>) {
        let (partition, epoch) = (self.partition, self.epoch);
        let act = |job| Action::Live { partition, epoch, job };
        for output in outputs {
            match output {
                Output::Transcribe(job) => {
                    self.transcribing += 1;
                    actions.push(act(LiveJob::Transcribe(Box::new(job))));
                }
                Output::Alert(alert) => {
                    if self.settings.sends_alerts && !self.alerted.remove(&alert.alert_id) {
                        self.alerting += 1;
                        actions.push(Action::Alert { partition, epoch, alert });
                    }
                }
                Output::Finished(call) => {
                    self.scoring += 1;
                    let offset = self.first_offsets.remove(call.call_id());
                    let source = SourcePosition {
                        topic: Some(self.settings.topic.clone()),
                        partition: Some(partition),
                        offset,
                        ..SourcePosition::default()
                    };
                    actions.push(act(LiveJob::Score(call, source)));
                }
                Output::Broken(broken) => {
                    let letter = self.broken(*broken);
                    self.finish(letter, None, now);
                }
            }
        }
    }

    /// Takes in what became of a job.
    pub(crate) fn done(&mut self, done: LiveDone, now: Instant, actions: &mut Vec<Action>) {
        match done {
            LiveDone::Transcribed(transcribed) => {
                self.transcribing -= 1;
                let outputs = self.sessions.on_transcript(*transcribed);
                self.handle(outputs, now, actions);
                self.work_off(now, actions);
            }
            LiveDone::Scored(call_id, finished) => {
                self.scoring -= 1;
                self.finish(*finished, Some(call_id), now);
            }
            LiveDone::AlertsSent(count) => self.alerting -= count,
        }
    }

    fn finish(&mut self, finished: Finished, releases: Option<CallId>, now: Instant) {
        self.ready.push(Ready { finished, releases });
        self.ready_since.get_or_insert(now);
    }

    /// Takes in that time has passed. Sessions do not age while the broker is away or messages wait.
    pub(crate) fn tick(&mut self, now: Instant, connected: bool, actions: &mut Vec<Action>) {
        self.work_off(now, actions);
        let passed = now.duration_since(self.ticked);
        self.ticked = now;
        if !connected || !self.audio.waiting.is_empty() || !self.events.waiting.is_empty() {
            return;
        }
        self.clock += passed;
        if now.duration_since(self.sessions_ticked) >= SESSION_TICK {
            self.sessions_ticked = now;
            let outputs = self.sessions.on_tick(self.now_ms());
            self.handle(outputs, now, actions);
        }
    }

    /// What may be committed: everything before these offsets of audio and events is done with.
    fn points(&self) -> (Option<i64>, Option<i64>) {
        let point = |lane, settled: Option<i64>| {
            let point = self.sessions.commit_point(self.source(lane));
            point.map(|point| point.max(settled.unwrap_or(0))).or(settled)
        };
        (point(Lane::Main, self.settled.0), point(Lane::Events, self.settled.1))
    }

    /// A batch, where one is due. Alerts go before rows: a call in the dataset is not heard again.
    pub(crate) fn batch_due(
        &mut self,
        limits: BatchLimits,
        now: Instant,
        at_once: bool,
    ) -> Option<BatchToCommit> {
        if self.committing || self.alerting > 0 {
            return None;
        }
        let old = self.ready_since.is_some_and(|since| now.duration_since(since) >= limits.age);
        let rows = !self.ready.is_empty() && (at_once || old || self.ready.len() >= limits.calls);
        let moves = at_once || now.duration_since(self.last_commit) >= POSITION_EVERY;
        let goes_on = moves && self.points() != self.settled;
        if !rows && !goes_on {
            return None;
        }
        let mut batch = BatchToCommit::default();
        let rest = self.ready.split_off(self.ready.len().min(limits.calls));
        for Ready { finished, releases } in std::mem::replace(&mut self.ready, rest) {
            if let Some(call_id) = releases {
                self.sessions.on_committed(&call_id);
            }
            batch.results.push(finished);
        }
        self.settled = self.points();
        batch.last = self.settled.0.unwrap_or(0) - 1;
        batch.events_next = self.settled.1;
        self.ready_since = (!self.ready.is_empty()).then_some(now);
        self.committing = true;
        self.last_commit = now;
        Some(batch)
    }

    /// The batch on its way has arrived.
    pub(crate) fn committed(&mut self) {
        self.committing = false;
    }

    /// Whether nothing finished waits for a commit.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.committing && self.ready.is_empty() && self.alerting == 0
    }

    /// Whether everything is done that can be done without further messages.
    pub(crate) fn may_leave(&self) -> bool {
        self.is_flushed() && self.scoring == 0
    }

    /// Whether nothing at all is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.may_leave() && self.audio.has_nothing() && self.events.has_nothing() && self.open_sessions() == 0
    }

    /// Calls that are open.
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.open_sessions()
    }

    fn refused(&self, message: Incoming, refusal: &Refusal) -> Finished {
        let (stage, topic) = match message.lane {
            Lane::Main => ("chunk", &self.settings.topic),
            Lane::Events => ("event", &self.settings.events_topic),
        };
        let source = SourcePosition {
            topic: Some(topic.clone()),
            partition: Some(self.partition),
            offset: Some(message.offset),
            ..SourcePosition::default()
        };
        let call_id = super::message::call_of_key(&message);
        let attempts = super::message::attempts_before(&message).saturating_add(1);
        let original = Original { key: message.key, headers: message.headers, value: message.value };
        let error = StageError::new(stage, refusal.to_string());
        Finished::Dead(Box::new(dead(source, call_id, error, attempts, original)))
    }

    fn broken(&self, broken: BrokenChunk) -> Finished {
        let BrokenChunk { chunk, reason } = broken;
        let source = SourcePosition {
            topic: Some(self.settings.topic.clone()),
            partition: Some(self.partition),
            offset: Some(chunk.offset),
            ..SourcePosition::default()
        };
        let headers = [
            ("codec", chunk.codec.as_str().to_owned()),
            ("rate", chunk.rate_hz.to_string()),
            ("channel", chunk.channel.to_string()),
            ("seq", chunk.seq.to_string()),
            ("ts-ms", chunk.ts_ms.to_string()),
        ];
        let original = Original {
            key: Some(chunk.call_id.as_str().as_bytes().to_vec()),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect(),
            value: Some(chunk.bytes),
        };
        let error = StageError::new("chunk", reason);
        Finished::Dead(Box::new(dead(source, Some(chunk.call_id), error, 1, original)))
    }
}

#[cfg(test)]
#[path = "live_partition_tests.rs"]
mod tests;
