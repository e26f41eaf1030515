//! What a comparison does not know, it must not say: too few values, none that differ, calls that are alike, parts missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use callmark_compare::analysis;
use callmark_compare::cohort::{self, Cohort, Ended, FollowUp, Labels};
use callmark_compare::config::CompareConfig;
use callmark_compare::report::{Report, html, json, markdown};
use callmark_compare::simulate::{Scenario, SimulateError, Spoken, simulate, write_reviews};
use callmark_query::Tables;
use std::path::{Path, PathBuf};

fn config() -> CompareConfig {
    CompareConfig::parse("replicates = 200").unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unsure-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

/// Calls of a scenario, to be changed before they are compared.
fn simulated(name: &str, scenario: &str, calls: u64, labels: impl Fn(&Path) -> Labels) -> Cohort {
    let dataset = folder(name);
    simulate(&Scenario::named(scenario).unwrap(), calls, 3, Spoken::Nothing, &dataset).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tables = Tables::open(&dataset).await.unwrap();
        cohort::extract(&tables, &config(), &labels(&dataset)).await.unwrap()
    })
}

fn calls(name: &str, scenario: &str, calls: u64) -> Cohort {
    simulated(name, scenario, calls, |_| Labels::default())
}

fn compare(cohort: &Cohort) -> Report {
    analysis::compare(cohort, &config(), "test")
}

fn width(report: &Report, id: &str) -> f64 {
    let figure = &report.figures[id];
    figure.high.unwrap() - figure.low.unwrap()
}

fn reason(report: &Report, id: &str) -> String {
    let figure = &report.figures[id];
    assert_eq!(figure.value, None, "{id}: {figure:?}");
    figure.reason.clone().unwrap_or_default()
}

/// The first call of either arm.
fn first_of_each(cohort: &Cohort) -> [usize; 2] {
    [true, false].map(|ai| (0..cohort.len()).find(|i| cohort.ai[*i] == ai).unwrap())
}

#[test]
fn an_answer_an_arm_is_no_verdict_whatever_it_is_of() {
    let mut cohort = calls("answers", "confounded", 2000);
    let [ai, human] = first_of_each(&cohort);
    cohort.has_survey = true;
    (cohort.survey[ai], cohort.survey[human]) = (5.0, 1.0);
    let (good, bad) = (cohort.sentiment_overall[ai], cohort.sentiment_overall[human]);
    cohort.sentiment_overall.fill(f64::NAN);
    (cohort.sentiment_overall[ai], cohort.sentiment_overall[human]) = (good, bad);
    let one = compare(&cohort);
    // And three hundred people's answers beside AI's one.
    for i in (0..cohort.len()).filter(|i| !cohort.ai[*i]).take(300) {
        cohort.survey[i] = (i % 5) as f64;
    }
    let many = compare(&cohort);
    for report in [&one, &many] {
        for id in ["survey", "sentiment_overall"] {
            for figure in ["difference", "difference_adjusted"] {
                assert!(reason(report, &format!("{id}_{figure}")).contains("too few calls"));
            }
            for kind in ["raw", "adjusted"] {
                for test in
                    ["non_inferiority_p", "equivalence_p", "minimum_detectable", "non_inferiority_power"]
                {
                    reason(report, &format!("{id}_{test}_{kind}"));
                }
                assert!(report.figures[&format!("{id}_verdict_{kind}")].text().starts_with("not told"));
            }
        }
        reason(report, "sentiment_difference_adjusted_bootstrap");
    }
    assert!(many.figures["survey_human"].value.is_some());
}

#[test]
fn the_tests_against_the_margin_are_those_of_the_adjusted_difference() {
    let report = compare(&calls("tests", "confounded", 3000));
    let adjusted = &report.figures["sentiment_overall_non_inferiority_p_adjusted"];
    let raw = &report.figures["sentiment_overall_non_inferiority_p_raw"];
    let shown = &report.figures["sentiment_overall_difference_adjusted"];
    assert_eq!(adjusted.inputs["difference"], shown.value.unwrap());
    assert_eq!(raw.inputs["difference"], report.figures["sentiment_overall_difference"].value.unwrap());
    assert!(adjusted.inputs["difference"] < 0.0 && 0.0 < raw.inputs["difference"]);
    assert!(!report.figures.contains_key("sentiment_overall_non_inferiority_p"));
    let text = markdown(&report);
    let row = |words: &str| text.find(&format!("| sentiment over the call, {words} |")).unwrap();
    assert!(row("like with like") < row("raw"));
}

#[test]
fn values_that_never_vary_are_no_proof() {
    let mut cohort = calls("constant", "confounded", 2000);
    cohort.ended.fill(Ended::Resolved);
    cohort.sentiment_overall.fill(0.0);
    cohort.sentiment_start.fill(0.1);
    cohort.sentiment_end.fill(0.6);
    let report = compare(&cohort);
    for id in ["resolved_difference_raw", "resolved_difference_adjusted", "settled_within_30_min_difference"]
    {
        assert!(width(&report, id) > 0.001, "{:?}", report.figures[id]);
    }
    assert!(reason(&report, "resolved_difference_adjusted_bootstrap").contains("alike"));
    for id in ["sentiment_overall", "sentiment_change"] {
        for kind in ["raw", "adjusted"] {
            let verdict = report.figures[&format!("{id}_verdict_{kind}")].text();
            assert!(verdict.contains("all values of an arm are alike"), "{verdict}");
            reason(&report, &format!("{id}_equivalence_p_{kind}"));
        }
    }
}

#[test]
fn no_interval_forgets_the_agents_that_the_one_beside_it_remembers() {
    let mut cohort = calls("agents", "hard", 6000);
    let both = compare(&cohort);
    cohort.agent.fill(u32::MAX);
    let customers = compare(&cohort);
    for outcome in ["resolved", "sentiment"] {
        let bootstrap = width(&both, &format!("{outcome}_difference_adjusted_bootstrap"));
        let formula = width(&both, &format!("{outcome}_difference_adjusted"));
        assert!((bootstrap / formula - 1.0).abs() < 0.2, "{outcome}: {bootstrap} {formula}");
    }
    for id in [
        "sentiment_difference_adjusted_bootstrap",
        "settled_within_30_min_human",
        "settled_within_30_min_difference",
        "median_minutes_human",
        "median_minutes_difference",
    ] {
        assert!(
            width(&both, id) > 1.03 * width(&customers, id),
            "{id}: {:?} {:?}",
            both.figures[id],
            customers.figures[id]
        );
    }
    // AI's calls have no agents.
    assert_eq!(width(&both, "median_minutes_ai"), width(&customers, "median_minutes_ai"));
    assert!(markdown(&both).len() > 1000 && html(&both).contains("widened by what agents add"));
}

#[test]
fn reviews_put_right_the_same_difference_that_stands_in_the_answer() {
    let cohort = simulated("reviewed", "breaks-off", 5000, |dataset| {
        let file = dataset.join("reviews.parquet");
        write_reviews(&Scenario::named("breaks-off").unwrap(), 5000, 3, 300, &file).unwrap();
        let mut labels = Labels::default();
        labels.read_reviews(&file).unwrap();
        labels
    });
    let report = compare(&cohort);
    let (raw, scored) =
        (&report.figures["resolved_difference_raw"], &report.figures["resolved_as_scored_difference"]);
    assert_eq!((raw.value, raw.low), (scored.value, scored.low));
    let powered = &report.figures["resolved_prediction_powered_difference"];
    assert_eq!(powered.inputs["labels"], 600.0);
    // The scorer does not err here, so labels have nothing to put right.
    assert!((powered.value.unwrap() - raw.value.unwrap()).abs() < 1e-9, "{powered:?} {raw:?}");
    assert!(markdown(&report).contains("Put right by 600 calls"));
}

#[test]
fn what_any_section_warns_of_stands_in_the_answer_and_once_in_the_json() {
    let mut cohort = calls("alarms", "simpson", 4000);
    cohort.time_to_human.fill(-1);
    cohort.customer.fill(u32::MAX);
    cohort.reached_human = vec![None; cohort.len()];
    cohort.has_survey = true;
    let report = compare(&cohort);
    let text = markdown(&report);
    let answer = text.split("## ").nth(1).unwrap();
    for said in [
        "the profile is not met",
        "Simpson's paradox",
        "The customer of 4,000 calls is not known",
        "Whether a person took over",
        "No answer of the survey",
    ] {
        assert!(answer.contains(said), "{said}: {answer}");
    }
    let alarms: Vec<String> =
        json(&report)["alarms"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let distinct: std::collections::BTreeSet<&String> = alarms.iter().collect();
    assert_eq!(distinct.len(), alarms.len(), "{alarms:?}");
    assert!(html(&report).contains("No customer is known here"));
    assert!(reason(&report, "contained_ai").contains("whether a person took over is not known"));
}

#[test]
fn the_card_has_like_with_like_for_what_is_quoted() {
    let report = compare(&calls("card", "confounded", 4000));
    for id in [
        "median_minutes_ai_adjusted",
        "median_minutes_human_adjusted",
        "resolved_any_ai_adjusted",
        "resolved_any_human_adjusted",
        "contained_difference_adjusted",
        "assumed_resolved_difference_adjusted",
        "human_request_difference_adjusted",
    ] {
        assert!(width(&report, id) > 0.0, "{id}");
        assert!(markdown(&report).split("Each number:").nth(1).is_some());
    }
    // AI gets the easy calls: had it taken all, it would settle fewer and take longer, and people the other way round.
    let value = |id: &str| report.figures[id].value.unwrap();
    assert!(value("resolved_any_ai_adjusted") < value("resolved_any_ai"));
    assert!(value("median_minutes_ai_adjusted") > value("median_minutes_ai"));
    assert!(value("median_minutes_human_adjusted") < value("median_minutes_human"));
    let found = value("resolved_any_ai_adjusted") - value("resolved_any_human_adjusted");
    assert!((found - value("resolved_difference_adjusted")).abs() < 1e-9);
}

#[test]
fn the_share_of_ai_is_as_unsure_as_customers_who_always_get_the_same_make_it() {
    let mut cohort = calls("shares", "confounded", 4000);
    let apart = width(&compare(&cohort), "share_ai");
    // Eight calls a customer, all with AI or all with people.
    let ai = cohort.ai.clone();
    let mut met = [0; 2];
    for (customer, ai) in cohort.customer.iter_mut().zip(ai) {
        *customer = 2 * (met[usize::from(ai)] / 8) + u32::from(ai);
        met[usize::from(ai)] += 1;
    }
    let report = compare(&cohort);
    assert!(width(&report, "share_ai") > 2.0 * apart, "{:?}", report.figures["share_ai"]);
    assert!(width(&report, "share_ai_trusted") > 2.0 * apart);
}

#[test]
fn a_reason_is_the_true_one() {
    let mut cohort = calls("reasons", "confounded", 2000);
    let mut undated = cohort.clone();
    undated.started_at.fill(i64::MIN);
    let none: Vec<(u32, i64)> = undated.customer.iter().map(|customer| (*customer, i64::MIN)).collect();
    undated.follow_up = FollowUp::of(&none, none.clone());
    assert_eq!(reason(&compare(&undated), "repeat_7d_ai"), "when the calls began is not known");
    cohort.truncated.fill(true);
    cohort.ended.fill(Ended::Unknown);
    cohort.human_requests.fill(0);
    cohort.human_requests[0] = 1;
    let report = compare(&cohort);
    assert!(reason(&report, "fte").contains("recordings of AI's calls break off"));
    for id in ["resolved_difference_adjusted", "probability_sooner", "hodges_lehmann_minutes"] {
        assert!(reason(&report, id).contains("recordings break off"), "{id}");
    }
    assert!(!markdown(&report).contains("In not told"));
}

#[test]
fn names_of_a_dataset_break_no_line_and_an_empty_file_of_reviews_is_said() {
    let mut cohort = calls("names", "confounded", 2000);
    cohort.issue.names.iter_mut().for_each(|name| name.push_str("\nx\" | y"));
    cohort.has_reviews = true;
    let report = compare(&cohort);
    assert!(report.figures.values().all(|figure| !figure.label.contains('\n')));
    assert!(!markdown(&report).contains("\nx\""));
    assert!(!html(&report).contains("\nx"));
    assert!(markdown(&report).contains("The file of reviews holds none"));
}

#[test]
fn calls_of_two_simulations_are_not_put_into_one_folder() {
    let out = folder("occupied");
    let made = |scenario: &str, calls: u64, seed: u64, spoken: Spoken| {
        simulate(&Scenario::named(scenario).unwrap(), calls, seed, spoken, &out)
    };
    let truth = made("null", 50, 1, Spoken::Nothing).unwrap();
    let kept = std::fs::read(out.join("truth.json")).unwrap();
    for refused in [
        made("null", 50, 2, Spoken::Nothing),
        made("null", 60, 1, Spoken::Nothing),
        made("simpson", 50, 1, Spoken::Nothing),
        made("null", 50, 1, Spoken::Conversations),
    ] {
        assert!(matches!(refused, Err(SimulateError::Occupied { .. })), "{refused:?}");
    }
    assert_eq!(std::fs::read(out.join("truth.json")).unwrap(), kept);
    // The same again goes on where it was.
    std::fs::remove_file(out.join("truth.json")).unwrap();
    assert_eq!(made("null", 50, 1, Spoken::Nothing).unwrap(), truth);
    // Calls of which nobody knows what they are of are not added to either.
    std::fs::remove_file(out.join("simulation.json")).unwrap();
    assert!(matches!(made("null", 50, 1, Spoken::Nothing), Err(SimulateError::Occupied { .. })));
}
