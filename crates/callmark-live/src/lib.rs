//! Live calls as pure state machines: chunks of audio and events go in; utterances to transcribe, alerts and finished
//! calls come out.
//!
//! A call that goes on differs from a recording in that its messages come out of order, twice, late or never, and that
//! its alerts are worth something only now. All of that is decided here, and nothing else: messages, time and
//! transcripts are arguments, so that every order of events can be tested and a replay gives the same results. The crate
//! must not know Kafka, Parquet, threads or clocks.
//!
//! # The loop that a caller runs
//!
//! ```
//! use callmark_asr::{EngineConfig, Script, TranscribeOptions, WorkerPool};
//! use callmark_analytics::Ruleset;
//! use callmark_live::{CallEvent, Chunk, LiveOptions, Output, Position, Sessions, Source};
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//!
//! let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
//! let workers = WorkerPool::start(EngineConfig::Scripted(Script::saying("agent please")), 1)?;
//! let audio = Source { topic: 0, partition: 3 };
//! let events = Source { topic: 1, partition: 3 };
//! let mut finished = Vec::new();
//! let mut now_ms = 0; // a clock of the caller that never goes back
//!
//! // One thread owns `sessions`. It deals with outputs as they come.
//! let mut handle = |sessions: &mut Sessions, outputs: Vec<Output>| {
//!     let mut outputs = VecDeque::from(outputs);
//!     while let Some(output) = outputs.pop_front() {
//!         match output {
//!             // In a real runtime: into a bounded queue to threads that call `run`, which blocks, and send the
//!             // result back to the thread that owns `sessions`. Pause the consumer while `sessions.wants_pause()`.
//!             Output::Transcribe(job) => {
//!                 let result = job.run(&workers, &TranscribeOptions::default());
//!                 outputs.extend(sessions.on_transcript(result));
//!             }
//!             Output::Alert(alert) => println!("{}", String::from_utf8_lossy(&alert.to_json())),
//!             Output::Broken(broken) => println!("dead letter: {}", broken.reason),
//!             // On a worker thread: `call.hear(…)`, compose, commit; then tell the sessions.
//!             Output::Finished(call) => {
//!                 let call_id = call.call_id().clone();
//!                 finished.push(call.hear(&Default::default(), &Default::default()));
//!                 sessions.on_committed(&call_id);
//!             }
//!         }
//!     }
//! };
//!
//! // A message of `calls.events`. Before the first message of a call that `sessions.knows` nothing of, ask the dataset:
//! // a call that is committed already goes to `sessions.ignore`.
//! let started = br#"{"type": "started", "ts_ms": 1000, "channel_0_role": "customer", "language": "en"}"#;
//! let event = CallEvent::from_message(Some("call-1"), started)?;
//! let outputs = sessions.on_event(Position { source: events, offset: 40 }, now_ms, event)?;
//! handle(&mut sessions, outputs);
//!
//! // Messages of `calls.audio`: a refusal, of reading or of the session, is a dead letter.
//! for seq in 0..100_u32 {
//!     now_ms += 20;
//!     let (seq_text, ts_ms) = (seq.to_string(), (1000 + seq * 20).to_string());
//!     let header = |name: &str| match name {
//!         "codec" => Some(b"pcmu".as_slice()),
//!         "rate" => Some(b"8000".as_slice()),
//!         "channel" => Some(b"0".as_slice()),
//!         "seq" => Some(seq_text.as_bytes()),
//!         "ts-ms" => Some(ts_ms.as_bytes()),
//!         _ => None,
//!     };
//!     let chunk = Chunk::from_message("call-1", header, vec![0xFF; 160])?;
//!     let outputs = sessions.on_chunk(Position { source: audio, offset: 70 + i64::from(seq) }, now_ms, chunk)?;
//!     handle(&mut sessions, outputs);
//! }
//! assert_eq!(sessions.commit_point(audio), Some(70), "a restart begins at the first chunk of the open call");
//!
//! // Several times a second, when everything polled was handed in.
//! let ended = CallEvent::from_message(Some("call-1"), br#"{"type": "ended", "ts_ms": 3000}"#)?;
//! let outputs = sessions.on_event(Position { source: events, offset: 41 }, now_ms, ended)?;
//! handle(&mut sessions, outputs);
//! now_ms += 5_000;
//! let outputs = sessions.on_tick(now_ms);
//! handle(&mut sessions, outputs);
//!
//! // What a consumer group commits: everything below is done with.
//! assert_eq!(sessions.commit_point(audio), Some(170));
//! assert_eq!(sessions.commit_point(events), Some(42));
//! assert_eq!(finished[0].facts.format.duration.0, 2000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert_rules;
mod alerts;
mod channel;
mod chunk;
mod event;
mod finish;
mod job;
mod low_water;
mod options;
mod reorder;
mod segment;
mod session;
mod sessions;
mod story;
mod timeline;

pub use alert_rules::{AlertRules, AlertRulesError, SentimentCollapse};
pub use alerts::{Alert, AlertKind};
pub use channel::{BrokenChunk, ChannelTrouble};
pub use chunk::{Chunk, Refusal};
pub use event::{CallEvent, CallEventKind, StartedFields};
pub use finish::{EndReason, FinishedCall, FinishedChannel, HeardLive};
pub use job::{TranscribeJob, Transcribed};
pub use low_water::{LowWater, Position, Source};
pub use options::LiveOptions;
pub use session::Output;
pub use sessions::{Counters, Sessions};
pub use timeline::KeptSound;
