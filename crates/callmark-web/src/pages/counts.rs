//! What the dashboard counts of the calls that are asked for: pure sums, by who took them, segment and week.

use crate::catalogue::Row;
use crate::text;
use callmark_compare::stats::distributions::normal_critical;
use callmark_compare::stats::proportion::wilson;
use callmark_query::TrustLimits;
use callmark_types::{Handler, Outcome};
use std::collections::BTreeMap;

/// Level of intervals.
const LEVEL: f64 = 0.95;
/// A mean of fewer calls has no interval that could be trusted.
const LEAST_SCORED: usize = 10;
/// A week, in ms.
pub(super) const WEEK_MS: i64 = 7 * 86_400_000;

/// A value, and its interval.
pub(super) type Point = (f64, f64, f64);

/// A count of many, and its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) of: usize,
    pub(super) met: usize,
}

impl Share {
    pub(super) fn add(&mut self, met: bool) {
        self.of += 1;
        self.met += usize::from(met);
    }

    pub(super) fn value(self) -> f64 {
        self.met as f64 / self.of.max(1) as f64
    }

    /// Wilson's interval; everything where there are no calls.
    pub(super) fn interval(self) -> (f64, f64) {
        wilson(self.met as f64, self.of as f64, LEVEL).map_or((0.0, 1.0), |share| (share.low, share.high))
    }

    pub(super) fn shown(self) -> String {
        if self.of == 0 {
            "no calls".to_owned()
        } else {
            format!("{} of {}", text::percent(self.value()), text::count(self.of))
        }
    }
}

/// What is counted of a group of calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) calls: usize,
    pub(super) ai: Share,
    pub(super) settled: Share,
    pub(super) asked: Share,
    pub(super) honoured: Share,
    pub(super) doubtful: Share,
    pub(super) sentiment: f64,
    pub(super) sentiment_squares: f64,
    pub(super) scored: usize,
    pub(super) minutes: f64,
}

impl Counts {
    pub(super) fn add(&mut self, row: &Row, limits: TrustLimits) {
        self.calls += 1;
        if let Some(first) = row.first {
            self.ai.add(first == Handler::Ai);
        }
        if row.outcome != Outcome::Unknown {
            self.settled.add(matches!(row.outcome, Outcome::Resolved | Outcome::EscalatedResolved));
        }
        self.asked.add(row.requests > 0);
        if let Some(honoured) = row.honoured {
            self.honoured.add(honoured);
        }
        self.doubtful.add(row.is_doubtful(limits));
        if !row.sentiment.is_nan() {
            let score = f64::from(row.sentiment);
            self.sentiment += score;
            self.sentiment_squares += score * score;
            self.scored += 1;
        }
        self.minutes += f64::from(row.duration_ms.max(0)) / 60_000.0;
    }

    /// Mean sentiment and its interval; of few calls it is everything.
    pub(super) fn sentiment(&self) -> Option<Point> {
        let of = self.scored as f64;
        let mean = self.sentiment / of;
        if self.scored < LEAST_SCORED {
            return (self.scored > 0).then_some((mean, -5.0, 5.0));
        }
        let variance = (self.sentiment_squares - of * mean * mean).max(0.0) / (of - 1.0);
        let half = normal_critical(LEVEL) * (variance / of).sqrt();
        Some((mean, (mean - half).max(-5.0), (mean + half).min(5.0)))
    }
}

/// A share that the dashboard shows, and the condition of the calls that it counts.
pub(super) struct Measure {
    pub(super) title: &'static str,
    pub(super) share: fn(&Counts) -> Share,
    pub(super) met: (&'static str, &'static str),
}

pub(super) const FIRST_AI: Measure =
    Measure { title: "First taken by AI", share: |c| c.ai, met: ("handler", "ai") };
pub(super) const SETTLED: Measure =
    Measure { title: "Settled", share: |c| c.settled, met: ("outcome", "resolved,escalated_resolved") };
pub(super) const ASKED: Measure =
    Measure { title: "Asked for a person", share: |c| c.asked, met: ("asked", "yes") };
/// Who accepts an offer of a person is to get one as well as who asks.
pub(super) const HONOURED: Measure = Measure {
    title: "Requests and accepted offers honoured",
    share: |c| c.honoured,
    met: ("honoured", "yes"),
};
pub(super) const DOUBTFUL: Measure =
    Measure { title: "Doubtful transcripts", share: |c| c.doubtful, met: ("trust", "low") };
pub(super) const MEASURES: [Measure; 5] = [FIRST_AI, SETTLED, ASKED, HONOURED, DOUBTFUL];

/// The groups of the dashboard.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) all: Counts,
    pub(super) by_handler: BTreeMap<&'static str, Counts>,
    pub(super) by_issue: BTreeMap<u16, Counts>,
    pub(super) by_queue: BTreeMap<u16, Counts>,
    pub(super) by_week: BTreeMap<i64, [Counts; 2]>,
    pub(super) outcomes: BTreeMap<&'static str, usize>,
}

pub(super) fn groups<'a>(rows: impl Iterator<Item = &'a Row>, limits: TrustLimits) -> Groups {
    let mut groups = Groups::default();
    for row in rows {
        groups.all.add(row, limits);
        groups.by_handler.entry(row.first.map_or("", Handler::as_str)).or_default().add(row, limits);
        groups.by_issue.entry(row.issue).or_default().add(row, limits);
        groups.by_queue.entry(row.queue).or_default().add(row, limits);
        *groups.outcomes.entry(row.outcome.as_str()).or_default() += 1;
        if let (Some(at), Some(first)) = (row.started_ms, row.first) {
            // Weeks begin on Monday; 1970 began on a Thursday.
            let week = (at + 3 * 86_400_000).div_euclid(WEEK_MS);
            groups.by_week.entry(week).or_default()[usize::from(first != Handler::Ai)].add(row, limits);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::row;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I: 81 of 263.
        let (low, high) = Share { of: 263, met: 81 }.interval();
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        assert_eq!(Share::default().interval(), (0.0, 1.0));
    }

    #[test]
    fn the_interval_of_a_mean_shrinks_with_the_calls() {
        let limits = TrustLimits::default();
        let of = |calls: usize| {
            let mut counts = Counts::default();
            (0..calls).for_each(|i| {
                counts.add(&Row { sentiment: if i % 2 == 0 { 1.0 } else { -1.0 }, ..row("a") }, limits);
            });
            counts.sentiment()
        };
        assert_eq!((of(0), of(4)), (None, Some((0.0, -5.0, 5.0))));
        let (mean, low, high) = of(100).unwrap();
        // Standard deviation 1.00504 of 100: 1.95996 x 0.100504.
        assert!(
            mean.abs() < 1e-12 && (high - 0.19698).abs() < 1e-4 && (low + high).abs() < 1e-12,
            "{low} {high}"
        );
    }

    #[test]
    fn groups_count_every_call_once() {
        let rows = [
            Row {
                first: Some(Handler::Ai),
                started_ms: Some(0),
                requests: 1,
                honoured: Some(false),
                ..row("a")
            },
            Row {
                first: Some(Handler::Human),
                started_ms: Some(5 * 86_400_000),
                outcome: Outcome::Resolved,
                ..row("b")
            },
            row("c"),
        ];
        let groups = groups(rows.iter(), TrustLimits::default());
        assert_eq!(groups.all.calls, 3);
        assert_eq!((groups.all.ai, groups.all.honoured), (Share { of: 2, met: 1 }, Share { of: 1, met: 0 }));
        // Thursday and the Tuesday after it are in two weeks.
        assert_eq!(groups.by_week.len(), 2);
        assert_eq!(groups.outcomes.values().sum::<usize>(), 3);
    }
}
