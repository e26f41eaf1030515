//! "As good as": non-inferiority and equivalence against a declared margin, and what the data could have seen.
//!
//! Equivalence by two one-sided tests (Schuirmann 1987); power and minimum detectable difference by the normal
//! approximation. That a difference is not significant is nowhere taken for equality. The verdict reads the very interval
//! that is shown beside it, and says of either arm what it would say of the other with the arms swapped.

use super::distributions::{normal_cdf, normal_critical, normal_quantile};
use serde::Serialize;

/// A difference with the standard error that tests of it need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// First less second.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

impl Difference {
    /// One-sided p-value of "the first is worse by `margin` or more", larger being better.
    pub fn non_inferiority_p(&self, margin: f64) -> f64 {
        normal_cdf(-(self.value + margin) / self.standard_error)
    }

    /// One-sided p-value of "the first is better by `margin` or more".
    pub fn non_superiority_p(&self, margin: f64) -> f64 {
        normal_cdf(-(margin - self.value) / self.standard_error)
    }

    /// P-value of equivalence within ± `margin`: the larger of the two one-sided ones.
    pub fn equivalence_p(&self, margin: f64) -> f64 {
        self.non_inferiority_p(margin).max(self.non_superiority_p(margin))
    }

    /// The smallest true difference that a two-sided test at 1 - `level` finds with probability `power`.
    pub fn minimum_detectable(&self, level: f64, power: f64) -> f64 {
        (normal_critical(level) + normal_quantile(power)) * self.standard_error
    }

    /// The probability that non-inferiority within `margin` is shown at one-sided `alpha` when nothing differs.
    pub fn non_inferiority_power(&self, margin: f64, alpha: f64) -> f64 {
        normal_cdf(margin / self.standard_error - normal_quantile(1.0 - alpha))
    }
}

/// How large a difference is that is there, beside the margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// The whole interval lies within the margin.
    BelowMargin,
    /// The margin lies in the interval.
    Unclear,
    /// The whole interval lies beyond the margin.
    BeyondMargin,
}

/// What a comparison against a margin found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies above 0.
    Better(Size),
    /// The interval lies below 0.
    Worse(Size),
    /// The interval holds 0 and lies within ± margin.
    Equivalent,
    /// The interval holds 0 and lies above -margin only.
    NotWorse,
    /// The interval holds 0 and lies below margin only.
    NotBetter,
    /// The data do not tell.
    CannotTell,
}

/// Reads an interval against ± `margin`. An end that is not a number tells nothing.
pub fn verdict(low: f64, high: f64, margin: f64) -> Verdict {
    let size = |nearest: f64, furthest: f64| {
        if furthest < margin {
            Size::BelowMargin
        } else if nearest > margin {
            Size::BeyondMargin
        } else {
            Size::Unclear
        }
    };
    match (low > -margin, high < margin) {
        _ if low.is_nan() || high.is_nan() => Verdict::CannotTell,
        _ if low > 0.0 => Verdict::Better(size(low, high)),
        _ if high < 0.0 => Verdict::Worse(size(-high, -low)),
        (true, true) => Verdict::Equivalent,
        (true, false) => Verdict::NotWorse,
        (false, true) => Verdict::NotBetter,
        (false, false) => Verdict::CannotTell,
    }
}

impl Verdict {
    /// In words, of the first of two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better(Size::BelowMargin) => "better, by less than the margin",
            Self::Better(Size::Unclear) => "better; whether by more than the margin cannot be told",
            Self::Better(Size::BeyondMargin) => "better by more than the margin",
            Self::Worse(Size::BelowMargin) => "worse, by less than the margin",
            Self::Worse(Size::Unclear) => "worse; whether by more than the margin cannot be told",
            Self::Worse(Size::BeyondMargin) => "worse by more than the margin",
            Self::Equivalent => "equivalent within the margin",
            Self::NotWorse => "not worse than the margin allows; whether better cannot be told",
            Self::NotBetter => "not better by more than the margin; whether worse cannot be told",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// What [`verdict`] says with the arms swapped.
#[cfg(test)]
fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Better(size) => Verdict::Worse(size),
        Verdict::Worse(size) => Verdict::Better(size),
        Verdict::NotWorse => Verdict::NotBetter,
        Verdict::NotBetter => Verdict::NotWorse,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    #[test]
    fn a_verdict_is_what_its_interval_says() {
        for (low, high, wanted) in [
            (-0.9, 0.9, Verdict::CannotTell),
            (-0.1, 0.1, Verdict::Equivalent),
            (-0.1, 0.5, Verdict::NotWorse),
            (-0.9, -0.4, Verdict::Worse(Size::BeyondMargin)),
            (-0.32, -0.12, Verdict::Worse(Size::Unclear)),
            (0.12, 0.32, Verdict::Better(Size::Unclear)),
            // Clearly lower, though by less than the margin: that is not "equivalent" alone.
            (-0.25, -0.18, Verdict::Worse(Size::BelowMargin)),
            // An interval that holds 0 is not "better".
            (-0.03, 0.41, Verdict::NotWorse),
            (f64::NAN, f64::NAN, Verdict::CannotTell),
        ] {
            assert_eq!(verdict(low, high, 0.3), wanted, "{low} to {high}");
        }
    }

    #[test]
    fn swapping_the_arms_mirrors_the_verdict() {
        let mut draws = Draws::new(3, 0);
        for _ in 0..2000 {
            // Multiples of the margin's third, so that ends fall on 0 and on the margin too.
            let (a, b) = ((draws.below(13) as f64 - 6.0) / 10.0, (draws.below(13) as f64 - 6.0) / 10.0);
            let (low, high) = (a.min(b), a.max(b));
            assert_eq!(verdict(-high, -low, 0.3), mirrored(verdict(low, high, 0.3)), "{low} to {high}");
        }
    }

    #[test]
    fn the_minimum_detectable_difference_is_found_with_its_power() {
        let difference = Difference { value: 0.0, standard_error: 0.2 };
        let detectable = difference.minimum_detectable(0.95, 0.8);
        let found = normal_cdf(detectable / 0.2 - normal_critical(0.95));
        assert!((found - 0.8).abs() < 1e-9);
    }
}
