//! Committed files of the tables, read back: the one place that opens one.

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;

type Builder = ParquetRecordBatchReaderBuilder<File>;

/// The rows of a file, relative to the dataset, that `narrow` leaves; none where there is no such file: calls of which no row
/// of that table was written. The error names the file, and nothing that was said.
pub(crate) fn read(
    dataset: &Path,
    path: &str,
    narrow: impl FnOnce(Builder) -> Builder,
) -> Result<Vec<RecordBatch>, String> {
    let unreadable = |e: &dyn std::fmt::Display| format!("cannot read {path}: {e}");
    let file = match File::open(dataset.join(path)) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(&e)),
    };
    let builder = Builder::try_new(file).map_err(|e| unreadable(&e))?;
    let reader = narrow(builder).build().map_err(|e| unreadable(&e))?;
    reader.collect::<Result<_, _>>().map_err(|e| unreadable(&e))
}

/// These columns of a file.
pub(crate) fn columns(dataset: &Path, path: &str, names: &[&str]) -> Result<Vec<RecordBatch>, String> {
    read(dataset, path, |builder| {
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        builder.with_projection(mask)
    })
}
