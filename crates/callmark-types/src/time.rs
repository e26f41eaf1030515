//! Time on two clocks: milliseconds from the start of a recording, and instants in UTC.

use serde::{Deserialize, Serialize};

/// Milliseconds from the start of the recording, or a duration in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// The time of sample `index` at `rate_hz` samples a second, rounded down.
    pub fn of_sample(index: usize, rate_hz: u32) -> Self {
        Self((index as u64 * 1000 / u64::from(rate_hz)) as i64)
    }

    /// The index of the first sample at or after this time at `rate_hz`; 0 for times before the start.
    pub fn to_sample(self, rate_hz: u32) -> usize {
        (self.0.max(0) as u64 * u64::from(rate_hz)).div_ceil(1000) as usize
    }

    /// Milliseconds from seconds, rounded to the nearest.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as i64)
    }

    /// Seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Stops at the ends of the range: a time that somebody made up costs no call but its own.
impl std::ops::Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Millis {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Millis {
    fn sum<I: Iterator<Item = Self>>(times: I) -> Self {
        times.fold(Self::ZERO, |sum, time| sum + time)
    }
}

/// A half-open stretch of a recording, `start <= t < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First millisecond inside.
    #[serde(rename = "start_ms")]
    pub start: Millis,
    /// First millisecond after; never before `start`.
    #[serde(rename = "end_ms")]
    pub end: Millis,
}

impl Span {
    /// A span from `start` to `end`; an end before the start is moved to the start.
    pub fn new(start: Millis, end: Millis) -> Self {
        Self { start, end: end.max(start) }
    }

    /// A span from milliseconds; an end before the start is moved to the start.
    pub fn of_ms(start_ms: i64, end_ms: i64) -> Self {
        Self::new(Millis(start_ms), Millis(end_ms))
    }

    /// How long it is.
    pub fn duration(self) -> Millis {
        self.end - self.start
    }

    /// How long both spans last together; zero when they do not meet.
    pub fn overlap(self, other: Self) -> Millis {
        (self.end.min(other.end) - self.start.max(other.start)).max(Millis::ZERO)
    }

    /// The part that both spans cover, if there is any.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }

    /// Whether `time` lies inside.
    pub fn contains(self, time: Millis) -> bool {
        self.start <= time && time < self.end
    }

    /// The time covered by any of `spans`, in order and without overlaps; touching spans become one.
    pub fn union(spans: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut sorted: Vec<Self> = spans.into_iter().filter(|s| s.end > s.start).collect();
        sorted.sort();
        let mut out: Vec<Self> = Vec::with_capacity(sorted.len());
        for span in sorted {
            match out.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => out.push(span),
            }
        }
        out
    }
}

/// An instant in UTC with millisecond resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Reads RFC 3339 / ISO 8601 text with a zone (`2026-09-14T09:12:31+00:00`, `…Z`). A text without a zone is
    /// refused: guessing one would shift the call to another day.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse::<jiff::Timestamp>().map_err(|e| e.to_string()).map(Self::truncated)
    }

    /// From milliseconds since 1970-01-01T00:00:00Z; `None` outside the years -9999 to 9999.
    pub fn from_epoch_millis(millis: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(millis).ok().map(Self)
    }

    /// The current time of the machine's clock.
    pub fn now() -> Self {
        Self::truncated(jiff::Timestamp::now())
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn epoch_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The UTC calendar day as `YYYY-MM-DD`.
    pub fn utc_date(self) -> String {
        self.0.strftime("%Y-%m-%d").to_string()
    }

    fn truncated(instant: jiff::Timestamp) -> Self {
        Self(jiff::Timestamp::from_millisecond(instant.as_millisecond()).unwrap_or(instant))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_milliseconds_map_both_ways() {
        for ms in [0, 1, 33, 999, 1000, 86_400_001] {
            assert_eq!(Millis::of_sample(Millis(ms).to_sample(16_000), 16_000), Millis(ms));
        }
    }

    #[test]
    fn a_union_merges_what_touches_and_keeps_what_does_not() {
        let spans = [
            Span::of_ms(50, 60),
            Span::of_ms(0, 10),
            Span::of_ms(10, 20),
            Span::of_ms(5, 6),
            Span::of_ms(30, 30),
        ];
        assert_eq!(Span::union(spans), vec![Span::of_ms(0, 20), Span::of_ms(50, 60)]);
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        assert!(Timestamp::parse("2026-09-14T09:12:31").is_err());
        let time = Timestamp::parse("2026-09-14T23:30:00.1239-02:00").unwrap();
        assert_eq!(time.utc_date(), "2026-09-15");
        assert_eq!(time.epoch_millis() % 1000, 123);
    }
}
