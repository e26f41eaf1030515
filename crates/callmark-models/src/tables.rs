//! What a `ggml` Whisper file holds beside weights, and CTranslate2's lacks: the mel filters and the tokens' bytes.
//!
//! Both come from the sdist of `openai-whisper` 20250625 (MIT, Copyright (c) 2022 OpenAI), packed by
//! `models/make_whisper_tables.py` into an archive of some 430 kB that is compiled in.

use std::io::{Cursor, Read};

use crate::convert::Tokenizer;
use crate::ggml::MEL_BINS;

const ARCHIVE: &[u8] = include_bytes!("../../../models/whisper-tables.zip");

/// Unpacked members are no larger than this.
const MEMBER_BYTES_MAX: u64 = 1 << 20;

/// The tokens' bytes in the order of their ids.
pub(crate) fn tokens(tokenizer: Tokenizer) -> Vec<Vec<u8>> {
    match tokenizer {
        Tokenizer::Multilingual => unpack_tokens(&member("multilingual.tokens")),
        Tokenizer::English => {
            let mut tokens = unpack_tokens(&member("gpt2.tokens"));
            // The published English files name this one special token; the multilingual ones name none.
            tokens.push(b"<|endoftext|>".to_vec());
            tokens
        }
    }
}

/// The mel filters row by row, [`MEL_BINS`] values a row, or `None` when there is no table for so many bands.
/// Negative zeros are written as zeros, as the published files have them.
pub(crate) fn mel_filters(bands: i32) -> Option<Vec<f32>> {
    let name = match bands {
        80 => "mel_80.f32",
        128 => "mel_128.f32",
        _ => return None,
    };
    let bytes = member(name);
    let (values, _) = bytes.as_chunks::<4>();
    let filters: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value) + 0.0).collect();
    debug_assert_eq!(filters.len(), bands as usize * MEL_BINS);
    Some(filters)
}

fn unpack_tokens(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut tokens = Vec::new();
    while let Some((length, rest)) = packed.split_first() {
        let (token, rest) = rest.split_at(usize::from(*length));
        tokens.push(token.to_vec());
        packed = rest;
    }
    tokens
}

fn member(name: &str) -> Vec<u8> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(ARCHIVE)).expect("the compiled-in archive is a zip file");
    let member = archive.by_name(name).expect("the compiled-in archive has the member");
    let mut bytes = Vec::new();
    member.take(MEMBER_BYTES_MAX).read_to_end(&mut bytes).expect("the compiled-in archive is intact");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;
    use base64::Engine as _;

    /// Writes tokens as OpenAI's `.tiktoken` files do: base64 and rank on each line.
    fn as_tiktoken(tokens: &[Vec<u8>]) -> String {
        let lines = tokens.iter().enumerate().map(|(rank, token)| {
            let text = if token.is_empty() {
                "=".to_owned()
            } else {
                base64::engine::general_purpose::STANDARD.encode(token)
            };
            format!("{text} {rank}\n")
        });
        lines.collect()
    }

    #[test]
    fn the_packed_tokens_give_openais_files_back() {
        let multilingual = as_tiktoken(&unpack_tokens(&member("multilingual.tokens")));
        assert_eq!(
            sha256_hex(multilingual.as_bytes()),
            "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126"
        );
        let english = as_tiktoken(&unpack_tokens(&member("gpt2.tokens")));
        assert_eq!(
            sha256_hex(english.as_bytes()),
            "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
        );
    }

    #[test]
    fn token_counts_are_those_of_the_published_files() {
        assert_eq!(tokens(Tokenizer::Multilingual).len(), 50_257);
        assert_eq!(tokens(Tokenizer::English).len(), 50_257);
    }

    #[test]
    fn mel_filters_are_whole_and_never_negative() {
        for bands in [80, 128] {
            let filters = mel_filters(bands).unwrap();
            assert_eq!(filters.len(), bands as usize * MEL_BINS);
            assert!(filters.iter().all(|value| value.is_finite() && value.is_sign_positive()));
            assert!(filters.chunks(MEL_BINS).all(|row| row.iter().any(|value| *value > 0.0)));
        }
        assert!(mel_filters(40).is_none());
    }
}
