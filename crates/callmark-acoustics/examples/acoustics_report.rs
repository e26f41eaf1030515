//! Prints the tables of this crate's README: speech detection against truth and against another detector, music and
//! tones, voices on shared channels.
//!
//! `CALLMARK_CORPUS=/work/shared/corpus cargo run --release -p callmark-acoustics --example acoustics_report`
//!
//! Decodes with `ffmpeg`, which must be installed; nothing of this belongs to the product.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse, tell_voices_apart};
use callmark_types::{Millis, Pcm, Span};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const RATE: usize = 16_000;
const EARSHOT_CHUNK: usize = 256;
const EARSHOT_CHUNK_MS: i64 = 16;

/// Sums over recordings of how one detector did.
#[derive(Default)]
struct SpeechScore {
    missed_ms: i64,
    spoken_ms: i64,
    false_ms: i64,
    quiet_ms: i64,
    talk_errors: Vec<f64>,
    start_errors: Vec<f64>,
    lost_turns: usize,
    turns: usize,
    noise_ms: Vec<(String, i64)>,
    seconds: f64,
    channel_hours: f64,
}

fn main() {
    let corpus =
        std::env::var("CALLMARK_CORPUS").map_or_else(|_| PathBuf::from("../shared/corpus"), PathBuf::from);
    let calls = synthetic_calls(&corpus);
    if calls.is_empty() {
        eprintln!("skipped: corpus absent at {}", corpus.display());
        return;
    }
    let mut shipped = SpeechScore::default();
    let mut earshot = SpeechScore::default();
    let mut holds = Vec::new();
    let mut voices = Vec::new();
    for (truth, channels) in &calls {
        let started = Instant::now();
        let facts = analyse(channels, &AcousticOptions::default());
        shipped.seconds += started.elapsed().as_secs_f64();
        if channels.len() == 2 {
            let speech: Vec<Vec<Span>> = facts.iter().map(|f| f.speech.clone()).collect();
            score(&mut shipped, truth, &speech);
            let started = Instant::now();
            let speech: Vec<Vec<Span>> = channels.iter().map(earshot_spans).collect();
            earshot.seconds += started.elapsed().as_secs_f64();
            score(&mut earshot, truth, &speech);
        }
        let waited = truth["measures"]["hold_ms"].as_i64().unwrap_or(0)
            + truth["measures"]["queue_ms"].as_i64().unwrap_or(0);
        let music: Millis = facts.iter().flat_map(|f| &f.music).map(|s| s.duration()).sum();
        holds.push((truth["call_id"].to_string(), waited, music.0));
        let mix = mixed(channels);
        let known = VoiceOptions { minimum_voices: 2, ..VoiceOptions::default() };
        voices.push([voice_score(truth, &mix, &VoiceOptions::default()), voice_score(truth, &mix, &known)]);
    }
    for path in sounds(&corpus.join("noise_tau2/audio")) {
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let channels = decode(&path, 1);
        let found: Millis =
            analyse(&channels, &AcousticOptions::default())[0].speech.iter().map(|s| s.duration()).sum();
        shipped.noise_ms.push((name.clone(), found.0));
        earshot
            .noise_ms
            .push((name, earshot_spans(&channels[0]).iter().map(|s| s.duration()).sum::<Millis>().0));
    }
    println!(
        "| speech detector | missed | false alarm | talk time error (median) | turn start error (median) | turns lost | s per hour of channel |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    print_speech("shipped", &mut shipped);
    print_speech("earshot", &mut earshot);
    println!("\nseconds of speech found in noise, shipped / earshot:");
    for ((name, found), (_, other)) in shipped.noise_ms.iter().zip(&earshot.noise_ms) {
        println!("- {name}: {:.1} / {:.1}", *found as f64 / 1000.0, *other as f64 / 1000.0);
    }
    println!("\nhold and queue, true and found as music, in ms (calls without either left out):");
    for (call, waited, music) in holds.iter().filter(|(_, waited, music)| *waited > 0 || *music > 0) {
        println!("- {call}: {waited} {music}");
    }
    print_voices(&voices);
}

fn print_voices(calls: &[[(String, f64, usize); 2]]) {
    let mean = |i: usize| calls.iter().map(|c| c[i].1).sum::<f64>() / calls.len() as f64;
    println!("\nvoices on mono mixes: share of turns on the right side, and voices found");
    println!("- mean, nothing known / known to be two: {:.3} / {:.3}", mean(0), mean(1));
    for [free, known] in calls {
        println!("- {}: {:.3} ({}) / {:.3} ({})", free.0, free.1, free.2, known.1, known.2);
    }
}

fn print_speech(name: &str, score: &mut SpeechScore) {
    println!(
        "| {name} | {:.3} | {:.3} | {:.3} | {:.0} ms | {} of {} | {:.1} |",
        score.missed_ms as f64 / score.spoken_ms as f64,
        score.false_ms as f64 / score.quiet_ms as f64,
        median(&mut score.talk_errors),
        median(&mut score.start_errors),
        score.lost_turns,
        score.turns,
        score.seconds / score.channel_hours,
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sounds(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
}

fn synthetic_calls(corpus: &Path) -> Vec<(Value, Vec<Pcm>)> {
    sounds(&corpus.join("synthetic/dev/truth"))
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a truth file");
            let truth: Value = serde_json::from_str(&text).expect("JSON");
            let channels = truth["channels"].as_array().map_or(1, Vec::len);
            let file = corpus.join("synthetic/dev").join(truth["file"].as_str().unwrap_or_default());
            (truth, decode(&file, channels))
        })
        .collect()
}

/// The recording's channels at 16 kHz, by ffmpeg.
fn decode(path: &Path, channels: usize) -> Vec<Pcm> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-ar", "16000", "-ac", &channels.to_string(), "-f", "s16le", "-"])
        .output()
        .expect("ffmpeg, which decodes for this report");
    let samples: Vec<i16> = output.stdout.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    (0..channels)
        .map(|c| Pcm { samples: samples.iter().skip(c).step_by(channels).copied().collect() })
        .collect()
}

fn mixed(channels: &[Pcm]) -> Pcm {
    let count = channels.len() as i32;
    let samples = (0..channels[0].samples.len())
        .map(|i| (channels.iter().map(|c| i32::from(c.samples[i])).sum::<i32>() / count) as i16);
    Pcm { samples: samples.collect() }
}

/// The other detector, opened and closed at the same probabilities, with the same shortest speech and pause.
fn earshot_spans(pcm: &Pcm) -> Vec<Span> {
    let options = AcousticOptions::default();
    let mut detector = earshot::Detector::default();
    let mut spans: Vec<Span> = Vec::new();
    let mut opened = false;
    for (index, chunk) in pcm.samples.chunks_exact(EARSHOT_CHUNK).enumerate() {
        let probability = detector.predict_i16(chunk);
        opened = probability >= options.speech_start_probability
            || (opened && probability >= options.speech_end_probability);
        if opened {
            let at = index as i64 * EARSHOT_CHUNK_MS;
            let here = Span::of_ms(at, at + EARSHOT_CHUNK_MS);
            match spans.last_mut() {
                Some(last) if here.start - last.end < options.minimum_pause => last.end = here.end,
                _ => spans.push(here),
            }
        }
    }
    spans.retain(|s| s.duration() >= options.minimum_speech);
    spans
}

fn turns_of(truth: &Value, channel: Option<usize>) -> Vec<(Span, String)> {
    let turns = truth["turns"].as_array().map(Vec::as_slice).unwrap_or_default();
    turns
        .iter()
        .filter(|t| channel.is_none_or(|c| t["channel"].as_u64() == Some(c as u64)))
        .map(|t| {
            let ms = |key: &str| t[key].as_i64().unwrap_or(0);
            (Span::of_ms(ms("start_ms"), ms("end_ms")), t["speaker"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

fn score(score: &mut SpeechScore, truth: &Value, speech: &[Vec<Span>]) {
    let duration = truth["duration_ms"].as_i64().unwrap_or(0);
    for (channel, found) in speech.iter().enumerate() {
        let turns = turns_of(truth, Some(channel));
        let spoken = Span::union(turns.iter().map(|t| t.0));
        let length = |spans: &[Span]| spans.iter().map(|s| s.duration().0).sum::<i64>();
        let both: i64 = spoken.iter().flat_map(|a| found.iter().map(|b| a.overlap(*b).0)).sum();
        score.missed_ms += length(&spoken) - both;
        score.spoken_ms += length(&spoken);
        score.false_ms += length(found) - both;
        score.quiet_ms += duration - length(&spoken);
        score.channel_hours += duration as f64 / 3_600_000.0;
        if channel == 0 {
            let truly = truth["measures"]["customer_speech_ms"].as_i64().unwrap_or(0);
            score.talk_errors.push((length(found) - truly).abs() as f64 / truly as f64);
        }
        for (turn, _) in turns {
            score.turns += 1;
            if found.iter().all(|s| s.overlap(turn) == Millis::ZERO) {
                score.lost_turns += 1;
            }
            let nearest = found.iter().map(|s| (s.start - turn.start).0.abs()).min();
            score.start_errors.extend(nearest.map(|ms| ms as f64));
        }
    }
}

/// Call, share of turns whose voices lie mostly on the turn's side (each voice counted for the side it speaks most
/// for), number of voices.
fn voice_score(truth: &Value, mix: &Pcm, options: &VoiceOptions) -> (String, f64, usize) {
    let speech = analyse(std::slice::from_ref(mix), &AcousticOptions::default()).remove(0).speech;
    let voices = tell_voices_apart(mix, &speech, options);
    let count = voices.iter().map(|v| usize::from(v.voice) + 1).max().unwrap_or(0);
    let turns = turns_of(truth, None);
    let is_customer = |speaker: &str| speaker == "customer";
    let mut customer_share = vec![[0_i64; 2]; count];
    for (turn, speaker) in &turns {
        for voice in &voices {
            customer_share[usize::from(voice.voice)][usize::from(is_customer(speaker))] +=
                voice.span.overlap(*turn).0;
        }
    }
    let right = turns.iter().filter(|(turn, speaker)| {
        let mut sides = [0_i64; 2];
        for voice in &voices {
            let [agent, customer] = customer_share[usize::from(voice.voice)];
            sides[usize::from(customer > agent)] += voice.span.overlap(*turn).0;
        }
        (sides[1] > sides[0]) == is_customer(speaker)
    });
    (truth["call_id"].to_string(), right.count() as f64 / turns.len() as f64, count)
}

const _: () = assert!(EARSHOT_CHUNK_MS as usize * RATE / 1000 == EARSHOT_CHUNK);
