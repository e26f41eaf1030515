//! Finds the calls in files and folders and lays them out in one fixed order.
//!
//! The order is the order of commits, so it depends on names alone. Whatever was asked for and cannot be a call
//! (a path that is not there, a bad metadata row, an id used twice) keeps its place as a refusal: it is reported,
//! never skipped.

use crate::metadata_file::{BadRow, MetadataError, MetadataRow, MetadataTable};
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
    let exclude = table.and_then(|t| t.path.canonicalize().ok());
    let mut seen_files: HashSet<PathBuf> = HashSet::new();
    for found in list_inputs(inputs, exclude.as_deref(), &mut plan.ignored_files) {
        match found {
            Found::Unusable(path, reason) => plan.tasks.push(Task::refused_input(path, None, reason)),
            Found::File(path) => {
                let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
                if seen_files.insert(identity.clone()) {
                    add_file(path, &identity, &mut rows, ids, &mut plan);
                }
            }
        }
    }
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
    if is_conversations(&path) {
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
        let asked = |file: &Path| inputs.iter().any(|input| is_below(file, input));
        for file in order {
            let Some(row) = by_file.remove(&file) else { continue };
            match row {
                Row::Bad(bad) if asked(&file) => plan.tasks.push(Task::refused_row(file, None, bad)),
                Row::Good(row) if !file.exists() && asked(&file) => {
                    let reason = "call metadata names this recording, and there is no such file";
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
        let table = table.unwrap_or_default();
        for bad in homeless {
            plan.tasks.push(Task::refused_row(table.clone(), Some(bad.line), bad));
        }
    }
}

fn is_below(file: &Path, input: &Path) -> bool {
    let folder = input.canonicalize().unwrap_or_else(|_| input.to_owned());
    // A missing file has no canonical form of its own, but its folder may have.
    let file = match (file.parent().and_then(|p| p.canonicalize().ok()), file.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => file.to_owned(),
    };
    file.starts_with(folder)
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

fn list_inputs(inputs: &[PathBuf], exclude: Option<&Path>, ignored: &mut LeftAlone) -> Vec<Found> {
    let mut found = Vec::new();
    for input in inputs {
        match std::fs::metadata(input) {
            Err(e) => found.push(Found::Unusable(input.clone(), format!("no such input: {e}"))),
            Ok(meta) if meta.is_dir() => {
                let before = found.len();
                list_folder(input, exclude, 0, &mut found, ignored);
                if found.len() == before {
                    let reason = "the folder holds no recordings and no conversations".to_owned();
                    found.push(Found::Unusable(input.clone(), reason));
                }
            }
            Ok(meta) if !meta.is_file() => found.push(Found::special(input.clone())),
            Ok(_) => found.push(Found::File(input.clone())),
        }
    }
    found
}

fn list_folder(
    folder: &Path,
    exclude: Option<&Path>,
    depth: usize,
    found: &mut Vec<Found>,
    ignored: &mut LeftAlone,
) {
    if depth > MAX_FOLDER_DEPTH {
        found
            .push(Found::Unusable(folder.to_owned(), format!("folders nest deeper than {MAX_FOLDER_DEPTH}")));
        return;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            found.push(Found::Unusable(folder.to_owned(), format!("cannot list the folder: {e}")));
            return;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || name.starts_with('_') {
            continue;
        }
        if std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            list_folder(&path, exclude, depth + 1, found, ignored);
        } else if exclude.is_some_and(|e| path.canonicalize().is_ok_and(|p| p == e)) {
            // The metadata file itself.
        } else if std::fs::metadata(&path).is_ok_and(|m| !m.is_file()) {
            if callmark_audio::is_audio_name(&name) || is_conversations(&path) {
                found.push(Found::special(path));
            } else {
                ignored.add(|| path.display().to_string());
            }
        } else if callmark_audio::is_audio_name(&name)
            || (is_conversations(&path) && looks_like_conversations(&path))
        {
            found.push(Found::File(path));
        } else {
            ignored.add(|| path.display().to_string());
        }
    }
}

fn is_conversations(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson")
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
    let mut lines = content.split(|byte| *byte == b'\n').filter(said).take(PEEK_LINES);
    let other_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    let (mut turns, mut other) = (false, false);
    for line in lines.by_ref() {
        if line.windows(7).any(|w| w == b"\"turns\"") {
            turns = true;
        } else {
            other |= other_json(line);
        }
    }
    turns || !other
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
mod tests {
    use super::*;
    use crate::metadata_file::read_metadata;

    fn touch(folder: &Path, name: &str, content: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn laid_out(inputs: &[PathBuf], table: Option<&MetadataTable>) -> Plan {
        plan(inputs, table, &BTreeMap::new())
    }

    fn ids(plan: &Plan) -> Vec<String> {
        plan.tasks
            .iter()
            .map(|task| match task {
                Task::Recording { metadata, .. } => metadata.call_id.to_string(),
                Task::Written { line, .. } => format!("line {line}"),
                Task::Refused { reason, .. } => format!("refused: {reason}"),
            })
            .collect()
    }

    #[test]
    fn a_folder_is_laid_out_by_name_and_what_is_no_call_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "b.wav", "x");
        touch(folder.path(), "a/c.ulaw", "x");
        touch(folder.path(), "notes.pdf", "x");
        touch(folder.path(), "labels.jsonl", "{\"id\":1}\n");
        touch(
            folder.path(),
            "chats.jsonl",
            "{\"call_id\":\"t\",\"turns\":[]}\n\n{\"call_id\":\"u\",\"turns\":[]}\n",
        );
        let plan = laid_out(&[folder.path().to_owned()], None);
        assert_eq!(ids(&plan), ["c", "b", "line 1", "line 3"]);
        assert_eq!(plan.ignored_files.count, 2);
        assert!(plan.ignored_files.named().contains("labels.jsonl"), "{}", plan.ignored_files.named());
    }

    #[test]
    fn conversations_are_known_behind_a_line_that_is_none_and_an_unreadable_file_is_reported() {
        let turns = "{\"call_id\":\"t\",\"turns\":[]}\n";
        for (content, expected) in [
            (format!("\n\n{turns}"), &["line 3"][..]),
            (format!("\u{feff}{turns}"), &["line 1"]),
            (format!("{{\"call_id\":\n{turns}"), &["line 1", "line 2"]),
            (format!("{{\"exported\":\"today\"}}\n{turns}"), &["line 1", "line 2"]),
            ("{\"call_id\":\"t\",\"tur".to_owned(), &["line 1"]),
            (String::new(), &["refused: the file is empty: it holds no conversation"]),
            ("\n \n".to_owned(), &["refused: the file is empty: it holds no conversation"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            touch(folder.path(), "chats.jsonl", &content);
            let plan = laid_out(&[folder.path().to_owned()], None);
            assert_eq!(ids(&plan), expected, "{content:?}");
        }
    }

    #[test]
    fn metadata_finds_its_recording_and_a_row_without_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "audio/x.wav", "x");
        touch(folder.path(), "audio/y.wav", "x");
        let csv = touch(folder.path(), "calls.csv", "call_id,file\nc1,audio/x.wav\nc9,audio/gone.wav\n");
        let table = read_metadata(&csv).unwrap();
        let plan = laid_out(&[folder.path().join("audio")], Some(&table));
        assert_eq!(ids(&plan)[..2], ["c1", "y"]);
        assert!(ids(&plan)[2].contains("there is no such file"));
        assert_eq!(plan.without_metadata, 1);
        assert!(plan.check_metadata(&table).is_ok());
    }

    #[test]
    fn metadata_that_names_none_of_the_recordings_is_refused_with_its_first_row() {
        let folder = tempfile::tempdir().unwrap();
        let audio = touch(folder.path(), "audio/x.wav", "x").parent().unwrap().to_owned();
        for (content, part) in [
            ("call_id,file\nc1,x.wav\n", "line 2: "),
            ("call_id,file\nc1,x.wav\n", "x.wav, which does not exist"),
            ("call_id,file\n", "no row"),
        ] {
            let table = read_metadata(&touch(folder.path(), "calls.csv", content)).unwrap();
            let plan = laid_out(std::slice::from_ref(&audio), Some(&table));
            let error = plan.check_metadata(&table).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("calls.csv"), "{error}");
        }
        // What is tried again has an id already, and needs no row.
        let table = read_metadata(&touch(folder.path(), "calls.csv", "call_id,file\nc1,y.wav\n")).unwrap();
        let known = BTreeMap::from([(audio.join("x.wav"), CallId::new("x").unwrap())]);
        assert!(plan(&[audio.join("x.wav")], Some(&table), &known).check_metadata(&table).is_ok());
    }

    #[test]
    fn one_id_for_two_recordings_refuses_the_second() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "a/x.wav", "x");
        touch(folder.path(), "b/x.wav", "x");
        let found = ids(&laid_out(&[folder.path().to_owned()], None));
        assert_eq!(found[0], "x");
        assert!(found[1].starts_with("refused: call id `x` is taken by"), "{found:?}");
    }

    #[test]
    fn an_input_without_calls_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "notes.txt", "no recording");
        let plan = laid_out(&[folder.path().to_owned()], None);
        assert!(
            matches!(&plan.tasks[..], [Task::Refused { reason, .. }] if reason.contains("no recordings"))
        );
        let empty = touch(folder.path(), "chats.jsonl", "");
        let plan = laid_out(&[empty], None);
        assert!(matches!(&plan.tasks[..], [Task::Refused { reason, .. }] if reason.contains("is empty")));
    }

    #[test]
    fn a_path_that_is_not_there_is_refused_by_name() {
        let plan = laid_out(&[PathBuf::from("/no/such/folder")], None);
        assert!(matches!(&plan.tasks[0], Task::Refused { path, .. } if path == Path::new("/no/such/folder")));
    }

    #[test]
    fn a_recording_without_a_row_takes_the_id_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = touch(folder.path(), "rec-7.wav", "x");
        let known = BTreeMap::from([(path.clone(), CallId::new("CALL-7").unwrap())]);
        assert_eq!(ids(&plan(&[path], None, &known)), ["CALL-7"]);
    }

    #[test]
    fn a_row_without_a_recording_of_its_own_is_refused_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "x.wav", "x");
        let csv = touch(folder.path(), "calls.csv", "call_id,file\nc1,x.wav\nc2,x.wav\nc3,\n");
        let table = read_metadata(&csv).unwrap();
        let plan = laid_out(&[folder.path().to_owned()], Some(&table));
        let lines: Vec<Option<u64>> = plan
            .tasks
            .iter()
            .filter_map(|task| match task {
                Task::Refused { line, stage, .. } => Some(*line).filter(|_| *stage == METADATA),
                _ => None,
            })
            .collect();
        assert_eq!((plan.tasks.len(), lines), (3, vec![Some(3), Some(4)]));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless.ulaw")).unwrap();
        for input in [folder.path().to_owned(), folder.path().join("endless.ulaw")] {
            let found = ids(&laid_out(&[input], None));
            assert!(matches!(&found[..], [one] if one.contains("a pipe or a device")), "{found:?}");
        }
    }
}
