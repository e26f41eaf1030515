//! The crate from outside: what callers may rely on, on sounds made by formula and, where the corpus is at hand, on
//! recordings.

#![expect(clippy::print_stderr, reason = "a test that skips says so")]

use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, loudness_dbfs, tell_voices_apart};
use callmark_types::{Millis, Pcm, Span, ToneKind};
use proptest::prelude::*;
use std::path::PathBuf;

fn sine(hertz: &[f64], seconds: f64) -> Vec<i16> {
    (0..(seconds * 16_000.0) as usize)
        .map(|i| {
            let t = i as f64 / 16_000.0;
            (hertz.iter().map(|hz| (std::f64::consts::TAU * hz * t).sin()).sum::<f64>() * 3000.0) as i16
        })
        .collect()
}

fn corpus_file(path: &str) -> Option<PathBuf> {
    let root = std::env::var("CALLMARK_CORPUS").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: corpus absent at {}", root.display());
    None
}

fn read_wav(path: &PathBuf) -> Vec<Pcm> {
    let mut reader = hound::WavReader::open(path).expect("a WAV file");
    let count = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples::<i16>().map(|s| s.expect("a sample")).collect();
    (0..count).map(|c| Pcm { samples: samples.iter().skip(c).step_by(count).copied().collect() }).collect()
}

fn analyse_one(samples: Vec<i16>) -> callmark_types::ChannelFacts {
    analyse(&[Pcm { samples }], &AcousticOptions::default()).remove(0)
}

#[test]
fn silence_and_nothing_have_no_level_and_no_findings() {
    for samples in [Vec::new(), vec![0; 50_000], vec![0; 100]] {
        let facts = analyse_one(samples);
        assert_eq!(
            (facts.level_dbfs, facts.peak_dbfs, facts.snr_db, facts.clipped_ratio),
            (None, None, None, 0.0)
        );
        assert!(facts.speech.is_empty() && facts.music.is_empty() && facts.tones.is_empty());
    }
    assert!(analyse(&[], &AcousticOptions::default()).is_empty());
}

#[test]
fn a_dial_tone_is_a_tone_and_neither_speech_nor_music() {
    let facts = analyse_one(sine(&[350.0, 440.0], 8.0));
    assert!(facts.speech.is_empty() && facts.music.is_empty(), "{facts:?}");
    assert_eq!(facts.tones.len(), 1);
    assert_eq!(facts.tones[0].kind, ToneKind::Dial);
}

#[test]
fn channels_of_different_length_are_measured_each_on_its_own_clock() {
    let channels = [Pcm { samples: sine(&[440.0, 480.0], 2.0) }, Pcm { samples: vec![0; 400] }];
    let facts = analyse(&channels, &AcousticOptions::default());
    assert_eq!(facts.iter().map(|f| f.channel).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(facts[0].tones[0].kind, ToneKind::Ringback);
    assert!(facts[1].tones.is_empty());
}

#[test]
fn loudness_is_that_of_the_span_alone() {
    let mut samples = sine(&[1000.0], 1.0);
    samples.extend(vec![0; 16_000]);
    let pcm = Pcm { samples };
    let loud = loudness_dbfs(&pcm, Span::of_ms(0, 1000)).unwrap();
    assert!((loud - 20.0 * (3000.0 / 32768.0 / 2.0_f64.sqrt()).log10()).abs() < 0.05, "{loud}");
    assert_eq!(loudness_dbfs(&pcm, Span::of_ms(1000, 2000)), None);
    assert_eq!(loudness_dbfs(&pcm, Span::of_ms(5000, 6000)), None);
}

#[test]
fn no_speech_is_found_in_noises_of_a_street() {
    for name in ["car_horn", "dog_bark", "engine_idling", "ringing_phone", "siren"] {
        let Some(file) = corpus_file(&format!("noise_tau2/audio/{name}.wav")) else { return };
        let facts = analyse(&read_wav(&file), &AcousticOptions::default());
        assert!(facts[0].speech.is_empty(), "{name}: {:?}", facts[0].speech);
        assert!(facts[0].music.is_empty(), "{name}: {:?}", facts[0].music);
    }
}

#[test]
fn both_sides_of_a_call_are_heard_and_told_apart_when_mixed() {
    let Some(file) = corpus_file("synthetic/dev/audio/d09.wav") else { return };
    let channels = read_wav(&file);
    let facts = analyse(&channels, &AcousticOptions::default());
    assert_eq!(facts, analyse(&channels, &AcousticOptions::default()));
    assert!(
        facts.iter().all(|f| f.speech.len() > 4 && f.music.is_empty() && f.snr_db.is_some_and(|r| r > 20.0))
    );
    let samples = channels[0]
        .samples
        .iter()
        .zip(&channels[1].samples)
        .map(|(a, b)| (a / 2).saturating_add(b / 2))
        .collect();
    let mix = Pcm { samples };
    let speech = analyse(std::slice::from_ref(&mix), &AcousticOptions::default()).remove(0).speech;
    let voices = tell_voices_apart(&mix, &speech, &VoiceOptions::default());
    assert_eq!(voices.iter().map(|v| v.voice).max(), Some(1));
    let alone = tell_voices_apart(&channels[1], &facts[1].speech, &VoiceOptions::default());
    assert!(alone.iter().all(|v| v.voice == 0), "{alone:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn voices_cover_exactly_the_speech_in_order(
        cuts in proptest::collection::btree_set(0_i64..6000, 0..12), hertz in 100.0_f64..300.0,
    ) {
        let bounds: Vec<i64> = cuts.into_iter().collect();
        let speech: Vec<Span> = bounds.chunks_exact(2).map(|p| Span::of_ms(p[0], p[1])).collect();
        let pcm = Pcm { samples: sine(&[hertz, hertz * 2.0, hertz * 5.0], 5.0) };
        let voices = tell_voices_apart(&pcm, &speech, &VoiceOptions::default());
        prop_assert_eq!(Span::union(voices.iter().map(|v| v.span)), Span::union(speech));
        prop_assert!(voices.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
        prop_assert!(voices.iter().all(|v| (0.0..=1.0).contains(&v.confidence) && v.span.duration() > Millis::ZERO));
    }

    #[test]
    fn any_samples_give_ordered_facts_within_bounds(
        samples in proptest::collection::vec(any::<i16>(), 0..20_000),
    ) {
        let duration = Pcm { samples: samples.clone() }.duration();
        let facts = analyse_one(samples);
        prop_assert!((0.0..=1.0).contains(&facts.clipped_ratio));
        for spans in [&facts.speech, &facts.music] {
            prop_assert!(spans.windows(2).all(|p| p[0].end <= p[1].start));
            prop_assert!(spans.iter().all(|s| s.start < s.end && s.end <= duration));
        }
    }
}
