//! The layout of whisper.cpp's `ggml` model files: header, mel filters, tokens, then tensors to the end of the file.
//!
//! All numbers are little endian. Source: `whisper_model_load` in whisper.cpp. Broken files are reported as
//! `InvalidData`; nothing is allocated on the word of the file beyond the limits named here.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::ModelError;

/// First four bytes of the file.
pub(crate) const MAGIC: u32 = 0x6767_6d6c;
/// Type ids of tensors.
pub(crate) const TYPE_F32: i32 = 0;
pub(crate) const TYPE_F16: i32 = 1;
pub(crate) const TYPE_Q8_0: i32 = 8;
/// Header value for weights in float16.
pub(crate) const FTYPE_F16: i32 = 1;
/// Header value for weights in q8_0: the file type 7 and 1000 times the quantisation version 2.
pub(crate) const FTYPE_Q8_0: i32 = 7 + 1000 * 2;
/// Frequency bins of a mel filter: half of the 400-point Fourier transform, and one.
pub(crate) const MEL_BINS: usize = 201;

const MEL_BANDS_MAX: i32 = 1024;
const TOKENS_MAX: i32 = 1 << 20;
const TOKEN_BYTES_MAX: u32 = 1024;
const TENSOR_RANK_MAX: i32 = 4;
const TENSOR_NAME_BYTES_MAX: i32 = 256;

/// The model's dimensions, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) vocab: i32,
    pub(crate) audio_context: i32,
    pub(crate) audio_state: i32,
    pub(crate) audio_heads: i32,
    pub(crate) audio_layers: i32,
    pub(crate) text_context: i32,
    pub(crate) text_state: i32,
    pub(crate) text_heads: i32,
    pub(crate) text_layers: i32,
    pub(crate) mel_bands: i32,
    pub(crate) file_type: i32,
}

/// What stands before a tensor's data. `dims` has the fastest-moving dimension first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorHeader {
    pub(crate) name: String,
    pub(crate) dims: Vec<u32>,
    pub(crate) type_id: i32,
}

/// Vocabulary sizes of OpenAI's models: English only, and multilingual (version 3 has one language more).
pub(crate) const VOCAB_ENGLISH: i32 = 51_864;
pub(crate) const VOCAB_MULTILINGUAL: [i32; 2] = [51_865, 51_866];

impl Header {
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&MAGIC.to_le_bytes())?;
        let values = [
            self.vocab,
            self.audio_context,
            self.audio_state,
            self.audio_heads,
            self.audio_layers,
            self.text_context,
            self.text_state,
            self.text_heads,
            self.text_layers,
            self.mel_bands,
            self.file_type,
        ];
        values.iter().try_for_each(|value| write_i32(out, *value))
    }

    pub(crate) fn read(input: &mut impl Read) -> io::Result<Self> {
        if read_u32(input)? != MAGIC {
            return Err(invalid("its first four bytes are not those of a ggml file"));
        }
        let mut next = || read_i32(input);
        let header = Header {
            vocab: next()?,
            audio_context: next()?,
            audio_state: next()?,
            audio_heads: next()?,
            audio_layers: next()?,
            text_context: next()?,
            text_state: next()?,
            text_heads: next()?,
            text_layers: next()?,
            mel_bands: next()?,
            file_type: next()?,
        };
        let plausible = header.vocab > 0
            && header.audio_state > 0
            && header.text_state > 0
            && (1..=MEL_BANDS_MAX).contains(&header.mel_bands);
        if plausible { Ok(header) } else { Err(invalid("its dimensions are not those of a Whisper model")) }
    }

    /// Reads the header of the file at `path`.
    pub(crate) fn of_file(path: &Path) -> Result<Self, ModelError> {
        let mut file = std::fs::File::open(path).map_err(ModelError::io("read", path))?;
        Header::read(&mut file).map_err(|error| not_ggml(path, error))
    }
}

impl TensorHeader {
    /// Number of values.
    pub(crate) fn elements(&self) -> u64 {
        self.dims.iter().map(|dim| u64::from(*dim)).product()
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write_i32(out, self.dims.len() as i32)?;
        write_i32(out, self.name.len() as i32)?;
        write_i32(out, self.type_id)?;
        self.dims.iter().try_for_each(|dim| write_i32(out, *dim as i32))?;
        out.write_all(self.name.as_bytes())
    }

    /// Reads the next tensor's header; `None` at the end of the file.
    pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let Some(rank) = read_i32_or_end(input)? else { return Ok(None) };
        let name_bytes = read_i32(input)?;
        let type_id = read_i32(input)?;
        if !(1..=TENSOR_RANK_MAX).contains(&rank) || !(1..=TENSOR_NAME_BYTES_MAX).contains(&name_bytes) {
            return Err(invalid("a tensor's header is out of bounds"));
        }
        let mut dims = Vec::with_capacity(rank as usize);
        let mut elements = 1u64;
        for _ in 0..rank {
            let dim =
                u32::try_from(read_i32(input)?).map_err(|_| invalid("a tensor has a negative dimension"))?;
            elements = elements
                .checked_mul(u64::from(dim))
                .filter(|elements| *elements > 0 && u32::try_from(*elements).is_ok())
                .ok_or_else(|| invalid("a tensor's dimensions are out of bounds"))?;
            dims.push(dim);
        }
        let mut name = vec![0u8; name_bytes as usize];
        input.read_exact(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| invalid("a tensor's name is not text"))?;
        Ok(Some(TensorHeader { name, dims, type_id }))
    }
}

/// Writes the mel filters, `bands` rows of [`MEL_BINS`].
pub(crate) fn write_mel_filters(out: &mut impl Write, bands: i32, filters: &[f32]) -> io::Result<()> {
    write_i32(out, bands)?;
    write_i32(out, MEL_BINS as i32)?;
    filters.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// Writes the tokens in rank order.
pub(crate) fn write_tokens(out: &mut impl Write, tokens: &[Vec<u8>]) -> io::Result<()> {
    write_i32(out, tokens.len() as i32)?;
    for token in tokens {
        write_i32(out, token.len() as i32)?;
        out.write_all(token)?;
    }
    Ok(())
}

/// Copies mel filters and tokens unchanged. Returns the bytes copied.
pub(crate) fn copy_mel_filters_and_tokens(input: &mut impl Read, out: &mut impl Write) -> io::Result<u64> {
    let bands = read_i32(input)?;
    let bins = read_i32(input)?;
    if !(1..=MEL_BANDS_MAX).contains(&bands) || bins != MEL_BINS as i32 {
        return Err(invalid("its mel filters are out of bounds"));
    }
    write_i32(out, bands)?;
    write_i32(out, bins)?;
    let filter_bytes = bands as u64 * MEL_BINS as u64 * size_of::<f32>() as u64;
    copy_exactly(input, out, filter_bytes)?;
    let tokens = read_i32(input)?;
    if !(0..=TOKENS_MAX).contains(&tokens) {
        return Err(invalid("its number of tokens is out of bounds"));
    }
    write_i32(out, tokens)?;
    let mut copied = 12 + filter_bytes;
    for _ in 0..tokens {
        let token_bytes = read_u32(input)?;
        if token_bytes > TOKEN_BYTES_MAX {
            return Err(invalid("a token is longer than any token is"));
        }
        out.write_all(&token_bytes.to_le_bytes())?;
        copy_exactly(input, out, u64::from(token_bytes))?;
        copied += 4 + u64::from(token_bytes);
    }
    Ok(copied)
}

/// Copies so many bytes; fewer are an error.
pub(crate) fn copy_exactly(input: &mut impl Read, out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let copied = io::copy(&mut input.take(bytes), out)?;
    if copied == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Tells a broken file from a failing disk.
pub(crate) fn not_ggml(path: &Path, error: io::Error) -> ModelError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        io::ErrorKind::InvalidData => error.to_string(),
        _ => return ModelError::io("read", path)(error),
    };
    ModelError::NotGgml { path: path.to_path_buf(), reason }
}

pub(crate) fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn write_i32(out: &mut impl Write, value: i32) -> io::Result<()> {
    out.write_all(&value.to_le_bytes())
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0u8; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_i32(input: &mut impl Read) -> io::Result<i32> {
    read_u32(input).map(|value| value as i32)
}

fn read_i32_or_end(input: &mut impl Read) -> io::Result<Option<i32>> {
    let mut bytes = [0u8; 4];
    let mut filled = 0;
    while filled < bytes.len() {
        match input.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(i32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tensor_header_reads_back_as_written(
            name in "[a-z.0-9]{1,64}",
            dims in proptest::collection::vec(1u32..256, 1..=4),
            type_id in 0i32..9,
        ) {
            let header = TensorHeader { name, dims, type_id };
            let mut bytes = Vec::new();
            header.write(&mut bytes).unwrap();
            let mut input = bytes.as_slice();
            prop_assert_eq!(TensorHeader::read(&mut input).unwrap(), Some(header));
            prop_assert_eq!(TensorHeader::read(&mut input).unwrap(), None);
        }

        #[test]
        fn hostile_bytes_are_refused_or_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::read(&mut bytes.as_slice());
            let _ = TensorHeader::read(&mut bytes.as_slice());
            let _ = copy_mel_filters_and_tokens(&mut bytes.as_slice(), &mut Vec::new());
        }
    }

    #[test]
    fn a_file_that_is_not_ggml_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("song.bin");
        std::fs::write(&path, b"ID3 and so on, for long enough to be read as a header, which it is not")
            .unwrap();
        let error = Header::of_file(&path).unwrap_err().to_string();
        assert!(error.contains("song.bin") && error.contains("not a Whisper model"), "{error}");
    }
}
