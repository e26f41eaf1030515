//! A call that is over: its sound as it came, the words understood while it went on, and all that was told of it.
//!
//! Measuring the whole call takes a moment of a core, so it is not done where messages are dealt with:
//! [`FinishedCall::hear`] is for a worker thread.

use crate::channel::ChannelTrouble;
use crate::timeline::KeptSound;
use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, tell_voices_apart};
use callmark_analytics::{HeardUtterance, mixed_channel};
use callmark_types::{
    AudioFacts, AudioFormat, CallId, CallMetadata, ChannelFacts, DroppedReason, Millis, Pcm, Span,
};

/// An utterance of which less than this share is speech by the measure of the whole call is a leak of the other side.
const LEAK_SPEECH_SHARE: f64 = 0.2;
/// What `format.container` says of a live call.
const CONTAINER: &str = "live";

/// Why a call counts as over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The telephony system said so.
    Ended,
    /// No message came for too long.
    Idle,
    /// It reached the longest duration, or the most bytes kept.
    TooLong,
    /// The caller asked for it.
    Asked,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Ended, Self::Idle, Self::TooLong, Self::Asked];

    /// A name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::TooLong => "too_long",
            Self::Asked => "asked",
        }
    }
}

/// One channel of a finished call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedChannel {
    /// Channel, from 0.
    pub channel: u16,
    /// Its sound.
    pub sound: KeptSound,
    /// What went wrong on it.
    pub trouble: ChannelTrouble,
}

/// A call that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedCall {
    /// What the telephony system told.
    pub metadata: CallMetadata,
    /// Why it counts as over.
    pub end: EndReason,
    /// How long it lasted, by its sound and by what was told.
    pub length: Millis,
    /// The instant of the call's zero, in milliseconds since 1970.
    pub origin_ms: i64,
    /// Channels with sound, in order.
    pub channels: Vec<FinishedChannel>,
    /// What was understood, in the order in which it ended.
    pub utterances: Vec<HeardUtterance>,
    /// Language told or detected.
    pub language: Option<String>,
    /// Utterances that the recogniser failed on.
    pub failed_utterances: u64,
    /// Holds told by events.
    pub holds: Vec<Span>,
    /// Transfers told by events, with where to.
    pub transfers: Vec<(Millis, Option<String>)>,
}

/// What scoring needs of a call: the parts that a recording gives.
#[derive(Debug, Clone, PartialEq)]
pub struct HeardLive {
    /// Measurements of the whole call.
    pub facts: AudioFacts,
    /// What was said, with levels.
    pub heard: Vec<HeardUtterance>,
    /// The channel whose speakers were told apart by voice.
    pub mixed_channel: Option<u16>,
    /// Language told or detected.
    pub language: Option<String>,
    /// Time in which anybody speaks.
    pub speech: Millis,
}

impl FinishedCall {
    /// The call.
    pub fn call_id(&self) -> &CallId {
        &self.metadata.call_id
    }

    /// Sound that never came, on all channels together.
    pub fn missing(&self) -> Millis {
        Millis(self.channels.iter().map(|c| c.trouble.missing_ms as i64).sum())
    }

    /// Flags for the call's row, sorted: `no_audio`, `missing_audio`, `late_audio`, `broken_audio`, `transcription_failed`, `idle_end`,
    /// `cut_at_limit`.
    pub fn flags(&self) -> Vec<&'static str> {
        let any = |wrong: fn(&ChannelTrouble) -> bool| self.channels.iter().any(|c| wrong(&c.trouble));
        let mut flags: Vec<&'static str> = [
            ("no_audio", self.channels.is_empty()),
            ("missing_audio", any(|t| t.lost_chunks > 0)),
            ("late_audio", any(|t| t.late_chunks > 0)),
            ("broken_audio", any(|t| t.broken_chunks > 0)),
            ("transcription_failed", self.failed_utterances > 0),
            ("idle_end", self.end == EndReason::Idle),
            ("cut_at_limit", self.end == EndReason::TooLong),
        ]
        .into_iter()
        .filter_map(|(flag, applies)| applies.then_some(flag))
        .collect();
        flags.sort_unstable();
        flags
    }

    /// The channels from 0 on, all of one length; a channel without sound is silent.
    pub fn decode(&self) -> Vec<Pcm> {
        let count = self.channels.iter().map(|c| usize::from(c.channel) + 1).max().unwrap_or(0);
        let mut decoded = vec![Pcm::default(); count];
        for channel in &self.channels {
            decoded[usize::from(channel.channel)] = channel.sound.decode();
        }
        let longest = decoded.iter().map(|pcm| pcm.samples.len()).max().unwrap_or(0);
        for pcm in &mut decoded {
            pcm.samples.resize(longest, 0);
        }
        decoded
    }

    /// Measures the whole call, as a recording is measured. Takes up to a second for an hour of call, and its decoded
    /// sound in memory.
    pub fn hear(self, acoustics: &AcousticOptions, voices: &VoiceOptions) -> HeardLive {
        let channels = self.decode();
        let facts = analyse(&channels, acoustics);
        let mixed = mixed_channel(channels.len(), &self.metadata.channel_roles);
        let voices = mixed.map_or_else(Vec::new, |(channel, minimum_voices)| {
            let options = VoiceOptions { minimum_voices, ..voices.clone() };
            tell_voices_apart(&channels[channel as usize], &facts[channel as usize].speech, &options)
        });
        let first = self.channels.iter().find_map(|c| c.sound.first_format());
        let format = AudioFormat {
            container: CONTAINER.to_owned(),
            codec: first.map_or_else(String::new, |(codec, _)| codec.as_str().to_owned()),
            sample_rate_hz: first.map_or(0, |(_, rate_hz)| rate_hz),
            channels: channels.len() as u16,
            duration: channels.first().map_or(self.length, Pcm::duration),
            truncation: None,
        };
        let mut heard = self.utterances;
        for utterance in &mut heard {
            mark_leak(utterance, &facts);
        }
        heard.sort_by_key(|h| (h.utterance.channel, h.utterance.span));
        let speech = Span::union(facts.iter().flat_map(|c| c.speech.iter().copied()));
        HeardLive {
            speech: speech.into_iter().map(Span::duration).sum(),
            facts: AudioFacts { format, channels: facts, voices },
            heard,
            mixed_channel: mixed.map(|(channel, _)| channel),
            language: self.language,
        }
    }
}

/// What the whole call shows to be the other side's leak was not said on this channel.
fn mark_leak(heard: &mut HeardUtterance, facts: &[ChannelFacts]) {
    let utterance = &mut heard.utterance;
    let Some(channel) = facts.get(usize::from(utterance.channel)) else { return };
    let spoken: i64 = channel.speech.iter().map(|s| s.overlap(utterance.span).0).sum();
    if (spoken as f64) < utterance.span.duration().0 as f64 * LEAK_SPEECH_SHARE {
        utterance.dropped_reason.get_or_insert(DroppedReason::NoSpeech);
    }
}
