//! Rows as JSON objects, with the names that the columns have: what goes into messages about a call.

use crate::schema::{
    CallRow, Column, EventRow, TurnRow, calls_columns, events_columns, schema_of, turns_columns,
};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use callmark_types::ScoredCall;
use serde_json::{Map, Value};

/// The rows of `calls`, one a call in their order; columns without a value are left out.
pub fn call_rows(calls: &[&ScoredCall]) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let rows: Vec<CallRow<'_>> = calls.to_vec();
    objects(&calls_columns(), &rows)
}

/// The rows of `events` of one call.
pub fn event_rows(call: &ScoredCall) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let call_id = call.record.call_id.as_str();
    let rows = call.events.iter().enumerate().map(|(index, event)| EventRow { call_id, index, event });
    objects(&events_columns(), &rows.collect::<Vec<_>>())
}

/// The rows of `turns` of one call.
pub fn turn_rows(call: &ScoredCall) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let call_id = call.record.call_id.as_str();
    let rows = call.turns.iter().zip(&call.turn_sentiment);
    let rows = rows.map(|(turn, sentiment)| TurnRow { call_id, turn, sentiment: *sentiment });
    objects(&turns_columns(), &rows.collect::<Vec<_>>())
}

fn objects<R>(columns: &[Column<R>], rows: &[R]) -> Result<Vec<Map<String, Value>>, ArrowError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let arrays = columns.iter().map(|column| column.array(rows)).collect();
    let batch = RecordBatch::try_new(schema_of(columns), arrays)?;
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    serde_json::Deserializer::from_slice(&lines)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| ArrowError::JsonError(error.to_string()))
}
