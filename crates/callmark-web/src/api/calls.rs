//! Calls, their turns, events and recordings.

use super::answers::{Known, NoCall, Problem, Refused, json, only_known, parameters};
use crate::access::{Caller, Named};
use crate::app::App;
use crate::catalogue::{self, Catalogue, Cursor, Filter, NONE, PARAMETERS, Row};
use crate::error::WebError;
use crate::pages;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use callmark_store::json::{call_rows, event_rows, turn_rows};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;

/// Calls on one page, where nothing else is asked for, and at most.
const PAGE: usize = 50;
pub(super) const MOST: usize = 500;

/// A call as a row of the queue; names and units as in `calls`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallSummary {
    call_id: String,
    /// ISO 8601, UTC.
    started_at: Option<String>,
    first_handler: Option<&'static str>,
    final_handler: Option<&'static str>,
    queue: Option<String>,
    issue_type: Option<String>,
    language: Option<String>,
    total_conversation_duration_ms: Option<i32>,
    sentiment_overall_score_customer: Option<f32>,
    human_request_count: u16,
    human_request_honoured: Option<bool>,
    time_to_human_ms: Option<i32>,
    deflection_count: u16,
    outcome: &'static str,
    resolution_confidence: f32,
    asr_confidence: Option<f32>,
    hallucination_risk: Option<f32>,
    /// Whether figures are also shown without its transcript.
    doubtful_transcript: bool,
}

/// A page of calls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallPage {
    items: Vec<CallSummary>,
    /// Calls on all pages.
    total: usize,
    /// The parameter `after` of the next page; null on the last.
    next: Option<String>,
}

/// What calls can be told apart by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Segments {
    queues: Vec<String>,
    issue_types: Vec<String>,
    languages: Vec<String>,
}

/// How far the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Calls in the dataset.
    calls: usize,
    /// Calls that can be searched for words.
    searchable: usize,
    /// What is wrong with the dataset or the index now.
    trouble: Option<String>,
}

impl CallSummary {
    fn of(catalogue: &Catalogue, row: &Row, limits: callmark_query::TrustLimits) -> Self {
        let whole = |value: i32| (value != NONE).then_some(value);
        let part = |value: f32| (!value.is_nan()).then_some(value);
        let name = |name: Option<&str>| name.map(str::to_owned);
        let started = row.started_ms.and_then(callmark_types::Timestamp::from_epoch_millis);
        Self {
            call_id: row.id.to_string(),
            started_at: started.map(|time| time.to_string()),
            first_handler: row.first.map(callmark_types::Handler::as_str),
            final_handler: row.last.map(callmark_types::Handler::as_str),
            queue: name(catalogue.queues.name(row.queue)),
            issue_type: name(catalogue.issues.name(row.issue)),
            language: name(catalogue.languages.name(row.language)),
            total_conversation_duration_ms: whole(row.duration_ms),
            sentiment_overall_score_customer: part(row.sentiment),
            human_request_count: row.requests,
            human_request_honoured: row.honoured,
            time_to_human_ms: whole(row.time_to_human_ms),
            deflection_count: row.deflections,
            outcome: row.outcome.as_str(),
            resolution_confidence: row.resolution_confidence,
            asr_confidence: part(row.asr_confidence),
            hallucination_risk: part(row.risk),
            doubtful_transcript: row.is_doubtful(limits),
        }
    }
}

/// Calls that meet all conditions, in order, page by page.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    tag = "calls",
    responses(
        (status = 200, description = "A page of calls", body = CallPage),
        Known,
        Refused,
    )
)]
pub(crate) async fn list_calls(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let parameters = parameters(query.as_deref())?;
    only_known(&parameters, PARAMETERS.iter().map(|(name, _)| *name).chain(["sort", "after", "limit"]))?;
    let filter = Filter::parse(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    let given =
        |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let wrong = |reason: &str| WebError::BadRequest(reason.to_owned());
    let limit = match given("limit") {
        None => PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=MOST).contains(n))
            .ok_or_else(|| wrong("parameter limit: use a number from 1 to 500"))?,
    };
    let after = match given("after") {
        None => None,
        Some(text) => Some(
            Cursor::parse(text)
                .ok_or_else(|| wrong("parameter after: give the `next` of the page before"))?,
        ),
    };
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let limits = app.options.limits;
    let found = catalogue::page(&catalogue, &filter, &sets, limits, after, limit);
    let items = found.rows.iter().filter_map(|row| catalogue.rows.get(*row as usize));
    let page = CallPage {
        items: items.map(|row| CallSummary::of(&catalogue, row, limits)).collect(),
        total: found.total,
        next: found.next.map(|next| next.to_string()),
    };
    json(&headers, &page)
}

fn no_parameters(query: Option<&str>) -> Result<(), WebError> {
    only_known(&parameters(query)?, [].into_iter())
}

/// A call: its row of `calls`. Columns without a value are left out.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}",
    tag = "calls",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The row", body = Object),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn get_call(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let (.., call) = app.call(&id, &caller.user).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api")).await?;
    let rows = call_rows(&[&call]).map_err(|e| WebError::Internal(e.to_string()))?;
    json(&headers, &rows.into_iter().next().ok_or(WebError::NotFound("call"))?)
}

/// What is said on a call: its rows of `turns`, in order. Personal data is hidden from those who may not see it.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/turns",
    tag = "calls",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The rows", body = Vec<Object>),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn list_turns(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let (.., call) = app.call(&id, &caller.user).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api")).await?;
    let rows: Vec<Map<String, Value>> = turn_rows(&call).map_err(|e| WebError::Internal(e.to_string()))?;
    json(&headers, &rows)
}

/// What was found on a call: its rows of `events`, in order.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/events",
    tag = "calls",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The rows", body = Vec<Object>),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn list_events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let (.., call) = app.call(&id, &caller.user).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api")).await?;
    let rows = event_rows(&call).map_err(|e| WebError::Internal(e.to_string()))?;
    json(&headers, &rows)
}

/// The recording as WAV, 16 bits at 16 kHz, all channels; ranges are served. Personal data is silenced, unless `original=1`
/// is asked for by a lead.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/audio",
    tag = "calls",
    params(
        ("call_id" = String, Path, description = "The call's id"),
        ("original" = Option<String>, Query, description = "1: without silences", pattern = "^1$"),
    ),
    responses(
        (status = 200, description = "The recording", body = Vec<u8>, content_type = "audio/wav"),
        (status = 206, description = "A part of it", body = Vec<u8>, content_type = "audio/wav"),
        Known,
        Refused,
        (status = 404, description = "There is no such call, or no recording that can be played", body = Problem, content_type = "application/problem+json"),
        (status = 416, description = "No such part"),
    )
)]
pub(crate) async fn get_audio(
    state: State<Arc<App>>,
    caller: Caller,
    id: Named,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, WebError> {
    let parameters = parameters(query.as_deref())?;
    only_known(&parameters, ["original"].into_iter())?;
    let original = match parameters.first().map(|(_, value)| value.as_str()) {
        None => false,
        Some("1") => true,
        Some(_) => return Err(WebError::BadRequest("parameter original: use 1".to_owned())),
    };
    pages::audio_of(state, caller, id, original, request).await
}

/// Queues, issue types and languages of the dataset's calls.
#[utoipa::path(
    get,
    path = "/api/v1/segments",
    tag = "calls",
    responses(
        (status = 200, description = "Their names", body = Segments),
        Known,
        Refused,
    )
)]
pub(crate) async fn list_segments(
    State(app): State<Arc<App>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let catalogue = app.catalogue();
    let owned = |names: &catalogue::Names| names.sorted().into_iter().map(str::to_owned).collect();
    let segments = Segments {
        queues: owned(&catalogue.queues),
        issue_types: owned(&catalogue.issues),
        languages: owned(&catalogue.languages),
    };
    json(&headers, &segments)
}

/// How many calls there are, and how many of them can be searched.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "calls",
    responses(
        (status = 200, description = "The state", body = Status),
        Known,
        Refused,
    )
)]
pub(crate) async fn get_status(
    State(app): State<Arc<App>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let status =
        Status { calls: app.catalogue().rows.len(), searchable: app.search.calls(), trouble: app.trouble() };
    json(&headers, &status)
}
