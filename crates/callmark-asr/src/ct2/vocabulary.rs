//! Tokens and their bytes, from the `vocabulary.txt` beside CTranslate2's weights.

use crate::error::AsrError;
use std::collections::HashMap;
use std::path::Path;

/// Longest list of tokens read.
const MAX_BYTES: u64 = 16 << 20;
/// Vocabularies of this size and above are multilingual.
const MULTILINGUAL_SIZE: usize = 51_865;
/// Vocabulary of large-v3 and its kin, which take 128 mel bands.
const LARGE_V3_SIZE: usize = 51_866;

/// What a model writes with.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Bytes of each text token, by id; empty for the others.
    bytes: Vec<Vec<u8>>,
    ids: HashMap<String, u32>,
    end_of_text: u32,
}

impl Vocabulary {
    /// Reads the list in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, AsrError> {
        let path = folder.join("vocabulary.txt");
        let unreadable = |reason: String| AsrError::ModelUnreadable { path: path.clone(), reason };
        let size = std::fs::metadata(&path).map_err(|e| unreadable(e.to_string()))?.len();
        if size > MAX_BYTES {
            return Err(unreadable(format!("{size} bytes are too many for a list of tokens")));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| unreadable(e.to_string()))?;
        Self::parse(&text).ok_or_else(|| AsrError::ModelInvalid {
            path: path.clone(),
            reason: "it is no list of Whisper's tokens".to_owned(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let tokens: Vec<&str> = text.split_terminator('\n').collect();
        let ids: HashMap<String, u32> =
            tokens.iter().enumerate().map(|(id, &token)| (token.to_owned(), id as u32)).collect();
        let end_of_text = *ids.get("<|endoftext|>")?;
        let alphabet = alphabet();
        let bytes_of = |token: &str| token.chars().filter_map(|c| alphabet.get(&c).copied()).collect();
        let bytes = tokens[..end_of_text as usize].iter().map(|token| bytes_of(token)).collect();
        let found = Self { bytes, ids, end_of_text };
        let known = ["<|startoftranscript|>", "<|transcribe|>", "<|notimestamps|>"];
        known.iter().all(|token| found.id(token).is_some()).then_some(found)
    }

    /// The id of a special token.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
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

    /// The bytes of a text token; `None` for special tokens and times.
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        (id < self.end_of_text).then(|| self.bytes[id as usize].as_slice())
    }

    pub(crate) fn is_multilingual(&self) -> bool {
        self.ids.len() >= MULTILINGUAL_SIZE
    }

    pub(crate) fn mel_bands(&self) -> usize {
        if self.ids.len() == LARGE_V3_SIZE { 128 } else { 80 }
    }
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
