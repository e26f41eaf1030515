//! Bytes of any telephony format to 16 kHz PCM, every channel on its own.
//!
//! A recording is hostile until decoded: nothing here allocates because a header says so, panics, hangs, or makes up
//! sound for bytes that it does not understand. What each format does is listed in `FORMATS.md` beside this crate.

mod blocks;
mod chunks;
mod codec;
mod damage;
mod error;
mod formats;
mod headers;
mod input;
mod mp4_edits;
mod names;
mod options;
mod opus;
mod packets;
mod resample;
mod silence;
mod sink;
mod sniff;

pub use chunks::{ChunkCodec, ChunkDecoder, ChunkError, MAX_CHUNK_RATE_HZ, MIN_CHUNK_RATE_HZ};
pub use error::AudioError;
pub use names::is_audio_name;
pub use options::{DecodeLimits, DecodeOptions, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, RawCodec, RawFormat};
pub use silence::{SILENCE_MARGIN, silent_frames, write_wav};

use callmark_types::{AudioFormat, Pcm};
use std::path::Path;

/// A recording, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedAudio {
    /// What the file said of itself, and how much of it could be read.
    pub format: AudioFormat,
    /// One entry a channel, in the file's order, all of the same length, never empty.
    pub channels: Vec<Pcm>,
}

/// Decodes the file at `path`, reading it block by block.
///
/// A file that breaks off yields what came before, with `format.truncation` set. Every error names `path`.
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<DecodedAudio, AudioError> {
    let name = path.display().to_string();
    formats::decode(&name, || input::Input::open(path), None, options)
}

/// Decodes a recording that is in memory, as it comes in a message.
///
/// `name` is what errors call it, and its extension tells a headerless codec; `content_type` (a media type such as
/// `audio/PCMU;rate=8000;channels=2`) does so before the extension.
pub fn decode_bytes(
    name: &str,
    content_type: Option<&str>,
    bytes: Vec<u8>,
    options: &DecodeOptions,
) -> Result<DecodedAudio, AudioError> {
    formats::decode(name, || Ok(input::Input::from_bytes(bytes)), content_type, options)
}
