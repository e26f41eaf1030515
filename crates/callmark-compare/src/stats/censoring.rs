//! Values of calls that were lost from view before they had one: a recording that breaks off does not tell how its call ended.
//!
//! Counting such a call as "no" is a guess, leaving it out favours short calls, which break off less. Each call that was
//! followed to its end counts instead for those that were lost before, by one over the probability of not having been
//! lost until then (inverse probability of censoring, Robins & Rotnitzky 1992): a share estimated so is the
//! Aalen-Johansen estimate at the end of the curve. What is handed over is one number a call whose mean is the
//! estimate and whose deviations are the influences (pseudo-observations, Andersen, Klein & Rosthøj 2003): every mean,
//! difference and adjustment works on it as it works on plain values, its interval included. Without losses it is the
//! plain value itself. That recordings break off for reasons that have nothing to do with the call is taken for granted.

/// Share of the calls whose value must be known, by their weights: where recordings break off before so many values are
/// known, there is no estimate.
pub const LEAST_FOLLOWED: f64 = 0.9;
/// Nobody stands for more than so many calls: what is known only of calls that were followed longer than nine of ten is not
/// known.
pub const MOST_WEIGHT: f64 = 10.0;

/// How long each call was followed, and whether its value is known: made once, used for many values.
#[derive(Debug, Clone)]
pub struct Censoring {
    /// Calls by time; at one time those that are known come before those that are lost.
    order: Vec<u32>,
    known: Vec<bool>,
    /// Of each call in order: one over the probability of being followed until then.
    weights: Vec<f64>,
    /// Of each call in order: the losses before it, a number of entries of `losses`.
    before: Vec<u32>,
    losses: Vec<Loss>,
}

/// What is lost at one time.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// Place in the order of the first call after it.
    next: u32,
    /// Calls followed until then that have no value yet, the lost ones among them.
    at_risk: f64,
    lost: f64,
}

impl Censoring {
    /// Calls followed until `times`, of which those that are `known` have a value then.
    pub fn new(times: &[f64], known: &[bool]) -> Self {
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        let key = |i: &u32| (times[*i as usize], !known[*i as usize]);
        order.sort_unstable_by(|a, b| {
            let ((a_time, a_lost), (b_time, b_lost)) = (key(a), key(b));
            a_time.total_cmp(&b_time).then(a_lost.cmp(&b_lost)).then(a.cmp(b))
        });
        let mut found = Self {
            known: order.iter().map(|i| known[*i as usize]).collect(),
            weights: Vec::with_capacity(order.len()),
            before: Vec::with_capacity(order.len()),
            losses: Vec::new(),
            order,
        };
        let mut followed = 1.0;
        let mut position = 0;
        while position < found.order.len() {
            let time = times[found.order[position] as usize];
            let rest = &found.order[position..];
            let next = position + rest.partition_point(|i| times[*i as usize] == time);
            let first_lost = position + found.known[position..next].partition_point(|known| *known);
            let earlier = found.losses.len() as u32;
            found.weights.resize(next, 1.0 / followed);
            found.before.resize(next, earlier);
            if next > first_lost {
                let at_risk = (found.order.len() - first_lost) as f64;
                let lost = (next - first_lost) as f64;
                found.losses.push(Loss { next: next as u32, at_risk, lost });
                followed *= (at_risk - lost) / at_risk;
            }
            position = next;
        }
        found
    }

    /// As how many calls each counts, in the order of the calls: 0 for one that is lost.
    pub fn weights(&self) -> Vec<f64> {
        let mut found = vec![0.0; self.order.len()];
        for (place, call) in self.order.iter().enumerate().filter(|(place, _)| self.known[*place]) {
            found[*call as usize] = self.weights[place];
        }
        found
    }

    /// One number a call, in the order of the calls, that stands for its value whether it is known or not; `None` where
    /// too few are known ([`LEAST_FOLLOWED`]). Values that are not known are not looked at.
    pub fn values(&self, values: &[f64]) -> Option<Vec<f64>> {
        let count = self.order.len() as f64;
        let ordered: Vec<f64> = self.order.iter().map(|i| values[*i as usize]).collect();
        let own = self.influences(&ordered);
        if self.losses.is_empty() {
            return (count > 0.0).then(|| values.to_vec());
        }
        let trusted =
            self.weights.iter().zip(&self.known).filter(|(weight, known)| **known && **weight <= MOST_WEIGHT);
        if trusted.map(|(weight, _)| weight).sum::<f64>() < LEAST_FOLLOWED * count {
            return None;
        }
        let ones = self.influences(&vec![1.0; ordered.len()]);
        let (sum, mass) = (own.iter().sum::<f64>() / count, ones.iter().sum::<f64>() / count);
        let mean = sum / mass;
        let mut found = vec![0.0; ordered.len()];
        for (i, (own, one)) in self.order.iter().zip(own.iter().zip(&ones)) {
            found[*i as usize] = mean + (own - mean * one) / mass;
        }
        Some(found)
    }

    /// The weighted values, and how each call moves the weights of those that were followed longer.
    fn influences(&self, ordered: &[f64]) -> Vec<f64> {
        let weighted =
            |place: usize| if self.known[place] { self.weights[place] * ordered[place] } else { 0.0 };
        // Of the calls from each place on.
        let mut rest = vec![0.0; ordered.len() + 1];
        for place in (0..ordered.len()).rev() {
            rest[place] = rest[place + 1] + weighted(place);
        }
        let share = |loss: &Loss| {
            let left = loss.at_risk - loss.lost;
            if left > 0.0 { rest[loss.next as usize] / left } else { 0.0 }
        };
        let mut paid = Vec::with_capacity(self.losses.len() + 1);
        paid.push(0.0);
        for loss in &self.losses {
            paid.push(paid[paid.len() - 1] + share(loss) * loss.lost / loss.at_risk);
        }
        (0..ordered.len())
            .map(|place| {
                let before = self.before[place] as usize;
                if self.known[place] {
                    return weighted(place) - paid[before];
                }
                share(&self.losses[before]) - paid[before + 1]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn what_is_known_stays_as_it_is() {
        let values = [1.0, 0.0, 7.0];
        assert_eq!(Censoring::new(&[3.0, 1.0, 2.0], &[true; 3]).values(&values).unwrap(), values);
    }

    #[test]
    fn where_all_are_lost_nothing_is_told() {
        assert_eq!(Censoring::new(&[3.0, 1.0], &[false; 2]).values(&[1.0, 1.0]), None);
        assert_eq!(Censoring::new(&[], &[]).values(&[]), None);
        // One of a hundred that outlasted all the others does not speak for them.
        let times: Vec<f64> = (0..100).map(f64::from).collect();
        let known: Vec<bool> = (0..100).map(|i| i == 99).collect();
        assert_eq!(Censoring::new(&times, &known).values(&[1.0; 100]), None);
    }

    #[test]
    fn calls_that_were_followed_stand_for_those_that_were_lost() {
        // Long calls fail, and long calls are lost: what is known alone says 3 of 5, and counting the lost as failed 3 of 8.
        let times = [1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 4.0, 2.0];
        let known = [true, true, true, false, false, true, true, false];
        let failed = [0.0, 0.0, 0.0, 9.0, 9.0, 1.0, 1.0, 9.0];
        let censoring = Censoring::new(&times, &known);
        assert_eq!(
            censoring.weights().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["1", "1", "1", "0", "0", "2.5", "2.5", "0"]
        );
        let found = censoring.values(&failed).unwrap();
        // Lost at 2: one of the five that are left. Lost at 3: two of four. The two at 4 stand for all five.
        assert!((mean(&found) - 5.0 / 8.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn deviations_are_the_influences() {
        // How the mean moves when one call is counted a little more, by counting every other call 1000 times.
        let times = [1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0];
        let known = [true, false, true, true, false, true, true, true];
        let values = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0];
        let plain = Censoring::new(&times, &known).values(&values).unwrap();
        for call in 0..times.len() {
            let many: Vec<usize> = (0..times.len())
                .flat_map(|i| std::iter::repeat_n(i, if i == call { 1001 } else { 1000 }))
                .collect();
            let of = |column: &[f64]| many.iter().map(|i| column[*i]).collect::<Vec<f64>>();
            let own: Vec<bool> = many.iter().map(|i| known[*i]).collect();
            let more = Censoring::new(&of(&times), &own).values(&of(&values)).unwrap();
            let moved = (mean(&more) - mean(&plain)) * many.len() as f64;
            assert!((plain[call] - mean(&plain) - moved).abs() < 1e-3, "{call} {moved} {plain:?}");
        }
    }

    #[test]
    fn losses_that_have_nothing_to_do_with_the_call_bias_nothing() {
        let mut draws = Draws::new(5, 0);
        let (mut found, mut all) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let calls: Vec<(f64, f64, f64)> = (0..300)
                .map(|_| {
                    // Some calls are followed for as long as any lasts.
                    let length = draws.normal().exp().min(4.0);
                    (length, f64::from(draws.chance(0.9 - 0.2 * length)), 6.0 * draws.uniform())
                })
                .collect();
            let times: Vec<f64> = calls.iter().map(|c| c.0.min(c.2)).collect();
            let known: Vec<bool> = calls.iter().map(|c| c.0 <= c.2).collect();
            let values: Vec<f64> = calls.iter().map(|c| c.1).collect();
            all.push(mean(&values));
            found.extend(Censoring::new(&times, &known).values(&values).map(|v| mean(&v)));
        }
        assert!(found.len() > 150, "{}", found.len());
        assert!((mean(&found) - mean(&all)).abs() < 0.006, "{} {}", mean(&found), mean(&all));
    }
}
