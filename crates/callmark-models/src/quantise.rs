//! Makes a `ggml` file smaller: weights become blocks of 32 values with one scale, as whisper.cpp's `quantize` does it.
//!
//! Every tensor of two dimensions is quantised but the positional embeddings and the convolutions' biases; the rest is
//! copied. Rounding follows `quantize_row_q8_0_ref` in ggml: scale = largest magnitude / 127 in float32, stored as
//! float16; values times the reciprocal of the unrounded scale, rounded half away from zero.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use half::f16;

use crate::error::ModelError;
use crate::ggml::{self, FTYPE_Q8_0, Header, TYPE_F16, TYPE_F32, TYPE_Q8_0, TensorHeader};
use crate::progress::{Activity, Counter, Progress, Report};
use crate::staged::StagedFile;

/// Values that share a scale.
const BLOCK_VALUES: usize = 32;
/// Values read at once; a multiple of [`BLOCK_VALUES`].
const CHUNK_VALUES: u64 = 1 << 15;

/// Tensors of two dimensions that stay as they are.
const KEPT: [&str; 4] = [
    "encoder.conv1.bias",
    "encoder.conv2.bias",
    "encoder.positional_embedding",
    "decoder.positional_embedding",
];

/// Quantises the float16 or float32 `ggml` file `input` to q8_0 as `out`, which appears whole or not at all.
pub fn quantise_q8_0(
    input: &Path,
    out: &Path,
    mut progress: impl FnMut(&Progress<'_>),
) -> Result<(), ModelError> {
    quantise_to_staged(input, out, &mut progress)?.finish()
}

/// Quantises beside `out`; the caller decides whether the result deserves its name.
pub(crate) fn quantise_to_staged(
    input: &Path,
    out: &Path,
    report: &mut Report<'_>,
) -> Result<StagedFile, ModelError> {
    let file = File::open(input).map_err(ModelError::io("read", input))?;
    let total_bytes = file.metadata().map_err(ModelError::io("read", input))?.len();
    let what = input.file_name().unwrap_or_default().to_string_lossy();
    let counter = Counter::new(Activity::Quantise, &what, 0, Some(total_bytes), report);
    let (staged, out_file) = StagedFile::create(out)?;
    let mut reader = CountingReader { inner: BufReader::new(file), counter };
    let mut writer = FallibleWriter { inner: BufWriter::new(out_file), failure: None };
    let outcome = quantise(&mut reader, &mut writer).and_then(|()| writer.flush());
    match (writer.failure, outcome) {
        (Some(failure), _) => Err(ModelError::io("write", staged.path())(failure)),
        (None, Err(error)) => Err(ggml::not_ggml(input, error)),
        (None, Ok(())) => Ok(staged),
    }
}

fn quantise(input: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let header = Header::read(input)?;
    if ![0, ggml::FTYPE_F16].contains(&header.file_type) {
        return Err(ggml::invalid("it is already quantised; start from the float16 file"));
    }
    Header { file_type: FTYPE_Q8_0, ..header }.write(out)?;
    ggml::copy_mel_filters_and_tokens(input, out)?;
    while let Some(tensor) = TensorHeader::read(input)? {
        if ![TYPE_F32, TYPE_F16].contains(&tensor.type_id) {
            return Err(ggml::invalid("a tensor is neither float16 nor float32"));
        }
        if tensor.dims.len() == 2 && !KEPT.contains(&tensor.name.as_str()) {
            quantise_tensor(input, out, &tensor)?;
        } else {
            tensor.write(out)?;
            ggml::copy_exactly(input, out, tensor.elements() * value_bytes(tensor.type_id))?;
        }
    }
    Ok(())
}

fn value_bytes(type_id: i32) -> u64 {
    if type_id == TYPE_F16 { 2 } else { 4 }
}

fn quantise_tensor(input: &mut impl Read, out: &mut impl Write, tensor: &TensorHeader) -> io::Result<()> {
    if !tensor.dims[0].is_multiple_of(BLOCK_VALUES as u32) {
        return Err(ggml::invalid("the rows of a tensor are not multiples of 32 values"));
    }
    TensorHeader { type_id: TYPE_Q8_0, ..tensor.clone() }.write(out)?;
    let mut remaining = tensor.elements();
    let mut values = Vec::with_capacity(CHUNK_VALUES as usize);
    while remaining > 0 {
        let now = remaining.min(CHUNK_VALUES);
        let mut bytes = vec![0u8; (now * value_bytes(tensor.type_id)) as usize];
        input.read_exact(&mut bytes)?;
        values.clear();
        if tensor.type_id == TYPE_F16 {
            values.extend(bytes.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()));
        } else {
            values.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)));
        }
        for block in values.as_chunks::<BLOCK_VALUES>().0 {
            let (scale, quants) = quantise_block(block);
            out.write_all(&scale.to_le_bytes())?;
            out.write_all(&quants.map(|quant| quant as u8))?;
        }
        remaining -= now;
    }
    Ok(())
}

fn quantise_block(block: &[f32; BLOCK_VALUES]) -> (f16, [i8; BLOCK_VALUES]) {
    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let reciprocal = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    (f16::from_f32(scale), block.map(|value| (value * reciprocal).round() as i8))
}

/// Counts what is read.
struct CountingReader<'c, 'r, R> {
    inner: R,
    counter: Counter<'c, 'r>,
}

impl<R: Read> Read for CountingReader<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.counter.add(read);
        Ok(read)
    }
}

/// Keeps a failure to write apart from a failure to read.
struct FallibleWriter<W> {
    inner: W,
    failure: Option<io::Error>,
}

impl<W> FallibleWriter<W> {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

impl<W: Write> Write for FallibleWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.keep(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.keep(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_scaled_by_its_largest_magnitude_and_rounded_half_away_from_zero() {
        let mut block = [0.0f32; BLOCK_VALUES];
        block[0] = -127.0;
        block[1] = 0.5;
        block[2] = -0.5;
        block[3] = 2.4;
        let (scale, quants) = quantise_block(&block);
        assert_eq!(scale.to_f32(), 1.0);
        assert_eq!(&quants[..5], &[-127, 1, -1, 2, 0]);
    }

    #[test]
    fn a_block_of_zeros_has_scale_zero() {
        let (scale, quants) = quantise_block(&[0.0; BLOCK_VALUES]);
        assert_eq!((scale.to_f32(), quants), (0.0, [0; BLOCK_VALUES]));
    }

    proptest! {
        #[test]
        fn every_value_is_restored_to_within_half_a_step(values in proptest::array::uniform32(-4.0f32..4.0)) {
            let (scale, quants) = quantise_block(&values);
            let step = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / 127.0;
            for (value, quant) in values.iter().zip(quants) {
                // The stored scale has 11 significant bits: up to 127 / 2048 of a step more.
                prop_assert!((value - scale.to_f32() * f32::from(quant)).abs() <= step * 0.57 + 1e-7);
            }
        }
    }
}
