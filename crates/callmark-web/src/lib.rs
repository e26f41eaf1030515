//! The review page: hear the evidence of a score, correct it, and see what that does to the figures. And the HTTP API.
//!
//! It exists so that the people who are judged by scores, and those who answer for them, can check them. It reads a
//! dataset's tables and never writes them: what people say is kept in a database of its own and handed on as a file. It
//! must not know Kafka, nor how a call is scored.
//!
//! ```text
//! catalogue   all calls, a narrow row each, in memory: filters, order, pages, counts
//! search      words that were said, in an index made from the tables
//! calls       one call, read from the tables when it is opened
//! tables      the committed files that these read
//! audio       its recording as a browser plays it, personal data silenced
//! reviews     what people say, in SQLite or PostgreSQL; labels and agreement are made of it
//! access      who asks, what they may do, whether they mean it
//! pages, api  what people and programs see of all that
//! server      listening, and its bounds
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop"))]

mod access;
mod agreement;
mod api;
mod app;
mod audio;
mod calls;
mod catalogue;
mod erase;
mod error;
mod labels;
mod norms;
mod options;
mod pages;
mod report;
mod reviews;
mod scorecard;
mod search;
mod server;
mod tables;
mod text;

pub use catalogue::{CatalogueError, FilterError};
pub use erase::forget_calls;
pub use labels::{ExportError, Label, export_judgements, export_labels};
pub use options::{Access, ServeError, ServeOptions};
pub use reviews::{
    Comment, Dispute, DisputeAction, Judgement, NewJudgement, Question, ReviewError, Reviews, Role, Sample,
    SampleKind, User, Verdict,
};
pub use scorecard::{CardError, Item, Points, Prefill, Scorecard, Section};
pub use search::SearchError;
pub use server::Server;

#[cfg(test)]
mod tests;
