//! The worker pool under several callers, failures and panics, on scripted recognisers; and on whisper where there is
//! a model.

mod common;

use callmark_asr::{
    AsrError, EngineConfig, ModelInfo, Pack, PackTranscript, PackWord, Script, TranscribeOptions,
    Transcriber, WorkerPool, recommended_workers, spread,
};
use callmark_types::{DroppedReason, Millis, Pcm, Span};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn tone(seconds: usize, level: f32) -> Pcm {
    let samples =
        (0..seconds * 16_000).map(|i| ((i as f32 * 0.05).sin() * level * 32_767.0) as i16).collect();
    Pcm { samples }
}

fn english() -> TranscribeOptions {
    TranscribeOptions { language: Some("en".to_owned()), ..TranscribeOptions::default() }
}

/// Says how loud a pack is, so that a mix-up between callers shows.
fn says_its_level() -> Script {
    Script::of(|pack| {
        let peak = pack.samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        Ok(spread(&format!("level {:.0}", peak * 10.0), pack.duration(), 0.9))
    })
}

#[test]
fn callers_share_the_workers_and_each_gets_its_own_words() {
    let pool = WorkerPool::start(EngineConfig::Scripted(says_its_level()), 3).expect("a pool");
    std::thread::scope(|scope| {
        for level in 1..=8_u8 {
            let pool = &pool;
            scope.spawn(move || {
                let pcm = tone(90, f32::from(level) / 10.0);
                let speech: Vec<Span> = (0..8).map(|i| Span::of_ms(i * 11_000, i * 11_000 + 8_000)).collect();
                let heard = pool.transcribe_channel(0, &pcm, &speech, &english()).expect("words");
                assert!(!heard.utterances.is_empty());
                for word in heard.utterances.iter().flat_map(|u| &u.words) {
                    let own = level.to_string();
                    assert!(
                        word.word == "level" || word.word == own,
                        "{} on a channel of level {own}",
                        word.word
                    );
                }
            });
        }
    });
}

#[test]
fn no_speech_asks_no_worker() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let script = Script::of(move |pack| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(spread("words", pack.duration(), 0.9))
    });
    let pool = WorkerPool::start(EngineConfig::Scripted(script), 1).expect("a pool");
    let heard = pool.transcribe_channel(0, &tone(5, 0.5), &[], &english()).expect("nothing");
    assert_eq!((heard.utterances.len(), heard.language, asked.load(Ordering::Relaxed)), (0, None, 0));
}

#[test]
fn the_language_is_detected_once_and_then_kept() {
    struct Linguist(Arc<Mutex<Vec<Option<String>>>>);
    impl Transcriber for Linguist {
        fn transcribe(
            &mut self,
            pack: &Pack,
            options: &TranscribeOptions,
        ) -> Result<PackTranscript, AsrError> {
            self.0.lock().expect("no panic").push(options.language.clone());
            let mut heard = spread("hola", pack.duration(), 0.9);
            heard.language = Some(options.language.clone().unwrap_or_else(|| "es".to_owned()));
            heard.language_probability = options.language.is_none().then_some(0.8);
            Ok(heard)
        }
        fn longest_pack(&self) -> Millis {
            Millis(18_000)
        }
        fn model(&self) -> ModelInfo {
            ModelInfo { name: "linguist".to_owned(), multilingual: true }
        }
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&asked);
    let factory =
        move |_| -> Result<Box<dyn Transcriber>, AsrError> { Ok(Box::new(Linguist(Arc::clone(&shared)))) };
    let pool = WorkerPool::start_with(factory, 2, "linguists".to_owned()).expect("a pool");
    let speech: Vec<Span> = (0..4).map(|i| Span::of_ms(i * 20_000, i * 20_000 + 15_000)).collect();
    let heard =
        pool.transcribe_channel(0, &tone(80, 0.5), &speech, &TranscribeOptions::default()).expect("words");
    assert_eq!((heard.language.as_deref(), heard.language_probability), (Some("es"), Some(0.8)));
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.iter().filter(|language| language.is_none()).count(), 1);
    assert_eq!(asked.iter().filter(|language| language.as_deref() == Some("es")).count(), 3);
}

#[test]
fn speech_that_was_passed_over_is_heard_again_by_itself() {
    /// Hears a pack's first five seconds only.
    struct Hasty;
    impl Transcriber for Hasty {
        fn transcribe(&mut self, pack: &Pack, _: &TranscribeOptions) -> Result<PackTranscript, AsrError> {
            let words = (0..pack.duration().0.min(5_000) / 500).map(|i| PackWord {
                text: format!("w{i}"),
                start: Millis(i * 500),
                end: Millis(i * 500 + 500),
                probability: 0.9,
            });
            Ok(PackTranscript { words: words.collect(), attempts: 1, ..PackTranscript::default() })
        }
        fn passes_over_speech(&self) -> bool {
            true
        }
        fn longest_pack(&self) -> Millis {
            Millis(18_000)
        }
        fn model(&self) -> ModelInfo {
            ModelInfo { name: "hasty".to_owned(), multilingual: false }
        }
    }
    let factory = |_| -> Result<Box<dyn Transcriber>, AsrError> { Ok(Box::new(Hasty)) };
    let pool = WorkerPool::start_with(factory, 2, "hasty".to_owned()).expect("a pool");
    let speech = [Span::of_ms(1_000, 9_000)];
    let heard = pool.transcribe_channel(0, &tone(10, 0.5), &speech, &english()).expect("words");
    let words = &heard.utterances[0].words;
    assert_eq!(heard.utterances.len(), 1);
    // The pack starts 600 ms before the speech, so its first five seconds end at 5,400 ms.
    assert_eq!(words.iter().filter(|word| word.span.start >= Millis(5_400)).count(), 8, "{words:?}");
    assert!(words.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{words:?}");
}

#[test]
fn a_failed_pack_fails_its_channel_and_a_panicking_worker_comes_back() {
    let script = Script::of(|pack| {
        assert!(pack.duration() != Millis(1_000), "a pack of one second");
        if pack.duration() < Millis(1_000) {
            return Err(AsrError::Engine { duration_ms: pack.duration().0, reason: "too short".to_owned() });
        }
        Ok(spread("fine", pack.duration(), 0.9))
    });
    let pool = WorkerPool::start(EngineConfig::Scripted(script), 1).expect("a pool");
    let hear = |seconds: f64| {
        let pcm = Pcm { samples: tone(3, 0.5).samples[..(seconds * 16_000.0) as usize].to_vec() };
        let whole = [Span::new(Millis::ZERO, pcm.duration())];
        pool.transcribe_channel(0, &pcm, &whole, &english())
    };
    assert!(matches!(hear(0.5), Err(AsrError::Engine { .. })));
    assert!(matches!(hear(1.0), Err(AsrError::WorkerPanicked(_))));
    assert_eq!(hear(2.0).expect("words").utterances[0].text, "fine");
}

#[test]
fn invented_text_is_kept_with_its_reason() {
    let pool =
        WorkerPool::start(EngineConfig::Scripted(Script::saying("Thanks for watching!")), 1).expect("a pool");
    let heard =
        pool.transcribe_channel(0, &tone(5, 0.5), &[Span::of_ms(1_000, 3_000)], &english()).expect("words");
    assert_eq!(heard.utterances[0].dropped_reason, Some(DroppedReason::PhantomPhrase));
    assert_eq!(heard.utterances[0].text, "Thanks for watching!");
}

#[test]
fn workers_are_bounded_by_cores_and_by_memory() {
    let model = 150 << 20;
    assert_eq!(recommended_workers(2, 8 << 30, model), 2);
    assert_eq!(recommended_workers(64, 1 << 30, model), 5);
    assert_eq!(recommended_workers(8, 0, model), 1);
}

#[cfg(feature = "whisper")]
#[test]
fn two_calls_scored_one_after_the_other_share_no_text_and_nobody_is_heard_in_noise() {
    use callmark_asr::WhisperConfig;
    let (Some(model), Some(pcm)) = (common::model(), common::telephone_speech()) else { return };
    let pool = WorkerPool::start(EngineConfig::Whisper(WhisperConfig::new(model)), 1).expect("a pool");
    let whole = [Span::new(Millis::ZERO, pcm.duration())];
    let options = TranscribeOptions::default();
    let alone = pool.transcribe_channel(0, &pcm, &whole, &options).expect("words");
    assert!(alone.utterances[0].text.to_lowercase().contains("computer"), "{alone:?}");
    assert_eq!(alone.language.as_deref(), Some("en"));

    let mut state = 1_u32;
    let hiss = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 22) as i16 - 512
    });
    let hiss = Pcm { samples: hiss.take(10 * 16_000).collect() };
    let heard = pool.transcribe_channel(0, &hiss, &[Span::of_ms(0, 10_000)], &options).expect("no error");
    let kept: Vec<&str> =
        heard.utterances.iter().filter(|u| u.dropped_reason.is_none()).map(|u| u.text.as_str()).collect();
    assert_eq!(kept, [] as [&str; 0], "words in noise");
    assert_eq!(pool.transcribe_channel(0, &pcm, &whole, &options).expect("words"), alone);
}

#[test]
fn what_was_doubtful_is_heard_again_and_what_is_then_invented_is_not_put_in() {
    let pcm = tone(40, 0.5);
    let speech = [Span::of_ms(1_000, 3_000), Span::of_ms(10_000, 14_000), Span::of_ms(25_000, 26_000)];
    // The first model is unsure of the turn of 4 s; the second hears every turn another way.
    let unsure_of_long = Script::of(|pack| {
        let all = spread("one two three four five six seven", pack.duration(), 0.9);
        let unsure = |word: PackWord| {
            let inside = word.start >= Millis(2_900) && word.end < Millis(7_500);
            PackWord { probability: if inside { 0.3 } else { 0.9 }, ..word }
        };
        Ok(PackTranscript { words: all.words.into_iter().map(unsure).collect(), ..all })
    });
    let first = WorkerPool::start(EngineConfig::Scripted(unsure_of_long), 1).expect("a pool");
    let heard = first.transcribe_channel(0, &pcm, &speech, &english()).expect("words");
    let doubtful = |utterance: &callmark_types::Utterance| utterance.asr_confidence < 0.6;
    let unsure: Vec<Span> = heard.utterances.iter().filter(|u| doubtful(u)).map(|u| u.span).collect();
    assert_eq!(unsure, [speech[1]], "the first pass is unsure of one turn");

    let asked = Arc::new(AtomicUsize::new(0));
    let second = |text: &'static str, probability: f32| {
        let asked = Arc::clone(&asked);
        let script = Script::of(move |pack| {
            asked.fetch_add(1, Ordering::Relaxed);
            assert!(pack.duration() < Millis(6_000), "only the doubtful turn is heard again");
            Ok(spread(text, pack.duration(), probability))
        });
        let pool = WorkerPool::start(EngineConfig::Scripted(script), 1).expect("a pool");
        pool.hear_again(0, &pcm, &speech, heard.clone(), 0.6, &english()).expect("words")
    };
    let again = "this is what the second model has heard in that turn";
    let better = second(again, 0.8);
    assert_eq!(better.utterances[1].text, again);
    assert_eq!(better.utterances[1].span, speech[1]);
    assert_eq!((&better.utterances[0], &better.utterances[2]), (&heard.utterances[0], &heard.utterances[2]));
    assert_eq!(second("Thanks for watching!", 0.05), heard, "what the second model invents changes nothing");
    assert_eq!(asked.load(Ordering::Relaxed), 2);

    // What passes over most of the turn does not take its place.
    let short = Script::of(|_| Ok(spread("well", Millis(900), 0.9)));
    let short = WorkerPool::start(EngineConfig::Scripted(short), 1).expect("a pool");
    assert_eq!(short.hear_again(0, &pcm, &speech, heard.clone(), 0.6, &english()).expect("words"), heard);
    let stranger = Script::of(|_| Err(AsrError::UnknownLanguage("yue".to_owned())));
    let stranger = WorkerPool::start(EngineConfig::Scripted(stranger), 1).expect("a pool");
    assert_eq!(stranger.hear_again(0, &pcm, &speech, heard.clone(), 0.6, &english()).expect("words"), heard);

    let nothing = Script::of(|_| -> Result<PackTranscript, AsrError> { panic!("nothing is doubtful") });
    let idle = WorkerPool::start(EngineConfig::Scripted(nothing), 1).expect("a pool");
    assert_eq!(idle.hear_again(0, &pcm, &speech, heard.clone(), 0.1, &english()).expect("words"), heard);
}

#[test]
fn a_pack_that_makes_the_engine_panic_fails_its_own_call_alone() {
    struct Fragile;
    impl Transcriber for Fragile {
        fn transcribe(&mut self, pack: &Pack, _: &TranscribeOptions) -> Result<PackTranscript, AsrError> {
            let loud = pack.samples.iter().any(|sample| sample.abs() > 0.7);
            assert!(!loud, "too loud");
            Ok(spread("quite well", pack.duration(), 0.9))
        }
        fn longest_batch(&self) -> usize {
            8
        }
        fn longest_pack(&self) -> Millis {
            Millis(29_000)
        }
        fn model(&self) -> ModelInfo {
            ModelInfo { name: "fragile".to_owned(), multilingual: false }
        }
    }
    let pool = WorkerPool::start_with(|_| Ok(Box::new(Fragile)), 1, "fragile".to_owned()).expect("a pool");
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for call in 0..6_u8 {
            let (pool, failed) = (&pool, &failed);
            scope.spawn(move || {
                let pcm = tone(20, if call == 3 { 0.9 } else { 0.3 });
                let heard = pool.transcribe_channel(0, &pcm, &[Span::of_ms(1_000, 9_000)], &english());
                assert_eq!(heard.is_err(), call == 3, "call {call}: {heard:?}");
                failed.fetch_add(usize::from(heard.is_err()), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(failed.load(Ordering::Relaxed), 1);
}
