//! Pages: HTML made on the server, that works without a script and is quicker with the one there is.

mod account;
mod call;
mod counts;
mod dashboard;
mod findings;
mod judging;
mod layout;
mod queue;
mod review;
mod samples;
mod svg;
mod talk;
mod timeline;

pub(crate) use call::{Opened, audio_of};
pub(crate) use judging::store;
pub(crate) use layout::error_page;
pub(crate) use samples::{WantedSample, draw};

use crate::app::App;
use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};
use std::sync::Arc;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/calls") }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/login", get(account::login_page).post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/users", get(account::users_page).post(account::change_user))
        .route("/audit", get(account::audit_page))
        .route("/calls", get(queue::queue_page))
        .route("/calls.csv", get(queue::calls_csv))
        .route("/views", post(queue::save_view))
        .route("/views/delete", post(queue::delete_view))
        .route("/calls/{id}", get(call::call_page))
        .route("/calls/{id}/audio.wav", get(call::audio))
        .route("/calls/{id}/waveform.svg", get(call::waveform))
        .route("/calls/{id}/judge", post(judging::judge))
        .route("/calls/{id}/scorecard", post(judging::score_card))
        .route("/calls/{id}/done", post(judging::done))
        .route("/calls/{id}/assign", post(talk::assign))
        .route("/calls/{id}/comment", post(talk::comment))
        .route("/calls/{id}/dispute", post(talk::raise))
        .route("/disputes", get(talk::disputes_page))
        .route("/disputes/{id}", post(talk::go_on))
        .route("/samples", get(samples::samples_page).post(samples::draw_sample))
        .route("/agreement", get(samples::agreement_page))
        .route("/dashboard", get(dashboard::dashboard_page))
        .route("/report", get(dashboard::report_page))
        .route("/report.html", get(dashboard::report_itself))
        .route("/api", get(layout::api_page))
}
