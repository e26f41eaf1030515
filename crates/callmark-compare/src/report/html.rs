//! The report as one page that needs no network and no script.

use super::plot::{Size, svg};
use super::{Block, Report, one_line, pieces, style::STYLE};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Rows of a table that is not broken over sheets of paper.
const ROWS_KEPT_TOGETHER: usize = 14;

/// The whole page.
pub fn html(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{STYLE}</style></head>\
         <body><main><h1>{0}</h1><nav>",
        escape(&report.title)
    );
    // Writing to a text cannot fail.
    for section in &report.sections {
        let _ = write!(out, "<a href=\"#section-{}\">{}</a>", section.id, escape(section.title));
    }
    out.push_str("</nav>");
    let mut page = Page { report, shown: BTreeSet::new() };
    for section in &report.sections {
        let _ = write!(out, "\n<section id=\"section-{}\"><h2>{}</h2>", section.id, escape(section.title));
        for block in &section.blocks {
            page.block(&mut out, block);
        }
        out.push_str("</section>");
    }
    out.push_str("\n</main></body></html>\n");
    out
}

struct Page<'a> {
    report: &'a Report,
    shown: BTreeSet<&'a str>,
}

impl<'a> Page<'a> {
    fn block(&mut self, out: &mut String, block: &'a Block) {
        match block {
            Block::Text(text) => {
                let _ = write!(out, "<p>{}</p>", self.fill(text));
            }
            Block::Alarm(text) => {
                let _ = write!(out, "<p class=\"alarm\"><strong>Attention.</strong> {}</p>", self.fill(text));
            }
            Block::Plot(plot) => {
                let _ = write!(
                    out,
                    "<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div><figcaption>{}</figcaption></figure>",
                    svg(plot, Size::Large),
                    svg(plot, Size::Small),
                    escape(&plot.caption)
                );
            }
            Block::Panels { caption, plots } => {
                out.push_str("<figure><div class=\"panels\">");
                for plot in plots {
                    let _ = write!(
                        out,
                        "<figure>{}<figcaption>{}</figcaption></figure>",
                        svg(plot, Size::Small),
                        escape(&plot.caption)
                    );
                }
                let _ = write!(out, "</div><figcaption>{}</figcaption></figure>", escape(caption));
            }
            Block::Table { caption, columns, rows } => {
                // A short table is kept on one sheet of paper with its caption; a long one repeats its head.
                let kept = if rows.len() <= ROWS_KEPT_TOGETHER { "scroll kept" } else { "scroll" };
                let _ = write!(
                    out,
                    "<div class=\"{kept}\" tabindex=\"0\"><table><caption><span>{}</span></caption><thead><tr>",
                    escape(caption)
                );
                for column in columns {
                    let _ = write!(out, "<th scope=\"col\">{}</th>", escape(column));
                }
                out.push_str("</tr></thead><tbody>");
                for row in rows {
                    out.push_str("<tr>");
                    for (cell, column) in row.iter().zip(columns) {
                        // On a phone each row is a card that says its columns itself.
                        let empty = if cell.is_empty() { " class=\"empty\"" } else { "" };
                        let (head, filled) = (escape(column), self.fill(cell));
                        let _ = write!(out, "<td{empty} data-head=\"{head}\">{filled}</td>");
                    }
                    out.push_str("</tr>");
                }
                out.push_str("</tbody></table></div>");
            }
        }
    }

    /// A text with its figures; the first showing of a figure carries its id, every one the attribute `data-figure`.
    fn fill(&mut self, text: &'a str) -> String {
        let mut out = String::new();
        for piece in pieces(text) {
            match piece {
                Ok(words) => out.push_str(&escape(words)),
                Err(id) => {
                    let Some(figure) = self.report.figures.get(id) else { continue };
                    let anchor =
                        if self.shown.insert(id) { format!(" id=\"{}\"", escape(id)) } else { String::new() };
                    let _ = write!(
                        out,
                        "<span class=\"figure\"{anchor} data-figure=\"{}\" title=\"{}\">",
                        escape(id),
                        escape(&format!("{} \u{b7} {}", figure.label, figure.method))
                    );
                    // A value and its interval are each kept on one line; a reason may be long.
                    let (value, range) = figure.parts();
                    let together = if figure.value.is_some() { " class=\"together\"" } else { "" };
                    let _ = write!(out, "<span{together}>{}</span>", escape(&value));
                    if let Some(range) = range {
                        let _ = write!(out, " <span{together}>{}</span>", escape(&range));
                    }
                    out.push_str("</span>");
                }
            }
        }
        out
    }
}

/// Text as HTML.
pub(super) fn escape(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
