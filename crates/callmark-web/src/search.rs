//! Which calls have these words in them: an index of what was said, beside the reviews, made from the tables.
//!
//! Personal data is not in it: nobody finds out a number by looking for it, digit by digit. It holds nothing that the tables
//! do not: it is made again where it is missing, of another version, or where a file that it was made of is there no more
//! (what was erased is then in no byte of it). A document is a call; its number is that of the call's row in its file,
//! behind the documents of the files before, so no ids are kept.

use crate::calls::hide_in_lines;
use crate::catalogue::{Catalogue, RowSet, Source};
use crate::tables::columns;
use arrow::array::{Array, AsArray, RecordBatch};
use callmark_types::EventKind;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

/// Version of the index's layout; another one is thrown away.
const VERSION: i64 = 2;
/// Name of the index's file.
const FILE: &str = "search.sqlite";
/// Calls that go into the index in one transaction, at least.
const CALLS_PER_TRANSACTION: usize = 20_000;
/// Answers that are kept: going through pages asks the same question again.
const KEPT_ANSWERS: usize = 32;
/// Words that may be asked for at once, those in quotes counted one by one.
const MOST_WORDS: usize = 32;
/// Beginnings of words that may be asked for at once, and their least length: short ones are in every call.
const MOST_BEGINNINGS: usize = 8;
const LEAST_BEGINNING: usize = 3;
/// Longest question, in bytes.
const MOST_QUESTION_BYTES: usize = 800;
/// Questions that are answered at the same time.
const READERS: u32 = 4;

/// Why a search fails.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The question is none.
    #[error("parameter q: {0}")]
    Question(&'static str),
    /// The index cannot be used.
    #[error("search index {path}: {reason} (it can be deleted: it is made again from the dataset)")]
    Index {
        /// The index.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The index.
pub(crate) struct Search {
    pool: SqlitePool,
    path: PathBuf,
    /// What is in it, as this process last wrote or read it.
    files: RwLock<Arc<Files>>,
    answers: Mutex<VecDeque<Answer>>,
}

/// Files that are in the index, by path.
type Files = HashMap<String, Indexed>;
/// A question and the documents that meet it.
type Answer = (String, Arc<Vec<i64>>);

impl Search {
    /// Opens the index in `folder`, empty where there is none.
    pub(crate) async fn open(folder: &Path) -> Result<Self, SearchError> {
        let path = folder.join(FILE);
        let pool = open_pool(&path).await?;
        let search = Self { pool, path, files: RwLock::default(), answers: Mutex::default() };
        if search.version().await? != VERSION {
            search.make_empty().await?;
        }
        search.read_files().await?;
        Ok(search)
    }

    /// Calls that are in it.
    pub(crate) fn calls(&self) -> usize {
        self.files().values().map(|file| file.rows as usize).sum()
    }

    /// Whether it is of these files and no others.
    pub(crate) fn is_of(&self, catalogue: &Catalogue) -> bool {
        let files = self.files();
        let has =
            |source: &Source| files.get(&*source.path).is_some_and(|file| *file.sha256 == *source.sha256);
        files.len() == catalogue.files.len() && catalogue.files.iter().all(has)
    }

    /// Puts into the index what the catalogue has more; makes it anew where a file is gone.
    pub(crate) async fn catch_up(&self, dataset: &Path, catalogue: &Catalogue) -> Result<(), SearchError> {
        let mut known = self.read_files().await?;
        let there: HashMap<&str, &Source> = catalogue.files.iter().map(|s| (&*s.path, s)).collect();
        let gone = |(path, file): (&String, &Indexed)| {
            there.get(path.as_str()).is_none_or(|source| *source.sha256 != *file.sha256)
        };
        if known.iter().any(gone) {
            self.make_empty().await?;
            known = self.read_files().await?;
        }
        let mut next: i64 = known.values().map(|file| file.first + file.rows).max().unwrap_or(1);
        let mut waiting: Vec<(&Source, i64, Vec<Document>)> = Vec::new();
        let mut calls = 0;
        for source in catalogue.files.iter().filter(|source| !known.contains_key(&*source.path)) {
            let (folder, file) = (dataset.to_owned(), source.clone());
            let read = tokio::task::spawn_blocking(move || documents(&folder, &file)).await;
            let documents =
                read.map_err(|e| e.to_string()).and_then(|read| read).map_err(|e| self.wrong(e))?;
            calls += documents.len();
            let first = next;
            next += documents.len() as i64;
            waiting.push((source, first, documents));
            if calls >= CALLS_PER_TRANSACTION {
                self.write(&waiting).await?;
                waiting.clear();
                calls = 0;
            }
        }
        self.write(&waiting).await
    }

    /// The calls that meet the question.
    pub(crate) async fn said(&self, question: &str, catalogue: &Catalogue) -> Result<RowSet, SearchError> {
        let everything = || (0..catalogue.rows.len() as u32).collect();
        match expression(question).map_err(SearchError::Question)? {
            Asked::Nothing => Ok(everything()),
            Asked::Those(expression) => self.rows(expression, catalogue).await,
            Asked::AllBut(expression) => {
                let unwanted = self.rows(expression, catalogue).await?;
                Ok((0..catalogue.rows.len() as u32).filter(|row| !unwanted.contains(*row)).collect())
            }
        }
    }

    /// The calls in which all of these events or rules were found.
    pub(crate) async fn found(&self, marks: &[String], catalogue: &Catalogue) -> Result<RowSet, SearchError> {
        if marks.is_empty() {
            return Ok((0..catalogue.rows.len() as u32).collect());
        }
        let each = marks.iter().map(|mark| format!("marks : {}", mark_token(mark)));
        self.rows(each.collect::<Vec<_>>().join(" AND "), catalogue).await
    }

    async fn rows(&self, expression: String, catalogue: &Catalogue) -> Result<RowSet, SearchError> {
        let documents = self.documents(expression).await?;
        let files = self.files();
        let mut places: Vec<(i64, i64, u32)> = (catalogue.files.iter().zip(&catalogue.starts))
            .filter_map(|(source, start)| {
                let file = files.get(&*source.path)?;
                Some((file.first, file.first + file.rows, *start))
            })
            .collect();
        places.sort_unstable();
        let mut set = RowSet::default();
        let mut at = 0;
        for document in documents.iter().copied() {
            while places.get(at).is_some_and(|(_, end, _)| *end <= document) {
                at += 1;
            }
            let Some((first, _, start)) = places.get(at) else { break };
            if *first <= document {
                set.insert(start + (document - first) as u32);
            }
        }
        Ok(set)
    }

    async fn documents(&self, expression: String) -> Result<Arc<Vec<i64>>, SearchError> {
        if let Some((_, kept)) = self.answers().iter().find(|(kept, _)| *kept == expression) {
            return Ok(Arc::clone(kept));
        }
        let before = self.files();
        // One text with all numbers: a row a number would cost more than the search.
        let asked = sqlx::query("select group_concat(rowid) from said where said match $1").bind(&expression);
        let row = asked.fetch_one(&self.pool).await.map_err(|e| self.wrong(e))?;
        let text: Option<String> = row.try_get(0).map_err(|e| self.wrong(e))?;
        let numbers = text.unwrap_or_default();
        let mut found: Vec<i64> = numbers.split(',').filter_map(|number| number.parse().ok()).collect();
        found.sort_unstable();
        let found = Arc::new(found);
        let mut answers = self.answers();
        // Where the index changed meanwhile the answer may be of either state: it is not kept.
        if Arc::ptr_eq(&before, &self.files()) {
            answers.push_front((expression, Arc::clone(&found)));
            answers.truncate(KEPT_ANSWERS);
        }
        Ok(found)
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, VecDeque<Answer>> {
        // Only whole answers are put in: what another thread left behind is right.
        self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Reads what is in the index; answers of another state are forgotten.
    async fn read_files(&self) -> Result<Arc<Files>, SearchError> {
        let asked = sqlx::query("select path, sha256, first_document, rows from files");
        let rows = asked.fetch_all(&self.pool).await.map_err(|e| self.wrong(e))?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<_, sqlx::Error> {
            let file = Indexed { sha256: row.try_get(1)?, first: row.try_get(2)?, rows: row.try_get(3)? };
            Ok((row.try_get(0)?, file))
        };
        let files: Files = rows.iter().map(read).collect::<Result<_, _>>().map_err(|e| self.wrong(e))?;
        let files = Arc::new(files);
        *self.files.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&files);
        self.answers().clear();
        Ok(files)
    }

    async fn write(&self, files: &[(&Source, i64, Vec<Document>)]) -> Result<(), SearchError> {
        if files.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut transaction = self.pool.begin().await?;
            for (source, first, documents) in files {
                for (number, document) in documents.iter().enumerate() {
                    sqlx::query("insert into said (rowid, customer, agent, marks) values ($1, $2, $3, $4)")
                        .bind(first + number as i64)
                        .bind(&document.customer)
                        .bind(&document.agent)
                        .bind(&document.marks)
                        .execute(&mut *transaction)
                        .await?;
                }
                sqlx::query("insert into files (path, sha256, first_document, rows) values ($1, $2, $3, $4)")
                    .bind(&*source.path)
                    .bind(&*source.sha256)
                    .bind(first)
                    .bind(documents.len() as i64)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        written.await.map_err(|e| self.wrong(e))?;
        self.read_files().await.map(|_| ())
    }

    /// Takes everything out, in every byte of the file.
    pub(crate) async fn make_empty(&self) -> Result<(), SearchError> {
        let made = async {
            let mut connection = self.pool.acquire().await?;
            // What is dropped is overwritten, and what the log still holds goes with it.
            for statement in [
                "pragma secure_delete = on".to_owned(),
                "drop table if exists said".to_owned(),
                "drop table if exists files".to_owned(),
                "create virtual table if not exists said using fts5(customer, agent, marks, content='', columnsize=0, \
                 tokenize='unicode61 remove_diacritics 2')"
                    .to_owned(),
                "create table if not exists files (path text primary key, sha256 text not null, first_document integer not null, \
                 rows integer not null)"
                    .to_owned(),
                format!("pragma user_version = {VERSION}"),
                "vacuum".to_owned(),
                "pragma wal_checkpoint(truncate)".to_owned(),
            ] {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
            }
            Ok(())
        };
        made.await.map_err(|e: sqlx::Error| self.wrong(e))
    }

    async fn version(&self) -> Result<i64, SearchError> {
        let row =
            sqlx::query("pragma user_version").fetch_one(&self.pool).await.map_err(|e| self.wrong(e))?;
        row.try_get(0).map_err(|e| self.wrong(e))
    }

    fn wrong(&self, reason: impl std::fmt::Display) -> SearchError {
        SearchError::Index { path: self.path.display().to_string(), reason: reason.to_string() }
    }
}

async fn open_pool(path: &Path) -> Result<SqlitePool, SearchError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Made again where it is lost.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(std::time::Duration::from_secs(10));
    let opened = SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await;
    opened.map_err(|e| SearchError::Index { path: path.display().to_string(), reason: e.to_string() })
}

/// A file that is in the index.
struct Indexed {
    sha256: String,
    first: i64,
    rows: i64,
}

/// What is looked through of a call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Document {
    customer: String,
    agent: String,
    marks: String,
}

/// The documents of one committed file of calls, in the order of its rows.
fn documents(dataset: &Path, source: &Source) -> Result<Vec<Document>, String> {
    let mut order: Vec<String> = Vec::new();
    for batch in columns(dataset, &source.path, &["call_id"])? {
        order.extend(texts(&batch, "call_id")?.iter().flatten().map(str::to_owned));
    }
    let number: HashMap<&str, usize> = order.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    let mut documents: Vec<Document> = order.iter().map(|_| Document::default()).collect();
    let Some(rest) = source.path.strip_prefix("calls/") else {
        return Err(format!("{} lies outside calls/", source.path));
    };
    // Calls in which personal data was found: their lines wait until all are there.
    let mut personal: HashMap<usize, Vec<(bool, String)>> = HashMap::new();
    for batch in columns(dataset, &format!("events/{rest}"), &["call_id", "type", "rule_id"])? {
        let (ids, kinds, rules) =
            (texts(&batch, "call_id")?, texts(&batch, "type")?, texts(&batch, "rule_id")?);
        for at in 0..batch.num_rows() {
            let Some(call) = number.get(ids.value(at)).copied() else { continue };
            if kinds.value(at) == EventKind::Pii.as_str() {
                personal.entry(call).or_default();
            }
            let rule = rules.is_valid(at).then(|| rules.value(at));
            for mark in [Some(kinds.value(at)), rule].into_iter().flatten() {
                documents[call].marks.push_str(&mark_token(mark));
                documents[call].marks.push(' ');
            }
        }
    }
    for batch in
        columns(dataset, &format!("turns/{rest}"), &["call_id", "speaker", "text", "dropped_reason"])?
    {
        let (ids, speakers) = (texts(&batch, "call_id")?, texts(&batch, "speaker")?);
        let (said, dropped) = (texts(&batch, "text")?, texts(&batch, "dropped_reason")?);
        for at in (0..batch.num_rows()).filter(|at| dropped.is_null(*at)) {
            let Some(call) = number.get(ids.value(at)).copied() else { continue };
            let is_customer = speakers.value(at) == "customer";
            match personal.get_mut(&call) {
                Some(lines) => lines.push((is_customer, said.value(at).to_owned())),
                None => documents[call].say(is_customer, said.value(at)),
            }
        }
    }
    for (call, mut lines) in personal {
        hide_in_lines(&mut lines);
        for (is_customer, line) in &lines {
            documents[call].say(*is_customer, line);
        }
    }
    Ok(documents)
}

impl Document {
    fn say(&mut self, is_customer: bool, line: &str) {
        let side = if is_customer { &mut self.customer } else { &mut self.agent };
        side.push_str(line);
        side.push('\n');
    }
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::StringArray, String> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| format!("column {name} is missing, or no text"))
}

/// The name of an event or rule as one word of letters and digits, another one for each name.
fn mark_token(mark: &str) -> String {
    let mut token = String::from("m");
    for byte in mark.bytes() {
        if (byte.is_ascii_lowercase() && byte != b'x') || byte.is_ascii_digit() {
            token.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(token, "x{byte:02x}");
        }
    }
    token
}

/// A question in the language of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// There is no word in it.
    Nothing,
    Those(String),
    AllBut(String),
}

fn expression(question: &str) -> Result<Asked, &'static str> {
    if question.len() > MOST_QUESTION_BYTES {
        return Err("is longer than 800 bytes");
    }
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    let (mut words_in_all, mut beginnings) = (0, 0);
    let mut rest = question.trim();
    while !rest.is_empty() {
        let (is_unwanted, after) = rest.strip_prefix('-').map_or((false, rest), |after| (true, after));
        let sided = ["customer", "agent"]
            .into_iter()
            .find_map(|side| Some((side, after.strip_prefix(side)?.strip_prefix(':')?)));
        let (columns, after) = sided.map_or(("customer agent", after), |(side, after)| (side, after));
        let (words, is_prefix, after) = if let Some(quoted) = after.strip_prefix('"') {
            let (words, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            (words, false, after)
        } else {
            let (word, after) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
            let stem = word.trim_end_matches('*');
            (stem, stem.len() < word.len(), after)
        };
        rest = after.trim_start();
        if !words.chars().any(char::is_alphanumeric) {
            continue;
        }
        words_in_all += words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
        if is_prefix {
            beginnings += 1;
            if words.chars().count() < LEAST_BEGINNING {
                return Err("the beginning of a word has to have 3 letters");
            }
        }
        if words_in_all > MOST_WORDS || beginnings > MOST_BEGINNINGS {
            return Err("asks for more than 32 words, or 8 beginnings of words");
        }
        let list = if is_unwanted { &mut unwanted } else { &mut wanted };
        let star = if is_prefix { "*" } else { "" };
        list.push(format!("{{{columns}}} : \"{}\"{star}", words.replace('"', "\"\"")));
    }
    if wanted.is_empty() {
        let any: Vec<String> = unwanted.iter().map(|term| format!("({term})")).collect();
        return Ok(if any.is_empty() { Asked::Nothing } else { Asked::AllBut(any.join(" OR ")) });
    }
    let mut expression = format!("({})", wanted.join(" AND "));
    for term in unwanted {
        // Writing to a text cannot fail.
        let _ = write!(expression, " NOT ({term})");
    }
    Ok(Asked::Those(expression))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_an_expression_that_cannot_be_anything_else() {
        let of = |question| match expression(question).unwrap() {
            Asked::Those(expression) => expression,
            other => panic!("{other:?}"),
        };
        assert_eq!(of("refund"), r#"({customer agent} : "refund")"#);
        assert_eq!(
            of(r#"customer:"speak to" agent:trans* -robot"#),
            r#"({customer} : "speak to" AND {agent} : "trans"*) NOT ({customer agent} : "robot")"#
        );
        assert_eq!(
            of("a) OR marks:b"),
            r#"({customer agent} : "a)" AND {customer agent} : "OR" AND {customer agent} : "marks:b")"#
        );
        assert_eq!(of(r#""unfinished"#), r#"({customer agent} : "unfinished")"#);
        for none in ["", "  ", "!!!", "\"\"", "* - \""] {
            assert_eq!(expression(none), Ok(Asked::Nothing), "{none}");
        }
        let but = r#"({customer agent} : "robot") OR ({agent} : "menu")"#;
        assert_eq!(expression("-robot -agent:menu"), Ok(Asked::AllBut(but.to_owned())));
        for too_much in [
            "a ".repeat(33),
            format!("\"{}\"", "to the ".repeat(17)),
            "a*".into(),
            "abc* ".repeat(9),
            "x".repeat(900),
        ] {
            assert!(expression(&too_much).is_err(), "{too_much}");
        }
    }

    #[test]
    fn names_of_rules_stay_apart() {
        let names =
            ["human_request.a", "human_request_a", "human.request.a", "humanxrequest", "Human_request.a"];
        let tokens: std::collections::HashSet<String> = names.iter().map(|name| mark_token(name)).collect();
        assert_eq!(tokens.len(), names.len());
        assert!(tokens.iter().all(|t| t.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())));
    }
}
