//! One call, read from the tables when somebody opens it.

use crate::tables;
use arrow::array::{AsArray, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp::eq;
use callmark_analytics::{SpokenLine, find_personal, find_personal_in_turns};
use callmark_store::calls_of_rows;
use callmark_types::{Event, EventKind, ScoredCall, Turn};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// Reads the call `id` from the committed file `path` of `calls` and the files of turns and events beside it; `None` where
/// it is not there (any more).
///
/// # Errors
/// Where a file cannot be read or does not hold what was written: the reason, without anything that was said.
pub(crate) fn read_call(dataset: &Path, path: &str, id: &str) -> Result<Option<ScoredCall>, String> {
    let rest = path.strip_prefix("calls/").ok_or("the file of the call lies outside calls/")?;
    let calls = rows(dataset, path, id)?;
    if calls.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(None);
    }
    let turns = rows(dataset, &format!("turns/{rest}"), id)?;
    let events = rows(dataset, &format!("events/{rest}"), id)?;
    Ok(calls_of_rows(&calls, &turns, &events)?.into_iter().next())
}

fn rows(dataset: &Path, path: &str, id: &str) -> Result<Vec<RecordBatch>, String> {
    let wanted = Scalar::new(StringArray::from(vec![id.to_owned()]));
    tables::read(dataset, path, |builder| {
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["call_id"]);
        let is_wanted = ArrowPredicateFn::new(mask, move |batch: RecordBatch| -> Result<BooleanArray, _> {
            eq(batch.column(0).as_string::<i32>(), &wanted)
        });
        builder.with_row_filter(RowFilter::new(vec![Box::new(is_wanted)]))
    })
}

/// Hides personal data in what is shown of a call: in texts, words and evidence.
pub(crate) fn hide_personal(call: &mut ScoredCall) {
    let mut hidden: BTreeMap<usize, Vec<(usize, usize, String)>> = BTreeMap::new();
    for data in find_personal_in_turns(&call.turns) {
        hidden.entry(data.line).or_default().push((data.first, data.last, data.kind.placeholder()));
    }
    for (at, spans) in &hidden {
        mask(&mut call.turns[*at], spans);
    }
    for event in &mut call.events {
        let index = event.turn_index.map(|index| index as usize);
        if let Some(spans) = index.and_then(|index| hidden.get(&index)) {
            // Evidence is words of the turn: shown whole as they are shown there.
            if event.evidence_text.is_some() && event.kind != EventKind::Pii && !spans.is_empty() {
                event.evidence_text =
                    index.and_then(|index| call.turns.get(index)).map(|turn| turn.text.clone());
            }
        }
    }
}

/// A text that somebody wrote about a call, personal data hidden.
pub(crate) fn without_personal(text: &str) -> String {
    let line = SpokenLine { side: 0, words: text.split_whitespace().collect() };
    let found = find_personal(&[line]);
    if found.is_empty() {
        return text.to_owned();
    }
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for data in found {
        hide_words(&mut words, data.first..=data.last, &data.kind.placeholder());
    }
    words.join(" ")
}

/// Hides personal data in the lines of a call, each with whether the customer says it.
pub(crate) fn hide_in_lines(lines: &mut [(bool, String)]) {
    let spoken: Vec<SpokenLine<'_>> = lines
        .iter()
        .map(|(is_customer, text)| SpokenLine {
            side: u16::from(!is_customer),
            words: text.split_whitespace().collect(),
        })
        .collect();
    let found = find_personal(&spoken);
    for of_line in found.chunk_by(|a, b| a.line == b.line) {
        let text = &mut lines[of_line[0].line].1;
        let words = text.split_whitespace().enumerate();
        let hidden = |at: usize| of_line.iter().any(|data| (data.first..=data.last).contains(&at));
        *text = words.filter(|(at, _)| !hidden(*at)).map(|(_, word)| word).collect::<Vec<_>>().join(" ");
    }
}

/// Each word of the turn inside a span becomes the placeholder; how many there are stays, so that a span of words that a
/// reviewer marks means the same to all.
fn mask(turn: &mut Turn, spans: &[(usize, usize, String)]) {
    let mut words: Vec<String> = if turn.words.is_empty() {
        turn.text.split_whitespace().map(str::to_owned).collect()
    } else {
        turn.words.iter().map(|word| word.word.clone()).collect()
    };
    for (first, last, placeholder) in spans {
        hide_words(&mut words, *first..=*last, placeholder);
    }
    for (timed, word) in turn.words.iter_mut().zip(&words) {
        timed.word.clone_from(word);
    }
    turn.text = words.join(" ");
}

fn hide_words(words: &mut [String], which: RangeInclusive<usize>, placeholder: &str) {
    for (at, word) in words[which].iter_mut().enumerate() {
        word.replace_range(.., if at == 0 { placeholder } else { "·" });
    }
}

/// The event's own name for people: its type and what more there is to say.
pub(crate) fn event_title(event: &Event) -> String {
    let name = crate::text::words(event.kind.as_str());
    match event.detail.as_deref() {
        Some(detail) if event.kind == EventKind::Category => {
            format!("{name}: {}", detail.trim_start_matches("category="))
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callmark_types::{DroppedReason, Span, Speaker, Word};

    #[test]
    fn what_people_write_is_hidden_too() {
        assert_eq!(without_personal("it was said  twice"), "it was said  twice");
        assert_eq!(without_personal("write to lee@sample.org please"), "write to [email] please");
    }

    #[test]
    fn hidden_words_keep_their_places() {
        let text = "my card is 4242 4242 4242 4242 thanks";
        let word = |(at, word): (usize, &str)| Word {
            word: word.to_owned(),
            span: Span::of_ms(at as i64 * 100, at as i64 * 100 + 90),
            probability: 1.0,
        };
        let mut turn = Turn {
            index: 0,
            channel: Some(0),
            speaker: Speaker::Customer,
            span: Some(Span::of_ms(0, 900)),
            text: text.to_owned(),
            words: text.split(' ').enumerate().map(word).collect(),
            asr_confidence: None,
            no_speech_probability: None,
            loudness_dbfs: None,
            dropped_reason: None,
        };
        mask(&mut turn, &[(3, 6, "[card]".to_owned())]);
        assert_eq!(turn.text, "my card is [card] · · · thanks");
        let mut call = crate::tests::call("c");
        let dropped =
            Turn { dropped_reason: Some(DroppedReason::Repetition), text: text.to_owned(), ..turn.clone() };
        call.turns = vec![dropped];
        hide_personal(&mut call);
        assert!(!call.turns[0].text.contains("4242"), "{}", call.turns[0].text);
        assert_eq!(turn.words.len(), 8);
        assert!(turn.words.iter().all(|word| !word.word.contains("4242")));
    }
}
