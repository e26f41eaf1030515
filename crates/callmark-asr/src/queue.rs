//! The bounded queue between callers and workers: a worker takes the oldest entry together with others that fit it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A first-in, first-out queue with an end, for any number of threads on both sides.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// For at most `capacity` entries (at least one).
    pub(crate) fn new(capacity: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), closed: false });
        Self { state, filled: Condvar::new(), emptied: Condvar::new(), capacity: capacity.max(1) }
    }

    /// Waits for room and puts `entry` at the end; gives it back where the queue is closed.
    pub(crate) fn push(&self, entry: T) -> Result<(), T> {
        let mut state = self.lock();
        while state.waiting.len() >= self.capacity && !state.closed {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(entry);
        }
        state.waiting.push_back(entry);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an entry and takes the oldest, followed by later ones that `fit` it: no more than `limit`, and no more
    /// than an even share among `takers`, so that none is left idle. `None` once the queue is closed and empty.
    pub(crate) fn take(&self, limit: usize, takers: usize, fit: impl Fn(&T, &T) -> bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let first = state.waiting.pop_front()?;
        let fitting: Vec<usize> =
            (0..state.waiting.len()).filter(|&i| fit(&first, &state.waiting[i])).collect();
        let share = (fitting.len() + 1).div_ceil(takers.max(1)).min(limit.max(1));
        let mut taken = vec![first];
        for (already, &index) in fitting.iter().take(share - 1).enumerate() {
            taken.extend(state.waiting.remove(index - already));
        }
        self.emptied.notify_all();
        Some(taken)
    }

    /// No more entries come; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: std::ops::Range<i32>) -> Queue<i32> {
        let queue = Queue::new(entries.len());
        for entry in entries {
            assert_eq!(queue.push(entry), Ok(()));
        }
        queue
    }

    #[test]
    fn the_oldest_is_taken_with_what_fits_it_and_the_rest_keeps_its_order() {
        let queue = filled(0..8);
        assert_eq!(queue.take(3, 1, |a, b| a % 2 == b % 2), Some(vec![0, 2, 4]));
        assert_eq!(queue.take(9, 1, |a, b| a % 2 == b % 2), Some(vec![1, 3, 5, 7]));
        assert_eq!(queue.take(9, 1, |a, b| a % 2 == b % 2), Some(vec![6]));
    }

    #[test]
    fn takers_share_what_waits() {
        let queue = filled(0..8);
        assert_eq!(queue.take(8, 2, |_, _| true), Some(vec![0, 1, 2, 3]));
        assert_eq!(queue.take(8, 2, |_, _| true), Some(vec![4, 5]));
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_takes_no_more() {
        let queue = filled(0..2);
        queue.close();
        assert_eq!(queue.push(7), Err(7));
        assert_eq!(queue.take(8, 1, |_, _| false), Some(vec![0]));
        assert_eq!(queue.take(8, 1, |_, _| false), Some(vec![1]));
        assert_eq!(queue.take(8, 1, |_, _| false), None);
    }

    #[test]
    fn a_full_queue_makes_its_callers_wait_and_loses_nothing() {
        let queue = Queue::new(2);
        let taken = std::thread::scope(|scope| {
            for caller in 0..4 {
                let queue = &queue;
                scope.spawn(move || (0..50).for_each(|i| assert!(queue.push(caller * 50 + i).is_ok())));
            }
            let mut taken = Vec::new();
            while taken.len() < 200 {
                taken.extend(queue.take(4, 2, |_, _| true).expect("open"));
            }
            taken
        });
        let mut sorted = taken;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>());
    }
}
