//! Opens the recogniser that a pipeline asks for: model found and verified, workers started.

use crate::config::Pipeline;
use crate::run::RunError;
use callmark_asr::WorkerPool;

/// A running recogniser, and what rows say of it.
#[derive(Debug)]
pub struct Recogniser {
    /// The workers.
    pub workers: WorkerPool,
    /// Name of the model, for the lineage columns.
    pub model: String,
    /// SHA-256 of its weights, hex.
    pub model_sha256: String,
}

impl Recogniser {
    /// Finds and verifies the model of `pipeline` and starts its workers: one a core, unless the pipeline says more.
    #[cfg(feature = "whisper")]
    pub fn open(pipeline: &Pipeline) -> Result<Self, RunError> {
        use crate::config::DeviceChoice;
        use callmark_asr::{Device, EngineConfig, WhisperConfig};
        use callmark_models::ModelStore;

        let model = ModelStore::open(ModelStore::default_dir()?)?.resolve(&pipeline.model)?;
        let device = match pipeline.device {
            DeviceChoice::Auto => Device::Auto,
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Gpu => Device::Gpu(0),
        };
        let config = WhisperConfig { device, ..WhisperConfig::new(&model.path) };
        let workers = pipeline.workers.unwrap_or_else(available_cores);
        let workers = WorkerPool::start(EngineConfig::Whisper(config), workers)?;
        Ok(Self { workers, model: model.name, model_sha256: model.sha256 })
    }

    /// A build without a recogniser reads transcripts only.
    #[cfg(not(feature = "whisper"))]
    pub fn open(_pipeline: &Pipeline) -> Result<Self, RunError> {
        Err(RunError::NoRecogniser)
    }
}

/// Cores that this process may use.
pub(crate) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
