//! What people say to each other about a call: comments, disputes and how they were settled; and who saw and heard what.

use super::{Done, ReviewError, Reviews, Role, User, checked, new_id, now_ms, number, optional, text};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Entries of the audit log on one page.
pub(crate) const AUDIT_PAGE: i64 = 200;

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Comment {
    /// Who wrote it.
    pub author: String,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
    /// What.
    pub body: String,
}

/// What may happen to a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisputeAction {
    /// It is raised.
    Raise,
    /// Something is said to it.
    Answer,
    /// A lead settles it: what was judged stands.
    Uphold,
    /// A lead settles it: what was judged does not stand.
    Overturn,
    /// Who raised it takes it back.
    TakeBack,
}

impl DisputeAction {
    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Answer => "answer",
            Self::Uphold => "uphold",
            Self::Overturn => "overturn",
            Self::TakeBack => "take_back",
        }
    }

    /// The action of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Raise, Self::Answer, Self::Uphold, Self::Overturn, Self::TakeBack]
            .into_iter()
            .find(|action| action.as_str() == name)
    }

    fn ends(self) -> bool {
        matches!(self, Self::Uphold | Self::Overturn | Self::TakeBack)
    }
}

/// A dispute with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dispute {
    /// Its id.
    pub dispute_id: String,
    /// The call.
    pub call_id: String,
    /// What is disputed.
    pub question: String,
    /// Who raised it.
    pub raised_by: String,
    /// Whether nobody has ended it.
    pub open: bool,
    /// Who did what, in order.
    pub steps: Vec<DisputeStep>,
}

/// Something that happened to a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DisputeStep {
    /// Who.
    pub author: String,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
    /// What.
    pub action: DisputeAction,
    /// What was said.
    pub body: String,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    pub(crate) audit_id: String,
    pub(crate) at_ms: i64,
    pub(crate) user: Option<String>,
    pub(crate) action: String,
    pub(crate) call_id: Option<String>,
    pub(crate) detail: Option<String>,
}

impl Reviews {
    /// Adds a comment.
    pub async fn comment(&self, call_id: &str, by: &User, body: &str) -> Done<()> {
        let (body, now) = (checked("body", body)?, now_ms());
        sqlx::query(
            "insert into comments (comment_id, call_id, user_id, at_ms, body) values ($1, $2, $3, $4, $5)",
        )
        .bind(new_id()?)
        .bind(call_id)
        .bind(by.user_id.as_str())
        .bind(now)
        .bind(body)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Comments on a call, in order.
    pub async fn comments(&self, call_id: &str) -> Done<Vec<Comment>> {
        let asked = sqlx::query(
            "select u.name, c.at_ms, c.body from comments c join users u on u.user_id = c.user_id \
             where c.call_id = $1 order by c.comment_id",
        );
        let rows = asked.bind(call_id).fetch_all(&self.pool).await?;
        let read = |row| Ok(Comment { author: text(row, 0)?, at_ms: number(row, 1)?, body: text(row, 2)? });
        rows.iter().map(read).collect()
    }

    /// Raises a dispute; gives its id.
    pub async fn raise(&self, call_id: &str, by: &User, question: &str, body: &str) -> Done<String> {
        let (question, body) = (checked("question", question)?, checked("body", body)?);
        let now = now_ms();
        let id = new_id()?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "insert into disputes (dispute_id, call_id, question, raised_by, at_ms) values ($1, $2, $3, $4, $5)",
        )
        .bind(id.as_str())
        .bind(call_id)
        .bind(question)
        .bind(by.user_id.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        step(&mut transaction, &id, by, DisputeAction::Raise, &body).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The call that a dispute is about.
    pub(crate) async fn dispute_call(&self, dispute_id: &str) -> Done<String> {
        let asked = sqlx::query("select call_id from disputes where dispute_id = $1");
        let row = asked.bind(dispute_id).fetch_optional(&self.pool).await?;
        text(&row.ok_or(ReviewError::NotFound("dispute"))?, 0)
    }

    /// Goes on with a dispute: leads settle it, who raised it takes it back, anybody answers.
    pub async fn go_on(&self, dispute_id: &str, by: &User, action: DisputeAction, body: &str) -> Done<()> {
        let asked = sqlx::query("select raised_by from disputes where dispute_id = $1");
        let row = asked.bind(dispute_id).fetch_optional(&self.pool).await?;
        let raised_by = text(&row.ok_or(ReviewError::NotFound("dispute"))?, 0)?;
        match action {
            DisputeAction::Raise => {
                return Err(ReviewError::Invalid {
                    field: "action",
                    reason: "it is raised already".to_owned(),
                });
            }
            DisputeAction::Uphold | DisputeAction::Overturn if by.role < Role::Lead => {
                return Err(ReviewError::NotYours("a lead"));
            }
            DisputeAction::Uphold | DisputeAction::Overturn if raised_by == by.user_id => {
                return Err(ReviewError::NotYours("another lead than who raised it"));
            }
            DisputeAction::TakeBack if raised_by != by.user_id => {
                return Err(ReviewError::NotYours("who raised it"));
            }
            _ => {}
        }
        let body = checked("body", body)?;
        let mut transaction = self.pool.begin().await?;
        // One after the other: who comes second sees what the first did.
        let held = sqlx::query("update disputes set at_ms = at_ms where dispute_id = $1");
        held.bind(dispute_id).execute(&mut *transaction).await?;
        let asked = sqlx::query(
            "select action from dispute_steps where dispute_id = $1 order by step_id desc limit 1",
        );
        let last = text(&asked.bind(dispute_id).fetch_one(&mut *transaction).await?, 0)?;
        if DisputeAction::parse(&last).is_some_and(DisputeAction::ends) {
            return Err(ReviewError::Invalid {
                field: "action",
                reason: "the dispute is settled".to_owned(),
            });
        }
        step(&mut transaction, dispute_id, by, action, &body).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Disputes about a call, or all that are open, in order.
    pub async fn disputes(&self, call_id: Option<&str>) -> Done<Vec<Dispute>> {
        let asked = sqlx::query(
            "select d.dispute_id, d.call_id, d.question, r.name, u.name, s.at_ms, s.action, s.body \
             from disputes d join users r on r.user_id = d.raised_by \
             join dispute_steps s on s.dispute_id = d.dispute_id join users u on u.user_id = s.user_id \
             where $1 = '' or d.call_id = $2 order by d.dispute_id, s.step_id",
        );
        let rows = asked.bind(call_id.unwrap_or_default()).bind(call_id.unwrap_or_default());
        let mut found: Vec<Dispute> = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            let id = text(&row, 0)?;
            if found.last().is_none_or(|last| last.dispute_id != id) {
                found.push(Dispute {
                    dispute_id: id,
                    call_id: text(&row, 1)?,
                    question: text(&row, 2)?,
                    raised_by: text(&row, 3)?,
                    open: true,
                    steps: Vec::new(),
                });
            }
            let action = DisputeAction::parse(&text(&row, 6)?)
                .ok_or_else(|| ReviewError::Database("holds an unknown step of a dispute".to_owned()))?;
            let Some(dispute) = found.last_mut() else { continue };
            dispute.open &= !action.ends();
            dispute.steps.push(DisputeStep {
                author: text(&row, 4)?,
                at_ms: number(&row, 5)?,
                action,
                body: text(&row, 7)?,
            });
        }
        found.retain(|dispute| call_id.is_some() || dispute.open);
        Ok(found)
    }

    /// When a lead last said of a question on a call that what was judged does not stand.
    pub(crate) async fn overturned(&self) -> Done<HashMap<(String, String), i64>> {
        let asked = sqlx::query(
            "select d.call_id, d.question, max(s.at_ms) from disputes d \
             join dispute_steps s on s.dispute_id = d.dispute_id where s.action = 'overturn' group by d.call_id, d.question",
        );
        let rows = asked.fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(((text(row, 0)?, text(row, 1)?), number(row, 2)?))).collect()
    }

    /// Writes down who did what with which call.
    pub(crate) async fn audit(
        &self,
        by: Option<&User>,
        action: &str,
        call_id: Option<&str>,
        detail: Option<&str>,
    ) -> Done<()> {
        let now = now_ms();
        sqlx::query(
            "insert into audit (audit_id, at_ms, user_id, action, call_id, detail) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new_id()?)
        .bind(now)
        .bind(by.map(|user| user.user_id.clone()))
        .bind(action)
        .bind(call_id.map(str::to_owned))
        .bind(detail.map(str::to_owned))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The newest entries of the audit log before `before`, of a call and a user where they are named.
    pub(crate) async fn audit_log(
        &self,
        before: Option<&str>,
        call_id: &str,
        user: &str,
    ) -> Done<Vec<AuditEntry>> {
        let asked = sqlx::query(
            "select a.audit_id, a.at_ms, u.name, a.action, a.call_id, a.detail from audit a \
             left join users u on u.user_id = a.user_id where a.audit_id < $1 and ($2 = '' or a.call_id = $2) \
             and ($3 = '' or u.name = $3) order by a.audit_id desc limit $4",
        );
        // Ids are hexadecimal: all of them sort before this, in any collation.
        let asked = asked.bind(before.unwrap_or("g")).bind(call_id).bind(user).bind(AUDIT_PAGE);
        let rows = asked.fetch_all(&self.pool).await?;
        let read = |row| {
            Ok(AuditEntry {
                audit_id: text(row, 0)?,
                at_ms: number(row, 1)?,
                user: optional(row, 2)?,
                action: text(row, 3)?,
                call_id: optional(row, 4)?,
                detail: optional(row, 5)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

async fn step(
    transaction: &mut sqlx::Transaction<'_, sqlx::Any>,
    dispute_id: &str,
    by: &User,
    action: DisputeAction,
    body: &str,
) -> Done<()> {
    let now = now_ms();
    sqlx::query(
        "insert into dispute_steps (step_id, dispute_id, user_id, at_ms, action, body) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(new_id()?)
    .bind(dispute_id)
    .bind(by.user_id.as_str())
    .bind(now)
    .bind(action.as_str())
    .bind(body)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
