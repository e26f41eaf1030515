//! Case mix as cells: every combination of categorical covariates that occurs.
//!
//! All adjustment works on counts and sums by cell and arm, so that its cost does not grow with the number of calls
//! once they are counted.

use std::collections::HashMap;

/// A categorical covariate.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariate {
    /// Its name (`issue`).
    pub name: String,
    /// The names of its levels.
    pub levels: Vec<String>,
    /// The level of each call, an index into `levels`.
    pub codes: Vec<u16>,
}

/// The cells of a set of calls.
#[derive(Debug, Clone)]
pub struct Cells {
    /// The cell of each call.
    pub of_call: Vec<u32>,
    /// Levels of each cell, one a covariate.
    pub levels: Vec<Vec<u16>>,
    /// One row a cell: 1, then an indicator for each level of each covariate but its first.
    pub design: Vec<Vec<f64>>,
}

impl Cells {
    /// Finds the cells of `count` calls; without covariates there is one.
    pub fn new(count: usize, covariates: &[Covariate]) -> Self {
        let mut index: HashMap<Vec<u16>, u32> = HashMap::new();
        let mut levels = Vec::new();
        let mut key = vec![0; covariates.len()];
        let of_call = (0..count)
            .map(|call| {
                for (k, covariate) in key.iter_mut().zip(covariates) {
                    *k = covariate.codes[call];
                }
                if let Some(found) = index.get(&key) {
                    return *found;
                }
                let next = levels.len() as u32;
                levels.push(key.clone());
                index.insert(key.clone(), next);
                next
            })
            .collect();
        let design = levels.iter().map(|levels| design_row(levels, covariates)).collect();
        Self { of_call, levels, design }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }
}

fn design_row(levels: &[u16], covariates: &[Covariate]) -> Vec<f64> {
    let mut row = vec![1.0];
    for (level, covariate) in levels.iter().zip(covariates) {
        row.extend((1..covariate.levels.len()).map(|l| f64::from(l == usize::from(*level))));
    }
    row
}

/// Counts and sums of an outcome by arm and cell. Index 1 is the treated arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmSums {
    /// Calls, or their weights.
    pub count: [Vec<f64>; 2],
    /// The sum of the outcome.
    pub sum: [Vec<f64>; 2],
}

impl ArmSums {
    /// Sums over all calls, each counted `weight(position)` times.
    pub fn new(cells: &Cells, treated: &[bool], outcome: &[f64], weight: impl Fn(usize) -> f64) -> Self {
        let zeros = || [vec![0.0; cells.len()], vec![0.0; cells.len()]];
        let mut sums = Self { count: zeros(), sum: zeros() };
        for (position, cell) in cells.of_call.iter().enumerate() {
            let (arm, cell, weight) = (usize::from(treated[position]), *cell as usize, weight(position));
            sums.count[arm][cell] += weight;
            sums.sum[arm][cell] += weight * outcome[position];
        }
        sums
    }

    /// Calls of both arms in a cell.
    pub fn both(&self, cell: usize) -> f64 {
        self.count[0][cell] + self.count[1][cell]
    }

    /// All calls of an arm.
    pub fn total(&self, arm: usize) -> f64 {
        self.count[arm].iter().sum()
    }

    /// The plain mean of an arm; not a number where it is empty.
    pub fn mean(&self, arm: usize) -> f64 {
        self.sum[arm].iter().sum::<f64>() / self.total(arm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_alike_share_a_cell() {
        let covariate = |codes: &[u16]| Covariate {
            name: "x".to_owned(),
            levels: vec!["a".to_owned(), "b".to_owned()],
            codes: codes.to_vec(),
        };
        let cells = Cells::new(4, &[covariate(&[0, 1, 0, 1]), covariate(&[0, 0, 0, 1])]);
        assert_eq!(cells.of_call, [0, 1, 0, 2]);
        assert_eq!(cells.design[2], [1.0, 1.0, 1.0]);
        assert_eq!(Cells::new(3, &[]).len(), 1);
    }
}
