//! What every engine decides the same way: whether a pack is silence, whether its text looks wrong, which of two tries
//! is the better one, and which language to decode in.

use crate::guards::{GuardLimits, compression_ratio, find_loop};
use crate::transcriber::{PackTranscript, TranscribeOptions};
use callmark_types::Millis;

/// Root-mean-square below which a pack is silence: -75 dB full scale.
const SILENCE_RMS: f32 = 1.8e-4;
/// Fastest speech believed, in tokens a second: bounds a decoder that loops.
const MAX_TOKENS_PER_SECOND: i64 = 10;
/// Tokens granted beside that.
const SPARE_TOKENS: i64 = 12;

/// Most tokens that a pack of that length may have.
pub(crate) fn max_tokens(duration: Millis) -> usize {
    (duration.0.max(0) * MAX_TOKENS_PER_SECOND / 1000 + SPARE_TOKENS) as usize
}

pub(crate) fn is_silent(samples: &[f32]) -> bool {
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    energy <= f64::from(SILENCE_RMS * SILENCE_RMS) * samples.len() as f64
}

/// Whether another try is worth its time: a loop, or words the model itself does not believe.
pub(crate) fn looks_wrong(transcript: &PackTranscript, guards: &GuardLimits) -> bool {
    let text = transcript.text();
    let unsure = transcript.average_log_probability < guards.retry_log_probability
        && transcript.no_speech_probability <= guards.max_no_speech_probability;
    unsure || is_repetitive(&text, guards)
}

/// Whether a text says something over and over.
pub(crate) fn is_repetitive(text: &str, guards: &GuardLimits) -> bool {
    find_loop(text.split_whitespace()).is_some() || compression_ratio(text) > guards.max_compression_ratio
}

fn has_loop(transcript: &PackTranscript) -> bool {
    find_loop(transcript.words.iter().map(|word| word.text.as_str())).is_some()
}

/// Whether `candidate` is to be preferred to what looked wrong.
pub(crate) fn is_better(candidate: &PackTranscript, before: &PackTranscript, guards: &GuardLimits) -> bool {
    if !looks_wrong(candidate, guards) {
        return true;
    }
    match (has_loop(candidate), has_loop(before)) {
        (false, true) => true,
        (true, false) => false,
        _ => candidate.average_log_probability > before.average_log_probability,
    }
}

/// The language to decode in among `languages` (code, probability), and its probability: the likeliest, or the fallback
/// where that is too unsure.
pub(crate) fn pick_language(languages: &[(&str, f64)], options: &TranscribeOptions) -> Option<(String, f64)> {
    let &(likeliest, probability) = languages.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    match &options.fallback_language {
        Some(fallback) if probability < options.min_language_probability => {
            let of_fallback = languages.iter().find(|(code, _)| code == fallback);
            Some((fallback.clone(), of_fallback.map_or(0.0, |&(_, probability)| probability)))
        }
        _ => Some((likeliest.to_owned(), probability)),
    }
}
