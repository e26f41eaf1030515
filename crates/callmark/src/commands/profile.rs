//! `callmark profile`: did those who asked for a person hear one in time?

use crate::cli::{Format, ProfileArguments};
use crate::exit::{Exit, UsageError, say};
use anyhow::Context;
use callmark_compare::stats::proportion::wilson;
use callmark_query::{keep_profile, profiles};
use comfy_table::{Table, presets};
use serde_json::json;
use std::io::Write;

/// Level of the intervals.
const LEVEL: f64 = 0.95;

pub(crate) fn profile(arguments: &ProfileArguments) -> anyhow::Result<Exit> {
    let text = arguments
        .profiles
        .as_deref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let text = text.transpose()?;
    let profiles = profiles(text.as_deref()).map_err(|reason| {
        let file = arguments.profiles.as_deref().unwrap_or(std::path::Path::new("profiles"));
        UsageError(format!("{}: {reason}", file.display()))
    })?;
    let runtime = super::runtime()?;
    let mut out = std::io::stdout().lock();
    for profile in &profiles {
        let rows = runtime.block_on(keep_profile(&arguments.dataset, profile))?;
        let mut table = Table::new();
        let header = ["first handler", "person due", "reached", "in time", "share", "95 % interval", "kept"];
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
        for row in &rows {
            let share = wilson(row.in_time as f64, row.due as f64, LEVEL);
            let kept = match &share {
                Some(s) if s.low >= profile.share => "yes",
                Some(s) if s.high < profile.share => "no",
                _ => "cannot tell",
            };
            match arguments.format {
                Format::Json => {
                    let line = json!({
                        "profile": profile.id, "first_handler": row.first_handler, "due": row.due,
                        "reached": row.reached, "without_times": row.without_times, "in_time": row.in_time,
                        "share": share.as_ref().map(|s| s.value), "low": share.as_ref().map(|s| s.low),
                        "high": share.as_ref().map(|s| s.high), "wanted": profile.share, "kept": kept,
                    });
                    writeln!(out, "{line}")?;
                }
                Format::Table => {
                    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
                    table.add_row([
                        row.first_handler.clone(),
                        row.due.to_string(),
                        row.reached.to_string(),
                        row.in_time.to_string(),
                        share.as_ref().map_or_else(String::new, |s| percent(s.value)),
                        share.as_ref().map_or_else(String::new, |s| {
                            format!("{} to {}", percent(s.low), percent(s.high))
                        }),
                        kept.to_owned(),
                    ]);
                }
            }
            if row.without_times > 0 {
                say(&format!(
                    "{}: {} calls of {} have no times and count as late",
                    profile.id, row.without_times, row.first_handler
                ));
            }
        }
        if arguments.format == Format::Table {
            writeln!(out, "{} ({})", profile.name, profile.id)?;
            if rows.is_empty() {
                writeln!(out, "nobody asked for a person\n")?;
            } else {
                writeln!(out, "{table}\n")?;
            }
        }
    }
    Ok(Exit::Done)
}
