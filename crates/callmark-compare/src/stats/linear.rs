//! Small symmetric systems, and weighted least squares on cells.
//!
//! A column that the others already determine (an issue that only one queue has) gets coefficient 0, as R's `lm` does,
//! instead of an error: fitted values do not depend on which of such columns is left out.

/// A pivot below this share of its column's own size is taken for 0.
const PIVOT_TOLERANCE: f64 = 1e-9;

/// A symmetric matrix of `size` rows, full storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Symmetric {
    size: usize,
    values: Vec<f64>,
}

impl Symmetric {
    /// All zeros.
    pub fn zeros(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    /// Adds `weight` · `row` `row`ᵀ.
    pub fn add_outer(&mut self, row: &[f64], weight: f64) {
        for (i, a) in row.iter().enumerate() {
            if *a == 0.0 {
                continue;
            }
            let scaled = weight * a;
            for (j, b) in row.iter().enumerate() {
                self.values[i * self.size + j] += scaled * b;
            }
        }
    }

    /// Adds `value` to the diagonal from entry `from` on.
    pub fn add_to_diagonal(&mut self, value: f64, from: usize) {
        for i in from..self.size {
            self.values[i * self.size + i] += value;
        }
    }

    /// The generalised inverse that leaves out dependent columns.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let n = self.size;
        let mut work = self.values.clone();
        let own: Vec<f64> = (0..n).map(|i| work[i * n + i].abs()).collect();
        // The sweep operator (Goodnight 1979): each column in turn, dependent ones left out.
        let mut swept = vec![false; n];
        for k in 0..n {
            let pivot = work[k * n + k];
            if pivot <= PIVOT_TOLERANCE * own[k] || own[k] == 0.0 {
                continue;
            }
            swept[k] = true;
            let row: Vec<f64> = (0..n).map(|j| work[k * n + j] / pivot).collect();
            for i in 0..n {
                if i == k {
                    continue;
                }
                let factor = work[i * n + k];
                if factor == 0.0 {
                    continue;
                }
                for j in 0..n {
                    if j != k {
                        work[i * n + j] -= factor * row[j];
                    }
                }
                work[i * n + k] = -factor / pivot;
            }
            for j in 0..n {
                if j != k {
                    work[k * n + j] = row[j];
                }
            }
            work[k * n + k] = 1.0 / pivot;
        }
        let mut inverse = Self::zeros(n);
        for i in (0..n).filter(|i| swept[*i]) {
            for j in (0..n).filter(|j| swept[*j]) {
                inverse.values[i * n + j] = work[i * n + j];
            }
        }
        inverse
    }

    /// The product with `vector`.
    pub fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.values.chunks(self.size.max(1)).map(|row| dot(row, vector)).collect()
    }
}

/// The sum of products.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Least squares of cell means `sums / weights` on the rows of `design`, weighted by `weights`.
pub fn least_squares(design: &[Vec<f64>], weights: &[f64], sums: &[f64]) -> Vec<f64> {
    let size = design.first().map_or(0, Vec::len);
    let mut gram = Symmetric::zeros(size);
    let mut right = vec![0.0; size];
    for ((row, weight), sum) in design.iter().zip(weights).zip(sums) {
        if *weight > 0.0 {
            gram.add_outer(row, *weight);
            right.iter_mut().zip(row).for_each(|(r, x)| *r += x * sum);
        }
    }
    gram.inverse().times(&right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_said_twice_changes_no_fitted_value() {
        let plain = [vec![1.0, 0.0], vec![1.0, 1.0], vec![1.0, 3.0]];
        let doubled: Vec<Vec<f64>> = plain.iter().map(|r| vec![r[0], r[1], 2.0 * r[1]]).collect();
        let (weights, sums) = ([2.0, 1.0, 3.0], [2.0, 5.0, 30.0]);
        let (one, two) = (least_squares(&plain, &weights, &sums), least_squares(&doubled, &weights, &sums));
        for (a, b) in plain.iter().zip(&doubled) {
            assert!((dot(a, &one) - dot(b, &two)).abs() < 1e-9);
        }
    }

    #[test]
    fn an_inverse_times_its_matrix_gives_the_vector_back() {
        let mut matrix = Symmetric::zeros(3);
        for row in [[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [2.0, 0.3, 1.0], [1.0, 1.0, 1.0]] {
            matrix.add_outer(&row, 1.5);
        }
        let vector = [1.0, -2.0, 3.0];
        let back = matrix.times(&matrix.inverse().times(&vector));
        assert!(back.iter().zip(&vector).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
