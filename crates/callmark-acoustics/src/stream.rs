//! Speech as it arrives: the judgement of `speech`, chunk by chunk, for calls that are still going on.
//!
//! A recording's noise is measured on all of it; a call that goes on has only its past. So the noise is that of
//! everything heard so far, and what is judged differs from the recording's judgement in the first seconds at most.
//! The probabilities do not depend on how the samples were cut when they were handed in.

use crate::kernel::LANES;
use crate::power::{frame_powers, of_decibels};
use crate::silero::{CHUNK_SAMPLES, Memory, SpeechNetwork};
use crate::speech::{
    AUDIBLE_ABOVE_NOISE_DB, AUDIBLE_DBFS, CHUNK_MS, COOL_DOWN_CHUNKS, INAUDIBLE_DBFS, NOISE_QUANTILE,
    WARM_UP_CHUNKS,
};
use std::sync::Arc;

/// Milliseconds that one probability of a [`SpeechStream`] speaks for.
pub const SPEECH_CHUNK_MS: i64 = CHUNK_MS;

/// Chunks judged at a time, half a second: fewer would cost as much as that many.
const BATCH_CHUNKS: usize = LANES;
/// Steps of the levels that are counted to know the noise, a decibel.
const LEVEL_STEPS_PER_DB: f64 = 2.0;
/// Levels counted, from [`INAUDIBLE_DBFS`] to full scale.
const LEVELS: usize = (-INAUDIBLE_DBFS * LEVEL_STEPS_PER_DB) as usize + 1;

/// The speech network, shared by all streams; it takes 1.2 MB.
#[derive(Clone)]
pub struct SpeechDetector {
    network: Arc<SpeechNetwork>,
}

impl std::fmt::Debug for SpeechDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpeechDetector")
    }
}

impl Default for SpeechDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl SpeechDetector {
    /// The network with the bundled weights.
    pub fn new() -> Self {
        Self { network: Arc::new(SpeechNetwork::new()) }
    }

    /// A channel of which nothing was heard yet.
    pub fn stream(&self) -> SpeechStream {
        SpeechStream {
            network: Arc::clone(&self.network),
            memory: Memory::new(),
            buffer: Vec::new(),
            first_buffered: 0,
            judged: 0,
            fed: 0,
            listen_until: 0,
            levels: [0; LEVELS],
            sounding: 0,
        }
    }
}

/// One channel on its way through the network. Holds less than two seconds of sound however long the call is.
pub struct SpeechStream {
    network: Arc<SpeechNetwork>,
    memory: Memory,
    /// Sound from chunk `first_buffered` on.
    buffer: Vec<i16>,
    first_buffered: usize,
    /// Chunks that have a probability.
    judged: usize,
    /// Chunks that the memory speaks for.
    fed: usize,
    /// First chunk after the last audible one and its cool-down.
    listen_until: usize,
    /// How many chunks had which level.
    levels: [u32; LEVELS],
    sounding: u32,
}

impl std::fmt::Debug for SpeechStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeechStream").field("judged", &self.judged).finish_non_exhaustive()
    }
}

impl SpeechStream {
    /// Takes 16 kHz samples; appends to `probabilities` how likely each further chunk of [`SPEECH_CHUNK_MS`] is
    /// speech, 0 to 1, as soon as half a second of chunks is complete.
    pub fn push(&mut self, samples: &[i16], probabilities: &mut Vec<f32>) {
        let mut rest = samples;
        while !rest.is_empty() {
            let wanted = (self.judged + BATCH_CHUNKS - self.first_buffered) * CHUNK_SAMPLES;
            let (now, later) = rest.split_at(rest.len().min(wanted - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == wanted {
                self.judge(BATCH_CHUNKS, probabilities);
            }
        }
    }

    /// Ends the channel: appends the probabilities of what is left, the last chunk filled up with silence.
    pub fn finish(&mut self, probabilities: &mut Vec<f32>) {
        let left = self.buffer.len().div_ceil(CHUNK_SAMPLES) + self.first_buffered - self.judged;
        self.judge(left, probabilities);
    }

    fn judge(&mut self, chunks: usize, probabilities: &mut Vec<f32>) {
        let first = self.judged;
        let mut found = vec![0.0_f32; chunks];
        let mut run: Option<std::ops::Range<usize>> = None;
        for chunk in first..first + chunks {
            if self.is_audible(chunk) {
                self.listen_until = chunk + COOL_DOWN_CHUNKS + 1;
                let warm_up = chunk.saturating_sub(WARM_UP_CHUNKS).max(self.first_buffered);
                let going_on = run.as_ref().map_or(self.fed, |r| r.end);
                if going_on < warm_up {
                    self.feed(run.take(), first, &mut found);
                    self.memory = Memory::new();
                    run = Some(warm_up..chunk + 1);
                } else {
                    run = Some(run.map_or(going_on, |r| r.start)..chunk + 1);
                }
            } else if chunk < self.listen_until {
                run = Some(run.map_or(self.fed, |r| r.start)..chunk + 1);
            }
        }
        self.feed(run, first, &mut found);
        probabilities.append(&mut found);
        self.judged += chunks;
        // Kept: the warm-up, and the chunk before it, whose end the network looks at.
        let keep_from = self.judged.saturating_sub(WARM_UP_CHUNKS + 1).max(self.first_buffered);
        let drop = ((keep_from - self.first_buffered) * CHUNK_SAMPLES).min(self.buffer.len());
        self.buffer.drain(..drop);
        self.first_buffered = keep_from;
    }

    /// Lets the network hear `run`; writes the probabilities of the chunks from `first` on.
    fn feed(&mut self, run: Option<std::ops::Range<usize>>, first: usize, found: &mut [f32]) {
        let Some(run) = run else { return };
        let mut heard = vec![0.0; run.len()];
        self.network.go_on(&mut self.memory, &self.buffer, run.start - self.first_buffered, &mut heard);
        for (chunk, probability) in run.clone().zip(heard).filter(|(chunk, _)| *chunk >= first) {
            found[chunk - first] = probability;
        }
        self.fed = run.end;
    }

    /// Whether something rises above the noise in a chunk, which is counted for the noise as well.
    fn is_audible(&mut self, chunk: usize) -> bool {
        let start = (chunk - self.first_buffered) * CHUNK_SAMPLES;
        let end = (start + CHUNK_SAMPLES).min(self.buffer.len());
        let power = frame_powers(&self.buffer[start.min(end)..end]).into_iter().fold(0.0, f32::max);
        if power <= of_decibels(INAUDIBLE_DBFS) {
            return false;
        }
        let above = 10.0 * f64::from(power).log10() - INAUDIBLE_DBFS;
        let level = ((above * LEVEL_STEPS_PER_DB) as usize).min(LEVELS - 1);
        self.levels[level] = self.levels[level].saturating_add(1);
        self.sounding = self.sounding.saturating_add(1);
        let threshold = (self.noise_dbfs() + AUDIBLE_ABOVE_NOISE_DB).clamp(INAUDIBLE_DBFS, AUDIBLE_DBFS);
        power > of_decibels(threshold)
    }

    fn noise_dbfs(&self) -> f64 {
        let rank = (f64::from(self.sounding.saturating_sub(1)) * NOISE_QUANTILE).round() as u32;
        let mut below = 0_u32;
        for (level, count) in self.levels.iter().enumerate() {
            below = below.saturating_add(*count);
            if below > rank {
                return INAUDIBLE_DBFS + level as f64 / LEVEL_STEPS_PER_DB;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AcousticOptions;
    use crate::speech::{speech_probabilities, speech_spans};
    use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ, Span};
    use proptest::prelude::*;

    /// A channel of a demo call, each sample twice: 8 kHz sound as 16 kHz.
    fn demo_channel(fixture: &str) -> Vec<i16> {
        let path = format!("{}/../../pipelines/demo/fixtures/{fixture}", env!("CARGO_MANIFEST_DIR"));
        let mut reader = hound::WavReader::open(path).unwrap();
        let spec = reader.spec();
        let repeat = (PIPELINE_SAMPLE_RATE_HZ / spec.sample_rate) as usize;
        let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
        samples.iter().step_by(usize::from(spec.channels)).flat_map(|s| vec![*s; repeat]).collect()
    }

    fn streamed(samples: &[i16], pieces: &[usize]) -> Vec<f32> {
        let mut stream = SpeechDetector::new().stream();
        let mut found = Vec::new();
        let mut rest = samples;
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            stream.push(now, &mut found);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        stream.finish(&mut found);
        found
    }

    #[test]
    fn the_stream_finds_the_speech_that_a_recording_has() {
        let mut samples = demo_channel("speech.wav");
        samples.extend(vec![0; 40_000]);
        samples.extend(demo_channel("speech.wav"));
        let batch =
            speech_probabilities(&SpeechNetwork::new(), &samples, &crate::power::frame_powers(&samples));
        let live = streamed(&samples, &[320]);
        assert_eq!(live.len(), batch.len());
        let spans = |p: &[f32]| {
            speech_spans(p, Millis(p.len() as i64 * SPEECH_CHUNK_MS), &AcousticOptions::default())
        };
        let (batch, live) = (spans(&batch), spans(&live));
        let total = |spans: &[Span]| spans.iter().map(|s| s.duration().0).sum::<i64>();
        let common: i64 = batch.iter().flat_map(|b| live.iter().map(|l| b.overlap(*l).0)).sum();
        assert!(total(&batch) > 1_000, "{batch:?}");
        assert!(common * 100 >= total(&batch) * 97, "{batch:?} {live:?}");
        assert!(common * 100 >= total(&live) * 97, "{batch:?} {live:?}");
    }

    #[test]
    fn silence_is_no_speech_and_every_chunk_has_a_probability() {
        let found = streamed(&vec![0; 16_000 * 3 + 5], &[777]);
        assert_eq!(found, vec![0.0; (16_000 * 3 + 5_usize).div_ceil(CHUNK_SAMPLES)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn how_the_samples_are_cut_does_not_matter(pieces in proptest::collection::vec(1_usize..9_000, 1..20)) {
            let mut samples = demo_channel("speech.wav");
            samples.truncate(16_000 * 4);
            prop_assert_eq!(streamed(&samples, &pieces), streamed(&samples, &[CHUNK_SAMPLES]));
        }
    }
}
