//! What goes wrong with a request, as a page for people and as problem+json (RFC 9457) for programs.

use crate::catalogue::FilterError;
use crate::reviews::ReviewError;
use crate::search::SearchError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WebError {
    #[error("{0}")]
    BadRequest(String),
    #[error("log in first")]
    NotLoggedIn,
    #[error("{0}")]
    Forbidden(String),
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("this address does not take that method")]
    MethodNotAllowed,
    #[error("the request took too long to arrive")]
    TooSlow,
    #[error("the request is larger than {0} bytes")]
    TooLarge(usize),
    #[error("send application/json")]
    NotJson,
    #[error("too many attempts: wait {0} seconds")]
    TooMany(u64),
    #[error("the dataset cannot be read: {0}")]
    Dataset(String),
    #[error("something that this server needs does not answer: {0}")]
    Surroundings(String),
    #[error("an internal error")]
    Internal(String),
}

impl WebError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Surroundings(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Dataset(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer for a program.
    pub(crate) fn problem(&self) -> Response {
        let status = self.status();
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        if let Self::TooMany(seconds) = self {
            response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
        }
        response
    }
}

impl IntoResponse for WebError {
    /// As for a program; what carries it out of the server makes a page of it where a person asked.
    fn into_response(self) -> Response {
        if self.status().is_server_error() {
            if let Self::Internal(reason) = &self {
                tracing::error!("internal error: {reason}");
            } else {
                tracing::error!("{self}");
            }
        }
        let mut response = self.problem();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ReviewError> for WebError {
    fn from(error: ReviewError) -> Self {
        match error {
            ReviewError::Database(_) => Self::Surroundings(error.to_string()),
            ReviewError::Invalid { .. } => Self::BadRequest(error.to_string()),
            ReviewError::NotFound(what) => Self::NotFound(what),
            ReviewError::NotYours(_) => Self::Forbidden(error.to_string()),
        }
    }
}

impl From<SearchError> for WebError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Question(_) => Self::BadRequest(error.to_string()),
            SearchError::Index { .. } => Self::Surroundings("the search index cannot be used now".to_owned()),
        }
    }
}

impl From<FilterError> for WebError {
    fn from(error: FilterError) -> Self {
        Self::BadRequest(error.to_string())
    }
}
