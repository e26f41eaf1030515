//! A call from left to right: who had it, where it was quiet, held or both spoke, what was found, and how the customer felt.

use crate::calls::event_title;
use crate::text;
use callmark_types::{Event, EventKind, Handler, Millis, ScoredCall, Span, Speaker};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Units of the picture's width; its height is in the same.
const WIDTH: f64 = 1_000.0;
const HANDLERS: f64 = 16.0;
const WAVE: f64 = 120.0;
const MARKS: f64 = 34.0;
const MOOD: f64 = 64.0;

/// Length of what is shown: of the recording, or up to the last thing that has a time.
pub(crate) fn length(call: &ScoredCall) -> Option<Millis> {
    let turns = call.turns.iter().filter_map(|turn| turn.span).map(|span| span.end);
    let events = call.events.iter().filter_map(|event| event.span).map(|span| span.end);
    let last = turns.chain(events).chain(call.record.audio.total_conversation_duration).max();
    last.filter(|last| last.0 > 0)
}

/// Events that are marks on the timeline, with their index.
pub(crate) fn marks(call: &ScoredCall) -> impl Iterator<Item = (usize, &Event)> {
    let shown = |event: &&Event| {
        !matches!(event.kind, EventKind::Silence | EventKind::Hold | EventKind::Queue | EventKind::Pii)
    };
    call.events.iter().enumerate().filter(move |(_, event)| shown(event))
}

/// The picture; `None` for calls without times.
pub(crate) fn timeline(call: &ScoredCall, waveform: Option<&str>) -> Option<Markup> {
    let length = length(call)?;
    let x = |time: Millis| (time.0 as f64 / length.0 as f64 * WIDTH).clamp(0.0, WIDTH);
    let wide = |span: Span| (x(span.end) - x(span.start)).max(1.0);
    let at = |value: f64| format!("{value:.1}");
    let height = HANDLERS + WAVE + MARKS;
    let shaded = |kind: EventKind| {
        call.events.iter().filter(move |event| event.kind == kind).filter_map(|event| event.span)
    };
    Some(html! {
        div.timeline id="timeline" data-length=(length.0) {
            @if let Some(address) = waveform {
                img.wave src=(address) alt="" width="1000" height="120" loading="lazy";
            }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } preserveAspectRatio="none" role="img" aria-label=(summary(call, length)) {
                @for segment in &call.record.handler_segments {
                    rect class={ "handler " (segment.handler.as_str()) } x=(at(x(segment.span.start))) y="0"
                        width=(at(wide(segment.span))) height=(HANDLERS - 2.0) {
                        title { (handler(segment.handler)) " " (text::clock(segment.span.start.0)) " to " (text::clock(segment.span.end.0)) }
                    }
                }
                @for (kind, class) in [(EventKind::Silence, "silence"), (EventKind::Hold, "hold"), (EventKind::Queue, "queue"), (EventKind::Interruption, "overlap")] {
                    @for span in shaded(kind) {
                        rect class={ "shade " (class) } x=(at(x(span.start))) y=(HANDLERS) width=(at(wide(span))) height=(WAVE) {
                            title { (text::words(kind.as_str())) " " (text::clock(span.start.0)) " to " (text::clock(span.end.0)) }
                        }
                    }
                }
                @for (index, event) in marks(call) {
                    @if let Some(span) = event.span {
                        g class={ "mark " (event.kind.as_str()) } data-event=(index) {
                            line x1=(at(x(span.start))) x2=(at(x(span.start))) y1=(HANDLERS) y2=(HANDLERS + WAVE) {}
                            rect x=(at(x(span.start) - 3.0)) y=(HANDLERS + WAVE + 4.0) width="6" height="14" {
                                title { (event_title(event)) " " (text::clock(span.start.0)) }
                            }
                        }
                    }
                }
                line.playhead id="playhead" x1="0" x2="0" y1="0" y2=(height) {}
            }
        }
        div.legend aria-hidden="true" {
            @for (class, name) in [("ai", "AI"), ("human", "person"), ("ivr", "menu"), ("hold", "hold"), ("queue", "queue"), ("silence", "silence"), ("overlap", "both talk")] {
                span class={ "key " (class) } { (name) }
            }
        }
        (mood_lines(call, length))
    })
}

/// Sentiment turn by turn of either side.
fn mood_lines(call: &ScoredCall, length: Millis) -> Markup {
    let x = |time: Millis| (time.0 as f64 / length.0 as f64 * WIDTH).clamp(0.0, WIDTH);
    let y = |score: f64| MOOD / 2.0 - score / 5.0 * (MOOD / 2.0 - 3.0);
    let points = |is_customer: bool| -> Vec<(f64, f64, f64)> {
        let of_side = call.turns.iter().zip(&call.turn_sentiment).filter(move |(turn, _)| {
            if is_customer { turn.speaker == Speaker::Customer } else { turn.speaker.is_agent_side() }
        });
        of_side.filter_map(|(turn, score)| Some((x(turn.span?.start), y((*score)?), (*score)?))).collect()
    };
    let (customer, agent) = (points(true), points(false));
    if customer.is_empty() && agent.is_empty() {
        return html! {};
    }
    let path = |points: &[(f64, f64, f64)]| {
        let steps = points
            .iter()
            .enumerate()
            .map(|(at, (x, y, _))| format!("{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" }));
        steps.collect::<String>()
    };
    let mean = |points: &[(f64, f64, f64)]| points.iter().map(|p| p.2).sum::<f64>() / points.len() as f64;
    let told = |points: &[(f64, f64, f64)], who: &str| {
        if points.is_empty() {
            String::new()
        } else {
            format!("{who}: {:+.1} on average over {} turns. ", mean(points), points.len())
        }
    };
    html! {
        svg.mood-lines viewBox={ "0 0 " (WIDTH) " " (MOOD) } preserveAspectRatio="none" role="img"
            aria-label={ "Sentiment by turn. " (told(&customer, "Customer")) (told(&agent, "Agent side")) } {
            line.grid x1="0" x2=(WIDTH) y1=(MOOD / 2.0) y2=(MOOD / 2.0) {}
            path.line.agent d=(path(&agent)) {}
            path.line.customer d=(path(&customer)) {}
        }
        p.legend aria-hidden="true" { "Sentiment: " span.key.customer { "customer" } " " span.key.agent { "agent side" } }
    }
}

/// A handler as people call it.
pub(crate) fn handler(handler: Handler) -> &'static str {
    match handler {
        Handler::Ai => "AI",
        Handler::Human => "person",
        Handler::Ivr => "menu",
        Handler::Hold => "hold",
        Handler::Queue => "queue",
    }
}

/// The picture in words.
fn summary(call: &ScoredCall, length: Millis) -> String {
    let mut said = format!("Timeline of {}.", text::clock(length.0));
    for segment in &call.record.handler_segments {
        let (from, to) = (text::clock(segment.span.start.0), text::clock(segment.span.end.0));
        // Writing to a text cannot fail.
        let _ = write!(said, " {} from {from} to {to}.", handler(segment.handler));
    }
    said + &format!(" {} findings are marked; they are listed below.", marks(call).count())
}
