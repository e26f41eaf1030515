//! Conversation measures: talk, silence, hold, interruptions, pace, response times.
//!
//! It exists apart from the rules because nothing here depends on what words mean: it is arithmetic on stretches of
//! time. Definitions follow the Amazon Connect data lake where it has the column ("Contact Lens conversational
//! analytics" in its administrator guide): talk time is time spoken, non-talk time is silence of over three seconds
//! together with hold, an interruption is one side starting while the other speaks and taking the turn.

mod sides;
mod turn_taking;
mod waiting;

#[cfg(test)]
mod tests;

use crate::Conversation;
use callmark_types::{
    ConversationMetrics, Event, EventKind, Millis, SideMetrics, Span, Speaker, ToneKind, Turn,
};
use sides::Speech;
use turn_taking::{Interruption, Side};

pub(crate) use waiting::hold_and_queue_spans;

/// Shortest stretch without speech that counts as silence (Amazon Connect: "non-talk time … over 3 seconds").
const MIN_SILENCE: Millis = Millis(3_000);
/// Least talk time from which a pace is computed; a rate over less is noise.
const MIN_TALK_FOR_PACE: Millis = Millis(1_000);
/// Confidence of an interruption whose overlap is just long enough; it grows to 1 with the overlap.
const LEAST_INTERRUPTION_CONFIDENCE: f64 = 0.5;
/// Overlap from which an interruption is certain.
const CERTAIN_OVERLAP: Millis = Millis(600);

/// Measures the conversation, and gives its interruption and silence events. `hold` and `queue` are the spans in
/// which the customer waits, in order and without overlaps.
///
/// Nothing is measured where the turns have no times. Announcements and menus are not the agent's talk, but they
/// are no silence either.
pub(crate) fn measure(
    call: &Conversation<'_>,
    hold: &[Span],
    queue: &[Span],
) -> (ConversationMetrics, Vec<Event>) {
    let Some(speech) = Speech::of(call) else {
        return (ConversationMetrics::default(), Vec::new());
    };
    let waiting = Span::union(hold.iter().chain(queue).copied());
    let interruptions = turn_taking::interruptions(call, &speech);
    let silences = silences(call, &speech, &waiting);
    let metrics = metrics(call, &speech, hold, queue, &interruptions, &silences);
    let mut events: Vec<Event> = interruptions.iter().map(|i| interruption_event(call.turns, i)).collect();
    events.extend(silences.into_iter().map(|span| Event::lasting(EventKind::Silence, span)));
    events.sort_by_key(|event| event.span);
    (metrics, events)
}

fn metrics(
    call: &Conversation<'_>,
    speech: &Speech,
    hold: &[Span],
    queue: &[Span],
    interruptions: &[Interruption],
    silences: &[Span],
) -> ConversationMetrics {
    let bounds = Span::new(Millis::ZERO, speech.end);
    let waiting = Span::union(hold.iter().chain(queue).copied());
    let responses = turn_taking::responses(speech, &waiting);
    let both = intersect(&speech.customer, &speech.agent);
    let side = |side: Side| {
        if !speech.knows(side) {
            return SideMetrics::default();
        }
        let talk_time = total(speech.of_side(side));
        let caused: Vec<&Interruption> = interruptions.iter().filter(|i| i.by == side).collect();
        let pauses: Vec<Millis> =
            responses.iter().filter(|(answering, _)| *answering == side).map(|(_, pause)| *pause).collect();
        SideMetrics {
            talk_time: Some(talk_time),
            interruptions_count: Some(i32::try_from(caused.len()).unwrap_or(i32::MAX)),
            interruptions_time: Some(total(&intersect(
                &Span::union(caused.iter().map(|i| i.overlap)),
                &both,
            ))),
            talk_speed_wpm: pace(call.turns, side, talk_time),
            response_time_average: average(&pauses),
            response_time_maximum: pauses.iter().copied().max(),
        }
    };
    let within_call =
        |spans: &[Span]| total(&Span::union(spans.iter().filter_map(|span| span.intersection(bounds))));
    let not_talking = Span::union(silences.iter().chain(hold).copied());
    ConversationMetrics {
        agent: side(Side::Agent),
        customer: side(Side::Customer),
        talk_time_total: Some(total(&Span::union(
            speech.customer.iter().chain(&speech.agent).chain(&speech.unplaced).copied(),
        ))),
        non_talk_time_total: Some(within_call(&not_talking)),
        overlap_time: Some(total(&both)),
        hold_time: Some(within_call(hold)),
        queue_time: Some(within_call(queue)),
        greeting_time_agent: greeting(call.turns),
    }
}

/// Stretches of [`MIN_SILENCE`] or more in which no channel has speech or a pressed key, outside `waiting`.
fn silences(call: &Conversation<'_>, speech: &Speech, waiting: &[Span]) -> Vec<Span> {
    let keys = call
        .audio
        .iter()
        .flat_map(|audio| &audio.channels)
        .flat_map(|channel| &channel.tones)
        .filter(|tone| tone.kind == ToneKind::Dtmf)
        .map(|tone| tone.span);
    let busy = Span::union(speech.any.iter().chain(waiting).copied().chain(keys));
    let mut quiet = Vec::new();
    let mut from = Millis::ZERO;
    for span in busy.iter().copied().chain([Span::new(speech.end, speech.end)]) {
        let gap = Span::new(from, span.start.min(speech.end));
        if gap.duration() >= MIN_SILENCE {
            quiet.push(gap);
        }
        from = from.max(span.end);
    }
    quiet
}

/// End of the first turn of an AI or human agent.
fn greeting(turns: &[Turn]) -> Option<Millis> {
    let agent = |turn: &&Turn| matches!(turn.speaker, Speaker::AiAgent | Speaker::HumanAgent);
    turns.iter().filter(|turn| turn.is_kept()).find(agent)?.span.map(|span| span.end)
}

/// Words of a side's kept turns a minute of its talk time.
fn pace(turns: &[Turn], side: Side, talk_time: Millis) -> Option<f64> {
    if talk_time < MIN_TALK_FOR_PACE {
        return None;
    }
    let words: usize = turns
        .iter()
        .filter(|turn| turn.is_kept() && turn.span.is_some() && Side::of(turn.speaker) == Some(side))
        .map(|turn| turn.text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count())
        .sum();
    (words > 0).then(|| words as f64 / (talk_time.seconds() / 60.0))
}

fn average(times: &[Millis]) -> Option<Millis> {
    let sum: Millis = times.iter().copied().sum();
    (!times.is_empty()).then(|| Millis((sum.0 as f64 / times.len() as f64).round() as i64))
}

fn interruption_event(turns: &[Turn], interruption: &Interruption) -> Event {
    let share = interruption.overlap.duration().0 as f64 / CERTAIN_OVERLAP.0 as f64;
    let certainty = LEAST_INTERRUPTION_CONFIDENCE + (1.0 - LEAST_INTERRUPTION_CONFIDENCE) * share;
    let turn = interruption.turn.map(|position| &turns[position]);
    Event {
        turn_index: turn.map(|turn| turn.index),
        speaker: turn.map(|turn| turn.speaker),
        detail: interruption
            .interrupted_turn
            .map(|position| format!("interrupted_turn={}", turns[position].index)),
        confidence: Some(certainty.min(1.0)),
        evidence_text: turn.map(|turn| turn.text.clone()),
        ..Event::lasting(EventKind::Interruption, interruption.overlap)
    }
}

/// Length of spans that do not overlap.
fn total(spans: &[Span]) -> Millis {
    spans.iter().map(|span| span.duration()).sum()
}

/// The time that both lists cover; both are in order and without overlaps, and so is the result.
fn intersect(left: &[Span], right: &[Span]) -> Vec<Span> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        both.extend(a.intersection(*b));
        if a.end <= b.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

/// The time that `spans` cover and `holes` do not; both are in order and without overlaps, and so is the result.
fn subtract(spans: &[Span], holes: &[Span]) -> Vec<Span> {
    let mut rest = Vec::new();
    for span in spans {
        let mut from = span.start;
        for hole in holes.iter().filter(|hole| span.intersection(**hole).is_some()) {
            if hole.start > from {
                rest.push(Span::new(from, hole.start));
            }
            from = from.max(hole.end);
        }
        if from < span.end {
            rest.push(Span::new(from, span.end));
        }
    }
    rest
}
