//! `FORMATS.md` says of the test bed what the table says; `CALLMARK_UPDATE=1 cargo test` writes it anew.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write;
use std::path::Path;
use support::zoo_table::{Fate, ZOO};

/// Where the generated part begins.
const MARK: &str =
    "<!-- Generated from tests/support/zoo_table.rs; CALLMARK_UPDATE=1 cargo test writes it. -->\n";

fn generated() -> String {
    let mut text = String::from(
        "\n| file | becomes | rate, channels | length | against |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, fate, likeness) in ZOO {
        let against = likeness.map_or(String::new(), |l| {
            let level = if l.min_snr_db >= 100.0 {
                "the same samples".to_owned()
            } else {
                format!("SNR at least {} dB", l.min_snr_db)
            };
            format!("`{}`: {level}", l.reference)
        });
        match fate {
            Fate::Decoded(container, codec, rate_hz, channels, ms) => {
                writeln!(
                    text,
                    "| `{name}` | {container}, {codec} | {rate_hz} Hz, {channels} | {ms} ms | {against} |"
                )
            }
            Fate::Refused(kind) => writeln!(text, "| `{name}` | refused: {kind} | | | |"),
        }
        .unwrap();
    }
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FORMATS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (written, table) = text.split_once(MARK).unwrap();
    if std::env::var_os("CALLMARK_UPDATE").is_some() {
        std::fs::write(&path, format!("{written}{MARK}{}", generated())).unwrap();
        return;
    }
    assert_eq!(table, generated(), "FORMATS.md is stale: run CALLMARK_UPDATE=1 cargo test -p callmark-audio");
}
