//! Broken, cut, absurd and random input: an error or a flag, never a panic, a hang or memory taken on a header's word.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use callmark_audio::{
    AudioError, DecodeLimits, DecodeOptions, DecodedAudio, RawFormat, decode_bytes, decode_file,
};
use callmark_types::Millis;
use proptest::prelude::*;
use std::time::{Duration, Instant};
use support::made::{self, FRAMES, stereo_wav, wav_header};

/// Longest time one small input may take, on a machine that does other things besides.
const MAX_TIME: Duration = Duration::from_secs(20);

fn decode(name: &str, bytes: Vec<u8>) -> Result<DecodedAudio, AudioError> {
    let options = DecodeOptions {
        limits: DecodeLimits { max_duration: Millis(600_000), ..DecodeLimits::default() },
        raw: None,
    };
    let start = Instant::now();
    let result = decode_bytes(name, None, bytes, &options);
    assert!(start.elapsed() < MAX_TIME, "{name} took {:?}", start.elapsed());
    if let Ok(audio) = &result {
        let len = audio.channels[0].samples.len();
        assert!(len > 0 && audio.channels.iter().all(|channel| channel.samples.len() == len));
    }
    result
}

/// The error that a panic inside a decoder becomes.
fn is_caught_panic(result: &Result<DecodedAudio, AudioError>) -> bool {
    matches!(result, Err(AudioError::Malformed { reason, .. }) if reason == "the decoder failed on it")
}

#[test]
fn made_recordings_decode_whole() {
    for (name, bytes) in made::all() {
        let audio = decode(name, bytes).unwrap();
        assert_eq!(audio.format.truncation, None, "{name}");
        assert!(audio.format.duration >= Millis(60), "{name}: {:?}", audio.format.duration);
    }
}

#[test]
fn a_data_size_of_zero_or_all_ones_means_to_the_end_of_the_file() {
    for size in [0, u32::MAX, 0x7FFF_F000] {
        let audio = decode("stream.wav", stereo_wav(size)).unwrap();
        assert_eq!(audio.format.duration, Millis(i64::from(FRAMES) / 8));
        assert_eq!(audio.format.truncation, None);
    }
}

#[test]
fn a_header_that_promises_too_much_is_flagged_not_believed() {
    let audio = decode("cut.wav", stereo_wav(0x7000_0000)).unwrap();
    let truncation = audio.format.truncation.unwrap();
    assert_eq!(truncation.byte_offset, stereo_wav(0).len() as u64);
    assert_eq!(audio.format.duration, Millis(i64::from(FRAMES) / 8));
}

#[test]
fn absurd_headers_are_refused_before_memory_is_taken() {
    for (channels, rate_hz, kind) in [
        (1, 1_092_676, "malformed"),
        (1, 0, "malformed"),
        (1, 3_999, "malformed"),
        (1, u32::MAX, "malformed"),
        (0, 8_000, "malformed"),
        (9, 8_000, "too_many_channels"),
        (60_000, 8_000, "too_many_channels"),
    ] {
        let error = decode("absurd.wav", wav_header(channels, rate_hz, u32::MAX - 1)).unwrap_err();
        assert_eq!(error.kind(), kind, "{channels} channels, {rate_hz} Hz: {error}");
    }
}

#[test]
fn limits_hold() {
    let limits = |max_duration, max_bytes, max_channels| DecodeOptions {
        limits: DecodeLimits { max_duration, max_bytes, max_channels },
        raw: None,
    };
    let kind =
        |options| decode_bytes("a.wav", None, stereo_wav(4 * FRAMES), &options).map_err(|error| error.kind());
    assert_eq!(kind(limits(Millis(249), 1 << 20, 2)).unwrap_err(), "too_long");
    assert_eq!(kind(limits(Millis(250), 100, 2)).unwrap_err(), "too_large");
    assert_eq!(kind(limits(Millis(250), 1 << 20, 1)).unwrap_err(), "too_many_channels");
    assert!(kind(limits(Millis(250), 1 << 20, 2)).is_ok());
}

#[test]
fn what_is_no_sound_is_named() {
    let kind = |name: &str, bytes: &[u8]| {
        let error = decode(name, bytes.to_vec()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        error.kind()
    };
    let text = b"Dear customer, thank you for calling. This is a text file.\n";
    for name in ["letter.wav", "letter.mp3", "letter.ulaw", "letter.raw", "letter.opus"] {
        assert_eq!(kind(name, text), "malformed", "{name}");
    }
    assert_eq!(kind("empty.wav", b""), "no_audio");
    assert_eq!(kind("empty.ulaw", b""), "no_audio");
    assert_eq!(kind("zero.wav", &stereo_wav(0)[..44 + 2]), "no_audio");
    assert_eq!(kind("noise.bin", &[1, 2, 3, 250, 0, 9]), "malformed");
    assert_eq!(kind("call.g729", &[1, 2, 3, 250, 0, 9]), "unsupported");
    assert_eq!(kind("call.raw", &[1, 2, 3, 250, 0, 9]), "unsupported");
    assert_eq!(kind("call.amr", b"#!AMR\n\x3C\x55"), "unsupported");
    let error = decode("call.amr", b"#!AMR\n\x3C\x55".to_vec()).unwrap_err().to_string();
    assert!(error.contains("hint: convert it with: ffmpeg -i call.amr"), "{error}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("absent.wav"), folder.path().to_owned()] {
        let error = decode_file(&path, &DecodeOptions::default()).unwrap_err();
        assert_eq!(error.kind(), "unreadable");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_flag_or_a_content_type_states_a_headerless_codec() {
    let bytes: Vec<u8> = (0..1_600_u32).map(|n| (n % 251) as u8).collect();
    let raw: RawFormat = "alaw:16000:2".parse().unwrap();
    let options = DecodeOptions { raw: Some(raw), ..DecodeOptions::default() };
    let audio = decode_bytes("call.raw", None, bytes.clone(), &options).unwrap();
    assert_eq!((audio.channels.len(), audio.format.duration), (2, Millis(50)));
    let content_type = Some("audio/PCMU;rate=8000");
    let audio = decode_bytes("call", content_type, bytes, &DecodeOptions::default()).unwrap();
    assert_eq!((audio.format.codec.as_str(), audio.format.duration), ("pcm_mulaw", Millis(200)));
    // A flag does not hide a container.
    let audio = decode_bytes("call.wav", None, stereo_wav(0), &options).unwrap();
    assert_eq!(audio.format.codec, "pcm_s16le");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        name in prop::sample::select(vec!["a.wav", "a.gsm", "a.ulaw", "a.g722", "a.mp3", "a.ogg", "a"]),
        magic in prop::sample::select(vec![
            &b""[..], b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVE", b".snd", b"NIST_1A\n   1024\n", b"fLaC", b"OggS",
            b"\x1A\x45\xDF\xA3", b"\0\0\0\x18ftypM4A ", b"caff", b"FORM\0\0\0\0AIFF", b"ID3\x04", b"\xFF\xFB\x90\x00",
        ]),
    ) {
        let _ = decode(name, [magic, &bytes].concat());
    }

    #[test]
    fn cut_and_changed_recordings_never_panic(
        which in any::<prop::sample::Index>(),
        keep in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        in_header in any::<bool>(),
    ) {
        let all = made::all();
        let (name, mut bytes) = all[which.index(all.len())].clone();
        for (at, value) in changes {
            let range = if in_header { bytes.len().min(90) } else { bytes.len() };
            bytes[at.index(range)] = value;
        }
        bytes.truncate(1 + keep.index(bytes.len()));
        let result = decode(name, bytes);
        prop_assert!(!is_caught_panic(&result), "{name}");
    }
}

/// Bytes kept of each corpus file.
const PIECE_BYTES: usize = 6_000;

#[test]
fn broken_pieces_of_real_files_never_panic_or_hang() {
    let Some(folder) = support::zoo() else { return };
    let mut state = 3_u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for (name, _, _) in support::zoo_table::ZOO {
        let whole = std::fs::read(folder.join(name)).unwrap();
        for round in 0..8 {
            let mut bytes = whole[..whole.len().min(PIECE_BYTES)].to_vec();
            let range = if round % 2 == 0 { bytes.len() } else { bytes.len().min(200) };
            for _ in 0..=next(10) {
                let at = next(range);
                bytes[at] = next(256) as u8;
            }
            let _ = decode(name, bytes);
        }
    }
}
