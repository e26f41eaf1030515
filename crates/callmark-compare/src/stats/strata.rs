//! Case mix as cells: every combination of categorical covariates that occurs.
//!
//! All adjustment works on counts and sums by cell and arm, so that its cost does not grow with the number of calls
//! once they are counted.

use super::linear::Design;
use std::collections::HashMap;
use std::sync::Arc;

/// Combinations of levels up to which a table has a place for each.
const MAX_TABLE: u64 = 1 << 20;

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
    pub levels: Arc<Vec<Vec<u16>>>,
    /// One row a cell: 1, then an indicator for each level of each covariate but its first.
    pub design: Arc<Design>,
}

impl Cells {
    /// Finds the cells of `count` calls; without covariates there is one.
    pub fn new(count: usize, covariates: &[Covariate]) -> Self {
        // A combination of levels as one number: a place in a table where there are few, else the key of a map.
        let combinations =
            covariates.iter().try_fold(1u64, |product, c| product.checked_mul(c.levels.len().max(1) as u64));
        let mut index = match combinations {
            Some(combinations) if combinations <= MAX_TABLE => {
                Index::Table(vec![u32::MAX; combinations as usize])
            }
            _ => Index::Map(HashMap::new()),
        };
        let mut levels: Vec<Vec<u16>> = Vec::new();
        let of_call = (0..count)
            .map(|call| {
                let own = || covariates.iter().map(|c| c.codes[call]);
                let next = levels.len() as u32;
                let cell = match &mut index {
                    Index::Table(table) => {
                        let place = covariates
                            .iter()
                            .fold(0, |place, c| place * c.levels.len() + usize::from(c.codes[call]));
                        let cell = &mut table[place];
                        *cell = (*cell).min(next);
                        *cell
                    }
                    Index::Map(map) => *map.entry(own().collect()).or_insert(next),
                };
                if cell == next {
                    levels.push(own().collect());
                }
                cell
            })
            .collect();
        let design = Arc::new(design(&levels, covariates));
        Self { of_call, levels: Arc::new(levels), design }
    }

    /// The same cells for the calls at `rows` only; some may have none.
    #[must_use]
    pub fn part(&self, rows: &[usize]) -> Self {
        let of_call = rows.iter().map(|row| self.of_call[*row]).collect();
        Self { of_call, levels: Arc::clone(&self.levels), design: Arc::clone(&self.design) }
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

/// Where the cell of a combination of levels is found.
enum Index {
    Table(Vec<u32>),
    Map(HashMap<Vec<u16>, u32>),
}

/// Main effects of the cells; the covariate with the most levels is the one to be eliminated first.
fn design(cells: &[Vec<u16>], covariates: &[Covariate]) -> Design {
    let mut starts = vec![1];
    for covariate in covariates {
        starts.push(starts[starts.len() - 1] + covariate.levels.len().max(1) - 1);
    }
    let columns = starts[covariates.len()];
    let blocks = starts.windows(2).map(|ends| ends[0]..ends[1]);
    let row = |levels: &Vec<u16>| {
        let others = levels.iter().zip(&starts).filter(|(level, _)| **level > 0);
        std::iter::once(0)
            .chain(others.map(|(level, start)| (start - 1) as u32 + u32::from(*level)))
            .collect()
    };
    Design {
        columns,
        rows: cells.iter().map(row).collect(),
        apart: blocks.max_by_key(ExactSizeIterator::len).unwrap_or(1..1),
    }
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
    /// No calls yet.
    pub fn zeros(cells: &Cells) -> Self {
        let zeros = || [vec![0.0; cells.len()], vec![0.0; cells.len()]];
        Self { count: zeros(), sum: zeros() }
    }

    /// Sums over all calls whose outcome is a number.
    pub fn new(cells: &Cells, treated: &[bool], outcome: &[f64]) -> Self {
        let mut sums = Self::zeros(cells);
        for (position, cell) in cells.of_call.iter().enumerate().filter(|(i, _)| !outcome[*i].is_nan()) {
            sums.add(*cell as usize, treated[position], outcome[position], 1.0);
        }
        sums
    }

    /// Adds one call, counted `weight` times.
    pub fn add(&mut self, cell: usize, treated: bool, value: f64, weight: f64) {
        let arm = usize::from(treated);
        self.count[arm][cell] += weight;
        self.sum[arm][cell] += weight * value;
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
        assert_eq!(cells.design.rows, [vec![0], vec![0, 1], vec![0, 1, 2]]);
        assert_eq!((cells.design.columns, cells.design.apart.len()), (3, 1));
        assert_eq!(Cells::new(3, &[]).len(), 1);
        let many = |codes: &[u16]| Covariate {
            levels: (0..2000).map(|l| l.to_string()).collect(),
            ..covariate(codes)
        };
        let mapped = Cells::new(4, &[many(&[0, 1, 0, 1]), many(&[0, 0, 0, 1])]);
        assert_eq!(mapped.of_call, cells.of_call);
    }
}
