//! A sentence to the word pieces that BERT knows: lower case, accents off, punctuation apart, longest pieces first.
//!
//! The rules are those of BERT's uncased tokenizer (Devlin et al. 2018), which are few; a
//! tokenizer library brings every other kind along.

use std::collections::HashMap;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters of a word beyond which it is one unknown piece.
const MAX_WORD_CHARS: usize = 100;

/// The vocabulary.
pub(crate) struct WordPieces {
    pieces: HashMap<String, usize>,
    begin: usize,
    end: usize,
    unknown: usize,
}

impl WordPieces {
    /// A vocabulary, one piece a line; its number is the line's.
    pub(crate) fn from_lines(text: &str) -> Result<Self, String> {
        let pieces: HashMap<String, usize> =
            text.lines().enumerate().map(|(index, piece)| (piece.to_owned(), index)).collect();
        let mark = |name: &str| pieces.get(name).copied().ok_or_else(|| format!("it has no {name}"));
        let (begin, end, unknown) = (mark("[CLS]")?, mark("[SEP]")?, mark("[UNK]")?);
        Ok(Self { pieces, begin, end, unknown })
    }

    /// One more than the highest piece.
    pub(crate) fn size(&self) -> usize {
        self.pieces.values().max().map_or(0, |highest| highest + 1)
    }

    /// The pieces of a sentence between its two marks, cut to `longest` with them.
    pub(crate) fn of(&self, sentence: &str, longest: usize) -> Vec<usize> {
        let mut out = vec![self.begin];
        for word in words(sentence) {
            self.push_word(&word, &mut out);
            if out.len() >= longest {
                break;
            }
        }
        out.truncate(longest - 1);
        out.push(self.end);
        out
    }

    fn push_word(&self, word: &str, out: &mut Vec<usize>) {
        let before = out.len();
        let mut rest = word;
        let mut piece = String::new();
        let known = word.chars().count() <= MAX_WORD_CHARS;
        while known && !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let longest = ends.into_iter().find_map(|end| {
                piece.clear();
                if rest.len() < word.len() {
                    piece.push_str("##");
                }
                piece.push_str(&rest[..end]);
                Some((end, *self.pieces.get(&piece)?))
            });
            let Some((end, id)) = longest else { break };
            out.push(id);
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            out.truncate(before);
            out.push(self.unknown);
        }
    }
}

/// Words, and punctuation and ideographs one by one.
fn words(sentence: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let plain = sentence.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    for c in plain {
        let alone = is_punctuation(c) || is_ideograph(c);
        if (c.is_whitespace() || alone) && !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        if alone {
            out.push(c.to_string());
        } else if !c.is_whitespace() && !c.is_control() && c != '\u{fffd}' {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// ASCII symbols count as punctuation here, as BERT has it.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2a6df}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_pieces_first_and_cut() {
        let known = WordPieces::from_lines("[CLS]\n[SEP]\n[UNK]\nun\n##believ\n##able\ncafe\n!\ni\n'\nm")
            .expect("pieces");
        assert_eq!(known.of("Unbelievable Café!", 64), [0, 3, 4, 5, 6, 7, 1]);
        assert_eq!(known.of("I'm unbelieved", 64), [0, 8, 9, 10, 2, 1]);
        assert_eq!(known.of("cafe cafe cafe cafe", 4), [0, 6, 6, 1]);
        assert_eq!(known.of("", 64), [0, 1]);
        assert_eq!(known.of(&"x".repeat(500), 64), [0, 2, 1]);
    }

    #[test]
    fn a_vocabulary_without_marks_is_refused() {
        assert!(WordPieces::from_lines("[CLS]\nun").is_err_and(|e| e.contains("[SEP]")));
    }
}
