//! The `callmark` command: flags in, exit code out.
//!
//! It holds no logic of its own: each command reads its flags, calls one crate and prints. Data goes to stdout,
//! everything else to stderr.

mod cli;
mod commands;
mod exit;
mod process;
mod progress;

use clap::Parser;
use exit::Exit;
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    process::return_freed_memory();
    process::refuse_large_files_with_an_error();
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are answers, not errors; clap knows which stream each belongs to.
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    start_log();
    quiet_panics();
    match commands::dispatch(arguments) {
        Ok(exit) => exit.into(),
        Err(error) if exit::is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            let (exit, message) = exit::explain(&error);
            exit::complain(&message);
            exit.into()
        }
    }
}

/// What is logged where nothing else is said. What a decoder has to say of a file becomes its dead letter.
const QUIET: &str = "error,callmark=warn,callmark_pipeline=warn,symphonia=off,symphonia_core=off,\
    symphonia_bundle_flac=off,symphonia_bundle_mp3=off,symphonia_codec_aac=off,symphonia_codec_vorbis=off,\
    symphonia_format_caf=off,symphonia_format_isomp4=off,symphonia_format_mkv=off,symphonia_format_ogg=off,\
    symphonia_format_riff=off,symphonia_metadata=off";

/// Logs to stderr, warnings by default; `CALLMARK_LOG` sets the level (`info`, `callmark_pipeline=debug`).
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CALLMARK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(QUIET));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// A panic costs its own call and becomes a dead letter; what is printed is where it happened, never its message,
/// which may quote what was said on the call.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        exit::complain(&format!("internal error at {place}"));
    }));
}
