//! All live calls of one worker: messages are dealt out to sessions, and what they hand out is gathered.

use crate::channel::ChannelTrouble;
use crate::chunk::{Chunk, Refusal};
use crate::event::{CallEvent, CallEventKind};
use crate::finish::EndReason;
use crate::job::Transcribed;
use crate::low_water::{LowWater, Position, Source};
use crate::options::LiveOptions;
use crate::session::{Common, Output, Session};
use callmark_acoustics::SpeechDetector;
use callmark_analytics::Ruleset;
use callmark_types::CallId;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

/// What happened so far, for metrics: sums over all calls, open ones included, that this worker has had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that are open now, those that wait for their last transcripts included.
    pub open_sessions: u64,
    /// Utterances with the recogniser now.
    pub jobs_in_flight: u64,
    /// Coded sound kept now, in bytes.
    pub stored_bytes: u64,
    /// Chunks taken.
    pub chunks: u64,
    /// Messages refused.
    pub refused: u64,
    /// Messages of calls that were over already.
    pub after_end: u64,
    /// Calls finished.
    pub finished: u64,
    /// Calls that ended without any sound.
    pub without_sound: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// What went wrong on channels.
    pub trouble: ChannelTrouble,
}

/// The live calls of one worker.
///
/// Time is an argument: `now_ms` is any clock of the caller that does not go back, the same in all calls. Results
/// depend on the messages, their order, the transcripts and these times alone.
#[derive(Debug)]
pub struct Sessions {
    common: Common,
    open: BTreeMap<CallId, Session>,
    over: HashSet<CallId>,
    over_in_order: VecDeque<CallId>,
    low_water: LowWater,
    counters: Counters,
}

impl Sessions {
    /// No calls yet; `rules` are those of the recordings.
    pub fn new(rules: Arc<Ruleset>, options: LiveOptions) -> Self {
        Self {
            common: Common { rules, options, detector: SpeechDetector::new() },
            open: BTreeMap::new(),
            over: HashSet::new(),
            over_in_order: VecDeque::new(),
            low_water: LowWater::default(),
            counters: Counters::default(),
        }
    }

    /// Takes a chunk that lies at `position`.
    ///
    /// A refusal is for a dead letter. After [`Refusal::TooManySessions`] the position is not noted yet: see
    /// [`Sessions::on_other`].
    pub fn on_chunk(
        &mut self,
        position: Position,
        now_ms: i64,
        chunk: Chunk,
    ) -> Result<Vec<Output>, Refusal> {
        let mut outputs = Vec::new();
        let chunk = Chunk { offset: position.offset, ..chunk };
        if let Err(refusal) = chunk.check(&self.common.options) {
            return Err(self.refuse(position, refusal));
        }
        let call_id = chunk.call_id.clone();
        if !self.open_session(&call_id, position, now_ms)? {
            return Ok(outputs);
        }
        if let Some(session) = self.open.get_mut(&call_id) {
            if let Err(refusal) = session.on_chunk(&self.common, chunk, now_ms, &mut outputs) {
                return Err(self.refuse(position, refusal));
            }
            self.counters.chunks += 1;
        }
        self.settle(&call_id, &mut outputs);
        Ok(outputs)
    }

    /// Takes an event that lies at `position`. The end of a call that is not open opens none.
    pub fn on_event(
        &mut self,
        position: Position,
        now_ms: i64,
        event: CallEvent,
    ) -> Result<Vec<Output>, Refusal> {
        let mut outputs = Vec::new();
        let call_id = event.call_id.clone();
        if event.kind == CallEventKind::Ended && !self.open.contains_key(&call_id) {
            self.low_water.seen(position);
            self.counters.after_end += 1;
            return Ok(outputs);
        }
        if self.open_session(&call_id, position, now_ms)?
            && let Some(session) = self.open.get_mut(&call_id)
        {
            session.on_event(&self.common, event, now_ms, &mut outputs);
        }
        self.settle(&call_id, &mut outputs);
        Ok(outputs)
    }

    /// Takes what became of a [`TranscribeJob`](crate::TranscribeJob), in any order.
    pub fn on_transcript(&mut self, transcribed: Transcribed) -> Vec<Output> {
        let mut outputs = Vec::new();
        let call_id = transcribed.call_id.clone();
        if let Some(session) = self.open.get_mut(&call_id) {
            session.on_transcript(&self.common, transcribed, &mut outputs);
        }
        self.settle(&call_id, &mut outputs);
        outputs
    }

    /// Lets time pass: ends calls whose grace is over or of which nothing comes any more.
    ///
    /// Call it once or more a second, after everything that was polled was handed in; not while the consumer is paused, or
    /// calls whose messages wait would count as idle.
    pub fn on_tick(&mut self, now_ms: i64) -> Vec<Output> {
        let mut outputs = Vec::new();
        let ids: Vec<CallId> = self.open.keys().cloned().collect();
        for call_id in ids {
            if let Some(session) = self.open.get_mut(&call_id) {
                session.on_tick(&self.common, now_ms, &mut outputs);
            }
            self.settle(&call_id, &mut outputs);
        }
        outputs
    }

    /// Ends all calls now, as a topic that is read to its end asks for. A worker that stops does not: its calls go on
    /// elsewhere.
    pub fn end_all(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        let ids: Vec<CallId> = self.open.keys().cloned().collect();
        for call_id in ids {
            if let Some(session) = self.open.get_mut(&call_id) {
                session.end(&self.common, EndReason::Asked, &mut outputs);
            }
            self.settle(&call_id, &mut outputs);
        }
        outputs
    }

    /// A finished call is in the dataset, or a dead letter: its messages are not needed any more.
    pub fn on_committed(&mut self, call_id: &CallId) {
        self.low_water.release(call_id);
    }

    /// A call is in the dataset already, as found after a restart: its messages open no session.
    pub fn ignore(&mut self, call_id: &CallId) {
        self.open.remove(call_id);
        self.low_water.release(call_id);
        self.remember(call_id);
    }

    /// Whether a call is open, or is known to be over: else ask the dataset before its first message is handed in.
    pub fn knows(&self, call_id: &CallId) -> bool {
        self.open.contains_key(call_id) || self.over.contains(call_id)
    }

    /// Whether a call goes on.
    pub fn is_open(&self, call_id: &CallId) -> bool {
        self.open.contains_key(call_id)
    }

    /// Calls that are open now, those that wait for their last transcripts included.
    pub fn open_sessions(&self) -> usize {
        self.open.len()
    }

    /// Notes a message that was dealt with elsewhere (a dead letter), so that it does not hold the commit back.
    pub fn on_other(&mut self, position: Position) {
        self.low_water.seen(position);
    }

    /// A partition belongs to another worker now: drops the calls that it began. Their results, should they come, are
    /// ignored.
    pub fn on_revoked(&mut self, source: Source) {
        for call_id in self.low_water.calls_of(source) {
            self.open.remove(&call_id);
            self.over.remove(&call_id);
            self.low_water.release(&call_id);
        }
        self.over_in_order.retain(|id| self.over.contains(id));
        self.low_water.forget(source);
    }

    /// The offset to commit for a partition: every message before it is done with.
    pub fn commit_point(&self, source: Source) -> Option<i64> {
        self.low_water.commit_point(source)
    }

    /// Whether the recogniser is so far behind that no more messages should be handed in for now.
    pub fn wants_pause(&self) -> bool {
        let jobs: usize = self.open.values().map(Session::jobs_in_flight).sum();
        jobs >= self.common.options.max_jobs_in_flight
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.open_sessions = self.open_sessions() as u64;
        for session in self.open.values() {
            counters.jobs_in_flight += session.jobs_in_flight() as u64;
            counters.stored_bytes += session.stored_bytes() as u64;
            counters.trouble += session.trouble();
        }
        counters
    }

    fn refuse(&mut self, position: Position, refusal: Refusal) -> Refusal {
        self.low_water.seen(position);
        self.counters.refused += 1;
        refusal
    }

    /// Sees to it that a session takes the message at `position`; `false` where the call is over.
    fn open_session(&mut self, call_id: &CallId, position: Position, now_ms: i64) -> Result<bool, Refusal> {
        let is_ending = self.open.get(call_id).is_some_and(Session::is_ending);
        if is_ending || self.over.contains(call_id) {
            self.low_water.seen(position);
            self.counters.after_end += 1;
            return Ok(false);
        }
        if !self.open.contains_key(call_id) {
            if self.open.len() >= self.common.options.max_sessions {
                return Err(Refusal::TooManySessions(self.open.len()));
            }
            self.open.insert(call_id.clone(), Session::new(call_id.clone(), &self.common, now_ms));
        }
        self.low_water.hold(call_id, position);
        Ok(true)
    }

    /// Hands a call out that is over, and counts.
    fn settle(&mut self, call_id: &CallId, outputs: &mut Vec<Output>) {
        self.counters.alerts +=
            outputs.iter().filter(|o| matches!(o, Output::Alert(alert) if alert.call_id == *call_id)).count()
                as u64;
        if !self.open.get(call_id).is_some_and(Session::is_over) {
            return;
        }
        let Some(session) = self.open.remove(call_id) else { return };
        self.remember(call_id);
        self.counters.trouble += session.trouble();
        self.counters.without_sound += u64::from(session.is_without_sound());
        self.counters.finished += 1;
        outputs
            .extend(session.into_finished(&self.common.options).map(|call| Output::Finished(Box::new(call))));
    }

    fn remember(&mut self, call_id: &CallId) {
        if self.over.insert(call_id.clone()) {
            self.over_in_order.push_back(call_id.clone());
        }
        while self.over_in_order.len() > self.common.options.remembered_calls {
            if let Some(oldest) = self.over_in_order.pop_front() {
                self.over.remove(&oldest);
            }
        }
    }
}
