//! `callmark feed`: an operator's producer.

use crate::cli::{ChunkCodec, FeedArguments};
use crate::exit::{Exit, UsageError, say};
use callmark_pipeline::{FeedOptions, LiveFeed, Properties};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) fn feed(arguments: FeedArguments) -> anyhow::Result<Exit> {
    let live = arguments.live.then(|| LiveFeed {
        events_topic: arguments.events_topic,
        speed: arguments.speed,
        chunk: Duration::from_millis(arguments.chunk_ms),
        codec: match arguments.codec {
            ChunkCodec::PcmS16le => "pcm_s16le".to_owned(),
            ChunkCodec::Pcmu => "pcmu".to_owned(),
        },
        concurrent: arguments.concurrent,
    });
    let default_topic = if live.is_some() { "calls.audio" } else { "calls.recordings" };
    let options = FeedOptions {
        inputs: arguments.inputs,
        calls: arguments.calls,
        brokers: arguments.brokers,
        topic: arguments.topic.unwrap_or_else(|| default_topic.to_owned()),
        properties: properties_of(&arguments.properties)?,
        by_uri: arguments.by_uri,
        live,
    };
    let stop = Arc::new(AtomicBool::new(false));
    super::runtime()?.spawn(super::score::stop_on_signal(Arc::clone(&stop)));
    let report = callmark_pipeline::feed(&options, &stop, &|reason| say(&format!("not sent: {reason}")))?;
    say(&format!(
        "{} calls sent in {} messages, {:.1} MB, all acknowledged; {} inputs not sent",
        report.calls,
        report.messages,
        report.bytes as f64 / 1e6,
        report.refused
    ));
    Ok(match report.refused {
        0 => Exit::Done,
        _ if report.calls == 0 => Exit::Nothing,
        _ => Exit::SomeFailed,
    })
}

/// `NAME=VALUE`, or `NAME=env:VARIABLE` for what should not stand in the list of processes.
pub(crate) fn properties_of(flags: &[String]) -> anyhow::Result<Properties> {
    let mut properties = Properties::default();
    for flag in flags {
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| UsageError("-X: give NAME=VALUE, such as security.protocol=SSL".to_owned()))?;
        match value.strip_prefix("env:") {
            None => properties.set(name, value),
            Some(variable) => {
                let value = std::env::var(variable).map_err(|_| {
                    UsageError(format!("-X {name}: the environment has no variable {variable}"))
                })?;
                properties.set(name, &value);
            }
        }
    }
    Ok(properties)
}
