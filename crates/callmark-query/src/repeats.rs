//! The second pass over a dataset: which calls were followed by another of the same customer, and which "resolved" that
//! undoes.
//!
//! A call is scored when it ends, and a repeat comes days later. So the answer is no column of `calls`, which never
//! changes, but a table of its own: each pass adds a file that says when it was computed and how far the data went, and
//! the files of earlier passes stay.

use crate::tables::{QueryError, REPEATS, Tables};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use callmark_types::Timestamp;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};

const SQL: &str = include_str!("../queries/repeats.sql");

/// Within how many days another contact undoes a "resolved".
pub const REPEAT_WINDOWS_DAYS: [u32; 4] = [1, 3, 7, 30];

/// What a pass found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatPass {
    /// The file that it wrote.
    pub path: PathBuf,
    /// Calls whose customer and start are known.
    pub calls: usize,
    /// Calls of the dataset of which one of these is not known.
    pub without: i64,
    /// Calls scored as resolved.
    pub said_resolved: usize,
    /// Of these, followed by another contact within the window.
    pub undone: usize,
    /// Of these, not followed long enough to know.
    pub open: usize,
    /// Start of the newest call.
    pub data_until: Option<Timestamp>,
}

/// Computes the pass over the dataset in `dir` and writes `DIR/repeats/part-<computed at>.parquet`. `days` is one of
/// [`REPEAT_WINDOWS_DAYS`].
///
/// # Errors
/// Where the dataset cannot be read or the file cannot be written; nothing partial is left where a reader looks.
pub async fn check_repeats(dir: &Path, days: u32, now: Timestamp) -> Result<RepeatPass, QueryError> {
    let tables = Tables::open(dir).await?;
    let sql =
        SQL.replace("{days}", &days.to_string()).replace("{computed_at_ms}", &now.epoch_millis().to_string());
    let mut rows = tables.stream(&sql).await?;
    let folder = dir.join(REPEATS);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("part-{:013}.parquet", now.epoch_millis()));
    let half = path.with_extension("half");
    let failed = |e: parquet::errors::ParquetError| QueryError::Failed(e.to_string());
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer =
        ArrowWriter::try_new(File::create(&half)?, rows.schema(), Some(properties)).map_err(failed)?;
    let mut pass =
        RepeatPass { path, calls: 0, without: 0, said_resolved: 0, undone: 0, open: 0, data_until: None };
    let read = |e: datafusion::error::DataFusionError| QueryError::Failed(e.strip_backtrace());
    while let Some(batch) = rows.try_next().await.map_err(read)? {
        count(&batch, &mut pass);
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    std::fs::rename(&half, &pass.path)?;
    let without = "select count(*) from calls where customer_key is null or started_at is null";
    let batches = tables.query(without).await?;
    pass.without = batches.first().map_or(0, |b| b.column(0).as_primitive::<Int64Type>().value(0));
    Ok(pass)
}

fn count(batch: &RecordBatch, pass: &mut RepeatPass) {
    let column = |name: &str| batch.column_by_name(name);
    let (Some(outcomes), Some(resolved), Some(until)) =
        (column("outcome"), column("resolved_after_repeat_check"), column("data_until"))
    else {
        return;
    };
    let outcomes = arrow::compute::cast(outcomes, &arrow::datatypes::DataType::Utf8);
    let Ok(outcomes) = outcomes else { return };
    let (outcomes, resolved) = (outcomes.as_string::<i32>(), resolved.as_boolean());
    for index in 0..batch.num_rows() {
        pass.calls += 1;
        if outcomes.is_valid(index) && matches!(outcomes.value(index), "resolved" | "escalated_resolved") {
            pass.said_resolved += 1;
            match resolved.is_valid(index).then(|| resolved.value(index)) {
                Some(true) => {}
                Some(false) => pass.undone += 1,
                None => pass.open += 1,
            }
        }
    }
    if let Some(until) = until.as_primitive_opt::<TimestampMillisecondType>().filter(|u| !u.is_empty()) {
        pass.data_until = Timestamp::from_epoch_millis(until.value(0));
    }
}
