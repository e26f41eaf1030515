//! `callmark sql`: one read-only statement over a dataset.

use crate::cli::{RowFormat, SqlArguments};
use crate::exit::Exit;
use callmark_query::{OutputFormat, Tables, render};

pub(crate) fn sql(arguments: &SqlArguments) -> anyhow::Result<Exit> {
    let format = match arguments.format {
        RowFormat::Table => OutputFormat::Table,
        RowFormat::Csv => OutputFormat::Csv,
        RowFormat::Json => OutputFormat::Json,
    };
    super::runtime()?.block_on(async {
        let tables = Tables::open(&arguments.dataset).await?;
        let rows = tables.query(&arguments.query).await?;
        render(&rows, format, &mut std::io::stdout().lock())?;
        Ok(Exit::Done)
    })
}
