//! Reads CTI metadata (`--calls`, CSV or JSONL): what a recorder knows about each call.
//!
//! A file that cannot serve at all (missing column, not readable) is one error. A bad row costs its own call
//! only: it becomes a [`BadRow`] that the caller turns into a dead letter, and the rest is scored.

use crate::metadata_fields::{
    METADATA_FIELDS, Record, channel_of_role_column, metadata_from_fields, nearest, text,
};
use callmark_types::{CallId, CallMetadata};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Longest metadata file read, in bytes: about two million rows.
const MAX_METADATA_BYTES: u64 = 1 << 30;

/// Written at the start of a file by some editors.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Names a call.
const CALL_ID: &str = "call_id";
/// Names its recording.
const FILE: &str = "file";

/// Why a metadata file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file cannot be read.
    #[error("cannot read call metadata {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than the bound.
    #[error("call metadata {path} has {bytes} bytes, at most {MAX_METADATA_BYTES} are read: split it")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The file is not CSV or JSONL as its name says.
    #[error("call metadata {path} line {line}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// A required column is absent.
    #[error("call metadata {path} has no column `{column}`{hint}: it has {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// A near name among the columns found, as a question.
        hint: String,
        /// The columns found.
        found: String,
    },
    /// No row names a recording of the inputs.
    #[error(
        "call metadata {path} names none of the recordings ({first}): `file` is relative to the folder of the metadata file"
    )]
    NoneMatches {
        /// The file.
        path: PathBuf,
        /// Its first row that names another.
        first: String,
    },
}

/// A row that cannot be used; its call becomes a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct BadRow {
    /// Line number from 1.
    pub line: u64,
    /// The call's id, where that much could be read.
    pub call_id: Option<CallId>,
    /// The recording it names, where that much could be read.
    pub file: Option<PathBuf>,
    /// Which column is wrong and what to do.
    pub reason: String,
}

/// One usable row.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRow {
    /// Line number from 1.
    pub line: u64,
    /// The recording, resolved against the folder of the metadata file.
    pub file: PathBuf,
    /// What is known.
    pub metadata: CallMetadata,
}

/// A metadata file, read.
#[derive(Debug, Default)]
pub struct MetadataTable {
    /// The file it came from.
    pub path: PathBuf,
    /// Usable rows in file order.
    pub rows: Vec<MetadataRow>,
    /// Rows that are not.
    pub bad_rows: Vec<BadRow>,
    /// Columns that were ignored, with the nearest known name where one is near.
    pub ignored_columns: Vec<String>,
}

/// Whether the name says that the file holds one JSON value a line.
pub(crate) fn is_jsonl(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl") || e.eq_ignore_ascii_case("ndjson"))
}

/// Reads `path`: JSONL by the extensions `.jsonl` and `.ndjson`, CSV otherwise.
pub fn read_metadata(path: &Path) -> Result<MetadataTable, MetadataError> {
    let unreadable = |source| MetadataError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_METADATA_BYTES {
        return Err(MetadataError::TooLarge { path: path.to_owned(), bytes });
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    let is_jsonl = is_jsonl(path);
    let (columns, records) = if is_jsonl { read_jsonl(path, &content)? } else { read_csv(path, &content)? };
    let mut table = MetadataTable { path: path.to_owned(), ..MetadataTable::default() };
    table.ignored_columns = columns.iter().filter(|c| !is_known(c)).map(|c| with_nearest(c)).collect();
    let base = path.parent().unwrap_or(Path::new(""));
    let mut seen: HashMap<CallId, u64> = HashMap::new();
    for row in records {
        let line = row.line;
        match parse_row(row, base) {
            Ok(row) => match seen.insert(row.metadata.call_id.clone(), line) {
                None => table.rows.push(row),
                Some(earlier) => table.bad_rows.push(BadRow {
                    line,
                    reason: format!(
                        "call_id `{}` stands in line {earlier} already: give each call an id of its own",
                        row.metadata.call_id
                    ),
                    call_id: Some(row.metadata.call_id),
                    file: Some(row.file),
                }),
            },
            Err(bad) => table.bad_rows.push(bad),
        }
    }
    Ok(table)
}

type Records = (Vec<String>, Vec<ReadRow>);

/// A row as it stands in the file.
struct ReadRow {
    line: u64,
    fields: Record,
    /// Why its fields cannot be trusted.
    fault: Option<String>,
}

/// Columns that mean something here; others are ignored and named in a warning.
fn columns() -> impl Iterator<Item = &'static str> {
    [CALL_ID, FILE].into_iter().chain(METADATA_FIELDS)
}

fn is_known(column: &str) -> bool {
    columns().any(|known| known == column) || channel_of_role_column(column).is_some()
}

fn with_nearest(column: &str) -> String {
    match nearest(column, columns()) {
        Some(known) => format!("{column} (did you mean {known}?)"),
        None => column.to_owned(),
    }
}

fn require_columns(path: &Path, columns: &[String]) -> Result<(), MetadataError> {
    for column in [CALL_ID, FILE] {
        if !columns.iter().any(|c| c == column) {
            let hint =
                nearest(column, columns.iter().map(String::as_str)).map(|n| format!(" (is it `{n}`?)"));
            return Err(MetadataError::MissingColumn {
                path: path.to_owned(),
                column,
                hint: hint.unwrap_or_default(),
                found: columns.join(", "),
            });
        }
    }
    Ok(())
}

fn read_csv(path: &Path, content: &[u8]) -> Result<Records, MetadataError> {
    let malformed = |line: u64, reason: &str| MetadataError::Malformed {
        path: path.to_owned(),
        line,
        reason: reason.to_owned(),
    };
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(malformed(1, "the file is UTF-16: save it as UTF-8"));
    }
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    check_quotes(content)
        .map_err(|(offset, reason)| malformed(LineCounter::new(content).line_at(offset), reason))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(content);
    let columns: Vec<String> =
        reader.headers().map_err(|e| malformed(1, &e.to_string()))?.iter().map(str::to_owned).collect();
    if let [one] = &columns[..]
        && one.contains(';')
    {
        return Err(malformed(1, "columns are separated by semicolons: save the file with commas"));
    }
    require_columns(path, &columns)?;
    if let Some(twice) = columns.iter().enumerate().find(|(i, c)| columns[..*i].contains(c)) {
        return Err(malformed(1, &format!("column `{}` stands twice", twice.1)));
    }
    let mut records: Vec<ReadRow> = Vec::new();
    let mut lines = LineCounter::new(content);
    for record in reader.byte_records() {
        let record = record.map_err(|e| malformed(lines.line, &e.to_string()))?;
        let line = lines.line_at(record.position().map_or(0, csv::Position::byte) as usize);
        let known = columns.iter().zip(record.iter()).filter(|(_, field)| !field.trim_ascii().is_empty());
        let fields = known
            .map(|(name, field)| (name.clone(), Value::String(String::from_utf8_lossy(field).into_owned())))
            .collect();
        let fault = if record.len() != columns.len() {
            Some(format!("{} fields where the header has {}", record.len(), columns.len()))
        } else if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
            Some("not UTF-8: save the file as UTF-8".to_owned())
        } else {
            None
        };
        records.push(ReadRow { line, fields, fault });
    }
    Ok((columns, records))
}

/// Refuses a quoted field that is not closed, or closed by the quote of a later field: it would take in the rows between
/// as its text. The error has the offset of its first quote.
fn check_quotes(content: &[u8]) -> Result<(), (usize, &'static str)> {
    let mut field_start = true;
    let mut at = 0;
    while let Some(byte) = content.get(at) {
        if !field_start || *byte != b'"' {
            field_start = matches!(byte, b',' | b'\n' | b'\r');
            at += 1;
            continue;
        }
        let opened = at;
        at += 1;
        loop {
            let Some(next) = memchr::memchr(b'"', &content[at..]) else {
                return Err((opened, "a quote is opened and never closed"));
            };
            at += next + 1;
            match content.get(at) {
                Some(b'"') => at += 1,
                None | Some(b',' | b'\n' | b'\r') => break,
                Some(_) => {
                    let reason = "a quote is opened, and closed in the middle of a field: double the quotes that are text";
                    return Err((opened, reason));
                }
            }
        }
        field_start = false;
    }
    Ok(())
}

/// Line numbers of growing offsets into a text, whatever its line ends.
struct LineCounter<'a> {
    content: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self { content, offset: 0, line: 1 }
    }

    /// The line of the first byte at or after `offset` that ends no line.
    fn line_at(&mut self, offset: usize) -> u64 {
        let ends = |byte: &&u8| matches!(byte, b'\n' | b'\r');
        let start = offset + self.content[offset.min(self.content.len())..].iter().take_while(ends).count();
        let passed = self.content.get(self.offset..start).unwrap_or_default();
        // A line ends with CR, LF, or both.
        let pairs = memchr::memmem::find_iter(passed, b"\r\n").count();
        self.line += (memchr::memchr2_iter(b'\n', b'\r', passed).count() - pairs) as u64;
        self.offset = start.max(self.offset);
        self.line
    }
}

fn read_jsonl(path: &Path, content: &[u8]) -> Result<Records, MetadataError> {
    let mut columns: Vec<String> = Vec::new();
    let mut records = Vec::new();
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    for (index, line) in content.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line_number = index as u64 + 1;
        let object: serde_json::Map<String, Value> = match serde_json::from_slice(line) {
            Ok(object) => object,
            Err(e) => {
                let fault = Some(format!("not a JSON object: {e}"));
                records.push(ReadRow { line: line_number, fields: Record::new(), fault });
                continue;
            }
        };
        for name in object.keys() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        let fields = object.into_iter().filter(|(_, value)| !value.is_null()).collect();
        records.push(ReadRow { line: line_number, fields, fault: None });
    }
    require_columns(path, &columns)?;
    Ok((columns, records))
}

fn parse_row(row: ReadRow, base: &Path) -> Result<MetadataRow, BadRow> {
    let ReadRow { line, fields: record, fault } = row;
    let record = &record;
    let file = text(record, FILE).map(|f| base.join(f));
    let call_id = text(record, CALL_ID).map(CallId::new);
    let bad = |reason: String| BadRow {
        line,
        call_id: call_id.as_ref().and_then(|id| id.clone().ok()),
        file: file.clone(),
        reason,
    };
    if let Some(fault) = fault {
        return Err(bad(fault));
    }
    let id = match &call_id {
        Some(Ok(id)) => id.clone(),
        Some(Err(e)) => return Err(bad(format!("column `call_id`: {e}"))),
        None => return Err(bad("column `call_id` is empty: give the call an id".to_owned())),
    };
    let Some(path) = file.clone() else {
        return Err(bad("column `file` is empty: name the recording".to_owned()));
    };
    let metadata = metadata_from_fields(id, record).map_err(bad)?;
    Ok(MetadataRow { line, file: path, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use callmark_types::ChannelRole;

    fn read(name: &str, content: &str) -> Result<MetadataTable, MetadataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_metadata(&path)
    }

    #[test]
    fn a_row_yields_everything_a_recorder_knows_and_nothing_more() {
        let table = read(
            "calls.csv",
            "call_id,file,started_at,channel_0_role,channel_1_role,first_handler,agent_ids,handler_segments,customer_key,queue,issue_type,language\n\
             c1,a/c1.wav,2026-09-14T09:12:31+02:00,customer,agent,ai,bot-1;a7,\"[{\"\"handler\"\":\"\"ai\"\",\"\"start_ms\"\":0,\"\"end_ms\"\":500}]\",K1,q,,en\n",
        )
        .unwrap();
        let row = &table.rows[0];
        assert_eq!((row.line, row.metadata.call_id.as_str()), (2, "c1"));
        assert!(row.file.ends_with("a/c1.wav"));
        assert_eq!(row.metadata.started_at.unwrap().utc_date(), "2026-09-14");
        assert_eq!(row.metadata.channel_roles, [Some(ChannelRole::Customer), Some(ChannelRole::Agent)]);
        assert_eq!(row.metadata.agent_ids, ["bot-1", "a7"]);
        assert_eq!(row.metadata.handler_segments[0].span.end.0, 500);
        assert_eq!(row.metadata.issue_type, None);
        assert!(table.bad_rows.is_empty() && table.ignored_columns.is_empty());
    }

    #[test]
    fn a_missing_column_names_the_near_one() {
        let error = read("calls.csv", "callid,file\nc1,a.wav\n").unwrap_err().to_string();
        assert!(error.contains("no column `call_id` (is it `callid`?)"), "{error}");
    }

    #[test]
    fn a_bad_time_costs_its_own_call_only() {
        let table =
            read("calls.csv", "call_id,file,started_at\nc1,a.wav,yesterday\nc2,b.wav,2026-01-01T00:00:00Z\n")
                .unwrap();
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.bad_rows[0].call_id.as_ref().unwrap().as_str(), "c1");
        assert!(table.bad_rows[0].reason.contains("`started_at`"), "{}", table.bad_rows[0].reason);
    }

    #[test]
    fn an_id_given_twice_is_a_bad_row() {
        let table = read("calls.csv", "call_id,file\nc1,a.wav\nc1,b.wav\n").unwrap();
        assert_eq!((table.rows.len(), table.bad_rows.len()), (1, 1));
        assert!(table.bad_rows[0].reason.contains("line 2"));
    }

    #[test]
    fn an_unknown_column_is_ignored_with_a_hint() {
        let table = read("calls.csv", "call_id,file,started_att,shoe_size\nc1,a.wav,,44\n").unwrap();
        assert_eq!(table.ignored_columns, ["started_att (did you mean started_at?)", "shoe_size"]);
    }

    #[test]
    fn json_lines_carry_the_same_fields() {
        let table = read(
            "calls.jsonl",
            "{\"call_id\":\"c1\",\"file\":\"a.wav\",\"agent_ids\":[\"x\"],\"handler_segments\":[{\"handler\":\"human\",\"start_ms\":0,\"end_ms\":9}]}\n\n{\"call_id\":\"c2\",\"file\":\"b.wav\",\"queue\":null}\n",
        )
        .unwrap();
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[0].metadata.handler_segments.len(), 1);
        assert_eq!(table.rows[1].metadata.queue, None);
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_its_own_call_and_names_its_line() {
        let table = read(
            "calls.csv",
            "call_id,file,queue\r\nc1,a.wav,x\r\nc2,b.wav\r\n\r\nc3,c.wav,\"two\r\nlines\"\r\nc4,d.wav,x,y\r\n",
        )
        .unwrap();
        let good: Vec<u64> = table.rows.iter().map(|row| row.line).collect();
        let bad: Vec<u64> = table.bad_rows.iter().map(|row| row.line).collect();
        assert_eq!((good, bad), (vec![2, 5], vec![3, 7]));
        assert!(table.bad_rows[0].reason.contains("2 fields where the header has 3"));
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_own_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.csv");
        std::fs::write(&path, b"call_id,file,queue\nc1,a.wav,caf\xe9\nc2,b.wav,x\n").unwrap();
        let table = read_metadata(&path).unwrap();
        assert_eq!((table.rows.len(), table.bad_rows.len()), (1, 1));
        assert!(table.bad_rows[0].reason.contains("not UTF-8"));
    }

    #[test]
    fn a_quote_that_stays_open_and_a_column_twice_are_refused() {
        for (rows, words) in [
            ("c1,\"a.wav\nc2,b.wav\n", "line 2: a quote is opened and never closed"),
            ("c1,a.wav\nc2,\"b.wav\nc3,x\"y.wav\n", "line 3: a quote is opened, and closed in the middle"),
        ] {
            let error = read("calls.csv", &format!("call_id,file\n{rows}")).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = read("calls.csv", "call_id,file,call_id\n").unwrap_err().to_string();
        assert!(error.contains("column `call_id` stands twice"), "{error}");
    }

    #[test]
    fn quotes_that_are_text_are_no_fault() {
        let table =
            read("calls.csv", "call_id,file,queue\nc1,a.wav,5\" pipe\nc2,b.wav,\"two\nlines, \"\"q\"\"\"\n")
                .unwrap();
        let queues: Vec<_> = table.rows.iter().map(|row| row.metadata.queue.as_deref().unwrap()).collect();
        assert_eq!(queues, ["5\" pipe", "two\nlines, \"q\""]);
    }

    #[test]
    fn what_a_spreadsheet_may_write_is_named() {
        for (content, words) in [
            (&b"call_id;file\nc1;a.wav\n"[..], "semicolons"),
            (b"\xff\xfec\0a\0", "UTF-16"),
            (b"call_id,file,started_at\rc1,a.wav,\rc2,b.wav,noon\r", "line 3: column `started_at`"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("calls.csv");
            std::fs::write(&path, content).unwrap();
            let said = match read_metadata(&path) {
                Err(error) => error.to_string(),
                Ok(table) => format!("line {}: {}", table.bad_rows[0].line, table.bad_rows[0].reason),
            };
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_line_that_is_no_json_costs_its_own_call() {
        let table = read(
            "calls.JSONL",
            "\u{feff}{\"call_id\":\"c1\",\"file\":\"a.wav\"}\n{\"call_id\":\n{\"call_id\":\"c3\",\"file\":\"c.wav\"}\n",
        )
        .unwrap();
        assert_eq!((table.rows.len(), table.bad_rows.len()), (2, 1));
        assert_eq!(table.bad_rows[0].line, 2);
    }
}
