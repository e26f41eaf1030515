//! Reads cases as JSON lines, `{"estimator": …, …}`, and prints one line of results each: the Rust side of the test against
//! reference implementations in `tests/reference`.

#![allow(clippy::similar_names, reason = "cells and calls are what the formulas call them")]

use callmark_compare::stats::bootstrap::Bootstrap;
use callmark_compare::stats::clusters::{Clusters, variance_of_mean, variance_of_sum};
use callmark_compare::stats::correction::{Agreement, prediction_powered, rectified, rogan_gladen};
use callmark_compare::stats::curves::{CurveQuestions, OrderedCalls, bootstrap_curves};
use callmark_compare::stats::differences::{Contrast, GroupPeriod, roll_out};
use callmark_compare::stats::doubly_robust::doubly_robust;
use callmark_compare::stats::estimate::Estimate;
use callmark_compare::stats::heterogeneity::heterogeneity;
use callmark_compare::stats::incidence::{End, aalen_johansen};
use callmark_compare::stats::margin::{Difference, Moments};
use callmark_compare::stats::multiplicity::{benjamini_hochberg, holm};
use callmark_compare::stats::proportion::{newcombe, wilson, wilson_clustered};
use callmark_compare::stats::sensitivity::e_value;
use callmark_compare::stats::shift::{hodges_lehmann, superiority};
use callmark_compare::stats::standardise::standardise;
use callmark_compare::stats::strata::{ArmSums, Cells, Covariate};
use callmark_compare::stats::weighting::{Adjusted, Calls, Propensity, inverse_propensity};
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
        "newcombe" => {
            let share = |k: &str, n: &str| wilson(number(k)?, number(n)?, LEVEL);
            Some(interval(&newcombe(&share("k1", "n1")?, &share("k2", "n2")?)))
        }
        "incidence" => incidence(case),
        "curves" => curves(case),
        "roll_out" => rolled_out(case),
        "ranks" => {
            let (first, second) = (numbers(case, "first"), numbers(case, "second"));
            let found = superiority(&first, &second)?;
            let shift = hodges_lehmann(&first, &second, 1.0, LEVEL)?;
            Some(json!({
                "probability": found.probability, "p": found.p_value(), "delong": found.standard_error(),
                "shift": [shift.value, shift.low, shift.high],
            }))
        }
        "margin" => margin(case),
        "cluster_mean" => {
            let (values, cluster) = (numbers(case, "values"), codes(case, "cluster"));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let influence: Vec<f64> = values.iter().map(|v| v - mean).collect();
            let variance = variance_of_mean(&influence, Clusters { customer: &cluster, agent: None })?;
            let bootstrap = Bootstrap { replicates: 4000, seed: 1 }.mean(&values, &cluster, LEVEL)?;
            Some(
                json!({"mean": mean, "standard_error": variance.sqrt(), "bootstrap": bootstrap.standard_error}),
            )
        }
        "case_mix" => case_mix(case),
        "p_values" => {
            let p = numbers(case, "p");
            Some(json!({"holm": holm(&p), "bh": benjamini_hochberg(&p)}))
        }
        "rogan_gladen" => {
            let labels = Agreement {
                true_positive: number("tp")?,
                false_positive: number("fp")?,
                true_negative: number("tn")?,
                false_negative: number("fn")?,
            };
            let apparent = wilson(number("k")?, number("n")?, LEVEL)?;
            rogan_gladen(&apparent, labels, LEVEL).map(|e| interval(&e))
        }
        "prediction_powered" => {
            let pairs: Vec<(f64, f64)> =
                numbers(case, "labelled_predictions").into_iter().zip(numbers(case, "labels")).collect();
            prediction_powered(&numbers(case, "predictions"), &pairs, LEVEL).map(|e| interval(&e))
        }
        _ => more(case),
    }
}

/// Clusters, segments, sensitivity, sums.
fn more(case: &Value) -> Option<Value> {
    let number = |name: &str| case[name].as_f64();
    match case["estimator"].as_str()? {
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
        "rectified" => {
            let of = |name: &str| {
                let found = numbers(case, name);
                Estimate::wald(found[0], found[1], LEVEL)
            };
            Some(interval(&rectified(&of("apparent"), &of("error"), LEVEL)))
        }
        _ => None,
    }
}

fn incidence(case: &Value) -> Option<Value> {
    let ends: Vec<End> = codes(case, "causes")
        .into_iter()
        .map(|c| match c {
            0 => End::Censored,
            1 => End::Event,
            _ => End::Competing,
        })
        .collect();
    let curve = aalen_johansen(&numbers(case, "times"), &ends)?;
    let at: Vec<Value> =
        numbers(case, "at").iter().map(|t| interval(&curve.interval_at(*t, LEVEL))).collect();
    let (low, high) = curve.quantile_interval(0.5, LEVEL);
    let mean = curve.restricted_mean(case["limit"].as_f64()?, LEVEL);
    Some(json!({
        "at": at, "median": [curve.quantile(0.5), low, high], "restricted_mean": interval(&mean),
    }))
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
    let pointwise: Vec<Value> =
        (0..grid.len()).map(|i| interval(&curve.pointwise(|a| a.event[i], LEVEL))).collect();
    let band: Vec<Value> = curve.band(LEVEL).iter().map(interval).collect();
    Some(json!({
        "causes": curve.answers.causes, "restricted_mean": curve.answers.restricted_mean,
        "pointwise": pointwise, "band": band,
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
    let (first, second) = (Moments::of(&numbers(case, "first"))?, Moments::of(&numbers(case, "second"))?);
    let found = Difference::welch(first, second)?;
    let margin = case["margin"].as_f64()?;
    let normal = Difference::normal(found.value, found.standard_error);
    Some(json!({
        "value": found.value, "interval": found.interval(LEVEL), "degrees": found.degrees,
        "non_inferiority": found.non_inferiority_p(margin), "equivalence": found.equivalence_p(margin),
        "minimum_detectable": normal.minimum_detectable(LEVEL, 0.8), "power": normal.power(margin, LEVEL),
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
    Some(json!({
        "coefficients": propensity.model.coefficients,
        "weighted": show(inverse_propensity(&cells, &propensity, &sums, calls, LEVEL)),
        "doubly_robust": show(doubly_robust(&cells, &propensity, &sums, calls, LEVEL)),
        "standardised": show(standardise(&cells, &sums, calls, LEVEL)),
    }))
}
