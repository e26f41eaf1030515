//! Rewrites CTranslate2's Whisper weights as whisper.cpp's `ggml` file, so that weights which package registries carry
//! become the published file byte for byte.
//!
//! First a plan is made (which tensor comes from which values of which variable), which checks every shape; only then is
//! anything written. Names and order of tensors are those of `convert-pt-to-ggml.py` in whisper.cpp.

use std::io::{BufWriter, Write};
use std::path::Path;

use half::f16;

use crate::ctranslate2::Weights;
use crate::error::ModelError;
use crate::ggml::{self, Header, TYPE_F16, TYPE_F32, TensorHeader};
use crate::progress::{Activity, Counter, Progress, Report};
use crate::staged::StagedFile;
use crate::tables;

/// Values in one attention head of every Whisper, for files that do not say how many heads they have.
const HEAD_VALUES: i32 = 64;
/// More blocks than any Whisper has.
const LAYERS_MAX: i32 = 128;

/// Which tokens a model was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenizer {
    /// OpenAI's `multilingual.tiktoken`.
    Multilingual,
    /// OpenAI's `gpt2.tiktoken`, of the models whose name ends in `.en`.
    English,
}

/// Converts `input` (a `model.bin`, or a folder that holds one) into the `ggml` file `out`, which appears whole or not
/// at all. Without a tokenizer, the size of the vocabulary decides.
pub fn convert_ctranslate2(
    input: &Path,
    tokenizer: Option<Tokenizer>,
    out: &Path,
    mut progress: impl FnMut(&Progress<'_>),
) -> Result<(), ModelError> {
    let staged = convert_to_staged(input, tokenizer, out, &mut progress)?;
    staged.finish()
}

/// Converts beside `out`; the caller decides whether the result deserves its name.
pub(crate) fn convert_to_staged(
    input: &Path,
    tokenizer: Option<Tokenizer>,
    out: &Path,
    report: &mut Report<'_>,
) -> Result<StagedFile, ModelError> {
    let in_folder = input.join("model.bin");
    let model = if input.is_dir() { in_folder.as_path() } else { input };
    let weights = Weights::open(model)?;
    let plan = Plan::of(&weights, tokenizer)?;
    let (staged, file) = StagedFile::create(out)?;
    let mut writer = BufWriter::new(file);
    plan.write(&weights, &mut writer, staged.path(), report)?;
    writer.flush().map_err(ModelError::io("write", staged.path()))?;
    Ok(staged)
}

/// One tensor to write: `count` values of a variable, from `first`.
#[derive(Debug)]
struct PlannedTensor {
    header: TensorHeader,
    variable: String,
    first: u64,
}

/// Everything that will be written, checked.
struct Plan {
    header: Header,
    mel_filters: Vec<f32>,
    tokenizer: Tokenizer,
    tensors: Vec<PlannedTensor>,
}

impl Plan {
    fn of(weights: &Weights, tokenizer: Option<Tokenizer>) -> Result<Self, ModelError> {
        if weights.spec() != "WhisperSpec" {
            return Err(weights.error(format!("it holds `{}`, not Whisper", weights.spec())));
        }
        let header = header_of(weights)?;
        let mel_filters = tables::mel_filters(header.mel_bands).ok_or_else(|| {
            weights.error(format!("there are no filters for {} mel bands", header.mel_bands))
        })?;
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None if header.vocab == ggml::VOCAB_ENGLISH => Tokenizer::English,
            None if ggml::VOCAB_MULTILINGUAL.contains(&header.vocab) => Tokenizer::Multilingual,
            None => {
                let reason = format!(
                    "a vocabulary of {} belongs to no published Whisper; name the tokenizer",
                    header.vocab
                );
                return Err(weights.error(reason));
            }
        };
        let mut planner = Planner { weights, tensors: Vec::new() };
        planner.all(&header)?;
        Ok(Plan { header, mel_filters, tokenizer, tensors: planner.tensors })
    }

    fn write(
        &self,
        weights: &Weights,
        out: &mut impl Write,
        out_path: &Path,
        report: &mut Report<'_>,
    ) -> Result<(), ModelError> {
        let cannot_write = || ModelError::io("write", out_path);
        self.header.write(out).map_err(cannot_write())?;
        ggml::write_mel_filters(out, self.header.mel_bands, &self.mel_filters).map_err(cannot_write())?;
        ggml::write_tokens(out, &tables::tokens(self.tokenizer)).map_err(cannot_write())?;
        let total_bytes = self.tensors.iter().map(PlannedTensor::data_bytes).sum();
        let what = out_path.file_name().unwrap_or_default().to_string_lossy();
        let what = what.trim_start_matches('.').split(".bin").next().unwrap_or_default();
        let mut counter = Counter::new(Activity::Convert, what, 0, Some(total_bytes), report);
        let mut encoded = Vec::new();
        for tensor in &self.tensors {
            tensor.header.write(out).map_err(cannot_write())?;
            let half = tensor.header.type_id == TYPE_F16;
            weights.for_each_chunk(
                &tensor.variable,
                tensor.first,
                tensor.header.elements(),
                &mut |values| {
                    encoded.clear();
                    for value in values {
                        if half {
                            encoded.extend_from_slice(&f16::from_f32(*value).to_le_bytes());
                        } else {
                            encoded.extend_from_slice(&value.to_le_bytes());
                        }
                    }
                    counter.add(encoded.len());
                    out.write_all(&encoded).map_err(cannot_write())
                },
            )?;
        }
        Ok(())
    }
}

impl PlannedTensor {
    fn data_bytes(&self) -> u64 {
        self.header.elements() * if self.header.type_id == TYPE_F16 { 2 } else { 4 }
    }
}

fn header_of(weights: &Weights) -> Result<Header, ModelError> {
    let dim = |name: &str, rank: usize, index: usize| -> Result<i32, ModelError> {
        let variable = weights.require(name)?;
        match variable.dims.get(index).and_then(|dim| i32::try_from(*dim).ok()) {
            Some(dim) if variable.dims.len() == rank && dim > 0 => Ok(dim),
            _ => Err(weights.error(format!("`{name}` has the shape {:?}", variable.dims))),
        }
    };
    let audio_state = dim("encoder/position_encodings/encodings", 2, 1)?;
    let text_state = dim("decoder/position_encodings/encodings", 2, 1)?;
    let heads = |side: &str, state: i32| -> Result<i32, ModelError> {
        Ok(weights.scalar(&format!("{side}/num_heads"))?.unwrap_or(state / HEAD_VALUES))
    };
    Ok(Header {
        vocab: dim("decoder/embeddings/weight", 2, 0)?,
        audio_context: dim("encoder/position_encodings/encodings", 2, 0)?,
        audio_state,
        audio_heads: heads("encoder", audio_state)?,
        audio_layers: layers(weights, "encoder"),
        text_context: dim("decoder/position_encodings/encodings", 2, 0)?,
        text_state,
        text_heads: heads("decoder", text_state)?,
        text_layers: layers(weights, "decoder"),
        mel_bands: dim("encoder/conv1/weight", 3, 1)?,
        file_type: ggml::FTYPE_F16,
    })
}

fn layers(weights: &Weights, side: &str) -> i32 {
    let is_there = |layer: &i32| weights.get(&format!("{side}/layer_{layer}/ffn/linear_0/weight")).is_some();
    (0..LAYERS_MAX).take_while(is_there).count() as i32
}

/// Collects tensors in the file's order.
struct Planner<'w> {
    weights: &'w Weights,
    tensors: Vec<PlannedTensor>,
}

impl Planner<'_> {
    fn all(&mut self, header: &Header) -> Result<(), ModelError> {
        self.positions("decoder.positional_embedding", "decoder/position_encodings/encodings")?;
        self.positions("encoder.positional_embedding", "encoder/position_encodings/encodings")?;
        self.whole("decoder.token_embedding.weight", "decoder/embeddings/weight")?;
        for layer in 0..header.text_layers {
            let (to, from) = (format!("decoder.blocks.{layer}"), format!("decoder/layer_{layer}"));
            self.block(&to, &from)?;
            self.norm(&format!("{to}.cross_attn_ln"), &format!("{from}/attention/layer_norm"))?;
            self.cross_attention(&format!("{to}.cross_attn"), &format!("{from}/attention"))?;
        }
        self.norm("decoder.ln", "decoder/layer_norm")?;
        for conv in ["conv1", "conv2"] {
            self.whole(&format!("encoder.{conv}.weight"), &format!("encoder/{conv}/weight"))?;
            self.column(&format!("encoder.{conv}.bias"), &format!("encoder/{conv}/bias"))?;
        }
        for layer in 0..header.audio_layers {
            self.block(&format!("encoder.blocks.{layer}"), &format!("encoder/layer_{layer}"))?;
        }
        self.norm("encoder.ln_post", "encoder/layer_norm")
    }

    fn block(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        self.norm(&format!("{to}.mlp_ln"), &format!("{from}/ffn/layer_norm"))?;
        self.linear(&format!("{to}.mlp.0"), &format!("{from}/ffn/linear_0"))?;
        self.linear(&format!("{to}.mlp.2"), &format!("{from}/ffn/linear_1"))?;
        self.norm(&format!("{to}.attn_ln"), &format!("{from}/self_attention/layer_norm"))?;
        let fused = format!("{from}/self_attention/linear_0");
        let to = format!("{to}.attn");
        self.linear_part(&format!("{to}.query"), &fused, 0, 3)?;
        self.key(&format!("{to}.key"), &fused, 1, 3)?;
        self.linear_part(&format!("{to}.value"), &fused, 2, 3)?;
        self.linear(&format!("{to}.out"), &format!("{from}/self_attention/linear_1"))
    }

    fn cross_attention(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        let fused = format!("{from}/linear_1");
        self.linear(&format!("{to}.query"), &format!("{from}/linear_0"))?;
        self.key(&format!("{to}.key"), &fused, 0, 2)?;
        self.linear_part(&format!("{to}.value"), &fused, 1, 2)?;
        self.linear(&format!("{to}.out"), &format!("{from}/linear_2"))
    }

    fn norm(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        self.whole(&format!("{to}.weight"), &format!("{from}/gamma"))?;
        self.whole(&format!("{to}.bias"), &format!("{from}/beta"))
    }

    fn linear(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        self.linear_part(to, from, 0, 1)
    }

    fn linear_part(&mut self, to: &str, from: &str, part: u32, parts: u32) -> Result<(), ModelError> {
        self.rows(&format!("{to}.weight"), &format!("{from}/weight"), part, parts)?;
        self.rows(&format!("{to}.bias"), &format!("{from}/bias"), part, parts)
    }

    /// Whisper's keys have no bias; a fused projection holds zeros in its place, which are checked and left out.
    fn key(&mut self, to: &str, from: &str, part: u32, parts: u32) -> Result<(), ModelError> {
        self.rows(&format!("{to}.weight"), &format!("{from}/weight"), part, parts)?;
        let bias = format!("{from}/bias");
        let count = self.weights.require(&bias)?.elements() / u64::from(parts);
        let mut all_zero = true;
        self.weights.for_each_chunk(&bias, count * u64::from(part), count, &mut |values| {
            all_zero &= values.iter().all(|value| *value == 0.0);
            Ok(())
        })?;
        if all_zero {
            Ok(())
        } else {
            Err(self.weights.error(format!("`{bias}` has a bias for keys, which Whisper has not")))
        }
    }

    fn whole(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        self.rows(to, from, 0, 1)
    }

    /// One of `parts` equal slices along the slowest dimension. Vectors become float32, the rest float16.
    fn rows(&mut self, to: &str, from: &str, part: u32, parts: u32) -> Result<(), ModelError> {
        let mut dims = self.weights.require(from)?.dims.clone();
        match dims.first_mut() {
            Some(rows) if *rows > 0 && rows.is_multiple_of(parts) => *rows /= parts,
            _ => return Err(self.weights.error(format!("`{from}` does not split into {parts}"))),
        }
        let type_id = if dims.len() == 1 { TYPE_F32 } else { TYPE_F16 };
        self.push(to, from, part, dims, type_id);
        Ok(())
    }

    fn positions(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        let dims = self.weights.require(from)?.dims.clone();
        self.push(to, from, 0, dims, TYPE_F32);
        Ok(())
    }

    /// A vector that the file holds as a matrix of one column.
    fn column(&mut self, to: &str, from: &str) -> Result<(), ModelError> {
        let mut dims = self.weights.require(from)?.dims.clone();
        dims.push(1);
        self.push(to, from, 0, dims, TYPE_F32);
        Ok(())
    }

    fn push(&mut self, to: &str, from: &str, part: u32, mut dims: Vec<u32>, type_id: i32) {
        dims.reverse();
        let header = TensorHeader { name: to.to_owned(), dims, type_id };
        let first = u64::from(part) * header.elements();
        self.tensors.push(PlannedTensor { header, variable: from.to_owned(), first });
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
