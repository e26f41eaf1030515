//! Variance when calls come in clusters: a customer calls again, an agent takes many calls.
//!
//! Every estimator here is, to first order, a mean of influence values, one a call. Its variance with one kind of
//! cluster is the sum of squared cluster totals (Liang & Zeger 1986); with customers *and* agents it is that of
//! customers plus that of agents less that of calls (Cameron, Gelbach & Miller 2011, "Robust inference with multiway
//! clustering"), which can be too small in small samples and is not taken below the larger of the one-way variances.
//! Each one-way sum has the usual factor G / (G - 1) for G clusters. A call whose influence is not a number takes no part:
//! columns need not be cut to a subset to ask about it.

/// Which calls belong together. Ids are dense, from 0; [`Clusters::ALONE`] marks a call that is its own cluster.
#[derive(Debug, Clone, Copy)]
pub struct Clusters<'a> {
    /// The customer of each call.
    pub customer: &'a [u32],
    /// The agent of each call, where agents are a cluster.
    pub agent: Option<&'a [u32]>,
}

impl Clusters<'_> {
    /// A call whose customer or agent is not known: it stands for itself.
    pub const ALONE: u32 = u32::MAX;
}

/// Variance of the mean of `influence` over the calls that take part, by clusters; `None` for fewer than two clusters.
///
/// `influence` must have mean 0 to first order: value less estimate, for a mean.
pub fn variance_of_mean(influence: &[f64], clusters: Clusters) -> Option<f64> {
    let n = influence.iter().filter(|value| !value.is_nan()).count() as f64;
    variance_of_sum(influence, clusters).map(|variance| variance / (n * n))
}

/// Variance of the sum of `influence`, by clusters.
pub fn variance_of_sum(influence: &[f64], clusters: Clusters) -> Option<f64> {
    let Some(agents) = clusters.agent else { return one_way(influence, clusters.customer) };
    let (by_customer, (by_agent, by_call)) = rayon::join(
        || one_way(influence, clusters.customer),
        || (one_way(influence, agents), one_way_alone(influence)),
    );
    let by_customer = by_customer?;
    let (Some(by_agent), Some(by_call)) = (by_agent, by_call) else { return Some(by_customer) };
    Some((by_customer + by_agent - by_call).max(by_customer).max(by_agent))
}

/// Sum of squared cluster totals with the factor G / (G - 1); `None` for fewer than two clusters.
pub fn one_way(influence: &[f64], cluster: &[u32]) -> Option<f64> {
    let largest = cluster.iter().copied().filter(|c| *c != Clusters::ALONE).max();
    let mut totals = vec![f64::NAN; largest.map_or(0, |c| c as usize + 1)];
    let (mut squares, mut count) = (0.0, 0usize);
    for (value, cluster) in influence.iter().zip(cluster).filter(|(value, _)| !value.is_nan()) {
        if *cluster == Clusters::ALONE {
            squares += value * value;
            count += 1;
        } else {
            let total = &mut totals[*cluster as usize];
            *total = if total.is_nan() { *value } else { *total + value };
        }
    }
    for total in totals.into_iter().filter(|total| !total.is_nan()) {
        squares += total * total;
        count += 1;
    }
    small_sample(squares, count)
}

fn one_way_alone(influence: &[f64]) -> Option<f64> {
    let part = || influence.iter().filter(|value| !value.is_nan());
    small_sample(part().map(|value| value * value).sum(), part().count())
}

fn small_sample(squares: f64, clusters: usize) -> Option<f64> {
    (clusters >= 2).then(|| squares * clusters as f64 / (clusters - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_clusters_it_is_the_variance_of_a_mean() {
        let values = [1.0, 4.0, 2.0, 9.0];
        let influence: Vec<f64> = values.iter().map(|v| v - 4.0).collect();
        let variance =
            variance_of_mean(&influence, Clusters { customer: &[Clusters::ALONE; 4], agent: None }).unwrap();
        // Sample variance 38 / 3, over n = 4.
        assert!((variance - 38.0 / 12.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_a_number_takes_no_part() {
        let customers = [0, 5, 1, 1, u32::MAX];
        let whole = [2.0, f64::NAN, -1.0, -1.0, f64::NAN];
        let part = variance_of_mean(&whole, Clusters { customer: &customers, agent: None });
        let cut = variance_of_mean(&[2.0, -1.0, -1.0], Clusters { customer: &[0, 1, 1], agent: None });
        assert_eq!(part, cut);
    }

    #[test]
    fn one_cluster_has_no_variance_to_speak_of() {
        assert_eq!(variance_of_mean(&[1.0, -1.0], Clusters { customer: &[0, 0], agent: None }), None);
    }

    #[test]
    fn agents_add_to_customers() {
        let influence = [1.0, 1.0, -1.0, -1.0];
        let customers = [0, 1, 2, 3];
        let alone = variance_of_mean(&influence, Clusters { customer: &customers, agent: None }).unwrap();
        let both =
            variance_of_mean(&influence, Clusters { customer: &customers, agent: Some(&[0, 0, 1, 1]) });
        assert!(both.unwrap() > alone);
    }
}
