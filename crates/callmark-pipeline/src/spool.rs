//! The checkpoint: what was heard in a recording, kept until the call is committed.
//!
//! Transcription is nearly all of the cost, and a commit speaks for many calls. Without this a process killed
//! before its commit would hear all of them again. An entry is only ever a saving: one that is missing, broken or
//! made by another model is heard anew.

use crate::assemble::Heard;
use callmark_store::SourceKey;
use callmark_types::{AudioFacts, CallMetadata, Millis};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Folder of the checkpoints inside a dataset. Readers of the tables never look there.
const FOLDER: &str = "_spool";

/// All that scoring needs of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeardCall {
    pub(crate) facts: AudioFacts,
    pub(crate) heard: Vec<Heard>,
    /// The channel whose speakers were told apart by voice.
    pub(crate) mixed_channel: Option<u16>,
    /// Language set or detected.
    pub(crate) language: Option<String>,
    /// Time in which anybody speaks.
    pub(crate) speech: Millis,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    made_by: String,
    call: HeardCall,
}

/// Checkpoints of one dataset, valid for one way of hearing.
pub(crate) struct Spool {
    folder: PathBuf,
    made_by: String,
}

impl Spool {
    /// Checkpoints below `dataset`; `made_by` names model, program version and settings.
    pub(crate) fn open(dataset: &Path, made_by: String) -> std::io::Result<Self> {
        let folder = dataset.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, made_by })
    }

    /// What was heard under `key`, if it was heard the same way and with the same metadata.
    pub(crate) fn load(&self, key: &SourceKey, metadata: &CallMetadata) -> Option<HeardCall> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let entry: Entry = serde_json::from_slice(&bytes).ok()?;
        (entry.made_by == self.made_by(metadata)).then_some(entry.call)
    }

    /// Keeps what was heard. A reader sees the whole entry or none.
    pub(crate) fn save(
        &self,
        key: &SourceKey,
        metadata: &CallMetadata,
        call: &HeardCall,
    ) -> std::io::Result<()> {
        let entry = Entry { made_by: self.made_by(metadata), call: call.clone() };
        let temporary = self.folder.join(format!("{key}.tmp"));
        std::fs::write(&temporary, serde_json::to_vec(&entry)?)?;
        std::fs::rename(&temporary, self.path(key))
    }

    /// Forgets `key`: its call is committed.
    pub(crate) fn forget(&self, key: &SourceKey) {
        // A checkpoint left behind costs space, never a wrong row: its key is committed and not looked up again.
        let _ = std::fs::remove_file(self.path(key));
    }

    /// Removes the folder when nothing is left in it.
    pub(crate) fn close(self) {
        let _ = std::fs::remove_dir(self.folder);
    }

    /// The way of hearing, with what metadata adds to it: which channels are mixed, and the language.
    fn made_by(&self, metadata: &CallMetadata) -> String {
        format!("{} roles {:?} language {:?}", self.made_by, metadata.channel_roles, metadata.language)
    }

    fn path(&self, key: &SourceKey) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callmark_types::{AudioFormat, CallId, ChannelRole};

    fn call() -> HeardCall {
        let format = AudioFormat {
            container: "wav".into(),
            codec: "pcm_mulaw".into(),
            sample_rate_hz: 8000,
            channels: 1,
            duration: Millis(1234),
            truncation: None,
        };
        HeardCall {
            facts: AudioFacts { format, channels: Vec::new(), voices: Vec::new() },
            heard: Vec::new(),
            mixed_channel: None,
            language: Some("en".into()),
            speech: Millis(17),
        }
    }

    fn metadata() -> CallMetadata {
        CallMetadata::unknown(CallId::new("c1").unwrap())
    }

    fn key() -> SourceKey {
        SourceKey::of_parts(&["test"])
    }

    #[test]
    fn an_entry_is_found_by_the_same_hearing_only() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), "base 1".into()).unwrap();
        spool.save(&key(), &metadata(), &call()).unwrap();
        assert_eq!(spool.load(&key(), &metadata()), Some(call()));
        assert_eq!(Spool::open(folder.path(), "base 2".into()).unwrap().load(&key(), &metadata()), None);
        let mixed = CallMetadata { channel_roles: vec![Some(ChannelRole::Mixed)], ..metadata() };
        assert_eq!(spool.load(&key(), &mixed), None);
        let german = CallMetadata { language: Some("de".into()), ..metadata() };
        assert_eq!(spool.load(&key(), &german), None);
        spool.forget(&key());
        assert_eq!(spool.load(&key(), &metadata()), None);
    }

    #[test]
    fn a_broken_entry_is_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), "base".into()).unwrap();
        std::fs::write(folder.path().join(format!("_spool/{}.json", key())), b"{\"made_by\":\"ba").unwrap();
        assert_eq!(spool.load(&key(), &metadata()), None);
    }
}
