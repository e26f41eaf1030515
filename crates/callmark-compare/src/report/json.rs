//! Every figure with its inputs, as JSON. The ids are those of the page.

use super::{Block, Plot, Report, filled};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The report as JSON: what was asked, figures by id, alarms, the order of sections, and the points of every plot.
pub fn json(report: &Report) -> Value {
    let mut said = BTreeSet::new();
    let alarms: Vec<String> = report
        .sections
        .iter()
        .flat_map(|s| &s.blocks)
        .filter_map(|b| if let Block::Alarm(text) = b { Some(filled(report, text)) } else { None })
        .filter(|text| said.insert(text.clone()))
        .collect();
    let sections: Vec<Value> =
        report.sections.iter().map(|s| json!({"id": s.id, "title": s.title})).collect();
    let plots: Vec<Value> = report
        .sections
        .iter()
        .flat_map(|s| s.blocks.iter().map(move |block| (s.id, block)))
        .flat_map(|(section, block)| match block {
            Block::Plot(plot) => vec![plotted(section, None, plot)],
            Block::Panels { caption, plots } => {
                plots.iter().map(|p| plotted(section, Some(caption), p)).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    json!({
        "schema": "callmark.compare.1",
        "title": report.title,
        "settings": report.settings,
        "claim": report.claim,
        "sections": sections,
        "alarms": alarms,
        "figures": report.figures,
        "plots": plots,
    })
}

/// What a plot shows: each point as x, y and the ends of its band.
fn plotted(section: &str, of: Option<&String>, plot: &Plot) -> Value {
    let series: Vec<Value> = plot
        .series
        .iter()
        .map(|s| {
            let points: Vec<[f64; 4]> = s.points.iter().map(|p| [p.0, p.1, p.2, p.3]).collect();
            json!({"name": s.name, "points": points})
        })
        .collect();
    json!({"section": section, "of": of, "caption": plot.caption, "x": plot.x, "y": plot.y, "series": series})
}
