//! Reading a dataset back: ad-hoc SQL, the summary, and exports.
//!
//! It exists so that the command can answer questions about a dataset the way its users will, with SQL over plain
//! Parquet, and so that nothing that writes has to know SQL. It must not know audio, Kafka or how a call is scored.

mod contact_lens;
mod output;
mod profiles;
mod repeats;
mod tables;
mod trust;

pub use contact_lens::export_contact_lens;
pub use output::{OutputFormat, render_json, render_query, render_table};
pub use profiles::{Clock, Kept, Profile, keep_profile, profiles};
pub use repeats::{REPEAT_WINDOWS_DAYS, RepeatPass, check_repeats};
pub use tables::{QueryError, Tables};
pub use trust::{Agreement, TrustLimits, TrustReport, TrustedMetric, report_trust};

/// The query behind the summary table: one line per first handler. See the file for its columns.
pub const SUMMARY_SQL: &str = include_str!("../queries/summary.sql");
