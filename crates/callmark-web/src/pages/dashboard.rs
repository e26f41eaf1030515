//! The dashboard: shares, requests, outcomes, sentiment, trust and throughput, over time and by segment. Every number leads to
//! the calls behind it; behind every picture there is a table.

use super::counts::{
    ASKED, Counts, DOUBTFUL, Groups, HONOURED, MEASURES, Measure, Point, SETTLED, Share, WEEK_MS, groups,
};
use super::layout::page;
use super::queue::{Parameters, read_filter};
use super::svg::{Bar, Line, bars, lines};
use crate::access::Caller;
use crate::app::App;
use crate::catalogue::{Filter, Names, as_listed};
use crate::error::WebError;
use crate::report::{Report, Reports};
use crate::text;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Segments that are shown.
const MOST_SEGMENTS: usize = 12;
/// Weeks that are shown, the newest.
const MOST_WEEKS: i64 = 104;

pub(crate) async fn dashboard_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Html<String>, WebError> {
    let filter = read_filter(&parameters)?;
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let (of, limits, asked) = (Arc::clone(&catalogue), app.options.limits, filter.clone());
    let done = app.reviews.done_calls(None).await?;
    let made = tokio::task::spawn_blocking(move || {
        let mut reviewed = 0;
        let rows = asked.rows(&of, &sets, limits).map(|(_, row)| row);
        let groups = groups(rows.inspect(|row| reviewed += usize::from(done.contains(&*row.id))), limits);
        (groups, reviewed)
    });
    let (groups, reviewed) = made.await.map_err(|e| WebError::Internal(e.to_string()))?;
    let content = html! {
        h1 { "Dashboard" }
        p {
            "Of " a href={ "/calls?" (filter.query()) } { (text::count(groups.all.calls)) " calls" }
            @if !filter.given.is_empty() { " that meet " strong { (filter.query()) } ", " a href="/dashboard" { "of all" } }
            "; " a href={ "/calls?" (filter.query_and(&[("reviewed", "yes")])) } { (text::count(reviewed)) " reviewed" } ". Intervals are Wilson's, 95 %. These are raw shares: "
            a href="/report" { "AI and people" } " compares like with like."
        }
        @if groups.all.calls == 0 { p.empty { "No call meets these conditions." } }
        @else {
            (tiles(&filter, &groups.all))
            (by_handler(&filter, &groups))
            (outcomes(&filter, &groups))
            (over_time(&filter, &groups))
            (segments(&filter, ("Issue", "issue"), &groups.by_issue, &catalogue.issues))
            (segments(&filter, ("Queue", "queue"), &groups.by_queue, &catalogue.queues))
        }
    };
    Ok(page(&caller, "/dashboard", "Dashboard", &content))
}

fn tiles(filter: &Filter, all: &Counts) -> Markup {
    let tile = |title: &str, value: Markup, address: String| {
        html! { li { a href={ "/calls?" (address) } { span.title { (title) } span.value { (value) } } } }
    };
    let share = |share: Share| {
        let (low, high) = share.interval();
        html! {
            @if share.of == 0 { "none" } @else {
                (text::percent(share.value())) small { (text::percent(low)) " to " (text::percent(high)) " · of " (text::count(share.of)) }
            }
        }
    };
    let mood = html! {
        @if let Some((mean, ..)) = all.sentiment() {
            (format!("{mean:+.2}")) small { "mean of " (text::count(all.scored)) " calls" }
        } @else { "not scored" }
    };
    let talk = html! {
        @if all.minutes < 600.0 { (format!("{:.0} min", all.minutes)) } @else { (format!("{:.0} h", all.minutes / 60.0)) }
        small { (format!("{:.1} min a call", all.minutes / all.calls.max(1) as f64)) }
    };
    html! {
        ul.tiles {
            @for measure in MEASURES { (tile(measure.title, share((measure.share)(all)), filter.query_and(&[measure.met]))) }
            (tile("Customer sentiment", mood, filter.query_with("sort", "unhappiest")))
            (tile("Recorded", talk, filter.query_with("sort", "longest")))
        }
    }
}

fn share_bar(filter: &Filter, label: &str, share: Share, with: &[(&str, &str)]) -> Bar {
    Bar {
        label: label.to_owned(),
        share: share.value(),
        shown: share.shown(),
        address: format!("/calls?{}", filter.query_and(with)),
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
            (as_table(title, &[title, "Share", "95 % interval"], &html! {
                @for bar in bar_list {
                    tr {
                        th scope="row" { (bar.label) }
                        td.number { a href=(bar.address) { (bar.shown) } }
                        td.number { @if let Some((low, high)) = bar.interval { (text::percent(low)) " to " (text::percent(high)) } }
                    }
                }
            }))
        }
    }
}

/// The numbers of a picture.
fn as_table(title: &str, heads: &[&str], rows: &Markup) -> Markup {
    html! {
        details {
            summary { "As a table" }
            div.scroll tabindex="0" role="region" aria-label={ (title) ", as a table" } {
                table {
                    thead { tr { @for head in heads { th scope="col" { (head) } } } }
                    tbody { (rows) }
                }
            }
        }
    }
}

fn by_handler(filter: &Filter, groups: &Groups) -> Markup {
    let names = [("ai", "AI"), ("human", "a person"), ("ivr", "a menu")];
    let bars = |measure: &Measure| -> Vec<Bar> {
        let there = names.iter().filter_map(|(key, name)| Some((*key, *name, groups.by_handler.get(key)?)));
        there
            .map(|(key, name, counts)| {
                share_bar(filter, name, (measure.share)(counts), &[("handler", key), measure.met])
            })
            .collect()
    };
    if names.iter().all(|(key, _)| !groups.by_handler.contains_key(key)) {
        return html! {};
    }
    html! {
        div.charts {
            @for measure in [SETTLED, ASKED, HONOURED, DOUBTFUL] {
                (chart(&format!("{}, by who took the call", measure.title), &bars(&measure)))
            }
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

/// The weeks that are shown, and who took their calls first: AI, or a person or a menu.
struct Weeks<'a> {
    filter: &'a Filter,
    first: i64,
    last: i64,
    counts: Vec<(i64, &'a [Counts; 2])>,
}

/// Who took calls first: what the lines are of.
const ARMS: [(&str, &str, &str); 2] = [("AI", "ai", "ai"), ("Person or menu", "human", "human,ivr")];

impl Weeks<'_> {
    fn day(week: i64) -> String {
        text::minute(week * WEEK_MS - 3 * 86_400_000).chars().take(10).collect()
    }

    /// The calls of a week that one of [`ARMS`] took and that meet a condition.
    fn address(&self, week: i64, arm: usize, met: Option<(&str, &str)>) -> String {
        let (from, until) = (Self::day(week), Self::day(week + 1));
        let when = [("from", from.as_str()), ("until", until.as_str()), ("handler", ARMS[arm].2)];
        let conditions: Vec<(&str, &str)> = when.into_iter().chain(met).collect();
        format!("/calls?{}", self.filter.query_and(&conditions))
    }

    /// A picture of each week's value, with its table; `point` gives nothing where there is nothing to measure.
    fn chart(
        &self,
        title: &str,
        scale: (f64, f64),
        shown: impl Fn(f64) -> String,
        point: impl Fn(&Counts) -> Option<Point>,
        (cell, met): (impl Fn(&Counts) -> String, Option<(&str, &str)>),
    ) -> Markup {
        let line = |arm: usize| Line {
            name: ARMS[arm].0.to_owned(),
            class: ARMS[arm].1,
            points: (self.counts.iter())
                .filter_map(|(week, arms)| {
                    let (value, low, high) = point(&arms[arm])?;
                    Some(((week - self.first) as f64, value, low, high))
                })
                .collect(),
        };
        let marks = [(0.0, Self::day(self.first)), ((self.last - self.first) as f64, Self::day(self.last))];
        let title = format!("{title}, week by week");
        html! {
            section.card.chart {
                h2 { (title) }
                (lines(&title, &[line(0), line(1)], scale, shown, &marks))
                (as_table(&title, &["Week from", ARMS[0].0, ARMS[1].0], &html! {
                    @for (week, arms) in &self.counts {
                        tr {
                            th scope="row" { (Self::day(*week)) }
                            @for arm in 0..2 {
                                td.number { a href=(self.address(*week, arm, met)) { (cell(&arms[arm])) } }
                            }
                        }
                    }
                }))
            }
        }
    }

    fn share_chart(&self, measure: &Measure) -> Markup {
        let point = |counts: &Counts| {
            let share = (measure.share)(counts);
            let (low, high) = share.interval();
            (share.of > 0).then(|| (share.value(), low, high))
        };
        let shown = |value: f64| format!("{:.0} %", value * 100.0);
        let cell = |counts: &Counts| (measure.share)(counts).shown();
        self.chart(measure.title, (0.0, 1.0), shown, point, (cell, Some(measure.met)))
    }
}

fn over_time(filter: &Filter, groups: &Groups) -> Markup {
    let Some(last) = groups.by_week.keys().next_back().copied() else { return html! {} };
    let first = groups.by_week.keys().next().copied().unwrap_or(last).max(last - MOST_WEEKS + 1);
    if last == first {
        return html! {};
    }
    let counts: Vec<_> = groups.by_week.range(first..=last).map(|(week, arms)| (*week, arms)).collect();
    let most = counts.iter().flat_map(|(_, arms)| arms.iter().map(|arm| arm.calls)).max().unwrap_or(1);
    let weeks = Weeks { filter, first, last, counts };
    let calls = |counts: &Counts| {
        let calls = counts.calls as f64;
        Some((calls, calls, calls))
    };
    let mood =
        |counts: &Counts| counts.sentiment().map_or_else(String::new, |(mean, ..)| format!("{mean:+.2}"));
    let count = |counts: &Counts| text::count(counts.calls);
    html! {
        div.charts {
            @for measure in [SETTLED, ASKED, HONOURED, DOUBTFUL] { (weeks.share_chart(&measure)) }
            (weeks.chart("Customer sentiment", (-5.0, 5.0), |value| format!("{value:+.1}"), Counts::sentiment, (mood, None)))
            (weeks.chart("Calls", (0.0, most as f64), |value| text::count(value as usize), calls, (count, None)))
        }
    }
}

fn segments(
    filter: &Filter,
    (title, parameter): (&str, &str),
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
                    thead {
                        tr {
                            th scope="col" { (title) }
                            th scope="col" { "Calls" }
                            @for measure in MEASURES { th scope="col" { (measure.title) } }
                            th scope="col" { "Sentiment" }
                        }
                    }
                    tbody {
                        @for (name, counts) in rows.iter().take(MOST_SEGMENTS) {
                            @let listed = as_listed(name);
                            @let this = (parameter, listed.as_str());
                            tr {
                                th scope="row" { (name) }
                                td.number { a href={ "/calls?" (filter.query_and(&[this])) } { (text::count(counts.calls)) } }
                                @for measure in MEASURES {
                                    @let share = (measure.share)(counts);
                                    td.number { @if share.of > 0 { a href={ "/calls?" (filter.query_and(&[this, measure.met])) } { (text::percent(share.value())) } } }
                                }
                                td.number { @if let Some((mean, ..)) = counts.sentiment() { (format!("{mean:+.2}")) } }
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
