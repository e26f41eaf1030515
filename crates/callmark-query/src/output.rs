//! Rows as text: a table for people, CSV and JSON lines for programs.

use crate::tables::{QueryError, Tables};
use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use serde_json::Value;
use std::io::Write;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// A table with lines around it.
    #[default]
    Table,
    /// CSV with a header. Nested values are written as JSON text.
    Csv,
    /// One JSON object a line; nulls are written.
    Json,
}

/// Most rows of a table for people, whose column widths are known only when all rows are.
const MAX_TABLE_ROWS: usize = 10_000;

/// Writes `batches` to `out` as a table with lines around it.
pub fn render_table(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), QueryError> {
    let table = arrow::util::pretty::pretty_format_batches(batches).map_err(|e| failed(&e))?;
    Ok(writeln!(out, "{}", without_controls(&table.to_string()))?)
}

/// Runs one read-only statement and writes its rows to `out` as they come, however many there are. Of a table the
/// first 10,000 rows are written; `false` where there were more.
pub async fn render_query(
    tables: &Tables,
    sql: &str,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<bool, QueryError> {
    let mut rows = tables.stream(sql).await?;
    match format {
        OutputFormat::Table => return first_rows(rows, out).await,
        OutputFormat::Json => {
            while let Some(batch) = rows.next().await {
                render_json(&[batch.map_err(|e| QueryError::Failed(e.strip_backtrace()))?], out)?;
            }
        }
        OutputFormat::Csv => {
            let columns: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(&columns).map_err(csv_failed)?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|e| QueryError::Failed(e.strip_backtrace()))?;
                for row in json_rows(std::slice::from_ref(&batch))? {
                    csv.write_record(columns.iter().map(|c| cell(row.get(c)))).map_err(csv_failed)?;
                }
            }
            csv.flush()?;
        }
    }
    Ok(true)
}

async fn first_rows(mut rows: SendableRecordBatchStream, out: &mut dyn Write) -> Result<bool, QueryError> {
    let mut batches = vec![RecordBatch::new_empty(rows.schema())];
    let mut room = MAX_TABLE_ROWS;
    let mut is_whole = true;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|e| QueryError::Failed(e.strip_backtrace()))?;
        is_whole = batch.num_rows() <= room;
        batches.push(batch.slice(0, batch.num_rows().min(room)));
        room = room.saturating_sub(batch.num_rows());
        if !is_whole {
            break;
        }
    }
    render_table(&batches, out)?;
    Ok(is_whole)
}

/// Writes `batches` to `out`, one JSON object a line; nulls are written.
pub fn render_json(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), QueryError> {
    for batch in batches {
        let mut lines = Vec::new();
        let mut writer = arrow::json::writer::WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, arrow::json::writer::LineDelimited>(&mut lines);
        writer.write(batch).and_then(|()| writer.finish()).map_err(|e| failed(&e))?;
        out.write_all(&lines)?;
    }
    Ok(())
}

fn failed(error: &dyn std::fmt::Display) -> QueryError {
    QueryError::Failed(error.to_string())
}

fn csv_failed(error: csv::Error) -> QueryError {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => QueryError::Output(e),
        other => QueryError::Failed(format!("{other:?}")),
    }
}

/// What was said on a call may hold anything; a terminal must not obey it.
fn without_controls(table: &str) -> String {
    table.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Rows as JSON objects, nulls left out.
pub(crate) fn json_rows(batches: &[RecordBatch]) -> Result<Vec<serde_json::Map<String, Value>>, QueryError> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>()).map_err(|e| failed(&e))?;
    writer.finish().map_err(|e| failed(&e))?;
    let bytes = writer.into_inner();
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&bytes).map_err(|e| failed(&e))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
