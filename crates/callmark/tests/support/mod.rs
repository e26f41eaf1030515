//! What the command's tests share: running it in a folder of its own, and small inputs.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod server;

use assert_cmd::Command;
use std::path::{Path, PathBuf};

/// Exit code, stdout and stderr of one run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `callmark` with `arguments`.
pub(crate) fn callmark(arguments: &[&str]) -> Ran {
    callmark_with(arguments, &[])
}

/// Runs `callmark` with `arguments` and environment variables.
pub(crate) fn callmark_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::cargo_bin("callmark").expect("the command is built");
    let output =
        command.args(arguments).envs(environment.iter().copied()).output().expect("the command starts");
    Ran {
        code: output.status.code().expect("the command exits by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Writes `content` to `folder/name` and gives the path.
pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(&path, content).expect("a file");
    path
}

/// Three conversations with an AI and a human agent.
pub(crate) const CHATS: &str = r#"{"call_id":"chat-1","started_at":"2026-03-01T10:00:00Z","first_handler":"ai","turns":[{"speaker":"ai_agent","text":"Hello, I am the virtual assistant of Fernhill Water. How can I help?","start_ms":0,"end_ms":4000},{"speaker":"customer","text":"Can I please speak to a real person?","start_ms":5000,"end_ms":7000},{"speaker":"ai_agent","text":"I can help with most questions. What is it about?","start_ms":8000,"end_ms":11000},{"speaker":"customer","text":"I want to talk to a human now.","start_ms":12000,"end_ms":14000}]}
{"call_id":"chat-2","started_at":"2026-03-02T10:00:00Z","first_handler":"human","turns":[{"speaker":"human_agent","text":"Fernhill Water, this is Petra.","start_ms":0,"end_ms":2000},{"speaker":"customer","text":"My meter reading was wrong on the last bill.","start_ms":3000,"end_ms":6000},{"speaker":"human_agent","text":"I have corrected it and sent you a new bill.","start_ms":9000,"end_ms":12000},{"speaker":"customer","text":"Great, that fixed it. Thank you so much!","start_ms":13000,"end_ms":15000}]}
{"call_id":"chat-3","turns":[{"speaker":"customer","text":"hello"}]}
"#;

/// A WAV file of `samples` at 8 kHz, one channel.
pub(crate) fn write_wav(path: &Path, samples: impl Iterator<Item = i16>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("a wav file");
    for sample in samples {
        writer.write_sample(sample).expect("a sample");
    }
    writer.finalize().expect("a whole wav file");
}

/// The demo recordings of the repository.
pub(crate) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo")
}

/// One row of `callmark sql … --format json`.
pub(crate) fn sql(dataset: &Path, query: &str) -> Vec<serde_json::Value> {
    let ran = callmark(&["sql", dataset.to_str().expect("utf-8"), query, "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}
