//! What people say of calls: judgements, comments, disputes, samples; and the scorecards they fill in.

use super::answers::{
    Known, NoCall, Problem, Refused, Stored, Unread, created, json, only_known, parameters,
};
use crate::access::{Caller, Named, PostedJson};
use crate::app::App;
use crate::error::WebError;
use crate::pages::{Opened, WantedSample, draw, store};
use crate::reviews::{Comment, Dispute, Judgement, NewJudgement, Question, Role, Sample, SampleKind};
use crate::scorecard::Scorecard;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Judgements in one request.
const MOST_AT_ONCE: usize = 200;

/// Judgements to be stored, all or none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJudgements {
    /// 1 to 200 of them.
    #[schema(min_items = 1, max_items = 200)]
    judgements: Vec<NewJudgement>,
}

/// A comment to be stored.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewComment {
    /// What to say.
    #[schema(min_length = 1, max_length = 4000, pattern = r"^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$")]
    body: String,
}

/// A dispute to be raised.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDispute {
    /// What it is about.
    question: Question,
    /// Why.
    #[schema(min_length = 1, max_length = 4000, pattern = r"^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$")]
    body: String,
}

/// A sample to be drawn.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSampleRequest {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// How calls are picked.
    kind: SampleKind,
    /// Of which calls: parameters of `/calls`, as in an address.
    #[serde(default)]
    query: String,
    /// How many calls.
    #[schema(minimum = 1, maximum = 10000, value_type = u32)]
    size: f64,
    /// Who reviews them, by name.
    #[schema(min_items = 1, max_items = 50)]
    reviewers: Vec<String>,
    /// Whether each reviews all, and sees others' judgements when done.
    #[serde(default)]
    blind: bool,
}

fn no_parameters(query: Option<&str>) -> Result<(), WebError> {
    only_known(&parameters(query)?, [].into_iter())
}

/// What is well-formed and does not fit the call or the people there are is a conflict with them.
fn conflict(error: WebError) -> WebError {
    match error {
        WebError::BadRequest(reason) => WebError::Conflict(reason),
        other => other,
    }
}

/// All that was said of a call, in order of time.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/judgements",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The judgements that the caller may see", body = Vec<Judgement>),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn list_judgements(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let opened = Opened::of(&app, &caller, &id).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api: judgements")).await?;
    json::<Vec<Judgement>>(&headers, &opened.judgements)
}

/// Stores judgements on a call, all or none. What was found is written down with each.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{call_id}/judgements",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    request_body = NewJudgements,
    responses(
        (status = 201, description = "They are stored", body = Stored),
        Refused,
        NoCall,
        (status = 409, description = "They do not fit this call", body = Problem, content_type = "application/problem+json"),
        Unread,
    )
)]
pub(crate) async fn add_judgements(
    State(app): State<Arc<App>>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    posted: PostedJson<NewJudgements>,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let given = posted.value.judgements;
    if given.is_empty() || given.len() > MOST_AT_ONCE {
        return Err(WebError::BadRequest(format!("judgements: give 1 to {MOST_AT_ONCE}")));
    }
    created(store(&app, &posted.caller, &id, given).await.map_err(conflict)?)
}

/// Comments on a call, in order of time.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/comments",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The comments", body = Vec<Comment>),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn list_comments(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let opened = Opened::of(&app, &caller, &id).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api: comments")).await?;
    json::<Vec<Comment>>(&headers, &opened.comments)
}

/// Adds a comment to a call.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{call_id}/comments",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    request_body = NewComment,
    responses(
        (status = 201, description = "It is stored", body = Stored),
        Refused,
        NoCall,
        Unread,
    )
)]
pub(crate) async fn add_comment(
    State(app): State<Arc<App>>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    posted: PostedJson<NewComment>,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    posted.caller.may(Role::Reviewer)?;
    app.call_as_it_is(&id).await?;
    app.reviews.comment(&id, &posted.caller.user, &posted.value.body).await?;
    app.reviews.audit(Some(&posted.caller.user), "commented", Some(&id), None).await?;
    created(Vec::new())
}

/// Disputes about a call, in order of time.
#[utoipa::path(
    get,
    path = "/api/v1/calls/{call_id}/disputes",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The disputes", body = Vec<Dispute>),
        Known,
        Refused,
        NoCall,
    )
)]
pub(crate) async fn list_disputes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    let opened = Opened::of(&app, &caller, &id).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), Some("api: disputes")).await?;
    json::<Vec<Dispute>>(&headers, &opened.disputes)
}

/// Raises a dispute about a call.
#[utoipa::path(
    post,
    path = "/api/v1/calls/{call_id}/disputes",
    tag = "reviews",
    params(("call_id" = String, Path, description = "The call's id")),
    request_body = NewDispute,
    responses(
        (status = 201, description = "It is raised", body = Stored),
        Refused,
        NoCall,
        Unread,
    )
)]
pub(crate) async fn add_dispute(
    State(app): State<Arc<App>>,
    Named(id): Named,
    RawQuery(query): RawQuery,
    posted: PostedJson<NewDispute>,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    posted.caller.may(Role::Reviewer)?;
    app.call_as_it_is(&id).await?;
    let question = posted.value.question.as_str();
    let dispute = app.reviews.raise(&id, &posted.caller.user, question, &posted.value.body).await?;
    app.reviews.audit(Some(&posted.caller.user), "disputed", Some(&id), None).await?;
    created(vec![dispute])
}

/// Samples that were drawn, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/samples",
    tag = "reviews",
    responses(
        (status = 200, description = "The samples", body = Vec<Sample>),
        Known,
        Refused,
    )
)]
pub(crate) async fn list_samples(
    State(app): State<Arc<App>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    json::<Vec<Sample>>(&headers, &app.reviews.samples().await?)
}

/// Draws a sample and hands its calls out.
#[utoipa::path(
    post,
    path = "/api/v1/samples",
    tag = "reviews",
    request_body = NewSampleRequest,
    responses(
        (status = 201, description = "It is drawn", body = Stored),
        Refused,
        (status = 409, description = "It does not fit the calls and people there are", body = Problem, content_type = "application/problem+json"),
        Unread,
    )
)]
pub(crate) async fn add_sample(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    posted: PostedJson<NewSampleRequest>,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    posted.caller.may(Role::Lead)?;
    let wanted = &posted.value;
    // JSON knows one kind of number: 1.0 is 1.
    let is_count = wanted.size.fract() == 0.0 && wanted.size >= 1.0;
    if !is_count || wanted.size > crate::reviews::MOST_SAMPLE_CALLS as f64 {
        return Err(WebError::BadRequest("size: use a number from 1 to 10000".to_owned()));
    }
    if wanted.reviewers.is_empty() || wanted.name.is_empty() || wanted.name.chars().count() > 100 {
        return Err(WebError::BadRequest(
            "name and reviewers: give a name of 1 to 100 characters, and 1 to 50 reviewers".to_owned(),
        ));
    }
    let sample = WantedSample {
        name: &wanted.name,
        kind: wanted.kind,
        query: &wanted.query,
        size: wanted.size as usize,
        reviewers: wanted.reviewers.iter().map(String::as_str).collect(),
        blind: wanted.blind,
    };
    draw(&app, &posted.caller, &sample).await.map_err(conflict)?;
    created(Vec::new())
}

/// Scorecards that reviewers fill in.
#[utoipa::path(
    get,
    path = "/api/v1/scorecards",
    tag = "reviews",
    responses(
        (status = 200, description = "The scorecards", body = Vec<Scorecard>),
        Known,
        Refused,
    )
)]
pub(crate) async fn list_scorecards(
    State(app): State<Arc<App>>,
    _caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    no_parameters(query.as_deref())?;
    json(&headers, &app.cards)
}
