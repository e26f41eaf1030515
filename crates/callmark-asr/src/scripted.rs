//! A recogniser that reads from a script: what tests of everything downstream run on.
//!
//! Answers are keyed by the order of packs or by what is in them, so that tests stay right when packs are heard in
//! another order. It keeps the rules of the trait and passes the same conformance suite as the real engine.

use crate::error::AsrError;
use crate::packing::PackLimits;
use crate::transcriber::{ModelInfo, Pack, PackTranscript, PackWord, TranscribeOptions, Transcriber};
use callmark_types::Millis;
use std::sync::Arc;

/// What a scripted recogniser says to one pack.
pub type ScriptedAnswer = dyn Fn(&Pack) -> Result<PackTranscript, AsrError> + Send + Sync;

/// A script: a pure function of the pack, shared by all workers.
#[derive(Clone)]
pub struct Script {
    answer: Arc<ScriptedAnswer>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// Answers with whatever `answer` makes of the pack.
    pub fn of(answer: impl Fn(&Pack) -> Result<PackTranscript, AsrError> + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer) }
    }

    /// Says `text` to every pack with sound in it, its words spread evenly over the pack.
    pub fn saying(text: &str) -> Self {
        let text = text.to_owned();
        Self::of(move |pack| Ok(spread(&text, pack.duration(), 0.9)))
    }

    /// Says the text whose length is nearest to the pack's: `lines` are pairs of length and text.
    pub fn by_length(lines: Vec<(Millis, String)>) -> Self {
        Self::of(move |pack| {
            let distance = |line: &&(Millis, String)| (line.0.0 - pack.duration().0).abs();
            let text = lines.iter().min_by_key(distance).map_or("", |(_, text)| text.as_str());
            Ok(spread(text, pack.duration(), 0.9))
        })
    }
}

/// The words of `text` spread evenly over `duration`.
pub fn spread(text: &str, duration: Millis, probability: f32) -> PackTranscript {
    let words: Vec<&str> = text.split_whitespace().collect();
    let share = |n: usize| Millis(duration.0 * n as i64 / words.len().max(1) as i64);
    let timed = words.iter().enumerate().map(|(i, word)| PackWord {
        text: (*word).to_owned(),
        start: share(i),
        end: share(i + 1),
        probability,
    });
    PackTranscript {
        words: timed.collect(),
        average_log_probability: if words.is_empty() { 0.0 } else { f64::from(probability).ln() },
        no_speech_probability: if words.is_empty() { 0.9 } else { 0.01 },
        language: Some("en".to_owned()),
        language_probability: None,
        attempts: 1,
    }
}

/// The recogniser that reads from a [`Script`]. Packs of digital silence yield no words.
#[derive(Debug, Clone)]
pub struct ScriptedTranscriber {
    script: Script,
    longest_pack: Millis,
}

impl ScriptedTranscriber {
    /// Reads from `script`; takes packs as long as the default limits make them.
    pub fn new(script: Script) -> Self {
        Self { script, longest_pack: PackLimits::default().longest_pack }
    }
}

impl Transcriber for ScriptedTranscriber {
    fn transcribe(&mut self, pack: &Pack, options: &TranscribeOptions) -> Result<PackTranscript, AsrError> {
        let duration = pack.duration();
        if duration > self.longest_pack {
            let limit_ms = self.longest_pack.0;
            return Err(AsrError::PackTooLong { duration_ms: duration.0, limit_ms });
        }
        let detected = options.language.is_none();
        if pack.samples.iter().all(|&sample| sample == 0.0) {
            return Ok(PackTranscript { attempts: 1, ..PackTranscript::default() });
        }
        let mut transcript = (self.script.answer)(pack)?;
        if detected {
            transcript.language_probability = transcript.language_probability.or(Some(1.0));
        } else {
            transcript.language.clone_from(&options.language);
            transcript.language_probability = None;
        }
        Ok(transcript)
    }

    fn longest_pack(&self) -> Millis {
        self.longest_pack
    }

    fn model(&self) -> ModelInfo {
        ModelInfo { name: "scripted".to_owned(), multilingual: true }
    }
}
