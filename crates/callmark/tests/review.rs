//! The review page through the real command and real HTTP: who may do what, what must fail, and that nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::{CHATS, callmark, write};

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery";

/// A server that is stopped when it is dropped.
struct Served {
    process: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    fn start(dataset: &Path, more: &[&str]) -> Self {
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

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer::of(&self.address, method, path, headers, body)
    }

    fn get(&self, path: &str, cookie: &str) -> Answer {
        self.call("GET", path, &[("cookie", cookie)], "")
    }

    fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
        let headers = [("cookie", cookie), ("content-type", "application/x-www-form-urlencoded")];
        self.call("POST", path, &headers, &body.join("&"))
    }

    fn post_json(&self, path: &str, cookie: &str, value: &Value) -> Answer {
        self.call(
            "POST",
            path,
            &[("cookie", cookie), ("content-type", "application/json")],
            &value.to_string(),
        )
    }

    /// The cookie of a new session.
    fn log_in(&self, name: &str) -> String {
        let answer = self.post_form("/login", "", &[("name", name), ("password", PASSWORD)]);
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// What a form of this session has to bring back.
    fn csrf(&self, cookie: &str) -> String {
        let page = self.get("/calls/chat-1", cookie).body;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {address}\r\n");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n" + body).as_bytes()).unwrap();
        Self::read(stream)
    }

    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Three scored conversations.
fn dataset(folder: &Path) -> PathBuf {
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
fn make_database(folder: &Path) {
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

static NEXT: AtomicU32 = AtomicU32::new(0);
/// Beside a dataset: where its reviews are.
const DATABASE_URL_FILE: &str = "database-url";

/// The flags that name the database of a dataset's reviews.
fn database(dataset: &Path) -> Vec<String> {
    let file = dataset.with_file_name(DATABASE_URL_FILE);
    if file.exists() {
        vec!["--database-url-file".to_owned(), file.to_str().unwrap().to_owned()]
    } else {
        Vec::new()
    }
}

/// Runs a command about the reviews of a dataset.
fn about_reviews(arguments: &[&str], dataset: &Path) -> support::Ran {
    let database = database(dataset);
    let all: Vec<&str> = arguments.iter().copied().chain(database.iter().map(String::as_str)).collect();
    callmark(&all)
}

fn add_user(dataset: &Path, name: &str, role: &str) {
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
fn with_accounts(folder: &Path) -> (PathBuf, Served) {
    let dataset = dataset(folder);
    for role in ["viewer", "reviewer", "lead", "admin"] {
        add_user(&dataset, role, role);
    }
    let served = Served::start(&dataset, &["--access", "accounts"]);
    (dataset, served)
}

fn judgement(question: &str, verdict: &str) -> Value {
    json!({"judgements": [{"question": question, "verdict": verdict}]})
}

#[test]
fn without_a_session_nothing_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (_, served) = with_accounts(folder.path());
    for page in [
        "/calls",
        "/calls/chat-1",
        "/calls.csv",
        "/dashboard",
        "/report",
        "/status",
        "/users",
        "/audit",
        "/api",
    ] {
        let answer = served.get(page, "");
        assert_eq!((answer.status, answer.header("location").is_some()), (303, true), "{page}");
        assert!(!answer.body.contains("chat-1"), "{page}");
    }
    for path in
        ["/api/v1/calls", "/api/v1/calls/chat-1/turns", "/api/v1/calls/chat-1/audio", "/api/v1/openapi.json"]
    {
        let answer = served.get(path, "callmark_session=0123456789abcdef");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (401, Some("application/problem+json")),
            "{path}"
        );
    }
    assert_eq!(
        served.post_json("/api/v1/calls/chat-1/judgements", "", &judgement("outcome", "agree")).status,
        401
    );
}

#[test]
fn each_role_may_do_what_is_its_own_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (_, served) = with_accounts(folder.path());
    let judge = |cookie: &str| {
        served.post_json("/api/v1/calls/chat-1/judgements", cookie, &judgement("outcome", "agree")).status
    };
    let sample = json!({"name": "s", "kind": "random", "size": 2, "reviewers": ["reviewer"]});
    let draw = |cookie: &str| served.post_json("/api/v1/samples", cookie, &sample).status;
    let original = |cookie: &str| served.get("/api/v1/calls/chat-1/audio?original=1", cookie).status;
    let users = |cookie: &str| served.get("/users", cookie).status;
    let seen = ["viewer", "reviewer", "lead", "admin"].map(|name| {
        let cookie = served.log_in(name);
        (judge(&cookie), draw(&cookie), original(&cookie), users(&cookie))
    });
    // A second sample of that name is a conflict; a conversation has no recording to hear.
    assert_eq!(
        seen,
        [(403, 403, 403, 403), (201, 403, 403, 403), (201, 201, 404, 403), (201, 409, 404, 200)]
    );
}

#[test]
fn a_dispute_is_taken_back_by_who_raised_it_and_settled_by_a_lead() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, served) = with_accounts(folder.path());
    add_user(&dataset, "other", "reviewer");
    let [own, other, lead] = ["reviewer", "other", "lead"].map(|name| served.log_in(name));
    let raised = json!({"question": "outcome", "body": "It was settled."});
    let id = served.post_json("/api/v1/calls/chat-1/disputes", &own, &raised).json()["ids"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let go_on = |cookie: &str, action: &str| {
        let csrf = served.csrf(cookie);
        served
            .post_form(
                &format!("/disputes/{id}"),
                cookie,
                &[("csrf", &csrf), ("action", action), ("body", "because")],
            )
            .status
    };
    assert_eq!(
        (go_on(&other, "take_back"), go_on(&own, "uphold"), go_on(&other, "overturn")),
        (403, 403, 403)
    );
    assert_eq!((go_on(&other, "answer"), go_on(&lead, "overturn")), (303, 303));
    assert_eq!(go_on(&own, "take_back"), 400, "it is settled");
    let all = served.get("/api/v1/calls/chat-1/disputes", &lead).json();
    let actions: Vec<&str> =
        all[0]["steps"].as_array().unwrap().iter().map(|s| s["action"].as_str().unwrap()).collect();
    assert_eq!((actions, &all[0]["open"]), (vec!["raise", "answer", "overturn"], &json!(false)));
}

#[test]
fn a_request_that_its_sender_did_not_mean_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, served) = with_accounts(folder.path());
    let cookie = served.log_in("admin");
    let csrf = served.csrf(&cookie);
    let form = |token: &str, headers: &[(&str, &str)]| {
        let body = format!("csrf={token}&question=outcome&verdict=agree");
        let mut all =
            vec![("cookie", cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        served.call("POST", "/calls/chat-1/judge", &all, &body).status
    };
    assert_eq!((form("", &[]), form("0000", &[]), form(&csrf, &[])), (403, 403, 303));
    assert_eq!(form(&csrf, &[("origin", "http://evil.example")]), 403);
    assert_eq!(form(&csrf, &[("sec-fetch-site", "cross-site")]), 403);
    // The token of another session is none.
    assert_eq!(form(&served.csrf(&served.log_in("lead")), &[]), 403);
    // Another site can send these types without being asked.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let body = judgement("outcome", "agree").to_string();
        let headers = [("cookie", cookie.as_str()), ("content-type", kind)];
        assert_eq!(
            served.call("POST", "/api/v1/calls/chat-1/judgements", &headers, &body).status,
            415,
            "{kind}"
        );
    }
    // A cookie is sent to this server alone, and no script reads it.
    let set = served.post_form("/login", "", &[("name", "admin"), ("password", PASSWORD)]);
    let set = set.header("set-cookie").unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
}

#[test]
fn a_session_is_a_new_one_after_a_login_and_over_after_a_logout() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, served) = with_accounts(folder.path());
    let planted = "callmark_session=abababababababababababababababab";
    let answer = served.post_form("/login", planted, &[("name", "reviewer"), ("password", PASSWORD)]);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(cookie, planted);
    assert_eq!(
        (served.get("/api/v1/calls", planted).status, served.get("/api/v1/calls", &cookie).status),
        (401, 200)
    );
    let csrf = served.csrf(&cookie);
    assert_eq!(served.post_form("/logout", &cookie, &[("csrf", &csrf)]).status, 303);
    assert_eq!(served.get("/api/v1/calls", &cookie).status, 401);
    // An account that is closed ends its sessions.
    let cookie = served.log_in("reviewer");
    let closed = about_reviews(&["users", "close", dataset.to_str().unwrap(), "reviewer"], &dataset);
    assert_eq!(closed.code, 0, "{}", closed.stderr);
    assert_eq!(served.get("/api/v1/calls", &cookie).status, 401);
    assert_eq!(served.post_form("/login", "", &[("name", "reviewer"), ("password", PASSWORD)]).status, 403);
}

#[test]
fn what_people_write_is_text_wherever_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (_, served) = with_accounts(folder.path());
    let cookie = served.log_in("admin");
    let csrf = served.csrf(&cookie);
    let nasty = "<img src=x onerror=alert(1)>'; drop table judgements; --\" onload=\"x";
    let post = |path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        served.post_form(path, &cookie, &all).status
    };
    assert_eq!(post("/calls/chat-1/comment", &[("body", nasty)]), 303);
    assert_eq!(post("/calls/chat-1/dispute", &[("question", "outcome"), ("body", nasty)]), 303);
    assert_eq!(
        post(
            "/calls/chat-1/judge",
            &[("turn", "1"), ("words", "0-2"), ("missed", "loop"), ("said", nasty), ("note", nasty)]
        ),
        303
    );
    assert_eq!(post("/views", &[("name", nasty), ("query", &format!("q={}", encode(nasty)))]), 303);
    assert_eq!(
        post("/users", &[("do", "add"), ("name", nasty), ("role", "reviewer"), ("password", PASSWORD)]),
        303
    );
    assert_eq!(
        post("/samples", &[("name", nasty), ("kind", "random"), ("size", "1"), ("reviewer", nasty)]),
        303
    );
    for page in [
        "/calls/chat-1",
        "/calls",
        "/users",
        "/samples",
        "/disputes",
        "/audit",
        "/agreement",
        &format!("/calls?q={}", encode(nasty)),
    ] {
        let answer = served.get(page, &cookie);
        assert_eq!(answer.status, 200, "{page}");
        assert!(!answer.body.contains("<img src=x") && !answer.body.contains("\" onload=\"x"), "{page}");
    }
    let call = served.get("/calls/chat-1", &cookie).body;
    assert!(call.contains("&lt;img src=x onerror=alert(1)&gt;'; drop table judgements; --"), "{call}");
    for question in ["a' or '1'='1", "\" OR said MATCH \"x", "marks:x", "NEAR(a b)", "* - \"", "customer:)("]
    {
        let status = served.get(&format!("/api/v1/calls?q={}", encode(question)), &cookie).status;
        assert_eq!(status, 200, "{question}");
    }
}

#[test]
fn guesses_are_stopped_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, served) = with_accounts(folder.path());
    let cookie = served.log_in("lead");
    let mut statuses = std::collections::BTreeMap::new();
    for guess in 0..10_000 {
        let name = if guess % 2 == 0 { "admin".to_owned() } else { format!("guess{guess}") };
        let answer = served.post_form("/login", "", &[("name", &name), ("password", "wrong wrong wrong")]);
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    // By name and address five, by address thirty; who asks after that is told to wait before anything is hashed.
    assert_eq!(statuses.keys().copied().collect::<Vec<u16>>(), [403, 429], "{statuses:?}");
    assert!(statuses[&403] <= 30, "{statuses:?}");
    let told = served.post_form("/login", "", &[("name", "admin"), ("password", PASSWORD)]);
    assert!(told.status == 429 && told.header("retry-after").is_some());
    assert_eq!(served.get("/api/v1/calls", &cookie).status, 200, "who is logged in goes on");
}

#[test]
fn what_is_too_large_or_too_slow_costs_its_sender_alone() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&dataset(folder.path()), &[]);
    // A gigabyte is refused after a few hundred kilobytes.
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /calls/chat-1/judge HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000000\r\n\r\n",
        served.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let block = vec![b'x'; 64 << 10];
    let mut sent = 0_usize;
    while sent < 1_000_000_000 && stream.write_all(&block).is_ok() {
        sent += block.len();
    }
    assert!(sent < 100_000_000, "{sent} bytes were taken");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(served.call("POST", "/calls/chat-1/judge", &headers, &"x".repeat(300 << 10)).status, 413);
    let long = format!("/calls?q={}", "x".repeat(40 << 10));
    assert!(matches!(served.get(&long, "").status, 0 | 400 | 414 | 431), "a head has its limit too");
    // Many that say nothing, or half of it: the others are answered, and these are let go.
    let mut slow: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    for stream in &mut slow[50..] {
        stream.write_all(b"GET /calls HTTP/1.1\r\nhost: 127.0").unwrap();
    }
    let began = Instant::now();
    assert_eq!(served.get("/calls", "").status, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    for mut stream in slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "it was answered without having asked");
    }
}

#[test]
fn only_this_machine_is_let_in_without_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let served = Served::start(&dataset, &[]);
    let host = |host: &str| served.call("GET", "/calls", &[("host", host)], "").status;
    assert_eq!((host(&served.address), host("localhost:1")), (200, 200));
    assert_eq!((host("evil.example"), host("127.0.0.1.evil.example")), (403, 403));
    let open = callmark(&["serve", dataset.to_str().unwrap(), "--listen", "0.0.0.0:0"]);
    assert!(open.code == 2 && open.stderr.contains("--access accounts"), "{}", open.stderr);
    let proxy = callmark(&["serve", dataset.to_str().unwrap(), "--access", "proxy"]);
    assert!(proxy.code == 2 && proxy.stderr.contains("--proxy-from"), "{}", proxy.stderr);
    let nowhere = callmark(&["serve", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(nowhere.code, 3, "{}", nowhere.stderr);
}

#[test]
fn a_proxy_is_believed_from_its_own_address_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let flags = ["--access", "proxy", "--proxy-role-header", "x-role", "--proxy-from"];
    let served = Served::start(&dataset, &[&flags[..], &["127.0.0.1"]].concat());
    let ask =
        |served: &Served, headers: &[(&str, &str)]| served.call("GET", "/api/v1/calls", headers, "").status;
    assert_eq!(ask(&served, &[("x-forwarded-user", "ann"), ("x-role", "reviewer")]), 200);
    assert_eq!(ask(&served, &[("x-role", "reviewer")]), 401);
    assert_eq!(ask(&served, &[("x-forwarded-user", "ann"), ("x-role", "king")]), 403);
    let elsewhere = Served::start(&dataset, &[&flags[..], &["10.1.2.3"]].concat());
    assert_eq!(ask(&elsewhere, &[("x-forwarded-user", "ann"), ("x-role", "admin")]), 403);
}

#[test]
fn blind_reviewers_see_each_other_when_they_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, served) = with_accounts(folder.path());
    add_user(&dataset, "second", "reviewer");
    let [one, two, lead] = ["reviewer", "second", "lead"].map(|name| served.log_in(name));
    let sample = json!({"name": "twice", "kind": "random", "size": 3, "reviewers": ["reviewer", "second"], "blind": true});
    assert_eq!(served.post_json("/api/v1/samples", &lead, &sample).status, 201);
    let path = "/api/v1/calls/chat-1/judgements";
    let correct = json!({"judgements": [{"question": "outcome", "verdict": "correct", "value": "abandoned"}, {"question": "done", "verdict": "agree"}]});
    assert_eq!(served.post_json(path, &one, &correct).status, 201);
    let count = |cookie: &str| served.get(path, cookie).json().as_array().unwrap().len();
    assert_eq!((count(&one), count(&two), count(&lead)), (2, 0, 2));
    assert!(!served.get("/calls/chat-1", &two).body.contains("abandoned</span>"), "the page hides it too");
    assert_eq!(served.post_json(path, &two, &json!({"judgements": [{"question": "outcome", "verdict": "agree"}, {"question": "done", "verdict": "agree"}]})).status, 201);
    assert_eq!(count(&two), 4);
    let agreement = served.get("/agreement", &lead).body;
    assert!(agreement.contains("reviewer and second") && agreement.contains("0.0 %"), "{agreement}");
}

#[test]
fn answers_carry_tags_and_pages_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&dataset(folder.path()), &[]);
    let first = served.get("/api/v1/calls?limit=2&sort=oldest", "");
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(
        served.call("GET", "/api/v1/calls?limit=2&sort=oldest", &[("if-none-match", &tag)], "").status,
        304
    );
    let (page, next) = (first.json(), first.json()["next"].as_str().unwrap().to_owned());
    let second = served.get(&format!("/api/v1/calls?limit=2&sort=oldest&after={next}"), "").json();
    let ids = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["call_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (ids(&page), ids(&second)),
        (vec!["chat-1".to_owned(), "chat-2".to_owned()], vec!["chat-3".to_owned()])
    );
    assert_eq!((&page["total"], &second["next"]), (&json!(3), &Value::Null));
    for wrong in ["limit=0", "limit=501", "after=x", "handler=robot", "colour=red", "sort=best", "q=a&q=b"] {
        let answer = served.get(&format!("/api/v1/calls?{wrong}"), "");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("application/problem+json")),
            "{wrong}"
        );
    }
    assert_eq!(served.call("DELETE", "/api/v1/calls", &[], "").status, 405);
    assert_eq!(served.get("/api/v1/nothing", "").status, 404);
}

/// The corrections that people make come out, and kappa by rule is there.
#[test]
fn corrections_are_seen_in_the_export_and_in_kappa() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let served = Served::start(&dataset, &[]);
    let judge = |call: &str, judgements: Value| {
        let answer = served.post_json(
            &format!("/api/v1/calls/{call}/judgements"),
            "",
            &json!({"judgements": judgements}),
        );
        assert_eq!(answer.status, 201, "{}", answer.body);
    };
    let done = json!({"question": "done", "verdict": "agree"});
    judge(
        "chat-1",
        json!([{"question": "human_request", "verdict": "agree"}, {"question": "outcome", "verdict": "correct", "value": "abandoned"}, done]),
    );
    judge(
        "chat-2",
        json!([{"question": "human_request", "verdict": "correct", "value": "yes"}, {"question": "sentiment", "verdict": "correct", "value": "4"}, done]),
    );
    // Nobody is done with this one.
    judge("chat-3", json!([{"question": "human_request", "verdict": "agree"}]));
    let file = folder.path().join("reviews.parquet");
    let ran = about_reviews(
        &["export", "reviews", dataset.to_str().unwrap(), "--out", file.to_str().unwrap()],
        &dataset,
    );
    assert!(ran.code == 0 && ran.stderr.contains("2 reviewed calls"), "{}", ran.stderr);
    let ran = callmark(&[
        "trust",
        dataset.to_str().unwrap(),
        "--reviews",
        file.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let of = |question: &str| {
        report["agreement"].as_array().unwrap().iter().find(|a| a["question"] == question).cloned()
    };
    let asked = of("human_request").unwrap();
    assert_eq!((&asked["calls"], &asked["agreed"], &asked["recall"]), (&json!(2), &json!(0.5), &json!(0.5)));
    let rules = report["agreement"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["question"].as_str().unwrap().starts_with("human_request: "));
    assert!(rules.into_iter().any(|rule| rule["precision"] == 1.0), "{report}");
}

/// Labels of a random sample reach the comparison, and are taken for what they are.
#[test]
fn corrections_are_seen_in_the_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = folder.path().join("simulated");
    let made =
        callmark(&["simulate", "--calls", "1500", "--conversations", "--out", dataset.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    make_database(folder.path());
    let served = Served::start(&dataset, &[]);
    let sample = json!({"name": "labels", "kind": "stratified", "size": 120, "reviewers": ["me"]});
    let drawn = served.post_json("/api/v1/samples", "", &sample);
    assert_eq!(drawn.status, 201, "{}", drawn.body);
    let calls = served.get("/api/v1/calls?sample=labels&limit=500", "").json();
    let calls = calls["items"].as_array().unwrap();
    assert_eq!(calls.len(), 120);
    assert_eq!(calls.iter().filter(|c| c["first_handler"] == "ai").count(), 60);
    for (at, call) in calls.iter().enumerate() {
        // Every fifth is corrected.
        let outcome = if at % 5 == 0 {
            let other = if call["outcome"] == "resolved" { "unresolved" } else { "resolved" };
            json!({"question": "outcome", "verdict": "correct", "value": other})
        } else {
            json!({"question": "outcome", "verdict": "agree"})
        };
        let given = json!({"judgements": [outcome, {"question": "done", "verdict": "agree"}]});
        let path = format!("/api/v1/calls/{}/judgements", call["call_id"].as_str().unwrap());
        assert_eq!(served.post_json(&path, "", &given).status, 201);
    }
    let file = folder.path().join("reviews.parquet");
    let ran = about_reviews(
        &["export", "reviews", dataset.to_str().unwrap(), "--out", file.to_str().unwrap()],
        &dataset,
    );
    assert!(ran.stderr.contains("120 reviewed calls"), "{}", ran.stderr);
    let config = write(folder.path(), "compare.toml", "replicates = 40\n");
    let ran = callmark(&[
        "compare",
        dataset.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--reviews",
        file.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let figures = serde_json::from_str::<Value>(&ran.stdout).unwrap()["figures"].clone();
    assert_eq!(
        (&figures["reviews_given"]["value"], &figures["reviews_not_random"]["value"]),
        (&json!(120.0), &json!(0.0))
    );
}

#[test]
fn two_who_write_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, served) = with_accounts(folder.path());
    let cookies = ["reviewer", "lead"].map(|name| served.log_in(name));
    std::thread::scope(|scope| {
        for cookie in &cookies {
            let served = &served;
            scope.spawn(move || {
                for at in 0..100 {
                    let value = format!("{}", f64::from(at % 10) - 5.0);
                    let given = json!({"judgements": [{"question": "sentiment", "verdict": "correct", "value": value}]});
                    assert_eq!(served.post_json("/api/v1/calls/chat-1/judgements", cookie, &given).status, 201);
                }
            });
        }
    });
    let all = served.get("/api/v1/calls/chat-1/judgements", &cookies[1]).json();
    assert_eq!(all.as_array().unwrap().len(), 200);
    drop(served);
    let rows = folder.path().join("judgements.parquet");
    let out = folder.path().join("reviews.parquet");
    let ran = about_reviews(
        &[
            "export",
            "reviews",
            dataset.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--judgements",
            rows.to_str().unwrap(),
        ],
        &dataset,
    );
    assert!(ran.stderr.contains("200 judgements"), "{}", ran.stderr);
}

#[test]
fn what_is_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut served = Served::start(&dataset, &[]);
        let address = served.address.clone();
        let writer = std::thread::spawn(move || {
            let mut stored = 0;
            loop {
                let body = judgement("outcome", "agree").to_string();
                let Ok(mut stream) = TcpStream::connect(&address) else { return stored };
                let head = format!(
                    "POST /api/v1/calls/chat-1/judgements HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let mut answer = String::new();
                if stream.write_all(head.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
                    return stored;
                }
                if !answer.starts_with("HTTP/1.1 201") {
                    return stored;
                }
                stored += 1;
            }
        });
        std::thread::sleep(Duration::from_millis(400 + 150 * round));
        // SIGKILL.
        served.process.kill().unwrap();
        served.process.wait().unwrap();
        acknowledged += writer.join().unwrap();
    }
    assert!(acknowledged > 20, "{acknowledged}");
    let served = Served::start(&dataset, &[]);
    let stored = served.get("/api/v1/calls/chat-1/judgements", "").json().as_array().unwrap().len();
    // A last one may be there that nobody was told of.
    assert!(
        (acknowledged..=acknowledged + 3).contains(&stored),
        "{acknowledged} acknowledged, {stored} stored"
    );
}

#[test]
fn new_calls_appear_while_the_dataset_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let served = Served::start(&dataset, &[]);
    assert_eq!(served.get("/status", "").json()["calls"], 3);
    let more = write(
        folder.path(),
        "more.jsonl",
        r#"{"call_id":"chat-9","turns":[{"speaker":"customer","text":"my parcel never came"}]}"#,
    );
    let ran = callmark(&[
        "score",
        more.to_str().unwrap(),
        "--text-model",
        "none",
        "--out",
        dataset.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let began = Instant::now();
    loop {
        let status = served.get("/status", "").json();
        if status["calls"] == 4 && status["searchable"] == 4 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let found = served.get("/api/v1/calls?q=parcel", "").json();
    assert_eq!((&found["total"], &found["items"][0]["call_id"]), (&json!(1), &json!("chat-9")));
}
