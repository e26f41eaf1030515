//! Attempts on the review page that must fail: through the real command and real HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::callmark;
use support::server::{
    PASSWORD, PATIENCE, Served, about_reviews, add_user, dataset, encode, judgement, with_accounts,
};

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
        "/samples",
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
    assert_eq!(ask(&served, &[("x-role", "reviewer")]), 403);
    assert_eq!(
        ask(&served, &[("x-forwarded-user", "ann"), ("x-forwarded-user", "adm"), ("x-role", "admin")]),
        403
    );
    assert_eq!(ask(&served, &[("x-forwarded-user", "ann"), ("x-role", "king")]), 403);
    let elsewhere = Served::start(&dataset, &[&flags[..], &["10.1.2.3"]].concat());
    assert_eq!(ask(&elsewhere, &[("x-forwarded-user", "ann"), ("x-role", "admin")]), 403);
}
