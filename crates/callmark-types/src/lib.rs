//! The vocabulary that every other crate speaks: identities, milliseconds, PCM, turns, findings, the call record.
//!
//! It exists so that crates which must not see each other can hand values on. It holds data and the checks that
//! make a value valid; it does no I/O and takes no decision about calls.

mod audio;
mod call;
mod embedding;
mod event;
mod id;
mod metadata;
mod record;
mod time;
mod transcript;

pub use audio::{
    AudioFacts, AudioFormat, ChannelFacts, PIPELINE_SAMPLE_RATE_HZ, Pcm, Tone, ToneKind, Truncation,
    VoiceSpan,
};
pub use call::{ScoredCall, TrustFlag};
pub use embedding::{Embedding, SentenceEncoder};
pub use event::{Event, EventKind};
pub use id::{CallId, InvalidCallId};
pub use metadata::{CallMetadata, ChannelRole, Handler, HandlerSegment, Outcome};
pub use record::{
    AudioColumns, CallRecord, ConversationMetrics, HumanAccess, Lineage, Resolution, SentimentRollup,
    SentimentScores, SideMetrics, SourcePosition, Trust,
};
pub use time::{Millis, Span, Timestamp};
pub use transcript::{DroppedReason, Speaker, Turn, Utterance, Word};
