//! Whether a customer came back: the test of a resolution that nobody can fake.

use super::Cohort;

/// The windows looked at, in days.
pub const REPEAT_DAYS: [i64; 4] = [1, 3, 7, 30];

const DAY_MS: i64 = 86_400_000;

/// For each call and window: whether the customer called again within it. `None` where that cannot be told: the
/// customer or the time is not known, or the data end before the window does and nobody has called yet.
pub fn repeat_within(cohort: &Cohort, days: i64) -> Vec<Option<bool>> {
    let last = cohort.started_at.iter().copied().filter(|t| *t != i64::MIN).max().unwrap_or(i64::MIN);
    let known = |i: &usize| cohort.customer[*i] != u32::MAX && cohort.started_at[*i] != i64::MIN;
    let mut order: Vec<usize> = (0..cohort.len()).filter(known).collect();
    order.sort_by_key(|i| (cohort.customer[*i], cohort.started_at[*i]));
    let mut found = vec![None; cohort.len()];
    for (position, i) in order.iter().enumerate() {
        let until = cohort.started_at[*i].saturating_add(days * DAY_MS);
        let again = order
            .get(position + 1)
            .is_some_and(|j| cohort.customer[*j] == cohort.customer[*i] && cohort.started_at[*j] <= until);
        found[*i] = (again || until <= last).then_some(again);
    }
    found
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
        assert_eq!(repeat_within(&cohort, 1), [Some(true), Some(false), None, None]);
        assert_eq!(repeat_within(&cohort, 30), [Some(true), None, None, None]);
    }
}
