//! One recording, sent as the live call it once was.

use super::feed::{LiveFeed, header, metadata_json};
use super::publisher::Outgoing;
use crate::inputs::Task;
use callmark_audio::{DecodeOptions, decode_file};
use callmark_types::{CallMetadata, PIPELINE_SAMPLE_RATE_HZ, Pcm, Timestamp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A live call being sent.
pub(crate) struct LiveCall {
    metadata: Box<CallMetadata>,
    channels: Vec<Pcm>,
    topic: String,
    live: LiveFeed,
    /// Sample at which the next chunk begins.
    at: usize,
    sequence: u64,
    begun: Instant,
    /// The call's first instant, as its chunks tell it, in ms since 1970.
    origin_ms: i64,
    over: bool,
}

impl LiveCall {
    /// Decodes the recording of `task`; the error is for the operator.
    pub(crate) fn of(task: Task, topic: &str, live: &LiveFeed, now: Instant) -> Result<Self, String> {
        let (path, metadata) = match task {
            Task::Recording { path, metadata, .. } => (path, metadata),
            Task::Refused { path, reason, .. } => return Err(format!("{}: {reason}", path.display())),
            Task::Written { path, .. } => {
                return Err(format!("{}: a written conversation has no audio to send live", path.display()));
            }
        };
        let decoded = decode_file(&path, &DecodeOptions::default()).map_err(|e| e.to_string())?;
        Ok(Self {
            metadata,
            channels: decoded.channels,
            topic: topic.to_owned(),
            live: live.clone(),
            at: 0,
            sequence: 0,
            begun: now,
            origin_ms: Timestamp::now().epoch_millis(),
            over: false,
        })
    }

    fn samples_a_chunk(&self) -> usize {
        ((self.live.chunk.as_secs_f64() * f64::from(PIPELINE_SAMPLE_RATE_HZ)) as usize).max(1)
    }

    fn length(&self) -> usize {
        self.channels.iter().map(|channel| channel.samples.len()).max().unwrap_or(0)
    }

    /// When the next chunk has been said.
    pub(crate) fn due(&self) -> Instant {
        if self.live.speed <= 0.0 {
            return self.begun;
        }
        let said = (self.at + self.samples_a_chunk()).min(self.length());
        self.begun
            + Duration::from_secs_f64(said as f64 / f64::from(PIPELINE_SAMPLE_RATE_HZ) / self.live.speed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The messages of the next chunk, with the events that belong to it.
    pub(crate) fn take_due(&mut self) -> Vec<Outgoing> {
        let mut messages = Vec::new();
        if self.at == 0 {
            let mut fields = metadata_json(&self.metadata);
            fields.insert("type".to_owned(), json!("started"));
            messages.push(self.event(fields, 0));
        }
        let end = (self.at + self.samples_a_chunk()).min(self.length());
        let begun_ms = (self.at * 1000 / PIPELINE_SAMPLE_RATE_HZ as usize) as i64;
        for channel in 0..self.channels.len() {
            messages.push(self.chunk(channel, end, begun_ms));
        }
        self.at = end;
        self.sequence += 1;
        if self.at >= self.length() {
            self.over = true;
            let end_ms = (self.at * 1000 / PIPELINE_SAMPLE_RATE_HZ as usize) as i64;
            messages
                .push(self.event(serde_json::Map::from_iter([("type".to_owned(), json!("ended"))]), end_ms));
        }
        messages
    }

    fn key(&self) -> Vec<u8> {
        self.metadata.call_id.as_str().as_bytes().to_vec()
    }

    fn event(&self, mut fields: serde_json::Map<String, Value>, at_ms: i64) -> Outgoing {
        fields.insert("call_id".to_owned(), json!(self.metadata.call_id));
        fields.insert("ts_ms".to_owned(), json!(self.origin_ms + at_ms));
        Outgoing {
            topic: self.live.events_topic.clone(),
            partition: None,
            key: Some(self.key()),
            headers: vec![header("content-type", b"application/json")],
            value: Some(Value::Object(fields).to_string().into_bytes()),
        }
    }

    fn chunk(&self, channel: usize, end: usize, begun_ms: i64) -> Outgoing {
        let samples = &self.channels[channel].samples;
        let part = &samples[self.at.min(samples.len())..end.min(samples.len())];
        let (codec, rate, bytes) = match self.live.codec.as_str() {
            "pcmu" => ("pcmu", 8000, mu_law_at_half_rate(part)),
            _ => ("pcm_s16le", PIPELINE_SAMPLE_RATE_HZ, part.iter().flat_map(|s| s.to_le_bytes()).collect()),
        };
        Outgoing {
            topic: self.topic.clone(),
            partition: None,
            key: Some(self.key()),
            headers: vec![
                header("codec", codec.as_bytes()),
                header("rate", rate.to_string().as_bytes()),
                header("channel", channel.to_string().as_bytes()),
                header("seq", self.sequence.to_string().as_bytes()),
                header("ts-ms", (self.origin_ms + begun_ms).to_string().as_bytes()),
            ],
            value: Some(bytes),
        }
    }
}

/// 16 kHz to 8 kHz by the mean of two samples, then G.711 mu-law.
fn mu_law_at_half_rate(samples: &[i16]) -> Vec<u8> {
    let mean = |pair: &[i16]| pair.iter().map(|s| i32::from(*s)).sum::<i32>() / pair.len() as i32;
    samples.chunks(2).map(|pair| mu_law(mean(pair) as i16)).collect()
}

/// ITU-T G.711.
fn mu_law(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = (magnitude >> 7).max(1).ilog2().min(7) as u8;
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0f) as u8;
    !(sign | (exponent << 4) | mantissa)
}

#[cfg(test)]
mod tests {
    use super::mu_law;

    #[test]
    fn mu_law_has_the_values_of_the_recommendation() {
        assert_eq!(mu_law(0), 0xff);
        assert_eq!(mu_law(32_767), 0x80);
        assert_eq!(mu_law(-32_768), 0x00);
        assert_eq!(mu_law(1_000), 0xce);
    }
}
