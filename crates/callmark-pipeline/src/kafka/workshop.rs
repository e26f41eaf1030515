//! From a message to a scored call or a dead letter. Runs on call threads; never panics outward.

use super::event::Incoming;
use super::message::{Request, attempts_before, call_of_key, read_request};
use super::partition::{Dead, Finished, Original};
use super::uri::UriGate;
use crate::call::hex;
use crate::compose::{compose_heard, compose_written};
use crate::hear::{Ear, Recording, StageError};
use crate::spool::HeardCall;
use callmark_analytics::Ruleset;
use callmark_live::{FinishedCall, HeardLive, TranscribeJob, Transcribed};
use callmark_store::{DeadLetter, Envelope, SourceKey};
use callmark_types::{
    CallId, CallMetadata, ChannelRole, Event, EventKind, Lineage, ScoredCall, SourcePosition, Span, Timestamp,
};
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Everything that call threads need; shared by all of them.
pub(crate) struct Workshop {
    pub(crate) topic: String,
    pub(crate) ear: Ear,
    pub(crate) rules: Arc<Ruleset>,
    pub(crate) lineage: Lineage,
    pub(crate) gate: UriGate,
    pub(crate) channels: Vec<ChannelRole>,
    pub(crate) max_bytes: u64,
}

/// What is known of a message's call when it fails.
struct Subject {
    call_id: Option<CallId>,
    source: SourcePosition,
}

impl Workshop {
    /// Works off one message. A panic in a stage costs its own call only.
    pub(crate) fn process(&self, message: Incoming) -> Finished {
        let source = SourcePosition {
            topic: Some(self.topic.clone()),
            partition: Some(message.partition),
            offset: Some(message.offset),
            ..SourcePosition::default()
        };
        let mut subject = Subject { call_id: call_of_key(&message), source };
        let result = catch_unwind(AssertUnwindSafe(|| self.attempt(&message, &mut subject)));
        let attempts = attempts_before(&message).saturating_add(1);
        let original = Original { key: message.key, headers: message.headers, value: message.value };
        let error = match result {
            Ok(Ok((key, call))) => {
                return Finished::Scored { key, call: Box::new(call), original: Box::new(original) };
            }
            Ok(Err(error)) => error,
            // The payload may quote what was said on the call: it is not passed on.
            Err(_) => StageError::new(
                "internal",
                "the program failed on this call: please report it with the recording's format",
            ),
        };
        Finished::Dead(Box::new(dead(subject.source, subject.call_id, error, attempts, original)))
    }

    /// Has an utterance of a live call recognised.
    pub(crate) fn transcribe(&self, job: TranscribeJob) -> Transcribed {
        job.run(&self.ear.workers, &self.ear.transcribe)
    }

    /// Measures and scores a live call that is over. A panic in a stage costs its own call only.
    pub(crate) fn score_live(&self, call: FinishedCall, source: SourcePosition) -> Finished {
        let call_id = call.call_id().clone();
        let origin = call.origin_ms.to_string();
        let key = SourceKey::of_parts(&["live", call_id.as_str(), &origin]);
        let scored = catch_unwind(AssertUnwindSafe(|| self.compose_live(call, source.clone())));
        let original = Original::default();
        if let Ok(call) = scored {
            return Finished::Scored { key, call: Box::new(call), original: Box::new(original) };
        }
        let error = StageError::new("internal", "the program failed on this call: please report it");
        Finished::Dead(Box::new(dead(source, Some(call_id), error, 1, original)))
    }

    fn compose_live(&self, call: FinishedCall, source: SourcePosition) -> ScoredCall {
        let (metadata, flags) = (call.metadata.clone(), call.flags());
        let transfers = call.transfers.clone();
        let HeardLive { facts, heard, mixed_channel, language, speech } =
            call.hear(&self.ear.acoustics, &self.ear.voices);
        let heard = HeardCall { facts, heard, mixed_channel, language, speech };
        let mut scored = compose_heard(&self.rules, &metadata, &heard, source, self.lineage.clone());
        let trust = &mut scored.record.trust;
        trust.flags.extend(flags.into_iter().map(str::to_owned));
        trust.flags.sort_unstable();
        // Told by the telephony system.
        scored.events.extend(
            transfers.into_iter().map(|(at, to)| Event {
                detail: to,
                ..Event::lasting(EventKind::Transfer, Span::new(at, at))
            }),
        );
        scored.events.sort_by_key(|event| event.span.map(|span| span.start));
        scored
    }

    fn attempt(
        &self,
        message: &Incoming,
        subject: &mut Subject,
    ) -> Result<(SourceKey, ScoredCall), StageError> {
        match read_request(message, self.max_bytes)? {
            Request::Recording { metadata, content_type } => {
                let bytes = message.value.as_deref().unwrap_or_default();
                self.recording(metadata, "recording", content_type.as_deref(), bytes, subject)
            }
            Request::Remote { metadata, uri } => {
                subject.call_id = Some(metadata.call_id.clone());
                subject.source.uri = Some(uri.clone());
                let bytes = self.gate.fetch(&uri, self.max_bytes)?;
                let name = uri.rsplit('/').next().unwrap_or("recording");
                self.recording(metadata, name, None, &bytes, subject)
            }
            Request::Written(conversation) => {
                let bytes = message.value.as_deref().unwrap_or_default();
                subject.call_id = Some(conversation.metadata.call_id.clone());
                let sha256 = hex(&Sha256::digest(bytes.trim_ascii()));
                subject.source.sha256 = Some(sha256.clone());
                let key = SourceKey::of_file(&conversation.metadata.call_id, &sha256);
                // No recogniser had a part in it.
                let lineage = Lineage { asr_model: None, asr_model_sha256: None, ..self.lineage.clone() };
                let mut call = compose_written(&self.rules, *conversation, subject.source.clone(), lineage);
                self.ear.redaction.scored(&mut call);
                Ok((key, call))
            }
        }
    }

    fn recording(
        &self,
        mut metadata: CallMetadata,
        name: &str,
        content_type: Option<&str>,
        bytes: &[u8],
        subject: &mut Subject,
    ) -> Result<(SourceKey, ScoredCall), StageError> {
        subject.call_id = Some(metadata.call_id.clone());
        let sha256 = hex(&Sha256::digest(bytes));
        subject.source.sha256 = Some(sha256.clone());
        if metadata.channel_roles.is_empty() {
            metadata.channel_roles = self.channels.iter().copied().map(Some).collect();
        }
        let heard = self.ear.hear(Recording::Bytes { name, content_type, bytes }, &metadata)?;
        let key = SourceKey::of_file(&metadata.call_id, &sha256);
        let mut call =
            compose_heard(&self.rules, &metadata, &heard, subject.source.clone(), self.lineage.clone());
        self.ear.redaction.scored(&mut call);
        Ok((key, call))
    }
}

/// A dead letter of a message.
pub(crate) fn dead(
    source: SourcePosition,
    call_id: Option<CallId>,
    error: StageError,
    attempts: u32,
    original: Original,
) -> Dead {
    let letter = DeadLetter {
        source,
        call_id,
        stage: error.stage.to_owned(),
        reason: error.reason,
        attempts,
        first_seen: Some(Timestamp::now()),
        metadata_uri: None,
        payload: Some(original.value.clone().unwrap_or_default()),
        envelope: Some(Envelope { key: original.key.clone(), headers: original.headers.clone() }),
    };
    Dead { letter, original }
}
