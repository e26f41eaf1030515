//! What could not be processed: kept with its bytes, stage and reason, to be read, understood and submitted again.
//!
//! One dead letter is `DIR/_dead_letters/<id>.json`, and `<id>.bin` where its bytes are kept. The id follows from
//! where the input came from, so an input that fails again replaces its letter, and one that succeeds removes it.

use crate::envelope::Envelope;
use crate::erase::ErasedCalls;
use crate::error::StoreError;
use crate::hex;
use crate::place::{Backend, Location, TEMPORARY_SUFFIX};
use callmark_types::{CallId, SourcePosition, Timestamp};
use serde::{Deserialize, Serialize};

const DEAD_LETTERS: &str = "_dead_letters";
const RECORD_SUFFIX: &str = ".json";
const PAYLOAD_SUFFIX: &str = ".bin";
/// Bytes of the digest that make an id.
const ID_BYTES: usize = 12;

/// Identity of a dead letter: 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeadLetterId(String);

impl DeadLetterId {
    /// The id of the input at `source`: topic, partition and offset where it came from Kafka, else its URI, which
    /// names the line of a file of many calls. What was read from the input (its call id) may be what was wrong.
    pub fn of(source: &SourcePosition) -> Self {
        let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        let digest = match &source.topic {
            Some(topic) => hex::digest_of_parts(&[
                b"kafka",
                topic.as_bytes(),
                number(source.partition.map(i64::from)).as_bytes(),
                number(source.offset).as_bytes(),
            ]),
            None => hex::digest_of_parts(&[b"uri", source.uri.as_deref().unwrap_or_default().as_bytes()]),
        };
        Self(hex::encode(&digest[..ID_BYTES]))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeadLetterId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_id =
            text.len() == ID_BYTES * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text)) } else { Err(format!("{text:?} is no dead letter id of 24 hex digits")) }
    }
}

impl From<DeadLetterId> for String {
    fn from(id: DeadLetterId) -> Self {
        id.0
    }
}

/// An input that could not be processed, as it is handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Where it came from.
    pub source: SourcePosition,
    /// The call, where that much is known.
    pub call_id: Option<CallId>,
    /// What was being done (`decode`, `transcribe`, `score`, …).
    pub stage: String,
    /// Why it failed, in a sentence.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it first failed, where the caller wants that kept.
    pub first_seen: Option<Timestamp>,
    /// The file of call metadata that it was read with, where there was one.
    pub metadata_uri: Option<String>,
    /// Its bytes, where they cannot be had again from the source.
    pub payload: Option<Vec<u8>>,
    /// Key and headers, where it was a message.
    pub envelope: Option<Envelope>,
}

impl DeadLetter {
    /// Its id.
    pub fn id(&self) -> DeadLetterId {
        DeadLetterId::of(&self.source)
    }
}

/// A dead letter as it is stored and listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// The call, where that much is known.
    pub call_id: Option<CallId>,
    /// What was being done.
    pub stage: String,
    /// Why it failed.
    pub reason: String,
    /// File or object it came from.
    pub uri: Option<String>,
    /// SHA-256 of its bytes, hex.
    pub sha256: Option<String>,
    /// Kafka topic it came from.
    pub topic: Option<String>,
    /// Kafka partition it came from.
    pub partition: Option<i32>,
    /// Kafka offset it came from.
    pub offset: Option<i64>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it first failed, where that was kept.
    pub first_seen: Option<Timestamp>,
    /// The file of call metadata that it was read with, where there was one.
    #[serde(default)]
    pub metadata_uri: Option<String>,
    /// Size of its bytes, where they are kept.
    pub payload_bytes: Option<u64>,
    /// Key and headers, where it was a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
}

impl From<&DeadLetter> for StoredDeadLetter {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id(),
            call_id: letter.call_id.clone(),
            stage: letter.stage.clone(),
            reason: letter.reason.clone(),
            uri: letter.source.uri.clone(),
            sha256: letter.source.sha256.clone(),
            topic: letter.source.topic.clone(),
            partition: letter.source.partition,
            offset: letter.source.offset,
            attempts: letter.attempts,
            first_seen: letter.first_seen,
            metadata_uri: letter.metadata_uri.clone(),
            payload_bytes: letter.payload.as_ref().map(|payload| payload.len() as u64),
            envelope: letter.envelope.clone(),
        }
    }
}

/// Every dead letter of the dataset at `dir`, in order of id; none where there are none.
pub fn list(dir: impl Into<Location>) -> Result<Vec<StoredDeadLetter>, StoreError> {
    let directory = dir.into().open()?;
    let names = directory.files_in(DEAD_LETTERS)?;
    let records = names.iter().filter(|name| name.ends_with(RECORD_SUFFIX));
    let records: Vec<String> = records.map(|name| format!("{DEAD_LETTERS}/{name}")).collect();
    let contents = directory.read_many(&records)?;
    records.iter().zip(contents).map(|(relative, bytes)| parse(&*directory, relative, &bytes)).collect()
}

/// The dead letter `id` of the dataset at `dir`.
pub fn show(dir: impl Into<Location>, id: &DeadLetterId) -> Result<StoredDeadLetter, StoreError> {
    let directory = dir.into().open()?;
    let relative = record_path(id);
    if !directory.exists(&relative)? {
        return Err(StoreError::NoSuchDeadLetter { id: id.to_string(), path: directory.root() });
    }
    parse(&*directory, &relative, &directory.read(&relative)?)
}

/// The bytes of the dead letter `id`, where they were kept.
pub fn payload(dir: impl Into<Location>, id: &DeadLetterId) -> Result<Option<Vec<u8>>, StoreError> {
    let directory = dir.into().open()?;
    let relative = payload_path(id);
    if directory.exists(&relative)? { directory.read(&relative).map(Some) } else { Ok(None) }
}

/// Removes the dead letter `id`; `false` where there is none.
pub fn remove(dir: impl Into<Location>, id: &DeadLetterId) -> Result<bool, StoreError> {
    let directory = dir.into().open()?;
    let existed = directory.exists(&record_path(id))?;
    remove_from(&*directory, id)?;
    Ok(existed)
}

fn parse(directory: &dyn Backend, relative: &str, bytes: &[u8]) -> Result<StoredDeadLetter, StoreError> {
    serde_json::from_slice(bytes)
        .map_err(|source| StoreError::DamagedRecord { path: directory.path(relative), source })
}

fn record_path(id: &DeadLetterId) -> String {
    format!("{DEAD_LETTERS}/{id}{RECORD_SUFFIX}")
}

/// The files of a letter: its record, and its bytes where they are kept.
pub(crate) fn paths(id: &DeadLetterId) -> [String; 2] {
    [record_path(id), payload_path(id)]
}

fn payload_path(id: &DeadLetterId) -> String {
    format!("{DEAD_LETTERS}/{id}{PAYLOAD_SUFFIX}")
}

/// Writes dead letters, but those of calls that were erased.
pub(crate) fn write_all(
    directory: &dyn Backend,
    letters: &[DeadLetter],
    erased: &ErasedCalls,
) -> Result<(), StoreError> {
    let is_erased = |letter: &&DeadLetter| letter.call_id.as_ref().is_some_and(|id| erased.has_call(id));
    letters.iter().filter(|letter| !is_erased(letter)).try_for_each(|letter| write(directory, letter))
}

/// Writes or replaces a dead letter; its record comes last, so a letter that is listed is whole.
fn write(directory: &dyn Backend, letter: &DeadLetter) -> Result<(), StoreError> {
    directory.create_directories(DEAD_LETTERS)?;
    let stored = StoredDeadLetter::from(letter);
    match &letter.payload {
        Some(payload) => directory.replace(&payload_path(&stored.id), payload)?,
        None => {
            directory.remove(&payload_path(&stored.id))?;
        }
    }
    let relative = record_path(&stored.id);
    directory.replace(&relative, &crate::commit::to_json(&stored, &directory.path(&relative))?)
}

/// Those of `ids` that are there, in order.
pub(crate) fn existing(
    directory: &dyn Backend,
    ids: Vec<DeadLetterId>,
) -> Result<Vec<DeadLetterId>, StoreError> {
    if ids.is_empty() {
        return Ok(ids);
    }
    // One listing costs less than a question for each, but on a disk, where a question costs nothing.
    if directory.has_staging() {
        let mut found = Vec::new();
        for id in ids {
            if directory.exists(&record_path(&id))? {
                found.push(id);
            }
        }
        return Ok(found);
    }
    let names = directory.files_in(DEAD_LETTERS)?;
    let is_there = |id: &DeadLetterId| names.binary_search(&format!("{id}{RECORD_SUFFIX}")).is_ok();
    Ok(ids.into_iter().filter(is_there).collect())
}

pub(crate) fn remove_from(directory: &dyn Backend, id: &DeadLetterId) -> Result<(), StoreError> {
    directory.remove(&record_path(id))?;
    directory.remove(&payload_path(id))
}

/// Removes what a crash left: half-written files, and bytes without a record. Only under the writer's lock.
pub(crate) fn clean(directory: &dyn Backend) -> Result<u64, StoreError> {
    let names = directory.files_in(DEAD_LETTERS)?;
    let mut removed = 0;
    for name in &names {
        let is_orphan = name
            .strip_suffix(PAYLOAD_SUFFIX)
            .is_some_and(|id| names.binary_search(&format!("{id}{RECORD_SUFFIX}")).is_err());
        if is_orphan || name.ends_with(TEMPORARY_SUFFIX) {
            directory.remove(&format!("{DEAD_LETTERS}/{name}"))?;
            removed += 1;
        }
    }
    Ok(removed)
}
