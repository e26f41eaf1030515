//! When things happen, where other things may happen instead: cumulative incidence with competing events.
//!
//! The Aalen-Johansen estimator F(t) = Σ S(tᵢ₋) dⱼᵢ / nᵢ (Aalen & Johansen 1978). Its variance is the delta method's
//! with multinomial counts, ties included (Collett, "Modelling Survival Data in Medical Research", 3rd ed., p. 411):
//! Σ (F(t) - F(tᵢ))² dᵢ / (nᵢ (nᵢ - dᵢ)) + Σ S(tᵢ₋)² dⱼᵢ (nᵢ - dⱼᵢ) / nᵢ³ - 2 Σ (F(t) - F(tᵢ)) S(tᵢ₋) dⱼᵢ / nᵢ².
//! Intervals are taken on the scale log(-log F) and stay inside 0 and 1. A median is where F passes one half; its
//! interval is where the band does (Brookmeyer & Crowley 1982). The restricted mean ∫₀^τ (1 - F) is the mean time
//! until the event, counted as τ where it never comes.

use super::distributions::normal_critical;
use super::estimate::Estimate;

/// A curve: one entry a distinct time at which something happened or was lost from view.
#[derive(Debug, Clone, PartialEq)]
pub struct Incidence {
    /// Distinct times, rising.
    pub times: Vec<f64>,
    /// F at and after each time.
    pub incidence: Vec<f64>,
    /// Variance of F.
    pub variance: Vec<f64>,
    steps: Vec<Step>,
}

/// What happens at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    at_risk: f64,
    events: f64,
    any: f64,
    survival_before: f64,
}

/// What ended the wait of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was lost from view: nothing is known after this time.
    Censored,
    /// The event whose incidence is asked for.
    Event,
    /// Another event, after which this one cannot come.
    Competing,
}

/// The curve of `Event` for calls that ended at `times` in `ends`; `None` without calls.
pub fn aalen_johansen(times: &[f64], ends: &[End]) -> Option<Incidence> {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
    let mut found = Incidence { times: vec![], incidence: vec![], variance: vec![], steps: vec![] };
    let (mut survival, mut incidence) = (1.0, 0.0);
    let mut position = 0;
    while position < order.len() {
        let time = times[order[position]];
        let at_risk = (order.len() - position) as f64;
        let (mut events, mut any) = (0.0, 0.0);
        while position < order.len() && times[order[position]] == time {
            match ends[order[position]] {
                End::Censored => {}
                End::Event => (events, any) = (events + 1.0, any + 1.0),
                End::Competing => any += 1.0,
            }
            position += 1;
        }
        found.steps.push(Step { at_risk, events, any, survival_before: survival });
        incidence += survival * events / at_risk;
        survival *= 1.0 - any / at_risk;
        found.times.push(time);
        found.incidence.push(incidence);
    }
    found.variance = variances(&found.steps, &found.incidence);
    (!found.times.is_empty()).then_some(found)
}

/// The variance at each step in one pass: the squares are expanded, so that sums over the past are carried along.
fn variances(steps: &[Step], incidence: &[f64]) -> Vec<f64> {
    // Σ a, Σ a Fᵢ, Σ a Fᵢ² of the first term; the second; Σ b, Σ b Fᵢ of the third.
    let (mut a0, mut a1, mut a2, mut second, mut b0, mut b1) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    steps
        .iter()
        .zip(incidence)
        .map(|(step, f)| {
            let a = greenwood(step);
            (a0, a1, a2) = (a0 + a, a1 + a * f, a2 + a * f * f);
            second += step.survival_before.powi(2) * binomial(step);
            let b = step.survival_before * step.events / (step.at_risk * step.at_risk);
            (b0, b1) = (b0 + b, b1 + b * f);
            (f * f * a0 - 2.0 * f * a1 + a2 + second - 2.0 * (f * b0 - b1)).max(0.0)
        })
        .collect()
}

/// d / (n (n - d)); 0 where nobody is left, after which F does not move.
fn greenwood(step: &Step) -> f64 {
    let left = step.at_risk - step.any;
    if left > 0.0 { step.any / (step.at_risk * left) } else { 0.0 }
}

fn binomial(step: &Step) -> f64 {
    step.events * (step.at_risk - step.events) / step.at_risk.powi(3)
}

impl Incidence {
    /// F at `time`: 0 before the first event.
    pub fn at(&self, time: f64) -> f64 {
        self.index_at(time).map_or(0.0, |index| self.incidence[index])
    }

    fn index_at(&self, time: f64) -> Option<usize> {
        self.times.partition_point(|t| *t <= time).checked_sub(1)
    }

    /// F at `time` with its pointwise interval.
    pub fn interval_at(&self, time: f64, level: f64) -> Estimate {
        match self.index_at(time) {
            None => Estimate { value: 0.0, standard_error: 0.0, low: 0.0, high: 0.0 },
            Some(index) => {
                log_log_interval(self.incidence[index], self.variance[index].sqrt(), normal_critical(level))
            }
        }
    }

    /// The first time at which F reaches `share`; `None` where it never does.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let index = self.incidence.partition_point(|f| *f < share - 1e-12);
        self.times.get(index).copied()
    }

    /// The times between which the `share` quantile lies: where the upper and the lower end of the band reach it.
    /// An end is `None` where the band never does: the interval is open there.
    pub fn quantile_interval(&self, share: f64, level: f64) -> (Option<f64>, Option<f64>) {
        let z = normal_critical(level);
        let band = |index: usize| log_log_interval(self.incidence[index], self.variance[index].sqrt(), z);
        let reached = |end: fn(&Estimate) -> f64| {
            (0..self.times.len()).find(|i| end(&band(*i)) >= share - 1e-12).map(|i| self.times[i])
        };
        (reached(|e| e.high), reached(|e| e.low))
    }

    /// ∫₀^`limit` (1 - F) with the delta method's interval.
    pub fn restricted_mean(&self, limit: f64, level: f64) -> Estimate {
        let mut area = 0.0;
        let mut areas_before = Vec::with_capacity(self.times.len());
        let (mut from, mut level_before) = (0.0_f64, 0.0);
        for (time, f) in self.times.iter().zip(&self.incidence) {
            let until = time.clamp(0.0, limit);
            area += (until - from) * level_before;
            areas_before.push(area);
            (from, level_before) = (until, *f);
        }
        area += (limit - from) * level_before;
        // ∫F moves by S(tᵢ₋)(τ - tᵢ) with the hazard of the event and by -∫(F - F(tᵢ)) with that of any event.
        let mut variance = 0.0;
        for (index, step) in self.steps.iter().enumerate() {
            let left = limit - self.times[index];
            if left <= 0.0 {
                break;
            }
            let gain = step.survival_before * left;
            let loss = area - areas_before[index] - self.incidence[index] * left;
            let covariance = step.events / (step.at_risk * step.at_risk);
            variance +=
                gain * gain * binomial(step) + loss * loss * greenwood(step) - 2.0 * gain * loss * covariance;
        }
        Estimate::wald(limit - area, variance.max(0.0).sqrt(), level)
    }
}

/// An interval for `f` on the scale log(-log f), with `critical` standard errors on either side.
pub fn log_log_interval(f: f64, standard_error: f64, critical: f64) -> Estimate {
    if f <= 0.0 || f >= 1.0 {
        return Estimate { value: f, standard_error, low: f, high: f };
    }
    let transformed = (-f.ln()).ln();
    let reach = critical * standard_error / (f * f.ln().abs());
    let back = |x: f64| (-x.exp()).exp();
    Estimate { value: f, standard_error, low: back(transformed + reach), high: back(transformed - reach) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(codes: &[u8]) -> Vec<End> {
        codes.iter().map(|c| [End::Censored, End::Event, End::Competing][*c as usize]).collect()
    }

    #[test]
    fn without_censoring_the_curve_is_a_share_with_a_share_s_variance() {
        let times = [1.0, 2.0, 2.0, 3.0, 4.0];
        let curve = aalen_johansen(&times, &ends(&[1, 1, 2, 1, 2])).unwrap();
        assert!((curve.at(3.0) - 0.6).abs() < 1e-12);
        let variance = curve.variance[curve.index_at(3.0).unwrap()];
        assert!((variance - 0.6 * 0.4 / 5.0).abs() < 1e-12, "{variance}");
        assert_eq!(curve.at(0.5), 0.0);
    }

    #[test]
    fn without_censoring_the_restricted_mean_is_a_mean_with_a_mean_s_variance() {
        let times = [1.0, 2.0, 2.0, 3.0, 4.0, 9.0];
        let curve = aalen_johansen(&times, &ends(&[1, 1, 2, 1, 2, 1])).unwrap();
        // Competing ends wait until the limit; so does what comes after it.
        let waits = [1.0, 2.0, 5.0, 3.0, 5.0, 5.0];
        let mean = waits.iter().sum::<f64>() / 6.0;
        let variance = waits.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / 36.0;
        let found = curve.restricted_mean(5.0, 0.95);
        assert!((found.value - mean).abs() < 1e-12);
        assert!((found.standard_error.powi(2) - variance).abs() < 1e-12);
    }

    #[test]
    fn an_arm_in_which_nothing_happens_has_no_median() {
        let curve = aalen_johansen(&[1.0, 2.0], &ends(&[0, 0])).unwrap();
        assert_eq!(curve.quantile(0.5), None);
        assert_eq!(curve.quantile_interval(0.5, 0.95), (None, None));
        assert_eq!(curve.restricted_mean(5.0, 0.95).value, 5.0);
        assert_eq!(aalen_johansen(&[], &[]), None);
    }
}
