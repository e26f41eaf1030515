//! The ordered frontier: results come out of order, batches leave in order.
//!
//! A position may be committed only when every position before it is finished, because a commit record speaks for
//! a contiguous run of its source. Pure state, so that folders and (later) partitions share it.

use std::collections::BTreeMap;

/// Collects finished positions and hands on the contiguous run at the front.
#[derive(Debug)]
pub(crate) struct Frontier<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Frontier<T> {
    /// A frontier whose first position is `first`.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { next: first, waiting: BTreeMap::new() }
    }

    /// Takes in the result of `position`; each position finishes once.
    pub(crate) fn finish(&mut self, position: u64, result: T) {
        debug_assert!(
            position >= self.next && !self.waiting.contains_key(&position),
            "position finished twice"
        );
        self.waiting.insert(position, result);
    }

    /// The results that are contiguous with what was handed on before, in order.
    pub(crate) fn take_ready(&mut self) -> Vec<T> {
        let mut ready = Vec::new();
        while let Some(result) = self.waiting.remove(&self.next) {
            ready.push(result);
            self.next += 1;
        }
        ready
    }

    /// The first position that has not left.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many results wait for an earlier one.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_the_order_of_finishing_everything_leaves_once_and_in_order(order in Just((0..50u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut frontier = Frontier::starting_at(0);
            let mut left = Vec::new();
            for position in order {
                frontier.finish(position, position);
                left.extend(frontier.take_ready());
            }
            prop_assert_eq!(left, (0..50).collect::<Vec<_>>());
            prop_assert_eq!(frontier.waiting(), 0);
        }
    }

    #[test]
    fn nothing_passes_a_gap() {
        let mut frontier = Frontier::starting_at(7);
        frontier.finish(8, "b");
        assert!(frontier.take_ready().is_empty());
        frontier.finish(7, "a");
        assert_eq!(frontier.take_ready(), ["a", "b"]);
    }
}
