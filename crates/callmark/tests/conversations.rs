//! Written conversations through the real command: scored, resumed, queried, exported.

mod support;

use support::{CHATS, callmark, sql, write};

#[test]
fn conversations_become_rows_that_sql_and_exports_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(folder.path(), "chats.jsonl", CHATS);
    let out = folder.path().join("dataset");
    let (chats, out_text) = (chats.to_str().unwrap(), out.to_str().unwrap());

    let ran = callmark(&["score", chats, "--out", out_text]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("3 calls scored"), "{}", ran.stdout);

    let rows = sql(
        &out,
        "select call_id, date, first_handler, human_request_count, human_request_honoured, outcome, codec from calls order by 1",
    );
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["date"], "2026-03-01");
    assert_eq!(rows[0]["human_request_count"], 2);
    assert_eq!(rows[0]["human_request_honoured"], false);
    assert_eq!(rows[1]["outcome"], "resolved");
    assert_eq!(rows[2]["date"], serde_json::Value::Null);
    assert_eq!(rows[2]["first_handler"], serde_json::Value::Null);
    assert!(rows.iter().all(|row| row["codec"].is_null()));
    let turns = sql(&out, "select count(*) as n from turns");
    assert_eq!(turns[0]["n"], 9);

    let csv = callmark(&["export", out_text, "--format", "csv"]);
    assert_eq!(csv.stdout.lines().count(), 4, "{}", csv.stdout);
    assert!(csv.stdout.starts_with("call_id,"), "{}", csv.stdout);
    let documents = folder.path().join("documents");
    let lens =
        callmark(&["export", out_text, "--format", "contact-lens", "--out", documents.to_str().unwrap()]);
    assert_eq!(lens.code, 0, "{}", lens.stderr);
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(documents.join("chat-2.json")).unwrap()).unwrap();
    assert_eq!(document["Transcript"].as_array().unwrap().len(), 4);
    assert_eq!(document["ConversationCharacteristics"]["TotalConversationDurationMillis"], 15_000);
}

#[test]
fn a_second_run_does_no_work_twice_and_takes_up_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(folder.path(), "chats.jsonl", CHATS);
    let out = folder.path().join("dataset");
    let arguments = ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap(), "--format", "json"];
    assert_eq!(callmark(&arguments).code, 0);
    let more = format!("{CHATS}{}", r#"{"call_id":"chat-4","turns":[{"speaker":"customer","text":"hi"}]}"#);
    write(folder.path(), "chats.jsonl", more);
    let ran = callmark(&arguments);
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&summary["scored"], &summary["skipped"]), (&1.into(), &3.into()));
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 4);
}

#[test]
fn a_broken_line_costs_its_own_conversation_only() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("{CHATS}this is no conversation\n");
    let chats = write(folder.path(), "chats.jsonl", lines);
    let out = folder.path().join("dataset");
    let ran = callmark(&["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("chats.jsonl:4: not a JSON object"), "{}", ran.stderr);
    let letters = callmark(&["dead-letters", "list", out.to_str().unwrap(), "--format", "json"]);
    let letter: serde_json::Value = serde_json::from_str(letters.stdout.trim()).unwrap();
    assert_eq!(letter["stage"], "parse");
    let shown = callmark(&["dead-letters", "show", out.to_str().unwrap(), letter["id"].as_str().unwrap()]);
    assert!(shown.stdout.contains("not a JSON object"), "{}", shown.stdout);
}

#[test]
fn other_content_under_a_known_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dataset");
    let first = write(folder.path(), "a.jsonl", CHATS);
    let second = write(
        folder.path(),
        "b.jsonl",
        r#"{"call_id":"chat-3","turns":[{"speaker":"customer","text":"other"}]}"#,
    );
    assert_eq!(callmark(&["score", first.to_str().unwrap(), "--out", out.to_str().unwrap()]).code, 0);
    let ran = callmark(&["score", second.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("has a call `chat-3` with other content already"), "{}", ran.stderr);
    assert_eq!(sql(&out, "select count(*) as n from calls")[0]["n"], 3);
}

#[test]
fn sql_is_read_only_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(folder.path(), "chats.jsonl", CHATS);
    let out = folder.path().join("dataset");
    let out_text = out.to_str().unwrap();
    assert_eq!(callmark(&["score", chats.to_str().unwrap(), "--out", out_text]).code, 0);
    let ran = callmark(&["sql", out_text, "create table x as select 1"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    let ran = callmark(&["sql", out_text, "select nonsense from calls"]);
    assert!(ran.code == 2 && ran.stderr.contains("nonsense"), "{}", ran.stderr);
    let ran = callmark(&["sql", folder.path().join("nothing").to_str().unwrap(), "select 1"]);
    assert!(ran.stderr.contains("no dataset in"), "{}", ran.stderr);
}

#[test]
fn an_answer_of_any_size_streams_and_a_table_of_it_says_that_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(folder.path(), "chats.jsonl", CHATS);
    let out = folder.path().join("dataset");
    let out_text = out.to_str().unwrap();
    assert_eq!(callmark(&["score", chats.to_str().unwrap(), "--out", out_text]).code, 0);
    // 9 turns to the fifth power.
    let query = "select 1 as n from turns a, turns b, turns c, turns d, turns e";
    let csv = callmark(&["sql", out_text, query, "--format", "csv"]);
    assert_eq!(csv.stdout.lines().count(), 59_050);
    let json = callmark(&["sql", out_text, query, "--format", "json"]);
    assert_eq!(json.stdout.lines().count(), 59_049);
    let table = callmark(&["sql", out_text, query]);
    assert_eq!(table.stdout.lines().count(), 10_004);
    assert!(table.stderr.contains("there are more rows"), "{}", table.stderr);
}

#[test]
fn classify_answers_line_by_line_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"text\":\"let me talk to a human please\"}\n{\"text\":\"what time do you open\"}\n";
    let file = write(folder.path(), "lines.jsonl", lines);
    let ran = callmark(&["classify", "--task", "human-request", file.to_str().unwrap()]);
    let labels: Vec<i64> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["label"].as_i64().unwrap())
        .collect();
    assert_eq!(labels, [1, 0]);
    let sentiment = callmark(&["classify", "--task", "sentiment", file.to_str().unwrap()]);
    assert_eq!(sentiment.stdout.lines().count(), 2);
    let broken = write(folder.path(), "broken.jsonl", "{\"txt\":1}\n\n{\"text\":\"great\"}\n");
    let ran = callmark(&["classify", "--task", "sentiment", broken.to_str().unwrap()]);
    assert!(ran.code == 1 && ran.stderr.contains("2 lines are not"), "{}", ran.stderr);
    let answers: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        answers.len() == 3 && answers[0].contains("line 1:") && answers[2].contains("\"label\":1"),
        "{answers:?}"
    );
}

#[test]
fn of_conversations_with_one_id_the_first_stands() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: &str, text: &str| {
        format!(r#"{{"call_id":"{id}","turns":[{{"speaker":"customer","text":"{text}"}}]}}"#)
    };
    let text = [line("u1", "one"), line("u2", "two"), line("u1", "three"), line("u2", "two")].join("\n");
    let chats = write(folder.path(), "chats.jsonl", text);
    for batch in ["64", "1"] {
        let out = folder.path().join(format!("dataset-{batch}"));
        let arguments =
            ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap(), "--batch-calls", batch];
        let ran = callmark(&arguments);
        assert!(
            ran.code == 1 && ran.stdout.starts_with("2 calls scored, 1 in the dataset already, 1 lost"),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stderr.contains("chats.jsonl:3: the dataset has a call `u1` with other content"),
            "{}",
            ran.stderr
        );
        let rows = sql(&out, "select text from turns order by text");
        assert_eq!((rows.len(), rows[0]["text"].as_str()), (2, Some("one")));
    }
}

#[test]
fn what_was_lost_is_replayed_under_its_id_and_with_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dataset");
    let out_text = out.to_str().unwrap();
    let chats = write(folder.path(), "chats.jsonl", "{\"call_id\":\"z\",\"turns\":[\n");
    write(folder.path(), "rec-7.wav", "no sound at all");
    let calls = write(
        folder.path(),
        "calls.csv",
        "call_id,file,queue\nCALL-7,rec-7.wav,billing\nCALL-8,rec-7.wav,x\n",
    );
    let ran = callmark(&[
        "score",
        folder.path().join("rec-7.wav").to_str().unwrap(),
        chats.to_str().unwrap(),
        "--calls",
        calls.to_str().unwrap(),
        "--out",
        out_text,
    ]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("Nothing is in"), "{}", ran.stderr);
    let letters = || -> Vec<serde_json::Value> {
        let listed = callmark(&["dead-letters", "list", out_text, "--format", "json"]);
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(letters().len(), 3);
    assert!(letters().iter().all(|letter| letter["metadata_uri"].as_str().is_some()));

    // The chat is mended, the row that named a recording twice is gone, the recording stays what it is.
    write(folder.path(), "chats.jsonl", "{\"call_id\":\"z\",\"turns\":[]}\n");
    write(folder.path(), "calls.csv", "call_id,file,queue\nCALL-7,rec-7.wav,billing\n");
    let ran = callmark(&["dead-letters", "replay", out_text]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(sql(&out, "select call_id from calls")[0]["call_id"], "z");
    let left = letters();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0]["call_id"].as_str(), left[0]["attempts"].as_i64()), (Some("CALL-7"), Some(2)));
}

#[test]
fn times_that_no_call_can_have_cost_their_own_call_only() {
    let folder = tempfile::tempdir().unwrap();
    let long = r#"{"call_id":"long","turns":[{"speaker":"customer","text":"hm","start_ms":0,"end_ms":9223372036854775807}]}"#;
    let chats = write(folder.path(), "chats.jsonl", format!("{long}\n{CHATS}"));
    let out = folder.path().join("dataset");
    let ran = callmark(&["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(ran.code == 1 && ran.stdout.starts_with("3 calls scored, 1 lost"), "{}", ran.stderr);
}

#[test]
fn what_was_said_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let chats = write(
        folder.path(),
        "chats.jsonl",
        r#"{"call_id":"c","turns":[{"speaker":"customer","text":"red \u001b[31malert"}]}"#,
    );
    let out = folder.path().join("dataset");
    assert_eq!(callmark(&["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()]).code, 0);
    let table = callmark(&["sql", out.to_str().unwrap(), "select text from turns"]);
    assert!(table.stdout.contains("alert") && !table.stdout.contains('\u{1b}'), "{:?}", table.stdout);
}

#[test]
fn scores_of_other_rules_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let line = r#"{"call_id":"c1","turns":[{"speaker":"customer","text":"hello"},{"speaker":"ai_agent","text":"hi"}]}"#;
    let chats = write(folder.path(), "chats.jsonl", line);
    let rule = "[[category]]\nid = \"mine\"\nversion = \"1\"\nname = \"Mine\"\nexact = [\"abracadabra\"]\n";
    let rules = write(folder.path(), "mine.toml", rule);
    let out = folder.path().join("out");
    let score = |flags: &[&str]| {
        let arguments = ["score", chats.to_str().unwrap(), "--out", out.to_str().unwrap()];
        callmark(&[&arguments[..], flags].concat()).stderr
    };
    assert!(!score(&[]).contains("other rules"));
    assert!(!score(&[]).contains("other rules"));
    assert!(score(&["--rules", rules.to_str().unwrap()]).contains("callmark rescore"));
}
