//! The check finds each way in which a dataset can differ from its commits.

use crate::samples::sample_batch;
use callmark_store::{CommitRecord, Dataset, Problem, Table, check, table_files};
use std::fs;
use std::path::Path;

fn dataset_of(dir: &Path) -> Vec<CommitRecord> {
    let (mut dataset, _) = Dataset::open_for_writing(dir).unwrap();
    dataset.commit(&sample_batch(0..3)).unwrap();
    dataset.commit(&sample_batch(3..6)).unwrap();
    dataset.commits().unwrap()
}

#[test]
fn a_dataset_as_written_is_consistent_and_its_totals_are_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let commits = dataset_of(dir.path());
    let report = check(dir.path()).unwrap();
    assert!(report.is_consistent(), "{:?}", report.problems);
    assert_eq!((report.commits, report.calls, report.writer_active), (2, 6, false));
    let (dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
    let totals = dataset.totals();
    assert_eq!((totals.commits, totals.calls, totals.turns), (2, 6, 15));
    assert_eq!(totals.files, commits.iter().map(|commit| commit.files.len() as u64).sum::<u64>());
}

#[test]
fn a_missing_a_changed_and_an_orphan_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let commits = dataset_of(dir.path());
    let missing = commits[0].files[0].path.clone();
    fs::remove_file(dir.path().join(&missing)).unwrap();
    let changed = commits[1].files[0].path.clone();
    let mut bytes = fs::read(dir.path().join(&changed)).unwrap();
    bytes[10] ^= 1;
    fs::write(dir.path().join(&changed), bytes).unwrap();
    let calls = table_files(dir.path(), Table::Calls).unwrap();
    fs::copy(&calls[0], calls[0].with_file_name("copy.parquet")).unwrap();

    let problems = check(dir.path()).unwrap().problems;
    assert!(problems.contains(&Problem::MissingFile { path: missing.clone() }), "{problems:?}");
    assert!(problems.contains(&Problem::ChangedFile { path: changed }), "{problems:?}");
    let is_orphan =
        |problem: &Problem| matches!(problem, Problem::OrphanFile { path } if path.ends_with("copy.parquet"));
    assert!(problems.iter().any(is_orphan), "{problems:?}");
    assert_eq!(problems.len(), 3);
    let (_, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert_eq!(recovery.missing_files, [dir.path().join(missing)]);
}

#[test]
fn a_call_in_two_commits_is_found() {
    let dir = tempfile::tempdir().unwrap();
    dataset_of(dir.path());
    let records = dir.path().join("_commits/files/0");
    let first = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    fs::copy(&first, records.join("again.json")).unwrap();
    let problems = check(dir.path()).unwrap().problems;
    assert!(matches!(problems[0], Problem::DuplicateCall { .. }), "{problems:?}");
}
