//! Whether a customer came back: the test of a resolution that nobody can fake.

use super::Cohort;

/// The windows looked at, in days.
pub const REPEAT_DAYS: [i64; 4] = [1, 3, 7, 30];

const DAY_MS: i64 = 86_400_000;

/// What came after each call.
#[derive(Debug, Clone)]
pub struct FollowUp {
    /// Milliseconds until the customer's next call; `None` where there is none, or the customer or a time is not known.
    until_next: Vec<Option<i64>>,
    /// Milliseconds from each call to the last call of the data; `None` where the customer or the time is not known.
    until_last: Vec<Option<i64>>,
}

impl FollowUp {
    /// Looks for the next call of each customer.
    pub fn of(cohort: &Cohort) -> Self {
        let last = cohort.started_at.iter().copied().filter(|t| *t != i64::MIN).max().unwrap_or(i64::MIN);
        let known = |i: &usize| cohort.customer[*i] != u32::MAX && cohort.started_at[*i] != i64::MIN;
        let mut order: Vec<usize> = (0..cohort.len()).filter(known).collect();
        order.sort_unstable_by_key(|i| (cohort.customer[*i], cohort.started_at[*i], *i));
        let mut found = Self { until_next: vec![None; cohort.len()], until_last: vec![None; cohort.len()] };
        for (position, i) in order.iter().enumerate() {
            let own = order.get(position + 1).filter(|j| cohort.customer[**j] == cohort.customer[*i]);
            found.until_next[*i] = own.map(|j| cohort.started_at[*j] - cohort.started_at[*i]);
            found.until_last[*i] = Some(last - cohort.started_at[*i]);
        }
        found
    }

    /// Whether the customer of a call called again within so many days. `None` where that cannot be told: the customer
    /// or the time is not known, or the data end before the window does and nobody has called yet.
    pub fn within(&self, call: usize, days: i64) -> Option<bool> {
        let window = days * DAY_MS;
        let again = self.until_next[call].is_some_and(|ms| ms <= window);
        (again || self.until_last[call]? >= window).then_some(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_the_data_cut_off_is_not_counted_as_no_repeat() {
        let cohort = Cohort {
            ai: vec![true; 4],
            customer: vec![1, 1, 2, u32::MAX],
            started_at: vec![0, DAY_MS / 2, 10 * DAY_MS, 0],
            ..Cohort::default()
        };
        let found = FollowUp::of(&cohort);
        let within = |days| (0..4).map(|i| found.within(i, days)).collect::<Vec<_>>();
        assert_eq!(within(1), [Some(true), Some(false), None, None]);
        assert_eq!(within(30), [Some(true), None, None, None]);
    }
}
