//! The cluster bootstrap: whole customers are drawn, not calls.
//!
//! Each replicate counts every cluster a Poisson(1) number of times, which is the multinomial bootstrap without its
//! bookkeeping (Hanley & MacGibbon 2006; Chamandy et al. 2012 at scale): a weight depends only on seed, replicate and
//! cluster, so replicates run on all cores in any order and no resampled data set is ever made. Estimators work on
//! sums, or on data sorted once.

use super::clusters::Clusters;
use super::estimate::Estimate;
use super::random::{Stream, poisson_1};
use rayon::prelude::*;

/// Replicates and their seed.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    /// How many replicates.
    pub replicates: u32,
    /// The seed of their weights.
    pub seed: u64,
}

/// How often each unit, a customer or a call of nobody known, counts in one replicate.
#[derive(Debug, Clone, Copy)]
pub struct Weights(Stream);

impl Weights {
    /// The weight of a unit.
    pub fn of(self, unit: usize) -> u8 {
        poisson_1(self.0.bits(unit as u64))
    }

    /// The weights of units 0 to `units`, for looking them up in any order.
    pub fn all(self, units: usize) -> Vec<u8> {
        (0..units).map(|unit| self.of(unit)).collect()
    }
}

/// Units of a bootstrap: which calls are drawn together.
#[derive(Debug, Clone)]
pub struct Units {
    /// The unit of each call, dense from 0.
    pub of_call: Vec<u32>,
    /// How many there are.
    pub count: usize,
}

impl Units {
    /// One unit a cluster, and one for each call that is its own cluster.
    pub fn new(clusters: &[u32]) -> Self {
        let largest = clusters.iter().filter(|c| **c != Clusters::ALONE).max();
        let mut count = largest.map_or(0, |c| *c + 1);
        let of_call = clusters
            .iter()
            .map(|cluster| {
                if *cluster != Clusters::ALONE {
                    return *cluster;
                }
                count += 1;
                count - 1
            })
            .collect();
        Self { of_call, count: count as usize }
    }

    /// The calls by unit: `starts` has a place for each unit and one more, and the calls of unit `u` are
    /// `calls[starts[u]..starts[u + 1]]`.
    pub fn grouped(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; self.count + 1];
        for unit in &self.of_call {
            starts[*unit as usize + 1] += 1;
        }
        for unit in 0..self.count {
            starts[unit + 1] += starts[unit];
        }
        let mut next = starts.clone();
        let mut calls = vec![0; self.of_call.len()];
        for (call, unit) in self.of_call.iter().enumerate() {
            let place = &mut next[*unit as usize];
            calls[*place as usize] = call as u32;
            *place += 1;
        }
        (starts, calls)
    }
}

impl Bootstrap {
    /// `estimate` of each replicate's weights, in order of replicates; runs on all cores.
    pub fn run<T: Send>(self, estimate: impl Fn(Weights) -> T + Sync) -> Vec<T> {
        (0..u64::from(self.replicates))
            .into_par_iter()
            .map(|replicate| estimate(Weights(Stream::new(self.seed, replicate))))
            .collect()
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

    /// Bootstrap of a mean with clusters.
    fn mean(bootstrap: Bootstrap, values: &[f64], clusters: &[u32], level: f64) -> Option<Estimate> {
        let units = Units::new(clusters);
        let means = bootstrap.run(|weights| {
            let weight = |i: usize| f64::from(weights.of(units.of_call[i] as usize));
            let (sum, total) =
                (0..values.len()).fold((0.0, 0.0), |(s, n), i| (s + weight(i) * values[i], n + weight(i)));
            sum / total
        });
        summarise(values.iter().sum::<f64>() / values.len() as f64, &means, level)
    }

    #[test]
    fn whole_clusters_are_drawn() {
        // 50 customers with four equal calls each: the mean varies as that of 50 values.
        let clusters: Vec<u32> = (0..200).map(|i| i / 4).collect();
        let values: Vec<f64> = clusters.iter().map(|c| f64::from(c % 10)).collect();
        let found = mean(Bootstrap { replicates: 2000, seed: 1 }, &values, &clusters, 0.95).unwrap();
        let expected = (8.25_f64 / 50.0).sqrt();
        assert!((found.standard_error / expected - 1.0).abs() < 0.1, "{}", found.standard_error);
    }

    #[test]
    fn calls_are_grouped_by_customer_and_strangers_stand_alone() {
        let units = Units::new(&[1, Clusters::ALONE, 0, 1, Clusters::ALONE]);
        assert_eq!((units.count, &units.of_call[..]), (4, &[1, 2, 0, 1, 3][..]));
        assert_eq!(units.grouped(), (vec![0, 1, 3, 4, 5], vec![2, 0, 3, 1, 4]));
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let clusters = vec![Clusters::ALONE; 30];
        let values: Vec<f64> = (0..30).map(f64::from).collect();
        let bootstrap = Bootstrap { replicates: 100, seed: 5 };
        assert_eq!(mean(bootstrap, &values, &clusters, 0.9), mean(bootstrap, &values, &clusters, 0.9));
        assert_eq!(mean(bootstrap, &[], &[], 0.9), None);
    }
}
