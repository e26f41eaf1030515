//! The proof: every byte of every file below a dataset is searched for the names that must not be there any more.
//!
//! Parquet compresses its values, so its files are searched twice: the values of all columns, read back, and the bytes.
//! What the disk still holds of a file that was removed is not looked at, nor are copies elsewhere.

use super::matcher::{Kind, LEAST_DISTINCT_BYTES, Matcher};
use super::rows;
use crate::error::StoreError;
use crate::hex;
use crate::layout;
use crate::lock::LOCK_FILE;
use crate::place::Location;
use crate::schema::Table;
use callmark_types::CallId;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes at a file's start that tell whether it is text.
const SNIFF_BYTES: usize = 8 << 10;
/// How a Parquet file begins.
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// Folders within folders that are looked into; a dataset has four.
const MAX_DEPTH: usize = 64;
/// Largest JSON file whose texts are told from its numbers.
const MAX_JSON_BYTES: u64 = 256 << 20;
/// Columns of what was said and found. A short name that turns up in them is a word or a number, and tells of no call.
const SAID: [&str; 6] = ["text", "words", "evidence_text", "detail", "rule_id", "rule_version"];

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// Files, each to its last byte, and its name.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of these, Parquet files, all of whose columns were read back.
    pub parquet_files: u64,
    /// Texts in these columns.
    pub values: u64,
    /// Names looked for.
    pub names: u64,
    /// Of these, shorter than eight bytes: they were looked for in texts and values, as words of their own, not in
    /// compressed bytes, in numbers and in what was said, where so little turns up by chance.
    pub short_names: u64,
    /// Files in which one of them stands: those of the dataset relative to it.
    pub found: Vec<PathBuf>,
    /// Files and folders that could not be searched, links that lead nowhere among them.
    pub unread: Vec<PathBuf>,
}

impl Searched {
    /// Whether everything could be looked at and nothing was found.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty() && self.unread.is_empty()
    }
}

/// Searches every file below the dataset at `dir`, and below the folders `beside`, for the ids and keys. A longer id or key of a call that stays is no
/// find, although one of them stands within it.
///
/// # Errors
/// Where `dir` is no dataset in a folder, or its commits cannot be read.
pub fn search(
    dir: impl Into<Location>,
    beside: &[PathBuf],
    call_ids: &BTreeSet<CallId>,
    customer_keys: &BTreeSet<String>,
) -> Result<Searched, StoreError> {
    let directory = super::open(&dir.into())?;
    let names: BTreeSet<&str> =
        call_ids.iter().map(CallId::as_str).chain(customer_keys.iter().map(String::as_str)).collect();
    let mut searched = Searched {
        names: names.len() as u64,
        short_names: names.iter().filter(|name| name.len() < LEAST_DISTINCT_BYTES).count() as u64,
        ..Searched::default()
    };
    let mut matcher = Matcher::new(names.iter().copied());
    for record in layout::read_commit_files(&*directory)?.records {
        for entry in record.entries.iter().filter(|entry| !names.contains(entry.call_id.as_str())) {
            matcher.excuse(entry.call_id.as_str());
        }
        for file in record.files.iter().filter(|file| file.table == Table::Calls) {
            let path = directory.path(&file.path);
            if path.is_file() {
                rows::for_each_caller(&path, |caller| {
                    if let Some(key) = caller.customer_key.filter(|key| !names.contains(key.as_str())) {
                        matcher.excuse(&key);
                    }
                })?;
            }
        }
    }
    let root = directory.root();
    let folders = HashSet::new();
    let mut search = Search { matcher: &matcher, root: &root, searched: &mut searched, folders };
    search.folder(&root, 0);
    for folder in beside {
        search.folder(folder, 0);
    }
    Ok(searched)
}

/// Whether bytes are text, by their beginning.
pub(super) fn kind_of(bytes: &[u8]) -> Kind {
    if bytes.iter().take(SNIFF_BYTES).any(|byte| *byte == 0) { Kind::Binary } else { Kind::Text }
}

/// The texts of a file of JSON values, names of fields included; `None` where it is another file.
fn json_strings(path: &Path) -> std::io::Result<Option<Vec<String>>> {
    let is_json = path.extension().is_some_and(|end| end == "json" || end == "jsonl");
    if !is_json || fs::metadata(path)?.len() > MAX_JSON_BYTES {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let mut strings = Vec::new();
    for value in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
        match value {
            Ok(value) => gather(value, &mut strings),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(strings))
}

fn gather(value: Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text),
        Value::Array(values) => values.into_iter().for_each(|value| gather(value, strings)),
        Value::Object(fields) => {
            for (name, value) in fields {
                strings.push(name);
                gather(value, strings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

struct Search<'a> {
    matcher: &'a Matcher,
    root: &'a Path,
    searched: &'a mut Searched,
    /// Folders looked into, so that links to them make no circle.
    folders: HashSet<PathBuf>,
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let Ok(canonical) = fs::canonicalize(folder) else { return self.unread(folder) };
        if depth > MAX_DEPTH {
            return self.unread(folder);
        }
        if !self.folders.insert(canonical) {
            return;
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let Ok(mut entries) = entries else { return self.unread(folder) };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if self.matcher.is_in_text(entry.file_name().as_encoded_bytes()) {
                self.found(&path);
            }
            // Of a link, what it leads to.
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => self.folder(&path, depth + 1),
                Ok(found) if found.is_file() => self.file(&path),
                _ => self.unread(&path),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        self.searched.files += 1;
        match self.is_in_file(path) {
            Err(_) => self.unread(path),
            Ok(true) => self.found(path),
            Ok(false) => {}
        }
    }

    fn is_in_file(&mut self, path: &Path) -> Result<bool, StoreError> {
        let read = |e| StoreError::io("read", path, e);
        let strings = json_strings(path).map_err(read)?;
        // The lock holds the number of this process.
        let has_numbers = strings.is_some() || path == self.root.join(LOCK_FILE);
        let (found, is_parquet) = self.is_in_bytes(path, has_numbers.then_some(Kind::Words)).map_err(read)?;
        let mut strings = strings.iter().flatten();
        if found || strings.any(|text| self.is_in_string(text)) {
            return Ok(true);
        }
        if is_parquet { self.is_in_values(path) } else { Ok(false) }
    }

    /// Whether a name stands in a text of a JSON file. Key and headers of a message stand there as hexadecimal digits.
    fn is_in_string(&self, text: &str) -> bool {
        // Digests are digits of that kind, too: what is no text has no short name in it but by chance.
        let kind =
            |bytes: &[u8]| if std::str::from_utf8(bytes).is_ok() { kind_of(bytes) } else { Kind::Binary };
        let decoded = hex::decode(text);
        self.matcher.is_in_text(text.as_bytes())
            || decoded.is_some_and(|bytes| self.matcher.is_in(&bytes, 0..bytes.len(), kind(&bytes)))
    }

    /// Whether a name stands in the file's bytes, and whether the file is Parquet. `kind` where it is known.
    fn is_in_bytes(&mut self, path: &Path, kind: Option<Kind>) -> std::io::Result<(bool, bool)> {
        let context = self.matcher.context_bytes();
        let mut file = File::open(path)?;
        let (mut buffer, mut from, mut first) = (Vec::new(), 0, None);
        loop {
            let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
            self.searched.bytes += read as u64;
            let is_last = read < CHUNK_BYTES;
            let (kind, is_parquet) = *first.get_or_insert_with(|| {
                let is_parquet = buffer.starts_with(PARQUET_MAGIC);
                let of_bytes = if is_parquet { Kind::Binary } else { kind_of(&buffer) };
                (kind.unwrap_or(of_bytes), is_parquet)
            });
            // What may go on in the next piece is looked at with it.
            let until = if is_last { buffer.len() } else { buffer.len().saturating_sub(context) }.max(from);
            if self.matcher.is_in(&buffer, from..until, kind) {
                return Ok((true, is_parquet));
            }
            if is_last {
                return Ok((false, is_parquet));
            }
            let done_with = until.saturating_sub(context);
            buffer.drain(..done_with);
            from = until - done_with;
        }
    }

    /// Whether a name stands in any value of a Parquet file.
    fn is_in_values(&mut self, path: &Path) -> Result<bool, StoreError> {
        self.searched.parquet_files += 1;
        for batch in rows::read(path, &[])? {
            let batch = batch.map_err(|e| StoreError::parquet("read", path, e.into()))?;
            for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                let kind = if SAID.contains(&field.name().as_str()) { Kind::Words } else { Kind::Text };
                let mut tell = |text: &[u8]| {
                    self.searched.values += 1;
                    self.matcher.is_in(text, 0..text.len(), kind)
                };
                if rows::any_text(column, &mut tell) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn found(&mut self, path: &Path) {
        let path = self.relative(path);
        if self.searched.found.last() != Some(&path) {
            self.searched.found.push(path);
        }
    }

    fn unread(&mut self, path: &Path) {
        let path = self.relative(path);
        self.searched.unread.push(path);
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_path_buf()
    }
}
