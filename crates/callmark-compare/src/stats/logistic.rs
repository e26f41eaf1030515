//! Logistic regression on cells, by iteratively reweighted least squares.
//!
//! Case mix is categorical, so a million calls are a few hundred cells and the fit is exact on them. Where a column
//! tells the arms apart perfectly the likelihood has no maximum; then, and only then, a ridge penalty is set on all but
//! the intercept and the fit says so.

use super::linear::{Design, Gram, Solver};

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
    pub covariance: Solver,
    /// Whether a column separates the arms, so that a penalty was needed.
    pub separated: bool,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Fits `successes` of `trials` in each cell; `None` where there are no trials or all went one way.
pub fn fit(design: &Design, trials: &[f64], successes: &[f64]) -> Option<Logistic> {
    let (all, won) = (trials.iter().sum::<f64>(), successes.iter().sum::<f64>());
    if won <= 0.0 || won >= all {
        return None;
    }
    iterate(design, trials, successes, 0.0)
        .or_else(|| iterate(design, trials, successes, RIDGE).map(|fit| Logistic { separated: true, ..fit }))
}

impl Logistic {
    /// The probability of a row of the design.
    pub fn probability(&self, design: &Design, row: usize) -> f64 {
        sigmoid(design.value(row, &self.coefficients))
    }
}

/// `None` where the iterations do not end, or, without a penalty, where a column separates the arms.
fn iterate(design: &Design, trials: &[f64], successes: &[f64], ridge: f64) -> Option<Logistic> {
    let mut coefficients = vec![0.0; design.columns];
    let (all, won) = (trials.iter().sum::<f64>(), successes.iter().sum::<f64>());
    *coefficients.first_mut()? = (won / (all - won)).ln();
    for _ in 0..MAX_ITERATIONS {
        let mut information = Gram::zeros(design);
        let mut score = vec![0.0; design.columns];
        for (cell, (n, k)) in trials.iter().zip(successes).enumerate() {
            if *n <= 0.0 {
                continue;
            }
            let p = sigmoid(design.value(cell, &coefficients));
            information.add(&design.rows[cell], n * p * (1.0 - p));
            for column in &design.rows[cell] {
                score[*column as usize] += k - n * p;
            }
        }
        information.add_ridge(ridge);
        score.iter_mut().zip(&coefficients).skip(1).for_each(|(s, b)| *s -= ridge * b);
        let covariance = information.solver();
        let step = covariance.solve(&score);
        coefficients.iter_mut().zip(&step).for_each(|(b, s)| *b += s);
        let largest = step.iter().fold(0.0_f64, |a, s| a.max(s.abs()));
        if !largest.is_finite() || (ridge <= 0.0 && coefficients.iter().any(|b| b.abs() >= SEPARATED)) {
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

    /// Two cells, one of each level.
    fn design() -> Design {
        Design { columns: 2, rows: vec![vec![0], vec![0, 1]], apart: 1..2 }
    }

    #[test]
    fn two_cells_give_the_log_odds_ratio() {
        let design = design();
        let fit = fit(&design, &[10.0, 20.0], &[2.0, 15.0]).unwrap();
        let odds: f64 = (15.0 / 5.0) / (2.0 / 8.0);
        assert!((fit.coefficients[1] - odds.ln()).abs() < 1e-9 && !fit.separated);
    }

    #[test]
    fn a_cell_that_went_one_way_is_penalised_and_said() {
        let design = design();
        let fit = fit(&design, &[10.0, 20.0], &[5.0, 20.0]).unwrap();
        assert!(fit.separated && fit.probability(&design, 1) > 0.8);
        assert!(super::fit(&design, &[10.0, 20.0], &[0.0, 0.0]).is_none());
    }
}
