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
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext};
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

/// The tables `calls`, `turns` and `events` of one dataset, with the partition column `date`; and `repeats`, the newest
/// second pass, where there is one.
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

    /// Names of the columns of `table` that hold numbers, in order.
    pub(crate) async fn numeric_columns(&self, table: &str) -> Result<Vec<String>, QueryError> {
        let frame = self.frame(&format!("select * from {table}")).await?;
        let fields = frame.schema().fields().iter();
        Ok(fields.filter(|f| f.data_type().is_numeric()).map(|f| f.name().clone()).collect())
    }

    /// Adds a Parquet file as a table; gives the names of its columns.
    pub(crate) async fn add_file(&self, name: &str, path: &Path) -> Result<Vec<String>, QueryError> {
        let unreadable = |reason: String| QueryError::Unreadable { path: path.to_owned(), reason };
        if !path.is_file() {
            return Err(unreadable("there is no such file".to_owned()));
        }
        let text = path.to_string_lossy();
        let options = ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
        let read = self.context.register_parquet(name, text.as_ref(), options).await;
        read.map_err(|e| unreadable(e.strip_backtrace()))?;
        let frame = self.frame(&format!("select * from {name}")).await?;
        Ok(frame.schema().fields().iter().map(|f| f.name().clone()).collect())
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
        if let Some(newest) = newest_repeats(dir) {
            let text = newest.to_string_lossy();
            let read = context.register_parquet(REPEATS, text.as_ref(), ParquetReadOptions::default()).await;
            read.map_err(|e| QueryError::Unreadable { path: newest.clone(), reason: e.strip_backtrace() })?;
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

/// Name of the table of the newest second pass, and of its folder.
pub(crate) const REPEATS: &str = "repeats";

/// The file of the newest second pass; names sort as passes follow.
fn newest_repeats(dir: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(dir.join(REPEATS)).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "parquet"));
    files.max().and_then(|path| std::path::absolute(path).ok())
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
