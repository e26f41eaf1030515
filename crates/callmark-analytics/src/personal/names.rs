//! Names of people: after a title, after "my name is", as the answer to a question for a name, and wherever such a name comes
//! again in the call.
//!
//! Capitals alone tell nothing: places, products and the first word of a sentence have them too.

use super::topics::{Topic, Topics, length_at};
use super::{Line, PersonalData, PersonalKind};
use std::collections::BTreeSet;

const TITLES: &[&str] = &["mr", "mrs", "ms", "miss", "mister", "missus", "doctor", "dr", "madam", "sir"];

/// What stands before a name that somebody gives.
const BEFORE: &[&str] = &[
    "my name is",
    "my name's",
    "name is",
    "name's",
    "it's under",
    "is under",
    "under the name",
    "under the name of",
    "in the name of",
    "booked under",
    "listed under",
    "registered to",
    "account under",
    "reservation under",
    "booking under",
    "order under",
    "surname is",
];

/// Whose names are told: "my husband Frank".
const RELATIVES: &[&str] = &[
    "husband",
    "wife",
    "son",
    "daughter",
    "mother",
    "father",
    "mum",
    "mom",
    "dad",
    "brother",
    "sister",
    "partner",
    "friend",
    "girlfriend",
    "boyfriend",
    "roommate",
    "fiancé",
    "fiancee",
    "landlord",
    "neighbor",
    "neighbour",
];

/// What somebody says behind the name by which they introduce themselves: "this is bob calling".
const BEHIND_INTRODUCED: &[&str] = &["calling", "phoning", "ringing"];

/// What a caller's name follows behind a greeting: "Hi, this is Ann Moss."
const GREETINGS: &[&str] = &["hi", "hello", "hey", "morning", "afternoon", "evening"];

/// Whoever says these serves: what they introduce themselves with may be a company.
const OF_AGENTS: &[&str] = &["help", "assist", "thank", "welcome", "reached", "assistant", "speaking"];

/// Last words of companies' names.
const ORGANISATIONS: &[&str] = &[
    "clinic",
    "bank",
    "support",
    "service",
    "services",
    "airlines",
    "airways",
    "water",
    "energy",
    "insurance",
    "mobile",
    "hotel",
    "hotels",
    "care",
    "center",
    "centre",
    "desk",
    "team",
    "department",
    "hospital",
    "telecom",
    "internet",
    "online",
    "store",
    "shop",
    "company",
    "group",
    "inc",
    "ltd",
    "limited",
    "university",
    "school",
    "pharmacy",
    "dental",
    "medical",
    "power",
    "gas",
    "electric",
    "travel",
    "tours",
    "rentals",
    "cars",
    "motors",
    "foods",
    "health",
    "financial",
    "credit",
];

/// Most words of a name.
const LONGEST_NAME: usize = 3;

/// Words with a capital that begin an answer and are no name.
const NO_NAMES: &[&str] = &[
    "yes",
    "no",
    "sure",
    "okay",
    "ok",
    "yeah",
    "hi",
    "hello",
    "hey",
    "it's",
    "i'm",
    "i",
    "my",
    "the",
    "this",
    "thank",
    "thanks",
    "well",
    "and",
    "so",
    "of",
    "oh",
    "um",
    "uh",
    "good",
    "please",
    "right",
    "can",
    "could",
    "what",
    "why",
    "i've",
    "that's",
    "that",
    "is",
    "with",
    "for",
    "let",
    "we",
    "you",
    "your",
    "alright",
    "great",
    "perfect",
    "sorry",
    "but",
    "do",
    "just",
    "here",
    "yup",
    "yep",
    "nope",
    "nice",
    "correct",
    "exactly",
    "cool",
    "fine",
    "awesome",
    "there",
    "excellent",
    "they",
    "it",
    "he",
    "she",
    "no,",
    "not",
    "how",
    "when",
    "where",
    "who",
    "which",
    "would",
    "i'd",
    "i'll",
    "are",
    "was",
    "absolutely",
    "certainly",
    "course",
    "both",
    "all",
    "am",
    "if",
    "at",
    "instead",
    "from",
    "to",
    "in",
    "on",
    "as",
    "me",
    "a",
    "an",
    "don't",
    "know",
    "already",
    "told",
    "gave",
    "again",
    "now",
    "someone",
    "somebody",
    "first",
    "one",
    "same",
    "mine",
    "still",
    "about",
    "only",
    "customer",
    "name",
    "wait",
    "hold",
    "nothing",
    "maybe",
];

/// Names of the call's lines; `asked` tells what was asked before each.
pub(super) fn names(lines: &[Line], asked: &[Topics]) -> Vec<PersonalData> {
    let mut found = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        let mut put = |first: usize, last: usize| {
            for word in first..=last {
                known.insert(bare(line.plain(word)).to_owned());
            }
            found.push(PersonalData { line: at, first, last, kind: PersonalKind::Name });
        };
        for word in 0..line.words.len() {
            if TITLES.contains(&line.plain(word))
                && line.words[word].capital
                && let Some(last) = name_from(line, word + 1)
            {
                put(word + 1, last);
            }
            if RELATIVES.contains(&line.plain(word))
                && !line.words[word].stop
                && let Some(last) = name_from(line, word + 1)
            {
                put(word + 1, last);
            }
            if let Some((first, last)) = introduced(line, word).or_else(|| greets_with_name(line, word)) {
                put(first, last);
            }
            let behind = BEFORE.iter().filter_map(|phrase| length_at(&line.words, word, phrase));
            for first in behind.map(|length| word + length) {
                if let Some(last) = name_from(line, first) {
                    put(first, last);
                }
            }
        }
        // The answer's first words, behind "yes" and the like.
        if asked[at].contains(&Topic::Name) {
            let skipped = (0..line.words.len()).take(6).find(|word| !NO_NAMES.contains(&line.plain(*word)));
            if let Some(first) = skipped
                && let Some(last) = name_from(line, first).or_else(|| lower_case_name(line, first))
            {
                put(first, last);
            }
        }
    }
    for (at, line) in lines.iter().enumerate() {
        for word in 0..line.words.len() {
            let name = bare(line.plain(word));
            if line.words[word].capital && name.len() >= 3 && known.contains(name) {
                found.push(PersonalData { line: at, first: word, last: word, kind: PersonalKind::Name });
            }
        }
    }
    found
}

/// "This is bob calling": the name between, in whatever case.
fn introduced(line: &Line, at: usize) -> Option<(usize, usize)> {
    let length = ["this is", "it's", "i am", "i'm"].iter().find_map(|p| length_at(&line.words, at, p))?;
    let first = at + length;
    let behind =
        (first + 1..=first + LONGEST_NAME).find(|at| BEHIND_INTRODUCED.contains(&line.plain(*at)))?;
    let is_name = |at: usize| {
        let word = line.plain(at);
        word.len() >= 2 && word.chars().all(char::is_alphabetic) && !NO_NAMES.contains(&word)
    };
    (first..behind).all(is_name).then_some((first, behind - 1))
}

/// "Hi, this is Ann Moss": two or more words with capitals behind a caller's greeting, or behind a first word that is none
/// of the usual ones: a greeting that was misheard.
fn greets_with_name(line: &Line, at: usize) -> Option<(usize, usize)> {
    let serves = || line.words.iter().any(|word| OF_AGENTS.contains(&word.plain.as_str()));
    let greets = GREETINGS.contains(&line.plain(at));
    let misheard = at == 0 && !NO_NAMES.contains(&line.plain(at));
    if !(greets || misheard) || serves() {
        return None;
    }
    let phrases: &[&str] = if greets { &["this is", "it's", "i am", "i'm"] } else { &["this is"] };
    let length = phrases.iter().find_map(|p| length_at(&line.words, at + 1, p))?;
    let first = at + 1 + length;
    let last = name_from(line, first).filter(|last| *last > first)?;
    (!ORGANISATIONS.contains(&bare(line.plain(last)))).then_some((first, last))
}

/// Most words of an answer that is a name in small letters.
const LONGEST_ANSWER: usize = 3;

/// The name from word `first` to the line's end, where nothing in the line has a capital: some recognisers write none.
fn lower_case_name(line: &Line, first: usize) -> Option<usize> {
    let rest = line.words.get(first..)?;
    let is_name = |word: &super::Written| {
        word.plain.chars().count() >= 2
            && word.plain.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '-')
            && !NO_NAMES.contains(&word.plain.as_str())
    };
    let small = line.words.iter().all(|w| !w.capital);
    (small && rest.len() <= LONGEST_ANSWER && rest.iter().all(is_name)).then(|| line.words.len() - 1)
}

fn bare(word: &str) -> &str {
    word.strip_suffix("'s").unwrap_or(word)
}

/// Last word of the name that begins at word `first`: words with a capital up to a stop or comma.
fn name_from(line: &Line, first: usize) -> Option<usize> {
    let mut last = None;
    for at in first..(first + LONGEST_NAME).min(line.words.len()) {
        let word = &line.words[at];
        let letters = word.plain.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '-');
        if !word.capital
            || !letters
            || NO_NAMES.contains(&word.plain.as_str())
            || (word.plain.len() > 6 && word.plain.ends_with("ly"))
            || word.plain.chars().count() < 2
        {
            break;
        }
        last = Some(at);
        if word.stop || word.raw.ends_with(',') {
            break;
        }
    }
    last
}
