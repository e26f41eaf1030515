//! Reads the tables as a plain glob finds them.

use arrow::array::RecordBatch;
use callmark_store::{Table, calls_of_rows};
use callmark_types::ScoredCall;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Every call of the dataset at `dir`, as a plain glob of `*.parquet` shows it.
pub(crate) fn read_dataset(dir: &Path) -> Vec<ScoredCall> {
    let batches = |table| {
        let files = glob(dir, table);
        files.iter().flat_map(|path| read_file(File::open(path).unwrap())).collect::<Vec<_>>()
    };
    assemble(&batches(Table::Calls), &batches(Table::Turns), &batches(Table::Events))
}

/// The files that a reader's glob `<table>/*/*.parquet` finds, sorted.
pub(crate) fn glob(dir: &Path, table: Table) -> Vec<PathBuf> {
    let Ok(partitions) = std::fs::read_dir(dir.join(table.name())) else { return Vec::new() };
    let mut files: Vec<PathBuf> = partitions
        .flat_map(|partition| std::fs::read_dir(partition.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    files.sort();
    files
}

/// The batches of one file.
pub(crate) fn read_file(file: File) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// The same of a file in memory.
pub(crate) fn read_table(bytes: bytes::Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// Calls out of the rows of the three tables, in order of `calls`.
pub(crate) fn assemble(
    calls: &[RecordBatch],
    turns: &[RecordBatch],
    events: &[RecordBatch],
) -> Vec<ScoredCall> {
    calls_of_rows(calls, turns, events).unwrap()
}
