//! Direct standardisation: both arms on the case mix of all calls.
//!
//! Each arm's mean is the average of its means by stratum, weighted by the stratum's share of all calls that can be
//! compared (Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", ch. 19). The interval is that of
//! the influence values, which carries the strata's shares being counted too, and respects clusters.

use super::strata::{ArmSums, Cells};
use super::weighting::{Adjusted, Calls};

/// Standardises over the strata in which both arms have calls; `None` where there is no such stratum, or there are too
/// few clusters for a variance.
pub fn standardise(cells: &Cells, sums: &ArmSums, calls: Calls, level: f64) -> Option<Adjusted> {
    let inside: Vec<bool> =
        (0..cells.len()).map(|c| sums.count[0][c] > 0.0 && sums.count[1][c] > 0.0).collect();
    let total: f64 = (0..cells.len()).filter(|c| inside[*c]).map(|c| sums.both(c)).sum();
    if total <= 0.0 {
        return None;
    }
    let mean_of = |arm: usize, c: usize| sums.sum[arm][c] / sums.count[arm][c];
    let means = [0, 1].map(|arm| {
        let inside = (0..cells.len()).filter(|c| inside[*c]);
        inside.map(|c| sums.both(c) / total * mean_of(arm, c)).sum::<f64>()
    });
    // Calls outside count 0, so that the sum over all calls is that over those inside.
    let influence = [0, 1].map(|arm: usize| -> Vec<f64> {
        (0..calls.treated.len())
            .map(|i| {
                let c = cells.of_call[i] as usize;
                if !inside[c] {
                    return 0.0;
                }
                let mean = mean_of(arm, c);
                let own = if usize::from(calls.treated[i]) == arm {
                    sums.both(c) / sums.count[arm][c] * (calls.outcome[i] - mean)
                } else {
                    0.0
                };
                (own + mean - means[arm]) / total
            })
            .collect()
    });
    Adjusted::of(means, influence, calls, total as usize, level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::clusters::Clusters;
    use crate::stats::strata::Covariate;

    #[test]
    fn each_stratum_counts_by_its_share_of_all_calls() {
        let covariate = Covariate {
            name: "issue".to_owned(),
            levels: vec!["a".to_owned(), "b".to_owned()],
            codes: vec![0, 0, 0, 1, 1, 1],
        };
        let cells = Cells::new(6, &[covariate]);
        let treated = [true, true, false, true, false, false];
        let outcome = [1.0, 3.0, 1.0, 6.0, 4.0, 4.0];
        let sums = ArmSums::new(&cells, &treated, &outcome);
        let clusters = Clusters { customer: &[Clusters::ALONE; 6], agent: None };
        let found =
            standardise(&cells, &sums, Calls { treated: &treated, outcome: &outcome, clusters }, 0.95);
        let found = found.unwrap();
        assert!((found.treated - 4.0).abs() < 1e-12);
        assert!((found.difference.value - 1.5).abs() < 1e-12);
    }
}
