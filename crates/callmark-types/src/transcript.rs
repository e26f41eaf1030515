//! Words with times: what a recogniser or a chat yields, and the turns made of it.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// One word. Its span lies inside its turn; words of one turn follow each other without overlap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as written, with its punctuation, without white space.
    pub word: String,
    /// When it was said.
    pub span: Span,
    /// Probability that the recogniser gave it, 0 to 1.
    pub probability: f32,
}

/// Why a text was taken for an invention of the recogniser and is not scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DroppedReason {
    /// The recogniser itself thought that nobody spoke.
    NoSpeech,
    /// The average log-probability of the words was below the bound.
    LowLogProbability,
    /// The text repeats itself (compression ratio or n-gram loop).
    Repetition,
    /// A known phantom phrase ("thanks for watching") with little evidence in the audio.
    PhantomPhrase,
    /// More words than anybody can say in that time.
    ImplausibleRate,
}

impl DroppedReason {
    /// The value of the `dropped_reason` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSpeech => "no_speech",
            Self::LowLogProbability => "low_log_probability",
            Self::Repetition => "repetition",
            Self::PhantomPhrase => "phantom_phrase",
            Self::ImplausibleRate => "implausible_rate",
        }
    }
}

/// A stretch of recognised speech on one channel, before it is known who speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// Index of the channel.
    pub channel: u16,
    /// From the first to the last sample of the speech.
    pub span: Span,
    /// The text, words separated by single spaces.
    pub text: String,
    /// The words of the text with their times.
    pub words: Vec<Word>,
    /// Average probability of the words, 0 to 1.
    pub asr_confidence: f64,
    /// Probability that there was no speech at all, 0 to 1.
    pub no_speech_probability: f64,
    /// Set when the text is taken for an invention.
    pub dropped_reason: Option<DroppedReason>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The person who calls or is called.
    Customer,
    /// An AI agent.
    AiAgent,
    /// A person who works for the company.
    HumanAgent,
    /// A menu, prompt or queue announcement.
    Ivr,
    /// Not known.
    Unknown,
}

impl Speaker {
    /// The value of the `speaker` columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::AiAgent => "ai_agent",
            Self::HumanAgent => "human_agent",
            Self::Ivr => "ivr",
            Self::Unknown => "unknown",
        }
    }

    /// Whether this is the company's side: AI, person or menu.
    pub fn is_agent_side(self) -> bool {
        matches!(self, Self::AiAgent | Self::HumanAgent | Self::Ivr)
    }
}

/// One turn of a conversation, spoken or written. Dropped turns stay in the table and are never scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Position in the call, from 0, in order of start.
    pub index: u32,
    /// Audio channel; `None` for chats and transcripts.
    pub channel: Option<u16>,
    /// Who speaks.
    pub speaker: Speaker,
    /// When; `None` for chats without times.
    pub span: Option<Span>,
    /// What.
    pub text: String,
    /// The words with their times; empty for chats.
    pub words: Vec<Word>,
    /// Average probability of the words, 0 to 1; `None` for chats.
    pub asr_confidence: Option<f64>,
    /// Probability that there was no speech, 0 to 1; `None` for chats.
    pub no_speech_probability: Option<f64>,
    /// Level of the turn in dB full scale; `None` for chats and digital silence.
    pub loudness_dbfs: Option<f64>,
    /// Set when the text is taken for an invention.
    pub dropped_reason: Option<DroppedReason>,
}

impl Turn {
    /// Whether the text counts as said.
    pub fn is_kept(&self) -> bool {
        self.dropped_reason.is_none()
    }
}
