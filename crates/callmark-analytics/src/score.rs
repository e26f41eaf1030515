//! One call scored: the parts put together.

use crate::{
    Ruleset, access, categories, conversation, handlers, hearing, loops, personal, resolution, sentiment,
};
use callmark_types::{
    AudioFacts, CallMetadata, CallRecord, ConversationMetrics, Event, EventKind, Handler, HandlerSegment,
    HumanAccess, Millis, Resolution, ScoredCall, SentimentRollup, Span, Trust, TrustFlag, Turn,
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

/// What was measured on time and audio rather than read from words.
struct Measured {
    /// Hold and queue, in order.
    waits: Vec<(Handler, Span)>,
    metrics: ConversationMetrics,
    /// Interruptions, silences, personal data.
    events: Vec<Event>,
}

/// Scores one call.
pub fn score(rules: &Ruleset, call: &Conversation<'_>) -> Scores {
    let waits = conversation::hold_and_queue_spans(call);
    let (metrics, mut events) =
        conversation::measure(call, &of(&waits, Handler::Hold), &of(&waits, Handler::Queue));
    events.extend(personal::events(call.turns));
    judge(rules, call, Measured { waits, metrics, events })
}

/// Scores a stored call again by other rules, without its audio. What was measured on audio stays as it was stored:
/// speakers, times, hold, queue, interruptions, silence, conversation measures; and `pii` events, whose words may have
/// been taken out of the text. Of what the call's row says, the lineage is left for the caller to set.
pub fn rescore(rules: &Ruleset, stored: &ScoredCall) -> ScoredCall {
    // Worked out anew.
    let of_scoring = [TrustFlag::HandlersDetected, TrustFlag::LanguageNotScored, TrustFlag::RulesNeedTimes]
        .map(TrustFlag::as_str);
    let was_told = !stored.record.trust.flags.iter().any(|flag| flag == of_scoring[0]);
    let record = &stored.record;
    let metadata = CallMetadata {
        started_at: record.started_at,
        first_handler: record.first_handler.filter(|_| was_told),
        handler_segments: if was_told { record.handler_segments.clone() } else { Vec::new() },
        agent_ids: record.agent_ids.clone(),
        customer_key: record.customer_key.clone(),
        queue: record.queue.clone(),
        issue_type: record.issue_type.clone(),
        language: record.language.clone(),
        ..CallMetadata::unknown(record.call_id.clone())
    };
    let end = record.audio.total_conversation_duration;
    let call = Conversation { metadata: &metadata, turns: &stored.turns, audio: None, end };
    let waited = |event: &Event| match event.kind {
        EventKind::Hold => event.span.map(|span| (Handler::Hold, span)),
        EventKind::Queue => event.span.map(|span| (Handler::Queue, span)),
        _ => None,
    };
    let measured = Measured {
        waits: stored.events.iter().filter_map(waited).collect(),
        metrics: record.conversation.clone(),
        events: stored
            .events
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Interruption | EventKind::Silence | EventKind::Pii))
            .cloned()
            .collect(),
    };
    let scores = judge(rules, &call, measured);
    let mut flags: Vec<String> =
        record.trust.flags.iter().filter(|flag| !of_scoring.contains(&flag.as_str())).cloned().collect();
    flags.extend(scores.flags.iter().map(|flag| flag.as_str().to_owned()));
    flags.sort_unstable();
    let record = CallRecord {
        first_handler: scores.first_handler,
        final_handler: scores.final_handler,
        handler_segments: scores.handler_segments,
        conversation: scores.conversation,
        sentiment: scores.sentiment,
        human_access: scores.human_access,
        resolution: scores.resolution,
        trust: Trust { flags, ..record.trust.clone() },
        ..record.clone()
    };
    ScoredCall {
        record,
        turns: stored.turns.clone(),
        turn_sentiment: scores.turn_sentiment,
        events: scores.events,
    }
}

fn of(waits: &[(Handler, Span)], handler: Handler) -> Vec<Span> {
    waits.iter().filter(|(h, _)| *h == handler).map(|(_, span)| *span).collect()
}

/// What the words say, given what was measured.
fn judge(rules: &Ruleset, call: &Conversation<'_>, measured: Measured) -> Scores {
    let Measured { waits, metrics, mut events } = measured;
    let (hold, queue) = (of(&waits, Handler::Hold), of(&waits, Handler::Queue));
    let language = call.metadata.language.as_deref();
    let heard = hearing::hear(rules, call.turns, language);
    let handlers = handlers::work_out(call, &heard, &waits);
    let access = access::find(rules, call, &heard);
    let resolution = resolution::find(rules, call, &heard, &access, &handlers, &queue);
    events.extend(wait_events(EventKind::Hold, &hold));
    events.extend(wait_events(EventKind::Queue, &queue));
    events.extend(hearing::plain_events(rules, call.turns, &heard));
    events.extend(loops::find(call.turns, &heard));
    events.extend(access.events);
    events.extend(resolution.events);
    let in_order = |e: &Event| (e.span.map(|s| s.start), e.turn_index, e.kind);
    events.sort_by_key(in_order);
    let (categories, needs_times) = categories::find(rules, call, &heard, &events);
    events.extend(categories);
    events.sort_by_key(in_order);
    let mut flags = handlers.flags;
    flags.extend((!sentiment::covers_language(language)).then_some(TrustFlag::LanguageNotScored));
    flags.extend(needs_times.then_some(TrustFlag::RulesNeedTimes));
    flags.sort_unstable();
    let turn_sentiment = sentiment::score_turns(&rules.lexicons, call.turns, language);
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
        flags,
    }
}

fn wait_events(kind: EventKind, spans: &[Span]) -> impl Iterator<Item = Event> {
    spans.iter().map(move |span| Event::lasting(kind, *span))
}
