//! Plots as SVG: lines with bands, told apart by colour and by dashes.

use super::{Plot, Series, html::escape};
use std::fmt::Write;

const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// A part of a step between two marks that nobody sees.
const ROUNDING: f64 = 1e-6;

/// How large a plot is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Over the whole width of the page.
    Large,
    /// One of several side by side.
    Small,
}

impl Size {
    /// Width and height in SVG units.
    fn extent(self) -> (f64, f64) {
        match self {
            Self::Large => (720.0, 320.0),
            Self::Small => (360.0, 220.0),
        }
    }

    /// Marks on an axis, about.
    fn ticks(self) -> f64 {
        match self {
            Self::Large => 5.0,
            Self::Small => 3.0,
        }
    }

    /// Width of one name above the plot.
    fn name_width(self) -> f64 {
        match self {
            Self::Large => 170.0,
            Self::Small => 110.0,
        }
    }
}

/// From values to places.
struct Frame {
    size: Size,
    x: (f64, f64),
    y: (f64, f64),
    step: (f64, f64),
}

impl Frame {
    /// The frame that holds all points and bands; `None` where there is nothing to draw.
    fn of(plot: &Plot, size: Size) -> Option<Self> {
        let points =
            plot.series.iter().flat_map(|s| &s.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        let (mut x, mut y) = ((f64::MAX, f64::MIN), (f64::MAX, f64::MIN));
        for (at, value, low, high) in points {
            x = (x.0.min(*at), x.1.max(*at));
            y = (y.0.min(value.min(*low)), y.1.max(value.max(*high)));
        }
        if x.0 >= x.1 {
            return None;
        }
        let step = (tick_step(x.1 - x.0, size.ticks()), tick_step(y.1 - y.0, size.ticks()));
        // What rounding adds to 100 % does not make another mark.
        y = ((y.0 / step.1 + ROUNDING).floor() * step.1, (y.1 / step.1 - ROUNDING).ceil() * step.1);
        if y.0 >= y.1 {
            y.1 = y.0 + step.1;
        }
        Some(Self { size, x, y, step })
    }

    fn x_of(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (self.size.extent().0 - LEFT - RIGHT)
    }

    fn y_of(&self, y: f64) -> f64 {
        let height = self.size.extent().1;
        height - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (height - TOP - BOTTOM)
    }

    /// The corners of a line through `value` of each point.
    fn path(&self, series: &Series, value: fn(&(f64, f64, f64, f64)) -> f64) -> Vec<String> {
        let place = |x: f64, y: f64| format!("{:.1},{:.1}", self.x_of(x), self.y_of(y));
        let mut line = Vec::new();
        let mut before = None;
        for point in series.points.iter().filter(|p| p.1.is_finite()) {
            if let (true, Some(y)) = (series.steps, before) {
                line.push(place(point.0, y));
            }
            line.push(place(point.0, value(point)));
            before = Some(value(point));
        }
        line
    }
}

/// The plot as an SVG element; nothing where there is nothing to draw.
pub(super) fn svg(plot: &Plot, size: Size) -> String {
    let Some(frame) = Frame::of(plot, size) else { return String::new() };
    let (width, height) = size.extent();
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(&plot.caption)
    );
    axes(&mut out, plot, &frame);
    for (index, series) in plot.series.iter().enumerate() {
        let mut band = frame.path(series, |p| p.3);
        band.extend(frame.path(series, |p| p.2).into_iter().rev());
        let dash = if index == 0 { "" } else { " dash" };
        // Writing to a text cannot fail.
        let _ = write!(
            out,
            "<polygon class=\"band s{index}\" points=\"{}\"/><polyline class=\"line s{index}{dash}\" \
             points=\"{}\"/><text class=\"name s{index}\" x=\"{}\" y=\"14\" text-anchor=\"end\">{}{}</text>",
            band.join(" "),
            frame.path(series, |p| p.1).join(" "),
            width - RIGHT - size.name_width() * (plot.series.len() - 1 - index) as f64,
            if index == 0 { "\u{2500} " } else { "\u{254c} " },
            escape(&series.name)
        );
    }
    out + "</svg>"
}

fn axes(out: &mut String, plot: &Plot, frame: &Frame) {
    let (width, height) = frame.size.extent();
    // Writing to a text cannot fail.
    for value in ticks(frame.y.0, frame.y.1, frame.step.1) {
        let place = frame.y_of(value);
        let class = if value.abs() < frame.step.1 * ROUNDING { "axis zero" } else { "axis" };
        let _ = write!(
            out,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            width - RIGHT,
            LEFT - 8.0,
            place + 4.0,
            label(value, frame.step.1)
        );
    }
    for value in ticks((frame.x.0 / frame.step.0).ceil() * frame.step.0, frame.x.1, frame.step.0) {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            frame.x_of(value),
            height - BOTTOM + 18.0,
            label(value, frame.step.0)
        );
    }
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"4\" y=\"14\">{}</text>",
        f64::midpoint(LEFT, width - RIGHT),
        height - 8.0,
        escape(&plot.x),
        escape(&plot.y)
    );
}

/// 1, 2 or 5 times a power of ten, so that there are about `wanted` marks.
fn tick_step(range: f64, wanted: f64) -> f64 {
    let rough = if range > 0.0 { range / wanted } else { 1.0 };
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    factor * power
}

fn ticks(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = ((high - low) / step + ROUNDING).floor() as usize;
    (0..=count).map(move |i| low + step * i as f64)
}

fn label(value: f64, step: f64) -> String {
    let places = (-step.log10().floor()).max(0.0) as usize;
    format!("{:.places$}", if value.abs() < step * ROUNDING { 0.0 } else { value })
}
