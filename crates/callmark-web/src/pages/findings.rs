//! What a reviewer is asked of a call: the scores, each with its evidence, and every event that a person can judge.

use crate::calls::event_title;
use crate::reviews::Question;
use crate::text;
use callmark_types::{Event, EventKind, ScoredCall};

/// How a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    YesNo,
    YesNoNone,
    Outcome,
    Milliseconds,
    Score,
    /// There or not.
    There,
}

/// A question, what was found, and where that shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding<'a> {
    pub(crate) question: Question,
    pub(crate) subject: String,
    pub(crate) title: String,
    /// What was found, as a judgement's value; `None`: nothing.
    pub(crate) seen: Option<String>,
    /// The same for people.
    pub(crate) shown: String,
    pub(crate) answer: Answer,
    pub(crate) evidence: Evidence<'a>,
}

/// Where something shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Evidence<'a> {
    pub(crate) at_ms: Option<i64>,
    pub(crate) turn: Option<u32>,
    pub(crate) words: Option<&'a str>,
    /// Rule and version, or how it was measured.
    pub(crate) by: Option<String>,
    pub(crate) confidence: Option<f64>,
}

impl<'a> Evidence<'a> {
    fn of(event: &'a Event) -> Self {
        let rule = event.rule_id.as_deref().map(|rule| match event.rule_version.as_deref() {
            Some(version) => format!("{rule}, version {version}"),
            None => rule.to_owned(),
        });
        Self {
            at_ms: event.span.map(|span| span.start.0),
            turn: event.turn_index,
            words: event.evidence_text.as_deref(),
            by: match (rule, event.detail.as_deref()) {
                (Some(rule), Some(detail)) => Some(format!("{rule}; {detail}")),
                (rule, detail) => rule.or(detail.map(str::to_owned)),
            },
            confidence: event.confidence,
        }
    }

    fn first(call: &'a ScoredCall, kinds: &[EventKind]) -> Self {
        call.events.iter().find(|event| kinds.contains(&event.kind)).map(Self::of).unwrap_or_default()
    }
}

/// Events that a person judges one by one; the others are measured.
pub(crate) const JUDGED: [EventKind; 15] = [
    EventKind::HumanRequest,
    EventKind::HumanOffer,
    EventKind::OfferAccepted,
    EventKind::OfferDeclined,
    EventKind::Deflection,
    EventKind::Handoff,
    EventKind::AiDisclosure,
    EventKind::ResolutionConfirmed,
    EventKind::ResolutionDenied,
    EventKind::FixDelivered,
    EventKind::RepeatContactMention,
    EventKind::Loop,
    EventKind::Transfer,
    EventKind::Abandon,
    EventKind::Category,
];

/// The questions of this call, the whole call's first.
pub(crate) fn findings(call: &ScoredCall) -> Vec<Finding<'_>> {
    let mut found = of_call(call);
    for (index, event) in call.events.iter().enumerate().filter(|(_, event)| JUDGED.contains(&event.kind)) {
        found.push(Finding {
            question: Question::Event,
            subject: index.to_string(),
            title: event_title(event),
            seen: Some(event.kind.as_str().to_owned()),
            shown: String::new(),
            answer: Answer::There,
            evidence: Evidence::of(event),
        });
    }
    found
}

/// A question about the whole call.
fn whole<'a>(
    question: Question,
    title: &str,
    (seen, shown): (Option<String>, String),
    answer: Answer,
    evidence: Evidence<'a>,
) -> Finding<'a> {
    Finding { question, subject: String::new(), title: title.to_owned(), seen, shown, answer, evidence }
}

fn yes(yes: bool) -> (Option<String>, String) {
    let word = if yes { "yes" } else { "no" };
    (Some(word.to_owned()), word.to_owned())
}

fn of_call(call: &ScoredCall) -> Vec<Finding<'_>> {
    let access = &call.record.human_access;
    let (outcome, settled_at) = resolution(call);
    let asked = Evidence::first(call, &[EventKind::HumanRequest]);
    let title = "The customer asked for a person";
    let mut found = vec![
        outcome,
        whole(Question::HumanRequest, title, yes(access.human_request_count > 0), Answer::YesNo, asked),
    ];
    let reached = match access.human_reached {
        Some(at) => Evidence { at_ms: Some(at.0), ..Evidence::default() },
        None => Evidence::first(call, &[EventKind::Deflection]),
    };
    let heard = match access.human_request_honoured {
        Some(honoured) => yes(honoured),
        None => (Some("none".to_owned()), "nobody asked or accepted".to_owned()),
    };
    found.push(whole(
        Question::Honoured,
        "A person was heard after a request or an accepted offer",
        heard,
        Answer::YesNoNone,
        reached,
    ));
    found.extend(settled_at);
    found.push(sentiment(call));
    found
}

/// How the matter ended, and when, where that can be told.
fn resolution(call: &ScoredCall) -> (Finding<'_>, Option<Finding<'_>>) {
    let resolution = &call.record.resolution;
    let decisive = decisive(call);
    let mut evidence = decisive.map(Evidence::of).unwrap_or_default();
    if let Some(turn) = resolution.evidence_turn.and_then(|index| call.turns.get(index as usize)) {
        evidence.at_ms = turn.span.map(|span| span.start.0);
        evidence.turn = Some(turn.index);
        evidence.words = Some(&turn.text);
    }
    let by = decisive.map(|event| text::words(event.kind.as_str())).into_iter().chain(evidence.by.take());
    evidence.by = Some(by.collect::<Vec<_>>().join(": "))
        .filter(|by| !by.is_empty())
        .or_else(|| Some("nothing that is said settles, refuses or hands over".to_owned()));
    evidence.confidence = Some(resolution.confidence);
    let name = resolution.outcome.as_str();
    let seen = (Some(name.to_owned()), text::words(name));
    let outcome = whole(Question::Outcome, "Outcome", seen, Answer::Outcome, evidence.clone());
    let has_times = call.turns.iter().any(|turn| turn.span.is_some());
    let settled_at = has_times.then(|| {
        let at = resolution.resolved_at.map(|at| at.0);
        let seen = at.map_or_else(|| "none".to_owned(), |ms| ms.to_string());
        let shown = at.map_or_else(|| "never".to_owned(), text::clock);
        whole(Question::ResolvedAtMs, "Settled at", (Some(seen), shown), Answer::Milliseconds, evidence)
    });
    (outcome, settled_at)
}

/// Events that decide how a matter ends.
const DECISIVE: [EventKind; 8] = [
    EventKind::ResolutionConfirmed,
    EventKind::ResolutionDenied,
    EventKind::FixDelivered,
    EventKind::Handoff,
    EventKind::OfferAccepted,
    EventKind::Transfer,
    EventKind::RepeatContactMention,
    EventKind::Abandon,
];

/// What decided the outcome: in the turn that shows it, or, where no turn does, the last of all that decides.
fn decisive(call: &ScoredCall) -> Option<&Event> {
    let decisive = || call.events.iter().filter(|event| DECISIVE.contains(&event.kind));
    match call.record.resolution.evidence_turn {
        Some(turn) => decisive().find(|event| event.turn_index == Some(turn)),
        None => decisive().max_by_key(|event| event.turn_index),
    }
}

fn sentiment(call: &ScoredCall) -> Finding<'_> {
    let score = call.record.sentiment.customer.overall;
    let worst = (call.turns.iter().zip(&call.turn_sentiment))
        .filter(|(turn, score)| turn.speaker == callmark_types::Speaker::Customer && score.is_some())
        .min_by(|a, b| a.1.unwrap_or(0.0).total_cmp(&b.1.unwrap_or(0.0)));
    let evidence = worst.map_or_else(Evidence::default, |(turn, _)| Evidence {
        at_ms: turn.span.map(|span| span.start.0),
        turn: Some(turn.index),
        words: Some(&turn.text),
        by: Some("the turn with the lowest score".to_owned()),
        confidence: None,
    });
    let shown = score.map_or_else(|| "not scored".to_owned(), |score| format!("{score:+.1}"));
    let seen = score.map(|score| format!("{score:.1}"));
    whole(Question::Sentiment, "Customer sentiment, -5 to 5", (seen, shown), Answer::Score, evidence)
}

/// What was found on a question, as a judgement's value.
pub(crate) fn seen(call: &ScoredCall, question: Question, subject: &str) -> Option<String> {
    let turn = || call.turns.get(subject.parse::<usize>().ok()?);
    match question {
        Question::Speaker => Some(turn()?.speaker.as_str().to_owned()),
        Question::Words => Some(turn()?.text.clone()),
        Question::Missed | Question::Scorecard | Question::Done => None,
        Question::Event => {
            let event = call.events.get(subject.parse::<usize>().ok()?)?;
            Some(event.kind.as_str().to_owned())
        }
        Question::Honoured => {
            let honoured = call.record.human_access.human_request_honoured;
            Some(honoured.map_or("none", |honoured| if honoured { "yes" } else { "no" }).to_owned())
        }
        Question::ResolvedAtMs => {
            Some(call.record.resolution.resolved_at.map_or_else(|| "none".to_owned(), |at| at.0.to_string()))
        }
        _ => of_call(call).into_iter().find(|finding| finding.question == question)?.seen,
    }
}
