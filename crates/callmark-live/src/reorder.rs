//! The order of one channel's chunks: out-of-order ones put right, duplicates dropped, missing ones given up.
//!
//! A chunk that is missing is waited for until the chunks after it span the window; then it is lost, and should it come
//! after all it is too late. Nothing here knows sound: what is ordered are numbers with times.

use callmark_types::Millis;
use std::collections::{BTreeMap, VecDeque};

/// Stretches of lost numbers that are remembered, to tell a late chunk from a duplicate.
const REMEMBERED_LOSSES: usize = 256;

/// What became of a chunk at its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Waits for its turn.
    Taken,
    /// Was there already.
    Duplicate,
    /// Came after it was given up.
    Late,
    /// The sender began to count anew: release everything, [`Reorder::restart`], and hand it in again.
    Restart,
}

/// A chunk whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released<T> {
    /// Chunks given up before it.
    pub(crate) lost_before: u64,
    /// Its time.
    pub(crate) ts_ms: i64,
    /// The chunk.
    pub(crate) item: T,
}

/// The chunks of one channel that wait for their turn.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    window: Millis,
    max_waiting: usize,
    /// Number of the next chunk; `None` until the first window has passed.
    next: Option<u64>,
    waiting: BTreeMap<u64, (i64, T)>,
    lost: VecDeque<std::ops::Range<u64>>,
    latest_ts_ms: Option<i64>,
}

impl<T> Reorder<T> {
    pub(crate) fn new(window: Millis, max_waiting: usize) -> Self {
        Self {
            window,
            max_waiting,
            next: None,
            waiting: BTreeMap::new(),
            lost: VecDeque::new(),
            latest_ts_ms: None,
        }
    }

    /// Takes a chunk.
    pub(crate) fn push(&mut self, seq: u64, ts_ms: i64, item: T) -> Arrival {
        if let Some(next) = self.next.filter(|next| seq < *next) {
            let restarts =
                self.latest_ts_ms.is_some_and(|latest| ts_ms.saturating_sub(latest) >= self.window.0);
            if restarts && next > 0 {
                return Arrival::Restart;
            }
            let late = self.lost.iter().any(|lost| lost.contains(&seq));
            return if late { Arrival::Late } else { Arrival::Duplicate };
        }
        if self.waiting.contains_key(&seq) {
            return Arrival::Duplicate;
        }
        self.latest_ts_ms = Some(self.latest_ts_ms.map_or(ts_ms, |latest| latest.max(ts_ms)));
        self.waiting.insert(seq, (ts_ms, item));
        Arrival::Taken
    }

    /// Goes on at `seq`, after everything that waits was released.
    pub(crate) fn restart(&mut self, seq: u64) {
        self.next = Some(seq);
        self.lost.clear();
    }

    /// Earliest time among the chunks that wait.
    pub(crate) fn earliest_ts_ms(&self) -> Option<i64> {
        self.waiting.values().map(|(ts_ms, _)| *ts_ms).min()
    }

    /// Latest time among the chunks that wait.
    pub(crate) fn latest_ts_ms(&self) -> Option<i64> {
        self.waiting.values().map(|(ts_ms, _)| *ts_ms).max()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Gives up all that wait.
    pub(crate) fn give_up(&mut self) -> Vec<T> {
        self.latest_ts_ms = None;
        std::mem::take(&mut self.waiting).into_values().map(|(_, item)| item).collect()
    }

    /// Whether the first window has passed, so that the first chunk is known.
    pub(crate) fn may_start(&self) -> bool {
        self.next.is_some() || self.is_window_full()
    }

    /// The next chunk whose turn it is; with `flush`, missing ones are given up at once.
    pub(crate) fn pop(&mut self, flush: bool) -> Option<Released<T>> {
        let (&first, _) = self.waiting.first_key_value()?;
        let next = match self.next {
            Some(next) => next,
            None if flush || self.is_window_full() => first,
            None => return None,
        };
        if first != next && !flush && !self.is_window_full() {
            return None;
        }
        let (ts_ms, item) = self.waiting.remove(&first)?;
        if first > next {
            if self.lost.len() == REMEMBERED_LOSSES {
                self.lost.pop_front();
            }
            self.lost.push_back(next..first);
        }
        self.next = Some(first.saturating_add(1));
        Some(Released { lost_before: first - next, ts_ms, item })
    }

    /// Whether what waits spans the window, in time or in number.
    fn is_window_full(&self) -> bool {
        let Some((_, (first_ts, _))) = self.waiting.first_key_value() else { return false };
        self.waiting.len() > self.max_waiting
            || self.latest_ts_ms.is_some_and(|latest| latest.saturating_sub(*first_ts) >= self.window.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNK_MS: i64 = 20;

    fn released(order: &[u64], flush: bool) -> (Vec<u64>, u64) {
        let mut reorder = Reorder::new(Millis(1_000), 128);
        let (mut out, mut lost) = (Vec::new(), 0);
        let mut take = |reorder: &mut Reorder<u64>, flush| {
            while let Some(chunk) = reorder.pop(flush) {
                lost += chunk.lost_before;
                out.push(chunk.item);
            }
        };
        for seq in order {
            reorder.push(*seq, *seq as i64 * CHUNK_MS, *seq);
            take(&mut reorder, false);
        }
        if flush {
            take(&mut reorder, true);
        }
        (out, lost)
    }

    #[test]
    fn a_missing_chunk_is_given_up_after_the_window_and_not_before() {
        let order: Vec<u64> = (0..200).filter(|seq| *seq != 60).collect();
        // The first chunk after the missing one is 61: a second after that, 60 is given up.
        assert_eq!(released(&order[..110], false), ((0..60).collect(), 0));
        let (out, lost) = released(&order[..111], false);
        assert_eq!((out.len(), lost), (111, 1));
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_late_and_what_was_there_a_duplicate() {
        let mut reorder = Reorder::new(Millis(100), 128);
        for seq in [0, 1, 3, 4, 5, 6, 7, 8, 9] {
            assert_eq!(reorder.push(seq, seq as i64 * CHUNK_MS, seq), Arrival::Taken);
            while reorder.pop(false).is_some() {}
        }
        assert_eq!(reorder.push(2, 40, 2), Arrival::Late);
        assert_eq!(reorder.push(4, 80, 4), Arrival::Duplicate);
    }

    #[test]
    fn a_sender_that_counts_anew_is_told_from_a_duplicate_by_its_time() {
        let mut reorder = Reorder::new(Millis(100), 128);
        for seq in 0..50 {
            reorder.push(seq, seq as i64 * CHUNK_MS, seq);
            while reorder.pop(false).is_some() {}
        }
        assert_eq!(reorder.push(0, 0, 0), Arrival::Duplicate);
        assert_eq!(reorder.push(0, 2_000, 0), Arrival::Restart);
        reorder.restart(0);
        assert_eq!(reorder.push(0, 2_000, 0), Arrival::Taken);
        assert_eq!(reorder.pop(false).map(|chunk| chunk.lost_before), Some(0));
    }

    proptest! {
        #[test]
        fn any_order_within_the_window_comes_out_right(
            count in 1_u64..200,
            shifts in proptest::collection::vec(0_i64..45, 200),
        ) {
            // A chunk is overtaken by those that lie less than a window after it.
            let mut order: Vec<u64> = (0..count).collect();
            order.sort_by_key(|seq| *seq as i64 + shifts[*seq as usize]);
            let (out, lost) = released(&order, true);
            prop_assert_eq!(out, (0..count).collect::<Vec<u64>>());
            prop_assert_eq!(lost, 0);
        }

        #[test]
        fn duplicates_change_nothing(
            order in proptest::collection::vec(0_u64..60, 0..200),
        ) {
            let mut once: Vec<u64> = Vec::new();
            for seq in &order {
                if !once.contains(seq) {
                    once.push(*seq);
                }
            }
            let twice: Vec<u64> = once.iter().flat_map(|seq| [*seq, *seq]).collect();
            prop_assert_eq!(released(&twice, true), released(&once, true));
        }
    }
}
