//! Patterns of words: how phrases in the lexicon files are written, and how they are found.

use super::text::{Token, TokenKind};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most words that `*` passes over.
const MAX_GAP: usize = 3;

/// One way in which a word may match.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Alternative {
    Word(String),
    Prefix(String),
    Number,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Words { words: HashSet<String>, prefixes: Vec<String>, number: bool, optional: bool },
    Gap,
    Start,
    End,
}

/// One phrase with its score.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    elements: Vec<Element>,
    score: f64,
    source: String,
}

/// Phrases that can be looked up at a place in a text.
#[derive(Debug, Default)]
pub(super) struct PhraseBook {
    patterns: Vec<Pattern>,
    by_first_word: HashMap<String, Vec<usize>>,
    anywhere: Vec<usize>,
}

/// A phrase found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Match<'a> {
    /// Number of words covered, at least 1.
    pub(super) words: usize,
    /// Score of the phrase.
    pub(super) score: f64,
    /// The phrase as the lexicon has it.
    pub(super) source: &'a str,
}

impl PhraseBook {
    /// Compiles one pattern and adds it.
    pub(super) fn add(
        &mut self,
        source: &str,
        score: f64,
        classes: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let elements =
            source.split_whitespace().map(|item| element(item, classes)).collect::<Result<Vec<_>, _>>()?;
        let required = |e: &Element| matches!(e, Element::Words { optional: false, .. });
        if !elements.iter().any(required) {
            return Err(format!("the phrase {source:?} has no word that must be there"));
        }
        let position = self.patterns.len();
        for element in &elements {
            match element {
                Element::Start => {}
                Element::Words { words, prefixes, number, optional } => {
                    if !prefixes.is_empty() || *number {
                        self.anywhere.push(position);
                        break;
                    }
                    for word in words {
                        self.by_first_word.entry(word.clone()).or_default().push(position);
                    }
                    if !optional {
                        break;
                    }
                }
                Element::Gap | Element::End => {
                    return Err(format!(
                        "the phrase {source:?} begins with an element that matches anything"
                    ));
                }
            }
        }
        self.patterns.push(Pattern { elements, score, source: source.to_owned() });
        Ok(())
    }

    /// Whether some phrase spells this word.
    pub(super) fn may_begin_with(&self, word: &str) -> bool {
        self.by_first_word.contains_key(word)
    }

    /// The longest phrase that begins at `at`; of equally long ones the one with the greater weight.
    pub(super) fn longest(&self, tokens: &[Token], at: usize) -> Option<Match<'_>> {
        let indexed = self.by_first_word.get(&tokens[at].text).into_iter().flatten();
        let mut best: Option<Match<'_>> = None;
        for position in indexed.chain(&self.anywhere) {
            let pattern = &self.patterns[*position];
            let Some(end) = match_from(&pattern.elements, tokens, at, at) else { continue };
            let found = Match { words: end - at, score: pattern.score, source: &pattern.source };
            let better =
                best.is_none_or(|known| (found.words, found.score.abs()) > (known.words, known.score.abs()));
            if found.words > 0 && better {
                best = Some(found);
            }
        }
        best
    }
}

fn element(item: &str, classes: &BTreeMap<String, String>) -> Result<Element, String> {
    match item {
        "*" => return Ok(Element::Gap),
        "^" => return Ok(Element::Start),
        "$" => return Ok(Element::End),
        _ => {}
    }
    let optional = item.starts_with('?');
    let (mut words, mut prefixes, mut number) = (HashSet::new(), Vec::new(), false);
    let mut take = |alternative: Alternative| match alternative {
        Alternative::Word(word) => {
            words.insert(word);
        }
        Alternative::Prefix(prefix) => prefixes.push(prefix),
        Alternative::Number => number = true,
    };
    for part in item.trim_start_matches('?').split('|') {
        match part.strip_prefix('@') {
            Some(class) => {
                let text = classes.get(class).ok_or_else(|| format!("there is no class @{class}"))?;
                text.split_whitespace().map(alternative).for_each(&mut take);
            }
            None => take(alternative(part)),
        }
    }
    Ok(Element::Words { words, prefixes, number, optional })
}

fn alternative(part: &str) -> Alternative {
    match part.strip_suffix('~') {
        Some(prefix) => Alternative::Prefix(prefix.to_owned()),
        None if part == "#" => Alternative::Number,
        None => Alternative::Word(part.to_owned()),
    }
}

/// End of the longest match of `elements` from `at`, all in the sentence of the word at `first`.
fn match_from(elements: &[Element], tokens: &[Token], first: usize, at: usize) -> Option<usize> {
    let Some((element, rest)) = elements.split_first() else { return Some(at) };
    let sentence = tokens[first].sentence;
    let here = tokens.get(at).filter(|token| token.sentence == sentence);
    match element {
        Element::Start => {
            let is_start = at == 0 || tokens[at - 1].sentence != sentence;
            is_start.then(|| match_from(rest, tokens, first, at)).flatten()
        }
        Element::End => here.is_none().then(|| match_from(rest, tokens, first, at)).flatten(),
        Element::Gap => {
            let reach = tokens[at.min(tokens.len())..]
                .iter()
                .take(MAX_GAP)
                .take_while(|t| t.sentence == sentence)
                .count();
            (0..=reach).filter_map(|skip| match_from(rest, tokens, first, at + skip)).max()
        }
        Element::Words { words, prefixes, number, optional } => {
            let matches = here.is_some_and(|token| {
                words.contains(&token.text)
                    || (*number && token.kind == TokenKind::Number)
                    || prefixes.iter().any(|prefix| token.text.starts_with(prefix.as_str()))
            });
            let with = matches.then(|| match_from(rest, tokens, first, at + 1)).flatten();
            let without = optional.then(|| match_from(rest, tokens, first, at)).flatten();
            with.max(without)
        }
    }
}
