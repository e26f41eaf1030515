//! From heard utterances to turns: pure functions between hearing and scoring, the same for recordings and live calls.
//!
//! A recogniser yields stretches of speech; a reader wants turns. What one side says with short pauses is one turn
//! as long as nobody else speaks in the pause; on a mixed channel the words are first dealt out to the voices.

use crate::{Lane, LaneTurn};
use callmark_types::{ChannelRole, DroppedReason, Millis, Span, Turn, Utterance, VoiceSpan, Word};
use serde::{Deserialize, Serialize};

/// Longest pause inside a turn, where nobody else speaks in it.
const LONGEST_PAUSE_IN_TURN: Millis = Millis(1_500);

/// Lower bound of a level in dB full scale when levels are averaged: digital silence of 16-bit sound.
const FLOOR_DBFS: f64 = -96.0;

/// An utterance with its level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeardUtterance {
    /// What was recognised.
    pub utterance: Utterance,
    /// Level in dB full scale.
    pub loudness_dbfs: Option<f64>,
}

/// A piece of speech of one lane, on its way to becoming a turn.
#[derive(Debug, Clone)]
struct Piece {
    lane: Lane,
    channel: u16,
    span: Span,
    text: String,
    words: Vec<Word>,
    no_speech_probability: f64,
    loudness_dbfs: Option<f64>,
    dropped_reason: Option<DroppedReason>,
}

/// Turns in order of start, each with the lane it came from; speakers are not yet known.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneTurns {
    /// The turns.
    pub turns: Vec<Turn>,
    /// One entry a turn.
    pub lanes: Vec<LaneTurn>,
}

/// Makes turns of `heard`. `voices` are those of `mixed_channel`; `roles` are told roles by channel.
pub fn turns_of(
    heard: &[HeardUtterance],
    voices: &[VoiceSpan],
    mixed_channel: Option<u16>,
    roles: &[Option<ChannelRole>],
) -> LaneTurns {
    let mut pieces: Vec<Piece> = Vec::new();
    for h in heard {
        if Some(h.utterance.channel) == mixed_channel {
            pieces.extend(split_by_voice(h, voices));
        } else {
            pieces.push(piece(
                h,
                Lane::Channel(h.utterance.channel),
                h.utterance.span,
                h.utterance.words.clone(),
            ));
        }
    }
    pieces.sort_by_key(|p| (p.span.start, p.channel, p.span.end));
    let merged = merge(pieces);
    let lanes = merged.iter().map(|p| lane_turn(p, roles)).collect();
    let turns = merged.into_iter().enumerate().map(|(index, p)| turn(index, p)).collect();
    LaneTurns { turns, lanes }
}

fn piece(heard: &HeardUtterance, lane: Lane, span: Span, words: Vec<Word>) -> Piece {
    let text = if words.is_empty() { heard.utterance.text.clone() } else { join_words(&words) };
    Piece {
        lane,
        channel: heard.utterance.channel,
        span,
        text,
        words,
        no_speech_probability: heard.utterance.no_speech_probability,
        loudness_dbfs: heard.loudness_dbfs,
        dropped_reason: heard.utterance.dropped_reason,
    }
}

fn join_words(words: &[Word]) -> String {
    words.iter().map(|w| w.word.as_str()).collect::<Vec<_>>().join(" ")
}

/// Cuts an utterance where the voice changes; a word belongs to the voice that covers most of it.
fn split_by_voice(heard: &HeardUtterance, voices: &[VoiceSpan]) -> Vec<Piece> {
    let words = &heard.utterance.words;
    if words.is_empty() || voices.is_empty() {
        let voice = voice_of(heard.utterance.span, voices);
        return vec![piece(heard, Lane::Voice(voice), heard.utterance.span, words.clone())];
    }
    let mut runs: Vec<(u8, Vec<Word>)> = Vec::new();
    for word in words {
        let voice = voice_of(word.span, voices);
        match runs.last_mut() {
            Some((last, run)) if *last == voice => run.push(word.clone()),
            _ => runs.push((voice, vec![word.clone()])),
        }
    }
    let last = runs.len() - 1;
    let mut pieces = Vec::with_capacity(runs.len());
    for (i, (voice, run)) in runs.into_iter().enumerate() {
        let first_start = run.first().map_or(heard.utterance.span.start, |w| w.span.start);
        let last_end = run.last().map_or(heard.utterance.span.end, |w| w.span.end);
        let start = if i == 0 { heard.utterance.span.start } else { first_start };
        let end = if i == last { heard.utterance.span.end } else { last_end };
        pieces.push(piece(heard, Lane::Voice(voice), Span::new(start, end), run));
    }
    pieces
}

fn voice_of(span: Span, voices: &[VoiceSpan]) -> u8 {
    let covering = voices.iter().max_by_key(|v| v.span.overlap(span));
    let nearest = || voices.iter().min_by_key(|v| distance(v.span, span));
    match covering {
        Some(v) if v.span.overlap(span) > Millis::ZERO => v.voice,
        _ => nearest().map_or(0, |v| v.voice),
    }
}

fn distance(a: Span, b: Span) -> Millis {
    (a.start.max(b.start) - a.end.min(b.end)).max(Millis::ZERO)
}

/// Joins what one lane says with short pauses, unless another lane speaks in the pause.
fn merge(pieces: Vec<Piece>) -> Vec<Piece> {
    let speech: Vec<(Lane, Span)> =
        pieces.iter().filter(|p| p.dropped_reason.is_none()).map(|p| (p.lane, p.span)).collect();
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let earlier = merged.iter_mut().rev().find(|p| p.lane == piece.lane && p.dropped_reason.is_none());
        match earlier {
            Some(earlier) if piece.dropped_reason.is_none() && continues(earlier, &piece, &speech) => {
                extend(earlier, piece);
            }
            _ => merged.push(piece),
        }
    }
    merged
}

fn continues(earlier: &Piece, piece: &Piece, speech: &[(Lane, Span)]) -> bool {
    let pause = Span::new(earlier.span.end, piece.span.start);
    pause.duration() <= LONGEST_PAUSE_IN_TURN
        && !speech.iter().any(|(lane, span)| {
            *lane != piece.lane
                && (span.overlap(pause) > Millis::ZERO
                    || (pause.contains(span.start) && pause.contains(span.end)))
        })
}

fn extend(earlier: &mut Piece, piece: Piece) {
    earlier.loudness_dbfs = mean_level(
        (earlier.loudness_dbfs, earlier.span.duration()),
        (piece.loudness_dbfs, piece.span.duration()),
    );
    earlier.span.end = earlier.span.end.max(piece.span.end);
    [earlier.text.as_str(), piece.text.as_str()].join(" ").trim().clone_into(&mut earlier.text);
    earlier.words.extend(piece.words);
    earlier.no_speech_probability = earlier.no_speech_probability.max(piece.no_speech_probability);
}

/// Level of two stretches together: the mean of their power, weighted by length.
fn mean_level(a: (Option<f64>, Millis), b: (Option<f64>, Millis)) -> Option<f64> {
    let power = |level: Option<f64>| level.map_or(0.0, |db| 10f64.powf(db / 10.0));
    let (wa, wb) = (a.1.seconds().max(1e-3), b.1.seconds().max(1e-3));
    if a.0.is_none() && b.0.is_none() {
        return None;
    }
    let mean = (power(a.0) * wa + power(b.0) * wb) / (wa + wb);
    Some((10.0 * mean.log10()).max(FLOOR_DBFS))
}

fn lane_turn(piece: &Piece, roles: &[Option<ChannelRole>]) -> LaneTurn {
    let told_role = match piece.lane {
        Lane::Channel(channel) => roles.get(channel as usize).copied().flatten(),
        Lane::Voice(_) => None,
    };
    // Dropped text is no evidence of who speaks.
    let text = if piece.dropped_reason.is_none() { piece.text.clone() } else { String::new() };
    LaneTurn { lane: piece.lane, span: Some(piece.span), text, told_role }
}

fn turn(index: usize, piece: Piece) -> Turn {
    let confidence = |words: &[Word]| {
        (!words.is_empty())
            .then(|| words.iter().map(|w| f64::from(w.probability)).sum::<f64>() / words.len() as f64)
    };
    Turn {
        index: index as u32,
        channel: Some(piece.channel),
        speaker: callmark_types::Speaker::Unknown,
        span: Some(piece.span),
        asr_confidence: confidence(&piece.words),
        no_speech_probability: Some(piece.no_speech_probability),
        loudness_dbfs: piece.loudness_dbfs,
        dropped_reason: piece.dropped_reason,
        text: piece.text,
        words: piece.words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(channel: u16, start: i64, end: i64, text: &str) -> HeardUtterance {
        let list: Vec<&str> = text.split(' ').collect();
        let step = (end - start) / list.len() as i64;
        let words = list
            .iter()
            .enumerate()
            .map(|(i, w)| Word {
                word: (*w).to_owned(),
                span: Span::of_ms(start + step * i as i64, start + step * (i as i64 + 1)),
                probability: 0.9,
            })
            .collect();
        HeardUtterance {
            utterance: Utterance {
                channel,
                span: Span::of_ms(start, end),
                text: text.to_owned(),
                words,
                asr_confidence: 0.9,
                no_speech_probability: 0.0,
                dropped_reason: None,
            },
            loudness_dbfs: Some(-20.0),
        }
    }

    fn texts(turns: &LaneTurns) -> Vec<&str> {
        turns.turns.iter().map(|t| t.text.as_str()).collect()
    }

    #[test]
    fn a_pause_in_which_nobody_speaks_does_not_end_a_turn() {
        let turns = turns_of(&[heard(0, 0, 1000, "my bag"), heard(0, 1800, 2500, "is lost")], &[], None, &[]);
        assert_eq!(texts(&turns), ["my bag is lost"]);
        assert_eq!(turns.turns[0].span, Some(Span::of_ms(0, 2500)));
        assert!((turns.turns[0].loudness_dbfs.unwrap() + 20.0).abs() < 1e-9);
    }

    #[test]
    fn an_answer_in_the_pause_ends_the_turn_and_a_word_under_speech_does_not() {
        let answered =
            [heard(0, 0, 1000, "hello there"), heard(1, 1100, 1500, "hi"), heard(0, 1700, 2500, "my bag")];
        assert_eq!(texts(&turns_of(&answered, &[], None, &[])), ["hello there", "hi", "my bag"]);
        let murmured = [
            heard(0, 0, 1000, "so I called"),
            heard(1, 500, 800, "uh-huh"),
            heard(0, 1200, 2500, "and then"),
        ];
        assert_eq!(texts(&turns_of(&murmured, &[], None, &[])), ["so I called and then", "uh-huh"]);
    }

    #[test]
    fn a_long_pause_ends_a_turn() {
        let turns = turns_of(&[heard(0, 0, 1000, "one"), heard(0, 3000, 4000, "two")], &[], None, &[]);
        assert_eq!(texts(&turns), ["one", "two"]);
    }

    #[test]
    fn words_of_a_mixed_channel_go_to_the_voice_that_covers_them() {
        let voices = [
            VoiceSpan { span: Span::of_ms(0, 1000), voice: 0, confidence: 1.0 },
            VoiceSpan { span: Span::of_ms(1000, 2000), voice: 1, confidence: 1.0 },
        ];
        let turns = turns_of(&[heard(0, 0, 2000, "how are you fine")], &voices, Some(0), &[]);
        assert_eq!(texts(&turns), ["how are", "you fine"]);
        assert_eq!((turns.lanes[0].lane, turns.lanes[1].lane), (Lane::Voice(0), Lane::Voice(1)));
    }

    #[test]
    fn dropped_text_stays_a_turn_of_its_own() {
        let mut invented = heard(0, 1100, 1400, "thanks for watching");
        invented.utterance.dropped_reason = Some(DroppedReason::PhantomPhrase);
        let turns =
            turns_of(&[heard(0, 0, 1000, "hello"), invented, heard(0, 1500, 2000, "again")], &[], None, &[]);
        assert_eq!(texts(&turns), ["hello again", "thanks for watching"]);
        assert_eq!(turns.lanes[1].text, "");
    }
}
