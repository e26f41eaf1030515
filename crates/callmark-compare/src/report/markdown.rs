//! The summary on the terminal, as Markdown.

use super::{Block, Report, filled, one_line};
use std::fmt::Write;

/// The sections that belong in the summary.
pub fn markdown(report: &Report) -> String {
    let mut out = format!("# {}\n", one_line(&report.title));
    // Writing to a text cannot fail.
    for section in report.sections.iter().filter(|s| s.in_summary) {
        let _ = write!(out, "\n## {}\n", section.title);
        for block in &section.blocks {
            match block {
                Block::Text(text) => {
                    let _ = write!(out, "\n{}\n", plain(report, text));
                }
                Block::Alarm(text) => {
                    let _ = write!(out, "\n> **Attention.** {}\n", plain(report, text));
                }
                Block::Table { caption, columns, rows } => table(report, &mut out, caption, columns, rows),
                Block::Plot(_) | Block::Panels { .. } => {}
            }
        }
    }
    out
}

fn table(report: &Report, out: &mut String, caption: &str, columns: &[String], rows: &[Vec<String>]) {
    let cell = |text: &String| one_line(text).replace('|', "\\|");
    let heads: Vec<String> = columns.iter().map(cell).collect();
    let caption = one_line(caption);
    let _ = write!(out, "\n{caption}\n\n| {} |\n|{}\n", heads.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|c| plain(report, c).replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

/// A text with its figures put in. What a dataset names may hold anything; a terminal must not obey it.
fn plain(report: &Report, text: &str) -> String {
    one_line(&filled(report, text))
}
