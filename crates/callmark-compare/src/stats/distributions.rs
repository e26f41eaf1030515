//! The normal and Student's t distribution, as the other modules need them.
//!
//! Thin names over `statrs`, which has no closed quantile for t; that one is found by bisection on the distribution
//! function, which is exact to the last bits and quick enough for what is computed once a report.

use statrs::function::beta::beta_reg;
use statrs::function::erf::{erfc, erfc_inv};

/// Steps of bisection: each halves the bracket, so this is below the resolution of an `f64`.
const BISECTION_STEPS: u32 = 200;
/// Largest |t| that is looked at.
const LARGEST_T: f64 = 1e12;

/// P(Z ≤ x) of the standard normal distribution.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// The density of the standard normal distribution at `x`.
pub fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The `p` quantile of the standard normal distribution; infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    let start = -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p);
    if !start.is_finite() {
        return start;
    }
    // One Newton step takes off what the rational approximation of the inverse leaves.
    let density = normal_density(start);
    if density > 0.0 { start - (normal_cdf(start) - p) / density } else { start }
}

/// The two-sided critical value of the standard normal distribution: 1.96 for `level` 0.95.
pub fn normal_critical(level: f64) -> f64 {
    normal_quantile(0.5 + level / 2.0)
}

/// P(T ≤ t) of Student's distribution with `degrees` of freedom.
pub fn t_cdf(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() {
        return if t > 0.0 { 1.0 } else { 0.0 };
    }
    let tail = 0.5 * beta_reg(degrees / 2.0, 0.5, degrees / (degrees + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// P(T > t), accurate in the tail.
pub fn t_upper_tail(t: f64, degrees: f64) -> f64 {
    t_cdf(-t, degrees)
}

/// The `p` quantile of Student's distribution with `degrees` of freedom.
pub fn t_quantile(p: f64, degrees: f64) -> f64 {
    if p < 0.5 {
        return -t_quantile(1.0 - p, degrees);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while t_cdf(high, degrees) < p && high < LARGEST_T {
        high *= 2.0;
    }
    for _ in 0..BISECTION_STEPS {
        let middle = 0.5 * (low + high);
        if t_cdf(middle, degrees) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_turn_distribution_functions_around() {
        for p in [0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999] {
            assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-12);
            assert!((t_cdf(t_quantile(p, 3.5), 3.5) - p).abs() < 1e-10);
        }
        assert!((normal_critical(0.95) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
