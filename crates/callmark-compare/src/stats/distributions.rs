//! The normal distribution, as the other modules need it: thin names over `statrs`.

use statrs::function::erf::{erfc, erfc_inv};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_turn_distribution_functions_around() {
        for p in [0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999] {
            assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-12);
        }
        assert!((normal_critical(0.95) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
