//! Whole comparisons: datasets with known truth in, reports out.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use callmark_compare::cohort::Labels;
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
    compare_with(dataset, &config(), &Labels::default())
}

fn compare_with(dataset: &Path, config: &CompareConfig, labels: &Labels) -> Report {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let calls = runtime.block_on(async {
        let tables = Tables::open(dataset).await.unwrap();
        cohort::extract(&tables, config, labels).await.unwrap()
    });
    analysis::compare(&calls, config, "test")
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
        cohort::extract(&tables, &config(), &Labels::default()).await
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

/// Writes columns as a Parquet file.
fn parquet_file(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_survey_is_tested_against_its_own_margin_and_silence_is_counted() {
    let dataset = folder("survey");
    simulate(&Scenario::named("confounded").unwrap(), 2000, 3, &dataset).unwrap();
    let answered: Vec<u32> = (0..2000).filter(|i| i % 4 == 0).collect();
    let file = dataset.join("survey.parquet");
    let ids = answered.iter().map(|i| format!("sim-confounded-3-{i:08}")).collect::<Vec<_>>();
    // Whole numbers, as a survey has them; 4 or 5, the same in both arms.
    let scores: Vec<i32> = answered.iter().map(|i| 4 + (i / 4 % 2) as i32).collect();
    parquet_file(
        &file,
        vec![
            ("call_id", Arc::new(StringArray::from(ids)) as ArrayRef),
            ("score", Arc::new(arrow::array::Int32Array::from(scores))),
        ],
    );
    let mut labels = Labels::default();
    labels.read_survey(&file).unwrap();
    let report = compare_with(&dataset, &config(), &labels);
    let missing = &report.figures["survey_missing_ai"];
    assert!((missing.value.unwrap() - 0.75).abs() < 0.05, "{missing:?}");
    assert!((report.figures["survey_ai"].value.unwrap() - 4.5).abs() < 0.15);
    assert_eq!(report.figures["survey_non_inferiority_p"].inputs["margin"], 0.2);
    assert!(!compare(&dataset).figures.contains_key("survey_ai"));
}

#[test]
fn labels_of_calls_that_were_not_picked_by_chance_are_left_out_and_wrong_ones_refused() {
    let dataset = folder("labels");
    simulate(&Scenario::named("confounded").unwrap(), 500, 3, &dataset).unwrap();
    let file = dataset.join("reviews.parquet");
    let ids = || {
        let ids: Vec<String> = (0..100).map(|i| format!("sim-confounded-3-{i:08}")).collect();
        Arc::new(StringArray::from(ids)) as ArrayRef
    };
    let random: Vec<bool> = (0..100).map(|i| i % 2 == 0).collect();
    let outcomes = |name: &str| Arc::new(StringArray::from(vec![name.to_owned(); 100])) as ArrayRef;
    parquet_file(
        &file,
        vec![
            ("call_id", ids()),
            ("outcome", outcomes("resolved")),
            ("random_sample", Arc::new(arrow::array::BooleanArray::from(random))),
        ],
    );
    let mut labels = Labels::default();
    labels.read_reviews(&file).unwrap();
    let report = compare_with(&dataset, &config(), &labels);
    assert_eq!(report.figures["reviews_not_random"].value, Some(50.0));
    let powered = [
        &report.figures["resolved_prediction_powered_ai"],
        &report.figures["resolved_prediction_powered_human"],
    ];
    assert_eq!(powered.iter().map(|f| f.inputs["labels"]).sum::<f64>(), 50.0);
    // All labels say settled: there is no specificity to correct with.
    assert_eq!(report.figures["resolved_rogan_gladen_ai"].value, None);

    parquet_file(&file, vec![("call_id", ids()), ("outcome", outcomes("solved"))]);
    let error = Labels::default().read_reviews(&file).unwrap_err().to_string();
    assert!(error.contains("\"solved\", which is no outcome"), "{error}");
    parquet_file(&file, vec![("outcome", outcomes("resolved"))]);
    let error = Labels::default().read_reviews(&file).unwrap_err().to_string();
    assert!(error.contains("call_id is missing"), "{error}");
}

#[test]
fn a_roll_out_without_effect_is_found_to_have_none() {
    let dataset = folder("roll-out");
    simulate(&Scenario::named("exact-null").unwrap(), 6000, 3, &dataset).unwrap();
    let text = "replicates = 40\n[treatment_start]\nbilling = '2026-04-06'\nbiling = '2026-04-06'\n";
    let report = compare_with(&dataset, &CompareConfig::parse(text).unwrap(), &Labels::default());
    for id in ["roll_out_effect", "roll_out_check"] {
        let figure = &report.figures[id];
        assert!(figure.low.unwrap() < 0.0 && 0.0 < figure.high.unwrap(), "{id}: {figure:?}");
    }
    assert!(html(&report).contains("No call is of a queue that treatment_start names: biling."));
}

#[test]
fn the_order_of_files_changes_nothing() {
    let dataset = folder("order");
    simulate(&Scenario::named("confounded").unwrap(), 1500, 3, &dataset).unwrap();
    let before = json(&compare(&dataset));
    for day in std::fs::read_dir(dataset.join("calls")).unwrap() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let digest: u32 = file.to_string_lossy().bytes().map(u32::from).sum();
            std::fs::rename(&file, file.with_file_name(format!("{}.parquet", digest % 97))).unwrap();
        }
    }
    assert_eq!(before, json(&compare(&dataset)));
}
