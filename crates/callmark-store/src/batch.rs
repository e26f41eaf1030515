//! What is handed over for one commit, and the checks that make it one.

use crate::dead_letters::DeadLetter;
use crate::error::StoreError;
use crate::hex;
use callmark_types::{CallId, ScoredCall, SourcePosition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Longest source or partition name, in bytes.
const MAX_SOURCE_BYTES: usize = 64;
/// Longest name of a batch, in bytes.
const MAX_FIRST_BYTES: usize = 80;

/// Identity of one input: the same recording of the same call has the same key in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceKey([u8; 32]);

impl SourceKey {
    /// The key of a call read from a file: SHA-256 over the call's id and the hex digest of the file's content.
    pub fn of_file(call_id: &CallId, content_sha256: &str) -> Self {
        Self::of_parts(&["file", call_id.as_str(), content_sha256])
    }

    /// The key of a file's place together with its content, whatever call it is; `None` where either is not known.
    pub fn of_place(source: &SourcePosition) -> Option<Self> {
        Some(Self::of_parts(&["place", source.uri.as_deref()?, source.sha256.as_deref()?]))
    }

    /// The key of an input that `parts` identify; lists of parts that differ have keys that differ.
    pub fn of_parts(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self(hex::digest_of_parts(&parts))
    }
}

impl std::fmt::Display for SourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl TryFrom<String> for SourceKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode_digest(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no source key of 64 hex digits"))
    }
}

impl From<SourceKey> for String {
    fn from(key: SourceKey) -> Self {
        key.to_string()
    }
}

/// The stream a batch comes from. For one source, partition and first entry there is one commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    source: String,
    partition: String,
}

impl SourceId {
    /// A source and its partition: 1 to 64 letters, digits, `-`, `_` or `.`, not starting with a dot.
    pub fn new(source: &str, partition: &str) -> Result<Self, StoreError> {
        for name in [source, partition] {
            if !is_plain_name(name, MAX_SOURCE_BYTES) {
                return Err(StoreError::InvalidBatch {
                    first: format!("{source}/{partition}"),
                    reason: format!(
                        "source name {name:?} is not 1 to {MAX_SOURCE_BYTES} letters, digits, '-', '_' or '.'"
                    ),
                });
            }
        }
        Ok(Self { source: source.to_owned(), partition: partition.to_owned() })
    }

    /// Files and folders given on the command line.
    pub fn files() -> Self {
        Self { source: "files".to_owned(), partition: "0".to_owned() }
    }

    /// Name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Name of the partition.
    pub fn partition(&self) -> &str {
        &self.partition
    }
}

fn is_plain_name(name: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// One input that a batch settles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchEntry {
    /// Identity of the input.
    pub key: SourceKey,
    /// The call it became.
    pub call_id: CallId,
    /// Where a file lies and what is in it, in one digest ([`SourceKey::of_place`]): the same recording under another
    /// id is the same recording. `None` for streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<SourceKey>,
}

/// What one commit makes visible, whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Where it comes from.
    pub source: SourceId,
    /// Names the commit within its source: letters, digits, `-` and `_`, without dots. For files the key of the
    /// first entry (a position would mean another file in the next run); for Kafka the zero-padded first offset.
    pub first: String,
    /// The last offset that the batch settles, for streams.
    pub last: Option<i64>,
    /// Positions of companion topics, for streams.
    pub positions: BTreeMap<String, i64>,
    /// One entry a call, in the order of `calls`.
    pub entries: Vec<BatchEntry>,
    /// The calls, in the order of their rows.
    pub calls: Vec<ScoredCall>,
    /// What could not be processed.
    pub dead_letters: Vec<DeadLetter>,
}

impl Batch {
    /// A batch of files: `calls` with the keys they were read under, and what failed among them.
    pub fn of_files(calls: Vec<(SourceKey, ScoredCall)>, dead_letters: Vec<DeadLetter>) -> Self {
        let entries: Vec<BatchEntry> = calls
            .iter()
            .map(|(key, call)| BatchEntry {
                key: *key,
                call_id: call.record.call_id.clone(),
                place: SourceKey::of_place(&call.record.source),
            })
            .collect();
        let first =
            entries.first().map_or_else(|| "dead-letters-only".to_owned(), |entry| entry.key.to_string());
        let calls = calls.into_iter().map(|(_, call)| call).collect();
        Self {
            source: SourceId::files(),
            first,
            last: None,
            positions: BTreeMap::new(),
            entries,
            calls,
            dead_letters,
        }
    }

    /// Refuses a batch that contradicts itself or that the schema cannot hold.
    pub(crate) fn validate(&self) -> Result<(), StoreError> {
        let refuse = |reason: String| Err(StoreError::InvalidBatch { first: self.first.clone(), reason });
        if !is_plain_name(&self.first, MAX_FIRST_BYTES) || self.first.contains('.') {
            return refuse(format!("its name is not 1 to {MAX_FIRST_BYTES} letters, digits, '-' or '_'"));
        }
        if self.entries.len() != self.calls.len() {
            return refuse(format!("it has {} entries for {} calls", self.entries.len(), self.calls.len()));
        }
        let mut seen_calls = HashSet::new();
        let mut seen_keys = HashSet::new();
        for (entry, call) in self.entries.iter().zip(&self.calls) {
            if entry.call_id != call.record.call_id {
                return refuse(format!(
                    "entry {} stands where call {} does",
                    entry.call_id, call.record.call_id
                ));
            }
            if !seen_calls.insert(&entry.call_id) || !seen_keys.insert(&entry.key) {
                return refuse(format!("call {} is in it twice", entry.call_id));
            }
            if let Err(reason) = check_call(call) {
                return refuse(format!("call {}: {reason}", entry.call_id));
            }
        }
        Ok(())
    }
}

/// Whether the schema can hold the call: indices fit 32 bits, one sentiment a turn.
fn check_call(call: &ScoredCall) -> Result<(), String> {
    if call.turn_sentiment.len() != call.turns.len() {
        return Err(format!("{} sentiment scores for {} turns", call.turn_sentiment.len(), call.turns.len()));
    }
    if i32::try_from(call.events.len()).is_err() {
        return Err(format!("{} events are more than the schema can number", call.events.len()));
    }
    let indices = call.turns.iter().map(|turn| turn.index);
    let references = call.events.iter().filter_map(|event| event.turn_index);
    for index in indices.chain(references).chain(call.record.resolution.evidence_turn) {
        if i32::try_from(index).is_err() {
            return Err(format!("turn index {index} is more than the schema can hold"));
        }
    }
    Ok(())
}
