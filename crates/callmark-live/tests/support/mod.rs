//! The demo calls as live audio, and a recogniser that knows what is said in them.

#![allow(dead_code, reason = "each test file uses a part")]

use callmark_analytics::Ruleset;
use callmark_asr::ChannelTranscript;
use callmark_audio::{ChunkCodec, DecodeOptions, decode_file};
use callmark_live::{
    Alert, CallEvent, Chunk, Counters, FinishedCall, LiveOptions, Output, Position, Sessions, Source,
    TranscribeJob,
};
use callmark_types::{CallId, Pcm, Span, Utterance, Word};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) const AUDIO: Source = Source { topic: 0, partition: 0 };
pub(crate) const EVENTS: Source = Source { topic: 1, partition: 0 };
/// Zero of every call, in milliseconds since 1970.
pub(crate) const ORIGIN_MS: i64 = 1_780_000_000_000;
/// Milliseconds of a chunk.
pub(crate) const CHUNK_MS: usize = 100;

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Chunk(Chunk),
    Event(CallEvent),
}

impl Message {
    fn call_id(&self) -> &CallId {
        match self {
            Self::Chunk(chunk) => &chunk.call_id,
            Self::Event(event) => &event.call_id,
        }
    }

    pub(crate) fn ts_ms(&self) -> i64 {
        match self {
            Self::Chunk(chunk) => chunk.ts_ms,
            Self::Event(event) => event.ts_ms.unwrap_or(ORIGIN_MS),
        }
    }
}

/// A demo call and its truth.
pub(crate) struct Demo {
    pub(crate) name: String,
    pub(crate) truth: serde_json::Value,
    pub(crate) channels: Vec<Pcm>,
    pub(crate) columns: BTreeMap<String, String>,
}

fn demo_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo")
}

pub(crate) fn demos() -> Vec<Demo> {
    let mut table = csv::Reader::from_path(demo_dir().join("calls.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    rows.into_iter()
        .map(|columns| {
            let name = columns["call_id"].clone();
            let truth = std::fs::read(demo_dir().join(format!("truth/{name}.json"))).unwrap();
            let audio = decode_file(&demo_dir().join(&columns["file"]), &DecodeOptions::default()).unwrap();
            Demo { truth: serde_json::from_slice(&truth).unwrap(), channels: audio.channels, name, columns }
        })
        .collect()
}

impl Demo {
    /// How often the truth has an event.
    pub(crate) fn count(&self, event: &str) -> usize {
        let turns = self.truth["turns"].as_array().unwrap();
        turns
            .iter()
            .flat_map(|turn| turn["events"].as_array().unwrap())
            .filter(|e| e.as_str() == Some(event))
            .count()
    }

    /// The call as messages under the id `id`, in order of time: start, changes of handler, chunks, end.
    pub(crate) fn messages(&self, id: &str) -> Vec<Message> {
        let call_id = CallId::new(id).unwrap();
        let event = |json: serde_json::Value| {
            Message::Event(CallEvent::from_message(Some(id), json.to_string().as_bytes()).unwrap())
        };
        let columns = &self.columns;
        let mut messages = vec![event(serde_json::json!({
            "type": "started", "ts_ms": ORIGIN_MS, "channel_0_role": columns["channel_0_role"],
            "channel_1_role": columns["channel_1_role"], "first_handler": columns["first_handler"],
            "language": columns["language"], "queue": columns["queue"], "agent_ids": columns["agent_ids"],
        }))];
        let segments: serde_json::Value = serde_json::from_str(&columns["handler_segments"]).unwrap();
        for segment in segments.as_array().unwrap().iter().skip(1) {
            messages.push(event(serde_json::json!({
                "type": "handler_changed", "handler": segment["handler"], "agent_id": segment["agent_id"],
                "ts_ms": ORIGIN_MS + segment["start_ms"].as_i64().unwrap(),
            })));
        }
        for (channel, pcm) in self.channels.iter().enumerate() {
            for (seq, samples) in pcm.samples.chunks(CHUNK_MS * 16).enumerate() {
                messages.push(Message::Chunk(Chunk {
                    call_id: call_id.clone(),
                    channel: channel as u16,
                    seq: seq as u64,
                    ts_ms: ORIGIN_MS + (seq * CHUNK_MS) as i64,
                    codec: ChunkCodec::PcmS16le,
                    rate_hz: 16_000,
                    bytes: samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
                    offset: 0,
                }));
            }
        }
        let end_ms = ORIGIN_MS + self.channels[0].duration().0;
        messages.push(event(serde_json::json!({"type": "ended", "ts_ms": end_ms})));
        messages.sort_by_key(Message::ts_ms);
        messages
    }

    /// The words said on `channel`, with their times by the truth.
    pub(crate) fn words(&self, channel: u16) -> Vec<Word> {
        let mut words = Vec::new();
        for turn in self.truth["turns"].as_array().unwrap() {
            if turn["channel"].as_u64() != Some(u64::from(channel)) {
                continue;
            }
            for part in turn["parts"].as_array().unwrap() {
                let (start, end) = (part["start_ms"].as_i64().unwrap(), part["end_ms"].as_i64().unwrap());
                let texts: Vec<&str> = part["text"].as_str().unwrap().split_whitespace().collect();
                let share = |n: usize| start + (end - start) * n as i64 / texts.len() as i64;
                words.extend(texts.iter().enumerate().map(|(i, text)| Word {
                    word: (*text).to_owned(),
                    span: Span::of_ms(share(i), share(i + 1)),
                    probability: 0.9,
                }));
            }
        }
        words
    }

    /// What a perfect recogniser hears in `spans` of `channel`: one utterance a span, on the call's clock. A word
    /// belongs to the span nearest to its middle, when that is less than a second away.
    pub(crate) fn recognised(&self, channel: u16, spans: &[Span]) -> Vec<Utterance> {
        let mut by_span: Vec<Vec<Word>> = vec![Vec::new(); spans.len()];
        for word in self.words(channel) {
            let middle = i64::midpoint(word.span.start.0, word.span.end.0);
            let away = |span: &Span| (span.start.0 - middle).max(middle - span.end.0).max(0);
            let nearest = spans.iter().enumerate().min_by_key(|(_, span)| away(span));
            if let Some((index, _)) = nearest.filter(|(_, span)| away(span) < 300) {
                by_span[index].push(word);
            }
        }
        let utterance = |(span, words): (&Span, Vec<Word>)| Utterance {
            channel,
            span: *span,
            text: words.iter().map(|w| w.word.as_str()).collect::<Vec<_>>().join(" "),
            words,
            asr_confidence: 0.9,
            no_speech_probability: 0.0,
            dropped_reason: None,
        };
        spans.iter().zip(by_span).filter(|(_, words)| !words.is_empty()).map(utterance).collect()
    }

    /// The transcript of a job, on the clock of its sound.
    pub(crate) fn transcript(&self, job: &TranscribeJob) -> ChannelTranscript {
        let offset = job.span.start - job.speech[0].start;
        let spans: Vec<Span> =
            job.speech.iter().map(|s| Span::new(s.start + offset, s.end + offset)).collect();
        let mut utterances = self.recognised(job.channel, &spans);
        for utterance in &mut utterances {
            utterance.span = Span::new(utterance.span.start - offset, utterance.span.end - offset);
            for word in &mut utterance.words {
                word.span = Span::new(word.span.start - offset, word.span.end - offset);
            }
        }
        ChannelTranscript { utterances, language: Some("en".to_owned()), language_probability: None }
    }
}

/// What came of a run.
#[derive(Default)]
pub(crate) struct Played {
    /// With the instant, on the clock of the run, at which each was given.
    pub(crate) alerts: Vec<(i64, Alert)>,
    pub(crate) finished: Vec<FinishedCall>,
    pub(crate) counters: Counters,
}

/// A worker in simulated time: transcripts come back `delay` messages later, the latest first.
pub(crate) struct Worker<'a> {
    pub(crate) sessions: Sessions,
    demos: &'a BTreeMap<String, &'a Demo>,
    waiting: Vec<(usize, TranscribeJob)>,
    delay: usize,
    steps: usize,
    now_ms: i64,
    pub(crate) played: Played,
    pub(crate) commits: bool,
}

impl<'a> Worker<'a> {
    /// `demos` by call id.
    pub(crate) fn new(demos: &'a BTreeMap<String, &'a Demo>, delay: usize) -> Self {
        let sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
        Self {
            sessions,
            demos,
            waiting: Vec::new(),
            delay,
            steps: 0,
            now_ms: 0,
            played: Played::default(),
            commits: true,
        }
    }

    /// Takes the message at `position`; the clock is the message's.
    pub(crate) fn take(&mut self, position: Position, message: Message) {
        self.now_ms = self.now_ms.max(message.ts_ms());
        self.steps += 1;
        assert!(!message.call_id().as_str().is_empty());
        let outputs = match message {
            Message::Chunk(chunk) => self.sessions.on_chunk(position, self.now_ms, chunk),
            Message::Event(event) => self.sessions.on_event(position, self.now_ms, event),
        };
        self.handle(outputs.unwrap());
        if self.steps.is_multiple_of(10) {
            let outputs = self.sessions.on_tick(self.now_ms);
            self.handle(outputs);
        }
        self.transcribe(false);
    }

    /// Lets the grace of ended calls pass.
    pub(crate) fn finish(&mut self) {
        self.now_ms += 5_000;
        let outputs = self.sessions.on_tick(self.now_ms);
        self.handle(outputs);
        self.transcribe(true);
        self.played.counters = self.sessions.counters();
    }

    fn transcribe(&mut self, all: bool) {
        while let Some(at) = self.waiting.iter().rposition(|(due, _)| all || *due <= self.steps) {
            let (_, job) = self.waiting.remove(at);
            let transcript = self.demos[job.call_id.as_str()].transcript(&job);
            let outputs = self.sessions.on_transcript(job.complete(Ok(transcript)));
            self.handle(outputs);
        }
    }

    fn handle(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Transcribe(job) => self.waiting.push((self.steps + self.delay, job)),
                Output::Alert(alert) => self.played.alerts.push((self.now_ms, *alert)),
                Output::Broken(broken) => panic!("{}", broken.reason),
                Output::Finished(call) => {
                    if self.commits {
                        self.sessions.on_committed(call.call_id());
                    }
                    self.played.finished.push(*call);
                }
            }
        }
    }
}

/// The positions of messages: chunks and events in topics of their own.
pub(crate) fn positions(messages: &[Message]) -> Vec<Position> {
    let mut next = BTreeMap::from([(AUDIO, 0), (EVENTS, 0)]);
    messages
        .iter()
        .map(|message| {
            let source = if matches!(message, Message::Chunk(_)) { AUDIO } else { EVENTS };
            let offset = next.get_mut(&source).unwrap();
            *offset += 1;
            Position { source, offset: *offset - 1 }
        })
        .collect()
}

/// Plays messages to the end.
pub(crate) fn play(demos: &BTreeMap<String, &Demo>, messages: &[Message], delay: usize) -> Played {
    let mut worker = Worker::new(demos, delay);
    for (position, message) in positions(messages).into_iter().zip(messages) {
        worker.take(position, message.clone());
    }
    worker.finish();
    worker.played
}
