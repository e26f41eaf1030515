//! Personal data in what was said: cards, account and order numbers, phones, e-mail and postal addresses, names, dates of
//! birth, national numbers.
//!
//! It exists so that such data can be told (`pii` events) and taken out before anything is stored. It works on written
//! words, since recognisers write the same number as words, digits or letters with hyphens, and gives positions of words,
//! since these have times at which the sound can be silenced. What it looks for is said beside what was asked: a short
//! number is an account only where somebody asks for one.

mod names;
mod numbers;
mod places;
#[cfg(test)]
mod tests;
mod topics;

use crate::text::{span_of_words, written_words};
use callmark_types::{Event, EventKind, Turn};
use topics::{Mention, Topics};

/// What kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalKind {
    /// The number of a payment card, or its last digits.
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
}

impl PersonalKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Card,
        Self::Account,
        Self::Phone,
        Self::Email,
        Self::Address,
        Self::Name,
        Self::DateOfBirth,
        Self::NationalId,
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
    let mut found = Vec::new();
    for (at, (line, asked)) in read.iter().zip(&asked).enumerate() {
        let mut put = |(first, last, kind)| found.push(PersonalData { line: at, first, last, kind });
        let placeholder = |(at, word): (usize, &&str)| Some((at, at, PersonalKind::of_placeholder(word)?));
        lines[at].words.iter().enumerate().filter_map(placeholder).for_each(&mut put);
        places::emails(line).into_iter().for_each(&mut put);
        places::birth_dates(line, asked).into_iter().for_each(&mut put);
        places::addresses(line, asked).into_iter().for_each(&mut put);
        numbers::numbers(line, asked).into_iter().for_each(&mut put);
    }
    found.extend(names::names(&read, &asked));
    without_overlaps(found)
}

/// `pii` events of the turns that are kept. They tell kind, time and place, never the data.
pub(crate) fn events(turns: &[Turn]) -> Vec<Event> {
    let kept: Vec<&Turn> = turns.iter().filter(|turn| turn.is_kept()).collect();
    let lines: Vec<SpokenLine<'_>> = kept
        .iter()
        .map(|turn| SpokenLine { side: turn.speaker as u16, words: written_words(turn) })
        .collect();
    let event = |data: PersonalData| {
        let turn = kept[data.line];
        Event {
            kind: EventKind::Pii,
            span: span_of_words(turn, data.first, data.last),
            turn_index: Some(turn.index),
            speaker: Some(turn.speaker),
            detail: Some(format!("kind={}", data.kind.as_str())),
            rule_id: Some(format!("personal.{}", data.kind.as_str())),
            rule_version: Some(RULES_VERSION.to_owned()),
            confidence: None,
            evidence_text: Some(data.kind.placeholder()),
        }
    };
    find_personal(&lines).into_iter().map(event).collect()
}

/// Version of what is looked for here, in `rule_version`.
const RULES_VERSION: &str = "1";

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
    let from = at.saturating_sub(QUESTION_STANDS_LINES);
    let question = (from..at).rev().find(|i| lines[*i].side != lines[at].side);
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
