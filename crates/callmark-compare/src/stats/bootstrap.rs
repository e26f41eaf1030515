//! The cluster bootstrap: whole customers are drawn, not calls.
//!
//! Each replicate counts every cluster a Poisson(1) number of times, which is the multinomial bootstrap without its
//! bookkeeping (Hanley & MacGibbon 2006; Chamandy et al. 2012 at scale): a weight depends only on seed, replicate and
//! cluster, so replicates run on all cores in any order and no resampled data set is ever made. Estimators work on
//! sums, or on data sorted once.

use super::clusters::Clusters;
use super::estimate::Estimate;
use super::random::{poisson_1, random_bits};
use rayon::prelude::*;

/// Replicates and their seed.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    /// How many replicates.
    pub replicates: u32,
    /// The seed of their weights.
    pub seed: u64,
}

/// How often each cluster counts in one replicate.
#[derive(Debug, Clone)]
pub struct Weights {
    seed: u64,
    replicate: u64,
    dense: Vec<u8>,
}

impl Weights {
    /// The weights of `clusters` clusters in `replicate`.
    pub fn new(seed: u64, replicate: u64, clusters: usize) -> Self {
        let dense = (0..clusters as u64).map(|c| poisson_1(random_bits(seed, replicate, c))).collect();
        Self { seed, replicate, dense }
    }

    /// The weight of the call at `position`, which belongs to `cluster` or stands alone.
    pub fn of(&self, cluster: u32, position: usize) -> f64 {
        f64::from(if cluster == Clusters::ALONE {
            poisson_1(random_bits(self.seed, self.replicate, (1 << 33) + position as u64))
        } else {
            self.dense[cluster as usize]
        })
    }
}

/// One past the largest cluster id.
pub fn cluster_count(clusters: &[u32]) -> usize {
    clusters.iter().filter(|c| **c != Clusters::ALONE).max().map_or(0, |c| *c as usize + 1)
}

impl Bootstrap {
    /// `estimate` of each replicate's weights, in order of replicates; runs on all cores.
    pub fn run<T: Send>(self, clusters: usize, estimate: impl Fn(&Weights) -> T + Sync) -> Vec<T> {
        (0..u64::from(self.replicates))
            .into_par_iter()
            .map(|replicate| estimate(&Weights::new(self.seed, replicate, clusters)))
            .collect()
    }

    /// Bootstrap of a mean with clusters, on sums and counts by cluster. `None` where there are no values.
    pub fn mean(self, values: &[f64], clusters: &[u32], level: f64) -> Option<Estimate> {
        let count = cluster_count(clusters);
        let mut sums = vec![(0.0, 0.0); count];
        let mut alone = Vec::new();
        for (position, (value, cluster)) in values.iter().zip(clusters).enumerate() {
            if *cluster == Clusters::ALONE {
                alone.push((position, *value));
            } else {
                let sum = &mut sums[*cluster as usize];
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
        let means = self.run(count, |weights| {
            let dense =
                sums.iter().zip(&weights.dense).map(|(s, w)| (s.0 * f64::from(*w), s.1 * f64::from(*w)));
            let single = alone.iter().map(|(position, value)| {
                let weight = weights.of(Clusters::ALONE, *position);
                (value * weight, weight)
            });
            let (sum, total) = dense.chain(single).fold((0.0, 0.0), |a, s| (a.0 + s.0, a.1 + s.1));
            sum / total
        });
        let value = values.iter().sum::<f64>() / values.len() as f64;
        (!values.is_empty()).then(|| summarise(value, &means, level)).flatten()
    }
}

/// The standard error and the percentile interval of `replicates`, those that are no number left out (a replicate may
/// draw no call of an arm). `None` where fewer than half are left.
pub fn summarise(value: f64, replicates: &[f64], level: f64) -> Option<Estimate> {
    let mut finite: Vec<f64> = replicates.iter().copied().filter(|r| !r.is_nan()).collect();
    if finite.len() * 2 < replicates.len() || finite.len() < 2 {
        return None;
    }
    finite.sort_by(f64::total_cmp);
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let variance = finite.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (finite.len() - 1) as f64;
    let tail = (1.0 - level) / 2.0;
    Some(Estimate {
        value,
        standard_error: variance.sqrt(),
        low: quantile_of_sorted(&finite, tail),
        high: quantile_of_sorted(&finite, 1.0 - tail),
    })
}

/// The `p` quantile of rising values, linear between neighbours.
pub fn quantile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    if sorted[below] == sorted[above] {
        return sorted[below];
    }
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_clusters_are_drawn() {
        // 50 customers with four equal calls each: the mean varies as that of 50 values.
        let clusters: Vec<u32> = (0..200).map(|i| i / 4).collect();
        let values: Vec<f64> = clusters.iter().map(|c| f64::from(c % 10)).collect();
        let found = Bootstrap { replicates: 2000, seed: 1 }.mean(&values, &clusters, 0.95).unwrap();
        let expected = (8.25_f64 / 50.0).sqrt();
        assert!((found.standard_error / expected - 1.0).abs() < 0.1, "{}", found.standard_error);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let clusters = vec![Clusters::ALONE; 30];
        let values: Vec<f64> = (0..30).map(f64::from).collect();
        let bootstrap = Bootstrap { replicates: 100, seed: 5 };
        assert_eq!(bootstrap.mean(&values, &clusters, 0.9), bootstrap.mean(&values, &clusters, 0.9));
        assert_eq!(bootstrap.mean(&[], &[], 0.9), None);
    }
}
