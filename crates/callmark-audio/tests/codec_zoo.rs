//! The test bed of codecs: per file, what the table says comes true.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use callmark_audio::{DecodeOptions, DecodedAudio, decode_bytes, decode_file, is_audio_name};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use support::zoo_table::{Fate, Likeness, ZOO};

/// Lengths are compared up to this, in milliseconds.
const LENGTH_TOLERANCE_MS: i64 = 1;

fn decoded(folder: &Path, name: &str) -> DecodedAudio {
    decode_file(&folder.join(name), &DecodeOptions::default()).unwrap()
}

#[test]
fn every_file_of_the_test_bed_becomes_what_the_table_says() {
    let Some(folder) = support::zoo() else { return };
    let mut references: HashMap<&str, DecodedAudio> = HashMap::new();
    for (name, fate, likeness) in ZOO {
        let result = decode_file(&folder.join(name), &DecodeOptions::default());
        match (fate, result) {
            (Fate::Refused(kind), Err(error)) => {
                assert_eq!(error.kind(), kind, "{name}: {error}");
                assert!(error.to_string().contains(name), "{error}");
            }
            (Fate::Decoded(container, codec, rate_hz, channels, ms), Ok(audio)) => {
                let format = &audio.format;
                let said = (
                    format.container.as_str(),
                    format.codec.as_str(),
                    format.sample_rate_hz,
                    format.channels,
                );
                assert_eq!(said, (container, codec, rate_hz, channels), "{name}");
                assert!(
                    format.duration.0.abs_diff(ms) <= LENGTH_TOLERANCE_MS as u64,
                    "{name}: {:?}",
                    format.duration
                );
                assert_eq!(format.truncation, None, "{name}");
                assert!(audio.channels.iter().all(|c| c.duration().0.abs_diff(ms) <= 1), "{name}");
                if let Some(likeness) = likeness {
                    let reference = references
                        .entry(likeness.reference)
                        .or_insert_with(|| decoded(&folder, likeness.reference));
                    assert_alike(name, &audio, reference, likeness);
                }
            }
            (fate, result) => {
                panic!("{name}: {fate:?} expected, {:?} found", result.map(|audio| audio.format))
            }
        }
    }
}

fn assert_alike(name: &str, audio: &DecodedAudio, reference: &DecodedAudio, likeness: Likeness) {
    for (index, (channel, wanted)) in audio.channels.iter().zip(&reference.channels).enumerate() {
        let snr_db = support::snr_db(&channel.samples, &wanted.samples, likeness.delay);
        assert!(snr_db >= likeness.min_snr_db, "{name}, channel {index}: {snr_db:.1} dB");
    }
}

#[test]
fn the_table_has_every_file_of_the_test_bed() {
    let Some(folder) = support::zoo() else { return };
    let present: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = ZOO.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(present, listed);
    assert!(listed.iter().all(|name| is_audio_name(name)));
}

#[test]
fn content_goes_before_extension() {
    let Some(folder) = support::zoo() else { return };
    for (name, fate, _) in ZOO {
        let Fate::Decoded(container, codec, ..) = fate else { continue };
        if container == "raw" {
            continue;
        }
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for disguise in ["call.wav", "call", "call.mp3"] {
            let audio = decode_bytes(disguise, None, bytes.clone(), &DecodeOptions::default()).unwrap();
            assert_eq!(audio.format.codec, codec, "{name} as {disguise}");
        }
    }
}

/// The share of a file that is left after a cut.
const CUT: f64 = 0.7;

#[test]
fn a_truncated_file_yields_what_could_be_decoded() {
    let Some(folder) = support::zoo() else { return };
    for (name, fate, likeness) in ZOO {
        let (Fate::Decoded(container, _, _, _, ms), Some(likeness)) = (fate, likeness) else { continue };
        let mut bytes = std::fs::read(folder.join(name)).unwrap();
        bytes.truncate((bytes.len() as f64 * CUT) as usize + 1);
        let len = bytes.len() as u64;
        let result = decode_bytes(name, None, bytes, &DecodeOptions::default());
        if container == "mp4" {
            // Its index stands at the end: without it nobody knows where a packet begins.
            assert_eq!(result.unwrap_err().kind(), "malformed", "{name}");
            continue;
        }
        let audio = result.unwrap();
        let left = audio.format.duration.0 as f64 / ms as f64;
        assert!((CUT - 0.1..CUT + 0.01).contains(&left), "{name}: {left}");
        let reference = decoded(&folder, likeness.reference);
        let end = audio.channels[0].samples.len() - 1_600;
        let snr_db = support::snr_db(
            &audio.channels[0].samples[..end],
            &reference.channels[0].samples,
            likeness.delay,
        );
        assert!(snr_db >= likeness.min_snr_db - 2.0, "{name}: {snr_db:.1} dB");
        if container == "raw" {
            continue;
        }
        let truncation = audio.format.truncation.unwrap_or_else(|| panic!("{name} is not flagged"));
        assert!(truncation.byte_offset <= len, "{name}: {truncation:?}");
    }
}

#[test]
fn the_encoders_delay_is_taken_off_the_scripted_calls() {
    let Some(folder) = support::corpus("synthetic/dev") else { return };
    let mut files = 0;
    for entry in std::fs::read_dir(folder.join("audio")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let truth = std::fs::read_to_string(folder.join("truth").join(stem).with_extension("json")).unwrap();
        let stated = truth.split_once("\"duration_ms\": ").unwrap().1;
        let stated: i64 = stated.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        let audio = decode_file(&path, &DecodeOptions::default()).unwrap();
        let length = audio.format.duration.0;
        assert!(length.abs_diff(stated) <= 1, "{stem}: {length} ms, {stated} ms in truth");
        assert_eq!(audio.format.truncation, None, "{stem}");
        files += 1;
    }
    assert!(files > 0);
}
