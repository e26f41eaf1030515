//! Weighted least squares on cells, whose design is ones and zeros.
//!
//! A cell has one level of each covariate, so its row of the design is a handful of ones. Levels of one covariate exclude
//! each other: their part of the Gram matrix is diagonal, and the covariate with the most levels is eliminated at a cost
//! that grows with their number, not with its cube (the Schur complement of a diagonal block). Two hundred kinds of issue
//! then cost little more than six.
//!
//! A column that the others already determine (an issue that only one queue has) gets coefficient 0, as R's `lm` does,
//! instead of an error: fitted values do not depend on which of such columns is left out.

use std::ops::Range;

/// A pivot below this share of its column's own size is taken for 0.
const PIVOT_TOLERANCE: f64 = 1e-9;

/// A matrix of ones and zeros.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Design {
    /// How many columns there are.
    pub columns: usize,
    /// The columns in which each row has a 1, rising.
    pub rows: Vec<Vec<u32>>,
    /// Columns of which no row has more than one.
    pub apart: Range<usize>,
}

impl Design {
    /// The product of a row with `coefficients`.
    pub fn value(&self, row: usize, coefficients: &[f64]) -> f64 {
        self.rows[row].iter().map(|column| coefficients[*column as usize]).sum()
    }
}

/// The weighted Gram matrix of a design, its columns `apart` kept as a diagonal.
#[derive(Debug, Clone)]
pub struct Gram {
    apart: Range<usize>,
    /// Of each column apart.
    diagonal: Vec<f64>,
    /// Of each column apart with each of the rest, row by row.
    cross: Vec<f64>,
    /// Of the rest with each other.
    rest: Vec<f64>,
    /// How many the rest are.
    size: usize,
}

impl Gram {
    /// All zeros.
    pub fn zeros(design: &Design) -> Self {
        let apart = design.apart.clone();
        let size = design.columns - apart.len();
        Self {
            diagonal: vec![0.0; apart.len()],
            cross: vec![0.0; apart.len() * size],
            rest: vec![0.0; size * size],
            apart,
            size,
        }
    }

    /// Adds `weight` · `row` `row`ᵀ, the row given by its ones.
    pub fn add(&mut self, row: &[u32], weight: f64) {
        let apart = self.apart.clone();
        for a in row.iter().map(|column| *column as usize) {
            let others = row.iter().filter_map(|column| place(&apart, *column as usize));
            if let Some(i) = place(&apart, a) {
                others.for_each(|j| self.rest[i * self.size + j] += weight);
            } else {
                let own = a - apart.start;
                self.diagonal[own] += weight;
                others.for_each(|b| self.cross[own * self.size + b] += weight);
            }
        }
    }

    /// Adds `value` to the diagonal of every column but the first.
    pub fn add_ridge(&mut self, value: f64) {
        self.diagonal.iter_mut().for_each(|d| *d += value);
        let first = usize::from(!self.apart.contains(&0));
        for i in first..self.size {
            self.rest[i * self.size + i] += value;
        }
    }

    /// Ready to be solved, dependent columns left out.
    pub fn solver(self) -> Solver {
        let n = self.size;
        let mut schur = self.rest.clone();
        let inverse: Vec<f64> = self.diagonal.iter().map(|d| if *d > 0.0 { 1.0 / d } else { 0.0 }).collect();
        for (row, inverse) in self.cross.chunks(n.max(1)).zip(&inverse) {
            for (i, a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                for (j, b) in row.iter().enumerate() {
                    schur[i * n + j] -= a * b * inverse;
                }
            }
        }
        let own: Vec<f64> = (0..n).map(|i| self.rest[i * n + i].abs()).collect();
        let schur = swept(schur, &own);
        Solver { apart: self.apart, diagonal: inverse, cross: self.cross, schur, size: n }
    }
}

/// The place of a column among those that are not `apart`; `None` for one that is.
fn place(apart: &Range<usize>, column: usize) -> Option<usize> {
    if apart.contains(&column) {
        return None;
    }
    Some(if column < apart.start { column } else { column - apart.len() })
}

/// A generalised inverse of a [`Gram`], by its parts.
#[derive(Debug, Clone)]
pub struct Solver {
    apart: Range<usize>,
    /// One over the diagonal, 0 for a column that no row has.
    diagonal: Vec<f64>,
    cross: Vec<f64>,
    /// The inverse of the rest with the columns apart eliminated.
    schur: Vec<f64>,
    size: usize,
}

impl Solver {
    /// The solution for `right`; 0 in columns that are left out.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.size;
        let own = &right[self.apart.clone()];
        let mut rest = [&right[..self.apart.start], &right[self.apart.end..]].concat();
        for ((row, inverse), value) in self.cross.chunks(n.max(1)).zip(&self.diagonal).zip(own) {
            rest.iter_mut().zip(row).for_each(|(r, c)| *r -= c * inverse * value);
        }
        let rest: Vec<f64> = self.schur.chunks(n.max(1)).map(|row| dot(row, &rest)).collect();
        let apart = self.cross.chunks(n.max(1)).zip(&self.diagonal).zip(own);
        let apart = apart.map(|((row, inverse), value)| inverse * (value - dot(row, &rest)));
        let mut solution = rest[..self.apart.start].to_vec();
        solution.extend(apart);
        solution.extend(&rest[self.apart.start..]);
        solution
    }
}

/// The generalised inverse of a symmetric matrix by the sweep operator (Goodnight 1979): each column in turn, those left
/// out whose pivot is nothing beside their `own` size.
fn swept(mut work: Vec<f64>, own: &[f64]) -> Vec<f64> {
    let n = own.len();
    let mut kept = vec![false; n];
    for k in 0..n {
        let pivot = work[k * n + k];
        if pivot <= PIVOT_TOLERANCE * own[k] || own[k] == 0.0 {
            continue;
        }
        kept[k] = true;
        let row: Vec<f64> = (0..n).map(|j| work[k * n + j] / pivot).collect();
        for i in (0..n).filter(|i| *i != k) {
            let factor = work[i * n + k];
            if factor == 0.0 {
                continue;
            }
            for j in (0..n).filter(|j| *j != k) {
                work[i * n + j] -= factor * row[j];
            }
            work[i * n + k] = -factor / pivot;
        }
        for j in (0..n).filter(|j| *j != k) {
            work[k * n + j] = row[j];
        }
        work[k * n + k] = 1.0 / pivot;
    }
    for i in 0..n {
        for j in 0..n {
            if !kept[i] || !kept[j] {
                work[i * n + j] = 0.0;
            }
        }
    }
    work
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Least squares of cell means `sums / weights` on the rows of `design`, weighted by `weights`.
pub fn least_squares(design: &Design, weights: &[f64], sums: &[f64]) -> Vec<f64> {
    let mut gram = Gram::zeros(design);
    let mut right = vec![0.0; design.columns];
    for ((row, weight), sum) in design.rows.iter().zip(weights).zip(sums) {
        if *weight > 0.0 {
            gram.add(row, *weight);
            for column in row {
                right[*column as usize] += sum;
            }
        }
    }
    gram.solver().solve(&right)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two covariates of three levels, the second saying the first again where `doubled`.
    fn design(doubled: bool, apart: Range<usize>) -> Design {
        let rows = (0..9).map(|cell| {
            let (a, b) = (cell / 3, if doubled { cell / 3 } else { cell % 3 });
            let mut row = vec![0];
            row.extend((a > 0).then_some(a));
            row.extend((b > 0).then_some(2 + b));
            row
        });
        Design { columns: 5, rows: rows.collect(), apart }
    }

    const WEIGHTS: [f64; 9] = [2.0, 1.0, 3.0, 4.0, 0.0, 2.0, 1.0, 5.0, 2.0];
    const SUMS: [f64; 9] = [2.0, 5.0, 30.0, -4.0, 0.0, 1.0, 7.0, 3.0, 8.0];

    #[test]
    fn which_covariate_is_eliminated_changes_no_fitted_value() {
        let fitted = |apart: Range<usize>| {
            let design = design(false, apart);
            let found = least_squares(&design, &WEIGHTS, &SUMS);
            (0..9).map(|row| design.value(row, &found)).collect::<Vec<_>>()
        };
        let none = fitted(5..5);
        for other in [fitted(1..3), fitted(3..5)] {
            assert!(none.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-9), "{none:?} {other:?}");
        }
        // Normal equations: residuals of every column sum to 0.
        for column in 0..5u32 {
            let rows = (0..9).filter(|row| design(false, 5..5).rows[*row].contains(&column));
            let left: f64 = rows.map(|row| SUMS[row] - WEIGHTS[row] * none[row]).sum();
            assert!(left.abs() < 1e-9, "{column} {left}");
        }
    }

    #[test]
    fn a_column_said_twice_changes_no_fitted_value() {
        let (single, double) = (design(true, 1..3), design(true, 5..5));
        let one = Design {
            columns: 3,
            rows: single.rows.iter().map(|r| r.iter().copied().filter(|c| *c < 3).collect()).collect(),
            apart: 3..3,
        };
        let wanted = least_squares(&one, &WEIGHTS, &SUMS);
        for twice in [single, double] {
            let found = least_squares(&twice, &WEIGHTS, &SUMS);
            for row in 0..9 {
                assert!((one.value(row, &wanted) - twice.value(row, &found)).abs() < 1e-9);
            }
        }
    }
}
