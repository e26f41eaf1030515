//! Reads CTI metadata (`--calls`, CSV or JSONL): what a recorder knows about each call.
//!
//! A file that cannot serve at all (missing column, not readable) is one error. A bad row costs its own call
//! only: it becomes a [`BadRow`] that the caller turns into a dead letter, and the rest is scored.

use callmark_types::{CallId, CallMetadata, ChannelRole, Handler, HandlerSegment, Millis, Span, Timestamp};
use oxilangtag::LanguageTag;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Longest metadata file read, in bytes: about two million rows.
const MAX_METADATA_BYTES: u64 = 1 << 30;

/// Longest call that metadata or a transcript may tell of: a week. A time beyond it is a slip.
pub(crate) const LONGEST_CALL: Millis = Millis(7 * 24 * 3_600_000);

/// Names a call.
const CALL_ID: &str = "call_id";
/// Names its recording.
const FILE: &str = "file";

/// What [`metadata_from_fields`] reads, wherever the fields stand; `channel_N_role` beside these.
pub(crate) const METADATA_FIELDS: [&str; 8] = [
    "started_at",
    "first_handler",
    "agent_ids",
    "handler_segments",
    "customer_key",
    "queue",
    "issue_type",
    "language",
];

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

/// Reads `path`: JSONL by the extensions `.jsonl` and `.ndjson`, CSV otherwise.
pub fn read_metadata(path: &Path) -> Result<MetadataTable, MetadataError> {
    let unreadable = |source| MetadataError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_METADATA_BYTES {
        return Err(MetadataError::TooLarge { path: path.to_owned(), bytes });
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    let is_jsonl = path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson");
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

type Record = HashMap<String, Value>;
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

/// The candidate most like `word`, where it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.75;
    candidates
        .into_iter()
        .map(|c| {
            (strsim::normalized_damerau_levenshtein(word, c).max(strsim::jaro_winkler(word, c) - 0.1), c)
        })
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn channel_of_role_column(column: &str) -> Option<usize> {
    column.strip_prefix("channel_")?.strip_suffix("_role")?.parse().ok().filter(|channel| *channel < 8)
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
    let malformed =
        |line: u64, reason: String| MetadataError::Malformed { path: path.to_owned(), line, reason };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(content);
    let columns: Vec<String> =
        reader.headers().map_err(|e| malformed(1, e.to_string()))?.iter().map(str::to_owned).collect();
    require_columns(path, &columns)?;
    if let Some(twice) = columns.iter().enumerate().find(|(i, c)| columns[..*i].contains(c)) {
        return Err(malformed(1, format!("column `{}` stands twice", twice.1)));
    }
    let mut records: Vec<ReadRow> = Vec::new();
    let mut lines = LineCounter::new(content);
    for record in reader.byte_records() {
        let record = record.map_err(|e| malformed(lines.line, e.to_string()))?;
        let line = lines.line_at(record.position().map_or(0, csv::Position::byte) as usize);
        // A quote that nobody closed takes in all that follows.
        if record.iter().any(|field| field.contains(&b'\n')) && has_open_quote(content) {
            return Err(malformed(line, "a quote is opened and never closed".to_owned()));
        }
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
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        self.offset = start.max(self.offset);
        self.line
    }
}

fn has_open_quote(content: &[u8]) -> bool {
    memchr::memchr_iter(b'"', content).count() % 2 == 1
}

fn read_jsonl(path: &Path, content: &[u8]) -> Result<Records, MetadataError> {
    let mut columns: Vec<String> = Vec::new();
    let mut records = Vec::new();
    for (index, line) in content.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line_number = index as u64 + 1;
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(line).map_err(|e| MetadataError::Malformed {
                path: path.to_owned(),
                line: line_number,
                reason: format!("not a JSON object: {e}"),
            })?;
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

fn text(record: &Record, column: &str) -> Option<String> {
    match record.get(column)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Metadata of call `id` from named fields, as they stand in a CSV row, a JSON line or a message. The error names
/// the field and what to do.
pub(crate) fn metadata_from_fields(id: CallId, record: &Record) -> Result<CallMetadata, String> {
    let mut metadata = CallMetadata::unknown(id);
    if let Some(time) = text(record, "started_at") {
        let wanted = "column `started_at`: no time with a zone, such as 2026-09-14T09:12:31Z";
        metadata.started_at = Some(Timestamp::parse(&time).map_err(|_| wanted.to_owned())?);
    }
    metadata.channel_roles = channel_roles(record)?;
    if let Some(handler) = text(record, "first_handler") {
        metadata.first_handler = Some(parse_first_handler(&handler)?);
    }
    metadata.agent_ids = agent_ids(record)?;
    metadata.handler_segments = handler_segments(record)?;
    metadata.customer_key = text(record, "customer_key");
    metadata.queue = text(record, "queue");
    metadata.issue_type = text(record, "issue_type");
    metadata.language = text(record, "language");
    if metadata.language.as_deref().is_some_and(|tag| !is_language_tag(tag)) {
        return Err("column `language`: no language tag: use one such as en or es-MX".to_owned());
    }
    Ok(metadata)
}

/// Whether it is a BCP 47 tag, with `-` or `_`, of a language that ISO 639 lists. A recogniser may know fewer.
fn is_language_tag(tag: &str) -> bool {
    let tag = tag.replace('_', "-").to_ascii_lowercase();
    LanguageTag::parse(tag).is_ok_and(|tag| {
        let language = tag.primary_language();
        isolang::Language::from_639_1(language).or_else(|| isolang::Language::from_639_3(language)).is_some()
    })
}

fn channel_roles(record: &Record) -> Result<Vec<Option<ChannelRole>>, String> {
    let mut roles = Vec::new();
    for column in record.keys() {
        let Some(channel) = channel_of_role_column(column) else { continue };
        let Some(value) = text(record, column) else { continue };
        let role = parse_channel_role(&value).map_err(|e| format!("column `{column}`: {e}"))?;
        if roles.len() <= channel {
            roles.resize(channel + 1, None);
        }
        roles[channel] = Some(role);
    }
    Ok(roles)
}

/// Reads a channel's role: `customer`, `agent` or `mixed`.
pub fn parse_channel_role(text: &str) -> Result<ChannelRole, String> {
    match text.trim() {
        "customer" | "caller" => Ok(ChannelRole::Customer),
        "agent" => Ok(ChannelRole::Agent),
        "mixed" => Ok(ChannelRole::Mixed),
        _ => Err("no channel role: use customer, agent or mixed".to_owned()),
    }
}

fn parse_first_handler(text: &str) -> Result<Handler, String> {
    match text {
        "ai" => Ok(Handler::Ai),
        "human" => Ok(Handler::Human),
        "ivr" => Ok(Handler::Ivr),
        _ => Err("column `first_handler`: no handler: use ai, human or ivr".to_owned()),
    }
}

fn agent_ids(record: &Record) -> Result<Vec<String>, String> {
    match record.get("agent_ids") {
        Some(Value::Array(ids)) => ids
            .iter()
            .map(|id| {
                id.as_str().map(str::to_owned).ok_or("column `agent_ids`: not a list of texts".to_owned())
            })
            .collect(),
        Some(Value::String(list)) if list.trim_start().starts_with('[') => {
            serde_json::from_str(list).map_err(|_| "column `agent_ids`: not a JSON list of texts".to_owned())
        }
        Some(Value::String(list)) => Ok(list
            .split([';', ',', '|'])
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect()),
        Some(_) => Err("column `agent_ids`: neither a text nor a list".to_owned()),
        None => Ok(Vec::new()),
    }
}

fn handler_segments(record: &Record) -> Result<Vec<HandlerSegment>, String> {
    let parsed: Result<Vec<HandlerSegment>, serde_json::Error> = match record.get("handler_segments") {
        None => return Ok(Vec::new()),
        Some(Value::String(json)) => serde_json::from_str(json),
        Some(value) => serde_json::from_value(value.clone()),
    };
    let segments = parsed.map_err(|_| {
        "column `handler_segments`: not a JSON list of {handler, start_ms, end_ms, agent_id?} with handlers ai, human, ivr, queue, hold"
            .to_owned()
    })?;
    let possible = |segment: &HandlerSegment| {
        let Span { start, end } = segment.span;
        Millis::ZERO <= start && start <= end && end <= LONGEST_CALL
    };
    if let Some(segment) = segments.iter().find(|segment| !possible(segment)) {
        return Err(format!(
            "column `handler_segments`: {} from {} to {} ms does not run forward from 0 to {} at most",
            segment.handler.as_str(),
            segment.span.start.0,
            segment.span.end.0,
            LONGEST_CALL.0
        ));
    }
    if segments.windows(2).any(|pair| pair[1].span.start < pair[0].span.start) {
        return Err("column `handler_segments`: segments are not in order of start_ms".to_owned());
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_language_is_a_tag_of_one() {
        for tag in ["en", "es-MX", "es_419", "EN-us", "zh-Hans-CN", "yue", "ga", "haw"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for tag in ["klingon", "english", "xx", "qqx", "e", "en US", "en-", "-", "fr;de"] {
            assert!(!is_language_tag(tag), "{tag}");
        }
        let table = read("calls.csv", "call_id,file,language\nc1,a.wav,klingon\nc2,b.wav,de-AT\n").unwrap();
        assert_eq!(table.rows[0].metadata.language.as_deref(), Some("de-AT"));
        assert!(table.bad_rows[0].reason.contains("column `language`"), "{}", table.bad_rows[0].reason);
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
        let error = read("calls.csv", "call_id,file\nc1,\"a.wav\nc2,b.wav\n").unwrap_err().to_string();
        assert!(error.contains("line 2: a quote is opened"), "{error}");
        let error = read("calls.csv", "call_id,file,call_id\n").unwrap_err().to_string();
        assert!(error.contains("column `call_id` stands twice"), "{error}");
    }
}
