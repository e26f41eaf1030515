//! Whole comparisons: datasets with known truth in, reports out.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use callmark_compare::config::CompareConfig;
use callmark_compare::report::{Report, html, json, markdown};
use callmark_compare::simulate::{Scenario, Truth, simulate};
use callmark_compare::{analysis, cohort};
use callmark_query::Tables;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Few replicates: these tests are about what is said, the reference tests about how wide intervals are.
fn config() -> CompareConfig {
    CompareConfig::parse("replicates = 40").unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("comparison-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

fn compare(dataset: &Path) -> Report {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let calls = runtime.block_on(async {
        let tables = Tables::open(dataset).await.unwrap();
        cohort::extract(&tables, &config(), false).await.unwrap()
    });
    analysis::compare(&calls, &config(), "test")
}

fn simulated(scenario: &str, calls: u64) -> (Report, Truth) {
    let dataset = folder(scenario);
    let truth = simulate(&Scenario::named(scenario).unwrap(), calls, 3, &dataset).unwrap();
    (compare(&dataset), truth)
}

#[test]
fn a_reversal_by_case_mix_raises_the_alarm_and_the_truth_is_in_the_interval() {
    let (report, truth) = simulated("simpson", 6000);
    let text = markdown(&report);
    assert!(text.contains("Simpson's paradox in share settled"), "{text}");
    let raw = &report.figures["resolved_difference_raw"];
    let adjusted = &report.figures["resolved_difference_adjusted"];
    assert!(raw.high.unwrap() < 0.0 && adjusted.low.unwrap() > 0.0);
    let holds = adjusted.low.unwrap() < truth.resolved_difference
        && truth.resolved_difference < adjusted.high.unwrap();
    assert!(holds, "{adjusted:?} {truth:?}");
}

#[test]
fn without_overlap_the_adjusted_comparison_is_refused_with_the_reason() {
    let (report, _) = simulated("no-overlap", 3000);
    let figure = &report.figures["resolved_difference_adjusted"];
    assert_eq!(figure.value, None);
    assert!(figure.reason.as_deref().unwrap().contains("no overlap"), "{figure:?}");
    assert!(markdown(&report).contains("The adjusted comparison is refused"));
}

#[test]
fn three_calls_cannot_tell() {
    let (report, _) = simulated("three-calls", 1000);
    assert!(markdown(&report).contains("These data cannot tell"));
    assert!(!report.figures.contains_key("resolved_difference_raw"));
}

#[test]
fn an_empty_dataset_cannot_tell_either() {
    let dataset = folder("empty");
    std::fs::create_dir_all(dataset.join("calls")).unwrap();
    assert!(markdown(&compare(&dataset)).contains("These data cannot tell"));
}

#[test]
fn a_dataset_that_lacks_required_columns_is_an_error_that_names_one() {
    let dataset = folder("columns");
    let day = dataset.join("calls/date=2026-05-01");
    std::fs::create_dir_all(&day).unwrap();
    let text = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let calls = 0..200;
    let batch = RecordBatch::try_from_iter([
        ("call_id", text(calls.clone().map(|i| format!("c{i}")).collect())),
        ("first_handler", text(calls.clone().map(|i| ["ai", "human"][i % 2].to_owned()).collect())),
        ("outcome", text(calls.map(|i| ["resolved", "abandoned"][i / 2 % 2].to_owned()).collect())),
    ])
    .unwrap();
    let file = std::fs::File::create(day.join("part.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let tables = Tables::open(&dataset).await.unwrap();
        cohort::extract(&tables, &config(), false).await
    });
    let error = found.unwrap_err().to_string();
    assert!(error.contains("non-nullable"), "{error}");
}

#[test]
fn every_figure_on_the_page_is_in_the_json_and_nothing_is_fetched_or_run() {
    let (report, _) = simulated("confounded", 3000);
    let (page, figures) = (html(&report), json(&report));
    let mut shown = 0;
    for part in page.split("data-figure=\"").skip(1) {
        let id = part.split('"').next().unwrap();
        assert!(figures["figures"].get(id).is_some(), "{id}");
        shown += 1;
    }
    assert!(shown > 80, "{shown}");
    for foreign in ["<script", "http://", "https://", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_same_dataset_gives_the_same_report() {
    let dataset = folder("again");
    simulate(&Scenario::named("null").unwrap(), 1500, 3, &dataset).unwrap();
    assert_eq!(json(&compare(&dataset)), json(&compare(&dataset)));
}
