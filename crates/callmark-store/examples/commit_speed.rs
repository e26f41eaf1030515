//! Measures commits of one partition, and how long it takes to open it once it has many.
//!
//! `cargo run --release -p callmark-store --example commit_speed -- LOCATION COMMITS`: LOCATION is a folder, `memory://x`
//! or `s3://bucket/prefix` with its keys in the environment. Each commit has one call with forty turns.

use callmark_store::{Location, SourceId, SourceKey, StreamBatch, StreamPartition};
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, HumanAccess, Lineage, Outcome, Resolution,
    ScoredCall, SentimentRollup, SourcePosition, Span, Speaker, Timestamp, Trust, Turn,
};
use std::error::Error;
use std::time::{Duration, Instant};

const TURNS: u32 = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [location, commits] = arguments.as_slice() else {
        return Err("give LOCATION and COMMITS".into());
    };
    let (location, commits) = (Location::from(location.as_str()), commits.parse::<u32>()?);
    let mut partition = open(&location)?;
    let mut times = Vec::new();
    for number in 0..commits {
        let batch = StreamBatch {
            last: i64::from(number),
            calls: vec![(SourceKey::of_parts(&[&number.to_string()]), call(number))],
            dead_letters: Vec::new(),
        };
        let start = Instant::now();
        partition.commit(batch)?;
        times.push(start.elapsed());
    }
    let start = Instant::now();
    let next = open(&location)?.next_offset();
    report(&location, &mut times, start.elapsed(), next);
    Ok(())
}

fn open(location: &Location) -> Result<StreamPartition, Box<dyn Error>> {
    Ok(StreamPartition::open(location, SourceId::new("calls.recordings", "0")?)?.0)
}

#[allow(clippy::print_stdout, reason = "the figures are what this program is for")]
fn report(location: &Location, times: &mut [Duration], opening: Duration, next: Option<i64>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    let (count, next) = (times.len(), next.unwrap_or_default());
    println!("{location}: {count} commits, p50 {:.1} ms, p95 {:.1} ms", at(0.5), at(0.95));
    println!("opened again in {:.0} ms, goes on at offset {next}", opening.as_secs_f64() * 1000.0);
}

fn call(number: u32) -> ScoredCall {
    let record = CallRecord {
        call_id: CallId::new(format!("2026-09-14-{number:08}")).expect("the text is a call id"),
        started_at: Timestamp::from_epoch_millis(1_789_416_000_000),
        source: SourcePosition::default(),
        first_handler: None,
        final_handler: None,
        handler_segments: Vec::new(),
        agent_ids: Vec::new(),
        customer_key: None,
        queue: Some("billing".to_owned()),
        issue_type: None,
        language: Some("en".to_owned()),
        audio: AudioColumns::default(),
        conversation: ConversationMetrics::default(),
        sentiment: SentimentRollup::default(),
        human_access: HumanAccess::default(),
        resolution: Resolution {
            outcome: Outcome::Unknown,
            resolved_at: None,
            resolution_time: None,
            confidence: 0.5,
            evidence_turn: None,
        },
        trust: Trust::default(),
        lineage: Lineage::default(),
    };
    let turns: Vec<Turn> = (0..TURNS).map(turn).collect();
    ScoredCall { record, turn_sentiment: vec![None; turns.len()], turns, events: Vec::new() }
}

fn turn(index: u32) -> Turn {
    let start = i64::from(index) * 7000;
    Turn {
        index,
        channel: Some((index % 2) as u16),
        speaker: if index.is_multiple_of(2) { Speaker::AiAgent } else { Speaker::Customer },
        span: Some(Span::of_ms(start, start + 6000)),
        text: "I would like to speak with a person about my bill because it is wrong, please.".to_owned(),
        words: Vec::new(),
        asr_confidence: Some(0.9),
        no_speech_probability: None,
        loudness_dbfs: None,
        dropped_reason: None,
    }
}
