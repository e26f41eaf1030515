//! Sound, and what was measured on it.

use crate::time::{Millis, Span};
use serde::{Deserialize, Serialize};

/// The sample rate inside the pipeline, in samples a second: what Whisper and the speech detectors take.
pub const PIPELINE_SAMPLE_RATE_HZ: u32 = 16_000;

/// One channel of sound at [`PIPELINE_SAMPLE_RATE_HZ`], full scale = 32768.
///
/// 16 bit because telephony has at most that, and because a three-hour call in 32-bit floats would not fit the
/// memory a worker may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pcm {
    /// The samples.
    pub samples: Vec<i16>,
}

impl Pcm {
    /// How long it lasts.
    pub fn duration(&self) -> Millis {
        Millis::of_sample(self.samples.len(), PIPELINE_SAMPLE_RATE_HZ)
    }

    /// The samples inside `span`, cut to what there is.
    pub fn slice(&self, span: Span) -> &[i16] {
        let end = span.end.to_sample(PIPELINE_SAMPLE_RATE_HZ).min(self.samples.len());
        let start = span.start.to_sample(PIPELINE_SAMPLE_RATE_HZ).min(end);
        &self.samples[start..end]
    }
}

/// What a file said of itself, and how much of it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    /// Container in lower case (`wav`, `ogg`, `raw`, `mp4`, …).
    pub container: String,
    /// Codec in lower case (`pcm_s16le`, `pcm_mulaw`, `opus`, `gsm`, …).
    pub codec: String,
    /// Sample rate as recorded, in hertz.
    pub sample_rate_hz: u32,
    /// Number of channels as recorded.
    pub channels: u16,
    /// Length of what was decoded.
    pub duration: Millis,
    /// Set when the file ended or broke before its stated end; what came before is valid.
    pub truncation: Option<Truncation>,
}

/// Where and why a recording broke off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// Offset in the file, in bytes, at which decoding stopped.
    pub byte_offset: u64,
    /// Why.
    pub reason: String,
}

/// A signalling tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneKind {
    /// Steady tone before a number is dialled.
    Dial,
    /// What a caller hears while the other end rings.
    Ringback,
    /// Engaged or congestion signal.
    Busy,
    /// A key pressed.
    Dtmf,
    /// Any other steady tone.
    Other,
}

/// One stretch of a signalling tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tone {
    /// When.
    pub span: Span,
    /// What.
    pub kind: ToneKind,
}

/// What was measured on one channel. All spans are in order and do not overlap within their list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// Index of the channel in the recording, from 0.
    pub channel: u16,
    /// Root-mean-square level of the speech (of everything, where there is no speech), in dB full scale; `None` for digital silence.
    pub level_dbfs: Option<f64>,
    /// Highest sample, in dB full scale; `None` for digital silence.
    pub peak_dbfs: Option<f64>,
    /// Share of samples in runs at full scale, 0 to 1.
    pub clipped_ratio: f64,
    /// Speech level over background level, in dB; `None` without speech.
    pub snr_db: Option<f64>,
    /// Where somebody speaks.
    pub speech: Vec<Span>,
    /// Where music plays (hold music above all).
    pub music: Vec<Span>,
    /// Signalling tones.
    pub tones: Vec<Tone>,
}

/// A stretch of one voice on a channel that several people share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VoiceSpan {
    /// When.
    pub span: Span,
    /// Which voice, from 0 in order of first appearance.
    pub voice: u8,
    /// How sure, 0 to 1.
    pub confidence: f64,
}

/// Everything measured on the audio of one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// What the file said of itself.
    pub format: AudioFormat,
    /// One entry a channel, in order.
    pub channels: Vec<ChannelFacts>,
    /// Voices told apart on a mixed channel; empty where every channel has one side.
    pub voices: Vec<VoiceSpan>,
}
