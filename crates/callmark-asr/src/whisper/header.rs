//! The head of a `ggml` Whisper file: what must be known of a model before it is loaded.

use crate::error::AsrError;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use whisper_rs::{DtwMode, DtwModelPreset};

/// `ggml` in the file's byte order.
const MAGIC: u32 = 0x6767_6d6c;
/// Fields read: the magic and eleven parameters.
const HEADER_FIELDS: usize = 12;
/// Vocabularies of this size and above are multilingual.
const MULTILINGUAL_VOCABULARY: u32 = 51_865;
/// Vocabulary of large-v3 and its kin.
const LARGE_V3_VOCABULARY: u32 = 51_866;
/// Parts of `ftype`: quantisation version times this, plus the weights' type.
const QUANTISATION_VERSION_FACTOR: u32 = 1_000;

/// What the head of a model's file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelHeader {
    vocabulary: u32,
    audio_context: u32,
    audio_layers: u32,
    text_layers: u32,
    weights: u32,
}

impl ModelHeader {
    /// Reads the head of the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, AsrError> {
        let unreadable = |error: std::io::Error| AsrError::ModelUnreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let invalid =
            |reason: &str| AsrError::ModelInvalid { path: path.to_owned(), reason: reason.to_owned() };
        let mut bytes = Vec::with_capacity(HEADER_FIELDS * 4);
        let file = File::open(path).map_err(unreadable)?;
        file.take(HEADER_FIELDS as u64 * 4).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() < HEADER_FIELDS * 4 {
            return Err(invalid("the file ends inside its header"));
        }
        Self::parse(&bytes).ok_or_else(|| invalid("it is no ggml whisper model"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |i: usize| {
            let four = bytes.get(i * 4..i * 4 + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?))
        };
        let header = Self {
            vocabulary: field(1)?,
            audio_context: field(2)?,
            audio_layers: field(5)?,
            text_layers: field(9)?,
            weights: field(11)? % QUANTISATION_VERSION_FACTOR,
        };
        let plausible = (1..=64).contains(&header.audio_layers)
            && (1..=64).contains(&header.text_layers)
            && (1_000..=1_000_000).contains(&header.vocabulary)
            && (100..=10_000).contains(&header.audio_context);
        (field(0)? == MAGIC && plausible).then_some(header)
    }

    pub(crate) fn is_multilingual(self) -> bool {
        self.vocabulary >= MULTILINGUAL_VOCABULARY
    }

    /// Name of the model's size and of its weights' type, `base f16`, `tiny.en q8_0`.
    pub(crate) fn name(self) -> String {
        let size = match (self.audio_layers, self.text_layers) {
            (4, _) => "tiny",
            (6, _) => "base",
            (12, _) => "small",
            (24, _) => "medium",
            (32, 4) => "large-v3-turbo",
            (32, _) => "large",
            _ => "whisper",
        };
        let english = if self.is_multilingual() { "" } else { ".en" };
        let weights = match self.weights {
            0 => "f32",
            1 => "f16",
            2 => "q4_0",
            3 => "q4_1",
            7 => "q8_0",
            8 => "q5_0",
            9 => "q5_1",
            _ => "quantised",
        };
        format!("{size}{english} {weights}")
    }

    /// The attention heads from which word times are read.
    pub(crate) fn alignment_heads(self) -> DtwMode<'static> {
        let english = !self.is_multilingual();
        let model_preset = match (self.audio_layers, self.text_layers, english) {
            (4, 4, true) => DtwModelPreset::TinyEn,
            (4, 4, false) => DtwModelPreset::Tiny,
            (6, 6, true) => DtwModelPreset::BaseEn,
            (6, 6, false) => DtwModelPreset::Base,
            (12, 12, true) => DtwModelPreset::SmallEn,
            (12, 12, false) => DtwModelPreset::Small,
            (24, 24, true) => DtwModelPreset::MediumEn,
            (24, 24, false) => DtwModelPreset::Medium,
            (32, 4, false) => DtwModelPreset::LargeV3Turbo,
            (32, 32, false) if self.vocabulary == LARGE_V3_VOCABULARY => DtwModelPreset::LargeV3,
            (32, 32, false) => DtwModelPreset::LargeV2,
            _ => return DtwMode::TopMost { n_top: (self.text_layers / 2).max(1) as i32 },
        };
        DtwMode::ModelPreset { model_preset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fields: [u32; HEADER_FIELDS]) -> Vec<u8> {
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    #[test]
    fn the_official_base_header_is_recognised_and_quantised_weights_are_named() {
        let mut fields = [MAGIC, 51_865, 1_500, 512, 8, 6, 448, 512, 8, 6, 80, 1];
        let base = ModelHeader::parse(&bytes(fields)).expect("a header");
        assert_eq!((base.name().as_str(), base.is_multilingual()), ("base f16", true));
        fields[11] = 2_007;
        assert_eq!(ModelHeader::parse(&bytes(fields)).expect("a header").name(), "base q8_0");
        fields[1] = 51_864;
        assert_eq!(ModelHeader::parse(&bytes(fields)).expect("a header").name(), "base.en q8_0");
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        assert_eq!(ModelHeader::parse(&[0; 48]), None);
        assert_eq!(ModelHeader::parse(&bytes([MAGIC, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])), None);
        let missing = ModelHeader::read(Path::new("/nowhere/ggml-base.bin"));
        assert!(matches!(missing, Err(AsrError::ModelUnreadable { .. })));
    }
}
