//! Sentiment of turns and its roll-ups.

use crate::{ContextTurn, RuleError, Ruleset, TextFinding};
use callmark_types::{HandlerSegment, Millis, SentimentRollup, Speaker, Turn};

/// The lexicon texts that ship with Callmark: name (`lexicons/….toml`) and text.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[];

/// Lexicons, checked and compiled.
pub(crate) struct Lexicons {}

impl Lexicons {
    /// From texts whose names begin with `lexicons/`.
    pub(crate) fn from_sources(_sources: &[(&str, &str)]) -> Result<Self, RuleError> {
        Ok(Self {})
    }
}

/// Sentiment of each turn, -5 to 5; `None` for menus and dropped turns.
pub(crate) fn score_turns(_lexicons: &Lexicons, turns: &[Turn]) -> Vec<Option<f64>> {
    vec![None; turns.len()]
}

/// Roll-ups of the turns' sentiment.
pub(crate) fn roll_up(
    _turns: &[Turn],
    _scores: &[Option<f64>],
    _segments: &[HandlerSegment],
    _end: Option<Millis>,
) -> SentimentRollup {
    SentimentRollup::default()
}

/// Sentiment of one text: label -1, 0 or 1, score -5 to 5.
pub fn classify_sentiment(
    _rules: &Ruleset,
    _text: &str,
    _speaker: Option<Speaker>,
    _context: &[ContextTurn<'_>],
) -> TextFinding {
    TextFinding { label: 0, score: 0.0, rule_id: None }
}
