//! What could overturn a finding: a confounder that nobody measured, or an average that hides its parts.
//!
//! E-value: VanderWeele & Ding (2017), "Sensitivity analysis in observational research". Simpson's paradox: raw and
//! adjusted differ in sign, and both are more than noise.

use super::estimate::Estimate;
use serde::Serialize;

/// How strongly an unmeasured confounder would have to go with both the arm and the outcome, as risk ratios, to explain
/// a finding away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EValue {
    /// For the estimate itself.
    pub estimate: f64,
    /// For the end of the interval that is closer to no effect; 1 where the interval holds no effect.
    pub interval: f64,
}

/// E-value of a risk ratio with its interval.
pub fn e_value(ratio: f64, low: f64, high: f64) -> EValue {
    let of = |ratio: f64| {
        let ratio = if ratio < 1.0 { 1.0 / ratio } else { ratio };
        ratio + (ratio * (ratio - 1.0)).sqrt()
    };
    let nearest = if low <= 1.0 && high >= 1.0 {
        1.0
    } else if low > 1.0 {
        low
    } else {
        high
    };
    EValue { estimate: of(ratio), interval: of(nearest) }
}

/// E-value of a difference of means in units of the outcome's `standard_deviation`, by the approximation
/// RR ≈ exp(0.91 d).
pub fn e_value_of_difference(difference: &Estimate, standard_deviation: f64) -> Option<EValue> {
    if standard_deviation <= 0.0 {
        return None;
    }
    let ratio = |x: f64| (0.91 * x / standard_deviation).exp();
    Some(e_value(ratio(difference.value), ratio(difference.low), ratio(difference.high)))
}

/// How raw and adjusted differences go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both point the same way, or neither is more than noise.
    Agree,
    /// They point in opposite directions, but one of the intervals holds 0.
    Unclear,
    /// They point in opposite directions and both intervals exclude 0: Simpson's paradox.
    Reversed,
    /// The raw difference excludes 0 and the adjusted one does not.
    Vanishes,
}

/// Compares a raw difference with an adjusted one.
pub fn direction(raw: &Estimate, adjusted: &Estimate) -> Direction {
    let clear = |e: &Estimate| e.low > 0.0 || e.high < 0.0;
    let opposite = raw.value * adjusted.value < 0.0;
    match (clear(raw), clear(adjusted)) {
        (true, true) if opposite => Direction::Reversed,
        (true, false) => Direction::Vanishes,
        _ if opposite && (clear(raw) || clear(adjusted)) => Direction::Unclear,
        _ => Direction::Agree,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_comes_out() {
        // VanderWeele & Ding 2017: RR 3.9 (1.8 to 8.7) has E-values 7.26 and 3.0.
        let found = e_value(3.9, 1.8, 8.7);
        assert!((found.estimate - 7.26).abs() < 0.01 && (found.interval - 3.0).abs() < 0.01);
        assert_eq!(e_value(0.8, 0.5, 1.2).interval, 1.0);
    }

    #[test]
    fn a_reversal_is_told_from_noise() {
        let estimate = |value, low, high| Estimate { value, standard_error: 0.1, low, high };
        let up = estimate(0.3, 0.1, 0.5);
        assert_eq!(direction(&up, &estimate(-0.3, -0.5, -0.1)), Direction::Reversed);
        assert_eq!(direction(&up, &estimate(-0.1, -0.3, 0.1)), Direction::Vanishes);
        assert_eq!(direction(&up, &estimate(0.2, 0.1, 0.3)), Direction::Agree);
        assert_eq!(direction(&estimate(0.1, -0.1, 0.3), &estimate(-0.3, -0.5, -0.1)), Direction::Unclear);
    }
}
