//! The costly stage: a recording's bytes to facts and words.

use crate::assemble::Heard;
use crate::inputs::METADATA;
use crate::recogniser::SecondHearing;
use crate::redaction::Redaction;
use crate::spool::HeardCall;
use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, loudness_dbfs, tell_voices_apart};
use callmark_analytics::mixed_channel;
use callmark_asr::{AsrError, ChannelTranscript, TranscribeOptions, WorkerPool, model_language};
use callmark_audio::{AudioError, DecodeLimits, DecodeOptions, DecodedAudio, decode_bytes, decode_file};
use callmark_types::{AudioFacts, CallMetadata, ChannelFacts, Millis, Pcm, Span};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of calls longer than this one at a time is in memory: each hour of a two-channel call takes 230 MB.
const LONG_CALL: Millis = Millis(30 * 60_000);

/// How recordings are heard; the same for every call of a run.
pub(crate) struct Ear {
    pub(crate) decode: DecodeOptions,
    pub(crate) acoustics: AcousticOptions,
    pub(crate) voices: VoiceOptions,
    pub(crate) transcribe: TranscribeOptions,
    pub(crate) workers: WorkerPool,
    pub(crate) second: Option<SecondHearing>,
    pub(crate) redaction: Redaction,
    /// Held while a call longer than [`LONG_CALL`] is in memory.
    pub(crate) long_calls: Mutex<()>,
}

/// The stage that failed, and why, in words for the person who reads the dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageError {
    pub(crate) stage: &'static str,
    pub(crate) reason: String,
}

impl StageError {
    pub(crate) fn new(stage: &'static str, reason: impl Into<String>) -> Self {
        Self { stage, reason: reason.into() }
    }
}

/// Where a recording is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Recording<'a> {
    /// In a file.
    File(&'a Path),
    /// In memory, as it comes in a message.
    Bytes {
        /// What errors call it; its extension may tell a codec.
        name: &'a str,
        content_type: Option<&'a str>,
        bytes: &'a [u8],
    },
}

impl Recording<'_> {
    fn decode(self, options: &DecodeOptions) -> Result<DecodedAudio, AudioError> {
        match self {
            Self::File(path) => decode_file(path, options),
            Self::Bytes { name, content_type, bytes } => {
                decode_bytes(name, content_type, bytes.to_vec(), options)
            }
        }
    }
}

impl Ear {
    /// Decodes a recording; with a long one comes the right to hold it.
    fn decode(
        &self,
        recording: Recording<'_>,
    ) -> Result<(DecodedAudio, Option<MutexGuard<'_, ()>>), AudioError> {
        let limits = self.decode.limits;
        let short = DecodeLimits { max_duration: limits.max_duration.min(LONG_CALL), ..limits };
        match recording.decode(&DecodeOptions { limits: short, ..self.decode }) {
            Err(AudioError::TooLong { .. }) if limits.max_duration > LONG_CALL => {
                let alone = self.long_calls.lock().unwrap_or_else(PoisonError::into_inner);
                Ok((recording.decode(&self.decode)?, Some(alone)))
            }
            decoded => Ok((decoded?, None)),
        }
    }

    /// Decodes, measures and transcribes one recording.
    pub(crate) fn hear(
        &self,
        recording: Recording<'_>,
        metadata: &CallMetadata,
    ) -> Result<HeardCall, StageError> {
        let (DecodedAudio { format, channels }, _long_call) =
            self.decode(recording).map_err(|e| StageError::new("decode", e.to_string()))?;
        check_roles(metadata, channels.len())?;
        let facts = analyse(&channels, &self.acoustics);
        let mixed = mixed_channel(channels.len(), &metadata.channel_roles);
        let voices = mixed.map_or_else(Vec::new, |(channel, minimum_voices)| {
            let options = VoiceOptions { minimum_voices, ..self.voices.clone() };
            tell_voices_apart(&channels[channel as usize], &facts[channel as usize].speech, &options)
        });
        // Metadata wins; a language that the model does not know leaves it to detect what it can.
        let told = metadata.language.as_deref().map(|tag| model_language(tag).map(str::to_owned));
        let options = TranscribeOptions {
            language: told.unwrap_or_else(|| self.transcribe.language.clone()),
            ..self.transcribe.clone()
        };
        let mut heard = Vec::new();
        let mut language: Option<(f64, String)> = None;
        for (pcm, transcript) in channels.iter().zip(self.transcribe(&channels, &facts, &options)) {
            let transcript = transcript.map_err(|e| StageError::new("transcribe", e.to_string()))?;
            let sure = transcript.language_probability.unwrap_or(0.0);
            if let Some(found) =
                transcript.language.filter(|_| language.as_ref().is_none_or(|(p, _)| sure > *p))
            {
                language = Some((sure, found));
            }
            heard.extend(
                transcript
                    .utterances
                    .into_iter()
                    .map(|utterance| Heard { loudness_dbfs: loudness_dbfs(pcm, utterance.span), utterance }),
            );
        }
        self.redaction.write_audio(&metadata.call_id, &channels, &self.redaction.spans(&heard))?;
        let speech = Span::union(facts.iter().flat_map(|c| c.speech.iter().copied()));
        Ok(HeardCall {
            speech: speech.into_iter().map(Span::duration).sum(),
            facts: AudioFacts { format, channels: facts, voices },
            heard,
            mixed_channel: mixed.map(|(channel, _)| channel),
            language: options.language.or(language.map(|(_, found)| found)),
        })
    }

    /// What is said on each channel, all channels at once: packs of one call are then recognised together.
    fn transcribe(
        &self,
        channels: &[Pcm],
        facts: &[ChannelFacts],
        options: &TranscribeOptions,
    ) -> Vec<Result<ChannelTranscript, AsrError>> {
        let of_channel = |(pcm, channel): (&Pcm, &ChannelFacts)| {
            let heard = self.workers.transcribe_channel(channel.channel, pcm, &channel.speech, options)?;
            match &self.second {
                None => Ok(heard),
                Some(SecondHearing { workers, below }) => {
                    workers.hear_again(channel.channel, pcm, &channel.speech, heard, *below, options)
                }
            }
        };
        std::thread::scope(|scope| {
            let each: Vec<_> = (channels.iter().zip(facts))
                .map(|channel| scope.spawn(move || of_channel(channel)))
                .collect();
            each.into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }
}

/// A role of a channel that is not there: the roles are those of another recording.
fn check_roles(metadata: &CallMetadata, channels: usize) -> Result<(), StageError> {
    let Some(last) = metadata.channel_roles.len().checked_sub(1).filter(|last| *last >= channels) else {
        return Ok(());
    };
    Err(StageError::new(
        METADATA,
        format!(
            "channel {last}, counted from 0, is given a role, and the recording has {channels}: correct its row of call metadata or --channels; one channel with both sides is `mixed`"
        ),
    ))
}
