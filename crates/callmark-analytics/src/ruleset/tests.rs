//! The built-in rules against their own cases, and what is refused in rule files.

use super::*;
use crate::text::sentences_of_text;

#[test]
fn every_rule_answers_its_own_cases() {
    let rules = Ruleset::built_in();
    let mut wrong = Vec::new();
    for (index, rule) in rules.rules.iter().enumerate() {
        assert!(!rule.cases.is_empty(), "{} has no cases", rule.id);
        let speaker = match rule.side {
            Side::Customer => Some(Speaker::Customer),
            Side::Agent => Some(Speaker::AiAgent),
            Side::Any => None,
        };
        for (text, expect) in &rule.cases {
            let sentences = sentences_of_text(text, &rules.spelling);
            let fired: Vec<usize> =
                sentences.iter().flat_map(|s| rules.matches(s, speaker)).map(|m| m.rule).collect();
            let same = |i: &usize| rules.rules[*i].signal == rule.signal;
            // What must not be found must not be found by any other rule either.
            let right = if *expect { fired.contains(&index) } else { !fired.iter().any(same) };
            if !right {
                wrong.push(format!("{}: {text:?} expected {expect}", rule.id));
            }
        }
    }
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
    let found = rules.matches(sentence, Some(Speaker::Customer));
    assert!(found.iter().any(|m| rules.rules[m.rule].id == "mine.one"));
    assert!(
        rules.matches(sentence, Some(Speaker::AiAgent)).iter().all(|m| rules.rules[m.rule].id != "mine.one")
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
