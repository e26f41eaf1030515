use super::{BUILT_IN, Lexicons, classify, covers_language, roll_up, score_turns};
use crate::ContextTurn;
use crate::classify::customer_turn;
use callmark_types::{DroppedReason, Handler, HandlerSegment, Millis, Span, Speaker, Turn};
use proptest::prelude::*;
use std::sync::LazyLock;

static LEXICONS: LazyLock<Lexicons> = LazyLock::new(|| Lexicons::from_sources(BUILT_IN).unwrap());

#[derive(serde::Deserialize)]
struct CaseFile {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    about: String,
    label: i8,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    before: Vec<String>,
    texts: Vec<String>,
}

fn turn(index: u32, speaker: Speaker, seconds: Option<(i64, i64)>, text: &str) -> Turn {
    Turn {
        index,
        speaker,
        span: seconds.map(|(start, end)| Span::of_ms(start * 1000, end * 1000)),
        ..customer_turn(text)
    }
}

#[test]
fn every_case_beside_the_lexicons_holds() {
    let file: CaseFile =
        toml::from_str(include_str!("../../../../pipelines/lexicons/sentiment_cases.toml")).unwrap();
    let mut broken = Vec::new();
    for case in &file.cases {
        let context: Vec<ContextTurn<'_>> = case
            .before
            .iter()
            .enumerate()
            .map(|(position, text)| ContextTurn {
                speaker: Some(if position % 2 == 0 { Speaker::HumanAgent } else { Speaker::Customer }),
                text,
            })
            .collect();
        for text in &case.texts {
            let found = classify(&LEXICONS, text, Some(Speaker::Customer), &context);
            let in_bounds = case.min.is_none_or(|min| found.score >= min)
                && case.max.is_none_or(|max| found.score <= max);
            if found.label != case.label || !in_bounds {
                broken.push(format!("{}: {text:?} is {} ({:?})", case.about, found.score, found.rule_id));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_lexicon_with_a_mistake_is_refused_by_name() {
    let phrases = |list: &str| {
        format!(
            "version = \"1\"\nkind = \"phrases\"\n[[phrases]]\nscore = 1\nlist = \"\"\"\n{list}\n\"\"\"\n"
        )
    };
    for (text, reason) in [
        (phrases("@nothing here"), "there is no class @nothing"),
        (phrases("?only ?optional"), "no word that must be there"),
        (phrases("* anything"), "begins with an element that matches anything"),
        (
            "version = \"1\"\nkind = \"words\"\n[[words]]\nscore = 7\nlist = \"x\"".to_owned(),
            "outside -5 to 5",
        ),
        (
            "version = \"1\"\nkind = \"words\"\n[[words]]\nscore = 1\nlist = \"x x\"".to_owned(),
            "stands there twice",
        ),
        ("version = \"1\"\nkind = \"words\"\nwrods = 1".to_owned(), "wrods"),
    ] {
        let error = Lexicons::from_sources(&[("lexicons/sentiment_own.toml", &text)]).unwrap_err();
        assert_eq!(error.file, "lexicons/sentiment_own.toml");
        assert!(error.reason.contains(reason), "{} does not say {reason:?}", error.reason);
    }
}

#[test]
fn other_languages_are_not_covered() {
    assert!(covers_language(None));
    assert!(covers_language(Some("en")) && covers_language(Some("EN-us")));
    assert!(!covers_language(Some("es-MX")) && !covers_language(Some("de")) && !covers_language(Some("enm")));
}

#[test]
fn menus_dropped_and_empty_turns_have_no_sentiment() {
    let mut dropped = turn(1, Speaker::Customer, None, "This is terrible.");
    dropped.dropped_reason = Some(DroppedReason::PhantomPhrase);
    let turns = [
        turn(0, Speaker::Ivr, None, "Thank you for calling, press one."),
        dropped,
        turn(2, Speaker::Customer, None, " … "),
        turn(3, Speaker::Customer, None, "My name is Lee."),
    ];
    assert_eq!(score_turns(&LEXICONS, &turns, None), [None, None, None, Some(0.0)]);
    assert_eq!(score_turns(&LEXICONS, &turns, Some("es")), [None, None, None, None]);
}

#[test]
fn an_agents_apology_is_politeness_and_blame_is_not() {
    let tone = |text: &str| classify(&LEXICONS, text, Some(Speaker::HumanAgent), &[]).score;
    assert!(tone("I'm sorry to hear your bag was lost and damaged, how awful.") > 0.0);
    assert!(tone("That's your own responsibility, it's in the terms.") < 0.0);
    assert!(tone("You're very welcome, have a lovely day!") > tone("Thank you."));
}

#[test]
fn roll_ups_average_turns_by_side_quarter_and_handler() {
    let turns = [
        turn(0, Speaker::AiAgent, Some((0, 10)), "a"),
        turn(1, Speaker::Customer, Some((10, 20)), "b"),
        turn(2, Speaker::HumanAgent, Some((30, 40)), "c"),
        turn(3, Speaker::Customer, Some((50, 60)), "d"),
        turn(4, Speaker::Customer, Some((90, 100)), "e"),
    ];
    let segment = |handler, start: i64, end: i64| HandlerSegment {
        handler,
        span: Span::of_ms(start * 1000, end * 1000),
        agent_id: None,
    };
    let segments = [segment(Handler::Ai, 0, 25), segment(Handler::Human, 25, 100)];
    let scores = [Some(1.0), Some(-4.0), Some(2.0), Some(-1.0), Some(2.0)];
    let found = roll_up(&turns, &scores, &segments, Some(Millis(100_000)));
    assert_eq!(found.customer.quarters, [Some(-4.0), None, Some(-1.0), Some(2.0)]);
    assert_eq!((found.customer.start, found.customer.end), (Some(-4.0), Some(2.0)));
    assert_eq!((found.customer.overall, found.agent.overall), (Some(-1.0), Some(1.5)));
    assert_eq!((found.customer_with_ai, found.customer_with_human), (Some(-4.0), Some(0.5)));
    let slope = found.customer.slope_per_minute.unwrap();
    assert!((slope - 4.5).abs() < 0.05, "{slope}");
}

#[test]
fn chats_without_times_have_quarters_but_no_slope() {
    let turns: Vec<Turn> = (0..4).map(|index| turn(index, Speaker::Customer, None, "x")).collect();
    let found = roll_up(&turns, &[Some(-2.0), None, Some(0.0), Some(2.0)], &[], None);
    assert_eq!(found.customer.quarters, [Some(-2.0), None, Some(0.0), Some(2.0)]);
    assert_eq!(found.customer.slope_per_minute, None);
}

proptest! {
    #[test]
    fn any_text_has_a_score_in_bounds_and_always_the_same(text in "(?s).{0,200}") {
        let found = classify(&LEXICONS, &text, None, &[]);
        prop_assert!((-5.0..=5.0).contains(&found.score));
        prop_assert_eq!(found, classify(&LEXICONS, &text, None, &[]));
    }

    #[test]
    fn any_run_of_known_words_has_a_score_in_bounds(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "thanks", "great", "not", "terrible", "so", "but", "no", "help", "!", "?", "?!", "my", "bag", "still",
                "waiting", "three", "hours", "NEVER", "soooo", "good", ":)", "if", ",", "it's", "wasn't",
            ]),
            0..40,
        )
    ) {
        let score = classify(&LEXICONS, &words.join(" "), Some(Speaker::Customer), &[]).score;
        prop_assert!((-5.0..=5.0).contains(&score));
    }
}
