//! What an operator writes for a place, and what it stands for.

use super::object::ObjectDirectory;
use super::{Directory, LocalDirectory};
use crate::error::StoreError;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, RetryConfig};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// Tries of one request to an object store that refuses connections, is overloaded (429) or fails (5xx).
const REQUEST_RETRIES: usize = 10;
/// No further try is begun once a request has taken this long.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);
/// Pause before the second try; it doubles from try to try, with some chance in it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where a dataset lies: a folder, or a prefix on an object store.
///
/// It is made of a path or of text, so that whatever takes a folder takes `s3://bucket/prefix` as well (also
/// `gs://…`, `az://…`, `abfss://…`; `memory://name` is of this process alone, for tests). Keys, region and endpoint of
/// an object store come from the environment, under the names that its own tools use (`AWS_ACCESS_KEY_ID`,
/// `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    place: PathBuf,
}

impl Location {
    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self.url_text() {
            None => Some(&self.place),
            Some(text) => text.strip_prefix("file://").map(Path::new),
        }
    }

    /// The path or URL as it was given.
    pub fn as_path(&self) -> &Path {
        &self.place
    }

    fn url_text(&self) -> Option<&str> {
        self.place.to_str().filter(|text| {
            text.split_once("://").is_some_and(|(scheme, _)| {
                scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        })
    }

    /// Connects to the place; the first request to an object store comes later.
    pub(crate) fn open(&self) -> Result<Directory, StoreError> {
        if let Some(folder) = self.folder() {
            return Ok(Arc::new(LocalDirectory::new(folder)));
        }
        let remote = self.connect()?;
        Ok(Arc::new(ObjectDirectory::new(remote.store, remote.prefix, &remote.url)))
    }

    fn connect(&self) -> Result<RemotePlace, StoreError> {
        let text = self.url_text().unwrap_or_default();
        let refuse = |reason: String| StoreError::InvalidLocation { location: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|e| refuse(e.to_string()))?;
        let prefix = ObjectPath::from_url_path(url.path()).map_err(|e| refuse(e.to_string()))?;
        let retries = RetryConfig {
            max_retries: REQUEST_RETRIES,
            retry_timeout: REQUEST_LIMIT,
            backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 },
        };
        let failed = |e: object_store::Error| refuse(e.to_string());
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::from_env().with_url(text).with_retry(retries);
                Arc::new(builder.with_conditional_put(S3ConditionalPut::ETagMatch).build().map_err(failed)?)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(text).with_retry(retries);
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" | "azure" | "abfs" | "abfss" => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(text).with_retry(retries);
                Arc::new(builder.build().map_err(failed)?)
            }
            "memory" => memory_store(url.host_str().unwrap_or_default()),
            other => {
                return Err(refuse(format!(
                    "{other}:// is no place for a dataset: give a folder, s3://, gs:// or az://"
                )));
            }
        };
        Ok(RemotePlace { store, prefix, url })
    }
}

/// A place on an object store, for readers that bring their own way of reading.
#[derive(Debug)]
pub struct RemotePlace {
    /// The store, with the bucket as its root.
    pub store: Arc<dyn ObjectStore>,
    /// Where in it the dataset lies.
    pub prefix: ObjectPath,
    /// The dataset's URL.
    pub url: Url,
}

impl RemotePlace {
    /// The object that `url` names on this store. The error says why it names none.
    pub fn object(&self, url: &Url) -> Result<ObjectPath, String> {
        ObjectPath::from_url_path(url.path()).map_err(|error| error.to_string())
    }
}

/// The object store on which `location` lies; `None` for a folder.
pub fn remote_place(location: impl Into<Location>) -> Result<Option<RemotePlace>, StoreError> {
    let location = location.into();
    if location.folder().is_some() { Ok(None) } else { location.connect().map(Some) }
}

/// The store in memory that has this name in this process.
fn memory_store(name: &str) -> Arc<InMemory> {
    static STORES: LazyLock<Mutex<BTreeMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(stores.entry(name.to_owned()).or_default())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.display().fmt(f)
    }
}

impl From<&Path> for Location {
    fn from(place: &Path) -> Self {
        Self { place: place.to_path_buf() }
    }
}

impl From<PathBuf> for Location {
    fn from(place: PathBuf) -> Self {
        Self { place }
    }
}

impl From<&PathBuf> for Location {
    fn from(place: &PathBuf) -> Self {
        Self { place: place.clone() }
    }
}

impl From<&str> for Location {
    fn from(place: &str) -> Self {
        Self { place: PathBuf::from(place) }
    }
}

impl From<String> for Location {
    fn from(place: String) -> Self {
        Self { place: PathBuf::from(place) }
    }
}

impl From<&Location> for Location {
    fn from(place: &Location) -> Self {
        place.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_and_a_url_is_not() {
        for folder in ["out", "/data/calls", "./a:b", "C://odd"] {
            assert_eq!(Location::from(folder).folder(), Some(Path::new(folder)));
        }
        assert_eq!(Location::from("file:///data").folder(), Some(Path::new("/data")));
        for url in ["s3://bucket/a", "memory://x", "ftp://x/y"] {
            assert_eq!(Location::from(Path::new(url)).folder(), None, "{url}");
        }
    }

    #[test]
    fn a_place_that_holds_no_dataset_is_refused_with_its_url() {
        let error = Location::from("ftp://host/calls").open().unwrap_err();
        let message = error.to_string();
        assert!(message.contains("ftp://host/calls") && message.contains("s3://"), "{message}");
    }
}
