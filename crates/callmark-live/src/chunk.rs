//! One message of `calls.audio`, checked before anything is done with it.

use crate::options::LiveOptions;
use callmark_audio::{ChunkCodec, ChunkDecoder, ChunkError};
use callmark_types::{CallId, InvalidCallId};

/// One chunk of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The call.
    pub call_id: CallId,
    /// Channel, from 0.
    pub channel: u16,
    /// Number in the channel, one more with each chunk.
    pub seq: u64,
    /// When its first sample was recorded, in milliseconds since 1970.
    pub ts_ms: i64,
    /// How the bytes are coded.
    pub codec: ChunkCodec,
    /// Samples a second.
    pub rate_hz: u32,
    /// The sound.
    pub bytes: Vec<u8>,
    /// Where its message lies, once it was handed in: for the dead letter, should it turn out to be broken.
    pub offset: i64,
}

/// Why a message was not taken. The message becomes a dead letter with this reason; the call goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key of the message is no call id.
    #[error("the message key is no call id: {0}")]
    CallId(#[from] InvalidCallId),
    /// A header is missing.
    #[error("the header `{0}` is missing")]
    HeaderMissing(&'static str),
    /// A header has a value that cannot be read.
    #[error("the header `{name}` has the value `{value}`, expected {expected}")]
    HeaderValue {
        /// The header.
        name: &'static str,
        /// Its value, shortened.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The chunk is larger than allowed.
    #[error("the chunk has {bytes} bytes, at most {limit} are allowed")]
    Oversize {
        /// Bytes of the chunk.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The chunk is empty.
    #[error("the chunk is empty")]
    Empty,
    /// The channel number is beyond the limit.
    #[error("channel {channel} is beyond the limit of {limit} channels")]
    TooManyChannels {
        /// Channel of the chunk.
        channel: u16,
        /// Channels allowed.
        limit: u16,
    },
    /// The time stamp is far ahead of the call.
    #[error("the time stamp lies {ahead_ms} ms ahead of the channel, at most {limit_ms} are allowed")]
    FarAhead {
        /// How far.
        ahead_ms: i64,
        /// How far it may.
        limit_ms: i64,
    },
    /// Rate or bytes do not fit the codec.
    #[error(transparent)]
    Sound(#[from] ChunkError),
    /// No session is free. Not the message's fault.
    #[error("{0} calls are open, no more are allowed: raise `live.max_sessions`, or use more partitions")]
    TooManySessions(usize),
    /// The event cannot be read.
    #[error("the event cannot be read: {0}")]
    Event(String),
}

/// Longest part of a header's value that an error repeats, in characters.
const SHOWN_HEADER_CHARS: usize = 32;

impl Chunk {
    /// Reads a message: its key, its headers by name (`codec`, `rate`, `channel`, `seq`, `ts-ms`) and its value.
    pub fn from_message<'a>(
        key: &str,
        header: impl Fn(&str) -> Option<&'a [u8]>,
        bytes: Vec<u8>,
    ) -> Result<Self, Refusal> {
        let text = |name: &'static str| -> Result<String, Refusal> {
            let value = header(name).ok_or(Refusal::HeaderMissing(name))?;
            Ok(String::from_utf8_lossy(value).trim().to_owned())
        };
        let codec = text("codec")?;
        Ok(Self {
            call_id: CallId::new(key)?,
            channel: number("channel", &text("channel")?, "a channel number from 0")?,
            seq: number("seq", &text("seq")?, "a number that grows by one with each chunk")?,
            ts_ms: number("ts-ms", &text("ts-ms")?, "milliseconds since 1970")?,
            codec: ChunkCodec::parse(&codec)
                .ok_or_else(|| bad_header("codec", &codec, "one of pcmu, pcma, pcm_s16le, opus"))?,
            rate_hz: number("rate", &text("rate")?, "samples a second")?,
            bytes,
            offset: 0,
        })
    }

    /// Whether the chunk may be taken into a session.
    pub(crate) fn check(&self, options: &LiveOptions) -> Result<(), Refusal> {
        if self.channel >= options.max_channels {
            return Err(Refusal::TooManyChannels { channel: self.channel, limit: options.max_channels });
        }
        if !(0..=LATEST_MS).contains(&self.ts_ms) {
            return Err(bad_header("ts-ms", &self.ts_ms.to_string(), "milliseconds since 1970"));
        }
        if self.bytes.is_empty() {
            return Err(Refusal::Empty);
        }
        if self.bytes.len() > options.max_chunk_bytes {
            return Err(Refusal::Oversize { bytes: self.bytes.len(), limit: options.max_chunk_bytes });
        }
        if self.codec == ChunkCodec::PcmS16le && !self.bytes.len().is_multiple_of(2) {
            let reason = format!("{} bytes are no whole number of 16-bit samples", self.bytes.len());
            return Err(ChunkError::Broken(reason).into());
        }
        ChunkDecoder::check_rate(self.rate_hz)?;
        Ok(())
    }
}

/// End of the year 9999: a later time is no time.
const LATEST_MS: i64 = 253_402_300_799_999;

fn number<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, Refusal> {
    value.parse().map_err(|_| bad_header(name, value, expected))
}

fn bad_header(name: &'static str, value: &str, expected: &'static str) -> Refusal {
    Refusal::HeaderValue { name, value: value.chars().take(SHOWN_HEADER_CHARS).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<Chunk, Refusal> {
        Chunk::from_message(
            "call-1",
            |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_bytes()),
            vec![0; 160],
        )
    }

    const GOOD: [(&str, &str); 5] =
        [("codec", "pcmu"), ("rate", "8000"), ("channel", "1"), ("seq", "7"), ("ts-ms", "1700000000000")];

    #[test]
    fn the_headers_of_the_contract_are_read() {
        let chunk = read(&GOOD).unwrap();
        assert_eq!((chunk.channel, chunk.seq, chunk.ts_ms), (1, 7, 1_700_000_000_000));
        assert!(chunk.check(&LiveOptions::default()).is_ok());
    }

    #[test]
    fn an_unknown_codec_and_a_missing_header_say_so() {
        let mut headers = GOOD;
        headers[0].1 = "g729";
        let text = read(&headers).unwrap_err().to_string();
        assert_eq!(
            text,
            "the header `codec` has the value `g729`, expected one of pcmu, pcma, pcm_s16le, opus"
        );
        assert_eq!(read(&GOOD[..4]), Err(Refusal::HeaderMissing("ts-ms")));
    }

    #[test]
    fn a_chunk_beyond_a_limit_is_refused() {
        let options = LiveOptions::default();
        let good = read(&GOOD).unwrap();
        let check = |chunk: Chunk| chunk.check(&options).unwrap_err();
        assert!(matches!(check(Chunk { bytes: vec![0; 192_001], ..good.clone() }), Refusal::Oversize { .. }));
        assert!(matches!(check(Chunk { channel: 8, ..good.clone() }), Refusal::TooManyChannels { .. }));
        assert!(matches!(check(Chunk { rate_hz: 4_000, ..good.clone() }), Refusal::Sound(_)));
        assert!(matches!(check(Chunk { bytes: Vec::new(), ..good }), Refusal::Empty));
    }
}
