//! The phantom phrases: a data file of what recognisers write where nobody speaks.

use std::sync::LazyLock;

/// How a phantom phrase relates to what people say on calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhantomKind {
    /// Nobody says it on a call.
    Never,
    /// People say it; the sound decides.
    Weak,
}

struct Phantom {
    kind: PhantomKind,
    words: String,
    is_prefix: bool,
}

static PHANTOMS: LazyLock<Vec<Phantom>> =
    LazyLock::new(|| parse(include_str!("../data/phantom_phrases.txt")));

fn parse(file: &str) -> Vec<Phantom> {
    file.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(kind, phrase)| Phantom {
            kind: if kind == "never" { PhantomKind::Never } else { PhantomKind::Weak },
            words: phrase.trim_end_matches('*').to_owned(),
            is_prefix: phrase.ends_with('*'),
        })
        .collect()
}

/// Lower case, letters, digits and single spaces only.
pub(crate) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let before = out.len();
        if !out.is_empty() {
            out.push(' ');
        }
        let start = out.len();
        out.extend(word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase));
        if out.len() == start {
            out.truncate(before);
        }
    }
    out
}

/// The kind of phantom that `text` as a whole is, if it is one. Text without a letter or digit is one.
pub(crate) fn phantom_kind(text: &str) -> Option<PhantomKind> {
    let words = normalise(text);
    if words.is_empty() {
        return Some(PhantomKind::Never);
    }
    PHANTOMS
        .iter()
        .find(|phantom| {
            words == phantom.words
                || (phantom.is_prefix
                    && words.strip_prefix(&phantom.words).is_some_and(|rest| rest.starts_with(' ')))
        })
        .map(|phantom| phantom.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_file_is_a_comment_or_a_normalised_phrase_of_a_known_kind() {
        for line in include_str!("../data/phantom_phrases.txt").lines() {
            if line.starts_with('#') {
                continue;
            }
            let (kind, phrase) = line.split_once('\t').expect("a tab");
            assert!(kind == "never" || kind == "weak", "{line}");
            let words = phrase.trim_end_matches('*');
            assert_eq!(normalise(words), words, "{line}");
        }
    }

    #[test]
    fn a_phrase_matches_whole_whatever_its_case_and_punctuation() {
        assert_eq!(phantom_kind("Thanks for watching!"), Some(PhantomKind::Never));
        assert_eq!(phantom_kind("[MUSIC]"), Some(PhantomKind::Never));
        assert_eq!(phantom_kind("Subtitles by the community"), Some(PhantomKind::Never));
        assert_eq!(phantom_kind(" Thank you."), Some(PhantomKind::Weak));
        assert_eq!(phantom_kind("..."), Some(PhantomKind::Never));
        assert_eq!(phantom_kind("Thank you for your patience."), None);
        assert_eq!(phantom_kind("copyrighted material"), None);
    }
}
