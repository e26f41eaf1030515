//! The sentiment lexicons: their file format, their checks, and look-up of words.

use super::pattern::PhraseBook;
use super::text::{Text, cut};
use crate::RuleError;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Greatest score of any entry.
const MAX_SCORE: f64 = 5.0;
/// Shortest word looked for inside a hash tag.
const MIN_WORD_IN_HASHTAG: usize = 4;

/// Lexicons, checked and compiled.
#[derive(Debug, Default)]
pub(crate) struct Lexicons {
    words: HashMap<String, f64>,
    /// What customers say.
    pub(super) phrases: PhraseBook,
    /// How agents sound.
    pub(super) agent_tone: PhraseBook,
    /// What agents' words mean for the customer.
    pub(super) agent_news: PhraseBook,
    /// Agents' words that answer a trouble.
    pub(super) agent_sympathy: PhraseBook,
    pub(super) modifiers: Modifiers,
    pub(super) names: Names,
}

/// What tells names from words that mean something.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) streets: HashSet<String>,
    pub(super) places: HashSet<String>,
    pub(super) common: HashSet<String>,
}

/// Words that change the weight of others.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    pub(super) negators: HashSet<String>,
    pub(super) intensifiers: HashSet<String>,
    pub(super) diminishers: HashSet<String>,
    pub(super) contrasts: HashSet<String>,
    pub(super) hypotheticals: HashSet<String>,
    pub(super) mockable: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum LexiconFile {
    Words(WordsFile),
    Phrases(PhrasesFile),
    AgentTone(PhrasesFile),
    AgentNews(PhrasesFile),
    AgentSympathy(PhrasesFile),
    Modifiers(ModifiersFile),
    Names(NamesFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    score: f64,
    list: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordsFile {
    #[serde(rename = "version")]
    _version: String,
    words: Vec<Entries>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhrasesFile {
    #[serde(rename = "version")]
    _version: String,
    #[serde(default)]
    classes: BTreeMap<String, String>,
    phrases: Vec<Entries>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModifiersFile {
    #[serde(rename = "version")]
    _version: String,
    negators: String,
    intensifiers: String,
    diminishers: String,
    contrasts: String,
    hypotheticals: String,
    mockable: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamesFile {
    #[serde(rename = "version")]
    _version: String,
    streets: String,
    places: String,
    common: String,
}

impl Lexicons {
    /// From texts whose names begin with `lexicons/sentiment`; other names are none of sentiment's and left alone.
    pub(crate) fn from_sources(sources: &[(&str, &str)]) -> Result<Self, RuleError> {
        let mut lexicons = Self::default();
        for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("lexicons/sentiment")) {
            lexicons.add(text).map_err(|reason| RuleError { file: (*file).to_owned(), reason })?;
        }
        Ok(lexicons)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let file: LexiconFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let set = |words: &str| words.split_whitespace().map(str::to_owned).collect();
        match file {
            LexiconFile::Words(file) => self.add_words(&file.words),
            LexiconFile::Phrases(file) => add_phrases(&mut self.phrases, &file),
            LexiconFile::AgentTone(file) => add_phrases(&mut self.agent_tone, &file),
            LexiconFile::AgentNews(file) => add_phrases(&mut self.agent_news, &file),
            LexiconFile::AgentSympathy(file) => add_phrases(&mut self.agent_sympathy, &file),
            LexiconFile::Modifiers(file) => {
                self.modifiers = Modifiers {
                    negators: set(&file.negators),
                    intensifiers: set(&file.intensifiers),
                    diminishers: set(&file.diminishers),
                    contrasts: set(&file.contrasts),
                    hypotheticals: set(&file.hypotheticals),
                    mockable: set(&file.mockable),
                };
                Ok(())
            }
            LexiconFile::Names(file) => {
                self.names = Names {
                    streets: set(&file.streets),
                    places: set(&file.places),
                    common: set(&file.common),
                };
                Ok(())
            }
        }
    }

    fn add_words(&mut self, groups: &[Entries]) -> Result<(), String> {
        for group in groups {
            check_score(group.score)?;
            for word in group.list.split_whitespace() {
                if self.words.insert(word.to_owned(), group.score).is_some() {
                    return Err(format!("the word {word:?} stands there twice; leave one"));
                }
            }
        }
        Ok(())
    }

    /// Cuts a text into words as these lexicons spell them.
    pub(super) fn cut(&self, text: &str) -> Text {
        cut(text, |word| self.word(word).is_some() || self.phrases.may_begin_with(word))
    }

    /// Score of a word by itself, endings taken off where needed.
    pub(super) fn word(&self, word: &str) -> Option<f64> {
        if let Some(score) = self.words.get(word) {
            return Some(*score);
        }
        let stems = |ending: &'static str, put_back: &'static str| {
            word.strip_suffix(ending).filter(|stem| stem.len() >= 3).map(|stem| format!("{stem}{put_back}"))
        };
        [("s", ""), ("es", ""), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"), ("ly", "")]
            .into_iter()
            .filter_map(|(ending, put_back)| stems(ending, put_back))
            .find_map(|stem| self.words.get(&stem).copied())
    }

    /// Score of the weightiest word at either end of a hash tag (`#bagfail`).
    pub(super) fn hashtag(&self, tag: &str) -> Option<f64> {
        let cuts = tag.char_indices().map(|(at, _)| at).skip(1);
        let ends =
            cuts.flat_map(|at| [&tag[..at], &tag[at..]]).filter(|part| part.len() >= MIN_WORD_IN_HASHTAG);
        ends.filter_map(|part| self.words.get(part).copied()).max_by(|a, b| a.abs().total_cmp(&b.abs()))
    }
}

fn add_phrases(book: &mut PhraseBook, file: &PhrasesFile) -> Result<(), String> {
    for group in &file.phrases {
        check_score(group.score)?;
        for pattern in group.list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            book.add(pattern, group.score, &file.classes)?;
        }
    }
    Ok(())
}

fn check_score(score: f64) -> Result<(), String> {
    if score.abs() <= MAX_SCORE { Ok(()) } else { Err(format!("the score {score} lies outside -5 to 5")) }
}
