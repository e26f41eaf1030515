//! The flags of reviewing: the page, its users, and what people say as a file.

use clap::{Args, Subcommand, ValueEnum};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where reviews are kept: the same for all commands that touch them.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReviewStoreArguments {
    /// Folder of reviews, search index and decoded recordings; _review in the dataset when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// File that holds the URL of a PostgreSQL database for reviews (postgres://…); the variable CALLMARK_DATABASE_URL
    /// does the same. A SQLite file in the state's folder when neither is given
    #[arg(long, value_name = "FILE")]
    pub(crate) database_url_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark serve dataset/ --audio recordings/
  callmark users add dataset/ ann --role lead        (asks for a password)
  callmark serve dataset/ --audio recordings/ --listen 0.0.0.0:8480 --access accounts --https

Without accounts it listens on this machine alone. Others reach it through a proxy that speaks HTTPS (say --https then).
Recordings are played only from folders given with --audio.")]
pub(crate) struct ServeArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8480")]
    pub(crate) listen: SocketAddr,
    /// Folder of recordings that may be played; several times for several
    #[arg(long, value_name = "DIR")]
    pub(crate) audio: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: ReviewStoreArguments,
    /// Folder of scorecards
    #[arg(long, value_name = "DIR", default_value = "pipelines/scorecards")]
    pub(crate) scorecards: PathBuf,
    /// How people are known
    #[arg(long, value_enum, default_value_t = AccessMode::Machine)]
    pub(crate) access: AccessMode,
    /// Header in which the proxy names the user
    #[arg(long, value_name = "NAME", default_value = "x-forwarded-user")]
    pub(crate) proxy_user_header: String,
    /// Header in which the proxy names the user's role (viewer, reviewer, lead, admin); all are reviewers when absent
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy_role_header: Option<String>,
    /// Address of the proxy: only from there are these headers, and x-forwarded-for, believed; several times for several
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) proxy_from: Vec<IpAddr>,
    /// People reach the server by HTTPS, through a proxy: cookies are sent no other way
    #[arg(long)]
    pub(crate) https: bool,
    /// Configuration of the comparison, as `compare --config` takes it
    #[arg(long, value_name = "FILE")]
    pub(crate) compare_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessMode {
    /// Whoever sits at this machine may do everything
    Machine,
    /// Accounts with passwords (`callmark users add`)
    Accounts,
    /// A proxy in front lets people in and says who they are
    Proxy,
}

/// A role, as the command names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Sees calls, personal data hidden
    Viewer,
    /// Judges, comments, disputes
    Reviewer,
    /// Draws samples, settles disputes, hears originals
    Lead,
    /// Manages accounts, reads the audit log
    Admin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Add a user; the password comes from the terminal, or as one line from stdin
    Add {
        /// The dataset
        dataset: PathBuf,
        /// Name to log in by
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleName::Reviewer)]
        role: RoleName,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
    /// Give a user another password, and end their sessions
    Password {
        /// The dataset
        dataset: PathBuf,
        /// The user
        name: String,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
    /// Change what a user may do
    Role {
        /// The dataset
        dataset: PathBuf,
        /// The user
        name: String,
        /// What they may do
        #[arg(value_enum)]
        role: RoleName,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
    /// Let a user log in no more; what they said stays
    Close {
        /// The dataset
        dataset: PathBuf,
        /// The user
        name: String,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
    /// Let a user whose account was closed log in again
    Open {
        /// The dataset
        dataset: PathBuf,
        /// The user
        name: String,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
    /// List users
    List {
        /// The dataset
        dataset: PathBuf,
        #[command(flatten)]
        store: ReviewStoreArguments,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark export reviews dataset/ --out reviews.parquet
  callmark compare dataset/ --reviews reviews.parquet
  callmark trust dataset/ --reviews reviews.parquet")]
pub(crate) struct ExportReviewsArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// The file: a row a call that somebody is done with, as `compare --reviews` and `trust --reviews` read it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Also every single judgement, a row each, into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) judgements: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: ReviewStoreArguments,
}
