//! E-mail and postal addresses, and dates of birth.

use super::topics::{Topic, Topics};
use super::{Line, PersonalKind};
use crate::text::NUMBER_WORDS;

type Found = Vec<(usize, usize, PersonalKind)>;

const TOP_DOMAINS: &[&str] = &[
    "com", "org", "net", "co", "io", "edu", "gov", "uk", "us", "de", "fr", "es", "it", "nl", "ca", "au",
    "eu", "info", "biz",
];

/// Join the parts of an address that is spelled.
const JOINTS: &[&str] = &["dot", "underscore", "dash", "hyphen", "period", "point"];

/// Whose addresses are told without their end: "lee at gmail".
const PROVIDERS: &[&str] = &[
    "gmail",
    "hotmail",
    "yahoo",
    "outlook",
    "icloud",
    "aol",
    "proton",
    "protonmail",
    "msn",
    "gmx",
    "googlemail",
];

/// Words that begin an answer and are no part of an address.
const NO_LOCAL: &[&str] = &[
    "it's",
    "it",
    "is",
    "that's",
    "that",
    "my",
    "yep",
    "yup",
    "no",
    "right",
    "here",
    "email",
    "e-mail",
    "address",
    "to",
    "the",
    "yes",
    "yeah",
    "sure",
    "okay",
    "all",
    "lower",
    "case",
    "lowercase",
    "and",
    "or",
    "then",
    "at",
    "one",
    "word",
    "me",
    "you",
    "can",
    "send",
    "so",
    "uh",
    "um",
    "please",
    "i'm",
    "be",
    "would",
    "was",
    "with",
    "on",
    "reach",
    "under",
];

/// Most words of the part before the `at` that is said.
const LONGEST_LOCAL: usize = 24;

/// E-mail addresses, written (`a.b@c.org`) or said ("a dot b at c dot org").
pub(super) fn emails(line: &Line, asked: &Topics) -> Found {
    let mut found = Found::new();
    for at in 0..line.words.len() {
        let plain = line.plain(at);
        if let Some((local, domain)) = plain.split_once('@') {
            let first = if local.is_empty() && at > 0 {
                local_start(line, at, false)
            } else {
                local_start(line, at + 1, false).min(at)
            };
            let last = if domain.contains('.') { at } else { domain_end(line, at + 1).unwrap_or(at) };
            found.push((first, last, PersonalKind::Email));
        } else if plain.matches('.').count() >= 2
            && plain.rsplit_once('.').is_some_and(|(_, top)| TOP_DOMAINS.contains(&top))
            && !plain.starts_with("www.")
        {
            // "lily.hart.at.example.com", as recognisers run it together.
            found.push((at, at, PersonalKind::Email));
        } else if plain == "at" && at > 0 && !line.plain(at + 1).contains('@') {
            let written =
                line.plain(at + 1).rsplit_once('.').is_some_and(|(_, top)| TOP_DOMAINS.contains(&top));
            let asked = asked.contains(&Topic::Email) || line.topics(0, at).contains(&Topic::Email);
            let provider = asked && PROVIDERS.contains(&line.plain(at + 1));
            let end = if written { Some(at + 1) } else { domain_end(line, at + 1) };
            if let Some(last) = end.or(provider.then_some(at + 1)) {
                found.push((local_start(line, at, asked), last, PersonalKind::Email));
            }
        }
    }
    found
}

/// First word of the part before the `at` at word `at`: names joined by "dot" and the like, single letters, numbers;
/// where an address was asked for, whatever stands before it.
fn local_start(line: &Line, at: usize, asked: bool) -> usize {
    let Some(mut first) = at.checked_sub(1) else { return at };
    let single = |at: usize| line.plain(at).chars().count() == 1;
    while first >= 1 && at - first < LONGEST_LOCAL && !line.words[first - 1].stop {
        let before = line.plain(first - 1);
        let joint = JOINTS.contains(&before) && first >= 2;
        // "A" and "I" are letters among letters.
        let letter = single(first - 1)
            && (!matches!(before, "a" | "i") || single(first) || first >= 2 && single(first - 2));
        let number = is_number(before) || is_number(line.plain(first)) && !NO_LOCAL.contains(&before);
        let joint_here = JOINTS.contains(&line.plain(first));
        let of_name = asked && !NO_LOCAL.contains(&before);
        if joint {
            first -= 2;
        } else if letter || joint_here || number || of_name {
            first -= 1;
        } else {
            break;
        }
    }
    first
}

/// Last word of a domain that begins at word `from` and is said: words, "dot", a top domain.
fn domain_end(line: &Line, from: usize) -> Option<usize> {
    const LONGEST_WORDS: usize = 8;
    let dot = (from..(from + LONGEST_WORDS).min(line.words.len())).find(|at| line.plain(*at) == "dot")?;
    let mut last = dot;
    while line.plain(last) == "dot" || line.plain(last + 1) == "dot" {
        last += 1;
    }
    TOP_DOMAINS.contains(&line.plain(last)).then_some(last)
}

pub(super) const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const ORDINALS: &[&str] = &[
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "thirtieth",
];

pub(super) fn is_number(word: &str) -> bool {
    let parts = || word.split('-');
    !word.is_empty()
        && (word.bytes().next().is_some_and(|b| b.is_ascii_digit())
            || parts().all(|part| {
                NUMBER_WORDS.contains(&part) || matches!(part, "oh" | "zero") || ORDINALS.contains(&part)
            }))
}

/// How many words before a date still speak of it.
const BIRTH_WORDS: usize = 12;

/// Dates that are given as a date of birth, or asked for as one.
pub(super) fn birth_dates(line: &Line, asked: &Topics) -> Found {
    let mut found = Found::new();
    for at in 0..line.words.len() {
        let plain = line.plain(at);
        let is_month = MONTHS.contains(&plain);
        let parts: Vec<&str> = plain.split(['/', '-', '.']).collect();
        let lengths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
        let numeric = matches!(lengths[..], [1..=2, 1..=2, 2 | 4] | [4, 1..=2, 1..=2])
            && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_digit()));
        if !is_month && !numeric {
            continue;
        }
        if !(asked.contains(&Topic::Birth)
            || line.topics(at.saturating_sub(BIRTH_WORDS), at).contains(&Topic::Birth))
        {
            continue;
        }
        let goes_on = |word: &str| is_number(word) || matches!(word, "of" | "the" | "and");
        let mut first = at;
        while first > 0 && goes_on(line.plain(first - 1)) && !line.words[first - 1].stop {
            first -= 1;
        }
        while first < at && !is_number(line.plain(first)) {
            first += 1;
        }
        let mut last = at;
        while is_number(line.plain(last + 1)) && !line.words[last].stop {
            last += 1;
        }
        found.push((first, last, PersonalKind::DateOfBirth));
    }
    found
}

const STREETS: &[&str] = &[
    "street",
    "st",
    "road",
    "rd",
    "lane",
    "avenue",
    "ave",
    "drive",
    "court",
    "boulevard",
    "blvd",
    "square",
    "terrace",
    "crescent",
    "close",
    "gardens",
    "grove",
    "highway",
    "parkway",
    "way",
    "row",
    "alley",
];

/// How many words before a postcode still speak of it.
const POSTCODE_WORDS: usize = 8;

/// Words of a street's name before its kind.
const STREET_NAME_WORDS: usize = 3;

/// Addresses with a number and a street, and postcodes.
pub(super) fn addresses(line: &Line, asked: &Topics) -> Found {
    let mut found = Found::new();
    for at in 1..line.words.len() {
        let plain = line.plain(at);
        let in_answer =
            asked.contains(&Topic::Address) && matches!(plain, "street" | "road" | "lane" | "avenue");
        if STREETS.contains(&plain) && (line.words[at].capital || in_answer) {
            found.extend(street_at(line, at, in_answer));
        }
    }
    found.extend((0..line.words.len()).filter_map(|at| post_box(line, at)));
    found.extend((0..line.words.len()).filter_map(|at| written_postcode(line, at)));
    // A postcode may be the whole answer, or stand behind the word.
    let postcode = |at: usize| {
        asked.contains(&Topic::Postcode)
            || line.topics(at.saturating_sub(POSTCODE_WORDS), at).contains(&Topic::Postcode)
    };
    let begins = |at: &usize| is_of_code(line, *at) && (*at == 0 || !is_of_code(line, *at - 1));
    let codes = (0..line.words.len()).filter(begins).filter(|at| postcode(*at));
    found.extend(codes.filter_map(|at| postcode_at(line, at)));
    found
}

/// The address whose street's kind is word `at`; `loose` takes names without capitals.
fn street_at(line: &Line, at: usize, loose: bool) -> Option<(usize, usize, PersonalKind)> {
    let mut first = at;
    while first > 0
        && at - first < STREET_NAME_WORDS
        && (loose || line.words[first - 1].capital)
        && !is_number(line.plain(first - 1))
    {
        first -= 1;
    }
    let named = first;
    while first > 0 && is_number(line.plain(first - 1)) && !line.words[first - 1].stop {
        first -= 1;
    }
    if first == named {
        return None;
    }
    let mut last = at;
    if matches!(line.plain(last + 1), "apartment" | "apt" | "flat" | "unit" | "suite")
        && !line.words[last].stop
    {
        last += 1;
        while is_number(line.plain(last + 1))
            || line.plain(last + 1).chars().count() == 1 && !line.plain(last + 1).is_empty()
        {
            last += 1;
        }
    }
    Some((first, place_behind(line, last), PersonalKind::Address))
}

/// Most words of a town, a state and a postcode behind a street.
const LONGEST_PLACE: usize = 9;

/// Last word of the town, state and postcode behind the street that ends at word `street`.
fn place_behind(line: &Line, street: usize) -> usize {
    let mut last = street;
    while last - street < LONGEST_PLACE && !line.words[last].stop {
        let next = line.plain(last + 1);
        let capital =
            line.words.get(last + 1).is_some_and(|w| w.capital) && !matches!(next, "i" | "i'm" | "i'd");
        let joins = matches!(next, "in" | "zip" | "postcode" | "code" | "apartment" | "unit") && {
            let behind = line.words.get(last + 2);
            behind.is_some_and(|w| w.capital) || is_number(line.plain(last + 2))
        };
        // A number behind the street itself belongs to what comes next.
        let number = is_number(next) && last > street;
        if !(capital || joins || number) {
            break;
        }
        last += 1;
    }
    last
}

/// "P.O. Box 1234".
fn post_box(line: &Line, at: usize) -> Option<(usize, usize, PersonalKind)> {
    if line.plain(at) != "box" || !is_number(line.plain(at + 1)) {
        return None;
    }
    let office = at.checked_sub(1).filter(|b| matches!(line.plain(*b), "p.o" | "po" | "office"))?;
    let letters = || at.checked_sub(2).filter(|b| line.plain(*b) == "post");
    let first = if line.plain(office) == "office" { letters()? } else { office };
    let mut last = at + 1;
    while is_number(line.plain(last + 1)) && !line.words[last].stop {
        last += 1;
    }
    Some((first, place_behind(line, last), PersonalKind::Address))
}

/// A British postcode as written: "LS8 4QT".
fn written_postcode(line: &Line, at: usize) -> Option<(usize, usize, PersonalKind)> {
    let shape = |word: &str| -> String {
        word.chars()
            .map(|c| match c {
                'A'..='Z' => 'A',
                '0'..='9' => '9',
                _ => '-',
            })
            .collect()
    };
    let bare = |at: usize| line.words.get(at).map(|w| w.raw.trim_matches(|c: char| !c.is_alphanumeric()));
    let (out, inward) = (bare(at)?, bare(at + 1)?);
    let outward = ["A9", "A99", "AA9", "AA99", "A9A", "AA9A"].contains(&shape(out).as_str());
    (outward && shape(inward) == "9AA").then_some((at, at + 1, PersonalKind::Address))
}

/// A number, or a single letter that is said for itself.
fn is_of_code(line: &Line, at: usize) -> bool {
    let Some(word) = line.words.get(at) else { return false };
    let letter = word.plain.chars().count() == 1 && word.capital && word.plain != "i";
    is_number(&word.plain) || letter
}

fn postcode_at(line: &Line, at: usize) -> Option<(usize, usize, PersonalKind)> {
    let mut last = at;
    while is_of_code(line, last + 1) && !line.words[last].stop {
        last += 1;
    }
    let digits: usize =
        (at..=last).map(|word| line.plain(word).bytes().filter(u8::is_ascii_digit).count().max(1)).sum();
    (4..=9).contains(&digits).then_some((at, last, PersonalKind::Address))
}
