//! One kind of input for files and for bytes in memory, with its length and the position read so far.

use crate::error::Fault;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use symphonia::core::io::MediaSource;

/// Bytes read from a file at a time.
const FILE_BUFFER_BYTES: usize = 64 * 1024;

/// A recording's bytes.
pub(crate) struct Input {
    source: Source,
    /// Where this input begins in the file: not 0 inside a container.
    base: u64,
    len: u64,
    is_seekable: bool,
    position: Arc<AtomicU64>,
    failure: Arc<AtomicU64>,
}

enum Source {
    File(BufReader<File>),
    Memory(Cursor<Vec<u8>>),
}

/// Where an [`Input`] stands, readable while a decoder owns it.
#[derive(Clone)]
pub(crate) struct Progress {
    end: u64,
    position: Arc<AtomicU64>,
    failure: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes from the start to where reading stands; a decoder that buffers is a little behind.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed).min(self.end)
    }

    /// Whether the system failed to read (as opposed to the end of the input).
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.load(Ordering::Relaxed) != 0
    }
}

impl Input {
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::other("it is a folder, not a file").into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file").into());
        }
        let source = Source::File(BufReader::with_capacity(FILE_BUFFER_BYTES, file));
        Ok(Self::new(source, metadata.len()))
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self::new(Source::Memory(Cursor::new(bytes)), len)
    }

    fn new(source: Source, len: u64) -> Self {
        Self { source, base: 0, len, is_seekable: true, position: Arc::default(), failure: Arc::default() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The part of this input from `offset` on, `len` bytes at most, as an input of its own.
    pub(crate) fn narrowed(mut self, offset: u64, len: u64) -> Result<Self, Fault> {
        self.base += offset.min(self.len);
        self.len = len.min(self.len.saturating_sub(offset));
        self.seek(SeekFrom::Start(0))?;
        Ok(self)
    }

    /// The same input, which says of itself that it can only be read from start to end: a demuxer then takes a file
    /// that was cut for what there is of it.
    pub(crate) fn sequential(mut self) -> Self {
        self.is_seekable = false;
        self
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { end: self.base + self.len, position: self.position.clone(), failure: self.failure.clone() }
    }

    /// Up to `count` bytes from `offset` on; fewer at the end of the input.
    pub(crate) fn read_at(&mut self, offset: u64, count: usize) -> Result<Vec<u8>, Fault> {
        if offset >= self.len {
            return Ok(Vec::new());
        }
        let available = self.len.saturating_sub(offset).min(count as u64) as usize;
        let mut bytes = vec![0; available];
        self.seek(SeekFrom::Start(offset))?;
        let filled = self.read_full(&mut bytes)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Fills `buffer` as far as the input goes; returns the number of bytes read.
    pub(crate) fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = (self.base + self.len).saturating_sub(self.position.load(Ordering::Relaxed));
        let wanted = (buffer.len() as u64).min(left) as usize;
        let buffer = &mut buffer[..wanted];
        let read = match &mut self.source {
            Source::File(file) => file.read(buffer),
            Source::Memory(bytes) => bytes.read(buffer),
        };
        match &read {
            Ok(count) => {
                self.position.fetch_add(*count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.failure.store(1, Ordering::Relaxed),
        }
        read
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let before = self.position.load(Ordering::Relaxed).saturating_sub(self.base);
        let wanted = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => before.checked_add_signed(offset),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
        };
        let wanted = wanted.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let absolute = SeekFrom::Start(self.base.saturating_add(wanted));
        let position = match &mut self.source {
            Source::File(file) => file.seek(absolute),
            Source::Memory(bytes) => bytes.seek(absolute),
        }?;
        self.position.store(position, Ordering::Relaxed);
        Ok(wanted)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        self.is_seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.is_seekable.then_some(self.len)
    }
}
