//! Speech to text: the speech of a channel goes in, utterances with timed words come out.
//!
//! The crate packs speech without its silences ([`plan_packs`]), has the packs recognised on a pool of dedicated
//! threads ([`WorkerPool`]) by an engine behind the [`Transcriber`] trait, brings the words back to the recording's
//! clock, and flags what the engine invented ([`guards`]). It knows nothing of calls, tables or queues, and reads no
//! file but the model's.

mod assemble;
#[cfg(feature = "ct2")]
mod ct2;
mod error;
mod glossary;
pub mod guards;
mod language;
mod packing;
mod phantoms;
mod pool;
mod queue;
#[cfg(any(feature = "ct2", feature = "whisper"))]
mod retry;
mod scripted;
mod second;
mod timing;
mod transcriber;
#[cfg(feature = "whisper")]
mod whisper;
#[cfg(any(feature = "ct2", feature = "whisper"))]
mod words;

#[cfg(feature = "ct2")]
pub use ct2::{Ct2Config, Ct2Engine, Ct2Transcriber};
pub use error::AsrError;
pub use glossary::Glossary;
pub use guards::GuardLimits;
pub use language::model_language;
pub use packing::{PackLimits, PackPiece, PackPlan, clean_spans, plan_packs};
pub use pool::{ChannelTranscript, EngineConfig, WorkerPool, recommended_workers};
pub use scripted::{Script, ScriptedAnswer, ScriptedTranscriber, spread};
pub use transcriber::{Decoding, ModelInfo, Pack, PackTranscript, PackWord, TranscribeOptions, Transcriber};
#[cfg(feature = "whisper")]
pub use whisper::{Device, WhisperConfig, WhisperEngine, WhisperTranscriber, graphics_cards};
