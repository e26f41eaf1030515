//! Whisper through whisper.cpp: one shared context, one state per worker.

mod decode;
mod header;

pub use decode::WhisperTranscriber;

use crate::error::AsrError;
use crate::glossary::{Glossary, fitting};
use crate::transcriber::ModelInfo;
use header::ModelHeader;
use std::path::PathBuf;
use std::sync::Arc;
use whisper_rs::{DtwParameters, WhisperContext, WhisperContextParameters};

/// Scratch memory for one pack's alignment: attention of at most 224 tokens over 1,500 frames on up to 20 heads,
/// three times over. Only what a pack needs is touched.
const ALIGNMENT_BYTES: usize = 128 << 20;
/// Whether this build can use a graphics card at all.
const BUILT_FOR_GPU: bool =
    cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "hipblas"));

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The first graphics card where the build can use one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The graphics card of this index, from 0.
    Gpu(u16),
}

/// What a whisper engine is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhisperConfig {
    /// The `ggml` file.
    pub model_path: PathBuf,
    /// Where it runs.
    pub device: Device,
    /// Threads that each worker computes with; one is best where there is a worker a core.
    pub threads_per_worker: u16,
    /// Words to expect.
    pub glossary: Glossary,
}

impl WhisperConfig {
    /// The model at `model_path` on whatever device there is, one thread a worker.
    pub fn new(model_path: impl Into<PathBuf>) -> Self {
        Self {
            model_path: model_path.into(),
            device: Device::Auto,
            threads_per_worker: 1,
            glossary: Glossary::default(),
        }
    }
}

/// A loaded model, shared by all workers.
#[derive(Debug, Clone)]
pub struct WhisperEngine {
    context: Arc<WhisperContext>,
    header: ModelHeader,
    threads_per_worker: u16,
    device_name: String,
    /// Tokens of the words to expect.
    expected: Arc<Vec<std::ffi::c_int>>,
}

impl WhisperEngine {
    /// Loads the model. What whisper.cpp prints is silenced for the whole process.
    pub fn load(config: &WhisperConfig) -> Result<Self, AsrError> {
        whisper_rs::install_logging_hooks();
        let header = ModelHeader::read(&config.model_path)?;
        let card = card_for(config.device, graphics_cards().as_deref())?;
        let mut parameters = WhisperContextParameters::new();
        parameters
            .use_gpu(card.is_some())
            .gpu_device(card.as_ref().map_or(0, |card| i32::from(card.index)))
            .flash_attn(false)
            .dtw_parameters(DtwParameters { mode: header.alignment_heads(), dtw_mem_size: ALIGNMENT_BYTES });
        let context = WhisperContext::new_with_params(&config.model_path, parameters).map_err(|error| {
            AsrError::ModelInvalid { path: config.model_path.clone(), reason: error.to_string() }
        })?;
        let expected = match config.glossary.prompt() {
            None => Vec::new(),
            Some(prompt) => {
                // No text has more tokens than bytes.
                let tokens = context.tokenize(&prompt, prompt.len()).map_err(|error| {
                    AsrError::ModelInvalid { path: config.model_path.clone(), reason: error.to_string() }
                })?;
                fitting(tokens)?
            }
        };
        let device_name = card.map_or_else(|| "cpu".to_owned(), |card| card.name);
        Ok(Self {
            context: Arc::new(context),
            header,
            threads_per_worker: config.threads_per_worker.max(1),
            device_name,
            expected: Arc::new(expected),
        })
    }

    /// A recogniser for worker `worker`, with a state of its own on the shared weights.
    pub fn transcriber(&self, worker: usize) -> Result<WhisperTranscriber, AsrError> {
        WhisperTranscriber::new(self.clone(), worker)
    }

    /// What is known of the model.
    pub fn model(&self) -> ModelInfo {
        ModelInfo { name: self.header.name(), multilingual: self.header.is_multilingual() }
    }

    /// What was picked, in a line: device, workers, threads, kernels, model.
    pub fn description(&self, workers: usize) -> String {
        let kernels = kernels_in_use(whisper_rs::print_system_info());
        format!(
            "{}: {workers} workers x {} threads, {kernels}, {}",
            self.device_name,
            self.threads_per_worker,
            self.header.name()
        )
    }
}

/// A graphics card to compute on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    index: u16,
    name: String,
}

/// Names of the graphics cards that this build can use; `None` where it could use one and cannot tell.
pub fn graphics_cards() -> Option<Vec<String>> {
    #[cfg(feature = "vulkan")]
    return Some(whisper_rs::vulkan::list_devices().into_iter().map(|card| card.name).collect());
    #[cfg(not(feature = "vulkan"))]
    return (!BUILT_FOR_GPU).then(Vec::new);
}

/// The card that `device` asks for among `cards` (see [`graphics_cards`]), or `None` for the processor.
fn card_for(device: Device, cards: Option<&[String]>) -> Result<Option<Card>, AsrError> {
    let card = |index: u16| match cards {
        None => Some(Card { index, name: format!("gpu {index}") }),
        Some(cards) => {
            cards.get(usize::from(index)).map(|name| Card { index, name: format!("gpu {index} ({name})") })
        }
    };
    match device {
        Device::Cpu => Ok(None),
        Device::Auto => Ok(card(0)),
        Device::Gpu(index) => card(index).map(Some).ok_or_else(|| AsrError::DeviceUnavailable {
            device: format!("gpu {index}"),
            reason: match cards {
                Some(cards) if BUILT_FOR_GPU => {
                    format!(
                        "there are {} that this build can use: look at what its driver lists",
                        cards.len()
                    )
                }
                _ => "this build has no GPU support; build with feature cuda, vulkan, metal or hipblas"
                    .to_owned(),
            },
        }),
    }
}

/// The names of what is switched on in whisper.cpp's report (`AVX = 1 | FMA = 0 | …`), joined by spaces.
fn kernels_in_use(report: &str) -> String {
    let fields = report.split(['|', ':']);
    let on: Vec<&str> = fields
        .filter_map(|field| field.trim().strip_suffix("= 1").map(str::trim))
        .filter(|name| !name.is_empty())
        .collect();
    if on.is_empty() { "plain kernels".to_owned() } else { on.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_asked_for_is_taken_or_named_as_missing() {
        let two = ["Iris".to_owned(), "Radeon".to_owned()];
        let named = |index: u16, name: &str| Ok(Some(Card { index, name: name.to_owned() }));
        assert_eq!(card_for(Device::Auto, Some(&two)), named(0, "gpu 0 (Iris)"));
        assert_eq!(card_for(Device::Gpu(1), Some(&two)), named(1, "gpu 1 (Radeon)"));
        assert_eq!(card_for(Device::Gpu(2), None), named(2, "gpu 2"));
        assert_eq!(card_for(Device::Auto, Some(&[])), Ok(None));
        assert_eq!(card_for(Device::Cpu, Some(&two)), Ok(None));
        let missing = card_for(Device::Gpu(2), Some(&two)).expect_err("no third card").to_string();
        assert!(missing.contains("gpu 2"), "{missing}");
    }

    #[test]
    fn only_what_is_switched_on_is_named() {
        let report =
            "WHISPER : COREML = 0 | CPU : SSE3 = 1 | AVX = 1 | AVX512 = 1 | OPENMP = 0 | REPACK = 1 | ";
        assert_eq!(kernels_in_use(report), "SSE3 AVX AVX512 REPACK");
        assert_eq!(kernels_in_use(""), "plain kernels");
    }

    #[test]
    fn a_missing_model_is_named_with_what_to_do() {
        let error = WhisperEngine::load(&WhisperConfig::new("/nowhere/ggml-base.bin")).expect_err("no model");
        assert!(error.to_string().contains("/nowhere/ggml-base.bin"), "{error}");
        assert!(error.to_string().contains("models pull"), "{error}");
    }
}
