//! A call: what was said, with the sound; and beside it what was found, for a reviewer to judge.

use super::layout::page;
use super::samples::may_review;
use super::timeline::timeline;
use super::{review, talk};
use crate::access::{Caller, Named};
use crate::app::App;
use crate::audio::{AudioError, STEPS};
use crate::calls::without_personal;
use crate::catalogue::{self, Cursor, Filter, Row};
use crate::error::WebError;
use crate::norms::{MEASURES, Norms, shown};
use crate::reviews::{Comment, Dispute, Judgement, Role};
use crate::text;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use callmark_store::json::call_rows;
use callmark_types::{CallRecord, EventKind, ScoredCall, Speaker, Turn};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::sync::Arc;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

/// Words below these probabilities are dimmed, and more so.
const UNSURE: f32 = 0.8;
const GUESSED: f32 = 0.5;

/// What the address of a call says beside its id.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Place {
    /// The address of the queue that it was opened from.
    #[serde(default)]
    pub(crate) queue: String,
    /// Set where the original sound is to be heard.
    #[serde(default)]
    pub(crate) original: String,
}

impl Place {
    pub(crate) fn is_original(&self) -> bool {
        self.original == "1"
    }
}

/// A row of `calls` by column.
pub(crate) type Columns = Map<String, Value>;

/// Hides personal data in what was said in a dispute.
pub(crate) fn hide_in_dispute(dispute: &mut Dispute) {
    dispute.steps.iter_mut().for_each(|step| step.body = without_personal(&step.body));
}

/// The row of a call, without columns that are null.
pub(crate) fn columns(call: &ScoredCall) -> Result<Columns, WebError> {
    let rows = call_rows(&[call]).map_err(|e| WebError::Internal(e.to_string()))?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// All that a page about one call shows.
pub(crate) struct Opened {
    pub(crate) row: Row,
    pub(crate) call: ScoredCall,
    /// Its row of `calls`, by column; without those that are null.
    pub(crate) columns: Columns,
    /// What this caller may see of what was said.
    pub(crate) judgements: Vec<Judgement>,
    /// Whether others' judgements are hidden from them.
    pub(crate) blind: bool,
    pub(crate) comments: Vec<Comment>,
    pub(crate) disputes: Vec<Dispute>,
    /// Who has it to review.
    pub(crate) assignees: Vec<String>,
    /// Whom this caller may give it to.
    pub(crate) may_be_given_to: Vec<String>,
}

impl Opened {
    pub(crate) async fn of(app: &App, caller: &Caller, id: &str) -> Result<Self, WebError> {
        let (_, row, call) = app.call(id, &caller.user).await?;
        let blind = app.reviews.is_blind(id, &caller.user.user_id).await?;
        let mut judgements = app.reviews.judgements(id).await?;
        let (mut comments, mut disputes) =
            (app.reviews.comments(id).await?, app.reviews.disputes(Some(id)).await?);
        if caller.user.role < Role::Lead {
            let of_judgements = judgements.iter_mut().flat_map(|j| [&mut j.value, &mut j.seen, &mut j.note]);
            let of_comments = comments.iter_mut().map(|comment| &mut comment.body);
            of_judgements.flatten().chain(of_comments).for_each(|text| *text = without_personal(text));
            disputes.iter_mut().for_each(hide_in_dispute);
        }
        if blind {
            judgements.retain(|judgement| judgement.reviewer == caller.user.name);
            comments.retain(|comment| comment.author == caller.user.name);
            disputes.retain(|dispute| dispute.raised_by == caller.user.name);
        }
        let columns = columns(&call)?;
        let assignees = app.reviews.assignees(id).await?;
        let mut may_be_given_to = Vec::new();
        if caller.user.role >= Role::Lead {
            let users = app.reviews.users().await?;
            may_be_given_to.extend(users.into_iter().filter(may_review).map(|user| user.name));
            may_be_given_to.retain(|name| !assignees.contains(name));
        }
        Ok(Self { row, call, columns, judgements, blind, comments, disputes, assignees, may_be_given_to })
    }
}

pub(crate) async fn call_page(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    Query(place): Query<Place>,
) -> Result<Html<String>, WebError> {
    let opened = Opened::of(&app, &caller, &id).await?;
    app.reviews.audit(Some(&caller.user), "saw", Some(&id), None).await?;
    let address = format!("/calls/{}", text::percent_encode(&id));
    let next = next_call(&app, &caller, &opened.row, &place.queue).await?;
    let may_hear_original = caller.user.role >= Role::Lead;
    if place.is_original() && !may_hear_original {
        caller.may(Role::Lead)?;
    }
    let suffix = if place.is_original() { "?original=1" } else { "" };
    let sound = app.recordings.playable(&opened.call, place.is_original()).await;
    let content = html! {
        div.call-head {
            p.crumbs { a href={ "/calls?" (place.queue) } { "← Calls" } }
            h1 { (id) }
            (facts(&opened.call.record))
            @if let Some(next) = &next {
                a.button id="next-call" href=(next) { "Next call" kbd { "x" } }
            }
        }
        (player(&opened.call, &sound, &address, suffix, may_hear_original, &place))
        div.columns {
            section.transcript aria-label="Transcript" {
                h2 { "Transcript" }
                (transcript(&opened.call))
                (measures(&opened.columns, &app.norms()))
                (lineage(&opened.call.record))
            }
            div.side {
                div id="review" { (review::panel(&app, &caller, &opened, &place.queue, next.as_deref())) }
                (talk::panel(&caller, &opened))
            }
        }
        (help())
    };
    Ok(page(&caller, "/calls", &format!("Call {id}"), &content))
}

/// The address of the call behind this one in the queue that it was opened from.
pub(crate) async fn next_call(
    app: &App,
    caller: &Caller,
    row: &Row,
    queue: &str,
) -> Result<Option<String>, WebError> {
    // A list that cannot be read has no next call; the call itself is there.
    let Ok(filter) = Filter::parse_query(queue) else { return Ok(None) };
    let catalogue = app.catalogue();
    let Some((number, _)) = catalogue.find(&row.id) else { return Ok(None) };
    let sets = app.sets(&catalogue, &filter, &caller.user).await?;
    let here = Cursor::of(&filter, number, row);
    let found = catalogue::page(&catalogue, &filter, &sets, app.options.limits, Some(here), 1);
    let next = found.rows.first().and_then(|row| catalogue.rows.get(*row as usize));
    Ok(next.map(|row| {
        format!("/calls/{}?queue={}", text::percent_encode(&row.id), text::percent_encode(&filter.query()))
    }))
}

fn facts(record: &CallRecord) -> Markup {
    let about = [&record.issue_type, &record.queue, &record.language];
    html! {
        p.facts {
            @if let Some(started) = record.started_at { (text::minute(started.epoch_millis())) " UTC · " }
            @for value in about.into_iter().flatten() { (value) " · " }
            @if let Some(length) = record.audio.total_conversation_duration { (text::clock(length.0)) }
            @if !record.agent_ids.is_empty() { " · handled by " (record.agent_ids.join(", ")) }
        }
        @if !record.trust.flags.is_empty() {
            p { @for flag in &record.trust.flags { span.chip.warn { (text::words(flag)) } " " } }
        }
    }
}

fn player(
    call: &ScoredCall,
    sound: &Result<crate::audio::Playable, AudioError>,
    address: &str,
    suffix: &str,
    may_hear_original: bool,
    place: &Place,
) -> Markup {
    let silenced =
        call.events.iter().filter(|event| event.kind == EventKind::Pii && event.span.is_some()).count();
    let waveform = sound.is_ok().then(|| format!("{address}/waveform.svg{suffix}"));
    html! {
        section.player aria-label="Recording" {
            @match sound {
                Ok(_) => {
                    audio id="audio" aria-label="Recording" controls preload="metadata" src={ (address) "/audio.wav" (suffix) } {}
                    div.player-tools {
                        label { "Speed" select id="speed" { @for speed in ["0.75", "1", "1.25", "1.5", "2"] { option value=(speed) selected[speed == "1"] { (speed) "×" } } } }
                        @if place.is_original() {
                            span.chip.warn { "original sound" }
                            a href={ (address) "?queue=" (text::percent_encode(&place.queue)) } { "Silence personal data" }
                        } @else if silenced > 0 {
                            span.muted { "Personal data is silenced in " (silenced) (if silenced == 1 { " place." } else { " places." }) }
                            @if may_hear_original {
                                a href={ (address) "?original=1&queue=" (text::percent_encode(&place.queue)) } { "Hear the original" }
                            }
                        }
                    }
                }
                Err(AudioError::Written) => {}
                Err(reason) => { p.note { "No sound: " (reason.to_string()) "." } }
            }
            @if let Some(timeline) = timeline(call, waveform.as_deref()) { (timeline) }
        }
    }
}

/// A speaker as people call them.
pub(crate) fn speaker(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Customer => "Customer",
        Speaker::AiAgent => "AI agent",
        Speaker::HumanAgent => "Agent",
        Speaker::Ivr => "Menu",
        Speaker::Unknown => "Unknown",
    }
}

fn transcript(call: &ScoredCall) -> Markup {
    if call.turns.is_empty() {
        return html! { p.empty { "Nobody says anything on this call." } };
    }
    html! {
        ol.turns id="turns" {
            @for (turn, score) in call.turns.iter().zip(&call.turn_sentiment) { (turn_item(turn, *score)) }
        }
    }
}

fn turn_item(turn: &Turn, score: Option<f64>) -> Markup {
    let start = turn.span.map(|span| span.start.0);
    html! {
        li.turn.(turn.speaker.as_str()).dropped[turn.dropped_reason.is_some()] id={ "t" (turn.index) }
            data-turn=(turn.index) data-start=[start] data-end=[turn.span.map(|span| span.end.0)] {
            p.said-by {
                strong { (speaker(turn.speaker)) }
                @if let Some(start) = start {
                    " " button.time type="button" data-seek=(start) aria-label={ "Play from " (text::clock(start)) } { (text::clock(start)) }
                }
                @if let Some(score) = score.filter(|score| score.abs() >= 0.5) { " " (super::queue::mood(score as f32)) }
                @if let Some(reason) = turn.dropped_reason {
                    span.chip.warn { "taken for invented by the recogniser: " (text::words(reason.as_str())) }
                }
                button.pick.quiet type="button" data-pick=(turn.index) { "Mark" span.sr { " turn " (turn.index) " for a finding or a correction" } }
            }
            p.words lang="" { (words(turn)) }
        }
    }
}

fn words(turn: &Turn) -> Markup {
    let written: Vec<&str> = turn.text.split_whitespace().collect();
    let timed = turn.words.len() == written.len();
    html! {
        @for (at, word) in written.iter().enumerate() {
            @if let Some(timed) = timed.then(|| &turn.words[at]) {
                @let class = if timed.probability < GUESSED { "w guessed" } else if timed.probability < UNSURE { "w unsure" } else { "w" };
                span class=(class) data-w=(at) data-s=(timed.span.start.0) data-e=(timed.span.end.0) { (word) } " "
            } @else {
                span.w data-w=(at) { (word) } " "
            }
        }
    }
}

fn measures(columns: &Columns, norms: &Norms) -> Markup {
    let value = |column: &str| columns.get(column)?.as_f64();
    let rows: Vec<_> = MEASURES
        .into_iter()
        .filter_map(|(column, name, unit)| Some((name, unit, value(column)?, norms.get(column))))
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    html! {
        details.card open {
            summary { h2 { "Measures" } }
            div.scroll tabindex="0" role="region" aria-label="Measures" { table.measures {
                thead { tr { th scope="col" { "Measure" } th scope="col" { "This call" } th scope="col" { "Eight in ten calls" } } }
                tbody {
                    @for (name, unit, value, norm) in rows {
                        @let unusual = norm.is_some_and(|norm| value < norm.low || value > norm.high);
                        tr.unusual[unusual] {
                            th scope="row" { (name) }
                            td.number { (shown(value, unit)) @if unusual { span.sr { " (unusual)" } } }
                            td.number { @if let Some(norm) = norm { (shown(norm.low, unit)) " to " (shown(norm.high, unit)) } }
                        }
                    }
                }
            } }
        }
    }
}

fn lineage(record: &CallRecord) -> Markup {
    let lineage = &record.lineage;
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    html! {
        details.card {
            summary { h2 { "What made these scores" } }
            dl {
                dt { "Callmark" } dd { (lineage.pipeline_version) }
                @if let Some(model) = &lineage.asr_model { dt { "Speech model" } dd { (model) } }
                dt { "Rules" } dd { code title=(lineage.rules_sha256) { (short(&lineage.rules_sha256)) } }
                @if let Some(digest) = &lineage.text_model_sha256 { dt { "Text model" } dd { code title=(digest) { (short(digest)) } } }
                @if let Some(uri) = &record.source.uri { dt { "Source" } dd { (uri) } }
            }
        }
    }
}

fn help() -> Markup {
    let keys = [
        ("Space", "play or pause"),
        ("← →", "five seconds back or on"),
        ("n p", "next or previous mark on the timeline"),
        ("j k", "next or previous question"),
        ("Enter", "hear the evidence of this question"),
        ("a", "agree"),
        ("d", "disagree, or correct"),
        ("m", "mark the turn that plays"),
        ("c", "write a comment"),
        ("x", "done, next call"),
        ("?", "these keys"),
    ];
    html! {
        dialog id="help" aria-labelledby="help-title" {
            h2 id="help-title" { "Keys" }
            dl.keys { @for (key, what) in keys { dt { kbd { (key) } } dd { (what) } } }
            form method="dialog" { button { "Close" } }
        }
    }
}

pub(crate) async fn audio(
    state: State<Arc<App>>,
    caller: Caller,
    id: Named,
    Query(place): Query<Place>,
    request: Request,
) -> Result<Response, WebError> {
    audio_of(state, caller, id, place.is_original(), request).await
}

/// The recording, or the part of it that the request asks for.
pub(crate) async fn audio_of(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    original: bool,
    request: Request,
) -> Result<Response, WebError> {
    let (_, playable) = sound(&app, &caller, &id, original).await?;
    let which = if original { "original" } else { "personal data silenced" };
    app.reviews.audit(Some(&caller.user), "heard", Some(&id), Some(which)).await?;
    // The name is a digest of recording and silences.
    let stem = playable.wav.file_stem().unwrap_or_default().to_string_lossy();
    let tag = header::HeaderValue::from_str(&format!("\"{stem}\""));
    let tag = tag.map_err(|e| WebError::Internal(e.to_string()))?;
    if request.headers().get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let kind = "audio/wav".parse().map_err(|_| WebError::Internal("a media type".to_owned()))?;
    let served = ServeFile::new_with_mime(&playable.wav, &kind).oneshot(request).await;
    let mut response = match served {
        Ok(response) => response.map(axum::body::Body::new),
        Err(never) => match never {},
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("private, no-cache"));
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

async fn sound(
    app: &App,
    caller: &Caller,
    id: &str,
    original: bool,
) -> Result<(ScoredCall, crate::audio::Playable), WebError> {
    if original {
        caller.may(Role::Lead)?;
    }
    let (.., call) = app.call_as_it_is(id).await?;
    let playable = app.recordings.playable(&call, original).await.map_err(|e| match e {
        AudioError::Unreadable(reason) => WebError::Dataset(reason),
        _ => WebError::NotFound("recording"),
    })?;
    Ok((call, playable))
}

/// The waveform of all channels, one above the other, as a picture.
pub(crate) async fn waveform(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named,
    Query(place): Query<Place>,
) -> Result<Response, WebError> {
    let (call, playable) = sound(&app, &caller, &id, place.is_original()).await?;
    // The customer's lane has the customer's colour, whichever channel it is.
    let is_customers = |channel: usize| {
        let of_channel = call.turns.iter().filter(|turn| turn.channel == Some(channel as u16));
        let (customer, all) = of_channel.fold((0, 0), |(customer, all), turn| {
            (customer + usize::from(turn.speaker == Speaker::Customer), all + 1)
        });
        2 * customer > all
    };
    let lane = 120.0 / playable.peaks.len().max(1) as f64;
    let mut paths = String::new();
    for (channel, levels) in playable.peaks.iter().enumerate() {
        let middle = lane * (channel as f64 + 0.5);
        let mut path = String::new();
        for (at, level) in levels.iter().enumerate() {
            let half = (f64::from(*level) / 255.0).sqrt() * (lane / 2.0 - 1.0);
            // Writing to a text cannot fail.
            let _ = write!(path, "M{at} {:.1}V{:.1}", middle - half.max(0.3), middle + half.max(0.3));
        }
        let _ = write!(paths, "<path class=\"c{}\" d=\"{path}\"/>", i32::from(is_customers(channel)));
    }
    let picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {STEPS} 120\" preserveAspectRatio=\"none\">\
         <style>path{{fill:none;stroke-width:1}}.c0{{stroke:#2a6fbb}}.c1{{stroke:#8a5a00}}\
         @media(prefers-color-scheme:dark){{.c0{{stroke:#7db4ee}}.c1{{stroke:#e0ab4d}}}}</style>{paths}</svg>"
    );
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    Ok((headers, picture).into_response())
}
