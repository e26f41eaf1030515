//! A call as it leaves scoring: one `calls` row with its `turns` and `events`.

use crate::event::Event;
use crate::record::CallRecord;
use crate::transcript::Turn;

/// One call, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredCall {
    /// The row of `calls`.
    pub record: CallRecord,
    /// The rows of `turns`, in order.
    pub turns: Vec<Turn>,
    /// Sentiment of each turn, -5 to 5; the same length as `turns`.
    pub turn_sentiment: Vec<Option<f64>>,
    /// The rows of `events`, in order of time.
    pub events: Vec<Event>,
}

/// Reasons to trust a call's row less. The value in the `flags` column is [`TrustFlag::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustFlag {
    /// The recording broke off; what came before was scored.
    Truncated,
    /// Channel roles were worked out from the words, not told.
    RolesDetected,
    /// Speakers of a mixed channel were told apart by voice.
    SpeakersEstimated,
    /// Who speaks some turns could not be worked out; measures of the sides leave them out.
    SpeakersUnknown,
    /// All speech of a channel that may hold both sides was taken for one voice.
    OneVoice,
    /// Which handler took the call was worked out from the words, not told.
    HandlersDetected,
    /// Nobody speaks.
    NoSpeech,
    /// Some recognised text was dropped as invented.
    TextDropped,
    /// A channel is clipped in more than one sample of a hundred.
    Clipped,
    /// The recogniser was unsure of many words.
    LowAsrConfidence,
    /// The call is in a language that the rules do not know: what it shows of requests and outcomes is not known.
    LanguageNotScored,
    /// A rule asks when something was said, and the call has no times: what the rule says of it is not known.
    RulesNeedTimes,
    /// The recording has more channels than have a role; the rest were transcribed and left out of scoring.
    ExtraChannels,
}

impl TrustFlag {
    /// The value in the `flags` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::RolesDetected => "roles_detected",
            Self::SpeakersEstimated => "speakers_estimated",
            Self::SpeakersUnknown => "speakers_unknown",
            Self::OneVoice => "one_voice",
            Self::HandlersDetected => "handlers_detected",
            Self::NoSpeech => "no_speech",
            Self::TextDropped => "text_dropped",
            Self::Clipped => "clipped",
            Self::LowAsrConfidence => "low_asr_confidence",
            Self::LanguageNotScored => "language_not_scored",
            Self::RulesNeedTimes => "rules_need_times",
            Self::ExtraChannels => "extra_channels",
        }
    }
}
