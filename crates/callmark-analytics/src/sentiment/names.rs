//! Names of places, companies, products and people that are no personal data, and whose words ("Pleasant Street", "Best Buy",
//! "I spoke with Hope") say nothing of how somebody feels.
//!
//! Capitals alone tell little: people also write them for emphasis. A name is what stands with capitals where names
//! stand, in a text that is otherwise written in small letters.

use super::lexicon::Lexicons;
use std::borrow::Cow;

/// Most words of a name before the kind of place.
const NAME_WORDS: usize = 3;

/// So many capitals are names even in a short text.
const FEW_CAPITALS: usize = 2;

/// Before a street, a place, a company: "at Best Buy".
const BEFORE_PLACES: &[&str] = &[
    "at", "in", "on", "to", "from", "near", "of", "off", "by", "via", "through", "outside", "past", "behind",
];
/// May stand between that and the name, and before the name of a product: "the Super Saver plan".
const ARTICLES: &[&str] = &["the", "a", "an", "my", "your", "our"];
/// Behind these and "to", "with" or "by" stands who somebody dealt with.
const DEALT: &[&str] = &[
    "spoke",
    "speak",
    "speaking",
    "spoken",
    "talk",
    "talked",
    "talking",
    "chat",
    "chatted",
    "chatting",
    "dealt",
    "dealing",
    "helped",
    "served",
    "transferred",
    "connected",
];
/// Behind these stands what somebody is called.
const CALLED: &[&str] = &["named", "called"];
/// Behind these and "was", "is" too.
const PERSONS: &[&str] = &[
    "agent",
    "representative",
    "rep",
    "advisor",
    "adviser",
    "colleague",
    "assistant",
    "lady",
    "man",
    "woman",
    "guy",
    "person",
    "operator",
    "technician",
    "name",
];

/// The written words of a text.
struct Words<'t> {
    raw: Vec<&'t str>,
    /// Lower case, without punctuation around them.
    plain: Vec<String>,
}

impl Words<'_> {
    fn plain(&self, at: usize) -> &str {
        self.plain.get(at).map_or("", String::as_str)
    }

    /// Whether word `at` begins with a capital and goes on in small letters.
    fn capital(&self, at: usize) -> bool {
        let mut letters =
            self.raw.get(at).into_iter().flat_map(|raw| raw.chars().filter(|c| c.is_alphabetic()));
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
    }

    /// Whether a sentence begins with word `at`.
    fn begins(&self, at: usize) -> bool {
        at == 0 || self.raw[at - 1].ends_with(['.', '!', '?', ':', ';', '…', '"', '-'])
    }

    /// Whether something ends with word `at`, so that no name goes on behind it.
    fn stops(&self, at: usize) -> bool {
        self.raw[at].ends_with(|c: char| c.is_ascii_punctuation() && c != '\'')
    }

    fn is_one_of(&self, at: Option<usize>, list: &[&str]) -> bool {
        at.is_some_and(|at| list.contains(&self.plain(at)))
    }

    /// Whether small letters are the rule, so that capitals mean something.
    fn is_written_small(&self) -> bool {
        let inside = || (0..self.raw.len()).filter(|at| !self.begins(*at) && self.plain(*at) != "i");
        let small = inside().filter(|at| self.raw[*at].chars().all(|c| !c.is_uppercase())).count();
        let capitals = inside().count() - small;
        capitals <= small.max(FEW_CAPITALS)
    }
}

/// `text` without the words of names; their punctuation stays.
pub(super) fn without_names<'t>(lexicons: &Lexicons, text: &'t str) -> Cow<'t, str> {
    let raw: Vec<&str> = text.split_whitespace().collect();
    let bare = |word: &&str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words = Words { plain: raw.iter().map(bare).collect(), raw };
    let mut hidden = vec![false; words.raw.len()];
    let small = words.is_written_small();
    for at in 0..words.raw.len() {
        if let Some(first) = street(lexicons, &words, at) {
            hidden[first..at].fill(true);
        } else if small && let Some(end) = capitals(lexicons, &words, at) {
            hidden[at..end].fill(true);
        } else if small && words.capital(at) && is_person(lexicons, &words, at) {
            hidden[at] = true;
        }
    }
    if !hidden.contains(&true) {
        return Cow::Borrowed(text);
    }
    let kept = |(word, is_hidden): (&&str, &bool)| -> String {
        let punctuation = |c: &char| c.is_ascii_punctuation();
        if *is_hidden { word.chars().filter(punctuation).collect() } else { (*word).to_owned() }
    };
    Cow::Owned(words.raw.iter().zip(&hidden).map(kept).collect::<Vec<_>>().join(" "))
}

/// First word of the name of the street or place whose kind is word `at`.
fn street(lexicons: &Lexicons, words: &Words<'_>, at: usize) -> Option<usize> {
    let names = &lexicons.names;
    let is_street = names.streets.contains(words.plain(at));
    if !is_street && !names.places.contains(words.plain(at)) {
        return None;
    }
    let behind =
        |first: usize| first < at && !words.stops(first) && !names.common.contains(words.plain(first));
    let mut first = at;
    while words.capital(at)
        && first > 0
        && at - first < NAME_WORDS
        && words.capital(first - 1)
        && behind(first - 1)
    {
        first -= 1;
    }
    let before = |first: usize| {
        let number = first > 0 && words.plain(first - 1).starts_with(|c: char| c.is_ascii_digit());
        number || words.is_one_of(first.checked_sub(1), BEFORE_PLACES)
    };
    // In small letters the word before it must be where places stand: "on joy road", and not "a lovely road".
    if first == at && is_street {
        let small = (1..=2).filter_map(|length| at.checked_sub(length));
        first =
            small.into_iter().find(|first| behind(*first) && before(*first) && !is_article(words, *first))?;
    }
    (first < at).then_some(first)
}

fn is_article(words: &Words<'_>, at: usize) -> bool {
    ARTICLES.contains(&words.plain(at))
        || matches!(words.plain(at), "this" | "that" | "which" | "every" | "each")
}

/// End of a run of two or more words with capitals that begins with word `at`, where a name may stand.
fn capitals(lexicons: &Lexicons, words: &Words<'_>, at: usize) -> Option<usize> {
    let is_part = |at: usize| words.capital(at) && !lexicons.names.common.contains(words.plain(at));
    let before = at.checked_sub(1)?;
    if words.begins(at)
        || words.stops(before)
        || !is_part(at)
        || (words.capital(before) && !words.begins(before))
    {
        return None;
    }
    if !words.is_one_of(Some(before), BEFORE_PLACES) && !words.is_one_of(Some(before), ARTICLES) {
        return None;
    }
    let mut end = at + 1;
    while end < words.raw.len() && words.capital(end) && !words.stops(end - 1) {
        end += 1;
    }
    (end >= at + 2 && (at..end).all(is_part)).then_some(end)
}

/// Whether word `at`, which has a capital, is whom somebody dealt with.
fn is_person(lexicons: &Lexicons, words: &Words<'_>, at: usize) -> bool {
    let Some(before) = at.checked_sub(1).filter(|before| !words.stops(*before)) else { return false };
    let further = before.checked_sub(1);
    let dealt = matches!(words.plain(before), "to" | "with" | "by") && words.is_one_of(further, DEALT);
    let was = matches!(words.plain(before), "was" | "is") && words.is_one_of(further, PERSONS);
    let called = words.is_one_of(Some(before), CALLED);
    (dealt || was || called) && !lexicons.names.common.contains(words.plain(at))
}
