//! Rows to Parquet: zstd, page index, bloom filter on `call_id`, bounded row groups, and nothing of the clock or
//! the machine, so that the same rows give the same bytes.

use crate::error::StoreError;
use crate::hex;
use crate::layout::FileEntry;
use crate::place::{Backend, Output};
use crate::schema::{
    Column, EventRow, SCHEMA_VERSION, Table, TurnRow, calls_columns, events_columns, schema_of, turns_columns,
};
use arrow::array::RecordBatch;
use callmark_types::{Lineage, ScoredCall};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

/// What the files say of who wrote them; readers look here for known bugs of a writer.
const CREATED_BY: &str = concat!("callmark version ", env!("CARGO_PKG_VERSION"));
/// A row group is closed when its encoded size comes to this many bytes.
const MAX_ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// A row group is closed at this many rows.
const MAX_ROW_GROUP_ROWS: usize = 512 * 1024;
/// Rows turned into columns at a time, and the steps in which a row group's size is watched.
const ROWS_PER_STEP: usize = 2048;
/// Compression level: higher ones gain little on these columns and cost much.
const ZSTD_LEVEL: i32 = 1;
/// Share of absent call ids that the bloom filter lets through.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Bytes gathered before a write to the file.
const WRITE_BUFFER_BYTES: usize = 1024 * 1024;

/// Writes the rows that `calls` have in `table` as one Parquet file, and returns `output` and the number of rows.
pub fn write_table<W: Write + Send>(
    table: Table,
    calls: &[&ScoredCall],
    output: W,
) -> Result<(W, u64), ParquetError> {
    match table {
        Table::Calls => write_rows(&calls_columns(), calls.iter().copied(), calls, output),
        Table::Turns => {
            let rows = calls.iter().flat_map(|call| {
                call.turns.iter().zip(&call.turn_sentiment).map(|(turn, sentiment)| TurnRow {
                    call_id: call.record.call_id.as_str(),
                    turn,
                    sentiment: *sentiment,
                })
            });
            write_rows(&turns_columns(), rows, calls, output)
        }
        Table::Events => {
            let rows = calls.iter().flat_map(|call| {
                call.events.iter().enumerate().map(|(index, event)| EventRow {
                    call_id: call.record.call_id.as_str(),
                    index,
                    event,
                })
            });
            write_rows(&events_columns(), rows, calls, output)
        }
    }
}

fn write_rows<R, W: Write + Send>(
    columns: &[Column<R>],
    mut rows: impl Iterator<Item = R>,
    calls: &[&ScoredCall],
    output: W,
) -> Result<(W, u64), ParquetError> {
    let schema = schema_of(columns);
    let properties = properties(&paths_of(columns), calls.len() as u64, file_metadata(calls))?;
    let mut writer = ArrowWriter::try_new(output, schema.clone(), Some(properties))?;
    let mut written = 0;
    let mut step: Vec<R> = Vec::with_capacity(ROWS_PER_STEP);
    loop {
        step.clear();
        step.extend(rows.by_ref().take(ROWS_PER_STEP));
        if step.is_empty() {
            break;
        }
        let arrays = columns.iter().map(|column| column.array(&step)).collect();
        writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
        written += step.len() as u64;
    }
    Ok((writer.into_inner()?, written))
}

/// Paths of the leaves of `table` that are dictionary-encoded.
pub(crate) fn dictionary_paths(table: Table) -> Vec<Vec<&'static str>> {
    match table {
        Table::Calls => paths_of(&calls_columns()),
        Table::Turns => paths_of(&turns_columns()),
        Table::Events => paths_of(&events_columns()),
    }
}

fn paths_of<R>(columns: &[Column<R>]) -> Vec<Vec<&'static str>> {
    columns.iter().flat_map(|column| column.dictionary_paths.clone()).collect()
}

/// How files are written: with `dictionary_paths` encoded as such, for so many `calls`, saying `metadata` of themselves.
pub(crate) fn properties(
    dictionary_paths: &[Vec<&'static str>],
    calls: u64,
    metadata: Vec<KeyValue>,
) -> Result<WriterProperties, ParquetError> {
    let call_id = ColumnPath::from("call_id");
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_bytes(Some(MAX_ROW_GROUP_BYTES))
        .set_max_row_group_row_count(Some(MAX_ROW_GROUP_ROWS))
        .set_dictionary_enabled(false)
        .set_column_bloom_filter_enabled(call_id.clone(), true)
        .set_column_bloom_filter_fpp(call_id.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(call_id, calls.max(1))
        .set_key_value_metadata(Some(metadata));
    for path in dictionary_paths {
        let path = ColumnPath::new(path.iter().map(|&part| part.to_owned()).collect());
        properties = properties.set_column_dictionary_enabled(path, true);
    }
    Ok(properties.build())
}

/// Lineage of a whole file: the distinct values of its calls, sorted and joined by commas.
fn file_metadata(calls: &[&ScoredCall]) -> Vec<KeyValue> {
    let joined = |get: fn(&Lineage) -> Option<&str>| {
        let values: BTreeSet<&str> = calls.iter().filter_map(|call| get(&call.record.lineage)).collect();
        values.into_iter().collect::<Vec<_>>().join(",")
    };
    let pairs = [
        ("callmark.schema_version", SCHEMA_VERSION.to_string()),
        ("callmark.pipeline_version", joined(|lineage| Some(&lineage.pipeline_version))),
        ("callmark.asr_model", joined(|lineage| lineage.asr_model.as_deref())),
        ("callmark.asr_model_sha256", joined(|lineage| lineage.asr_model_sha256.as_deref())),
        ("callmark.rules_sha256", joined(|lineage| Some(&lineage.rules_sha256))),
        ("callmark.text_model_sha256", joined(|lineage| lineage.text_model_sha256.as_deref())),
    ];
    pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect()
}

/// Writes a table's file to where it waits for its commit; `path` is where readers will find it.
pub(crate) fn write_table_file(
    table: Table,
    calls: &[&ScoredCall],
    directory: &dyn Backend,
    path: &str,
) -> Result<FileEntry, StoreError> {
    let staged = directory.staging_path(path);
    let shown = directory.path(&staged);
    let output = DigestWriter::create(directory, &staged)?;
    let buffered = BufWriter::with_capacity(WRITE_BUFFER_BYTES, output);
    let (buffered, rows) =
        write_table(table, calls, buffered).map_err(|e| StoreError::parquet("write", &shown, e))?;
    let output = buffered.into_inner().map_err(|e| StoreError::io("write", &shown, e.into_error()))?;
    let (bytes, sha256) = output.finish()?;
    Ok(FileEntry { table, path: path.to_owned(), rows, bytes, sha256 })
}

/// Passes bytes on and keeps their digest.
pub(crate) struct DigestWriter<'a> {
    inner: Box<dyn Output + 'a>,
    hasher: Sha256,
    bytes: u64,
}

impl<'a> DigestWriter<'a> {
    /// Begins a file of the dataset.
    pub(crate) fn create(directory: &'a dyn Backend, relative: &str) -> Result<Self, StoreError> {
        Ok(Self { inner: directory.create(relative)?, hasher: Sha256::new(), bytes: 0 })
    }

    /// Makes the file durable but for its name; gives its size and digest.
    pub(crate) fn finish(self) -> Result<(u64, String), StoreError> {
        self.inner.finish()?;
        Ok((self.bytes, hex::encode(&self.hasher.finalize())))
    }
}

impl Write for DigestWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
