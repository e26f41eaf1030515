//! Sources, stages, back-pressure and checkpoints: recordings in, committed tables out.
//!
//! ```text
//! files ─ plan ─► call threads: digest ─ hear (decode, measure, transcribe) ─ compose (turns, scores) ─► frontier ─► commit
//!                                          └ checkpoint ┘                                               in order
//! ```
//!
//! It ties the other crates together and knows none of their insides. It must not know SQL or HTML.

mod assemble;
mod call;
mod committer;
mod compose;
mod config;
mod erase_audio;
mod frontier;
mod hear;
mod inputs;
mod kafka;
mod metadata_fields;
mod metadata_file;
mod pipeline_file;
mod recogniser;
mod redaction;
mod rescore;
mod run;
mod scoring;
mod spool;
mod transcripts;

pub use config::{
    ConfigError, DEFAULT_BATCH_CALLS, DEFAULT_SECOND_BELOW, DeviceChoice, EngineChoice, MAX_BATCH_CALLS,
    Pipeline,
};
pub use erase_audio::{ErasedAudio, remove_audio};
#[doc(hidden)]
pub use kafka::reached;
pub use kafka::{
    FeedOptions, FeedReport, KafkaFinding, KafkaPipeline, LiveFeed, Properties, Start, StreamError,
    StreamKind, StreamReport, examine_kafka, feed, resend, run_stream,
};
pub use metadata_fields::parse_channel_role;
pub use metadata_file::{BadRow, MetadataError, MetadataRow, MetadataTable, read_metadata};
pub use pipeline_file::PipelineFile;
pub use recogniser::{NoCt2, Recogniser, SecondHearing};
pub use redaction::Redaction;
pub use rescore::{FindingChange, RescoreReport, ScoredBy, rescore};
pub use run::{Progress, RunError, RunReport, run, run_with};
pub use scoring::{OpenedScoring, Scoring, ScoringError, TextModelChoice};
pub use transcripts::{WrittenConversation, parse_conversation};
