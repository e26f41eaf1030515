//! Whether a customer came back: the test of a resolution that nobody can fake.
//!
//! A customer comes back with any call: in another queue, about something else, after the period that is compared. So this
//! looks through all calls of the dataset, not only through those that are compared. A call tells about a window only
//! where the data go on for so long after it: counting those that were cut short only when somebody did call back would
//! find nothing but customers who come back.

use crate::stats::clusters::Clusters;

/// The windows looked at, in days.
pub const REPEAT_DAYS: [i64; 4] = [1, 3, 7, 30];

const DAY_MS: i64 = 86_400_000;
/// In place of a time: there is none.
const NEVER: i64 = i64::MAX;
/// In place of a time: not known.
const NOT_KNOWN: i64 = -1;

/// What came after each call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FollowUp {
    /// Milliseconds until the customer's next call, or [`NEVER`].
    until_next: Vec<i64>,
    /// Milliseconds from each call to the last call of the data, or [`NOT_KNOWN`] where the customer or the time is not.
    until_last: Vec<i64>,
}

impl FollowUp {
    /// Of each call in `own` the next one of its customer in `all`: pairs of a customer (`Clusters::ALONE` where not known)
    /// and a start in ms since 1970 (`i64::MIN` where not known). Calls that begin at the same moment are not each
    /// other's next.
    pub fn of(own: &[(u32, i64)], mut all: Vec<(u32, i64)>) -> Self {
        all.retain(|call| known(*call));
        let last = all.iter().map(|call| call.1).max().unwrap_or(i64::MIN);
        all.sort_unstable();
        let next = |call: &(u32, i64)| {
            let place = all.partition_point(|other| other <= call);
            let found = all.get(place).filter(|other| known(*call) && other.0 == call.0);
            found.map_or(NEVER, |other| other.1 - call.1)
        };
        let followed = |call: &(u32, i64)| if known(*call) { last.saturating_sub(call.1) } else { NOT_KNOWN };
        Self { until_next: own.iter().map(next).collect(), until_last: own.iter().map(followed).collect() }
    }

    /// Whether the customer of a call called again within so many days. `None` where that cannot be told: the customer
    /// or the time is not known, or the data end before the window does, whoever has called by then.
    pub fn within(&self, call: usize, days: i64) -> Option<bool> {
        let window = days * DAY_MS;
        (self.until_last[call] >= window).then(|| self.until_next[call] <= window)
    }

    pub(super) fn reorder(&mut self, order: &[u32]) {
        for column in [&mut self.until_next, &mut self.until_last] {
            *column = order.iter().map(|i| column[*i as usize]).collect();
        }
    }
}

fn known((customer, start): (u32, i64)) -> bool {
    customer != Clusters::ALONE && start != i64::MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    fn within(found: &FollowUp, days: i64) -> Vec<Option<bool>> {
        (0..found.until_next.len()).map(|i| found.within(i, days)).collect()
    }

    #[test]
    fn a_window_that_the_data_cut_off_tells_nothing_though_somebody_called_again() {
        let all = vec![(1, 0), (1, DAY_MS / 2), (2, 10 * DAY_MS), (Clusters::ALONE, 0), (3, i64::MIN)];
        let found = FollowUp::of(&all, all.clone());
        assert_eq!(within(&found, 1), [Some(true), Some(false), None, None, None]);
        assert_eq!(within(&found, 30), [None; 5]);
    }

    #[test]
    fn a_call_that_is_not_compared_is_a_return_all_the_same() {
        let own = [(1, 0), (2, DAY_MS)];
        let found = FollowUp::of(&own, vec![(1, 0), (2, DAY_MS), (1, 2 * DAY_MS), (9, 40 * DAY_MS)]);
        assert_eq!(within(&found, 3), [Some(true), Some(false)]);
        assert_eq!(within(&found, 1), [Some(false), Some(false)]);
    }

    #[test]
    fn the_end_of_the_data_does_not_move_the_share_that_comes_back() {
        // Customers come back after 10 days in half of the cases; calls are spread over 40 days.
        let mut draws = Draws::new(2, 0);
        let mut all = Vec::new();
        for customer in 0..4000 {
            let start = draws.below(40 * DAY_MS as u64) as i64;
            all.push((customer, start));
            if draws.chance(0.5) && start + 10 * DAY_MS < 40 * DAY_MS {
                all.push((customer, start + 10 * DAY_MS));
            }
        }
        let told: Vec<bool> = within(&FollowUp::of(&all.clone(), all), 30).into_iter().flatten().collect();
        let share = told.iter().filter(|again| **again).count() as f64 / told.len() as f64;
        assert!(told.len() > 800 && (share - 0.5).abs() < 0.05, "{share} of {}", told.len());
    }
}
