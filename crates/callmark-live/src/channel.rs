//! One channel of a live call: chunks in any order to utterances with their sound.

use crate::chunk::Chunk;
use crate::options::LiveOptions;
use crate::reorder::{Arrival, Released, Reorder};
use crate::segment::{Ended, Segmenter};
use crate::timeline::{KeptSound, SAMPLES_PER_MS, Timeline, silence_steps};
use callmark_acoustics::{SPEECH_CHUNK_MS, SpeechDetector, SpeechStream};
use callmark_audio::ChunkCodec;
use callmark_types::{Millis, Pcm, Span};
use std::collections::VecDeque;

/// Levels remembered, in chunks of 32 ms: longer than the longest utterance may be by default.
const LEVEL_CHUNKS: usize = 1_024;
/// Samples of a chunk of 32 ms.
const LEVEL_SAMPLES: usize = SPEECH_CHUNK_MS as usize * SAMPLES_PER_MS as usize;

/// An utterance that is over, with its sound.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) channel: u16,
    pub(crate) span: Span,
    /// On the clock of `pcm`.
    pub(crate) speech: Vec<Span>,
    pub(crate) pcm: Pcm,
    /// Where `pcm` begins in the call.
    pub(crate) offset: Millis,
}

/// What went wrong on a channel, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelTrouble {
    /// Chunks given up, by their numbers.
    pub lost_chunks: u64,
    /// Silence put in their place, in milliseconds.
    pub missing_ms: u64,
    /// Chunks that came after they were given up.
    pub late_chunks: u64,
    /// Chunks that came twice.
    pub duplicate_chunks: u64,
    /// Chunks that could not be decoded.
    pub broken_chunks: u64,
    /// Changes of codec or rate.
    pub format_changes: u64,
}

impl std::ops::AddAssign for ChannelTrouble {
    fn add_assign(&mut self, other: Self) {
        self.lost_chunks = self.lost_chunks.saturating_add(other.lost_chunks);
        self.missing_ms = self.missing_ms.saturating_add(other.missing_ms);
        self.late_chunks = self.late_chunks.saturating_add(other.late_chunks);
        self.duplicate_chunks = self.duplicate_chunks.saturating_add(other.duplicate_chunks);
        self.broken_chunks = self.broken_chunks.saturating_add(other.broken_chunks);
        self.format_changes = self.format_changes.saturating_add(other.format_changes);
    }
}

/// A chunk that turned out to be broken when its turn came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenChunk {
    /// The chunk, with its original bytes.
    pub chunk: Chunk,
    /// Why it could not be decoded.
    pub reason: String,
}

#[derive(Debug)]
pub(crate) struct Channel {
    index: u16,
    reorder: Reorder<Chunk>,
    timeline: Timeline,
    kept: KeptSound,
    format: Option<(ChunkCodec, u32)>,
    speech: SpeechStream,
    segmenter: Segmenter,
    /// Sound from sample `recent_start` on, as far back as an utterance may need it.
    recent: Vec<i16>,
    recent_start: u64,
    /// Mean squares of the last chunks of 32 ms, the last of them unfinished.
    levels: VecDeque<f64>,
    level_samples: u64,
    margin: Millis,
    jitter: Millis,
    /// A chunk was lost since the last one that could be decoded.
    gap: bool,
    last_speech_end: Millis,
    pub(crate) trouble: ChannelTrouble,
}

impl Channel {
    pub(crate) fn new(index: u16, detector: &SpeechDetector, options: &LiveOptions) -> Self {
        let segmenter =
            Segmenter::new(options.acoustics.clone(), options.utterance_pause, options.max_utterance);
        Self {
            index,
            reorder: Reorder::new(options.reorder_window, options.reorder_chunks),
            timeline: Timeline::default(),
            kept: KeptSound::default(),
            format: None,
            speech: detector.stream(),
            segmenter,
            recent: Vec::new(),
            recent_start: 0,
            levels: VecDeque::new(),
            level_samples: 0,
            margin: options.utterance_margin,
            jitter: options.jitter,
            gap: false,
            last_speech_end: Millis::ZERO,
            trouble: ChannelTrouble::default(),
        }
    }

    /// How long it is.
    pub(crate) fn clock(&self) -> Millis {
        Millis((self.timeline.due() / SAMPLES_PER_MS) as i64)
    }

    /// How far speech was looked for.
    pub(crate) fn heard_until(&self) -> Millis {
        self.segmenter.clock()
    }

    /// Start of the utterance that is not over.
    pub(crate) fn open_since(&self) -> Option<Millis> {
        self.segmenter.open_since()
    }

    /// End of the last speech, as far as it is known.
    pub(crate) fn last_speech_end(&self) -> Millis {
        if self.open_since().is_some() { self.heard_until() } else { self.last_speech_end }
    }

    pub(crate) fn stored_bytes(&self) -> usize {
        self.kept.bytes()
    }

    pub(crate) fn into_kept(self) -> KeptSound {
        self.kept
    }

    pub(crate) fn earliest_ts_ms(&self) -> Option<i64> {
        self.reorder.earliest_ts_ms()
    }

    /// Latest time among the chunks that wait.
    pub(crate) fn latest_ts_ms(&self) -> Option<i64> {
        self.reorder.latest_ts_ms()
    }

    /// Chunks that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.reorder.waiting()
    }

    /// Gives up the chunks that wait.
    pub(crate) fn give_up(&mut self) -> Vec<Chunk> {
        self.reorder.give_up()
    }

    pub(crate) fn may_start(&self) -> bool {
        self.reorder.may_start()
    }

    /// Takes a chunk into its order.
    pub(crate) fn accept(&mut self, chunk: Chunk) -> Arrival {
        let arrival = self.reorder.push(chunk.seq, chunk.ts_ms, chunk);
        match arrival {
            Arrival::Late => self.trouble.late_chunks += 1,
            Arrival::Duplicate => self.trouble.duplicate_chunks += 1,
            Arrival::Taken | Arrival::Restart => {}
        }
        arrival
    }

    pub(crate) fn restart(&mut self, seq: u64) {
        self.reorder.restart(seq);
    }

    /// Decodes the chunks whose turn it is; `origin_ms` is the call's zero.
    pub(crate) fn drain(
        &mut self,
        origin_ms: i64,
        flush: bool,
        heard: &mut Vec<Heard>,
        broken: &mut Vec<BrokenChunk>,
    ) {
        while let Some(Released { lost_before, ts_ms, item: chunk }) = self.reorder.pop(flush) {
            self.trouble.lost_chunks = self.trouble.lost_chunks.saturating_add(lost_before);
            self.gap |= lost_before > 0;
            self.fill_gap(ts_ms - origin_ms, heard);
            self.decode(chunk, heard, broken);
        }
    }

    /// Silence up to `end`, where the call went on without sound.
    pub(crate) fn silence_until(&mut self, end: Millis, heard: &mut Vec<Heard>) {
        self.fill_gap(end.0, heard);
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, heard: &mut Vec<Heard>) {
        let mut samples = Vec::new();
        self.timeline.finish(&mut samples);
        self.listen(&samples, heard);
        let mut probabilities = Vec::new();
        self.speech.finish(&mut probabilities);
        self.segment(&probabilities, heard);
        let ended = self.segmenter.finish();
        self.take(ended, heard);
    }

    /// Mean level over `span`, in dB full scale, as far as it is remembered.
    pub(crate) fn level_dbfs(&self, span: Span) -> Option<f64> {
        let total = (self.level_samples as usize).div_ceil(LEVEL_SAMPLES);
        let first = total - self.levels.len();
        let from = (span.start.0.max(0) / SPEECH_CHUNK_MS) as usize;
        let to = (span.end.0.max(0) / SPEECH_CHUNK_MS) as usize + 1;
        let inside = from.max(first)..to.min(total);
        let count = inside.len();
        let sum: f64 = inside.map(|chunk| self.levels[chunk - first]).sum();
        (count > 0 && sum > 0.0).then(|| 10.0 * (sum / count as f64).log10())
    }

    /// Silence for what is missing before a chunk at `at_ms`.
    fn fill_gap(&mut self, at_ms: i64, heard: &mut Vec<Heard>) {
        let behind = at_ms - self.clock().0;
        let is_start = self.timeline.due() == 0;
        if behind > 0 && (self.gap || is_start || behind >= self.jitter.0) {
            self.kept.push_silence(behind as u64);
            if self.gap {
                self.trouble.missing_ms += behind as u64;
            }
            for step in silence_steps(behind as u64) {
                let mut samples = Vec::new();
                self.timeline.silence(step, &mut samples);
                self.listen(&samples, heard);
            }
        }
        self.gap = false;
    }

    fn decode(&mut self, chunk: Chunk, heard: &mut Vec<Heard>, broken: &mut Vec<BrokenChunk>) {
        let mut samples = Vec::new();
        let format = (chunk.codec, chunk.rate_hz);
        if self.format.replace(format).is_some_and(|before| before != format) {
            self.trouble.format_changes += 1;
        }
        match self.timeline.chunk(chunk.codec, chunk.rate_hz, &chunk.bytes, &mut samples) {
            Ok(()) => self.kept.push_chunk(chunk.codec, chunk.rate_hz, &chunk.bytes),
            Err(error) => {
                self.trouble.broken_chunks += 1;
                self.gap = true;
                broken.push(BrokenChunk { chunk, reason: error.to_string() });
            }
        }
        self.listen(&samples, heard);
    }

    fn listen(&mut self, samples: &[i16], heard: &mut Vec<Heard>) {
        self.recent.extend_from_slice(samples);
        self.measure(samples);
        let mut probabilities = Vec::new();
        self.speech.push(samples, &mut probabilities);
        self.segment(&probabilities, heard);
        self.trim();
    }

    fn segment(&mut self, probabilities: &[f32], heard: &mut Vec<Heard>) {
        for probability in probabilities {
            let ended = self.segmenter.push(*probability);
            self.take(ended, heard);
        }
    }

    fn measure(&mut self, samples: &[i16]) {
        let mut rest = samples;
        while !rest.is_empty() {
            let filled = (self.level_samples % LEVEL_SAMPLES as u64) as usize;
            if filled == 0 {
                if self.levels.len() == LEVEL_CHUNKS {
                    self.levels.pop_front();
                }
                self.levels.push_back(0.0);
            }
            let (now, later) = rest.split_at(rest.len().min(LEVEL_SAMPLES - filled));
            let energy: f64 = now.iter().map(|s| (f64::from(*s) / 32_768.0).powi(2)).sum();
            if let Some(level) = self.levels.back_mut() {
                *level += energy / LEVEL_SAMPLES as f64;
            }
            self.level_samples += now.len() as u64;
            rest = later;
        }
    }

    /// Cuts an utterance's sound out of what was kept of the recent past.
    fn take(&mut self, ended: Option<Ended>, heard: &mut Vec<Heard>) {
        let Some(ended) = ended else { return };
        let span = ended.span();
        self.last_speech_end = span.end;
        let earliest = Millis(self.recent_start.div_ceil(SAMPLES_PER_MS) as i64);
        let latest = Millis(((self.recent_start + self.recent.len() as u64) / SAMPLES_PER_MS) as i64);
        let from = (span.start - self.margin).max(ended.floor).max(earliest);
        let to = (span.end + self.margin).min(ended.ceiling.unwrap_or(latest)).min(latest).max(from);
        let index = |at: Millis| (at.0 as u64 * SAMPLES_PER_MS - self.recent_start) as usize;
        let samples = self.recent[index(from)..index(to)].to_vec();
        let limit = to - from;
        let speech = ended
            .speech
            .iter()
            .map(|s| Span::new((s.start - from).max(Millis::ZERO), (s.end - from).min(limit)));
        let speech = speech.filter(|s| s.duration() > Millis::ZERO).collect();
        heard.push(Heard { channel: self.index, span, speech, pcm: Pcm { samples }, offset: from });
    }

    /// Forgets the sound that no utterance can need any more.
    fn trim(&mut self) {
        let needed = self.open_since().unwrap_or_else(|| self.heard_until()) - self.margin - self.margin;
        let keep_from = needed.0.max(0) as u64 * SAMPLES_PER_MS;
        let excess = keep_from.saturating_sub(self.recent_start).min(self.recent.len() as u64);
        if excess > 0 {
            self.recent.drain(..excess as usize);
            self.recent_start += excess;
        }
    }
}
