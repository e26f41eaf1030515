//! Whole comparisons: datasets with known truth in, reports out.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use callmark_compare::cohort::{Cohort, FollowUp, Labels};
use callmark_compare::config::CompareConfig;
use callmark_compare::report::{Report, html, json, markdown};
use callmark_compare::simulate::{Scenario, Spoken, Truth, simulate};
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

fn calls_of(dataset: &Path, config: &CompareConfig, labels: &Labels) -> Cohort {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tables = Tables::open(dataset).await.unwrap();
        cohort::extract(&tables, config, labels).await.unwrap()
    })
}

fn compare_with(dataset: &Path, config: &CompareConfig, labels: &Labels) -> Report {
    analysis::compare(&calls_of(dataset, config, labels), config, "test")
}

/// Calls of a scenario, to be changed before they are compared.
fn simulated_calls(name: &str, scenario: &str, calls: u64) -> Cohort {
    let dataset = folder(name);
    simulate(&Scenario::named(scenario).unwrap(), calls, 3, Spoken::Nothing, &dataset).unwrap();
    calls_of(&dataset, &config(), &Labels::default())
}

fn ends(report: &Report, id: &str) -> (f64, f64) {
    let figure = &report.figures[id];
    figure.low.zip(figure.high).unwrap_or_else(|| panic!("{id}: {figure:?}"))
}

fn reason(report: &Report, id: &str) -> String {
    let figure = &report.figures[id];
    assert_eq!(figure.value, None, "{id}: {figure:?}");
    figure.reason.clone().unwrap_or_default()
}

fn simulated(scenario: &str, calls: u64) -> (Report, Truth) {
    let dataset = folder(scenario);
    let truth = simulate(&Scenario::named(scenario).unwrap(), calls, 3, Spoken::Nothing, &dataset).unwrap();
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
fn a_call_or_two_that_can_be_followed_prove_nothing() {
    let mut calls = simulated_calls("few-followed", "null", 300);
    // The last call begins 30 days and a second after the first five.
    let month = 30 * 86_400_000 + 1000;
    calls.started_at = (0..300).map(|i| if i < 5 { 0 } else { 1000 + i * (month - 1000) / 299 }).collect();
    let own: Vec<(u32, i64)> = calls.customer.iter().copied().zip(calls.started_at.iter().copied()).collect();
    calls.follow_up = FollowUp::of(&own, own.clone());
    let report = analysis::compare(&calls, &config(), "test");
    for arm in ["ai", "human"] {
        let reason = reason(&report, &format!("repeat_30d_{arm}"));
        assert!(reason.contains("of these calls"), "{reason}");
        assert!(report.figures[&format!("repeat_7d_{arm}")].value.is_some());
    }
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
fn every_figure_has_its_inputs_and_every_id_is_one_place_on_the_page() {
    let (report, _) = simulated("breaks-off", 3000);
    for (id, figure) in &report.figures {
        assert!(figure.method == "counted" || !figure.inputs.is_empty(), "{id}: {figure:?}");
    }
    let (page, figures) = (html(&report), json(&report));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let distinct: std::collections::BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    assert!(distinct.contains("fte") && distinct.contains("section-fte"));
    let alarms = figures["alarms"].as_array().unwrap();
    assert!(!alarms.is_empty() && alarms.iter().all(|a| !a.as_str().unwrap().contains("{{")), "{alarms:?}");
    assert_eq!(figures["settings"]["sentiment_margin"], 0.3);
    let verdict = &report.figures["sentiment_verdict_adjusted"];
    assert!(page.contains("data-figure=\"sentiment_verdict_adjusted\""));
    assert_eq!(verdict.inputs["low"], report.figures["sentiment_difference_adjusted"].low.unwrap());
}

#[test]
fn who_calls_again_is_looked_for_in_all_calls_of_the_dataset() {
    let dataset = folder("again-anywhere");
    simulate(&Scenario::named("null").unwrap(), 6000, 3, Spoken::Nothing, &dataset).unwrap();
    let all = compare(&dataset);
    let narrowed = |text: &str| {
        let config = CompareConfig::parse(&format!("replicates = 40\n{text}")).unwrap();
        compare_with(&dataset, &config, &Labels::default())
    };
    let back = |report: &Report| report.figures["repeat_30d_ai"].value.unwrap();
    let billing = narrowed("queues = ['billing']");
    assert!((back(&billing) - back(&all)).abs() < 0.05, "{} {}", back(&billing), back(&all));
    // Half of the customers call again within 30 days, also those of two weeks in spring.
    let spring = narrowed("from = '2026-03-10'\nuntil = '2026-03-24'");
    assert!((back(&spring) - back(&all)).abs() < 0.06, "{} {}", back(&spring), back(&all));
    // The last days are followed by less than 30.
    let late = narrowed("from = '2026-05-10'");
    assert!(reason(&late, "repeat_30d_ai").contains("ends within 30 days"));
    assert!(late.figures["repeat_1d_ai"].value.is_some());
}

#[test]
fn customers_that_are_not_known_neither_come_back_nor_stay_away() {
    let mut calls = simulated_calls("no-customers", "null", 1500);
    calls.customer = vec![u32::MAX; calls.len()];
    let none: Vec<(u32, i64)> = calls.started_at.iter().map(|start| (u32::MAX, *start)).collect();
    calls.follow_up = FollowUp::of(&none, none.clone());
    let report = analysis::compare(&calls, &config(), "test");
    for id in ["verified_resolved_ai", "verified_resolved_human", "repeat_7d_ai", "repeat_7d_difference"] {
        assert_eq!(reason(&report, id), "who the customers are is not known");
    }
}

#[test]
fn who_is_not_helped_comes_back_and_the_effect_on_that_is_found() {
    let (report, truth) = simulated("hard", 12_000);
    let (low, high) = ends(&report, "repeat_7d_difference_adjusted");
    assert!(low < truth.repeat_7d_difference && truth.repeat_7d_difference < high, "{low} {high} {truth:?}");
    assert!(low > 0.0, "{low}");
}

#[test]
fn recordings_that_break_off_are_no_failures() {
    let (report, truth) = simulated("breaks-off", 12_000);
    for (id, truth) in [
        ("resolved_difference_adjusted", truth.resolved_difference),
        ("minutes_difference_adjusted", truth.restricted_minutes_difference),
    ] {
        let (low, high) = ends(&report, id);
        assert!(low < truth && truth < high, "{id}: {low} to {high}, {truth}");
    }
    // What the curve says at its end is what the share says.
    let (share, curve) = (&report.figures["resolved_any_ai"], &report.figures["settled_within_30_min_ai"]);
    assert!((share.value.unwrap() - curve.value.unwrap()).abs() < 0.01, "{share:?} {curve:?}");
    assert!(report.figures["ends_not_known_ai"].value.unwrap() > 500.0);
}

#[test]
fn where_every_recording_breaks_off_nothing_is_proved() {
    let mut calls = simulated_calls("all-broken", "null", 1500);
    calls.truncated = vec![true; calls.len()];
    calls.ended = vec![callmark_compare::cohort::Ended::Unknown; calls.len()];
    let report = analysis::compare(&calls, &config(), "test");
    for id in ["resolved_difference_raw", "minutes_difference_raw", "resolved_any_ai", "contained_human"] {
        reason(&report, id);
    }
    assert!(reason(&report, "median_minutes_ai").contains("break off"));
}

#[test]
fn one_customer_s_calls_say_nothing_about_others() {
    let mut calls = simulated_calls("one-customer", "null", 1500);
    calls.customer = vec![0; calls.len()];
    let report = analysis::compare(&calls, &config(), "test");
    for id in
        ["median_minutes_ai", "resolved_any_ai", "settled_within_6_min_human", "resolved_difference_raw"]
    {
        reason(&report, id);
    }
}

#[test]
fn swapping_the_arms_mirrors_every_verdict() {
    let calls = simulated_calls("swapped", "confounded", 3000);
    let mut swapped = calls.clone();
    swapped.ai.iter_mut().for_each(|ai| *ai = !*ai);
    let [one, other] = [calls, swapped].map(|calls| analysis::compare(&calls, &config(), "test"));
    for kind in ["raw", "adjusted"] {
        let id = format!("sentiment_difference_{kind}");
        let ((low, high), (other_low, other_high)) = (ends(&one, &id), ends(&other, &id));
        assert!((low + other_high).abs() < 1e-9 && (high + other_low).abs() < 1e-9, "{id}");
    }
    for id in one.figures.keys().filter(|id| id.contains("_verdict_")) {
        let [own, mirrored] = [&one, &other].map(|report| report.figures[id].text());
        let swap = |text: &str| match text.split_once([';', ',', ' ']) {
            Some(("better", _)) => text.replacen("better", "worse", 1),
            Some(("worse", _)) => text.replacen("worse", "better", 1),
            _ => text.to_owned(),
        };
        assert_eq!(swap(&own), mirrored, "{id}");
    }
    assert!(one.figures["sentiment_verdict_adjusted"].text().starts_with("worse"));
}

#[test]
fn where_nothing_is_known_of_calls_none_are_alike() {
    let mut calls = simulated_calls("unlike", "confounded", 2000);
    for coded in [&mut calls.issue, &mut calls.queue, &mut calls.language] {
        coded.codes.fill(0);
    }
    let report = analysis::compare(&calls, &config(), "test");
    assert!(reason(&report, "resolved_difference_adjusted").contains("nothing tells which calls are alike"));
    assert!(report.figures["sentiment_verdict_adjusted"].text().starts_with("not told"));
    reason(&report, "fte");
}

#[test]
fn two_hundred_kinds_of_issue_are_compared_in_seconds() {
    let mut calls = simulated_calls("many-issues", "confounded", 5000);
    calls.issue.names = (0..=200).map(|i| format!("issue {i}")).collect();
    calls.issue.codes = (0..calls.len()).map(|i| 1 + (i % 200) as u16).collect();
    let (begun, default) = (std::time::Instant::now(), CompareConfig::default());
    let report = analysis::compare(&calls, &default, "test");
    assert!(report.figures["resolved_difference_adjusted_bootstrap"].value.is_some());
    // Some 2 s; more than a minute when every level cost its cube.
    assert!(begun.elapsed().as_secs() < 40, "{:?}", begun.elapsed());
}

#[test]
fn the_same_dataset_gives_the_same_report() {
    let dataset = folder("again");
    simulate(&Scenario::named("null").unwrap(), 1500, 3, Spoken::Nothing, &dataset).unwrap();
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
    simulate(&Scenario::named("confounded").unwrap(), 2000, 3, Spoken::Nothing, &dataset).unwrap();
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
    assert_eq!(report.figures["survey_non_inferiority_p_raw"].inputs["margin"], 0.2);
    assert!(!compare(&dataset).figures.contains_key("survey_ai"));
}

#[test]
fn labels_of_calls_that_were_not_picked_by_chance_are_left_out_and_wrong_ones_refused() {
    let dataset = folder("labels");
    simulate(&Scenario::named("confounded").unwrap(), 500, 3, Spoken::Nothing, &dataset).unwrap();
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

    // Reviewers who cannot tell have judged: nothing shows that these calls are settled.
    let all = Arc::new(StringArray::from_iter_values((0..500).map(|i| format!("sim-confounded-3-{i:08}"))));
    let unknown = Arc::new(StringArray::from(vec!["unknown"; 500])) as ArrayRef;
    parquet_file(&file, vec![("call_id", all as ArrayRef), ("outcome", unknown)]);
    let mut labels = Labels::default();
    labels.read_reviews(&file).unwrap();
    let report = compare_with(&dataset, &config(), &labels);
    let powered = &report.figures["resolved_prediction_powered_ai"];
    assert!(powered.value.unwrap().abs() < 1e-12, "{powered:?}");
    assert_eq!(powered.inputs["labels"], report.figures["calls_ai"].value.unwrap());

    let strangers =
        Arc::new(StringArray::from_iter_values((0..100).map(|i| format!("else-{i}")))) as ArrayRef;
    parquet_file(&file, vec![("call_id", strangers), ("outcome", outcomes("resolved"))]);
    let mut labels = Labels::default();
    labels.read_reviews(&file).unwrap();
    let report = compare_with(&dataset, &config(), &labels);
    assert_eq!(report.figures["reviews_used"].value, Some(0.0));
    assert!(markdown(&report).contains("None of the 100 reviews is of a call that is compared"));

    let moods = Arc::new(arrow::array::Float64Array::from(vec![7.0; 100])) as ArrayRef;
    parquet_file(&file, vec![("call_id", ids()), ("sentiment", moods)]);
    let error = Labels::default().read_reviews(&file).unwrap_err().to_string();
    assert!(error.contains("7, not -5 to 5"), "{error}");
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
    simulate(&Scenario::named("exact-null").unwrap(), 6000, 3, Spoken::Nothing, &dataset).unwrap();
    let text = "replicates = 40\n[treatment_start]\nbilling = '2026-04-06'\n";
    let report = compare_with(&dataset, &CompareConfig::parse(text).unwrap(), &Labels::default());
    for id in ["roll_out_effect", "roll_out_check"] {
        let figure = &report.figures[id];
        assert!(figure.low.unwrap() < 0.0 && 0.0 < figure.high.unwrap(), "{id}: {figure:?}");
    }
    let wrong = CompareConfig::parse(&format!("{text}biling = '2026-04-06'\n")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let tables = Tables::open(&dataset).await.unwrap();
        cohort::extract(&tables, &wrong, &Labels::default()).await
    });
    let error = found.unwrap_err().to_string();
    assert!(error.contains("no call has queue \"biling\"; there are billing, contracts, orders"), "{error}");
}

#[test]
fn the_order_of_files_changes_nothing() {
    let dataset = folder("order");
    simulate(&Scenario::named("confounded").unwrap(), 1500, 3, Spoken::Nothing, &dataset).unwrap();
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
