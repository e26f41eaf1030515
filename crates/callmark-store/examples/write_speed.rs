//! Measures how many rows of `turns` one core writes a second, words and their times included.
//!
//! `cargo run --release -p callmark-store --example write_speed [-- DIR]`: encodes in memory, and where DIR is given
//! also commits to it. Seconds are of the processor where Linux tells them, so that a busy machine does not matter.

use callmark_store::{Batch, Dataset, SourceKey, Table, write_table};
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, Event, EventKind, HumanAccess, Lineage, Millis,
    Outcome, Resolution, ScoredCall, SentimentRollup, SourcePosition, Span, Speaker, Timestamp, Trust, Turn,
    Word,
};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const CALLS: usize = 5000;
const TURNS_PER_CALL: usize = 40;
const WORDS_PER_TURN: usize = 12;
const VOCABULARY: [&str; 16] = [
    "I", "would", "like", "to", "speak", "with", "a", "person", "about", "my", "bill", "because", "it", "is",
    "wrong,", "please.",
];

fn main() -> Result<(), Box<dyn Error>> {
    let calls: Vec<ScoredCall> = (0..CALLS).map(call).collect();
    let references: Vec<&ScoredCall> = calls.iter().collect();
    let turns = CALLS * TURNS_PER_CALL;
    for table in Table::ALL {
        let start = Clock::start();
        let (bytes, rows) = write_table(table, &references, Vec::new())?;
        report(&format!("encode {table}"), rows as usize, bytes.len() as u64, start.seconds());
    }
    if let Some(dir) = std::env::args().nth(1) {
        let (mut dataset, _) = Dataset::open_for_writing(Path::new(&dir))?;
        let keyed = calls.into_iter().map(|call| (SourceKey::of_file(&call.record.call_id, "sample"), call));
        let batch = Batch::of_files(keyed.collect(), Vec::new());
        let start = Clock::start();
        let receipt = dataset.commit(&batch)?;
        let bytes = receipt.files.iter().map(|file| file.bytes).sum();
        report("commit all three", turns, bytes, start.seconds());
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the figures are what this program is for")]
fn report(what: &str, rows: usize, bytes: u64, seconds: f64) {
    let rows_per_second = rows as f64 / seconds;
    println!("{what:18} {rows:8} rows {seconds:7.3} s {rows_per_second:10.0} rows/s {bytes:10} bytes");
}

/// Time this thread was on a processor; wall-clock time where the system does not tell.
struct Clock {
    wall: Instant,
    on_processor: Option<u64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), on_processor: nanoseconds_on_processor() }
    }

    fn seconds(&self) -> f64 {
        match (self.on_processor, nanoseconds_on_processor()) {
            (Some(start), Some(end)) => (end - start) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

fn nanoseconds_on_processor() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// A number below `bound` that looks random and is the same in every run.
fn scattered(seed: usize, bound: usize) -> usize {
    (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % bound
}

fn call(number: usize) -> ScoredCall {
    let turns: Vec<Turn> = (0..TURNS_PER_CALL).map(|index| turn(number, index)).collect();
    let turn_sentiment =
        (0..TURNS_PER_CALL).map(|index| Some(scattered(number + index, 11) as f64 - 5.0)).collect();
    let events = (0..8).map(|index| event(number, index)).collect();
    let record = CallRecord {
        call_id: CallId::new(format!("2026-09-14-{number:08}")).expect("the text is a call id"),
        started_at: Timestamp::from_epoch_millis(1_789_416_000_000 + number as i64 * 1000),
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
    ScoredCall { record, turns, turn_sentiment, events }
}

fn turn(number: usize, index: usize) -> Turn {
    let start = index as i64 * 7000 + scattered(number + index, 900) as i64;
    let words: Vec<Word> = (0..WORDS_PER_TURN)
        .map(|position| {
            let seed = (number * TURNS_PER_CALL + index) * WORDS_PER_TURN + position;
            let from = start + position as i64 * 310 + scattered(seed, 90) as i64;
            Word {
                word: VOCABULARY[scattered(seed, VOCABULARY.len())].to_owned(),
                span: Span::of_ms(from, from + 200 + scattered(seed + 1, 90) as i64),
                probability: scattered(seed + 2, 10_000) as f32 / 10_000.0,
            }
        })
        .collect();
    Turn {
        index: index as u32,
        channel: Some((index % 2) as u16),
        speaker: if index.is_multiple_of(2) { Speaker::AiAgent } else { Speaker::Customer },
        span: Some(Span::new(Millis(start), words.last().map_or(Millis(start), |word| word.span.end))),
        text: words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>().join(" "),
        words,
        asr_confidence: Some(scattered(number + index, 1000) as f64 / 1000.0),
        no_speech_probability: Some(scattered(number * index, 1000) as f64 / 1000.0),
        loudness_dbfs: Some(-20.0 - scattered(index, 100) as f64 / 10.0),
        dropped_reason: None,
    }
}

fn event(number: usize, index: usize) -> Event {
    Event {
        kind: EventKind::ALL[scattered(number + index, EventKind::ALL.len())],
        span: Some(Span::of_ms(index as i64 * 1000, index as i64 * 1000 + 700)),
        turn_index: Some(index as u32),
        speaker: Some(Speaker::Customer),
        detail: None,
        rule_id: Some("human_request.representative".to_owned()),
        rule_version: Some("1".to_owned()),
        confidence: Some(0.9),
        evidence_text: Some("speak with a person".to_owned()),
    }
}
