//! A second hearing of what the first was unsure of, by another model.
//!
//! A larger model costs several times as much for every second it hears, and most of what is said on the telephone needs
//! none. So only the turns that the first model itself believes little are heard again. The second's words are then taken:
//! to take whichever model was surer made the error rate worse, since two models are sure in different ways (see
//! `benches/README.md`).

use crate::assemble::Assembly;
use crate::error::AsrError;
use crate::packing::{clean_spans, plan_stretches};
use crate::pool::{ChannelTranscript, WorkerPool};
use crate::transcriber::TranscribeOptions;
use callmark_types::{Pcm, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

impl WorkerPool {
    /// Hears again each utterance of `first` that is kept with a confidence under `below` (0 to 1), in the language that was
    /// heard; `first` is of the same `channel`, recording and `speech`. What these workers hear takes its place, over the
    /// same span. Where they do not know the language, hear nothing, pass over a second of the turn, or hear what looks
    /// invented, it stays as it is.
    pub fn hear_again(
        &self,
        channel: u16,
        pcm: &Pcm,
        speech: &[Span],
        mut first: ChannelTranscript,
        below: f64,
        options: &TranscribeOptions,
    ) -> Result<ChannelTranscript, AsrError> {
        let limits = self.limits(options);
        let spans = clean_spans(pcm, speech, &limits);
        // By span of speech, the utterance that is heard again.
        let doubtful: BTreeMap<usize, usize> = first
            .utterances
            .iter()
            .enumerate()
            .filter(|(_, heard)| heard.dropped_reason.is_none() && heard.asr_confidence < below)
            .filter_map(|(utterance, heard)| Some((spans.binary_search(&heard.span).ok()?, utterance)))
            .collect();
        if doubtful.is_empty() {
            return Ok(first);
        }
        let options = Arc::new(TranscribeOptions { language: first.language.clone(), ..options.clone() });
        let stretches: Vec<(usize, Span)> = doubtful.keys().map(|&index| (index, spans[index])).collect();
        let plans = plan_stretches(pcm, &spans, &stretches, &limits);
        let packs = match self.transcribe_plans(pcm, plans, &options) {
            Err(AsrError::UnknownLanguage(_)) => return Ok(first),
            packs => packs?,
        };
        let assembly = Assembly::new(pcm, &spans, &options, &packs);
        let passed_over: Vec<usize> = assembly.unheard().into_iter().map(|(index, _)| index).collect();
        for again in assembly.utterances(channel).into_iter().filter(|again| again.dropped_reason.is_none()) {
            let index = spans.binary_search(&again.span).ok().filter(|index| !passed_over.contains(index));
            if let Some(&utterance) = index.and_then(|index| doubtful.get(&index)) {
                first.utterances[utterance] = again;
            }
        }
        Ok(first)
    }
}
