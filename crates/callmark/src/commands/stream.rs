//! `callmark run` on a pipeline that reads from Kafka: until it is stopped.

use crate::cli::Format;
use crate::exit::{Exit, say};
use callmark_pipeline::{KafkaPipeline, StreamReport, run_stream};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(crate) fn run(pipeline: &KafkaPipeline, format: Format) -> anyhow::Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = super::runtime()?;
    runtime.spawn(super::score::stop_on_signal(Arc::clone(&stop)));
    say(&format!(
        "reading {} of {} as group {} into {}",
        pipeline.topic,
        pipeline.brokers,
        pipeline.group,
        pipeline.out.display()
    ));
    let report = run_stream(pipeline, &stop)?;
    print_report(pipeline, &report, format)?;
    Ok(Exit::Done)
}

fn print_report(pipeline: &KafkaPipeline, report: &StreamReport, format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let summary = json!({
                "dataset": pipeline.out.display().to_string(),
                "scored": report.calls,
                "skipped": report.repeats,
                "dead_letters": report.dead_letters,
                "audio_ms": (report.audio_seconds * 1000.0) as u64,
                "elapsed_ms": report.elapsed.as_millis() as u64,
            });
            writeln!(out, "{summary}")?;
        }
        Format::Table => {
            writeln!(
                out,
                "{} calls scored, {} in the dataset already, {} lost (dead letters) in {:.0} s",
                report.calls,
                report.repeats,
                report.dead_letters,
                report.elapsed.as_secs_f64()
            )?;
        }
    }
    Ok(())
}
