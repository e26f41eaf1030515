//! Rows as text: a table for people, CSV and JSON lines for programs.

use crate::tables::QueryError;
use arrow::array::RecordBatch;
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

/// Writes `batches` to `out`.
pub fn render(batches: &[RecordBatch], format: OutputFormat, out: &mut dyn Write) -> Result<(), QueryError> {
    let failed = |e: &dyn std::fmt::Display| QueryError::Failed(e.to_string());
    match format {
        OutputFormat::Table => {
            let table = arrow::util::pretty::pretty_format_batches(batches).map_err(|e| failed(&e))?;
            Ok(writeln!(out, "{}", without_controls(&table.to_string()))?)
        }
        OutputFormat::Json => {
            let mut lines = Vec::new();
            for batch in batches {
                let mut writer = arrow::json::writer::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, arrow::json::writer::LineDelimited>(&mut lines);
                writer.write(batch).and_then(|()| writer.finish()).map_err(|e| failed(&e))?;
                out.write_all(&lines)?;
                lines.clear();
            }
            Ok(())
        }
        OutputFormat::Csv => write_csv(batches, out),
    }
}

/// What was said on a call may hold anything; a terminal must not obey it.
fn without_controls(table: &str) -> String {
    table.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn write_csv(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), QueryError> {
    let failed = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => QueryError::Output(e),
        other => QueryError::Failed(format!("{other:?}")),
    };
    let Some(first) = batches.first() else { return Ok(()) };
    let columns: Vec<String> = first.schema().fields().iter().map(|f| f.name().clone()).collect();
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(&columns).map_err(failed)?;
    for batch in batches {
        for row in json_rows(std::slice::from_ref(batch))? {
            csv.write_record(columns.iter().map(|c| cell(row.get(c)))).map_err(failed)?;
        }
    }
    Ok(csv.flush()?)
}

/// Rows as JSON objects, nulls left out.
pub(crate) fn json_rows(batches: &[RecordBatch]) -> Result<Vec<serde_json::Map<String, Value>>, QueryError> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    let failed = |e: &dyn std::fmt::Display| QueryError::Failed(e.to_string());
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
