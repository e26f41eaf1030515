//! `callmark score` and `callmark run`: the main job, and what it says at the end.

use crate::cli::{Device, Engine, Format, HearingArguments, RunArguments, ScoreArguments};
use crate::exit::{Exit, UsageError, say};
use crate::progress::{ProgressDisplay, human_seconds};
use callmark_pipeline::{
    DeviceChoice, EngineChoice, Pipeline, PipelineFile, Redaction, RunReport, parse_channel_role, run,
};
use callmark_query::{QueryError, SUMMARY_SQL, Tables, render_json, render_table};
use callmark_types::Millis;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn score(arguments: ScoreArguments) -> anyhow::Result<Exit> {
    let pipeline = pipeline_of(arguments.hearing, Pipeline::new(arguments.inputs, arguments.out))?;
    run_pipeline(&pipeline, arguments.format)
}

/// `pipeline` with what the flags say of hearing.
pub(crate) fn pipeline_of(arguments: HearingArguments, pipeline: Pipeline) -> anyhow::Result<Pipeline> {
    let role = |role: &String| {
        parse_channel_role(role).map_err(|e| UsageError(format!("--channels: `{role}`: {e}")))
    };
    let channels = arguments.channels.iter().map(role).collect::<Result<Vec<_>, _>>()?;
    let kinds = Redaction::of_names(arguments.redact.iter().map(String::as_str))
        .map_err(|e| UsageError(format!("--redact: {e}")))?;
    let pipeline = Pipeline {
        scoring: arguments.scoring.scoring(),
        redaction: Redaction { kinds, audio: arguments.redacted_audio },
        calls: arguments.calls,
        channels,
        raw_codec: arguments.raw_codec,
        max_duration: Millis(i64::from(arguments.max_duration) * 1000),
        model: arguments.model,
        second_model: arguments.second_model,
        second_below: arguments.second_below,
        language: arguments.language,
        vocabulary: arguments.vocabulary,
        engine: match arguments.engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Whisper => EngineChoice::Whisper,
            Engine::Ct2 => EngineChoice::Ct2,
        },
        device: match arguments.device {
            Device::Auto => DeviceChoice::Auto,
            Device::Cpu => DeviceChoice::Cpu,
            Device::Gpu => DeviceChoice::Gpu,
        },
        workers: arguments.workers,
        batch_calls: arguments.batch_calls,
        ..pipeline
    };
    Ok(pipeline.validated()?)
}

pub(crate) fn run_file(arguments: &RunArguments) -> anyhow::Result<Exit> {
    match PipelineFile::read(&arguments.pipeline)? {
        PipelineFile::Files(pipeline) => run_pipeline(&pipeline, arguments.format),
        PipelineFile::Kafka(pipeline) => super::stream::run(&pipeline, arguments.format),
    }
}

/// Runs `pipeline`, shows its progress and prints the summary of its dataset.
pub(crate) fn run_pipeline(pipeline: &Pipeline, format: Format) -> anyhow::Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = super::runtime()?;
    runtime.spawn(stop_on_signal(Arc::clone(&stop)));
    let display = ProgressDisplay::new();
    let result = run(pipeline, &stop, &|event| display.show(event));
    display.close();
    let report = result?;
    runtime.block_on(print_summary(&pipeline.out, &report, format))?;
    runtime.block_on(note_other_rules(pipeline, &report));
    Ok(exit_of(&report))
}

/// Calls that the dataset had already keep the scores of the rules of their time: says so, where those were others.
async fn note_other_rules(pipeline: &Pipeline, report: &RunReport) {
    if report.skipped == 0 {
        return;
    }
    let (Ok(opened), Ok(tables)) = (pipeline.scoring.open(), Tables::open(&pipeline.out).await) else {
        return;
    };
    let others =
        format!("select call_id from calls where rules_sha256 <> '{}' limit 1", opened.rules.sha256());
    if let Ok(rows) = tables.query(&others).await
        && rows.iter().any(|batch| batch.num_rows() > 0)
    {
        say(
            "note: calls of this dataset were scored by other rules and keep those scores; `callmark rescore` scores them again by these",
        );
    }
}

/// The first signal lets the calls in flight finish; the second ends the process (what is committed stays).
pub(super) async fn stop_on_signal(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    stop.store(true, Ordering::Relaxed);
    say("stopping: the calls in flight are finished and committed; signal again to stop at once");
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    std::process::exit(Exit::SomeFailed as i32);
}

fn exit_of(report: &RunReport) -> Exit {
    match report {
        _ if report.stopped => Exit::SomeFailed,
        RunReport { dead_letters: 0, .. } => Exit::Done,
        RunReport { scored: 0, skipped: 0, erased: 0, .. } => Exit::Nothing,
        _ => Exit::SomeFailed,
    }
}

async fn print_summary(dataset: &Path, report: &RunReport, format: Format) -> anyhow::Result<()> {
    let rows = match Tables::open(dataset).await {
        Ok(tables) => tables.query(SUMMARY_SQL).await?,
        // Nothing was ever scored into it: the report and the dead letters say why.
        Err(QueryError::NoDataset(_)) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => {
            writeln!(out, "{}\n", report_line(report))?;
            if !rows.is_empty() {
                writeln!(out, "Dataset {} by first handler:", dataset.display())?;
                render_table(&rows, &mut out)?;
            }
            say(&next_steps(dataset, report, !rows.is_empty()));
        }
        Format::Json => {
            let mut lines = Vec::new();
            render_json(&rows, &mut lines)?;
            let handlers: Vec<serde_json::Value> =
                serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>()?;
            let summary = json!({
                "dataset": dataset.display().to_string(),
                "scored": report.scored,
                "skipped": report.skipped,
                "erased": report.erased,
                "dead_letters": report.dead_letters,
                "audio_ms": report.audio.0,
                "elapsed_ms": report.elapsed.as_millis() as u64,
                "scoring_cpu_ms": report.scoring.as_millis() as u64,
                "stopped": report.stopped,
                "by_first_handler": handlers,
            });
            writeln!(out, "{summary}")?;
        }
    }
    Ok(())
}

fn report_line(report: &RunReport) -> String {
    let mut parts = vec![format!("{} calls scored", report.scored)];
    if report.erased > 0 {
        parts.push(format!("{} erased earlier and left out", report.erased));
    }
    if report.skipped > 0 {
        parts.push(format!("{} in the dataset already", report.skipped));
    }
    if report.dead_letters > 0 {
        parts.push(format!("{} lost (dead letters)", report.dead_letters));
    }
    let elapsed = report.elapsed.as_secs_f64();
    let line = parts.join(", ");
    if report.audio > Millis::ZERO {
        let speed = report.audio.seconds() / elapsed.max(0.001);
        let heard = human_seconds(report.audio.seconds());
        return format!(
            "{line}: {heard} of calls in {}, {speed:.1}x real time; scoring took {:.1} s of processor an hour of calls",
            human_seconds(elapsed),
            report.scoring.as_secs_f64() * 3600.0 / report.audio.seconds(),
        );
    }
    line
}

fn next_steps(dataset: &Path, report: &RunReport, has_tables: bool) -> String {
    let dir = dataset.display();
    let mut lines = vec![String::new()];
    if has_tables {
        lines.push(format!("Tables: {dir}/calls, {dir}/turns, {dir}/events (Parquet, by date). Next:"));
        lines.push(format!(
            "  callmark sql {dir} \"select call_id, outcome, human_request_count from calls\""
        ));
        lines.push(format!("  callmark export {dir} --format csv"));
    } else {
        lines.push(format!("Nothing is in {dir} yet."));
    }
    if report.dead_letters > 0 {
        lines.push(format!("  callmark dead-letters list {dir}"));
    }
    if report.stopped {
        lines.push("Stopped before the end: run the same command again to go on.".to_owned());
    }
    lines.join("\n")
}
