//! `callmark rescore`: stored turns by other rules, and what that changes.

use crate::cli::{Format, RescoreArguments};
use crate::exit::{Exit, say};
use callmark_pipeline::{RescoreReport, rescore as rescore_dataset};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(crate) fn rescore(arguments: &RescoreArguments) -> anyhow::Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = super::runtime()?;
    runtime.spawn(super::score::stop_on_signal(Arc::clone(&stop)));
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("scoring again {bar:24} {pos}/{len} calls, about {eta} left")
    {
        bar.set_style(style);
    }
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let result =
        rescore_dataset(&arguments.dataset, &arguments.out, &arguments.scoring.scoring(), &stop, &progress);
    bar.finish_and_clear();
    let (report, note) = result?;
    if let Some(note) = note {
        say(&format!("note: {note}"));
    }
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Format::Table => print(&report, &mut out)?,
    }
    if report.stopped {
        say("stopped; the same command goes on");
        return Ok(Exit::SomeFailed);
    }
    say(&format!(
        "What changed, call by call: {}",
        arguments.out.join("_rescore").join("changes.jsonl").display()
    ));
    Ok(Exit::Done)
}

fn print(report: &RescoreReport, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} calls scored again, {} of them changed; sentiment of {} turns changed",
        report.calls, report.changed_calls, report.changed_turns
    )?;
    if report.without_turns > 0 {
        writeln!(out, "{} calls have no stored turns: taken over as they are", report.without_turns)?;
    }
    let versions = report.before.iter().map(|(by, rows)| (by, format!("before, {rows} calls")));
    for (by, what) in versions.chain(report.after.iter().map(|by| (by, "now".to_owned()))) {
        let model = by.text_model_sha256.as_deref().map_or("none", |sha| sha.get(..12).unwrap_or(sha));
        let rules = by.rules_sha256.get(..12).unwrap_or(&by.rules_sha256);
        writeln!(out, "{what}: callmark {}, rules {rules}, sentence model {model}", by.pipeline_version)?;
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(["finding", "before", "now", "added", "removed", "altered"]);
    for (kind, change) in &report.findings {
        table.add_row([
            kind.clone(),
            change.before.to_string(),
            change.after.to_string(),
            change.added.to_string(),
            change.removed.to_string(),
            change.altered.to_string(),
        ]);
    }
    writeln!(out, "{table}")?;
    if !report.columns.is_empty() {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_header(["column of calls", "calls in which it changed"]);
        for (column, calls) in &report.columns {
            table.add_row([column.clone(), calls.to_string()]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}
