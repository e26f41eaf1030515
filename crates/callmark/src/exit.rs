//! Exit codes, and how errors become them.

use callmark_models::ModelError;
use callmark_pipeline::{RunError, ScoringError, StreamError};
use callmark_query::QueryError;
use std::io::Write;
use std::process::ExitCode;

/// What the caller's script can tell from the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// Some of what was asked for could not be done: inputs that are dead letters now, recordings that are left.
    SomeFailed = 1,
    /// The flags or a configuration file are wrong.
    Usage = 2,
    /// Nothing could be done.
    Nothing = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error of the caller's making: wrong flags, wrong configuration.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Exit code and message of an error.
pub(crate) fn explain(error: &anyhow::Error) -> (Exit, String) {
    let run_error = error.downcast_ref::<RunError>().or(match error.downcast_ref::<StreamError>() {
        Some(StreamError::Recogniser(inner)) => Some(inner),
        _ => None,
    });
    let is_usage = error.is::<UsageError>()
        || matches!(error.downcast_ref::<QueryError>(), Some(QueryError::BadQuery(_)))
        || matches!(error.downcast_ref::<ModelError>(), Some(ModelError::Unknown { .. }))
        || matches!(
            run_error,
            Some(
                RunError::Config(_)
                    | RunError::Metadata(_)
                    | RunError::Scoring(ScoringError::Rule(_))
                    | RunError::Model(ModelError::Unknown { .. })
            )
        )
        || matches!(error.downcast_ref::<StreamError>(), Some(StreamError::Config(_)))
        || matches!(
            error.downcast_ref::<ScoringError>(),
            Some(ScoringError::Rule(_) | ScoringError::Unreadable { .. } | ScoringError::NeedsModel(_))
        )
        || error.is::<callmark_pipeline::ConfigError>();
    (if is_usage { Exit::Usage } else { Exit::Nothing }, message_of(error))
}

/// The error and its causes, each said once: many an error quotes its cause.
fn message_of(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// Whether the reader of stdout has gone away (`callmark sql … | head`), which is no failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

/// Says on stderr what is wrong. A closed stderr is nobody's loss.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "error: {message}");
}

/// Says something on stderr that is no data.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}
