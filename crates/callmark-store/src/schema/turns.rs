//! Columns of `turns`: who said what, when.

use super::column::Column;
use callmark_types::{Span, Turn};

/// One row of `turns`.
#[derive(Clone, Copy)]
pub(crate) struct TurnRow<'a> {
    pub(crate) call_id: &'a str,
    pub(crate) turn: &'a Turn,
    pub(crate) sentiment: Option<f64>,
}

pub(crate) fn columns<'a>() -> Vec<Column<TurnRow<'a>>> {
    vec![
        Column::text("call_id", "The call; joins to calls.", |r: &TurnRow| Some(r.call_id))
            .required()
            .few_values(),
        Column::int32("turn_index", "Position in the call, from 0, in order of start.", |r: &TurnRow| {
            Some(r.turn.index as i32)
        })
        .required(),
        Column::int32("channel", "Audio channel, from 0; null for chats and transcripts.", |r: &TurnRow| {
            r.turn.channel.map(i32::from)
        }),
        Column::text("speaker", "customer, ai_agent, human_agent, ivr or unknown.", |r: &TurnRow| {
            Some(r.turn.speaker.as_str())
        })
        .required()
        .few_values(),
        Column::millis(
            "start_ms",
            "Start from the start of the recording, ms; null for chats without times.",
            |r: &TurnRow| r.turn.span.map(|span| span.start),
        ),
        Column::millis(
            "end_ms",
            "End from the start of the recording, ms; null for chats without times or with those of sending alone.",
            |r: &TurnRow| {
                let lasts = |span: &Span| r.turn.channel.is_some() || span.start != span.end;
                r.turn.span.filter(lasts).map(|span| span.end)
            },
        ),
        Column::text("text", "What was said or written.", |r: &TurnRow| Some(r.turn.text.as_str()))
            .required(),
        Column::words("words", "The words with their times; empty for chats.", |r: &TurnRow| &r.turn.words),
        Column::float64(
            "asr_confidence",
            "Average probability of the words, 0 to 1; null for chats.",
            |r: &TurnRow| r.turn.asr_confidence,
        ),
        Column::float64(
            "no_speech_probability",
            "Probability that nobody spoke, 0 to 1; null for chats.",
            |r: &TurnRow| r.turn.no_speech_probability,
        ),
        Column::float64(
            "sentiment_score",
            "Sentiment of the words, -5 to 5; null where it is not scored.",
            |r: &TurnRow| r.sentiment,
        ),
        Column::float64(
            "loudness_dbfs",
            "Level of the turn, dB full scale; null for chats and digital silence.",
            |r: &TurnRow| r.turn.loudness_dbfs,
        ),
        Column::text(
            "dropped_reason",
            "Set when the text is taken for an invention of the recogniser and was not scored: no_speech, \
             low_log_probability, repetition, phantom_phrase or implausible_rate.",
            |r: &TurnRow| r.turn.dropped_reason.map(callmark_types::DroppedReason::as_str),
        )
        .few_values(),
    ]
}
