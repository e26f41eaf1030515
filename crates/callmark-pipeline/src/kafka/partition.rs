//! One partition of this worker: what is under way, what is finished, when it is time to commit. Pure state.

use super::event::{Epoch, Incoming};
use super::flow::{Load, Slot};
use crate::frontier::Frontier;
use callmark_store::{DeadLetter, SourceKey};
use callmark_types::ScoredCall;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Finished {
    /// A call, scored.
    Scored {
        /// Identity of its content.
        key: SourceKey,
        /// The call.
        call: Box<ScoredCall>,
        /// The message itself, should its call turn out to be another one's double.
        original: Box<Original>,
    },
    /// It could not be processed.
    Dead(Box<Dead>),
}

/// A message as it came, without its load.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Original {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Option<Vec<u8>>,
}

/// A dead letter with the message it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dead {
    pub(crate) letter: DeadLetter,
    pub(crate) original: Original,
}

/// What goes into one commit.
#[derive(Debug, Default)]
pub(crate) struct BatchToCommit {
    /// The last offset that it settles.
    pub(crate) last: i64,
    /// How far the companion partition of events is settled, for live calls.
    pub(crate) events_next: Option<i64>,
    /// What became of the messages up to there, in order of offset.
    pub(crate) results: Vec<Finished>,
    /// Their places and bytes, free once they are committed.
    pub(crate) held: Vec<(Option<Slot>, Option<Load>)>,
}

impl PartialEq for BatchToCommit {
    fn eq(&self, other: &Self) -> bool {
        (self.last, self.results.len()) == (other.last, other.results.len())
    }
}

/// When finished calls are committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) calls: usize,
    /// Bytes of their messages, which are kept until the commit.
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

/// A message under way.
#[derive(Debug)]
struct UnderWay {
    offset: i64,
    slot: Option<Slot>,
}

/// A message that is worked off, with everything before it.
#[derive(Debug)]
struct Ready {
    offset: i64,
    finished: Finished,
    slot: Option<Slot>,
    load: Option<Load>,
}

impl Ready {
    fn bytes(&self) -> u64 {
        self.load.as_ref().map_or(0, Load::bytes)
    }
}

/// What is done with a partition's messages.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) epoch: Epoch,
    /// The first offset that was not seen.
    expected: i64,
    frontier: Frontier<(Finished, Option<Load>)>,
    next_sequence: u64,
    under_way: VecDeque<UnderWay>,
    ready: Vec<Ready>,
    ready_bytes: u64,
    ready_since: Option<Instant>,
    committing: bool,
}

impl Partition {
    /// A partition that goes on at `next`.
    pub(crate) fn starting_at(epoch: Epoch, next: Option<i64>) -> Self {
        Self {
            epoch,
            expected: next.unwrap_or(0),
            frontier: Frontier::starting_at(0),
            next_sequence: 0,
            under_way: VecDeque::new(),
            ready: Vec::new(),
            ready_bytes: 0,
            ready_since: None,
            committing: false,
        }
    }

    /// Takes in the next message: its number in the order of the partition. The error is the offset expected at least.
    pub(crate) fn take_in(&mut self, message: &Incoming, slot: Option<Slot>) -> Result<u64, i64> {
        if message.offset < self.expected {
            return Err(self.expected);
        }
        self.expected = message.offset + 1;
        self.under_way.push_back(UnderWay { offset: message.offset, slot });
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Ok(sequence)
    }

    /// Takes in what became of message number `sequence`.
    pub(crate) fn finish(&mut self, sequence: u64, finished: Finished, load: Option<Load>, now: Instant) {
        self.frontier.finish(sequence, (finished, load));
        for (finished, load) in self.frontier.take_ready() {
            let Some(UnderWay { offset, slot }) = self.under_way.pop_front() else { return };
            let ready = Ready { offset, finished, slot, load };
            self.ready_bytes += ready.bytes();
            self.ready.push(ready);
            self.ready_since.get_or_insert(now);
        }
    }

    /// A batch, where one is due (`at_once`: whatever is ready) and none is on its way.
    pub(crate) fn batch_due(
        &mut self,
        limits: BatchLimits,
        now: Instant,
        at_once: bool,
    ) -> Option<BatchToCommit> {
        let old = self.ready_since.is_some_and(|since| now.duration_since(since) >= limits.age);
        let large = self.ready.len() >= limits.calls || self.ready_bytes >= limits.bytes;
        if self.committing || self.ready.is_empty() || !(at_once || old || large) {
            return None;
        }
        let count = self.ready.len().min(limits.calls);
        let rest = self.ready.split_off(count);
        let mut batch = BatchToCommit::default();
        for ready in std::mem::replace(&mut self.ready, rest) {
            batch.last = ready.offset;
            batch.results.push(ready.finished);
            batch.held.push((ready.slot, ready.load));
        }
        self.ready_bytes = self.ready.iter().map(Ready::bytes).sum();
        self.ready_since = (!self.ready.is_empty()).then_some(now);
        self.committing = true;
        Some(batch)
    }

    /// The batch on its way has arrived.
    pub(crate) fn committed(&mut self) {
        self.committing = false;
    }

    /// Whether nothing finished waits for a commit.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.committing && self.ready.is_empty()
    }

    /// Whether nothing at all is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_flushed() && self.under_way.is_empty()
    }
}
