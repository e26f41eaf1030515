//! Opens the recogniser that a pipeline asks for: model found and verified, workers started.

use crate::call::hex;
use crate::config::{DeviceChoice, EngineChoice, Pipeline, invalid};
use crate::run::RunError;
use callmark_asr::{AsrError, EngineConfig, Glossary, Script, WorkerPool};
use callmark_models::{ModelError, ModelStore};
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

/// Largest vocabulary file that is read.
const MOST_VOCABULARY_BYTES: u64 = 64 << 10;

/// A running recogniser, and what rows say of it.
#[derive(Debug)]
pub struct Recogniser {
    /// The workers.
    pub workers: WorkerPool,
    /// Who hears again what these are unsure of.
    pub second: Option<SecondHearing>,
    /// Name of the model, for the lineage columns; with that of the second.
    pub model: String,
    /// SHA-256 of its weights, hex; of the first model, where there are two.
    pub model_sha256: String,
    /// What a user should know of the model, in words.
    pub note: Option<String>,
}

/// A second model, for what the first is unsure of.
#[derive(Debug)]
pub struct SecondHearing {
    /// The workers.
    pub workers: WorkerPool,
    /// Turns with a confidence under this are heard again.
    pub below: f64,
}

impl Recogniser {
    /// Finds and verifies the models of `pipeline` and starts their workers; one a core for each, unless the pipeline says more.
    pub fn open(pipeline: &Pipeline) -> Result<Self, RunError> {
        let first = Self::open_one(pipeline)?;
        let Some(name) = &pipeline.second_model else { return Ok(first) };
        let below = pipeline.second_below;
        let second = Self::open_one(&Pipeline { model: name.clone(), ..pipeline.clone() })?;
        Ok(Self {
            model: format!(
                "{} then {} {} below {below}",
                first.model,
                second.model,
                &second.model_sha256[..12]
            ),
            note: [first.note, second.note].into_iter().flatten().reduce(|a, b| format!("{a}; {b}")),
            second: Some(SecondHearing { workers: second.workers, below }),
            ..first
        })
    }

    /// Finds and verifies the model of `pipeline` and starts its workers: one a core, unless the pipeline says more.
    ///
    /// Where the engine is left open it is CTranslate2, which is two and more times as fast on a processor at the same error rate
    /// (`benches/README.md`). Whisper.cpp does the work where a graphics card is used, where CTranslate2's files are not here, or
    /// where it cannot be opened, which `note` then says.
    fn open_one(pipeline: &Pipeline) -> Result<Self, RunError> {
        match pipeline.engine {
            EngineChoice::Scripted => Self::scripted(pipeline),
            EngineChoice::Whisper => Self::whisper(pipeline),
            EngineChoice::Ct2 => Self::ct2(pipeline)?.map_err(RunError::from),
            EngineChoice::Auto if may_use_graphics_card(pipeline.device) => Self::whisper(pipeline),
            EngineChoice::Auto => match Self::ct2(pipeline)? {
                Ok(ready) => Ok(ready),
                Err(reason) => {
                    let mut whisper = Self::whisper(pipeline)?;
                    whisper.note = whisper.note.or(reason.hint());
                    Ok(whisper)
                }
            },
        }
    }

    #[cfg(feature = "whisper")]
    fn whisper(pipeline: &Pipeline) -> Result<Self, RunError> {
        use callmark_asr::{Device, WhisperConfig};

        let model = models()?.resolve(&pipeline.model)?;
        let device = match pipeline.device {
            DeviceChoice::Auto => Device::Auto,
            DeviceChoice::Cpu => Device::Cpu,
            DeviceChoice::Gpu => Device::Gpu(0),
        };
        let (glossary, expecting) = glossary(pipeline)?;
        let config = WhisperConfig { device, glossary, ..WhisperConfig::new(&model.path) };
        let workers = WorkerPool::start(EngineConfig::Whisper(config), workers_of(pipeline))?;
        let note = (!model.published).then(|| {
            let (path, sha256) = (model.path.display(), &model.sha256);
            format!("the model {path} is none of the published ones: used as it is (sha256 {sha256})")
        });
        Ok(Self { workers, second: None, model: model.name + &expecting, model_sha256: model.sha256, note })
    }

    #[cfg(not(feature = "whisper"))]
    fn whisper(_: &Pipeline) -> Result<Self, RunError> {
        Err(RunError::NoRecogniser)
    }

    /// The outer error is one of the surroundings; the inner says why this engine is not to be had here.
    #[cfg(feature = "ct2")]
    fn ct2(pipeline: &Pipeline) -> Result<Result<Self, NoCt2>, RunError> {
        use callmark_asr::Ct2Config;

        let name = &pipeline.model;
        if pipeline.device == DeviceChoice::Gpu {
            return Ok(Err(NoCt2::Gpu));
        }
        let model = match models()?.resolve_ct2(name) {
            Ok(Some(model)) => model,
            Ok(None) => return Ok(Err(NoCt2::Unknown(name.clone()))),
            Err(error) => return Ok(Err(NoCt2::Files(error))),
        };
        let (glossary, expecting) = glossary(pipeline)?;
        let config = Ct2Config { glossary, ..Ct2Config::new(&model.library, &model.folder, name) };
        match WorkerPool::start(EngineConfig::Ct2(config), workers_of(pipeline)) {
            Ok(workers) => {
                let (name, model_sha256) = (model.name + &expecting, model.sha256);
                Ok(Ok(Self { workers, second: None, model: name, model_sha256, note: None }))
            }
            Err(error @ AsrError::EngineUnavailable { .. }) => Ok(Err(NoCt2::Library(error))),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(feature = "ct2"))]
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as with the engine")]
    fn ct2(_: &Pipeline) -> Result<Result<Self, NoCt2>, RunError> {
        Ok(Err(NoCt2::NotBuilt))
    }

    /// Hears made-up text that depends on the length of what is said alone.
    fn scripted(pipeline: &Pipeline) -> Result<Self, RunError> {
        let lines = SCRIPT.iter().map(|(length, line)| (*length, (*line).to_owned())).collect();
        let engine = EngineConfig::Scripted(Script::by_length(lines));
        let workers = WorkerPool::start(engine, workers_of(pipeline))?;
        let lines: Vec<String> = SCRIPT.iter().map(|(length, line)| format!("{} {line}", length.0)).collect();
        let model_sha256 = hex(&Sha256::digest(lines.join("\n").as_bytes()));
        Ok(Self { workers, second: None, model: "scripted".to_owned(), model_sha256, note: None })
    }
}

/// Why CTranslate2 is not used.
#[derive(Debug, thiserror::Error)]
pub enum NoCt2 {
    /// This build does not know it.
    #[error(
        "this build does not run CTranslate2: build it with the feature `ct2`, or take the engine whisper"
    )]
    NotBuilt,
    /// A graphics card is asked for.
    #[error(
        "CTranslate2 runs on the processor here: leave the device open, or take the engine whisper for the card"
    )]
    Gpu,
    /// There is no such form of the model.
    #[error("model `{0}` is not to be had for CTranslate2 on this machine: take the engine whisper")]
    Unknown(String),
    /// Its files are not here, or damaged.
    #[error(transparent)]
    Files(ModelError),
    /// Its library cannot be opened.
    #[error(transparent)]
    Library(AsrError),
}

impl NoCt2 {
    /// What a user can do to have it, where something can be done.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Files(_) | Self::Library(_) => {
                Some(format!("whisper.cpp is used, which is slower here: {self}"))
            }
            Self::NotBuilt | Self::Gpu | Self::Unknown(_) => None,
        }
    }
}

/// Whether whisper.cpp would compute on a graphics card.
fn may_use_graphics_card(device: DeviceChoice) -> bool {
    #[cfg(feature = "whisper")]
    let sees_one = callmark_asr::graphics_cards().is_none_or(|cards| !cards.is_empty());
    #[cfg(not(feature = "whisper"))]
    let sees_one = false;
    device == DeviceChoice::Gpu || (sees_one && device == DeviceChoice::Auto)
}

/// The words to expect, and what the rows' model name says of them: which file it was, by its digest.
#[cfg(any(feature = "ct2", feature = "whisper"))]
fn glossary(pipeline: &Pipeline) -> Result<(Glossary, String), RunError> {
    let Some(path) = &pipeline.vocabulary else { return Ok((Glossary::default(), String::new())) };
    let wrong = |reason: String| invalid("vocabulary", reason);
    let size = std::fs::metadata(path).map_err(|e| wrong(format!("{}: {e}", path.display())))?.len();
    if size > MOST_VOCABULARY_BYTES {
        return Err(
            wrong(format!("{}: it is larger than {MOST_VOCABULARY_BYTES} bytes", path.display())).into()
        );
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
    let glossary = Glossary::parse(&text)
        .map_err(|(line, reason)| wrong(format!("{} line {line}: {reason}", path.display())))?;
    let digest = hex(&Sha256::digest(text.as_bytes()));
    Ok((glossary, format!(" with vocabulary {}", &digest[..12])))
}

fn models() -> Result<ModelStore, RunError> {
    Ok(ModelStore::open(ModelStore::default_dir()?)?)
}

fn workers_of(pipeline: &Pipeline) -> usize {
    pipeline.workers.unwrap_or_else(available_cores)
}

/// Cores that this process may use.
pub(crate) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
