//! CTranslate2's Whisper, opened when it is needed.
//!
//! CTranslate2 takes eleven minutes to compile, most of it for its matrix kernels. The wheel that PyPI ships holds it
//! built for every kind of processor, so that library is opened at run time and a build costs a second. The crate exists
//! to keep foreign code in one small place: the shim under `native/` and the calls to it in the module `sys` are all there is,
//! and no `unsafe` shows outside. It knows nothing of calls, packs, words or where files come from.

mod sys;

pub use sys::{Encoded, Library, MAX_TOKENS, Model, Replica, Step, Writing};

use std::path::PathBuf;

/// Why CTranslate2 cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ct2Error {
    /// The shared library cannot be opened or is another one.
    #[error("{path}: {reason}", path = path.display())]
    Library {
        /// The file that was tried.
        path: PathBuf,
        /// What the system's loader said.
        reason: String,
    },
    /// The folder holds no model that CTranslate2 reads.
    #[error("{path}: {reason}", path = path.display())]
    Model {
        /// The folder.
        path: PathBuf,
        /// What CTranslate2 said.
        reason: String,
    },
    /// A computation failed; the next may succeed.
    #[error("{0}")]
    Compute(String),
}
