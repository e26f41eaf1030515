//! Whisper through CTranslate2: 8-bit weights shared by all workers, the texts of several packs written
//! side by side.
//!
//! On a processor it encodes several times faster than whisper.cpp. It is opened at run time as a shared library (see
//! `callmark-ct2`), so a machine without it loses this engine and nothing else.

mod align;
mod decode;
mod mel;
mod vocabulary;
mod write;

pub use decode::Ct2Transcriber;

use crate::error::AsrError;
use crate::glossary::{Glossary, fitting};
use crate::transcriber::ModelInfo;
use callmark_ct2::{Library, Model};
use std::path::PathBuf;
use std::sync::Arc;
use vocabulary::Vocabulary;

/// Packs decoded together at most. Each step of the decoder reads all its weights once for all of them.
const DEFAULT_BATCH: usize = 6;

/// What a CTranslate2 engine is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ct2Config {
    /// CTranslate2's shared library; `libgomp` lies beside it.
    pub library: PathBuf,
    /// The folder with `model.bin`, `config.json` and `vocabulary.txt`.
    pub model_folder: PathBuf,
    /// Name of the model, for people.
    pub name: String,
    /// How it computes: `int8`, `float32`.
    pub compute: String,
    /// Threads that each worker computes with; one is best where there is a worker a core.
    pub threads_per_worker: u16,
    /// Most packs decoded together.
    pub batch: usize,
    /// Words to expect.
    pub glossary: Glossary,
}

impl Ct2Config {
    /// The model in `model_folder` computed with 8 bits by `library`, one thread a worker.
    pub fn new(library: impl Into<PathBuf>, model_folder: impl Into<PathBuf>, name: &str) -> Self {
        Self {
            library: library.into(),
            model_folder: model_folder.into(),
            name: name.to_owned(),
            compute: "int8".to_owned(),
            threads_per_worker: 1,
            batch: DEFAULT_BATCH,
            glossary: Glossary::default(),
        }
    }
}

/// A loaded model, shared by all workers.
#[derive(Debug, Clone)]
pub struct Ct2Engine {
    model: Model,
    vocabulary: Arc<Vocabulary>,
    config: Ct2Config,
    /// Tokens of the words to expect, with the mark before them.
    expected: Arc<Vec<u32>>,
}

impl Ct2Engine {
    /// Opens the library and loads the model.
    pub fn load(config: &Ct2Config) -> Result<Self, AsrError> {
        let vocabulary = Vocabulary::read(&config.model_folder)?;
        let library = Library::open(&config.library)
            .map_err(|error| AsrError::EngineUnavailable { engine: "ct2", reason: error.to_string() })?;
        let model = library.load(&config.model_folder, &config.compute).map_err(|error| {
            AsrError::ModelInvalid { path: config.model_folder.clone(), reason: error.to_string() }
        })?;
        let expected = match config.glossary.prompt() {
            None => Vec::new(),
            Some(prompt) => {
                let mark = vocabulary.id("<|startofprev|>");
                mark.into_iter().chain(fitting(vocabulary.tokens(&prompt))?).collect()
            }
        };
        Ok(Self {
            model,
            vocabulary: Arc::new(vocabulary),
            config: config.clone(),
            expected: Arc::new(expected),
        })
    }

    /// A recogniser for worker `worker` on the shared weights.
    pub fn transcriber(&self, worker: usize) -> Result<Ct2Transcriber, AsrError> {
        Ct2Transcriber::new(self.clone(), worker)
    }

    /// What is known of the model.
    pub fn model(&self) -> ModelInfo {
        ModelInfo {
            name: format!("{} {} by CTranslate2", self.config.name, self.config.compute),
            multilingual: self.vocabulary.is_multilingual(),
        }
    }

    /// What was picked, in a line: device, workers, threads, batch, model.
    pub fn description(&self, workers: usize) -> String {
        let Ct2Config { threads_per_worker, batch, .. } = &self.config;
        format!(
            "cpu: {workers} workers x {threads_per_worker} threads, up to {batch} packs at once, {}",
            self.model().name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_model_is_named_with_what_to_do() {
        let config = Ct2Config::new("/nowhere/lib.so", "/nowhere/base", "base");
        let error = Ct2Engine::load(&config).expect_err("no model").to_string();
        assert!(error.contains("/nowhere/base") && error.contains("models pull"), "{error}");
    }
}
