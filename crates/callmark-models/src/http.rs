//! Fetches over HTTP with every wait, retry and size bounded, and resumes what an earlier run left unfinished.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use ureq::http::{Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use url::Url;

use crate::digest::Expected;
use crate::error::ModelError;
use crate::pip::PipSettings;
use crate::progress::{Activity, Counter, Progress, Report};
use crate::staged::remove_if_there;

/// Waits for a name, a connection, an answer's head, and each read of its body.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// An index page; the largest on PyPI are some 10 MB.
const PAGE_BYTES_MAX: u64 = 32 << 20;
/// Requests for one file, however much progress each makes.
const REQUESTS_MAX: u32 = 200;
/// Pauses between requests grow from the first to the second.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(8);
const COPY_BUFFER_BYTES: usize = 1 << 16;

/// How long to bear with a server before giving up on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Another source follows: go on to it soon, at once if the server cannot be reached at all.
    FailOver,
    /// The last hope: try again several times.
    Persist,
}

impl Patience {
    /// Requests in a row that bring no byte.
    fn fruitless_requests_max(self) -> u32 {
        match self {
            Patience::FailOver => 2,
            Patience::Persist => 5,
        }
    }
}

/// A file to fetch into `part`.
pub(crate) struct Download<'d> {
    pub(crate) url: &'d Url,
    /// For progress: the file's name.
    pub(crate) what: &'d str,
    /// Where the bytes go, and where those of an earlier run lie.
    pub(crate) part: &'d Path,
    pub(crate) expected: Expected<'d>,
    pub(crate) patience: Patience,
    /// Value of the `Authorization` header.
    pub(crate) authorization: Option<&'d str>,
}

/// An index page.
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) is_json: bool,
    pub(crate) text: String,
}

/// A configured HTTP client.
pub(crate) struct Client {
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new(settings: &PipSettings) -> Result<Self, ModelError> {
        let tls = TlsConfig::builder().root_certs(root_certificates(settings)?).build();
        let mut config = ureq::Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("callmark/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_resolve(Some(RESOLVE_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT));
        if let Some(proxy) = &settings.proxy {
            let parsed = ureq::Proxy::new(proxy).map_err(|error| ModelError::BadSetting {
                setting: "proxy (PIP_PROXY)".to_owned(),
                value: without_password_text(proxy),
                reason: error.to_string(),
            })?;
            config = config.proxy(Some(parsed));
        }
        Ok(Client { agent: config.build().new_agent() })
    }

    /// Fetches an index page, trying again while the failure may pass.
    pub(crate) fn page(&self, url: &Url, accept: &str, report: &mut Report<'_>) -> Result<Page, ModelError> {
        let attempts_max = Patience::Persist.fruitless_requests_max();
        let mut attempt = 1;
        loop {
            let error = match self.page_once(url, accept) {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if attempt == attempts_max || !is_transient(&error) {
                return Err(error);
            }
            report(&Progress::Retry { what: &without_password(url), error: &error, attempt });
            std::thread::sleep(backoff(attempt));
            attempt += 1;
        }
    }

    fn page_once(&self, url: &Url, accept: &str) -> Result<Page, ModelError> {
        let authorization = authorization(url);
        let plain = without_userinfo(url);
        let mut request = self.agent.get(plain.as_str()).header(header::ACCEPT, accept);
        if let Some(value) = &authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.call().map_err(|error| network(url, &error))?;
        check_status(url, &response)?;
        let final_url = {
            use ureq::ResponseExt as _;
            Url::parse(&response.get_uri().to_string()).unwrap_or(plain)
        };
        let is_json = response.body().mime_type().is_some_and(|mime| mime.ends_with("json"));
        let text = response
            .body_mut()
            .with_config()
            .limit(PAGE_BYTES_MAX)
            .read_to_string()
            .map_err(|error| network(url, &error))?;
        Ok(Page { url: final_url, is_json, text })
    }

    /// Fetches a file until it has the pinned size, then checks its digest. On a wrong digest nothing is kept; what an
    /// interruption leaves is kept for the next run.
    pub(crate) fn download(
        &self,
        download: &Download<'_>,
        report: &mut Report<'_>,
    ) -> Result<(), ModelError> {
        let mut resumed = part_bytes(download.part) > 0;
        loop {
            self.fetch_whole(download, report)?;
            let Err(difference) = download.expected.check_file(download.part, download.what, report)? else {
                return Ok(());
            };
            remove_if_there(download.part)?;
            let error = wrong_digest(download, difference);
            if !resumed {
                return Err(error);
            }
            // The left-over of an earlier run may be what is wrong: once more, from nothing.
            report(&Progress::Retry { what: download.what, error: &error, attempt: 1 });
            resumed = false;
        }
    }

    fn fetch_whole(&self, download: &Download<'_>, report: &mut Report<'_>) -> Result<(), ModelError> {
        let mut fruitless = 0;
        for request in 1..=REQUESTS_MAX {
            let before = part_bytes(download.part);
            if before == download.expected.bytes {
                return Ok(());
            }
            if before > download.expected.bytes {
                remove_if_there(download.part)?;
            }
            let Err(error) = self.fetch_once(download, report) else { continue };
            let after = part_bytes(download.part);
            fruitless = if after > before { 0 } else { fruitless + 1 };
            let unreachable = download.patience == Patience::FailOver && after == 0;
            if !is_transient(&error)
                || fruitless >= download.patience.fruitless_requests_max()
                || unreachable
                || request == REQUESTS_MAX
            {
                return Err(error);
            }
            report(&Progress::Retry { what: download.what, error: &error, attempt: request });
            std::thread::sleep(backoff(fruitless.max(1)));
        }
        Ok(())
    }

    /// One request, from where the part ends. `Ok` means that the part is whole.
    fn fetch_once(&self, download: &Download<'_>, report: &mut Report<'_>) -> Result<(), ModelError> {
        let url = download.url;
        let have = part_bytes(download.part);
        // An answer compressed on the way could not be resumed by byte position.
        let mut request =
            self.agent.get(without_userinfo(url).as_str()).header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        if let Some(value) = download.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.call().map_err(|error| network(url, &error))?;
        let start = match response.status().as_u16() {
            206 => content_range_start(&response).unwrap_or(have),
            416 => {
                remove_if_there(download.part)?;
                return Err(unexpected(url, "the server cannot resume there; starting over"));
            }
            _ => 0,
        };
        check_status(url, &response)?;
        if start != have && start != 0 {
            remove_if_there(download.part)?;
            return Err(unexpected(url, "the server resumed at another place; starting over"));
        }
        if let Some(length) = response.body().content_length()
            && start + length != download.expected.bytes
        {
            let found =
                format!("expected {} bytes, the server offers {}", download.expected.bytes, start + length);
            return Err(wrong_digest(download, found));
        }
        let file = open_part(download.part, start)?;
        copy_body(download, response.body_mut().as_reader(), file, start, report)
    }
}

fn copy_body(
    download: &Download<'_>,
    mut body: impl Read,
    mut file: File,
    start: u64,
    report: &mut Report<'_>,
) -> Result<(), ModelError> {
    let expected_bytes = download.expected.bytes;
    let mut counter = Counter::new(Activity::Download, download.what, start, Some(expected_bytes), report);
    let mut have = start;
    let mut buffer = vec![0u8; COPY_BUFFER_BYTES];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) if have == expected_bytes => return Ok(()),
            Ok(0) => {
                return Err(unexpected(
                    download.url,
                    &format!("the connection ended after {have} of {expected_bytes} bytes"),
                ));
            }
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let reason = format!("the connection broke after {have} of {expected_bytes} bytes: {error}");
                return Err(unexpected(download.url, &reason));
            }
        };
        have += read as u64;
        if have > expected_bytes {
            drop(file);
            remove_if_there(download.part)?;
            return Err(wrong_digest(
                download,
                format!("expected {expected_bytes} bytes, the server sends more"),
            ));
        }
        file.write_all(&buffer[..read]).map_err(ModelError::io("write", download.part))?;
        counter.add(read);
    }
}

fn open_part(part: &Path, start: u64) -> Result<File, ModelError> {
    let mut options = OpenOptions::new();
    if start == 0 {
        options.write(true).create(true).truncate(true);
    } else {
        options.append(true);
    }
    options.open(part).map_err(ModelError::io("write", part))
}

fn part_bytes(part: &Path) -> u64 {
    std::fs::metadata(part).map_or(0, |metadata| metadata.len())
}

fn backoff(attempt: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(10)).min(BACKOFF_MAX)
}

fn content_range_start<B>(response: &Response<B>) -> Option<u64> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn check_status<B>(url: &Url, response: &Response<B>) -> Result<(), ModelError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let transient = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
    let advice = match status.as_u16() {
        401 | 403 => "; the server wants other credentials",
        407 => "; the proxy wants credentials",
        _ => "",
    };
    Err(ModelError::Network {
        url: without_password(url),
        reason: format!("the server answered {status}{advice}"),
        transient,
    })
}

fn network(url: &Url, error: &ureq::Error) -> ModelError {
    let transient = !matches!(
        error,
        ureq::Error::BadUri(_)
            | ureq::Error::TooManyRedirects
            | ureq::Error::BodyExceedsLimit(_)
            | ureq::Error::Rustls(_)
    );
    ModelError::Network { url: without_password(url), reason: error.to_string(), transient }
}

fn unexpected(url: &Url, reason: &str) -> ModelError {
    ModelError::Network { url: without_password(url), reason: reason.to_owned(), transient: true }
}

fn wrong_digest(download: &Download<'_>, reason: String) -> ModelError {
    ModelError::WrongDigest { what: without_password(download.url), reason }
}

fn is_transient(error: &ModelError) -> bool {
    matches!(error, ModelError::Network { transient: true, .. })
}

/// The system's certificates (or those that `SSL_CERT_FILE`, `SSL_CERT_DIR` name) and pip's; the compiled-in ones where
/// the system has none.
fn root_certificates(settings: &PipSettings) -> Result<RootCerts, ModelError> {
    let system = rustls_native_certs::load_native_certs().certs;
    let mut certificates: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect();
    if let Some(path) = &settings.certificate_file {
        let pem = std::fs::read(path).map_err(ModelError::io("read certificates from", path))?;
        certificates.extend(ureq::tls::parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
    }
    if certificates.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// The `Authorization` header for a user name and password in an address.
pub(crate) fn authorization(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = percent_decode(url.username());
    let password = percent_decode(url.password().unwrap_or_default());
    let mut credentials = user;
    credentials.push(b':');
    credentials.extend(password);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials)))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| bytes.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(bytes[index]));
        index += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

fn without_userinfo(url: &Url) -> Url {
    let mut plain = url.clone();
    // Both fail only for addresses that cannot hold credentials.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain
}

/// The address as it may be shown.
pub(crate) fn without_password(url: &Url) -> String {
    without_userinfo(url).to_string()
}

/// The same for text that may not be an address.
pub(crate) fn without_password_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => without_password(&url),
        _ => text.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_into_a_header_and_never_into_messages() {
        let url = Url::parse("https://me%40corp:p%3Ass@mirror.example/simple/").unwrap();
        assert_eq!(authorization(&url).unwrap(), "Basic bWVAY29ycDpwOnNz");
        assert_eq!(without_password(&url), "https://mirror.example/simple/");
        assert_eq!(without_password_text("me:secret@mirror"), "mirror");
        assert_eq!(authorization(&Url::parse("https://pypi.org/simple").unwrap()), None);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(backoff(1), BACKOFF_FIRST);
        assert_eq!(backoff(3), BACKOFF_FIRST * 4);
        assert_eq!(backoff(4_000_000), BACKOFF_MAX);
    }
}
