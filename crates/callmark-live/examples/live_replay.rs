//! Plays a recording as a live call through the real recogniser, and prints the alerts as they come.
//!
//! `cargo run --release -p callmark-live --features whisper --example live_replay -- MODEL.bin RECORDING [WORKERS]`
//!
//! The call is played as fast as it can be heard; the last line says how many such calls these workers bear.

#![allow(clippy::print_stdout, reason = "what it finds is its output")]

use callmark_analytics::Ruleset;
use callmark_asr::{EngineConfig, TranscribeOptions, WhisperConfig, WorkerPool};
use callmark_audio::{ChunkCodec, DecodeOptions, decode_file};
use callmark_live::{CallEvent, Chunk, LiveOptions, Output, Position, Sessions, Source};
use callmark_types::CallId;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Milliseconds of a chunk.
const CHUNK_MS: usize = 100;
const AUDIO: Source = Source { topic: 0, partition: 0 };
const EVENTS: Source = Source { topic: 1, partition: 0 };

struct Player {
    sessions: Sessions,
    workers: WorkerPool,
    options: TranscribeOptions,
    transcribing: Duration,
    slowest: Duration,
    utterances: u32,
}

impl Player {
    fn handle(&mut self, outputs: Vec<Output>) {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Transcribe(job) => {
                    let begun = Instant::now();
                    let result = job.run(&self.workers, &self.options);
                    self.transcribing += begun.elapsed();
                    self.slowest = self.slowest.max(begun.elapsed());
                    self.utterances += 1;
                    outputs.extend(self.sessions.on_transcript(result));
                }
                Output::Alert(alert) => println!("{}", String::from_utf8_lossy(&alert.to_json())),
                Output::Broken(broken) => println!("broken chunk: {}", broken.reason),
                Output::Finished(call) => {
                    let live = call.hear(&Default::default(), &Default::default());
                    println!("finished: {} utterances, {} ms of speech", live.heard.len(), live.speech.0);
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: live_replay MODEL.bin RECORDING [WORKERS]";
    let (model, recording) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let workers = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(2);
    let audio = decode_file(&recording, &DecodeOptions::default())?;
    let mut player = Player {
        sessions: Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default()),
        workers: WorkerPool::start(EngineConfig::Whisper(WhisperConfig::new(&model)), workers)?,
        options: TranscribeOptions::default(),
        transcribing: Duration::ZERO,
        slowest: Duration::ZERO,
        utterances: 0,
    };
    let begun = Instant::now();
    let json = br#"{"type":"started","ts_ms":0,"channel_0_role":"customer","channel_1_role":"agent","language":"en"}"#;
    let started = CallEvent::from_message(Some("live"), json)?;
    let outputs = player.sessions.on_event(Position { source: EVENTS, offset: 0 }, 0, started)?;
    player.handle(outputs);
    let chunks = audio.format.duration.0 as usize / CHUNK_MS;
    for seq in 0..chunks {
        for (channel, pcm) in audio.channels.iter().enumerate() {
            let samples = &pcm.samples[seq * CHUNK_MS * 16..(seq + 1) * CHUNK_MS * 16];
            let ts_ms = (seq * CHUNK_MS) as i64;
            let chunk = Chunk {
                call_id: CallId::new("live")?,
                channel: channel as u16,
                seq: seq as u64,
                ts_ms,
                codec: ChunkCodec::PcmS16le,
                rate_hz: 16_000,
                bytes: samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
                offset: 0,
            };
            let outputs =
                player.sessions.on_chunk(Position { source: AUDIO, offset: ts_ms }, ts_ms, chunk)?;
            player.handle(outputs);
        }
    }
    let outputs = player.sessions.end_all();
    player.handle(outputs);
    let (wall, call) = (begun.elapsed().as_secs_f64(), audio.format.duration.seconds());
    let (transcribing, slowest) = (player.transcribing.as_secs_f64(), player.slowest.as_secs_f64());
    // Here one worker works at a time; with many calls all do, beside what listens to the chunks.
    let side_by_side = (wall / workers as f64).max(wall - transcribing);
    println!(
        "{call:.1} s of call in {wall:.1} s: {transcribing:.1} s of them for {} utterances one at a time, slowest {slowest:.2} s; \
         {workers} workers on as many cores bear {:.1} such calls at once",
        player.utterances,
        call / side_by_side,
    );
    Ok(())
}
