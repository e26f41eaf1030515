//! Cumulative incidence of every cause at once, with weights: the Aalen-Johansen estimator as the bootstrap needs it.
//!
//! F(t) = Σ S(tᵢ₋) dⱼᵢ / nᵢ (Aalen & Johansen 1978). Calls are put in order of time once, and each replicate is one pass over
//! them with one weight a customer. Intervals are taken on the scale log(-log F) and stay inside 0 and 1; where F is 0 or 1
//! that scale has no width, and Wilson's interval of so many customers stands in. Times beyond which too few calls were
//! followed are not told.

use super::bootstrap::quantile_of_sorted;
use super::bootstrap::{Bootstrap, Weights, summarise};
use super::censoring::{LEAST_FOLLOWED, MOST_WEIGHT};
use super::distributions::normal_critical;
use super::estimate::Estimate;
use super::proportion::wilson_of_share;

/// What remains of the weights at risk when all have gone, by rounding.
const NOBODY: f64 = 1e-9;

/// Calls in order of time, with what ended each: cause 0 is being lost from view.
#[derive(Debug, Clone)]
pub struct OrderedCalls {
    times: Vec<f64>,
    causes: Vec<u8>,
    units: Vec<u32>,
    /// Whether each cause, from 1, is the event that is asked about.
    event: Vec<bool>,
}

/// What a curve is asked for.
#[derive(Debug, Clone, Copy)]
pub struct CurveQuestions<'a> {
    /// Times at which incidence is wanted, rising.
    pub grid: &'a [f64],
    /// Shares whose quantiles are wanted.
    pub quantiles: &'a [f64],
    /// The limit of the restricted mean.
    pub limit: f64,
}

/// The answers: incidence on the grid, quantiles (infinite where not reached), restricted mean; not numbers where the calls
/// were lost from view before ([`LEAST_FOLLOWED`]).
#[derive(Debug, Clone, PartialEq)]
pub struct CurveAnswers {
    /// Incidence of the event at each time of the grid.
    pub event: Vec<f64>,
    /// Incidence of each cause, from cause 1, at each time of the grid.
    pub causes: Vec<Vec<f64>>,
    /// Each quantile of the event; infinite where it is not reached.
    pub quantiles: Vec<f64>,
    /// ∫₀^limit (1 - F) of the event.
    pub restricted_mean: f64,
}

impl OrderedCalls {
    /// Orders the calls by time. `units` says which weight each call has, `event` which causes, from cause 1, are the
    /// event; there are no causes beyond.
    pub fn new(times: &[f64], causes: &[u8], units: &[u32], event: &[bool]) -> Self {
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        order.sort_unstable_by(|a, b| times[*a as usize].total_cmp(&times[*b as usize]).then(a.cmp(b)));
        let index = |i: &u32| *i as usize;
        Self {
            times: order.iter().map(|i| times[index(i)]).collect(),
            causes: order.iter().map(|i| causes[index(i)]).collect(),
            units: order.iter().map(|i| units[index(i)]).collect(),
            event: event.to_vec(),
        }
    }

    fn distinct_units(&self) -> usize {
        let mut units = self.units.clone();
        units.sort_unstable();
        units.dedup();
        units.len()
    }

    /// The curves of the calls as they are; `None` without calls.
    pub fn plain(&self, questions: CurveQuestions) -> Option<CurveAnswers> {
        self.curves(&vec![1; self.times.len()], questions)
    }

    /// The curves with each call counted as often as its unit is drawn; `None` where none is.
    pub fn weighted(&self, weights: &[u8], questions: CurveQuestions) -> Option<CurveAnswers> {
        let own: Vec<u8> = self.units.iter().map(|unit| weights[*unit as usize]).collect();
        self.curves(&own, questions)
    }

    fn curves(&self, weights: &[u8], questions: CurveQuestions) -> Option<CurveAnswers> {
        let mut at_risk = weights.iter().map(|w| u64::from(*w)).sum::<u64>() as f64;
        if at_risk <= 0.0 {
            return None;
        }
        let mut answers = CurveAnswers {
            event: Vec::with_capacity(questions.grid.len()),
            causes: vec![Vec::with_capacity(questions.grid.len()); self.event.len()],
            quantiles: vec![f64::INFINITY; questions.quantiles.len()],
            restricted_mean: 0.0,
        };
        let mut by_cause = vec![0.0; self.event.len()];
        let (mut f, mut area, mut from) = (0.0, 0.0, 0.0_f64);
        // S(t₋) / n(t): what one call adds to the incidence of its cause. It changes only when calls are lost from view,
        // because events take the same share off both.
        let (mut survival, mut share) = (1.0, 1.0 / at_risk);
        let (total, mut position, mut lost_at) = (at_risk, 0, None);
        while position < self.times.len() && at_risk > NOBODY {
            let time = self.times[position];
            while answers.event.len() < questions.grid.len() && questions.grid[answers.event.len()] < time {
                answers.push(f, &by_cause);
            }
            let until = time.clamp(0.0, questions.limit);
            (area, from) = (area + (until - from) * f, until);
            let (mut any, mut lost) = (0.0, 0.0);
            while position < self.times.len() && self.times[position] == time {
                let (weight, cause) = (f64::from(weights[position]), usize::from(self.causes[position]));
                position += 1;
                if cause == 0 {
                    lost += weight;
                    continue;
                }
                any += weight;
                by_cause[cause - 1] += share * weight;
                if self.event[cause - 1] {
                    f += share * weight;
                }
            }
            survival -= share * any;
            at_risk -= any + lost;
            if lost > 0.0 && at_risk > NOBODY {
                share = survival / at_risk;
            }
            for (found, wanted) in answers.quantiles.iter_mut().zip(questions.quantiles) {
                if found.is_infinite() && f >= wanted - 1e-12 {
                    *found = time;
                }
            }
            let followed = at_risk > NOBODY && share * total <= MOST_WEIGHT;
            if lost > 0.0 && !followed && survival > 1.0 - LEAST_FOLLOWED {
                lost_at = Some(time);
                break;
            }
        }
        if lost_at.is_some() {
            by_cause.fill(f64::NAN);
            answers.quantiles.iter_mut().filter(|q| q.is_infinite()).for_each(|q| *q = f64::NAN);
        }
        let beyond = if lost_at.is_some() { f64::NAN } else { f };
        while answers.event.len() < questions.grid.len() {
            answers.push(beyond, &by_cause);
        }
        let known = lost_at.is_none_or(|time| time >= questions.limit);
        let mean = questions.limit - area - (questions.limit - from) * f;
        answers.restricted_mean = if known { mean } else { f64::NAN };
        Some(answers)
    }
}

impl CurveAnswers {
    fn push(&mut self, f: f64, by_cause: &[f64]) {
        self.event.push(f);
        self.causes.iter_mut().zip(by_cause).for_each(|(curve, f)| curve.push(*f));
    }
}

/// A curve with its replicates.
#[derive(Debug, Clone)]
pub struct BootstrapCurve {
    /// The curve itself.
    pub answers: CurveAnswers,
    /// The curve of each replicate; `None` where it drew no call, and everywhere where one customer made all calls.
    pub replicates: Vec<Option<CurveAnswers>>,
    /// How many customers the calls are of.
    pub units: usize,
}

/// The curves of several groups that share units, all from the same weights; `None` for a group without calls.
pub fn bootstrap_curves<const N: usize>(
    groups: &[OrderedCalls; N],
    units: usize,
    questions: CurveQuestions,
    bootstrap: Bootstrap,
) -> [Option<BootstrapCurve>; N] {
    let mut replicates: Vec<[Option<CurveAnswers>; N]> = bootstrap.run(|weights: Weights| {
        let weights = weights.all(units);
        std::array::from_fn(|group| groups[group].weighted(&weights, questions))
    });
    std::array::from_fn(|group| {
        let units = groups[group].distinct_units();
        let own = replicates.iter_mut().map(|r| r[group].take().filter(|_| units > 1)).collect();
        groups[group].plain(questions).map(|answers| BootstrapCurve { answers, replicates: own, units })
    })
}

impl BootstrapCurve {
    /// `of` each replicate; not a number where it drew no call.
    pub fn each(&self, of: impl Fn(&CurveAnswers) -> f64) -> Vec<f64> {
        self.replicates.iter().map(|r| r.as_ref().map_or(f64::NAN, &of)).collect()
    }

    /// Incidence `of` the answers with the pointwise interval that its bootstrap error gives; `None` where it is not
    /// known or has no error.
    pub fn pointwise(&self, of: impl Fn(&CurveAnswers) -> f64, level: f64) -> Option<Estimate> {
        let value = of(&self.answers);
        let error = summarise(value, &self.each(of), level)?.standard_error;
        self.interval(value, error, normal_critical(level), level)
    }

    fn interval(&self, f: f64, error: f64, critical: f64, level: f64) -> Option<Estimate> {
        let end = f <= 0.0 || f >= 1.0;
        let found = if end { wilson_of_share(f.clamp(0.0, 1.0), self.units as f64, level) } else { None };
        found.or_else(|| log_log_interval(f, error, critical))
    }

    /// Puts the replicates further from the curve: at each time of the grid by its factor of `event`, quantiles by theirs.
    /// A bootstrap by customer then has the error that customers and agents together give.
    pub fn widen(&mut self, event: &[f64], quantiles: &[f64]) {
        let plain = &self.answers;
        let further = |plain: f64, own: &mut f64, factor: f64| {
            if own.is_finite() && plain.is_finite() {
                *own = plain + factor * (*own - plain);
            }
        };
        for replicate in self.replicates.iter_mut().flatten() {
            for ((own, plain), factor) in replicate.event.iter_mut().zip(&plain.event).zip(event) {
                further(*plain, own, *factor);
            }
            for ((own, plain), factor) in replicate.quantiles.iter_mut().zip(&plain.quantiles).zip(quantiles)
            {
                further(*plain, own, *factor);
                *own = own.max(0.0);
            }
        }
    }

    /// The event's curve with its simultaneous band: as many standard errors as hold the whole curve in `level` of the
    /// replicates, and no fewer than a pointwise interval has. `None` at times where there is none.
    pub fn band(&self, level: f64) -> Vec<Option<Estimate>> {
        let curve = &self.answers.event;
        let errors: Vec<Option<f64>> = (0..curve.len())
            .map(|i| summarise(curve[i], &self.each(|r| r.event[i]), level).map(|e| e.standard_error))
            .collect();
        let mut furthest: Vec<f64> = self
            .replicates
            .iter()
            .flatten()
            .map(|r| {
                let off = |i: usize| {
                    let error = errors[i].filter(|error| *error > NOBODY)?;
                    Some((r.event[i] - curve[i]).abs() / error).filter(|off| !off.is_nan())
                };
                (0..curve.len()).filter_map(off).fold(0.0, f64::max)
            })
            .collect();
        furthest.sort_by(f64::total_cmp);
        let simultaneous = if furthest.is_empty() { 0.0 } else { quantile_of_sorted(&furthest, level) };
        let critical = simultaneous.max(normal_critical(level));
        curve.iter().zip(errors).map(|(f, error)| self.interval(*f, error?, critical, level)).collect()
    }
}

/// An interval for `f` on the scale log(-log f), with `critical` standard errors on either side; `None` where `f` is not
/// between 0 and 1.
fn log_log_interval(f: f64, standard_error: f64, critical: f64) -> Option<Estimate> {
    if f.is_nan() || f <= 0.0 || f >= 1.0 {
        return None;
    }
    let transformed = (-f.ln()).ln();
    let reach = critical * standard_error / (f * f.ln().abs());
    let back = |x: f64| (-x.exp()).exp();
    Some(Estimate {
        value: f,
        standard_error,
        low: back(transformed + reach),
        high: back(transformed - reach),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::censoring::Censoring;

    const TIMES: [f64; 6] = [5.0, 1.0, 2.0, 2.0, 3.0, 4.0];
    const CAUSES: [u8; 6] = [1, 1, 2, 0, 1, 0];

    #[test]
    fn the_curve_is_the_share_of_those_followed_that_the_lost_are_spread_over() {
        let grid = [0.5, 2.0, 3.5, 10.0];
        let questions = CurveQuestions { grid: &grid, quantiles: &[0.3, 0.9], limit: 4.5 };
        let ordered = OrderedCalls::new(&TIMES, &CAUSES, &[0; 6], &[true, false]);
        let answers = ordered.plain(questions).unwrap();
        // 1 of 6; of the 4 / 6 that are left at 2 the lost one is spread over three, that lost at 4 over the last.
        for (found, wanted) in answers.event.iter().zip([0.0, 1.0 / 6.0, 1.0 / 6.0 + 2.0 / 9.0, 5.0 / 6.0]) {
            assert!((found - wanted).abs() < 1e-12, "{:?}", answers.event);
        }
        assert_eq!(answers.event, answers.causes[0]);
        assert_eq!((answers.quantiles[0], answers.quantiles[1]), (3.0, f64::INFINITY));
        assert_eq!(ordered.weighted(&[0], questions), None);
        // The restricted mean is the mean of the waits, those lost before the limit spread likewise.
        let known: Vec<bool> = TIMES.iter().zip(CAUSES).map(|(t, c)| c > 0 || *t >= 4.5).collect();
        let waits: Vec<f64> =
            TIMES.iter().zip(CAUSES).map(|(t, c)| if c == 1 { t.min(4.5) } else { 4.5 }).collect();
        let times: Vec<f64> = TIMES.iter().map(|t| t.min(4.5)).collect();
        let spread = Censoring::new(&times, &known).values(&waits).unwrap();
        assert!((answers.restricted_mean - spread.iter().sum::<f64>() / 6.0).abs() < 1e-12);
    }

    #[test]
    fn beyond_the_time_to_which_calls_were_followed_nothing_is_told() {
        let questions = CurveQuestions { grid: &[1.0, 9.0], quantiles: &[0.5], limit: 9.0 };
        let lost = OrderedCalls::new(&[1.0, 2.0, 2.0], &[1, 0, 0], &[0, 1, 2], &[true]);
        let answers = lost.plain(questions).unwrap();
        assert!((answers.event[0] - 1.0 / 3.0).abs() < 1e-12 && answers.event[1].is_nan());
        assert!(answers.quantiles[0].is_nan() && answers.restricted_mean.is_nan());
    }

    #[test]
    fn one_customer_s_calls_have_no_interval_and_none_of_many_is_not_surely_none() {
        let bootstrap = Bootstrap { replicates: 50, seed: 1 };
        let questions = CurveQuestions { grid: &[0.5, 2.0], quantiles: &[], limit: 9.0 };
        let of = |units: &[u32]| {
            let calls = OrderedCalls::new(&TIMES, &[1, 1, 2, 2, 1, 2], units, &[true, false]);
            let [curve] = bootstrap_curves(&[calls], 6, questions, bootstrap);
            curve.unwrap()
        };
        let alone = of(&[0; 6]);
        assert_eq!(alone.pointwise(|a| a.event[1], 0.95), None);
        assert!(alone.band(0.95).iter().all(Option::is_none));
        let many = of(&[0, 1, 2, 3, 4, 5]).pointwise(|a| a.event[0], 0.95).unwrap();
        assert!(many.low == 0.0 && many.high > 0.3, "{many:?}");
    }

    #[test]
    fn widened_replicates_have_wider_intervals_and_bands() {
        let (bootstrap, grid) = (Bootstrap { replicates: 200, seed: 1 }, [0.5, 2.0]);
        let questions = CurveQuestions { grid: &grid, quantiles: &[0.3], limit: 9.0 };
        let calls = OrderedCalls::new(&TIMES, &[1, 1, 2, 2, 1, 2], &[0, 1, 2, 3, 4, 5], &[true, false]);
        let [curve] = bootstrap_curves(&[calls], 6, questions, bootstrap);
        let plain = curve.unwrap();
        let mut wide = plain.clone();
        wide.widen(&[1.0, 2.0], &[2.0]);
        let error = |curve: &BootstrapCurve| curve.pointwise(|a| a.event[1], 0.95).unwrap().standard_error;
        assert!((error(&wide) - 2.0 * error(&plain)).abs() < 1e-12);
        let band = |curve: &BootstrapCurve| curve.band(0.95)[1].map(|e| e.high - e.low).unwrap();
        assert!(band(&wide) > 1.2 * band(&plain));
        assert!(wide.each(|r| r.quantiles[0]).iter().all(|q| q.is_nan() || *q >= 0.0));
    }

    #[test]
    fn drawing_a_call_twice_is_having_it_twice() {
        let questions = CurveQuestions { grid: &[1.0, 3.0], quantiles: &[], limit: 6.0 };
        let units: Vec<u32> = (0..6).collect();
        let once = OrderedCalls::new(&TIMES, &CAUSES, &units, &[true, false]);
        let twice = OrderedCalls::new(
            &[&TIMES[..], &[2.0]].concat(),
            &[&CAUSES[..], &[2]].concat(),
            &[0; 7],
            &[true, false],
        );
        let (a, b) =
            (once.weighted(&[1, 1, 2, 1, 1, 1], questions).unwrap(), twice.plain(questions).unwrap());
        assert!(a.causes[1].iter().zip(&b.causes[1]).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
