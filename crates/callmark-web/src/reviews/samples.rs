//! Which calls are to be reviewed, and by whom: samples drawn by a plan, assignments, and saved views.

use super::{Done, ReviewError, Reviews, User, checked, new_id, now_ms, number, text};
use crate::catalogue::Row;
use callmark_compare::stats::random::random_bits;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use utoipa::ToSchema;

/// Largest sample.
pub(crate) const MOST_CALLS: usize = 10_000;
/// Views that one person may save.
const MOST_VIEWS: i64 = 200;
/// Stream of random numbers that samples are drawn from.
const STREAM: u64 = 0x5A;
/// Name of the sample of calls that are assigned one by one.
const BY_HAND: &str = "assigned one by one";
/// People who share one sample.
const MOST_REVIEWERS: usize = 50;

/// How the calls of a sample are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SampleKind {
    /// Each call as likely as any other.
    Random,
    /// By chance, as many of each first handler: for comparing them.
    Stratified,
    /// The lowest customer sentiment first; who asked for a person in vain before all.
    WorstFirst,
    /// Those whose scores are least sure.
    LeastSure,
    /// Assigned one by one: nothing draws it.
    ByHand,
}

impl SampleKind {
    /// All of them, with what they are called on the page.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Random, "random", "at random"),
        (Self::Stratified, "stratified", "at random, as many of each first handler"),
        (Self::WorstFirst, "worst_first", "worst first"),
        (Self::LeastSure, "least_sure", "least sure first"),
        (Self::ByHand, "by_hand", "assigned one by one"),
    ];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, ..)| *kind == self).map_or("random", |(_, name, _)| name)
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| kind)
    }

    /// Whether chance alone picks within a first handler: what a correction by labels needs.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Random | Self::Stratified)
    }
}

/// A sample, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// How it was picked.
    pub kind: SampleKind,
    /// Of which calls: the address of a view.
    pub query: String,
    /// Whether it stands for all calls of each first handler.
    pub random: bool,
    /// Whether reviewers do not see each other's judgements until they are done.
    pub blind: bool,
    /// Who drew it.
    pub made_by: String,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
    /// Its calls.
    pub calls: i64,
}

/// A view that somebody keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SavedView {
    /// Its id.
    pub(crate) view_id: String,
    /// Its name.
    pub(crate) name: String,
    /// The address.
    pub(crate) query: String,
}

/// Picks `size` of the rows; the order is that in which they are to be reviewed.
///
/// `seed` decides what chance does: the same seed, the same calls.
pub(crate) fn draw(rows: &[(u32, &Row)], kind: SampleKind, size: usize, seed: u64) -> Vec<u32> {
    let mut keyed: Vec<(i64, u64, u32)> = rows
        .iter()
        .map(|(number, row)| {
            let key = match kind {
                SampleKind::Random | SampleKind::Stratified | SampleKind::ByHand => 0,
                SampleKind::WorstFirst if row.honoured == Some(false) => i64::MIN,
                SampleKind::WorstFirst if row.sentiment.is_nan() => i64::MAX,
                SampleKind::WorstFirst => (row.sentiment * 1e4) as i64,
                SampleKind::LeastSure => -((row.doubt() * 1e6) as i64),
            };
            (key, random_bits(seed, STREAM, u64::from(*number)), *number)
        })
        .collect();
    keyed.sort_unstable();
    if kind != SampleKind::Stratified {
        return keyed.into_iter().take(size).map(|(.., number)| number).collect();
    }
    let first_of: BTreeMap<u32, &str> =
        rows.iter().map(|(number, row)| (*number, row.first.map_or("", |first| first.as_str()))).collect();
    let mut strata: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (.., number) in keyed {
        strata.entry(first_of.get(&number).copied().unwrap_or_default()).or_default().push(number);
    }
    // One of each in turn, so that a stratum that runs out leaves its share to the others.
    let longest = strata.values().map(Vec::len).max().unwrap_or(0);
    let in_turn =
        (0..longest).flat_map(|at| strata.values().filter_map(move |stratum| stratum.get(at).copied()));
    in_turn.take(size).collect()
}

/// A sample to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewSample<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: SampleKind,
    pub(crate) query: &'a str,
    pub(crate) random: bool,
    /// Reviewers; with `blind`, each gets every call, otherwise they share them.
    pub(crate) reviewers: &'a [User],
    pub(crate) blind: bool,
    pub(crate) calls: &'a [&'a str],
}

impl Reviews {
    pub(crate) async fn add_sample(&self, sample: &NewSample<'_>, by: &User) -> Done<()> {
        let name = checked("name", sample.name)?;
        let invalid = |field, reason: String| Err(ReviewError::Invalid { field, reason });
        if name == BY_HAND {
            return invalid("name", "means something else here".to_owned());
        }
        if name.contains('\n') || name.len() > 100 {
            return invalid("name", "is longer than 100 bytes".to_owned());
        }
        if sample.calls.is_empty() {
            return invalid("size", "no call meets these conditions".to_owned());
        }
        if sample.reviewers.is_empty() || sample.reviewers.len() > MOST_REVIEWERS {
            return invalid("reviewers", format!("name 1 to {MOST_REVIEWERS}"));
        }
        if sample.blind && sample.reviewers.len() < 2 {
            return invalid("reviewers", "a blind second review takes two at least".to_owned());
        }
        let now = now_ms();
        let id = new_id()?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "insert into samples (sample_id, name, kind, query, random, blind, made_by, at_ms) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.as_str())
        .bind(name)
        .bind(sample.kind.as_str())
        .bind(sample.query)
        .bind(i64::from(sample.random))
        .bind(i64::from(sample.blind))
        .bind(by.user_id.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        for (at, call) in sample.calls.iter().enumerate() {
            let share = &sample.reviewers[at % sample.reviewers.len()..][..1];
            let whom = if sample.blind { sample.reviewers } else { share };
            for user in whom {
                sqlx::query(
                    "insert into assignments (assignment_id, sample_id, call_id, user_id, at_ms) \
                     values ($1, $2, $3, $4, $5)",
                )
                .bind(new_id()?)
                .bind(id.as_str())
                .bind(*call)
                .bind(user.user_id.as_str())
                .bind(now)
                .execute(&mut *transaction)
                .await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Gives a call to a reviewer who does not have it yet; all that is given so is one sample, [`BY_HAND`].
    pub(crate) async fn assign(&self, call_id: &str, to: &User, by: &User) -> Done<()> {
        let now = now_ms();
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "insert into samples (sample_id, name, kind, query, random, blind, made_by, at_ms) \
             values ($1, $2, $3, '', 0, 0, $4, $5) on conflict (name) do nothing",
        )
        .bind(new_id()?)
        .bind(BY_HAND)
        .bind(SampleKind::ByHand.as_str())
        .bind(by.user_id.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "insert into assignments (assignment_id, sample_id, call_id, user_id, at_ms) \
             select $1, s.sample_id, $2, $3, cast($4 as bigint) from samples s where s.name = $5 and not exists \
             (select 1 from assignments a where a.call_id = $2 and a.user_id = $3)",
        )
        .bind(new_id()?)
        .bind(call_id)
        .bind(to.user_id.as_str())
        .bind(now)
        .bind(BY_HAND)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Names of those who have this call to review.
    pub(crate) async fn assignees(&self, call_id: &str) -> Done<Vec<String>> {
        let asked = sqlx::query(
            "select distinct u.name from assignments a join users u on u.user_id = a.user_id \
             where a.call_id = $1 order by u.name",
        );
        asked.bind(call_id).fetch_all(&self.pool).await?.iter().map(|row| text(row, 0)).collect()
    }

    /// All samples, the newest first.
    pub async fn samples(&self) -> Done<Vec<Sample>> {
        let asked = sqlx::query(
            "select s.name, s.kind, s.query, s.random, s.blind, u.name, s.at_ms, \
             (select count(distinct a.call_id) from assignments a where a.sample_id = s.sample_id) \
             from samples s join users u on u.user_id = s.made_by order by s.sample_id desc",
        );
        let rows = asked.fetch_all(&self.pool).await?;
        let read = |row| {
            let kind = text(row, 1)?;
            Ok(Sample {
                name: text(row, 0)?,
                kind: SampleKind::parse(&kind)
                    .ok_or_else(|| ReviewError::Database("holds a sample of an unknown kind".to_owned()))?,
                query: text(row, 2)?,
                random: number(row, 3)? != 0,
                blind: number(row, 4)? != 0,
                made_by: text(row, 5)?,
                at_ms: number(row, 6)?,
                calls: number(row, 7)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Calls of a sample; `None` where there is no such sample.
    pub(crate) async fn sample_calls(&self, name: &str) -> Done<Option<HashSet<String>>> {
        let asked = sqlx::query("select sample_id from samples where name = $1");
        let Some(row) = asked.bind(name).fetch_optional(&self.pool).await? else { return Ok(None) };
        let asked = sqlx::query("select distinct call_id from assignments where sample_id = $1");
        let rows = asked.bind(text(&row, 0)?).fetch_all(&self.pool).await?;
        rows.iter().map(|row| text(row, 0)).collect::<Done<_>>().map(Some)
    }

    /// Calls that are assigned to a user.
    pub(crate) async fn assigned_calls(&self, user_id: &str) -> Done<HashSet<String>> {
        let asked = sqlx::query("select distinct call_id from assignments where user_id = $1");
        asked.bind(user_id).fetch_all(&self.pool).await?.iter().map(|row| text(row, 0)).collect()
    }

    /// Calls that a sample which stands for all calls has.
    pub(crate) async fn random_calls(&self) -> Done<HashSet<String>> {
        let asked = sqlx::query(
            "select distinct a.call_id from assignments a join samples s on s.sample_id = a.sample_id where s.random = 1",
        );
        asked.fetch_all(&self.pool).await?.iter().map(|row| text(row, 0)).collect()
    }

    /// Whether what others said of the call is to be hidden from this user: it is theirs in a blind sample, and they are not
    /// done with it.
    pub(crate) async fn is_blind(&self, call_id: &str, user_id: &str) -> Done<bool> {
        let asked = sqlx::query(
            "select count(*) from assignments a join samples s on s.sample_id = a.sample_id \
             where a.call_id = $1 and a.user_id = $2 and s.blind = 1",
        );
        let row = asked.bind(call_id).bind(user_id).fetch_one(&self.pool).await?;
        if number(&row, 0)? == 0 {
            return Ok(false);
        }
        let asked = sqlx::query(
            "select verdict from judgements where call_id = $1 and user_id = $2 and question = 'done' \
             order by judgement_id desc limit 1",
        );
        let last = asked.bind(call_id).bind(user_id).fetch_optional(&self.pool).await?;
        Ok(last.map(|row| text(&row, 0)).transpose()?.is_none_or(|verdict| verdict == "withdraw"))
    }

    /// Who has which call in a blind sample.
    pub(crate) async fn blind_reviewers(&self) -> Done<HashMap<String, HashSet<String>>> {
        let asked = sqlx::query(
            "select distinct a.call_id, u.name from assignments a join samples s on s.sample_id = a.sample_id \
             join users u on u.user_id = a.user_id where s.blind = 1",
        );
        let mut found: HashMap<String, HashSet<String>> = HashMap::new();
        for row in asked.fetch_all(&self.pool).await? {
            found.entry(text(&row, 0)?).or_default().insert(text(&row, 1)?);
        }
        Ok(found)
    }

    /// Calls of a sample that all who have them are done with.
    pub(crate) async fn sample_done(&self, name: &str, done: &HashSet<(String, String)>) -> Done<usize> {
        let asked = sqlx::query(
            "select a.call_id, a.user_id from assignments a join samples s on s.sample_id = a.sample_id where s.name = $1",
        );
        let mut is_done: HashMap<String, bool> = HashMap::new();
        for row in asked.bind(name).fetch_all(&self.pool).await? {
            let key = (text(&row, 0)?, text(&row, 1)?);
            *is_done.entry(key.0.clone()).or_insert(true) &= done.contains(&key);
        }
        Ok(is_done.into_values().filter(|done| *done).count())
    }

    /// Calls of which others' words are hidden from this user.
    pub(crate) async fn blind_calls(&self, user_id: &str) -> Done<HashSet<String>> {
        let asked = sqlx::query(
            "select distinct a.call_id from assignments a join samples s on s.sample_id = a.sample_id \
             where a.user_id = $1 and s.blind = 1",
        );
        let rows = asked.bind(user_id).fetch_all(&self.pool).await?;
        let mut blind: HashSet<String> = rows.iter().map(|row| text(row, 0)).collect::<Done<_>>()?;
        if !blind.is_empty() {
            let done = self.done_calls(Some(user_id)).await?;
            blind.retain(|call| !done.contains(call));
        }
        Ok(blind)
    }

    pub(crate) async fn views(&self, user: &User) -> Done<Vec<SavedView>> {
        let asked =
            sqlx::query("select view_id, name, query from views where user_id = $1 order by name, view_id");
        let rows = asked.bind(user.user_id.as_str()).fetch_all(&self.pool).await?;
        let read = |row| Ok(SavedView { view_id: text(row, 0)?, name: text(row, 1)?, query: text(row, 2)? });
        rows.iter().map(read).collect()
    }

    pub(crate) async fn save_view(&self, user: &User, name: &str, query: &str) -> Done<SavedView> {
        let name = checked("name", name)?;
        let now = now_ms();
        let view = SavedView { view_id: new_id()?, name, query: query.to_owned() };
        let asked = sqlx::query("select count(*) from views where user_id = $1");
        if number(&asked.bind(user.user_id.as_str()).fetch_one(&self.pool).await?, 0)? >= MOST_VIEWS {
            return Err(ReviewError::Invalid {
                field: "name",
                reason: format!("you have {MOST_VIEWS} views; delete one"),
            });
        }
        sqlx::query("insert into views (view_id, user_id, name, query, at_ms) values ($1, $2, $3, $4, $5)")
            .bind(view.view_id.as_str())
            .bind(user.user_id.as_str())
            .bind(view.name.as_str())
            .bind(query)
            .bind(now)
            .execute(&self.pool)
            .await?;
        Ok(view)
    }

    /// Deletes a view of this user.
    pub(crate) async fn delete_view(&self, user: &User, view_id: &str) -> Done<()> {
        let gone = sqlx::query("delete from views where view_id = $1 and user_id = $2");
        let gone = gone.bind(view_id).bind(user.user_id.as_str()).execute(&self.pool).await?;
        if gone.rows_affected() == 0 { Err(ReviewError::NotFound("view of yours")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::row;
    use callmark_types::Handler;

    #[test]
    fn strata_get_as_many_and_leave_what_they_lack_to_others() {
        let rows: Vec<Row> = (0..100)
            .map(|i| Row {
                first: Some(if i < 5 { Handler::Human } else { Handler::Ai }),
                ..row(&i.to_string())
            })
            .collect();
        let of: Vec<(u32, &Row)> = rows.iter().enumerate().map(|(i, row)| (i as u32, row)).collect();
        let picked = draw(&of, SampleKind::Stratified, 30, 7);
        assert_eq!((picked.len(), picked.iter().filter(|n| **n < 5).count()), (30, 5));
        assert_eq!(picked.iter().collect::<HashSet<_>>().len(), 30);
        assert_eq!(draw(&of, SampleKind::Stratified, 30, 7), picked);
        assert_ne!(draw(&of, SampleKind::Random, 30, 8), draw(&of, SampleKind::Random, 30, 7));
        assert_eq!(draw(&of, SampleKind::Random, 500, 7).len(), 100);
    }

    #[test]
    fn chance_favours_no_call() {
        let rows: Vec<Row> = (0..50).map(|i| row(&i.to_string())).collect();
        let of: Vec<(u32, &Row)> = rows.iter().enumerate().map(|(i, row)| (i as u32, row)).collect();
        let mut picked = [0_f64; 50];
        for seed in 0..2_000 {
            for n in draw(&of, SampleKind::Random, 10, seed) {
                picked[n as usize] += 1.0;
            }
        }
        // 400 expected of each, standard deviation 17.9.
        assert!(picked.iter().all(|n| (n - 400.0).abs() < 5.0 * 17.9), "{picked:?}");
    }

    #[test]
    fn the_worst_come_first() {
        let rows = [
            Row { sentiment: 1.0, ..row("a") },
            Row { sentiment: -4.0, ..row("b") },
            row("c"),
            Row { sentiment: 2.0, honoured: Some(false), ..row("d") },
        ];
        let of: Vec<(u32, &Row)> = rows.iter().enumerate().map(|(i, row)| (i as u32, row)).collect();
        assert_eq!(draw(&of, SampleKind::WorstFirst, 3, 1), [3, 1, 0]);
    }
}
