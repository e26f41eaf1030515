//! Word times from alignment, drawn in to where there is sound.
//!
//! Alignment tells when a word gives way to the next, so a word before a pause lasts through it, and the last word of
//! a pack to the pack's end. Here each word loses the quiet at both its ends, and what is longer than a word can be.

use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ, Pcm, Span, Word};

/// Length of the stretches whose level is compared.
const FRAME_MS: i64 = 10;
/// A stretch this far below the loud parts of its utterance is quiet: the width of speech between vowels and weak
/// consonants on a telephone line.
const QUIET_BELOW_LOUD_DB: f64 = 26.0;
/// Share of stretches that are louder than what counts as the loud level.
const LOUD_SHARE: f64 = 0.05;
/// The longest a word lasts: this, …
const LONGEST_WORD_MS: i64 = 450;
/// … and this for every letter, …
const LONGEST_LETTER_MS: i64 = 90;
/// … and this for every digit, each of which is a word: "4012 8888" is written as two and said as eight.
const LONGEST_DIGIT_MS: i64 = 500;
/// No word is made shorter than this.
const SHORTEST_WORD_MS: i64 = 40;

/// Draws the words of the utterance at `span` in to where there is sound. Words only ever get shorter.
pub(crate) fn tighten_words(pcm: &Pcm, span: Span, words: &mut [Word]) {
    let frame = Millis(FRAME_MS).to_sample(PIPELINE_SAMPLE_RATE_HZ);
    let energies: Vec<f64> = pcm.slice(span).chunks(frame).map(mean_square).collect();
    let mut sorted = energies.clone();
    sorted.sort_by(f64::total_cmp);
    let loud_index = ((1.0 - LOUD_SHARE) * sorted.len().saturating_sub(1) as f64) as usize;
    let Some(&loud) = sorted.get(loud_index) else { return };
    let threshold = loud * 10.0_f64.powf(-QUIET_BELOW_LOUD_DB / 10.0);
    for word in words {
        word.span = tightened(word, span.start, &energies, threshold);
    }
}

fn mean_square(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    sum / samples.len().max(1) as f64
}

fn tightened(word: &Word, origin: Millis, energies: &[f64], threshold: f64) -> Span {
    let frame_of = |time: Millis| ((time - origin).0.max(0) / FRAME_MS) as usize;
    let first = frame_of(word.span.start).min(energies.len());
    let last = frame_of(word.span.end + Millis(FRAME_MS - 1)).clamp(first, energies.len());
    let is_sound = |&energy: &f64| energy >= threshold;
    let inside = &energies[first..last];
    let (Some(from), Some(to)) = (inside.iter().position(is_sound), inside.iter().rposition(is_sound)) else {
        return word.span;
    };
    let at = |frame: usize| origin + Millis((first + frame) as i64 * FRAME_MS);
    let start = at(from).max(word.span.start);
    let per_character = |c: char| match c {
        '0'..='9' => LONGEST_DIGIT_MS,
        c if c.is_alphanumeric() => LONGEST_LETTER_MS,
        _ => 0,
    };
    let longest = Millis(LONGEST_WORD_MS + word.word.chars().map(per_character).sum::<i64>());
    let end = at(to + 1).min(word.span.end).min(start + longest);
    if (end - start).0 < SHORTEST_WORD_MS.min(word.span.duration().0) {
        word.span
    } else {
        Span::new(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recording(sound: Span, total_ms: i64) -> Pcm {
        let mut samples = vec![3_i16; total_ms as usize * 16];
        for (i, sample) in
            samples[sound.start.0 as usize * 16..sound.end.0 as usize * 16].iter_mut().enumerate()
        {
            *sample = if i % 40 < 20 { 4_000 } else { -4_000 };
        }
        Pcm { samples }
    }

    fn word(text: &str, span: Span) -> Word {
        Word { word: text.to_owned(), span, probability: 0.9 }
    }

    #[test]
    fn a_word_before_a_pause_ends_where_its_sound_ends() {
        let pcm = recording(Span::of_ms(500, 1_000), 3_000);
        let mut words = [word("engine.", Span::of_ms(300, 2_600))];
        tighten_words(&pcm, Span::of_ms(0, 3_000), &mut words);
        assert_eq!(words[0].span, Span::of_ms(500, 1_000));
    }

    #[test]
    fn a_word_is_no_longer_than_it_can_be() {
        let pcm = recording(Span::of_ms(0, 3_000), 3_000);
        let mut words = [word("a", Span::of_ms(0, 2_900))];
        tighten_words(&pcm, Span::of_ms(0, 3_000), &mut words);
        assert_eq!(words[0].span, Span::of_ms(0, 540));
    }

    #[test]
    fn digits_take_the_time_that_it_takes_to_say_them() {
        let pcm = recording(Span::of_ms(0, 5_000), 6_000);
        let mut words = [word("4012888888881881.", Span::of_ms(0, 5_900))];
        tighten_words(&pcm, Span::of_ms(0, 6_000), &mut words);
        assert_eq!(words[0].span, Span::of_ms(0, 5_000));
    }

    #[test]
    fn a_word_without_any_sound_stays_where_it_is() {
        let pcm = recording(Span::of_ms(0, 1_000), 3_000);
        let mut words = [word("yes", Span::of_ms(1_500, 1_700))];
        tighten_words(&pcm, Span::of_ms(0, 3_000), &mut words);
        assert_eq!(words[0].span, Span::of_ms(1_500, 1_700));
    }

    proptest! {
        #[test]
        fn words_only_get_shorter_and_never_empty(
            sound in (0i64..900, 1i64..100),
            start in 0i64..990,
            length in 1i64..500,
        ) {
            let pcm = recording(Span::of_ms(sound.0, sound.0 + sound.1), 1_000);
            let before = Span::of_ms(start, (start + length).min(1_000));
            let mut words = [word("w", before)];
            tighten_words(&pcm, Span::of_ms(0, 1_000), &mut words);
            let after = words[0].span;
            prop_assert!(before.start <= after.start && after.end <= before.end && after.start < after.end);
        }
    }
}
