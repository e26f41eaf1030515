//! `callmark repeats`: the second pass for repeat contacts.

use crate::cli::{Format, RepeatsArguments};
use crate::exit::{Exit, UsageError, say};
use callmark_query::{REPEAT_WINDOWS_DAYS, check_repeats};
use callmark_types::Timestamp;
use std::io::Write;

pub(crate) fn repeats(arguments: &RepeatsArguments) -> anyhow::Result<Exit> {
    if !REPEAT_WINDOWS_DAYS.contains(&arguments.days) {
        return Err(UsageError(format!("--days {}: use 1, 3, 7 or 30", arguments.days)).into());
    }
    let pass =
        super::runtime()?.block_on(check_repeats(&arguments.dataset, arguments.days, Timestamp::now()))?;
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            let answer = serde_json::json!({
                "path": pass.path.display().to_string(), "calls": pass.calls, "without": pass.without,
                "said_resolved": pass.said_resolved, "undone": pass.undone, "open": pass.open, "days": arguments.days,
                "data_until": pass.data_until.map(|t| t.to_string()),
            });
            writeln!(out, "{answer}")?;
        }
        Format::Table => {
            writeln!(
                out,
                "{} calls with customer and start; {} without one of these, which are not judged",
                pass.calls, pass.without
            )?;
            writeln!(
                out,
                "{} scored as resolved: {} called again within {} days, {} not followed long enough to know",
                pass.said_resolved, pass.undone, arguments.days, pass.open
            )?;
            say(&format!(
                "{}; the tables of calls are unchanged. Next:\n  callmark sql {} \"select * from repeats\"",
                pass.path.display(),
                arguments.dataset.display()
            ));
        }
    }
    Ok(Exit::Done)
}
