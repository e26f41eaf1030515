//! Words that the recogniser is to expect: names of products, places and people that it would otherwise write as
//! something common.
//!
//! An engine shows them to its decoder before every pack, as if they had just been said. They make such words likelier; they
//! are no list of all that may be said, and a word of them that nobody says stays unwritten.

use crate::error::AsrError;

/// Most words of a glossary.
const MOST_WORDS: usize = 100;
/// Longest word or phrase, in characters.
const LONGEST_WORD: usize = 60;
/// Most tokens that an engine can show before what is said: half of its context, less the mark before them.
#[cfg(any(feature = "ct2", feature = "whisper"))]
pub(crate) const ROOM_TOKENS: usize = 223;

/// Words to expect, in the order of their file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glossary {
    words: Vec<String>,
}

impl Glossary {
    /// Reads a word or phrase a line; empty lines and what follows `#` are passed over.
    ///
    /// # Errors
    /// The number of the line, from 1, and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut words: Vec<String> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let word = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if word.is_empty() {
                continue;
            }
            let wrong = |reason: String| Err((number + 1, reason));
            if word.chars().any(|c| c.is_control() || c == ',' || c == '<') {
                return wrong(
                    "a word has a comma, a `<` or a control character in it: one word or phrase a line"
                        .to_owned(),
                );
            }
            if word.chars().count() > LONGEST_WORD {
                return wrong(format!("a word has more than {LONGEST_WORD} characters"));
            }
            if words.len() == MOST_WORDS {
                return wrong(format!(
                    "there are more than {MOST_WORDS} words: keep those that are heard wrongly"
                ));
            }
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if words.is_empty() {
            return Err((1, "there is no word in it".to_owned()));
        }
        Ok(Self { words })
    }

    /// Whether nothing is to be expected.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What is shown to the decoder; `None` where nothing is.
    #[cfg(any(feature = "ct2", feature = "whisper"))]
    pub(crate) fn prompt(&self) -> Option<String> {
        (!self.is_empty()).then(|| format!(" {}.", self.words.join(", ")))
    }
}

/// The tokens of a prompt, where there is room for them.
#[cfg(any(feature = "ct2", feature = "whisper"))]
pub(crate) fn fitting<T>(tokens: Vec<T>) -> Result<Vec<T>, AsrError> {
    if tokens.len() > ROOM_TOKENS {
        return Err(AsrError::GlossaryTooLong { tokens: tokens.len(), room: ROOM_TOKENS });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_phrase_a_line() {
        let glossary =
            Glossary::parse("ThinkEngine\n\n# products\nWild  Fire  # two words\nThinkEngine\n").unwrap();
        assert_eq!(glossary.words, ["ThinkEngine", "Wild Fire"]);
        #[cfg(any(feature = "ct2", feature = "whisper"))]
        assert_eq!(glossary.prompt().as_deref(), Some(" ThinkEngine, Wild Fire."));
        assert!(Glossary::default().is_empty());
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let many: Vec<String> = (0..=MOST_WORDS).map(|i| format!("word{i}")).collect();
        let many = many.join("\n");
        for (text, line) in [
            ("", 1),
            ("# nothing\n", 1),
            ("one\ntwo, three", 2),
            ("<|endoftext|>", 1),
            (many.as_str(), MOST_WORDS + 1),
            (&"x".repeat(LONGEST_WORD + 1), 1),
        ] {
            assert_eq!(Glossary::parse(text).unwrap_err().0, line, "{text}");
        }
    }
}
