//! A number with its interval: what every estimator hands over.

use super::distributions::{normal_cdf, normal_critical};
use serde::Serialize;

/// An error below this share of the value, or of 1, is what rounding leaves of none.
const ROUNDING: f64 = 1e-9;

/// Whether `standard_error` of `value` is more than rounding: values that are all alike show no error, which does not make
/// them sure.
pub fn is_told(value: f64, standard_error: f64) -> bool {
    standard_error > ROUNDING * value.abs().max(1.0)
}

/// An estimate with a confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error; not finite where there is none.
    pub standard_error: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// The interval that a normal distribution gives: `value` ± z × `standard_error`; its ends are not numbers where the
    /// error is not more than rounding ([`is_told`]).
    pub fn wald(value: f64, standard_error: f64, level: f64) -> Self {
        let told = is_told(value, standard_error);
        let reach = if told { normal_critical(level) * standard_error } else { f64::NAN };
        Self { value, standard_error, low: value - reach, high: value + reach }
    }

    /// Two-sided p-value of "the value is `null`", by the normal distribution.
    pub fn p_value(&self, null: f64) -> f64 {
        let z = ((self.value - null) / self.standard_error).abs();
        2.0 * normal_cdf(-z)
    }

    /// Whether it has an interval.
    pub fn has_interval(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    /// With error and interval `factor` times as wide.
    #[must_use]
    pub fn widened(self, factor: f64) -> Self {
        let wide = |end: f64| self.value + factor * (end - self.value);
        Self {
            standard_error: factor * self.standard_error,
            low: wide(self.low),
            high: wide(self.high),
            ..self
        }
    }

    /// Cut to what it can be: the value and the ends, not the error.
    #[must_use]
    pub fn clamped(self, least: f64, most: f64) -> Self {
        let cut = |x: f64| x.clamp(least, most);
        Self { value: cut(self.value), low: cut(self.low), high: cut(self.high), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_leaves_of_an_error_is_no_interval() {
        assert!(!Estimate::wald(0.0, 0.0, 0.95).has_interval());
        assert!(!Estimate::wald(0.5, 2e-18, 0.95).has_interval());
        assert!(!Estimate::wald(0.5, f64::NAN, 0.95).has_interval());
        assert!(Estimate::wald(0.5, 1e-4, 0.95).has_interval());
    }

    #[test]
    fn a_widened_interval_is_as_lopsided_as_it_was() {
        let estimate = Estimate { value: 1.0, standard_error: 1.0, low: -1.0, high: 2.0 };
        let wide = estimate.widened(2.0);
        assert_eq!((wide.value, wide.standard_error, wide.low, wide.high), (1.0, 2.0, -3.0, 3.0));
    }
}
