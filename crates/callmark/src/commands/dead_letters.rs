//! `callmark dead-letters`: what could not be processed, why, and another try.

use crate::cli::{DeadLetterCommand, Format, HearingArguments};
use crate::exit::{Exit, UsageError, say};
use callmark_pipeline::{KafkaPipeline, Pipeline, Properties, resend};
use callmark_query::QueryError;
use callmark_store::DeadLetterId;
use callmark_store::dead_letters::{StoredDeadLetter, list, show};
use callmark_types::CallId;
use comfy_table::{Table, presets};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) fn dead_letters(command: DeadLetterCommand) -> anyhow::Result<Exit> {
    match command {
        DeadLetterCommand::List { dataset, format } => print_list(&dataset, format),
        DeadLetterCommand::Show { dataset, id, payload } => {
            let letter = show(require(&dataset)?, &parse_id(id)?)?;
            if let Some(file) = payload {
                let bytes = callmark_store::dead_letters::payload(&dataset, &letter.id)?;
                let bytes = bytes.ok_or_else(|| {
                    UsageError("no bytes are kept of it: they are where `uri` says".to_owned())
                })?;
                std::fs::write(file, bytes)?;
            }
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&letter)?)?;
            Ok(Exit::Done)
        }
        DeadLetterCommand::Dismiss { dataset, ids } => {
            for id in ids {
                let letter = show(require(&dataset)?, &parse_id(id)?)?;
                callmark_store::dead_letters::remove(&dataset, &letter.id)?;
                say(&format!("{} dismissed", letter.id));
            }
            Ok(Exit::Done)
        }
        DeadLetterCommand::Replay { dataset, ids, pipeline, brokers, hearing } => {
            let (messages, files): (Vec<_>, Vec<_>) =
                chosen(&dataset, ids)?.into_iter().partition(|letter| letter.topic.is_some());
            if messages.is_empty() {
                return replay(&dataset, &files, &hearing);
            }
            let sent = send_again(&dataset, messages, pipeline.as_deref(), brokers)?;
            Ok(if files.is_empty() { sent } else { sent.max(replay(&dataset, &files, &hearing)?) })
        }
    }
}

/// Sends messages to where they came from; the stream deals with them anew, so their letters go.
fn send_again(
    dataset: &Path,
    letters: Vec<StoredDeadLetter>,
    pipeline: Option<&Path>,
    brokers: Option<String>,
) -> anyhow::Result<Exit> {
    let (brokers, properties) = match (pipeline, brokers) {
        (Some(file), _) => {
            let pipeline = KafkaPipeline::from_file(file)?;
            (pipeline.brokers, pipeline.properties)
        }
        (None, Some(brokers)) => (brokers, Properties::default()),
        (None, None) => {
            let hint = "these letters came from Kafka: give --pipeline FILE or --brokers HOST:PORT";
            return Err(UsageError(hint.to_owned()).into());
        }
    };
    let mut messages = Vec::new();
    for letter in letters {
        let bytes = callmark_store::dead_letters::payload(dataset, &letter.id)?;
        messages.push((letter, bytes.unwrap_or_default()));
    }
    let ids: Vec<DeadLetterId> = messages.iter().map(|(letter, _)| letter.id.clone()).collect();
    resend(&brokers, &properties, messages)?;
    for id in &ids {
        callmark_store::dead_letters::remove(dataset, id)?;
    }
    say(&format!("{} messages sent again; the stream deals with them anew", ids.len()));
    Ok(Exit::Done)
}

/// What letters that share a file of call metadata ask to be tried again.
#[derive(Debug, Default, PartialEq)]
struct Retry {
    inputs: BTreeSet<PathBuf>,
    ids: BTreeMap<PathBuf, CallId>,
}

/// One run for each file of call metadata, since a row tells more of a call than its recording does.
fn replay(dataset: &Path, letters: &[StoredDeadLetter], hearing: &HearingArguments) -> anyhow::Result<Exit> {
    let (retries, without_input) = retries(letters, hearing.calls.as_deref());
    for letter in without_input {
        say(&format!(
            "{}: it names no recording: correct it where it came from ({})",
            letter.id, letter.reason
        ));
    }
    if retries.is_empty() {
        say("no dead letters to replay");
        return Ok(if letters.is_empty() { Exit::Done } else { Exit::Nothing });
    }
    let mut worst = Exit::Done;
    for (calls, Retry { inputs, ids }) in retries {
        let pipeline =
            Pipeline { call_ids: ids, ..Pipeline::new(inputs.into_iter().collect(), dataset.to_owned()) };
        let hearing = HearingArguments { calls, ..hearing.clone() };
        let exit = super::score::run_pipeline(&super::score::pipeline_of(hearing, pipeline)?, Format::Table)?;
        worst = worst.max(exit);
    }
    let tried: BTreeSet<&DeadLetterId> = letters.iter().map(|letter| &letter.id).collect();
    let left = list(dataset)?.iter().filter(|letter| tried.contains(&letter.id)).count();
    if left > 0 {
        say(&format!(
            "{left} dead letters are left; one whose input is gone for good goes with `callmark dead-letters dismiss {} ID`",
            dataset.display()
        ));
        worst = worst.max(Exit::SomeFailed);
    }
    Ok(worst)
}

/// Retries by file of call metadata, and the letters that name nothing to read.
fn retries<'a>(
    letters: &'a [StoredDeadLetter],
    calls: Option<&Path>,
) -> (BTreeMap<Option<PathBuf>, Retry>, Vec<&'a StoredDeadLetter>) {
    let mut retries: BTreeMap<Option<PathBuf>, Retry> = BTreeMap::new();
    let mut without_input = Vec::new();
    for letter in letters {
        let Some(source) = source_of(letter) else {
            without_input.push(letter);
            continue;
        };
        let calls = calls.map(Path::to_owned).or_else(|| letter.metadata_uri.as_ref().map(PathBuf::from));
        let retry = retries.entry(calls).or_default();
        if let (Source::Recording(path), Some(id)) = (&source, &letter.call_id) {
            retry.ids.insert(path.clone(), id.clone());
        }
        let (Source::Recording(path) | Source::Conversations(path)) = source;
        retry.inputs.insert(path);
    }
    (retries, without_input)
}

fn require(dataset: &Path) -> anyhow::Result<&Path> {
    if dataset.is_dir() {
        return Ok(dataset);
    }
    Err(QueryError::NoDataset(dataset.to_owned()).into())
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

enum Source {
    Recording(PathBuf),
    /// A line of it is the input; it is replayed whole, and lines that are done are passed over.
    Conversations(PathBuf),
}

/// The file behind a letter; `None` for a row of call metadata that names no recording of its own.
fn source_of(letter: &StoredDeadLetter) -> Option<Source> {
    let uri = letter.uri.as_deref().filter(|uri| !uri.is_empty())?;
    let path = PathBuf::from(uri);
    match uri.rsplit_once(':') {
        Some((file, line)) if !path.exists() && line.parse::<u64>().is_ok() => {
            (letter.metadata_uri.as_deref() != Some(file)).then(|| Source::Conversations(file.into()))
        }
        _ => Some(Source::Recording(path)),
    }
}

/// Where a letter's input came from: its URI, or its place in a topic.
fn source_text(letter: &StoredDeadLetter) -> String {
    match (&letter.topic, letter.partition, letter.offset) {
        (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition}@{offset}"),
        _ => letter.uri.clone().unwrap_or_default(),
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
                let source = source_text(letter);
                table.add_row([
                    letter.id.as_str(),
                    letter.call_id.as_ref().map_or("", |id| id.as_str()),
                    &letter.stage,
                    &source,
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
