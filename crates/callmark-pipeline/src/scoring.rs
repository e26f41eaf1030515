//! Opens what scores: the rules that ship with Callmark, those that the user wrote, and the sentence model.

use callmark_analytics::{RuleError, Ruleset};
use callmark_embed::{EmbedError, SentenceModel};
use callmark_models::{ModelError, ModelState, ModelStore};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The sentence model that the heads were trained on, by its name in `models/manifest.toml`.
const SENTENCE_MODEL: &str = "minilm";
/// Largest rule file, in bytes.
const MAX_RULE_FILE_BYTES: u64 = 4 << 20;

/// Whether the sentence model is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextModelChoice {
    /// Where its weights are here, or a rule asks for meaning; else rules alone, and a note says so.
    #[default]
    Auto,
    /// It is used, or nothing is scored.
    Minilm,
    /// Rules alone.
    None,
}

/// By what calls are scored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scoring {
    /// Rule files, or folders of them. A file named as a built-in one takes its place.
    pub rules: Vec<PathBuf>,
    /// Whether the sentence model is used.
    pub text_model: TextModelChoice,
}

/// What scores, ready.
#[derive(Debug)]
pub struct OpenedScoring {
    /// The rules.
    pub rules: Ruleset,
    /// The names that the given rule files have in `rules`, in order.
    pub files: Vec<String>,
    /// What a user should know, in words.
    pub note: Option<String>,
}

/// Why calls cannot be scored as asked.
#[derive(Debug, thiserror::Error)]
pub enum ScoringError {
    /// A rule file cannot be read.
    #[error("cannot read the rules {path}: {reason}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A rule file is wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A rule asks for meaning and there is no sentence model.
    #[error(
        "rule {0:?} has `near`, which needs the sentence model: `callmark models pull minilm`, and not text_model = none"
    )]
    NeedsModel(String),
    /// The model is not here or damaged.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model cannot be loaded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

impl Scoring {
    /// Reads the rules and loads the model.
    ///
    /// # Errors
    /// Where a rule file is wrong or cannot be read, or a model that is asked for or needed is not here.
    pub fn open(&self) -> Result<OpenedScoring, ScoringError> {
        let texts = self.texts()?;
        let sources: Vec<(&str, &str)> =
            texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mut rules = Ruleset::from_sources(&sources)?;
        let files: Vec<String> = texts.into_keys().collect();
        let needing = rules.lacks_model().map(str::to_owned);
        let store = ModelStore::open(ModelStore::default_dir()?)?;
        let is_here = store.list().iter().any(|m| m.name == SENTENCE_MODEL && m.state != ModelState::Missing);
        let wanted = match self.text_model {
            TextModelChoice::Auto => is_here,
            TextModelChoice::Minilm => true,
            TextModelChoice::None => false,
        };
        if wanted {
            let model = store.resolve(SENTENCE_MODEL)?;
            rules = rules.with_encoder(Arc::new(SentenceModel::load(&model.path, &model.sha256)?))?;
        } else if let Some(rule) = needing {
            return Err(ScoringError::NeedsModel(rule));
        }
        let is_missed = self.text_model == TextModelChoice::Auto && !wanted;
        let missed = is_missed.then(|| {
            "requests for a person are found by rules alone, since the sentence model is not here \
             (`callmark models pull minilm`)"
                .to_owned()
        });
        let replaced: Vec<&str> =
            files.iter().map(String::as_str).filter(|f| Ruleset::is_built_in(f)).collect();
        let told = (!replaced.is_empty()).then(|| {
            format!(
                "{} as given here stands in for what ships with Callmark under that name",
                replaced.join(", ")
            )
        });
        let notes: Vec<String> = missed.into_iter().chain(told).collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(OpenedScoring { rules, files, note })
    }

    /// The texts of the given rule files by the names that they have among the built-in ones.
    fn texts(&self) -> Result<BTreeMap<String, String>, ScoringError> {
        let mut texts = BTreeMap::new();
        for path in self.files()? {
            let failed = |reason: String| ScoringError::Unreadable { path: path.clone(), reason };
            let size = std::fs::metadata(&path).map_err(|e| failed(e.to_string()))?.len();
            if size > MAX_RULE_FILE_BYTES {
                return Err(failed(format!("{size} bytes are more than {MAX_RULE_FILE_BYTES}; split it")));
            }
            let text = std::fs::read_to_string(&path).map_err(|e| failed(e.to_string()))?;
            let name = name_of(&path);
            if texts.insert(name.clone(), text).is_some() {
                return Err(failed(format!("another file of the name {name} is given; rename one")));
            }
        }
        Ok(texts)
    }

    fn files(&self) -> Result<Vec<PathBuf>, ScoringError> {
        let mut files = Vec::new();
        for path in &self.rules {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let failed =
                |e: std::io::Error| ScoringError::Unreadable { path: path.clone(), reason: e.to_string() };
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                if file.extension().is_some_and(|e| e == "toml") && file.is_file() {
                    inside.push(file);
                }
            }
            if inside.is_empty() {
                let reason = "the folder has no .toml file".to_owned();
                return Err(ScoringError::Unreadable { path: path.clone(), reason });
            }
            inside.sort();
            files.append(&mut inside);
        }
        Ok(files)
    }
}

/// `rules/FILE`, or `lexicons/FILE`, `heads/FILE` where it lies in a folder of that name.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let kind = ["lexicons", "heads"].into_iter().find(|kind| folder == *kind).unwrap_or("rules");
    format!("{kind}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str =
        "[[category]]\nid = \"mine\"\nversion = \"1\"\nname = \"Mine\"\nexact = [\"abracadabra\"]\n";

    fn choice(paths: &[&Path]) -> Scoring {
        let rules = paths.iter().map(|p| (*p).to_owned()).collect();
        Scoring { rules, text_model: TextModelChoice::None }
    }

    #[test]
    fn files_and_folders_are_read_and_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.toml"), RULE).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no rule").unwrap();
        let opened = choice(&[folder.path()]).open().unwrap();
        assert_eq!(opened.files, ["rules/mine.toml"]);
        assert_ne!(opened.rules.sha256(), Ruleset::built_in().sha256());
        assert_eq!((opened.note, opened.rules.text_model_sha256()), (None, None));
    }

    #[test]
    fn what_cannot_be_read_or_meant_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        let text_of = |paths: &[&Path]| choice(paths).open().unwrap_err().to_string();
        assert!(text_of(&[&file]).contains("mine.toml"));
        assert!(text_of(&[folder.path()]).contains("no .toml file"));
        std::fs::write(&file, RULE).unwrap();
        assert!(text_of(&[&file, folder.path()]).contains("another file of the name rules/mine.toml"));
        std::fs::write(&file, RULE).unwrap();
        assert_eq!(choice(&[&file]).open().unwrap().note, None);
        std::fs::rename(&file, folder.path().join("categories.toml")).unwrap();
        let replaced = choice(&[&folder.path().join("categories.toml")]).open().unwrap().note;
        assert_eq!(replaced, None, "no built-in file has that name");
        std::fs::rename(folder.path().join("categories.toml"), folder.path().join("roles.toml")).unwrap();
        let replaced = choice(&[&folder.path().join("roles.toml")]).open().unwrap().note;
        assert!(replaced.unwrap().contains("rules/roles.toml"));
        std::fs::remove_file(folder.path().join("roles.toml")).unwrap();
        std::fs::write(&file, RULE.replace("exact", "exakt")).unwrap();
        assert!(text_of(&[&file]).contains("\"exact\""), "{}", text_of(&[&file]));
        std::fs::write(&file, RULE.replace("exact = ", "near = ")).unwrap();
        assert!(text_of(&[&file]).contains("models pull minilm"));
    }
}
