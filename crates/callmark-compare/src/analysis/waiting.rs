//! Curves of waits, arm by arm, whose intervals respect customers and agents.
//!
//! The bootstrap draws customers. An agent takes many customers' calls and a customer meets several agents, so that no
//! drawing of whole groups respects both: each replicate is put further from the curve instead, by as much as the error from
//! sums by customers and agents is larger than that by customers alone.

use super::{RowClusters, rows_of};
use crate::cohort::Cohort;
use crate::config::CompareConfig;
use crate::stats::bootstrap::{Bootstrap, Units};
use crate::stats::censoring::Censoring;
use crate::stats::clusters::{one_way, variance_of_sum};
use crate::stats::curves::{BootstrapCurve, CurveQuestions, OrderedCalls, bootstrap_curves};
use rayon::prelude::*;

/// Steps of the grid between two times at which errors are set against each other; between them the factor is a line.
const KNOT_STEPS: usize = 10;

/// The curves of AI's calls and of people's that `take` part: when and by what each wait ends (cause 0 is being lost from
/// view), `event` being the causes that are asked about.
pub(super) fn curves(
    cohort: &Cohort,
    config: &CompareConfig,
    event: &[bool],
    questions: CurveQuestions,
    ends: impl Fn(usize) -> Option<(f64, u8)>,
) -> [Option<BootstrapCurve>; 2] {
    let units = Units::new(&cohort.customer);
    let arms = [true, false].map(|ai| Waits::new(cohort, ai, event, &ends));
    let ordered = arms.each_ref().map(|arm| {
        let own: Vec<u32> = arm.rows.iter().map(|i| units.of_call[*i]).collect();
        OrderedCalls::new(&arm.times, &arm.causes, &own, event)
    });
    let bootstrap = Bootstrap { replicates: config.replicates, seed: config.seed };
    let mut found = bootstrap_curves(&ordered, units.count, questions, bootstrap);
    for (curve, arm) in found.iter_mut().zip(&arms) {
        if let Some(curve) = curve {
            arm.widen(cohort, curve, questions.grid);
        }
    }
    found
}

/// The waits of one arm.
struct Waits {
    rows: Vec<usize>,
    times: Vec<f64>,
    causes: Vec<u8>,
    /// Whether each ends with the event.
    events: Vec<bool>,
}

impl Waits {
    fn new(cohort: &Cohort, ai: bool, event: &[bool], ends: impl Fn(usize) -> Option<(f64, u8)>) -> Self {
        let own = rows_of(cohort, ai).into_iter().filter_map(|i| Some((i, ends(i)?)));
        let (rows, ends): (Vec<usize>, Vec<(f64, u8)>) = own.unzip();
        let (times, causes): (Vec<f64>, Vec<u8>) = ends.into_iter().unzip();
        let events = causes.iter().map(|cause| *cause > 0 && event[usize::from(*cause) - 1]).collect();
        Self { rows, times, causes, events }
    }

    fn widen(&self, cohort: &Cohort, curve: &mut BootstrapCurve, grid: &[f64]) {
        let clusters = RowClusters::of(cohort, &self.rows);
        if clusters.get().agent.is_none() {
            return;
        }
        let knots: Vec<f64> = grid.iter().step_by(KNOT_STEPS).copied().collect();
        let factors: Vec<f64> = knots.par_iter().map(|time| self.factor(&clusters, *time)).collect();
        let between = |step: usize| {
            let (knot, part) = (step / KNOT_STEPS, (step % KNOT_STEPS) as f64 / KNOT_STEPS as f64);
            let next = factors.get(knot + 1).unwrap_or(&factors[knot]);
            (1.0 - part) * factors[knot] + part * next
        };
        let event: Vec<f64> = (0..grid.len()).map(between).collect();
        let quantiles: Vec<f64> = curve
            .answers
            .quantiles
            .iter()
            .map(|time| if time.is_finite() { self.factor(&clusters, *time) } else { 1.0 })
            .collect();
        curve.widen(&event, &quantiles);
    }

    /// How many times the error that customers give the share by `time` customers and agents give it.
    fn factor(&self, clusters: &RowClusters, time: f64) -> f64 {
        let known: Vec<bool> =
            self.causes.iter().zip(&self.times).map(|(cause, own)| *cause > 0 || *own >= time).collect();
        let by_then: Vec<f64> = self
            .events
            .iter()
            .zip(&self.times)
            .map(|(event, own)| f64::from(*event && *own <= time))
            .collect();
        let values = if known.contains(&false) {
            let followed: Vec<f64> = self.times.iter().map(|own| own.min(time)).collect();
            Censoring::new(&followed, &known).values(&by_then)
        } else {
            Some(by_then)
        };
        let Some(mut values) = values else { return 1.0 };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        for value in &mut values {
            *value -= mean;
        }
        let clusters = clusters.get();
        match (variance_of_sum(&values, clusters), one_way(&values, clusters.customer)) {
            (Some(both), Some(customers)) if customers > 0.0 => (both / customers).sqrt(),
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Draws;

    #[test]
    fn a_curve_and_its_median_are_as_unsure_as_ten_agents_make_them() {
        // 4000 calls of as many customers by ten agents, of whom five settle within 5 minutes what the others never do.
        let mut draws = Draws::new(9, 0);
        let count = 4000;
        let mut cohort = Cohort::default();
        let mut minutes = Vec::new();
        for i in 0..count {
            let agent = draws.below(10) as u32;
            cohort.ai.push(false);
            cohort.customer.push(i);
            cohort.agent.push(agent);
            minutes.push(1.0 + 9.0 * draws.uniform() * (0.5 + 0.1 * f64::from(agent)));
        }
        let grid: Vec<f64> = (0..=20).map(f64::from).collect();
        let questions = CurveQuestions { grid: &grid, quantiles: &[0.5], limit: 20.0 };
        let config = CompareConfig { replicates: 100, ..CompareConfig::default() };
        let error = |cohort: &Cohort| {
            let [_, curve] = curves(cohort, &config, &[true], questions, |i| Some((minutes[i], 1)));
            let curve = curve.unwrap();
            let spread = |of: Vec<f64>| {
                of.iter().map(|x| (x - curve.answers.quantiles[0]).powi(2)).sum::<f64>().sqrt()
            };
            (
                curve.pointwise(|a| a.event[5], 0.95).unwrap().standard_error,
                spread(curve.each(|r| r.quantiles[0])),
            )
        };
        let both = error(&cohort);
        cohort.agent.fill(u32::MAX);
        let customers = error(&cohort);
        assert!(both.0 > 2.0 * customers.0 && both.1 > 2.0 * customers.1, "{both:?} {customers:?}");
    }
}
