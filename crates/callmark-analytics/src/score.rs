//! One call scored: the parts put together.

use crate::{Ruleset, access, conversation, handlers, hearing, loops, personal, resolution, sentiment};
use callmark_types::{
    AudioFacts, CallMetadata, ConversationMetrics, Event, EventKind, Handler, HandlerSegment, HumanAccess,
    Millis, Resolution, SentimentRollup, Span, TrustFlag, Turn,
};

/// What is scored: one call.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// What the recorder knew.
    pub metadata: &'a CallMetadata,
    /// The turns, in order of start; dropped turns included (they are not scored).
    pub turns: &'a [Turn],
    /// What was measured on audio; `None` for transcripts and chats.
    pub audio: Option<&'a AudioFacts>,
    /// End of the recording; `None` for chats without times.
    pub end: Option<Millis>,
}

/// Everything found in one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Sentiment of each turn, -5 to 5; as long as the turns.
    pub turn_sentiment: Vec<Option<f64>>,
    /// Conversation measures.
    pub conversation: ConversationMetrics,
    /// Sentiment of the call.
    pub sentiment: SentimentRollup,
    /// The right to a person.
    pub human_access: HumanAccess,
    /// How the matter ended.
    pub resolution: Resolution,
    /// Events in order of time (of turns, where there are no times).
    pub events: Vec<Event>,
    /// Who took the call first: ai, human or ivr; `None` where neither metadata nor words tell.
    pub first_handler: Option<Handler>,
    /// Who had it last: ai, human or ivr.
    pub final_handler: Option<Handler>,
    /// Who handled what; told by metadata, else worked out from the turns.
    pub handler_segments: Vec<HandlerSegment>,
    /// Reasons to trust the scores less, sorted.
    pub flags: Vec<TrustFlag>,
}

/// Scores one call.
pub fn score(rules: &Ruleset, call: &Conversation<'_>) -> Scores {
    let waits = conversation::hold_and_queue_spans(call);
    let of = |handler: Handler| -> Vec<Span> {
        waits.iter().filter(|(h, _)| *h == handler).map(|(_, span)| *span).collect()
    };
    let (hold, queue) = (of(Handler::Hold), of(Handler::Queue));
    let heard = hearing::hear(rules, call.turns);
    let handlers = handlers::work_out(call, &heard, &waits);
    let access = access::find(rules, call, &heard);
    let resolution = resolution::find(rules, call, &heard, &access, &handlers, &queue);
    let (metrics, mut events) = conversation::measure(call, &hold, &queue);
    events.extend(wait_events(EventKind::Hold, &hold));
    events.extend(wait_events(EventKind::Queue, &queue));
    events.extend(hearing::plain_events(rules, call.turns, &heard));
    events.extend(loops::find(call.turns, &heard));
    events.extend(access.events);
    events.extend(resolution.events);
    events.extend(personal::events(call.turns));
    events.sort_by_key(|e| {
        let start = e.span.map(|s| s.start);
        (start, e.turn_index, e.kind)
    });
    let turn_sentiment =
        sentiment::score_turns(&rules.lexicons, call.turns, call.metadata.language.as_deref());
    Scores {
        sentiment: sentiment::roll_up(call.turns, &turn_sentiment, &handlers.segments, call.end),
        turn_sentiment,
        conversation: metrics,
        human_access: access.human,
        resolution: resolution.resolution,
        events,
        first_handler: handlers.first,
        final_handler: handlers.last,
        handler_segments: handlers.segments,
        flags: handlers.flags,
    }
}

fn wait_events(kind: EventKind, spans: &[Span]) -> impl Iterator<Item = Event> {
    spans.iter().map(move |span| Event::lasting(kind, *span))
}
