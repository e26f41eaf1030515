//! Many comparisons at once: adjusted p-values.
//!
//! Holm (1979) keeps the chance of any false finding; Benjamini & Hochberg (1995) keeps the share of false findings.

/// Holm's adjusted p-values, in the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![0.0; count];
    let mut largest = 0.0_f64;
    for (rank, index) in rising(p_values).into_iter().enumerate() {
        largest = largest.max((p_values[index] * (count - rank) as f64).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's adjusted p-values, in the order given.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut adjusted = vec![0.0; count];
    let mut smallest = 1.0_f64;
    for (rank, index) in rising(p_values).into_iter().enumerate().rev() {
        smallest = smallest.min(p_values[index] * count as f64 / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    adjusted
}

fn rising(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_values_are_never_smaller_and_keep_their_order() {
        let p = [0.01, 0.04, 0.03, 0.5];
        assert_eq!(holm(&p), [0.04, 0.09, 0.09, 0.5]);
        let adjusted = benjamini_hochberg(&p);
        assert!(adjusted.iter().zip(&p).all(|(a, p)| a >= p));
        assert!(holm(&[]).is_empty());
    }
}
