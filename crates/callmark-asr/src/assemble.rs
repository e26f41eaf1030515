//! From words on packs' clocks to utterances on the recording's clock.
//!
//! Every word goes to the speech span it was said in, and its times are made to fit there: inside the span, in
//! order, without overlap. Speech in which no word was heard is named, so that it can be heard again by itself: a
//! decoder may end its text long before the pack ends, or pass over a sentence. The guards then decide whether the text
//! stays.

use crate::guards::{Evidence, average_probability, find_loop, judge};
use crate::packing::{PackPiece, PackPlan};
use crate::timing::tighten_words;
use crate::transcriber::{PackTranscript, PackWord, TranscribeOptions};
use callmark_types::{DroppedReason, Millis, Pcm, Span, Utterance, Word};

/// Speech of this length without a word is heard again: the decoder passed over it.
const SHORTEST_UNHEARD: Millis = Millis(1_000);

/// Words of one speech span with what their packs said.
#[derive(Debug, Clone, Default)]
struct SpanWords {
    words: Vec<Word>,
    no_speech_probability: f64,
    /// Lowest average log-probability among the packs.
    pack_log_probability: f64,
}

impl SpanWords {
    fn evidence(&self, pcm: &Pcm, span: Span) -> Evidence {
        Evidence {
            no_speech_probability: self.no_speech_probability,
            pack_log_probability: self.pack_log_probability,
            level_dbfs: level_dbfs(pcm.slice(span)),
            speech_duration: span.duration(),
        }
    }
}

/// What has been heard of a channel, span by span.
pub(crate) struct Assembly<'a> {
    pcm: &'a Pcm,
    /// The cleaned spans that were packed.
    spans: &'a [Span],
    options: &'a TranscribeOptions,
    by_span: Vec<SpanWords>,
}

impl<'a> Assembly<'a> {
    /// Puts the words of `packs` into the spans they were said in.
    pub(crate) fn new(
        pcm: &'a Pcm,
        spans: &'a [Span],
        options: &'a TranscribeOptions,
        packs: &[(PackPlan, PackTranscript)],
    ) -> Self {
        let mut by_span = vec![SpanWords::default(); spans.len()];
        for (piece, transcript, words) in pieces(packs) {
            let slot = &mut by_span[piece.span_index];
            slot.words.extend(words);
            slot.no_speech_probability = slot.no_speech_probability.max(transcript.no_speech_probability);
            slot.pack_log_probability = slot.pack_log_probability.min(transcript.average_log_probability);
        }
        for (&span, found) in spans.iter().zip(&mut by_span) {
            fit_words(span, &mut found.words);
            tighten_words(pcm, span, &mut found.words);
        }
        Self { pcm, spans, options, by_span }
    }

    /// Stretches of speech without a word that are long enough for some, each with the index of its span.
    pub(crate) fn unheard(&self) -> Vec<(usize, Span)> {
        let long_enough = |stretch: &(usize, Span)| stretch.1.duration() >= SHORTEST_UNHEARD;
        let of_span = |(index, (&span, found)): (usize, (&Span, &SpanWords))| {
            let starts = std::iter::once(span.start).chain(found.words.iter().map(|word| word.span.end));
            let ends = found.words.iter().map(|word| word.span.start).chain([span.end]);
            starts
                .zip(ends)
                .map(move |(start, end)| (index, Span::new(start, end.max(start))))
                .collect::<Vec<_>>()
        };
        self.spans.iter().zip(&self.by_span).enumerate().flat_map(of_span).filter(long_enough).collect()
    }

    /// Puts in what was heard when unheard stretches were heard again, where it does not look like an invention.
    pub(crate) fn add(&mut self, packs: &[(PackPlan, PackTranscript)]) {
        for (piece, transcript, mut words) in pieces(packs) {
            fit_words(piece.speech, &mut words);
            tighten_words(self.pcm, piece.speech, &mut words);
            let found = SpanWords {
                no_speech_probability: transcript.no_speech_probability,
                pack_log_probability: transcript.average_log_probability,
                words,
            };
            let is_loop = find_loop(found.words.iter().map(|word| word.word.as_str())).is_some();
            let evidence = found.evidence(self.pcm, piece.speech);
            if is_loop || judge(&found.words, &evidence, &self.options.guards).is_some() {
                continue;
            }
            let slot = &mut self.by_span[piece.span_index];
            if slot.words.is_empty() {
                *slot = found;
            } else {
                slot.words.extend(found.words);
                slot.words.sort_by_key(|word| word.span);
            }
        }
    }

    /// The utterances of the channel, in order.
    pub(crate) fn utterances(self, channel: u16) -> Vec<Utterance> {
        let mut utterances = Vec::new();
        for (&span, found) in self.spans.iter().zip(self.by_span) {
            utterances_of_span(channel, self.pcm, span, found, self.options, &mut utterances);
        }
        utterances
    }
}

/// The pieces of all packs in which words were heard, with the words on the recording's clock.
fn pieces(
    packs: &[(PackPlan, PackTranscript)],
) -> impl Iterator<Item = (&PackPiece, &PackTranscript, Vec<Word>)> {
    packs.iter().flat_map(|(plan, transcript)| {
        let places = assign_words(plan, &transcript.words);
        let words_of = move |index: usize, piece: &PackPiece| -> Vec<Word> {
            let words = transcript.words.iter().zip(&places).filter(|&(_, &place)| place == index);
            words.map(|(word, _)| on_recording_clock(piece, word)).collect()
        };
        let heard = plan.pieces.iter().enumerate();
        heard
            .map(move |(index, piece)| (piece, transcript, words_of(index, piece)))
            .filter(|(_, _, words)| !words.is_empty())
    })
}

/// For each word the index of the piece it was said in; never decreasing.
///
/// The boundary between two pieces lies in the middle of the silence between them, where no word is said; a word
/// belongs to the side on which most of it lies.
pub(crate) fn assign_words(plan: &PackPlan, words: &[PackWord]) -> Vec<usize> {
    let boundaries: Vec<i64> = plan
        .pieces
        .windows(2)
        .map(|pair| {
            i64::midpoint(pair[0].speech_on_pack_clock().end.0, pair[1].speech_on_pack_clock().start.0)
        })
        .collect();
    let mut lowest = 0;
    words
        .iter()
        .map(|word| {
            let middle = i64::midpoint(word.start.0, word.end.0);
            lowest = boundaries.partition_point(|&boundary| boundary <= middle).max(lowest);
            lowest
        })
        .collect()
}

fn on_recording_clock(piece: &PackPiece, word: &PackWord) -> Word {
    let map = |time| piece.source.start + (time - piece.pack_start);
    Word {
        word: word.text.clone(),
        span: Span::new(map(word.start), map(word.end)),
        probability: word.probability,
    }
}

/// Moves the words' times as little as needed to lie inside `span`, in order, at least a millisecond long each and
/// without overlap. Where there are more words than milliseconds, they share them evenly.
pub(crate) fn fit_words(span: Span, words: &mut [Word]) {
    let count = words.len() as i64;
    let room = span.duration().0;
    if count > room {
        for (i, word) in words.iter_mut().enumerate() {
            let share = |n: i64| span.start.0 + room * n / count;
            word.span = Span::of_ms(share(i as i64), share(i as i64 + 1));
        }
        return;
    }
    let mut floor = span.start.0;
    for (i, word) in words.iter_mut().enumerate() {
        // Leaves a millisecond for every word that follows.
        let last_end = span.end.0 - (count - 1 - i as i64);
        let start = word.span.start.0.clamp(floor, last_end - 1);
        let end = word.span.end.0.clamp(start + 1, last_end);
        word.span = Span::of_ms(start, end);
        floor = end;
    }
}

/// Pushes what was said in one speech span: the kept text, and the copies of a loop as a dropped utterance.
fn utterances_of_span(
    channel: u16,
    pcm: &Pcm,
    span: Span,
    mut found: SpanWords,
    options: &TranscribeOptions,
    utterances: &mut Vec<Utterance>,
) {
    if found.words.is_empty() {
        return;
    }
    let build = |span: Span, words: Vec<Word>, dropped: Option<DroppedReason>| Utterance {
        channel,
        span,
        text: words.iter().map(|word| word.word.as_str()).collect::<Vec<_>>().join(" "),
        asr_confidence: average_probability(&words),
        no_speech_probability: found.no_speech_probability,
        words,
        dropped_reason: dropped,
    };
    let mut words = std::mem::take(&mut found.words);
    let mut copies = Vec::new();
    while let Some(repeated) = find_loop(words.iter().map(|word| word.word.as_str())) {
        copies.extend(words.drain(repeated.second_copy..repeated.end));
    }
    copies.sort_by_key(|word| word.span);
    let dropped = judge(&words, &found.evidence(pcm, span), &options.guards);
    utterances.push(build(span, words, dropped));
    if let (Some(first), Some(last)) = (copies.first(), copies.last()) {
        let of_copies = Span::new(first.span.start, last.span.end);
        utterances.push(build(of_copies, copies, Some(DroppedReason::Repetition)));
    }
}

/// Root-mean-square level in dB full scale; `None` for digital silence.
pub(crate) fn level_dbfs(samples: &[i16]) -> Option<f64> {
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    (energy > 0.0).then(|| 10.0 * (energy / samples.len() as f64 / (32768.0 * 32768.0)).log10())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{PackLimits, clean_spans, plan_packs, plan_stretches};
    use callmark_types::Millis;
    use proptest::prelude::*;

    fn noise(seconds: usize) -> Pcm {
        Pcm { samples: (0..seconds * 16_000).map(|i| ((i * 7_919) % 4_001) as i16 - 2_000).collect() }
    }

    fn word(text: &str, start_ms: i64, end_ms: i64) -> PackWord {
        PackWord { text: text.to_owned(), start: Millis(start_ms), end: Millis(end_ms), probability: 0.9 }
    }

    fn utterances(speech: &[Span], words: Vec<PackWord>) -> Vec<Utterance> {
        let pcm = noise(30);
        let options = TranscribeOptions::default();
        let plans = plan_packs(&pcm, speech, &options.pack_limits);
        assert_eq!(plans.len(), 1);
        let transcript = PackTranscript { words, ..PackTranscript::default() };
        let spans = clean_spans(&pcm, speech, &options.pack_limits);
        Assembly::new(&pcm, &spans, &options, &[(plans[0].clone(), transcript)]).utterances(1)
    }

    #[test]
    fn each_word_lands_in_the_span_it_was_said_in() {
        // On the pack's clock the spans stand at 600..1600 and 2900..3900: 600 ms of margin, 100 ms of joint.
        let speech = [Span::of_ms(2_000, 3_000), Span::of_ms(20_000, 21_000)];
        let found = utterances(
            &speech,
            vec![word("one", 400, 1_300), word("two", 1_350, 1_700), word("three", 1_700, 3_700)],
        );
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].text.as_str(), found[0].span), ("one two", speech[0]));
        assert_eq!((found[1].text.as_str(), found[1].span), ("three", speech[1]));
        assert_eq!(found[1].words[0].span, Span::of_ms(20_000, 20_800));
        assert_eq!(found[0].channel, 1);
    }

    #[test]
    fn a_span_without_words_yields_nothing() {
        let speech = [Span::of_ms(2_000, 3_000), Span::of_ms(20_000, 21_000)];
        let found = utterances(&speech, vec![word("one", 200, 900)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].span, speech[0]);
    }

    #[test]
    fn speech_without_words_is_heard_again_and_inventions_are_not_put_in() {
        let pcm = noise(30);
        let options = TranscribeOptions::default();
        let spans = [Span::of_ms(2_000, 3_000), Span::of_ms(6_000, 9_000), Span::of_ms(20_000, 22_000)];
        let plans = plan_packs(&pcm, &spans, &options.pack_limits);
        // On the pack's clock the spans stand at 600..1600, 2900..5900 and 7200..9200.
        let words = vec![word("one", 700, 1_500), word("two", 2_900, 3_400), word("three", 3_400, 3_900)];
        let transcript = PackTranscript { words, ..PackTranscript::default() };
        let mut assembly = Assembly::new(&pcm, &spans, &options, &[(plans[0].clone(), transcript)]);
        let unheard = assembly.unheard();
        assert_eq!(unheard, [(1, Span::of_ms(7_000, 9_000)), (2, Span::of_ms(20_000, 22_000))]);
        let again = plan_stretches(&pcm, &spans, &unheard, &options.pack_limits);
        assert_eq!(again.len(), 1);
        let sources: Vec<Span> = again[0].pieces.iter().map(|piece| piece.source).collect();
        assert_eq!(
            sources,
            [Span::of_ms(7_000, 9_600), Span::of_ms(19_400, 22_600)],
            "no word is heard twice"
        );
        let invented = PackWord { probability: 0.05, ..word("Thanks.", 3_400, 4_000) };
        let words = vec![word("four", 100, 600), word("five", 600, 1_000), invented];
        let transcript = PackTranscript { words, ..PackTranscript::default() };
        assembly.add(&[(again[0].clone(), transcript)]);
        let texts: Vec<String> = assembly.utterances(0).into_iter().map(|u| u.text).collect();
        assert_eq!(texts, ["one", "two three four five"]);
    }

    #[test]
    fn the_copies_of_a_loop_are_kept_apart_with_their_reason() {
        let phrase = ["I", "will", "go", "on"];
        let looped = (0..16).map(|i| word(phrase[i as usize % 4], 200 + i * 250, 400 + i * 250)).collect();
        let found = utterances(&[Span::of_ms(2_000, 7_000)], looped);
        let texts: Vec<(&str, Option<DroppedReason>)> =
            found.iter().map(|u| (u.text.as_str(), u.dropped_reason)).collect();
        let copies = "I will go on I will go on I will go on";
        assert_eq!(texts, [("I will go on", None), (copies, Some(DroppedReason::Repetition))]);
    }

    proptest! {
        #[test]
        fn fitted_words_lie_in_their_span_in_order_and_do_not_overlap(
            length in 0i64..2_000,
            times in proptest::collection::vec((-500i64..3_000, 0i64..900), 0..60),
        ) {
            let span = Span::of_ms(500, 500 + length);
            let mut words: Vec<Word> = times
                .iter()
                .map(|&(start, length)| Word {
                    word: "w".to_owned(),
                    span: Span::of_ms(start, start + length),
                    probability: 0.5,
                })
                .collect();
            fit_words(span, &mut words);
            let mut floor = span.start;
            for word in &words {
                prop_assert!(floor <= word.span.start && word.span.end <= span.end);
                prop_assert!(words.len() as i64 > length || word.span.end > word.span.start);
                floor = word.span.end;
            }
        }

        #[test]
        fn words_that_fit_are_not_moved(lengths in proptest::collection::vec((0i64..200, 1i64..200), 0..8)) {
            let mut clock = 0;
            let mut words: Vec<Word> = lengths
                .iter()
                .map(|&(gap, length)| {
                    let span = Span::of_ms(clock + gap, clock + gap + length);
                    clock = span.end.0;
                    Word { word: "w".to_owned(), span, probability: 0.5 }
                })
                .collect();
            let before = words.clone();
            fit_words(Span::of_ms(0, clock.max(1)), &mut words);
            prop_assert_eq!(words, before);
        }
    }

    #[test]
    fn assignment_never_goes_back() {
        let pcm = noise(30);
        let speech = [Span::of_ms(1_000, 2_000), Span::of_ms(5_000, 6_000), Span::of_ms(9_000, 9_500)];
        let plan = &plan_packs(&pcm, &speech, &PackLimits::default())[0];
        let words =
            [word("a", 500, 700), word("b", 2_600, 3_000), word("c", 400, 500), word("d", 5_300, 5_400)];
        assert_eq!(assign_words(plan, &words), [0, 1, 1, 2]);
    }
}
