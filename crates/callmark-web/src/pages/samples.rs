//! Samples: which calls are to be reviewed, drawn by a plan; and how far reviewers agree on them.

use super::layout::{csrf, page};
use super::queue::{Parameters, read_filter};
use crate::access::{Caller, Posted};
use crate::agreement::{SCORES, agreements};
use crate::app::App;
use crate::catalogue::{Filter, Row};
use crate::error::WebError;
use crate::reviews::{MOST_SAMPLE_CALLS, NewSample, Role, SampleKind, User, random_token};
use crate::text;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;

/// Calls on which two differ, that are shown.
const SHOWN_APART: usize = 10;

pub(crate) async fn samples_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Parameters,
) -> Result<Html<String>, WebError> {
    let filter = read_filter(&parameters)?;
    let samples = app.reviews.samples().await?;
    let done = app.reviews.done_with().await?;
    let mut rows = Vec::new();
    for sample in samples {
        let reviewed = app.reviews.sample_done(&sample.name, &done).await?;
        rows.push((sample, reviewed));
    }
    let users = app.reviews.users().await?;
    let content = html! {
        h1 { "Samples" }
        @if rows.is_empty() { p.empty { "No sample has been drawn yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Samples" {
                table {
                    thead { tr { @for title in ["Sample", "Picked", "Of", "Reviewed", "Kind", "Drawn"] { th scope="col" { (title) } } } }
                    tbody {
                        @for (sample, reviewed) in &rows {
                            tr {
                                th scope="row" { a href={ "/calls?sample=" (text::percent_encode(&sample.name)) } { (sample.name) } }
                                td { (SampleKind::ALL.iter().find(|(kind, ..)| *kind == sample.kind).map_or("", |(.., shown)| shown)) }
                                td { a href={ "/calls?" (sample.query) } { (if sample.query.is_empty() { "all calls" } else { sample.query.as_str() }) } }
                                td.number { (reviewed) " of " (sample.calls) }
                                td {
                                    @if sample.random { span.chip.good title="Labels of it correct the comparison of AI and people" { "by chance alone" } " " }
                                    @if sample.blind { span.chip { "blind, twice" } }
                                }
                                td { (sample.made_by) " · " (text::minute(sample.at_ms)) }
                            }
                        }
                    }
                }
            }
        }
        @if caller.user.role >= Role::Lead { (draw_form(&caller, &filter.query(), filter.is_impartial(), &users)) }
    };
    Ok(page(&caller, "/samples", "Samples", &content))
}

fn draw_form(caller: &Caller, query: &str, impartial: bool, users: &[User]) -> Markup {
    html! {
        form.card.stack method="post" action="/samples" id="draw" {
            h2 { "Draw a sample" }
            (csrf(caller))
            input type="hidden" name="query" value=(query);
            p {
                "Of " strong { (if query.is_empty() { "all calls".to_owned() } else { format!("the calls of {query}") }) } ". "
                @if impartial { "Picked by chance, its labels correct the comparison of AI and people." }
                @else { "These conditions pick certain calls: labels of such a sample are not used to correct the comparison." }
            }
            label { "Name" input name="name" required maxlength="100"; }
            label { "Picked" select name="kind" { @for (_, name, shown) in SampleKind::ALL.into_iter().filter(|(kind, ..)| *kind != SampleKind::ByHand) { option value=(name) { (shown) } } } }
            label { "Calls" input type="number" name="size" value="50" min="1" max="10000" required; }
            fieldset {
                legend { "Reviewers" }
                @for user in users.iter().filter(|user| may_review(user)) {
                    label.choice { input type="checkbox" name="reviewer" value=(user.name) checked[user.name == caller.user.name]; (user.name) }
                }
            }
            label.choice { input type="checkbox" name="blind" value="1"; "Blind: each reviews all of them, and sees the others' judgements when done" }
            button { "Draw" }
        }
    }
}

pub(crate) async fn draw_sample(State(app): State<Arc<App>>, posted: Posted) -> Result<Redirect, WebError> {
    let Posted { caller, fields, .. } = posted;
    caller.may(Role::Lead)?;
    let kind = SampleKind::parse(fields.get("kind"))
        .ok_or_else(|| WebError::BadRequest("kind: use one of the list".to_owned()))?;
    let size = fields.get("size").trim().parse().map_err(|_| WebError::BadRequest(SIZE.to_owned()))?;
    let wanted = WantedSample {
        name: fields.get("name"),
        kind,
        query: fields.get("query"),
        size,
        reviewers: fields.all("reviewer").collect(),
        blind: fields.some("blind").is_some(),
    };
    draw(&app, &caller, &wanted).await?;
    Ok(Redirect::to("/samples"))
}

/// What is said of a size that is none.
const SIZE: &str = "size: use a number from 1 to 10000";

/// A sample as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct WantedSample<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: SampleKind,
    /// The address of the calls that it is drawn from.
    pub(crate) query: &'a str,
    pub(crate) size: usize,
    /// Names of who reviews it.
    pub(crate) reviewers: Vec<&'a str>,
    pub(crate) blind: bool,
}

/// The user of that name, who may review.
pub(crate) async fn reviewer(app: &App, name: &str) -> Result<User, WebError> {
    match app.reviews.user_by_name(name).await? {
        Some((user, _)) if may_review(&user) => Ok(user),
        _ => Err(WebError::BadRequest("reviewers: name people who may review".to_owned())),
    }
}

pub(crate) fn may_review(user: &User) -> bool {
    user.active && user.role >= Role::Reviewer
}

/// Draws a sample and hands its calls out.
pub(crate) async fn draw(app: &App, caller: &Caller, wanted: &WantedSample<'_>) -> Result<(), WebError> {
    if !(1..=MOST_SAMPLE_CALLS).contains(&wanted.size) {
        return Err(WebError::BadRequest(SIZE.to_owned()));
    }
    if wanted.kind == SampleKind::ByHand {
        return Err(WebError::BadRequest(
            "kind: calls are assigned one by one where they are shown".to_owned(),
        ));
    }
    let filter = Filter::parse_query(wanted.query)?;
    let mut people = Vec::new();
    for name in &wanted.reviewers {
        people.push(reviewer(app, name).await?);
    }
    let catalogue = app.catalogue();
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let seed =
        u64::from_str_radix(&random_token()?[..16], 16).map_err(|e| WebError::Internal(e.to_string()))?;
    let rows: Vec<(u32, &Row)> = filter.rows(&catalogue, &sets, app.options.limits).collect();
    let picked = crate::reviews::draw(&rows, wanted.kind, wanted.size, seed);
    let calls: Vec<&str> = picked.iter().map(|row| &*catalogue.rows[*row as usize].id).collect();
    let sample = NewSample {
        name: wanted.name,
        kind: wanted.kind,
        query: &filter.query(),
        random: wanted.kind.is_random() && filter.is_impartial(),
        reviewers: &people,
        blind: wanted.blind,
        calls: &calls,
    };
    app.reviews.add_sample(&sample, &caller.user).await?;
    app.reviews.audit(Some(&caller.user), "sample", None, Some(wanted.name)).await?;
    Ok(())
}

pub(crate) async fn agreement_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(parameters): Query<HashMap<String, String>>,
) -> Result<Html<String>, WebError> {
    caller.may(Role::Lead)?;
    let blind = app.reviews.blind_calls(&caller.user.user_id).await?;
    let mut all = app.reviews.all_judgements().await?;
    all.retain(|judgement| !blind.contains(&judgement.call_id));
    let chosen = parameters.get("sample").map_or("", String::as_str);
    if !chosen.is_empty() {
        let calls = app.reviews.sample_calls(chosen).await?.ok_or(WebError::NotFound("sample"))?;
        all.retain(|judgement| calls.contains(&judgement.call_id));
    }
    let samples = app.reviews.samples().await?;
    let alone = app.reviews.blind_reviewers().await?;
    let found = tokio::task::spawn_blocking(move || agreements(&all, &alone)).await;
    let found = found.map_err(|e| WebError::Internal(e.to_string()))?;
    let content = html! {
        h1 { "Agreement" }
        p {
            "How far two agree on the same calls, beyond chance (Cohen's kappa: 1 is always, 0 is no more than chance). "
            "“" (SCORES) "” stands for what was found automatically. Only calls that a reviewer is done with count. Kappa is left out (–) where both always say the same, and of findings beside the scores: what was found never says no. "
            "Sentiment is compared by its sign, the time of settling by whether there is one; findings by type, and items of scorecards, one by one."
        }
        @if !samples.is_empty() {
            form.row method="get" action="/agreement" {
                label { "Calls of "
                    select name="sample" {
                        option value="" { "all" }
                        @for sample in &samples { option value=(sample.name) selected[sample.name == chosen] { "sample " (sample.name) } }
                    }
                }
                button.quiet { "Show" }
            }
        }
        @if found.is_empty() { p.empty { "Nothing has been judged twice yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Agreement" {
                table {
                    thead { tr { @for title in ["Question", "Between", "Judged by both", "Agreed", "Kappa", "Apart on"] { th scope="col" { (title) } } } }
                    tbody {
                        @for pair in &found {
                            tr {
                                th scope="row" { (text::words(&pair.question)) }
                                td {
                                    (pair.between.0) " and " (pair.between.1)
                                    @if !pair.independent && pair.between.1 != SCORES && pair.between.0 != SCORES {
                                        " " span.chip.warn title="Who was later could see what the other had said" { "not blind" }
                                    }
                                }
                                td.number { (pair.judged) }
                                td.number { (text::percent(pair.agreed)) }
                                td.number { (pair.kappa.map_or_else(|| "–".to_owned(), |kappa| format!("{kappa:.2}"))) }
                                td {
                                    @for id in pair.apart.iter().take(SHOWN_APART) { a href={ "/calls/" (text::percent_encode(id)) } { (id) } " " }
                                    @if pair.apart.len() > SHOWN_APART { "and " (pair.apart.len() - SHOWN_APART) " more" }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(page(&caller, "/agreement", "Agreement", &content))
}
