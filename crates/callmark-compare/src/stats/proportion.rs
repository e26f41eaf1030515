//! Shares with intervals that hold for small counts and near 0 and 1.
//!
//! Wilson (1927), "Probable inference, the law of succession, and statistical inference". Clustered calls carry less
//! information than their number says: the interval is Wilson's with the effective number n / design effect (Korn &
//! Graubard 1998).

use super::distributions::normal_critical;
use super::estimate::Estimate;

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

#[cfg(test)]
mod tests {
    use super::*;

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
