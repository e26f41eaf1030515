//! What is told in pieces, with "mhm" between them, or letter by letter.
//!
//! Numbers and addresses are dictated: the other side says that it follows, and may repeat what it heard. A piece alone
//! says nothing; put together they are a card or an address.

use super::digits::is_of_number;
use super::numbers::{self, Number};
use super::places;
use super::topics::{Topic, Topics, length_at};
use super::{Line, PersonalData, PersonalKind, SpokenLine};
use crate::text::FILLERS;

/// Most lines of one side that are put together.
const LONGEST_DICTATION: usize = 16;
/// Most words of a line that only says that somebody follows.
const LONGEST_BACKCHANNEL: usize = 4;
/// Such words.
const FOLLOWS: &[&str] = &[
    "okay",
    "ok",
    "yes",
    "yeah",
    "yep",
    "yup",
    "right",
    "go",
    "on",
    "ahead",
    "sure",
    "alright",
    "all",
    "got",
    "it",
    "that",
    "thanks",
    "thank",
    "you",
    "and",
    "then",
    "next",
    "continue",
    "please",
    "i'm",
    "listening",
    "great",
    "perfect",
    "correct",
    "huh",
    "good",
    "so",
    "far",
    "hm",
    "m-hm",
    "mm-hmm",
    "uh-huh",
    "what's",
    "the",
    "rest",
];

/// Whether a line only says that somebody follows; a number said after the other side counts as that.
pub(super) fn is_backchannel(line: &Line) -> bool {
    let follows = |word: &str| FOLLOWS.contains(&word) || FILLERS.contains(&word) || word.is_empty();
    let rest = line.words.iter().filter(|w| !is_of_number(&w.plain));
    let has_question = line.words.iter().any(|w| w.raw.ends_with('?'));
    let count = rest.clone().count();
    count <= LONGEST_BACKCHANNEL && !has_question && rest.clone().all(|w| follows(&w.plain))
}

/// Lines of one side that follow each other with nothing but backchannels between, as one line.
struct Dictation {
    line: Line,
    /// Of each word, the line and the word in it.
    places: Vec<(usize, usize)>,
    /// The first line.
    start: usize,
}

fn dictations(read: &[Line], lines: &[SpokenLine<'_>]) -> Vec<Dictation> {
    let mut out = Vec::new();
    let mut taken = vec![false; lines.len()];
    for start in 0..lines.len() {
        if taken[start] {
            continue;
        }
        let mut group = vec![start];
        for at in start + 1..lines.len() {
            if lines[at].side == lines[start].side {
                group.push(at);
                taken[at] = true;
            } else if !is_backchannel(&read[at]) {
                break;
            }
            if group.len() >= LONGEST_DICTATION {
                break;
            }
        }
        if group.len() > 1 {
            out.push(put_together(&group, lines, start));
        }
    }
    out
}

fn put_together(group: &[usize], lines: &[SpokenLine<'_>], start: usize) -> Dictation {
    let places: Vec<(usize, usize)> =
        group.iter().flat_map(|at| (0..lines[*at].words.len()).map(move |word| (*at, word))).collect();
    let words = places.iter().map(|(at, word)| lines[*at].words[*word]).collect();
    let mut line = Line::read(&SpokenLine { side: lines[start].side, words });
    // A piece ends where its line does; what is dictated goes on.
    for (index, pair) in places.windows(2).enumerate() {
        if pair[0].0 != pair[1].0 {
            line.words[index].stop = false;
        }
    }
    Dictation { line, places, start }
}

/// What stands across lines, each line's part by itself; and the digits of what was told.
pub(super) fn across(
    read: &[Line],
    lines: &[SpokenLine<'_>],
    asked: &[Topics],
) -> (Vec<PersonalData>, Vec<(Vec<u8>, PersonalKind)>) {
    let (mut found, mut digits) = (Vec::new(), Vec::new());
    for dictation in dictations(read, lines) {
        let Dictation { line, places, start } = &dictation;
        let mut all = places::emails(line, &asked[*start]);
        for Number { first, last, kind, digits: said } in numbers::numbers(line, &asked[*start], &[]) {
            if places[first].0 != places[last].0 {
                digits.push((said, kind));
            }
            all.push((first, last, kind));
        }
        for (first, last, kind) in all.into_iter().filter(|(a, b, _)| places[*a].0 != places[*b].0) {
            for part in places[first..=last].chunk_by(|a, b| a.0 == b.0) {
                let (line, first) = part[0];
                found.push(PersonalData { line, first, last: part[part.len() - 1].1, kind });
            }
        }
    }
    (found, digits)
}

/// Fewest letters that are a word spelled, and fewest where a name or number was asked for.
const MIN_SPELLED: usize = 4;
const MIN_SPELLED_ASKED: usize = 3;
/// How many words before a spelled word still speak of it.
const SPELLED_WORDS: usize = 8;

/// Words that are spelled: names, and references that have no digit.
pub(super) fn spelled(line: &Line, asked: &Topics) -> Vec<(usize, usize, PersonalKind)> {
    let is_letter = |at: usize| {
        let plain = line.plain(at);
        let hyphened = plain.contains('-') && plain.split('-').all(|part| part.chars().count() == 1);
        plain.chars().count() == 1 && plain.chars().all(char::is_alphabetic) || hyphened
    };
    let letters = |at: usize| line.plain(at).chars().filter(|c| c.is_alphabetic()).count();
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.words.len() {
        let first = at;
        while at < line.words.len() && is_letter(at) && (at == first || !line.words[at - 1].stop) {
            at += 1;
        }
        if at == first {
            at += 1;
            continue;
        }
        let count: usize = (first..at).map(letters).sum();
        let told = &line.topics(first.saturating_sub(SPELLED_WORDS), first) | asked;
        let of_thing = told.contains(&Topic::Thing) && !told.contains(&Topic::Name);
        let due = if told.contains(&Topic::Name) || of_thing { MIN_SPELLED_ASKED } else { MIN_SPELLED };
        if count >= due {
            let kind = if of_thing { PersonalKind::Account } else { PersonalKind::Name };
            found.push((first, at - 1, kind));
        }
    }
    found
}

/// What stands before a password that somebody says.
const BEFORE_SECRET: &[&str] = &[
    "password is",
    "password's",
    "passcode is",
    "passphrase is",
    "secret word is",
    "memorable word is",
    "pin is",
];
/// Words behind "password is" that say how it is, not what.
const NO_SECRET: &[&str] = &[
    "not",
    "wrong",
    "incorrect",
    "expired",
    "blocked",
    "invalid",
    "too",
    "the",
    "my",
    "being",
    "locked",
    "still",
    "no",
    "never",
    "required",
    "needed",
    "case",
    "case-sensitive",
    "correct",
    "right",
    "reset",
    "a",
    "an",
    "in",
    "on",
    "don't",
    "forgot",
    "forgotten",
    "know",
    "remember",
    "can't",
    "yes",
    "what",
    "lost",
    "have",
    "sent",
    "saved",
];
/// Most words of a password.
const LONGEST_SECRET: usize = 3;

/// Passwords: behind "my password is", and as the short answer to a question for one.
pub(super) fn secrets(line: &Line, asked: &Topics) -> Vec<(usize, usize, PersonalKind)> {
    let mut found = Vec::new();
    let end_of = |first: usize| {
        let mut last = first;
        while last + 1 < line.words.len()
            && last + 1 - first < LONGEST_SECRET
            && !line.words[last].stop
            && !line.words[last].raw.ends_with(',')
            && !matches!(line.plain(last + 1), "and" | "but" | "so" | "can" | "could" | "please" | "if")
        {
            last += 1;
        }
        last
    };
    let says_none = |from: usize| (from..line.words.len()).any(|at| NO_SECRET.contains(&line.plain(at)));
    for at in 0..line.words.len() {
        let behind = BEFORE_SECRET.iter().find_map(|phrase| length_at(&line.words, at, phrase));
        if let Some(first) = behind.map(|length| at + length)
            && first < line.words.len()
            && !NO_SECRET.contains(&line.plain(first))
        {
            found.push((first, end_of(first), PersonalKind::Secret));
        }
    }
    let leads =
        |word: &str| matches!(word, "it's" | "it" | "is" | "that's" | "sure" | "okay" | "um" | "uh" | "so");
    let first = line.words.iter().take_while(|w| leads(&w.plain)).count();
    if asked.contains(&Topic::Secret)
        && (1..=LONGEST_SECRET).contains(&(line.words.len() - first))
        && !says_none(0)
        && !is_backchannel(line)
    {
        found.push((first, line.words.len() - 1, PersonalKind::Secret));
    }
    found
}
