//! `callmark dead-letters`: what could not be processed, why, and another try.

use crate::cli::{DeadLetterCommand, Format};
use crate::exit::{Exit, UsageError, say};
use callmark_pipeline::Pipeline;
use callmark_store::DeadLetterId;
use callmark_store::dead_letters::{StoredDeadLetter, list, show};
use callmark_types::Millis;
use comfy_table::{Table, presets};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) fn dead_letters(command: DeadLetterCommand) -> anyhow::Result<Exit> {
    match command {
        DeadLetterCommand::List { dataset, format } => print_list(&dataset, format),
        DeadLetterCommand::Show { dataset, id } => {
            let letter = show(require(&dataset)?, &parse_id(id)?)?;
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&letter)?)?;
            Ok(Exit::Done)
        }
        DeadLetterCommand::Replay { dataset, ids, calls, model, max_duration } => {
            let letters = chosen(&dataset, ids)?;
            let inputs: BTreeSet<PathBuf> = letters.iter().filter_map(source_file).collect();
            if inputs.is_empty() {
                say("no dead letters to replay");
                return Ok(Exit::Done);
            }
            let pipeline = Pipeline {
                calls,
                model,
                max_duration: Millis(i64::from(max_duration) * 1000),
                ..Pipeline::new(inputs.into_iter().collect(), dataset)
            };
            super::score::run_pipeline(&pipeline.validated()?, Format::Table)
        }
    }
}

fn require(dataset: &Path) -> anyhow::Result<&Path> {
    if dataset.is_dir() {
        return Ok(dataset);
    }
    Err(UsageError(format!("no dataset in {}", dataset.display())).into())
}

fn parse_id(id: String) -> anyhow::Result<DeadLetterId> {
    Ok(DeadLetterId::try_from(id).map_err(UsageError)?)
}

fn chosen(dataset: &Path, ids: Vec<String>) -> anyhow::Result<Vec<StoredDeadLetter>> {
    if ids.is_empty() {
        return Ok(list(require(dataset)?)?);
    }
    ids.into_iter().map(|id| Ok(show(require(dataset)?, &parse_id(id)?)?)).collect()
}

/// The file behind a letter; a line of a file of conversations (`chats.jsonl:7`) is replayed with its file.
fn source_file(letter: &StoredDeadLetter) -> Option<PathBuf> {
    let uri = letter.uri.as_deref()?;
    let path = PathBuf::from(uri);
    if path.exists() {
        return Some(path);
    }
    match uri.rsplit_once(':') {
        Some((file, line)) if line.parse::<u64>().is_ok() => Some(PathBuf::from(file)),
        _ => Some(path),
    }
}

fn print_list(dataset: &Path, format: Format) -> anyhow::Result<Exit> {
    let letters = list(require(dataset)?)?;
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            for letter in &letters {
                writeln!(out, "{}", serde_json::to_string(letter)?)?;
            }
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_FULL_CONDENSED);
            table.set_header(["id", "call", "stage", "source", "reason"]);
            for letter in &letters {
                table.add_row([
                    letter.id.as_str(),
                    letter.call_id.as_ref().map_or("", |id| id.as_str()),
                    &letter.stage,
                    letter.uri.as_deref().unwrap_or(""),
                    &letter.reason,
                ]);
            }
            writeln!(out, "{table}")?;
            if !letters.is_empty() {
                say(&format!(
                    "{} dead letters; try again with `callmark dead-letters replay {}`",
                    letters.len(),
                    dataset.display()
                ));
            }
        }
    }
    Ok(Exit::Done)
}
