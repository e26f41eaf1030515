//! Before and after, here and there: the effect of a roll-out that reached some queues later than others.
//!
//! For each queue and each week after its start: its change since the week before the start, less the change over the
//! same weeks in queues that had not started (Callaway & Sant'Anna 2021, "Difference-in-differences with multiple time
//! periods", with queues not yet treated as controls, pooled by their calls). The average weights queue-weeks by their
//! calls. The same for the weeks before the start is the check: where it is not near 0, the queues were on different
//! paths anyway. Every such number is a sum of queue-weeks' means, each times a weight that depends on counts alone: a
//! [`Contrast`], from whose weights its variance follows.

use std::collections::BTreeMap;

/// A queue and a period, consecutive numbers.
pub type GroupPeriod = (u32, i32);

/// Sum and count of an outcome in each queue and period.
pub type Cells = BTreeMap<GroupPeriod, (f64, f64)>;

/// A sum of means, each times its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// The sum.
    pub value: f64,
    /// Calls of the queue-weeks whose effect it is.
    pub calls: f64,
    weights: BTreeMap<GroupPeriod, f64>,
}

impl Contrast {
    /// The influence of a call with `outcome` in a queue-week of `cells` on the value; 0 where it has none.
    pub fn influence(&self, cells: &Cells, at: GroupPeriod, outcome: f64) -> f64 {
        match (self.weights.get(&at), cells.get(&at)) {
            (Some(weight), Some((sum, count))) => weight * (outcome - sum / count) / count,
            _ => 0.0,
        }
    }
}

/// The average effect on the treated, and the check before the start.
#[derive(Debug, Clone, PartialEq)]
pub struct RollOut {
    /// The average effect after the start, over queue-weeks by their calls.
    pub effect: Contrast,
    /// The same for the periods before the one before the start; `None` where there is none.
    pub before: Option<Contrast>,
    /// The same by periods since the start.
    pub by_distance: Vec<(i32, Contrast)>,
}

/// The effect of a roll-out; `starts` has the first treated period of each group that was ever treated. `None` where no
/// group has both a period before its start and a control that was not yet treated.
pub fn roll_out(cells: &Cells, starts: &BTreeMap<u32, i32>) -> Option<RollOut> {
    roll_out_of(cells, starts, |_| true)
}

/// The effect of a roll-out in the groups that are `chosen`; the others are controls as long as they are not treated.
pub fn roll_out_of(
    cells: &Cells,
    starts: &BTreeMap<u32, i32>,
    chosen: impl Fn(u32) -> bool,
) -> Option<RollOut> {
    // Of each queue-week: how far from the start, and the weights of its difference of differences.
    let mut parts: Vec<(i32, f64, BTreeMap<GroupPeriod, f64>)> = Vec::new();
    for (group, start) in starts.iter().filter(|(group, _)| chosen(**group)) {
        let base = (*group, start - 1);
        if !cells.contains_key(&base) {
            continue;
        }
        for (at, (_, count)) in cells.range((*group, i32::MIN)..=(*group, i32::MAX)) {
            if *at == base {
                continue;
            }
            let Some(mut weights) = control_change(cells, starts, *group, (base.1, at.1)) else { continue };
            for weight in weights.values_mut() {
                *weight = -*weight;
            }
            weights.insert(*at, 1.0);
            weights.insert(base, -1.0);
            parts.push((at.1 - start, *count, weights));
        }
    }
    let mut distances: Vec<i32> = parts.iter().map(|p| p.0).collect();
    distances.sort_unstable();
    distances.dedup();
    let average = |chosen: &dyn Fn(i32) -> bool| average(cells, &parts, chosen);
    let at = |distance: &i32| Some((*distance, average(&|d| d == *distance)?));
    Some(RollOut {
        effect: average(&|distance| distance >= 0)?,
        before: average(&|distance| distance < 0),
        by_distance: distances.iter().filter_map(at).collect(),
    })
}

/// The average of the chosen parts, by their calls.
fn average(
    cells: &Cells,
    parts: &[(i32, f64, BTreeMap<GroupPeriod, f64>)],
    chosen: &dyn Fn(i32) -> bool,
) -> Option<Contrast> {
    let calls: f64 = parts.iter().filter(|p| chosen(p.0)).map(|p| p.1).sum();
    let mut weights: BTreeMap<GroupPeriod, f64> = BTreeMap::new();
    for (_, count, own) in parts.iter().filter(|p| chosen(p.0)) {
        for (at, weight) in own {
            *weights.entry(*at).or_default() += weight * count / calls;
        }
    }
    let value =
        weights.iter().filter_map(|(at, weight)| cells.get(at).map(|(sum, n)| weight * sum / n)).sum();
    (calls > 0.0).then_some(Contrast { value, calls, weights })
}

/// The weights of how the other groups that are treated at neither period moved from `from` to `to`, pooled by calls;
/// `None` where there is none.
fn control_change(
    cells: &Cells,
    starts: &BTreeMap<u32, i32>,
    treated: u32,
    (from, to): (i32, i32),
) -> Option<BTreeMap<GroupPeriod, f64>> {
    let untreated =
        |group: u32| group != treated && starts.get(&group).is_none_or(|start| *start > from.max(to));
    let mut weights = BTreeMap::new();
    let mut total = 0.0;
    for ((group, _), (_, before)) in
        cells.iter().filter(|((group, period), _)| *period == from && untreated(*group))
    {
        let Some((_, after)) = cells.get(&(*group, to)) else { continue };
        weights.insert((*group, from), -(before + after));
        weights.insert((*group, to), before + after);
        total += before + after;
    }
    for weight in weights.values_mut() {
        *weight /= total;
    }
    (total > 0.0).then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(group: u32, period: i32, mean: f64) -> (GroupPeriod, (f64, f64)) {
        ((group, period), (mean * 10.0, 10.0))
    }

    #[test]
    fn two_groups_and_two_periods_give_the_difference_of_differences() {
        let cells = Cells::from([at(0, 0, 1.0), at(0, 1, 4.0), at(1, 0, 2.0), at(1, 1, 3.0)]);
        let found = roll_out(&cells, &BTreeMap::from([(0, 1)])).unwrap();
        assert!((found.effect.value - 2.0).abs() < 1e-12);
        assert_eq!(found.before, None);
        assert!((found.effect.influence(&cells, (1, 1), 5.0) + 0.2).abs() < 1e-12);
        assert_eq!(found.effect.influence(&cells, (7, 1), 5.0), 0.0);
    }

    #[test]
    fn different_paths_show_before_the_start() {
        let cells: Cells =
            (0..4).flat_map(|t| [at(0, t, 2.0 * f64::from(t)), at(1, t, f64::from(t))]).collect();
        let found = roll_out(&cells, &BTreeMap::from([(0, 3)])).unwrap();
        assert!((found.effect.value - 1.0).abs() < 1e-12);
        assert!(found.before.unwrap().value < -0.9);
        assert_eq!(found.by_distance.iter().map(|d| d.0).collect::<Vec<_>>(), [-3, -2, 0]);
    }

    #[test]
    fn without_a_control_there_is_no_effect_to_tell() {
        assert_eq!(roll_out(&Cells::from([at(0, 0, 1.0), at(0, 1, 2.0)]), &BTreeMap::from([(0, 1)])), None);
    }
}
