//! What is written is what is read, and the same calls make the same bytes.

use crate::reading::{assemble, glob, read_dataset, read_file};
use crate::samples::{sample_batch, sample_call};
use crate::strategies::scored_call;
use callmark_store::{Dataset, NULL_DATE_PARTITION, Table, table_files, write_table};
use callmark_types::{ScoredCall, Timestamp};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

fn through_parquet(calls: &[ScoredCall]) -> Vec<ScoredCall> {
    let calls: Vec<&ScoredCall> = calls.iter().collect();
    let [calls, turns, events] = Table::ALL.map(|table| {
        let (file, _) = write_table(table, &calls, tempfile::tempfile().unwrap()).unwrap();
        read_file(file)
    });
    assemble(&calls, &turns, &events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_calls_come_back_as_they_were_written(mut calls in prop::collection::vec(scored_call(), 0..5)) {
        let mut seen = std::collections::HashSet::new();
        calls.retain(|call| seen.insert(call.record.call_id.clone()));
        prop_assert_eq!(through_parquet(&calls), calls);
    }
}

#[test]
fn more_rows_than_are_encoded_at_a_time_come_back_in_order() {
    let calls: Vec<ScoredCall> = (0..3000).map(sample_call).collect();
    assert_eq!(through_parquet(&calls), calls);
}

#[test]
fn a_committed_batch_is_read_under_the_date_of_each_call() {
    let dir = tempfile::tempdir().unwrap();
    let batch = sample_batch(0..23);
    let (mut dataset, recovery) = Dataset::open_for_writing(dir.path()).unwrap();
    assert!(recovery.is_clean());
    let receipt = dataset.commit(&batch).unwrap();
    assert_eq!(receipt.calls, 23);

    let mut found = read_dataset(dir.path());
    found.sort_by(|a, b| a.record.call_id.cmp(&b.record.call_id));
    assert_eq!(found, batch.calls);
    for table in Table::ALL {
        assert_eq!(table_files(dir.path(), table).unwrap(), glob(dir.path(), table));
        for path in glob(dir.path(), table) {
            let date = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            let date = date.strip_prefix("date=").unwrap();
            for batch in read_file(File::open(&path).unwrap()) {
                assert!(batch.column_by_name("date").is_none(), "the partition column is not stored");
                if let Some(started) = batch.column_by_name("started_at") {
                    let started = arrow::array::AsArray::as_primitive::<
                        arrow::datatypes::TimestampMillisecondType,
                    >(started);
                    for start in started {
                        let start = start.map(|ms| Timestamp::from_epoch_millis(ms).unwrap().utc_date());
                        assert_eq!(start.unwrap_or(NULL_DATE_PARTITION.to_owned()), date);
                    }
                }
            }
        }
    }
}

#[test]
fn a_start_in_a_year_no_reader_knows_goes_to_the_null_partition() {
    let dir = tempfile::tempdir().unwrap();
    let mut batch = sample_batch(0..1);
    batch.calls[0].record.started_at = Timestamp::from_epoch_millis(-62_200_000_000_000);
    Dataset::open_for_writing(dir.path()).unwrap().0.commit(&batch).unwrap();
    let files = table_files(dir.path(), Table::Calls).unwrap();
    assert!(files[0].to_str().unwrap().contains("date=__HIVE_DEFAULT_PARTITION__"), "{files:?}");
    assert_eq!(read_dataset(dir.path()), batch.calls);
}

/// Every file below `dir` with its content, but for the lock, which names the process.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if !path.ends_with("_lock") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

#[test]
fn two_runs_over_the_same_calls_leave_the_same_names_and_bytes() {
    let trees = [(); 2].map(|()| {
        let dir = tempfile::tempdir().unwrap();
        let (mut dataset, _) = Dataset::open_for_writing(dir.path()).unwrap();
        for numbers in [0..5, 5..10, 10..12] {
            dataset.commit(&sample_batch(numbers)).unwrap();
        }
        tree(dir.path())
    });
    assert!(trees[0].len() > 9);
    assert!(trees[0] == trees[1], "{:?} and {:?}", trees[0].keys(), trees[1].keys());
}

#[test]
fn files_have_a_bloom_filter_a_page_index_zstd_and_their_lineage() {
    let calls: Vec<ScoredCall> = (0..40).map(sample_call).collect();
    let calls: Vec<&ScoredCall> = calls.iter().collect();
    for table in Table::ALL {
        let (file, rows) = write_table(table, &calls, tempfile::tempfile().unwrap()).unwrap();
        let options = parquet::file::serialized_reader::ReadOptionsBuilder::new().with_page_index().build();
        let reader = SerializedFileReader::new_with_options(file, options).unwrap();
        let metadata = reader.metadata();
        assert_eq!(metadata.file_metadata().num_rows() as u64, rows);
        assert!(metadata.column_index().is_some() && metadata.offset_index().is_some());
        let pairs = metadata.file_metadata().key_value_metadata().unwrap();
        let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
        assert_eq!(value("callmark.schema_version"), "1");
        assert_eq!(value("callmark.asr_model"), "base");
        for column in metadata.row_group(0).columns() {
            assert!(matches!(column.compression(), parquet::basic::Compression::ZSTD(_)));
            let is_key = column.column_path().string() == "call_id";
            assert_eq!(column.bloom_filter_offset().is_some(), is_key, "{}", column.column_path());
        }
    }
}
