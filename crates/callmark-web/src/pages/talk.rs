//! Comments and disputes.

use super::call::{Opened, hide_in_dispute};
use super::layout::{csrf, page};
use super::samples::reviewer;
use crate::access::{Caller, Named, Posted};
use crate::app::App;
use crate::error::WebError;
use crate::reviews::{Dispute, DisputeAction, Question, Role};
use crate::text;
use axum::extract::State;
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use std::sync::Arc;

/// What a dispute may be about.
const DISPUTED: [Question; 7] = [
    Question::Outcome,
    Question::HumanRequest,
    Question::Honoured,
    Question::ResolvedAtMs,
    Question::Sentiment,
    Question::Event,
    Question::Scorecard,
];

pub(crate) fn panel(caller: &Caller, opened: &Opened) -> Markup {
    let address = format!("/calls/{}", text::percent_encode(opened.call.record.call_id.as_str()));
    let may = caller.user.role >= Role::Reviewer;
    html! {
        section.card id="talk" aria-label="Assignment, comments and disputes" {
            @if !opened.assignees.is_empty() { p { "To be reviewed by " (opened.assignees.join(", ")) "." } }
            @if !opened.may_be_given_to.is_empty() {
                form.row method="post" action={ (address) "/assign" } {
                    (csrf(caller))
                    select name="reviewer" aria-label="Reviewer" { @for name in &opened.may_be_given_to { option value=(name) { (name) } } }
                    button.quiet { "Assign this call" }
                }
            }
            h2 { "Comments" }
            @if opened.comments.is_empty() { p.muted { "None yet." } }
            ol.talk {
                @for comment in &opened.comments {
                    li { p.muted { (comment.author) " · " (text::minute(comment.at_ms)) } p.body { (comment.body) } }
                }
            }
            @if may {
                form.stack method="post" action={ (address) "/comment" } {
                    (csrf(caller))
                    label { "Comment" textarea id="comment" name="body" rows="2" maxlength="4000" required {} }
                    button { "Add the comment" }
                }
            }
            @for dispute in &opened.disputes { (dispute_item(caller, dispute, false)) }
            @if may {
                details {
                    summary { "Dispute a judgement" }
                    form.stack method="post" action={ (address) "/dispute" } {
                        (csrf(caller))
                        label { "About" select name="question" { @for question in DISPUTED { option value=(question.as_str()) { (text::words(question.as_str())) } } } }
                        label { "Why" textarea name="body" rows="2" maxlength="4000" required {} }
                        button { "Raise the dispute" }
                    }
                }
            }
        }
    }
}

fn dispute_title(dispute: &Dispute) -> Markup {
    html! {
        "Dispute about " (text::words(&dispute.question)) " "
        @if dispute.open { span.chip.warn { "open" } } @else { span.chip { "settled" } }
    }
}

fn dispute_item(caller: &Caller, dispute: &Dispute, with_call: bool) -> Markup {
    let may = caller.user.role >= Role::Reviewer;
    let own = dispute.raised_by == caller.user.name;
    html! {
        article.dispute {
            @if with_call { h2 { (dispute_title(dispute)) } } @else { h3 { (dispute_title(dispute)) } }
            @if with_call { p { a href={ "/calls/" (text::percent_encode(&dispute.call_id)) "#talk" } { (dispute.call_id) } } }
            ol.talk {
                @for step in &dispute.steps {
                    li {
                        p.muted { (step.author) " · " (text::words(step.action.as_str())) " · " (text::minute(step.at_ms)) }
                        p.body { (step.body) }
                    }
                }
            }
            @if dispute.open && may {
                form.stack method="post" action={ "/disputes/" (dispute.dispute_id) } {
                    (csrf(caller))
                    label { "Your word" textarea name="body" rows="2" maxlength="4000" required {} }
                    div.row {
                        button.quiet name="action" value="answer" { "Answer" }
                        @if caller.user.role >= Role::Lead {
                            button name="action" value="uphold" { "What was judged stands" }
                            button name="action" value="overturn" { "It does not stand" }
                        }
                        @if own { button.quiet name="action" value="take_back" { "Take it back" } }
                    }
                }
            }
        }
    }
}

pub(crate) async fn comment(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Redirect, WebError> {
    posted.caller.may(Role::Reviewer)?;
    app.call_as_it_is(&id).await?;
    app.reviews.comment(&id, &posted.caller.user, posted.fields.get("body")).await?;
    app.reviews.audit(Some(&posted.caller.user), "commented", Some(&id), None).await?;
    Ok(back_to(&id))
}

/// Gives the call to a reviewer.
pub(crate) async fn assign(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Redirect, WebError> {
    posted.caller.may(Role::Lead)?;
    app.call_as_it_is(&id).await?;
    let to = reviewer(&app, posted.fields.get("reviewer")).await?;
    app.reviews.assign(&id, &to, &posted.caller.user).await?;
    app.reviews.audit(Some(&posted.caller.user), "assigned", Some(&id), Some(&to.name)).await?;
    Ok(back_to(&id))
}

fn back_to(id: &str) -> Redirect {
    Redirect::to(&format!("/calls/{}#talk", text::percent_encode(id)))
}

pub(crate) async fn raise(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Redirect, WebError> {
    posted.caller.may(Role::Reviewer)?;
    app.call_as_it_is(&id).await?;
    let question = Question::parse(posted.fields.get("question"))
        .ok_or_else(|| WebError::BadRequest("question: use one of the list".to_owned()))?;
    app.reviews.raise(&id, &posted.caller.user, question.as_str(), posted.fields.get("body")).await?;
    app.reviews.audit(Some(&posted.caller.user), "disputed", Some(&id), None).await?;
    Ok(back_to(&id))
}

pub(crate) async fn go_on(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Redirect, WebError> {
    posted.caller.may(Role::Reviewer)?;
    let action = DisputeAction::parse(posted.fields.get("action")).ok_or_else(|| {
        WebError::BadRequest("action: use answer, uphold, overturn or take_back".to_owned())
    })?;
    let call = app.reviews.dispute_call(&id).await?;
    if app.reviews.is_blind(&call, &posted.caller.user.user_id).await? {
        return Err(WebError::Forbidden("you review this call blindly: be done with it first".to_owned()));
    }
    app.reviews.go_on(&id, &posted.caller.user, action, posted.fields.get("body")).await?;
    app.reviews.audit(Some(&posted.caller.user), "dispute", Some(&call), Some(action.as_str())).await?;
    Ok(back_to(&call))
}

pub(crate) async fn disputes_page(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Html<String>, WebError> {
    // What others say of a call that somebody reviews blindly is not shown here either.
    let blind = app.reviews.blind_calls(&caller.user.user_id).await?;
    let mut disputes = app.reviews.disputes(None).await?;
    disputes.retain(|dispute| dispute.raised_by == caller.user.name || !blind.contains(&dispute.call_id));
    if caller.user.role < Role::Lead {
        disputes.iter_mut().for_each(hide_in_dispute);
    }
    let content = html! {
        h1 { "Open disputes" }
        @if disputes.is_empty() { p.empty { "None is open." } }
        @for dispute in &disputes { div.card { (dispute_item(&caller, dispute, true)) } }
    };
    Ok(page(&caller, "/disputes", "Disputes", &content))
}
