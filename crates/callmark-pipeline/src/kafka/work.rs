//! A partition that is open, whatever its messages are: recordings, or chunks and events of live calls.

use super::event::{Action, Epoch, Incoming};
use super::flow::Slot;
use super::live_partition::LivePartition;
use super::partition::{BatchLimits, BatchToCommit, Partition};
use std::time::Instant;

/// What the coordinator asks of both kinds alike.
#[derive(Debug)]
pub(crate) enum Work {
    Recordings(Partition),
    Live(Box<LivePartition>),
}

impl Work {
    pub(crate) fn epoch(&self) -> Epoch {
        match self {
            Self::Recordings(partition) => partition.epoch,
            Self::Live(partition) => partition.epoch,
        }
    }

    /// Takes in a message. The error is the offset expected at least.
    pub(crate) fn take_in(
        &mut self,
        message: Box<Incoming>,
        slot: Option<Slot>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<(), i64> {
        match self {
            Self::Recordings(partition) => {
                let sequence = partition.take_in(&message, slot)?;
                actions.push(Action::Process { epoch: partition.epoch, sequence, message });
                Ok(())
            }
            Self::Live(partition) => {
                partition.take_in(message, slot, now)?;
                partition.work_off(now, actions);
                Ok(())
            }
        }
    }

    /// Takes in that time has passed; `connected`: the broker was heard of a moment ago.
    pub(crate) fn tick(&mut self, now: Instant, connected: bool, actions: &mut Vec<Action>) {
        if let Self::Live(partition) = self {
            partition.tick(now, connected, actions);
        }
    }

    /// A batch, where one is due (`at_once`: whatever is ready) and none is on its way.
    pub(crate) fn batch_due(
        &mut self,
        limits: BatchLimits,
        now: Instant,
        at_once: bool,
    ) -> Option<BatchToCommit> {
        match self {
            Self::Recordings(partition) => partition.batch_due(limits, now, at_once),
            Self::Live(partition) => partition.batch_due(limits, now, at_once),
        }
    }

    /// The batch on its way has arrived.
    pub(crate) fn committed(&mut self) {
        match self {
            Self::Recordings(partition) => partition.committed(),
            Self::Live(partition) => partition.committed(),
        }
    }

    /// Whether nothing finished waits for a commit.
    pub(crate) fn is_flushed(&self) -> bool {
        match self {
            Self::Recordings(partition) => partition.is_flushed(),
            Self::Live(partition) => partition.is_flushed(),
        }
    }

    /// Whether nothing at all is under way.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Recordings(partition) => partition.is_idle(),
            Self::Live(partition) => partition.is_idle(),
        }
    }

    /// Whether everything is done that can be done without further messages: live calls go on elsewhere.
    pub(crate) fn may_leave(&self) -> bool {
        match self {
            Self::Recordings(partition) => partition.is_idle(),
            Self::Live(partition) => partition.may_leave(),
        }
    }

    /// Live calls that are open.
    pub(crate) fn live_sessions(&self) -> usize {
        match self {
            Self::Recordings(_) => 0,
            Self::Live(partition) => partition.open_sessions(),
        }
    }
}
