//! Turn-taking: who answers whom after how long, and who cuts whom off.

use super::sides::Speech;
use crate::Conversation;
use callmark_types::{Millis, Span, Speaker, Turn};

/// Pauses up to this length lie inside one stretch of speech; speech detectors split at breaths.
const MAX_PAUSE_INSIDE: Millis = Millis(700);
/// Least overlap that counts; a detector's hangover makes quick answers look like shorter overlaps.
const MIN_OVERLAP: Millis = Millis(200);
/// The interrupted side must fall silent within this time.
const MAX_OVERLAP: Millis = Millis(3_000);
/// The interrupted side must have spoken for this long; two that start together interrupt nobody.
const MIN_SPOKEN_BEFORE: Millis = Millis(400);
/// The interrupting side must go on for this long after the other fell silent.
const MIN_SPOKEN_AFTER: Millis = Millis(300);
/// A listener's signal has at most so many words.
const MAX_BACKCHANNEL_WORDS: usize = 3;
/// What listeners say under the other's speech ("uh huh"), in lower case without punctuation.
const BACKCHANNEL_WORDS: &[&str] = &[
    "uh", "huh", "uhhuh", "uhuh", "mm", "mhm", "mmhm", "mmm", "hmm", "hm", "yeah", "yep", "yes", "yup", "ok",
    "okay", "right", "sure", "alright", "all", "i", "see", "got", "it", "oh", "ah", "aha", "gotcha", "of",
    "course", "good", "great", "fine", "exactly", "correct", "true",
];

/// One of the two parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// AI and human agents.
    Agent,
    /// The customer.
    Customer,
}

impl Side {
    /// The side of a speaker; menus and unknown speakers have none.
    pub(super) fn of(speaker: Speaker) -> Option<Self> {
        match speaker {
            Speaker::Customer => Some(Self::Customer),
            Speaker::AiAgent | Speaker::HumanAgent => Some(Self::Agent),
            Speaker::Ivr | Speaker::Unknown => None,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Agent => Self::Customer,
            Self::Customer => Self::Agent,
        }
    }
}

/// One side taking the turn from the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interruption {
    /// Who took it.
    pub(super) by: Side,
    /// While both spoke.
    pub(super) overlap: Span,
    /// Position of the turn that interrupts, where one was recognised.
    pub(super) turn: Option<usize>,
    /// Position of the turn that is interrupted, where one was recognised.
    pub(super) interrupted_turn: Option<usize>,
}

/// Interruptions in order of time.
pub(super) fn interruptions(call: &Conversation<'_>, speech: &Speech) -> Vec<Interruption> {
    let (customer, agent) = (stretches(&speech.customer), stretches(&speech.agent));
    let mut found = Vec::new();
    for (by, own, other) in [(Side::Customer, &customer, &agent), (Side::Agent, &agent, &customer)] {
        for start in own.iter().copied() {
            let Some(overlap) = overlap_taken(start, other) else { continue };
            let turn = turn_during(call.turns, by, start);
            let is_signal = turn.is_some_and(|position| is_backchannel(&call.turns[position].text));
            let has_words = turn.is_some() || call.turns.is_empty();
            if has_words && !is_signal {
                let before = Span::new(overlap.start - MIN_SPOKEN_BEFORE, overlap.end);
                let interrupted_turn = turn_during(call.turns, by.other(), before);
                found.push(Interruption { by, overlap, turn, interrupted_turn });
            }
        }
    }
    found.sort_by_key(|interruption| interruption.overlap);
    found
}

/// The overlap of a stretch with the one that it cuts off, if it does.
fn overlap_taken(own: Span, other: &[Span]) -> Option<Span> {
    let cut = other.iter().find(|span| span.contains(own.start))?;
    let overlap = own.intersection(*cut)?;
    let taken = overlap.duration() >= MIN_OVERLAP
        && overlap.duration() <= MAX_OVERLAP
        && own.start - cut.start >= MIN_SPOKEN_BEFORE
        && own.end - cut.end >= MIN_SPOKEN_AFTER;
    taken.then_some(overlap)
}

/// Pauses before answers, with the side that answers, in order of time. A pause in which the customer was made to
/// wait is none of the answering side's, and neither is speech inside the other's.
pub(super) fn responses(speech: &Speech, waiting: &[Span]) -> Vec<(Side, Millis)> {
    let mut stretches: Vec<(Span, Side)> =
        stretches(&speech.customer).into_iter().map(|span| (span, Side::Customer)).collect();
    stretches.extend(self::stretches(&speech.agent).into_iter().map(|span| (span, Side::Agent)));
    stretches.sort_by_key(|(span, _)| *span);
    let mut answers = Vec::new();
    let mut last: Option<(Span, Side)> = None;
    for (span, side) in stretches {
        if let Some((before, speaker)) = last {
            if span.end <= before.end {
                continue;
            }
            let pause = Span::new(before.end, span.start);
            let waited = waiting.iter().any(|wait| wait.intersection(pause).is_some());
            if speaker != side && !waited {
                answers.push((side, pause.duration()));
            }
        }
        last = Some((span, side));
    }
    answers
}

/// Speech with its short pauses closed.
fn stretches(speech: &[Span]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::with_capacity(speech.len());
    for span in speech {
        match out.last_mut() {
            Some(last) if span.start - last.end <= MAX_PAUSE_INSIDE => last.end = span.end,
            _ => out.push(*span),
        }
    }
    out
}

/// Position of the side's kept turn that covers most of `span`.
fn turn_during(turns: &[Turn], side: Side, span: Span) -> Option<usize> {
    let covered = |turn: &Turn| turn.span.map_or(Millis::ZERO, |of_turn| of_turn.overlap(span));
    turns
        .iter()
        .enumerate()
        .filter(|(_, turn)| turn.is_kept() && Side::of(turn.speaker) == Some(side))
        .filter(|(_, turn)| covered(turn) > Millis::ZERO)
        .max_by_key(|(position, turn)| (covered(turn), std::cmp::Reverse(*position)))
        .map(|(position, _)| position)
}

/// Whether a text only shows that somebody listens.
fn is_backchannel(text: &str) -> bool {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.len() <= MAX_BACKCHANNEL_WORDS
        && words.iter().all(|word| BACKCHANNEL_WORDS.contains(&word.as_str()))
}
