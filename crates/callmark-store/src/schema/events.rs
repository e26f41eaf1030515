//! Columns of `events`: what happened, with its evidence.

use super::column::Column;
use callmark_types::{Event, EventKind, Speaker};

/// One row of `events`.
#[derive(Clone, Copy)]
pub(crate) struct EventRow<'a> {
    pub(crate) call_id: &'a str,
    pub(crate) index: usize,
    pub(crate) event: &'a Event,
}

pub(crate) fn columns<'a>() -> Vec<Column<EventRow<'a>>> {
    let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    vec![
        Column::text("call_id", "The call; joins to calls.", |r: &EventRow| Some(r.call_id))
            .required()
            .few_values(),
        Column::int32("event_index", "Position in the call, from 0, in order of time.", |r: &EventRow| {
            Some(r.index as i32)
        })
        .required(),
        Column::text(
            "type",
            format!("What happened: {}; more may come.", kinds.join(", ")),
            |r: &EventRow| Some(r.event.kind.as_str()),
        )
        .required()
        .few_values(),
        Column::millis(
            "start_ms",
            "Start from the start of the recording, ms; null for chats without times.",
            |r: &EventRow| r.event.span.map(|span| span.start),
        ),
        Column::millis(
            "end_ms",
            "End from the start of the recording, ms; null for chats without times.",
            |r: &EventRow| r.event.span.map(|span| span.end),
        ),
        Column::int32("turn_index", "The turn that shows it; joins to turns.", |r: &EventRow| {
            r.event.turn_index.map(|index| index as i32)
        }),
        Column::text("speaker", "Who did it, as in turns.", |r: &EventRow| {
            r.event.speaker.map(Speaker::as_str)
        })
        .few_values(),
        Column::text("detail", "What more there is to say, as name=value.", |r: &EventRow| {
            r.event.detail.as_deref()
        }),
        Column::text(
            "rule_id",
            "The rule that fired; null for what was measured on audio or told by metadata.",
            |r: &EventRow| r.event.rule_id.as_deref(),
        )
        .few_values(),
        Column::text("rule_version", "Version of that rule.", |r: &EventRow| r.event.rule_version.as_deref())
            .few_values(),
        Column::float64("confidence", "How sure, 0 to 1.", |r: &EventRow| r.event.confidence),
        Column::text("evidence_text", "The words that show it.", |r: &EventRow| {
            r.event.evidence_text.as_deref()
        }),
    ]
}
