//! The seam between the product and any speech recogniser: packs in, words with times out.
//!
//! An engine sees one pack at a time and nothing else. It keeps no text, token or random state from one pack to the
//! next, so the words of a pack depend on the pack and the options alone.

use crate::error::AsrError;
use crate::guards::GuardLimits;
use crate::packing::PackLimits;
use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ};

/// Speech of one channel of one call with its long silences cut out: what an engine takes at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pack {
    /// Mono samples at [`PIPELINE_SAMPLE_RATE_HZ`], full scale = 1.0.
    pub samples: Vec<f32>,
}

impl Pack {
    /// How long it lasts; the end of the pack's clock, which starts at 0.
    pub fn duration(&self) -> Millis {
        Millis::of_sample(self.samples.len(), PIPELINE_SAMPLE_RATE_HZ)
    }
}

/// How the most likely words are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decoding {
    /// The likeliest token at each step; further tries only where the first looks wrong.
    #[default]
    Greedy,
    /// The given number of hypotheses side by side, 2 to 8. Slower; rarely better on telephone speech.
    Beam(u8),
}

/// What is asked of a transcription, the same for every pack of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscribeOptions {
    /// ISO 639-1 code of the language spoken; `None` has it detected once per channel.
    pub language: Option<String>,
    /// The language taken when detection is less sure than `min_language_probability`; `None` takes the likeliest.
    pub fallback_language: Option<String>,
    /// How sure detection must be, 0 to 1.
    pub min_language_probability: f64,
    /// How words are searched for.
    pub decoding: Decoding,
    /// How often one pack may be decoded before the best try is taken; at least 1.
    pub max_attempts: u8,
    /// How speech is packed.
    pub pack_limits: PackLimits,
    /// When text is taken for an invention.
    pub guards: GuardLimits,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            language: None,
            fallback_language: Some("en".to_owned()),
            min_language_probability: 0.7,
            decoding: Decoding::Greedy,
            max_attempts: 3,
            pack_limits: PackLimits::default(),
            guards: GuardLimits::default(),
        }
    }
}

/// One word on the pack's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct PackWord {
    /// The word as written, with its punctuation, without white space.
    pub text: String,
    /// When it starts.
    pub start: Millis,
    /// When it ends; never before `start`, never after the pack's end.
    pub end: Millis,
    /// Probability that the recogniser gave it, 0 to 1.
    pub probability: f32,
}

/// What an engine heard in one pack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackTranscript {
    /// The words in order; their times do not decrease and lie inside the pack.
    pub words: Vec<PackWord>,
    /// Average natural logarithm of the tokens' probabilities; 0 without words.
    pub average_log_probability: f64,
    /// The engine's own probability that nobody speaks, 0 to 1.
    pub no_speech_probability: f64,
    /// ISO 639-1 code of the language it was decoded in; `None` for engines that do not know.
    pub language: Option<String>,
    /// Probability of that language where it was detected rather than told.
    pub language_probability: Option<f64>,
    /// How often the pack was decoded.
    pub attempts: u8,
}

impl PackTranscript {
    /// The words joined by single spaces.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        words.join(" ")
    }
}

/// What is known of the model behind an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Short name with the weights' type (`base f16`, `base q8_0`, `scripted`).
    pub name: String,
    /// Whether it knows more than English.
    pub multilingual: bool,
}

/// A speech recogniser. One instance belongs to one worker thread.
///
/// Every implementation passes the conformance suite in `tests/conformance.rs`.
pub trait Transcriber: Send {
    /// The words in `pack`.
    ///
    /// An empty pack yields no words. A pack longer than [`Transcriber::longest_pack`] is refused. The result depends
    /// on `pack` and `options` alone, whatever was transcribed before, and an error leaves the engine usable.
    fn transcribe(&mut self, pack: &Pack, options: &TranscribeOptions) -> Result<PackTranscript, AsrError>;

    /// The words in each of `packs`, in their order: what [`Transcriber::transcribe`] yields of each (to the last digits,
    /// which may follow the order in which a processor sums a batch), only faster where
    /// the packs are no more than [`Transcriber::longest_batch`].
    fn transcribe_batch(
        &mut self,
        packs: &[&Pack],
        options: &TranscribeOptions,
    ) -> Vec<Result<PackTranscript, AsrError>> {
        packs.iter().map(|pack| self.transcribe(pack, options)).collect()
    }

    /// The most packs worth handing over at once.
    fn longest_batch(&self) -> usize {
        1
    }

    /// Whether the engine can pass over speech without a word, so that it is worth hearing such speech again by itself.
    fn passes_over_speech(&self) -> bool {
        false
    }

    /// The longest pack this engine takes.
    fn longest_pack(&self) -> Millis;

    /// What is known of the model.
    fn model(&self) -> ModelInfo;
}
