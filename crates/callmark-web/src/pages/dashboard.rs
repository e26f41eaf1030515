//! The dashboard: shares, requests, outcomes, sentiment, trust and throughput, over time and by segment. Every number leads to
//! the calls behind it; behind every picture there is a table.

use super::layout::page;
use super::queue::{Parameters, read_filter};
use super::svg::{Bar, Line, bars, lines};
use crate::access::Caller;
use crate::app::App;
use crate::catalogue::{Filter, Names, Row};
use crate::error::WebError;
use crate::report::{Report, Reports};
use crate::text;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use callmark_compare::stats::distributions::normal_critical;
use callmark_compare::stats::proportion::wilson;
use callmark_types::{Handler, Outcome};
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Level of intervals.
const LEVEL: f64 = 0.95;
/// A mean of fewer calls has no interval that could be trusted.
const LEAST_SCORED: usize = 10;
/// Segments that are shown.
const MOST_SEGMENTS: usize = 12;
/// Weeks that are shown, the newest.
const MOST_WEEKS: i64 = 104;
const WEEK_MS: i64 = 7 * 86_400_000;

/// A count of many, and its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    of: usize,
    met: usize,
}

impl Share {
    fn add(&mut self, met: bool) {
        self.of += 1;
        self.met += usize::from(met);
    }

    fn value(self) -> f64 {
        self.met as f64 / self.of.max(1) as f64
    }

    /// Wilson's interval; everything where there are no calls.
    fn interval(self) -> (f64, f64) {
        wilson(self.met as f64, self.of as f64, LEVEL).map_or((0.0, 1.0), |share| (share.low, share.high))
    }

    fn shown(self) -> String {
        if self.of == 0 {
            "no calls".to_owned()
        } else {
            format!("{} of {}", text::percent(self.value()), text::count(self.of))
        }
    }
}

/// What is counted of a group of calls.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counts {
    calls: usize,
    ai: Share,
    settled: Share,
    asked: Share,
    honoured: Share,
    doubtful: Share,
    sentiment: f64,
    sentiment_squares: f64,
    scored: usize,
    minutes: f64,
}

impl Counts {
    fn add(&mut self, row: &Row, limits: callmark_query::TrustLimits) {
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
    fn sentiment(&self) -> Option<Point> {
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

/// The groups of the dashboard.
#[derive(Debug, Default)]
struct Groups {
    all: Counts,
    by_handler: BTreeMap<&'static str, Counts>,
    by_issue: BTreeMap<u16, Counts>,
    by_queue: BTreeMap<u16, Counts>,
    by_week: BTreeMap<i64, [Counts; 2]>,
    outcomes: BTreeMap<&'static str, usize>,
}

fn groups<'a>(rows: impl Iterator<Item = &'a Row>, limits: callmark_query::TrustLimits) -> Groups {
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

pub(crate) async fn dashboard_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Html<String>, WebError> {
    let filter = read_filter(&parameters)?;
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let (of, limits, asked) = (Arc::clone(&catalogue), app.options.limits, filter.clone());
    let made = tokio::task::spawn_blocking(move || {
        groups(asked.rows(&of, &sets, limits).map(|(_, row)| row), limits)
    });
    let groups = made.await.map_err(|e| WebError::Internal(e.to_string()))?;
    let done = app.reviews.done_calls(None).await?.len();
    let content = html! {
        h1 { "Dashboard" }
        p {
            "Of " a href={ "/calls?" (filter.query()) } { (text::count(groups.all.calls)) " calls" }
            @if !filter.given.is_empty() { " that meet " strong { (filter.query()) } ", " a href="/dashboard" { "of all" } }
            "; " a href="/calls?reviewed=yes" { (text::count(done)) " reviewed" } ". Intervals are Wilson's, 95 %. These are raw shares: "
            a href="/report" { "AI and people" } " compares like with like."
        }
        @if groups.all.calls == 0 { p.empty { "No call meets these conditions." } }
        @else {
            (tiles(&filter, &groups.all))
            (by_handler(&filter, &groups))
            (outcomes(&filter, &groups))
            (over_time(&groups))
            (segments(&filter, "Issue", "issue", &groups.by_issue, &catalogue.issues))
            (segments(&filter, "Queue", "queue", &groups.by_queue, &catalogue.queues))
        }
    };
    Ok(page(&caller, "/dashboard", "Dashboard", &content))
}

fn tiles(filter: &Filter, all: &Counts) -> Markup {
    let tile = |title: &str, value: Markup, with: (&str, &str)| {
        html! {
            li { a href={ "/calls?" (filter.query_with(with.0, with.1)) } { span.title { (title) } span.value { (value) } } }
        }
    };
    let share = |share: Share| {
        let (low, high) = share.interval();
        html! {
            @if share.of == 0 { "none" } @else {
                (text::percent(share.value())) small { (text::percent(low)) " to " (text::percent(high)) " · of " (text::count(share.of)) }
            }
        }
    };
    html! {
        ul.tiles {
            (tile("First taken by AI", share(all.ai), ("handler", "ai")))
            (tile("Settled", share(all.settled), ("outcome", "resolved,escalated_resolved")))
            (tile("Asked for a person", share(all.asked), ("asked", "yes")))
            (tile("Of those, honoured", share(all.honoured), ("honoured", "yes")))
            (tile("Doubtful transcripts", share(all.doubtful), ("trust", "low")))
            (tile("Customer sentiment", html! {
                @if all.scored == 0 { "not scored" } @else {
                    (format!("{:+.2}", all.sentiment / all.scored as f64)) small { "mean of " (text::count(all.scored)) " calls" }
                }
            }, ("sort", "unhappiest")))
            (tile("Talk recorded", html! { (format!("{:.0} h", all.minutes / 60.0)) small { (format!("{:.1} min a call", all.minutes / all.calls.max(1) as f64)) } }, ("sort", "longest")))
        }
    }
}

fn share_bar(filter: &Filter, label: &str, share: Share, with: &[(&str, &str)]) -> Bar {
    let mut narrowed = filter.clone();
    for (name, value) in with {
        narrowed.given.retain(|(given, _)| given != name);
        narrowed.given.push(((*name).to_owned(), (*value).to_owned()));
    }
    Bar {
        label: label.to_owned(),
        share: share.value(),
        shown: share.shown(),
        address: format!("/calls?{}", narrowed.query()),
        interval: (share.of > 0).then(|| share.interval()),
        class: match with.first() {
            Some(("handler", "ai")) => "ai",
            Some(("handler", "human")) => "human",
            Some(("handler", "ivr")) => "ivr",
            _ => "plain",
        },
    }
}

/// A picture with the table that it is made of.
fn chart(title: &str, bar_list: &[Bar]) -> Markup {
    html! {
        section.card.chart {
            h2 { (title) }
            (bars(title, bar_list))
            details {
                summary { "As a table" }
                table {
                    thead { tr { th scope="col" { (title) } th scope="col" { "Share" } th scope="col" { "95 % interval" } } }
                    tbody {
                        @for bar in bar_list {
                            tr {
                                th scope="row" { a href=(bar.address) { (bar.label) } }
                                td.number { (bar.shown) }
                                td.number { @if let Some((low, high)) = bar.interval { (text::percent(low)) " to " (text::percent(high)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn by_handler(filter: &Filter, groups: &Groups) -> Markup {
    let names = [("ai", "AI"), ("human", "a person"), ("ivr", "a menu")];
    let of = |value: fn(&Counts) -> Share, with: &'static (&'static str, &'static str)| -> Vec<Bar> {
        let there = names.iter().filter_map(|(key, name)| Some((*key, *name, groups.by_handler.get(key)?)));
        there
            .map(|(key, name, counts)| share_bar(filter, name, value(counts), &[("handler", key), *with]))
            .collect()
    };
    html! {
        div.charts {
            (chart("Settled, by who took the call", &of(|c| c.settled, &("outcome", "resolved,escalated_resolved"))))
            (chart("Asked for a person", &of(|c| c.asked, &("asked", "yes"))))
            (chart("Requests honoured", &of(|c| c.honoured, &("honoured", "yes"))))
            (chart("Doubtful transcripts", &of(|c| c.doubtful, &("trust", "low"))))
        }
    }
}

fn outcomes(filter: &Filter, groups: &Groups) -> Markup {
    let bars: Vec<Bar> = groups
        .outcomes
        .iter()
        .map(|(outcome, met)| {
            share_bar(
                filter,
                &text::words(outcome),
                Share { of: groups.all.calls, met: *met },
                &[("outcome", outcome)],
            )
        })
        .collect();
    chart("Outcomes", &bars)
}

/// Value of a week, and its interval.
type Point = (f64, f64, f64);

/// The weeks that are shown, and who took their calls first: AI, or a person or a menu.
struct Weeks<'a> {
    first: i64,
    last: i64,
    counts: Vec<(i64, &'a [Counts; 2])>,
}

impl Weeks<'_> {
    fn day(week: i64) -> String {
        text::minute(week * WEEK_MS - 3 * 86_400_000).chars().take(10).collect()
    }

    /// A picture of each week's value, with its table; `point` gives nothing where there is nothing to measure.
    fn chart(
        &self,
        title: &str,
        scale: (f64, f64),
        shown: impl Fn(f64) -> String,
        point: impl Fn(&Counts) -> Option<Point>,
        cell: impl Fn(&Counts) -> String,
    ) -> Markup {
        let line = |arm: usize, name: &str, class| Line {
            name: name.to_owned(),
            class,
            points: (self.counts.iter())
                .filter_map(|(week, arms)| {
                    let (value, low, high) = point(&arms[arm])?;
                    Some(((week - self.first) as f64, value, low, high))
                })
                .collect(),
        };
        let of = [line(0, "AI", "ai"), line(1, "person or menu", "human")];
        let marks = [(0.0, Self::day(self.first)), ((self.last - self.first) as f64, Self::day(self.last))];
        html! {
            section.card.chart {
                h2 { (title) ", week by week" }
                (lines(title, &of, scale, shown, &marks))
                details {
                    summary { "As a table" }
                    table {
                        thead { tr { th scope="col" { "Week from" } th scope="col" { "AI" } th scope="col" { "Person or menu" } } }
                        tbody {
                            @for (week, arms) in &self.counts {
                                tr {
                                    th scope="row" { a href={ "/calls?from=" (Self::day(*week)) "&until=" (Self::day(*week + 1)) } { (Self::day(*week)) } }
                                    td.number { (cell(&arms[0])) }
                                    td.number { (cell(&arms[1])) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn share_chart(&self, title: &str, value: fn(&Counts) -> Share) -> Markup {
        let point = |counts: &Counts| {
            let share = value(counts);
            let (low, high) = share.interval();
            (share.of > 0).then(|| (share.value(), low, high))
        };
        self.chart(title, (0.0, 1.0), text::percent, point, |counts| value(counts).shown())
    }
}

fn over_time(groups: &Groups) -> Markup {
    let Some(last) = groups.by_week.keys().next_back().copied() else { return html! {} };
    let first = groups.by_week.keys().next().copied().unwrap_or(last).max(last - MOST_WEEKS);
    if last == first {
        return html! {};
    }
    let counts: Vec<_> = groups.by_week.range(first..=last).map(|(week, arms)| (*week, arms)).collect();
    let most = counts.iter().flat_map(|(_, arms)| arms.iter().map(|arm| arm.calls)).max().unwrap_or(1);
    let weeks = Weeks { first, last, counts };
    let calls = |counts: &Counts| {
        let calls = counts.calls as f64;
        Some((calls, calls, calls))
    };
    let mood =
        |counts: &Counts| counts.sentiment().map_or_else(String::new, |(mean, ..)| format!("{mean:+.2}"));
    html! {
        div.charts {
            (weeks.share_chart("Settled", |c| c.settled))
            (weeks.share_chart("Asked for a person", |c| c.asked))
            (weeks.share_chart("Requests honoured", |c| c.honoured))
            (weeks.share_chart("Doubtful transcripts", |c| c.doubtful))
            (weeks.chart("Customer sentiment", (-5.0, 5.0), |value| format!("{value:+.1}"), Counts::sentiment, mood))
            (weeks.chart("Calls", (0.0, most as f64), |value| text::count(value as usize), calls, |c| text::count(c.calls)))
        }
    }
}

fn segments(
    filter: &Filter,
    title: &str,
    parameter: &'static str,
    by: &BTreeMap<u16, Counts>,
    names: &Names,
) -> Markup {
    let mut rows: Vec<(&str, &Counts)> =
        by.iter().filter_map(|(number, counts)| Some((names.name(*number)?, counts))).collect();
    rows.sort_by_key(|(name, counts)| (std::cmp::Reverse(counts.calls), *name));
    if rows.is_empty() {
        return html! {};
    }
    html! {
        section.card {
            h2 { "By " (title.to_lowercase()) }
            div.scroll tabindex="0" role="region" aria-label={ "By " (title.to_lowercase()) } {
                table.numbers {
                    thead { tr { @for head in [title, "Calls", "First AI", "Settled", "Asked for a person", "Honoured", "Sentiment"] { th scope="col" { (head) } } } }
                    tbody {
                        @for (name, counts) in rows.iter().take(MOST_SEGMENTS) {
                            tr {
                                th scope="row" { a href={ "/calls?" (filter.query_with(parameter, name)) } { (name) } }
                                td.number { (text::count(counts.calls)) }
                                td.number { (text::percent(counts.ai.value())) }
                                td.number { (text::percent(counts.settled.value())) }
                                td.number { (text::percent(counts.asked.value())) }
                                td.number { @if counts.honoured.of > 0 { (counts.honoured.shown()) } }
                                td.number { @if counts.scored > 0 { (format!("{:+.2}", counts.sentiment / counts.scored as f64)) } }
                            }
                        }
                    }
                }
            }
            @if rows.len() > MOST_SEGMENTS { p.muted { "The largest " (MOST_SEGMENTS) " of " (rows.len()) "." } }
        }
    }
}

async fn report(app: &Arc<App>) -> Result<Report, WebError> {
    let state = format!("{} {}", app.catalogue().rows.len(), app.reviews.revision().await?);
    Ok(Reports::of(app, &state))
}

pub(crate) async fn report_page(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Html<String>, WebError> {
    let content = match report(&app).await? {
        Report::Made(_) => html! {
            h1.sr { "AI and people" }
            iframe.report src="/report.html" title="The comparison of AI and people" {}
            p { a href="/report.html" { "The report alone" } }
        },
        Report::Making => html! {
            h1 { "AI and people" }
            p.note data-reload="3" role="status" { "The comparison is being made; this page shows it when it is there." }
            noscript { p { a href="/report" { "Look again" } } }
        },
        Report::Failed(reason) => html! {
            h1 { "AI and people" }
            p.error { "The comparison cannot be made: " (reason) "." }
        },
    };
    Ok(page(&caller, "/report", "AI and people", &content))
}

/// The report as `callmark compare --html` writes it. It has no script, and its styles are in it.
pub(crate) async fn report_itself(
    State(app): State<Arc<App>>,
    _caller: Caller,
) -> Result<Response, WebError> {
    let Report::Made(text) = report(&app).await? else { return Err(WebError::NotFound("report yet")) };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
        ),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    Ok((headers, text.to_string()).into_response())
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
        let limits = callmark_query::TrustLimits::default();
        let of = |calls: usize| {
            let mut counts = Counts::default();
            (0..calls).for_each(|i| {
                counts.add(&Row { sentiment: if i % 2 == 0 { 1.0 } else { -1.0 }, ..row("a") }, limits)
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
        let groups = groups(rows.iter(), callmark_query::TrustLimits::default());
        assert_eq!(groups.all.calls, 3);
        assert_eq!((groups.all.ai, groups.all.honoured), (Share { of: 2, met: 1 }, Share { of: 1, met: 0 }));
        // Thursday and the Tuesday after it are in two weeks.
        assert_eq!(groups.by_week.len(), 2);
        assert_eq!(groups.outcomes.values().sum::<usize>(), 3);
    }
}
