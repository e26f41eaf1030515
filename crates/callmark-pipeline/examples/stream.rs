//! A worker, or a feeder, without the rest of the command: what tests of streams run.
//!
//!     stream run PIPELINE.toml
//!     stream feed --brokers BROKERS --topic TOPIC FOLDER

#![allow(clippy::print_stderr, reason = "a program, not a library")]

use callmark_pipeline::{FeedOptions, KafkaPipeline, Properties, feed, run_stream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [_, "run", file] => run(file),
        [_, "feed", "--brokers", brokers, "--topic", topic, folder] => send(brokers, topic, folder),
        _ => Err("stream run PIPELINE.toml | stream feed --brokers BROKERS --topic TOPIC FOLDER".to_owned()),
    };
    match result {
        Ok(said) => {
            eprintln!("{said}");
            ExitCode::SUCCESS
        }
        Err(said) => {
            eprintln!("error: {said}");
            ExitCode::from(3)
        }
    }
}

fn run(file: &str) -> Result<String, String> {
    let pipeline = KafkaPipeline::from_file(Path::new(file)).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.spawn(async {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            terminate.recv().await;
            STOP.store(true, Ordering::Relaxed);
        }
    });
    run_stream(&pipeline, &STOP).map(|report| format!("{report:?}")).map_err(|e| e.to_string())
}

fn send(brokers: &str, topic: &str, folder: &str) -> Result<String, String> {
    let options = FeedOptions {
        inputs: vec![folder.into()],
        calls: None,
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        properties: Properties::default(),
        by_uri: false,
        live: None,
    };
    let report =
        feed(&options, &STOP, &|reason| eprintln!("refused: {reason}")).map_err(|e| e.to_string())?;
    Ok(format!("{report:?}"))
}
