//! What a worker does about what happens: a state machine that takes no step that waits.
//!
//! It is told [`Event`]s and the time, and answers with [`Action`]s. It holds no client, no file and no clock, so that
//! every order of events can be tried without a broker.

use super::event::{Action, Command, Epoch, Event, Incoming, Lane, Opened, PartitionNumber, Start};
use super::failure::StreamError;
use super::flow::Slot;
use super::live_partition::{LivePartition, LiveSettings};
use super::partition::{BatchLimits, Partition};
use super::work::Work;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the group waits for what is finished to be committed before a partition is given back. Well below the five
/// minutes after which the group gives a member up.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(30);

/// How much longer a commit that is on its way is waited for when the time to stop is over.
const LAST_COMMIT_LIMIT: Duration = Duration::from_secs(15);

/// How long after its last word the broker counts as there. Calls must not end for want of messages that only wait.
const BROKER_SILENCE_LIMIT: Duration = Duration::from_secs(15);

/// What a coordinator has to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) topic: String,
    /// For live calls: how they are heard.
    pub(crate) live: Option<Arc<LiveSettings>>,
    pub(crate) limits: BatchLimits,
    /// Time for calls in flight once told to stop.
    pub(crate) shutdown: Duration,
    /// Stop when nothing came for that long.
    pub(crate) stop_when_idle: Option<Duration>,
    /// Silence of the broker after which the worker gives up.
    pub(crate) give_up: Duration,
}

/// A partition from the group's first word of it to its last.
#[derive(Debug)]
enum State {
    /// The dataset's part is being opened.
    Opening { epoch: Epoch, restart: bool },
    /// Messages come.
    Open(Work),
}

impl State {
    fn epoch(&self) -> Epoch {
        match self {
            Self::Opening { epoch, .. } => *epoch,
            Self::Open(open) => open.epoch(),
        }
    }
}

/// The coordinator of one worker.
#[derive(Debug)]
pub(crate) struct Coordinator {
    settings: Settings,
    partitions: BTreeMap<PartitionNumber, State>,
    next_epoch: Epoch,
    /// The group waits until these are open: their next offsets, as far as known.
    assigning: Option<BTreeMap<PartitionNumber, Option<Start>>>,
    /// The group waits until these are given back, until then at most.
    revoking: Option<(Vec<PartitionNumber>, Instant)>,
    /// Told to stop; calls in flight have until then.
    stopping: Option<Instant>,
    last_message: Option<Instant>,
    broker_heard: Option<Instant>,
    /// The group has answered.
    joined: bool,
    finished: bool,
}

impl Coordinator {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            partitions: BTreeMap::new(),
            next_epoch: 1,
            assigning: None,
            revoking: None,
            stopping: None,
            last_message: None,
            broker_heard: None,
            joined: false,
            finished: false,
        }
    }

    /// How many partitions are open.
    pub(crate) fn open_partitions(&self) -> usize {
        self.partitions.values().filter(|state| matches!(state, State::Open(_))).count()
    }

    /// Whether the group has answered, the broker still does, and nothing is being opened.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        let opening = self.partitions.values().any(|state| matches!(state, State::Opening { .. }));
        let answers = self.broker_silence(now) < BROKER_SILENCE_LIMIT;
        self.joined && answers && !opening && self.stopping.is_none()
    }

    /// How long the broker has said nothing, which it is asked for all the time.
    pub(crate) fn broker_silence(&self, now: Instant) -> Duration {
        self.broker_heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard))
    }

    /// Live calls that are open.
    pub(crate) fn live_sessions(&self) -> usize {
        let open = self.partitions.values().filter_map(|state| match state {
            State::Open(open) => Some(open.live_sessions()),
            State::Opening { .. } => None,
        });
        open.sum()
    }

    /// Takes in what happened.
    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Assigned(partitions) => {
                self.joined = true;
                self.last_message.get_or_insert(now);
                self.assigned(&partitions, &mut actions);
            }
            Event::Revoked(partitions) => self.revoked(partitions, now, &mut actions),
            Event::Lost(partitions) => self.lost(partitions, &mut actions),
            Event::Message { epoch, slot, message } => {
                self.last_message = Some(now);
                self.broker_heard = Some(now);
                self.message(epoch, slot, message, now, &mut actions);
            }
            Event::CaughtUp { lane, partition, epoch } => {
                self.broker_heard = Some(now);
                if let Some(Work::Live(open)) = self.open(partition, epoch) {
                    open.caught_up(lane, now, &mut actions);
                }
            }
            Event::BrokerAnswered => self.broker_heard = Some(now),
            Event::ConsumerFailed(error) | Event::StoreFailed(error) => actions.push(Action::Fail(error)),
            Event::Opened { partition, epoch, opened } => {
                self.opened(partition, epoch, *opened, now, &mut actions);
            }
            Event::Finished { partition, epoch, sequence, finished, load } => {
                if let Some(Work::Recordings(open)) = self.open(partition, epoch) {
                    open.finish(sequence, *finished, load, now);
                }
            }
            Event::Live { partition, epoch, done } => {
                if let Some(Work::Live(open)) = self.open(partition, epoch) {
                    open.done(done, now, &mut actions);
                }
            }
            Event::Committed { partition, epoch, next, events_next } => {
                if let Some(open) = self.open(partition, epoch) {
                    open.committed();
                    actions.push(Action::Command(Command::CommitOffset { partition, next, events_next }));
                }
            }
            Event::LostRace { partition, epoch } => self.lost_race(partition, epoch, &mut actions),
            Event::Stop => self.stop(now, &mut actions),
        }
        self.go_on(now, &mut actions);
        actions
    }

    /// Takes in that time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let connected =
            self.broker_heard.is_some_and(|heard| now.duration_since(heard) < BROKER_SILENCE_LIMIT);
        for state in self.partitions.values_mut() {
            if let State::Open(open) = state {
                open.tick(now, connected, &mut actions);
            }
        }
        let silence = self.broker_silence(now);
        if silence >= self.settings.give_up && self.stopping.is_none() {
            actions.push(Action::Fail(StreamError::Broker(format!(
                "the broker has not answered for {} s; nothing is lost: mend that and start again",
                silence.as_secs()
            ))));
        }
        if let (Some(limit), Some(last), None) =
            (self.settings.stop_when_idle, self.last_message, self.stopping)
            && now.duration_since(last) >= limit
            && self.is_idle()
        {
            tracing::info!("nothing came for {} s: stopping", limit.as_secs());
            self.stop(now, &mut actions);
        }
        self.go_on(now, &mut actions);
        actions
    }

    fn is_idle(&self) -> bool {
        self.partitions.values().all(|state| matches!(state, State::Open(open) if open.is_idle()))
    }

    fn new_epoch(&mut self) -> Epoch {
        self.next_epoch += 1;
        self.next_epoch
    }

    fn open(&mut self, partition: PartitionNumber, epoch: Epoch) -> Option<&mut Work> {
        match self.partitions.get_mut(&partition) {
            Some(State::Open(open)) if open.epoch() == epoch => Some(open),
            _ => None,
        }
    }

    fn assigned(&mut self, partitions: &[PartitionNumber], actions: &mut Vec<Action>) {
        let mut waited_for = BTreeMap::new();
        for partition in partitions {
            let epoch = self.new_epoch();
            self.forget(*partition, actions);
            self.partitions.insert(*partition, State::Opening { epoch, restart: false });
            waited_for.insert(*partition, None);
            actions.push(Action::Open { partition: *partition, epoch });
        }
        self.assigning = Some(waited_for);
    }

    fn forget(&mut self, partition: PartitionNumber, actions: &mut Vec<Action>) {
        if let Some(state) = self.partitions.remove(&partition) {
            actions.push(Action::Close { partition, epoch: state.epoch() });
        }
    }

    fn opened(
        &mut self,
        partition: PartitionNumber,
        epoch: Epoch,
        opened: Opened,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(state) = self.partitions.get_mut(&partition) else { return };
        let State::Opening { epoch: expected, restart } = *state else { return };
        if expected != epoch {
            return;
        }
        let start = Start { epoch, next: opened.next, events_next: opened.events_next };
        *state = State::Open(match &self.settings.live {
            None => Work::Recordings(Partition::starting_at(epoch, opened.next)),
            Some(live) => {
                Work::Live(Box::new(LivePartition::new(partition, epoch, opened, Arc::clone(live), now)))
            }
        });
        if restart {
            actions.push(Action::Command(Command::Restart { partition, start }));
        } else if let Some(waited) = self.assigning.as_mut().and_then(|all| all.get_mut(&partition)) {
            *waited = Some(start);
        }
        // A worker may have died between the dataset's commit and this one.
        if let Some(next) = start.next {
            let events_next = start.events_next;
            actions.push(Action::Command(Command::CommitOffset { partition, next, events_next }));
        }
    }

    fn revoked(&mut self, partitions: Vec<PartitionNumber>, now: Instant, actions: &mut Vec<Action>) {
        for partition in &partitions {
            if matches!(self.partitions.get(partition), Some(State::Opening { .. })) {
                self.forget(*partition, actions);
            }
        }
        self.revoking = Some((partitions, now + GIVE_BACK_LIMIT));
    }

    fn lost(&mut self, partitions: Vec<PartitionNumber>, actions: &mut Vec<Action>) {
        tracing::warn!(count = partitions.len(), "the group gave partitions to somebody else");
        for partition in &partitions {
            self.forget(*partition, actions);
        }
        self.revoking = None;
        self.assigning = None;
        actions.push(Action::Command(Command::Unassign(partitions)));
    }

    fn message(
        &mut self,
        epoch: Epoch,
        slot: Option<Slot>,
        message: Box<Incoming>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let giving_up = self.stopping.is_some()
            || self.revoking.as_ref().is_some_and(|(revoked, _)| revoked.contains(&message.partition));
        let topic = match (message.lane, &self.settings.live) {
            (Lane::Events, Some(live)) => live.events_topic.clone(),
            _ => self.settings.topic.clone(),
        };
        let Some(open) = self.open(message.partition, epoch) else { return };
        if giving_up {
            return;
        }
        let (partition, found) = (message.partition, message.offset);
        if let Err(expected) = open.take_in(message, slot, now, actions) {
            actions.push(Action::Fail(StreamError::TopicChanged { topic, partition, found, expected }));
        }
    }

    /// Another worker committed what this one was about to: it owns the partition, or did a moment ago.
    fn lost_race(&mut self, partition: PartitionNumber, epoch: Epoch, actions: &mut Vec<Action>) {
        if self.open(partition, epoch).is_none() {
            return;
        }
        tracing::warn!(partition, "another worker has gone on in this partition: looking where it is");
        self.forget(partition, actions);
        let given_back = self.revoking.as_ref().is_some_and(|(revoked, _)| revoked.contains(&partition));
        if self.stopping.is_some() || given_back {
            return;
        }
        let epoch = self.new_epoch();
        self.partitions.insert(partition, State::Opening { epoch, restart: true });
        actions.push(Action::Open { partition, epoch });
    }

    fn stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping.is_none() {
            self.stopping = Some(now + self.settings.shutdown);
            actions.push(Action::Command(Command::Pause));
        }
    }

    /// Whatever is due: commits, answers to the group, the end.
    fn go_on(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let stopping = self.stopping.is_some();
        // Half of what may be in flight waits for commits at most, so that messages keep coming in.
        let share = self.settings.limits.bytes / (2 * self.partitions.len().max(1) as u64);
        let limits = BatchLimits { bytes: share, ..self.settings.limits };
        let revoked: &[PartitionNumber] = self.revoking.as_ref().map_or(&[], |(revoked, _)| revoked);
        for (number, state) in &mut self.partitions {
            if let State::Open(open) = state {
                let epoch = open.epoch();
                let at_once = stopping || revoked.contains(number);
                if let Some(batch) = open.batch_due(limits, now, at_once) {
                    actions.push(Action::Commit { partition: *number, epoch, batch });
                }
            }
        }
        self.answer_assigned(actions);
        self.answer_revoked(now, actions);
        self.end(now, actions);
    }

    fn answer_assigned(&mut self, actions: &mut Vec<Action>) {
        if self.assigning.as_ref().is_some_and(|all| all.values().all(Option::is_some)) {
            let all = self.assigning.take().unwrap_or_default();
            let offsets = all.into_iter().filter_map(|(partition, at)| Some((partition, at?))).collect();
            actions.push(Action::Command(Command::Assign(offsets)));
        }
    }

    fn answer_revoked(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some((revoked, deadline)) = self.revoking.take() else { return };
        let flushed = |number: &PartitionNumber| match self.partitions.get(number) {
            Some(State::Open(open)) => open.is_flushed(),
            _ => true,
        };
        if !revoked.iter().all(flushed) && now < deadline {
            self.revoking = Some((revoked, deadline));
            return;
        }
        for partition in &revoked {
            self.forget(*partition, actions);
        }
        actions.push(Action::Command(Command::Unassign(revoked)));
    }

    fn end(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(deadline) = self.stopping else { return };
        if self.finished {
            return;
        }
        let over = now >= deadline;
        let done = self.partitions.values().all(|state| match state {
            State::Opening { .. } => true,
            // Past the deadline calls in flight are given up; a commit on its way is waited for.
            State::Open(open) => open.may_leave() || (over && open.is_flushed()),
        });
        if done || now >= deadline + LAST_COMMIT_LIMIT {
            self.finished = true;
            actions.push(Action::Finish);
        }
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
