//! Who handled which part of the call: as metadata tells, else as the turns' speakers and the waits show.

use crate::Conversation;
use crate::hearing::Heard;
use crate::signal::Signal;
use callmark_types::{Handler, HandlerSegment, Millis, Span, Speaker, TrustFlag};

/// Who handled the call.
pub(crate) struct Handlers {
    pub(crate) first: Option<Handler>,
    pub(crate) last: Option<Handler>,
    pub(crate) segments: Vec<HandlerSegment>,
    pub(crate) flags: Vec<TrustFlag>,
}

/// Works out the handlers. Metadata wins; words decide where it is silent, and that is flagged.
pub(crate) fn work_out(call: &Conversation<'_>, heard: &[Heard], waits: &[(Handler, Span)]) -> Handlers {
    let told = &call.metadata.handler_segments;
    let is_told = call.metadata.tells_handlers();
    let segments = if is_told { told.clone() } else { segments_of_turns(heard, call, waits) };
    let in_order = || segments.iter().map(|s| s.handler).filter(|h| h.serves());
    let spoken: Vec<Handler> = heard.iter().filter_map(|t| handler_of(t.speaker)).collect();
    let mut flags = Vec::new();
    let first = call.metadata.first_handler.filter(|h| h.serves()).or_else(|| {
        if is_told {
            return in_order().next();
        }
        let first = in_order().next().or_else(|| spoken.first().copied());
        let known = first.filter(|h| *h != Handler::Human || sounds_human(heard));
        if known.is_some() {
            flags.push(TrustFlag::HandlersDetected);
        }
        known
    });
    let alone = first.is_none();
    let last =
        if is_told { in_order().next_back() } else { spoken.last().copied().filter(|_| !alone) }.or(first);
    let segments = if alone && !is_told { told.clone() } else { segments };
    Handlers { first, last, segments, flags }
}

/// Whether the words show a person: a company's side that nobody could place is not called human.
fn sounds_human(heard: &[Heard]) -> bool {
    heard.iter().any(|t| t.speaker == Speaker::HumanAgent && t.has(Signal::HumanAgentWords))
}

fn handler_of(speaker: Speaker) -> Option<Handler> {
    match speaker {
        Speaker::AiAgent => Some(Handler::Ai),
        Speaker::HumanAgent => Some(Handler::Human),
        Speaker::Ivr => Some(Handler::Ivr),
        Speaker::Customer | Speaker::Unknown => None,
    }
}

/// Runs of one handler, each from the end of the last speech before it; waits cut out and put in. Empty without
/// times.
fn segments_of_turns(
    heard: &[Heard],
    call: &Conversation<'_>,
    waits: &[(Handler, Span)],
) -> Vec<HandlerSegment> {
    let mut changes: Vec<(Millis, Handler)> = Vec::new();
    let mut last_speech = Millis::ZERO;
    for turn in heard {
        let Some(span) = call.turns[turn.at].span else { return Vec::new() };
        let waiting = waits.iter().any(|(_, wait)| wait.overlap(span) > Millis::ZERO);
        let handler = handler_of(turn.speaker).filter(|h| !(waiting && *h == Handler::Ivr));
        if let Some(handler) = handler.filter(|h| changes.last().map(|c| c.1) != Some(*h)) {
            let start = if changes.is_empty() { Millis::ZERO } else { last_speech.min(span.start) };
            changes.push((start, handler));
        }
        last_speech = last_speech.max(span.end);
    }
    let end = call.end.unwrap_or(last_speech).max(last_speech);
    let mut out = Vec::new();
    for (i, (start, handler)) in changes.iter().enumerate() {
        let until = changes.get(i + 1).map_or(end, |next| next.0);
        let mut from = *start;
        for (_, wait) in waits.iter().filter(|(_, w)| w.start < until && w.end > *start) {
            push(&mut out, *handler, from, wait.start);
            from = from.max(wait.end);
        }
        push(&mut out, *handler, from, until);
    }
    for (handler, wait) in waits {
        push(&mut out, *handler, wait.start, wait.end);
    }
    out.sort_by_key(|s| s.span);
    out
}

fn push(out: &mut Vec<HandlerSegment>, handler: Handler, start: Millis, end: Millis) {
    if start < end {
        out.push(HandlerSegment { handler, span: Span::new(start, end), agent_id: None });
    }
}
