//! What every recogniser must do, run for the scripted fake, for whisper and for CTranslate2.
//!
//! The tests of real ones take the model from the folder `CALLMARK_MODELS`, or `~/.cache/callmark/models`, and speech from
//! the corpus (`CALLMARK_CORPUS`, or `shared/corpus` beside the checkout); without them they say so and pass.

mod common;

use callmark_asr::{
    AsrError, Pack, PackTranscript, PackWord, Script, ScriptedTranscriber, TranscribeOptions, Transcriber,
};
use callmark_types::Millis;

/// What a pack's neighbours in a batch may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neighbours {
    /// Nothing.
    Nothing,
    /// The last digits: the order of sums follows the shape of a batch, on processors with AVX-512 VNNI.
    LastDigits,
}

/// A recogniser's whole duty. `speech` is a pack in which it hears something; `fresh` makes a new instance.
fn conforms<T: Transcriber>(mut fresh: impl FnMut() -> T, speech: &Pack, change: Neighbours) {
    let options = TranscribeOptions { language: Some("en".to_owned()), ..TranscribeOptions::default() };
    let mut recogniser = fresh();
    assert!(!recogniser.model().name.is_empty());

    let nothing = recogniser.transcribe(&Pack::default(), &options).expect("an empty pack is no error");
    assert_eq!(nothing.words, [], "an empty pack has no words");
    let silence = Pack { samples: vec![0.0; 32_000] };
    let heard = recogniser.transcribe(&silence, &options).expect("silence is no error");
    assert_eq!(heard.words, [], "digital silence has no words");
    for length in [1, 1_599] {
        let blip = Pack { samples: vec![0.01; length] };
        let heard = recogniser.transcribe(&blip, &options).expect("a short pack is no error");
        words_are_in_order(&blip, &heard.words);
    }

    let too_long = Pack { samples: vec![0.1; recogniser.longest_pack().to_sample(16_000) + 16] };
    let refused = recogniser.transcribe(&too_long, &options);
    assert!(matches!(refused, Err(AsrError::PackTooLong { .. })), "{refused:?}");

    let first = recogniser.transcribe(speech, &options).expect("speech");
    assert!(!first.words.is_empty(), "speech is heard after an error");
    words_are_in_order(speech, &first.words);
    assert!((0.0..=1.0).contains(&first.no_speech_probability));
    assert!(first.average_log_probability <= 0.0);
    assert!(first.attempts >= 1);
    assert_eq!(first.language.as_deref(), Some("en"));
    assert_eq!(first.language_probability, None, "a told language has no probability");

    let second = recogniser.transcribe(speech, &options).expect("speech");
    assert_eq!(first, second, "the same pack twice gives the same words");
    neighbours_do_not_matter(&mut recogniser, speech, &options, change);
    leaves_nothing_behind(recogniser, fresh(), speech, &options);
}

/// A pack recognised together with others gives what it gives alone.
fn neighbours_do_not_matter<T: Transcriber>(
    recogniser: &mut T,
    speech: &Pack,
    options: &TranscribeOptions,
    change: Neighbours,
) {
    let part = |from: usize, to: usize| {
        let length = speech.samples.len();
        Pack { samples: speech.samples[length * from / 8..length * to / 8].to_vec() }
    };
    let silence = Pack { samples: vec![0.0; 16_000] };
    let packs = [part(0, 8), part(0, 5), part(2, 8), part(3, 6), silence];
    let alone: Vec<PackTranscript> =
        packs.iter().map(|pack| recogniser.transcribe(pack, options).expect("speech")).collect();
    for count in 1..=packs.len() {
        let together: Vec<&Pack> = packs[..count].iter().collect();
        let heard = recogniser.transcribe_batch(&together, options);
        assert_eq!(heard.len(), count);
        for (heard, alone) in heard.into_iter().zip(&alone) {
            match change {
                Neighbours::Nothing => assert_eq!(heard.as_ref(), Ok(alone), "{count} together"),
                Neighbours::LastDigits => {
                    nearly_the_same(heard.as_ref().expect("speech"), alone, &format!("{count} together"));
                }
            }
        }
    }
    assert!(recogniser.transcribe_batch(&[], options).is_empty());
}

/// The same words; times and probabilities but for rounding.
fn nearly_the_same(heard: &PackTranscript, alone: &PackTranscript, when: &str) {
    assert_eq!(heard.text(), alone.text(), "{when}");
    assert_eq!((&heard.language, heard.attempts), (&alone.language, alone.attempts), "{when}");
    for (heard, alone) in heard.words.iter().zip(&alone.words) {
        let apart = [heard.start - alone.start, heard.end - alone.end].map(|ms| ms.0.abs());
        assert!(apart.iter().all(|ms| *ms <= 100), "{when}: {heard:?} and {alone:?}");
        assert!((heard.probability - alone.probability).abs() < 0.05, "{when}: {heard:?} and {alone:?}");
    }
}

/// Another pack heard before changes nothing.
fn leaves_nothing_behind<T: Transcriber>(
    mut used: T,
    mut fresh: T,
    speech: &Pack,
    options: &TranscribeOptions,
) {
    let half = Pack { samples: speech.samples[speech.samples.len() / 2..].to_vec() };
    for options in [options, &TranscribeOptions { language: None, ..options.clone() }] {
        used.transcribe(speech, options).expect("speech");
        let after_another = used.transcribe(&half, options).expect("speech");
        let alone = fresh.transcribe(&half, options).expect("speech");
        assert_eq!(after_another, alone, "what was heard before must not matter");
    }
}

fn words_are_in_order(pack: &Pack, words: &[PackWord]) {
    let mut clock = Millis::ZERO;
    for word in words {
        assert!(!word.text.is_empty() && !word.text.contains(char::is_whitespace), "{word:?}");
        assert!(clock <= word.start && word.start <= word.end && word.end <= pack.duration(), "{word:?}");
        assert!((0.0..=1.0).contains(&word.probability), "{word:?}");
        clock = word.end;
    }
}

#[test]
fn the_scripted_recogniser_conforms() {
    let tone: Vec<f32> = (0..48_000).map(|i| (i as f32 * 0.05).sin() * 0.2).collect();
    conforms(
        || ScriptedTranscriber::new(Script::saying("hello, how can I help you")),
        &Pack { samples: tone },
        Neighbours::Nothing,
    );
}

#[test]
fn a_scripted_error_is_passed_on() {
    let script = Script::of(|pack| {
        let reason = "as scripted".to_owned();
        Err::<PackTranscript, _>(AsrError::Engine { duration_ms: pack.duration().0, reason })
    });
    let heard = ScriptedTranscriber::new(script)
        .transcribe(&Pack { samples: vec![0.1; 1_600] }, &TranscribeOptions::default());
    assert_eq!(heard, Err(AsrError::Engine { duration_ms: 100, reason: "as scripted".to_owned() }));
}

#[cfg(feature = "whisper")]
#[test]
fn whisper_conforms() {
    use callmark_asr::{Device, WhisperConfig, WhisperEngine};
    let (Some(model_path), Some(pcm)) = (common::model(), common::telephone_speech()) else { return };
    let samples = pcm.samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    let config = WhisperConfig { device: Device::Cpu, ..WhisperConfig::new(model_path) };
    let engine = WhisperEngine::load(&config).expect("the model loads");
    conforms(|| engine.transcriber(0).expect("a state"), &Pack { samples }, Neighbours::Nothing);
}

/// With a driver that computes in software (Mesa's lavapipe) this takes minutes; the environment variable
/// `GGML_VK_VISIBLE_DEVICES=0` lets such a driver count as a card.
#[cfg(feature = "vulkan")]
#[test]
fn whisper_conforms_on_a_graphics_card() {
    use callmark_asr::{Device, WhisperConfig, WhisperEngine};
    let (Some(model_path), Some(pcm)) = (common::model(), common::telephone_speech()) else { return };
    let samples = pcm.samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    let speech = Pack { samples };
    let load = |device| WhisperEngine::load(&WhisperConfig { device, ..WhisperConfig::new(&model_path) });
    let (card, processor) = (load(Device::Gpu(0)).expect("a card"), load(Device::Cpu).expect("the model"));
    assert!(card.description(1).starts_with("gpu 0 ("), "{}", card.description(1));
    assert!(load(Device::Gpu(99)).is_err(), "a card that is not there is refused");
    conforms(|| card.transcriber(0).expect("a state"), &speech, Neighbours::Nothing);
    let text = |engine: &WhisperEngine| {
        let heard =
            engine.transcriber(0).expect("a state").transcribe(&speech, &TranscribeOptions::default());
        heard.expect("speech").text()
    };
    assert_eq!(text(&card), text(&processor), "the card hears what the processor hears");
}

#[cfg(feature = "ct2")]
#[test]
fn ctranslate2_conforms() {
    let (Some(config), Some(pcm)) = (common::ct2_model(), common::telephone_speech()) else { return };
    let samples = pcm.samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    let engine = callmark_asr::Ct2Engine::load(&config).expect("the model loads");
    let speech = Pack { samples };
    conforms(|| engine.transcriber(0).expect("a replica"), &speech, Neighbours::LastDigits);
}

/// Every way of writing: with words to expect, with several hypotheses, with the language detected in a batch.
#[cfg(feature = "ct2")]
#[test]
fn ctranslate2_hears_the_same_whichever_way_it_writes() {
    use callmark_asr::{Ct2Config, Ct2Engine, Decoding, Glossary};
    let (Some(config), Some(pcm)) = (common::ct2_model(), common::telephone_speech()) else { return };
    let samples: Vec<f32> = pcm.samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
    let half = Pack { samples: samples[..samples.len() / 2].to_vec() };
    let speech = Pack { samples };
    let english = TranscribeOptions { language: Some("en".to_owned()), ..TranscribeOptions::default() };
    let beam = TranscribeOptions { decoding: Decoding::Beam(3), ..english.clone() };
    let glossary = Glossary::parse("Fernhill Water\nOrchard Broadband\n").expect("words");
    let plain = Ct2Engine::load(&config).expect("the model loads");
    let expecting = Ct2Engine::load(&Ct2Config { glossary, ..config }).expect("the model loads");
    let heard = |engine: &Ct2Engine, options: &TranscribeOptions| {
        let mut recogniser = engine.transcriber(0).expect("a replica");
        let both = recogniser.transcribe_batch(&[&speech, &half], options);
        let both: Vec<PackTranscript> = both.into_iter().map(|heard| heard.expect("speech")).collect();
        words_are_in_order(&speech, &both[0].words);
        words_are_in_order(&half, &both[1].words);
        both
    };
    let told = heard(&plain, &english);
    let known: Vec<String> = told[0].words.iter().map(|word| bare(&word.text)).collect();
    assert!(known.len() > 5, "{known:?}");
    let detected = heard(&plain, &TranscribeOptions { language: None, ..english.clone() });
    for (told, detected) in told.iter().zip(&detected) {
        assert_eq!((told.text(), &told.language), (detected.text(), &detected.language));
        assert!(detected.language_probability.is_some_and(|p| p > 0.5), "{detected:?}");
    }
    for (way, other) in [("beam", heard(&plain, &beam)), ("words to expect", heard(&expecting, &english))] {
        let again: Vec<String> = other[0].words.iter().map(|word| bare(&word.text)).collect();
        let common = again.iter().filter(|word| known.contains(word)).count();
        assert!(common * 10 >= known.len() * 7, "{way}: {again:?} beside {known:?}");
        let at =
            |a: &PackWord, b: &PackWord| bare(&a.text) == bare(&b.text) && (a.start - b.start).0.abs() <= 200;
        let near = other[0].words.iter().filter(|a| told[0].words.iter().any(|b| at(a, b))).count();
        assert!(near * 10 >= common * 7, "{way}: {:?} beside {:?}", other[0].words, told[0].words);
    }
}

#[cfg(feature = "ct2")]
fn bare(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}
