//! What can go wrong between speech and text, told apart by what a caller can do about it.

use std::path::PathBuf;

/// Why speech could not be turned into text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AsrError {
    /// The model's file cannot be read. Pull the model again or correct the path.
    #[error("model {path}: {reason}; run `callmark models pull` or check the path")]
    ModelUnreadable {
        /// The path that was tried.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The file is no model that this engine can load. Verify its digest.
    #[error(
        "model {path} cannot be loaded: {reason}; it may be cut off or damaged: get it again, or run `callmark models verify` where it is one of Callmark's"
    )]
    ModelInvalid {
        /// The path that was tried.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine's own software cannot be used on this machine. Get it, or take the other engine.
    #[error(
        "engine {engine} cannot be used: {reason}; run `callmark models pull base`, or take `--engine whisper`"
    )]
    EngineUnavailable {
        /// The engine's name.
        engine: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The engine could not make room for a worker. Lower the number of workers or take a smaller model.
    #[error("worker {worker} cannot start: {reason}; use fewer workers or a smaller model")]
    WorkerStart {
        /// Index of the worker, from 0.
        worker: usize,
        /// What the engine said.
        reason: String,
    },
    /// The asked-for device is not there, or the build cannot use it.
    #[error("device {device} cannot be used: {reason}")]
    DeviceUnavailable {
        /// The device as asked for.
        device: String,
        /// Why.
        reason: String,
    },
    /// The words to expect do not fit before what is said. Take some out.
    #[error("the vocabulary takes {tokens} tokens, and there is room for {room}: take words out of it")]
    GlossaryTooLong {
        /// What it takes.
        tokens: usize,
        /// What there is room for.
        room: usize,
    },
    /// The language is not one the model knows.
    #[error("language {0:?} is not known to the model; use a two-letter code such as `en`, or leave it out")]
    UnknownLanguage(String),
    /// The pack is longer than the engine's window; it must be planned with smaller limits.
    #[error("pack of {duration_ms} ms is too long, the engine takes at most {limit_ms} ms")]
    PackTooLong {
        /// Length of the pack.
        duration_ms: i64,
        /// What the engine takes.
        limit_ms: i64,
    },
    /// The engine failed on this pack; the next one may succeed.
    #[error("recogniser failed on a pack of {duration_ms} ms: {reason}")]
    Engine {
        /// Length of the pack.
        duration_ms: i64,
        /// What the engine said.
        reason: String,
    },
    /// The worker that held the pack panicked; it starts anew with the next one.
    #[error("recogniser worker panicked: {0}")]
    WorkerPanicked(String),
    /// The pool is shutting down.
    #[error("recogniser pool is closed")]
    PoolClosed,
}
