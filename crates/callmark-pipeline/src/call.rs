//! One call from its source to a scored call or a dead letter. Runs on a call thread; never panics outward.

use crate::compose::{compose_heard, compose_written};
use crate::hear::{Ear, Recording, StageError};
use crate::inputs::Task;
use crate::redaction::Redaction;
use crate::spool::Spool;
use crate::transcripts::{call_id_of_line, parse_conversation};
use callmark_analytics::Ruleset;
use callmark_store::{Dataset, DeadLetter, SourceKey};
use callmark_types::{CallId, CallMetadata, Lineage, Millis, ScoredCall, SourcePosition};
use cpu_time::ThreadTime;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes read at a time while a file's digest is made.
const DIGEST_BLOCK_BYTES: usize = 1 << 20;

/// Fields of conversations that are named when a run ends.
const MISSPELT_FIELDS_NAMED: usize = 20;

/// What became of one position of the source.
pub(crate) enum Outcome {
    /// Scored anew.
    Scored { key: SourceKey, call: Box<ScoredCall> },
    /// In the dataset already.
    Skipped,
    /// Erased from the dataset, and not to come back.
    Erased,
    /// Lost, with the reason.
    Dead(Box<DeadLetter>),
}

/// Everything a call thread needs; shared by all of them.
pub(crate) struct CallContext<'a> {
    pub(crate) dataset: &'a Mutex<Dataset>,
    pub(crate) spool: &'a Spool,
    /// `None` in runs that have written conversations only.
    pub(crate) ear: Option<&'a Ear>,
    pub(crate) rules: &'a Ruleset,
    pub(crate) lineage: &'a Lineage,
    /// The file of call metadata, for those who try a dead letter again.
    pub(crate) metadata_uri: Option<&'a str>,
    /// What is taken out of calls once they are scored.
    pub(crate) redaction: &'a Redaction,
    /// Processor time of scoring so far.
    pub(crate) scoring_nanos: &'a AtomicU64,
    /// Fields of conversations that are near a known one, and were left out.
    pub(crate) misspelt: &'a Mutex<BTreeSet<String>>,
}

impl CallContext<'_> {
    /// Does a part of scoring, and adds up the processor time that this thread spent on it.
    fn timed<T>(&self, part: impl FnOnce() -> T) -> T {
        let started = ThreadTime::now();
        let done = part();
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.scoring_nanos.fetch_add(spent, Ordering::Relaxed);
        done
    }
}

/// Who a task is about, as far as it is known before it is done.
struct Subject {
    call_id: Option<CallId>,
    uri: String,
    sha256: Option<String>,
}

/// Does one task. A panic in a stage costs its own call only.
pub(crate) fn process(context: &CallContext<'_>, task: &Task) -> Outcome {
    let mut subject = subject_of(task);
    let result = catch_unwind(AssertUnwindSafe(|| attempt(context, task, &mut subject)));
    let error = match result {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(error)) => error,
        // The payload may quote what was said on the call: it is not passed on.
        Err(_) => StageError::new(
            "internal",
            "the program failed on this call: please report it with the recording's format",
        ),
    };
    Outcome::Dead(Box::new(dead_letter(position(&subject), subject.call_id, error, context.metadata_uri)))
}

fn subject_of(task: &Task) -> Subject {
    let (call_id, uri) = match task {
        Task::Recording { path, metadata, .. } => (Some(metadata.call_id.clone()), display(path)),
        Task::Written { path, line, .. } => (None, line_uri(path, *line)),
        Task::Refused { path, line: None, call_id, .. } => (call_id.clone(), display(path)),
        Task::Refused { path, line: Some(line), call_id, .. } => (call_id.clone(), line_uri(path, *line)),
    };
    Subject { call_id, uri, sha256: None }
}

/// A path as text. Of a name that is no text each byte is told, so that two names stay two.
pub(crate) fn display(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_str()
        .map_or_else(|| path.as_os_str().as_encoded_bytes().escape_ascii().to_string(), str::to_owned)
}

/// A line of a file of many calls, as URI.
pub(crate) fn line_uri(path: &Path, line: u64) -> String {
    format!("{}:{line}", display(path))
}

pub(crate) fn dead_letter(
    source: SourcePosition,
    call_id: Option<CallId>,
    error: StageError,
    metadata_uri: Option<&str>,
) -> DeadLetter {
    DeadLetter {
        source,
        call_id,
        stage: error.stage.to_owned(),
        reason: error.reason,
        attempts: 1,
        first_seen: None,
        metadata_uri: metadata_uri.map(str::to_owned),
        // The bytes stay where they are: the letter names the file.
        payload: None,
        envelope: None,
    }
}

fn attempt(context: &CallContext<'_>, task: &Task, subject: &mut Subject) -> Result<Outcome, StageError> {
    if is_erased(context, subject) {
        return Ok(Outcome::Erased);
    }
    match task {
        Task::Refused { stage, reason, .. } => Err(StageError::new(stage, reason.as_str())),
        Task::Recording { path, metadata, .. } => recording(context, path, metadata, subject),
        Task::Written { path, offset, bytes, .. } => written(context, path, *offset, *bytes, subject),
    }
}

fn recording(
    context: &CallContext<'_>,
    path: &Path,
    metadata: &CallMetadata,
    subject: &mut Subject,
) -> Result<Outcome, StageError> {
    if let Some(ear) = context.ear {
        check_size(path, ear.decode.limits.max_bytes)?;
    }
    let sha256 =
        digest_file(path).map_err(|e| StageError::new("read", format!("cannot read the recording: {e}")))?;
    subject.sha256 = Some(sha256.clone());
    let key = SourceKey::of_file(&metadata.call_id, &sha256);
    if let Some(outcome) = known(context, &key, &metadata.call_id, &position(subject))? {
        return Ok(outcome);
    }
    let heard = if let Some(heard) = context.spool.load(&key, metadata) {
        heard
    } else {
        let ear = context
            .ear
            .ok_or_else(|| StageError::new("internal", "no transcriber was started for a recording"))?;
        let heard = ear.hear(Recording::File(path), metadata)?;
        // A checkpoint that cannot be written is no loss; the commit will meet the same disk and say so. What is to be
        // taken out of the call is in it still.
        if !context.redaction.is_asked_for() {
            let _ = context.spool.save(&key, metadata, &heard);
        }
        heard
    };
    let mut call = context
        .timed(|| compose_heard(context.rules, metadata, &heard, position(subject), context.lineage.clone()));
    context.redaction.scored(&mut call);
    Ok(Outcome::Scored { key, call: Box::new(call) })
}

fn written(
    context: &CallContext<'_>,
    path: &Path,
    offset: u64,
    bytes: u64,
    subject: &mut Subject,
) -> Result<Outcome, StageError> {
    let line = read_at(path, offset, bytes)
        .map_err(|e| StageError::new("read", format!("cannot read the line: {e}")))?;
    // Without its end: a last line stays the same when others are written after it.
    let sha256 = hex(&Sha256::digest(line.trim_ascii()));
    subject.sha256 = Some(sha256.clone());
    subject.call_id = call_id_of_line(&line);
    if is_erased(context, subject) {
        return Ok(Outcome::Erased);
    }
    let conversation = parse_conversation(&line).map_err(|e| StageError::new("parse", e))?;
    let key = SourceKey::of_file(&conversation.metadata.call_id, &sha256);
    if !conversation.misspelt.is_empty() {
        let mut misspelt = context.misspelt.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MISSPELT_FIELDS_NAMED.saturating_sub(misspelt.len());
        misspelt.extend(conversation.misspelt.iter().take(room).cloned());
    }
    if let Some(outcome) = known(context, &key, &conversation.metadata.call_id, &position(subject))? {
        return Ok(outcome);
    }
    // No recogniser had a part in it.
    let lineage = Lineage { asr_model: None, asr_model_sha256: None, ..context.lineage.clone() };
    let mut call = context.timed(|| compose_written(context.rules, conversation, position(subject), lineage));
    context.redaction.scored(&mut call);
    Ok(Outcome::Scored { key, call: Box::new(call) })
}

/// Reading starts only where it will end.
fn check_size(path: &Path, max_bytes: u64) -> Result<(), StageError> {
    match std::fs::metadata(path).map(|m| m.len()) {
        Ok(bytes) if bytes > max_bytes => {
            Err(StageError::new("read", format!("the recording has {bytes} bytes, the limit is {max_bytes}")))
        }
        // What cannot be looked at cannot be opened either, which says why.
        _ => Ok(()),
    }
}

/// Whether a call of this id was erased: then nothing of it is read, and no letter is written of it.
fn is_erased(context: &CallContext<'_>, subject: &Subject) -> bool {
    let dataset = context.dataset.lock().unwrap_or_else(PoisonError::into_inner);
    subject.call_id.as_ref().is_some_and(|id| dataset.erased().has_call(id))
}

/// What the dataset knows of the call; `None` where it is new. Other content under the same id is an error, not a second
/// row, and so is the same recording under another id.
fn known(
    context: &CallContext<'_>,
    key: &SourceKey,
    call_id: &CallId,
    source: &SourcePosition,
) -> Result<Option<Outcome>, StageError> {
    let dataset = context.dataset.lock().unwrap_or_else(PoisonError::into_inner);
    let place = SourceKey::of_place(source);
    let erased = dataset.erased();
    if erased.has_key(key) || place.is_some_and(|place| erased.has_place(&place)) {
        return Ok(Some(Outcome::Erased));
    }
    if dataset.is_committed(key) {
        return Ok(Some(Outcome::Skipped));
    }
    if dataset.committed_call(call_id).is_some() {
        return Err(id_is_taken(call_id));
    }
    match place.and_then(|place| dataset.call_at(&place)) {
        None => Ok(None),
        Some(owner) => Err(StageError::new(
            "input",
            format!(
                "the dataset has this recording already, as call `{owner}`, and keeps it as it was scored: to give it another id, score into another folder"
            ),
        )),
    }
}

/// Two rows with one id could not be told apart.
pub(crate) fn id_is_taken(call_id: &CallId) -> StageError {
    StageError::new(
        "input",
        format!(
            "the dataset has a call `{call_id}` with other content already: give this one another id, or score into another folder"
        ),
    )
}

fn position(subject: &Subject) -> SourcePosition {
    SourcePosition {
        uri: Some(subject.uri.clone()),
        sha256: subject.sha256.clone(),
        ..SourcePosition::default()
    }
}

fn digest_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0u8; DIGEST_BLOCK_BYTES];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..read]);
    }
}

fn read_at(path: &Path, offset: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut line = Vec::new();
    file.take(bytes).read_to_end(&mut line)?;
    Ok(line)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Length of what was scored, for the run's report.
pub(crate) fn duration(call: &ScoredCall) -> Millis {
    call.record.audio.total_conversation_duration.unwrap_or(Millis::ZERO)
}
