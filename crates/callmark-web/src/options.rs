//! What the server is told: the dataset, where it listens, who may come in, what it may read.

use callmark_compare::config::CompareConfig;
use callmark_query::TrustLimits;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// How people are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Whoever sits at this machine is its one user, and may do everything: only for loopback addresses.
    ThisMachine,
    /// Accounts with passwords.
    Accounts,
    /// A proxy in front has let them in, and says who they are.
    Proxy {
        /// Header with the user's name.
        user_header: String,
        /// Header with their role; without it all are reviewers.
        role_header: Option<String>,
    },
}

/// What to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The dataset.
    pub dataset: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder for reviews, the search index and decoded recordings.
    pub state: PathBuf,
    /// Database of reviews, `postgres://…`; a file in `state` where there is none.
    pub database: Option<String>,
    /// How people are known.
    pub access: Access,
    /// Addresses of proxies in front: what others say of users and of where they come from is ignored.
    pub proxies: Vec<IpAddr>,
    /// Folders of recordings that may be played.
    pub audio: Vec<PathBuf>,
    /// Folder of scorecards.
    pub scorecards: PathBuf,
    /// Whether people reach the server by HTTPS, through a proxy: cookies are then sent no other way.
    pub https: bool,
    /// Which calls' transcripts are doubtful.
    pub limits: TrustLimits,
    /// How the comparison is made.
    pub compare: CompareConfig,
}

/// Why the server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The options do not fit together.
    #[error("{0}")]
    Options(String),
    /// The dataset cannot be read.
    #[error(transparent)]
    Catalogue(#[from] crate::catalogue::CatalogueError),
    /// The database of reviews cannot be used.
    #[error(transparent)]
    Reviews(#[from] crate::reviews::ReviewError),
    /// The search index cannot be used.
    #[error(transparent)]
    Search(#[from] crate::search::SearchError),
    /// A scorecard cannot be used.
    #[error(transparent)]
    Card(#[from] crate::scorecard::CardError),
    /// A folder cannot be made, or an address not be listened on.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ServeOptions {
    /// Whether the options fit together.
    pub(crate) fn check(&self) -> Result<(), ServeError> {
        if self.access == Access::ThisMachine && !self.listen.ip().is_loopback() {
            return Err(ServeError::Options(format!(
                "{} can be reached from other machines, and nobody has to log in: use --access accounts (and \
                 `callmark users add`), or --access proxy behind a proxy that lets people in",
                self.listen
            )));
        }
        if matches!(self.access, Access::Proxy { .. }) && self.proxies.is_empty() {
            return Err(ServeError::Options(
                "--access proxy needs --proxy-from ADDRESS: from whom the user's name is believed".to_owned(),
            ));
        }
        Ok(())
    }
}
