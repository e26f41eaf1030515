//! The public shape of scoring.

use crate::{conversation, sentiment};
use callmark_types::*;

/// Rules and lexicons, checked and compiled.
pub struct Ruleset {
    pub(crate) lexicons: sentiment::Lexicons,
    sha256: String,
}

/// Why a rule file or lexicon was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct RuleError {
    /// Name of the file as given by the caller.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Ruleset {
    /// The rules that ship with Callmark.
    pub fn built_in() -> Self {
        Self::from_sources(&[]).expect("built-in rules are valid: a test loads them")
    }

    /// Rules from texts, by file name (`rules/human_request.toml`, `lexicons/sentiment.toml`); a name that is built
    /// in replaces the built-in text, and built-in texts that are not named stay.
    pub fn from_sources(_sources: &[(&str, &str)]) -> Result<Self, RuleError> {
        Ok(Self {
            lexicons: sentiment::Lexicons::from_sources(sentiment::BUILT_IN)?,
            sha256: String::new(),
        })
    }

    /// SHA-256 of all rule and lexicon texts, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// What is scored: one call.
#[derive(Clone, Copy)]
pub struct Conversation<'a> {
    /// What the recorder knew.
    pub metadata: &'a CallMetadata,
    /// The turns, in order of start; dropped turns included (they are not scored).
    pub turns: &'a [Turn],
    /// What was measured on audio; `None` for transcripts and chats.
    pub audio: Option<&'a AudioFacts>,
    /// End of the recording; `None` for chats without times.
    pub end: Option<Millis>,
}

/// Everything found in one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Sentiment of each turn, -5 to 5; as long as the turns.
    pub turn_sentiment: Vec<Option<f64>>,
    /// Conversation measures.
    pub conversation: ConversationMetrics,
    /// Sentiment of the call.
    pub sentiment: SentimentRollup,
    /// The right to a person.
    pub human_access: HumanAccess,
    /// How the matter ended.
    pub resolution: Resolution,
    /// Events in order of time (of turns, where there are no times).
    pub events: Vec<Event>,
    /// Who took the call first: ai, human or ivr.
    pub first_handler: Option<Handler>,
    /// Who had it last: ai, human or ivr.
    pub final_handler: Option<Handler>,
    /// Who handled what; told by metadata, else worked out from the words.
    pub handler_segments: Vec<HandlerSegment>,
    /// Reasons to trust the scores less.
    pub flags: Vec<TrustFlag>,
}

/// Scores one call.
pub fn score(rules: &Ruleset, call: &Conversation<'_>) -> Scores {
    let turn_sentiment = sentiment::score_turns(&rules.lexicons, call.turns);
    let segments = call.metadata.handler_segments.clone();
    let (metrics, events) = conversation::measure(call, &[], &[]);
    Scores {
        sentiment: sentiment::roll_up(call.turns, &turn_sentiment, &segments, call.end),
        turn_sentiment,
        conversation: metrics,
        human_access: HumanAccess::default(),
        resolution: Resolution {
            outcome: Outcome::Unknown,
            resolved_at: None,
            resolution_time: None,
            confidence: 0.0,
            evidence_turn: None,
        },
        events,
        first_handler: call.metadata.first_handler,
        final_handler: None,
        handler_segments: segments,
        flags: Vec::new(),
    }
}

/// Where a voice is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A channel of its own.
    Channel(u16),
    /// One voice of a mixed channel.
    Voice(u8),
}

/// A turn before it is known who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneTurn {
    /// Where it is heard.
    pub lane: Lane,
    /// When; `None` without times.
    pub span: Option<Span>,
    /// What is said.
    pub text: String,
    /// The role that metadata gives this lane; `Mixed` and `None` tell nothing.
    pub told_role: Option<ChannelRole>,
}

/// Who speaks each turn, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Roles {
    /// One speaker a turn.
    pub speakers: Vec<Speaker>,
    /// `RolesDetected` and `HandlersDetected` where the words decided.
    pub flags: Vec<TrustFlag>,
}

/// Works out who speaks each turn.
pub fn assign_speakers(_rules: &Ruleset, _metadata: &CallMetadata, turns: &[LaneTurn]) -> Roles {
    Roles { speakers: vec![Speaker::Unknown; turns.len()], flags: Vec::new() }
}

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

/// Whether a text asks for a person.
pub fn classify_human_request(
    _rules: &Ruleset,
    _text: &str,
    _speaker: Option<Speaker>,
    _context: &[ContextTurn<'_>],
) -> TextFinding {
    TextFinding { label: 0, score: 0.0, rule_id: None }
}
