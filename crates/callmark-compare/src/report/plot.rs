//! Plots as SVG: lines with bands, told apart by colour and by dashes.

use super::{Plot, html::escape};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// Marks on an axis, about.
const TICKS: f64 = 5.0;

/// The plot as an SVG element; nothing where there is nothing to draw.
#[allow(clippy::too_many_lines, reason = "one line a part of the drawing, in drawing order")]
pub(super) fn svg(plot: &Plot) -> String {
    let points = || plot.series.iter().flat_map(|s| &s.points).filter(|p| p.0.is_finite() && p.1.is_finite());
    let (mut x_low, mut x_high, mut y_low, mut y_high) = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
    for (x, y, low, high) in points() {
        (x_low, x_high) = (x_low.min(*x), x_high.max(*x));
        (y_low, y_high) = (y_low.min(y.min(*low)), y_high.max(y.max(*high)));
    }
    if x_low >= x_high {
        return String::new();
    }
    let step_y = tick_step(y_high - y_low);
    (y_low, y_high) = ((y_low / step_y).floor() * step_y, (y_high / step_y).ceil() * step_y);
    if y_low >= y_high {
        y_high = y_low + step_y;
    }
    let x_of = |x: f64| LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
    let y_of = |y: f64| HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&plot.caption)
    );
    // Writing to a text cannot fail.
    for (value, place) in ticks(y_low, y_high, step_y).map(|v| (v, y_of(v))) {
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            place + 4.0,
            label(value, step_y)
        );
    }
    let step_x = tick_step(x_high - x_low);
    for (value, place) in ticks((x_low / step_x).ceil() * step_x, x_high, step_x).map(|v| (v, x_of(v))) {
        let _ = write!(
            out,
            "<text x=\"{place:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 18.0,
            label(value, step_x)
        );
    }
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"4\" y=\"14\">{}</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 8.0,
        escape(&plot.x),
        escape(&plot.y)
    );
    for (index, series) in plot.series.iter().enumerate() {
        let place = |x: f64, y: f64| format!("{:.1},{:.1}", x_of(x), y_of(y));
        let path = |value: fn(&(f64, f64, f64, f64)) -> f64| {
            let mut line: Vec<String> = Vec::new();
            let mut before = None;
            for point in series.points.iter().filter(|p| p.1.is_finite()) {
                if let (true, Some(y)) = (series.steps, before) {
                    line.push(place(point.0, y));
                }
                line.push(place(point.0, value(point)));
                before = Some(value(point));
            }
            line
        };
        let mut band = path(|p| p.3);
        band.extend(path(|p| p.2).into_iter().rev());
        let dash = if index == 0 { "" } else { " dash" };
        let _ = write!(
            out,
            "<polygon class=\"band s{index}\" points=\"{}\"/><polyline class=\"line s{index}{dash}\" \
             points=\"{}\"/><text class=\"name s{index}\" x=\"{}\" y=\"14\" text-anchor=\"end\">{}{}</text>",
            band.join(" "),
            path(|p| p.1).join(" "),
            WIDTH - RIGHT - 170.0 * (plot.series.len() - 1 - index) as f64,
            if index == 0 { "\u{2500} " } else { "\u{254c} " },
            escape(&series.name)
        );
    }
    out + "</svg>"
}

/// 1, 2 or 5 times a power of ten, so that there are about [`TICKS`].
fn tick_step(range: f64) -> f64 {
    let rough = if range > 0.0 { range / TICKS } else { 1.0 };
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    factor * power
}

fn ticks(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = ((high - low) / step + 1e-6).floor() as usize;
    (0..=count).map(move |i| low + step * i as f64)
}

fn label(value: f64, step: f64) -> String {
    let places = (-step.log10().floor()).max(0.0) as usize;
    format!("{:.places$}", if value.abs() < step * 1e-6 { 0.0 } else { value })
}
