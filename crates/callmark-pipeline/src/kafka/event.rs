//! What the threads of a stream tell each other.

use super::failure::StreamError;
use super::flow::{Load, Slot};
use super::live_partition::{LiveDone, LiveJob};
use super::partition::{BatchToCommit, Finished};
use callmark_live::Alert;
use callmark_store::ErasedCalls;
use callmark_types::CallId;
use std::collections::{BTreeMap, HashSet};

/// Number of a partition of the topic.
pub(crate) type PartitionNumber = i32;

/// One assignment of a partition to this worker. What an earlier assignment still has under way is told apart by it.
pub(crate) type Epoch = u64;

/// Which of a stream's topics: partitions with the same number belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    /// Recordings, or the chunks of live calls.
    #[default]
    Main,
    /// What the telephony system tells of live calls.
    Events,
}

/// A message, taken out of librdkafka's hands.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) lane: Lane,
    pub(crate) partition: PartitionNumber,
    pub(crate) offset: i64,
    /// When it was sent, or came to the broker, in ms since 1970.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) load: Option<Load>,
}

impl Incoming {
    /// The value of header `name`, the last one where it stands more than once.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .rev()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }
}

/// Where a partition goes on, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The first offset that the dataset does not cover; `None` where nothing was ever committed.
    pub(crate) next: Option<i64>,
    /// The same of the companion partition of events, for live calls.
    pub(crate) events_next: Option<i64>,
    /// Live calls that are in the dataset.
    pub(crate) committed: HashSet<CallId>,
    /// Calls that were erased from the dataset, which are not heard again either.
    pub(crate) erased: ErasedCalls,
    /// Ids of the alerts that were sent of calls which are heard again.
    pub(crate) alerted: HashSet<String>,
}

/// From where a partition is read, under which assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) epoch: Epoch,
    /// `None`: from the oldest message.
    pub(crate) next: Option<i64>,
    pub(crate) events_next: Option<i64>,
}

/// What happens to a worker, in one enumeration, so that what it does about it is tested without a broker.
#[derive(Debug)]
pub(crate) enum Event {
    /// The group gives this worker partitions, and waits for [`Command::Assign`].
    Assigned(Vec<PartitionNumber>),
    /// The group wants partitions back, and waits for [`Command::Unassign`].
    Revoked(Vec<PartitionNumber>),
    /// The group has given partitions to somebody else already.
    Lost(Vec<PartitionNumber>),
    /// A message of a partition under the assignment `epoch`.
    Message { epoch: Epoch, slot: Option<Slot>, message: Box<Incoming> },
    /// Everything that a partition holds has been handed on.
    CaughtUp { lane: Lane, partition: PartitionNumber, epoch: Epoch },
    /// The broker answers questions.
    BrokerAnswered,
    /// The broker or the client says something is wrong that will not mend itself.
    ConsumerFailed(StreamError),
    /// A partition is open; where it goes on is what the dataset says.
    Opened { partition: PartitionNumber, epoch: Epoch, opened: Box<Opened> },
    /// A message is worked off.
    Finished {
        partition: PartitionNumber,
        epoch: Epoch,
        sequence: u64,
        finished: Box<Finished>,
        load: Option<Load>,
    },
    /// Something of live calls is done.
    Live { partition: PartitionNumber, epoch: Epoch, done: LiveDone },
    /// A batch is in the dataset, and everything before `next` with it.
    Committed { partition: PartitionNumber, epoch: Epoch, next: i64, events_next: Option<i64> },
    /// Another worker has gone on in this partition.
    LostRace { partition: PartitionNumber, epoch: Epoch },
    /// Opening or committing failed for longer than allowed.
    StoreFailed(StreamError),
    /// The process is told to stop.
    Stop,
}

/// What the coordinator wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Tell the consumer.
    Command(Command),
    /// Open a partition of the dataset.
    Open { partition: PartitionNumber, epoch: Epoch },
    /// Forget a partition.
    Close { partition: PartitionNumber, epoch: Epoch },
    /// Work off a message.
    Process { epoch: Epoch, sequence: u64, message: Box<Incoming> },
    /// Do something for live calls.
    Live { partition: PartitionNumber, epoch: Epoch, job: LiveJob },
    /// Send an alert.
    Alert { partition: PartitionNumber, epoch: Epoch, alert: Box<Alert> },
    /// Put a batch into the dataset.
    Commit { partition: PartitionNumber, epoch: Epoch, batch: BatchToCommit },
    /// Everything is done that can be done.
    Finish,
    /// Give up.
    Fail(StreamError),
}

impl PartialEq for Incoming {
    fn eq(&self, other: &Self) -> bool {
        (self.partition, self.offset) == (other.partition, other.offset)
    }
}

/// What the consumer thread obeys.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Take the partitions of the last [`Event::Assigned`], each from its offsets on.
    Assign(BTreeMap<PartitionNumber, Start>),
    /// Give the partitions of the last [`Event::Revoked`] or [`Event::Lost`] back.
    Unassign(Vec<PartitionNumber>),
    /// Go on from other offsets.
    Restart { partition: PartitionNumber, start: Start },
    /// Tell the broker how far the dataset is.
    CommitOffset { partition: PartitionNumber, next: i64, events_next: Option<i64> },
    /// Take nothing in any more.
    Pause,
}
