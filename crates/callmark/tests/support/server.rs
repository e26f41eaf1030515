//! A review server for tests, and plain HTTP to ask it.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use super::{CHATS, Ran, callmark, write};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to start or to answer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A server that is stopped when it is dropped.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    pub(crate) fn start(dataset: &Path, more: &[&str]) -> Self {
        let database = database(dataset);
        let mut process = Command::new(assert_cmd::cargo::cargo_bin!("callmark"))
            .args(["serve", dataset.to_str().unwrap(), "--listen", "127.0.0.1:0"])
            .args(["--scorecards", concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/scorecards")])
            .args(&database)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server ends: {said}")).unwrap();
            if let Some((_, rest)) = line.split_once("://127.0.0.1:") {
                break format!("127.0.0.1:{}", rest.split('/').next().unwrap());
            }
            said += &line;
        };
        // What it says later is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer::of(&self.address, method, path, headers, body)
    }

    pub(crate) fn get(&self, path: &str, cookie: &str) -> Answer {
        self.call("GET", path, &[("cookie", cookie)], "")
    }

    pub(crate) fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
        let headers = [("cookie", cookie), ("content-type", "application/x-www-form-urlencoded")];
        self.call("POST", path, &headers, &body.join("&"))
    }

    pub(crate) fn post_json(&self, path: &str, cookie: &str, value: &Value) -> Answer {
        self.call(
            "POST",
            path,
            &[("cookie", cookie), ("content-type", "application/json")],
            &value.to_string(),
        )
    }

    /// The cookie of a new session.
    pub(crate) fn log_in(&self, name: &str) -> String {
        let answer = self.post_form("/login", "", &[("name", name), ("password", PASSWORD)]);
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// What a form of this session has to bring back.
    pub(crate) fn csrf(&self, cookie: &str) -> String {
        let page = self.get("/calls/chat-1", cookie).body;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&["host: ", address, "\r\n"].concat());
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head.push_str(&[name, ": ", value, "\r\n"].concat());
        }
        stream.write_all((head + "\r\n" + body).as_bytes()).unwrap();
        Self::read(stream)
    }

    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Three scored conversations.
pub(crate) fn dataset(folder: &Path) -> PathBuf {
    let chats = write(folder, "chats.jsonl", CHATS);
    let out = folder.join("dataset");
    let ran =
        callmark(&["score", chats.to_str().unwrap(), "--text-model", "none", "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    make_database(folder);
    out
}

/// Where CALLMARK_TEST_POSTGRES names a server, each dataset's reviews are in a database of their own there: the same tests
/// then run on PostgreSQL (`make test-web`).
pub(crate) fn make_database(folder: &Path) {
    let Ok(server) = std::env::var("CALLMARK_TEST_POSTGRES") else { return };
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let sql = format!("create database {name}");
    let made = Command::new("psql")
        .args(["--quiet", "-d", &format!("{server}/postgres"), "-c", &sql])
        .status()
        .unwrap();
    assert!(made.success());
    write(folder, DATABASE_URL_FILE, format!("{server}/{name}\n"));
}

pub(crate) static NEXT: AtomicU32 = AtomicU32::new(0);
/// Beside a dataset: where its reviews are.
pub(crate) const DATABASE_URL_FILE: &str = "database-url";

/// The flags that name the database of a dataset's reviews.
pub(crate) fn database(dataset: &Path) -> Vec<String> {
    let file = dataset.with_file_name(DATABASE_URL_FILE);
    if file.exists() {
        vec!["--database-url-file".to_owned(), file.to_str().unwrap().to_owned()]
    } else {
        Vec::new()
    }
}

/// Runs a command about the reviews of a dataset.
pub(crate) fn about_reviews(arguments: &[&str], dataset: &Path) -> Ran {
    let database = database(dataset);
    let all: Vec<&str> = arguments.iter().copied().chain(database.iter().map(String::as_str)).collect();
    callmark(&all)
}

pub(crate) fn add_user(dataset: &Path, name: &str, role: &str) {
    let added = assert_cmd::Command::cargo_bin("callmark")
        .unwrap()
        .args(["users", "add", dataset.to_str().unwrap(), name, "--role", role])
        .args(database(dataset))
        .write_stdin(format!("{PASSWORD}\n"))
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
}

/// A server with one user of each role.
pub(crate) fn with_accounts(folder: &Path) -> (PathBuf, Served) {
    let dataset = dataset(folder);
    for role in ["viewer", "reviewer", "lead", "admin"] {
        add_user(&dataset, role, role);
    }
    let served = Served::start(&dataset, &["--access", "accounts"]);
    (dataset, served)
}

pub(crate) fn judgement(question: &str, verdict: &str) -> Value {
    json!({"judgements": [{"question": question, "verdict": verdict}]})
}

/// Asks again and again, for the server sees by itself what is new, until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(PAUSE);
    }
}
