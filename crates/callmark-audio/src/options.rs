//! What a caller may ask for and what it allows a recording to cost.

use callmark_types::Millis;

/// Lowest sample rate accepted, in hertz. Telephony starts at 8 kHz; below 4 kHz there is no intelligible speech.
pub const MIN_SAMPLE_RATE_HZ: u32 = 4_000;

/// Highest sample rate accepted, in hertz.
pub const MAX_SAMPLE_RATE_HZ: u32 = 192_000;

/// What one recording may cost. A recording beyond a limit is refused before memory is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest recording; the default is four hours.
    pub max_duration: Millis,
    /// Largest input, in bytes; the default is 4 GiB.
    pub max_bytes: u64,
    /// Most channels; the default is eight.
    pub max_channels: u16,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_duration: Millis(4 * 3_600_000), max_bytes: 4 << 30, max_channels: 8 }
    }
}

/// A codec without a header of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawCodec {
    /// G.711 mu-law, one byte a sample.
    Ulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
    /// Signed linear, 16 bit, little-endian (Asterisk's `sln`).
    S16le,
    /// Signed linear, 16 bit, big-endian (RTP's `L16`).
    S16be,
    /// GSM 06.10 full rate, frames of 33 bytes.
    Gsm,
    /// G.722 at 64 kbit/s: 16 kHz sound whatever a header says.
    G722,
    /// G.726 at 16 kbit/s, packed from the least significant bit (RFC 3551).
    G726Rate16,
    /// G.726 at 24 kbit/s, packed from the least significant bit.
    G726Rate24,
    /// G.726 at 32 kbit/s, packed from the least significant bit.
    G726Rate32,
    /// G.726 at 40 kbit/s, packed from the least significant bit.
    G726Rate40,
}

impl RawCodec {
    /// Every headerless codec.
    pub const ALL: [Self; 10] = [
        Self::Ulaw,
        Self::Alaw,
        Self::S16le,
        Self::S16be,
        Self::Gsm,
        Self::G722,
        Self::G726Rate16,
        Self::G726Rate24,
        Self::G726Rate32,
        Self::G726Rate40,
    ];

    /// The name a person writes in a flag (`ulaw`, `alaw`, `s16le`, `gsm`, `g722`, `g726-32`, …).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ulaw => "ulaw",
            Self::Alaw => "alaw",
            Self::S16le => "s16le",
            Self::S16be => "s16be",
            Self::Gsm => "gsm",
            Self::G722 => "g722",
            Self::G726Rate16 => "g726-16",
            Self::G726Rate24 => "g726-24",
            Self::G726Rate32 => "g726-32",
            Self::G726Rate40 => "g726-40",
        }
    }
}

/// How to read a recording that has no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawFormat {
    /// The codec.
    pub codec: RawCodec,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Channels, interleaved sample by sample; GSM, G.722 and G.726 are mono.
    pub channels: u16,
}

impl RawFormat {
    /// `codec` at its usual rate (16 kHz for G.722, else 8 kHz), mono.
    pub fn of(codec: RawCodec) -> Self {
        let sample_rate_hz = if codec == RawCodec::G722 { 16_000 } else { 8_000 };
        Self { codec, sample_rate_hz, channels: 1 }
    }
}

impl std::str::FromStr for RawFormat {
    type Err = String;

    /// Reads `CODEC[:RATE[:CHANNELS]]`, for example `ulaw`, `s16le:16000` or `alaw:8000:2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let codec = RawCodec::ALL.into_iter().find(|c| c.as_str() == name).ok_or_else(|| {
            let known: Vec<&str> = RawCodec::ALL.iter().map(|c| c.as_str()).collect();
            format!("headerless codec {name:?} is not known, use one of {}", known.join(", "))
        })?;
        let mut format = Self::of(codec);
        if let Some(rate) = parts.next() {
            format.sample_rate_hz = rate
                .parse()
                .ok()
                .filter(|r| (MIN_SAMPLE_RATE_HZ..=MAX_SAMPLE_RATE_HZ).contains(r))
                .ok_or_else(|| {
                    format!(
                        "sample rate {rate:?} is no number of hertz from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}"
                    )
                })?;
        }
        if let Some(channels) = parts.next() {
            format.channels = channels
                .parse()
                .ok()
                .filter(|&c: &u16| c > 0)
                .ok_or_else(|| format!("channel count {channels:?} is no positive number"))?;
        }
        match parts.next() {
            None => Ok(format),
            Some(extra) => {
                Err(format!("headerless format {text:?} has {extra:?} too much, write CODEC:RATE:CHANNELS"))
            }
        }
    }
}

/// How to decode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What the recording may cost.
    pub limits: DecodeLimits,
    /// How to read input whose content shows no known container; goes before content type and extension.
    pub raw: Option<RawFormat>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headerless_format_is_read_from_a_flag() {
        assert_eq!(
            "ulaw".parse(),
            Ok(RawFormat { codec: RawCodec::Ulaw, sample_rate_hz: 8_000, channels: 1 })
        );
        assert_eq!(
            "g722".parse(),
            Ok(RawFormat { codec: RawCodec::G722, sample_rate_hz: 16_000, channels: 1 })
        );
        assert_eq!(
            "s16le:48000:2".parse(),
            Ok(RawFormat { codec: RawCodec::S16le, sample_rate_hz: 48_000, channels: 2 })
        );
        for bad in ["", "mp3", "ulaw:0", "ulaw:8000:0", "ulaw:8000:1:1", "ulaw:x"] {
            assert!(bad.parse::<RawFormat>().is_err(), "{bad}");
        }
    }
}
