//! When the customer waits: told by metadata, else heard as music and ringing on the company's channel.

use crate::Conversation;
use callmark_types::{ChannelFacts, ChannelRole, Handler, Millis, Span, Speaker, ToneKind, Turn};

/// Music with less than this between it is one wait: announcements interrupt it.
const MAX_ANNOUNCEMENT: Millis = Millis(8_000);
/// Rings with less than this between them are one wait (four seconds of pause in North America).
const MAX_RING_PAUSE: Millis = Millis(6_000);
/// Shorter music is a jingle or a detector's slip.
const MIN_MUSIC: Millis = Millis(3_000);
/// Shorter ringing is a slip.
const MIN_RINGING: Millis = Millis(800);

/// Spans on hold and in a queue, in order and without overlaps.
///
/// Metadata wins where it has handler segments. Else music on a channel that is not the customer's is a wait: on
/// hold where the same kind of agent spoke before and speaks after, in a queue otherwise; ringing is a queue until it
/// is answered. A wait after which no agent speaks any more lasts to the end of the call.
pub(crate) fn hold_and_queue_spans(call: &Conversation<'_>) -> Vec<(Handler, Span)> {
    let told = &call.metadata.handler_segments;
    if !told.is_empty() {
        let waits = told.iter().filter(|segment| matches!(segment.handler, Handler::Hold | Handler::Queue));
        return without_overlaps(waits.map(|segment| (segment.handler, segment.span)).collect());
    }
    let Some(audio) = call.audio else { return Vec::new() };
    let mut waits = Vec::new();
    for channel in audio.channels.iter().filter(|channel| may_carry_music(call, channel)) {
        let music = joined(channel.music.iter().copied(), MAX_ANNOUNCEMENT);
        let ringing = channel.tones.iter().filter(|tone| tone.kind == ToneKind::Ringback);
        let rings = joined(ringing.map(|tone| tone.span), MAX_RING_PAUSE);
        let long_music = music.into_iter().filter(|span| span.duration() >= MIN_MUSIC);
        waits.extend(long_music.map(|span| classified(call, span)));
        let long_rings = rings.into_iter().filter(|span| span.duration() >= MIN_RINGING);
        waits.extend(long_rings.map(|span| (Handler::Queue, until_answered(call, span))));
    }
    without_overlaps(waits)
}

/// Whether the channel is the company's, or may be.
fn may_carry_music(call: &Conversation<'_>, channel: &ChannelFacts) -> bool {
    if let Some(Some(role)) = call.metadata.channel_roles.get(usize::from(channel.channel)) {
        return *role != ChannelRole::Customer;
    }
    let on_channel = |turn: &&Turn| turn.is_kept() && turn.channel == Some(channel.channel);
    let mut own = call.turns.iter().filter(on_channel).peekable();
    own.peek().is_none() || own.any(|turn| turn.speaker != Speaker::Customer)
}

fn classified(call: &Conversation<'_>, music: Span) -> (Handler, Span) {
    let (before, after) = agents_around(call, music);
    match (before, after) {
        (Some(before), Some(after)) if before == after => (Handler::Hold, music),
        _ => (Handler::Queue, to_end_of_wait(call, music)),
    }
}

/// A wait after which no agent speaks ends with the call.
fn to_end_of_wait(call: &Conversation<'_>, wait: Span) -> Span {
    match (agents_around(call, wait).1, call.end) {
        (None, Some(end)) => Span::new(wait.start, wait.end.max(end)),
        _ => wait,
    }
}

/// Ringing lasts until the answer: the pause after the last ring is part of it.
fn until_answered(call: &Conversation<'_>, ringing: Span) -> Span {
    let answers = call.turns.iter().filter(|turn| turn.is_kept() && turn.speaker != Speaker::Customer);
    let answered =
        answers.filter_map(|turn| Some(turn.span?.start)).filter(|start| *start >= ringing.end).min();
    match answered {
        Some(start) if start - ringing.end <= MAX_RING_PAUSE => Span::new(ringing.start, start),
        _ => to_end_of_wait(call, ringing),
    }
}

/// Who of the company spoke last before `wait` and who speaks first after it; announcements do not count.
fn agents_around(call: &Conversation<'_>, wait: Span) -> (Option<Speaker>, Option<Speaker>) {
    let is_agent = |turn: &&Turn| {
        turn.is_kept() && matches!(turn.speaker, Speaker::AiAgent | Speaker::HumanAgent | Speaker::Unknown)
    };
    let middle = |span: Span| Millis(i64::midpoint(span.start.0, span.end.0));
    let spoken = || call.turns.iter().filter(is_agent).filter_map(|turn| Some((turn.span?, turn.speaker)));
    let before = spoken().rfind(|(span, _)| middle(*span) < wait.start);
    let after = spoken().find(|(span, _)| middle(*span) >= wait.end);
    (before.map(|(_, speaker)| speaker), after.map(|(_, speaker)| speaker))
}

/// Spans in order, those with at most `gap` between them made one.
fn joined(spans: impl IntoIterator<Item = Span>, gap: Millis) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    for span in Span::union(spans) {
        match out.last_mut() {
            Some(last) if span.start - last.end <= gap => last.end = span.end,
            _ => out.push(span),
        }
    }
    out
}

/// In order; where two waits meet, the later one begins when the earlier one ends.
fn without_overlaps(mut waits: Vec<(Handler, Span)>) -> Vec<(Handler, Span)> {
    waits.sort_by_key(|(_, span)| *span);
    let mut out: Vec<(Handler, Span)> = Vec::with_capacity(waits.len());
    for (handler, span) in waits {
        let from = out.last().map_or(span.start, |(_, last)| last.end.max(span.start));
        if from < span.end {
            out.push((handler, Span::new(from, span.end)));
        }
    }
    out
}
