//! The call record: one row of the `calls` table, in the groups its columns come in.

use crate::metadata::{Handler, HandlerSegment, Outcome};
use crate::time::{Millis, Timestamp};

/// Where a call came from, so that a row can be traced to its message or file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourcePosition {
    /// File or object the audio or transcript came from.
    pub uri: Option<String>,
    /// SHA-256 of the source's bytes, hex.
    pub sha256: Option<String>,
    /// Kafka topic.
    pub topic: Option<String>,
    /// Kafka partition.
    pub partition: Option<i32>,
    /// Kafka offset.
    pub offset: Option<i64>,
}

/// Audio columns; all `None` for chats.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioColumns {
    /// Codec as recorded.
    pub codec: Option<String>,
    /// Sample rate as recorded, in hertz.
    pub sample_rate: Option<i32>,
    /// Channels as recorded.
    pub channels: Option<i32>,
    /// Length of the recording (of the transcript, where it has times).
    pub total_conversation_duration: Option<Millis>,
    /// Worst channel's share of clipped samples, 0 to 1.
    pub clipped_ratio: Option<f64>,
    /// Worst channel's speech level over background, in dB.
    pub snr_db: Option<f64>,
}

/// Measures of one side of the conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SideMetrics {
    /// Time this side spoke.
    pub talk_time: Option<Millis>,
    /// How often this side interrupted the other.
    pub interruptions_count: Option<i32>,
    /// How long both spoke in those interruptions.
    pub interruptions_time: Option<Millis>,
    /// Words a minute of this side's talk time.
    pub talk_speed_wpm: Option<f64>,
    /// Average pause before this side answers.
    pub response_time_average: Option<Millis>,
    /// Longest pause before this side answers.
    pub response_time_maximum: Option<Millis>,
}

/// Conversation measures. `None` where they cannot be measured (chats without times).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConversationMetrics {
    /// The agent side.
    pub agent: SideMetrics,
    /// The customer.
    pub customer: SideMetrics,
    /// Time in which at least one side spoke.
    pub talk_time_total: Option<Millis>,
    /// Silence of over 3 s and hold, as Amazon Connect defines it.
    pub non_talk_time_total: Option<Millis>,
    /// Time in which both sides spoke.
    pub overlap_time: Option<Millis>,
    /// Time on hold.
    pub hold_time: Option<Millis>,
    /// Time in a queue.
    pub queue_time: Option<Millis>,
    /// Time from the start to the end of the agent side's first turn.
    pub greeting_time_agent: Option<Millis>,
}

/// Scores of one speaker side, -5 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SentimentScores {
    /// Whole call.
    pub overall: Option<f64>,
    /// First quarter that has a scored turn of this side.
    pub start: Option<f64>,
    /// Last quarter that has a scored turn of this side.
    pub end: Option<f64>,
    /// The four quarters of the call.
    pub quarters: [Option<f64>; 4],
    /// Change per minute, least squares; per turn where there are no times is not given.
    pub slope_per_minute: Option<f64>,
}

/// Sentiment of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SentimentRollup {
    /// The customer.
    pub customer: SentimentScores,
    /// The agent side, AI and people together.
    pub agent: SentimentScores,
    /// The customer while an AI handled the call.
    pub customer_with_ai: Option<f64>,
    /// The customer while a person handled the call.
    pub customer_with_human: Option<f64>,
}

/// The right to a person: asked, refused, reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HumanAccess {
    /// Requests for a person.
    pub human_request_count: i32,
    /// Start of the first request.
    pub first_human_request: Option<Millis>,
    /// Requests answered with something else than a handoff.
    pub deflection_count: i32,
    /// When a person first spoke after the first request or accepted offer; the start of the call's person where
    /// nothing was asked is not counted.
    pub human_reached: Option<Millis>,
    /// From the end of the first request (or accepted offer) to `human_reached`.
    pub time_to_human: Option<Millis>,
    /// Whether a person spoke after the first request or accepted offer; `None` where nobody asked.
    pub human_request_honoured: Option<bool>,
}

/// How the matter ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// Outcome.
    pub outcome: Outcome,
    /// End of the turn in which the matter was settled.
    pub resolved_at: Option<Millis>,
    /// From the customer's first words to `resolved_at`.
    pub resolution_time: Option<Millis>,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// The turn that shows it.
    pub evidence_turn: Option<u32>,
}

/// How far the row can be trusted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trust {
    /// Average probability of the kept words, 0 to 1.
    pub asr_confidence: Option<f64>,
    /// Share of recognised words that were dropped as invented or have little evidence, 0 to 1.
    pub hallucination_risk: Option<f64>,
    /// Share of the recording in which nobody speaks, 0 to 1.
    pub non_speech_ratio: Option<f64>,
    /// Flags (`truncated`, `roles_detected`, `speakers_estimated`, …), sorted.
    pub flags: Vec<String>,
}

/// What made the row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    /// Version of Callmark.
    pub pipeline_version: String,
    /// Speech model by name; `None` for chats.
    pub asr_model: Option<String>,
    /// Digest of its weights, hex; `None` for chats.
    pub asr_model_sha256: Option<String>,
    /// Digest of all rule files and lexicons, hex.
    pub rules_sha256: String,
    /// Digest of the text model, hex; `None` where rules alone score.
    pub text_model_sha256: Option<String>,
}

/// One row of `calls`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    /// The call.
    pub call_id: crate::id::CallId,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Where it came from.
    pub source: SourcePosition,
    /// Who took the call first: ai, human or ivr.
    pub first_handler: Option<Handler>,
    /// Who had it last: ai, human or ivr.
    pub final_handler: Option<Handler>,
    /// Who handled what.
    pub handler_segments: Vec<HandlerSegment>,
    /// Ids of the agents.
    pub agent_ids: Vec<String>,
    /// Pseudonym of the customer.
    pub customer_key: Option<String>,
    /// Queue or department.
    pub queue: Option<String>,
    /// What the call is about.
    pub issue_type: Option<String>,
    /// Language, told or detected.
    pub language: Option<String>,
    /// Audio.
    pub audio: AudioColumns,
    /// Conversation.
    pub conversation: ConversationMetrics,
    /// Sentiment.
    pub sentiment: SentimentRollup,
    /// Right to a person.
    pub human_access: HumanAccess,
    /// Resolution.
    pub resolution: Resolution,
    /// Trust.
    pub trust: Trust,
    /// Lineage.
    pub lineage: Lineage,
}
