//! Three plain Parquet tables, `calls`, `turns` and `events`, committed exactly once.
//!
//! It exists so that a call that was scored is in the tables exactly once, whatever dies in between, in a folder or on
//! an object store. It does not know how a call was scored.
//!
//! ```text
//! DIR/{calls,turns,events}/date=YYYY-MM-DD/part-….parquet   what readers see
//! DIR/_commits/<source>/<partition>/<first>.json            one record a batch: this is the commit
//! DIR/_commits/…/<first>.<attempt>.intent.json              a batch under way
//! DIR/_staging/                                             files not committed yet, or not yet in place
//! DIR/_dead_letters/<id>.json, <id>.bin                     what could not be processed, and its bytes
//! DIR/_lock                                                 held by the one writer of files
//! DIR/_commits/erased.json                                  which calls were erased, as digests
//! DIR/_erasure/                                             an erasure under way: what changes, and the plan
//! ```
//!
//! # The protocol
//!
//! 1. The intent names the files to come. 2. The files are written. 3. The record is created under a name that only one
//!    can create: **this is the commit**. 4. The files are put where readers look. 5. The intent goes.
//!
//! Whoever dies before 3 has written nothing that counts; whoever dies after it is finished by the next to open the
//! dataset. Attempts have numbers of their own, which the names of their files carry, so none touches another's. What
//! an attempt left is removed when the record is there and names another attempt, never before: a worker that was
//! paused either wins with its files intact or finds the name taken.
//!
//! In a [`StreamPartition`] a record's name is the first offset that it settles, behind the one before it. A commit may
//! settle none (`last` one less than where it begins): rows of calls that are finished while an earlier one is still
//! open. Such commits carry a number behind the offset (`…0007`, `…0007-000001`, …), so that each name still has one
//! winner and names sort as commits follow. Opening a partition lists all names and reads the newest thousand records.
//!
//! **In a folder** files wait in `_staging/` until step 4 renames them, so a reader of the plain glob
//! `DIR/calls/date=*/*.parquet` sees whole committed files and nothing else. Only one can create a record because a hard
//! link to an existing name fails. Batches of files have one writer at a time, who holds `_lock`.
//!
//! **On an object store** ([`Location`]) nothing can be renamed and nothing locked. Files are written under their final
//! names, the three tables at once, and the record is put on condition that there is none (`If-None-Match: *`).
//! Batches of files are a chain of names too: of two writers one loses and opens the dataset again. Where the answer to
//! that put is lost, the record is read back: it names the attempt that won. What readers may rely on there:
//!
//! - [`committed_files`] is exact: the files that records name, each whole. The command's own queries read them.
//! - A plain glob sees every committed file, and for the length of a commit also files whose commit may fail: rows that
//!   vanish again when their attempt is beaten, or that stay until the partition is opened next where their writer died.
//!   A job that must not see them takes its list from the records, or keeps to days that nobody writes any more.
//!
//! # Erasing calls
//!
//! A committed file changes for one reason only: calls are erased ([`erase`](mod@erase)). Under the lock everything that changes is
//! written beside the old, then a plan of what takes whose place is given its name: **this is the erasure**. Then
//! files and records are replaced under the names they have, and whoever opens the dataset next finishes what a crash
//! cut short. A record of which calls were erased no longer names them and has format 2; `erased.json` keeps digests of
//! their ids, and their keys, so that no input brings them back. On an object store nothing is erased.
//!
//! # Failures
//!
//! The store refuses, is overloaded or does not answer: a request is tried again with growing pauses, ten times and for
//! a minute at most. After that it is a [`StoreError::ObjectStore`], which names the URL and what to do, and the caller
//! may try the batch again once it has opened the partition anew.

mod batch;
mod chain;
mod check;
mod commit;
mod dataset;
pub mod dead_letters;
mod envelope;
pub mod erase;
mod error;
mod hex;
pub mod json;
mod layout;
mod lock;
mod place;
mod read;
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
pub use erase::{EraseStep, Erased, ErasedCalls, Searched, Selection, erase};
pub use error::StoreError;
pub use layout::{
    CommitRecord, FileEntry, NULL_DATE_PARTITION, committed_files, is_dataset, read_commits,
    read_committed_file, table_files,
};
pub use place::{Location, RemotePlace, remote_place};
pub use read::{calls_of_rows, read_calls};
pub use recovery::Recovery;
pub use schema::{SCHEMA_VERSION, Table, arrow_schema, schema_markdown};
pub use stream::{StreamBatch, StreamPartition, StreamRecovery};
pub use writer::write_table;
