//! Which positions may be committed: everything before the first message that an unfinished call still needs.
//!
//! A session lives in memory; after a restart it is built again from its messages. So the position that a consumer
//! group keeps is that of the oldest message which some unfinished call began with, and never one after it.

use callmark_types::CallId;
use std::collections::{BTreeMap, BTreeSet};

/// A stream of messages with offsets: a topic's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Number that the caller gives the topic.
    pub topic: u16,
    /// Partition of the topic.
    pub partition: i32,
}

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The stream.
    pub source: Source,
    /// The message's offset in it.
    pub offset: i64,
}

/// First positions of unfinished calls, by stream.
#[derive(Debug, Clone, Default)]
pub struct LowWater {
    /// Offset after the last message seen.
    next: BTreeMap<Source, i64>,
    /// First offset of each unfinished call, by stream.
    first: BTreeMap<CallId, BTreeMap<Source, i64>>,
    /// The same, sorted.
    needed: BTreeMap<Source, BTreeSet<(i64, CallId)>>,
}

impl LowWater {
    /// A message was dealt with; on its own it keeps nothing from being committed.
    pub fn seen(&mut self, position: Position) {
        let next = self.next.entry(position.source).or_insert(0);
        *next = (*next).max(position.offset.saturating_add(1));
    }

    /// `call` needs the message at `position`, until [`LowWater::release`].
    pub fn hold(&mut self, call: &CallId, position: Position) {
        self.seen(position);
        let firsts = self.first.entry(call.clone()).or_default();
        let needed = self.needed.entry(position.source).or_default();
        if let Some(first) = firsts.get_mut(&position.source) {
            if *first <= position.offset {
                return;
            }
            needed.remove(&(*first, call.clone()));
            *first = position.offset;
        } else {
            firsts.insert(position.source, position.offset);
        }
        needed.insert((position.offset, call.clone()));
    }

    /// `call` needs no message any more: it is committed, or given up for good.
    pub fn release(&mut self, call: &CallId) {
        for (source, first) in self.first.remove(call).unwrap_or_default() {
            if let Some(needed) = self.needed.get_mut(&source) {
                needed.remove(&(first, call.clone()));
            }
        }
    }

    /// The unfinished calls that need messages of `source`.
    pub fn calls_of(&self, source: Source) -> Vec<CallId> {
        self.needed.get(&source).map_or_else(Vec::new, |n| n.iter().map(|(_, call)| call.clone()).collect())
    }

    /// Forgets a stream that belongs to another consumer now.
    pub fn forget(&mut self, source: Source) {
        self.next.remove(&source);
        self.needed.remove(&source);
        for firsts in self.first.values_mut() {
            firsts.remove(&source);
        }
        self.first.retain(|_, firsts| !firsts.is_empty());
    }

    /// The first offset of `source` that is still needed, which is what a consumer group commits: every message before it
    /// may be forgotten. `None` where no message was seen.
    pub fn commit_point(&self, source: Source) -> Option<i64> {
        let next = *self.next.get(&source)?;
        let needed = self.needed.get(&source).and_then(|n| n.first()).map(|(first, _)| *first);
        Some(needed.map_or(next, |first| first.min(next)))
    }

    /// Every stream with its commit point.
    pub fn commit_points(&self) -> impl Iterator<Item = (Source, i64)> {
        self.next.keys().filter_map(|source| Some((*source, self.commit_point(*source)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(n: u8) -> CallId {
        CallId::new(format!("call-{n}")).unwrap()
    }

    fn at(partition: i32, offset: i64) -> Position {
        Position { source: Source { topic: 0, partition }, offset }
    }

    #[test]
    fn the_oldest_unfinished_call_holds_the_commit_back_and_no_longer() {
        let mut low = LowWater::default();
        let source = at(0, 0).source;
        assert_eq!(low.commit_point(source), None);
        low.hold(&call(1), at(0, 10));
        low.hold(&call(2), at(0, 11));
        low.hold(&call(1), at(0, 12));
        low.seen(at(0, 13));
        assert_eq!(low.commit_point(source), Some(10));
        low.release(&call(1));
        assert_eq!(low.commit_point(source), Some(11));
        low.release(&call(2));
        assert_eq!(low.commit_point(source), Some(14));
    }

    #[test]
    fn a_stream_that_is_taken_away_holds_nothing_back_elsewhere() {
        let mut low = LowWater::default();
        low.hold(&call(1), at(0, 5));
        low.hold(&call(1), at(1, 7));
        low.forget(at(0, 0).source);
        assert_eq!(low.commit_points().collect::<Vec<_>>(), vec![(at(1, 0).source, 7)]);
    }

    proptest! {
        #[test]
        fn no_message_of_an_unfinished_call_is_ever_committed(
            steps in proptest::collection::vec((0_u8..6, 0_i32..3, prop::bool::weighted(0.2)), 1..200),
        ) {
            let mut low = LowWater::default();
            let mut open: BTreeMap<CallId, Vec<Position>> = BTreeMap::new();
            let mut offsets = [0_i64; 3];
            for (number, partition, releases) in steps {
                let id = call(number);
                if releases {
                    low.release(&id);
                    open.remove(&id);
                } else {
                    let position = at(partition, offsets[partition as usize]);
                    offsets[partition as usize] += 1;
                    low.hold(&id, position);
                    open.entry(id).or_default().push(position);
                }
                for (source, point) in low.commit_points() {
                    let needed = open.values().flatten().filter(|p| p.source == source).map(|p| p.offset);
                    let first = needed.min().unwrap_or(offsets[source.partition as usize]);
                    prop_assert_eq!(point, first);
                }
            }
        }
    }
}
