//! Loops: a machine says what it said before, nearly word for word.

use crate::hearing::Heard;
use callmark_types::{Event, EventKind, Speaker, Turn};

/// Shorter sentences ("one moment please") are said twice by anybody.
const MIN_WORDS: usize = 6;
/// Sentences of fewer words than that, from this on, count when they come word for word, …
const MIN_WORDS_OF_SHORT: usize = 3;
/// … and this often.
const SHORT_LOOPS_FROM: u32 = 3;
/// Share of words that must agree, in order. Recognisers seldom write a sentence twice alike.
const MIN_SIMILARITY: f64 = 0.84;
/// Earlier stretches that are compared at most; older ones are forgotten.
const MAX_STRETCHES: usize = 400;

/// A sentence, or two that follow each other (recognisers put full stops at will), as said by the machine.
struct Stretch {
    turn: usize,
    /// Sentence, for single sentences.
    tokens: Vec<String>,
    words: (usize, usize),
    occurrence: u32,
    /// Too short to be a loop unless it comes again and again.
    short: bool,
}

/// One loop event a turn, at the repeated sentence that was said most often.
pub(crate) fn find(turns: &[Turn], heard: &[Heard]) -> Vec<Event> {
    let mut said: Vec<Stretch> = Vec::new();
    let mut out = Vec::new();
    for (position, turn) in heard.iter().enumerate() {
        if turn.speaker != Speaker::AiAgent {
            continue;
        }
        let mut stretches = stretches_of(position, turn);
        for stretch in &mut stretches {
            let again = |s: &&Stretch| {
                if stretch.short {
                    s.tokens == stretch.tokens
                } else {
                    !s.short && alike(&s.tokens, &stretch.tokens)
                }
            };
            let earlier = said.iter().filter(|s| s.turn < position).filter(again);
            stretch.occurrence = earlier.map(|s| s.occurrence).max().map_or(1, |n| n + 1);
        }
        let loops = |s: &&Stretch| s.occurrence >= if s.short { SHORT_LOOPS_FROM } else { 2 };
        let polite = turn.is_polite();
        let looping: Vec<&Stretch> = stretches.iter().filter(loops).filter(|s| !s.short || !polite).collect();
        if let Some(worst) = looping.iter().max_by_key(|s| s.occurrence) {
            let first = looping.iter().map(|s| s.words.0).min().unwrap_or(worst.words.0);
            let last = looping.iter().map(|s| s.words.1).max().unwrap_or(worst.words.1);
            out.push(Event {
                detail: Some(format!("occurrence={}", worst.occurrence)),
                confidence: Some(0.9),
                ..turn.event(turns, EventKind::Loop, (first, last))
            });
        }
        said.extend(stretches);
        let excess = said.len().saturating_sub(MAX_STRETCHES);
        said.drain(..excess);
    }
    out
}

fn stretches_of(position: usize, turn: &Heard) -> Vec<Stretch> {
    let mut out = Vec::new();
    let of = |range: &[crate::text::Sentence]| Stretch {
        turn: position,
        tokens: range.iter().flat_map(|s| s.text.split(' ')).map(str::to_owned).collect(),
        words: (range[0].words().0, range[range.len() - 1].words().1),
        occurrence: 1,
        short: false,
    };
    let written = |s: &Stretch| s.words.1 + 1 - s.words.0;
    out.extend(turn.sentences.windows(1).map(of).filter_map(|s| match written(&s) {
        MIN_WORDS.. => Some(s),
        MIN_WORDS_OF_SHORT.. => Some(Stretch { short: true, ..s }),
        _ => None,
    }));
    out.extend(turn.sentences.windows(2).map(of).filter(|s| written(s) >= MIN_WORDS + 2));
    out
}

/// Whether two word sequences agree, by their longest common subsequence over the longer length.
fn alike(a: &[String], b: &[String]) -> bool {
    let longer = a.len().max(b.len());
    let shorter = a.len().min(b.len());
    if (shorter as f64) < MIN_SIMILARITY * longer as f64 {
        return false;
    }
    let mut row = vec![0usize; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if word == other { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()] as f64 >= MIN_SIMILARITY * longer as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn one_misheard_word_in_eight_is_still_the_same_sentence() {
        let said = words("please tell me your file reference or say");
        assert!(alike(&said, &words("please tell me your file preference or say")));
        assert!(!alike(&said, &words("please tell me your name and say goodbye")));
    }
}
