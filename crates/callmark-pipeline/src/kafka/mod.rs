//! Streams: recordings and live calls from Kafka, each in the tables exactly once.
//!
//! ```text
//! consumer thread ── events ──► coordinator (a state machine) ── jobs ──► call threads: read, hear, compose
//!   polls, obeys  ◄─ commands ──   │      ▲ opened, committed                     │ results
//!                                  ▼      │                                       ▼
//!                               store threads: outputs sent and acknowledged, then the dataset's commit
//! ```
//!
//! Kafka's committed offset is a hint; the dataset is the truth: where a partition goes on is what its chain of
//! commits says. The coordinator takes no step that waits, so that the group never takes a busy worker for a dead one.
//! Everything between the threads is bounded by what the consumer may have in flight ([`flow`]).
//!
//! Live calls go the same way: what a partition does with its messages is a [`live_partition`] there, the call threads also
//! recognise utterances, and a thread of its own sends alerts ([`alert_log`]).

mod admin;
mod alert_log;
mod config;
mod consumer;
mod coordinator;
mod doctor;
mod event;
mod failpoint;
mod failure;
mod feed;
mod fetch;
mod flow;
mod live_feed;
mod live_partition;
mod message;
mod metrics;
mod outputs;
mod partition;
mod properties;
mod publisher;
mod runtime;
mod startup;
mod store_thread;
mod uri;
mod work;
mod workshop;

pub use config::{KafkaPipeline, Start, StreamKind};
pub use doctor::{KafkaFinding, examine_kafka};
pub use failpoint::reached;
pub use failure::StreamError;
pub use feed::{FeedOptions, FeedReport, LiveFeed, feed, resend};
pub use properties::Properties;
pub use runtime::{StreamReport, run_stream};
