//! Transcript, audio facts and metadata to findings: pure functions, no I/O.
//!
//! It exists so that what a call is said to show can be computed again from stored turns, by the same rules, with
//! the same result. Rules and lexicons are data: the caller may hand in other texts than those built in, and every
//! finding names the rule and the version that made it.

mod access;
mod categories;
mod classify;
mod conversation;
mod handlers;
mod head;
mod hearing;
mod loops;
mod mixed;
mod personal;
mod resolution;
mod roles;
mod rule_cases;
mod ruleset;
mod score;
mod sentiment;
mod signal;
mod text;
mod turns;

pub use classify::{ContextTurn, TextFinding, classify_human_request};
pub use head::{Combined, RuleVerdict, TrainingSentence, training_sentences};
pub use mixed::mixed_channel;
pub use personal::{
    PersonalData, PersonalKind, SpokenLine, find_personal, find_personal_in_turns, personal_span,
};
pub use roles::{Lane, LaneTurn, Roles, assign_speakers};
pub use rule_cases::{CaseReport, Tried};
pub use ruleset::{RuleError, Ruleset};
pub use score::{Conversation, Scores, rescore, score};
pub use sentiment::classify_sentiment;
pub use turns::{HeardUtterance, LaneTurns, turns_of};
