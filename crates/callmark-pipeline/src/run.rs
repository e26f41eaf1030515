//! A batch run: tasks to call threads, results through the ordered frontier, commits in order.
//!
//! Call threads decode, measure and score; the transcription workers behind them do the heavy part. Results come
//! back out of order and leave in order, in batches whose bounds depend on the inputs alone, so that two
//! undisturbed runs write the same bytes.

use crate::call::{CallContext, Outcome, display, line_uri, process};
use crate::committer::Committer;
use crate::config::{ConfigError, Pipeline};
use crate::frontier::Frontier;
use crate::hear::Ear;
use crate::inputs::{LeftAlone, METADATA, Plan, Task, plan};
use crate::metadata_file::{MetadataError, MetadataTable, read_metadata};
use crate::recogniser::{NoCt2, Recogniser, SecondHearing, available_cores};
use crate::scoring::{OpenedScoring, ScoringError};
use crate::spool::Spool;
use callmark_acoustics::{AcousticOptions, VoiceOptions};
use callmark_asr::{AsrError, TranscribeOptions, WorkerPool, model_language};
use callmark_audio::{DecodeLimits, DecodeOptions, RawFormat};
use callmark_models::ModelError;
use callmark_store::dead_letters::{self, StoredDeadLetter};
use callmark_store::{Dataset, Recovery, StoreError};
use callmark_types::{CallId, ChannelRole, Lineage, Millis};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Call threads beyond the transcription workers: one decodes and measures the next call meanwhile.
const CALLS_AHEAD_OF_WORKERS: usize = 1;

/// Calls in flight for each worker of an engine that recognises packs of several calls together.
const CALLS_A_BATCHING_WORKER: usize = 4;

/// How many batches the fastest call may be ahead of the slowest: bounds the results held in memory.
const BATCHES_AHEAD: usize = 4;

/// Why a run did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metadata file cannot serve.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The model is missing or broken.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The rules or the sentence model cannot serve.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
    /// The recogniser did not start.
    #[error(transparent)]
    Asr(#[from] AsrError),
    /// The engine asked for is not to be had here.
    #[error(transparent)]
    NoCt2(#[from] NoCt2),
    /// This build has no recogniser.
    #[error(
        "this build reads transcripts only: build it with the feature `whisper` to transcribe recordings"
    )]
    NoRecogniser,
    /// The dataset cannot be written. What is committed stays; run again to go on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder of the dataset cannot be made.
    #[error("cannot write in {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// What is about to be done.
    Planned {
        /// Calls, refused ones included.
        calls: usize,
        /// Bytes of all inputs.
        bytes: u64,
        /// What recovery found and mended in the dataset, in words; empty where nothing was amiss.
        recovered: Vec<String>,
        /// Notes on inputs, metadata and model (ignored files, unknown columns), in words.
        notes: Vec<String>,
        /// What transcribes, in words; `None` where nothing needs to be transcribed.
        device: Option<String>,
    },
    /// One position is finished.
    Finished {
        /// Bytes of its input.
        bytes: u64,
        /// Length of the call; zero where it was skipped or lost.
        audio: Millis,
    },
    /// A call became a dead letter.
    Lost {
        /// Why, with the input's name.
        reason: String,
    },
    /// Something that the user should know, in words.
    Noted {
        /// What.
        note: String,
    },
    /// A batch is committed.
    Committed {
        /// Calls in it.
        calls: usize,
    },
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunReport {
    /// Calls scored and committed.
    pub scored: usize,
    /// Calls that the dataset had already.
    pub skipped: usize,
    /// Calls that were erased from the dataset and stay so.
    pub erased: usize,
    /// Calls that became dead letters.
    pub dead_letters: usize,
    /// Length of the calls scored.
    pub audio: Millis,
    /// Wall-clock time.
    pub elapsed: Duration,
    /// Processor time of turning what was heard into scores.
    pub scoring: Duration,
    /// Whether the run was told to stop before its end.
    pub stopped: bool,
}

/// Runs `pipeline` until it is done or `stop` is set; calls in flight are then finished and committed.
pub fn run(
    pipeline: &Pipeline,
    stop: &AtomicBool,
    progress: &dyn Fn(Progress),
) -> Result<RunReport, RunError> {
    run_with(pipeline, &Recogniser::open, stop, progress)
}

/// [`run`] with a recogniser of the caller's choice, which is opened where there is a recording to hear.
pub fn run_with(
    pipeline: &Pipeline,
    open_recogniser: &dyn Fn(&Pipeline) -> Result<Recogniser, RunError>,
    stop: &AtomicBool,
    progress: &dyn Fn(Progress),
) -> Result<RunReport, RunError> {
    let started = Instant::now();
    let table = pipeline.calls.as_deref().map(read_metadata).transpose()?;
    let mut plan = plan(&pipeline.inputs, table.as_ref(), &pipeline.call_ids);
    if let Some(table) = &table {
        plan.check_metadata(table)?;
    }
    give_roles(&mut plan.tasks, &pipeline.channels);
    let needs_ear = plan.tasks.iter().any(|t| matches!(t, Task::Recording { .. }));
    let OpenedScoring { rules, note: scoring_note, .. } = pipeline.scoring.open()?;
    let mut lineage = Lineage {
        pipeline_version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_sha256: rules.sha256().to_owned(),
        text_model_sha256: rules.text_model_sha256().map(str::to_owned),
        ..Lineage::default()
    };
    let (mut ear, mut model_note) = (None, None);
    if needs_ear {
        let recogniser = open_recogniser(pipeline)?;
        lineage.asr_model = Some(recogniser.model);
        lineage.asr_model_sha256 = Some(recogniser.model_sha256);
        model_note = recogniser.note;
        ear = Some(ear_of(pipeline, recogniser.workers, recogniser.second)?);
    }
    let (dataset, recovery) = Dataset::open_for_writing(&pipeline.out)?;
    let spool = Spool::open(&pipeline.out, heard_by(pipeline, &lineage))
        .map_err(|source| RunError::Folder { path: pipeline.out.clone(), source })?;
    progress(planned(&plan, table.as_ref(), &recovery, ear.as_ref(), [model_note, scoring_note]));
    let metadata_uri = table.as_ref().map(|table| display(&table.path));
    let letters = dead_letters::list(&pipeline.out)?;
    let tries_before = letters.iter().map(|letter| (letter.id.clone(), letter.attempts)).collect();
    let misspelt = Mutex::new(BTreeSet::new());
    let scoring_nanos = AtomicU64::new(0);
    let dataset = Mutex::new(dataset);
    let context = CallContext {
        dataset: &dataset,
        spool: &spool,
        ear: ear.as_ref(),
        rules: &rules,
        lineage: &lineage,
        metadata_uri: metadata_uri.as_deref(),
        misspelt: &misspelt,
        scoring_nanos: &scoring_nanos,
        redaction: &pipeline.redaction,
    };
    let threads = ear.as_ref().map_or_else(available_cores, |e| callers(&e.workers)) + CALLS_AHEAD_OF_WORKERS;
    let mut committer = Committer::new(&context, pipeline.batch_calls, tries_before, progress);
    drive(&plan.tasks, &context, threads, stop, &mut committer)?;
    let mut report = committer.finish()?;
    spool.close();
    report.elapsed = started.elapsed();
    report.scoring = Duration::from_nanos(scoring_nanos.load(Ordering::Relaxed));
    report.stopped = stop.load(Ordering::Relaxed)
        && report.scored + report.skipped + report.erased + report.dead_letters < plan.tasks.len();
    if let (Some(table), Some(uri), false) = (&table, &metadata_uri, report.stopped) {
        forget_mended_rows(&pipeline.out, &letters, table, uri, &plan.tasks)?;
    }
    let misspelt = misspelt.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !misspelt.is_empty() {
        let names = Vec::from_iter(misspelt).join(", ");
        progress(Progress::Noted {
            note: format!("fields of conversations without a meaning here: {names}"),
        });
    }
    Ok(report)
}

/// How many calls are in flight so that no worker waits for packs.
pub(crate) fn callers(workers: &WorkerPool) -> usize {
    let each = if workers.longest_batch() > 1 { CALLS_A_BATCHING_WORKER } else { 1 };
    workers.worker_count() * each
}

/// Roles from `--channels` for recordings of which metadata tells none.
fn give_roles(tasks: &mut [Task], channels: &[ChannelRole]) {
    for task in tasks {
        if let Task::Recording { metadata, .. } = task
            && metadata.channel_roles.is_empty()
        {
            metadata.channel_roles = channels.iter().copied().map(Some).collect();
        }
    }
}

/// Rows that were refused before leave no letter once they are gone from the table, or the call they told of is one that
/// this run has dealt with: by the id that the row had, or has in the same line now.
fn forget_mended_rows(
    dataset: &Path,
    letters: &[StoredDeadLetter],
    table: &MetadataTable,
    metadata_uri: &str,
    tasks: &[Task],
) -> Result<(), StoreError> {
    let dealt_with: HashSet<&CallId> = tasks
        .iter()
        .filter_map(|task| match task {
            Task::Recording { metadata, .. } => Some(&metadata.call_id),
            _ => None,
        })
        .collect();
    let now_at: HashMap<u64, Option<&CallId>> = (table.rows.iter())
        .map(|row| (row.line, Some(&row.metadata.call_id)))
        .chain(table.bad_rows.iter().map(|bad| (bad.line, bad.call_id.as_ref())))
        .collect();
    let in_table: HashSet<&CallId> = now_at.values().copied().flatten().collect();
    let refused: HashSet<String> = tasks
        .iter()
        .filter_map(|task| match task {
            Task::Refused { path, line: Some(line), .. } => Some(line_uri(path, *line)),
            _ => None,
        })
        .collect();
    for letter in letters.iter().filter(|letter| letter.stage == METADATA) {
        let Some(uri) = letter.uri.as_deref().filter(|uri| !refused.contains(*uri)) else { continue };
        let Some((file, line)) = uri.rsplit_once(':') else { continue };
        let row_now = line.parse().ok().and_then(|line: u64| now_at.get(&line));
        let settled = match (&letter.call_id, row_now) {
            (Some(id), _) => dealt_with.contains(id) || !in_table.contains(id),
            (None, Some(row)) => row.is_some_and(|id| dealt_with.contains(id)),
            (None, None) => true,
        };
        if file == metadata_uri && settled {
            dead_letters::remove(dataset, &letter.id)?;
        }
    }
    Ok(())
}

pub(crate) fn ear_of(
    pipeline: &Pipeline,
    workers: WorkerPool,
    second: Option<SecondHearing>,
) -> Result<Ear, RunError> {
    let raw = pipeline.raw_codec.as_deref().map(raw_format);
    let limits = DecodeLimits {
        max_duration: pipeline.max_duration,
        max_bytes: pipeline.max_bytes,
        ..DecodeLimits::default()
    };
    let language = pipeline.language.as_deref().and_then(model_language).map(str::to_owned);
    Ok(Ear {
        decode: DecodeOptions { limits, raw: raw.transpose()? },
        acoustics: AcousticOptions::default(),
        voices: VoiceOptions::default(),
        transcribe: TranscribeOptions { language, ..TranscribeOptions::default() },
        workers,
        second,
        redaction: pipeline.redaction.clone(),
        long_calls: Mutex::new(()),
    })
}

fn raw_format(name: &str) -> Result<RawFormat, ConfigError> {
    // Asterisk's name for signed linear samples.
    let name = if name == "sln" { "s16le" } else { name };
    name.parse().map_err(|e| ConfigError::Invalid { setting: "raw_codec".to_owned(), reason: e })
}

/// Names the way of hearing: a checkpoint made another way is not used.
fn heard_by(pipeline: &Pipeline, lineage: &Lineage) -> String {
    format!(
        "callmark {} model {} {} language {} raw codec {} without {}",
        lineage.pipeline_version,
        // With the vocabulary's digest.
        lineage.asr_model.as_deref().unwrap_or("-"),
        lineage.asr_model_sha256.as_deref().unwrap_or("-"),
        pipeline.language.as_deref().unwrap_or("auto"),
        pipeline.raw_codec.as_deref().unwrap_or("by name"),
        pipeline.redaction.name(),
    )
}

fn planned(
    plan: &Plan,
    table: Option<&MetadataTable>,
    recovery: &Recovery,
    ear: Option<&Ear>,
    first_notes: [Option<String>; 2],
) -> Progress {
    let mut notes: Vec<String> = first_notes.into_iter().flatten().collect();
    let mut left_alone = |left: &LeftAlone, text: &str| {
        if left.count > 0 {
            notes.push(format!("{} {text}: left alone ({})", left.count, left.named()));
        }
    };
    left_alone(&plan.ignored_files, "files in the folders are neither audio nor conversations");
    left_alone(&plan.hidden_files, "files or folders are hidden");
    left_alone(&plan.unused_rows, "rows of call metadata name recordings outside the inputs");
    if plan.without_metadata > 0 {
        notes.push(format!(
            "{} recordings have no row of call metadata: scored without",
            plan.without_metadata
        ));
    }
    if let Some(columns) = table.map(|t| t.ignored_columns.join(", ")).filter(|c| !c.is_empty()) {
        notes.push(format!("columns of call metadata without a meaning here: {columns}"));
    }
    Progress::Planned {
        calls: plan.tasks.len(),
        bytes: plan.tasks.iter().map(Task::bytes).sum(),
        recovered: recovered(recovery),
        notes,
        device: ear.map(|e| e.workers.description().to_owned()),
    }
}

fn recovered(recovery: &Recovery) -> Vec<String> {
    let mut notes = Vec::new();
    if recovery.published_files > 0 {
        notes.push(format!(
            "{} committed files were put in place after an interrupted run",
            recovery.published_files
        ));
    }
    if recovery.removed_leftovers > 0 {
        notes.push(format!("{} leftovers of an interrupted run were removed", recovery.removed_leftovers));
    }
    if recovery.finished_erasure {
        notes.push("an erasure that was cut short is finished; `callmark erase` again proves it".to_owned());
    }
    for file in &recovery.missing_files {
        notes.push(format!(
            "committed file {} is missing: its calls are lost to readers until it is restored",
            file.display()
        ));
    }
    notes
}

type Numbered<T> = (u64, T);

/// Feeds the call threads and takes their results until all tasks are done, `stop` is set, or a commit fails.
fn drive(
    tasks: &[Task],
    context: &CallContext<'_>,
    threads: usize,
    stop: &AtomicBool,
    committer: &mut Committer<'_>,
) -> Result<(), RunError> {
    let (job_sender, job_receiver) = sync_channel::<Numbered<&Task>>(threads);
    let (result_sender, result_receiver) = sync_channel::<Numbered<Outcome>>(threads);
    let jobs = Mutex::new(job_receiver);
    let window = (BATCHES_AHEAD * committer.batch_calls).max(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let results = result_sender.clone();
            let jobs = &jobs;
            scope.spawn(move || call_thread(context, jobs, &results));
        }
        drop(result_sender);
        let outcome = dispatch(tasks, window, threads, stop, &job_sender, &result_receiver, committer);
        drop(job_sender);
        // Unblocks threads that still have a result to hand over.
        for _ in result_receiver {}
        outcome
    })
}

fn call_thread(
    context: &CallContext<'_>,
    jobs: &Mutex<Receiver<Numbered<&Task>>>,
    results: &SyncSender<Numbered<Outcome>>,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((position, task)) = job else { return };
        if results.send((position, process(context, task))).is_err() {
            return;
        }
    }
}

fn dispatch<'a>(
    tasks: &'a [Task],
    window: usize,
    threads: usize,
    stop: &AtomicBool,
    jobs: &SyncSender<Numbered<&'a Task>>,
    results: &Receiver<Numbered<Outcome>>,
    committer: &mut Committer<'_>,
) -> Result<(), RunError> {
    let mut frontier = Frontier::starting_at(0);
    let (mut next, mut in_flight) = (0usize, 0usize);
    loop {
        let ahead = |next: usize| next < frontier.next() as usize + window;
        while next < tasks.len() && in_flight < threads && ahead(next) && !stop.load(Ordering::Relaxed) {
            if jobs.send((next as u64, &tasks[next])).is_err() {
                return Ok(());
            }
            next += 1;
            in_flight += 1;
        }
        if in_flight == 0 {
            return Ok(());
        }
        let Ok((position, outcome)) = results.recv() else { return Ok(()) };
        in_flight -= 1;
        committer.note_finished(&tasks[position as usize], &outcome);
        frontier.finish(position, outcome);
        for outcome in frontier.take_ready() {
            committer.take(outcome)?;
        }
    }
}
