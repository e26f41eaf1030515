//! The built-in rules against their own cases, and what is refused in rule files.

use super::*;
use crate::text::sentences_of_text;

#[test]
fn every_rule_answers_its_own_cases() {
    let reports = Ruleset::built_in().check_cases(None);
    assert!(reports.len() > 20, "{} rules", reports.len());
    let wrong: Vec<String> = reports
        .iter()
        .flat_map(|r| r.failures.iter().map(move |f| format!("{}: {f}", r.rule_id)))
        .chain(reports.iter().filter(|r| r.cases == 0).map(|r| format!("{} has no cases", r.rule_id)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn refusal(text: &str) -> String {
    Ruleset::from_sources(&[("rules/mine.toml", text)]).unwrap_err().to_string()
}

const GOOD: &str = r#"
[[rule]]
id = "mine.one"
version = "1"
finds = "abandon"
side = "customer"
confidence = 0.5
patterns = ['\bgoodbye cruel {world}\b']
cases = [{ text = "Goodbye, cruel world!", expect = true }]
[fragments]
world = 'world'
"#;

#[test]
fn a_rule_file_is_added_to_the_built_in_ones_and_changes_the_digest() {
    let rules = Ruleset::from_sources(&[("rules/mine.toml", GOOD)]).unwrap();
    let sentence = &sentences_of_text("Goodbye, cruel world!", &rules.spelling)[0];
    let found = rules.look(sentence, Some(Speaker::Customer)).found;
    assert!(found.iter().any(|m| rules.rules[m.rule].id == "mine.one"));
    assert!(
        rules
            .look(sentence, Some(Speaker::AiAgent))
            .found
            .iter()
            .all(|m| rules.rules[m.rule].id != "mine.one")
    );
    assert_eq!(Ruleset::built_in().sha256(), Ruleset::built_in().sha256());
    assert_ne!(Ruleset::built_in().sha256(), rules.sha256());
    assert_eq!(rules.sha256().len(), 64);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_valid_one() {
    let message = refusal(&GOOD.replace("patterns =", "pattern ="));
    assert!(message.starts_with("rules/mine.toml: rule \"mine.one\""), "{message}");
    assert!(message.contains("no key \"pattern\"") && message.contains("\"patterns\""), "{message}");
    assert!(refusal(&GOOD.replace("abandon", "abandoned")).contains("\"abandon\""));
    assert!(refusal("[fragment]\na = 'b'").contains("\"fragments\""));
    assert!(refusal(&GOOD.replace("{world}", "{word}")).contains("\"world\""));
}

#[test]
fn what_would_never_fire_or_not_compile_is_refused() {
    assert!(refusal(&GOOD.replace("'\\bgoodbye cruel {world}\\b'", "")).contains("never fire"));
    assert!(refusal(&GOOD.replace("cruel", "(cruel")).contains("no regular expression"));
    assert!(refusal(&GOOD.replace("0.5", "1.5")).contains("confidence"));
    assert!(refusal(&GOOD.replace("mine.one", "human_request.bare")).contains("exists"));
    assert!(refusal(&GOOD.replace("world = 'world'", "world = '{world}'")).contains("nested"));
    assert!(Ruleset::from_sources(&[("mine.toml", GOOD)]).is_err());
}

const CATEGORIES: &str = r#"
[[category]]
id = "late_fee"
version = "1"
name = "Billing: late fee"
speaker = "customer"
exact = ["late fee"]
patterns = ['\bcharged (?:me )?for paying late\b']
unless = ['\bno late fee\b']
cases = [
  { text = "Why is there a late fee on my bill?", expect = true },
  { text = "You charged me for paying late.", expect = true },
  { text = "My plate feels hot.", expect = false },
  { text = "There's no late fee, right?", expect = false },
]

[[category]]
id = "no_farewell"
version = "1"
name = "No farewell"
speaker = "agent"
exact = ["goodbye", "have a nice day"]
last_seconds = 20
absent = true
calls = [
  { turns = [{ speaker = "human_agent", at = 0, text = "Hello, goodbye." }], ends = 60, expect = true },
  { turns = [{ speaker = "human_agent", at = 50, text = "Goodbye." }], ends = 60, expect = false },
  { turns = [{ speaker = "customer", at = 50, text = "Hello?" }], ends = 60, expect = false },
]

[[category]]
id = "sorry_after_request"
version = "1"
name = "Apology after a request for a person"
speaker = "ai_agent"
patterns = ['\bsorry\b']
after = "human_request"
within_seconds = 10
calls = [
  { turns = [{ speaker = "customer", at = 1, text = "I want to talk to a human." }, { speaker = "ai_agent", at = 4, text = "Sorry, I can not do that." }], expect = true },
  { turns = [{ speaker = "customer", at = 1, text = "I want to talk to a human." }, { speaker = "ai_agent", at = 44, text = "Sorry, I can not do that." }], expect = false },
  { turns = [{ speaker = "ai_agent", at = 0, text = "Sorry for the wait." }, { speaker = "customer", at = 5, text = "I want to talk to a human." }], expect = false },
]

[[category]]
id = "twice"
version = "1"
name = "Said twice"
exact = ["as I said"]
at_least = 2
first_seconds = 30
calls = [
  { turns = [{ speaker = "customer", at = 1, text = "As I said." }, { speaker = "customer", at = 9, text = "As I said, it broke." }], expect = true },
  { turns = [{ speaker = "customer", at = 1, text = "As I said." }, { speaker = "customer", at = 39, text = "As I said, it broke." }], expect = false },
]
"#;

#[test]
fn categories_apply_by_words_time_order_number_and_absence() {
    let rules = Ruleset::from_sources(&[("rules/mine.toml", CATEGORIES)]).unwrap();
    let reports = rules.check_cases(Some("rules/mine.toml"));
    let cases: usize = reports.iter().map(|r| r.cases).sum();
    assert_eq!((reports.len(), cases), (4, 12));
    let failures: Vec<&String> = reports.iter().flat_map(|r| &r.failures).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_case_that_does_not_hold_is_reported() {
    let wrong = CATEGORIES.replace("My plate feels hot.", "A late fee.");
    let rules = Ruleset::from_sources(&[("rules/mine.toml", &wrong)]).unwrap();
    let reports = rules.check_cases(Some("rules/mine.toml"));
    assert_eq!(reports[0].failures, ["\"A late fee.\" should not apply and does"]);
}

#[test]
fn categories_that_can_not_be_meant_are_refused() {
    let refused = |change: (&str, &str)| refusal(&CATEGORIES.replacen(change.0, change.1, 1));
    assert!(refused(("absent = true", "absnt = true")).contains("\"absent\""));
    assert!(refused(("last_seconds = 20", "last_seconds = -1")).contains("last_seconds"));
    assert!(refused(("after = \"human_request\"", "")).contains("within_seconds needs"));
    assert!(refused(("speaker = \"ai_agent\"", "speaker = \"bot\"")).contains("bot"));
    assert!(refused(("id = \"twice\"", "id = \"late_fee\"")).contains("ids must differ"));
    assert!(refused(("exact = [\"as I said\"]", "")).contains("never apply"));
    assert!(refused(("after = \"human_request\"", "after = \"human_requests\"")).contains("human_request"));
}

/// Three directions: fees, parcels, everything else.
#[derive(Debug)]
struct ByWord;

impl SentenceEncoder for ByWord {
    fn encode(&self, sentences: &[&str]) -> Vec<callmark_types::Embedding> {
        let one = |s: &&str| match (s.contains("fee") || s.contains("charge"), s.contains("parcel")) {
            (true, _) => vec![0.8, 0.6, 0.0],
            (_, true) => vec![0.0, 1.0, 0.0],
            _ => vec![0.0, 0.0, 1.0],
        };
        sentences.iter().map(|s| callmark_types::Embedding(one(s))).collect()
    }

    fn sha256(&self) -> &'static str {
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    }
}

#[test]
fn a_semantic_category_needs_the_model_and_uses_it() {
    let text = r#"
[[category]]
id = "fees"
version = "1"
name = "Fees"
near = ["a fee was taken"]
nearness = 0.9
cases = [{ text = "I saw a strange charge.", expect = true }, { text = "Where is my parcel?", expect = false }]
"#;
    let rules = Ruleset::from_sources(&[("rules/mine.toml", text)]).unwrap();
    assert_eq!(rules.lacks_model(), Some("fees"));
    let rules = rules.with_encoder(Arc::new(ByWord)).unwrap();
    assert_eq!(rules.lacks_model(), None);
    assert_eq!(rules.check_cases(Some("rules/mine.toml"))[0].failures, [""; 0]);
    let tried = rules.try_text("I saw a strange charge.", Speaker::Customer);
    let fees = tried.iter().find(|t| t.rule_id == "fees").unwrap();
    assert!(fees.applies && (fees.score - 1.0).abs() < 1e-6, "{fees:?}");
}

#[test]
fn a_head_of_another_model_is_refused() {
    #[derive(Debug)]
    struct Other;
    impl SentenceEncoder for Other {
        fn encode(&self, sentences: &[&str]) -> Vec<callmark_types::Embedding> {
            vec![callmark_types::Embedding::default(); sentences.len()]
        }
        fn sha256(&self) -> &'static str {
            "other"
        }
    }
    let error = Ruleset::built_in().with_encoder(Arc::new(Other)).unwrap_err().to_string();
    assert!(error.contains("heads/human_request.toml") && error.contains("other"), "{error}");
}

#[test]
fn a_pattern_that_could_never_match_is_refused() {
    let file = |pattern: &str| {
        format!(
            "[[rule]]\nid = \"r\"\nversion = \"1\"\nfinds = \"human_request\"\nside = \"any\"\nconfidence = 0.5\npatterns = ['{pattern}']\n"
        )
    };
    let refused =
        |pattern: &str| Ruleset::from_sources(&[("rules/x.toml", &file(pattern))]).err().map(|e| e.reason);
    assert!(refused(r"\bAgent\b").unwrap().contains("small letters"));
    assert!(refused("").unwrap().contains("empty"));
    for pattern in [r"\bagent\B", r"(?i)Agent", r"\x41gent", r"(?P<Name>agent)", r"\W+agent"] {
        assert_eq!(refused(pattern), None, "{pattern}");
    }
}
