//! One text at a time, for who writes rules and who measures them.

use crate::Ruleset;
use crate::access::LEAST_LIKELY;
use crate::hearing;
use crate::signal::Signal;
use callmark_types::{Speaker, Turn};

/// A turn before the one that is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextTurn<'a> {
    /// Who spoke, where known.
    pub speaker: Option<Speaker>,
    /// What was said.
    pub text: &'a str,
}

/// What a text was found to be.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFinding {
    /// 1 or 0; -1, 0 or 1 for sentiment.
    pub label: i8,
    /// 0 to 1; -5 to 5 for sentiment.
    pub score: f64,
    /// The rule that decided.
    pub rule_id: Option<String>,
}

/// Score of a text in which no rule fires.
const NOTHING_FOUND: f64 = 0.02;

/// Whether a customer's text asks for a person. `context` holds the turns before, oldest first: to a person, only
/// a request for a supervisor counts; "yes" to an offer is an acceptance and no request. Agent-side text never asks.
pub fn classify_human_request(
    rules: &Ruleset,
    text: &str,
    speaker: Option<Speaker>,
    context: &[ContextTurn<'_>],
) -> TextFinding {
    let none = TextFinding { label: 0, score: NOTHING_FOUND, rule_id: None };
    if speaker.is_some_and(Speaker::is_agent_side) {
        return none;
    }
    let listener = context.iter().rev().find_map(|t| t.speaker.filter(|s| s.is_agent_side()));
    let human_listens = listener == Some(Speaker::HumanAgent);
    let heard = hearing::hear(rules, &[customer_turn(text)], None);
    let asks = heard.iter().flat_map(|turn| &turn.hits).filter(|hit| match hit.signal {
        Signal::SupervisorRequest => true,
        Signal::HumanRequest
        | Signal::BareHumanRequest
        | Signal::DepartmentRequest
        | Signal::MachineRefusal => !human_listens,
        _ => false,
    });
    let asks = asks.filter(|hit| hit.confidence >= LEAST_LIKELY);
    let best = asks.max_by(|a, b| a.confidence.total_cmp(&b.confidence));
    best.map_or(none, |hit| TextFinding {
        label: 1,
        score: hit.confidence,
        rule_id: Some(rules.identity(hit.rule).0.to_owned()),
    })
}

/// A customer's text as a turn of its own.
pub(crate) fn customer_turn(text: &str) -> Turn {
    Turn {
        index: 0,
        channel: None,
        speaker: Speaker::Customer,
        span: None,
        text: text.to_owned(),
        words: Vec::new(),
        asr_confidence: None,
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    }
}
