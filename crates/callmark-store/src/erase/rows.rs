//! Rows of Parquet files: who is in them, and the same files without some calls.

use crate::error::StoreError;
use crate::writer;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The column that says whose a row is.
const CALL_ID: &str = "call_id";

/// One row of `calls`, as far as it tells whose it is.
pub(super) struct Caller {
    pub(super) call_id: String,
    pub(super) customer_key: Option<String>,
    pub(super) source_uri: Option<String>,
    /// ms since 1970 UTC.
    pub(super) started_ms: Option<i64>,
}

/// Reads `columns` of the file at `path`; all where none are named.
pub(super) fn read(path: &Path, columns: &[&str]) -> Result<ParquetRecordBatchReader, StoreError> {
    let builder = builder(path)?;
    let mask = if columns.is_empty() {
        ProjectionMask::all()
    } else {
        ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied())
    };
    builder.with_projection(mask).build().map_err(|e| StoreError::parquet("read", path, e))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    let file = File::open(path).map_err(|e| StoreError::io("read", path, e))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| StoreError::parquet("read", path, e))
}

/// Whether the file at `path` has a column that says whose its rows are.
pub(super) fn has_call_ids(path: &Path) -> Result<bool, StoreError> {
    Ok(builder(path)?.schema().field_with_name(CALL_ID).is_ok())
}

/// Tells of every row of a file of `calls`, in order.
pub(super) fn for_each_caller(path: &Path, mut tell: impl FnMut(Caller)) -> Result<(), StoreError> {
    for batch in read(path, &[CALL_ID, "customer_key", "source_uri", "started_at"])? {
        let batch = batch.map_err(|e| StoreError::parquet("read", path, e.into()))?;
        let (ids, customers) = (column(&batch, CALL_ID), column(&batch, "customer_key"));
        let uris = column(&batch, "source_uri");
        let starts = times(&batch, "started_at");
        let text = |column: &Option<StringArray>, row: usize| {
            column.as_ref().filter(|c| c.is_valid(row)).map(|c| c.value(row).to_owned())
        };
        for row in 0..batch.num_rows() {
            if let Some(call_id) = text(&ids, row) {
                tell(Caller {
                    call_id,
                    customer_key: text(&customers, row),
                    source_uri: text(&uris, row),
                    started_ms: starts.as_ref().filter(|c| c.is_valid(row)).map(|c| c.value(row)),
                });
            }
        }
    }
    Ok(())
}

/// How many rows of the file at `path` belong to calls for which `goes` holds, and how many do not.
pub(super) fn count(path: &Path, goes: &dyn Fn(&str) -> bool) -> Result<(u64, u64), StoreError> {
    let (mut going, mut staying) = (0, 0);
    for batch in read(path, &[CALL_ID])? {
        let batch = batch.map_err(|e| StoreError::parquet("read", path, e.into()))?;
        let gone = staying_rows(&batch, goes).false_count() as u64;
        going += gone;
        staying += batch.num_rows() as u64 - gone;
    }
    Ok((going, staying))
}

/// Writes the rows of the file at `path` that belong to other calls than those for which `goes` holds, in their order, with
/// all their columns. Returns `output` and the number of rows. `dictionary` names the columns that repeat themselves.
pub(super) fn copy_without<W: Write + Send>(
    path: &Path,
    goes: &dyn Fn(&str) -> bool,
    dictionary: &[Vec<&'static str>],
    calls: u64,
    output: W,
) -> Result<(W, u64), StoreError> {
    let failed = |e: ParquetError| StoreError::parquet("write without the erased calls", path, e);
    let builder = builder(path)?;
    let kept = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let kept: Vec<KeyValue> = kept.into_iter().filter(|pair| pair.key != ARROW_SCHEMA_META_KEY).collect();
    let reader = builder.build().map_err(|e| StoreError::parquet("read", path, e))?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let properties = writer::properties(dictionary, calls, kept).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(output, schema, Some(properties)).map_err(failed)?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|e| StoreError::parquet("read", path, e.into()))?;
        let batch = filter_record_batch(&batch, &staying_rows(&batch, goes)).map_err(|e| failed(e.into()))?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(failed)?;
    }
    Ok((writer.into_inner().map_err(failed)?, rows))
}

fn staying_rows(batch: &RecordBatch, goes: &dyn Fn(&str) -> bool) -> BooleanArray {
    match column(batch, CALL_ID) {
        Some(ids) => ids.iter().map(|id| Some(!id.is_some_and(goes))).collect(),
        None => BooleanArray::from(vec![true; batch.num_rows()]),
    }
}

/// A column of texts, however the file's writer encoded them.
fn column(batch: &RecordBatch, name: &str) -> Option<StringArray> {
    let texts = cast(batch.column_by_name(name)?, &DataType::Utf8).ok()?;
    texts.as_string_opt::<i32>().cloned()
}

/// A column of times as ms since 1970 UTC, whatever unit the file's writer kept them in.
fn times(batch: &RecordBatch, name: &str) -> Option<PrimitiveArray<Int64Type>> {
    let unit = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let times = cast(&cast(batch.column_by_name(name)?, &unit).ok()?, &DataType::Int64).ok()?;
    times.as_primitive_opt::<Int64Type>().cloned()
}

/// Tells of every text and every byte string in a column, within lists, structs and dictionaries too, until `tell`
/// says that it has heard enough. Returns whether it has.
pub(super) fn any_text(array: &ArrayRef, tell: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().flatten().any(|text| tell(text.as_bytes())),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().flatten().any(|text| tell(text.as_bytes())),
        DataType::Utf8View => array.as_string_view().iter().flatten().any(|text| tell(text.as_bytes())),
        DataType::Binary => array.as_binary::<i32>().iter().flatten().any(tell),
        DataType::LargeBinary => array.as_binary::<i64>().iter().flatten().any(tell),
        DataType::BinaryView => array.as_binary_view().iter().flatten().any(tell),
        DataType::List(_) => any_text(array.as_list::<i32>().values(), tell),
        DataType::LargeList(_) => any_text(array.as_list::<i64>().values(), tell),
        DataType::Struct(_) => array.as_struct().columns().iter().any(|column| any_text(column, tell)),
        DataType::Map(_, _) => array.as_map().entries().columns().iter().any(|column| any_text(column, tell)),
        DataType::Dictionary(_, _) => any_text(array.as_any_dictionary().values(), tell),
        // Numbers, times and truth values name nobody.
        _ => false,
    }
}
