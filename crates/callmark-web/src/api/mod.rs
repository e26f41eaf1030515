//! The HTTP API, `/api/v1`: the same calls, turns, events, recordings and reviews as the pages, for programs.
//!
//! Its description (OpenAPI) is made of the functions that answer, so it says what they do. Rows have the names and units
//! of the tables' columns. Lists go page by page by a cursor; answers carry an ETag; errors are problem+json.

mod answers;
mod calls;
mod describe;
mod reviews;

pub(crate) use describe::description;

use crate::app::App;
use axum::Router;
use axum::routing::get;
use std::sync::Arc;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/calls", get(calls::list_calls))
        .route("/calls/{call_id}", get(calls::get_call))
        .route("/calls/{call_id}/turns", get(calls::list_turns))
        .route("/calls/{call_id}/events", get(calls::list_events))
        .route("/calls/{call_id}/audio", get(calls::get_audio))
        .route("/calls/{call_id}/judgements", get(reviews::list_judgements).post(reviews::add_judgements))
        .route("/calls/{call_id}/comments", get(reviews::list_comments).post(reviews::add_comment))
        .route("/calls/{call_id}/disputes", get(reviews::list_disputes).post(reviews::add_dispute))
        .route("/segments", get(calls::list_segments))
        .route("/samples", get(reviews::list_samples).post(reviews::add_sample))
        .route("/scorecards", get(reviews::list_scorecards))
        .route("/status", get(calls::get_status))
        .route("/openapi.json", get(describe::get_description))
}
