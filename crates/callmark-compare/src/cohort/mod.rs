//! Who is compared with whom: the calls of a dataset, column by column, by the handler that took them first.
//!
//! Intention to treat: a call that starts with the AI and ends with a person stays in the AI's arm. What is left out is
//! counted with its reason, and an unknown first handler is never guessed.

mod extract;
mod follow_up;

pub use extract::{CompareError, extract};
pub use follow_up::{REPEAT_DAYS, repeat_within};

use crate::stats::strata::Covariate;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Settled by the first handler.
    Resolved,
    /// Settled after a handoff to a person.
    EscalatedResolved,
    /// Left for another department with the matter open.
    Transferred,
    /// The customer gave up.
    Abandoned,
    /// Ended with the matter open.
    Unresolved,
    /// The transcript does not tell.
    Unknown,
}

impl Ended {
    /// All, in the order of tables.
    pub const ALL: [Self; 6] = [
        Self::Resolved,
        Self::EscalatedResolved,
        Self::Transferred,
        Self::Abandoned,
        Self::Unresolved,
        Self::Unknown,
    ];

    /// The value of the `outcome` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::EscalatedResolved => "escalated_resolved",
            Self::Transferred => "transferred",
            Self::Abandoned => "abandoned",
            Self::Unresolved => "unresolved",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the matter was settled, by whomever.
    pub fn is_resolved(self) -> bool {
        matches!(self, Self::Resolved | Self::EscalatedResolved)
    }
}

/// Names and, for each call, which of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coded {
    /// The distinct names, sorted; the first is what stands for "not known".
    pub names: Vec<String>,
    /// The name of each call, an index.
    pub codes: Vec<u16>,
}

/// The calls of a comparison. All columns have one entry a call.
#[derive(Debug, Clone, Default)]
pub struct Cohort {
    /// Whether the AI took the call first.
    pub ai: Vec<bool>,
    /// The customer, dense; `u32::MAX` where not known.
    pub customer: Vec<u32>,
    /// The first agent of calls that a person took first, dense; `u32::MAX` where not known or an AI.
    pub agent: Vec<u32>,
    /// Queue.
    pub queue: Coded,
    /// Issue.
    pub issue: Coded,
    /// Language.
    pub language: Coded,
    /// When the call began, ms since 1970; `i64::MIN` where not known.
    pub started_at: Vec<i64>,
    /// How it ended.
    pub ended: Vec<Ended>,
    /// Minutes until it was settled, or until it ended otherwise; not a number where not known.
    pub minutes: Vec<f64>,
    /// Whether the recording broke off, so that the end is not known.
    pub truncated: Vec<bool>,
    /// How sure the outcome is.
    pub confidence: Vec<f64>,
    /// Customer sentiment over the call; not a number where there is none.
    pub sentiment_overall: Vec<f64>,
    /// At its end.
    pub sentiment_end: Vec<f64>,
    /// At its start.
    pub sentiment_start: Vec<f64>,
    /// Requests for a person.
    pub human_requests: Vec<i32>,
    /// Requests answered with something else.
    pub deflections: Vec<i32>,
    /// Milliseconds until a person spoke; -1 where none did.
    pub time_to_human: Vec<i64>,
    /// Minutes that people handled the call; not a number where not known.
    pub human_minutes: Vec<f64>,
    /// Whether a person ever handled it.
    pub reached_human: Vec<bool>,
    /// Whether an AI said that it is one.
    pub disclosed: Vec<bool>,
    /// Whether the row is trusted less.
    pub low_trust: Vec<bool>,
    /// Average probability of the recognised words; not a number where not known.
    pub asr_confidence: Vec<f64>,
    /// The id of each call, where labels are to be joined; else empty.
    pub call_ids: Vec<String>,
    /// Calls in the dataset.
    pub seen: u64,
    /// What was left out: reason and calls.
    pub excluded: Vec<(String, u64)>,
}

impl Cohort {
    /// How many calls are compared.
    pub fn len(&self) -> usize {
        self.ai.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ai.is_empty()
    }

    /// How many calls an arm has.
    pub fn count(&self, ai: bool) -> usize {
        self.ai.iter().filter(|a| **a == ai).count()
    }

    /// The four-hour band of the day in which each call began, UTC.
    pub fn hour_band(&self) -> Coded {
        let names = ["unknown", "00-04", "04-08", "08-12", "12-16", "16-20", "20-24"];
        let code = |started: &i64| match *started {
            i64::MIN => 0,
            ms => 1 + (ms.rem_euclid(86_400_000) / 14_400_000) as u16,
        };
        Coded { names: names.map(str::to_owned).to_vec(), codes: self.started_at.iter().map(code).collect() }
    }

    /// The covariates by name, for the calls at `rows`; those of one level only are left out.
    pub fn covariates(&self, names: &[String], rows: &[usize]) -> Vec<Covariate> {
        let columns = names.iter().filter_map(|name| {
            let coded = match name.as_str() {
                "issue" => self.issue.clone(),
                "queue" => self.queue.clone(),
                "language" => self.language.clone(),
                "hour" => self.hour_band(),
                _ => return None,
            };
            Some(compact(name, &coded, rows))
        });
        columns.filter(|covariate| covariate.levels.len() > 1).collect()
    }
}

/// Only the levels that occur among `rows`, the most frequent first: it is the reference level.
fn compact(name: &str, coded: &Coded, rows: &[usize]) -> Covariate {
    let mut counts = vec![0u64; coded.names.len()];
    for row in rows {
        counts[usize::from(coded.codes[*row])] += 1;
    }
    let mut order: Vec<usize> = (0..counts.len()).filter(|c| counts[*c] > 0).collect();
    order.sort_by_key(|c| std::cmp::Reverse(counts[*c]));
    let mut place = vec![0u16; counts.len()];
    for (position, code) in order.iter().enumerate() {
        place[*code] = position as u16;
    }
    Covariate {
        name: name.to_owned(),
        levels: order.iter().map(|code| coded.names[*code].clone()).collect(),
        codes: rows.iter().map(|row| place[usize::from(coded.codes[*row])]).collect(),
    }
}
