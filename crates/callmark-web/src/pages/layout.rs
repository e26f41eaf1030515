//! What all pages have: head, navigation, the way errors are told; and the page about the API.

use crate::access::Caller;
use crate::api;
use crate::error::WebError;
use crate::reviews::Role;
use axum::http::{Method, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{DOCTYPE, Markup, html};

/// Pages of the navigation: address, name, and whose role shows it.
const PAGES: [(&str, &str, Role); 9] = [
    ("/calls", "Calls", Role::Viewer),
    ("/dashboard", "Dashboard", Role::Viewer),
    ("/samples", "Samples", Role::Viewer),
    ("/disputes", "Disputes", Role::Viewer),
    ("/agreement", "Agreement", Role::Lead),
    ("/report", "AI and people", Role::Viewer),
    ("/api", "API", Role::Viewer),
    ("/users", "Users", Role::Admin),
    ("/audit", "Audit log", Role::Admin),
];

/// A page for somebody who is known.
pub(crate) fn page(caller: &Caller, here: &str, title: &str, content: &Markup) -> Html<String> {
    let navigation = html! {
        nav aria-label="Pages" {
            @for (address, name, role) in PAGES {
                @if caller.user.role >= role {
                    a href=(address) aria-current=[(address == here).then_some("page")] { (name) }
                }
            }
        }
        div.who {
            span { (caller.user.name) " · " (caller.user.role.as_str()) }
            @if caller.may_log_out {
                form method="post" action="/logout" {
                    input type="hidden" name="csrf" value=(caller.csrf);
                    button.quiet { "Log out" }
                }
            }
        }
    };
    document(title, Some(&navigation), content)
}

/// A page.
pub(crate) fn document(title: &str, navigation: Option<&Markup>, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Callmark" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/page.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                @if let Some(navigation) = navigation {
                    header.top {
                        a.brand href="/calls" { "Callmark" }
                        (navigation)
                    }
                }
                main id="main" tabindex="-1" { (content) }
                div.sr id="announce" role="status" aria-live="polite" {}
            }
        }
    };
    Html(page.into_string())
}

/// What went wrong, for a person.
pub(crate) fn error_page(error: &WebError, uri: &Uri, method: &Method) -> Response {
    if matches!(error, WebError::NotLoggedIn) && *method == Method::GET {
        let back = uri.path_and_query().map_or("/calls", |path| path.as_str());
        return Redirect::to(&format!("/login?next={}", crate::text::percent_encode(back))).into_response();
    }
    let title = error.status().canonical_reason().unwrap_or("Error");
    let content = html! {
        h1 { (title) }
        p.error { (error.to_string()) "." }
        p { a href="/calls" { "To the calls" } }
    };
    let mut response = (error.status(), document(title, None, &content)).into_response();
    if let WebError::TooMany(seconds) = error {
        response.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
    }
    response
}

/// The hidden field that every form of this caller has.
pub(crate) fn csrf(caller: &Caller) -> Markup {
    html! { input type="hidden" name="csrf" value=(caller.csrf); }
}

/// What the API offers, from its own description.
pub(crate) async fn api_page(caller: Caller) -> Html<String> {
    let document = api::description();
    let content = html! {
        h1 { "HTTP API" }
        p {
            "What programs read and write under " code { "/api/v1" } ". Its description for machines is "
            a href="/api/v1/openapi.json" { "openapi.json" } " (OpenAPI 3.1). Requests that change something send "
            code { "application/json" } "; errors are " code { "application/problem+json" } " (RFC 9457)."
        }
        @for (path, item) in document["paths"].as_object().into_iter().flatten() {
            @for (method, operation) in item.as_object().into_iter().flatten().filter(|(_, o)| o.get("responses").is_some()) {
                section.card {
                    h2 { code { (method.to_uppercase()) " " (path) } }
                    p { (operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default()) }
                    @if let Some(parameters) = operation["parameters"].as_array() {
                        table {
                            caption { "Parameters" }
                            thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "Meaning" } } }
                            tbody {
                                @for parameter in parameters {
                                    tr {
                                        th scope="row" { code { (parameter["name"].as_str().unwrap_or_default()) } }
                                        td { (parameter["in"].as_str().unwrap_or_default()) }
                                        td { (parameter["description"].as_str().unwrap_or_default()) }
                                    }
                                }
                            }
                        }
                    }
                    p.muted {
                        "Answers: "
                        (operation["responses"].as_object().into_iter().flatten().map(|(code, _)| code.as_str()).collect::<Vec<_>>().join(", "))
                    }
                }
            }
        }
    };
    page(&caller, "/api", "API", &content)
}
