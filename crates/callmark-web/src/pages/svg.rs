//! Pictures of numbers, as SVG that styles of the page colour; each with a text for those who do not see it.

use maud::{Markup, html};

/// Bars, one a label, each with the address of the calls behind it.
pub(crate) struct Bar {
    pub(crate) label: String,
    /// 0 to 1 of the width.
    pub(crate) share: f64,
    pub(crate) shown: String,
    pub(crate) address: String,
    /// Lower and upper end of its interval, 0 to 1.
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) class: &'static str,
}

const ROW: usize = 26;
const LABEL: usize = 150;
const WIDTH: usize = 640;
const PLOT: f64 = 360.0;

/// A bar chart that lies on its side.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> Markup {
    let height = bars.len() * ROW + 8;
    html! {
        svg.bars viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(title) {
            @for (at, bar) in bars.iter().enumerate() {
                @let y = at * ROW + 4;
                @let long = bar.share.clamp(0.0, 1.0) * PLOT;
                text.label x=(LABEL - 8) y=(y + 16) text-anchor="end" { (bar.label) }
                rect class={ "bar " (bar.class) } x=(LABEL) y=(y + 3) width=(format!("{long:.1}")) height=(ROW - 9) rx="2" {}
                @if let Some((low, high)) = bar.interval {
                    @let x1 = LABEL as f64 + low.clamp(0.0, 1.0) * PLOT;
                    @let x2 = LABEL as f64 + high.clamp(0.0, 1.0) * PLOT;
                    line.whisker x1=(format!("{x1:.1}")) x2=(format!("{x2:.1}")) y1=(y + 11) y2=(y + 11) {}
                }
                text.value x=(LABEL + PLOT as usize + 8) y=(y + 16) { (bar.shown) }
            }
        }
    }
}

/// A line over time for each name: values and their intervals, by position.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    /// Position, value, lower and upper end.
    pub(crate) points: Vec<(f64, f64, f64, f64)>,
}

const LINES_WIDTH: f64 = 640.0;
const LINES_HEIGHT: f64 = 200.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 24.0;

/// Lines with their intervals, between `least` and `most`; `marks` name positions.
pub(crate) fn lines(
    title: &str,
    lines: &[Line],
    (least, most): (f64, f64),
    shown: impl Fn(f64) -> String,
    marks: &[(f64, String)],
) -> Markup {
    let end = lines.iter().flat_map(|line| &line.points).map(|p| p.0).fold(1.0_f64, f64::max);
    let x = |at: f64| LEFT + at / end * (LINES_WIDTH - LEFT - 12.0);
    let y = |value: f64| {
        10.0 + (1.0 - ((value - least) / (most - least)).clamp(0.0, 1.0)) * (LINES_HEIGHT - BOTTOM - 10.0)
    };
    let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        points.enumerate().fold(String::new(), |mut text, (at, (px, py))| {
            use std::fmt::Write as _;
            let _ = write!(text, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x(px), y(py));
            text
        })
    };
    html! {
        svg.lines viewBox={ "0 0 " (LINES_WIDTH) " " (LINES_HEIGHT) } role="img" aria-label=(title) {
            @for step in 0..=4 {
                @let value = least + (most - least) * f64::from(step) / 4.0;
                line.grid x1=(LEFT) x2=(LINES_WIDTH - 12.0) y1=(format!("{:.1}", y(value))) y2=(format!("{:.1}", y(value))) {}
                text.value x=(LEFT - 6.0) y=(format!("{:.1}", y(value) + 4.0)) text-anchor="end" { (shown(value)) }
            }
            @for (at, name) in marks {
                @let anchor = if *at <= 0.0 { "start" } else if *at >= end { "end" } else { "middle" };
                text.value x=(format!("{:.1}", x(*at))) y=(LINES_HEIGHT - 6.0) text-anchor=(anchor) { (name) }
            }
            @for line in lines {
                @let upper = path(&mut line.points.iter().map(|p| (p.0, p.3)));
                @let lower = path(&mut line.points.iter().rev().map(|p| (p.0, p.2)));
                path class={ "band " (line.class) } d={ (upper) (lower.replacen('M', "L", 1)) "Z" } {}
                path class={ "line " (line.class) } d=(path(&mut line.points.iter().map(|p| (p.0, p.1)))) {}
            }
        }
        p.legend {
            @for line in lines { span class={ "key " (line.class) } { (line.name) } " " }
        }
    }
}
