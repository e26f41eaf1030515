//! Finds the calls in files and folders and lays them out in one fixed order.
//!
//! The order is the order of commits, so it depends on names alone. Whatever was asked for and cannot be a call
//! (a path that is not there, a bad metadata row, an id used twice) keeps its place as a refusal: it is reported,
//! never skipped.

use crate::metadata_file::{BadRow, MetadataError, MetadataRow, MetadataTable, is_jsonl};
use crate::transcripts;
use callmark_types::{CallId, CallMetadata};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Deepest folder below an input that is looked into.
const MAX_FOLDER_DEPTH: usize = 64;

/// What is to be done at one position of the source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Task {
    /// A recording.
    Recording { path: PathBuf, metadata: Box<CallMetadata>, bytes: u64 },
    /// One line of a file of conversations.
    Written { path: PathBuf, line: u64, offset: u64, bytes: u64 },
    /// Something asked for that cannot be a call: the file at `path`, or a line of it.
    Refused { path: PathBuf, line: Option<u64>, call_id: Option<CallId>, stage: &'static str, reason: String },
}

/// Stage of inputs that cannot be read or scored as they are.
const INPUT: &str = "input";
/// Stage of rows of call metadata that cannot be read.
pub(crate) const METADATA: &str = "metadata";

/// All calls of a run, in order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Task>,
    /// Files in folders that are neither audio nor conversations.
    pub(crate) ignored_files: LeftAlone,
    /// Recordings and conversations in folders that are hidden, by name or by their folder's.
    pub(crate) hidden_files: LeftAlone,
    /// Rows of the metadata file that name a recording outside the inputs.
    pub(crate) unused_rows: LeftAlone,
    /// Rows of the metadata file that name a recording below the inputs, there or not.
    pub(crate) matched_rows: usize,
    /// Recordings without a metadata row and without a known id, where a metadata file was given.
    pub(crate) without_metadata: usize,
}

/// What is passed over: how many, and the first few by name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LeftAlone {
    pub(crate) count: usize,
    names: Vec<String>,
}

impl LeftAlone {
    /// Names that a note shows.
    const SHOWN: usize = 3;

    fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.names.len() < Self::SHOWN {
            self.names.push(name());
        }
    }

    /// The first by name, and that there are more.
    pub(crate) fn named(&self) -> String {
        let more = if self.count > self.names.len() { ", …" } else { "" };
        format!("{}{more}", self.names.join(", "))
    }
}

impl Plan {
    /// A metadata file that names recordings and none of these was written for others, or is relative to another
    /// folder: scoring without it could not be mended later.
    pub(crate) fn check_metadata(&self, table: &MetadataTable) -> Result<(), MetadataError> {
        if self.without_metadata == 0 || self.matched_rows > 0 {
            return Ok(());
        }
        let first = self.unused_rows.names.first().cloned();
        Err(MetadataError::NoneMatches {
            path: table.path.clone(),
            first: first.unwrap_or_else(|| "it has no row that names one".to_owned()),
        })
    }
}

impl Task {
    fn refused_input(path: PathBuf, call_id: Option<CallId>, reason: impl Into<String>) -> Self {
        Self::Refused { path, line: None, call_id, stage: INPUT, reason: reason.into() }
    }

    /// A bad row; it stands for the recording it names where no other row does.
    fn refused_row(path: PathBuf, line: Option<u64>, bad: BadRow) -> Self {
        let reason = format!("call metadata line {}: {}", bad.line, bad.reason);
        Self::Refused { path, line, call_id: bad.call_id, stage: METADATA, reason }
    }

    /// Bytes to be read for it, for progress.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Recording { bytes, .. } | Self::Written { bytes, .. } => *bytes,
            Self::Refused { .. } => 0,
        }
    }
}

/// Lays out `inputs`, with the metadata of `table` where it names a recording. `ids` are those of recordings that no
/// row names; others take their file's stem.
pub(crate) fn plan(
    inputs: &[PathBuf],
    table: Option<&MetadataTable>,
    ids: &BTreeMap<PathBuf, CallId>,
) -> Plan {
    let mut plan = Plan::default();
    let mut rows = Rows::new(table);
    let mut listing =
        Listing { exclude: table.and_then(|t| t.path.canonicalize().ok()), ..Listing::default() };
    for input in inputs {
        listing.input(input);
    }
    let mut seen_files: HashSet<PathBuf> = HashSet::new();
    for found in listing.found {
        match found {
            Found::Unusable(path, reason) => {
                let id = ids.get(&path).cloned();
                plan.tasks.push(Task::refused_input(path, id, reason));
            }
            Found::File(path) => {
                let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
                if seen_files.insert(identity.clone()) {
                    add_file(path, &identity, &mut rows, ids, &mut plan);
                }
            }
        }
    }
    (plan.ignored_files, plan.hidden_files) = (listing.ignored, listing.hidden);
    rows.refuse_missing(inputs, &mut plan);
    refuse_used_ids(&mut plan.tasks);
    plan
}

fn add_file(
    path: PathBuf,
    identity: &Path,
    rows: &mut Rows,
    ids: &BTreeMap<PathBuf, CallId>,
    plan: &mut Plan,
) {
    if is_jsonl(&path) {
        match conversation_lines(&path) {
            Ok(tasks) if tasks.is_empty() => {
                plan.tasks.push(Task::refused_input(
                    path,
                    None,
                    "the file is empty: it holds no conversation",
                ));
            }
            Ok(tasks) => plan.tasks.extend(tasks),
            Err(e) => {
                plan.tasks.push(Task::refused_input(path, None, format!("cannot read the file: {e}")));
            }
        }
        return;
    }
    let row = rows.take(identity);
    plan.matched_rows += usize::from(row.is_some());
    plan.tasks.push(match row {
        Some(Row::Bad(bad)) => Task::refused_row(path, None, bad),
        Some(Row::Good(row)) => recording(path, row.metadata),
        None => {
            plan.without_metadata += usize::from(rows.given() && !ids.contains_key(&path));
            let stem = || path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            match ids.get(&path).map_or_else(|| CallId::new(stem()), |id| Ok(id.clone())) {
                Ok(id) => recording(path, CallMetadata::unknown(id)),
                Err(e) => Task::refused_input(path, None, format!("the file's name gives no call id: {e}")),
            }
        }
    });
}

fn recording(path: PathBuf, metadata: CallMetadata) -> Task {
    let bytes = std::fs::metadata(&path).map_or(0, |m| m.len());
    Task::Recording { path, metadata: Box::new(metadata), bytes }
}

/// Later tasks whose id an earlier one has are refused: two rows with one id could not be told apart.
fn refuse_used_ids(tasks: &mut [Task]) {
    let mut owners: HashMap<CallId, PathBuf> = HashMap::new();
    for task in tasks {
        let Task::Recording { path, metadata, .. } = task else { continue };
        if let Some(owner) = owners.get(&metadata.call_id) {
            let reason = format!(
                "call id `{}` is taken by {} already: give each call an id of its own with --calls",
                metadata.call_id,
                owner.display()
            );
            *task = Task::refused_input(path.clone(), Some(metadata.call_id.clone()), reason);
        } else {
            owners.insert(metadata.call_id.clone(), path.clone());
        }
    }
}

enum Row {
    Good(MetadataRow),
    Bad(BadRow),
}

/// Metadata rows by the recording they name.
#[derive(Default)]
struct Rows {
    /// The file they stand in; `None` where there is none.
    table: Option<PathBuf>,
    by_file: HashMap<PathBuf, Row>,
    order: Vec<PathBuf>,
    homeless: Vec<BadRow>,
}

impl Rows {
    fn new(table: Option<&MetadataTable>) -> Self {
        let mut rows = Self::default();
        let Some(table) = table else { return rows };
        rows.table = Some(table.path.clone());
        for row in &table.rows {
            rows.insert(&row.file, Row::Good(row.clone()));
        }
        for bad in &table.bad_rows {
            match &bad.file {
                Some(file) => rows.insert(file, Row::Bad(bad.clone())),
                None => rows.homeless.push(bad.clone()),
            }
        }
        rows
    }

    fn given(&self) -> bool {
        self.table.is_some()
    }

    fn insert(&mut self, file: &Path, row: Row) {
        let identity = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        match (self.by_file.get(&identity), row) {
            (None, row) => {
                self.order.push(identity.clone());
                self.by_file.insert(identity, row);
            }
            (Some(_), Row::Bad(bad)) => self.homeless.push(bad),
            (Some(_), Row::Good(row)) => self.homeless.push(BadRow {
                line: row.line,
                reason: "a row before it names the same recording".to_owned(),
                call_id: Some(row.metadata.call_id),
                file: Some(row.file),
            }),
        }
    }

    fn take(&mut self, identity: &Path) -> Option<Row> {
        self.by_file.remove(identity)
    }

    /// Rows left over: a recording that should be below an input and is not there is a lost call.
    fn refuse_missing(self, inputs: &[PathBuf], plan: &mut Plan) {
        let Self { table, mut by_file, order, homeless } = self;
        let table = table.unwrap_or_default();
        let asked = |file: &Path| inputs.iter().any(|input| is_below(file, input));
        for file in order {
            let Some(row) = by_file.remove(&file) else { continue };
            match row {
                Row::Bad(bad) if asked(&file) => plan.tasks.push(Task::refused_row(file, None, bad)),
                Row::Good(row) if is_jsonl(&file) && asked(&file) => {
                    let reason =
                        "it names a file of conversations: what is known of these stands in their own lines";
                    let bad = BadRow {
                        line: row.line,
                        reason: reason.to_owned(),
                        call_id: Some(row.metadata.call_id),
                        file: Some(file),
                    };
                    plan.tasks.push(Task::refused_row(table.clone(), Some(row.line), bad));
                }
                Row::Good(row) if asked(&file) && !matches!(file.try_exists(), Ok(true)) => {
                    let reason = match file.try_exists() {
                        Err(e) => {
                            format!("call metadata names this recording, which cannot be looked at: {e}")
                        }
                        Ok(_) => "call metadata names this recording, and there is no such file".to_owned(),
                    };
                    plan.tasks.push(Task::refused_input(file, Some(row.metadata.call_id), reason));
                }
                Row::Bad(BadRow { line, .. }) | Row::Good(MetadataRow { line, .. }) => {
                    plan.unused_rows.add(|| {
                        let there = if file.exists() { "" } else { ", which does not exist" };
                        format!("line {line}: {}{there}", file.display())
                    });
                    continue;
                }
            }
            plan.matched_rows += 1;
        }
        for bad in homeless {
            plan.tasks.push(Task::refused_row(table.clone(), Some(bad.line), bad));
        }
    }
}

fn is_below(file: &Path, input: &Path) -> bool {
    real_path(file).starts_with(real_path(input))
}

/// The absolute path without links, of which the last parts need not exist.
fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|known| Some((known, known.canonicalize().ok()?)));
    match there {
        Some((known, real)) => path.strip_prefix(known).map_or(real.clone(), |rest| real.join(rest)),
        None => path,
    }
}

enum Found {
    File(PathBuf),
    Unusable(PathBuf, String),
}

impl Found {
    /// A pipe or a device may have no end.
    fn special(path: PathBuf) -> Self {
        Self::Unusable(
            path,
            "neither a file nor a folder but a pipe or a device: copy it to a file".to_owned(),
        )
    }
}

/// Files found in inputs, and what was passed over.
#[derive(Default)]
struct Listing {
    found: Vec<Found>,
    ignored: LeftAlone,
    hidden: LeftAlone,
    /// The metadata file, which may lie among the recordings.
    exclude: Option<PathBuf>,
}

impl Listing {
    fn input(&mut self, input: &Path) {
        match std::fs::metadata(input) {
            Err(e) => self.found.push(Found::Unusable(input.to_owned(), format!("no such input: {e}"))),
            Ok(meta) if meta.is_dir() => {
                let before = self.found.len();
                self.folder(input, 0);
                if self.found.len() == before {
                    let reason = "the folder holds no recordings and no conversations".to_owned();
                    self.found.push(Found::Unusable(input.to_owned(), reason));
                }
            }
            Ok(meta) if !meta.is_file() => self.found.push(Found::special(input.to_owned())),
            Ok(_) => self.found.push(Found::File(input.to_owned())),
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        if depth > MAX_FOLDER_DEPTH {
            let reason = format!("folders nest deeper than {MAX_FOLDER_DEPTH}");
            self.found.push(Found::Unusable(folder.to_owned(), reason));
            return;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => {
                self.found.push(Found::Unusable(folder.to_owned(), format!("cannot list the folder: {e}")));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        let is_dataset = callmark_store::is_dataset(folder);
        for path in paths {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
            if is_dataset && is_folder && name.starts_with('_') {
                // The dataset's own.
            } else if name.starts_with('.') {
                if is_folder || callmark_audio::is_audio_name(&name) || is_jsonl(&path) {
                    self.hidden.add(|| path.display().to_string());
                }
            } else if is_folder {
                self.folder(&path, depth + 1);
            } else {
                self.file(path, &name);
            }
        }
    }

    fn file(&mut self, path: PathBuf, name: &str) {
        let is_audio = callmark_audio::is_audio_name(name);
        if self.exclude.as_ref().is_some_and(|e| path.canonicalize().is_ok_and(|p| p == *e)) {
            // The metadata file itself.
        } else if !is_audio && !is_jsonl(&path) {
            self.ignored.add(|| path.display().to_string());
        } else if std::fs::metadata(&path).is_ok_and(|m| !m.is_file()) {
            self.found.push(Found::special(path));
        } else if is_audio || looks_like_conversations(&path) {
            self.found.push(Found::File(path));
        } else {
            self.ignored.add(|| path.display().to_string());
        }
    }
}

/// Whether it holds conversations: a folder may hold other JSONL (a manifest, labels) that nobody meant. That is told by
/// the first lines that say something. Where they say nothing, or cannot be read, the file is taken for what its name
/// says, so that its loss is reported.
fn looks_like_conversations(path: &Path) -> bool {
    const PEEK_BYTES: u64 = 1 << 20;
    const PEEK_LINES: usize = 20;
    let Ok(file) = std::fs::File::open(path) else { return true };
    let mut content = Vec::new();
    if file.take(PEEK_BYTES).read_to_end(&mut content).is_err() {
        return true;
    }
    let said = |line: &&[u8]| !line.iter().all(u8::is_ascii_whitespace);
    let lines = || content.split(|byte| *byte == b'\n').filter(said).take(PEEK_LINES);
    let has_turns = |line: &[u8]| line.windows(7).any(|w| w == b"\"turns\"");
    let is_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    lines().any(has_turns) || !lines().any(is_json)
}

fn conversation_lines(path: &Path) -> std::io::Result<Vec<Task>> {
    let mut reader = BufReader::new(std::fs::File::open(path)?);
    let mut tasks = Vec::new();
    let (mut offset, mut number) = (0u64, 0u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            reader.by_ref().take(transcripts::MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(tasks);
        }
        number += 1;
        if !line.iter().all(u8::is_ascii_whitespace) {
            tasks.push(Task::Written { path: path.to_owned(), line: number, offset, bytes: read });
        }
        offset += read;
    }
}

#[cfg(test)]
mod tests;
