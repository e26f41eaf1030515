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
    /// Entries that were taken and are not done.
    taken: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// For at most `capacity` entries (at least one).
    pub(crate) fn new(capacity: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), taken: 0, closed: false });
        Self { state, filled: Condvar::new(), emptied: Condvar::new(), capacity: capacity.max(1) }
    }

    /// How many entries wait at most.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Waits for room and puts `entries` at the end, as many at once as there is room for, so that a taker finds them
    /// together; gives back what is left of them where the queue is closed.
    pub(crate) fn push_all(&self, entries: Vec<T>) -> Result<(), Vec<T>> {
        let mut entries = VecDeque::from(entries);
        let mut state = self.lock();
        while !entries.is_empty() {
            while state.waiting.len() >= self.capacity && !state.closed {
                state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return Err(entries.into());
            }
            let room = (self.capacity - state.waiting.len()).min(entries.len());
            state.waiting.extend(entries.drain(..room));
            self.filled.notify_all();
        }
        Ok(())
    }

    /// Waits for an entry and takes the oldest, followed by later ones that `fit` it: no more than `limit`, and no more
    /// than an even share among `takers` of all that is not done, so that none is left idle. `None` once the queue is
    /// closed and empty. What is taken is to be told to be [done](Self::done).
    pub(crate) fn take(&self, limit: usize, takers: usize, fit: impl Fn(&T, &T) -> bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let share = (state.waiting.len() + state.taken).div_ceil(takers.max(1)).min(limit.max(1));
        let first = state.waiting.pop_front()?;
        let fitting: Vec<usize> =
            (0..state.waiting.len()).filter(|&i| fit(&first, &state.waiting[i])).take(share - 1).collect();
        let mut taken = vec![first];
        for (already, &index) in fitting.iter().enumerate() {
            taken.extend(state.waiting.remove(index - already));
        }
        state.taken += taken.len();
        self.emptied.notify_all();
        Some(taken)
    }

    /// Says that so many entries that were taken are done.
    pub(crate) fn done(&self, count: usize) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(count);
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
        assert_eq!(queue.push_all(entries.collect()), Ok(()));
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
    fn takers_share_what_is_not_done() {
        let queue = filled(0..10);
        assert_eq!(queue.take(8, 2, |_, _| true), Some((0..5).collect()));
        assert_eq!(queue.take(8, 2, |_, _| true), Some((5..10).collect()));
        queue.done(5);
        // The other taker has five: with seven more each has six.
        assert_eq!(queue.push_all((10..17).collect()), Ok(()));
        assert_eq!(queue.take(8, 2, |_, _| true), Some((10..16).collect()));
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_takes_no_more() {
        let queue = filled(0..2);
        queue.close();
        assert_eq!(queue.push_all(vec![7]), Err(vec![7]));
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
                scope.spawn(move || {
                    for i in 0..10 {
                        let first = caller * 50 + i * 5;
                        assert!(queue.push_all((first..first + 5).collect()).is_ok());
                    }
                });
            }
            let mut taken = Vec::new();
            while taken.len() < 200 {
                let some = queue.take(4, 2, |_, _| true).expect("open");
                queue.done(some.len());
                taken.extend(some);
            }
            taken
        });
        let mut sorted = taken;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>());
    }
}
