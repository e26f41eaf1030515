//! Transcribes given spans of given channels: what packing, guards and engine are measured with, apart from decoding
//! and speech detection.
//!
//! Reads one job a line from stdin, `{"id": …, "wav": mono 16 kHz 16 bit, "speech": [[start_ms, end_ms], …]}`, and
//! writes one line a job to stdout, with the utterances. First argument: the model's file, or for CTranslate2 its folder
//! (with `library=` the shared library); then `key=value` settings.

use callmark_asr::{Ct2Config, Decoding, EngineConfig, TranscribeOptions, WhisperConfig, WorkerPool};
use callmark_types::{Millis, Pcm, Span};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: transcribe_spans MODEL [key=value …] < jobs.jsonl")?;
    let mut config = WhisperConfig::new(&model);
    let mut ct2 = Ct2Config::new("", &model, "base");
    let mut callers = 0;
    let mut options = TranscribeOptions::default();
    let mut workers = std::thread::available_parallelism()?.get();
    for setting in arguments {
        let (key, value) = setting.split_once('=').ok_or("settings look like key=value")?;
        match key {
            "workers" => workers = value.parse()?,
            "callers" => callers = value.parse()?,
            "threads" => {
                config.threads_per_worker = value.parse()?;
                ct2.threads_per_worker = config.threads_per_worker;
            }
            "library" => ct2.library = value.into(),
            "compute" => value.clone_into(&mut ct2.compute),
            "batch" => ct2.batch = value.parse()?,
            "language" => options.language = Some(value.to_owned()),
            "beam" => options.decoding = Decoding::Beam(value.parse()?),
            "attempts" => options.max_attempts = value.parse()?,
            "longest_pack_ms" => options.pack_limits.longest_pack = Millis(value.parse()?),
            "margin_ms" => options.pack_limits.margin = Millis(value.parse()?),
            "joint_ms" => options.pack_limits.joint = Millis(value.parse()?),
            _ => return Err(format!("unknown setting {key}").into()),
        }
    }
    let engine = if ct2.library.as_os_str().is_empty() {
        EngineConfig::Whisper(config)
    } else {
        EngineConfig::Ct2(ct2)
    };
    let pool = WorkerPool::start(engine, workers)?;
    let jobs: Vec<Value> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let started = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..=workers.max(callers) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let answer = transcribe(&pool, job, &options)
                        .unwrap_or_else(|error| json!({"id": job["id"], "error": error.to_string()}));
                    let mut out = std::io::stdout().lock();
                    // A closed pipe ends the run.
                    if writeln!(out, "{answer}").is_err() {
                        return;
                    }
                }
            });
        }
    });
    let mut err = std::io::stderr().lock();
    writeln!(err, "{}\n{:.1} s", pool.description(), started.elapsed().as_secs_f64())?;
    Ok(())
}

fn transcribe(pool: &WorkerPool, job: &Value, options: &TranscribeOptions) -> Result<Value, Box<dyn Error>> {
    let mut reader = hound::WavReader::open(job["wav"].as_str().ok_or("no wav")?)?;
    let pcm = Pcm { samples: reader.samples::<i16>().collect::<Result<_, _>>()? };
    let ms = |value: &Value| value.as_i64().ok_or("a span has two numbers");
    let speech = job["speech"]
        .as_array()
        .ok_or("no speech")?
        .iter()
        .map(|span| Ok(Span::of_ms(ms(&span[0])?, ms(&span[1])?)))
        .collect::<Result<Vec<Span>, Box<dyn Error>>>()?;
    let heard = pool.transcribe_channel(0, &pcm, &speech, options)?;
    let utterances: Vec<Value> = heard
        .utterances
        .iter()
        .map(|utterance| {
            let words = utterance.words.iter();
            let words: Vec<Value> =
                words.map(|w| json!([w.word, w.span.start.0, w.span.end.0, w.probability])).collect();
            json!({
                "start_ms": utterance.span.start.0, "end_ms": utterance.span.end.0, "text": utterance.text,
                "confidence": utterance.asr_confidence, "no_speech": utterance.no_speech_probability,
                "dropped": utterance.dropped_reason.map(callmark_types::DroppedReason::as_str), "words": words,
            })
        })
        .collect();
    Ok(json!({
        "id": job["id"], "utterances": utterances, "language": heard.language,
        "language_probability": heard.language_probability,
    }))
}
