//! Logistic regression on cells, by iteratively reweighted least squares.
//!
//! Case mix is categorical, so a million calls are a few hundred cells and the fit is exact on them. Where a column
//! tells the arms apart perfectly the likelihood has no maximum; then, and only then, a ridge penalty is set on all but
//! the intercept and the fit says so.

use super::linear::{Symmetric, dot};

/// Iterations of a fit.
const MAX_ITERATIONS: u32 = 50;
/// A step this small ends a fit.
const CONVERGED: f64 = 1e-10;
/// A coefficient this large means that its column separates the arms.
const SEPARATED: f64 = 15.0;
/// The penalty where they are separated.
const RIDGE: f64 = 1.0;

/// A fitted model.
#[derive(Debug, Clone)]
pub struct Logistic {
    /// Coefficients, in the order of the design's columns.
    pub coefficients: Vec<f64>,
    /// The inverse of the information: the covariance of the coefficients.
    pub covariance: Symmetric,
    /// Whether a penalty was needed.
    pub separated: bool,
}

impl Logistic {
    /// The probability for one row of the design.
    pub fn probability(&self, row: &[f64]) -> f64 {
        sigmoid(dot(row, &self.coefficients))
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Fits `successes` of `trials` in each cell; `None` where there are no trials or all went one way.
pub fn fit(design: &[Vec<f64>], trials: &[f64], successes: &[f64]) -> Option<Logistic> {
    let (all, won) = (trials.iter().sum::<f64>(), successes.iter().sum::<f64>());
    if won <= 0.0 || won >= all {
        return None;
    }
    let plain = iterate(design, trials, successes, 0.0);
    match plain {
        Some(fit) if fit.coefficients.iter().all(|b| b.abs() < SEPARATED) => Some(fit),
        _ => iterate(design, trials, successes, RIDGE).map(|fit| Logistic { separated: true, ..fit }),
    }
}

fn iterate(design: &[Vec<f64>], trials: &[f64], successes: &[f64], ridge: f64) -> Option<Logistic> {
    let size = design.first()?.len();
    let mut coefficients = vec![0.0; size];
    let (all, won) = (trials.iter().sum::<f64>(), successes.iter().sum::<f64>());
    coefficients[0] = (won / (all - won)).ln();
    for _ in 0..MAX_ITERATIONS {
        let mut information = Symmetric::zeros(size);
        let mut score = vec![0.0; size];
        for ((row, n), k) in design.iter().zip(trials).zip(successes) {
            if *n <= 0.0 {
                continue;
            }
            let p = sigmoid(dot(row, &coefficients));
            information.add_outer(row, n * p * (1.0 - p));
            score.iter_mut().zip(row).for_each(|(s, x)| *s += x * (k - n * p));
        }
        information.add_to_diagonal(ridge, 1);
        score.iter_mut().zip(&coefficients).skip(1).for_each(|(s, b)| *s -= ridge * b);
        let covariance = information.inverse();
        let step = covariance.times(&score);
        coefficients.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
        let largest = step.iter().fold(0.0_f64, |a, s| a.max(s.abs()));
        if !largest.is_finite() {
            return None;
        }
        if largest < CONVERGED {
            return Some(Logistic { coefficients, covariance, separated: false });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cells_give_the_log_odds_ratio() {
        let design = [vec![1.0, 0.0], vec![1.0, 1.0]];
        let fit = fit(&design, &[10.0, 20.0], &[2.0, 15.0]).unwrap();
        let odds: f64 = (15.0 / 5.0) / (2.0 / 8.0);
        assert!((fit.coefficients[1] - odds.ln()).abs() < 1e-9 && !fit.separated);
    }

    #[test]
    fn a_cell_that_went_one_way_is_penalised_and_said() {
        let design = [vec![1.0, 0.0], vec![1.0, 1.0]];
        let fit = fit(&design, &[10.0, 20.0], &[5.0, 20.0]).unwrap();
        assert!(fit.separated && fit.probability(&design[1]) > 0.8);
        assert!(super::fit(&design, &[10.0, 20.0], &[0.0, 0.0]).is_none());
    }
}
