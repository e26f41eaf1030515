//! Who is compared with whom: the calls of a dataset, column by column, by the handler that took them first.
//!
//! Intention to treat: a call that starts with the AI and ends with a person stays in the AI's arm. What is left out is
//! counted with its reason, and an unknown first handler is never guessed.

mod columns;
mod extract;
mod follow_up;
mod labels;
mod values;

pub use extract::{CompareError, extract};
pub use follow_up::{FollowUp, REPEAT_DAYS};
pub use labels::{LabelError, Labels, Review};

use crate::stats::clusters::Clusters;
use crate::stats::strata::Covariate;
use std::borrow::Cow;

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
    /// Minutes until the customer first asked for a person; not a number where he did not, or when is not known.
    pub minutes_to_request: Vec<f64>,
    /// Milliseconds that were recorded after the first request for a person; -1 where not known.
    pub heard_after_request: Vec<i64>,
    /// Minutes that people handled the call; not a number where not known.
    pub human_minutes: Vec<f64>,
    /// Whether a person ever handled it; `None` where nothing tells.
    pub reached_human: Vec<Option<bool>>,
    /// Whether an AI said that it is one.
    pub disclosed: Vec<bool>,
    /// Whether the row is trusted less.
    pub low_trust: Vec<bool>,
    /// Average probability of the recognised words; not a number where not known.
    pub asr_confidence: Vec<f64>,
    /// What the customer answered to a survey; not a number where nothing.
    pub survey: Vec<f64>,
    /// What a reviewer said of the call.
    pub reviewed: Vec<Review>,
    /// Whether there is a file of reviews.
    pub has_reviews: bool,
    /// Whether there is a survey.
    pub has_survey: bool,
    /// What customers did after each call.
    pub follow_up: FollowUp,
    /// Calls that were reviewed, whether they are compared or not.
    pub reviews: u64,
    /// Reviews left out because their calls were not picked by chance.
    pub reviews_not_random: u64,
    /// Values that cannot be, a call of a thousand years or a sentiment of 7: taken for not known.
    pub implausible: u64,
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

    /// How many calls are of customers that are known.
    pub fn customers_known(&self) -> usize {
        self.customer.iter().filter(|customer| **customer != Clusters::ALONE).count()
    }

    /// Whether a recording breaks off before the matter is settled: how the call ended is not known.
    pub fn breaks_off(&self, call: usize) -> bool {
        self.truncated[call] && !self.ended[call].is_resolved()
    }

    /// Which calls belong together.
    pub fn clusters(&self) -> Clusters<'_> {
        let any_agent = self.agent.iter().any(|agent| *agent != Clusters::ALONE);
        Clusters { customer: &self.customer, agent: any_agent.then_some(&self.agent) }
    }

    /// Arms and clusters of the calls at `rows`: what a difference among them is made of. Other columns stay empty.
    pub(crate) fn part(&self, rows: &[usize]) -> Self {
        let of = |column: &[u32]| rows.iter().map(|i| column[*i]).collect();
        let ai = rows.iter().map(|i| self.ai[*i]).collect();
        Self { ai, customer: of(&self.customer), agent: of(&self.agent), ..Self::default() }
    }

    /// Puts the calls in the order of `order`, and numbers customers and agents as they come, so that nothing depends on
    /// the order in which calls were added.
    pub(crate) fn reorder(&mut self, order: &[u32]) {
        fn column<T: Copy>(column: &mut Vec<T>, order: &[u32]) {
            *column = order.iter().map(|i| column[*i as usize]).collect();
        }
        column(&mut self.ai, order);
        column(&mut self.customer, order);
        column(&mut self.agent, order);
        for coded in [&mut self.queue, &mut self.issue, &mut self.language] {
            column(&mut coded.codes, order);
        }
        column(&mut self.started_at, order);
        column(&mut self.ended, order);
        for flags in [&mut self.truncated, &mut self.disclosed, &mut self.low_trust] {
            column(flags, order);
        }
        column(&mut self.reached_human, order);
        for numbers in [
            &mut self.minutes,
            &mut self.confidence,
            &mut self.sentiment_overall,
            &mut self.sentiment_end,
            &mut self.sentiment_start,
            &mut self.human_minutes,
            &mut self.asr_confidence,
            &mut self.survey,
            &mut self.minutes_to_request,
        ] {
            column(numbers, order);
        }
        column(&mut self.human_requests, order);
        column(&mut self.deflections, order);
        column(&mut self.time_to_human, order);
        column(&mut self.heard_after_request, order);
        self.follow_up.reorder(order);
        column(&mut self.reviewed, order);
        number_as_they_come(&mut self.customer);
        number_as_they_come(&mut self.agent);
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

    /// The column of a covariate; `None` for a name that is none.
    pub fn coded(&self, name: &str) -> Option<Cow<'_, Coded>> {
        Some(match name {
            "issue" => Cow::Borrowed(&self.issue),
            "queue" => Cow::Borrowed(&self.queue),
            "language" => Cow::Borrowed(&self.language),
            "hour" => Cow::Owned(self.hour_band()),
            _ => return None,
        })
    }

    /// The covariates by name, for the calls at `rows`; those of one level only are left out.
    ///
    /// Rare levels count as one, for each tells next to nothing and lacks an arm by chance. All covariates but the one
    /// with the most levels keep [`MOST_LEVELS`]: what a fit costs grows with the cube of their sum.
    pub fn covariates(&self, names: &[String], rows: &[usize]) -> Vec<Covariate> {
        let mut found: Vec<Covariate> = names
            .iter()
            .filter_map(|name| Some(compact(name, &*self.coded(name)?, rows)))
            .filter(|covariate| covariate.levels.len() > 1)
            .collect();
        let largest = (0..found.len()).max_by_key(|place| found[*place].levels.len());
        for (place, covariate) in found.iter_mut().enumerate() {
            if Some(place) != largest {
                covariate.keep(MOST_LEVELS);
            }
        }
        found
    }
}

/// A level of fewer calls is rare.
pub const RARE_CALLS: u64 = 10;
/// Levels that a covariate keeps which is not the one with the most.
pub const MOST_LEVELS: usize = 50;
/// The name of rare levels together.
const RARE: &str = "(rare)";

fn number_as_they_come(ids: &mut [u32]) {
    let largest = ids.iter().copied().filter(|id| *id != u32::MAX).max();
    let mut numbers = vec![u32::MAX; largest.map_or(0, |id| id as usize + 1)];
    let mut next = 0;
    for id in ids.iter_mut().filter(|id| **id != u32::MAX) {
        let number = &mut numbers[*id as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *id = *number;
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
    let mut found = Covariate {
        name: name.to_owned(),
        levels: order.iter().map(|code| coded.names[*code].clone()).collect(),
        codes: rows.iter().map(|row| place[usize::from(coded.codes[*row])]).collect(),
    };
    let rare = order.iter().filter(|code| counts[**code] < RARE_CALLS).count();
    if rare > 1 {
        found.keep(order.len() - rare + 1);
    }
    found
}

impl Covariate {
    /// Keeps so many levels: those from the last of them on, the least frequent, become one.
    fn keep(&mut self, levels: usize) {
        if self.levels.len() <= levels {
            return;
        }
        self.levels.truncate(levels - 1);
        self.levels.push(RARE.to_owned());
        let last = (levels - 1) as u16;
        self.codes.iter_mut().for_each(|code| *code = (*code).min(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_levels_count_as_one_and_the_others_as_they_are() {
        // 20 calls of a, 12 of b, 3 of c, 2 of d.
        let codes: Vec<u16> =
            [(1, 20), (2, 12), (3, 3), (4, 2)].into_iter().flat_map(|(c, n)| vec![c; n]).collect();
        let names = ["?", "a", "b", "c", "d"].map(str::to_owned).to_vec();
        let cohort = Cohort { issue: Coded { names, codes }, ..Cohort::default() };
        let rows: Vec<usize> = (0..37).collect();
        let [found] = &cohort.covariates(&["issue".to_owned()], &rows)[..] else { panic!("one") };
        assert_eq!(found.levels, ["a", "b", RARE]);
        assert_eq!(found.codes.iter().filter(|code| **code == 2).count(), 5);
    }

    #[test]
    fn only_the_covariate_with_the_most_levels_keeps_them_all() {
        let coded = |levels: u16| Coded {
            names: (0..levels).map(|l| l.to_string()).collect(),
            codes: (0..6000).map(|i| i % levels).collect(),
        };
        let cohort = Cohort { issue: coded(200), queue: coded(80), ..Cohort::default() };
        let rows: Vec<usize> = (0..6000).collect();
        let found = cohort.covariates(&["issue".to_owned(), "queue".to_owned()], &rows);
        assert_eq!(found.iter().map(|c| c.levels.len()).collect::<Vec<_>>(), [200, MOST_LEVELS]);
    }
}
