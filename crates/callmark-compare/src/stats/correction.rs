//! Estimates put right by what people labelled.
//!
//! Rogan & Gladen (1978): a share, corrected for the sensitivity and specificity of what found it, with the variance of
//! all three shares. Prediction-powered inference (Angelopoulos et al. 2023): the mean of the machine's scores over all
//! calls plus the mean error on the labelled ones; unbiased whatever the machine does, as long as labels are a random
//! sample.

use super::estimate::Estimate;

/// Labels against what the machine said of the same calls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    /// Machine yes, person yes.
    pub true_positive: f64,
    /// Machine yes, person no.
    pub false_positive: f64,
    /// Machine no, person no.
    pub true_negative: f64,
    /// Machine no, person yes.
    pub false_negative: f64,
}

impl Agreement {
    /// Counts one call that the machine judged `machine` and a person `person`.
    pub fn count(&mut self, machine: bool, person: bool) {
        let cell = match (machine, person) {
            (true, true) => &mut self.true_positive,
            (true, false) => &mut self.false_positive,
            (false, false) => &mut self.true_negative,
            (false, true) => &mut self.false_negative,
        };
        *cell += 1.0;
    }
}

/// The share corrected for misclassification, cut to [0, 1]. `apparent` is the machine's share among calls without a
/// label: the variance takes it for independent of the labels. `None` where labels lack either kind of call, or the
/// machine does no better than chance.
pub fn rogan_gladen(apparent: &Estimate, labels: Agreement, level: f64) -> Option<Estimate> {
    let positives = labels.true_positive + labels.false_negative;
    let negatives = labels.true_negative + labels.false_positive;
    if positives <= 0.0 || negatives <= 0.0 {
        return None;
    }
    let (sensitivity, specificity) = (labels.true_positive / positives, labels.true_negative / negatives);
    let youden = sensitivity + specificity - 1.0;
    if youden <= 0.0 {
        return None;
    }
    let value = (apparent.value + specificity - 1.0) / youden;
    let variance = (apparent.standard_error.powi(2)
        + value.powi(2) * sensitivity * (1.0 - sensitivity) / positives
        + (1.0 - value).powi(2) * specificity * (1.0 - specificity) / negatives)
        / youden.powi(2);
    let found = Estimate::wald(value, variance.sqrt(), level);
    let cut = |x: f64| x.clamp(0.0, 1.0);
    Some(Estimate { value: cut(found.value), low: cut(found.low), high: cut(found.high), ..found })
}

/// Mean of a label, from `predictions` on all calls without one and (prediction, label) pairs on the others, all
/// independent. `None` for fewer than two of either.
pub fn prediction_powered(predictions: &[f64], labelled: &[(f64, f64)], level: f64) -> Option<Estimate> {
    let estimate = |values: &[f64]| {
        let (mean, variance) = mean_and_variance(values)?;
        Some(Estimate::wald(mean, (variance / values.len() as f64).sqrt(), level))
    };
    let errors: Vec<f64> = labelled.iter().map(|(prediction, label)| label - prediction).collect();
    Some(rectified(&estimate(predictions)?, &estimate(&errors)?, level))
}

/// The same from the mean of the machine's scores on calls without a label, `apparent`, and the mean of label less score
/// on the others, `error`, whose standard errors may respect clusters.
pub fn rectified(apparent: &Estimate, error: &Estimate, level: f64) -> Estimate {
    Estimate::wald(apparent.value + error.value, apparent.standard_error.hypot(error.standard_error), level)
}

/// Mean and variance over n, as the method's authors use it.
fn mean_and_variance(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.len() >= 2).then(|| (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::proportion::wilson;

    #[test]
    fn a_perfect_machine_changes_nothing_and_a_coin_is_refused() {
        let apparent = wilson(40.0, 100.0, 0.95).unwrap();
        let perfect = Agreement { true_positive: 20.0, true_negative: 20.0, ..Agreement::default() };
        assert!((rogan_gladen(&apparent, perfect, 0.95).unwrap().value - 0.4).abs() < 1e-12);
        let coin =
            Agreement { true_positive: 1.0, false_positive: 1.0, true_negative: 1.0, false_negative: 1.0 };
        assert_eq!(rogan_gladen(&apparent, coin, 0.95), None);
    }

    #[test]
    fn a_machine_that_is_always_off_by_one_is_put_right() {
        let found =
            prediction_powered(&[2.0, 3.0, 4.0], &[(2.0, 1.0), (5.0, 4.0), (1.0, 0.0)], 0.95).unwrap();
        assert!((found.value - 2.0).abs() < 1e-12);
    }
}
