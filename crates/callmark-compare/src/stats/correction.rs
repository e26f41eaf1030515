//! Estimates put right by what people labelled.
//!
//! Rogan & Gladen (1978): a share, corrected for the sensitivity and specificity of what found it. Prediction-powered
//! inference (Angelopoulos et al. 2023): the mean of the machine's scores over all calls plus the mean error on the
//! labelled ones; unbiased whatever the machine does, as long as labels are a random sample. The labelled calls are
//! among all calls, so both hand over one influence a call, which carries what the parts have in common; where every
//! call is labelled both are the mean of the labels.

use super::clusters::{Clusters, variance_of_sum};
use super::estimate::Estimate;

/// An estimate with the influence of each call on it, scaled so that its variance is that of their sum; what took no part
/// is not a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// The estimate.
    pub value: f64,
    /// The influences.
    pub influence: Vec<f64>,
}

impl Corrected {
    /// With the interval that clusters give it; `None` for fewer than two.
    pub fn estimate(&self, clusters: Clusters, level: f64) -> Option<Estimate> {
        let variance = variance_of_sum(&self.influence, clusters)?;
        Some(Estimate::wald(self.value, variance.sqrt(), level))
    }

    /// This less another of other calls.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let both = self.influence.iter().zip(&other.influence);
        let influence = both.map(|(a, b)| match (a.is_nan(), b.is_nan()) {
            (true, true) => f64::NAN,
            (false, true) => *a,
            (true, false) => -b,
            (false, false) => a - b,
        });
        Self { value: self.value - other.value, influence: influence.collect() }
    }
}

/// The mean and how many there are.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    (values.sum::<f64>() / count, count)
}

/// The share of calls that people would say yes to, from what the machine said of all and people of some (`labels`, not a
/// number where nothing). `scored` is what stands for each call in the share that the machine found, not a number where it
/// takes no part; `said` is what the machine said of it, 1 or 0, which is the same where no call is lost from view. `None`
/// where labels lack either kind of call, or the machine does no better than chance.
pub fn rogan_gladen(scored: &[f64], said: &[f64], labels: &[f64]) -> Option<Corrected> {
    let part = || scored.iter().zip(said.iter().zip(labels)).filter(|(score, _)| !score.is_nan());
    let of = |wanted: bool| {
        let own = part()
            .map(|(_, pair)| pair)
            .filter(move |(_, label)| !label.is_nan() && (**label > 0.5) == wanted);
        mean(own.map(|(said, _)| *said))
    };
    let ((sensitivity, positives), (false_positive, negatives)) = (of(true), of(false));
    let (apparent, count) = mean(part().map(|(score, _)| *score));
    let youden = sensitivity - false_positive;
    // Not a number where there are no labels of a kind.
    if youden.is_nan() || youden <= 0.0 {
        return None;
    }
    let value = (apparent - false_positive) / youden;
    let influence = |(score, (said, label)): (&f64, (&f64, &f64))| {
        let own = (score - apparent) / count;
        let of_label = match label {
            l if l.is_nan() => 0.0,
            l if *l > 0.5 => -value * (said - sensitivity) / positives,
            _ => -(1.0 - value) * (said - false_positive) / negatives,
        };
        (own + of_label) / youden
    };
    Some(Corrected { value, influence: scored.iter().zip(said.iter().zip(labels)).map(influence).collect() })
}

/// The mean of what people would say, likewise, of numbers of any kind. `None` without labels.
pub fn prediction_powered(scored: &[f64], labels: &[f64]) -> Option<Corrected> {
    let (centre, count) = mean(scored.iter().copied().filter(|score| !score.is_nan()));
    let errors = scored.iter().zip(labels).map(|(score, label)| label - score);
    let (error, labelled) = mean(errors.clone().filter(|e| !e.is_nan()));
    let influence = scored.iter().zip(errors).map(|(score, own)| {
        let of_label = if own.is_nan() { 0.0 } else { (own - error) / labelled };
        (score - centre) / count + of_label
    });
    (labelled > 0.0).then(|| Corrected { value: centre + error, influence: influence.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: [u32; 8] = [Clusters::ALONE; 8];
    const SCORED: [f64; 8] = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0];

    #[test]
    fn where_all_calls_are_labelled_the_labels_are_the_answer() {
        let labels = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        let plain = labels.iter().sum::<f64>() / 8.0;
        let deviation = labels.iter().map(|l| (l - plain).powi(2)).sum::<f64>() / 7.0 / 8.0;
        for found in [rogan_gladen(&SCORED, &SCORED, &labels), prediction_powered(&SCORED, &labels)] {
            let found = found.unwrap().estimate(Clusters { customer: &ALONE, agent: None }, 0.95).unwrap();
            assert!((found.value - plain).abs() < 1e-12, "{found:?}");
            assert!((found.standard_error.powi(2) - deviation).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_perfect_machine_changes_nothing_and_a_coin_is_refused() {
        let some = [1.0, f64::NAN, 0.0, f64::NAN, f64::NAN, 0.0, 1.0, f64::NAN];
        for found in [rogan_gladen(&SCORED, &SCORED, &some), prediction_powered(&SCORED, &some)] {
            assert!((found.unwrap().value - 0.625).abs() < 1e-12);
        }
        let coin = [1.0, 0.0, 1.0, 0.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN];
        assert_eq!(rogan_gladen(&SCORED, &SCORED, &coin), None);
        assert_eq!(rogan_gladen(&SCORED, &SCORED, &[1.0; 8]), None);
        assert_eq!(prediction_powered(&SCORED, &[f64::NAN; 8]), None);
    }

    #[test]
    fn a_machine_that_is_always_off_by_one_is_put_right() {
        let labels = [1.0, 4.0, f64::NAN, f64::NAN];
        assert!((prediction_powered(&[2.0, 5.0, 3.0, 4.0], &labels).unwrap().value - 2.5).abs() < 1e-12);
    }
}
