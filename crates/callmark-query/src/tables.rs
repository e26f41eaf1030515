//! The three tables of a dataset as SQL tables.

use arrow::array::RecordBatch;
use callmark_store::{Table, arrow_schema};
use datafusion::arrow::datatypes::{DataType, Field, SchemaBuilder};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What sorting, grouping and joining may hold in memory, in bytes. Beyond it they go to temporary files, and what
/// cannot ends with an error that says so.
const QUERY_MEMORY_BYTES: usize = 1 << 30;

/// Partition column of the tables, the UTC day of the call's start.
const PARTITION: &str = "date";

/// Why a question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no dataset.
    #[error("no dataset in {0}: it has no calls/ folder (make one with `callmark score INPUT --out {0}`)")]
    NoDataset(PathBuf),
    /// The folder's name cannot be used.
    #[error("cannot read the dataset in {path}: {reason}")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The SQL is wrong.
    #[error("query failed: {0}")]
    BadQuery(String),
    /// A file could not be read, or the answer could not be made.
    #[error("query failed: {0}")]
    Failed(String),
    /// The answer could not be handed over.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// The tables `calls`, `turns` and `events` of one dataset, with the partition column `date`.
///
/// Futures are boxed so that the query engine behind them is compiled here, once, and not in every crate that awaits one.
pub struct Tables {
    context: SessionContext,
}

impl Tables {
    /// Opens the dataset in `dir`. Only what is committed is seen.
    pub fn open(dir: &Path) -> BoxFuture<'_, Result<Self, QueryError>> {
        Box::pin(Self::opened(dir))
    }

    /// Runs one read-only statement and returns all of its rows: for questions whose answer is known to be small.
    pub fn query<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<RecordBatch>, QueryError>> {
        Box::pin(self.rows(sql))
    }

    /// Runs one read-only statement; its rows come as they are made.
    pub(crate) fn stream<'a>(
        &'a self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, QueryError>> {
        Box::pin(async {
            let frame = self.frame(sql).await?;
            frame.execute_stream().await.map_err(|e| QueryError::Failed(e.strip_backtrace()))
        })
    }

    async fn opened(dir: &Path) -> Result<Self, QueryError> {
        if !dir.join(Table::Calls.name()).is_dir() {
            return Err(QueryError::NoDataset(dir.to_owned()));
        }
        let config = SessionConfig::new().with_information_schema(true);
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(QUERY_MEMORY_BYTES, 1.0).build_arc();
        let runtime = runtime.map_err(|e| QueryError::Failed(e.strip_backtrace()))?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        for table in Table::ALL {
            register(&context, dir, table).await?;
        }
        Ok(Self { context })
    }

    async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let frame = self.frame(sql).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(|e| QueryError::Failed(e.strip_backtrace()))?;
        Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
    }

    async fn frame(&self, sql: &str) -> Result<DataFrame, QueryError> {
        let read_only =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.context.sql_with_options(sql, read_only).await;
        frame.map_err(|e| QueryError::BadQuery(e.strip_backtrace()))
    }
}

async fn register(context: &SessionContext, dir: &Path, table: Table) -> Result<(), QueryError> {
    let unreadable = |reason: String| QueryError::Unreadable { path: dir.to_owned(), reason };
    let folder = std::path::absolute(dir.join(table.name())).map_err(|e| unreadable(e.to_string()))?;
    let files = format!("{}_files", table.name());
    let provider: Arc<dyn TableProvider> = if folder.is_dir() {
        Arc::new(listing(&folder, table).map_err(unreadable)?)
    } else {
        Arc::new(nothing(table).map_err(|e| unreadable(e.strip_backtrace()))?)
    };
    context.register_table(&files, provider).map_err(|e| unreadable(e.to_string()))?;
    let view = format!(
        "create view {} as select * except (date), try_cast(date as date) as date from {files}",
        table.name()
    );
    context.sql(&view).await.map_err(|e| unreadable(e.strip_backtrace()))?;
    Ok(())
}

/// The files of a table that are below `folder`, with their partition.
fn listing(folder: &Path, table: Table) -> Result<ListingTable, String> {
    let url = ListingTableUrl::parse(format!("{}/", folder.display())).map_err(|e| e.to_string())?;
    // The partition is text here: an unknown day stands as `__HIVE_DEFAULT_PARTITION__`, which no date can hold.
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(vec![(PARTITION.to_owned(), DataType::Utf8)]);
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(arrow_schema(table));
    ListingTable::try_new(config).map_err(|e| e.to_string())
}

/// A table of which nothing was ever written: calls in which nobody spoke have no turns.
fn nothing(table: Table) -> Result<MemTable, DataFusionError> {
    let mut fields = SchemaBuilder::from(arrow_schema(table).fields());
    fields.push(Field::new(PARTITION, DataType::Utf8, true));
    MemTable::try_new(Arc::new(fields.finish()), vec![Vec::new()])
}
