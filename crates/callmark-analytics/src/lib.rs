//! Transcript, audio facts and metadata to findings: pure functions, no I/O.
//!
//! It exists so that what a call is said to show can be computed again from stored turns, by the same rules, with
//! the same result. Rules and lexicons are data: the caller may hand in other texts than those built in, and every
//! finding names the rule and the version that made it.

mod conversation;
mod score;
mod sentiment;

pub use score::{
    ContextTurn, Conversation, Lane, LaneTurn, Roles, RuleError, Ruleset, Scores, TextFinding,
    assign_speakers, classify_human_request, score,
};
pub use sentiment::classify_sentiment;
