//! A number with its interval: what every estimator hands over.

use super::distributions::{normal_cdf, normal_critical};
use serde::Serialize;

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
    /// The interval that a normal distribution gives: `value` ± z × `standard_error`.
    pub fn wald(value: f64, standard_error: f64, level: f64) -> Self {
        let reach = normal_critical(level) * standard_error;
        Self { value, standard_error, low: value - reach, high: value + reach }
    }

    /// Two-sided p-value of "the value is `null`", by the normal distribution.
    pub fn p_value(&self, null: f64) -> f64 {
        let z = ((self.value - null) / self.standard_error).abs();
        2.0 * normal_cdf(-z)
    }

    /// Cut to what it can be: the value and the ends, not the error.
    #[must_use]
    pub fn clamped(self, least: f64, most: f64) -> Self {
        let cut = |x: f64| x.clamp(least, most);
        Self { value: cut(self.value), low: cut(self.low), high: cut(self.high), ..self }
    }
}
