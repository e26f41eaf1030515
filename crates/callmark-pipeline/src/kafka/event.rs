//! What the threads of a stream tell each other.

use super::failure::StreamError;
use super::flow::{Load, Slot};
use super::partition::{BatchToCommit, Finished};
use std::collections::BTreeMap;

/// Number of a partition of the topic.
pub(crate) type PartitionNumber = i32;

/// One assignment of a partition to this worker. What an earlier assignment still has under way is told apart by it.
pub(crate) type Epoch = u64;

/// A message, taken out of librdkafka's hands.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) partition: PartitionNumber,
    pub(crate) offset: i64,
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
    /// The broker or the client says something is wrong that will not mend itself.
    ConsumerFailed(StreamError),
    /// A partition is open; its next offset is what the dataset says.
    Opened { partition: PartitionNumber, epoch: Epoch, next: Option<i64> },
    /// A message is worked off.
    Finished {
        partition: PartitionNumber,
        epoch: Epoch,
        sequence: u64,
        finished: Box<Finished>,
        load: Option<Load>,
    },
    /// A batch is in the dataset, and everything before `next` with it.
    Committed { partition: PartitionNumber, epoch: Epoch, next: i64 },
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
    /// Take the partitions of the last [`Event::Assigned`], each from its offset (`None`: from the start) on.
    Assign(BTreeMap<PartitionNumber, (Epoch, Option<i64>)>),
    /// Give the partitions of the last [`Event::Revoked`] or [`Event::Lost`] back.
    Unassign(Vec<PartitionNumber>),
    /// Go on from another offset.
    Restart { partition: PartitionNumber, epoch: Epoch, offset: Option<i64> },
    /// Tell the broker how far the dataset is.
    CommitOffset { partition: PartitionNumber, next: i64 },
    /// Take nothing in any more.
    Pause,
}
