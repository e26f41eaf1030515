//! Every figure with its inputs, as JSON. The ids are those of the page.

use super::{Block, Report};
use serde_json::{Value, json};

/// The report as JSON: figures by id, alarms, and the order of sections.
pub fn json(report: &Report) -> Value {
    let alarms: Vec<&String> = report
        .sections
        .iter()
        .flat_map(|s| &s.blocks)
        .filter_map(|b| if let Block::Alarm(text) = b { Some(text) } else { None })
        .collect();
    let sections: Vec<Value> =
        report.sections.iter().map(|s| json!({"id": s.id, "title": s.title})).collect();
    json!({
        "schema": "callmark.compare.1",
        "title": report.title,
        "sections": sections,
        "alarms": alarms,
        "figures": report.figures,
    })
}
