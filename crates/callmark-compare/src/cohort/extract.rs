//! The columns of a comparison out of a dataset's tables. DataFusion scans, joins and drops columns; strings become
//! codes here, so that a million calls are some hundred megabytes.

use super::{Coded, Cohort, Ended};
use crate::config::{CompareConfig, day_of};
use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use callmark_query::{QueryError, Tables};
use std::collections::{BTreeMap, HashMap};

/// The query that reads what a comparison needs of each call.
const COHORT_SQL: &str = include_str!("../../sql/cohort.sql");

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
}

/// Most distinct queues, issues or languages.
const MAX_LEVELS: usize = 2000;

/// Reads the calls of a dataset. `with_ids` keeps call ids, for labels.
pub async fn extract(
    tables: &Tables,
    config: &CompareConfig,
    with_ids: bool,
) -> Result<Cohort, CompareError> {
    let batches = tables.query(COHORT_SQL).await?;
    let mut builder = Builder::new(config, with_ids);
    for batch in &batches {
        builder.add(batch)?;
    }
    Ok(builder.finish())
}

/// Distinct values and their numbers.
#[derive(Default)]
struct Interner {
    ids: HashMap<String, u32>,
}

impl Interner {
    fn id(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return u32::MAX };
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let next = self.ids.len() as u32;
        self.ids.insert(text.to_owned(), next);
        next
    }
}

struct Builder<'a> {
    config: &'a CompareConfig,
    with_ids: bool,
    cohort: Cohort,
    excluded: BTreeMap<&'static str, u64>,
    customers: Interner,
    agents: Interner,
    levels: [Interner; 3],
    codes: [Vec<u32>; 3],
    from: i64,
    until: i64,
}

/// One batch's columns.
struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn array(&self, name: &'static str) -> Result<&'a dyn Array, CompareError> {
        self.batch.column_by_name(name).map(|a| &**a).ok_or(CompareError::Column(name))
    }

    fn text(&self, name: &'static str) -> Result<Vec<Option<&'a str>>, CompareError> {
        texts(self.array(name)?).ok_or(CompareError::Column(name))
    }

    fn float(&self, name: &'static str) -> Result<Vec<f64>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Float64Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    }

    fn long(&self, name: &'static str) -> Result<Vec<Option<i64>>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Int64Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().collect())
    }

    fn int(&self, name: &'static str) -> Result<Vec<i32>, CompareError> {
        let array = self.array(name)?.as_primitive_opt::<Int32Type>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(Option::unwrap_or_default).collect())
    }

    fn flag(&self, name: &'static str) -> Result<Vec<bool>, CompareError> {
        let array = self.array(name)?.as_boolean_opt().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(|v| v == Some(true)).collect())
    }

    fn instant(&self, name: &'static str) -> Result<Vec<i64>, CompareError> {
        let array = self.array(name)?;
        let array = array.as_primitive_opt::<TimestampMillisecondType>().ok_or(CompareError::Column(name))?;
        Ok(array.iter().map(|v| v.unwrap_or(i64::MIN)).collect())
    }
}

fn texts(array: &dyn Array) -> Option<Vec<Option<&str>>> {
    if let Some(array) = array.as_string_opt::<i32>() {
        return Some(array.iter().collect());
    }
    array.as_string_view_opt().map(|array| array.iter().collect())
}

/// What the handler segments of one call say.
#[derive(Default, Clone)]
struct Segments {
    first: Option<bool>,
    first_human_agent: Option<String>,
    human_ms: i64,
    any_human: bool,
    known: bool,
}

fn segments(array: &dyn Array) -> Option<Vec<Segments>> {
    let lists = array.as_list_opt::<i32>()?;
    let items: &StructArray = lists.values().as_struct_opt()?;
    let handlers = texts(items.column_by_name("handler")?)?;
    let agents = texts(items.column_by_name("agent_id")?)?;
    let starts = items.column_by_name("start_ms")?.as_primitive_opt::<Int64Type>()?;
    let ends = items.column_by_name("end_ms")?.as_primitive_opt::<Int64Type>()?;
    let offsets = lists.value_offsets();
    let of_call = |call: usize| {
        let mut found = Segments::default();
        for i in offsets[call] as usize..offsets[call + 1] as usize {
            found.known = true;
            let human = match handlers[i] {
                Some("ai") => false,
                Some("human") => true,
                _ => continue,
            };
            found.first = found.first.or(Some(human));
            if human {
                found.any_human = true;
                found.human_ms += (ends.value(i) - starts.value(i)).max(0);
                if found.first_human_agent.is_none() {
                    found.first_human_agent = agents[i].map(str::to_owned);
                }
            }
        }
        found
    };
    Some((0..lists.len()).map(of_call).collect())
}

fn ended(outcome: Option<&str>) -> Ended {
    Ended::ALL.into_iter().find(|e| Some(e.as_str()) == outcome).unwrap_or(Ended::Unknown)
}

impl<'a> Builder<'a> {
    fn new(config: &'a CompareConfig, with_ids: bool) -> Self {
        let day = |text: &Option<String>, none| text.as_deref().and_then(day_of).unwrap_or(none);
        Self {
            config,
            with_ids,
            cohort: Cohort::default(),
            excluded: BTreeMap::new(),
            customers: Interner::default(),
            agents: Interner::default(),
            levels: Default::default(),
            codes: Default::default(),
            from: day(&config.from, i64::MIN),
            until: day(&config.until, i64::MAX),
        }
    }

    /// Whether the call takes part, as the AI's arm or not; counts it out where it does not.
    fn arm(&mut self, first: Option<&str>, segments: &Segments, started: i64) -> Option<bool> {
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
        arm.map_err(|reason| *self.excluded.entry(reason).or_default() += 1).ok()
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), CompareError> {
        let columns = Columns { batch };
        let first = columns.text("first_handler")?;
        let outcome = columns.text("outcome")?;
        let customer = columns.text("customer_key")?;
        let level_names = ["queue", "issue_type", "language"];
        let levels =
            [columns.text(level_names[0])?, columns.text(level_names[1])?, columns.text(level_names[2])?];
        let ids = columns.text("call_id")?;
        let (started, resolution) = (columns.instant("started_at")?, columns.long("resolution_time_ms")?);
        let (duration, to_human) =
            (columns.long("total_conversation_duration_ms")?, columns.long("time_to_human_ms")?);
        let (confidence, asr) = (columns.float("resolution_confidence")?, columns.float("asr_confidence")?);
        let risk = columns.float("hallucination_risk")?;
        let sentiment = [
            columns.float("sentiment_overall_score_customer")?,
            columns.float("sentiment_end_score_customer")?,
            columns.float("sentiment_start_score_customer")?,
        ];
        let (requests, deflections) = (columns.int("human_request_count")?, columns.int("deflection_count")?);
        let (flagged, truncated) = (columns.flag("flagged")?, columns.flag("truncated")?);
        let disclosed = columns.flag("disclosed")?;
        let segments =
            segments(columns.array("handler_segments")?).ok_or(CompareError::Column("handler_segments"))?;
        for i in 0..batch.num_rows() {
            self.cohort.seen += 1;
            let Some(ai) = self.arm(first[i], &segments[i], started[i]) else { continue };
            for (column, names) in levels.iter().enumerate() {
                let code = self.levels[column].id(names[i]);
                self.codes[column].push(code);
                if self.levels[column].ids.len() > MAX_LEVELS {
                    let column = level_names[column];
                    return Err(CompareError::TooManyLevels { column, limit: MAX_LEVELS });
                }
            }
            let cohort = &mut self.cohort;
            let segment = &segments[i];
            let ended = ended(outcome[i]);
            cohort.ai.push(ai);
            cohort.customer.push(self.customers.id(customer[i]));
            let agent = if ai { None } else { segment.first_human_agent.as_deref() };
            cohort.agent.push(self.agents.id(agent));
            cohort.started_at.push(started[i]);
            cohort.ended.push(ended);
            let until = if ended.is_resolved() { resolution[i].or(duration[i]) } else { duration[i] };
            cohort.minutes.push(until.map_or(f64::NAN, |ms| ms.max(0) as f64 / 60_000.0));
            cohort.truncated.push(truncated[i]);
            cohort.confidence.push(confidence[i]);
            cohort.sentiment_overall.push(sentiment[0][i]);
            cohort.sentiment_end.push(sentiment[1][i]);
            cohort.sentiment_start.push(sentiment[2][i]);
            cohort.human_requests.push(requests[i]);
            cohort.deflections.push(deflections[i]);
            cohort.time_to_human.push(to_human[i].unwrap_or(-1));
            let human = if segment.known { segment.human_ms as f64 / 60_000.0 } else { f64::NAN };
            cohort.human_minutes.push(human);
            cohort.reached_human.push(!ai || segment.any_human);
            cohort.disclosed.push(disclosed[i]);
            cohort.low_trust.push(
                flagged[i]
                    || asr[i] < self.config.low_asr_confidence
                    || risk[i] > self.config.high_hallucination_risk,
            );
            cohort.asr_confidence.push(asr[i]);
            if self.with_ids {
                cohort.call_ids.push(ids[i].unwrap_or_default().to_owned());
            }
        }
        Ok(())
    }

    fn finish(self) -> Cohort {
        let mut cohort = self.cohort;
        let [queue, issue, language] = self.levels;
        let [queue_codes, issue_codes, language_codes] = self.codes;
        cohort.queue = coded(queue, &queue_codes);
        cohort.issue = coded(issue, &issue_codes);
        cohort.language = coded(language, &language_codes);
        cohort.excluded = self.excluded.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect();
        cohort
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
