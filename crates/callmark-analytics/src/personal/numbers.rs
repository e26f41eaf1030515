//! Numbers that stand for a person or a thing of theirs: cards, phones, accounts, orders, national numbers.
//!
//! A run of digits, said or written, with single letters before and between it. Its length and Luhn's check tell a card;
//! what was asked or said just before tells the others. Amounts, times, years and counts are none.

use super::digits::{Piece, is_of_number, piece_at};
use super::places::MONTHS;
use super::topics::{Topic, Topics};
use super::{Line, PersonalKind};
use crate::text::FILLERS;

/// How many words before a number still speak of it.
const CONTEXT_WORDS: usize = 10;
/// And how many words behind it.
const CONTEXT_BEHIND_WORDS: usize = 4;

/// What may stand between two digits of one number, beside fillers.
const SEPARATORS: &[&str] = &["dash", "hyphen", "slash"];

/// Say that the number before them is a quantity.
const UNITS: &[&str] = &[
    "dollars",
    "dollar",
    "pounds",
    "pound",
    "euros",
    "euro",
    "cents",
    "cent",
    "pence",
    "percent",
    "per",
    "minutes",
    "minute",
    "hours",
    "hour",
    "days",
    "day",
    "weeks",
    "week",
    "months",
    "month",
    "years",
    "year",
    "o'clock",
    "am",
    "pm",
    "a.m",
    "p.m",
    "gigabytes",
    "gigabyte",
    "gb",
    "kilometers",
    "miles",
    "people",
    "times",
    "stars",
    "degrees",
    "kilos",
    "kilograms",
];

/// Fewest digits of a number that nobody announced.
const MIN_UNANNOUNCED: usize = 7;
/// Fewest digits of one that was announced or asked for.
const MIN_ANNOUNCED: usize = 4;
/// Fewest digits of one that begins with letters.
const MIN_WITH_LETTERS: usize = 4;
/// Fewest letters and digits together of one that was announced or asked for.
const MIN_MIXED: usize = 5;
/// Digits of what is asked for beside a card's number: a security code, an expiry.
const CARD_CODE: std::ops::RangeInclusive<usize> = 2..=8;
/// Digits of a PIN.
const PIN: std::ops::RangeInclusive<usize> = 3..=10;

/// Things that have a number and belong to nobody.
const NOBODYS: &[&str] = &[
    "error",
    "errors",
    "version",
    "model",
    "channel",
    "room",
    "flight",
    "gate",
    "page",
    "step",
    "section",
    "option",
    "chapter",
    "build",
    "firmware",
    "windows",
    "highway",
    "route",
    "promo",
    "discount",
    "status",
    "extension",
    "train",
    "platform",
    "terminal",
    "aisle",
    "row",
];
/// How many words before a number still say whose it is not.
const NOBODYS_WORDS: usize = 3;

/// A run of digits and letters.
struct Run {
    first: usize,
    last: usize,
    digits: Vec<u8>,
    letters: usize,
    /// Written as one figure with nothing said digit by digit.
    one_figure: bool,
    /// Said in tens ("forty two"): as amounts and years are, too.
    tens: bool,
}

/// A number that was found, with its digits.
pub(super) struct Number {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) kind: PersonalKind,
    pub(super) digits: Vec<u8>,
}

/// The numbers of a line. `known` are digits of numbers that were found elsewhere in the call: parts of them are theirs.
pub(super) fn numbers(line: &Line, asked: &Topics, known: &[(Vec<u8>, PersonalKind)]) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.words.len() {
        let Some(run) = run_at(line, at) else {
            at += 1;
            continue;
        };
        at = run.last + 1;
        let part = || {
            let is_part = |(digits, _): &&(Vec<u8>, PersonalKind)| {
                digits.windows(run.digits.len()).any(|part| part == run.digits)
            };
            let long_enough = run.digits.len() >= MIN_ANNOUNCED && !run.tens && !is_quantity(line, &run);
            known.iter().find(is_part).map(|(_, kind)| *kind).filter(|_| long_enough)
        };
        if let Some(kind) = kind_of(line, &run, asked).or_else(part) {
            let first = first_of(line, &run);
            found.push(Number { first, last: run.last, kind, digits: run.digits });
        }
    }
    found
}

/// Letters before a number are its own where they are written in capitals: "HX dash 991".
fn first_of(line: &Line, run: &Run) -> usize {
    let mut first = run.first;
    let mut at = run.first;
    while at > 0 && run.first - at < 4 && !line.words[at - 1].stop {
        let word = &line.words[at - 1];
        let bare = word.raw.trim_matches(|c: char| !c.is_alphanumeric());
        let short = (1..=4).contains(&bare.len()) && bare.chars().all(|c| c.is_ascii_uppercase());
        if short && !matches!(bare, "I" | "ID" | "OK" | "PIN" | "CVV" | "CVC" | "IBAN" | "SSN" | "IP") {
            first = at - 1;
        } else if !SEPARATORS.contains(&word.plain.as_str()) {
            break;
        }
        at -= 1;
    }
    first
}

fn kind_of(line: &Line, run: &Run, asked: &Topics) -> Option<PersonalKind> {
    let count = run.digits.len();
    let from = run.first.saturating_sub(CONTEXT_WORDS);
    let before = line.topics(from, run.first);
    let told = &before | asked;
    if (13..=19).contains(&count) && luhn(&run.digits) && !is_quantity(line, run) {
        return Some(PersonalKind::Card);
    }
    let nobodys = run.first.saturating_sub(NOBODYS_WORDS)..run.first;
    if nobodys.into_iter().any(|at| NOBODYS.contains(&line.plain(at))) {
        return None;
    }
    if let Some(kind) = by_topic(line, run, asked, &before) {
        return Some(kind);
    }
    if is_quantity(line, run) {
        return None;
    }
    let near = line.topics(from, run.last + CONTEXT_BEHIND_WORDS);
    let names_a_number = [Topic::Number, Topic::Thing, Topic::Card].iter().any(|topic| told.contains(topic));
    let announced = names_a_number || told.contains(&Topic::Phone) || told.contains(&Topic::National);
    // Tens alone may be any amount or year.
    if run.tens && !announced {
        return None;
    }
    let is_mixed = run.letters > 0 && names_a_number && count + run.letters >= MIN_MIXED;
    let enough = match (run.letters, announced) {
        (1.., _) => MIN_WITH_LETTERS,
        (0, true) => MIN_ANNOUNCED,
        (0, false) => MIN_UNANNOUNCED,
    };
    if count < enough && !is_mixed {
        return None;
    }
    // A year that somebody mentions is no number of theirs.
    if run.one_figure && count == 4 && run.letters == 0 && !names_a_number {
        return None;
    }
    // What was asked holds until another thing is named.
    let speaks_of =
        |topic: Topic| before.contains(&topic) || (asked.contains(&topic) && !before.contains(&Topic::Thing));
    Some(match count {
        4..=12 if near.contains(&Topic::National) || speaks_of(Topic::National) => PersonalKind::NationalId,
        4..=6 if speaks_of(Topic::Card) => PersonalKind::Card,
        10..=13 if run.letters == 0 => PersonalKind::Phone,
        4..=9 if run.letters == 0 && speaks_of(Topic::Phone) => PersonalKind::Phone,
        14.. if told.contains(&Topic::Card) => PersonalKind::Card,
        _ => PersonalKind::Account,
    })
}

/// The kind of a number that its topic alone tells, however short it is and whatever it looks like.
fn by_topic(line: &Line, run: &Run, asked: &Topics, before: &Topics) -> Option<PersonalKind> {
    /// The number is said just behind the word.
    const NEAR: usize = 6;
    let count = run.digits.len();
    let near = line.topics(run.first.saturating_sub(NEAR), run.first);
    let told = |topic: Topic| near.contains(&topic) || (asked.contains(&topic) && before.is_empty());
    let unit = UNITS.contains(&line.plain(run.last + 1));
    // A date that is said as a number; dates in figures are told elsewhere.
    let birth = |said: bool| said && run.tens || asked.contains(&Topic::Birth) && before.is_empty();
    let of_card = before.contains(&Topic::Card) || asked.contains(&Topic::Card);
    if unit {
        None
    } else if told(Topic::CardCode) || (near.contains(&Topic::Expiry) && of_card) {
        CARD_CODE.contains(&count).then_some(PersonalKind::Card)
    } else if told(Topic::Secret) {
        PIN.contains(&count).then_some(PersonalKind::Secret)
    } else if told(Topic::Bank) {
        (count >= MIN_ANNOUNCED).then_some(PersonalKind::Account)
    } else if run.letters == 0 && !is_money(line, run) && birth(near.contains(&Topic::Birth)) {
        let whole = if run.tens { 4..=8 } else { 5..=8 };
        whole.contains(&count).then_some(PersonalKind::DateOfBirth)
    } else {
        None
    }
}

fn is_quantity(line: &Line, run: &Run) -> bool {
    let money = is_money(line, run);
    let date = MONTHS.contains(&line.plain(run.first.wrapping_sub(1)))
        || (run.first..=run.last).any(|at| is_date(line.plain(at)));
    let time_or_fraction = (run.first..=run.last).any(|at| {
        let plain = line.plain(at);
        plain.contains(':') || plain.contains('%') || is_decimal(plain)
    });
    let unit = UNITS.contains(&line.plain(run.last + 1)) && run.letters == 0;
    let scaled = matches!(line.plain(run.last + 1), "hundred" | "thousand" | "million" | "point");
    money || date || time_or_fraction || unit || scaled
}

/// A recogniser may set a currency before a telephone number; no amount has that many figures.
fn is_money(line: &Line, run: &Run) -> bool {
    line.words[run.first].raw.contains(CURRENCIES) && run.digits.len() < 9
}

const CURRENCIES: [char; 4] = ['$', '£', '€', '%'];

/// A day in figures: `2024-05-28`, `5/28/2024`.
fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split(['-', '/']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
        && matches!(lengths[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4 | 2])
}

fn is_decimal(word: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    matches!(word.split_once('.'), Some((whole, part)) if is_digits(whole) && is_digits(part))
}

/// The run that begins at word `at`, which must bring a digit, or letters with a digit behind them.
fn run_at(line: &Line, at: usize) -> Option<Run> {
    let mut run = Run { first: at, last: at, digits: Vec::new(), letters: 0, one_figure: true, tens: false };
    let (mut next, mut pending, mut figures) = (at, 0, 0);
    let mut times = 1;
    while let Some(word) = line.words.get(next) {
        let plain = word.plain.as_str();
        if next > at && word.raw.contains(CURRENCIES) {
            break;
        }
        match piece_at(line, next) {
            Some(Piece::Digits(digits)) => {
                for _ in 0..times {
                    run.digits.extend(&digits);
                }
                times = 1;
                figures += 1;
                run.one_figure &= figures == 1 && plain.bytes().all(|b| b.is_ascii_digit());
                run.letters += pending;
                (pending, run.last) = (0, next);
            }
            Some(Piece::Tens(digits)) => {
                run.digits.extend(&digits);
                (run.tens, run.one_figure) = (true, false);
                run.letters += pending;
                (pending, run.last) = (0, next);
            }
            Some(Piece::Mixed { digits, letters }) => {
                run.digits.extend(&digits);
                run.letters += letters + pending;
                figures += 1;
                run.one_figure = false;
                (pending, run.last) = (0, next);
            }
            Some(Piece::Letter) if pending < 6 => pending += 1,
            Some(Piece::Letters(count)) if next > at && pending + count <= 8 => pending += count,
            Some(Piece::Times(n)) => times = n,
            _ if next > at && is_between(line, next) => {}
            _ => break,
        }
        // A full stop ends a number, but recognisers set one between groups of digits too: only where digits go on.
        if word.stop && !matches!(piece_at(line, next + 1), Some(Piece::Digits(_) | Piece::Tens(_))) {
            break;
        }
        next += 1;
    }
    if !run.digits.is_empty() && ends_with_letters(line, run.last) {
        run.last += 1;
        run.letters += 1;
    }
    (!run.digits.is_empty()).then_some(run)
}

/// What may stand between two digits of one number; "and" only between groups of a few.
fn is_between(line: &Line, at: usize) -> bool {
    /// Most digits of a group that is dictated.
    const GROUP: usize = 4;
    let plain = line.plain(at);
    let is_group = |at: usize| {
        let raw = line.words.get(at).map_or("", |w| &w.raw);
        let digits = raw.bytes().filter(u8::is_ascii_digit).count();
        digits <= GROUP && !raw.contains(CURRENCIES) && is_of_number(line.plain(at))
    };
    let joins = matches!(plain, "then" | "and") && at > 0;
    let before =
        if joins && line.plain(at - 1) == "and" { at.saturating_sub(2) } else { at.saturating_sub(1) };
    let behind = if line.plain(at + 1) == "then" { at + 2 } else { at + 1 };
    SEPARATORS.contains(&plain) || FILLERS.contains(&plain) || joins && is_group(before) && is_group(behind)
}

/// A letter said behind the digits is theirs: "seven seven one B".
fn ends_with_letters(line: &Line, last: usize) -> bool {
    let is_letter = |at: usize| {
        line.words.get(at).is_some_and(|w| {
            let bare = w.raw.trim_matches(|c: char| !c.is_alphanumeric());
            bare.len() == 1 && bare.chars().all(|c| c.is_ascii_uppercase()) && bare != "I"
        })
    };
    !line.words[last].stop && is_letter(last + 1)
}

/// The check that numbers of payment cards pass (ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(*digit) * if at % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}
