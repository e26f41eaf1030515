//! Before and after, here and there: the effect of a roll-out that reached some queues later than others.
//!
//! For each queue and each week after its start: its change since the week before the start, less the change over the
//! same weeks in queues that had not started (Callaway & Sant'Anna 2021, "Difference-in-differences with multiple time
//! periods", with queues not yet treated as controls). The average weights queue-weeks by their calls. The same for the
//! weeks before the start is the check: where it is not near 0, the queues were on different paths anyway.

use std::collections::BTreeMap;

/// Sum and count of an outcome in one queue and period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupPeriod {
    /// The queue.
    pub group: u32,
    /// The period, consecutive numbers.
    pub period: i32,
    /// Sum of the outcome.
    pub sum: f64,
    /// Calls.
    pub count: f64,
}

/// The average effect on the treated, and the check before the start.
#[derive(Debug, Clone, PartialEq)]
pub struct RollOut {
    /// The average effect after the start, over queue-weeks by their calls.
    pub effect: f64,
    /// The same for the periods before the one before the start; `None` where there is none.
    pub before: Option<f64>,
    /// (periods since the start, effect, calls), for a plot.
    pub by_distance: Vec<(i32, f64, f64)>,
}

/// The effect of a roll-out; `starts` has the first treated period of each group that was ever treated. `None` where no
/// group has both a period before its start and a control that was not yet treated.
pub fn roll_out(data: &[GroupPeriod], starts: &BTreeMap<u32, i32>) -> Option<RollOut> {
    let means: BTreeMap<(u32, i32), (f64, f64)> = data
        .iter()
        .filter(|d| d.count > 0.0)
        .map(|d| ((d.group, d.period), (d.sum / d.count, d.count)))
        .collect();
    let mut by_distance: BTreeMap<i32, (f64, f64)> = BTreeMap::new();
    for (group, start) in starts {
        let Some((base, _)) = means.get(&(*group, start - 1)) else { continue };
        for ((_, period), (mean, count)) in means.range((*group, i32::MIN)..=(*group, i32::MAX)) {
            if *period == start - 1 {
                continue;
            }
            let Some(control) = control_change(data, starts, *group, (*start - 1, *period)) else { continue };
            let entry = by_distance.entry(period - start).or_default();
            entry.0 += (mean - base - control) * count;
            entry.1 += count;
        }
    }
    let average = |after: bool| {
        let chosen = by_distance.iter().filter(|(distance, _)| (**distance >= 0) == after);
        let (sum, count) = chosen.fold((0.0, 0.0), |a, (_, v)| (a.0 + v.0, a.1 + v.1));
        (count > 0.0).then(|| sum / count)
    };
    Some(RollOut {
        effect: average(true)?,
        before: average(false),
        by_distance: by_distance.iter().map(|(d, (sum, count))| (*d, sum / count, *count)).collect(),
    })
}

/// How the means of the other groups that are treated at neither period moved from `from` to `to`, by their calls.
fn control_change(
    data: &[GroupPeriod],
    starts: &BTreeMap<u32, i32>,
    treated: u32,
    (from, to): (i32, i32),
) -> Option<f64> {
    let untreated =
        |group: u32| group != treated && starts.get(&group).is_none_or(|start| *start > from.max(to));
    let mut change = (0.0, 0.0);
    let groups: std::collections::BTreeSet<u32> =
        data.iter().map(|d| d.group).filter(|g| untreated(*g)).collect();
    for group in groups {
        let at = |period: i32| data.iter().find(|d| d.group == group && d.period == period && d.count > 0.0);
        if let (Some(before), Some(after)) = (at(from), at(to)) {
            let weight = before.count + after.count;
            change.0 += weight * (after.sum / after.count - before.sum / before.count);
            change.1 += weight;
        }
    }
    (change.1 > 0.0).then(|| change.0 / change.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(group: u32, period: i32, mean: f64) -> GroupPeriod {
        GroupPeriod { group, period, sum: mean * 10.0, count: 10.0 }
    }

    #[test]
    fn two_groups_and_two_periods_give_the_difference_of_differences() {
        let data = [at(0, 0, 1.0), at(0, 1, 4.0), at(1, 0, 2.0), at(1, 1, 3.0)];
        let found = roll_out(&data, &BTreeMap::from([(0, 1)])).unwrap();
        assert!((found.effect - 2.0).abs() < 1e-12);
        assert_eq!(found.before, None);
    }

    #[test]
    fn different_paths_show_before_the_start() {
        let data: Vec<GroupPeriod> =
            (0..4).flat_map(|t| [at(0, t, 2.0 * f64::from(t)), at(1, t, f64::from(t))]).collect();
        let found = roll_out(&data, &BTreeMap::from([(0, 3)])).unwrap();
        assert!((found.effect - 1.0).abs() < 1e-12);
        assert!(found.before.unwrap() < -0.9);
    }

    #[test]
    fn without_a_control_there_is_no_effect_to_tell() {
        assert_eq!(roll_out(&[at(0, 0, 1.0), at(0, 1, 2.0)], &BTreeMap::from([(0, 1)])), None);
    }
}
