//! Logging in and out, accounts, and the audit log.

use super::layout::{csrf, document, page};
use crate::access::{COOKIE, Caller, LoginForm, Posted, SECURE_COOKIE, session_token};
use crate::app::App;
use crate::catalogue::query as address;
use crate::error::WebError;
use crate::options::Access;
use crate::reviews::Role;
use crate::text;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::html;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) async fn login_page(
    State(app): State<Arc<App>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if app.options.access != Access::Accounts {
        return Redirect::to("/calls").into_response();
    }
    login_form(query.get("next").map_or("", String::as_str), None).into_response()
}

fn login_form(next: &str, error: Option<&str>) -> Html<String> {
    let content = html! {
        form.login.card method="post" action="/login" {
            h1 { "Log in" }
            @if let Some(error) = error { p.error role="alert" { (error) } }
            input type="hidden" name="next" value=(next);
            label { "Name" input name="name" autocomplete="username" required autofocus; }
            label { "Password" input type="password" name="password" autocomplete="current-password" required; }
            button { "Log in" }
        }
    };
    document("Log in", None, &content)
}

pub(crate) async fn log_in(State(app): State<Arc<App>>, form: LoginForm) -> Result<Response, WebError> {
    if app.options.access != Access::Accounts {
        return Err(WebError::NotFound("page"));
    }
    let (name, password) = (form.fields.get("name").trim(), form.fields.get("password"));
    app.logins.check(name, form.peer)?;
    // Counted before it is known: tries that are made at once count too.
    app.logins.failed(name, form.peer);
    let Some((token, user)) = app.reviews.log_in(name, password).await? else {
        // Not the name: it may be a password.
        let from = form.peer.map(|peer| format!("from {peer}"));
        app.reviews.audit(None, "login_failed", None, from.as_deref()).await?;
        let page =
            login_form(form.fields.get("next"), Some("This name and password do not belong together."));
        return Ok((StatusCode::FORBIDDEN, page).into_response());
    };
    app.logins.succeeded(name, form.peer);
    app.reviews.audit(Some(&user), "login", None, None).await?;
    let mut response = Redirect::to(local(form.fields.get("next"))).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&app, &token, None)?);
    Ok(response)
}

/// Where to go on after a login: an address of this server, whatever the form says.
fn local(next: &str) -> &str {
    let is_here = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_here { next } else { "/calls" }
}

fn cookie(app: &App, token: &str, ends: Option<u32>) -> Result<HeaderValue, WebError> {
    let (name, secure) = if app.options.https { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let ends = ends.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}");
    HeaderValue::from_str(&text).map_err(|e| WebError::Internal(e.to_string()))
}

pub(crate) async fn log_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, WebError> {
    if let Some(token) = session_token(&headers, app.options.https) {
        app.reviews.end_session(token).await?;
    }
    app.reviews.audit(Some(&posted.caller.user), "logout", None, None).await?;
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&app, "", Some(0))?);
    Ok(response)
}

pub(crate) async fn users_page(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Html<String>, WebError> {
    caller.may(Role::Admin)?;
    let users = app.reviews.users().await?;
    let has_passwords = app.options.access == Access::Accounts;
    let roles = |chosen: Option<Role>| {
        html! {
            @for role in Role::ALL {
                option value=(role.as_str()) selected[chosen == Some(role)] { (role.as_str()) }
            }
        }
    };
    let content = html! {
        h1 { "Users" }
        table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "May log in" } } }
            tbody {
                @for user in &users {
                    tr {
                        th scope="row" { (user.name) }
                        td {
                            form.row method="post" action="/users" {
                                (csrf(&caller))
                                input type="hidden" name="name" value=(user.name);
                                select name="role" aria-label={ "Role of " (user.name) } { (roles(Some(user.role))) }
                                button.quiet name="do" value="role" { "Change" }
                            }
                        }
                        td {
                            form.row method="post" action="/users" {
                                (csrf(&caller))
                                input type="hidden" name="name" value=(user.name);
                                @if user.active {
                                    "yes " button.quiet name="do" value="close" aria-label={ "Close the account of " (user.name) } { "Close" }
                                } @else {
                                    "no " button.quiet name="do" value="open" aria-label={ "Open the account of " (user.name) } { "Open" }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if has_passwords {
            form.card.stack method="post" action="/users" {
                h2 { "A new user, or a new password" }
                (csrf(&caller))
                label { "Name" input name="name" required maxlength="100" autocomplete="off"; }
                label { "Role of a new user" select name="role" { (roles(Some(Role::Reviewer))) } }
                label { "Password" input type="password" name="password" required minlength="12" autocomplete="new-password"; }
                div.row {
                    button name="do" value="add" { "Add" }
                    button.quiet name="do" value="password" { "Change the password" }
                }
            }
        } @else {
            p.muted { "People are let in by " (if app.options.access == Access::ThisMachine { "this machine" } else { "the proxy" }) "; there are no passwords here." }
        }
    };
    Ok(page(&caller, "/users", "Users", &content))
}

pub(crate) async fn change_user(State(app): State<Arc<App>>, posted: Posted) -> Result<Redirect, WebError> {
    let Posted { caller, fields, .. } = posted;
    caller.may(Role::Admin)?;
    let name = fields.get("name").trim();
    let role = || {
        Role::parse(fields.get("role"))
            .ok_or_else(|| WebError::BadRequest("role: use one of the list".to_owned()))
    };
    let is_self = name == caller.user.name;
    match fields.get("do") {
        "add" => _ = app.reviews.add_user(name, role()?, fields.get("password")).await?,
        "password" => app.reviews.set_password(name, fields.get("password")).await?,
        "role" | "close" if is_self => {
            return Err(WebError::BadRequest("another admin has to change your own account".to_owned()));
        }
        "role" => app.reviews.set_role(name, role()?).await?,
        "close" => app.reviews.set_active(name, false).await?,
        "open" => app.reviews.set_active(name, true).await?,
        _ => return Err(WebError::BadRequest("do: use add, password, role, close or open".to_owned())),
    }
    let detail = format!("{} {name}", fields.get("do"));
    app.reviews.audit(Some(&caller.user), "user", None, Some(&detail)).await?;
    Ok(Redirect::to("/users"))
}

pub(crate) async fn audit_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Html<String>, WebError> {
    caller.may(Role::Admin)?;
    let given = |name: &str| query.get(name).map_or("", |value| value.trim());
    let before =
        Some(given("before")).filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let entries = app.reviews.audit_log(before, given("call"), given("user")).await?;
    let content = html! {
        h1 { "Audit log" }
        p.muted { "Who saw, heard, judged and changed what. Times are UTC." }
        form.row method="get" action="/audit" {
            label { "Call " input name="call" value=(given("call")); }
            label { "Who " input name="user" value=(given("user")); }
            button.quiet { "Show" }
        }
        @if entries.is_empty() { p.empty { "Nothing yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Entries" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Call" } th scope="col" { "More" } } }
                    tbody {
                        @for entry in &entries {
                            tr {
                                td { (text::minute(entry.at_ms)) }
                                td { (entry.user.as_deref().unwrap_or("nobody known")) }
                                td { (text::words(&entry.action)) }
                                td {
                                    @if let Some(id) = &entry.call_id {
                                        a href={ "/calls/" (text::percent_encode(id)) } { (id) }
                                    }
                                }
                                td { (entry.detail.as_deref().unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
            @if let Some(last) = entries.last() {
                @let narrowed = [("call", given("call")), ("user", given("user")), ("before", last.audit_id.as_str())];
                p { a href={ "/audit?" (address(narrowed.into_iter().filter(|(_, value)| !value.is_empty()))) } { "Older" } }
            }
        }
    };
    Ok(page(&caller, "/audit", "Audit log", &content))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_login_leads_nowhere_else() {
        assert_eq!(local("/calls?q=a%20b"), "/calls?q=a%20b");
        for elsewhere in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb", "javascript:x"]
        {
            assert_eq!(local(elsewhere), "/calls", "{elsewhere}");
        }
    }
}
