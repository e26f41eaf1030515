//! Facts about sound: 16 kHz PCM in, measurements out.
//!
//! [`analyse`] says for every channel of a recording how loud and clean it is, where somebody speaks, where music plays
//! and which signalling tones sound. [`tell_voices_apart`] says which of several people on one channel speaks when.
//! Nothing here knows text, files, formats or who the people are; there is no state between calls, and the same
//! samples give the same facts.

mod crosstalk;
mod kernel;
mod level;
mod music;
mod power;
mod silero;
mod spectrum;
mod speech;
mod stream;
#[cfg(test)]
mod test_sounds;
mod tones;
mod voices;

pub use stream::{SPEECH_CHUNK_MS, SpeechDetector, SpeechStream};
pub use voices::{VoiceOptions, tell_voices_apart};

use callmark_types::{ChannelFacts, Millis, Pcm, Span, ToneKind};
use crosstalk::Heard;
use silero::SpeechNetwork;

/// What [`analyse`] may be told. The defaults are measured; see `README.md` of this crate.
#[derive(Debug, Clone, PartialEq)]
pub struct AcousticOptions {
    /// Probability from which a chunk of 32 ms opens a span of speech, 0 to 1.
    pub speech_start_probability: f32,
    /// Probability below which a chunk closes it, 0 to 1; below the start probability, so that spans do not flicker.
    pub speech_end_probability: f32,
    /// Speech shorter than this, before padding, is left out. "Yes" and "no" last some 200 ms.
    pub minimum_speech: Millis,
    /// A pause shorter than this does not split a span.
    pub minimum_pause: Millis,
    /// How much earlier than its first chunk a span begins.
    pub speech_lead: Millis,
    /// How much later than its last chunk a span ends.
    pub speech_tail: Millis,
    /// Where the other side speaks, sound this far below it is its leak, in dB (negative).
    pub leak_always_below_db: f64,
    /// Sound above this, relative to the other side, is never its leak, in dB (negative).
    pub leak_never_above_db: f64,
    /// How far a leak may rise above the recording's usual level difference between channels, in dB.
    pub leak_spread_db: f64,
}

impl Default for AcousticOptions {
    fn default() -> Self {
        Self {
            speech_start_probability: 0.5,
            speech_end_probability: 0.35,
            minimum_speech: Millis(96),
            minimum_pause: Millis(300),
            speech_lead: Millis(30),
            speech_tail: Millis(0),
            leak_always_below_db: -22.0,
            leak_never_above_db: -14.0,
            leak_spread_db: 9.0,
        }
    }
}

/// Measures all channels of one recording. They are taken together so that one side's leak into the other channel can
/// be told from speech; channels may differ in length.
pub fn analyse(channels: &[Pcm], options: &AcousticOptions) -> Vec<ChannelFacts> {
    let network = SpeechNetwork::new();
    let powers: Vec<Vec<f32>> = channels.iter().map(|c| power::frame_powers(&c.samples)).collect();
    let probabilities: Vec<Vec<f32>> = channels
        .iter()
        .zip(&powers)
        .map(|(channel, powers)| speech::speech_probabilities(&network, &channel.samples, powers))
        .collect();
    let heard: Vec<Heard<'_>> = powers
        .iter()
        .zip(&probabilities)
        .map(|(powers, probabilities)| Heard { powers, probabilities })
        .collect();
    channels.iter().enumerate().map(|(index, pcm)| channel_facts(index, pcm, &heard, options)).collect()
}

/// Root-mean-square level of `span`, in dB full scale; `None` for digital silence and outside the recording.
pub fn loudness_dbfs(pcm: &Pcm, span: Span) -> Option<f64> {
    level::level_dbfs(pcm, &[span])
}

fn channel_facts(index: usize, pcm: &Pcm, heard: &[Heard<'_>], options: &AcousticOptions) -> ChannelFacts {
    let powers = heard[index].powers;
    let mut probabilities = heard[index].probabilities.to_vec();
    for (_, other) in heard.iter().enumerate().filter(|(other, _)| *other != index) {
        let own = Heard { powers, probabilities: &probabilities };
        probabilities = crosstalk::without_leaks(own, *other, options);
    }
    let duration = pcm.duration();
    let speech = speech::speech_spans(&probabilities, duration, options);
    let frames = spectrum::spectrum_frames(&pcm.samples, powers, music::audible_power(powers));
    let mut tones = tones::find_tones(pcm, powers, &frames, &speech);
    let signals: Vec<Span> = tones.iter().filter(|t| t.kind != ToneKind::Other).map(|t| t.span).collect();
    let music = music::find_music(&frames, &probabilities, powers, &signals);
    // A held note is a steady tone too.
    tones.retain(|t| t.kind != ToneKind::Other || music.iter().all(|m| m.intersection(t.span).is_none()));

    let everything = [Span::new(Millis::ZERO, duration)];
    let measured: &[Span] = if speech.is_empty() { &everything } else { &speech };
    let sounding: Vec<Span> =
        speech.iter().chain(&music).copied().chain(tones.iter().map(|t| t.span)).collect();
    ChannelFacts {
        channel: index as u16,
        level_dbfs: level::level_dbfs(pcm, measured),
        peak_dbfs: level::peak_dbfs(&pcm.samples),
        clipped_ratio: level::clipped_ratio(&pcm.samples),
        snr_db: level::signal_to_noise_db(powers, &speech, &sounding),
        speech,
        music,
        tones,
    }
}
