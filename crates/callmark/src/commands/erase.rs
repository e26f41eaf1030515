//! `callmark erase`: the right to erasure, with its proof.
//!
//! What it says names no customer and no call: it counts, and names files.

use crate::cli::{EraseArguments, Format};
use crate::exit::{Exit, UsageError, complain, say};
use callmark_pipeline::{ErasedAudio, reached, remove_audio};
use callmark_store::erase::{find, search};
use callmark_store::{Erased, Location, Searched, Selection};
use callmark_types::{CallId, Timestamp};
use callmark_web::forget_calls;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

pub(crate) fn erase(arguments: &EraseArguments) -> anyhow::Result<Exit> {
    let selection = selection_of(arguments)?;
    let roots = roots_of(&arguments.audio_roots)?;
    let dataset = &arguments.dataset;
    if Location::from(dataset).folder().is_none() {
        let what = "calls are erased in a folder only: copy the dataset into one, erase there, and replace the \
                    objects by the result";
        return Err(UsageError(format!("{}: {what}", dataset.display())).into());
    }
    let sure = arguments.dry_run || arguments.yes || std::io::stdin().is_terminal();
    if !sure {
        return Err(UsageError("there is no terminal to ask on: give --yes or --dry-run".to_owned()).into());
    }
    let would = find(dataset, &selection)?;
    if is_nothing(&would) {
        say(&nothing(&would));
        return Ok(if asks_by_name(&selection) { Exit::SomeFailed } else { Exit::Done });
    }
    if arguments.dry_run {
        let audio = recordings_of(&would, &roots, true);
        report(arguments, &would, &audio, None)?;
        return Ok(exit_of(&would, &audio, None));
    }
    if !arguments.yes && !agreed(&would)? {
        say("nothing is erased");
        return Ok(Exit::SomeFailed);
    }
    let mut audio = ErasedAudio::default();
    let mut elsewhere = |going: &Erased| {
        // Told before the ids are forgotten; after a crash perhaps again. An error stops the erasure.
        forget_reviews(arguments, &going.call_ids, &selection.customer_keys)?;
        audio = recordings_of(going, &roots, false);
        Ok(())
    };
    let mut step = |at| reached(&format!("{at:?}"));
    let erased = callmark_store::erase(dataset, &selection, &mut elsewhere, &mut step)?;
    let ids: BTreeSet<CallId> = erased.call_ids.iter().chain(&selection.call_ids).cloned().collect();
    if erased.is_empty() {
        // Erased before: reviews may have come to light since.
        let ids: Vec<CallId> = ids.iter().cloned().collect();
        forget_reviews(arguments, &ids, &selection.customer_keys).map_err(anyhow::Error::msg)?;
    }
    let stores = super::serve::review_stores(&arguments.store, dataset)?;
    let beside: Vec<PathBuf> = stores.into_iter().map(|(folder, _)| folder).filter(|f| f.is_dir()).collect();
    let searched = search(dataset, &beside, &ids, &selection.customer_keys)?;
    report(arguments, &erased, &audio, Some(&searched))?;
    for file in &searched.found {
        complain(&format!("one of the ids and keys still stands in {}", dataset.join(file).display()));
    }
    for file in &searched.unread {
        complain(&format!("cannot be searched: {}", dataset.join(file).display()));
    }
    Ok(exit_of(&erased, &audio, Some(&searched)))
}

/// What the review page keeps of these calls, wherever it does.
fn forget_reviews(
    arguments: &EraseArguments,
    call_ids: &[CallId],
    customer_keys: &BTreeSet<String>,
) -> Result<(), String> {
    let ids: Vec<String> = call_ids.iter().map(|id| id.as_str().to_owned()).collect();
    let keys: Vec<String> = customer_keys.iter().cloned().collect();
    let failed =
        |error: &dyn std::fmt::Display| format!("the review page's notes of these calls stay: {error}");
    let stores = super::serve::review_stores(&arguments.store, &arguments.dataset).map_err(|e| failed(&e))?;
    let runtime = super::runtime().map_err(|e| failed(&e))?;
    for (state, url) in stores {
        let forgotten = runtime.block_on(forget_calls(&state, url.as_deref(), &ids, &keys));
        forgotten.map_err(|e| failed(&e))?;
    }
    Ok(())
}

fn selection_of(arguments: &EraseArguments) -> Result<Selection, UsageError> {
    if arguments.customer_keys.iter().any(String::is_empty) {
        return Err(UsageError("--customer-key: an empty key is nobody's".to_owned()));
    }
    // The id itself is not repeated: it may be a name.
    let id = |text: &String| {
        CallId::new(text.as_str()).map_err(|_| {
            UsageError(
                "--call-id: 1 to 256 bytes, no control characters, no white space at an end".to_owned(),
            )
        })
    };
    Ok(Selection {
        customer_keys: arguments.customer_keys.iter().cloned().collect(),
        call_ids: arguments.call_ids.iter().map(id).collect::<Result<_, _>>()?,
        before: arguments.older_than_days.map(days_ago),
    })
}

fn days_ago(days: u32) -> Timestamp {
    let at = Timestamp::now().epoch_millis() - i64::from(days) * 86_400_000;
    // No time that the flag can ask for is out of reach.
    Timestamp::from_epoch_millis(at).unwrap_or_else(Timestamp::now)
}

fn roots_of(roots: &[PathBuf]) -> Result<Vec<PathBuf>, UsageError> {
    let root = |path: &PathBuf| match std::fs::canonicalize(path) {
        Ok(root) if root.is_dir() => Ok(root),
        _ => Err(UsageError(format!("--audio-root {}: no such folder", path.display()))),
    };
    roots.iter().map(root).collect()
}

fn recordings_of(erased: &Erased, roots: &[PathBuf], dry_run: bool) -> ErasedAudio {
    remove_audio(&erased.call_ids, &erased.sources, &erased.kept_sources, roots, dry_run)
}

/// Whether certain calls are meant: then it is wrong that there are none.
fn asks_by_name(selection: &Selection) -> bool {
    !selection.customer_keys.is_empty() || !selection.call_ids.is_empty()
}

/// Whether there is neither anything to take away nor anything to prove.
fn is_nothing(found: &Erased) -> bool {
    found.is_empty() && !found.finished_earlier && found.erased_before == 0
}

fn nothing(found: &Erased) -> String {
    match (found.unknown_customers, found.unknown_calls) {
        (0, 0) => "no call is so old (0 calls): nothing is changed".to_owned(),
        (0, calls) => {
            format!("the dataset has none of the {calls} calls named (0 calls): nothing is changed")
        }
        (_, 0) => "the dataset has no call of the customer (0 calls): nothing is changed".to_owned(),
        (_, calls) => format!(
            "the dataset has no call of the customer and none of the {calls} calls named (0 calls): nothing is changed"
        ),
    }
}

fn agreed(found: &Erased) -> anyhow::Result<bool> {
    let mut err = std::io::stderr();
    write!(
        err,
        "{} calls and {} dead letters are erased for good, with their recordings inside every --audio-root. Go on? [y/N] ",
        found.call_ids.len(),
        found.dead_letters.len()
    )?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn exit_of(erased: &Erased, audio: &ErasedAudio, searched: Option<&Searched>) -> Exit {
    let is_unknown = erased.unknown_calls > 0
        || (erased.unknown_customers > 0 && erased.dead_letters.is_empty() && !erased.finished_earlier);
    match searched {
        Some(searched) if !searched.is_clean() => Exit::Nothing,
        _ if is_unknown || !audio.left.is_empty() => Exit::SomeFailed,
        _ => Exit::Done,
    }
}

fn report(
    arguments: &EraseArguments,
    erased: &Erased,
    audio: &ErasedAudio,
    searched: Option<&Searched>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => writeln!(out, "{}", as_json(&arguments.dataset, erased, audio, searched))?,
        Format::Table => {
            for line in lines(erased, audio, searched) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}

fn as_json(
    dataset: &Path,
    erased: &Erased,
    audio: &ErasedAudio,
    searched: Option<&Searched>,
) -> serde_json::Value {
    let left: Vec<_> =
        audio.left.iter().map(|(source, what)| json!({"source": source, "what_to_do": what})).collect();
    json!({
        "dataset": dataset.display().to_string(),
        "dry_run": searched.is_none(),
        "calls": erased.call_ids.len(),
        "rows": {"calls": erased.rows.calls, "turns": erased.rows.turns, "events": erased.rows.events},
        "files_rewritten": erased.rewritten_files,
        "files_removed": erased.removed_files,
        "dead_letters": erased.dead_letters.len(),
        "rewritten_beside": erased.rewritten_beside,
        "removed_beside": erased.removed_beside,
        "audio_removed": audio.removed,
        "audio_gone_before": audio.gone,
        "audio_left": left,
        "unknown_calls": erased.unknown_calls,
        "unknown_customers": erased.unknown_customers,
        "erased_before": erased.erased_before,
        "without_time": erased.without_time,
        "finished_earlier": erased.finished_earlier,
        "searched": searched.map(|s| json!({
            "files": s.files, "bytes": s.bytes, "parquet_files": s.parquet_files, "values": s.values,
            "names": s.names, "short_names": s.short_names, "found": s.found, "unread": s.unread,
        })),
    })
}

fn lines(erased: &Erased, audio: &ErasedAudio, searched: Option<&Searched>) -> Vec<String> {
    let (are, removed) =
        if searched.is_some() { ("are", "removed") } else { ("would be", "would be removed") };
    let mut lines = Vec::new();
    if erased.finished_earlier {
        let when = if searched.is_some() { "is finished" } else { "would be finished first" };
        lines.push(format!("an erasure that was cut short {when}"));
    }
    lines.push(format!(
        "{} calls {are} erased: {} rows of calls, {} of turns, {} of events; {} files of tables written anew, {} removed",
        erased.call_ids.len(),
        erased.rows.calls,
        erased.rows.turns,
        erased.rows.events,
        erased.rewritten_files,
        erased.removed_files,
    ));
    lines.push(format!("{} dead letters {removed}", erased.dead_letters.len()));
    if !erased.rewritten_beside.is_empty() {
        lines.push(format!("written anew without them: {}", erased.rewritten_beside.join(", ")));
    }
    if !erased.removed_beside.is_empty() {
        let count = erased.removed_beside.len();
        lines.push(format!(
            "{count} files {removed} that can be made again: checkpoints by the next `callmark score`, passes in repeats/ by `callmark repeats`"
        ));
    }
    lines.push(format!(
        "{} recordings and silenced copies {removed}, {} were gone before, {} left",
        audio.removed,
        audio.gone,
        audio.left.len()
    ));
    lines.extend(audio.left.iter().map(|(source, what)| format!("  {source}: {what}")));
    for (count, what) in [
        (erased.unknown_calls, "calls named are not in the dataset"),
        (erased.unknown_customers, "customers named have no call in the tables"),
        (erased.erased_before, "calls named were erased before"),
        (erased.without_time, "calls have no started_at: how old they are is not known"),
    ] {
        if count > 0 {
            lines.push(format!("{count} {what}"));
        }
    }
    if let Some(searched) = searched {
        let end = match (searched.found.len(), searched.unread.len()) {
            (0, 0) => "none is there".to_owned(),
            (found, unread) => format!("found in {found} files, {unread} could not be searched"),
        };
        lines.push(format!(
            "searched {} files ({} bytes; of {} Parquet files also {} values) for {} ids and keys: {end}",
            searched.files, searched.bytes, searched.parquet_files, searched.values, searched.names
        ));
        if searched.short_names > 0 {
            lines.push(format!(
                "{} of these are shorter than 8 bytes and were not looked for in compressed bytes, numbers and what was said",
                searched.short_names
            ));
        }
    }
    lines
}
