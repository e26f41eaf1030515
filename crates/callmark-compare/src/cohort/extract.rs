//! The columns of a comparison out of a dataset's tables. DataFusion scans; strings become codes here, batch by batch,
//! so that a million calls are some hundred megabytes. Calls are put in order here, too: sorting a permutation of two
//! numbers a call is much quicker than sorting rows.

use super::columns::{Columns, Segments};
use super::labels::{Labels, Review};
use super::values::{Filtered, Interner, NAMES_SAID, Plausible};
use super::{Coded, Cohort, Ended, FollowUp};
use crate::config::{CompareConfig, day_of};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use callmark_query::{QueryError, Tables};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The query that reads what a comparison needs of each call.
const COHORT_SQL: &str = include_str!("../../sql/cohort.sql");
/// The calls in which an AI said that it is one.
const DISCLOSED_SQL: &str = include_str!("../../sql/disclosed.sql");
/// How many calls begin on each day, as text; null where not known.
const DAYS_SQL: &str =
    "select cast(date as varchar) as day, count(*) as calls from calls group by date order by date";
/// Calls whose columns are in memory as the dataset has them, at a time, unless one day has more.
const CALLS_AT_A_TIME: i64 = 1_500_000;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The dataset cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A column is not what the schema says.
    #[error("column {0} of the dataset is not of the type that SCHEMA.md gives it")]
    Column(&'static str),
    /// More distinct values than can be compared.
    #[error("column {column} has more than {limit} distinct values")]
    TooManyLevels {
        /// The column.
        column: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A filter names what no call of the dataset has.
    #[error("no call has {column} {name:?}; {}", there_are(.known))]
    UnknownLevel {
        /// The column.
        column: &'static str,
        /// The name that was asked for.
        name: String,
        /// Names that there are; not all where there are many.
        known: Vec<String>,
    },
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() {
        return "the dataset has no names for it".to_owned();
    }
    let more = if names.len() < NAMES_SAID { "" } else { ", and perhaps more" };
    format!("there are {}{more}", names.join(", "))
}

/// Most distinct queues, issues or languages.
const MAX_LEVELS: usize = 2000;
/// What sentiment may be.
const SENTIMENT: (f64, f64) = (-5.0, 5.0);
/// What a probability may be.
const PROBABILITY: (f64, f64) = (0.0, 1.0);

/// Reads the calls of a dataset, with what people said of them.
pub async fn extract(
    tables: &Tables,
    config: &CompareConfig,
    labels: &Labels,
) -> Result<Cohort, CompareError> {
    let mut disclosed = HashSet::new();
    for batch in &tables.query(DISCLOSED_SQL).await? {
        disclosed.extend(Columns { batch }.text("call_id")?.into_iter().flatten().map(digest));
    }
    let mut builder = Builder::new(config, labels, disclosed);
    for condition in slices(&tables.query(DAYS_SQL).await?)? {
        for batch in &tables.query(&format!("{COHORT_SQL}{condition}")).await? {
            builder.add(batch)?;
        }
    }
    builder.finish()
}

/// Conditions that cut a dataset into runs of days with a bounded number of calls.
fn slices(days: &[RecordBatch]) -> Result<Vec<String>, CompareError> {
    let mut found = Vec::new();
    let mut run: Option<(String, String, i64)> = None;
    let mut total = 0;
    let between = |(first, last, _): (String, String, i64)| {
        format!("where date between date '{first}' and date '{last}'")
    };
    for batch in days {
        let day = Columns { batch }.text("day")?;
        let count = Columns { batch }.array("calls")?;
        let count = count.as_primitive_opt::<Int64Type>().ok_or(CompareError::Column("calls"))?;
        for (day, calls) in day.into_iter().zip(count.values()) {
            total += calls;
            let Some(day) = day.map(str::to_owned) else {
                found.push("where date is null".to_owned());
                continue;
            };
            run = match run.take() {
                Some((first, _, sum)) if sum + calls <= CALLS_AT_A_TIME => Some((first, day, sum + calls)),
                full => {
                    found.extend(full.map(between));
                    Some((day.clone(), day, *calls))
                }
            };
        }
    }
    found.extend(run.map(between));
    // A condition has every row looked at, and is not needed where one run holds all days.
    if total <= CALLS_AT_A_TIME { Ok(vec![String::new()]) } else { Ok(found) }
}

/// A number that stands for a call's id (FNV-1a): two of ten million calls share one with a probability below 10⁻⁵.
pub(super) fn digest(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// Queue, issue, language: their column, and what a call is left out for when a filter does not name its own.
const LEVELS: [(&str, &str); 3] = [
    ("queue", "queue not asked for"),
    ("issue_type", "issue not asked for"),
    ("language", "language not asked for"),
];

struct Builder<'a> {
    config: &'a CompareConfig,
    labels: &'a Labels,
    disclosed: HashSet<u64>,
    cohort: Cohort,
    digests: Vec<u64>,
    excluded: BTreeMap<&'static str, u64>,
    /// Customer and start of every call of the dataset, and of those that take part.
    every: Vec<(u32, i64)>,
    own: Vec<(u32, i64)>,
    filtered: [Filtered; 3],
    /// Queues of the roll-out.
    rolled_out: (Vec<String>, Filtered),
    plausible: Plausible,
    customers: Interner,
    agents: Interner,
    levels: [Interner; 3],
    codes: [Vec<u32>; 3],
    from: i64,
    until: i64,
}

/// What queue, issue and language may be, by the configuration; anything where empty.
fn filters(config: &CompareConfig) -> [&Vec<String>; 3] {
    [&config.queues, &config.issues, &config.languages]
}

fn minutes(ms: i64) -> f64 {
    ms as f64 / 60_000.0
}

/// Whether a person ever handled a call: by who handled what, where that was recorded; else by when a person spoke, and by who
/// had it last. Nothing recorded is not nobody.
fn reached_human(ai: bool, segments: &Segments, last: Option<&str>, spoke: Option<i64>) -> Option<bool> {
    match last {
        _ if !ai || segments.any_human => Some(true),
        _ if segments.known => Some(false),
        _ if spoke.is_some() => Some(true),
        Some("human") => Some(true),
        Some("ai") => Some(false),
        _ => None,
    }
}

fn ended(outcome: Option<&str>) -> Ended {
    Ended::ALL.into_iter().find(|e| Some(e.as_str()) == outcome).unwrap_or(Ended::Unknown)
}

impl<'a> Builder<'a> {
    fn new(config: &'a CompareConfig, labels: &'a Labels, disclosed: HashSet<u64>) -> Self {
        let day = |text: &Option<String>, none| text.as_deref().and_then(day_of).unwrap_or(none);
        Self {
            config,
            labels,
            disclosed,
            cohort: Cohort::default(),
            digests: Vec::new(),
            excluded: BTreeMap::new(),
            every: Vec::new(),
            own: Vec::new(),
            filtered: Default::default(),
            rolled_out: (config.treatment_start.keys().cloned().collect(), Filtered::default()),
            plausible: Plausible::default(),
            customers: Interner::default(),
            agents: Interner::default(),
            levels: Default::default(),
            codes: Default::default(),
            from: day(&config.from, i64::MIN),
            until: day(&config.until, i64::MAX),
        }
    }

    /// Whether the call takes part, as the AI's arm or not; counts it out where it does not.
    fn arm(
        &mut self,
        first: Option<&str>,
        segments: &Segments,
        started: i64,
        levels: [Option<&str>; 3],
    ) -> Option<bool> {
        let arm = match first {
            Some("ai") => Ok(true),
            Some("human") => Ok(false),
            Some("ivr") => match segments.first {
                Some(human) => Ok(!human),
                None => Err("a menu took the call and nobody after it"),
            },
            _ => Err("first handler not known"),
        };
        let bounded = self.config.from.is_some() || self.config.until.is_some();
        let arm = match arm {
            Ok(_) if bounded && started == i64::MIN => Err("start not known, and a period was asked for"),
            Ok(_) if started < self.from && bounded => Err("before the period"),
            Ok(_) if started >= self.until && bounded => Err("after the period"),
            other => other,
        };
        let filters = filters(self.config);
        for ((seen, wanted), level) in self.filtered.iter_mut().zip(filters).zip(levels) {
            seen.look(wanted, level);
        }
        self.rolled_out.1.look(&self.rolled_out.0, levels[0]);
        let filtered = filters.into_iter().zip(levels).position(|(wanted, level)| {
            !wanted.is_empty() && !level.is_some_and(|level| wanted.iter().any(|w| w == level))
        });
        let arm = match (arm, filtered) {
            (Ok(_), Some(position)) => Err(LEVELS[position].1),
            (other, _) => other,
        };
        arm.map_err(|reason| *self.excluded.entry(reason).or_default() += 1).ok()
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), CompareError> {
        let columns = Columns { batch };
        let first = columns.text("first_handler")?;
        let outcome = columns.text("outcome")?;
        let customer = columns.text("customer_key")?;
        let levels = [columns.text(LEVELS[0].0)?, columns.text(LEVELS[1].0)?, columns.text(LEVELS[2].0)?];
        let ids = columns.text("call_id")?;
        let (started, resolution) = (columns.instant("started_at")?, columns.long("resolution_time_ms")?);
        let (duration, to_human) =
            (columns.long("total_conversation_duration_ms")?, columns.long("time_to_human_ms")?);
        let (confidence, asr) = (columns.float("resolution_confidence")?, columns.float("asr_confidence")?);
        let risk = columns.float("hallucination_risk")?;
        let config = self.config;
        let (least_confidence, most_risk) = (config.low_asr_confidence, config.high_hallucination_risk);
        let sentiment = [
            columns.float("sentiment_overall_score_customer")?,
            columns.float("sentiment_end_score_customer")?,
            columns.float("sentiment_start_score_customer")?,
        ];
        let (requests, deflections) = (columns.int("human_request_count")?, columns.int("deflection_count")?);
        let first_request = columns.long("first_human_request_ms")?;
        let (flags, segments) = (columns.flags()?, columns.segments()?);
        let (last, spoke) = (columns.text("final_handler")?, columns.long("human_reached_ms")?);
        for i in 0..batch.num_rows() {
            self.cohort.seen += 1;
            let who_and_when = (self.customers.id(customer[i]), started[i]);
            self.every.push(who_and_when);
            let segment = &segments[i];
            let own = [levels[0][i], levels[1][i], levels[2][i]];
            let Some(ai) = self.arm(first[i], segment, started[i], own) else { continue };
            self.code(own)?;
            let digest = digest(ids[i].unwrap_or_default());
            let review = self.labels.reviews.get(&digest).copied().unwrap_or(Review::NONE);
            let (cohort, plausible) = (&mut self.cohort, &mut self.plausible);
            let ended = ended(outcome[i]);
            cohort.ai.push(ai);
            self.own.push(who_and_when);
            cohort.customer.push(who_and_when.0);
            cohort.agent.push(self.agents.id(if ai { None } else { segment.first_human_agent }));
            cohort.started_at.push(started[i]);
            cohort.ended.push(ended);
            let duration = plausible.time(duration[i]);
            // A time of resolution that cannot be is not replaced by the call's: it was not at its end.
            let until = match (ended.is_resolved(), resolution[i].is_some()) {
                (true, true) => plausible.time(resolution[i]),
                _ => duration,
            };
            cohort.minutes.push(until.map_or(f64::NAN, minutes));
            let (truncated, doubtful) = flags[i];
            cohort.truncated.push(truncated);
            cohort.confidence.push(plausible.number(confidence[i], PROBABILITY));
            let [overall, end, start] = sentiment.each_ref().map(|s| plausible.number(s[i], SENTIMENT));
            cohort.sentiment_overall.push(overall);
            // What is last heard of a recording that breaks off is not the end of its call.
            cohort.sentiment_end.push(if truncated { f64::NAN } else { end });
            cohort.sentiment_start.push(start);
            cohort.human_requests.push(requests[i]);
            cohort.deflections.push(deflections[i]);
            cohort.time_to_human.push(plausible.time(to_human[i]).unwrap_or(-1));
            let asked = plausible.time(first_request[i]).filter(|_| requests[i] > 0);
            cohort.minutes_to_request.push(asked.map_or(f64::NAN, minutes));
            let heard = duration.zip(first_request[i]).map(|(end, request)| (end - request).max(0));
            cohort.heard_after_request.push(heard.unwrap_or(-1));
            cohort.human_minutes.push(if segment.known { minutes(segment.human_ms) } else { f64::NAN });
            cohort.reached_human.push(reached_human(ai, segment, last[i], spoke[i]));
            cohort.disclosed.push(self.disclosed.contains(&digest));
            cohort.low_trust.push(doubtful || asr[i] < least_confidence || risk[i] > most_risk);
            cohort.asr_confidence.push(plausible.number(asr[i], PROBABILITY));
            cohort.survey.push(self.labels.survey.get(&digest).copied().unwrap_or(f64::NAN));
            cohort.reviewed.push(review);
            self.digests.push(digest);
        }
        Ok(())
    }

    /// Takes down the levels of a call.
    fn code(&mut self, levels: [Option<&str>; 3]) -> Result<(), CompareError> {
        for (column, level) in levels.into_iter().enumerate() {
            let code = self.levels[column].id(level);
            self.codes[column].push(code);
            if self.levels[column].ids.len() > MAX_LEVELS {
                return Err(CompareError::TooManyLevels { column: LEVELS[column].0, limit: MAX_LEVELS });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Cohort, CompareError> {
        let filters = self.filtered.iter().zip(filters(self.config)).zip(LEVELS);
        let (queues, seen) = &self.rolled_out;
        for ((seen, wanted), (column, _)) in filters.chain([((seen, queues), LEVELS[0])]) {
            if let Some(name) = wanted.iter().find(|name| !seen.met.contains(*name)) {
                let known: BTreeSet<String> = seen.met.iter().chain(&seen.known).cloned().collect();
                let known = known.into_iter().collect();
                return Err(CompareError::UnknownLevel { column, name: name.clone(), known });
            }
        }
        let mut cohort = self.cohort;
        cohort.follow_up = FollowUp::of(&self.own, self.every);
        cohort.implausible = self.plausible.refused;
        let [queue, issue, language] = self.levels;
        let [queue_codes, issue_codes, language_codes] = self.codes;
        cohort.queue = coded(queue, &queue_codes);
        cohort.issue = coded(issue, &issue_codes);
        cohort.language = coded(language, &language_codes);
        cohort.excluded = self.excluded.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect();
        cohort.has_reviews = self.labels.has_reviews;
        cohort.has_survey = self.labels.has_survey;
        cohort.reviews = self.labels.reviews.len() as u64;
        cohort.reviews_not_random = self.labels.not_random;
        let mut order: Vec<u32> = (0..cohort.len() as u32).collect();
        order.sort_unstable_by_key(|i| (cohort.started_at[*i as usize], self.digests[*i as usize]));
        cohort.reorder(&order);
        Ok(cohort)
    }
}

/// Names in order, so that codes do not depend on the order of files; the first stands for what is not known.
fn coded(interner: Interner, ids: &[u32]) -> Coded {
    let mut names: Vec<(String, u32)> = interner.ids.into_iter().collect();
    names.sort();
    let mut place = vec![0u16; names.len()];
    for (position, (_, id)) in names.iter().enumerate() {
        place[*id as usize] = position as u16 + 1;
    }
    let code = |id: &u32| if *id == u32::MAX { 0 } else { place[*id as usize] };
    Coded {
        names: std::iter::once("(not known)".to_owned()).chain(names.into_iter().map(|n| n.0)).collect(),
        codes: ids.iter().map(code).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn who_is_not_recorded_is_not_nobody() {
        let none = Segments::default();
        let ai_only = Segments { known: true, first: Some(false), ..Segments::default() };
        for (ai, segments, last, spoke, wanted) in [
            (true, &ai_only, Some("ai"), None, Some(false)),
            (true, &none, None, None, None),
            (true, &none, Some("ivr"), None, None),
            (true, &none, Some("ai"), None, Some(false)),
            (true, &none, Some("human"), None, Some(true)),
            (true, &none, None, Some(5000), Some(true)),
            (false, &none, None, None, Some(true)),
        ] {
            assert_eq!(reached_human(ai, segments, last, spoke), wanted, "{last:?} {spoke:?}");
        }
    }

    #[test]
    fn days_are_read_in_runs_of_bounded_size() {
        let most = CALLS_AT_A_TIME;
        let days = [Some("2026-01-01"), Some("2026-01-02"), Some("2026-01-03"), None];
        let batch = |calls: Vec<i64>| {
            let day = Arc::new(StringArray::from(days.to_vec())) as ArrayRef;
            let columns = [("day", day), ("calls", Arc::new(Int64Array::from(calls)) as ArrayRef)];
            [RecordBatch::try_from_iter(columns).unwrap()]
        };
        assert_eq!(
            slices(&batch(vec![most / 2, most / 2, 1, 5])).unwrap(),
            [
                "where date between date '2026-01-01' and date '2026-01-02'",
                "where date is null",
                "where date between date '2026-01-03' and date '2026-01-03'",
            ]
        );
        assert_eq!(slices(&batch(vec![most - 6, 1, 1, 4])).unwrap(), [""]);
        assert_eq!(slices(&[]).unwrap(), [""]);
    }
}
