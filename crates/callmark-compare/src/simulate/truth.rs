//! What is true of a scenario: of the calls of one data set, and exactly, of all calls that it could have.
//!
//! A study that asks for a bias below 2 % of an effect near 0 cannot take that effect from a sample. The model of a call
//! is simple enough to integrate: minutes are log-normal, sentiment is normal given the customer, outcomes are coin flips
//! whose probability is linear in the customer's mood.

use super::model::{
    DURATION_MS, ISSUE_SHARES, LANGUAGE_SHARES, MOOD_SPREAD, PACE_SPREAD, Potential, SENTIMENT, Scenario,
    SimulatedCall, escalation,
};
use crate::stats::distributions::{normal_cdf, normal_density};

/// Panels of the integral over customers' moods; the integrand is smooth, so Simpson's rule is exact to rounding.
const PANELS: u32 = 64;

/// The outcomes of one call in one arm: share resolved, minutes until resolved with calls that are not counted as
/// `limit_minutes`, sentiment.
pub fn outcomes(potential: &Potential, limit_minutes: f64) -> [f64; 3] {
    let minutes = potential.end_ms as f64 / 60_000.0;
    let resolved = potential.ended.is_resolved();
    let waited = if resolved { minutes.min(limit_minutes) } else { limit_minutes };
    [f64::from(resolved), waited, potential.sentiment]
}

/// The average effects over these calls, AI less human; not numbers where there are none.
pub fn sample_effects(calls: impl Iterator<Item = SimulatedCall>, limit_minutes: f64) -> [f64; 3] {
    let (mut sums, mut count) = ([0.0; 3], 0.0);
    for call in calls {
        let [human, ai] = call.potential.map(|p| outcomes(&p, limit_minutes));
        for (sum, (a, h)) in sums.iter_mut().zip(ai.iter().zip(human)) {
            *sum += a - h;
        }
        count += 1.0;
    }
    sums.map(|sum| sum / count)
}

/// The expected outcomes of a call of one issue in one arm, exactly but for the cut of times to whole milliseconds.
pub fn expected_outcomes(scenario: &Scenario, issue: usize, ai: bool, limit_minutes: f64) -> [f64; 3] {
    let resolved = scenario.resolved(issue, ai);
    let handed_over = if ai { escalation(issue) } else { 0.0 };
    let longest = limit_minutes.min(DURATION_MS.1 / 60_000.0);
    let minutes = |escalates: bool| {
        let mean = scenario.log_minutes(issue, ai, escalates);
        clamped_log_normal(mean, PACE_SPREAD, (DURATION_MS.0 / 60_000.0, longest))
    };
    let settled = handed_over * minutes(true) + (1.0 - handed_over) * minutes(false);
    let waited = resolved * settled + (1.0 - resolved) * limit_minutes;
    let centre = scenario.sentiment(issue, ai);
    let sentiment =
        over_moods(|mood| clamped_normal(centre + scenario.customer_spread * mood, MOOD_SPREAD, SENTIMENT));
    [resolved, waited, sentiment]
}

/// The average effect on the share of calls whose customer comes back within so many days, AI less human, over these calls.
pub fn sample_return_effect(calls: impl Iterator<Item = SimulatedCall>, days: i64) -> f64 {
    let within = |p: &Potential| f64::from(p.back_ms.is_some_and(|ms| ms <= days * 86_400_000));
    let (mut sum, mut count) = (0.0, 0.0);
    for call in calls {
        let [human, ai] = call.potential.each_ref().map(within);
        (sum, count) = (sum + ai - human, count + 1.0);
    }
    sum / count
}

/// The average effects over all calls that the scenario could have, AI less human; for scenarios in which agents are alike
/// and handoffs tell nothing about the call beyond its issue ([`Scenario::is_exact`]).
pub fn exact_effects(scenario: &Scenario, limit_minutes: f64) -> [f64; 3] {
    let mut effects = [0.0; 3];
    for (issue, share) in ISSUE_SHARES.iter().enumerate() {
        let [human, ai] = [false, true].map(|ai| expected_outcomes(scenario, issue, ai, limit_minutes));
        for (effect, (a, h)) in effects.iter_mut().zip(ai.iter().zip(human)) {
            *effect += share * (a - h);
        }
    }
    effects
}

/// The expected outcomes of the calls that go to one arm.
pub fn exact_means_of_arm(scenario: &Scenario, ai: bool, limit_minutes: f64) -> [f64; 3] {
    let (mut sums, mut total) = ([0.0; 3], 0.0);
    for (issue, issue_share) in ISSUE_SHARES.iter().enumerate() {
        for (language, language_share) in LANGUAGE_SHARES.iter().enumerate() {
            let to_ai = scenario.propensity([issue, 0, language]);
            let weight = issue_share * language_share * if ai { to_ai } else { 1.0 - to_ai };
            let expected = expected_outcomes(scenario, issue, ai, limit_minutes);
            sums.iter_mut().zip(expected).for_each(|(sum, value)| *sum += weight * value);
            total += weight;
        }
    }
    sums.map(|sum| sum / total)
}

/// E min(max(X, low), high) of a log-normal X.
fn clamped_log_normal(mean: f64, spread: f64, (low, high): (f64, f64)) -> f64 {
    let z = |x: f64| (x.ln() - mean) / spread;
    let inside = normal_cdf(z(high) - spread) - normal_cdf(z(low) - spread);
    low * normal_cdf(z(low)) + (mean + spread * spread / 2.0).exp() * inside + high * normal_cdf(-z(high))
}

/// E min(max(X, low), high) of a normal X.
fn clamped_normal(mean: f64, spread: f64, (low, high): (f64, f64)) -> f64 {
    let (a, b) = ((low - mean) / spread, (high - mean) / spread);
    mean * (normal_cdf(b) - normal_cdf(a)) - spread * (normal_density(b) - normal_density(a))
        + low * normal_cdf(a)
        + high * normal_cdf(-b)
}

/// The mean of `value` over customers' moods, which are uniform with variance 1.
fn over_moods(value: impl Fn(f64) -> f64) -> f64 {
    let end = 3.0_f64.sqrt();
    let sum: f64 = (0..=PANELS)
        .map(|i| {
            let weight = if i == 0 || i == PANELS { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            weight * value(end * (2.0 * f64::from(i) / f64::from(PANELS) - 1.0))
        })
        .sum();
    sum / (3.0 * f64::from(PANELS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::draw;

    #[test]
    fn a_large_sample_has_the_exact_effects_to_chance() {
        let calls = 200_000;
        for scenario in Scenario::ALL.iter().filter(|s| s.calls_made(u64::MAX) > calls && s.is_exact()) {
            let exact = exact_effects(scenario, 30.0);
            let found = sample_effects((0..calls).map(|i| draw(scenario, 1, calls, i)), 30.0);
            // Four standard errors of a share's, a wait's and a clamped score's effect.
            for ((exact, found), chance) in exact.iter().zip(found).zip([0.003, 0.1, 1e-4]) {
                assert!((exact - found).abs() < chance, "{}: {exact} {found}", scenario.name);
            }
        }
    }

    #[test]
    fn the_effects_are_what_the_scenario_says() {
        let effects = exact_effects(&Scenario::ALL[0], 30.0);
        assert!((effects[0] + 0.05).abs() < 1e-9 && (effects[2] + 0.2).abs() < 1e-4, "{effects:?}");
        let none = exact_effects(&Scenario::named("exact-null").unwrap(), 30.0);
        assert!(none.iter().all(|effect| effect.abs() < 1e-9), "{none:?}");
    }

    #[test]
    fn the_calls_of_an_arm_are_not_those_of_all() {
        let scenario = Scenario::ALL[0];
        let calls = 100_000;
        let (mut sum, mut count) = (0.0, 0.0);
        for call in (0..calls).map(|i| draw(&scenario, 4, calls, i)).filter(|c| c.ai) {
            (sum, count) = (sum + outcomes(&call.happened(), 30.0)[0], count + 1.0);
        }
        assert!((sum / count - exact_means_of_arm(&scenario, true, 30.0)[0]).abs() < 0.007);
    }
}
