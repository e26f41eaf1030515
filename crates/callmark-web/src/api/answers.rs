//! How the API answers: JSON with an ETag, and errors.

use crate::error::WebError;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoResponses, ToSchema};

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says what kind of error it is.
    pub(crate) r#type: String,
    /// The status in words.
    pub(crate) title: String,
    /// The status.
    pub(crate) status: u16,
    /// What is wrong with this request.
    pub(crate) detail: String,
}

/// What every address may answer beside what it is for.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the description alone")]
pub(crate) enum Refused {
    /// The address or the body is wrong
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// Log in first
    #[response(status = 401, content_type = "application/problem+json")]
    NotLoggedIn(#[to_schema] Problem),
    /// Not for you
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
}

/// The same of an address about one call.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the description alone")]
pub(crate) enum NoCall {
    /// There is no such call
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
}

/// What an address that reads may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the description alone")]
pub(crate) enum Known {
    /// As you have it
    #[response(status = 304)]
    NotModified,
}

/// What an address that takes JSON may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by the description alone")]
pub(crate) enum Unread {
    /// Too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// Not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(#[to_schema] Problem),
}

/// How many were stored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stored {
    /// Ids of what was stored, where it has ids.
    pub(crate) ids: Vec<String>,
}

/// The value as JSON; nothing but the status where the caller has it already.
pub(crate) fn json<T: Serialize>(headers: &HeaderMap, value: &T) -> Result<Response, WebError> {
    let body = serde_json::to_vec(value).map_err(|e| WebError::Internal(e.to_string()))?;
    let digest = crate::text::hex(&Sha256::digest(&body)[..16]);
    let tag = format!("\"{digest}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has =
        known.split(',').map(str::trim).any(|known| known.trim_start_matches("W/") == tag || known == "*");
    let about = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if has {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// What was stored.
pub(crate) fn created(ids: Vec<String>) -> Result<Response, WebError> {
    let body = serde_json::to_vec(&Stored { ids }).map_err(|e| WebError::Internal(e.to_string()))?;
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Fails where a parameter is none that this address knows: a misspelt condition must not show other calls than asked for.
pub(crate) fn only_known<'a>(
    parameters: &[(String, String)],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), WebError> {
    let stranger = parameters.iter().find(|(name, _)| !known.clone().any(|known| known == name));
    match stranger {
        Some(_) => {
            let names: Vec<&str> = known.collect();
            Err(WebError::BadRequest(format!("there is a parameter that is none of: {}", names.join(", "))))
        }
        None => Ok(()),
    }
}

/// Longest value of a parameter.
pub(super) const MOST_CHARACTERS: usize = 200;

/// The parameters of an address, each once.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, WebError> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if found.iter().any(|(known, _)| *known == name) {
            return Err(WebError::BadRequest(format!("parameter {name} is there twice")));
        }
        if value.chars().count() > MOST_CHARACTERS {
            return Err(WebError::BadRequest(format!(
                "parameter {name} is longer than {MOST_CHARACTERS} characters"
            )));
        }
        if value.is_empty() {
            return Err(WebError::BadRequest(format!("parameter {name} is empty: leave it out")));
        }
        found.push((name.into_owned(), value.into_owned()));
    }
    Ok(found)
}
