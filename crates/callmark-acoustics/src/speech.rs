//! Where somebody speaks: from the network's judgement of 32 ms chunks to spans.
//!
//! Chunks in which nothing rises above the line's own noise are not given to the network at all: on a two-channel
//! call that is more than half of them.

use crate::AcousticOptions;
use crate::power::{FRAME_SAMPLES, of_decibels, quantile};
use crate::silero::{CHUNK_SAMPLES, SpeechNetwork};
use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use callmark_types::{Millis, Span};
use std::ops::Range;

/// Milliseconds in a chunk.
pub(crate) const CHUNK_MS: i64 = CHUNK_SAMPLES as i64 * 1000 / PIPELINE_SAMPLE_RATE_HZ as i64;
/// Power frames in a chunk.
pub(crate) const FRAMES_IN_CHUNK: usize = CHUNK_SAMPLES / FRAME_SAMPLES;
/// Chunks heard before something rises above the noise, so that the network has settled when it does.
pub(crate) const WARM_UP_CHUNKS: usize = 12;
/// Chunks heard after the last one above the noise.
pub(crate) const COOL_DOWN_CHUNKS: usize = 6;
/// Share of the chunks that are taken to be no louder than the noise.
pub(crate) const NOISE_QUANTILE: f64 = 0.05;
/// How far above the noise a chunk must be to be heard, in dB.
pub(crate) const AUDIBLE_ABOVE_NOISE_DB: f64 = 3.0;
/// Below this nothing is heard, in dB full scale: the step of a G.711 line is near -72.
pub(crate) const INAUDIBLE_DBFS: f64 = -72.0;
/// Above this everything is heard, in dB full scale, however loud the noise is taken to be: on a channel that is
/// never quiet, what was taken for noise may be speech.
pub(crate) const AUDIBLE_DBFS: f64 = -50.0;

/// How likely each 32 ms chunk is speech, 0 to 1; 0 for chunks in which nothing can be heard.
pub(crate) fn speech_probabilities(network: &SpeechNetwork, samples: &[i16], powers: &[f32]) -> Vec<f32> {
    let mut probabilities = vec![0.0; samples.len().div_ceil(CHUNK_SAMPLES)];
    for island in audible_chunks(powers) {
        let island = island.start..island.end.min(probabilities.len());
        network.run(samples, island.start, &mut probabilities[island]);
    }
    probabilities
}

/// The stretches of chunks that are worth listening to, in order, apart from each other.
fn audible_chunks(powers: &[f32]) -> Vec<Range<usize>> {
    let chunks: Vec<f32> =
        powers.chunks(FRAMES_IN_CHUNK).map(|c| c.iter().copied().fold(0.0, f32::max)).collect();
    let sounding: Vec<f32> = chunks.iter().copied().filter(|p| *p > of_decibels(INAUDIBLE_DBFS)).collect();
    let Some(noise) = quantile(&sounding, NOISE_QUANTILE) else { return Vec::new() };
    let threshold = (noise * of_decibels(AUDIBLE_ABOVE_NOISE_DB))
        .min(of_decibels(AUDIBLE_DBFS))
        .max(of_decibels(INAUDIBLE_DBFS));
    let mut islands: Vec<Range<usize>> = Vec::new();
    for (chunk, _) in chunks.iter().enumerate().filter(|(_, power)| **power > threshold) {
        let start = chunk.saturating_sub(WARM_UP_CHUNKS);
        let end = (chunk + COOL_DOWN_CHUNKS + 1).min(chunks.len());
        match islands.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => islands.push(start..end),
        }
    }
    islands
}

/// Spans of speech in order: opened where a chunk reaches the start probability, closed where one falls below the
/// end probability, short pauses bridged, what is too short left out.
pub(crate) fn speech_spans(probabilities: &[f32], duration: Millis, options: &AcousticOptions) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut opened: Option<usize> = None;
    let mut close = |from: usize, to: usize| {
        let span = Span::of_ms(from as i64 * CHUNK_MS, to as i64 * CHUNK_MS);
        match spans.last_mut() {
            Some(last) if span.start - last.end < options.minimum_pause => last.end = span.end,
            _ => spans.push(span),
        }
    };
    for (chunk, probability) in probabilities.iter().enumerate() {
        match opened {
            None if *probability >= options.speech_start_probability => opened = Some(chunk),
            Some(from) if *probability < options.speech_end_probability => {
                close(from, chunk);
                opened = None;
            }
            _ => {}
        }
    }
    if let Some(from) = opened {
        close(from, probabilities.len());
    }
    let pad = |span: Span| {
        Span::new(
            (span.start - options.speech_lead).max(Millis::ZERO),
            (span.end + options.speech_tail).min(duration),
        )
    };
    Span::union(spans.into_iter().filter(|s| s.duration() >= options.minimum_speech).map(pad))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans_of(probabilities: &[f32]) -> Vec<Span> {
        speech_spans(
            probabilities,
            Millis(probabilities.len() as i64 * CHUNK_MS),
            &AcousticOptions::default(),
        )
    }

    #[test]
    fn a_short_pause_does_not_split_and_a_long_one_does() {
        let mut probabilities = vec![0.9; 60];
        probabilities[20..26].fill(0.0);
        assert_eq!(spans_of(&probabilities).len(), 1);
        probabilities[20..36].fill(0.0);
        assert_eq!(spans_of(&probabilities).len(), 2);
    }

    #[test]
    fn a_click_is_not_speech_and_a_yes_is() {
        let mut probabilities = vec![0.0; 60];
        probabilities[20..22].fill(0.9);
        assert!(spans_of(&probabilities).is_empty());
        probabilities[20..25].fill(0.9);
        assert_eq!(spans_of(&probabilities).len(), 1);
    }

    proptest! {
        #[test]
        fn spans_are_in_order_apart_and_inside_the_recording(
            probabilities in proptest::collection::vec(0.0_f32..1.0, 0..400),
        ) {
            let spans = spans_of(&probabilities);
            let end = Millis(probabilities.len() as i64 * CHUNK_MS);
            prop_assert!(spans.iter().all(|s| s.start < s.end && s.start >= Millis::ZERO && s.end <= end));
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
        }

        #[test]
        fn nothing_loud_is_left_unheard(powers in proptest::collection::vec(0.0_f32..1e-3, 0..800)) {
            let islands = audible_chunks(&powers);
            prop_assert!(islands.windows(2).all(|pair| pair[0].end < pair[1].start));
            for (frame, power) in powers.iter().enumerate() {
                let chunk = frame / FRAMES_IN_CHUNK;
                prop_assert!(*power <= of_decibels(AUDIBLE_DBFS) || islands.iter().any(|i| i.contains(&chunk)));
            }
        }
    }
}
