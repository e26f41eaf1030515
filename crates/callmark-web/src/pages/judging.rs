//! What a reviewer sends: judgements, what was missed, a filled scorecard, that a call is done; read, checked and stored.

use super::call::{Columns, Opened, columns, next_call};
use super::findings::seen;
use super::review::panel;
use crate::access::{Caller, Named, Posted};
use crate::app::App;
use crate::calls::hide_personal;
use crate::error::WebError;
use crate::reviews::{NewJudgement, Question, Role, Verdict, missed_place};
use crate::text;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use callmark_types::Event;
use std::sync::Arc;

/// Stores judgements that a reviewer gave on a call as it is now: what was found is written down with each.
pub(crate) async fn store(
    app: &App,
    caller: &Caller,
    id: &str,
    mut given: Vec<NewJudgement>,
) -> Result<Vec<String>, WebError> {
    caller.may(Role::Reviewer)?;
    let (.., mut call) = app.call_as_it_is(id).await?;
    // What was seen is kept with the judgement, for all to read: without personal data.
    hide_personal(&mut call);
    let mut seen_of = Vec::new();
    let columns = columns(&call)?;
    for judgement in &mut given {
        let found = if judgement.question == Question::Scorecard {
            filled_in(app, judgement, &columns, &call.events)?
        } else {
            seen(&call, judgement.question, &judgement.subject)
        };
        judgement.tidy();
        if judgement.verdict == Verdict::Correct && found.is_some() && judgement.value == found {
            judgement.verdict = Verdict::Agree;
        }
        if judgement.verdict == Verdict::Agree && judgement.question != Question::Done {
            if judgement.question != Question::Event {
                judgement.value.clone_from(&found);
            }
            if found.is_none() {
                return Err(WebError::BadRequest("there is nothing to agree with".to_owned()));
            }
        }
        judgement.check(call.turns.len(), call.events.len())?;
        if judgement.question == Question::Missed {
            let place = missed_place(&judgement.subject);
            let words =
                |turn: usize| call.turns.get(turn).map_or(0, |turn| turn.text.split_whitespace().count());
            if place.is_none_or(|(turn, _, last)| last >= words(turn).max(1)) {
                return Err(WebError::BadRequest("subject: the turn has not so many words".to_owned()));
            }
        }
        seen_of.push(found);
    }
    let given: Vec<(NewJudgement, Option<String>)> = given.into_iter().zip(seen_of).collect();
    let lineage = &call.record.lineage;
    let by = [lineage.rules_sha256.as_str(), lineage.pipeline_version.as_str()];
    let ids = app.reviews.judge(id, &caller.user.user_id, &given, by).await?;
    let what: Vec<&str> = given.iter().map(|(judgement, _)| judgement.question.as_str()).collect();
    app.reviews.audit(Some(&caller.user), "judged", Some(id), Some(&what.join(" "))).await?;
    Ok(ids)
}

/// What an item of a scorecard was filled in with beforehand. An answer has to be one that an item of a card that there is
/// can have.
fn filled_in(
    app: &App,
    judgement: &NewJudgement,
    columns: &Columns,
    events: &[Event],
) -> Result<Option<String>, WebError> {
    let wrong = |reason: &str| Err(WebError::BadRequest(format!("scorecard: {reason}")));
    let item = app
        .cards
        .iter()
        .flat_map(|card| card.items().map(move |item| (card, item)))
        .find(|(card, item)| card.subject(item) == judgement.subject);
    let Some((_, item)) = item else { return wrong("there is no such item in this version of it") };
    let filled = item.prefill.as_ref().and_then(|prefill| prefill.fill(columns, events));
    let filled = filled.map(|filled| filled.answer.to_owned());
    match judgement.value.as_deref() {
        _ if judgement.verdict != Verdict::Correct => Ok(filled),
        Some("yes" | "no") => Ok(filled),
        Some("na") if item.not_applicable => Ok(filled),
        // Filled in beforehand where the value is not known.
        Some("na") if item.prefill.is_some() => Ok(filled),
        _ => wrong("answer yes, no or, where it may not apply, na"),
    }
}

/// What the page's script gets back, or where a browser without it goes.
async fn answer(app: &App, posted: &Posted, id: &str) -> Result<Response, WebError> {
    let queue = posted.fields.get("queue");
    if !posted.by_script {
        let address =
            format!("/calls/{}?queue={}#review", text::percent_encode(id), text::percent_encode(queue));
        return Ok(Redirect::to(&address).into_response());
    }
    let opened = Opened::of(app, &posted.caller, id).await?;
    let next = next_call(app, &posted.caller, &opened.row, queue).await?;
    Ok(Html(panel(app, &posted.caller, &opened, queue, next.as_deref()).into_string()).into_response())
}

pub(crate) async fn judge(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Response, WebError> {
    let given =
        if posted.fields.some("turn").is_some() { of_turn(&posted)? } else { vec![of_finding(&posted)?] };
    store(&app, &posted.caller, &id, given).await?;
    answer(&app, &posted, &id).await
}

fn of_finding(posted: &Posted) -> Result<NewJudgement, WebError> {
    let fields = &posted.fields;
    let question = Question::parse(fields.get("question"));
    let verdict = Verdict::parse(fields.get("verdict"));
    let (Some(question), Some(verdict)) = (question, verdict) else {
        return Err(WebError::BadRequest("question or verdict is none that there is".to_owned()));
    };
    let value = match (verdict, question) {
        (Verdict::Correct, Question::Event) => Some("no".to_owned()),
        (Verdict::Correct, Question::ResolvedAtMs) => Some(milliseconds(fields.get("value"))?),
        (Verdict::Correct, _) => fields.some("value").map(str::to_owned),
        _ => None,
    };
    let note = fields.some("note").map(str::to_owned);
    Ok(NewJudgement { question, subject: fields.get("subject").to_owned(), verdict, value, note })
}

/// `m:ss`, `h:mm:ss`, seconds, or `never`.
fn milliseconds(value: &str) -> Result<String, WebError> {
    let value = value.trim();
    if matches!(value, "never" | "none") {
        return Ok("none".to_owned());
    }
    let parts: Option<Vec<f64>> =
        value.split(':').map(|part| part.parse::<f64>().ok().filter(|n| (0.0..1e5).contains(n))).collect();
    let parts = parts
        .filter(|parts| parts.len() <= 3 && parts.iter().skip(1).all(|part| *part < 60.0))
        .ok_or_else(|| WebError::BadRequest("value: write a time as m:ss, or never".to_owned()))?;
    let seconds = parts.iter().fold(0.0, |sum, part| sum * 60.0 + part);
    Ok(((seconds * 1_000.0).round() as u64).to_string())
}

/// The words that were marked, counted from 1 as people do; the first one stands for a turn of which none is.
fn marked_words(first: Option<&str>, last: Option<&str>) -> Result<String, WebError> {
    let word = |given: Option<&str>, otherwise: usize| match given {
        None => Some(otherwise),
        Some(given) => given.trim().parse::<usize>().ok()?.checked_sub(1),
    };
    let words = word(first, 0).and_then(|first| Some((first, word(last, first)?)));
    match words {
        Some((first, last)) if first <= last => Ok(format!("{first}-{last}")),
        _ => Err(WebError::BadRequest("words: give the first and the last, counted from 1".to_owned())),
    }
}

/// What was said of a turn: an event that was missed, who speaks, what is said.
fn of_turn(posted: &Posted) -> Result<Vec<NewJudgement>, WebError> {
    let fields = &posted.fields;
    let turn = fields.get("turn").trim();
    let words = marked_words(fields.some("first"), fields.some("last"))?;
    let note = fields.some("note").map(str::to_owned);
    let judgement = |question, subject: String, value: &str| NewJudgement {
        question,
        subject,
        verdict: Verdict::Correct,
        value: Some(value.to_owned()),
        note: note.clone(),
    };
    let mut given = Vec::new();
    if let Some(kind) = fields.some("missed") {
        given.push(judgement(Question::Missed, format!("{turn}:{words}"), kind));
    }
    if let Some(who) = fields.some("speaker") {
        given.push(judgement(Question::Speaker, turn.to_owned(), who));
    }
    if let Some(said) = fields.some("said") {
        given.push(judgement(Question::Words, turn.to_owned(), said));
    }
    if given.is_empty() {
        return Err(WebError::BadRequest("say what is there, who speaks, or what is said".to_owned()));
    }
    Ok(given)
}

pub(crate) async fn score_card(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Response, WebError> {
    let name = posted.fields.get("card");
    let card = app.cards.iter().find(|card| card.name == name).ok_or(WebError::NotFound("scorecard"))?;
    let given = posted.fields.beginning("item.").filter_map(|(item, value)| {
        let item = card.items().find(|known| known.id == item)?;
        Some(NewJudgement {
            question: Question::Scorecard,
            subject: card.subject(item),
            verdict: Verdict::Correct,
            value: Some(value.to_owned()),
            note: None,
        })
    });
    let given: Vec<NewJudgement> = given.collect();
    if given.is_empty() {
        return Err(WebError::BadRequest("answer one item at least".to_owned()));
    }
    store(&app, &posted.caller, &id, given).await?;
    answer(&app, &posted, &id).await
}

pub(crate) async fn done(
    State(app): State<Arc<App>>,
    Named(id): Named,
    posted: Posted,
) -> Result<Response, WebError> {
    let verdict = if posted.fields.some("undo").is_some() { Verdict::Withdraw } else { Verdict::Agree };
    let given =
        NewJudgement { question: Question::Done, subject: String::new(), verdict, value: None, note: None };
    store(&app, &posted.caller, &id, vec![given]).await?;
    if !posted.by_script && verdict == Verdict::Agree {
        let (_, row, _) = app.call(&id, &posted.caller.user).await?;
        let next = next_call(&app, &posted.caller, &row, posted.fields.get("queue")).await?;
        if let Some(next) = next {
            return Ok(Redirect::to(&next).into_response());
        }
    }
    answer(&app, &posted, &id).await
}

#[cfg(test)]
mod tests {
    use super::{marked_words, milliseconds};

    #[test]
    fn words_are_counted_from_one() {
        assert_eq!(marked_words(Some("2"), Some("4")).unwrap(), "1-3");
        assert_eq!(marked_words(Some("2"), None).unwrap(), "1-1");
        assert_eq!(marked_words(None, None).unwrap(), "0-0");
        for (first, last) in [("0", "1"), ("3", "2"), ("x", "2"), ("1", "-1")] {
            assert!(marked_words(Some(first), Some(last)).is_err(), "{first} {last}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (written, read) in
            [("1:05", "65000"), ("90", "90000"), ("1:00:01.5", "3601500"), ("never", "none")]
        {
            assert_eq!(milliseconds(written).unwrap(), read);
        }
        for wrong in ["", "soon", "-1", "1:2:3:4", "1:-5", "9:99", "NaN"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }
}
