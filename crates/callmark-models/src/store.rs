//! The directory of weights: what is there, what may be trusted, and which file a name or path stands for.

use std::path::{Path, PathBuf};

use crate::digest::hash_file;
use crate::error::ModelError;
use crate::ggml::{Header, VOCAB_ENGLISH};
use crate::manifest::{Languages, Manifest, ModelEntry};
use crate::progress::{Progress, Report};
use crate::pull::{PullOptions, Pulled};
use crate::stamp;

/// A directory of model files and the manifest that says what they must be.
#[derive(Debug, Clone)]
pub struct ModelStore {
    dir: PathBuf,
    manifest: Manifest,
}

/// One line of `callmark models list`.
#[derive(Debug, Clone)]
pub struct ModelStatus {
    /// What a user calls it.
    pub name: String,
    /// Where its file lies or should lie.
    pub path: PathBuf,
    /// The size it must have.
    pub bytes: u64,
    /// The SHA-256 it must have.
    pub sha256: String,
    /// Which languages it hears.
    pub languages: Languages,
    /// SPDX name of the weights' licence.
    pub licence: String,
    /// What was found.
    pub state: ModelState,
}

/// What is known of a model's file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// There is no such file.
    Missing,
    /// The file does not have the pinned size.
    WrongSize {
        /// The size it has.
        found_bytes: u64,
    },
    /// The size is right; the digest has not been computed since the file last changed.
    Unverified,
    /// The digest was computed since the file last changed, and was right.
    Verified,
    /// The digest was computed since the file last changed, and was wrong.
    Damaged,
}

/// A file that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedModel {
    /// The manifest's name; for a file that the manifest does not know, its stem.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256 in lower-case hexadecimal, for lineage.
    pub sha256: String,
    /// Which languages it hears.
    pub languages: Languages,
    /// Whether it has the digest of a published model: any other file's weights cannot be told from damaged ones.
    pub published: bool,
}

/// The files with which CTranslate2 runs a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ct2Model {
    /// The manifest's name of its form of the weights.
    pub name: String,
    /// The folder with `model.bin` and what is read beside it.
    pub folder: PathBuf,
    /// SHA-256 of the weights in lower-case hexadecimal, for lineage.
    pub sha256: String,
    /// CTranslate2's shared library.
    pub library: PathBuf,
}

/// What a full check of one file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What a user calls it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The result.
    pub outcome: VerificationOutcome,
}

/// The result of a full check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationOutcome {
    /// Size and digests are right.
    Intact,
    /// There is no such file.
    Missing,
    /// Size or digest is wrong.
    Damaged {
        /// Expected and found, and what to do.
        reason: String,
    },
}

impl ModelStore {
    /// `CALLMARK_MODELS`, else `$XDG_CACHE_HOME/callmark/models`, else `~/.cache/callmark/models`.
    pub fn default_dir() -> Result<PathBuf, ModelError> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(dir) = variable("CALLMARK_MODELS") {
            return Ok(dir);
        }
        let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let cache = cache.or_else(|| variable("HOME").map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("callmark").join("models")).ok_or(ModelError::NoDirectory)
    }

    /// A store in `dir` (made when something is first written) with the compiled-in manifest.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ModelError> {
        Ok(ModelStore::with_manifest(dir, Manifest::embedded()?))
    }

    /// A store with another manifest.
    pub fn with_manifest(dir: impl Into<PathBuf>, manifest: Manifest) -> Self {
        ModelStore { dir: dir.into(), manifest }
    }

    /// Where the files lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the files must be.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every model of the manifest and what is known of its file, without reading files.
    pub fn list(&self) -> Vec<ModelStatus> {
        let status = |entry: ModelEntry<'_>| ModelStatus {
            name: entry.name().to_owned(),
            path: self.file_of(&entry),
            bytes: entry.bytes(),
            sha256: entry.sha256().to_owned(),
            languages: entry.languages(),
            licence: entry.licence().to_owned(),
            state: self.state_of(&entry),
        };
        self.manifest.entries().map(status).collect()
    }

    /// Where a model's file lies or should lie.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, ModelError> {
        Ok(self.file_of(&self.entry(name)?))
    }

    /// The file that a model's name, or the path of a user's own `ggml` file, stands for, after checking that it may be
    /// used: a named model must have the pinned digest, any other file must be a Whisper in `ggml` form. The digest is
    /// computed once and remembered until the file changes.
    pub fn resolve(&self, name_or_path: &str) -> Result<ResolvedModel, ModelError> {
        if let Some(entry) = self.manifest.get(name_or_path) {
            return self.resolve_named(&entry);
        }
        let path = Path::new(name_or_path);
        if path.is_file() {
            return self.resolve_file(path);
        }
        Err(self.unknown(name_or_path))
    }

    /// The files with which CTranslate2 runs the model of that name, each with its pinned digest; `None` where the
    /// manifest knows no such form of it for this machine.
    pub fn resolve_ct2(&self, name: &str) -> Result<Option<Ct2Model>, ModelError> {
        let Some(ModelEntry::Published(model)) = self.manifest.get(name) else { return Ok(None) };
        let Some(parts) = &model.ct2 else { return Ok(None) };
        let entries = parts.names().map(|name| self.entry(name)).collect::<Result<Vec<_>, _>>()?;
        if !entries.iter().all(|entry| entry.published().is_for_this_machine()) {
            return Ok(None);
        }
        let files = entries.iter().map(|entry| self.resolve_named(entry)).collect::<Result<Vec<_>, _>>();
        // A part is had with the model that it belongs to.
        let files = files.map_err(|error| match error {
            ModelError::Missing { path, .. } => ModelError::Missing { name: model.name.clone(), path },
            other => other,
        })?;
        let (Some(weights), Some(library)) = (files.first(), files.get(parts.weights.len())) else {
            return Ok(None);
        };
        Ok(Some(Ct2Model {
            name: weights.name.clone(),
            folder: weights.path.parent().unwrap_or(&self.dir).to_path_buf(),
            sha256: weights.sha256.clone(),
            library: library.path.clone(),
        }))
    }

    /// Reads a model's file and compares size and digests with the manifest.
    pub fn verify(
        &self,
        name: &str,
        mut progress: impl FnMut(&Progress<'_>),
    ) -> Result<Verification, ModelError> {
        self.verify_entry(&self.entry(name)?, &mut progress)
    }

    /// Checks every model whose file is there.
    pub fn verify_all(
        &self,
        mut progress: impl FnMut(&Progress<'_>),
    ) -> Result<Vec<Verification>, ModelError> {
        let present = self.manifest.entries().filter(|entry| self.file_of(entry).exists());
        present.map(|entry| self.verify_entry(&entry, &mut progress)).collect()
    }

    /// Gets a model: from where `options` say, or from the manifest's sources in order. A file that is there and right
    /// is left alone unless `options.force`. Nothing appears under the model's name before its digests are right. What
    /// runs the model by CTranslate2 is fetched with it; where that cannot be had, `progress` is told and the rest is done.
    pub fn pull(
        &self,
        name: &str,
        options: &PullOptions,
        mut progress: impl FnMut(&Progress<'_>),
    ) -> Result<Pulled, ModelError> {
        crate::pull::pull_with_parts(self, &self.entry(name)?, options, &mut progress)
    }

    pub(crate) fn entry(&self, name: &str) -> Result<ModelEntry<'_>, ModelError> {
        self.manifest.get(name).ok_or_else(|| self.unknown(name))
    }

    pub(crate) fn file_of(&self, entry: &ModelEntry<'_>) -> PathBuf {
        self.dir.join(entry.file())
    }

    pub(crate) fn stamps(&self) -> PathBuf {
        self.dir.join(".verified")
    }

    /// Where unfinished downloads lie.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.dir.join(".downloads")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.dir.join(".locks")
    }

    fn unknown(&self, name: &str) -> ModelError {
        ModelError::Unknown { name: name.to_owned(), known: self.manifest.names() }
    }

    fn state_of(&self, entry: &ModelEntry<'_>) -> ModelState {
        let path = self.file_of(entry);
        let Ok(metadata) = std::fs::metadata(&path) else { return ModelState::Missing };
        if metadata.len() != entry.bytes() {
            return ModelState::WrongSize { found_bytes: metadata.len() };
        }
        match stamp::remembered_sha256(&self.stamps(), &path) {
            None => ModelState::Unverified,
            Some(sha256) if sha256 == entry.sha256() => ModelState::Verified,
            Some(_) => ModelState::Damaged,
        }
    }

    fn resolve_named(&self, entry: &ModelEntry<'_>) -> Result<ResolvedModel, ModelError> {
        let (name, path) = (entry.name().to_owned(), self.file_of(entry));
        let damaged = |reason: String| ModelError::Damaged { name: name.clone(), path: path.clone(), reason };
        let Ok(metadata) = std::fs::metadata(&path) else {
            return Err(ModelError::Missing { name, path });
        };
        entry.expected().check_size(metadata.len()).map_err(damaged)?;
        let sha256 = self.sha256_of(&path)?;
        if sha256 != entry.sha256() {
            return Err(damaged(format!("expected sha256 {}, found {sha256}", entry.sha256())));
        }
        Ok(ResolvedModel { name, path, sha256, languages: entry.languages(), published: true })
    }

    fn resolve_file(&self, path: &Path) -> Result<ResolvedModel, ModelError> {
        let header = Header::of_file(path)?;
        let sha256 = self.sha256_of(path)?;
        let known = self.manifest.entries().find(|entry| entry.sha256() == sha256);
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let languages =
            if header.vocab == VOCAB_ENGLISH { Languages::English } else { Languages::Multilingual };
        Ok(ResolvedModel {
            published: known.is_some(),
            name: known.map_or_else(stem, |entry| entry.name().to_owned()),
            path: path.to_path_buf(),
            sha256,
            languages,
        })
    }

    fn sha256_of(&self, path: &Path) -> Result<String, ModelError> {
        if let Some(sha256) = stamp::remembered_sha256(&self.stamps(), path) {
            return Ok(sha256);
        }
        let what = path.file_name().unwrap_or_default().to_string_lossy();
        let digest = hash_file(path, &what, false, &mut |_| {})?;
        stamp::remember_sha256(&self.stamps(), path, &digest.sha256);
        Ok(digest.sha256)
    }

    fn verify_entry(
        &self,
        entry: &ModelEntry<'_>,
        report: &mut Report<'_>,
    ) -> Result<Verification, ModelError> {
        let (name, path) = (entry.name().to_owned(), self.file_of(entry));
        let expected = entry.expected();
        let Ok(metadata) = std::fs::metadata(&path) else {
            return Ok(Verification { name, path, outcome: VerificationOutcome::Missing });
        };
        let compared = if let Err(difference) = expected.check_size(metadata.len()) {
            Err(difference)
        } else {
            let found = hash_file(&path, &name, expected.sha1.is_some(), report)?;
            stamp::remember_sha256(&self.stamps(), &path, &found.sha256);
            expected.check(&found)
        };
        let outcome = match compared {
            Ok(()) => VerificationOutcome::Intact,
            Err(difference) => VerificationOutcome::Damaged {
                reason: format!("{difference}; run `callmark models pull {name} --force`"),
            },
        };
        Ok(Verification { name, path, outcome })
    }
}
