//! Three plain Parquet tables, `calls`, `turns` and `events`, committed exactly once.
//!
//! It exists so that a call that was scored is in the tables exactly once, whatever dies in between, and so that
//! any Parquet reader that globs `DIR/calls/date=*/*.parquet` sees whole committed files and nothing else. It does
//! not know how a call was scored.
//!
//! ```text
//! DIR/{calls,turns,events}/date=YYYY-MM-DD/part-….parquet   what readers see
//! DIR/_commits/<source>/<partition>/<first>.json            one record a batch: this is the commit
//! DIR/_commits/…/<first>.<attempt>.intent.json              a batch under way
//! DIR/_staging/                                             files not committed yet, or not yet in place
//! DIR/_dead_letters/<id>.json, <id>.bin                     what could not be processed, and its bytes
//! DIR/_lock                                                 held by the one writer
//! ```

mod batch;
mod check;
mod commit;
mod dataset;
pub mod dead_letters;
mod directory;
mod envelope;
mod error;
mod hex;
pub mod json;
mod layout;
mod lock;
mod recovery;
mod schema;
mod stream;
mod writer;

pub use batch::{Batch, BatchEntry, SourceId, SourceKey};
pub use check::{ConsistencyReport, Problem, check};
pub use commit::{CommitStep, Receipt};
pub use dataset::{Dataset, Totals};
pub use dead_letters::{DeadLetter, DeadLetterId};
pub use envelope::Envelope;
pub use error::StoreError;
pub use layout::{CommitRecord, FileEntry, NULL_DATE_PARTITION, read_commits, table_files};
pub use recovery::Recovery;
pub use schema::{SCHEMA_VERSION, Table, arrow_schema, schema_markdown};
pub use stream::{StreamBatch, StreamPartition, StreamRecovery};
pub use writer::write_table;
