//! Numbers that stand for a person or a thing of theirs: cards, phones, accounts, orders, national numbers.
//!
//! A run of digits, said or written, with single letters before and between it. Its length and Luhn's check tell a card;
//! what was asked or said just before tells the others. Amounts, times, years and counts are none.

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

/// A run of digits and letters.
struct Run {
    first: usize,
    last: usize,
    digits: Vec<u8>,
    letters: usize,
    /// Written as one figure with nothing said digit by digit.
    one_figure: bool,
}

/// The numbers of a line.
pub(super) fn numbers(line: &Line, asked: &Topics) -> Vec<(usize, usize, PersonalKind)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.words.len() {
        let Some(run) = run_at(line, at) else {
            at += 1;
            continue;
        };
        at = run.last + 1;
        if let Some(kind) = kind_of(line, &run, asked) {
            found.push((run.first, run.last, kind));
        }
    }
    found
}

fn kind_of(line: &Line, run: &Run, asked: &Topics) -> Option<PersonalKind> {
    let count = run.digits.len();
    if is_quantity(line, run) {
        return None;
    }
    let from = run.first.saturating_sub(CONTEXT_WORDS);
    let before = line.topics(from, run.first);
    let near = line.topics(from, run.last + CONTEXT_BEHIND_WORDS);
    let told = &before | asked;
    let names_a_number = [Topic::Number, Topic::Thing, Topic::Card].iter().any(|topic| told.contains(topic));
    let announced = names_a_number || told.contains(&Topic::Phone) || told.contains(&Topic::National);
    if (13..=19).contains(&count) && luhn(&run.digits) {
        return Some(PersonalKind::Card);
    }
    let enough = match (run.letters, announced) {
        (1.., _) => MIN_WITH_LETTERS,
        (0, true) => MIN_ANNOUNCED,
        (0, false) => MIN_UNANNOUNCED,
    };
    if count < enough {
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

fn is_quantity(line: &Line, run: &Run) -> bool {
    let raw = &line.words[run.first].raw;
    // A recogniser may set a currency before a telephone number; no amount has that many figures.
    let money = raw.contains(['$', '£', '€', '%']) && run.digits.len() < 9;
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
    let mut run = Run { first: at, last: at, digits: Vec::new(), letters: 0, one_figure: true };
    let (mut next, mut pending, mut figures) = (at, 0, 0);
    let mut times = 1;
    while let Some(word) = line.words.get(next) {
        let plain = word.plain.as_str();
        match piece(plain) {
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
            Some(Piece::Mixed { digits, letters }) => {
                run.digits.extend(&digits);
                run.letters += letters + pending;
                figures += 1;
                run.one_figure = false;
                (pending, run.last) = (0, next);
            }
            Some(Piece::Letter) if pending < 6 => pending += 1,
            Some(Piece::Times(n)) => times = n,
            _ if next > at && (SEPARATORS.contains(&plain) || FILLERS.contains(&plain)) => {}
            _ => break,
        }
        // A full stop ends a number, but recognisers set one between groups of digits too: only where digits go on.
        if word.stop
            && !matches!(line.words.get(next + 1).and_then(|w| piece(&w.plain)), Some(Piece::Digits(_)))
        {
            break;
        }
        next += 1;
    }
    (!run.digits.is_empty()).then_some(run)
}

enum Piece {
    Digits(Vec<u8>),
    Mixed {
        digits: Vec<u8>,
        letters: usize,
    },
    Letter,
    /// "double", "triple".
    Times(usize),
}

fn piece(word: &str) -> Option<Piece> {
    const NAMES: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    if let Some(digit) = NAMES.iter().position(|name| *name == word) {
        return Some(Piece::Digits(vec![digit as u8]));
    }
    match word {
        "oh" | "nought" => return Some(Piece::Digits(vec![0])),
        "double" => return Some(Piece::Times(2)),
        "triple" => return Some(Piece::Times(3)),
        _ => {}
    }
    // Digit words that a recogniser joins with hyphens: `four-four-nine-zero`.
    if word.contains('-') {
        let parts: Option<Vec<u8>> = word
            .split('-')
            .map(|part| NAMES.iter().position(|name| *name == part).map(|digit| digit as u8))
            .collect();
        if let Some(digits) = parts {
            return Some(Piece::Digits(digits));
        }
    }
    let digits: Vec<u8> = word.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let others = word.chars().filter(|c| !c.is_alphanumeric() && !"-.+,/()#$£€".contains(*c)).count();
    let spelled = word.split('-').all(|part| part.chars().count() == 1);
    match (digits.len(), letters) {
        _ if others > 0 => None,
        (1.., 0) => Some(Piece::Digits(digits)),
        // Ordinals and quantities ("4th", "3g", "10am") are no identifiers.
        (1.., 1..=6) if digits.len() + letters >= 4 && digits.len() >= 2 => {
            Some(Piece::Mixed { digits, letters })
        }
        (0, 1) if word != "a" && word != "i" => Some(Piece::Letter),
        (0, 2..=6) if spelled => Some(Piece::Letter),
        _ => None,
    }
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
