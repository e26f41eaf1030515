//! Tokens and their bytes, from the `vocabulary.txt` beside CTranslate2's weights, and what `config.json` says of them.

use crate::error::AsrError;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// Longest list of tokens, or description, that is read.
const MAX_BYTES: u64 = 16 << 20;
/// Vocabularies of this size and above are multilingual.
const MULTILINGUAL_SIZE: usize = 51_865;
/// Vocabulary of large-v3 and its kin, which take 128 mel bands.
const LARGE_V3_SIZE: usize = 51_866;

/// What the model's makers say of its tokens and heads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Description {
    /// Decoder heads whose attention follows the sound, each with its layer.
    alignment_heads: Vec<(u16, u16)>,
    /// Tokens that are no speech.
    #[serde(default)]
    suppress_ids: Vec<u32>,
    /// Tokens that do not begin a text.
    #[serde(default)]
    suppress_ids_begin: Vec<u32>,
}

/// What a model writes with.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Bytes of each text token, by id; empty for the others.
    bytes: Vec<Vec<u8>>,
    ids: HashMap<String, u32>,
    languages: Vec<(String, u32)>,
    end_of_text: u32,
    description: Description,
}

impl Vocabulary {
    /// Reads the list and the description in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, AsrError> {
        let tokens = folder.join("vocabulary.txt");
        let mut found = Self::parse(&text_of(&tokens)?).ok_or_else(|| AsrError::ModelInvalid {
            path: tokens,
            reason: "it is no list of Whisper's tokens".to_owned(),
        })?;
        let description = folder.join("config.json");
        found.description = serde_json::from_str(&text_of(&description)?)
            .map_err(|error| AsrError::ModelInvalid { path: description, reason: error.to_string() })?;
        if found.description.alignment_heads.is_empty() {
            let reason = "alignment_heads is empty: no time of a word would be known".to_owned();
            return Err(AsrError::ModelInvalid { path: folder.join("config.json"), reason });
        }
        found.description.alignment_heads.sort_unstable();
        Ok(found)
    }

    fn parse(text: &str) -> Option<Self> {
        let tokens: Vec<&str> = text.split_terminator('\n').collect();
        let ids: HashMap<String, u32> =
            tokens.iter().enumerate().map(|(id, &token)| (token.to_owned(), id as u32)).collect();
        let end_of_text = *ids.get("<|endoftext|>")?;
        let alphabet = alphabet();
        let bytes_of = |token: &str| token.chars().filter_map(|c| alphabet.get(&c).copied()).collect();
        let bytes = tokens[..end_of_text as usize].iter().map(|token| bytes_of(token)).collect();
        let languages = languages(&tokens[end_of_text as usize..], end_of_text);
        let found = Self { bytes, ids, languages, end_of_text, description: Description::default() };
        let known = ["<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"];
        known.iter().all(|token| found.id(token).is_some()).then_some(found)
    }

    /// The heads whose attention follows the sound, each with its layer, in the layers' order.
    pub(crate) fn alignment_heads(&self) -> &[(u16, u16)] {
        &self.description.alignment_heads
    }

    /// The token that ends a text; text tokens have smaller ids.
    pub(crate) fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// Tokens that are never written, or at the `beginning` of a text.
    pub(crate) fn suppressed(&self, beginning: bool) -> impl Iterator<Item = u32> {
        let first = if beginning { self.description.suppress_ids_begin.as_slice() } else { &[] };
        self.description.suppress_ids.iter().chain(first).copied()
    }

    /// The token that says that nobody speaks.
    pub(crate) fn no_speech(&self) -> Option<u32> {
        self.id("<|nospeech|>").or_else(|| self.id("<|nocaptions|>"))
    }

    /// The languages that the model knows, as ISO 639-1 codes with their tokens' ids.
    pub(crate) fn languages(&self) -> &[(String, u32)] {
        &self.languages
    }

    /// The id of a special token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// Tokens that together are `text`: at each place the longest that there is. Byte pair encoding may cut it otherwise; the
    /// decoder reads both.
    pub(crate) fn tokens(&self, text: &str) -> Vec<u32> {
        let ids: HashMap<&[u8], u32> =
            self.bytes.iter().enumerate().rev().map(|(id, bytes)| (bytes.as_slice(), id as u32)).collect();
        let longest = ids.keys().map(|bytes| bytes.len()).max().unwrap_or(1);
        let (bytes, mut found) = (text.as_bytes(), Vec::new());
        let mut at = 0;
        while at < bytes.len() {
            let end =
                (at + 1..=bytes.len().min(at + longest)).rev().find(|end| ids.contains_key(&bytes[at..*end]));
            // Every single byte is a token.
            let Some(end) = end else { break };
            found.extend(ids.get(&bytes[at..end]));
            at = end;
        }
        found
    }

    /// The tokens before a text in `language`: start, language and task (for models of several languages), no times.
    /// `None` where the model does not know the language.
    pub(crate) fn prompt(&self, language: &str) -> Option<Vec<u32>> {
        let mut tokens = vec![self.id("<|startoftranscript|>")?];
        if self.is_multilingual() {
            tokens.extend([self.id(&format!("<|{language}|>"))?, self.id("<|transcribe|>")?]);
        }
        tokens.push(self.id("<|notimestamps|>")?);
        Some(tokens)
    }

    /// What `tokens` say.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        let bytes = tokens.iter().flat_map(|&token| self.bytes(token).unwrap_or_default());
        String::from_utf8_lossy(&bytes.copied().collect::<Vec<u8>>()).into_owned()
    }

    /// The bytes of a text token; `None` for special tokens and times.
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        (id < self.end_of_text).then(|| self.bytes[id as usize].as_slice())
    }

    /// How many tokens there are.
    pub(crate) fn size(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_multilingual(&self) -> bool {
        self.ids.len() >= MULTILINGUAL_SIZE
    }

    pub(crate) fn mel_bands(&self) -> usize {
        if self.ids.len() == LARGE_V3_SIZE { 128 } else { 80 }
    }
}

/// The codes among `tokens`, the first of which has the id `first`: `<|en|>` and the like.
fn languages(tokens: &[&str], first: u32) -> Vec<(String, u32)> {
    let is_code = |code: &&str| (2..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase());
    let named = tokens.iter().zip(first..);
    named
        .filter_map(|(token, id)| Some((token.strip_prefix("<|")?.strip_suffix("|>")?, id)))
        .filter(|(code, _)| is_code(code))
        .map(|(code, id)| (code.to_owned(), id))
        .collect()
}

fn text_of(path: &Path) -> Result<String, AsrError> {
    let unreadable = |reason: String| AsrError::ModelUnreadable { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(unreadable(format!("{size} bytes are too many for a model's description")));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))
}

/// GPT-2's way of writing bytes as characters: printable ones stand for themselves, the others from U+0100 on.
fn alphabet() -> HashMap<char, u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100_u32;
    (0..=u8::MAX)
        .map(|byte| {
            if printable(&byte) {
                return (char::from(byte), byte);
            }
            let stand_in = char::from_u32(others).unwrap_or_default();
            others += 1;
            (stand_in, byte)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_tokens_have_their_bytes_and_special_ones_their_ids() {
        let text = "!\nĠthe\nåľº\n<|endoftext|>\n<|startoftranscript|>\n<|transcribe|>\n<|notimestamps|>\n";
        let vocabulary = Vocabulary::parse(text).expect("a vocabulary");
        assert_eq!(vocabulary.bytes(1), Some(b" the".as_slice()));
        assert_eq!(vocabulary.bytes(2), Some("场".as_bytes()));
        assert_eq!((vocabulary.bytes(3), vocabulary.bytes(900)), (None, None));
        assert_eq!(vocabulary.id("<|notimestamps|>"), Some(6));
        assert_eq!(
            languages(&["<|endoftext|>", "<|en|>", "<|yue|>", "<|0.00|>"], 9),
            [("en".to_owned(), 10), ("yue".to_owned(), 11)]
        );
        assert!(!vocabulary.is_multilingual());
    }

    #[test]
    fn a_text_is_cut_into_the_longest_tokens() {
        let text = "Ġ\nt\nh\ne\nn\nĠthe\nthe\n<|endoftext|>\n<|startoftranscript|>\n<|transcribe|>\n<|notimestamps|>\n";
        let vocabulary = Vocabulary::parse(text).expect("a vocabulary");
        assert_eq!(vocabulary.tokens(" then the"), [5, 4, 5]);
        assert_eq!(vocabulary.tokens(""), [0_u32; 0]);
    }

    #[test]
    fn another_list_is_refused() {
        assert!(Vocabulary::parse("a\nb\n").is_none());
        assert!(matches!(Vocabulary::read(Path::new("/nowhere")), Err(AsrError::ModelUnreadable { .. })));
    }
}
