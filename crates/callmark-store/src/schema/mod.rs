//! The schema of the three tables, and its documentation, both out of the same column definitions.

mod calls;
mod column;
mod events;
mod turns;

pub(crate) use calls::CallRow;
pub(crate) use column::Column;
pub(crate) use events::EventRow;
pub(crate) use turns::TurnRow;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use column::DESCRIPTION_KEY;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::Arc;

/// Version of the schema. A change only adds nullable columns, and counts up.
pub const SCHEMA_VERSION: u32 = 1;

/// One of the three tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row a call.
    Calls,
    /// One row a turn.
    Turns,
    /// One row a finding.
    Events,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 3] = [Self::Calls, Self::Turns, Self::Events];

    /// Name of the table and of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Turns => "turns",
            Self::Events => "events",
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Columns of `calls` with how to fill them.
pub(crate) fn calls_columns<'a>() -> Vec<Column<CallRow<'a>>> {
    calls::columns()
}

/// Columns of `turns` with how to fill them.
pub(crate) fn turns_columns<'a>() -> Vec<Column<TurnRow<'a>>> {
    turns::columns()
}

/// Columns of `events` with how to fill them.
pub(crate) fn events_columns<'a>() -> Vec<Column<EventRow<'a>>> {
    events::columns()
}

/// The schema of a table as it stands in its files: without the partition column `date`.
pub fn arrow_schema(table: Table) -> SchemaRef {
    match table {
        Table::Calls => schema_of(&calls_columns()),
        Table::Turns => schema_of(&turns_columns()),
        Table::Events => schema_of(&events_columns()),
    }
}

/// The schema that `columns` make.
pub(crate) fn schema_of<R>(columns: &[Column<R>]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()))
}

/// The schema as a Markdown document: the content of `SCHEMA.md`.
pub fn schema_markdown() -> String {
    let mut text = format!(
        "# Schema of the tables, version {SCHEMA_VERSION}\n\n\
         Generated from the code; `CALLMARK_BLESS=1 cargo test -p callmark-store --test store` writes it anew.\n\n\
         Three tables, each `DIR/<table>/date=YYYY-MM-DD/*.parquet`, partitioned by `date`: the UTC day on which the\n\
         call began, also for its turns and events. Where that is not known the partition is\n\
         `date=__HIVE_DEFAULT_PARTITION__`, which readers show as null; pandas and pyarrow need to be told then that\n\
         `date` is a date (see the README). `date` is not stored in the files.\n\n\
         Times are instants in UTC with millisecond resolution; durations and offsets are milliseconds from the start\n\
         of the recording; scores run from -5 to 5. Lists are empty rather than null. A later version only adds\n\
         nullable columns. Each file's metadata names its `callmark.schema_version` and what made its rows.\n\n\
         The agent side is AI and people together; an IVR's menus and announcements belong to no side. Findings,\n\
         outcomes and sentiment are traced to rows of `events` and `turns`. Talk, overlap, interruption and response\n\
         times are measured on the speech detected in the audio, which is finer than turns and not stored: they are\n\
         traced to the recording.\n"
    );
    for table in Table::ALL {
        let _ =
            write!(text, "\n## {table}\n\n| column | type | null | meaning |\n| --- | --- | --- | --- |\n");
        for field in arrow_schema(table).fields() {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                field.name(),
                type_name(field.data_type()),
                if field.is_nullable() { "yes" } else { "no" },
                description(field)
            );
        }
    }
    text
}

fn description(field: &Field) -> &str {
    field.metadata().get(DESCRIPTION_KEY).map_or("", String::as_str)
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Timestamp(_, _) => "timestamp(ms, UTC)".to_owned(),
        DataType::List(element) => format!("list\\<{}\\>", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let members: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("struct\\<{}\\>", members.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}
