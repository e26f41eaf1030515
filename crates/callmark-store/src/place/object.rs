//! A dataset under a prefix of an object store.
//!
//! The store's callers are synchronous, as commits are, so the requests run on a small runtime of their own and the
//! caller waits for the answer. That is safe from any thread, also from one of another runtime, which it then blocks:
//! an asynchronous program calls the store from `spawn_blocking` or a thread of its own.

use super::{Backend, Created, Output};
use crate::error::StoreError;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use url::Url;

/// Threads that serve the requests of this process.
const RUNTIME_THREADS: usize = 2;
/// Requests of one call under way at once.
const REQUESTS_AT_ONCE: usize = 32;
/// Files of one batch that are encoded and written at once.
const WRITES_AT_ONCE: usize = 6;
/// Tries to create a name whose fate is not known, each after the store's own retries.
const CREATE_ATTEMPTS: u32 = 5;
/// Pause before the second of them; it doubles from try to try.
const FIRST_CREATE_PAUSE: Duration = Duration::from_millis(200);

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("object-store")
        .enable_all()
        .build()
});

/// A prefix of an object store.
#[derive(Debug)]
pub(crate) struct ObjectDirectory {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// Without a slash at its end.
    url: String,
}

impl ObjectDirectory {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: ObjectPath, url: &Url) -> Self {
        Self { store, prefix, url: url.as_str().trim_end_matches('/').to_owned() }
    }

    fn object(&self, relative: &str) -> Result<ObjectPath, StoreError> {
        let whole = format!("{}/{relative}", self.prefix);
        ObjectPath::parse(whole.trim_matches('/'))
            .map_err(|e| self.failed("name", relative, object_store::Error::InvalidPath { source: e }))
    }

    fn failed(&self, action: &'static str, relative: &str, source: object_store::Error) -> StoreError {
        StoreError::object_store(action, &self.path(relative), source)
    }

    /// Runs one request; `action` and `relative` are for the message where it fails.
    fn wait<T: Send + 'static>(
        &self,
        action: &'static str,
        relative: &str,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(request)
            .map_err(|e| StoreError::io(action, &self.path(relative), e))?
            .map_err(|e| self.failed(action, relative, e))
    }

    fn put(
        &self,
        relative: &str,
        bytes: Vec<u8>,
        mode: PutMode,
    ) -> Result<io::Result<object_store::Result<()>>, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        let options = PutOptions { mode, ..PutOptions::default() };
        Ok(ask(async move { store.put_opts(&object, PutPayload::from(bytes), options).await.map(|_| ()) }))
    }

    /// The content of an object; `None` where there is none.
    fn read_if_there(&self, relative: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        self.wait("read", relative, async move {
            match store.get(&object).await {
                Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        })
    }

    /// Names in a directory: files and directories.
    fn list(&self, relative: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        let found =
            self.wait("list", relative, async move { store.list_with_delimiter(Some(&object)).await })?;
        let name = |path: &ObjectPath| path.filename().map(str::to_owned);
        let mut files: Vec<String> = found.objects.iter().filter_map(|meta| name(&meta.location)).collect();
        let mut directories: Vec<String> = found.common_prefixes.iter().filter_map(name).collect();
        files.sort_unstable();
        directories.sort_unstable();
        Ok((files, directories))
    }
}

/// Whether the store said that it will not do this, now or when asked again.
fn is_refusal(error: &object_store::Error) -> bool {
    use object_store::Error;
    !matches!(
        error,
        Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::Generic { .. }
            | Error::JoinError { .. }
    )
}

/// Runs one request; the outer error is of this machine, the inner one the store's.
fn ask<T: Send + 'static>(
    request: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<object_store::Result<T>> {
    let runtime = RUNTIME.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // The receiver waits below for as long as this runs.
        let _ = sender.send(request.await);
    });
    receiver.recv().map_err(|_| io::Error::other("the request was broken off"))
}

impl Backend for ObjectDirectory {
    fn path(&self, relative: &str) -> PathBuf {
        if relative.is_empty() { PathBuf::from(&self.url) } else { format!("{}/{relative}", self.url).into() }
    }

    fn folder(&self) -> Option<&Path> {
        None
    }

    fn exists(&self, relative: &str) -> Result<bool, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        self.wait("look for", relative, async move {
            match store.head(&object).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(e) => Err(e),
            }
        })
    }

    fn directory_exists(&self, relative: &str) -> Result<bool, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        self.wait("look for", relative, async move {
            Ok(store.list(Some(&object)).next().await.transpose()?.is_some())
        })
    }

    fn read(&self, relative: &str) -> Result<Vec<u8>, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        self.wait("read", relative, async move { Ok(store.get(&object).await?.bytes().await?.to_vec()) })
    }

    fn read_many(&self, relatives: &[String]) -> Result<Vec<Vec<u8>>, StoreError> {
        let objects =
            relatives.iter().map(|relative| self.object(relative)).collect::<Result<Vec<_>, _>>()?;
        let store = Arc::clone(&self.store);
        let shown = relatives.first().map_or("", String::as_str);
        self.wait("read", shown, async move {
            let requests = objects.into_iter().map(|object| {
                let store = Arc::clone(&store);
                async move {
                    let found = store.get(&object).await?.bytes().await?;
                    Ok::<_, object_store::Error>(found.to_vec())
                }
            });
            futures::stream::iter(requests).buffered(REQUESTS_AT_ONCE).try_collect().await
        })
    }

    fn files_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.list(relative)?.0)
    }

    fn files_beginning(&self, relative: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        let offset = self.object(&format!("{relative}/{prefix}"))?;
        let prefix = prefix.to_owned();
        self.wait("list", relative, async move {
            let mut names = Vec::new();
            let mut listing = store.list_with_offset(Some(&object), &offset);
            while let Some(meta) = listing.try_next().await? {
                match meta.location.filename() {
                    Some(name) if name.starts_with(&prefix) => names.push(name.to_owned()),
                    _ => break,
                }
            }
            Ok(names)
        })
    }

    fn directories_in(&self, relative: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.list(relative)?.1)
    }

    fn create_directories(&self, _relative: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync_directory(&self, _relative: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(relative, bytes.to_vec(), PutMode::Overwrite)?
            .map_err(|e| StoreError::io("write", &self.path(relative), e))?
            .map_err(|e| self.failed("write", relative, e))
    }

    /// The record names its attempt, so that of two puts whose answers were lost each can tell by reading whether
    /// its own was the one.
    fn create_once(
        &self,
        relative: &str,
        bytes: &[u8],
        written: &mut dyn FnMut(),
    ) -> Result<Created, StoreError> {
        written();
        let mut pause = FIRST_CREATE_PAUSE;
        let mut attempt = 1;
        loop {
            let error = match self.put(relative, bytes.to_vec(), PutMode::Create)? {
                Ok(Ok(())) => return Ok(Created::Yes),
                Ok(Err(e)) if is_refusal(&e) => return Err(self.failed("write", relative, e)),
                Ok(Err(e)) => self.failed("write", relative, e),
                Err(e) => return Ok(Created::InDoubt(StoreError::io("write", &self.path(relative), e))),
            };
            match self.read_if_there(relative) {
                Ok(Some(found)) if found == bytes => return Ok(Created::Yes),
                Ok(Some(_)) => return Ok(Created::Taken),
                // Whether that put is still on its way does not matter: the name decides between it and the next.
                Ok(None) if attempt < CREATE_ATTEMPTS => attempt += 1,
                Ok(None) | Err(_) => return Ok(Created::InDoubt(error)),
            }
            thread::sleep(pause);
            pause *= 2;
        }
    }

    fn create(&self, relative: &str) -> Result<Box<dyn Output + '_>, StoreError> {
        Ok(Box::new(ObjectOutput { directory: self, relative: relative.to_owned(), bytes: Vec::new() }))
    }

    fn staging_path(&self, path: &str) -> String {
        path.to_owned()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        let (store, source, target) = (Arc::clone(&self.store), self.object(from)?, self.object(to)?);
        self.wait("move a finished file to", to, async move { store.rename(&source, &target).await })
    }

    fn remove(&self, relative: &str) -> Result<(), StoreError> {
        let (store, object) = (Arc::clone(&self.store), self.object(relative)?);
        self.wait("remove", relative, async move {
            match store.delete(&object).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                removed => removed,
            }
        })
    }

    fn writes_at_once(&self) -> usize {
        WRITES_AT_ONCE
    }
}

/// A file that is gathered in memory: it is part of a batch, which is in memory as a whole.
struct ObjectOutput<'a> {
    directory: &'a ObjectDirectory,
    relative: String,
    bytes: Vec<u8>,
}

impl Write for ObjectOutput<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for ObjectOutput<'_> {
    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        let Self { directory, relative, bytes } = *self;
        directory
            .put(&relative, bytes, PutMode::Overwrite)?
            .map_err(|e| StoreError::io("write", &directory.path(&relative), e))?
            .map_err(|e| directory.failed("write", &relative, e))
    }
}
