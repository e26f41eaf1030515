//! Rules of one's own, scoring again, the second pass and the trust report, through the real command.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{callmark, sql, write};

/// Four calls of two customers; the first says that it is settled and calls again the next day.
const CALLS: &str = concat!(
    r#"{"call_id":"a1","started_at":"2026-03-01T10:00:00Z","first_handler":"ai","customer_key":"ann","turns":["#,
    r#"{"speaker":"ai_agent","start_ms":0,"end_ms":2000,"text":"Hello, how can I help you?"},"#,
    r#"{"speaker":"customer","start_ms":2500,"end_ms":5000,"text":"Why is there a late fee on my bill?"},"#,
    r#"{"speaker":"ai_agent","start_ms":5500,"end_ms":8000,"text":"I have removed the fee for you."},"#,
    r#"{"speaker":"customer","start_ms":8500,"end_ms":9500,"text":"Perfect, that's all I needed."}]}"#,
    "\n",
    r#"{"call_id":"a2","started_at":"2026-03-02T10:00:00Z","first_handler":"ai","customer_key":"ann","turns":["#,
    r#"{"speaker":"ai_agent","start_ms":0,"end_ms":2000,"text":"Hello, how can I help you?"},"#,
    r#"{"speaker":"customer","start_ms":2500,"end_ms":5000,"text":"The fee is there again, I want to talk to a human."},"#,
    r#"{"speaker":"ai_agent","start_ms":5500,"end_ms":8000,"text":"I'm sorry, I can help you with your bill."}]}"#,
    "\n",
    r#"{"call_id":"b1","started_at":"2026-03-05T10:00:00Z","first_handler":"human","customer_key":"bob","turns":["#,
    r#"{"speaker":"human_agent","start_ms":0,"end_ms":2000,"text":"Hi, this is Joan, how can I help?"},"#,
    r#"{"speaker":"customer","start_ms":2500,"end_ms":5000,"text":"My parcel is not here."},"#,
    r#"{"speaker":"human_agent","start_ms":5500,"end_ms":8000,"text":"I have sent you a new one."},"#,
    r#"{"speaker":"customer","start_ms":8500,"end_ms":9500,"text":"Great, that solves it, thank you."}]}"#,
    "\n",
    r#"{"call_id":"c1","started_at":"2026-03-20T10:00:00Z","first_handler":"ai","turns":["#,
    r#"{"speaker":"customer","start_ms":0,"end_ms":1000,"text":"Hello?"}]}"#,
    "\n",
);

const RULES: &str = r#"
[[category]]
id = "late_fee"
version = "1"
name = "Billing: late fee"
speaker = "customer"
exact = ["late fee"]
cases = [{ text = "What is this late fee?", expect = true }, { text = "I am late.", expect = false }]
"#;

fn dataset(folder: &Path) -> PathBuf {
    let calls = write(folder, "calls.jsonl", CALLS);
    let out = folder.join("dataset");
    let flags = ["--text-model", "none"];
    let ran = callmark(&[&["score", text(&calls), "--out", text(&out)], &flags[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    out
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"))
}

#[test]
fn the_same_rules_change_nothing_and_other_rules_are_told_call_by_call() {
    let folder = tempfile::tempdir().unwrap();
    let old = dataset(folder.path());
    let same = folder.path().join("same");
    let none = ["--text-model", "none", "--format", "json"];
    let ran = callmark(&[&["rescore", text(&old), "--out", text(&same)], &none[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = json(&ran.stdout);
    assert_eq!((&report["calls"], &report["changed_calls"]), (&4.into(), &0.into()), "{report}");
    for table in ["calls", "turns", "events"] {
        let all = format!("select * from {table} order by call_id");
        assert_eq!(sql(&old, &all), sql(&same, &all), "{table}");
    }

    let rules = write(folder.path(), "mine.toml", RULES);
    let new = folder.path().join("new");
    let command =
        [&["rescore", text(&old), "--out", text(&new), "--rules", text(&rules)], &none[..]].concat();
    let report = json(&callmark(&command).stdout);
    assert_eq!(report["changed_calls"], 1, "{report}");
    assert_eq!(report["findings"]["category"]["added"], 1);
    assert_ne!(report["before"][0][0]["rules_sha256"], report["after"]["rules_sha256"]);
    let found = sql(&new, "select call_id, detail, rule_id from events where type = 'category'");
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["call_id"], &found[0]["rule_id"]), (&"a1".into(), &"late_fee".into()));
    assert_eq!(found[0]["detail"], "category=Billing: late fee;by=exact");
    let changes = std::fs::read_to_string(new.join("_rescore/changes.jsonl")).unwrap();
    let change = json(changes.trim());
    assert_eq!((&change["call_id"], &change["findings"][0]["change"]), (&"a1".into(), &"added".into()));
    let lineage = sql(&new, "select distinct rules_sha256 from calls");
    assert_eq!(lineage[0]["rules_sha256"], report["after"]["rules_sha256"]);

    // The same command again has nothing left to do; another one is not mixed in.
    assert_eq!(json(&callmark(&command).stdout)["changed_calls"], 1);
    assert_eq!(sql(&new, "select count(*) as n from calls")[0]["n"], 4);
    let other = callmark(&[&["rescore", text(&old), "--out", text(&new)], &none[..]].concat());
    assert_eq!(other.code, 2, "{}", other.stderr);
    assert!(other.stderr.contains("another folder"), "{}", other.stderr);
    let into_itself = callmark(&["rescore", text(&old), "--out", text(&old), "--text-model", "none"]);
    assert_eq!(into_itself.code, 2, "{}", into_itself.stderr);
    assert!(into_itself.stderr.contains("a folder of its own"), "{}", into_itself.stderr);
}

#[test]
fn rules_are_held_to_their_cases_and_tried_on_a_phrase() {
    let folder = tempfile::tempdir().unwrap();
    let rules = write(folder.path(), "mine.toml", RULES);
    let good = callmark(&["rules", "test", text(&rules), "--text-model", "none"]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert!(good.stderr.contains("1 rules, 2 cases, 0 failed"), "{}", good.stderr);
    let built_in = callmark(&["rules", "test", "--text-model", "none", "--format", "json"]);
    assert_eq!(built_in.code, 0, "{}", built_in.stderr);
    assert!(built_in.stdout.lines().count() > 20);

    let wrong = write(folder.path(), "wrong.toml", RULES.replace("I am late.", "A late fee!"));
    let bad = callmark(&["rules", "test", text(&wrong), "--text-model", "none"]);
    assert_eq!(bad.code, 1);
    assert!(bad.stdout.contains("should not apply and does"), "{}", bad.stdout);
    let misspelt = write(folder.path(), "misspelt.toml", RULES.replace("exact", "exakt"));
    let refused = callmark(&["rules", "test", text(&misspelt), "--text-model", "none"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("misspelt.toml") && refused.stderr.contains("\"exact\""),
        "{}",
        refused.stderr
    );

    let phrase = "I'd like to talk to a human about this late fee.";
    let flags = ["--rules", text(&rules), "--text-model", "none", "--format", "json"];
    let tried = callmark(&[&["rules", "try", phrase], &flags[..]].concat());
    let found: Vec<Value> = tried.stdout.lines().map(json).collect();
    let applies = |id: &str| found.iter().any(|f| f["rule_id"] == id && f["applies"] == true);
    assert!(applies("human_request.ask_to_talk") && applies("late_fee"), "{}", tried.stdout);
    let held = callmark(&[
        "rules",
        "try",
        "I don't need to talk to an agent",
        "--text-model",
        "none",
        "--format",
        "json",
    ]);
    let held: Vec<Value> = held.stdout.lines().map(json).collect();
    assert!(held.iter().any(|f| f["rule_id"] == "human_request.ask_to_talk" && f["applies"] == false));
    assert_eq!(callmark(&["rules", "try", "hello", "--speaker", "bot"]).code, 2);
}

/// A chat in `language` whose words look like English findings, or are some to nobody.
fn foreign(call_id: &str, language: &str, turns: [(&str, &str); 6]) -> String {
    let turns = turns.map(|(speaker, text)| serde_json::json!({"speaker": speaker, "text": text}));
    let chat =
        serde_json::json!({"call_id": call_id, "language": language, "first_handler": "ai", "turns": turns});
    format!("{chat}\n")
}

#[test]
fn a_call_in_another_language_is_said_not_to_be_scored_and_nothing_is_invented() {
    let german = [
        ("ai_agent", "Guten Tag, hier ist der Chatbot. Bot oder Human?"),
        ("customer", "Agent! Operator, please, sagte ich."),
        ("ai_agent", "Ich verstehe nicht. Was kann ich tun?"),
        ("customer", "Manager. Ich war gestern schon da, so ein Problem. No! Der Operator fehlt."),
        ("ai_agent", "Ok, done. Der Fall ist erledigt."),
        ("customer", "Super, danke, das ist toll. That's all, bye."),
    ];
    let spanish = [
        ("ai_agent", "Hola, soy el asistente virtual."),
        ("customer", "Quiero hablar con una persona real, no con un robot. Representative!"),
        ("ai_agent", "Lo siento, no puedo. Transfer, no."),
        ("customer", "Supervisor. Es terrible, un horror total, no?"),
        ("ai_agent", "Le paso con un agente. One moment."),
        ("customer", "Perfect. Gracias, es todo."),
    ];
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        foreign("de", "de-AT", german),
        foreign("es", "es", spanish),
        foreign("en-de", "en", german),
        foreign("en-es", "en", spanish),
    ];
    let calls = write(folder.path(), "calls.jsonl", lines.concat());
    let rules = write(folder.path(), "eigene.toml", RULES.replace("late fee\"]", "das ist toll\"]"));
    let out = folder.path().join("dataset");
    let ran = callmark(&["score", text(&calls), "--out", text(&out), "--rules", text(&rules)]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows = sql(&out, "select * from calls where call_id in ('de', 'es')");
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row["flags"], serde_json::json!(["language_not_scored"]), "{row}");
        assert_eq!((&row["outcome"], &row["human_request_count"]), (&"unknown".into(), &0.into()), "{row}");
        for nothing in ["human_request_honoured", "resolved_at_ms", "sentiment_overall_score_customer"] {
            assert_eq!(row[nothing], Value::Null, "{nothing}: {row}");
        }
    }
    // A rule that somebody wrote is for whatever language they wrote it in.
    let found = sql(&out, "select call_id, type from events where call_id in ('de', 'es')");
    assert_eq!(found, [serde_json::json!({"call_id": "de", "type": "category"})]);
    // The same words called English are findings: these texts can show that a rule looks.
    let named = "select count(distinct type) as n from events where call_id like 'en-%' and type in ('human_request', 'deflection')";
    assert_eq!(sql(&out, named)[0]["n"], 2);
    assert_eq!(sql(&out, "select count(*) as n from calls where outcome = 'resolved'")[0]["n"], 1);
}

#[test]
fn rules_that_ask_for_times_say_nothing_of_a_chat_without_and_the_call_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let chat = |id: &str, times: bool| {
        let at = |ms: u32| {
            if times { format!(r#""start_ms":{ms},"end_ms":{},"#, ms + 900) } else { String::new() }
        };
        format!(
            r#"{{"call_id":"{id}","turns":[{{"speaker":"customer",{}"text":"I want to talk to a human."}},{{"speaker":"ai_agent",{}"text":"Sorry, I can help."}},{{"speaker":"customer",{}"text":"Hm."}}]}}"#,
            at(0),
            at(2_000),
            at(90_000)
        ) + "\n"
    };
    let calls = write(folder.path(), "calls.jsonl", chat("chat", false) + &chat("call", true));
    let category = |id: &str, conditions: &str| {
        format!(
            "[[category]]\nid = \"{id}\"\nversion = \"1\"\nname = \"{id}\"\nspeaker = \"ai_agent\"\n{conditions}\n"
        )
    };
    let words = "exact = [\"sorry\"]";
    let timed = [
        category("early", &format!("{words}\nfirst_seconds = 30")),
        category("no_farewell", "exact = [\"goodbye\"]\nlast_seconds = 30\nabsent = true"),
        category("soon", &format!("{words}\nafter = \"human_request\"\nwithin_seconds = 15")),
        category("unhappy_end", &format!("{words}\nbefore = \"no_farewell\"\nabsent = true")),
    ];
    let after = category("later", &format!("{words}\nafter = \"human_request\""));
    let scored = |name: &str, rules: &str| {
        let rules = write(folder.path(), &format!("{name}.toml"), rules);
        let out = folder.path().join(name);
        let flags = ["--rules", text(&rules), "--text-model", "none"];
        let ran = callmark(&[&["score", text(&calls), "--out", text(&out)], &flags[..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let found = sql(
            &out,
            "select call_id, rule_id from events where type = 'category' order by call_id, rule_id",
        );
        let found: Vec<String> = found.iter().map(|f| format!("{}", f["rule_id"])).collect();
        let flagged = sql(&out, "select call_id from calls where list_contains(flags, 'rules_need_times')");
        (found, flagged)
    };
    let (found, flagged) = scored("timed", &(timed.concat() + &after));
    assert_eq!(
        found,
        ["early", "later", "no_farewell", "soon", "unhappy_end", "later"].map(|id| format!("{id:?}"))
    );
    assert_eq!(flagged, [serde_json::json!({"call_id": "chat"})]);
    // Order alone needs no times.
    assert_eq!(scored("order", &after), (vec!["\"later\"".to_owned(); 2], Vec::new()));
}

#[test]
fn another_contact_undoes_a_resolved_and_the_calls_stay_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let out = dataset(folder.path());
    let before = sql(&out, "select * from calls order by call_id");
    let ran = callmark(&["repeats", text(&out), "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let pass = json(&ran.stdout);
    let counts =
        ["calls", "without", "said_resolved", "undone", "open"].map(|name| pass[name].as_i64().unwrap());
    assert_eq!(counts, [3, 1, 2, 1, 0], "{pass}");
    let rows = sql(&out, "select * from repeats order by call_id");
    assert_eq!(rows[0]["call_id"], "a1");
    assert_eq!(
        (&rows[0]["next_call_id"], &rows[0]["next_contact_after_ms"]),
        (&"a2".into(), &86_400_000.into())
    );
    assert_eq!(
        (&rows[0]["repeat_within_1d"], &rows[0]["resolved_after_repeat_check"]),
        (&true.into(), &false.into())
    );
    assert_eq!(rows[2]["resolved_after_repeat_check"], true);
    assert_eq!((&rows[2]["repeat_within_7d"], &rows[2]["repeat_within_30d"]), (&false.into(), &Value::Null));
    assert_eq!(before, sql(&out, "select * from calls order by call_id"));

    // A later pass is a file of its own, and `sql` shows the newest.
    let month = callmark(&["repeats", text(&out), "--days", "30", "--format", "json"]);
    assert_eq!(json(&month.stdout)["open"], 1, "{}", month.stdout);
    let files = std::fs::read_dir(out.join("repeats")).unwrap().count();
    assert_eq!(files, 2);
    assert_eq!(sql(&out, "select distinct resolved_window_days as d from repeats")[0]["d"], 30);
    assert_eq!(callmark(&["repeats", text(&out), "--days", "5"]).code, 2);
}

#[test]
fn trust_shows_every_metric_and_agreement_with_reviews() {
    let folder = tempfile::tempdir().unwrap();
    let out = dataset(folder.path());
    let ran = callmark(&["trust", text(&out), "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report = json(&ran.stdout);
    assert_eq!(
        (&report["calls"], &report["doubtful"], &report["written"]),
        (&4.into(), &0.into(), &4.into())
    );
    let metric = |name: &str| {
        let found = report["metrics"].as_array().unwrap().iter().find(|m| m["metric"] == name);
        found.unwrap_or_else(|| panic!("no metric {name}: {report}")).clone()
    };
    assert_eq!(metric("share_settled")["all"], 0.5);
    assert_eq!(
        (&metric("human_request_count")["all"], &metric("human_request_count")["calls"]),
        (&0.25.into(), &4.into())
    );
    assert_eq!(report["agreement"].as_array().unwrap().len(), 0);

    // Simulated reviews have the form that reviews have.
    let simulated = folder.path().join("simulated");
    let made = callmark(&["simulate", "--calls", "500", "--reviews", "200", "--out", text(&simulated)]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let reviews = simulated.join("reviews.parquet");
    let ran = callmark(&["trust", text(&simulated), "--reviews", text(&reviews), "--format", "json"]);
    let agreement = json(&ran.stdout)["agreement"].clone();
    let settled = agreement.as_array().unwrap().iter().find(|a| a["question"] == "settled").unwrap().clone();
    assert!(settled["calls"].as_i64().unwrap() > 100, "{settled}");
    assert!((-1.0..=1.0).contains(&settled["kappa"].as_f64().unwrap()), "{settled}");
    assert_eq!(
        callmark(&["trust", text(&out), "--reviews", text(&folder.path().join("none.parquet"))]).code,
        3
    );
    assert_eq!(callmark(&["trust", text(&out), "--most-risk", "2"]).code, 2);
}

#[test]
fn a_profile_is_kept_or_not_by_its_own_clock() {
    let folder = tempfile::tempdir().unwrap();
    let out = dataset(folder.path());
    let ran = callmark(&["profile", text(&out), "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows: Vec<Value> = ran.stdout.lines().map(json).collect();
    assert_eq!(rows.len(), 3);
    // One asked the AI for a person and heard none: not in time, and one call cannot tell of a share.
    assert!(
        rows.iter().all(|r| r["first_handler"] == "ai" && r["due"] == 1 && r["in_time"] == 0),
        "{rows:?}"
    );
    assert_eq!(rows[0]["kept"], "no");
    let mine =
        "version = 1\n[[profile]]\nid = \"x\"\nname = \"X\"\nclock = \"request\"\nseconds = 5\nshare = 0.3\n";
    let mine = write(folder.path(), "mine.toml", mine);
    let own = callmark(&["profile", text(&out), "--profiles", text(&mine), "--format", "json"]);
    assert_eq!(json(own.stdout.trim())["kept"], "cannot tell", "{}", own.stdout);
    let bad = write(folder.path(), "bad.toml", "version = 1\n[[profile]]\nid = \"x\"\n");
    assert_eq!(callmark(&["profile", text(&out), "--profiles", text(&bad)]).code, 2);
}
