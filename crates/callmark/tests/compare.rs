//! `callmark simulate` and `callmark compare` through the real command: what is said, written, refused, and the exit status.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{callmark, write};

/// Few replicates: these tests are about what is said, not about how wide an interval is.
const CONFIG: &str = "replicates = 40\n";

fn simulate(folder: &Path, scenario: &str, calls: &str, more: &[&str]) -> String {
    let out = folder.join(scenario);
    let mut arguments =
        vec!["simulate", "--calls", calls, "--scenario", scenario, "--out", out.to_str().unwrap()];
    arguments.extend(more);
    let ran = callmark(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let truth: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(truth["scenario"]["name"], scenario);
    out.to_str().unwrap().to_owned()
}

/// Standard output of a comparison that ends well.
fn compare(folder: &Path, dataset: &str, more: &[&str]) -> String {
    let config = write(folder, "compare.toml", CONFIG);
    let mut arguments = vec!["compare", dataset, "--config", config.to_str().unwrap()];
    arguments.extend(more);
    let ran = callmark(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

fn figures(folder: &Path, dataset: &str, more: &[&str]) -> Value {
    let text = compare(folder, dataset, &[&["--format", "json"], more].concat());
    serde_json::from_str::<Value>(&text).unwrap()["figures"].clone()
}

#[test]
fn a_comparison_prints_a_summary_and_writes_a_page_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "confounded", "2000", &[]);
    let (page, json) = (folder.path().join("report.html"), folder.path().join("report.json"));
    let files = ["--html", page.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let summary = compare(folder.path(), &dataset, &files);
    assert!(summary.starts_with("# AI and people on calls: confounded"), "{summary}");
    let figures: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let adjusted = &figures["figures"]["resolved_difference_adjusted"];
    assert!(adjusted["low"].as_f64() < adjusted["value"].as_f64(), "{adjusted}");
    assert_eq!(adjusted["inputs"]["calls"], 2000.0);
    assert!(figures["plots"].as_array().is_some_and(|plots| plots.len() > 8));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("id=\"resolved_difference_adjusted\""));
}

#[test]
fn what_filters_leave_out_is_counted_by_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "confounded", "2000", &[]);
    let filters = ["--queue", "orders", "--queue", "billing", "--language", "en", "--from", "2026-03-09"];
    let found = figures(folder.path(), &dataset, &filters);
    let count = |id: &str| found[id]["value"].as_f64().unwrap_or_else(|| panic!("{id} is not told"));
    let left_out = count("left_out_before_the_period")
        + count("left_out_queue_not_asked_for")
        + count("left_out_language_not_asked_for");
    assert_eq!(count("calls_ai") + count("calls_human") + left_out, count("calls_seen"));
    assert_eq!(found["calls_compared"]["value"].as_f64(), Some(count("calls_ai") + count("calls_human")));
    // The share of what is compared, not of the dataset.
    let summary = compare(folder.path(), &dataset, &filters);
    let compared = summary.lines().find(|line| line.starts_with("AI was the first to take")).unwrap();
    assert!(compared.contains("calls that are compared (of 2,000 in the dataset)"), "{compared}");
}

#[test]
fn a_reversal_by_case_mix_raises_the_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "simpson", "4000", &[]);
    let summary = compare(folder.path(), &dataset, &[]);
    assert!(summary.contains("> **Attention.** Simpson's paradox in share settled"), "{summary}");
}

#[test]
fn without_overlap_the_comparison_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "no-overlap", "2000", &[]);
    let summary = compare(folder.path(), &dataset, &[]);
    assert!(summary.contains("The adjusted comparison is refused: no overlap"), "{summary}");
    let found = figures(folder.path(), &dataset, &[]);
    assert_eq!(found["sentiment_difference_adjusted"]["value"], Value::Null);
    assert_eq!(found["resolved_difference_adjusted_trusted"]["value"], Value::Null);
}

#[test]
fn three_calls_cannot_tell_and_none_cannot_be_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "three-calls", "1000", &[]);
    let summary = compare(folder.path(), &dataset, &[]);
    assert!(summary.contains("These data cannot tell whether AI does as well as people"), "{summary}");
    let out = folder.path().join("none");
    let ran = callmark(&["simulate", "--calls", "0", "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!out.exists());
}

#[test]
fn labels_put_a_scorer_that_errs_right() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = simulate(folder.path(), "scorer-error", "6000", &["--reviews", "600"]);
    let reviews = format!("{dataset}/reviews.parquet");
    let found = figures(folder.path(), &dataset, &["--reviews", &reviews]);
    let of = |id: &str, end: &str| found[id][end].as_f64().unwrap_or_else(|| panic!("{id} has no {end}"));
    // Of people's calls 65.4 % are settled; the scorer turns 15 % of outcomes around.
    assert!(of("resolved_as_scored_human", "high") < 0.64, "{}", found["resolved_as_scored_human"]);
    for kind in ["rogan_gladen", "prediction_powered"] {
        let id = format!("resolved_{kind}_human");
        assert!(of(&id, "low") < 0.654 && 0.654 < of(&id, "high"), "{}", found[&id]);
    }
}

#[test]
fn a_published_claim_is_held_against_itself_and_against_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let claim = write(folder.path(), "claim.toml", "name = 'x'\nshare_ai = 0.9\nsatisfaction_same = true\n");
    let alone = callmark(&["compare", "--claim", claim.to_str().unwrap()]);
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    assert!(alone.stdout.contains("its arithmetic cannot be checked"), "{}", alone.stdout);
    let dataset = simulate(folder.path(), "confounded", "2000", &[]);
    let both = compare(folder.path(), &dataset, &["--claim", claim.to_str().unwrap()]);
    assert!(both.contains("| share of calls that AI took | 90.0 % |"), "{both}");
    assert!(both.contains("outside the interval"), "{both}");
    let page = folder.path().join("claim.html");
    compare(folder.path(), &dataset, &["--claim", claim.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    let place =
        |id: &str| page.find(&format!("<section id=\"section-{id}\"")).unwrap_or_else(|| panic!("{id}"));
    assert!(place("answer") < place("claim") && place("claim") < place("method"));
}

#[test]
fn what_cannot_be_used_is_refused_with_the_status_that_says_whose_fault_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let text = write(folder.path(), "reviews.parquet", "call_id,outcome\n");
    let config = write(folder.path(), "bad.toml", "margin = 0.3\n");
    let claim = write(folder.path(), "claim.toml", "name = 'x'\nposts = 0\n");
    let roll_out = write(folder.path(), "roll-out.toml", "[treatment_start]\nbiling = '2026-04-06'\n");
    let dataset = simulate(folder.path(), "three-calls", "3", &[]);
    for (arguments, code, said) in [
        (vec!["simulate", "--calls", "5", "--scenario", "perfect", "--out", out], 2, "there are confounded"),
        (
            vec!["simulate", "--calls", "4", "--seed", "2", "--out", &dataset],
            2,
            "holds 3 simulated calls of three-calls",
        ),
        (vec!["compare", &dataset, "--html", "x", "--json", "x"], 2, "name the same file"),
        (
            vec!["compare", &dataset, "--config", roll_out.to_str().unwrap()],
            2,
            "no call has queue \"biling\"",
        ),
        (vec!["compare"], 2, "required"),
        (vec!["compare", out], 3, "no dataset in"),
        (vec!["compare", &dataset, "--from", "May"], 2, "YYYY-MM-DD"),
        (vec!["compare", &dataset, "--from", "2026-05-02", "--until", "2026-05-01"], 2, "a day after from"),
        (vec!["compare", &dataset, "--queue", "biling"], 2, "no call has queue \"biling\"; there are"),
        (vec!["compare", "--claim", claim.to_str().unwrap()], 2, "posts is 0, which is not above 0"),
        (vec!["compare", &dataset, "--config", config.to_str().unwrap()], 2, "unknown field"),
        (vec!["compare", &dataset, "--reviews", text.to_str().unwrap()], 2, "cannot read"),
        (vec!["compare", &dataset, "--survey", "nowhere.parquet"], 2, "nowhere.parquet"),
    ] {
        let ran = callmark(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
    }
}
