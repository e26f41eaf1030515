//! From tokens to words, for every engine: bytes joined, cut at white space (or at characters, where a language has none).

use crate::transcriber::PackWord;
use callmark_types::Millis;

/// Languages written without spaces between words: every complete character group of a token is a word there.
const LANGUAGES_WITHOUT_SPACES: [&str; 7] = ["zh", "ja", "th", "lo", "my", "yue", "km"];

/// A text token as the engine yields it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextToken {
    /// Its bytes; a character may be spread over several tokens.
    pub(crate) bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub(crate) log_probability: f64,
    /// When it has been said, on the pack's clock; `None` where alignment found no time.
    pub(crate) end: Option<Millis>,
}

/// The words of `tokens`, with times between 0 and `pack_end` that never decrease.
///
/// A word starts where the token before it ends, and its probability is the geometric mean of its tokens'.
pub(crate) fn words_of_tokens(tokens: &[TextToken], language: &str, pack_end: Millis) -> Vec<PackWord> {
    let spaceless = LANGUAGES_WITHOUT_SPACES.contains(&language);
    let mut words = Vec::new();
    let mut open = OpenWord::default();
    let mut clock = Millis::ZERO;
    for token in tokens {
        let starts_word = token.bytes.first().is_some_and(u8::is_ascii_whitespace);
        let complete = std::str::from_utf8(&open.bytes).is_ok();
        if !open.bytes.is_empty() && complete && (starts_word || spaceless) {
            words.extend(std::mem::take(&mut open).close());
        }
        if open.bytes.is_empty() {
            open.start = clock;
        }
        clock = token.end.map_or(clock, |end| end.clamp(clock, pack_end));
        open.bytes.extend_from_slice(&token.bytes);
        open.log_probability_sum += token.log_probability;
        open.token_count += 1;
        open.end = clock;
    }
    words.extend(open.close());
    words
}

#[derive(Default)]
struct OpenWord {
    bytes: Vec<u8>,
    log_probability_sum: f64,
    token_count: u32,
    start: Millis,
    end: Millis,
}

impl OpenWord {
    /// The word, or `None` where its tokens hold no text. A token with inner white space stays one word.
    fn close(self) -> Option<PackWord> {
        let text = String::from_utf8_lossy(&self.bytes).split_whitespace().collect::<Vec<_>>().join("");
        if text.is_empty() {
            return None;
        }
        let mean = self.log_probability_sum / f64::from(self.token_count.max(1));
        let probability = mean.exp().clamp(0.0, 1.0) as f32;
        Some(PackWord { text, start: self.start, end: self.end, probability })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(text: &[u8], end_ms: i64) -> TextToken {
        TextToken { bytes: text.to_vec(), log_probability: -0.5, end: Some(Millis(end_ms)) }
    }

    fn texts(words: &[PackWord]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn tokens_are_joined_into_words_that_start_where_the_one_before_ends() {
        let tokens = [token(b" North", 300), token(b"gate", 500), token(b" Bank", 900), token(b".", 920)];
        let words = words_of_tokens(&tokens, "en", Millis(1_000));
        assert_eq!(texts(&words), ["Northgate", "Bank."]);
        assert_eq!((words[1].start, words[1].end), (Millis(500), Millis(920)));
        assert!((f64::from(words[0].probability) - (-0.5_f64).exp()).abs() < 1e-6);
    }

    #[test]
    fn a_character_spread_over_tokens_stays_whole() {
        let bytes = "é".as_bytes();
        let tokens = [token(b" caf", 100), token(&bytes[..1], 200), token(&bytes[1..], 300)];
        assert_eq!(texts(&words_of_tokens(&tokens, "fr", Millis(400))), ["café"]);
    }

    #[test]
    fn a_language_without_spaces_is_cut_at_its_tokens() {
        let tokens = [token("你".as_bytes(), 100), token("好".as_bytes(), 200)];
        assert_eq!(texts(&words_of_tokens(&tokens, "zh", Millis(400))), ["你", "好"]);
        assert_eq!(texts(&words_of_tokens(&tokens, "en", Millis(400))), ["你好"]);
    }

    proptest! {
        #[test]
        fn word_times_never_decrease_and_stay_inside_the_pack(
            ends in proptest::collection::vec(proptest::option::of(-500i64..5_000), 0..40),
        ) {
            let tokens: Vec<TextToken> = ends
                .iter()
                .map(|end| TextToken { bytes: b" w".to_vec(), log_probability: -1.0, end: end.map(Millis) })
                .collect();
            let words = words_of_tokens(&tokens, "en", Millis(3_000));
            prop_assert_eq!(words.len(), tokens.len());
            let mut clock = Millis::ZERO;
            for word in words {
                prop_assert!(clock <= word.start && word.start <= word.end && word.end <= Millis(3_000));
                clock = word.end;
            }
        }
    }
}
