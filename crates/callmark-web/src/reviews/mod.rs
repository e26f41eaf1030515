//! What people say of calls: judgements, comments, samples, disputes, who may do what, and who saw what.
//!
//! One code path for SQLite (the default, a file beside the search index) and PostgreSQL (by URL, where several servers
//! share reviews). A judgement names what it is about, what its author saw there, and by which version; the newest of one
//! person on one question counts, the older ones stay.

mod judgements;
mod people;
mod samples;
mod schema;
mod talk;

pub use judgements::{Judgement, NewJudgement, Question, Verdict};
pub use people::{Role, User};
pub use samples::{Sample, SampleKind};
pub use talk::{Comment, Dispute, DisputeAction};

pub(crate) use judgements::{missed_place, standing};
pub(crate) use people::Session;
pub(crate) use people::random_token;
pub(crate) use samples::{MOST_CALLS as MOST_SAMPLE_CALLS, NewSample, SavedView, draw};

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Executor as _, Row as _};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Connections to the database.
const CONNECTIONS: u32 = 8;
/// How long a question waits for one of them.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest text that a person may write into one field, in bytes.
const MOST_TEXT_BYTES: usize = 4_000;
/// Name of the database's file.
const FILE: &str = "reviews.sqlite";

/// Says in the folder that reviews are in a database elsewhere.
const ELSEWHERE: &str = "reviews.elsewhere";

/// Why something was not stored or found.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The database cannot be reached or refuses.
    #[error("the database of reviews: {0}")]
    Database(String),
    /// What was sent is not valid.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is somebody else's.
    #[error("only {0} may do that")]
    NotYours(&'static str),
}

impl From<sqlx::Error> for ReviewError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(e) if e.is_unique_violation() => {
                Self::Invalid { field: "name", reason: "is taken".to_owned() }
            }
            // What a driver says may quote what was to be stored.
            sqlx::Error::Database(e) => Self::Database(format!("refused ({})", e.code().unwrap_or_default())),
            other => Self::Database(other.to_string()),
        }
    }
}

type Done<T> = Result<T, ReviewError>;

/// The database of reviews.
#[derive(Debug, Clone)]
pub struct Reviews {
    pool: AnyPool,
    /// Whether it is a SQLite file.
    is_file: bool,
}

impl Reviews {
    /// Opens the database at `url` (`postgres://…`), or a file in `folder`, which is made where there is none; brings it to
    /// this version.
    ///
    /// # Errors
    /// Where it cannot be reached, or is of a newer version.
    pub async fn open(url: Option<&str>, folder: &Path) -> Result<Self, ReviewError> {
        sqlx::any::install_default_drivers();
        // Nobody else may read what is kept here.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| ReviewError::Database(format!("cannot be kept in {}: {e}", folder.display())))?;
        let is_file = url.is_none();
        let mark = folder.join(ELSEWHERE);
        if is_file && mark.exists() {
            return Err(ReviewError::Database(
                "of this dataset is a PostgreSQL one: name it by CALLMARK_DATABASE_URL or --database-url-file".to_owned(),
            ));
        }
        let url = url.map_or_else(
            || format!("sqlite://{}?mode=rwc", crate::text::percent_encode_path(&folder.join(FILE))),
            str::to_owned,
        );
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let options = options.after_connect(move |connection, _| {
            Box::pin(async move {
                if is_file {
                    // Full: what is acknowledged outlives a power cut.
                    connection.execute("pragma journal_mode = wal").await?;
                    connection.execute("pragma synchronous = full").await?;
                    connection.execute("pragma busy_timeout = 10000").await?;
                    connection.execute("pragma foreign_keys = on").await?;
                    connection.execute("pragma secure_delete = on").await?;
                }
                Ok(())
            })
        });
        let pool = options.connect(&url).await.map_err(|e| match e {
            // The message could hold the URL, and that a password.
            sqlx::Error::Configuration(_) => ReviewError::Database(
                "cannot be opened: use postgres://USER@HOST/NAME, or no --database".into(),
            ),
            other => ReviewError::Database(format!("cannot be opened: {other}")),
        })?;
        let migrated = schema::migrator().run(&pool).await;
        migrated.map_err(|e| ReviewError::Database(format!("cannot be brought to this version: {e}")))?;
        if !is_file {
            // Whoever comes without the URL, to export or to erase, must not take an empty file for the reviews.
            let marked = std::fs::write(&mark, "PostgreSQL\n");
            marked.map_err(|e| {
                ReviewError::Database(format!("cannot be noted in {}: {e}", folder.display()))
            })?;
        }
        Ok(Self { pool, is_file })
    }

    /// Takes everything about these calls out: judgements, comments, disputes, assignments, what the audit log says of them;
    /// and takes their ids and the `names` of their customers out of what people wrote elsewhere. Returns how many rows went
    /// or were changed.
    pub async fn erase(&self, call_ids: &[String], names: &[String]) -> Done<u64> {
        let mut transaction = self.pool.begin().await?;
        let mut rows = 0;
        for (table, key, column) in WRITTEN {
            for name in call_ids.iter().chain(names).filter(|name| name.len() >= LEAST_NAME_BYTES) {
                rows += take_out(&mut transaction, (table, key, column), name).await?;
            }
        }
        for id in call_ids {
            for statement in [
                "delete from judgements where call_id = $1",
                "delete from comments where call_id = $1",
                "delete from dispute_steps where dispute_id in (select dispute_id from disputes where call_id = $1)",
                "delete from disputes where call_id = $1",
                "delete from assignments where call_id = $1",
                "update audit set call_id = null where call_id = $1",
            ] {
                rows += sqlx::query(statement)
                    .bind(id.as_str())
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected();
            }
        }
        transaction.commit().await?;
        if self.is_file {
            // What is deleted is overwritten; and what the log still holds goes, too.
            let mut connection = self.pool.acquire().await?;
            connection.execute("vacuum").await?;
            connection.execute("pragma wal_checkpoint(truncate)").await?;
        }
        Ok(rows)
    }

    /// Another text whenever somebody has said something more.
    pub(crate) async fn revision(&self) -> Done<String> {
        let asked = sqlx::query("select coalesce(max(judgement_id), '') from judgements");
        text(&asked.fetch_one(&self.pool).await?, 0)
    }
}

/// What people write: table, its key, and the column.
const WRITTEN: [(&str, &str, &str); 10] = [
    ("judgements", "judgement_id", "value"),
    ("judgements", "judgement_id", "seen"),
    ("judgements", "judgement_id", "note"),
    ("comments", "comment_id", "body"),
    ("dispute_steps", "step_id", "body"),
    ("samples", "sample_id", "name"),
    ("samples", "sample_id", "query"),
    ("views", "view_id", "name"),
    ("views", "view_id", "query"),
    ("audit", "audit_id", "detail"),
];
/// A shorter id or key is a word or a number like any other.
const LEAST_NAME_BYTES: usize = 4;

/// Takes a name out of what was written in a column, and says in how many rows.
async fn take_out(
    transaction: &mut sqlx::Transaction<'_, sqlx::Any>,
    (table, key, column): (&str, &str, &str),
    name: &str,
) -> Done<u64> {
    let mut rows = 0;
    // Views and samples hold addresses.
    let encoded = crate::text::percent_encode(name);
    let written: &[&str] = if encoded == name { &[name] } else { &[name, &encoded] };
    for written in written {
        let pattern = written.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let sql = format!("select {key}, {column} from {table} where {column} like $1 escape '\\'");
        let asked = sqlx::query(AssertSqlSafe(sql)).bind(format!("%{pattern}%"));
        for row in asked.fetch_all(&mut **transaction).await? {
            let (id, before) = (text(&row, 0)?, text(&row, 1)?);
            let Some(mut after) = without_name(&before, written) else { continue };
            if (table, column) == ("samples", "name") {
                // No two samples have one name.
                after = format!("{after} {}", &id[id.len().saturating_sub(6)..]);
            }
            let sql = format!("update {table} set {column} = $1 where {key} = $2");
            rows += sqlx::query(AssertSqlSafe(sql))
                .bind(after)
                .bind(id)
                .execute(&mut **transaction)
                .await?
                .rows_affected();
        }
    }
    Ok(rows)
}

/// The text with something else where the name stood as a word of its own; `None` where it does not.
fn without_name(text: &str, name: &str) -> Option<String> {
    let mut after = String::with_capacity(text.len());
    let (mut rest, mut changed) = (text, false);
    while let Some(at) = rest.find(name) {
        let (before, behind) = (&rest[..at], &rest[at + name.len()..]);
        let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_part = touches(before.chars().next_back().or(after.chars().next_back()))
            || touches(behind.chars().next());
        after.push_str(before);
        after.push_str(if is_part { name } else { "[erased]" });
        changed |= !is_part;
        rest = behind;
    }
    after.push_str(rest);
    changed.then_some(after)
}

/// An id that begins with the time, so that ids sort as things happened.
fn new_id() -> Done<String> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0_u8; 10];
    getrandom::fill(&mut random).map_err(|e| ReviewError::Database(format!("no random numbers: {e}")))?;
    let random = crate::text::hex(&random);
    Ok(format!("{:014x}{random}", since_1970.as_micros() as u64))
}

pub(crate) fn now_ms() -> i64 {
    callmark_types::Timestamp::now().epoch_millis()
}

/// A text that a person wrote: without control characters, not empty, not too long.
fn checked(field: &'static str, text: &str) -> Done<String> {
    let text: String = text.replace("\r\n", "\n").trim().to_owned();
    let invalid = |reason: String| Err(ReviewError::Invalid { field, reason });
    if text.is_empty() {
        return invalid("is empty".to_owned());
    }
    if text.len() > MOST_TEXT_BYTES {
        return invalid(format!("is longer than {MOST_TEXT_BYTES} bytes"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return invalid("has control characters in it".to_owned());
    }
    Ok(text)
}

fn text(row: &AnyRow, at: usize) -> Done<String> {
    Ok(row.try_get(at)?)
}

fn optional(row: &AnyRow, at: usize) -> Done<Option<String>> {
    Ok(row.try_get(at)?)
}

fn number(row: &AnyRow, at: usize) -> Done<i64> {
    Ok(row.try_get(at)?)
}

#[cfg(test)]
mod tests {
    use super::without_name;

    #[test]
    fn names_are_taken_out_as_words_of_their_own() {
        let taken = without_name("see call-17, not call-170; (call-17)", "call-17");
        assert_eq!(taken.as_deref(), Some("see [erased], not call-170; ([erased])"));
        assert_eq!(without_name("call-170 xcall-17", "call-17"), None);
    }
}
