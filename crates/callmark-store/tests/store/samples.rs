//! Calls of every shape the tables can hold, the same in every run.

use callmark_store::{Batch, SourceKey};
use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, DroppedReason, Event, EventKind, Handler,
    HandlerSegment, HumanAccess, Lineage, Millis, Outcome, Resolution, ScoredCall, SentimentRollup,
    SentimentScores, SideMetrics, SourcePosition, Span, Speaker, Timestamp, Trust, Turn, Word,
};
use std::ops::Range;

/// 2026-09-14T20:00:00Z.
const FIRST_START_MS: i64 = 1_789_416_000_000;
/// Calls start seven hours apart, so that a few of them cover several days.
const START_STEP_MS: i64 = 7 * 3_600_000;

/// Call number `number`: every fifth has no start, every third is a chat without audio, every fourth has no events.
pub(crate) fn sample_call(number: u32) -> ScoredCall {
    let is_chat = number % 3 == 2;
    let turn_count = number % 7;
    let turns: Vec<Turn> = (0..turn_count).map(|index| sample_turn(number, index, is_chat)).collect();
    let turn_sentiment =
        turns.iter().map(|turn| turn.is_kept().then(|| f64::from(turn.index) - 2.5)).collect();
    let event_count = if number.is_multiple_of(4) { 0 } else { number % 6 };
    ScoredCall {
        record: sample_record(number, is_chat),
        turns,
        turn_sentiment,
        events: (0..event_count).map(|index| sample_event(number, index)).collect(),
    }
}

/// A batch of the calls with these numbers, as read from files.
pub(crate) fn sample_batch(numbers: Range<u32>) -> Batch {
    Batch::of_files(numbers.map(|number| (sample_key(number), sample_call(number))).collect(), Vec::new())
}

/// The key that call `number` was read under.
pub(crate) fn sample_key(number: u32) -> SourceKey {
    let call = sample_call(number);
    SourceKey::of_file(&call.record.call_id, call.record.source.sha256.as_deref().unwrap_or_default())
}

fn sample_record(number: u32, is_chat: bool) -> CallRecord {
    let step = i64::from(number);
    let started_at = Timestamp::from_epoch_millis(FIRST_START_MS + step * START_STEP_MS + step);
    let audio = AudioColumns {
        codec: Some("pcm_mulaw".to_owned()),
        sample_rate: Some(8000),
        channels: Some(2),
        total_conversation_duration: Some(Millis(60_000 + step)),
        clipped_ratio: Some(0.001 * f64::from(number)),
        snr_db: Some(31.5),
    };
    CallRecord {
        call_id: CallId::new(format!("call-{number:04} ☎")).expect("the text is a call id"),
        started_at: if number % 5 == 4 { None } else { started_at },
        source: SourcePosition {
            uri: Some(format!("file:///calls/{number:04}.wav")),
            sha256: Some(format!("{number:064x}")),
            topic: None,
            partition: None,
            offset: None,
        },
        first_handler: Some(if number.is_multiple_of(2) { Handler::Ai } else { Handler::Human }),
        final_handler: None,
        handler_segments: (0..number % 3).map(sample_segment).collect(),
        agent_ids: (0..number % 3).map(|agent| format!("agent-{agent}")).collect(),
        customer_key: Some(format!("customer-{}", number % 4)),
        queue: Some("billing & refunds".to_owned()),
        issue_type: None,
        language: Some("es-MX".to_owned()),
        audio: if is_chat { AudioColumns::default() } else { audio },
        conversation: if is_chat { ConversationMetrics::default() } else { sample_conversation(step) },
        sentiment: SentimentRollup {
            customer: SentimentScores {
                overall: Some(-1.5),
                quarters: [Some(-5.0), None, Some(0.0), Some(5.0)],
                ..SentimentScores::default()
            },
            agent: SentimentScores { slope_per_minute: Some(0.25), ..SentimentScores::default() },
            customer_with_ai: Some(-2.0),
            customer_with_human: None,
        },
        human_access: HumanAccess {
            human_request_count: 2,
            first_human_request: Some(Millis(5000)),
            deflection_count: 1,
            human_reached: Some(Millis(9000)),
            time_to_human: Some(Millis(2500)),
            human_request_honoured: Some(number.is_multiple_of(2)),
        },
        resolution: Resolution {
            outcome: if is_chat { Outcome::Unknown } else { Outcome::EscalatedResolved },
            resolved_at: Some(Millis(50_000)),
            resolution_time: Some(Millis(48_000)),
            confidence: 0.75,
            evidence_turn: (number % 7).checked_sub(1),
        },
        trust: Trust {
            asr_confidence: Some(0.9),
            hallucination_risk: None,
            non_speech_ratio: Some(0.2),
            flags: if is_chat {
                Vec::new()
            } else {
                vec!["roles_detected".to_owned(), "truncated".to_owned()]
            },
        },
        lineage: sample_lineage(is_chat),
    }
}

fn sample_lineage(is_chat: bool) -> Lineage {
    Lineage {
        pipeline_version: "0.1.0".to_owned(),
        asr_model: (!is_chat).then(|| "base".to_owned()),
        asr_model_sha256: (!is_chat).then(|| "60ed5bc3".repeat(8)),
        rules_sha256: "ab".repeat(32),
        text_model_sha256: None,
    }
}

fn sample_segment(index: u32) -> HandlerSegment {
    let start = i64::from(index) * 30_000;
    HandlerSegment {
        handler: if index == 0 { Handler::Ai } else { Handler::Human },
        span: Span::of_ms(start, start + 30_000),
        agent_id: (index > 0).then(|| format!("agent-{index}")),
    }
}

fn sample_conversation(step: i64) -> ConversationMetrics {
    let side = SideMetrics {
        talk_time: Some(Millis(20_000 + step)),
        interruptions_count: Some(3),
        interruptions_time: Some(Millis(450)),
        talk_speed_wpm: Some(151.25),
        response_time_average: Some(Millis(800)),
        response_time_maximum: Some(Millis(2400)),
    };
    ConversationMetrics {
        agent: side.clone(),
        customer: SideMetrics { talk_time: Some(Millis(15_000)), interruptions_count: Some(0), ..side },
        talk_time_total: Some(Millis(34_000)),
        non_talk_time_total: Some(Millis(6000)),
        overlap_time: Some(Millis(1000)),
        hold_time: Some(Millis(0)),
        queue_time: None,
        greeting_time_agent: Some(Millis(3100)),
    }
}

fn sample_turn(number: u32, index: u32, is_chat: bool) -> Turn {
    let start = i64::from(index) * 4000;
    let text = format!("Grüße, ich möchte mit einem Menschen sprechen 😀 {number}");
    let words = text.split(' ').zip(0..).map(|(word, position)| Word {
        word: word.to_owned(),
        span: Span::of_ms(start + position * 300, start + position * 300 + 250),
        probability: 0.5 + 0.01 * position as f32,
    });
    Turn {
        index,
        channel: (!is_chat).then_some((index % 2) as u16),
        speaker: [Speaker::Customer, Speaker::AiAgent, Speaker::HumanAgent][(index % 3) as usize],
        span: (!is_chat).then(|| Span::of_ms(start, start + 3000)),
        words: if is_chat { Vec::new() } else { words.collect() },
        text,
        asr_confidence: (!is_chat).then_some(0.875),
        no_speech_probability: (!is_chat).then_some(0.0625),
        loudness_dbfs: (!is_chat).then_some(-23.5),
        dropped_reason: (index == 3).then_some(DroppedReason::PhantomPhrase),
    }
}

fn sample_event(number: u32, index: u32) -> Event {
    let is_measured = index == 2;
    Event {
        kind: EventKind::ALL[((number + index) as usize) % EventKind::ALL.len()],
        span: Some(Span::of_ms(i64::from(index) * 1000, i64::from(index) * 1000 + 700)),
        turn_index: (!is_measured).then_some(index),
        speaker: (!is_measured).then_some(Speaker::Customer),
        detail: Some(format!("occurrence={index}")),
        rule_id: (!is_measured).then(|| "human_request.representative".to_owned()),
        rule_version: (!is_measured).then(|| "3".to_owned()),
        confidence: Some(0.5),
        evidence_text: (!is_measured).then(|| "einem Menschen".to_owned()),
    }
}
