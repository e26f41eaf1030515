//! What a comparison says, as data: sections of sentences, tables and plots around figures that each have an id.
//!
//! Every renderer walks the same [`Report`]. A figure stands in a text as `{{id}}`, so the number on the page, the one in
//! the summary and the one in the JSON cannot differ.

mod html;
mod json;
mod markdown;
mod plot;
mod style;

pub use html::html;
pub use json::json;
pub use markdown::markdown;

use crate::stats::estimate::Estimate;
use crate::stats::margin::verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, shown in per cent.
    Share,
    /// A difference of shares, shown in percentage points.
    ShareDifference,
    /// Minutes.
    Minutes,
    /// A difference in minutes.
    MinutesDifference,
    /// Points of sentiment.
    Points,
    /// A difference of points.
    PointsDifference,
    /// A count.
    Count,
    /// A plain number.
    Number,
    /// A probability under a hypothesis.
    PValue,
    /// No number: what an interval says against a margin, in words.
    Verdict,
}

impl Unit {
    /// Cut to what can be: no share lies beyond 0 and 1, no difference of shares beyond all of them.
    fn cut(self, value: f64) -> f64 {
        match self {
            Self::Share => value.clamp(0.0, 1.0),
            Self::ShareDifference => value.clamp(-1.0, 1.0),
            _ => value,
        }
    }
}

/// One number with its interval, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it is, in words.
    pub label: String,
    /// What it is measured in.
    pub unit: Unit,
    /// The number; null where the data do not give it.
    pub value: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// Level of the interval.
    pub level: Option<f64>,
    /// How it was made.
    pub method: String,
    /// The numbers it was made of.
    pub inputs: BTreeMap<String, f64>,
    /// Why there is no number.
    pub reason: Option<String>,
    /// What it says where it is no number.
    pub text: Option<String>,
}

/// A part of a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A paragraph; `{{id}}` stands for a figure.
    Text(String),
    /// Something that the reader must not miss.
    Alarm(String),
    /// A table; cells as texts.
    Table {
        /// What it shows.
        caption: String,
        /// The heads of its columns.
        columns: Vec<String>,
        /// Its rows.
        rows: Vec<Vec<String>>,
    },
    /// A plot.
    Plot(Plot),
    /// Small plots side by side.
    Panels {
        /// What they show together.
        caption: String,
        /// The plots.
        plots: Vec<Plot>,
    },
}

/// A line of a plot with its band.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// (x, y, low, high).
    pub points: Vec<(f64, f64, f64, f64)>,
    /// Whether it moves in steps.
    pub steps: bool,
}

/// Lines over a common axis.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows, also for those who do not see it.
    pub caption: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// A section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Whether the summary on the terminal has it.
    pub in_summary: bool,
    /// Its parts.
    pub blocks: Vec<Block>,
}

/// A comparison's result.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// Sections, plain language first.
    pub sections: Vec<Section>,
    /// Figures by id.
    pub figures: BTreeMap<String, Figure>,
    /// What the comparison was told: margins, filters, assumptions.
    pub settings: serde_json::Value,
    /// The claim that was checked, where there is one.
    pub claim: serde_json::Value,
}

impl Report {
    /// Adds a section.
    pub fn section(&mut self, id: &'static str, title: &'static str, in_summary: bool, blocks: Vec<Block>) {
        self.sections.push(Section { id, title, in_summary, blocks });
    }

    /// Takes in what another report says, before the appendix.
    pub fn include(&mut self, other: Self) {
        let place = self.sections.iter().position(|s| s.id == "method").unwrap_or(self.sections.len());
        self.sections.splice(place..place, other.sections);
        self.figures.extend(other.figures);
        self.claim = other.claim;
    }

    /// Adds a figure and returns what stands for it in texts. `None` becomes a figure without a number.
    pub fn figure(&mut self, id: &str, figure: Figure) -> String {
        self.figures.insert(id.to_owned(), figure);
        format!("{{{{{id}}}}}")
    }
}

impl Figure {
    /// A figure with an interval, or none for the `reason`.
    pub fn estimate(label: &str, unit: Unit, estimate: Option<Estimate>, method: &str) -> Self {
        let reason = estimate.is_none().then(|| "too few calls or customers to tell".to_owned());
        Self {
            label: one_line(label),
            unit,
            value: estimate.map(|e| e.value).filter(|v| v.is_finite()).map(|v| unit.cut(v)),
            low: estimate.map(|e| e.low).filter(|v| v.is_finite()).map(|v| unit.cut(v)),
            high: estimate.map(|e| e.high).filter(|v| v.is_finite()).map(|v| unit.cut(v)),
            level: None,
            method: method.to_owned(),
            inputs: BTreeMap::new(),
            reason,
            text: None,
        }
    }

    /// A figure with its interval, or why it is not told.
    pub fn told(label: &str, unit: Unit, estimate: Result<Estimate, String>, method: &str) -> Self {
        match estimate {
            Ok(estimate) => Self::estimate(label, unit, Some(estimate), method),
            Err(reason) => Self::estimate(label, unit, None, method).because(&reason),
        }
    }

    /// What `interval`, a figure with its interval, says against ± `margin`, in the words of a verdict.
    pub fn verdict(label: &str, interval: &Self, margin: f64) -> Self {
        let mut found = Self::estimate(label, Unit::Verdict, None, "the shown interval against the margin");
        found.level = interval.level;
        if let (Some(value), Some(low), Some(high)) = (interval.value, interval.low, interval.high) {
            (found.reason, found.text) = (None, Some(verdict(low, high, margin).words().to_owned()));
            found
                .inputs
                .extend([("value", value), ("low", low), ("high", high)].map(|(k, v)| (k.to_owned(), v)));
        } else {
            let no_interval = || "all values of an arm are alike: there is no interval".to_owned();
            found.reason = Some(interval.reason.clone().unwrap_or_else(no_interval));
        }
        found.with("margin", margin)
    }

    /// A number without an interval.
    pub fn exact(label: &str, unit: Unit, value: f64, method: &str) -> Self {
        let estimate = Estimate { value, standard_error: f64::NAN, low: f64::NAN, high: f64::NAN };
        Self::estimate(label, unit, Some(estimate), method)
    }

    /// With one more input.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.inputs.insert(name.to_owned(), value);
        self
    }

    /// With the level of its interval.
    #[must_use]
    pub fn at_level(mut self, level: f64) -> Self {
        self.level = Some(level);
        self
    }

    /// Without a number, and why.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    /// The figure as people read it.
    pub fn text(&self) -> String {
        match self.parts() {
            (value, Some(range)) => format!("{value} {range}"),
            (value, None) => value,
        }
    }

    /// The value with its unit, and its interval; neither should be broken over lines.
    pub(crate) fn parts(&self) -> (String, Option<String>) {
        if let Some(text) = &self.text {
            return (text.clone(), None);
        }
        let Some(value) = self.value else {
            return (format!("not told ({})", self.reason.as_deref().unwrap_or("no data")), None);
        };
        let range = match (self.low, self.high) {
            (Some(low), Some(high)) => {
                Some(format!("({} to {})", self.format(low, false), self.format(high, false)))
            }
            (Some(low), None) => Some(format!("({} or more)", self.format(low, false))),
            _ => None,
        };
        (self.format(value, true), range)
    }

    fn is_difference(&self) -> bool {
        matches!(self.unit, Unit::ShareDifference | Unit::MinutesDifference | Unit::PointsDifference)
    }

    fn format(&self, value: f64, with_unit: bool) -> String {
        let (number, unit) = match self.unit {
            Unit::Share => (format!("{:.1}", 100.0 * value), " %"),
            Unit::ShareDifference => (format!("{:+.1}", 100.0 * value), " points"),
            Unit::Minutes => (format!("{value:.2}"), " min"),
            Unit::MinutesDifference => (format!("{value:+.2}"), " min"),
            Unit::PointsDifference => (format!("{value:+.2}"), ""),
            Unit::Count => (thousands(value), ""),
            Unit::Number if value.abs() >= 100.0 => (thousands(value), ""),
            Unit::Number if value.abs() >= 10.0 => (format!("{value:.1}"), ""),
            Unit::Points | Unit::Number | Unit::Verdict => (format!("{value:.2}"), ""),
            Unit::PValue if value < 0.001 => ("below 0.001".to_owned(), ""),
            Unit::PValue => (format!("{value:.3}"), ""),
        };
        // A zero has no sign, unless the sign is what the figure is about.
        let rounded_away = number.starts_with('-') && !number.contains(|c: char| ('1'..='9').contains(&c));
        let number = if rounded_away && !self.is_difference() { number.replacen('-', "", 1) } else { number };
        if with_unit { number + unit } else { number }
    }
}

/// Numbers of more digits are read by nobody.
const LARGEST_WRITTEN_OUT: f64 = 1e12;

/// A whole number with its thousands apart; as a power of ten where it is too long to be read.
pub fn thousands(value: f64) -> String {
    if value.abs() >= LARGEST_WRITTEN_OUT {
        return format!("{value:.1e}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < -0.5 { format!("-{text}") } else { text }
}

/// A text with its figures put in.
pub(crate) fn filled(report: &Report, text: &str) -> String {
    let put_in = |piece| match piece {
        Ok(words) => String::from(words),
        Err(id) => report.figures.get(id).map_or_else(String::new, Figure::text),
    };
    pieces(text).into_iter().map(put_in).collect()
}

/// A name out of a dataset or a file as a text may hold it: what stands for a figure in it does not, nor what breaks a line.
pub(crate) fn plain_words(name: &str) -> String {
    one_line(&name.replace("{{", "{ {"))
}

/// A text without line breaks or anything else that a terminal, or an attribute, would obey.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A text in pieces: as it stands, or a figure's id.
pub(crate) fn pieces(text: &str) -> Vec<Result<&str, &str>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        found.push(Ok(before));
        let Some((id, after)) = after.split_once("}}") else { return found };
        found.push(Err(id));
        rest = after;
    }
    found.push(Ok(rest));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_apart_into_words_and_figures() {
        assert_eq!(pieces("a {{b}} c"), [Ok("a "), Err("b"), Ok(" c")]);
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(12.0), "12");
        assert_eq!(thousands(1.7e26), "1.7e26");
    }

    #[test]
    fn a_verdict_is_that_of_the_interval_it_names() {
        let estimate = Estimate { value: 0.19, standard_error: 0.1, low: -0.03, high: 0.41 };
        let shown = Figure::estimate("x", Unit::PointsDifference, Some(estimate), "counted").at_level(0.95);
        let found = Figure::verdict("x", &shown, 0.3);
        assert_eq!(found.text(), verdict(-0.03, 0.41, 0.3).words());
        assert_eq!((found.inputs["low"], found.inputs["margin"], found.level), (-0.03, 0.3, Some(0.95)));
        let none = Figure::estimate("x", Unit::PointsDifference, None, "counted").because("no overlap");
        assert_eq!(Figure::verdict("x", &none, 0.3).text(), "not told (no overlap)");
    }

    #[test]
    fn no_share_and_no_difference_of_shares_is_more_than_all() {
        let estimate = Estimate { value: -0.5, standard_error: 0.4, low: -1.3, high: 0.3 };
        let figure = Figure::estimate("a\nb", Unit::ShareDifference, Some(estimate), "counted");
        assert_eq!((figure.low, figure.high), (Some(-1.0), Some(0.3)));
        assert_eq!(Figure::estimate("x", Unit::Share, Some(estimate), "counted").low, Some(0.0));
        assert_eq!(figure.label, "a\u{fffd}b");
    }

    #[test]
    fn a_figure_is_written_for_people() {
        let figure = |unit, value| Figure::exact("x", unit, value, "counted").text();
        assert_eq!(figure(Unit::Number, -0.001), "0.00");
        assert_eq!(figure(Unit::Number, 303.95), "304");
        assert_eq!(figure(Unit::PointsDifference, -0.001), "-0.00");
        let estimate = Estimate { value: 0.5, standard_error: 0.1, low: 0.4, high: 0.6 };
        let share = Figure::estimate("x", Unit::Share, Some(estimate), "counted");
        assert_eq!(share.text(), "50.0 % (40.0 to 60.0)");
        assert_eq!(
            Figure::estimate("x", Unit::Share, None, "counted").because("why").text(),
            "not told (why)"
        );
    }
}
