//! Utterances as they end: spans of speech, grouped until somebody pauses or speaks for too long.
//!
//! The spans are those that a recording would have (see `callmark-acoustics`), found without looking ahead.

use callmark_acoustics::{AcousticOptions, SPEECH_CHUNK_MS};
use callmark_types::{Millis, Span};

/// A long utterance without a pause is cut at its least likely chunk of this many at its end: two seconds.
const CUT_SEARCH_CHUNKS: usize = 64;

/// An utterance that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Where somebody speaks, in order; at least one span.
    pub(crate) speech: Vec<Span>,
    /// End of the utterance before it: no sound before this belongs to it.
    pub(crate) floor: Millis,
    /// Sound from here on belongs to the next one; `None` where a pause follows.
    pub(crate) ceiling: Option<Millis>,
}

impl Ended {
    /// From the first to the last sound.
    pub(crate) fn span(&self) -> Span {
        let start = self.speech.first().map_or(Millis::ZERO, |s| s.start);
        Span::new(start, self.speech.last().map_or(start, |s| s.end))
    }
}

/// Finds the utterances of one channel.
#[derive(Debug)]
pub(crate) struct Segmenter {
    options: AcousticOptions,
    pause: Millis,
    longest: Millis,
    /// Chunks heard.
    heard: usize,
    /// First chunk of the span that is not over.
    opened: Option<usize>,
    /// Spans of the utterance that is not over, in chunks.
    spans: Vec<(usize, usize)>,
    /// Probabilities of the last chunks.
    recent: std::collections::VecDeque<f32>,
    floor: Millis,
}

impl Segmenter {
    pub(crate) fn new(options: AcousticOptions, pause: Millis, longest: Millis) -> Self {
        Self {
            options,
            pause,
            longest,
            heard: 0,
            opened: None,
            spans: Vec::new(),
            recent: std::collections::VecDeque::with_capacity(CUT_SEARCH_CHUNKS + 1),
            floor: Millis::ZERO,
        }
    }

    /// How far it has heard.
    pub(crate) fn clock(&self) -> Millis {
        at(self.heard)
    }

    /// Start of the utterance that is not over.
    pub(crate) fn open_since(&self) -> Option<Millis> {
        let first = self.spans.first().map(|s| s.0).or(self.opened)?;
        Some((at(first) - self.options.speech_lead).max(self.floor))
    }

    /// Hears one more chunk.
    pub(crate) fn push(&mut self, probability: f32) -> Option<Ended> {
        let chunk = self.heard;
        self.heard += 1;
        if self.recent.len() == CUT_SEARCH_CHUNKS {
            self.recent.pop_front();
        }
        self.recent.push_back(probability);
        match self.opened {
            None if probability >= self.options.speech_start_probability => self.opened = Some(chunk),
            Some(from) if probability < self.options.speech_end_probability => self.close_span(from, chunk),
            _ => {}
        }
        if self.opened.is_none() {
            let over = self.spans.last().is_some_and(|last| at(self.heard - last.1) >= self.pause);
            return if over { self.end(None) } else { None };
        }
        let begun = self.spans.first().map(|s| s.0).or(self.opened)?;
        if at(self.heard - begun) < self.longest {
            return None;
        }
        self.cut()
    }

    /// Nothing more comes: ends what is open.
    pub(crate) fn finish(&mut self) -> Option<Ended> {
        if let Some(from) = self.opened {
            self.close_span(from, self.heard);
        }
        self.end(None)
    }

    fn close_span(&mut self, from: usize, to: usize) {
        self.opened = None;
        match self.spans.last_mut() {
            Some(last) if at(from - last.1) < self.options.minimum_pause => last.1 = to,
            _ => self.spans.push((from, to)),
        }
    }

    /// The utterance is too long: it ends at its last pause, else where speech is least likely.
    fn cut(&mut self) -> Option<Ended> {
        let from = self.opened?;
        if !self.spans.is_empty() {
            let ceiling = at(from) - self.options.speech_lead;
            return self.end(Some(ceiling));
        }
        let first_recent = self.heard - self.recent.len();
        let searched = self.recent.iter().enumerate().filter(|(offset, _)| first_recent + offset > from);
        let least = searched.min_by(|a, b| a.1.total_cmp(b.1)).map(|(offset, _)| first_recent + offset);
        let cut = least.unwrap_or(self.heard);
        self.spans.push((from, cut));
        self.opened = Some(cut);
        self.end(Some(at(cut)))
    }

    fn end(&mut self, ceiling: Option<Millis>) -> Option<Ended> {
        let lead = self.options.speech_lead;
        let floor = self.floor;
        let limit = ceiling.unwrap_or(Millis(i64::MAX));
        let long_enough = |span: &(usize, usize)| at(span.1 - span.0) >= self.options.minimum_speech;
        let padded = self.spans.iter().filter(|s| long_enough(s)).map(|(from, to)| {
            let start = (at(*from) - lead).max(floor);
            Span::new(start, (at(*to) + self.options.speech_tail).min(limit))
        });
        let speech = Span::union(padded);
        self.spans.clear();
        let last = speech.last()?.end;
        self.floor = last;
        Some(Ended { speech, floor, ceiling })
    }
}

fn at(chunk: usize) -> Millis {
    Millis(chunk as i64 * SPEECH_CHUNK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ended(probabilities: &[f32]) -> Vec<Ended> {
        let mut segmenter = Segmenter::new(AcousticOptions::default(), Millis(700), Millis(15_000));
        let mut out: Vec<Ended> = probabilities.iter().filter_map(|p| segmenter.push(*p)).collect();
        out.extend(segmenter.finish());
        out
    }

    #[test]
    fn a_pause_ends_an_utterance_and_a_breath_does_not() {
        let mut probabilities = vec![0.9; 100];
        probabilities[40..55].fill(0.0);
        assert_eq!(ended(&probabilities).len(), 1);
        assert_eq!(ended(&probabilities)[0].speech.len(), 2);
        probabilities[40..65].fill(0.0);
        assert_eq!(ended(&probabilities).len(), 2);
    }

    #[test]
    fn who_never_pauses_is_cut_where_speech_is_least_likely() {
        let mut probabilities = vec![0.9; 900];
        probabilities[450] = 0.6;
        let found = ended(&probabilities);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].span().end, Millis(450 * 32));
        assert_eq!(found[1].span(), Span::of_ms(450 * 32, 900 * 32));
    }

    #[test]
    fn a_click_is_no_utterance() {
        let mut probabilities = vec![0.0; 100];
        probabilities[40..42].fill(0.9);
        assert!(ended(&probabilities).is_empty());
    }

    proptest! {
        #[test]
        fn utterances_follow_each_other_and_are_never_too_long(
            probabilities in proptest::collection::vec(0.0_f32..1.0, 0..1_500),
        ) {
            let found = ended(&probabilities);
            let end = Millis(probabilities.len() as i64 * SPEECH_CHUNK_MS);
            let mut last = Millis::ZERO;
            for utterance in &found {
                let span = utterance.span();
                prop_assert!(last <= span.start && span.start < span.end && span.end <= end);
                prop_assert!(span.duration() <= Millis(15_000 + 64));
                last = span.end;
            }
        }
    }
}
