//! The queue: which calls there are, narrowed and ordered by the address; saved views; the same as CSV.

use super::layout::{csrf, page};
use crate::access::{Caller, Posted};
use crate::app::App;
use crate::catalogue::{self, Catalogue, Cursor, Filter, NONE, Names, Page, Row, Sort, as_listed};
use crate::error::WebError;
use crate::reviews::{Role, SavedView};
use crate::text;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

/// Calls on one page.
const PAGE: usize = 50;
/// Rows of a CSV file that are made at a time.
const CSV_STEP: usize = 5_000;

pub(crate) type Parameters = Query<Vec<(String, String)>>;

pub(crate) fn read_filter(parameters: &[(String, String)]) -> Result<Filter, WebError> {
    Ok(Filter::parse(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))?)
}

pub(crate) async fn queue_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Html<String>, WebError> {
    let filter = read_filter(&parameters)?;
    let after = parameters.iter().find(|(name, _)| name == "after");
    let after = after.map(|(_, text)| {
        Cursor::parse(text)
            .ok_or_else(|| WebError::BadRequest("parameter after: is no place in the list".to_owned()))
    });
    let after = after.transpose()?;
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let found = catalogue::page(&catalogue, &filter, &sets, app.options.limits, after, PAGE);
    let ids: Vec<&str> = found.rows.iter().map(|row| &*catalogue.rows[*row as usize].id).collect();
    let done = app.reviews.done_by(&ids).await?;
    let views = app.reviews.views(&caller.user).await?;
    let content = html! {
        h1.sr { "Calls" }
        (new_calls(&app, &catalogue))
        (saved_views(&caller, &views, &filter))
        (filter_form(&catalogue, &filter))
        (count_line(&caller, &catalogue, &filter, &found))
        @if found.rows.is_empty() { (nothing(&catalogue, &filter)) }
        @else { (table(&app, &catalogue, &filter, &found, &done)) }
        @if after.is_some() { p { a href={ "/calls?" (filter.query()) } { "First page" } } }
        @if let Some(next) = found.next {
            p.pager { a.button href={ "/calls?" (filter.query()) "&after=" (next) } rel="next" { "Next " (PAGE) } }
        }
    };
    Ok(page(&caller, "/calls", "Calls", &content))
}

/// What the page's script looks at to tell of new calls; and what is wrong.
fn new_calls(app: &App, catalogue: &Catalogue) -> Markup {
    let (indexed, all) = (app.search.calls(), catalogue.rows.len());
    html! {
        div id="new-calls" data-calls=(all) {}
        @if let Some(trouble) = app.trouble() { p.error role="alert" { (trouble) } }
        @if indexed < all {
            p.note { "The search index is being made: words are looked for in " (text::count(indexed)) " of " (text::count(all)) " calls." }
        }
    }
}

fn saved_views(caller: &Caller, views: &[SavedView], filter: &Filter) -> Markup {
    html! {
        div.views {
            a href="/calls" { "All calls" }
            a href="/calls?asked=yes&honoured=no" { "Asked for a person, not honoured" }
            a href="/calls?trust=low&sort=least_sure" { "Doubtful transcripts" }
            a href="/calls?assigned=me&reviewed=not_mine" { "Mine to review" }
            @for view in views {
                span.view {
                    a href={ "/calls?" (view.query) } { (view.name) }
                    form method="post" action="/views/delete" {
                        (csrf(caller))
                        input type="hidden" name="view" value=(view.view_id);
                        button.cross aria-label={ "Delete the view " (view.name) } { "×" }
                    }
                }
            }
            @if !filter.given.is_empty() {
                details.save {
                    summary { "Save this view" }
                    form.row method="post" action="/views" {
                        (csrf(caller))
                        input type="hidden" name="query" value=(filter.query());
                        label { "Name" input name="name" required maxlength="100"; }
                        button { "Save" }
                    }
                }
            }
        }
    }
}

fn options<V: AsRef<str>>(filter: &Filter, name: &str, any: &str, values: &[(V, &str)]) -> Markup {
    let chosen = filter.given(name);
    let is_listed = chosen.is_empty() || values.iter().any(|(value, _)| value.as_ref() == chosen);
    html! {
        select name=(name) {
            option value="" { (any) }
            @for (value, shown) in values {
                option value=(value.as_ref()) selected[value.as_ref() == chosen] { (shown) }
            }
            @if !is_listed { option value=(chosen) selected { (chosen) } }
        }
    }
}

/// Names of the dataset as a list offers them.
fn names(of: &Names) -> Vec<(String, &str)> {
    of.sorted().into_iter().map(|name| (as_listed(name), name)).collect()
}

const OUTCOMES: [(&str, &str); 6] = [
    ("resolved", "resolved"),
    ("escalated_resolved", "escalated, resolved"),
    ("transferred", "transferred"),
    ("unresolved", "unresolved"),
    ("abandoned", "abandoned"),
    ("unknown", "unknown"),
];
const HANDLERS: [(&str, &str); 3] = [("ai", "AI"), ("human", "a person"), ("ivr", "a menu")];
const YES_NO: [(&str, &str); 2] = [("yes", "yes"), ("no", "no")];

fn filter_form(catalogue: &Catalogue, filter: &Filter) -> Markup {
    let sorts: Vec<(&str, &str)> =
        Sort::ALL.into_iter().skip(1).map(|(_, name, shown)| (name, shown)).collect();
    let more = [
        "last",
        "language",
        "deflected",
        "sentiment_below",
        "sentiment_above",
        "longer",
        "trust",
        "from",
        "until",
        "found",
        "reviewed",
        "assigned",
        "sample",
    ];
    let is_open = more.iter().any(|name| !filter.given(name).is_empty());
    let field = |name: &'static str, label: &'static str, kind: &'static str| {
        html! {
            label { (label) input type=(kind) name=(name) value=(filter.given(name)) step=[(kind == "number").then_some("any")]; }
        }
    };
    html! {
        search {
            form.filters method="get" action="/calls" id="filters" {
                // Further conditions on the same thing, as the dashboard's links have them.
                @for (at, (name, value)) in filter.given.iter().enumerate() {
                    @if filter.given[..at].iter().any(|(earlier, _)| earlier == name) { input type="hidden" name=(name) value=(value); }
                }
                div.bar {
                    label.grow { "Words said or written"
                        input type="search" name="q" value=(filter.given("q")) placeholder="refund -voucher \"speak to someone\""; }
                    label { "First taken by" (options(filter, "handler", "anyone", &HANDLERS)) }
                    label { "Queue" (options(filter, "queue", "any", &names(&catalogue.queues))) }
                    label { "Issue" (options(filter, "issue", "any", &names(&catalogue.issues))) }
                    label { "Outcome" (options(filter, "outcome", "any", &OUTCOMES)) }
                    label { "Asked for a person" (options(filter, "asked", "either", &YES_NO)) }
                    label { "Heard one" (options(filter, "honoured", "either", &YES_NO)) }
                    label { "Order" (options(filter, "sort", "newest first", &sorts)) }
                    button { "Show" }
                }
                details open[is_open] {
                    summary { "More conditions" }
                    div.bar {
                        label { "Last had by" (options(filter, "last", "anyone", &HANDLERS)) }
                        label { "Language" (options(filter, "language", "any", &names(&catalogue.languages))) }
                        label { "Request deflected" (options(filter, "deflected", "either", &YES_NO)) }
                        label { "Transcript" (options(filter, "trust", "any", &[("low", "doubtful"), ("ok", "trusted")])) }
                        label { "Reviewed" (options(filter, "reviewed", "either", &[("yes", "yes"), ("no", "no"), ("mine", "by me"), ("not_mine", "not by me")])) }
                        (field("sentiment_below", "Sentiment below", "number"))
                        (field("sentiment_above", "Sentiment above", "number"))
                        (field("longer", "At least, seconds", "number"))
                        (field("from", "From (UTC)", "date"))
                        (field("until", "Before", "date"))
                        (field("found", "Event or rule that fired", "text"))
                        (field("assigned", "Assigned to (me, or a name)", "text"))
                        (field("sample", "Sample", "text"))
                    }
                }
            }
        }
    }
}

fn count_line(caller: &Caller, catalogue: &Catalogue, filter: &Filter, found: &Page) -> Markup {
    html! {
        div.count {
            p { strong { (text::count(found.total)) } " of " (text::count(catalogue.rows.len())) " calls" }
            @if found.total > 0 {
                a href={ "/calls.csv?" (filter.query()) } download { "CSV" }
                @if caller.user.role >= Role::Lead {
                    a href={ "/samples?" (filter.query()) "#draw" } { "Draw a sample of these" }
                }
            }
        }
    }
}

fn nothing(catalogue: &Catalogue, filter: &Filter) -> Markup {
    html! {
        div.empty {
            @if catalogue.rows.is_empty() {
                p { "No calls yet. They appear here as they are scored." }
            } @else {
                p { "No call meets all of these conditions." }
                ul {
                    @for (name, value) in filter.given.iter().filter(|(name, _)| name != "sort") {
                        li { a href={ "/calls?" (filter.query_with(name, "")) } { "Without " strong { (text::words(name)) " " (value) } } }
                    }
                }
            }
        }
    }
}

fn table(
    app: &App,
    catalogue: &Catalogue,
    filter: &Filter,
    found: &Page,
    done: &HashMap<String, Vec<String>>,
) -> Markup {
    let query = filter.query();
    html! {
        div.scroll tabindex="0" role="region" aria-label="Calls" {
            table.calls {
                thead {
                    tr {
                        @for title in ["Began (UTC)", "Call", "Handled by", "About", "Length", "Customer", "Asked for a person", "Outcome", "Transcript", "Reviewed by"] {
                            th scope="col" { (title) }
                        }
                    }
                }
                tbody {
                    @for number in &found.rows {
                        @let row = &catalogue.rows[*number as usize];
                        (table_row(app, catalogue, row, &query, done.get(&*row.id)))
                    }
                }
            }
        }
    }
}

fn table_row(app: &App, catalogue: &Catalogue, row: &Row, query: &str, done: Option<&Vec<String>>) -> Markup {
    let address = format!("/calls/{}?queue={}", text::percent_encode(&row.id), text::percent_encode(query));
    let about = [catalogue.issues.name(row.issue), catalogue.queues.name(row.queue)];
    html! {
        tr {
            td data-label="Began" { (row.started_ms.map_or_else(|| "not known".to_owned(), text::minute)) }
            th scope="row" { a href=(address) { (row.id) } }
            td data-label="Handled by" { (handlers(row)) }
            td data-label="About" { (about.into_iter().flatten().collect::<Vec<_>>().join(" · ")) }
            td.number data-label="Length" { (if row.duration_ms == NONE { String::new() } else { text::clock(i64::from(row.duration_ms)) }) }
            td.number data-label="Customer" { (mood(row.sentiment)) }
            td data-label="Asked for a person" { (request(row)) }
            td data-label="Outcome" { span class={ "chip outcome-" (row.outcome.as_str()) } { (text::words(row.outcome.as_str())) } }
            td data-label="Transcript" { @if row.is_doubtful(app.options.limits) { span.chip.warn { "doubtful" } } }
            td data-label="Reviewed by" { (done.map(|names| names.join(", ")).unwrap_or_default()) }
        }
    }
}

fn handlers(row: &Row) -> Markup {
    let name = |handler: callmark_types::Handler| match handler.as_str() {
        "ai" => "AI",
        "human" => "person",
        "ivr" => "menu",
        other => other,
    };
    html! {
        @if let Some(first) = row.first { span class={ "chip handler-" (first.as_str()) } { (name(first)) } }
        @if let Some(last) = row.last.filter(|last| Some(*last) != row.first) {
            " → " span class={ "chip handler-" (last.as_str()) } { (name(last)) }
        }
    }
}

/// A sentiment score with a word for those who do not see its colour.
pub(crate) fn mood(score: f32) -> Markup {
    let (class, word) = match score {
        s if s.is_nan() => return html! {},
        s if s <= -0.5 => ("bad", "unhappy"),
        s if s >= 0.5 => ("good", "content"),
        _ => ("neutral", "neither"),
    };
    // Nothing is said by a minus before zero.
    let shown = format!("{score:+.1}").replace("-0.0", "0.0").replace("+0.0", "0.0");
    html! { span class={ "mood " (class) } title=(word) { (shown) span.sr { " " (word) } } }
}

fn request(row: &Row) -> Markup {
    html! {
        @match (row.requests, row.honoured) {
            (0, None) => {}
            (0, Some(false)) => { "accepted the offer " span.chip.bad { "not honoured" } }
            (0, Some(true)) => {
                "accepted the offer " span.chip.good { "honoured" }
                @if row.time_to_human_ms != NONE { " after " (text::clock(i64::from(row.time_to_human_ms))) }
            }
            (count, Some(false)) => { span.chip.bad { "not honoured" } @if count > 1 { " " (count) "×" } }
            (count, Some(true)) => {
                span.chip.good { "honoured" }
                @if row.time_to_human_ms != NONE { " after " (text::clock(i64::from(row.time_to_human_ms))) }
                @if count > 1 { " " (count) "×" }
            }
            (count, None) => { "asked" @if count > 1 { " " (count) "×" } }
        }
        @if row.deflections > 0 { " " span.chip.warn { "deflected" } }
    }
}

pub(crate) async fn save_view(State(app): State<Arc<App>>, posted: Posted) -> Result<Redirect, WebError> {
    let query = posted.fields.get("query");
    let filter = Filter::parse_query(query)?;
    app.reviews.save_view(&posted.caller.user, posted.fields.get("name"), &filter.query()).await?;
    Ok(Redirect::to(&format!("/calls?{}", filter.query())))
}

pub(crate) async fn delete_view(State(app): State<Arc<App>>, posted: Posted) -> Result<Redirect, WebError> {
    app.reviews.delete_view(&posted.caller.user, posted.fields.get("view")).await?;
    Ok(Redirect::to("/calls"))
}

pub(crate) async fn calls_csv(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Response, WebError> {
    let filter = read_filter(&parameters)?;
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    app.reviews.audit(Some(&caller.user), "csv", None, Some(&filter.query())).await?;
    let limits = app.options.limits;
    let all = tokio::task::spawn_blocking(move || {
        let page = catalogue::page(&catalogue, &filter, &sets, limits, None, catalogue.rows.len());
        (catalogue, page.rows)
    });
    let (catalogue, rows) = all.await.map_err(|e| WebError::Internal(e.to_string()))?;
    // Made as it is sent: a million lines are never in memory at once.
    let steps = (0..=rows.len().div_ceil(CSV_STEP)).map(move |step| -> Result<Bytes, Infallible> {
        let Some(step) = step.checked_sub(1) else { return Ok(Bytes::from_static(CSV_HEAD.as_bytes())) };
        let part = &rows[step * CSV_STEP..((step + 1) * CSV_STEP).min(rows.len())];
        Ok(part
            .iter()
            .map(|row| csv_line(&catalogue, &catalogue.rows[*row as usize]))
            .collect::<String>()
            .into())
    });
    let body = Body::from_stream(futures::stream::iter(steps));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"calls.csv\""),
    ];
    Ok((headers, body).into_response())
}

const CSV_HEAD: &str = "call_id,started_at,first_handler,final_handler,queue,issue_type,language,\
    total_conversation_duration_ms,sentiment_overall_score_customer,human_request_count,human_request_honoured,\
    time_to_human_ms,deflection_count,outcome,resolution_confidence,asr_confidence,hallucination_risk\r\n";

fn csv_line(catalogue: &Catalogue, row: &Row) -> String {
    let whole = |value: i32| if value == NONE { String::new() } else { value.to_string() };
    let part = |value: f32| if value.is_nan() { String::new() } else { value.to_string() };
    let started = row.started_ms.and_then(callmark_types::Timestamp::from_epoch_millis);
    let cells = [
        row.id.to_string(),
        started.map(|time| time.to_string()).unwrap_or_default(),
        row.first.map(|h| h.as_str().to_owned()).unwrap_or_default(),
        row.last.map(|h| h.as_str().to_owned()).unwrap_or_default(),
        catalogue.queues.name(row.queue).unwrap_or_default().to_owned(),
        catalogue.issues.name(row.issue).unwrap_or_default().to_owned(),
        catalogue.languages.name(row.language).unwrap_or_default().to_owned(),
        whole(row.duration_ms),
        part(row.sentiment),
        row.requests.to_string(),
        row.honoured.map(|yes| yes.to_string()).unwrap_or_default(),
        whole(row.time_to_human_ms),
        row.deflections.to_string(),
        row.outcome.as_str().to_owned(),
        part(row.resolution_confidence),
        part(row.asr_confidence),
        part(row.risk),
    ];
    let mut line = String::new();
    for (at, cell) in cells.iter().enumerate() {
        let _ = write!(line, "{}{}", if at > 0 { "," } else { "" }, csv_cell(cell));
    }
    line + "\r\n"
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection); numbers stay numbers.
fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(
            (csv_cell("=1+1"), csv_cell("-1.5"), csv_cell("@x")),
            ("'=1+1".into(), "-1.5".into(), "'@x".into())
        );
    }
}
