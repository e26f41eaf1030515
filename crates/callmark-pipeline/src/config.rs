//! The pipeline file: raw TOML in, a valid [`Pipeline`] out, in this one place.
//!
//! `callmark score` fills the same [`Pipeline`] from flags, so a file and a command line mean the same thing.

use crate::metadata_fields::{nearest, parse_channel_role};
use crate::redaction::Redaction;
use crate::scoring::{Scoring, TextModelChoice};
use callmark_asr::model_language;
use callmark_types::{CallId, ChannelRole, Millis};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of the pipeline file's format that this program reads.
const CONFIG_VERSION: u32 = 1;

/// Calls in one commit, where nothing else is said: large enough for files that readers like, small enough that
/// results appear while a long run goes on.
pub const DEFAULT_BATCH_CALLS: usize = 64;
/// Confidence under which a turn is heard by the second model, where there is one (see `benches/README.md`).
pub const DEFAULT_SECOND_BELOW: f64 = 0.85;

/// Most calls in one commit: they are held in memory until it is written.
pub const MAX_BATCH_CALLS: usize = 10_000;

/// Most transcription workers: more than any machine this runs on has cores.
pub(crate) const MAX_WORKERS: usize = 256;

/// Longest recording, where nothing else is said.
pub(crate) const DEFAULT_MAX_DURATION: Millis = Millis(4 * 3_600_000);

/// Largest recording, where nothing else is said, in bytes.
pub(crate) const DEFAULT_MAX_BYTES: u64 = 4 << 30;

/// Why a pipeline cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read pipeline file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a pipeline file.
    #[error("pipeline file {path} line {line}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// What is wrong, with the nearest valid key where one is near.
        reason: String,
    },
    /// A value is out of its bounds.
    #[error("{setting}: {reason}")]
    Invalid {
        /// Flag or key.
        setting: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Which device transcribes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// A GPU where the build and the machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, or an error.
    Gpu,
}

/// A valid batch pipeline: what to read, how to hear it, where to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Files and folders.
    pub inputs: Vec<PathBuf>,
    /// CTI metadata.
    pub calls: Option<PathBuf>,
    /// Ids of recordings, by path, that no row of metadata names; others take their file's stem.
    pub call_ids: BTreeMap<PathBuf, CallId>,
    /// Roles by channel for recordings of which metadata says nothing.
    pub channels: Vec<ChannelRole>,
    /// Codec of headerless recordings whose name does not tell, as `ulaw`, `alaw`, `sln`, `gsm`, `g722`.
    pub raw_codec: Option<String>,
    /// Longest recording accepted.
    pub max_duration: Millis,
    /// Largest recording accepted, in bytes.
    pub max_bytes: u64,
    /// Model name or path.
    pub model: String,
    /// Name or path of a second model, usually a larger one, that hears again what the first is unsure of.
    pub second_model: Option<String>,
    /// Turns with a confidence under this, 0 to 1, are heard again.
    pub second_below: f64,
    /// Language, or `None` to detect it.
    pub language: Option<String>,
    /// File of words that the recogniser is to expect, one a line.
    pub vocabulary: Option<PathBuf>,
    /// Device.
    pub device: DeviceChoice,
    /// Transcription workers; `None` = one a core.
    pub workers: Option<usize>,
    /// Personal data that is taken out before anything is stored.
    pub redaction: Redaction,
    /// By what calls are scored.
    pub scoring: Scoring,
    /// What recognises the speech.
    pub engine: EngineChoice,
    /// The dataset.
    pub out: PathBuf,
    /// Calls in one commit.
    pub batch_calls: usize,
}

impl Pipeline {
    /// A pipeline with the defaults from `inputs` to `out`.
    pub fn new(inputs: Vec<PathBuf>, out: PathBuf) -> Self {
        Self {
            inputs,
            calls: None,
            call_ids: BTreeMap::new(),
            channels: Vec::new(),
            raw_codec: None,
            max_duration: DEFAULT_MAX_DURATION,
            max_bytes: DEFAULT_MAX_BYTES,
            model: "base".to_owned(),
            second_model: None,
            second_below: DEFAULT_SECOND_BELOW,
            language: None,
            vocabulary: None,
            device: DeviceChoice::Auto,
            workers: None,
            redaction: Redaction::default(),
            scoring: Scoring::default(),
            engine: EngineChoice::Auto,
            out,
            batch_calls: DEFAULT_BATCH_CALLS,
        }
    }

    /// Reads a pipeline file. Paths in it are relative to the file's folder.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = parse(path, &read(path)?)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let channels =
            raw.source.channels.iter().map(|c| parse_channel_role(c)).collect::<Result<Vec<_>, _>>();
        let pipeline = Self {
            inputs: raw.source.inputs.iter().map(|p| base.join(p)).collect(),
            calls: raw.source.calls.map(|p| base.join(p)),
            channels: channels.map_err(|reason| invalid("source.channels", reason))?,
            // An empty name would become the folder of the pipeline file.
            out: if raw.output.dir.as_os_str().is_empty() {
                raw.output.dir
            } else {
                base.join(raw.output.dir)
            },
            batch_calls: raw.output.batch_calls.unwrap_or(DEFAULT_BATCH_CALLS),
            redaction: raw.redaction.read(base)?,
            scoring: raw.scoring.read(base),
            ..Self::hearing(raw.audio, raw.transcription, base)
        };
        pipeline.validated()
    }

    /// A pipeline of which only how it hears is said; paths are relative to `base`.
    pub(crate) fn hearing(audio: RawAudio, transcription: RawTranscription, base: &Path) -> Self {
        Self {
            raw_codec: audio.raw_codec,
            max_duration: audio
                .max_duration_s
                .map_or(DEFAULT_MAX_DURATION, |s| Millis(s.saturating_mul(1000))),
            max_bytes: audio.max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
            model: transcription.model.unwrap_or_else(|| "base".to_owned()),
            second_model: transcription.second_model,
            second_below: transcription.second_below.unwrap_or(DEFAULT_SECOND_BELOW),
            language: transcription.language,
            vocabulary: transcription.vocabulary.map(|path| base.join(path)),
            device: transcription.device,
            workers: transcription.workers,
            engine: transcription.engine,
            ..Self::new(Vec::new(), PathBuf::new())
        }
    }

    /// Checks the bounds.
    pub fn validated(self) -> Result<Self, ConfigError> {
        if self.inputs.is_empty() {
            return Err(invalid("inputs", "name at least one file or folder"));
        }
        if self.out.as_os_str().is_empty() {
            return Err(invalid("output", "name the folder of the dataset"));
        }
        self.checked()
    }

    /// Checks all but the inputs.
    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        if !(1..=MAX_BATCH_CALLS).contains(&self.batch_calls) {
            return Err(invalid(
                "batch_calls",
                format!("{} is not between 1 and {MAX_BATCH_CALLS}", self.batch_calls),
            ));
        }
        if let Some(workers) = self.workers.filter(|w| !(1..=MAX_WORKERS).contains(w)) {
            return Err(invalid("workers", format!("{workers} is not between 1 and {MAX_WORKERS}")));
        }
        if !(0.0..=1.0).contains(&self.second_below) {
            return Err(invalid("second_below", format!("{} is not between 0 and 1", self.second_below)));
        }
        if self.second_model.as_ref() == Some(&self.model) {
            return Err(invalid(
                "second_model",
                format!("`{}` is the first model, too: name another", self.model),
            ));
        }
        if self.max_duration.0 < 1000 {
            return Err(invalid("max_duration_s", "must be at least 1 second"));
        }
        if self.redaction.audio.is_some() && self.redaction.kinds.is_empty() {
            return Err(invalid(
                "redaction",
                "audio copies need to be told which kinds to silence, such as all",
            ));
        }
        if let Some(tag) = self.language.as_deref().filter(|tag| model_language(tag).is_none()) {
            return Err(invalid(
                "language",
                format!("`{tag}` is no language that the model knows: give a code such as en or es-MX"),
            ));
        }
        Ok(self)
    }
}

pub(crate) fn invalid(setting: impl Into<String>, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { setting: setting.into(), reason: reason.into() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(rename = "version")]
    _version: u32,
    source: RawSource,
    #[serde(default)]
    audio: RawAudio,
    #[serde(default)]
    transcription: RawTranscription,
    #[serde(default)]
    redaction: RawRedaction,
    #[serde(default)]
    scoring: RawScoring,
    output: RawOutput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    #[serde(rename = "kind")]
    _kind: SourceKind,
    inputs: Vec<PathBuf>,
    calls: Option<PathBuf>,
    #[serde(default)]
    channels: Vec<String>,
}

/// What a pipeline reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceKind {
    Files,
    KafkaRecordings,
    KafkaLive,
}

/// What recordings are accepted.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAudio {
    pub(crate) raw_codec: Option<String>,
    pub(crate) max_duration_s: Option<i64>,
    pub(crate) max_bytes: Option<u64>,
}

/// Who transcribes.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTranscription {
    #[serde(default)]
    pub(crate) engine: EngineChoice,
    pub(crate) model: Option<String>,
    pub(crate) second_model: Option<String>,
    pub(crate) second_below: Option<f64>,
    pub(crate) language: Option<String>,
    pub(crate) vocabulary: Option<PathBuf>,
    #[serde(default)]
    pub(crate) device: DeviceChoice,
    pub(crate) workers: Option<usize>,
}

/// What recognises the speech.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineChoice {
    /// CTranslate2 on a processor, whisper.cpp on a graphics card and where the other is not to be had.
    #[default]
    Auto,
    /// Whisper by whisper.cpp.
    Whisper,
    /// Whisper by CTranslate2, or an error.
    Ct2,
    /// Made-up text that follows from the length of what is said, for load tests: everything but recognition is real,
    /// and the rows say `scripted` where the model's name stands.
    Scripted,
}

/// By what calls are scored.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawScoring {
    #[serde(default)]
    rules: Vec<PathBuf>,
    #[serde(default)]
    text_model: TextModelChoice,
}

impl RawScoring {
    pub(crate) fn read(self, base: &Path) -> Scoring {
        let rules = self.rules.into_iter().map(|path| base.join(path)).collect();
        Scoring { rules, text_model: self.text_model }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRedaction {
    #[serde(default)]
    kinds: Vec<String>,
    audio: Option<PathBuf>,
}

impl RawRedaction {
    pub(crate) fn read(self, base: &Path) -> Result<Redaction, ConfigError> {
        let kinds = Redaction::of_names(self.kinds.iter().map(String::as_str));
        let kinds = kinds.map_err(|reason| invalid("redaction.kinds", reason))?;
        Ok(Redaction { kinds, audio: self.audio.map(|folder| base.join(folder)) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    dir: PathBuf,
    batch_calls: Option<usize>,
}

/// What every pipeline file says first.
#[derive(Deserialize)]
struct Head {
    version: u32,
    source: HeadSource,
}

#[derive(Deserialize)]
struct HeadSource {
    kind: SourceKind,
}

pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// What the pipeline file `text` reads from.
pub(crate) fn source_kind(path: &Path, text: &str) -> Result<SourceKind, ConfigError> {
    Ok(parse_part::<Head>(path, text)?.source.kind)
}

/// The whole of a pipeline file; keys without a meaning are refused.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let head: Head = parse_part(path, text)?;
    if head.version != CONFIG_VERSION {
        return Err(ConfigError::Malformed {
            path: path.to_owned(),
            line: 1,
            reason: format!(
                "version {} is not known, this program reads version {CONFIG_VERSION}",
                head.version
            ),
        });
    }
    parse_part(path, text)
}

fn parse_part<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|e| {
        let offset = e.span().map_or(0, |s| s.start).min(text.len());
        ConfigError::Malformed {
            path: path.to_owned(),
            line: text[..offset].matches('\n').count() + 1,
            reason: with_nearest_key(e.message()),
        }
    })
}

/// Adds the nearest valid key to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_nearest_key(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    match names.split_first() {
        Some((unknown, valid)) if is_unknown => match nearest(unknown, valid.iter().copied()) {
            Some(key) => format!("{message}\n  did you mean `{key}`?"),
            None => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "version = 1\n[source]\nkind = \"files\"\ninputs = [\"audio\"]\n[output]\ndir = \"out\"\n";

    fn load(text: &str) -> Result<Pipeline, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, text).unwrap();
        Pipeline::from_file(&path)
    }

    #[test]
    fn an_output_without_a_name_is_refused() {
        let error = load(&MINIMAL.replace("dir = \"out\"", "dir = \"\"")).unwrap_err().to_string();
        assert!(error.contains("name the folder of the dataset"), "{error}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let pipeline = load(MINIMAL).unwrap();
        assert!(pipeline.inputs[0].is_absolute() && pipeline.inputs[0].ends_with("audio"));
        assert_eq!(pipeline.batch_calls, DEFAULT_BATCH_CALLS);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_valid_one() {
        let error = load(&format!("{MINIMAL}[transcription]\nmodle = \"base\"\n")).unwrap_err().to_string();
        assert!(error.contains("line 8") && error.contains("did you mean `model`?"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_names_its_setting() {
        let error = load(&MINIMAL.replace("dir = \"out\"", "dir = \"out\"\nbatch_calls = 0"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("batch_calls: 0 is not between"), "{error}");
        let second =
            |lines: &str| load(&format!("{MINIMAL}[transcription]\n{lines}\n")).unwrap_err().to_string();
        let error = second("second_model = \"small\"\nsecond_below = 1.5");
        assert!(error.starts_with("second_below: 1.5 is not between 0 and 1"), "{error}");
        assert!(second("second_model = \"base\"").contains("is the first model, too"));
        let error = load(&MINIMAL.replace("version = 1", "version = 9")).unwrap_err().to_string();
        assert!(error.contains("version 9 is not known"), "{error}");
        let error = load(&format!("{MINIMAL}[transcription]\nlanguage = \"xx\"\n")).unwrap_err().to_string();
        assert!(error.starts_with("language: `xx` is no language"), "{error}");
    }

    #[test]
    fn every_pipeline_file_in_the_repository_loads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
        let files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        assert!(!files.is_empty(), "no pipeline file in {}", folder.display());
        for file in files {
            crate::PipelineFile::read(&file).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}
