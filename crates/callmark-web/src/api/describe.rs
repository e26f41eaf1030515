//! The API's description, as OpenAPI.

use super::answers::{MOST_CHARACTERS, json};
use super::{calls, reviews};
use crate::access::Caller;
use crate::catalogue::{PARAMETERS, Sort};
use crate::error::WebError;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "Callmark", description = "Scored calls, and what people say of them."),
    paths(
        calls::list_calls,
        calls::get_call,
        calls::list_turns,
        calls::list_events,
        calls::get_audio,
        calls::list_segments,
        calls::get_status,
        reviews::list_judgements,
        reviews::add_judgements,
        reviews::list_comments,
        reviews::add_comment,
        reviews::list_disputes,
        reviews::add_dispute,
        reviews::list_samples,
        reviews::add_sample,
        reviews::list_scorecards,
    )
)]
struct Description;

/// The description. The conditions of a list of calls come from the list by which they are read.
pub(crate) fn description() -> Value {
    let mut document = serde_json::to_value(Description::openapi()).unwrap_or_default();
    let list = |values: &str| format!("^({values})(,({values}))*$");
    let sorts = Sort::ALL.map(|(_, name, _)| name);
    let schema = |name: &str| match name {
        "handler" | "last" => {
            json!({"type": "string", "maxLength": MOST_CHARACTERS, "pattern": list("ai|human|ivr")})
        }
        "outcome" => json!({"type": "string", "maxLength": MOST_CHARACTERS,
            "pattern": list("resolved|escalated_resolved|transferred|unresolved|abandoned|unknown")}),
        "asked" | "honoured" | "deflected" => json!({"type": "string", "enum": ["yes", "no"]}),
        "reviewed" => json!({"type": "string", "enum": ["yes", "no", "mine"]}),
        "trust" => json!({"type": "string", "enum": ["low", "ok"]}),
        "sentiment_below" | "sentiment_above" => json!({"type": "number", "minimum": -5, "maximum": 5}),
        "longer" => json!({"type": "number", "minimum": 0, "maximum": 86400}),
        "from" | "until" => {
            json!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
        }
        _ => {
            json!({"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS, "pattern": "^[^\\u0000]*$"})
        }
    };
    let mut parameters: Vec<Value> = PARAMETERS
        .iter()
        .map(|(name, meaning)| json!({"name": name, "in": "query", "description": meaning, "schema": schema(name)}))
        .collect();
    parameters.push(json!({"name": "sort", "in": "query", "description": "The order",
        "schema": {"type": "string", "enum": sorts}}));
    parameters.push(json!({"name": "after", "in": "query", "description": "The `next` of the page before",
        "schema": {"type": "string", "pattern": "^-?[0-9]{1,15}[.][0-9]{1,9}$"}}));
    parameters.push(json!({"name": "limit", "in": "query", "description": "Calls on a page",
        "schema": {"type": "integer", "minimum": 1, "maximum": calls::MOST}}));
    document["paths"]["/api/v1/calls"]["get"]["parameters"] = Value::Array(parameters);
    document
}

/// The description of this API.
pub(crate) async fn get_description(_caller: Caller, headers: HeaderMap) -> Result<Response, WebError> {
    json(&headers, &description())
}
