//! Sentiment of turns, -5 to 5, and its roll-ups.
//!
//! It exists because general sentiment lexicons do not speak the language of service, where "my bag still isn't here"
//! is bad news without a bad word and "thanks" is mostly manners. Text only: phrases and words with weights, from
//! `pipelines/lexicons/sentiment*.toml`, and a mood that carries over from turn to turn. Deterministic.
//!
//! Scale: -5 furious, -3 angry, -1 slightly annoyed, 0 neutral, 1 polite, 2 content, 3 happy, 4 to 5 delighted.
//! English only: other languages get no score rather than a wrong one.

mod evidence;
mod lexicon;
mod mood;
mod names;
mod pattern;
mod rollup;
mod text;

#[cfg(test)]
mod tests;

use crate::personal;
use crate::{ContextTurn, Ruleset, TextFinding};
use callmark_types::{Speaker, Turn};
use mood::Mood;

pub(crate) use lexicon::Lexicons;
pub(crate) use rollup::roll_up;

/// The lexicon texts that ship with Callmark: name (`lexicons/….toml`) and text.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("lexicons/sentiment_words.toml", include_str!("../../../pipelines/lexicons/sentiment_words.toml")),
    ("lexicons/sentiment_phrases.toml", include_str!("../../../pipelines/lexicons/sentiment_phrases.toml")),
    (
        "lexicons/sentiment_modifiers.toml",
        include_str!("../../../pipelines/lexicons/sentiment_modifiers.toml"),
    ),
    ("lexicons/sentiment_agent.toml", include_str!("../../../pipelines/lexicons/sentiment_agent.toml")),
    ("lexicons/sentiment_sympathy.toml", include_str!("../../../pipelines/lexicons/sentiment_sympathy.toml")),
    ("lexicons/sentiment_names.toml", include_str!("../../../pipelines/lexicons/sentiment_names.toml")),
    ("lexicons/sentiment_news.toml", include_str!("../../../pipelines/lexicons/sentiment_news.toml")),
];

/// Score from which a text is positive.
const POSITIVE: f64 = 0.6;
/// Score down from which a text is negative.
const NEGATIVE: f64 = -0.6;
/// Scores are given in steps of this.
const STEP: f64 = 0.01;

/// Whether rules and lexicons know a language (BCP 47); an unknown language is taken for English.
pub(crate) fn covers_language(language: Option<&str>) -> bool {
    language
        .is_none_or(|tag| tag.split(['-', '_']).next().is_some_and(|main| main.eq_ignore_ascii_case("en")))
}

/// Sentiment of each turn, -5 to 5; `None` for menus, unknown speakers, empty and dropped turns, and for all turns of a
/// call in another language than English.
pub(crate) fn score_turns(lexicons: &Lexicons, turns: &[Turn], language: Option<&str>) -> Vec<Option<f64>> {
    if !covers_language(language) {
        return vec![None; turns.len()];
    }
    let mut mood = Mood::default();
    let texts = personal::texts_without_names(turns);
    turns
        .iter()
        .enumerate()
        .map(|(position, turn)| {
            if !turn.is_kept() || !turn.text.contains(char::is_alphanumeric) {
                return None;
            }
            match turn.speaker {
                Speaker::Customer => {
                    let text = names::without_names(lexicons, &texts[position]);
                    let mut evidence = evidence::weigh(lexicons, &text);
                    if evidence.score <= 0.0 {
                        evidence.score += answering_sympathy(lexicons, &turns[position + 1..]);
                    }
                    Some(rounded(mood.say(&evidence)))
                }
                Speaker::AiAgent | Speaker::HumanAgent => {
                    mood.hear(lexicons, &turn.text);
                    Some(rounded(mood::agent_tone(lexicons, &texts[position])))
                }
                Speaker::Ivr => {
                    mood.hear(lexicons, &turn.text);
                    None
                }
                Speaker::Unknown => None,
            }
        })
        .collect()
}

/// What the agent's answer, the first kept turn of those that follow, tells about the turn before it.
fn answering_sympathy(lexicons: &Lexicons, following: &[Turn]) -> f64 {
    let answer = following.iter().find(|turn| turn.is_kept());
    let by_agent = answer.filter(|turn| matches!(turn.speaker, Speaker::AiAgent | Speaker::HumanAgent));
    by_agent.map_or(0.0, |turn| mood::sympathy(lexicons, &turn.text))
}

/// Sentiment of one text: label -1, 0 or 1, score -5 to 5. A text without a speaker is taken for a customer's.
/// `context` is what was said before, in order; it sets the mood.
pub fn classify_sentiment(
    rules: &Ruleset,
    text: &str,
    speaker: Option<Speaker>,
    context: &[ContextTurn<'_>],
) -> TextFinding {
    classify(&rules.lexicons, text, speaker, context)
}

fn classify(
    lexicons: &Lexicons,
    text: &str,
    speaker: Option<Speaker>,
    context: &[ContextTurn<'_>],
) -> TextFinding {
    let said = personal::texts_without_names(&[crate::classify::customer_turn(text)]);
    let said = said.first().map_or(text, String::as_str);
    let text = &*names::without_names(lexicons, said);
    let mut mood = Mood::default();
    for turn in context {
        if turn.speaker.is_some_and(Speaker::is_agent_side) {
            mood.hear(lexicons, turn.text);
        } else {
            mood.say(&evidence::weigh(lexicons, turn.text));
        }
    }
    let (score, rule_id) = match speaker {
        Some(Speaker::AiAgent | Speaker::HumanAgent) => (mood::agent_tone(lexicons, text), None),
        Some(Speaker::Ivr) => (0.0, None),
        Some(Speaker::Customer | Speaker::Unknown) | None => {
            let evidence = evidence::weigh(lexicons, text);
            (mood.say(&evidence), evidence.entry.map(|entry| format!("sentiment/{entry}")))
        }
    };
    let label = if score >= POSITIVE {
        1
    } else if score <= NEGATIVE {
        -1
    } else {
        0
    };
    TextFinding { label, score: rounded(score), rule_id }
}

fn rounded(score: f64) -> f64 {
    (score / STEP).round() * STEP
}
