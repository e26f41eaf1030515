//! Headers of the containers that hold one plain stream of samples or fixed blocks: RIFF, RF64, W64,
//! AU, SPHERE, AIFF, CAF.

pub(crate) mod aiff;
pub(crate) mod au;
pub(crate) mod caf;
pub(crate) mod matroska;
pub(crate) mod riff;
pub(crate) mod sphere;
pub(crate) mod w64;
mod wave_format;

pub(crate) use wave_format::{WaveFormat, parse_wave_format};

/// How the samples of a stream are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Unsigned 8 bit.
    Unsigned8,
    /// Signed integers of 1 to 8 bytes, of which the two most significant are kept.
    Signed { bytes: usize, big_endian: bool },
    /// IEEE floats of 4 or 8 bytes, full scale 1.0.
    Float { bytes: usize, big_endian: bool },
    /// G.711 mu-law.
    Ulaw,
    /// G.711 A-law.
    Alaw,
    /// IMA ADPCM in blocks of `block_bytes` (WAV's layout).
    ImaAdpcm { block_bytes: usize },
    /// Microsoft ADPCM in blocks of `block_bytes`.
    MsAdpcm { block_bytes: usize, coefficients: Vec<[i16; 2]> },
    /// GSM 06.10 in frames of 33 bytes.
    Gsm,
    /// GSM 06.10 in pairs of frames of 65 bytes (WAV49).
    GsmPairs,
    /// G.722 at 64 kbit/s.
    G722,
    /// G.726 with codes of 2 to 5 bits.
    G726 { bits: u32, most_significant_first: bool },
}

impl Encoding {
    /// The name in the `codec` column.
    pub(crate) fn codec_name(&self) -> &'static str {
        match self {
            Self::Unsigned8 => "pcm_u8",
            Self::Signed { bytes: 1, .. } => "pcm_s8",
            Self::Signed { bytes: 2, big_endian: false } => "pcm_s16le",
            Self::Signed { bytes: 2, .. } => "pcm_s16be",
            Self::Signed { bytes: 3, big_endian: false } => "pcm_s24le",
            Self::Signed { bytes: 3, .. } => "pcm_s24be",
            Self::Signed { bytes: 4, big_endian: false } => "pcm_s32le",
            Self::Signed { bytes: 4, .. } => "pcm_s32be",
            Self::Signed { big_endian: false, .. } => "pcm_s64le",
            Self::Signed { .. } => "pcm_s64be",
            Self::Float { bytes: 4, big_endian: false } => "pcm_f32le",
            Self::Float { bytes: 4, .. } => "pcm_f32be",
            Self::Float { big_endian: false, .. } => "pcm_f64le",
            Self::Float { .. } => "pcm_f64be",
            Self::Ulaw => "pcm_mulaw",
            Self::Alaw => "pcm_alaw",
            Self::ImaAdpcm { .. } => "adpcm_ima",
            Self::MsAdpcm { .. } => "adpcm_ms",
            Self::Gsm => "gsm",
            Self::GsmPairs => "gsm_ms",
            Self::G722 => "g722",
            Self::G726 { .. } => "g726",
        }
    }
}

/// One stream of samples inside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) container: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) sample_rate_hz: u32,
    pub(crate) channels: u32,
    /// Where the header states the format, for error messages.
    pub(crate) format_offset: u64,
    /// Where the samples begin.
    pub(crate) data_offset: u64,
    /// How many bytes of samples the header promises; `None` for "up to the end of the file".
    pub(crate) data_len: Option<u64>,
    /// How many frames the header promises, where it says so apart from `data_len`.
    pub(crate) frames: Option<u64>,
}

/// What a header turns out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Header {
    /// Samples that are decoded here.
    Stream(Stream),
    /// An MPEG audio stream inside the container.
    Mpeg { data_offset: u64, data_len: Option<u64> },
}

/// `N` bytes at `offset`, or `None` beyond the end.
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u16_le(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_le_bytes)
}

pub(crate) fn u32_le(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes_at(bytes, offset).map(u32::from_le_bytes)
}

pub(crate) fn u64_le(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes_at(bytes, offset).map(u64::from_le_bytes)
}

pub(crate) fn u16_be(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_be_bytes)
}

pub(crate) fn u32_be(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes_at(bytes, offset).map(u32::from_be_bytes)
}

pub(crate) fn u64_be(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes_at(bytes, offset).map(u64::from_be_bytes)
}
