//! Reviews through the real command and real HTTP: what is stored comes out again, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use support::server::{
    Served, about_reviews, add_user, dataset, judgement, make_database, wait_until, with_accounts,
};
use support::{callmark, write};

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
    // What one is done with is still the other's to do.
    let left = |cookie: &str| {
        served.get("/api/v1/calls?assigned=me&reviewed=not_mine", cookie).json()["total"].clone()
    };
    assert_eq!((left(&one), left(&two)), (json!(2), json!(3)));
    let samples = |cookie: &str| served.get("/samples", cookie).body;
    assert!(samples(&lead).contains("0 of 3"), "{}", samples(&lead));
    assert_eq!(served.post_json(path, &two, &json!({"judgements": [{"question": "outcome", "verdict": "agree"}, {"question": "done", "verdict": "agree"}]})).status, 201);
    assert_eq!(count(&two), 4);
    assert!(samples(&lead).contains("1 of 3"));
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

#[test]
fn a_call_is_assigned_and_its_scorecard_says_what_was_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, served) = with_accounts(folder.path());
    add_user(&dataset, "second", "reviewer");
    let [reviewer, second, lead] = ["reviewer", "second", "lead"].map(|name| served.log_in(name));
    let assign = |cookie: &str, whom: &str| {
        let csrf = served.csrf(cookie);
        served.post_form("/calls/chat-1/assign", cookie, &[("csrf", &csrf), ("reviewer", whom)]).status
    };
    assert_eq!(
        (assign(&reviewer, "second"), assign(&lead, "viewer"), assign(&lead, "nobody")),
        (403, 400, 400)
    );
    assert_eq!((assign(&lead, "reviewer"), assign(&lead, "reviewer")), (303, 303));
    let calls =
        |cookie: &str, of: &str| served.get(&format!("/api/v1/calls?{of}"), cookie).json()["total"].clone();
    assert_eq!((calls(&reviewer, "assigned=me"), calls(&second, "assigned=me")), (json!(1), json!(0)));
    assert_eq!(calls(&lead, "sample=assigned%20one%20by%20one"), json!(1));
    assert!(served.get("/calls/chat-1", &second).body.contains("To be reviewed by reviewer."));

    let path = "/api/v1/calls/chat-1/judgements";
    let items = |says_ai: &str| {
        let item = |id: &str, value: &str| json!({"question": "scorecard", "subject": format!("service@2/{id}"), "verdict": "correct", "value": value});
        json!({"judgements": [item("says_ai", says_ai), item("kind", "yes"), {"question": "done", "verdict": "agree"}]})
    };
    let cards = served.get(path, &lead).json();
    assert_eq!(cards, json!([]));
    for (cookie, says_ai) in [(&reviewer, "yes"), (&second, "no")] {
        let answer = served.post_json(path, cookie, &items(says_ai));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let said = served.get(path, &lead).json();
    let of = |item: &str| -> Vec<(Value, Value, Value)> {
        let subject = json!(format!("service@2/{item}"));
        let those = said.as_array().unwrap().iter().filter(|j| j["subject"] == subject);
        those.map(|j| (j["verdict"].clone(), j["value"].clone(), j["seen"].clone())).collect()
    };
    // One of the two agrees with what was filled in beforehand; nothing fills `kind` in.
    let seen = of("says_ai")[0].2.clone();
    assert!(seen == "yes" || seen == "no", "{said}");
    let verdict = |value: &str| json!(if seen == value { "agree" } else { "correct" });
    assert_eq!(
        of("says_ai"),
        [(verdict("yes"), json!("yes"), seen.clone()), (verdict("no"), json!("no"), seen.clone())]
    );
    assert_eq!(
        of("kind"),
        [(json!("correct"), json!("yes"), Value::Null), (json!("correct"), json!("yes"), Value::Null)]
    );
    let agreement = served.get("/agreement", &lead).body;
    assert!(
        agreement.contains("scorecard: service@2/says ai") && agreement.contains("scorecard: service@2/kind"),
        "{agreement}"
    );
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
        let (told, stored) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || while is_stored(&address) && told.send(()).is_ok() {});
        // SIGKILL in the middle of writing, at another point each time.
        let mut counted = stored.iter().take(10 + 7 * round).count();
        served.process.kill().unwrap();
        served.process.wait().unwrap();
        writer.join().unwrap();
        counted += stored.try_iter().count();
        acknowledged += counted;
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

/// Sends a judgement; whether the server says that it is stored. A server that dies meanwhile does not.
fn is_stored(address: &str) -> bool {
    let body = judgement("outcome", "agree").to_string();
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let head = format!(
        "POST /api/v1/calls/chat-1/judgements HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    stream.write_all(head.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 201")
}

#[test]
fn new_calls_appear_while_the_dataset_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let served = Served::start(&dataset, &[]);
    assert_eq!(served.get("/api/v1/status", "").json()["calls"], 3);
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
    wait_until("the new call is there and can be found", || {
        let status = served.get("/api/v1/status", "").json();
        status["calls"] == 4 && status["searchable"] == 4
    });
    let found = served.get("/api/v1/calls?q=parcel", "").json();
    assert_eq!((&found["total"], &found["items"][0]["call_id"]), (&json!(1), &json!("chat-9")));
}

/// Who is erased is in no file of the dataset any more, reviews, index and a running server included; the others stay.
#[test]
fn an_erased_call_is_gone_from_the_review_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let served = Served::start(&dataset, &[]);
    for call in ["chat-1", "chat-2"] {
        let said =
            json!({"body": format!("the customer of {call} was right, as in chat-1 and not in chat-12")});
        assert_eq!(served.post_json(&format!("/api/v1/calls/{call}/comments"), "", &said).status, 201);
        let given = json!({"judgements": [{"question": "outcome", "verdict": "agree"}, {"question": "done", "verdict": "agree"}]});
        assert_eq!(served.post_json(&format!("/api/v1/calls/{call}/judgements"), "", &given).status, 201);
    }
    let found = |served: &Served, words: &str| {
        served.get(&format!("/api/v1/calls?q={words}"), "").json()["total"].clone()
    };
    wait_until("the index has the call", || found(&served, "human") == 1);
    let ran = about_reviews(&["erase", dataset.to_str().unwrap(), "--call-id", "chat-1", "--yes"], &dataset);
    // The conversation is a line of a file that others are in, too: that file is named, and stays.
    assert_eq!(ran.code, 1, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("none is there"), "{} {}", ran.stdout, ran.stderr);
    wait_until("the server shows it no more", || served.get("/api/v1/status", "").json()["calls"] == 2);
    assert_eq!(served.get("/calls/chat-1", "").status, 404);
    // What was written about another call loses the name and nothing else.
    let comments = served.get("/api/v1/calls/chat-2/comments", "").json();
    assert_eq!(comments[0]["body"], "the customer of chat-2 was right, as in [erased] and not in chat-12");
    wait_until("the index finds the other alone", || {
        found(&served, "bill") == 1 && found(&served, "human") == 0
    });
    drop(served);
    // And after a start from nothing.
    let again = Served::start(&dataset, &[]);
    assert_eq!(again.get("/api/v1/status", "").json()["calls"], 2);
    let out = folder.path().join("reviews.parquet");
    let ran = about_reviews(
        &["export", "reviews", dataset.to_str().unwrap(), "--out", out.to_str().unwrap()],
        &dataset,
    );
    assert!(ran.stderr.contains("1 reviewed calls"), "{}", ran.stderr);
}

/// Reviews that are kept outside the dataset are found by an erasure that is not told of them.
#[test]
fn an_erasure_reaches_reviews_that_are_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let state = folder.path().join("reviews");
    let served = Served::start(&dataset, &["--state", state.to_str().unwrap()]);
    let said = json!({"body": "this one is chat-1"});
    assert_eq!(served.post_json("/api/v1/calls/chat-1/comments", "", &said).status, 201);
    drop(served);
    let holds_it = || {
        let files = std::fs::read_dir(&state).unwrap().flatten().filter(|entry| entry.path().is_file());
        files
            .map(|entry| std::fs::read(entry.path()).unwrap())
            .any(|bytes| bytes.windows(6).any(|w| w == b"chat-1"))
    };
    let is_file = support::server::database(&dataset).is_empty();
    assert_eq!(holds_it(), is_file);
    let ran = about_reviews(&["erase", dataset.to_str().unwrap(), "--call-id", "chat-1", "--yes"], &dataset);
    assert!(ran.code == 1 && ran.stdout.contains("none is there"), "{} {}", ran.stdout, ran.stderr);
    assert!(!holds_it());
    let again = Served::start(&dataset, &["--state", state.to_str().unwrap()]);
    assert!(!again.get("/audit", "").body.contains("chat-1"));
}

/// Personal data shows to leads alone: in turns, in what others quote, and to those who look for it.
#[test]
fn personal_data_is_hidden_from_those_who_may_not_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = r#"{"call_id":"pii-1","turns":[{"speaker":"agent","text":"What is your card number?"},{"speaker":"customer","text":"It is 4242 4242 4242 4242, and I am at lee@sample.org."}]}"#;
    let line = line.replace("\"agent\"", "\"human_agent\"");
    let chats = write(folder.path(), "chats.jsonl", line);
    let dataset = folder.path().join("dataset");
    let out = dataset.to_str().unwrap();
    let ran = callmark(&["score", chats.to_str().unwrap(), "--text-model", "none", "--out", out]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    make_database(folder.path());
    for role in ["viewer", "reviewer", "lead"] {
        add_user(&dataset, role, role);
    }
    let served = Served::start(&dataset, &["--access", "accounts"]);
    let [viewer, reviewer, lead] = ["viewer", "reviewer", "lead"].map(|name| served.log_in(name));
    let path = "/api/v1/calls/pii-1/judgements";
    let quote = json!({"judgements": [{"question": "words", "subject": "1", "verdict": "agree"}]});
    assert_eq!(served.post_json(path, &reviewer, &quote).status, 201);
    let told = json!({"judgements": [{"question": "words", "subject": "1", "verdict": "correct",
        "value": "it is 4242 4242 4242 4242", "note": "lee@sample.org"}]});
    assert_eq!(served.post_json(path, &lead, &told).status, 201);
    let written = json!({"body": "card 4242 4242 4242 4242 of lee@sample.org"});
    assert_eq!(served.post_json("/api/v1/calls/pii-1/comments", &lead, &written).status, 201);
    let disputed = json!({"question": "outcome", "body": "card 4242 4242 4242 4242 of lee@sample.org"});
    assert_eq!(served.post_json("/api/v1/calls/pii-1/disputes", &lead, &disputed).status, 201);
    assert!(served.get("/disputes", &lead).body.contains("4242"));
    for page in [
        "/api/v1/calls/pii-1/turns",
        path,
        "/calls/pii-1",
        "/api/v1/calls/pii-1/events",
        "/api/v1/calls/pii-1/comments",
        "/api/v1/calls/pii-1/disputes",
        "/disputes",
    ] {
        for cookie in [&viewer, &reviewer] {
            let answer = served.get(page, cookie);
            assert_eq!(answer.status, 200);
            assert!(
                !answer.body.contains("4242 4242") && !answer.body.contains("lee@sample"),
                "{page}: {}",
                answer.body
            );
        }
    }
    assert!(served.get("/api/v1/calls/pii-1/turns", &lead).body.contains("4242"));
    wait_until("the index has the call", || served.get("/api/v1/status", &viewer).json()["searchable"] == 1);
    let found = |q: &str| served.get(&format!("/api/v1/calls?q={q}"), &viewer).json()["total"].clone();
    assert_eq!(
        (found("card"), found("4242"), found("424*"), found("lee")),
        (json!(1), json!(0), json!(0), json!(0))
    );
}
