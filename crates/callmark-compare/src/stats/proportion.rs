//! Shares with intervals that hold for small counts and near 0 and 1.
//!
//! Wilson (1927), "Probable inference, the law of succession, and statistical inference". Clustered calls carry less
//! information than their number says: the interval is Wilson's with the effective number n / design effect (Korn &
//! Graubard 1998). Differences of shares: Newcombe's hybrid score interval (1998, "Interval estimation for the difference
//! between independent proportions", method 10), which is made of both Wilson intervals and has a width also where all
//! calls of an arm are alike; with the correlation of the two shares (its method for paired data) where calls of one
//! cluster are in both arms.

use super::distributions::normal_critical;
use super::estimate::{Estimate, is_told};

/// The share `successes / trials` with Wilson's interval; `None` without trials.
pub fn wilson(successes: f64, trials: f64, level: f64) -> Option<Estimate> {
    if trials <= 0.0 {
        return None;
    }
    wilson_of_share(successes / trials, trials, level)
}

/// Wilson's interval of `share` as if it came from `effective` independent trials.
pub fn wilson_of_share(share: f64, effective: f64, level: f64) -> Option<Estimate> {
    if effective <= 0.0 || !share.is_finite() {
        return None;
    }
    let z = normal_critical(level);
    let scale = 1.0 + z * z / effective;
    let centre = (share + z * z / (2.0 * effective)) / scale;
    let reach =
        z / scale * (share * (1.0 - share) / effective + z * z / (4.0 * effective * effective)).sqrt();
    let low = if share <= 0.0 { 0.0 } else { (centre - reach).max(0.0) };
    let high = if share >= 1.0 { 1.0 } else { (centre + reach).min(1.0) };
    Some(Estimate { value: share, standard_error: (share * (1.0 - share) / effective).sqrt(), low, high })
}

/// Wilson's interval of a share whose clusters give it `standard_error`: the design effect is the variance over that
/// of independent trials, and not taken below 1.
pub fn wilson_clustered(successes: f64, trials: f64, standard_error: f64, level: f64) -> Option<Estimate> {
    let independent = wilson(successes, trials, level)?;
    let design_effect = (standard_error / independent.standard_error).powi(2);
    if !design_effect.is_finite() || design_effect <= 1.0 {
        return Some(independent);
    }
    wilson_of_share(independent.value, trials / design_effect, level)
}

/// One of two shares that are set against each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// The share; beyond 0 or 1 where an adjustment put it there.
    pub share: f64,
    /// The error that its clusters give it.
    pub standard_error: f64,
    /// Independent trials that it counts as where all of them are alike, which hides its error.
    pub trials: f64,
}

impl Arm {
    /// Wilson's interval with the effective number of trials that the error stands for.
    pub fn wilson(self, level: f64) -> Option<Estimate> {
        let share = self.share.clamp(0.0, 1.0);
        let of_error = share * (1.0 - share) / self.standard_error.powi(2);
        let told = is_told(share, self.standard_error) && of_error > 0.0;
        wilson_of_share(share, if told { of_error } else { self.trials }, level)
    }
}

/// The difference first − second with Newcombe's hybrid interval; `standard_error` is that of the difference, from which
/// the shares' correlation follows. `None` for an arm without trials.
pub fn newcombe(first: Arm, second: Arm, standard_error: f64, level: f64) -> Option<Estimate> {
    let (a, b) = (first.wilson(level)?, second.wilson(level)?);
    let errors = first.standard_error * second.standard_error;
    let squares = first.standard_error.powi(2) + second.standard_error.powi(2);
    let correlation = (squares - standard_error.powi(2)) / (2.0 * errors);
    let both = is_told(0.0, first.standard_error) && is_told(0.0, second.standard_error);
    let correlation = if both && correlation.is_finite() { correlation.clamp(-1.0, 1.0) } else { 0.0 };
    let reach = |x: f64, y: f64| (x * x + y * y - 2.0 * correlation * x * y).max(0.0).sqrt();
    let value = first.share - second.share;
    let found = Estimate {
        value,
        standard_error,
        low: value - reach(a.value - a.low, b.high - b.value),
        high: value + reach(a.high - a.value, b.value - b.low),
    };
    Some(found.clamped(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(successes: f64, trials: f64) -> Arm {
        let share = successes / trials;
        Arm { share, standard_error: (share * (1.0 - share) / trials).sqrt(), trials }
    }

    fn difference(first: Arm, second: Arm) -> Estimate {
        newcombe(first, second, first.standard_error.hypot(second.standard_error), 0.95).unwrap()
    }

    #[test]
    fn the_published_example_of_a_difference_comes_out() {
        // Newcombe 1998, table II, method 10: 56/70 − 48/80 is 0.0524 to 0.3339, 10/10 − 0/20 is 0.6791 to 1.
        let found = difference(arm(56.0, 70.0), arm(48.0, 80.0));
        assert!((found.low - 0.0524).abs() < 5e-5 && (found.high - 0.3339).abs() < 5e-5, "{found:?}");
        let found = difference(arm(10.0, 10.0), arm(0.0, 20.0));
        assert!((found.low - 0.6791).abs() < 5e-5 && found.high == 1.0, "{found:?}");
    }

    #[test]
    fn arms_that_are_all_alike_have_an_interval_all_the_same() {
        let found = difference(arm(30.0, 30.0), arm(30.0, 30.0));
        assert!(found.value == 0.0 && found.low < -0.1 && found.high > 0.1, "{found:?}");
        assert_eq!(
            newcombe(arm(1.0, 2.0), Arm { share: 0.0, standard_error: 0.0, trials: 0.0 }, 0.1, 0.95),
            None
        );
    }

    #[test]
    fn of_many_calls_it_is_the_interval_of_the_difference_s_own_error() {
        let (first, second) = (arm(30_000.0, 100_000.0), arm(20_000.0, 100_000.0));
        let error = 0.7 * first.standard_error.hypot(second.standard_error);
        let (found, wald) = (newcombe(first, second, error, 0.95).unwrap(), Estimate::wald(0.1, error, 0.95));
        assert!((found.low - wald.low).abs() < 2e-5 && (found.high - wald.high).abs() < 2e-5, "{found:?}");
    }

    #[test]
    fn an_interval_stays_inside_0_and_1_and_holds_its_share() {
        for (successes, trials) in [(0.0, 3.0), (3.0, 3.0), (1.0, 2.0), (0.0, 1e6), (7.0, 9.0)] {
            let share = wilson(successes, trials, 0.95).unwrap();
            assert!(share.low >= 0.0 && share.high <= 1.0);
            assert!(share.low <= share.value && share.value <= share.high);
        }
        assert_eq!(wilson(0.0, 0.0, 0.95), None);
    }

    #[test]
    fn clusters_widen_an_interval_and_never_narrow_it() {
        let independent = wilson(30.0, 100.0, 0.95).unwrap();
        let clustered = wilson_clustered(30.0, 100.0, 2.0 * independent.standard_error, 0.95).unwrap();
        assert!(clustered.high - clustered.low > 1.8 * (independent.high - independent.low));
        let lucky = wilson_clustered(30.0, 100.0, 0.1 * independent.standard_error, 0.95).unwrap();
        assert_eq!(lucky, independent);
    }
}
