//! Simulated calls as an ordinary dataset: the same writer and the same commits as scored ones.

use super::model::{ISSUES, LANGUAGES, QUEUES, Scenario, SimulatedCall, draw};
use super::truth::{sample_effects, sample_return_effect};
use super::words;
use crate::cohort::Ended;
use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use callmark_store::{Batch, Dataset, SourceKey, StoreError};
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, Event, EventKind, Handler, HandlerSegment,
    HumanAccess, Lineage, Millis, Outcome, Resolution, ScoredCall, SentimentRollup, SentimentScores,
    SourcePosition, Span, Speaker, Timestamp, Trust, Turn,
};
use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Calls in one commit.
const CALLS_PER_COMMIT: u64 = 100_000;
/// Name of the file with the truth, in the dataset's folder.
const TRUTH_FILE: &str = "truth.json";
/// Name of the file that says what is being made, written before the first call.
const PLAN_FILE: &str = "simulation.json";
/// Folder of the calls' table in a dataset.
const CALLS_FOLDER: &str = "calls";
/// The limit of restricted means in the truth, minutes: the comparison's default.
const LIMIT_MINUTES: f64 = 30.0;

/// Days within which a customer's return counts in the truth.
const REPEAT_DAYS: i64 = 7;

/// Why no data set was made.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The dataset cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder holds something else already: calls of two simulations have no common truth.
    #[error("{path} holds {found}; give another folder for {wanted}, or remove it")]
    Occupied {
        /// The folder.
        path: String,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The truth cannot be written.
    #[error("cannot write {path}: {source}")]
    Truth {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The reviews cannot be written.
    #[error("cannot write {path}: {reason}")]
    Reviews {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// What is true of a simulated data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The scenario and its parameters.
    pub scenario: Scenario,
    /// The seed.
    pub seed: u64,
    /// Calls.
    pub calls: u64,
    /// Average effect on the share resolved, AI less human, over all calls.
    pub resolved_difference: f64,
    /// On the minutes until resolved, those that are not counted as 30.
    pub restricted_minutes_difference: f64,
    /// On customer sentiment, points.
    pub sentiment_difference: f64,
    /// On the share of calls whose customer comes back because of them within seven days; strangers who happen to call twice
    /// are not in it.
    pub repeat_7d_difference: f64,
}

/// What is made, whole: the same again may go on where it was interrupted, anything else may not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plan {
    scenario: serde_json::Value,
    seed: u64,
    calls: u64,
    conversations: bool,
}

impl Plan {
    fn words(&self) -> String {
        let name = self.scenario["name"].as_str().unwrap_or("another scenario");
        let spoken = if self.conversations { " with conversations" } else { "" };
        format!("{} simulated calls of {name}, seed {}{spoken}", self.calls, self.seed)
    }

    /// Takes the folder for this plan, or refuses it: it holds another plan's calls, or calls of no plan.
    fn claim(&self, out: &Path) -> Result<(), SimulateError> {
        let path = out.join(PLAN_FILE);
        let occupied = |found: String| {
            Err(SimulateError::Occupied { path: out.display().to_string(), found, wanted: self.words() })
        };
        match std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok()) {
            Some(found) if found == *self => return Ok(()),
            Some(found) => return occupied(found.words()),
            None => {}
        }
        if out.join(CALLS_FOLDER).exists() || out.join(TRUTH_FILE).exists() {
            return occupied("calls that are not known to be these".to_owned());
        }
        let unwritten = |source| SimulateError::Truth { path: path.display().to_string(), source };
        std::fs::create_dir_all(out).map_err(unwritten)?;
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        std::fs::write(&path, text + "\n").map_err(unwritten)
    }
}

/// What is said on simulated calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// One turn that only says that it is simulated.
    Nothing,
    /// Some ten turns that fit the call.
    Conversations,
}

/// Writes `calls` calls of `scenario` into the dataset at `out`, with the truth beside them in `truth.json`. Goes on where the
/// same was interrupted; refuses a folder that holds anything else.
pub fn simulate(
    scenario: &Scenario,
    calls: u64,
    seed: u64,
    spoken: Spoken,
    out: &Path,
) -> Result<Truth, SimulateError> {
    let calls = scenario.calls_made(calls);
    let plan = Plan {
        scenario: serde_json::to_value(scenario).unwrap_or_default(),
        seed,
        calls,
        conversations: spoken == Spoken::Conversations,
    };
    plan.claim(out)?;
    let (mut dataset, _) = Dataset::open_for_writing(out)?;
    for first in (0..calls).step_by(CALLS_PER_COMMIT as usize) {
        let numbers = first..calls.min(first + CALLS_PER_COMMIT);
        let key = |number: u64| SourceKey::of_parts(&["simulated", &id(scenario, seed, number)]);
        if dataset.is_committed(&key(first)) {
            continue;
        }
        let scored = numbers.filter_map(|number| {
            let call_id = CallId::new(id(scenario, seed, number)).ok()?;
            let call = draw(scenario, seed, calls, number);
            let mut scored = row(call_id, &call);
            if spoken == Spoken::Conversations {
                let end = scored.record.audio.total_conversation_duration.unwrap_or(Millis::ZERO);
                (scored.turns, scored.turn_sentiment) = words::turns(&call, number, end).into_iter().unzip();
            }
            Some((key(number), scored))
        });
        dataset.commit(&Batch::of_files(scored.collect(), Vec::new()))?;
    }
    let [resolved, minutes, sentiment] =
        sample_effects((0..calls).map(|number| draw(scenario, seed, calls, number)), LIMIT_MINUTES);
    let truth = Truth {
        scenario: *scenario,
        seed,
        calls,
        resolved_difference: resolved,
        restricted_minutes_difference: minutes,
        sentiment_difference: sentiment,
        repeat_7d_difference: sample_return_effect(
            (0..calls).map(|number| draw(scenario, seed, calls, number)),
            REPEAT_DAYS,
        ),
    };
    let path = out.join(TRUTH_FILE);
    let text = serde_json::to_string_pretty(&truth).unwrap_or_default();
    std::fs::write(&path, text + "\n")
        .map_err(|source| SimulateError::Truth { path: path.display().to_string(), source })?;
    Ok(truth)
}

/// Labels `each` calls of either arm, picked by chance, as careful people would: with what is true of them.
///
/// Written as Parquet with the columns that `callmark compare --reviews` reads. Returns how many there are.
pub fn write_reviews(
    scenario: &Scenario,
    calls: u64,
    seed: u64,
    each: usize,
    path: &Path,
) -> Result<usize, SimulateError> {
    let calls = scenario.calls_made(calls);
    let mut left = [each; 2];
    let mut rows: Vec<(String, SimulatedCall)> = Vec::new();
    // Calls are drawn independently of their number, so the first ones of an arm are a random sample.
    for number in 0..calls {
        let call = draw(scenario, seed, calls, number);
        let left = &mut left[usize::from(call.ai)];
        if *left > 0 {
            *left -= 1;
            rows.push((id(scenario, seed, number), call));
        }
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("call_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, _)| id)))),
        (
            "outcome",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, c)| c.happened().ended.as_str()))),
        ),
        ("human_request", Arc::new(rows.iter().map(|(_, c)| Some(c.asks)).collect::<BooleanArray>())),
        (
            "sentiment",
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|(_, c)| c.happened().sentiment))),
        ),
        ("random_sample", Arc::new(BooleanArray::from(vec![true; rows.len()]))),
    ];
    let unwritten = |reason: String| SimulateError::Reviews { path: path.display().to_string(), reason };
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| unwritten(e.to_string()))?;
    let file = std::fs::File::create(path).map_err(|e| unwritten(e.to_string()))?;
    let written = ArrowWriter::try_new(file, batch.schema(), None).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map_err(|e| unwritten(e.to_string()))?;
    Ok(rows.len())
}

/// The id of a simulated call.
fn id(scenario: &Scenario, seed: u64, number: u64) -> String {
    format!("sim-{}-{seed}-{number:08}", scenario.name)
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::Resolved => Outcome::Resolved,
        Ended::EscalatedResolved => Outcome::EscalatedResolved,
        Ended::Transferred => Outcome::Transferred,
        Ended::Abandoned => Outcome::Abandoned,
        Ended::Unresolved => Outcome::Unresolved,
        Ended::Unknown => Outcome::Unknown,
    }
}

/// The call as a row, with the few turns and events that its numbers come from.
#[allow(clippy::too_many_lines, reason = "one line a column")]
fn row(call_id: CallId, call: &SimulatedCall) -> ScoredCall {
    let happened = call.happened();
    let ended = if call.breaks_ms.is_some() { Ended::Unknown } else { call.scored };
    let end = Millis(call.breaks_ms.unwrap_or(happened.end_ms));
    let total = if call.breaks_ms.is_some() { end } else { Millis(end.0 + 5_000) };
    let agent = format!("h-{:03}", call.agent);
    let segment = |handler, start, end, agent_id: &str| HandlerSegment {
        handler,
        span: Span { start, end },
        agent_id: Some(agent_id.to_owned()),
    };
    let handoff = happened.handoff_ms.map(Millis).filter(|at| at.0 < end.0);
    let handler_segments = match (call.ai, handoff) {
        (false, _) => vec![segment(Handler::Human, Millis::ZERO, total, &agent)],
        (true, None) => vec![segment(Handler::Ai, Millis::ZERO, total, "bot-1")],
        (true, Some(at)) => {
            vec![segment(Handler::Ai, Millis::ZERO, at, "bot-1"), segment(Handler::Human, at, total, &agent)]
        }
    };
    let asked_at = Millis(end.0 / 5);
    // Who speaks to a person already hears one as soon as that person answers.
    let reached = if call.ai { handoff } else { Some(Millis(asked_at.0 + 2_000)) }.filter(|_| call.asks);
    let first = if call.ai { Handler::Ai } else { Handler::Human };
    let last = if handoff.is_some() || !call.ai { Handler::Human } else { Handler::Ai };
    let deflected = call.asks && call.ai && handoff.is_none();
    let sentiment = (!call.silent).then_some(happened.sentiment);
    let scores = SentimentScores {
        overall: sentiment,
        start: sentiment.map(|s| (s - 0.3).max(-5.0)),
        end: sentiment.map(|s| (s + 0.2).min(5.0)),
        ..SentimentScores::default()
    };
    let record = CallRecord {
        call_id,
        started_at: Timestamp::from_epoch_millis(call.started_at),
        source: SourcePosition::default(),
        first_handler: Some(first),
        final_handler: Some(last),
        agent_ids: handler_segments.iter().filter_map(|s| s.agent_id.clone()).collect(),
        handler_segments,
        customer_key: Some(format!("C-{}", call.customer)),
        queue: Some(QUEUES[call.codes[1]].to_owned()),
        issue_type: Some(ISSUES[call.codes[0]].to_owned()),
        language: Some(LANGUAGES[call.codes[2]].to_owned()),
        audio: AudioColumns { total_conversation_duration: Some(total), ..AudioColumns::default() },
        conversation: ConversationMetrics::default(),
        sentiment: SentimentRollup { customer: scores, ..SentimentRollup::default() },
        human_access: HumanAccess {
            human_request_count: i32::from(call.asks),
            first_human_request: call.asks.then_some(asked_at),
            deflection_count: i32::from(deflected),
            human_reached: reached,
            time_to_human: reached.map(|at| Millis((at.0 - asked_at.0).max(0))),
            human_request_honoured: call.asks.then_some(reached.is_some()),
        },
        resolution: Resolution {
            outcome: outcome(ended),
            resolved_at: ended.is_resolved().then_some(end),
            resolution_time: ended.is_resolved().then_some(end),
            confidence: if ended.is_resolved() { 0.9 } else { 0.7 },
            evidence_turn: Some(0),
        },
        trust: Trust {
            asr_confidence: Some(call.asr_confidence),
            hallucination_risk: Some(0.0),
            non_speech_ratio: None,
            flags: call.breaks_ms.map(|_| "truncated".to_owned()).into_iter().collect(),
        },
        lineage: Lineage {
            pipeline_version: concat!("simulated-", env!("CARGO_PKG_VERSION")).to_owned(),
            rules_sha256: "simulated".to_owned(),
            ..Lineage::default()
        },
    };
    let span = Span { start: Millis::ZERO, end: Millis(2_000) };
    let turns = vec![Turn {
        index: 0,
        channel: None,
        speaker: Speaker::Customer,
        span: Some(span),
        text: "simulated".to_owned(),
        words: Vec::new(),
        asr_confidence: Some(call.asr_confidence),
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    }];
    ScoredCall { record, turn_sentiment: vec![sentiment], turns, events: events(call, asked_at, deflected) }
}

fn events(call: &SimulatedCall, asked_at: Millis, deflected: bool) -> Vec<Event> {
    let at = |start: Millis| Span { start, end: Millis(start.0 + 1_000) };
    let mut events = Vec::new();
    if call.ai && !call.agent.is_multiple_of(10) {
        events.push(Event::lasting(EventKind::AiDisclosure, at(Millis::ZERO)));
    }
    if call.asks {
        events.push(Event::lasting(EventKind::HumanRequest, at(asked_at)));
    }
    if deflected {
        events.push(Event::lasting(EventKind::Deflection, at(Millis(asked_at.0 + 1_500))));
    }
    let heard = |at: &i64| call.breaks_ms.is_none_or(|breaks| *at < breaks);
    if let Some(handoff) = call.happened().handoff_ms.filter(heard) {
        events.push(Event::lasting(EventKind::Handoff, at(Millis(handoff))));
    }
    events.sort_by_key(|e| e.span.map(|s| s.start));
    events
}
