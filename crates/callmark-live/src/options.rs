//! What a live call may cost, and when its parts count as over. Every bound has its name here.

use crate::alert_rules::AlertRules;
use callmark_acoustics::AcousticOptions;
use callmark_types::Millis;

/// Settings of all sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// Most calls open at a time; a chunk of one more is refused.
    pub max_sessions: usize,
    /// Most channels of a call.
    pub max_channels: u16,
    /// Largest chunk, in bytes; the default is two seconds of 16-bit samples at 48 kHz.
    pub max_chunk_bytes: usize,
    /// Longest call; a longer one is ended here and scored as far as it was heard.
    pub max_duration: Millis,
    /// Most coded bytes kept of one call; a call that reaches them is ended as one that lasts too long.
    pub max_stored_bytes: usize,
    /// How long a missing chunk is waited for, on the clock of the chunks that came after it.
    pub reorder_window: Millis,
    /// Most chunks of a channel that wait for a missing one.
    pub reorder_chunks: usize,
    /// Jump of a channel's `ts-ms` without a missing chunk from which on it is silence, and not jitter.
    pub jitter: Millis,
    /// Longest jump of `ts-ms`; a chunk beyond it is refused.
    pub max_gap: Millis,
    /// How long after the `ended` event chunks are still taken, on the caller's clock.
    pub end_grace: Millis,
    /// How long after its last message a call counts as ended, on the caller's clock.
    pub idle_timeout: Millis,
    /// A pause from which on an utterance is over.
    pub utterance_pause: Millis,
    /// Longest utterance; a longer one is cut.
    pub max_utterance: Millis,
    /// Sound kept before and after an utterance for the recogniser.
    pub utterance_margin: Millis,
    /// Utterances with the recogniser at a time before [`wants_pause`](crate::Sessions::wants_pause) says so.
    pub max_jobs_in_flight: usize,
    /// Ids of ended calls that are remembered, so that their stragglers open no new session.
    pub remembered_calls: usize,
    /// How speech is told from silence.
    pub acoustics: AcousticOptions,
    /// When alerts are raised.
    pub alerts: AlertRules,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            max_sessions: 2_000,
            max_channels: 8,
            max_chunk_bytes: 192_000,
            max_duration: Millis(4 * 3_600_000),
            max_stored_bytes: 512 << 20,
            reorder_window: Millis(1_000),
            reorder_chunks: 128,
            jitter: Millis(100),
            max_gap: Millis(30 * 60_000),
            end_grace: Millis(2_000),
            idle_timeout: Millis(300_000),
            utterance_pause: Millis(700),
            max_utterance: Millis(15_000),
            utterance_margin: Millis(600),
            max_jobs_in_flight: 256,
            remembered_calls: 100_000,
            acoustics: AcousticOptions::default(),
            alerts: AlertRules::default(),
        }
    }
}
