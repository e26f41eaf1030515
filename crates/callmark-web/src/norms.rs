//! What is usual: of each measure the middle and the range of eight in ten calls, beside which a call's own is shown.

use crate::catalogue::Catalogue;
use crate::tables::columns;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use std::collections::HashMap;
use std::path::Path;

/// Calls that are looked at: more would not move what is shown.
const MOST_CALLS: usize = 200_000;
/// Norms are made anew when there are more by one in so many.
const NEW_SHARE: usize = 10;
/// Fewer have no norm.
const LEAST_CALLS: usize = 10;

/// A measure of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Count,
    WordsPerMinute,
    Score,
    Share,
}

/// Columns with a norm, and what they are called on the page.
pub(crate) const MEASURES: [(&str, &str, Unit); 18] = [
    ("total_conversation_duration_ms", "Length", Unit::Milliseconds),
    ("resolution_time_ms", "Time until settled", Unit::Milliseconds),
    ("talk_time_customer_ms", "Customer talks", Unit::Milliseconds),
    ("talk_time_agent_ms", "Agent side talks", Unit::Milliseconds),
    ("non_talk_time_total_ms", "Nobody talks", Unit::Milliseconds),
    ("overlap_time_ms", "Both talk", Unit::Milliseconds),
    ("hold_time_ms", "Hold", Unit::Milliseconds),
    ("queue_time_ms", "Queue", Unit::Milliseconds),
    ("time_to_human_ms", "Wait for a person", Unit::Milliseconds),
    ("greeting_time_agent_ms", "Greeting", Unit::Milliseconds),
    ("interruptions_agent_count", "Agent interrupts", Unit::Count),
    ("interruptions_customer_count", "Customer interrupts", Unit::Count),
    ("talk_speed_agent_wpm", "Agent's pace", Unit::WordsPerMinute),
    ("talk_speed_customer_wpm", "Customer's pace", Unit::WordsPerMinute),
    ("response_time_average_agent_ms", "Agent answers after", Unit::Milliseconds),
    ("sentiment_overall_score_customer", "Customer sentiment", Unit::Score),
    ("sentiment_end_score_customer", "Customer sentiment at the end", Unit::Score),
    ("asr_confidence", "Recogniser's confidence", Unit::Share),
];

/// The middle of a measure, and between what eight in ten lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Norm {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    pub(crate) calls: usize,
}

impl Norm {
    /// Of values in any order; `None` of too few.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.len() < LEAST_CALLS {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Some(Self { low: at(0.1), median: at(0.5), high: at(0.9), calls: values.len() })
    }
}

/// Norms by column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Norms {
    by_column: HashMap<&'static str, Norm>,
    /// Calls that there were.
    of_calls: usize,
}

impl Norms {
    pub(crate) fn get(&self, column: &str) -> Option<Norm> {
        self.by_column.get(column).copied()
    }

    /// Whether there are so many more calls, or fewer, that other ranges may be usual.
    pub(crate) fn are_old(&self, calls: usize) -> bool {
        calls < self.of_calls || calls > self.of_calls + self.of_calls / NEW_SHARE
    }

    /// The norms of the newest calls of the dataset.
    pub(crate) fn of(dataset: &Path, catalogue: &Catalogue) -> Result<Self, String> {
        let mut values: Vec<Vec<f64>> = MEASURES.iter().map(|_| Vec::new()).collect();
        let names = MEASURES.map(|(column, ..)| column);
        let mut seen = 0;
        for source in catalogue.files.iter().rev() {
            if seen >= MOST_CALLS {
                break;
            }
            seen += source.rows as usize;
            for batch in columns(dataset, &source.path, &names)? {
                gather(&batch, &mut values)?;
            }
        }
        let norms = MEASURES
            .iter()
            .zip(values)
            .filter_map(|((column, ..), values)| Some((*column, Norm::of(values)?)));
        Ok(Self { by_column: norms.collect(), of_calls: catalogue.rows.len() })
    }
}

fn gather(batch: &RecordBatch, values: &mut [Vec<f64>]) -> Result<(), String> {
    for ((name, ..), values) in MEASURES.iter().zip(values.iter_mut()) {
        let Some(column) = batch.column_by_name(name) else { continue };
        let column = cast(column, &DataType::Float64).map_err(|e| e.to_string())?;
        values.extend(column.as_primitive::<Float64Type>().iter().flatten());
    }
    Ok(())
}

/// A value of a measure as it is shown.
pub(crate) fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds if value.abs() < 10_000.0 => format!("{:.1} s", value / 1_000.0),
        Unit::Milliseconds => crate::text::clock(value as i64),
        Unit::Count => format!("{value:.0}"),
        Unit::WordsPerMinute => format!("{value:.0} words/min"),
        Unit::Score => format!("{value:+.1}"),
        Unit::Share => format!("{:.0} %", value * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_the_middle_and_eight_in_ten() {
        let norm = Norm::of((0..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!((norm.low, norm.median, norm.high, norm.calls), (10.0, 50.0, 90.0, 101));
        assert_eq!(Norm::of(vec![1.0; 9]), None);
        assert_eq!(shown(4_200.0, Unit::Milliseconds), "4.2 s");
    }
}
