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

/// E-mail addresses, written (`a.b@c.org`) or said ("a dot b at c dot org").
pub(super) fn emails(line: &Line) -> Found {
    let mut found = Found::new();
    for at in 0..line.words.len() {
        let plain = line.plain(at);
        if let Some((local, domain)) = plain.split_once('@') {
            let first = if local.is_empty() && at > 0 {
                local_start(line, at)
            } else {
                local_start(line, at + 1).min(at)
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
            let end = if written { Some(at + 1) } else { domain_end(line, at + 1) };
            if let Some(last) = end {
                found.push((local_start(line, at), last, PersonalKind::Email));
            }
        }
    }
    found
}

/// First word of the part before the `at` at word `at`: names joined by "dot" and the like, and single letters.
fn local_start(line: &Line, at: usize) -> usize {
    let Some(mut first) = at.checked_sub(1) else { return at };
    while first >= 1 {
        let joint = JOINTS.contains(&line.plain(first - 1)) && first >= 2;
        let spelled =
            line.plain(first - 1).chars().count() == 1 && !matches!(line.plain(first - 1), "a" | "i");
        let joint_here = JOINTS.contains(&line.plain(first));
        if joint {
            first -= 2;
        } else if spelled || joint_here {
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

fn is_number(word: &str) -> bool {
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
        let numeric =
            parts.len() == 3 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
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
    // A postcode may be the whole answer, or stand behind the word.
    let postcode = |at: usize| {
        asked.contains(&Topic::Postcode)
            || line.topics(at.saturating_sub(POSTCODE_WORDS), at).contains(&Topic::Postcode)
    };
    let begins = |at: &usize| is_number(line.plain(*at)) && (*at == 0 || !is_number(line.plain(*at - 1)));
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
    Some((first, last, PersonalKind::Address))
}

fn postcode_at(line: &Line, at: usize) -> Option<(usize, usize, PersonalKind)> {
    let mut last = at;
    while is_number(line.plain(last + 1)) && !line.words[last].stop {
        last += 1;
    }
    let digits: usize = (at..=last)
        .map(|word| {
            line.plain(word)
                .bytes()
                .filter(u8::is_ascii_digit)
                .count()
                .max(usize::from(is_number(line.plain(word))))
        })
        .sum();
    (4..=9).contains(&digits).then_some((at, last, PersonalKind::Address))
}
