//! Reads cases as JSON lines, `{"estimator": …, …}`, and prints one line of results each: the Rust side of the test against
//! reference implementations in `tests/reference`.

#![allow(clippy::similar_names, reason = "cells and calls are what the formulas call them")]

use callmark_compare::cohort::FollowUp;
use callmark_compare::stats::bootstrap::{Bootstrap, Units, summarise};
use callmark_compare::stats::censoring::Censoring;
use callmark_compare::stats::clusters::{Clusters, variance_of_mean, variance_of_sum};
use callmark_compare::stats::correction::{Corrected, prediction_powered, rogan_gladen};
use callmark_compare::stats::curves::{CurveQuestions, OrderedCalls, bootstrap_curves};
use callmark_compare::stats::differences::{Contrast, GroupPeriod, roll_out};
use callmark_compare::stats::doubly_robust::{doubly_robust, doubly_robust_bootstrap};
use callmark_compare::stats::estimate::Estimate;
use callmark_compare::stats::heterogeneity::heterogeneity;
use callmark_compare::stats::margin::Difference;
use callmark_compare::stats::multiplicity::{benjamini_hochberg, holm};
use callmark_compare::stats::proportion::{Arm, newcombe, wilson, wilson_clustered};
use callmark_compare::stats::sensitivity::{e_value, e_value_of_difference};
use callmark_compare::stats::shift::{Weighted, hodges_lehmann, hodges_lehmann_weighted, superiority};
use callmark_compare::stats::standardise::standardise;
use callmark_compare::stats::strata::{ArmSums, Cells, Covariate};
use callmark_compare::stats::weighting::{Adjusted, Calls, Propensity, balance, inverse_propensity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};

/// All intervals have this level.
const LEVEL: f64 = 0.95;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        writeln!(out, "{}", answer(&case).unwrap_or(Value::Null))?;
    }
    Ok(())
}

fn numbers(case: &Value, name: &str) -> Vec<f64> {
    let values = case[name].as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().filter_map(Value::as_f64).collect()
}

fn codes(case: &Value, name: &str) -> Vec<u32> {
    numbers(case, name).into_iter().map(|v| v as u32).collect()
}

fn interval(e: &Estimate) -> Value {
    json!([e.value, e.standard_error, e.low, e.high])
}

fn answer(case: &Value) -> Option<Value> {
    let number = |name: &str| case[name].as_f64();
    match case["estimator"].as_str()? {
        "wilson" => wilson(number("successes")?, number("trials")?, LEVEL).map(|e| interval(&e)),
        "censored" => censored(case),
        "follow_up" => follow_up(case),
        "curves" => curves(case),
        "roll_out" => rolled_out(case),
        "ranks" => {
            let (first, second) = (numbers(case, "first"), numbers(case, "second"));
            let found = superiority(&first, &second)?;
            let shift = hodges_lehmann(&first, &second, 1.0, LEVEL)?;
            Some(json!({
                "probability": found.probability, "delong": found.standard_error(),
                "shift": [shift.value, shift.low, shift.high],
            }))
        }
        "margin" => margin(case),
        "cluster_mean" => {
            let (values, cluster) = (numbers(case, "values"), codes(case, "cluster"));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let influence: Vec<f64> = values.iter().map(|v| v - mean).collect();
            let variance = variance_of_mean(&influence, Clusters { customer: &cluster, agent: None })?;
            let units = Units::new(&cluster);
            let means = Bootstrap { replicates: 4000, seed: 1 }.run(|weights| {
                let weight = |i: usize| f64::from(weights.of(units.of_call[i] as usize));
                let sum = |value: &dyn Fn(usize) -> f64| {
                    (0..values.len()).map(|i| weight(i) * value(i)).sum::<f64>()
                };
                sum(&|i| values[i]) / sum(&|_| 1.0)
            });
            let error = summarise(mean, &means, LEVEL)?.standard_error;
            Some(json!({"mean": mean, "standard_error": variance.sqrt(), "bootstrap": error}))
        }
        "case_mix" => case_mix(case),
        "p_values" => {
            let p = numbers(case, "p");
            Some(json!({"holm": holm(&p), "bh": benjamini_hochberg(&p)}))
        }
        "rogan_gladen" => corrected(case, |scored, labels| rogan_gladen(scored, scored, labels)),
        "prediction_powered" => corrected(case, prediction_powered),
        _ => more(case),
    }
}

/// Clusters, segments, sensitivity, sums.
fn more(case: &Value) -> Option<Value> {
    let number = |name: &str| case[name].as_f64();
    match case["estimator"].as_str()? {
        "newcombe" => {
            let arm = |k: &str, n: &str| {
                let (share, trials) = (number(k)? / number(n)?, number(n)?);
                Some(Arm { share, standard_error: (share * (1.0 - share) / trials).sqrt(), trials })
            };
            let (first, second) = (arm("k1", "n1")?, arm("k2", "n2")?);
            let error = first.standard_error.hypot(second.standard_error);
            newcombe(first, second, error, LEVEL).map(|e| json!([e.value, e.low, e.high]))
        }
        "ranks_weighted" => {
            let of = |values: &str, weights: &str| {
                Weighted::new(numbers(case, values).into_iter().zip(numbers(case, weights)))
            };
            let (first, second) = (of("first", "first_weights"), of("second", "second_weights"));
            let counts = (number("m")?, number("n")?);
            let shift = hodges_lehmann_weighted(&first, &second, counts, 1.0, LEVEL)?;
            let below: Vec<f64> = numbers(case, "first").into_iter().map(|v| second.share_below(v)).collect();
            Some(
                json!({"below": below, "shift": [shift.value, shift.low, shift.high], "median": first.quantile(0.5)}),
            )
        }
        "wilson_clustered" => {
            wilson_clustered(number("successes")?, number("trials")?, number("error")?, LEVEL)
                .map(|e| interval(&e))
        }
        "heterogeneity" => {
            let estimates: Vec<Estimate> = numbers(case, "values")
                .into_iter()
                .zip(numbers(case, "errors"))
                .map(|(value, error)| Estimate::wald(value, error, LEVEL))
                .collect();
            heterogeneity(&estimates).map(|h| json!([h.q, h.degrees, h.p_value, h.i_squared]))
        }
        "two_way" => {
            let (customer, agent) = (codes(case, "customer"), codes(case, "agent"));
            let clusters = Clusters { customer: &customer, agent: Some(&agent) };
            variance_of_mean(&numbers(case, "influence"), clusters).map(|v| json!(v.sqrt()))
        }
        "e_value" => {
            let found = e_value(number("ratio")?, number("low")?, number("high")?);
            Some(json!([found.estimate, found.interval]))
        }
        "e_value_of_difference" => {
            let difference = Estimate::wald(number("value")?, number("error")?, LEVEL);
            let found = e_value_of_difference(&difference, number("standard_deviation")?)?;
            Some(json!([found.estimate, found.interval]))
        }
        "labelled_difference" => {
            let of =
                |scored: &str, labels: &str| prediction_powered(&gaps(case, scored), &gaps(case, labels));
            let found = of("first_scored", "first_labels")?.less(&of("second_scored", "second_labels")?);
            of_customers(case, &found)
        }
        _ => None,
    }
}

/// Numbers of which some are null: not numbers here.
fn gaps(case: &Value, name: &str) -> Vec<f64> {
    let values = case[name].as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Scores put right by labels, with the interval that customers give.
fn corrected(case: &Value, estimator: fn(&[f64], &[f64]) -> Option<Corrected>) -> Option<Value> {
    of_customers(case, &estimator(&gaps(case, "scored"), &gaps(case, "labels"))?)
}

fn of_customers(case: &Value, corrected: &Corrected) -> Option<Value> {
    let customer = codes(case, "customer");
    corrected.estimate(Clusters { customer: &customer, agent: None }, LEVEL).map(|e| interval(&e))
}

/// One number a call where some are lost from view.
fn censored(case: &Value) -> Option<Value> {
    let known: Vec<bool> = codes(case, "known").into_iter().map(|k| k == 1).collect();
    let found = Censoring::new(&numbers(case, "times"), &known).values(&numbers(case, "values"))?;
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let influence: Vec<f64> = found.iter().map(|v| v - mean).collect();
    let alone = vec![Clusters::ALONE; found.len()];
    let variance = variance_of_mean(&influence, Clusters { customer: &alone, agent: None })?;
    Some(json!({"mean": mean, "standard_error": variance.sqrt(), "influence": influence}))
}

/// Whether customers come back: 1, 0 or null a call.
fn follow_up(case: &Value) -> Option<Value> {
    let pairs = |customers: &str, starts: &str| -> Vec<(u32, i64)> {
        let starts = numbers(case, starts).into_iter().map(|start| start as i64);
        codes(case, customers).into_iter().zip(starts).collect()
    };
    let own = pairs("customer", "start");
    let found = FollowUp::of(&own, pairs("all_customers", "all_starts"));
    let days = case["days"].as_i64()?;
    Some(json!((0..own.len()).map(|call| found.within(call, days)).collect::<Vec<_>>()))
}

/// Every cause's incidence, with the bootstrap's interval for the first.
fn curves(case: &Value) -> Option<Value> {
    let causes: Vec<u8> = codes(case, "causes").into_iter().map(|c| c as u8).collect();
    let (times, units) = (numbers(case, "times"), codes(case, "units"));
    let (grid, limit) = (numbers(case, "at"), case["limit"].as_f64()?);
    let ordered = OrderedCalls::new(&times, &causes, &units, &[true, false, false]);
    let questions = CurveQuestions { grid: &grid, quantiles: &[0.5], limit };
    let count = units.iter().max().map_or(0, |u| *u as usize + 1);
    let bootstrap = Bootstrap { replicates: 2000, seed: 1 };
    let [curve] = bootstrap_curves(&[ordered], count, questions, bootstrap);
    let curve = curve?;
    let shown = |estimate: Option<Estimate>| estimate.as_ref().map(interval);
    let pointwise: Vec<Option<Value>> =
        (0..grid.len()).map(|i| shown(curve.pointwise(|a| a.event[i], LEVEL))).collect();
    let band: Vec<Option<Value>> = curve.band(LEVEL).into_iter().map(shown).collect();
    Some(json!({
        "causes": curve.answers.causes, "restricted_mean": curve.answers.restricted_mean,
        "pointwise": pointwise, "band": band, "median": curve.answers.quantiles[0],
    }))
}

fn rolled_out(case: &Value) -> Option<Value> {
    let (group, period) = (codes(case, "group"), codes(case, "period"));
    let (outcome, customer) = (numbers(case, "outcome"), codes(case, "customer"));
    let places: Vec<GroupPeriod> = group.into_iter().zip(period.into_iter().map(|p| p as i32)).collect();
    let mut cells = callmark_compare::stats::differences::Cells::new();
    for (place, value) in places.iter().zip(&outcome) {
        let cell = cells.entry(*place).or_default();
        *cell = (cell.0 + value, cell.1 + 1.0);
    }
    let starts: BTreeMap<u32, i32> =
        codes(case, "treated").into_iter().zip(codes(case, "starts").into_iter().map(|s| s as i32)).collect();
    let found = roll_out(&cells, &starts)?;
    let estimate = |contrast: &Contrast| {
        let influence: Vec<f64> =
            places.iter().zip(&outcome).map(|(place, y)| contrast.influence(&cells, *place, *y)).collect();
        let variance = variance_of_sum(&influence, Clusters { customer: &customer, agent: None })?;
        Some(interval(&Estimate::wald(contrast.value, variance.sqrt(), LEVEL)))
    };
    Some(json!({"effect": estimate(&found.effect)?, "before": found.before.as_ref().and_then(estimate)}))
}

fn margin(case: &Value) -> Option<Value> {
    let number = |name: &str| case[name].as_f64();
    let found = Difference { value: number("value")?, standard_error: number("error")? };
    let margin = number("margin")?;
    Some(json!({
        "non_inferiority": found.non_inferiority_p(margin), "equivalence": found.equivalence_p(margin),
        "minimum_detectable": found.minimum_detectable(LEVEL, 0.8),
        "power": found.non_inferiority_power(margin, 0.025),
    }))
}

fn case_mix(case: &Value) -> Option<Value> {
    let treated: Vec<bool> = codes(case, "treated").into_iter().map(|t| t == 1).collect();
    let outcome = numbers(case, "outcome");
    let covariates: Vec<Covariate> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let codes: Vec<u16> = codes(case, name).into_iter().map(|c| c as u16).collect();
            let levels = codes.iter().max().map_or(0, |m| m + 1);
            Covariate { name: name.to_owned(), levels: (0..levels).map(|l| l.to_string()).collect(), codes }
        })
        .collect();
    let customer = codes(case, "cluster");
    let cells = Cells::new(outcome.len(), &covariates);
    let sums = ArmSums::new(&cells, &treated, &outcome);
    let calls = Calls {
        treated: &treated,
        outcome: &outcome,
        clusters: Clusters { customer: &customer, agent: None },
    };
    let propensity = Propensity::fit(&cells, &sums, (0.0, 1.0))?;
    let show = |a: Option<Adjusted>| a.map(|a| interval(&a.difference));
    let table: Vec<Value> = balance(&cells, &covariates, &sums, &propensity.support)
        .iter()
        .map(|b| json!([b.covariate, b.level, b.treated, b.control, b.before, b.after]))
        .collect();
    let [bootstrap] = doubly_robust_bootstrap(
        &cells,
        &treated,
        [&outcome[..]],
        &customer,
        (0.0, 1.0),
        Bootstrap { replicates: 1000, seed: 1 },
        [LEVEL],
    );
    Some(json!({
        "balance": table, "bootstrap": bootstrap.as_ref().map(interval),
        "coefficients": propensity.model.coefficients,
        "weighted": show(inverse_propensity(&cells, &propensity, &sums, calls, LEVEL)),
        "doubly_robust": show(doubly_robust(&cells, &propensity, &sums, calls, LEVEL)),
        "standardised": show(standardise(&cells, &sums, calls, LEVEL)),
    }))
}
