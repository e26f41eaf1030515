//! Conversion of small made-up CTranslate2 files: what becomes of each value, and what is refused.

use std::path::PathBuf;

use super::*;
use crate::ggml::{MEL_BINS, copy_mel_filters_and_tokens};

const STATE: u32 = 32;
const VOCAB: u32 = 40;

/// A made-up file: variables with their shape, element type id and bytes, in order.
struct MadeUp {
    spec: &'static str,
    variables: Vec<(String, Vec<u32>, u8, Vec<u8>)>,
    next_value: u16,
}

impl MadeUp {
    /// One encoder and one decoder block; every value is a different small number, but for the keys' biases.
    fn whisper() -> Self {
        let mut file = MadeUp { spec: "WhisperSpec", variables: Vec::new(), next_value: 0 };
        file.add("decoder/position_encodings/encodings", &[6, STATE]);
        file.add("decoder/embeddings/weight", &[VOCAB, STATE]);
        file.add("encoder/position_encodings/encodings", &[8, STATE]);
        file.add("encoder/conv1/weight", &[STATE, 80, 3]);
        file.add("encoder/conv2/weight", &[STATE, STATE, 3]);
        file.add("encoder/conv1/bias", &[STATE]);
        file.add("encoder/conv2/bias", &[STATE]);
        for norm in ["encoder/layer_norm", "decoder/layer_norm", "decoder/layer_0/attention/layer_norm"] {
            file.norm(norm);
        }
        for side in ["encoder", "decoder"] {
            let block = format!("{side}/layer_0");
            file.norm(&format!("{block}/ffn/layer_norm"));
            file.norm(&format!("{block}/self_attention/layer_norm"));
            file.linear(&format!("{block}/ffn/linear_0"), STATE * 4, STATE);
            file.linear(&format!("{block}/ffn/linear_1"), STATE, STATE * 4);
            file.linear(&format!("{block}/self_attention/linear_0"), STATE * 3, STATE);
            file.linear(&format!("{block}/self_attention/linear_1"), STATE, STATE);
            file.zero(&format!("{block}/self_attention/linear_0/bias"), STATE, STATE);
        }
        file.linear("decoder/layer_0/attention/linear_0", STATE, STATE);
        file.linear("decoder/layer_0/attention/linear_1", STATE * 2, STATE);
        file.linear("decoder/layer_0/attention/linear_2", STATE, STATE);
        file.zero("decoder/layer_0/attention/linear_1/bias", 0, STATE);
        for side in ["encoder", "decoder"] {
            file.variables.push((format!("{side}/num_heads"), vec![], 2, 4i16.to_le_bytes().to_vec()));
        }
        file
    }

    fn add(&mut self, name: &str, dims: &[u32]) {
        let count = dims.iter().product::<u32>();
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.next_value = (self.next_value + 1) % 0x4000;
            bytes.extend(self.next_value.to_le_bytes());
        }
        self.variables.push((name.to_owned(), dims.to_vec(), 4, bytes));
    }

    fn norm(&mut self, name: &str) {
        self.add(&format!("{name}/gamma"), &[STATE]);
        self.add(&format!("{name}/beta"), &[STATE]);
    }

    fn linear(&mut self, name: &str, rows: u32, columns: u32) {
        self.add(&format!("{name}/weight"), &[rows, columns]);
        self.add(&format!("{name}/bias"), &[rows]);
    }

    fn zero(&mut self, name: &str, first: u32, count: u32) {
        let variable = self.get_mut(name);
        variable.3[first as usize * 2..(first + count) as usize * 2].fill(0);
    }

    fn get_mut(&mut self, name: &str) -> &mut (String, Vec<u32>, u8, Vec<u8>) {
        self.variables.iter_mut().find(|variable| variable.0 == name).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let string = |out: &mut Vec<u8>, text: &str| {
            out.extend((text.len() as u16 + 1).to_le_bytes());
            out.extend(text.as_bytes());
            out.push(0);
        };
        out.extend(6u32.to_le_bytes());
        string(&mut out, self.spec);
        out.extend(3u32.to_le_bytes());
        out.extend((self.variables.len() as u32).to_le_bytes());
        for (name, dims, type_id, data) in &self.variables {
            string(&mut out, name);
            out.push(dims.len() as u8);
            out.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.push(*type_id);
            out.extend((data.len() as u32).to_le_bytes());
            out.extend(data);
        }
        out.extend(1u32.to_le_bytes());
        string(&mut out, "decoder/projection/weight");
        string(&mut out, "decoder/embeddings/weight");
        out
    }
}

struct Converted {
    _dir: tempfile::TempDir,
    out: PathBuf,
    result: Result<(), ModelError>,
}

fn convert(bytes: &[u8], tokenizer: Option<Tokenizer>) -> Converted {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.bin"), bytes).unwrap();
    let out = dir.path().join("out").join("ggml-m.bin");
    let result = convert_ctranslate2(dir.path(), tokenizer, &out, |_| {});
    Converted { _dir: dir, out, result }
}

/// Every tensor with its data.
fn tensors(ggml: &[u8]) -> (Header, Vec<(TensorHeader, Vec<u8>)>) {
    let mut input = ggml;
    let header = Header::read(&mut input).unwrap();
    copy_mel_filters_and_tokens(&mut input, &mut std::io::sink()).unwrap();
    let mut tensors = Vec::new();
    while let Some(tensor) = TensorHeader::read(&mut input).unwrap() {
        let width = if tensor.type_id == TYPE_F16 { 2 } else { 4 };
        let (data, rest) = input.split_at(tensor.elements() as usize * width);
        tensors.push((tensor, data.to_vec()));
        input = rest;
    }
    (header, tensors)
}

fn refusal(bytes: &[u8]) -> String {
    let converted = convert(bytes, Some(Tokenizer::Multilingual));
    assert!(!converted.out.exists(), "something was left at {}", converted.out.display());
    converted.result.unwrap_err().to_string()
}

#[test]
fn fused_projections_are_taken_apart_and_values_kept_bit_for_bit() {
    let made_up = MadeUp::whisper();
    let converted = convert(&made_up.bytes(), Some(Tokenizer::Multilingual));
    converted.result.unwrap();
    let (header, tensors) = tensors(&std::fs::read(&converted.out).unwrap());
    assert_eq!((header.vocab, header.audio_heads, header.text_heads), (VOCAB as i32, 4, 4));
    assert_eq!((header.audio_context, header.text_context, header.mel_bands), (8, 6, 80));
    assert_eq!((header.audio_layers, header.text_layers), (1, 1));

    let data = |name: &str| &tensors.iter().find(|(tensor, _)| tensor.name == name).unwrap().1;
    let source = |name: &str| &made_up.variables.iter().find(|variable| variable.0 == name).unwrap().3;
    let matrix = (STATE * STATE * 2) as usize;
    let fused = source("decoder/layer_0/self_attention/linear_0/weight");
    for (index, part) in ["query", "key", "value"].iter().enumerate() {
        let expected = &fused[index * matrix..(index + 1) * matrix];
        assert_eq!(data(&format!("decoder.blocks.0.attn.{part}.weight")), expected, "{part}");
    }
    let cross = source("decoder/layer_0/attention/linear_1/weight");
    assert_eq!(data("decoder.blocks.0.cross_attn.key.weight"), &cross[..matrix]);
    assert_eq!(data("decoder.blocks.0.cross_attn.value.weight"), &cross[matrix..]);
    assert!(tensors.iter().all(|(tensor, _)| !tensor.name.ends_with("key.bias")));
}

#[test]
fn vectors_positions_and_convolution_biases_are_float32_and_the_rest_float16() {
    let converted = convert(&MadeUp::whisper().bytes(), Some(Tokenizer::English));
    converted.result.unwrap();
    let (_, tensors) = tensors(&std::fs::read(&converted.out).unwrap());
    for (tensor, _) in &tensors {
        let float32 = tensor.dims.len() == 1
            || tensor.name.ends_with("positional_embedding")
            || ["encoder.conv1.bias", "encoder.conv2.bias"].contains(&tensor.name.as_str());
        assert_eq!(tensor.type_id, if float32 { TYPE_F32 } else { TYPE_F16 }, "{}", tensor.name);
    }
    let conv = &tensors.iter().find(|(tensor, _)| tensor.name == "encoder.conv1.weight").unwrap().0;
    assert_eq!(conv.dims, [3, 80, STATE]);
    let bias = &tensors.iter().find(|(tensor, _)| tensor.name == "encoder.conv1.bias").unwrap().0;
    assert_eq!(bias.dims, [1, STATE]);
    assert_eq!(tensors[0].0.name, "decoder.positional_embedding");
    assert_eq!(tensors.last().unwrap().0.name, "encoder.ln_post.bias");
}

#[test]
fn a_float32_file_gives_the_same_result_as_its_float16_twin() {
    let half_file = MadeUp::whisper();
    let mut single = MadeUp::whisper();
    for (_, _, type_id, bytes) in &mut single.variables {
        if *type_id == 4 {
            *type_id = 0;
            let values = bytes.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32());
            *bytes = values.flat_map(f32::to_le_bytes).collect();
        }
    }
    let from_half = convert(&half_file.bytes(), Some(Tokenizer::English));
    let from_single = convert(&single.bytes(), Some(Tokenizer::English));
    assert_eq!(std::fs::read(from_half.out).unwrap(), std::fs::read(from_single.out).unwrap());
}

#[test]
fn the_mel_filters_and_tokens_precede_the_tensors() {
    let converted = convert(&MadeUp::whisper().bytes(), Some(Tokenizer::English));
    let bytes = std::fs::read(&converted.out).unwrap();
    let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(48), word(52)), (80, MEL_BINS as i32));
    let tokens_at = 56 + 80 * MEL_BINS * 4;
    assert_eq!(word(tokens_at), 50_257);
    let end_of_text = b"<|endoftext|>";
    assert!(bytes[tokens_at..].windows(end_of_text.len()).any(|window| window == end_of_text));
}

#[test]
fn an_unknown_vocabulary_asks_for_the_tokenizer() {
    let converted = convert(&MadeUp::whisper().bytes(), None);
    let error = converted.result.unwrap_err().to_string();
    assert!(error.contains("vocabulary of 40") && error.contains("model.bin"), "{error}");
}

#[test]
fn a_bias_for_keys_a_missing_variable_and_quantised_weights_are_refused_by_name() {
    let mut with_key_bias = MadeUp::whisper();
    with_key_bias.get_mut("encoder/layer_0/self_attention/linear_0/bias").3[STATE as usize * 2] = 7;
    assert!(refusal(&with_key_bias.bytes()).contains("encoder/layer_0/self_attention/linear_0/bias"));

    let mut without_norm = MadeUp::whisper();
    without_norm.variables.retain(|variable| variable.0 != "decoder/layer_norm/gamma");
    assert!(refusal(&without_norm.bytes()).contains("decoder/layer_norm/gamma"));

    let mut quantised = MadeUp::whisper();
    let embeddings = quantised.get_mut("decoder/embeddings/weight");
    embeddings.2 = 1;
    embeddings.3.truncate((VOCAB * STATE) as usize);
    assert!(refusal(&quantised.bytes()).contains("quantised"));
}

#[test]
fn another_architecture_and_another_format_are_refused() {
    let other = MadeUp { spec: "TransformerSpec", ..MadeUp::whisper() };
    assert!(refusal(&other.bytes()).contains("TransformerSpec"));
    assert!(refusal(b"PK\x03\x04 and so on").contains("CTranslate2"));
    assert!(refusal(b"").contains("ends too early"));
}

#[test]
fn a_file_cut_anywhere_is_refused_without_panic() {
    let whole = MadeUp::whisper().bytes();
    for end in (0..whole.len()).step_by(997).chain([whole.len() - 1]) {
        let error = refusal(&whole[..end]);
        assert!(error.contains("model.bin"), "{error}");
    }
}
