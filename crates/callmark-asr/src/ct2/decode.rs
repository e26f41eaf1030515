//! Packs through CTranslate2: window cut to the pack, likeliest token first, further tries only where the text looks
//! wrong.
//!
//! Packs are encoded one by one, since rows of a longer window would only be filling, and their texts are written together
//! (see `write`), since a step of the decoder reads all its weights for one pack as for several. What comes out of a pack
//! does not depend on those beside it, but for the last digits of probabilities and times on some processors, which the
//! conformance suite holds.

use super::Ct2Engine;
use super::mel::{HOP, Mel};
use super::vocabulary::Vocabulary;
use super::write::{Order, Pick, Writer, Written};
use crate::error::AsrError;
use crate::packing::ceil_div;
use crate::retry::{is_better, is_repetitive, is_silent, looks_wrong, max_tokens, pick_language};
use crate::transcriber::{Decoding, ModelInfo, Pack, PackTranscript, TranscribeOptions, Transcriber};
use crate::words::{TextToken, words_of_tokens};
use callmark_ct2::{Ct2Error, Encoded, MAX_TOKENS, Replica};
use callmark_types::Millis;

/// Length of one position of the encoder's output.
const POSITION_MS: i64 = 20;
/// Positions that the model was trained on: 30 s.
const MAX_POSITIONS: i64 = 1_500;
/// Silence after the pack inside the encoder's window. With half a second the decoder loops; on 8 calls the error rate was
/// the same with 1 s and 1.5 s (see `benches/README.md`).
const PADDING: Millis = Millis(1_000);
/// The encoder's window is a multiple of this many positions, 0.3 s, so that blocks of memory of one size are used again.
const POSITION_STEP: i64 = 16;
/// The shortest window: 15 s. With 10 s short telephone utterances have more words wrong, with 30 s no fewer and it takes
/// several times as long (see `benches/README.md`). Whole calls have few packs that are so short.
const MIN_POSITIONS: i64 = 750;
/// The window of the second try, where the first was shorter: 20 s. One of 30 s costs twice as much.
const RETRY_POSITIONS: i64 = 1_000;
/// Hypotheses of the last try.
const RETRY_BEAM: usize = 5;
/// Least probability counted: the logarithm of nothing is no number.
const MIN_PROBABILITY: f64 = 1e-6;
/// The language of a model that knows no other, and where nothing else is known.
const ENGLISH: &str = "en";

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
            .replica(threads, engine.vocabulary.alignment_heads(), engine.vocabulary.size())
            .map_err(|error| AsrError::WorkerStart { worker, reason: error.to_string() })?;
        let mel = Mel::new(engine.vocabulary.mel_bands());
        Ok(Self { engine, replica, mel })
    }

    /// Positions of the window that `pack` is first heard in.
    fn positions(pack: &Pack) -> i64 {
        let needed = ceil_div((pack.duration() + PADDING).0, POSITION_MS);
        let stepped = ceil_div(needed, POSITION_STEP) * POSITION_STEP;
        stepped.clamp(MIN_POSITIONS, MAX_POSITIONS)
    }

    fn encode(&mut self, pack: &Pack, positions: i64) -> Result<Encoded, AsrError> {
        let spectra = self.mel.spectra(&pack.samples, positions as usize * 2);
        let bands = self.engine.vocabulary.mel_bands();
        self.replica.encode(&spectra, bands).map_err(|error| failed(pack, &error))
    }

    /// What is written of `pack` at most.
    fn order(&self, pack: &Pack) -> Order {
        // Start, language, task, no times, and the end.
        let shown = self.engine.expected.len() + 5;
        Order {
            sounding: (pack.samples.len() / (HOP * 2)).max(1),
            most: max_tokens(pack.duration()).min(MAX_TOKENS.saturating_sub(shown)),
        }
    }

    /// What is said in `packs`, each with its sound, the likeliest token at each step; the language is detected where it is
    /// not told.
    fn write(
        &mut self,
        packs: &[&Pack],
        sounds: &[Encoded],
        told: Option<&str>,
        options: &TranscribeOptions,
    ) -> Result<Vec<PackTranscript>, AsrError> {
        let orders: Vec<Order> = packs.iter().map(|pack| self.order(pack)).collect();
        let Ct2Engine { vocabulary, expected, .. } = &self.engine;
        let repeats = |tokens: &[u32]| is_repetitive(&vocabulary.text(tokens), &options.guards);
        let writer = Writer { vocabulary, expected };
        let pick = |languages: &[(&str, f64)]| {
            pick_language(languages, options).unwrap_or_else(|| (ENGLISH.to_owned(), 0.0))
        };
        let fallback = options.fallback_language.as_deref().unwrap_or(ENGLISH);
        let shown = prompt(vocabulary, told.unwrap_or(fallback))?;
        let (shown, choose): (&[u32], Option<&Pick<'_>>) =
            if told.is_some() { (&shown, None) } else { (&shown[..1], Some(&pick)) };
        let written = writer
            .write(&mut self.replica, sounds, &orders, shown, choose, &repeats)
            .map_err(|error| failed(packs[0], &error))?;
        let heard = packs.iter().zip(written);
        Ok(heard.map(|(pack, written)| self.transcript(pack, written, told.unwrap_or(ENGLISH))).collect())
    }

    /// What is said in `pack`, the likeliest of several hypotheses.
    fn search(
        &mut self,
        pack: &Pack,
        sound: &Encoded,
        language: &str,
        beam: usize,
    ) -> Result<PackTranscript, AsrError> {
        let order = self.order(pack);
        let Ct2Engine { vocabulary, expected, .. } = &self.engine;
        let prompt = prompt(vocabulary, language)?;
        let writer = Writer { vocabulary, expected };
        let written = writer
            .search(&mut self.replica, sound, &order, &prompt, beam)
            .map_err(|error| failed(pack, &error))?;
        Ok(self.transcript(pack, written, language))
    }

    fn transcript(&self, pack: &Pack, written: Written, told: &str) -> PackTranscript {
        let Written { tokens, probabilities, starts, no_speech_probability, language } = written;
        let at = |position: &u32| Millis(i64::from(*position) * POSITION_MS);
        let tokens: Vec<TextToken> = tokens
            .iter()
            .zip(probabilities)
            .enumerate()
            .map(|(i, (&token, probability))| TextToken {
                bytes: self.engine.vocabulary.bytes(token).unwrap_or_default().to_vec(),
                log_probability: f64::from(probability).max(MIN_PROBABILITY).ln(),
                end: starts.get(i + 1).map(at),
            })
            .collect();
        let sum: f64 = tokens.iter().map(|token| token.log_probability).sum();
        let (language, language_probability) = match language {
            None => (told.to_owned(), None),
            Some((language, probability)) => (language, Some(probability)),
        };
        PackTranscript {
            words: words_of_tokens(&tokens, &language, pack.duration()),
            average_log_probability: (sum / tokens.len().max(1) as f64).min(0.0),
            no_speech_probability: f64::from(no_speech_probability).clamp(0.0, 1.0),
            language: Some(language),
            language_probability,
            attempts: 1,
        }
    }

    /// First tries.
    fn first(
        &mut self,
        packs: &[&Pack],
        options: &TranscribeOptions,
    ) -> Result<Vec<PackTranscript>, AsrError> {
        let sounds: Vec<Encoded> = packs
            .iter()
            .map(|pack| self.encode(pack, Self::positions(pack)))
            .collect::<Result<_, AsrError>>()?;
        let known = if self.engine.vocabulary.is_multilingual() {
            options.language.as_deref()
        } else {
            Some(ENGLISH)
        };
        let mut heard = self.write(packs, &sounds, known, options)?;
        if let Decoding::Beam(width) = options.decoding {
            for ((pack, sound), heard) in packs.iter().zip(&sounds).zip(&mut heard) {
                let language = heard.language.clone().unwrap_or_default();
                let found = self.search(pack, sound, &language, usize::from(width.clamp(2, 8)))?;
                *heard = PackTranscript { language_probability: heard.language_probability, ..found };
            }
        }
        Ok(heard)
    }

    /// Further tries where the first looks wrong: in a longer window, then with several hypotheses in the one that the
    /// model was trained on.
    fn improve(
        &mut self,
        pack: &Pack,
        best: &mut PackTranscript,
        options: &TranscribeOptions,
    ) -> Result<(), AsrError> {
        let longer = if Self::positions(pack) < RETRY_POSITIONS { RETRY_POSITIONS } else { MAX_POSITIONS };
        let retries =
            [Way { positions: longer, beam: 1 }, Way { positions: MAX_POSITIONS, beam: RETRY_BEAM }];
        let language = best.language.clone().unwrap_or_default();
        for way in retries.into_iter().take(usize::from(options.max_attempts.saturating_sub(1))) {
            if !looks_wrong(best, &options.guards) {
                break;
            }
            let sound = self.encode(pack, way.positions)?;
            let heard = match way.beam {
                1 => self.write(&[pack], &[sound], Some(&language), options)?.pop().unwrap_or_default(),
                beam => self.search(pack, &sound, &language, beam)?,
            };
            best.attempts += 1;
            if is_better(&heard, best, &options.guards) {
                best.words = heard.words;
                best.average_log_probability = heard.average_log_probability;
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
        let ordinary = |pack: &Pack| pack.duration() <= self.longest_pack() && !is_silent(&pack.samples);
        let together: Vec<usize> = (0..packs.len()).filter(|&i| ordinary(packs[i])).collect();
        let chosen: Vec<&Pack> = together.iter().map(|&i| packs[i]).collect();
        let mut heard: Vec<Option<PackTranscript>> = vec![None; packs.len()];
        if chosen.len() > 1
            && let Ok(found) = self.transcribe_together(&chosen, options)
        {
            for (i, transcript) in together.into_iter().zip(found) {
                heard[i] = Some(transcript);
            }
        }
        // Where one of them failed, each is tried by itself: the packs may be of several calls.
        let alone = packs.iter().zip(heard);
        alone.map(|(pack, heard)| heard.map_or_else(|| self.transcribe(pack, options), Ok)).collect()
    }

    fn longest_batch(&self) -> usize {
        self.engine.config.batch.max(1)
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

/// The tokens before the text: start, language and task (for models of several languages), no times.
fn prompt(vocabulary: &Vocabulary, language: &str) -> Result<Vec<u32>, AsrError> {
    vocabulary.prompt(language).ok_or_else(|| AsrError::UnknownLanguage(language.to_owned()))
}

fn failed(pack: &Pack, error: &Ct2Error) -> AsrError {
    AsrError::Engine { duration_ms: pack.duration().0, reason: error.to_string() }
}
