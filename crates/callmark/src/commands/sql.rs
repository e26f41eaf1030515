//! `callmark sql`: one read-only statement over a dataset.

use crate::cli::{RowFormat, SqlArguments};
use crate::exit::{Exit, say};
use callmark_query::{OutputFormat, Tables, render_query};

pub(crate) fn sql(arguments: &SqlArguments) -> anyhow::Result<Exit> {
    let format = match arguments.format {
        RowFormat::Table => OutputFormat::Table,
        RowFormat::Csv => OutputFormat::Csv,
        RowFormat::Json => OutputFormat::Json,
    };
    super::runtime()?.block_on(async {
        let tables = Tables::open(&arguments.dataset).await?;
        let mut out = std::io::stdout().lock();
        if !render_query(&tables, &arguments.query, format, &mut out).await? {
            say("there are more rows: `--format csv` and `--format json` print all of them");
        }
        Ok(Exit::Done)
    })
}
