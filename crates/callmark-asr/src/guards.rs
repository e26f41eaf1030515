//! When text is taken for an invention of the recogniser.
//!
//! Whisper models write fluent text on silence, music and noise. Speech detection keeps most of that away; what gets
//! through is caught here by what the model says of itself (no-speech probability, log-probability), by the shape of
//! the text (loops, compression, phantom phrases) and by the sound (level, words a second). Nothing is deleted: a
//! caught text stays with its reason.

use crate::phantoms::{PhantomKind, normalise, phantom_kind};
use callmark_types::{DroppedReason, Millis, Word};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// Texts shorter than this say nothing by their compression ratio.
const MIN_BYTES_FOR_COMPRESSION: usize = 48;
/// Longest phrase looked for in a loop, in words.
const LONGEST_LOOPED_PHRASE: usize = 12;

/// When text is taken for an invention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardLimits {
    /// With a no-speech probability above this, text needs `confident_log_probability` to stay.
    pub max_no_speech_probability: f64,
    /// Average log-probability that outweighs a high no-speech probability.
    pub confident_log_probability: f64,
    /// With a no-speech probability above the bound, a pack whose average log-probability is below this is noise: a
    /// word in it that looks sure by itself is dropped with the rest. The original decoder's bound is -1.
    pub noise_pack_log_probability: f64,
    /// Text with a lower average log-probability is dropped whatever else speaks for it.
    pub min_log_probability: f64,
    /// A pack with a lower average log-probability is decoded again.
    pub retry_log_probability: f64,
    /// A pack whose text compresses better than this is decoded again.
    pub max_compression_ratio: f64,
    /// Nobody says more words a second than this over five words or more.
    pub max_words_per_second: f64,
    /// Average word probability below which a phantom phrase that people do say is dropped.
    pub weak_phantom_probability: f64,
    /// Average word probability below which a phantom phrase that nobody says on a call is dropped.
    pub never_phantom_probability: f64,
    /// Text on sound quieter than this is dropped, in dB full scale.
    pub min_level_dbfs: f64,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            max_no_speech_probability: 0.45,
            confident_log_probability: -0.25,
            noise_pack_log_probability: -0.8,
            min_log_probability: -1.6,
            retry_log_probability: -1.0,
            max_compression_ratio: 2.4,
            max_words_per_second: 9.0,
            weak_phantom_probability: 0.4,
            never_phantom_probability: 0.97,
            min_level_dbfs: -65.0,
        }
    }
}

/// What speaks for or against the words of one utterance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The engine's probability that nobody speaks in the pack.
    pub no_speech_probability: f64,
    /// Average log-probability of all words of the pack.
    pub pack_log_probability: f64,
    /// Level of the sound under the words in dB full scale; `None` for digital silence.
    pub level_dbfs: Option<f64>,
    /// How long the speech lasts that the words were heard in.
    pub speech_duration: Millis,
}

/// Why `words` are taken for an invention; `None` where they count as said. Loops are found by [`find_loop`] before.
pub fn judge(words: &[Word], evidence: &Evidence, limits: &GuardLimits) -> Option<DroppedReason> {
    if words.is_empty() {
        return None;
    }
    let probability = average_probability(words);
    let log_probability = average_log_probability(words);
    if evidence.level_dbfs.is_none_or(|level| level < limits.min_level_dbfs) {
        return Some(DroppedReason::NoSpeech);
    }
    let is_unsure = log_probability < limits.confident_log_probability
        || evidence.pack_log_probability < limits.noise_pack_log_probability;
    if evidence.no_speech_probability > limits.max_no_speech_probability && is_unsure {
        return Some(DroppedReason::NoSpeech);
    }
    let text: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
    let phantom_bound = match phantom_kind(&text.join(" ")) {
        Some(PhantomKind::Never) => limits.never_phantom_probability,
        Some(PhantomKind::Weak) => limits.weak_phantom_probability,
        None => 0.0,
    };
    if probability < phantom_bound {
        return Some(DroppedReason::PhantomPhrase);
    }
    if log_probability < limits.min_log_probability {
        return Some(DroppedReason::LowLogProbability);
    }
    let seconds = evidence.speech_duration.seconds();
    if words.len() >= 5 && words.len() as f64 > seconds * limits.max_words_per_second {
        return Some(DroppedReason::ImplausibleRate);
    }
    None
}

/// Average probability of the words, 0 to 1; 0 without words.
pub fn average_probability(words: &[Word]) -> f64 {
    let sum: f64 = words.iter().map(|word| f64::from(word.probability)).sum();
    if words.is_empty() { 0.0 } else { sum / words.len() as f64 }
}

fn average_log_probability(words: &[Word]) -> f64 {
    let sum: f64 = words.iter().map(|word| f64::from(word.probability).max(1e-6).ln()).sum();
    sum / words.len().max(1) as f64
}

/// How many times smaller zlib makes the text (Whisper's own measure of loops); 1 for short texts.
pub fn compression_ratio(text: &str) -> f64 {
    if text.len() < MIN_BYTES_FOR_COMPRESSION {
        return 1.0;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    compressed.map_or(1.0, |bytes| text.len() as f64 / bytes.len().max(1) as f64)
}

/// A phrase that is said over and over without a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordLoop {
    /// Index of the first word of the second copy; everything from here to `end` repeats.
    pub second_copy: usize,
    /// Index after the last word of the last copy.
    pub end: usize,
    /// How often the phrase stands there.
    pub copies: usize,
}

/// The first loop in `words`: more copies of a phrase than a person would say.
///
/// Single words need 7 copies ("no no no no"), two or three words 5, longer phrases 3: people repeat themselves, and
/// a menu may say its prompt twice in one breath.
pub fn find_loop<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<WordLoop> {
    let words: Vec<String> = words.into_iter().map(normalise).collect();
    for start in 0..words.len() {
        for length in 1..=LONGEST_LOOPED_PHRASE.min((words.len() - start) / 2) {
            let phrase = &words[start..start + length];
            let mut copies = 1;
            while words[start + copies * length..].starts_with(phrase) {
                copies += 1;
            }
            let needed = match length {
                1 => 7,
                2 | 3 => 5,
                _ => 3,
            };
            if copies >= needed {
                let end = start + copies * length;
                return Some(WordLoop { second_copy: start + length, end, copies });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use callmark_types::Span;

    fn words(text: &str, probability: f32) -> Vec<Word> {
        let word = |(i, word): (usize, &str)| Word {
            word: word.to_owned(),
            span: Span::of_ms(i as i64 * 300, i as i64 * 300 + 250),
            probability,
        };
        text.split_whitespace().enumerate().map(word).collect()
    }

    fn good_evidence() -> Evidence {
        Evidence {
            no_speech_probability: 0.02,
            pack_log_probability: -0.2,
            level_dbfs: Some(-20.0),
            speech_duration: Millis(3_000),
        }
    }

    fn judged(text: &str, probability: f32, evidence: Evidence) -> Option<DroppedReason> {
        judge(&words(text, probability), &evidence, &GuardLimits::default())
    }

    #[test]
    fn clear_speech_is_kept_and_thanks_are_too() {
        assert_eq!(judged("I want to speak to a person", 0.8, good_evidence()), None);
        assert_eq!(judged("Thank you.", 0.8, good_evidence()), None);
        assert_eq!(judged("Bye.", 0.7, good_evidence()), None);
    }

    #[test]
    fn each_kind_of_invention_is_dropped_with_its_reason() {
        use DroppedReason::{ImplausibleRate, LowLogProbability, NoSpeech, PhantomPhrase};
        let noise = Evidence { no_speech_probability: 0.9, ..good_evidence() };
        let silence = Evidence { level_dbfs: Some(-80.0), ..good_evidence() };
        let short = Evidence { speech_duration: Millis(300), ..good_evidence() };
        assert_eq!(judged("I'm going to go", 0.3, noise), Some(NoSpeech));
        let babble = Evidence { pack_log_probability: -1.4, ..noise };
        assert_eq!(judged("to", 0.9, noise), None);
        assert_eq!(judged("to", 0.9, babble), Some(NoSpeech));
        assert_eq!(judged("I'm going to go", 0.9, silence), Some(NoSpeech));
        assert_eq!(judged("Thank you.", 0.3, good_evidence()), Some(PhantomPhrase));
        assert_eq!(judged("Thanks for watching!", 0.9, good_evidence()), Some(PhantomPhrase));
        assert_eq!(judged("some other thing", 0.1, good_evidence()), Some(LowLogProbability));
        assert_eq!(judged("one two three four five six", 0.9, short), Some(ImplausibleRate));
    }

    #[test]
    fn a_loop_is_found_and_human_repetition_is_not() {
        let found = |text: &str| find_loop(text.split(' '));
        assert_eq!(found("no no no no that is wrong"), None);
        assert_eq!(found("are you there are you there hello"), None);
        assert_eq!(found("five five five five"), None);
        let looped = found("well I'm going to do it I'm going to do it I'm going to do it");
        assert_eq!(looped, Some(WordLoop { second_copy: 6, end: 16, copies: 3 }));
        assert!(found("a a a a a a a").is_some());
    }

    #[test]
    fn a_loop_compresses_better_than_speech() {
        let speech =
            "Thank you for calling Northgate Bank, I'm Nora, your automated assistant. How can I help you?";
        assert!(compression_ratio(speech) < 2.0);
        assert!(compression_ratio(&"the balance is ".repeat(20)) > 2.4);
        assert_eq!(compression_ratio("no no no"), 1.0);
    }
}
