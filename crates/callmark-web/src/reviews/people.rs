//! Who reviews, what each may do, and who is logged in.

use super::{Done, ReviewError, Reviews, checked, new_id, now_ms, number, optional, text};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use std::sync::OnceLock;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// A session that nobody uses ends after this.
pub(crate) const IDLE_MS: i64 = 8 * 3_600_000;
/// A session ends after this.
const LONGEST_MS: i64 = 24 * 3_600_000;
/// A session's last use is written down no more often than this.
const SEEN_EVERY_MS: i64 = 60_000;
/// Passwords have at least so many characters (NIST SP 800-63B asks for 8 at least, 15 where nothing else protects).
const LEAST_PASSWORD: usize = 12;
/// And at most so many bytes.
const MOST_PASSWORD: usize = 256;
/// Longest name.
const MOST_NAME: usize = 100;
/// Names that stand for something else: the user of this machine, and what was found automatically.
const RESERVED: [&str; 2] = ["me", "scores"];
/// Marks of direction and spaces of no width.
const INVISIBLE: [char; 14] = [
    '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];
/// Passwords that are hashed at the same time: each takes 19 MiB.
const HASHES_AT_ONCE: usize = 2;

/// What a person may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees calls, with personal data hidden.
    Viewer,
    /// Judges, comments, disputes.
    Reviewer,
    /// Draws samples, assigns, settles disputes, hears originals, exports.
    Lead,
    /// Manages accounts, reads the audit log.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Reviewer, Self::Lead, Self::Admin];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Reviewer => "reviewer",
            Self::Lead => "lead",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Id, which no other user ever has.
    #[serde(skip)]
    pub user_id: String,
    /// Name to log in by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may log in.
    pub active: bool,
}

/// A login.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) user: User,
    /// What a form of this session has to bring back.
    pub(crate) csrf: String,
}

/// Passwords are hashed with what OWASP asks of argon2id at least: 19 MiB, 2 passes, 1 lane, the library's defaults.
fn hasher() -> Argon2<'static> {
    Argon2::default()
}

/// Hashes a password; `None` checks nothing, and takes as long.
async fn hash(password: String) -> Done<String> {
    let failed = |e: String| ReviewError::Database(format!("a password cannot be hashed: {e}"));
    let _turn = turn().await;
    let hashed = tokio::task::spawn_blocking(move || {
        hasher().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|e| e.to_string())
    });
    hashed.await.map_err(|e| failed(e.to_string()))?.map_err(failed)
}

async fn matches(password: String, stored: String) -> bool {
    let _turn = turn().await;
    let checked = tokio::task::spawn_blocking(move || {
        let hash = PasswordHash::new(&stored);
        hash.is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
    });
    checked.await.unwrap_or(false)
}

async fn turn() -> Option<tokio::sync::SemaphorePermit<'static>> {
    static TURNS: OnceLock<Semaphore> = OnceLock::new();
    // It is never closed.
    TURNS.get_or_init(|| Semaphore::new(HASHES_AT_ONCE)).acquire().await.ok()
}

/// The digest under which a session's token is stored: who reads the database cannot log in.
fn digest(token: &str) -> String {
    crate::text::hex(&Sha256::digest(token.as_bytes()))
}

/// 32 random bytes, hex.
pub(crate) fn random_token() -> Done<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| ReviewError::Database(format!("no random numbers: {e}")))?;
    Ok(crate::text::hex(&bytes))
}

fn checked_name(name: &str) -> Done<String> {
    let name = checked("name", name)?;
    let invalid = |reason: String| Err(ReviewError::Invalid { field: "name", reason });
    if name.len() > MOST_NAME {
        return invalid(format!("is longer than {MOST_NAME} bytes"));
    }
    // Names stand in lists, and what cannot be seen makes two people look like one.
    if name.chars().any(|c| c.is_control() || c == ',' || INVISIBLE.contains(&c)) {
        return invalid("has a comma or a character that does not show".to_owned());
    }
    Ok(name)
}

fn checked_password(password: &str) -> Done<()> {
    if password.trim().chars().count() < LEAST_PASSWORD || password.len() > MOST_PASSWORD {
        let reason = format!("has to have {LEAST_PASSWORD} to {MOST_PASSWORD} characters");
        return Err(ReviewError::Invalid { field: "password", reason });
    }
    Ok(())
}

impl Reviews {
    /// Adds a user who logs in with a password.
    pub async fn add_user(&self, name: &str, role: Role, password: &str) -> Done<User> {
        let name = checked_name(name)?;
        if RESERVED.contains(&name.as_str()) {
            return Err(ReviewError::Invalid {
                field: "name",
                reason: "means something else here".to_owned(),
            });
        }
        if password.eq_ignore_ascii_case(&name) {
            return Err(ReviewError::Invalid { field: "password", reason: "is the name".to_owned() });
        }
        checked_password(password)?;
        let hash = hash(password.to_owned()).await?;
        self.insert_user(&name, role, Some(hash)).await
    }

    async fn insert_user(&self, name: &str, role: Role, hash: Option<String>) -> Done<User> {
        let now = now_ms();
        let user = User { user_id: new_id()?, name: name.to_owned(), role, active: true };
        sqlx::query(
            "insert into users (user_id, name, role, password_hash, created_ms) values ($1, $2, $3, $4, $5)",
        )
        .bind(user.user_id.as_str())
        .bind(name)
        .bind(role.as_str())
        .bind(hash)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(user)
    }

    /// The user of that name, made where there is none: for whom somebody else has let in (a proxy, or this machine's own
    /// user). Their role is what it is told to be now; where nothing is told, it stays, and a new user is a reviewer.
    pub(crate) async fn known_user(&self, name: &str, role: Option<Role>) -> Done<User> {
        let name = checked_name(name)?;
        if let Some((mut user, _)) = self.user_by_name(&name).await? {
            if let Some(role) = role.filter(|role| *role != user.role) {
                self.set_role(&name, role).await?;
                user.role = role;
            }
            return Ok(user);
        }
        match self.insert_user(&name, role.unwrap_or(Role::Reviewer), None).await {
            // Another request was first.
            Err(ReviewError::Invalid { .. }) => {
                self.user_by_name(&name).await?.map(|(user, _)| user).ok_or(ReviewError::NotFound("user"))
            }
            made => made,
        }
    }

    /// Changes what a user may do.
    pub async fn set_role(&self, name: &str, role: Role) -> Done<()> {
        let changed = sqlx::query("update users set role = $1 where name = $2");
        let changed = changed.bind(role.as_str()).bind(name).execute(&self.pool).await?;
        if changed.rows_affected() == 0 { Err(ReviewError::NotFound("user")) } else { Ok(()) }
    }

    /// Gives a user another password, and ends their sessions.
    pub async fn set_password(&self, name: &str, password: &str) -> Done<()> {
        checked_password(password)?;
        let hash = hash(password.to_owned()).await?;
        let changed = sqlx::query("update users set password_hash = $1 where name = $2");
        let changed = changed.bind(hash).bind(name).execute(&self.pool).await?;
        if changed.rows_affected() == 0 {
            return Err(ReviewError::NotFound("user"));
        }
        self.end_sessions(name).await
    }

    /// Lets a user log in no more, and ends their sessions; or lets them again. What they said stays.
    pub async fn set_active(&self, name: &str, active: bool) -> Done<()> {
        let disabled = (!active).then(now_ms);
        let changed = sqlx::query("update users set disabled_ms = $1 where name = $2");
        let changed = changed.bind(disabled).bind(name).execute(&self.pool).await?;
        if changed.rows_affected() == 0 {
            return Err(ReviewError::NotFound("user"));
        }
        self.end_sessions(name).await
    }

    async fn end_sessions(&self, name: &str) -> Done<()> {
        let ended =
            sqlx::query("delete from sessions where user_id in (select user_id from users where name = $1)");
        ended.bind(name).execute(&self.pool).await?;
        Ok(())
    }

    /// All users, by name.
    pub async fn users(&self) -> Done<Vec<User>> {
        let asked = sqlx::query("select user_id, name, role, disabled_ms from users order by name");
        asked.fetch_all(&self.pool).await?.iter().map(user).collect()
    }

    pub(crate) async fn user_by_name(&self, name: &str) -> Done<Option<(User, Option<String>)>> {
        let asked =
            sqlx::query("select user_id, name, role, disabled_ms, password_hash from users where name = $1");
        let row = asked.bind(name).fetch_optional(&self.pool).await?;
        row.map(|row| Ok((user(&row)?, optional(&row, 4)?))).transpose()
    }

    /// A new session of whoever has this name and password: its token, or nothing. It takes as long where there is no such
    /// user.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Done<Option<(String, User)>> {
        if password.len() > MOST_PASSWORD {
            return Ok(None);
        }
        let found = self.user_by_name(name).await?;
        let stored = found.as_ref().and_then(|(_, hash)| hash.clone());
        let is_right = if let Some(stored) = stored {
            matches(password.to_owned(), stored).await
        } else {
            hash(password.to_owned()).await?;
            false
        };
        match found {
            Some((user, _)) if is_right && user.active => Ok(Some((self.start_session(&user).await?, user))),
            _ => Ok(None),
        }
    }

    /// Starts a session; gives its token, which is stored nowhere.
    pub(crate) async fn start_session(&self, user: &User) -> Done<String> {
        let (token, now) = (random_token()?, now_ms());
        let oldest = sqlx::query("delete from sessions where seen_ms < $1 or created_ms < $2");
        oldest.bind(now - IDLE_MS).bind(now - LONGEST_MS).execute(&self.pool).await?;
        sqlx::query(
            "insert into sessions (token_sha256, user_id, csrf, created_ms, seen_ms) values ($1, $2, $3, $4, $5)",
        )
        .bind(digest(&token))
        .bind(user.user_id.as_str())
        .bind(random_token()?)
        .bind(now)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(token)
    }

    /// The session of this token, where it goes on.
    pub(crate) async fn session(&self, token: &str) -> Done<Option<Session>> {
        let now = now_ms();
        let asked = sqlx::query(
            "select u.user_id, u.name, u.role, u.disabled_ms, s.csrf, s.created_ms, s.seen_ms from sessions s \
             join users u on u.user_id = s.user_id where s.token_sha256 = $1",
        );
        let Some(row) = asked.bind(digest(token)).fetch_optional(&self.pool).await? else { return Ok(None) };
        let (user, csrf) = (user(&row)?, text(&row, 4)?);
        let (created, seen) = (number(&row, 5)?, number(&row, 6)?);
        if !user.active || now - seen > IDLE_MS || now - created > LONGEST_MS {
            return Ok(None);
        }
        if now - seen > SEEN_EVERY_MS {
            let seen = sqlx::query("update sessions set seen_ms = $1 where token_sha256 = $2");
            seen.bind(now).bind(digest(token)).execute(&self.pool).await?;
        }
        Ok(Some(Session { user, csrf }))
    }

    pub(crate) async fn end_session(&self, token: &str) -> Done<()> {
        let ended = sqlx::query("delete from sessions where token_sha256 = $1");
        ended.bind(digest(token)).execute(&self.pool).await?;
        Ok(())
    }
}

fn user(row: &AnyRow) -> Done<User> {
    let role = text(row, 2)?;
    let disabled: Option<i64> = sqlx::Row::try_get(row, 3)?;
    Ok(User {
        user_id: text(row, 0)?,
        name: text(row, 1)?,
        role: Role::parse(&role)
            .ok_or_else(|| ReviewError::Database(format!("holds the unknown role {role:?}")))?,
        active: disabled.is_none(),
    })
}
