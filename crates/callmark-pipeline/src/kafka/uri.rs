//! Which URIs a message may name, and how they are read.
//!
//! A message is written by somebody else: what it names is read only where the pipeline file allows it. A prefix is
//! compared part by part after the URI has been brought to one form, links are followed before it is decided where a
//! file lies, and nothing that was read is quoted.

use super::fetch::Elsewhere;
use crate::hear::StageError;
use std::io::Read;
use std::path::{Path, PathBuf};
use url::Url;

/// Decides about URIs and reads those that are allowed.
#[derive(Debug)]
pub(crate) struct UriGate {
    prefixes: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    url: Url,
    /// `None`: files of this machine.
    elsewhere: Option<Elsewhere>,
}

impl UriGate {
    /// A gate that lets through what begins as one of `prefixes` does. The error names the prefix that is none.
    pub(crate) fn new(prefixes: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            let url = canonical(text).map_err(|e| format!("`{text}`: {e}"))?;
            let elsewhere = match url.scheme() {
                "file" => None,
                scheme if Elsewhere::reads(scheme) => {
                    Some(Elsewhere::of(&url).map_err(|e| format!("`{text}`: {e}"))?)
                }
                _ => return Err(format!("`{text}`: begin with file, s3, gs, az, http or https")),
            };
            Ok(Prefix { url, elsewhere })
        };
        Ok(Self { prefixes: prefixes.iter().map(read).collect::<Result<_, String>>()? })
    }

    /// The bytes behind `uri`.
    pub(crate) fn fetch(&self, uri: &str, max_bytes: u64) -> Result<Vec<u8>, StageError> {
        let refuse = |reason: &str| StageError::new("fetch", format!("the uri is refused: {reason}"));
        let url = canonical(uri).map_err(|e| refuse(&e))?;
        let Prefix { url: prefix, elsewhere } =
            self.prefixes.iter().find(|prefix| begins_with(&url, &prefix.url)).ok_or_else(|| {
                refuse("it is not below one of `allowed_uri_prefixes` of the pipeline file")
            })?;
        if let Some(elsewhere) = elsewhere {
            return elsewhere.fetch(&url, max_bytes);
        }
        let root = prefix.to_file_path().map_err(|()| refuse("its prefix is no folder of this machine"))?;
        let path = url.to_file_path().map_err(|()| refuse("it names no file of this machine"))?;
        read_file(&path, &root, max_bytes)
    }
}

/// One form for each URI; what could mean two things is refused.
fn canonical(uri: &str) -> Result<Url, String> {
    if uri.chars().any(|c| c.is_control() || c == '\\') {
        return Err("it has a control character or a backslash".to_owned());
    }
    let lower = uri.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%00", "%25"].iter().any(|code| lower.contains(code)) {
        return Err("it hides a dot, slash, backslash, percent sign or zero behind a code".to_owned());
    }
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = after_scheme.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|part| part == ".." || part == ".") {
        return Err("it has a part `.` or `..`".to_owned());
    }
    let url = Url::parse(uri).map_err(|e| format!("it is none: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a login in it".to_owned());
    }
    Ok(url)
}

fn begins_with(url: &Url, prefix: &Url) -> bool {
    let same_place = url.scheme() == prefix.scheme()
        && url.host_str() == prefix.host_str()
        && url.port_or_known_default() == prefix.port_or_known_default();
    let base = prefix.path();
    let rest = url.path().strip_prefix(base);
    same_place && rest.is_some_and(|rest| base.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

fn read_file(path: &Path, root: &Path, max_bytes: u64) -> Result<Vec<u8>, StageError> {
    let failed = |error: &std::io::Error| {
        StageError::new("fetch", format!("cannot read the recording: {}", error.kind()))
    };
    let real = path.canonicalize().map_err(|e| failed(&e))?;
    let root: PathBuf = root.canonicalize().map_err(|e| failed(&e))?;
    if !real.starts_with(&root) {
        return Err(StageError::new("fetch", "the uri is refused: a link leads out of its prefix"));
    }
    let file = std::fs::File::open(&real).map_err(|e| failed(&e))?;
    let about = file.metadata().map_err(|e| failed(&e))?;
    if !about.is_file() {
        return Err(StageError::new("fetch", "the uri is refused: it names no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
    if bytes.len() as u64 > max_bytes {
        return Err(StageError::new("fetch", format!("the recording has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(folder: &Path) -> UriGate {
        UriGate::new(&[format!("file://{}/audio", folder.display())]).unwrap()
    }

    #[test]
    fn what_lies_below_an_allowed_prefix_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("audio/x")).unwrap();
        std::fs::write(folder.path().join("audio/x/a.wav"), b"RIFF").unwrap();
        let uri = format!("file://{}/audio/x/a.wav", folder.path().display());
        assert_eq!(gate(folder.path()).fetch(&uri, 4).unwrap(), b"RIFF");
        assert!(gate(folder.path()).fetch(&uri, 3).unwrap_err().reason.contains("more than 3 bytes"));
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused_and_nothing_of_it_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir_all(base.join("audio")).unwrap();
        std::fs::create_dir_all(base.join("audio-private")).unwrap();
        std::fs::write(base.join("secret.wav"), b"hush").unwrap();
        std::fs::write(base.join("audio-private/b.wav"), b"hush").unwrap();
        std::os::unix::fs::symlink(base.join("secret.wav"), base.join("audio/link.wav")).unwrap();
        let here = base.display();
        for uri in [
            "file:///etc/passwd".to_owned(),
            "/etc/passwd".to_owned(),
            format!("file://{here}/audio/../secret.wav"),
            format!("file://{here}/audio/%2e%2e/secret.wav"),
            format!("file://{here}/audio/..%2fsecret.wav"),
            format!("file://{here}/audio/%252e%252e/secret.wav"),
            format!("file://{here}/audio-private/b.wav"),
            format!("file://{here}/audio/link.wav"),
            format!("file://{here}/audio"),
            format!("file://elsewhere{here}/audio/a.wav"),
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "http://127.0.0.1/x".to_owned(),
            "ftp://example.com/x".to_owned(),
        ] {
            let error = gate(base).fetch(&uri, 1000).unwrap_err();
            assert_eq!(error.stage, "fetch", "{uri}");
            assert!(
                error.reason.contains("refused") && !error.reason.contains("hush"),
                "{uri}: {}",
                error.reason
            );
        }
    }

    #[test]
    fn nothing_is_allowed_where_nothing_is_said() {
        let error = UriGate::new(&[]).unwrap().fetch("file:///tmp/x.wav", 1000).unwrap_err();
        assert!(error.reason.contains("allowed_uri_prefixes"), "{}", error.reason);
    }

    #[test]
    fn a_web_address_is_read_only_where_it_is_named() {
        let gate = UriGate::new(&["https://recordings.example.com/2026/".to_owned()]).unwrap();
        for uri in [
            "http://recordings.example.com/2026/a.wav",
            "https://recordings.example.com:8443/2026/a.wav",
            "https://recordings.example.com/2025/a.wav",
            "https://recordings.example.com.evil.net/2026/a.wav",
            "https://user@recordings.example.com/2026/a.wav",
            "http://169.254.169.254/2026/a.wav",
            "https://[::ffff:10.0.0.1]/2026/a.wav",
        ] {
            let error = gate.fetch(uri, 1000).unwrap_err();
            assert!(error.reason.contains("refused"), "{uri}: {}", error.reason);
        }
    }
}
