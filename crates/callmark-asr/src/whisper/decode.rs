//! One pack through whisper.cpp: window cut to the pack, greedy first, further tries only where the text looks wrong.
//!
//! What could carry over from one pack to the next is dealt with here: the text context is off, the encoder's window
//! is set for every pack, and a state whose random numbers were drawn from is thrown away.

use super::WhisperEngine;
use crate::error::AsrError;
use crate::packing::ceil_div;
use crate::retry::{is_better, is_silent, looks_wrong, max_tokens, pick_language};
use crate::transcriber::{Decoding, ModelInfo, Pack, PackTranscript, TranscribeOptions, Transcriber};
use crate::words::{TextToken, words_of_tokens};
use callmark_types::Millis;
use std::sync::Arc;
use whisper_rs::{FullParams, SamplingStrategy, WhisperError, WhisperState};

/// Length of one position of the encoder's output.
const POSITION_MS: i64 = 20;
/// Silence after the pack inside the encoder's window; with less the decoder loops.
const PADDING: Millis = Millis(2_000);
/// The encoder's window is a multiple of this many positions, which its kernels like.
const POSITION_STEP: i64 = 32;
/// The shortest window. On 60 short telephone utterances the word error rate was 0.204 with 256 positions, 0.197 with
/// 512 and 0.195 with 800, which costs half as much again.
const MIN_POSITIONS: i64 = 512;
/// Packs are filled up with silence to this length: the engine ignores less than 100 ms.
const MIN_SAMPLES: usize = 16_000;
/// Temperature of the tries after the first ones.
const RETRY_TEMPERATURE: f32 = 0.4;

/// A worker's recogniser: a state on the shared model.
pub struct WhisperTranscriber {
    engine: WhisperEngine,
    worker: usize,
    state: WhisperState,
}

impl std::fmt::Debug for WhisperTranscriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WhisperTranscriber").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// What the decoder makes of a pack before it writes a word.
struct FirstImpression {
    no_speech_probability: f64,
    /// Codes and probabilities, which sum to 1; empty for English-only models.
    languages: Vec<(&'static str, f64)>,
}

/// How one try differs from the next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Attempt {
    /// As asked for, with the window cut to the pack.
    First,
    /// The whole 30 s window that the model was trained on.
    WholeWindow,
    /// Drawn at random from the likely tokens.
    Sampled,
}

impl Attempt {
    const RETRIES: [Self; 2] = [Self::WholeWindow, Self::Sampled];
}

impl WhisperTranscriber {
    pub(super) fn new(engine: WhisperEngine, worker: usize) -> Result<Self, AsrError> {
        let state = new_state(&engine, worker)?;
        Ok(Self { engine, worker, state })
    }

    fn max_positions(&self) -> i64 {
        i64::from(self.engine.context.n_audio_ctx())
    }

    /// Window for a pack, in positions of the encoder's output.
    fn positions(&self, duration: Millis) -> i64 {
        let needed = ceil_div((duration + PADDING).0, POSITION_MS);
        let stepped = ceil_div(needed, POSITION_STEP) * POSITION_STEP;
        stepped.max(MIN_POSITIONS).min(self.max_positions())
    }

    /// The language to decode in at first: as told, or the likeliest to save a second pass when it is detected.
    fn first_language(&self, options: &TranscribeOptions) -> Result<String, AsrError> {
        if !self.engine.header.is_multilingual() {
            return Ok("en".to_owned());
        }
        let code = options.language.as_ref().or(options.fallback_language.as_ref());
        let code = code.map_or("en", String::as_str);
        if code.contains('\0') || whisper_rs::get_lang_id(code).is_none() {
            return Err(AsrError::UnknownLanguage(code.to_owned()));
        }
        Ok(code.to_owned())
    }

    /// What the decoder says right after the start token about what the encoder was last given.
    ///
    /// The engine's own no-speech probability is read from the logits of the call before (whisper.cpp 1.8.3 keeps
    /// those of the prompt's last token only, and reads its first), so it is worked out here.
    fn first_impression(&mut self, duration: Millis) -> Result<FirstImpression, AsrError> {
        let context = &self.engine.context;
        let start = [context.token_sot()];
        let threads = usize::from(self.engine.threads_per_worker);
        self.state.decode(&start, 0, threads).map_err(|error| engine_error(duration, &error))?;
        let logits = self.state.get_logits().map_err(|error| engine_error(duration, &error))?;
        let no_speech = softmax_share(logits.iter().copied(), logits[context.token_nosp() as usize]);
        let mut languages: Vec<(&'static str, f32)> = Vec::new();
        if self.engine.header.is_multilingual() {
            let last = whisper_rs::get_lang_max_id();
            languages.extend((0..=last).filter_map(|id| {
                let logit = *logits.get(context.token_lang(id) as usize)?;
                Some((whisper_rs::get_lang_str(id)?, logit))
            }));
        }
        let share = |logit: f32| softmax_share(languages.iter().map(|&(_, logit)| logit), logit);
        let languages = languages.iter().map(|&(code, logit)| (code, share(logit))).collect();
        Ok(FirstImpression { no_speech_probability: no_speech, languages })
    }

    fn params<'a>(
        &self,
        attempt: Attempt,
        language: &'a str,
        duration: Millis,
        options: &TranscribeOptions,
        expected: &'a [std::ffi::c_int],
    ) -> FullParams<'a, 'a> {
        let strategy = match (attempt, options.decoding) {
            (Attempt::Sampled, _) | (_, Decoding::Greedy) => SamplingStrategy::Greedy { best_of: 1 },
            (_, Decoding::Beam(width)) => {
                SamplingStrategy::BeamSearch { beam_size: i32::from(width.clamp(2, 8)), patience: -1.0 }
            }
        };
        let positions = match attempt {
            Attempt::WholeWindow => self.max_positions(),
            _ => self.positions(duration),
        };
        let temperature = if attempt == Attempt::Sampled { RETRY_TEMPERATURE } else { 0.0 };
        let mut params = FullParams::new(strategy);
        params.set_n_threads(i32::from(self.engine.threads_per_worker));
        params.set_language(Some(language));
        params.set_audio_ctx(positions as i32);
        params.set_no_context(true);
        params.set_n_max_text_ctx(if expected.is_empty() { 0 } else { expected.len() as i32 + 1 });
        params.set_tokens(expected);
        params.set_no_timestamps(true);
        params.set_single_segment(true);
        params.set_max_tokens(max_tokens(duration) as i32);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_temperature(temperature);
        // One try a call: whether to go on is decided here, not in the engine.
        params.set_temperature_inc(0.0);
        // Above any probability: the engine must not throw text away unseen.
        params.set_no_speech_thold(2.0);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_special(false);
        params.set_print_timestamps(false);
        params
    }

    /// One try. A state whose random numbers were drawn from is replaced before and after.
    fn attempt(
        &mut self,
        attempt: Attempt,
        language: &str,
        samples: &[f32],
        duration: Millis,
        options: &TranscribeOptions,
    ) -> Result<PackTranscript, AsrError> {
        let expected = Arc::clone(&self.engine.expected);
        let params = self.params(attempt, language, duration, options, &expected);
        let draws_random = attempt == Attempt::Sampled || options.decoding != Decoding::Greedy;
        if draws_random {
            self.state = new_state(&self.engine, self.worker)?;
        }
        let result = self.state.full(params, samples).map_err(|error| engine_error(duration, &error));
        let transcript = result.map(|()| self.collect(language, duration));
        if draws_random {
            self.state = new_state(&self.engine, self.worker)?;
        }
        transcript
    }

    /// The first try, with the no-speech probability and, where it is not told, the language.
    fn first_attempt(
        &mut self,
        samples: &[f32],
        duration: Millis,
        options: &TranscribeOptions,
    ) -> Result<PackTranscript, AsrError> {
        let guess = self.first_language(options)?;
        // Greedy whatever is asked for: its encoded sound stays in the state for the first impression.
        let greedy = TranscribeOptions { decoding: Decoding::Greedy, ..options.clone() };
        let mut heard = self.attempt(Attempt::First, &guess, samples, duration, &greedy)?;
        let impression = self.first_impression(duration)?;
        let detected = pick_language(&impression.languages, options).filter(|_| options.language.is_none());
        let language = detected.as_ref().map_or(guess.as_str(), |(code, _)| code.as_str());
        if language != guess || options.decoding != Decoding::Greedy {
            heard = self.attempt(Attempt::First, language, samples, duration, options)?;
        }
        heard.no_speech_probability = impression.no_speech_probability;
        heard.language_probability = detected.map(|(_, probability)| probability);
        Ok(heard)
    }

    /// Reads the tokens that the last call left in the state.
    fn collect(&self, language: &str, duration: Millis) -> PackTranscript {
        let end_of_text = self.engine.context.token_eot();
        let mut tokens = Vec::new();
        for segment in self.state.as_iter() {
            for token in (0..segment.n_tokens()).filter_map(|i| segment.get_token(i)) {
                let data = token.token_data();
                if data.id >= end_of_text {
                    continue;
                }
                tokens.push(TextToken {
                    bytes: token.to_bytes().map(<[u8]>::to_vec).unwrap_or_default(),
                    log_probability: f64::from(data.plog),
                    end: (data.t_dtw >= 0).then_some(Millis(data.t_dtw * 10)),
                });
            }
        }
        let sum: f64 = tokens.iter().map(|token| token.log_probability).sum();
        PackTranscript {
            words: words_of_tokens(&tokens, language, duration),
            average_log_probability: sum / tokens.len().max(1) as f64,
            no_speech_probability: 0.0,
            language: Some(language.to_owned()),
            language_probability: None,
            attempts: 1,
        }
    }
}

impl Transcriber for WhisperTranscriber {
    fn transcribe(&mut self, pack: &Pack, options: &TranscribeOptions) -> Result<PackTranscript, AsrError> {
        let duration = pack.duration();
        if duration > self.longest_pack() {
            let limit_ms = self.longest_pack().0;
            return Err(AsrError::PackTooLong { duration_ms: duration.0, limit_ms });
        }
        if is_silent(&pack.samples) {
            return Ok(PackTranscript { no_speech_probability: 1.0, ..PackTranscript::default() });
        }
        let mut padded = Vec::new();
        let samples = if pack.samples.len() < MIN_SAMPLES {
            padded.extend_from_slice(&pack.samples);
            padded.resize(MIN_SAMPLES, 0.0);
            &padded
        } else {
            &pack.samples
        };
        let mut best = self.first_attempt(samples, duration, options)?;
        let language = best.language.clone().unwrap_or_default();
        for attempt in Attempt::RETRIES.into_iter().take(usize::from(options.max_attempts.saturating_sub(1)))
        {
            if !looks_wrong(&best, &options.guards) {
                break;
            }
            let heard = self.attempt(attempt, &language, samples, duration, options)?;
            best.attempts += 1;
            if is_better(&heard, &best, &options.guards) {
                best.words = heard.words;
                best.average_log_probability = heard.average_log_probability;
            }
        }
        Ok(best)
    }

    fn passes_over_speech(&self) -> bool {
        true
    }

    fn longest_pack(&self) -> Millis {
        Millis(self.max_positions() * POSITION_MS) - PADDING
    }

    fn model(&self) -> ModelInfo {
        self.engine.model()
    }
}

fn new_state(engine: &WhisperEngine, worker: usize) -> Result<WhisperState, AsrError> {
    engine.context.create_state().map_err(|error| AsrError::WorkerStart { worker, reason: error.to_string() })
}

fn engine_error(duration: Millis, error: &WhisperError) -> AsrError {
    AsrError::Engine { duration_ms: duration.0, reason: error.to_string() }
}

/// The share of `logit` in the softmax over `all`.
fn softmax_share(all: impl Iterator<Item = f32> + Clone, logit: f32) -> f64 {
    let highest = all.clone().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = all.map(|other| f64::from(other - highest).exp()).sum();
    if sum > 0.0 { f64::from(logit - highest).exp() / sum } else { 0.0 }
}
