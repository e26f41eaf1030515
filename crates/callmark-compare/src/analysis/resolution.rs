//! How soon, and whether, the customer's matter is settled.

use super::medians::adjusted_medians;
use super::mix::Mix;
use super::sooner::ranks;
use super::waiting::curves;
use super::{Observed, counts, difference_figure, mean, waits};
use crate::cohort::{Cohort, Ended};
use crate::config::CompareConfig;
use crate::report::{Block, Figure, Plot, Report, Series, Unit};
use crate::stats::bootstrap::summarise;
use crate::stats::curves::{BootstrapCurve, CurveAnswers, CurveQuestions};
use crate::stats::proportion::{Arm, newcombe, wilson_clustered};

/// Times at which curves are drawn.
const GRID: usize = 120;
/// How far along the limit the table of shares settled looks, in parts of [`GRID`].
const LOOKS: [usize; 4] = [12, 24, 60, 120];
const METHOD: &str = "Aalen-Johansen, bootstrap by customer, widened by what agents add to the error";
const ARMS: [&str; 2] = ["ai", "human"];

/// What ended the wait of a call: its place in [`Ended::ALL`] from 1, or 0 where the recording broke off before.
fn cause(cohort: &Cohort, i: usize) -> u8 {
    if cohort.breaks_off(i) {
        return 0;
    }
    Ended::ALL.iter().position(|e| *e == cohort.ended[i]).map_or(0, |place| place as u8 + 1)
}

pub(super) fn add(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) {
    let limit = config.limit_minutes;
    let grid: Vec<f64> = (0..=GRID).map(|i| limit * i as f64 / GRID as f64).collect();
    let mut blocks = vec![Block::Text(
        "The clock runs from the customer's first words to the turn that settles the matter, also across a handoff. \
         Calls that end otherwise are not left out: after a transfer or a hang-up the matter stays open."
            .to_owned(),
    )];
    let questions = CurveQuestions { grid: &grid, quantiles: &[0.5], limit };
    let ends = |i: usize| cohort.minutes[i].is_finite().then(|| (cohort.minutes[i], cause(cohort, i)));
    let curves = curves(cohort, config, &Ended::ALL.map(Ended::is_resolved), questions, ends);
    if let [Some(ai), Some(human)] = &curves {
        let series = |name: &str, curve: &BootstrapCurve| banded(name, curve, &grid, config.level);
        blocks.push(Block::Plot(Plot {
            caption: format!(
                "Calls settled within so many minutes (Aalen-Johansen), with bands that hold the whole curve at level {}",
                config.level
            ),
            x: "minutes".to_owned(),
            y: "% settled".to_owned(),
            series: vec![series("AI first", ai), series("people first", human)],
        }));
        blocks.push(within_table(report, cohort, config, [ai, human], &grid));
        blocks.push(causes_panels([ai, human], &grid));
    }
    blocks.extend(broken_off(report, cohort));
    blocks.push(times_table(report, cohort, (config, mix), &curves));
    blocks.push(like_with_like(report, cohort, config, mix));
    blocks.push(outcomes_table(report, cohort, config));
    report.section("resolution", "Is the matter settled, and how soon", true, blocks);
}

/// How many recordings break off before it shows how their call ended; nothing where none does.
fn broken_off(report: &mut Report, cohort: &Cohort) -> Option<Block> {
    let [ai, human] = [("ai", true), ("human", false)].map(|(arm, ai)| {
        let own = (0..cohort.len()).filter(|i| cohort.ai[*i] == ai && cohort.breaks_off(*i)).count();
        let label = "calls whose recording breaks off before the matter is settled";
        let figure = Figure::exact(label, Unit::Count, own as f64, "counted");
        (own, report.figure(&format!("ends_not_known_{arm}"), figure))
    });
    let text = format!(
        "{} of AI's recordings and {} of people's break off before it shows how the call ended. They count neither as settled \
         nor as not settled: calls of the same arm that were followed for longer stand for them.",
        ai.1, human.1
    );
    (ai.0 + human.0 > 0).then_some(Block::Text(text))
}

/// A curve with its band; as a bare line where there is none.
pub(super) fn banded(name: &str, curve: &BootstrapCurve, grid: &[f64], level: f64) -> Series {
    let points = grid.iter().zip(&curve.answers.event).zip(curve.band(level)).map(|((t, f), band)| {
        let (low, high) = band.map_or((*f, *f), |e| (e.low, e.high));
        (*t, 100.0 * f, 100.0 * low, 100.0 * high)
    });
    Series { name: name.to_owned(), points: points.collect(), steps: true }
}

/// Share settled by some moments, with pointwise intervals.
fn within_table(
    report: &mut Report,
    cohort: &Cohort,
    config: &CompareConfig,
    curves: [&BootstrapCurve; 2],
    grid: &[f64],
) -> Block {
    let level = config.level;
    let calls = counts(cohort, &cohort.minutes);
    let reason = "too many recordings break off before, or all calls are of one customer";
    let told = |figure: Figure| if figure.value.is_some() { figure } else { figure.because(reason) };
    let row = |look: usize| {
        let mut cells = vec![format!("{} min", grid[look])];
        // As many minutes as the limit makes of the look, in an id that may stand on a page.
        let at = format!("settled_within_{}_min", grid[look]).replace('.', "_");
        for ((arm, curve), calls) in ARMS.iter().zip(curves).zip(calls) {
            let estimate = curve.pointwise(|a| a.event[look], level);
            let label = format!("share settled within {} minutes", grid[look]);
            let figure = Figure::estimate(&label, Unit::Share, estimate, METHOD).at_level(level);
            let figure = told(figure.with("calls", calls).with("customers", curve.units as f64));
            cells.push(report.figure(&format!("{at}_{arm}"), figure));
        }
        let of = |c: &BootstrapCurve| (c.answers.event[look], c.each(|r| r.event[look]));
        let ((ai, ai_replicates), (human, human_replicates)) = (of(curves[0]), of(curves[1]));
        let replicates: Vec<f64> = ai_replicates.iter().zip(&human_replicates).map(|(a, h)| a - h).collect();
        let own = |f: f64, replicates: &[f64], curve: &BootstrapCurve| {
            let standard_error = summarise(f, replicates, level)?.standard_error;
            Some(Arm { share: f, standard_error, trials: curve.units as f64 })
        };
        let arms = own(ai, &ai_replicates, curves[0]).zip(own(human, &human_replicates, curves[1]));
        let error = summarise(ai - human, &replicates, level).map(|e| e.standard_error);
        let estimate = arms.zip(error).and_then(|((ai, human), error)| newcombe(ai, human, error, level));
        let label = format!("difference in the share settled within {} minutes", grid[look]);
        let figure = Figure::estimate(&label, Unit::ShareDifference, estimate, METHOD).at_level(level);
        let figure = told(figure.with("calls_ai", calls[0]).with("calls_human", calls[1]));
        cells.push(report.figure(&format!("{at}_difference"), figure));
        cells
    };
    Block::Table {
        caption: "Settled within (intervals for each moment by itself)".to_owned(),
        columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows: LOOKS.into_iter().map(row).collect(),
    }
}

/// One small plot for each way in which a call can end.
fn causes_panels(curves: [&BootstrapCurve; 2], grid: &[f64]) -> Block {
    let panel = |(place, ended): (usize, Ended)| Plot {
        caption: ended.as_str().replace('_', " "),
        x: "minutes".to_owned(),
        y: "% of calls".to_owned(),
        series: ["AI first", "people first"]
            .iter()
            .zip(curves)
            .map(|(name, curve)| Series {
                name: (*name).to_owned(),
                points: grid
                    .iter()
                    .zip(&curve.answers.causes[place])
                    .map(|(t, f)| (*t, 100.0 * f, 100.0 * f, 100.0 * f))
                    .collect(),
                steps: true,
            })
            .collect(),
    };
    Block::Panels {
        caption: "How calls end, and when: cumulative incidence of each outcome, the others competing"
            .to_owned(),
        plots: Ended::ALL.into_iter().enumerate().map(panel).collect(),
    }
}

#[allow(clippy::too_many_lines, reason = "one line a figure of the table")]
fn times_table(
    report: &mut Report,
    cohort: &Cohort,
    (config, mix): (&CompareConfig, &Mix),
    curves: &[Option<BootstrapCurve>; 2],
) -> Block {
    let (level, limit) = (config.level, config.limit_minutes);
    let mut rows = vec![
        vec!["median, all calls counted".to_owned()],
        vec![format!("mean until settled, at most {limit} min")],
        vec!["median, like with like".to_owned()],
    ];
    let waits = waits(cohort, limit);
    let calls = counts(cohort, &cohort.minutes);
    let both = |figure: Figure| {
        figure.with("calls_ai", calls[0]).with("calls_human", calls[1]).with("limit_minutes", limit)
    };
    let medians = |c: &BootstrapCurve| (c.answers.quantiles[0], c.each(|r: &CurveAnswers| r.quantiles[0]));
    for ((arm, curve), calls) in ARMS.iter().zip(curves).zip(calls) {
        let median = curve.as_ref().and_then(|c| {
            let (value, replicates) = medians(c);
            value.is_finite().then(|| summarise(value, &replicates, level)).flatten()
        });
        let figure = Figure::estimate("median minutes until settled", Unit::Minutes, median, METHOD);
        let figure = match curve.as_ref().map(|c| c.answers.quantiles[0]) {
            _ if median.is_some() => figure,
            Some(value) if value.is_infinite() => figure.because("half of the calls are never settled"),
            Some(value) if value.is_nan() => figure.because("too many recordings break off before"),
            _ => figure.because("too few customers, or too few samples in which half are settled"),
        };
        let figure = figure.with("calls", calls).at_level(level);
        rows[0].push(report.figure(&format!("median_minutes_{arm}"), figure));
        let found = mean(cohort, &waits, *arm == "ai", level);
        let figure = Figure::estimate(
            "restricted mean minutes until settled",
            Unit::Minutes,
            found.estimate,
            "mean with unsettled calls at the limit, clusters of customers and agents",
        );
        let figure = figure.with("calls", found.calls).with("limit_minutes", limit).at_level(level);
        rows[1].push(report.figure(&format!("restricted_minutes_{arm}"), figure));
    }
    let pairs = |f: fn(f64, f64) -> f64| {
        let [Some(ai), Some(human)] = curves else { return None };
        let ((a, ra), (h, rh)) = (medians(ai), medians(human));
        let replicates: Vec<f64> = ra.iter().zip(&rh).map(|(a, h)| f(*a, *h)).collect();
        (a.is_finite() && h.is_finite()).then(|| summarise(f(a, h), &replicates, level)).flatten()
    };
    let figure =
        Figure::estimate("difference of medians", Unit::MinutesDifference, pairs(|a, h| a - h), METHOD);
    rows[0].push(report.figure("median_minutes_difference", both(figure).at_level(level)));
    let figure =
        difference_figure(cohort, "difference of restricted means", Unit::MinutesDifference, &waits, level);
    rows[1].push(report.figure("restricted_minutes_difference", figure.with("limit_minutes", limit)));
    for ((arm, median), calls) in ARMS.iter().zip(adjusted_medians(mix, level)).zip(calls) {
        let label = "median minutes until settled, like with like";
        let method = "inverse propensity, Woodruff's interval, clusters of customers and agents";
        let figure = Figure::told(label, Unit::Minutes, median, method).with("calls", calls).at_level(level);
        rows[2].push(report.figure(&format!("median_minutes_{arm}_adjusted"), figure));
    }
    rows[2].push(String::new());
    let figure = Figure::estimate("ratio of medians", Unit::Number, pairs(|a, h| a / h), METHOD);
    rows.push(only_difference(
        "ratio of medians, AI to people",
        report.figure("median_ratio", both(figure).at_level(level)),
    ));
    let found = ranks(cohort, limit, level);
    let of = |figure: Figure| {
        let [ai, human] = found.calls;
        figure.with("calls_ai", ai).with("calls_human", human).with("limit_minutes", limit).at_level(level)
    };
    let figure = Figure::told(
        "probability that a call AI took is settled sooner than one people took, ties half",
        Unit::Share,
        found.sooner.clone(),
        "Mann-Whitney with inverse probability of censoring, DeLong with clusters",
    );
    rows.push(only_difference(
        "AI's call is settled sooner",
        report.figure("probability_sooner", of(figure)),
    ));
    let figure = Figure::told(
        "Hodges-Lehmann shift of minutes, unsettled calls at the limit",
        Unit::MinutesDifference,
        found.shift.clone(),
        "median of all pairwise differences with inverse probability of censoring, rank interval widened by the design effect",
    );
    rows.push(only_difference(
        "typical shift (Hodges-Lehmann)",
        report.figure("hodges_lehmann_minutes", of(figure)),
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

/// The share settled by whomever, had either arm taken all calls.
fn like_with_like(report: &mut Report, cohort: &Cohort, config: &CompareConfig, mix: &Mix) -> Block {
    let figures = mix.shares_of_arms("share settled by anyone", &super::resolved(cohort), config.level);
    let [ai, human] = ["ai", "human"].map(|arm| format!("resolved_any_{arm}_adjusted"));
    let mut cells = vec!["share settled, like with like".to_owned()];
    for (id, figure) in [ai, human].iter().zip(figures) {
        cells.push(report.figure(id, figure));
    }
    cells.push("{{resolved_difference_adjusted}}".to_owned());
    Block::Table {
        caption: "Had either taken all the calls that can be compared".to_owned(),
        columns: ["", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows: vec![cells],
    }
}

fn outcomes_table(report: &mut Report, cohort: &Cohort, config: &CompareConfig) -> Block {
    let ends = Observed::ends(cohort, |_| true);
    let row = |ended: Ended, report: &mut Report| {
        let outcome = ends.values(|i| f64::from(cohort.ended[i] == ended));
        let name = ended.as_str();
        let mut cells = vec![name.replace('_', " ")];
        for (arm, ai) in [("ai", true), ("human", false)] {
            cells.push(share(report, &format!("outcome_{name}_{arm}"), cohort, &outcome, ai, config.level));
        }
        let label = format!("difference in the share {name}");
        let figure = difference_figure(cohort, &label, Unit::ShareDifference, &outcome, config.level);
        cells.push(report.figure(&format!("outcome_{name}_difference"), figure));
        cells
    };
    Block::Table {
        caption: "How calls end".to_owned(),
        columns: ["outcome", "AI first", "people first", "AI less people"].map(str::to_owned).to_vec(),
        rows: Ended::ALL.into_iter().map(|ended| row(ended, report)).collect(),
    }
}

/// The share of an arm's 0 or 1 values that are 1, as a figure.
pub(super) fn share(
    report: &mut Report,
    id: &str,
    cohort: &Cohort,
    outcome: &[f64],
    ai: bool,
    level: f64,
) -> String {
    share_or(report, id, cohort, outcome, (ai, level), "there is no call of which this is known")
}

/// The same, and what to say where there is no such call.
pub(super) fn share_or(
    report: &mut Report,
    id: &str,
    cohort: &Cohort,
    outcome: &[f64],
    (ai, level): (bool, f64),
    nothing: &str,
) -> String {
    let found = mean(cohort, outcome, ai, level);
    let trials = found.calls;
    // What stands for calls that were lost may reach beyond the ends by a little where calls are few.
    let successes = found.sum.clamp(0.0, trials);
    // One call is one cluster; of several calls of one cluster nothing says how far they speak for others.
    let error = match found.estimate {
        Some(estimate) => Some(estimate.standard_error),
        None => (trials <= 1.0).then_some(0.0),
    };
    let figure = Figure::estimate(
        &format!("share of calls, {}", id.replace('_', " ")),
        Unit::Share,
        error.and_then(|error| wilson_clustered(successes, trials, error, level)),
        "Wilson with the design effect of customers and agents",
    );
    let figure = match figure.value {
        Some(_) => figure,
        None if trials > 0.0 => figure.because("all of these calls are of one customer"),
        None if cohort.count(ai) == 0 => figure.because("there are no such calls"),
        None => figure.because(nothing),
    };
    report.figure(id, figure.with("calls", successes).with("of", trials).at_level(level))
}
