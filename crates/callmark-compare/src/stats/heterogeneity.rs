//! Whether an effect is the same in all segments: Cochran's Q and the share of variation beyond chance, I²
//! (Cochran 1954; Higgins & Thompson 2002).

use super::estimate::Estimate;
use statrs::function::gamma::gamma_ur;

/// What the estimates of several segments say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heterogeneity {
    /// Σ w (x - x̄)², w = 1 / variance.
    pub q: f64,
    /// Segments less one.
    pub degrees: f64,
    /// P-value of "the effect is the same in all".
    pub p_value: f64,
    /// Share of the variation that is not chance, 0 to 1.
    pub i_squared: f64,
}

/// Compares the estimates of independent segments; `None` for fewer than two that have a standard error.
pub fn heterogeneity(estimates: &[Estimate]) -> Option<Heterogeneity> {
    let weight = |e: &Estimate| 1.0 / e.standard_error.powi(2);
    let usable: Vec<&Estimate> =
        estimates.iter().filter(|e| e.standard_error > 0.0 && e.value.is_finite()).collect();
    if usable.len() < 2 {
        return None;
    }
    let total: f64 = usable.iter().map(|e| weight(e)).sum();
    let centre = usable.iter().map(|e| weight(e) * e.value).sum::<f64>() / total;
    let q: f64 = usable.iter().map(|e| weight(e) * (e.value - centre).powi(2)).sum();
    let degrees = (usable.len() - 1) as f64;
    // The upper tail of chi-squared.
    let p_value = if q > 0.0 { gamma_ur(degrees / 2.0, q / 2.0) } else { 1.0 };
    let i_squared = if q > 0.0 { ((q - degrees) / q).max(0.0) } else { 0.0 };
    Some(Heterogeneity { q, degrees, p_value, i_squared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_segments_do_not_differ_and_unlike_ones_do() {
        let at = |value| Estimate::wald(value, 0.1, 0.95);
        let alike = heterogeneity(&[at(0.2), at(0.2)]).unwrap();
        assert!(alike.q < 1e-12 && alike.p_value > 0.999 && alike.i_squared == 0.0);
        let unlike = heterogeneity(&[at(0.0), at(1.0), at(-1.0)]).unwrap();
        assert!((unlike.q - 200.0).abs() < 1e-9 && unlike.p_value < 1e-12 && unlike.i_squared > 0.98);
        assert_eq!(heterogeneity(&[at(0.2)]), None);
    }
}
