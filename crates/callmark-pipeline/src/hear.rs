//! The costly stage: a recording's bytes to facts and words.

use crate::assemble::Heard;
use crate::spool::HeardCall;
use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, loudness_dbfs, tell_voices_apart};
use callmark_asr::{TranscribeOptions, WorkerPool};
use callmark_audio::{DecodeOptions, DecodedAudio, decode_file};
use callmark_types::{AudioFacts, CallMetadata, ChannelRole, Pcm, Span};
use std::path::Path;

/// How recordings are heard; the same for every call of a run.
pub(crate) struct Ear {
    pub(crate) decode: DecodeOptions,
    pub(crate) acoustics: AcousticOptions,
    pub(crate) voices: VoiceOptions,
    pub(crate) transcribe: TranscribeOptions,
    pub(crate) workers: WorkerPool,
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

impl Ear {
    /// Decodes, measures and transcribes one recording.
    pub(crate) fn hear(&self, path: &Path, metadata: &CallMetadata) -> Result<HeardCall, StageError> {
        let DecodedAudio { format, channels } =
            decode_file(path, &self.decode).map_err(|e| StageError::new("decode", e.to_string()))?;
        let facts = analyse(&channels, &self.acoustics);
        let mixed_channel = mixed_channel(&channels, &metadata.channel_roles);
        let voices = mixed_channel.map_or_else(Vec::new, |channel| {
            tell_voices_apart(&channels[channel as usize], &facts[channel as usize].speech, &self.voices)
        });
        let options = TranscribeOptions {
            language: metadata.language.clone().or_else(|| self.transcribe.language.clone()),
            ..self.transcribe.clone()
        };
        let mut heard = Vec::new();
        let mut language: Option<(f64, String)> = None;
        for (pcm, channel) in channels.iter().zip(&facts) {
            let transcript = self
                .workers
                .transcribe_channel(channel.channel, pcm, &channel.speech, &options)
                .map_err(|e| StageError::new("transcribe", e.to_string()))?;
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
        let speech = Span::union(facts.iter().flat_map(|c| c.speech.iter().copied()));
        Ok(HeardCall {
            speech: speech.into_iter().map(Span::duration).sum(),
            facts: AudioFacts { format, channels: facts, voices },
            heard,
            mixed_channel,
            language: options.language.or(language.map(|(_, found)| found)),
        })
    }
}

/// The channel that both sides share: one told to be mixed, or the only channel of a recording of which nothing is told.
fn mixed_channel(channels: &[Pcm], roles: &[Option<ChannelRole>]) -> Option<u16> {
    let role = |channel: usize| roles.get(channel).copied().flatten();
    let told = (0..channels.len()).find(|c| role(*c) == Some(ChannelRole::Mixed));
    told.or_else(|| (channels.len() == 1 && role(0).is_none()).then_some(0)).map(|c| c as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_of_which_nothing_is_told_may_hold_both_sides() {
        let pcm = Pcm::default();
        assert_eq!(mixed_channel(std::slice::from_ref(&pcm), &[]), Some(0));
        assert_eq!(mixed_channel(std::slice::from_ref(&pcm), &[Some(ChannelRole::Customer)]), None);
        let two = [pcm.clone(), pcm];
        assert_eq!(mixed_channel(&two, &[]), None);
        assert_eq!(mixed_channel(&two, &[None, Some(ChannelRole::Mixed)]), Some(1));
    }
}
