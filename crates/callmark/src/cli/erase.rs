//! Flags of `callmark erase`.

use super::{Format, ReviewStoreArguments};
use clap::{ArgGroup, Args};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").args(["customer_keys", "call_ids", "older_than_days"]).required(true).multiple(true))]
#[command(after_help = "\
Examples:
  callmark erase dataset/ --customer-key C-4711 --audio-root recordings/ --audio-root silenced/ --dry-run
  callmark erase dataset/ --customer-key C-4711 --audio-root recordings/ --audio-root silenced/
  callmark erase dataset/ --call-id call-17 --call-id call-18 --yes --format json
  callmark erase dataset/ --older-than-days 400 --audio-root recordings/ --yes        (every night, say)

Rows, dead letters, checkpoints, reviews and notes of the calls go; files of the tables are replaced, each whole, while readers go on.
Recordings go where they lie inside an --audio-root and no other call has them. Then every byte below the dataset is
searched for the ids and keys. The calls do not come back when the same folder is scored again or Kafka sends them again.
Not reached: messages in Kafka, other datasets (a rescore has calls of its own: erase there too), exports, backups.
An erasure that was cut short is finished by the same command, or by the next run into the dataset.

Exit codes: 0 done and proved, or no call is that old; 1 something could not be removed, or nobody has these ids and keys; 2 wrong flags;
3 nothing could be done, or one of the ids and keys is still there: the files are named.")]
pub(crate) struct EraseArguments {
    /// The dataset: a folder
    pub(crate) dataset: PathBuf,
    /// All calls of this customer, as calls.customer_key has it; may be given again
    #[arg(long = "customer-key", value_name = "KEY")]
    pub(crate) customer_keys: Vec<String>,
    /// This call; may be given again
    #[arg(long = "call-id", value_name = "ID")]
    pub(crate) call_ids: Vec<String>,
    /// Calls that started more days ago than this, and dead letters that were first seen before that
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) older_than_days: Option<u32>,
    /// Recordings and silenced copies inside this folder may be removed; may be given again
    #[arg(long = "audio-root", value_name = "DIR")]
    pub(crate) audio_roots: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: ReviewStoreArguments,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    pub(crate) yes: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}
