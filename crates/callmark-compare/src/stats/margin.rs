//! "As good as": non-inferiority and equivalence against a declared margin, and what the data could have seen.
//!
//! Difference of means with unequal variances (Welch 1947); equivalence by two one-sided tests (Schuirmann 1987);
//! power and minimum detectable difference by the normal approximation. That a difference is not significant is
//! nowhere taken for equality.

use super::distributions::{normal_cdf, normal_critical, normal_quantile, t_quantile, t_upper_tail};
use serde::Serialize;

/// Count, mean and sample variance of a group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moments {
    /// How many values.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Their variance with n - 1.
    pub variance: f64,
}

impl Moments {
    /// Of `values`; `None` for fewer than two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Some(Self { count, mean, variance })
    }
}

/// A difference with the standard error and degrees of freedom that tests of it need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// First less second.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Degrees of freedom of its t distribution; infinite for a normal one.
    pub degrees: f64,
}

impl Difference {
    /// Welch's difference of means; `None` where neither group varies.
    pub fn welch(first: Moments, second: Moments) -> Option<Self> {
        let (a, b) = (first.variance / first.count, second.variance / second.count);
        let variance = a + b;
        if variance <= 0.0 {
            return None;
        }
        let degrees = variance * variance / (a * a / (first.count - 1.0) + b * b / (second.count - 1.0));
        Some(Self { value: first.mean - second.mean, standard_error: variance.sqrt(), degrees })
    }

    /// One with a normal distribution.
    pub fn normal(value: f64, standard_error: f64) -> Self {
        Self { value, standard_error, degrees: f64::INFINITY }
    }

    fn upper_tail(&self, t: f64) -> f64 {
        if self.degrees.is_finite() { t_upper_tail(t, self.degrees) } else { normal_cdf(-t) }
    }

    fn critical(&self, level: f64) -> f64 {
        if self.degrees.is_finite() {
            t_quantile(0.5 + level / 2.0, self.degrees)
        } else {
            normal_critical(level)
        }
    }

    /// The two-sided interval.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let reach = self.critical(level) * self.standard_error;
        (self.value - reach, self.value + reach)
    }

    /// One-sided p-value of "the first is worse by `margin` or more", larger being better.
    pub fn non_inferiority_p(&self, margin: f64) -> f64 {
        self.upper_tail((self.value + margin) / self.standard_error)
    }

    /// One-sided p-value of "the first is better by `margin` or more".
    pub fn non_superiority_p(&self, margin: f64) -> f64 {
        self.upper_tail((margin - self.value) / self.standard_error)
    }

    /// P-value of equivalence within ± `margin`: the larger of the two one-sided ones.
    pub fn equivalence_p(&self, margin: f64) -> f64 {
        self.non_inferiority_p(margin).max(self.non_superiority_p(margin))
    }

    /// The smallest true difference that a two-sided test at 1 - `level` finds with probability `power`.
    pub fn minimum_detectable(&self, level: f64, power: f64) -> f64 {
        (normal_critical(level) + normal_quantile(power)) * self.standard_error
    }

    /// The probability that a two-sided test at 1 - `level` finds a true difference of `effect`.
    pub fn power(&self, effect: f64, level: f64) -> f64 {
        let z = normal_critical(level);
        let shift = effect.abs() / self.standard_error;
        normal_cdf(shift - z) + normal_cdf(-shift - z)
    }

    /// The probability that non-inferiority within `margin` is shown at one-sided `alpha` when nothing differs.
    pub fn non_inferiority_power(&self, margin: f64, alpha: f64) -> f64 {
        normal_cdf(margin / self.standard_error - normal_quantile(1.0 - alpha))
    }
}

/// What a comparison against a margin found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies within ± margin.
    Equivalent,
    /// Not worse by the margin, and the interval lies above 0.
    Better,
    /// Not worse by the margin.
    NotWorse,
    /// The whole interval lies below -margin.
    Worse,
    /// The data do not tell.
    CannotTell,
}

/// Reads a two-sided interval of level 1 - 2 `alpha` (for one-sided tests at `alpha`) against ± `margin`.
pub fn verdict(low: f64, high: f64, margin: f64) -> Verdict {
    if low > -margin && high < margin {
        Verdict::Equivalent
    } else if low > 0.0 {
        Verdict::Better
    } else if low > -margin {
        Verdict::NotWorse
    } else if high < -margin {
        Verdict::Worse
    } else {
        Verdict::CannotTell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_interval_around_zero_is_no_equality() {
        assert_eq!(verdict(-0.9, 0.9, 0.3), Verdict::CannotTell);
        assert_eq!(verdict(-0.1, 0.1, 0.3), Verdict::Equivalent);
        assert_eq!(verdict(-0.1, 0.5, 0.3), Verdict::NotWorse);
        assert_eq!(verdict(-0.9, -0.4, 0.3), Verdict::Worse);
        assert_eq!(verdict(0.1, 0.9, 0.3), Verdict::Better);
    }

    #[test]
    fn the_minimum_detectable_difference_is_found_with_its_power() {
        let difference = Difference::normal(0.0, 0.2);
        let detectable = difference.minimum_detectable(0.95, 0.8);
        assert!((difference.power(detectable, 0.95) - 0.8).abs() < 1e-5);
    }
}
