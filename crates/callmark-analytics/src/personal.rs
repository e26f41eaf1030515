//! Personal data in what was said: cards, account and order numbers, phones, e-mail and postal addresses, names, dates of
//! birth, national numbers.
//!
//! It exists so that such data can be told (`pii` events) and taken out before anything is stored. It works on written
//! words, since recognisers write the same number as words, digits or letters with hyphens, and gives positions of words,
//! since these have times at which the sound can be silenced. What it looks for is said beside what was asked: a short
//! number is an account only where somebody asks for one.

mod digits;
mod names;
mod numbers;
mod pieces;
mod places;
#[cfg(test)]
mod tests;
mod topics;

use crate::text::{span_of_words, written_words};
use callmark_types::{Event, EventKind, Millis, Span, Turn, Utterance, Word};
use topics::{Mention, Topics};

/// What kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalKind {
    /// The number of a payment card, its last digits, its security code or expiry.
    Card,
    /// A number of an account, order, policy, claim, booking or parcel.
    Account,
    /// A telephone number.
    Phone,
    /// An e-mail address, written or spelled.
    Email,
    /// A postal address or postcode.
    Address,
    /// A person's name.
    Name,
    /// A date of birth.
    DateOfBirth,
    /// A number that a state gives to a person.
    NationalId,
    /// What lets somebody in: a password, a PIN.
    Secret,
}

impl PersonalKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Card,
        Self::Account,
        Self::Phone,
        Self::Email,
        Self::Address,
        Self::Name,
        Self::DateOfBirth,
        Self::NationalId,
        Self::Secret,
    ];

    /// Its name in events, in placeholders and in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Account => "account",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Address => "address",
            Self::Name => "name",
            Self::DateOfBirth => "date_of_birth",
            Self::NationalId => "national_id",
            Self::Secret => "secret",
        }
    }

    /// What stands in a text where the data was.
    pub fn placeholder(self) -> String {
        format!("[{}]", self.as_str())
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind whose placeholder the written word is, whatever punctuation follows it.
    fn of_placeholder(word: &str) -> Option<Self> {
        Self::parse(word.strip_prefix('[')?.split_once(']')?.0)
    }
}

/// What one side said at a stretch, in written words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenLine<'a> {
    /// Who: lines of one side have one number.
    pub side: u16,
    /// The words, with their punctuation.
    pub words: Vec<&'a str>,
}

/// One piece of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonalData {
    /// The line, by position.
    pub line: usize,
    /// Its first word.
    pub first: usize,
    /// Its last word.
    pub last: usize,
    /// What it is.
    pub kind: PersonalKind,
}

/// The personal data of a call's lines, which are in order of time: in order, without overlaps.
pub fn find_personal(lines: &[SpokenLine<'_>]) -> Vec<PersonalData> {
    let read: Vec<Line> = lines.iter().map(Line::read).collect();
    let asked: Vec<Topics> = (0..read.len()).map(|at| asked_before(&read, lines, at)).collect();
    let (mut found, mut known) = pieces::across(&read, lines, &asked);
    for (line, asked) in read.iter().zip(&asked) {
        known.extend(numbers::numbers(line, asked, &[]).into_iter().map(|n| (n.digits, n.kind)));
    }
    for (at, (line, asked)) in read.iter().zip(&asked).enumerate() {
        let mut put = |(first, last, kind)| found.push(PersonalData { line: at, first, last, kind });
        let placeholder = |(at, word): (usize, &&str)| Some((at, at, PersonalKind::of_placeholder(word)?));
        lines[at].words.iter().enumerate().filter_map(placeholder).for_each(&mut put);
        places::emails(line, asked).into_iter().for_each(&mut put);
        places::birth_dates(line, asked).into_iter().for_each(&mut put);
        places::addresses(line, asked).into_iter().for_each(&mut put);
        pieces::secrets(line, asked).into_iter().for_each(&mut put);
        let numbers = numbers::numbers(line, asked, &known).into_iter().map(|n| (n.first, n.last, n.kind));
        numbers.for_each(&mut put);
        pieces::spelled(line, asked).into_iter().for_each(&mut put);
    }
    found.extend(names::names(&read, &asked));
    without_overlaps(found)
}

/// The personal data of turns: `line` is a turn's position. Those that were dropped are read by themselves, since nobody
/// may have said them.
pub fn find_personal_in_turns(turns: &[Turn]) -> Vec<PersonalData> {
    let (kept, dropped): (Vec<usize>, Vec<usize>) = (0..turns.len()).partition(|at| turns[*at].is_kept());
    let mut found = Vec::new();
    for positions in [kept, dropped] {
        // Where nobody knows who speaks, whoever speaks next may answer.
        let known = positions.iter().any(|at| turns[*at].speaker != turns[positions[0]].speaker);
        let side = |(position, at): (usize, &usize)| {
            if known { turns[*at].speaker as u16 } else { position as u16 % 2 }
        };
        let lines: Vec<SpokenLine<'_>> = positions
            .iter()
            .enumerate()
            .map(|place| SpokenLine { side: side(place), words: written_words(&turns[*place.1]) })
            .collect();
        found.extend(
            find_personal(&lines).into_iter().map(|data| PersonalData { line: positions[data.line], ..data }),
        );
    }
    found.sort();
    found
}

/// The texts of turns without the names of people and places, whose words ("Joy Love", "Pleasant Street") say nothing.
pub(crate) fn texts_without_names(turns: &[Turn]) -> Vec<String> {
    let nameless = |kind| matches!(kind, PersonalKind::Name | PersonalKind::Address);
    let found = find_personal_in_turns(turns);
    let mut texts = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate() {
        let hidden: Vec<&PersonalData> = found.iter().filter(|d| d.line == at && nameless(d.kind)).collect();
        if hidden.is_empty() {
            texts.push(turn.text.clone());
            continue;
        }
        let said = |word: usize| hidden.iter().any(|d| (d.first..=d.last).contains(&word));
        let kept = |(word, text): (usize, &str)| -> String {
            if said(word) {
                text.chars().filter(char::is_ascii_punctuation).collect()
            } else {
                text.to_owned()
            }
        };
        let words: Vec<String> = written_words(turn).into_iter().enumerate().map(kept).collect();
        texts.push(words.join(" "));
    }
    texts
}

/// `pii` events of the turns that are kept. They tell kind, time and place, never the data.
pub(crate) fn events(turns: &[Turn]) -> Vec<Event> {
    let event = |data: PersonalData| {
        let turn = &turns[data.line];
        Event {
            kind: EventKind::Pii,
            span: span_of(turn, &data),
            turn_index: Some(turn.index),
            speaker: Some(turn.speaker),
            detail: Some(format!("kind={}", data.kind.as_str())),
            rule_id: Some(format!("personal.{}", data.kind.as_str())),
            rule_version: Some(RULES_VERSION.to_owned()),
            confidence: None,
            evidence_text: Some(data.kind.placeholder()),
        }
    };
    let found = find_personal_in_turns(turns);
    found.into_iter().filter(|data| turns[data.line].is_kept()).map(event).collect()
}

/// A recogniser's last word before a pause may end later than it says, by at most this.
const WORD_ENDS_LATER: Millis = Millis(1_500);

/// When personal data was said: up to the next word, or to the turn's end.
fn span_of(turn: &Turn, data: &PersonalData) -> Option<Span> {
    let span = span_of_words(turn, data.first, data.last)?;
    Some(said_until(span, turn.words.get(data.last + 1).map(|word| word.span.start), turn.span, &turn.words))
}

/// `span` of words drawn out to the next word's start, or to the end of what they stand in.
fn said_until(span: Span, next: Option<Millis>, inside: Option<Span>, words: &[Word]) -> Span {
    let until = next.or(inside.map(|s| s.end)).filter(|_| !words.is_empty()).unwrap_or(span.end);
    Span::new(span.start, span.end.max(until.min(span.end + WORD_ENDS_LATER)))
}

/// When personal data of an utterance was said; nothing where its words have no times.
pub fn personal_span(utterance: &Utterance, data: &PersonalData) -> Option<Span> {
    let (first, last) = (utterance.words.get(data.first)?, utterance.words.get(data.last)?);
    let next = utterance.words.get(data.last + 1).map(|word| word.span.start);
    let span = Span::new(first.span.start, last.span.end);
    Some(said_until(span, next, Some(utterance.span), &utterance.words))
}

/// Version of what is looked for here, in `rule_version`.
const RULES_VERSION: &str = "3";

/// A line as the finders see it: each word in lower case without punctuation around it, and as it was written.
struct Line {
    words: Vec<Written>,
    mentions: Vec<Mention>,
}

struct Written {
    /// Lower case, without punctuation around it.
    plain: String,
    /// Begins with a capital letter.
    capital: bool,
    /// A sentence or clause ends with it.
    stop: bool,
    /// As written.
    raw: String,
}

impl Line {
    fn read(line: &SpokenLine<'_>) -> Self {
        let written = |raw: &&str| {
            let trimmed = raw
                .trim_matches(|c: char| !c.is_alphanumeric() && c != '+' && c != '$' && c != '£' && c != '€');
            Written {
                plain: trimmed.to_lowercase(),
                capital: trimmed.chars().next().is_some_and(char::is_uppercase),
                stop: raw.ends_with(['.', '?', '!', ';', ':']),
                raw: (*raw).to_owned(),
            }
        };
        let words: Vec<Written> = line.words.iter().map(written).collect();
        Self { mentions: topics::mentions(&words), words }
    }

    fn plain(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |word| &word.plain)
    }

    /// What the words `from..to` speak of.
    fn topics(&self, from: usize, to: usize) -> Topics {
        topics::topics(&self.mentions, from, to)
    }
}

/// How many lines back a question still stands: the answer may come in pieces, with "sure" before it.
const QUESTION_STANDS_LINES: usize = 3;

/// What the other side spoke of just before line `at`.
fn asked_before(read: &[Line], lines: &[SpokenLine<'_>], at: usize) -> Topics {
    let said = |i: &usize| lines[*i].side == lines[at].side || !pieces::is_backchannel(&read[*i]);
    let mut before = (0..at).rev().filter(said).take(QUESTION_STANDS_LINES);
    let question = before.find(|i| lines[*i].side != lines[at].side);
    question.map_or_else(Topics::new, |i| read[i].topics(0, read[i].words.len()))
}

/// Of findings that overlap the longer one stands, of equal ones the one found first: what has a form of its own comes
/// before numbers.
fn without_overlaps(mut found: Vec<PersonalData>) -> Vec<PersonalData> {
    found.sort_by_key(|f| (f.line, std::cmp::Reverse(f.last - f.first)));
    let mut kept: Vec<PersonalData> = Vec::new();
    for data in found {
        let free = |k: &PersonalData| k.line != data.line || k.last < data.first || data.last < k.first;
        if kept.iter().all(free) {
            kept.push(data);
        }
    }
    kept.sort();
    kept
}
