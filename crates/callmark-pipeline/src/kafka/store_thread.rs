//! Opens partitions of the dataset and commits batches, on threads of their own: this is where a stream waits.
//!
//! The order is: outputs sent and acknowledged, dataset's commit, then the broker's offset. What fails because of the
//! surroundings is tried again with growing pauses, and at last stops the process; nothing is lost by that.

use super::alert_log::{AlertLog, AlertTrouble};
use super::config::Start;
use super::event::{Epoch, Event, Opened, PartitionNumber};
use super::failpoint;
use super::failure::StreamError;
use super::metrics::Metrics;
use super::outputs::Outputs;
use super::partition::{BatchToCommit, Dead, Finished};
use super::workshop::dead;
use crate::call::id_is_taken;
use callmark_store::{DeadLetter, SourceId, SourceKey, StoreError, StreamBatch, StreamPartition};
use callmark_types::{CallId, ScoredCall};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the broker may take to say how long a partition is.
const WATERMARK_LIMIT: Duration = Duration::from_secs(10);

/// What is asked of a store thread.
pub(crate) enum StoreJob {
    Open { partition: PartitionNumber, epoch: Epoch },
    Close { partition: PartitionNumber, epoch: Epoch },
    Commit { partition: PartitionNumber, epoch: Epoch, batch: BatchToCommit },
}

/// What a store needs besides for live calls.
#[derive(Clone)]
pub(crate) struct LiveStore {
    pub(crate) events_topic: String,
    pub(crate) alerts: Option<Arc<AlertLog>>,
    /// Commits in which a call that is heard again may be.
    pub(crate) remembered_commits: usize,
}

/// What store threads share.
#[derive(Clone)]
pub(crate) struct StoreSettings {
    pub(crate) live: Option<LiveStore>,
    pub(crate) out: PathBuf,
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) start: Start,
    pub(crate) give_up_after: Duration,
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) metrics: Arc<Metrics>,
}

/// A batch, sorted out.
struct Settled {
    last: i64,
    positions: BTreeMap<String, i64>,
    calls: Vec<(SourceKey, ScoredCall)>,
    dead: Vec<Dead>,
    repeats: usize,
}

/// How a commit ended, where it ended.
enum Ended {
    Committed,
    LostRace,
}

/// Works off the jobs of its partitions until the coordinator hangs up.
pub(crate) struct StoreThread {
    settings: StoreSettings,
    events: Sender<Event>,
    partitions: HashMap<PartitionNumber, (Epoch, StreamPartition)>,
}

impl StoreThread {
    pub(crate) fn new(settings: StoreSettings, events: Sender<Event>) -> Self {
        Self { settings, events, partitions: HashMap::new() }
    }

    pub(crate) fn run(mut self, jobs: &Receiver<StoreJob>) {
        for job in jobs {
            let event = match job {
                StoreJob::Open { partition, epoch } => Some(self.open(partition, epoch)),
                StoreJob::Close { partition, epoch } => {
                    if self.partitions.get(&partition).is_some_and(|(open, _)| *open == epoch) {
                        self.partitions.remove(&partition);
                    }
                    if let Some(alerts) = self.settings.live.as_ref().and_then(|live| live.alerts.as_ref()) {
                        alerts.close(partition, epoch);
                    }
                    None
                }
                StoreJob::Commit { partition, epoch, batch } => self.commit(partition, epoch, batch),
            };
            if event.is_some_and(|event| self.events.send(event).is_err()) {
                return;
            }
        }
    }

    fn open(&mut self, partition: PartitionNumber, epoch: Epoch) -> Event {
        let opened = self.persist(|this| this.try_open(partition)).and_then(|open| {
            let opened = self.describe(partition, epoch, &open)?;
            Ok((open, opened))
        });
        match opened {
            Ok((open, opened)) => {
                self.partitions.insert(partition, (epoch, open));
                Event::Opened { partition, epoch, opened: Box::new(opened) }
            }
            Err(error) => Event::StoreFailed(error),
        }
    }

    /// What the coordinator has to know of a partition that was opened.
    fn describe(
        &self,
        partition: PartitionNumber,
        epoch: Epoch,
        open: &StreamPartition,
    ) -> Result<Opened, StreamError> {
        let next = open.next_offset();
        let Some(live) = &self.settings.live else { return Ok(Opened { next, ..Opened::default() }) };
        let events_next = open.positions().get(&position_name(&live.events_topic, partition)).copied();
        let alerted = match &live.alerts {
            Some(alerts) => self.persist(|_| Ok(alerts.open(partition, epoch, [next, events_next])?))?,
            None => HashSet::new(),
        };
        let (committed, erased) = (open.committed_calls().cloned().collect(), open.erased().clone());
        Ok(Opened { next, events_next, committed, erased, alerted })
    }

    fn try_open(&self, partition: PartitionNumber) -> Result<StreamPartition, Trouble> {
        let source = SourceId::new(&self.settings.name, &partition.to_string())?;
        let remembered = self.settings.live.as_ref().map_or(0, |live| live.remembered_commits);
        let (mut open, recovery) =
            StreamPartition::open_remembering(&self.settings.out, source, remembered, failpoint::at_step)?;
        if recovery.published_files + recovery.removed_attempts > 0 {
            tracing::info!(
                partition,
                published = recovery.published_files,
                removed = recovery.removed_attempts,
                "what a worker left in the dataset is put right"
            );
        }
        if recovery.finished_erasure {
            tracing::info!("an erasure that was cut short is finished");
        }
        if open.is_new() && self.settings.start == Start::Latest {
            // Where it begins is written down, so that nothing is passed over when the worker starts again.
            let high = self.end_of(&self.settings.topic, partition)?;
            let mut positions = BTreeMap::new();
            if let Some(live) = &self.settings.live {
                let end = self.end_of(&live.events_topic, partition)?;
                positions.insert(position_name(&live.events_topic, partition), end);
            }
            let nothing = StreamBatch { last: high - 1, ..StreamBatch::default() };
            open.commit_with_positions(nothing, positions)?;
        }
        Ok(open)
    }

    fn end_of(&self, topic: &str, partition: PartitionNumber) -> Result<i64, Trouble> {
        let client = self.settings.outputs.publisher.client();
        let ends = client.fetch_watermarks(topic, partition, WATERMARK_LIMIT);
        ends.map(|(_, high)| high).map_err(|error| Trouble::Broker(error.to_string()))
    }

    fn commit(&mut self, partition: PartitionNumber, epoch: Epoch, batch: BatchToCommit) -> Option<Event> {
        let (open_epoch, open) = self.partitions.remove(&partition)?;
        if open_epoch != epoch {
            self.partitions.insert(partition, (open_epoch, open));
            return None;
        }
        let begun = Instant::now();
        let BatchToCommit { last, events_next, results, held } = batch;
        let mut settled = settle(&open, last, results);
        if let (Some(live), Some(next)) = (&self.settings.live, events_next) {
            settled.positions.insert(position_name(&live.events_topic, partition), next);
        }
        let calls: Vec<&ScoredCall> = settled.calls.iter().map(|(_, call)| call).collect();
        let messages = self.settings.outputs.messages_of(&calls, &settled.dead);
        if let Err(error) = self.settings.outputs.publisher.send(messages, self.settings.give_up_after) {
            return Some(Event::StoreFailed(error));
        }
        failpoint::reached("OutputsSent");
        match self.commit_settled(partition, open, &settled) {
            Ok((Ended::Committed, open)) => {
                failpoint::reached("Committed");
                drop(held);
                self.settings.metrics.committed(partition, &settled.calls, &settled.dead, settled.repeats);
                self.settings.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
                self.partitions.insert(partition, (epoch, open));
                Some(Event::Committed { partition, epoch, next: last + 1, events_next })
            }
            Ok((Ended::LostRace, _)) => {
                self.settings.metrics.lost_races.inc();
                Some(Event::LostRace { partition, epoch })
            }
            Err(error) => Some(Event::StoreFailed(error)),
        }
    }

    /// Commits, however often that takes. After a failure the dataset says whether the batch is in it.
    fn commit_settled(
        &self,
        partition: PartitionNumber,
        open: StreamPartition,
        settled: &Settled,
    ) -> Result<(Ended, StreamPartition), StreamError> {
        let before = open.next_commit();
        let letters: Vec<DeadLetter> = settled.dead.iter().map(|dead| dead.letter.clone()).collect();
        let mut current = Some(open);
        self.persist(|this| {
            let mut open = match current.take() {
                Some(open) => open,
                None => this.try_open(partition)?,
            };
            if open.next_commit() != before {
                // Of recordings the same offsets are the same calls, whoever committed them. Of live calls they are
                // not: then it is looked at again from where the dataset is.
                let ours = this.settings.live.is_none() && open.next_offset() == Some(settled.last + 1);
                return Ok((if ours { Ended::Committed } else { Ended::LostRace }, open));
            }
            let batch = StreamBatch {
                last: settled.last,
                calls: settled.calls.clone(),
                dead_letters: letters.clone(),
            };
            match open.commit_with_positions(batch, settled.positions.clone()) {
                Ok(_) => Ok((Ended::Committed, open)),
                Err(StoreError::LostRace { .. }) => Ok((Ended::LostRace, open)),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Tries again with growing pauses what the surroundings made fail.
    fn persist<T>(&self, mut attempt: impl FnMut(&Self) -> Result<T, Trouble>) -> Result<T, StreamError> {
        let deadline = Instant::now() + self.settings.give_up_after;
        let mut pause = FIRST_PAUSE;
        loop {
            let trouble = match attempt(self) {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            if !trouble.may_pass() || Instant::now() + pause >= deadline {
                return Err(trouble.into_error(self.settings.give_up_after));
            }
            tracing::warn!(reason = %trouble, "the dataset or the broker does not answer, trying again");
            self.settings.metrics.store_retries.inc();
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Broker(String),
    #[error(transparent)]
    Alerts(#[from] AlertTrouble),
}

impl Trouble {
    /// Whether waiting may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Broker(_) => true,
            Self::Alerts(trouble) => !trouble.lasts,
            Self::Store(error) => !matches!(
                error,
                StoreError::NotADirectory { .. }
                    | StoreError::NotADataset { .. }
                    | StoreError::ForeignData { .. }
                    | StoreError::NewerFormat { .. }
                    | StoreError::DamagedRecord { .. }
                    | StoreError::InvalidBatch { .. }
            ),
        }
    }

    fn into_error(self, patience: Duration) -> StreamError {
        match self {
            Self::Store(source) => {
                StreamError::Store { source: Box::new(source), seconds: patience.as_secs() }
            }
            Self::Broker(reason) => StreamError::Broker(reason),
            Self::Alerts(trouble) => StreamError::Broker(trouble.said),
        }
    }
}

/// The name of a companion partition's position in the dataset.
fn position_name(events_topic: &str, partition: PartitionNumber) -> String {
    format!("{events_topic}/{partition}")
}

/// Sorts a batch: a call that the dataset has already, or that was erased from it, is passed over, one with other content
/// under the same id is a dead letter.
fn settle(open: &StreamPartition, last: i64, results: Vec<Finished>) -> Settled {
    let mut settled =
        Settled { last, positions: BTreeMap::new(), calls: Vec::new(), dead: Vec::new(), repeats: 0 };
    let mut ids: HashMap<CallId, SourceKey> = HashMap::new();
    let erased = open.erased();
    for finished in results {
        match finished {
            Finished::Dead(dead) if dead.letter.call_id.as_ref().is_some_and(|id| erased.has_call(id)) => {
                settled.repeats += 1;
            }
            Finished::Scored { key, call, .. }
                if erased.has_key(&key) || erased.has_call(&call.record.call_id) =>
            {
                settled.repeats += 1;
            }
            Finished::Dead(dead) => settled.dead.push(*dead),
            Finished::Scored { key, call, original } => {
                let id = call.record.call_id.clone();
                match ids.get(&id).or_else(|| open.committed_call(&id)) {
                    None => {
                        ids.insert(id, key);
                        settled.calls.push((key, *call));
                    }
                    Some(owner) if *owner == key => settled.repeats += 1,
                    Some(_) => {
                        let error = id_is_taken(&id);
                        settled.dead.push(dead(call.record.source, Some(id), error, 1, *original));
                    }
                }
            }
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::compose_written;
    use crate::hear::StageError;
    use crate::kafka::partition::Original;
    use crate::transcripts::parse_conversation;
    use callmark_analytics::Ruleset;
    use callmark_store::{Selection, erase};
    use callmark_types::{Lineage, SourcePosition};

    fn call(id: &str) -> ScoredCall {
        let line = format!(r#"{{"call_id":"{id}","turns":[{{"speaker":"customer","text":"hello"}}]}}"#);
        let written = parse_conversation(line.as_bytes()).unwrap();
        compose_written(&Ruleset::built_in(), written, SourcePosition::default(), Lineage::default())
    }

    fn finished(id: &str, content: &str) -> Finished {
        let call = call(id);
        let key = SourceKey::of_file(&call.record.call_id, content);
        Finished::Scored { key, call: Box::new(call), original: Box::default() }
    }

    #[test]
    fn a_message_of_an_erased_call_is_passed_over_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let source = || SourceId::new("calls.recordings", "0").unwrap();
        let mut open = StreamPartition::open(folder.path(), source()).unwrap().0;
        let settled = settle(&open, 1, vec![finished("gone", "1"), finished("stays", "1")]);
        let batch = StreamBatch { last: 1, calls: settled.calls, dead_letters: Vec::new() };
        open.commit(batch).unwrap();
        let gone = CallId::new("gone").unwrap();
        let selection = Selection { call_ids: [gone.clone()].into(), ..Selection::default() };
        erase(folder.path(), &selection, &mut |_| Ok(()), &mut |_| {}).unwrap();

        let open = StreamPartition::open(folder.path(), source()).unwrap().0;
        let error = StageError::new("decode", "no sound");
        let letter = dead(SourcePosition::default(), Some(gone), error, 1, Original::default());
        let again = vec![
            finished("gone", "1"),
            finished("gone", "other"),
            Finished::Dead(Box::new(letter)),
            finished("stays", "1"),
            finished("new", "1"),
        ];
        let settled = settle(&open, 6, again);
        assert_eq!((settled.repeats, settled.calls.len(), settled.dead.len()), (4, 1, 0));
    }
}
