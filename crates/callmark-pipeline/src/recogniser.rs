//! Opens the recogniser that a pipeline asks for: model found and verified, workers started.

use crate::call::hex;
use crate::config::{EngineChoice, Pipeline};
use crate::run::RunError;
use callmark_asr::{EngineConfig, Script, WorkerPool};
use callmark_types::Millis;
use sha2::{Digest, Sha256};

/// What the scripted recogniser hears in speech of about that length: greetings, requests for a person, refusals,
/// problems and their ends, so that every table gets rows.
const SCRIPT: [(Millis, &str); 6] = [
    (Millis(600), "Hello."),
    (Millis(1_500), "I am sorry, I can help you with that."),
    (Millis(3_000), "No, I want to speak to a human agent please, can I speak to a real person?"),
    (Millis(5_000), "My order has not arrived and this is really terrible, I am very angry about it."),
    (
        Millis(9_000),
        "I have sent you a new one today and refunded the delivery, is there anything else I can do for you?",
    ),
    (
        Millis(15_000),
        "Great, that solves it, thank you very much for your help, I am happy with that, have a nice day and goodbye.",
    ),
];

/// A running recogniser, and what rows say of it.
#[derive(Debug)]
pub struct Recogniser {
    /// The workers.
    pub workers: WorkerPool,
    /// Name of the model, for the lineage columns.
    pub model: String,
    /// SHA-256 of its weights, hex.
    pub model_sha256: String,
    /// What a user should know of the model, in words.
    pub note: Option<String>,
}

impl Recogniser {
    /// Finds and verifies the model of `pipeline` and starts its workers: one a core, unless the pipeline says more.
    #[cfg(feature = "whisper")]
    pub fn open(pipeline: &Pipeline) -> Result<Self, RunError> {
        use crate::config::DeviceChoice;
        use callmark_asr::{Device, WhisperConfig};
        use callmark_models::ModelStore;

        if pipeline.engine == EngineChoice::Scripted {
            return Self::scripted(pipeline);
        }
        let model = ModelStore::open(ModelStore::default_dir()?)?.resolve(&pipeline.model)?;
        let device = match pipeline.device {
            DeviceChoice::Auto => Device::Auto,
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Gpu => Device::Gpu(0),
        };
        let config = WhisperConfig { device, ..WhisperConfig::new(&model.path) };
        let workers = pipeline.workers.unwrap_or_else(available_cores);
        let workers = WorkerPool::start(EngineConfig::Whisper(config), workers)?;
        let note = (!model.published).then(|| {
            let (path, sha256) = (model.path.display(), &model.sha256);
            format!("the model {path} is none of the published ones: used as it is (sha256 {sha256})")
        });
        Ok(Self { workers, model: model.name, model_sha256: model.sha256, note })
    }

    /// A build without a recogniser reads transcripts only.
    #[cfg(not(feature = "whisper"))]
    pub fn open(pipeline: &Pipeline) -> Result<Self, RunError> {
        match pipeline.engine {
            EngineChoice::Scripted => Self::scripted(pipeline),
            EngineChoice::Whisper => Err(RunError::NoRecogniser),
        }
    }

    /// Hears made-up text that depends on the length of what is said alone.
    fn scripted(pipeline: &Pipeline) -> Result<Self, RunError> {
        let lines = SCRIPT.iter().map(|(length, line)| (*length, (*line).to_owned())).collect();
        let engine = EngineConfig::Scripted(Script::by_length(lines));
        let workers = WorkerPool::start(engine, pipeline.workers.unwrap_or_else(available_cores))?;
        let lines: Vec<String> = SCRIPT.iter().map(|(length, line)| format!("{} {line}", length.0)).collect();
        let model_sha256 = hex(&Sha256::digest(lines.join("\n").as_bytes()));
        Ok(Self { workers, model: "scripted".to_owned(), model_sha256, note: None })
    }
}

/// Cores that this process may use.
pub(crate) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
