//! How much may be in flight: the one bound that all queues of a stream share.
//!
//! A message holds a slot of its partition until its call is committed, and its bytes until they are worked off. The
//! consumer takes no message from a partition without a free slot, and none at all while too many bytes are about, so
//! every queue behind it is bounded however long it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What is in flight over all partitions.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    bytes: AtomicU64,
    calls: AtomicUsize,
}

impl Gauge {
    /// Bytes of messages that are not worked off.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Messages that are not committed.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// The slots of one partition.
#[derive(Debug)]
pub(crate) struct Flow {
    taken: AtomicUsize,
    most: usize,
    /// Set when all slots are taken, until half of them are free.
    full: AtomicBool,
    gauge: Arc<Gauge>,
}

impl Flow {
    pub(crate) fn new(most: usize, gauge: Arc<Gauge>) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), most, full: AtomicBool::new(false), gauge })
    }

    /// Whether one more message may be taken in: once full, only when half the slots are free again, so that a
    /// partition is not stopped and started for every message.
    pub(crate) fn has_room(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken >= self.most {
            self.full.store(true, Ordering::Relaxed);
        } else if taken <= self.most / 2 {
            self.full.store(false, Ordering::Relaxed);
        }
        !self.full.load(Ordering::Relaxed)
    }

    /// Takes a slot and `bytes`.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> (Slot, Load) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.gauge.calls.fetch_add(1, Ordering::Relaxed);
        self.gauge.bytes.fetch_add(bytes, Ordering::Relaxed);
        (Slot(Arc::clone(self)), Load { gauge: Arc::clone(&self.gauge), bytes })
    }
}

/// A message's place in its partition, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Flow>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message's bytes, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    gauge: Arc<Gauge>,
    bytes: u64,
}

impl Load {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.gauge.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_partition_takes_in_again_once_half_of_it_is_free() {
        let flow = Flow::new(4, Arc::new(Gauge::default()));
        let mut slots: Vec<(Slot, Load)> = (0..4).map(|_| flow.take(10)).collect();
        assert!(!flow.has_room());
        slots.pop();
        assert!(!flow.has_room());
        slots.pop();
        assert!(flow.has_room());
        assert_eq!((flow.gauge.calls(), flow.gauge.bytes()), (2, 20));
        slots.clear();
        assert_eq!((flow.gauge.calls(), flow.gauge.bytes()), (0, 0));
    }
}
