//! How soon, and whether, the customer's matter is settled.

use super::{RowClusters, difference, known, mean, rows_of, waits};
use crate::cohort::{Cohort, Ended};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Plot, Report, Series, Unit};
use crate::stats::bootstrap::{Bootstrap, cluster_count, quantile_of_sorted, summarise};
use crate::stats::clusters::variance_of_sum;
use crate::stats::distributions::normal_critical;
use crate::stats::estimate::Estimate;
use crate::stats::incidence::{CurveAnswers, CurveQuestions, End, OrderedCalls, log_log_interval};
use crate::stats::proportion::wilson_clustered;
use crate::stats::shift::{hodges_lehmann, superiority};

/// Times at which curves are drawn.
const GRID: usize = 60;

/// One arm's curve and its replicates.
struct Curve {
    answers: CurveAnswers,
    replicates: Vec<Option<CurveAnswers>>,
}

fn end(cohort: &Cohort, i: usize) -> End {
    match cohort.ended[i] {
        ended if ended.is_resolved() => End::Event,
        _ if cohort.truncated[i] => End::Censored,
        _ => End::Competing,
    }
}

fn curve(cohort: &Cohort, config: &CompareConfig, ai: bool, grid: &[f64]) -> Option<Curve> {
    let (minutes, rows) = known(&cohort.minutes, &rows_of(cohort, ai));
    let ends: Vec<End> = rows.iter().map(|i| end(cohort, *i)).collect();
    // Calls of nobody known are customers of their own.
    let mut next = cluster_count(&cohort.customer) as u32;
    let clusters: Vec<u32> = rows
        .iter()
        .map(|i| match cohort.customer[*i] {
            u32::MAX => {
                next += 1;
                next - 1
            }
            customer => customer,
        })
        .collect();
    let ordered = OrderedCalls::new(&minutes, &ends, &clusters);
    let questions = CurveQuestions { grid, quantiles: &[0.5], limit: config.limit_minutes };
    let bootstrap = Bootstrap { replicates: config.replicates, seed: config.seed };
    let replicates =
        bootstrap.run(next as usize, |weights| ordered.weighted(|cluster| weights.of(cluster, 0), questions));
    Some(Curve { answers: ordered.weighted(|_| 1.0, questions)?, replicates })
}

impl Curve {
    fn each(&self, of: impl Fn(&CurveAnswers) -> f64) -> Vec<f64> {
        self.replicates.iter().map(|r| r.as_ref().map_or(f64::NAN, &of)).collect()
    }

    /// The curve with its simultaneous band: as many standard errors as hold the whole curve in `level` of the
    /// replicates.
    fn series(&self, name: &str, grid: &[f64], level: f64) -> Series {
        let errors: Vec<f64> = (0..grid.len())
            .map(|i| {
                summarise(self.answers.incidence[i], &self.each(|r| r.incidence[i]), level)
                    .map_or(0.0, |e| e.standard_error)
            })
            .collect();
        let mut furthest: Vec<f64> = self
            .replicates
            .iter()
            .flatten()
            .map(|r| {
                let off = |i: usize| (r.incidence[i] - self.answers.incidence[i]).abs() / errors[i];
                (0..grid.len()).filter(|i| errors[*i] > 1e-9).map(off).fold(0.0, f64::max)
            })
            .collect();
        furthest.sort_by(f64::total_cmp);
        let critical = if furthest.is_empty() {
            normal_critical(level)
        } else {
            quantile_of_sorted(&furthest, level).max(normal_critical(level))
        };
        let point = |i: usize| {
            let e = log_log_interval(self.answers.incidence[i], errors[i], critical);
            (grid[i], 100.0 * e.value, 100.0 * e.low, 100.0 * e.high)
        };
        Series { name: name.to_owned(), points: (0..grid.len()).map(point).collect(), steps: true }
    }
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig) {
    let limit = config.limit_minutes;
    let grid: Vec<f64> = (0..=GRID).map(|i| limit * i as f64 / GRID as f64).collect();
    let mut blocks = vec![Block::Text(
        "The clock runs from the customer's first words to the turn that settles the matter, also across a handoff. \
         Calls that end otherwise are not left out: after a transfer or a hang-up the matter stays open."
            .to_owned(),
    )];
    let curves = [true, false].map(|ai| curve(cohort, config, ai, &grid));
    if let [Some(ai), Some(human)] = &curves {
        blocks.push(Block::Plot(Plot {
            caption: format!(
                "Calls settled within so many minutes (Aalen-Johansen), with bands that hold the whole curve at level {}",
                config.level
            ),
            x: "minutes".to_owned(),
            y: "% settled".to_owned(),
            series: vec![ai.series("AI first", &grid, config.level), human.series("people first", &grid, config.level)],
        }));
    }
    blocks.push(times_table(report, cohort, config, &curves));
    blocks.push(outcomes_table(report, cohort, config));
    report.section("resolution", "Is the matter settled, and how soon", true, blocks);
}

#[allow(clippy::too_many_lines, reason = "one line a figure of the table")]
fn times_table(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    curves: &[Option<Curve>; 2],
) -> Block {
    let (level, limit) = (config.level, config.limit_minutes);
    let method = "Aalen-Johansen, bootstrap by customer";
    let mut rows = vec![
        vec!["median, all calls counted".to_owned()],
        vec![format!("mean until settled, at most {limit} min")],
    ];
    let medians = |c: &Curve| (c.answers.quantiles[0], c.each(|r| r.quantiles[0]));
    for (arm, curve) in ["ai", "human"].iter().zip(curves) {
        let median = curve.as_ref().and_then(|c| {
            let (value, replicates) = medians(c);
            value.is_finite().then(|| summarise(value, &replicates, level)).flatten()
        });
        let figure = Figure::estimate("median minutes until settled", Unit::Minutes, median, method);
        let figure =
            if median.is_none() { figure.because("half of the calls are never settled") } else { figure };
        rows[0].push(report.figure(&format!("median_minutes_{arm}"), figure.at_level(level)));
        let (values, at) = known(&waits(cohort, limit), &rows_of(cohort, *arm == "ai"));
        let figure = Figure::estimate(
            "restricted mean minutes until settled",
            Unit::Minutes,
            mean(cohort, &values, &at, level),
            "mean with unsettled calls at the limit, clusters of customers and agents",
        );
        let figure = figure.with("calls", values.len() as f64).with("limit_minutes", limit).at_level(level);
        rows[1].push(report.figure(&format!("restricted_minutes_{arm}"), figure));
    }
    let pairs = |f: fn(f64, f64) -> f64| {
        let [Some(ai), Some(human)] = curves else { return None };
        let ((a, ra), (h, rh)) = (medians(ai), medians(human));
        let replicates: Vec<f64> = ra.iter().zip(&rh).map(|(a, h)| f(*a, *h)).collect();
        (a.is_finite() && h.is_finite()).then(|| summarise(f(a, h), &replicates, level)).flatten()
    };
    let figure =
        Figure::estimate("difference of medians", Unit::MinutesDifference, pairs(|a, h| a - h), method);
    rows[0].push(report.figure("median_minutes_difference", figure.at_level(level)));
    let figure = Figure::estimate(
        "difference of restricted means",
        Unit::MinutesDifference,
        difference(cohort, &waits(cohort, limit), level),
        "clusters of customers and agents",
    );
    rows[1].push(report.figure("restricted_minutes_difference", figure.at_level(level)));
    let figure = Figure::estimate("ratio of medians", Unit::Number, pairs(|a, h| a / h), method);
    rows.push(only_difference(
        "ratio of medians, AI to people",
        report.figure("median_ratio", figure.at_level(level)),
    ));
    let [quicker, shift] = ranks(cohort, config);
    let figure = Figure::estimate(
        "probability that a call AI took is settled sooner than one people took, ties half",
        Unit::Share,
        quicker,
        "Mann-Whitney, DeLong with clusters",
    );
    rows.push(only_difference(
        "AI's call is settled sooner",
        report.figure("probability_sooner", figure.at_level(level)),
    ));
    let figure = Figure::estimate(
        "Hodges-Lehmann shift of minutes, unsettled calls at the limit",
        Unit::MinutesDifference,
        shift,
        "median of all pairwise differences, rank interval widened by the design effect",
    );
    rows.push(only_difference(
        "typical shift (Hodges-Lehmann)",
        report.figure("hodges_lehmann_minutes", figure.at_level(level)),
    ));
    Block::Table {
        caption: "Time until settled".to_owned(),
        columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows,
    }
}

fn only_difference(name: &str, figure: String) -> Vec<String> {
    vec![name.to_owned(), String::new(), String::new(), figure]
}

/// Probability of being settled sooner, and the shift.
fn ranks(cohort: &Cohort, config: &CompareConfig) -> [Option<Estimate>; 2] {
    let waits = waits(cohort, config.limit_minutes);
    let (ai, ai_rows) = known(&waits, &rows_of(cohort, true));
    let (human, human_rows) = known(&waits, &rows_of(cohort, false));
    let Some(found) = superiority(&ai, &human) else { return [None, None] };
    let independent = found.standard_error();
    let influence = [found.first, found.second].concat();
    let rows = [ai_rows, human_rows].concat();
    let variance = variance_of_sum(&influence, RowClusters::of(cohort, &rows).get());
    let quicker = variance.map(|v| Estimate::wald(found.probability, v.sqrt(), config.level));
    let effect = variance.zip(independent).map_or(1.0, |(v, se)| v / (se * se));
    [quicker, hodges_lehmann(&ai, &human, effect, config.level)]
}

fn outcomes_table(report: &mut Report, cohort: &Cohort, config: &CompareConfig) -> Block {
    let row = |ended: Ended, report: &mut Report| {
        let outcome: Vec<f64> = cohort.ended.iter().map(|e| f64::from(*e == ended)).collect();
        let name = ended.as_str();
        let mut cells = vec![name.replace('_', " ")];
        for (arm, ai) in [("ai", true), ("human", false)] {
            cells.push(share(report, &format!("outcome_{name}_{arm}"), cohort, &outcome, ai, config.level));
        }
        let figure = Figure::estimate(
            &format!("difference in the share {name}"),
            Unit::ShareDifference,
            difference(cohort, &outcome, config.level),
            "clusters of customers and agents",
        );
        cells.push(report.figure(&format!("outcome_{name}_difference"), figure.at_level(config.level)));
        cells
    };
    Block::Table {
        caption: "How calls end".to_owned(),
        columns: ["outcome", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows: Ended::ALL.into_iter().map(|ended| row(ended, report)).collect(),
    }
}

/// The share of an arm's known 0 or 1 values that are 1, as a figure.
pub(super) fn share(
    report: &mut Report,
    id: &str,
    cohort: &Cohort,
    outcome: &[f64],
    ai: bool,
    level: f64,
) -> String {
    let (values, rows) = known(outcome, &rows_of(cohort, ai));
    let (successes, trials) = (values.iter().sum::<f64>(), values.len() as f64);
    let error = mean(cohort, &values, &rows, level).map_or(0.0, |e| e.standard_error);
    let figure = Figure::estimate(
        &format!("share of calls, {}", id.replace('_', " ")),
        Unit::Share,
        wilson_clustered(successes, trials, error, level),
        "Wilson with the design effect of customers and agents",
    );
    let figure = if trials > 0.0 { figure } else { figure.because("there are no such calls") };
    report.figure(id, figure.with("calls", successes).with("of", trials).at_level(level))
}
