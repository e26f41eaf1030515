//! Why a recording could not be decoded, by what the caller can do about it.

use callmark_types::Millis;
use std::io;

/// Why a recording could not be decoded. Every message names the recording.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// It could not be opened or read: check the path, the permissions, the disk.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// The recording.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It has no bytes, or a header and no sound: nothing to do.
    #[error("{name} has no audio: {reason}")]
    NoAudio {
        /// The recording.
        name: String,
        /// What there is instead.
        reason: String,
    },
    /// It is sound in a format that is not decoded here: convert it.
    #[error("{name} is {format}, which is not supported\nhint: {hint}")]
    Unsupported {
        /// The recording.
        name: String,
        /// What it is.
        format: String,
        /// How to convert it.
        hint: String,
    },
    /// It is broken, or no sound at all.
    #[error("{name} is malformed at byte {byte_offset}: {reason}")]
    Malformed {
        /// The recording.
        name: String,
        /// Where, in bytes from the start.
        byte_offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// It lasts longer than was allowed: split it or raise the limit.
    #[error("{name} is longer than the limit of {} s", .limit.seconds())]
    TooLong {
        /// The recording.
        name: String,
        /// The limit.
        limit: Millis,
    },
    /// It has more channels than were allowed.
    #[error("{name} has {channels} channels, the limit is {limit}")]
    TooManyChannels {
        /// The recording.
        name: String,
        /// Its channels.
        channels: u32,
        /// The limit.
        limit: u16,
    },
    /// It has more bytes than were allowed.
    #[error("{name} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The recording.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl AudioError {
    /// The variant as one word (`unreadable`, `no_audio`, `unsupported`, `malformed`, `too_long`,
    /// `too_many_channels`, `too_large`), for metrics and tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::NoAudio { .. } => "no_audio",
            Self::Unsupported { .. } => "unsupported",
            Self::Malformed { .. } => "malformed",
            Self::TooLong { .. } => "too_long",
            Self::TooManyChannels { .. } => "too_many_channels",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// An error that does not know the recording's name or the limits yet.
#[derive(Debug)]
pub(crate) enum Fault {
    Unreadable(io::Error),
    NoAudio(String),
    Unsupported { format: String, hint: String },
    Malformed { byte_offset: u64, reason: String },
    TooLong,
    TooManyChannels(u32),
    TooLarge(u64),
}

impl Fault {
    pub(crate) fn malformed(byte_offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { byte_offset, reason: reason.into() }
    }

    pub(crate) fn named(self, name: &str, limits: &crate::DecodeLimits) -> AudioError {
        let name = name.to_owned();
        match self {
            Self::Unreadable(source) => AudioError::Unreadable { name, source },
            Self::NoAudio(reason) => AudioError::NoAudio { name, reason },
            Self::Unsupported { format, hint } => {
                let hint = hint.replace("{name}", &name);
                AudioError::Unsupported { name, format, hint }
            }
            Self::Malformed { byte_offset, reason } => AudioError::Malformed { name, byte_offset, reason },
            Self::TooLong => AudioError::TooLong { name, limit: limits.max_duration },
            Self::TooManyChannels(channels) => {
                AudioError::TooManyChannels { name, channels, limit: limits.max_channels }
            }
            Self::TooLarge(bytes) => AudioError::TooLarge { name, bytes, limit: limits.max_bytes },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}
