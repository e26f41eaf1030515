//! A second hearing of what the first was unsure of, by another model.
//!
//! A larger model costs several times as much for every second it hears, and most of what is said on the telephone needs
//! none. So only the turns that the first model itself believes little are heard again. The second's words are then taken:
//! to take whichever model was surer made the error rate worse, since two models are sure in different ways (see
//! `benches/README.md`).

use crate::assemble::Assembly;
use crate::error::AsrError;
use crate::packing::{PackPlan, plan_stretches};
use crate::pool::{ChannelTranscript, WorkerPool};
use crate::transcriber::{PackTranscript, TranscribeOptions};
use callmark_types::{Pcm, Span};
use std::sync::Arc;

impl WorkerPool {
    /// Hears again each utterance of `first`, which is of `channel` of the same recording, that is kept with a confidence
    /// under `below` (0 to 1), in the language that was heard; where these workers do not know that language, nothing. What
    /// they hear takes its place, over the same span of the recording. Where they hear nothing, or what looks invented, it
    /// stays as it is.
    pub fn hear_again(
        &self,
        channel: u16,
        pcm: &Pcm,
        mut first: ChannelTranscript,
        below: f64,
        options: &TranscribeOptions,
    ) -> Result<ChannelTranscript, AsrError> {
        let kept: Vec<usize> =
            (0..first.utterances.len()).filter(|&i| first.utterances[i].dropped_reason.is_none()).collect();
        let spans: Vec<Span> = kept.iter().map(|&i| first.utterances[i].span).collect();
        let doubtful: Vec<(usize, Span)> = kept
            .iter()
            .enumerate()
            .filter(|&(_, &i)| first.utterances[i].asr_confidence < below)
            .map(|(index, _)| (index, spans[index]))
            .collect();
        let knows_language =
            self.model().multilingual || first.language.as_deref().is_none_or(|code| code == "en");
        if doubtful.is_empty() || !knows_language {
            return Ok(first);
        }
        let limits = self.limits(options);
        let options = Arc::new(TranscribeOptions { language: first.language.clone(), ..options.clone() });
        let plans = plan_stretches(pcm, &spans, &doubtful, &limits);
        let all: Vec<usize> = (0..plans.len()).collect();
        let mut heard = self.transcribe_packs(pcm, &plans, &all, &options)?;
        heard.sort_by_key(|(index, _)| *index);
        let packs: Vec<(PackPlan, PackTranscript)> =
            plans.into_iter().zip(heard.into_iter().map(|(_, transcript)| transcript)).collect();
        let heard = Assembly::new(pcm, &spans, &options, &packs).utterances(channel);
        for again in heard.into_iter().filter(|again| again.dropped_reason.is_none()) {
            if let Ok(index) = spans.binary_search(&again.span) {
                first.utterances[kept[index]] = again;
            }
        }
        Ok(first)
    }
}
