//! Packs through CTranslate2: window cut to the pack, likeliest token first, further tries only where the text looks
//! wrong.
//!
//! Packs are encoded one by one, since rows of a longer window would only be padding, and decoded together, since a step
//! of the decoder costs the same for one pack as for several: it reads all its weights. What comes out of a pack does not
//! depend on those beside it, which the conformance suite holds.

use super::Ct2Engine;
use super::mel::{HOP, Mel};
use crate::error::AsrError;
use crate::guards::GuardLimits;
use crate::packing::ceil_div;
use crate::retry::{
    is_better, is_repetitive, is_silent, looks_wrong, max_tokens, pick_language, usual_tokens,
};
use crate::transcriber::{Decoding, ModelInfo, Pack, PackTranscript, TranscribeOptions, Transcriber};
use crate::words::{TextToken, words_of_tokens};
use callmark_ct2::{Aligned, Ct2Error, Encoded, Generated, Replica};
use callmark_types::Millis;
use std::collections::BTreeSet;

/// Length of one position of the encoder's output.
const POSITION_MS: i64 = 20;
/// Positions that the model was trained on: 30 s.
const MAX_POSITIONS: i64 = 1_500;
/// Least silence after the pack inside the encoder's window, which the step then rounds up. With half a second the
/// decoder loops; on 8 calls the error rate was the same with 1 s and 1.5 s (see `benches/README.md`).
const PADDING: Millis = Millis(1_000);
/// The encoder's window is a multiple of this many positions (2.5 s), so that packs meet others of their window: a token
/// costs 14 ms alone and 5 ms among eight, while half a step more of silence adds a twentieth to the encoder's time.
const POSITION_STEP: i64 = 125;
/// The shortest window: 15 s. With 10 s short telephone utterances have more words wrong, with 30 s no fewer and it takes
/// several times as long (see `benches/README.md`). Whole calls have few packs that are so short.
const MIN_POSITIONS: i64 = 750;
/// The window of the second try, where the first was shorter: 20 s. One of 30 s costs twice as much.
const RETRY_POSITIONS: i64 = 1_000;
/// Hypotheses of the last try.
const RETRY_BEAM: usize = 5;
/// Least probability counted: the logarithm of nothing is no number.
const MIN_PROBABILITY: f64 = 1e-6;

/// A worker's recogniser on the shared model.
#[derive(Debug)]
pub struct Ct2Transcriber {
    engine: Ct2Engine,
    replica: Replica,
    mel: Mel,
}

/// How packs are decoded in one go.
#[derive(Debug, Clone, Copy)]
struct Way {
    positions: i64,
    beam: usize,
}

impl Ct2Transcriber {
    pub(super) fn new(engine: Ct2Engine, worker: usize) -> Result<Self, AsrError> {
        let threads = usize::from(engine.config.threads_per_worker.max(1));
        let replica = engine
            .model
            .replica(threads)
            .map_err(|error| AsrError::WorkerStart { worker, reason: error.to_string() })?;
        let mel = Mel::new(engine.vocabulary.mel_bands());
        Ok(Self { engine, replica, mel })
    }

    fn positions(duration: Millis) -> i64 {
        let needed = ceil_div((duration + PADDING).0, POSITION_MS);
        let stepped = ceil_div(needed, POSITION_STEP) * POSITION_STEP;
        stepped.clamp(MIN_POSITIONS, MAX_POSITIONS)
    }

    fn encode(&mut self, pack: &Pack, positions: i64) -> Result<Encoded, AsrError> {
        let spectra = self.mel.spectra(&pack.samples, positions as usize * 2);
        let bands = self.engine.vocabulary.mel_bands();
        self.replica.encode(&spectra, bands).map_err(|error| failed(pack, &error))
    }

    /// The tokens before the text: start, language and task (for models of several languages), no times.
    fn prompt(&self, language: &str) -> Result<Vec<u32>, AsrError> {
        let vocabulary = &self.engine.vocabulary;
        let id =
            |token: &str| vocabulary.id(token).ok_or_else(|| AsrError::UnknownLanguage(language.to_owned()));
        let mut prompt = vec![id("<|startoftranscript|>")?];
        if vocabulary.is_multilingual() {
            prompt.push(id(&format!("<|{language}|>"))?);
            prompt.push(id("<|transcribe|>")?);
        }
        prompt.push(id("<|notimestamps|>")?);
        Ok(prompt)
    }

    /// The language that `sound` is in, with its probability.
    fn detect(
        &mut self,
        pack: &Pack,
        sound: &Encoded,
        options: &TranscribeOptions,
    ) -> Result<Option<(String, f64)>, AsrError> {
        if !self.engine.vocabulary.is_multilingual() {
            return Ok(None);
        }
        let found = self.replica.languages(sound).map_err(|error| failed(pack, &error))?;
        let languages: Vec<(&str, f64)> = found
            .iter()
            .map(|(token, probability)| (token.trim_matches(['<', '|', '>']), f64::from(*probability)))
            .collect();
        Ok(pick_language(&languages, options))
    }

    /// What is said in packs of one language, encoded in windows of one length.
    fn decode(
        &mut self,
        packs: &[&Pack],
        sound: &Encoded,
        language: &str,
        beam: usize,
        guards: &GuardLimits,
    ) -> Result<Vec<PackTranscript>, AsrError> {
        let prompt = self.prompt(language)?;
        let shown: Vec<u32> = self.engine.expected.iter().chain(&prompt).copied().collect();
        let longest = packs.iter().map(|pack| pack.duration()).max().unwrap_or_default();
        let error = |error: Ct2Error| AsrError::Engine { duration_ms: longest.0, reason: error.to_string() };
        let mut generated = self.write(packs, sound, &shown, beam, guards).map_err(error)?;
        for answer in &mut generated {
            answer.tokens.retain(|&token| self.engine.vocabulary.bytes(token).is_some());
        }
        let texts: Vec<&[u32]> = generated.iter().map(|answer| answer.tokens.as_slice()).collect();
        let frames: Vec<usize> = packs.iter().map(|pack| (pack.samples.len() / HOP).max(2)).collect();
        let aligned = if texts.iter().all(|text| text.is_empty()) {
            vec![Aligned::default(); packs.len()]
        } else {
            self.replica.align(sound, &shown[..shown.len() - 1], &texts, &frames).map_err(error)?
        };
        let heard = packs.iter().zip(generated.iter().zip(&aligned));
        Ok(heard.map(|(pack, (answer, times))| self.transcript(pack, answer, times, language)).collect())
    }

    /// The tokens of each pack. The likeliest are written as far as a text usually is; what is not at its end then is
    /// written on, unless it repeats itself: a decoder that loops does so until its last token, which costs as much as the
    /// other packs together. Each pack has what it would have alone.
    fn write(
        &mut self,
        packs: &[&Pack],
        sound: &Encoded,
        shown: &[u32],
        beam: usize,
        guards: &GuardLimits,
    ) -> Result<Vec<Generated>, Ct2Error> {
        let most: Vec<usize> = packs.iter().map(|pack| max_tokens(pack.duration())).collect();
        let longest = most.iter().copied().max().unwrap_or_default();
        let window = Millis(sound.positions as i64 * POSITION_MS);
        let first = if beam > 1 { longest } else { usual_tokens(window).min(longest) };
        let mut written = self.replica.generate(sound, &vec![shown; packs.len()], beam, first, &[])?;
        let is_open = |i: usize| {
            let tokens = &written[i].tokens;
            tokens.len() >= first && most[i] > first && !self.repeats(tokens, guards)
        };
        let open: Vec<usize> = (0..packs.len()).filter(|&i| is_open(i)).collect();
        if !open.is_empty() {
            let before: Vec<Vec<u32>> = open.iter().map(|&i| [shown, &written[i].tokens].concat()).collect();
            let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
            let rest = self.replica.generate(&sound.of(&open), &before, 1, longest - first, &[])?;
            for (&i, rest) in open.iter().zip(rest) {
                written[i].tokens.extend(rest.tokens);
            }
        }
        for (answer, &most) in written.iter_mut().zip(&most) {
            answer.tokens.truncate(most);
        }
        Ok(written)
    }

    /// Whether a text says something over and over.
    fn repeats(&self, tokens: &[u32], guards: &GuardLimits) -> bool {
        let bytes = tokens.iter().flat_map(|&token| self.engine.vocabulary.bytes(token).unwrap_or_default());
        is_repetitive(&String::from_utf8_lossy(&bytes.copied().collect::<Vec<u8>>()), guards)
    }

    fn transcript(&self, pack: &Pack, answer: &Generated, times: &Aligned, language: &str) -> PackTranscript {
        let end_of = |token: usize| times.starts.get(token + 1).copied().flatten();
        let tokens: Vec<TextToken> = answer
            .tokens
            .iter()
            .zip(&times.probabilities)
            .enumerate()
            .map(|(i, (&token, &probability))| TextToken {
                bytes: self.engine.vocabulary.bytes(token).unwrap_or_default().to_vec(),
                log_probability: f64::from(probability).max(MIN_PROBABILITY).ln(),
                end: end_of(i).map(|position| Millis(i64::from(position) * POSITION_MS)),
            })
            .collect();
        let sum: f64 = tokens.iter().map(|token| token.log_probability).sum();
        PackTranscript {
            words: words_of_tokens(&tokens, language, pack.duration()),
            average_log_probability: (sum / tokens.len().max(1) as f64).min(0.0),
            no_speech_probability: f64::from(answer.no_speech_probability).clamp(0.0, 1.0),
            language: Some(language.to_owned()),
            language_probability: None,
            attempts: 1,
        }
    }

    /// First tries of packs of one window.
    fn first(
        &mut self,
        packs: &[&Pack],
        options: &TranscribeOptions,
    ) -> Result<Vec<PackTranscript>, AsrError> {
        let positions = Self::positions(packs[0].duration());
        let beam = match options.decoding {
            Decoding::Greedy => 1,
            Decoding::Beam(width) => usize::from(width.clamp(2, 8)),
        };
        let encoded = packs.iter().map(|pack| self.encode(pack, positions)).collect::<Result<Vec<_>, _>>()?;
        if let Some(language) = self.told_language(options)? {
            let sound: Vec<&Encoded> = encoded.iter().collect();
            return self.decode(packs, &Encoded::joined(&sound), &language, beam, &options.guards);
        }
        let mut detected = Vec::with_capacity(packs.len());
        for (pack, sound) in packs.iter().zip(&encoded) {
            detected.push(self.detect(pack, sound, options)?.unwrap_or_else(|| ("en".to_owned(), 0.0)));
        }
        // Packs of one language are decoded together.
        let mut heard = vec![PackTranscript::default(); packs.len()];
        let languages: BTreeSet<&String> = detected.iter().map(|(language, _)| language).collect();
        for language in languages {
            let own: Vec<usize> = (0..packs.len()).filter(|&i| detected[i].0 == *language).collect();
            let together: Vec<&Pack> = own.iter().map(|&i| packs[i]).collect();
            let sound: Vec<&Encoded> = own.iter().map(|&i| &encoded[i]).collect();
            let found = self.decode(&together, &Encoded::joined(&sound), language, beam, &options.guards)?;
            for (&i, transcript) in own.iter().zip(found) {
                heard[i] = PackTranscript { language_probability: Some(detected[i].1), ..transcript };
            }
        }
        Ok(heard)
    }

    /// The language where it need not be detected.
    fn told_language(&self, options: &TranscribeOptions) -> Result<Option<String>, AsrError> {
        if !self.engine.vocabulary.is_multilingual() {
            return Ok(Some("en".to_owned()));
        }
        let Some(code) = &options.language else { return Ok(None) };
        self.prompt(code).map(|_| Some(code.clone()))
    }

    /// Further tries where the first looks wrong: in a longer window, then with several hypotheses in the one that the
    /// model was trained on.
    fn improve(
        &mut self,
        pack: &Pack,
        best: &mut PackTranscript,
        options: &TranscribeOptions,
    ) -> Result<(), AsrError> {
        let longer =
            if Self::positions(pack.duration()) < RETRY_POSITIONS { RETRY_POSITIONS } else { MAX_POSITIONS };
        let retries =
            [Way { positions: longer, beam: 1 }, Way { positions: MAX_POSITIONS, beam: RETRY_BEAM }];
        let language = best.language.clone().unwrap_or_default();
        for way in retries.into_iter().take(usize::from(options.max_attempts.saturating_sub(1))) {
            if !looks_wrong(best, &options.guards) {
                break;
            }
            let sound = self.encode(pack, way.positions)?;
            let heard = self.decode(&[pack], &sound, &language, way.beam, &options.guards)?;
            best.attempts += 1;
            for heard in heard {
                if is_better(&heard, best, &options.guards) {
                    best.words = heard.words;
                    best.average_log_probability = heard.average_log_probability;
                }
            }
        }
        Ok(())
    }

    fn transcribe_together(
        &mut self,
        packs: &[&Pack],
        options: &TranscribeOptions,
    ) -> Result<Vec<PackTranscript>, AsrError> {
        let mut heard = self.first(packs, options)?;
        for (pack, best) in packs.iter().zip(&mut heard) {
            self.improve(pack, best, options)?;
        }
        Ok(heard)
    }
}

impl Transcriber for Ct2Transcriber {
    fn transcribe(&mut self, pack: &Pack, options: &TranscribeOptions) -> Result<PackTranscript, AsrError> {
        let duration = pack.duration();
        if duration > self.longest_pack() {
            return Err(AsrError::PackTooLong { duration_ms: duration.0, limit_ms: self.longest_pack().0 });
        }
        if is_silent(&pack.samples) {
            return Ok(PackTranscript { no_speech_probability: 1.0, ..PackTranscript::default() });
        }
        Ok(self.transcribe_together(&[pack], options)?.pop().unwrap_or_default())
    }

    fn transcribe_batch(
        &mut self,
        packs: &[&Pack],
        options: &TranscribeOptions,
    ) -> Vec<Result<PackTranscript, AsrError>> {
        let ordinary = |pack: &&Pack| pack.duration() <= self.longest_pack() && !is_silent(&pack.samples);
        let one_window = packs.windows(2).all(|pair| self.window(pair[0]) == self.window(pair[1]));
        if packs.len() < 2 || !one_window || !packs.iter().all(ordinary) {
            return packs.iter().map(|pack| self.transcribe(pack, options)).collect();
        }
        match self.transcribe_together(packs, options) {
            Ok(heard) => heard.into_iter().map(Ok).collect(),
            Err(error) => packs.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn longest_batch(&self) -> usize {
        self.engine.config.batch.max(1)
    }

    fn window(&self, pack: &Pack) -> Millis {
        Millis(Self::positions(pack.duration()) * POSITION_MS)
    }

    fn passes_over_speech(&self) -> bool {
        true
    }

    fn longest_pack(&self) -> Millis {
        Millis(MAX_POSITIONS * POSITION_MS) - PADDING
    }

    fn model(&self) -> ModelInfo {
        self.engine.model()
    }
}

fn failed(pack: &Pack, error: &Ct2Error) -> AsrError {
    AsrError::Engine { duration_ms: pack.duration().0, reason: error.to_string() }
}
