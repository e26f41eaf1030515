//! Reads recordings that lie elsewhere: object stores and web servers. Whether a message may name them is decided
//! before, in [`super::uri`].
//!
//! Keys, regions and endpoints come from the environment, as for a dataset on an object store. A web server may not send
//! the reader on to another address: that would lead around the decision.

use crate::hear::StageError;
use callmark_store::{RemotePlace, remote_place};
use object_store::ObjectStoreExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use url::Url;

/// Waits for a name, a connection, and the head of an answer.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest pause within an answer.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Tries of a web server that cannot be reached, fails (5xx) or is overloaded (429). Object stores have their own.
const TRIES: u32 = 4;
/// Pause after the first try; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A place elsewhere from which recordings may come.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    Store(RemotePlace, Runtime),
    Web(ureq::Agent),
}

impl Elsewhere {
    /// Whether `scheme` is one of these.
    pub(crate) fn reads(scheme: &str) -> bool {
        matches!(scheme, "s3" | "gs" | "az" | "http" | "https")
    }

    /// Gets ready to read what lies below `prefix`. The error is for the operator.
    pub(crate) fn of(prefix: &Url) -> Result<Self, String> {
        if matches!(prefix.scheme(), "http" | "https") {
            return Ok(Self::Web(agent()));
        }
        let place = remote_place(prefix.as_str()).map_err(|e| e.to_string())?;
        let place = place.ok_or("it is no object store")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fetch")
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self::Store(place, runtime))
    }

    /// The bytes behind `url`.
    pub(crate) fn fetch(&self, url: &Url, max_bytes: u64) -> Result<Vec<u8>, StageError> {
        match self {
            Self::Store(place, runtime) => from_store(place, runtime, url, max_bytes),
            Self::Web(agent) => from_web(agent, url, max_bytes),
        }
    }
}

fn failed(reason: impl std::fmt::Display) -> StageError {
    StageError::new("fetch", format!("cannot read the recording: {reason}"))
}

fn too_large(max_bytes: u64) -> StageError {
    StageError::new("fetch", format!("the recording has more than {max_bytes} bytes"))
}

fn from_store(
    place: &RemotePlace,
    runtime: &Runtime,
    url: &Url,
    max_bytes: u64,
) -> Result<Vec<u8>, StageError> {
    let path = place.object(url).map_err(failed)?;
    runtime.block_on(async {
        let found = place.store.get(&path).await.map_err(|error| failed(what_failed(&error)))?;
        if found.meta.size > max_bytes {
            return Err(too_large(max_bytes));
        }
        Ok(found.bytes().await.map_err(|error| failed(what_failed(&error)))?.to_vec())
    })
}

/// In few words: what a store answers may quote keys.
fn what_failed(error: &object_store::Error) -> &'static str {
    use object_store::Error;
    match error {
        Error::NotFound { .. } => "the store has no such object",
        Error::PermissionDenied { .. } => "the store does not let this user read it",
        Error::Unauthenticated { .. } => "the store does not know this user",
        _ => "the store did not answer as it should",
    }
}

fn agent() -> ureq::Agent {
    let system = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect();
    let roots = if roots.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(roots)) };
    ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("callmark/", env!("CARGO_PKG_VERSION")))
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_resolve(Some(RESOLVE_LIMIT))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_recv_response(Some(ANSWER_LIMIT))
        .timeout_per_read(Some(READ_LIMIT))
        .build()
        .new_agent()
}

fn from_web(agent: &ureq::Agent, url: &Url, max_bytes: u64) -> Result<Vec<u8>, StageError> {
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    loop {
        let said = match agent.get(url.as_str()).call() {
            Ok(response) if response.status().is_success() => {
                let read = response.into_body().into_with_config().limit(max_bytes).read_to_vec();
                return read.map_err(|error| match error {
                    ureq::Error::BodyExceedsLimit(_) => too_large(max_bytes),
                    _ => failed("the server broke off"),
                });
            }
            Ok(response) if response.status().is_redirection() => {
                return Err(failed("the server sends the reader on to another address: name that one"));
            }
            Ok(response) => {
                let status = response.status().as_u16();
                if status < 500 && status != 429 {
                    return Err(failed(format!("the server answers with status {status}")));
                }
                format!("the server answers with status {status}")
            }
            Err(_) => "the server cannot be reached".to_owned(),
        };
        if tries == TRIES {
            return Err(failed(said));
        }
        tries += 1;
        std::thread::sleep(pause);
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A web server that gives each of `answers` once, to whatever is asked.
    fn serving(answers: Vec<String>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/calls/a.wav", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let _ = connection.read(&mut [0; 4096]);
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        Url::parse(&url).unwrap()
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn fetch(answers: Vec<String>, max_bytes: u64) -> Result<Vec<u8>, StageError> {
        let url = serving(answers);
        Elsewhere::of(&url).unwrap().fetch(&url, max_bytes)
    }

    #[test]
    fn a_web_server_that_fails_for_a_moment_is_asked_again() {
        let answers = vec![answer("503 Busy", ""), answer("200 OK", "RIFF")];
        assert_eq!(fetch(answers, 4).unwrap(), b"RIFF");
    }

    #[test]
    fn nobody_is_sent_on_elsewhere_and_nothing_larger_than_allowed_is_read() {
        let on = "302 Found\r\nlocation: http://169.254.169.254/latest/meta-data";
        let error = fetch(vec![answer(on, "")], 1000).unwrap_err();
        assert!(error.reason.contains("sends the reader on"), "{}", error.reason);
        let error = fetch(vec![answer("200 OK", "RIFFRIFF")], 4).unwrap_err();
        assert!(error.reason.contains("more than 4 bytes"), "{}", error.reason);
        let error = fetch(vec![answer("404 Not Found", "")], 4).unwrap_err();
        assert!(error.reason.contains("status 404"), "{}", error.reason);
    }

    #[test]
    fn an_object_of_a_store_is_read() {
        let prefix = Url::parse("memory://fetch-test/calls/").unwrap();
        let place = remote_place(prefix.as_str()).unwrap().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = prefix.join("2026/a.wav").unwrap();
        let path = place.object(&url).unwrap();
        runtime.block_on(place.store.put(&path, "RIFF".into())).unwrap();
        assert_eq!(path.as_ref(), "calls/2026/a.wav");
        let elsewhere = Elsewhere::Store(place, runtime);
        assert_eq!(elsewhere.fetch(&url, 4).unwrap(), b"RIFF");
        assert!(elsewhere.fetch(&url, 3).unwrap_err().reason.contains("more than 3 bytes"));
        let missing = elsewhere.fetch(&prefix.join("none.wav").unwrap(), 4).unwrap_err();
        assert!(missing.reason.contains("no such object"), "{}", missing.reason);
    }
}
