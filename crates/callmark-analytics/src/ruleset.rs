//! The rules in force: what they make of a sentence.
//!
//! A rule is data, so that who knows the calls can change what counts as a finding without a programmer. Whatever
//! a rule file gets wrong is refused with the place and the remedy, because a rule that silently never fires looks
//! like a call center without problems.

mod load;

use crate::categories::Category;
use crate::head::Head;
use crate::sentiment::{self, Lexicons};
use crate::signal::Signal;
use crate::text::Sentence;
use callmark_types::{SentenceEncoder, Speaker};
use load::Loader;
use regex::bytes::{Regex, RegexSet};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// From this length on, two wrong letters are forgiven.
const LONG_WORD: usize = 12;

/// The rule texts that ship with Callmark.
const BUILT_IN: &[(&str, &str)] = &[
    ("rules/human_request.toml", include_str!("../../../pipelines/rules/human_request.toml")),
    ("rules/offers_and_handoffs.toml", include_str!("../../../pipelines/rules/offers_and_handoffs.toml")),
    ("rules/disclosure.toml", include_str!("../../../pipelines/rules/disclosure.toml")),
    ("rules/resolution.toml", include_str!("../../../pipelines/rules/resolution.toml")),
    ("rules/repeat_contact.toml", include_str!("../../../pipelines/rules/repeat_contact.toml")),
    ("rules/roles.toml", include_str!("../../../pipelines/rules/roles.toml")),
    (HUMAN_REQUEST_HEAD, include_str!("../../../models/heads/human_request.toml")),
];

/// The trained layer for requests for a person.
const HUMAN_REQUEST_HEAD: &str = "heads/human_request.toml";

/// Why a rule file or lexicon was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct RuleError {
    /// Name of the file as given by the caller.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Whose words a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Customer,
    Agent,
    Any,
}

impl Side {
    /// Whether a rule of this side looks at words of `speaker`; nobody known is looked at by every rule.
    pub(crate) fn looks_at(self, speaker: Option<Speaker>) -> bool {
        match (self, speaker) {
            (Self::Any, _) | (_, None | Some(Speaker::Unknown)) => true,
            (Self::Customer, Some(s)) => s == Speaker::Customer,
            (Self::Agent, Some(s)) => s.is_agent_side(),
        }
    }
}

/// One rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) version: String,
    /// The file that it stands in.
    pub(crate) file: String,
    pub(crate) signal: Signal,
    pub(crate) side: Side,
    pub(crate) detail: Option<String>,
    pub(crate) confidence: f64,
    /// Fires on questions only, or never on questions.
    question: Option<bool>,
    unless: Vec<Regex>,
    unless_before: Vec<Regex>,
    /// Texts with the answer expected of this rule.
    pub(crate) cases: Vec<(String, bool)>,
}

/// Key words whose near misses are put right before rules look, so that a typing or recognition error does not
/// hide a request.
#[derive(Debug, Default)]
pub(crate) struct Spelling {
    correct: Vec<String>,
    keep: Vec<String>,
    replace: BTreeMap<String, String>,
}

impl Spelling {
    /// The key word that `token` misspells by one letter, or the token itself.
    pub(crate) fn corrected<'a>(&'a self, token: &'a str) -> &'a str {
        if let Some(right) = self.replace.get(token) {
            return right;
        }
        if token.len() < 4 || self.correct.iter().any(|w| w == token) || self.keep.iter().any(|w| w == token)
        {
            return token;
        }
        let near = |word: &&String| {
            let errors = if word.len() >= LONG_WORD { 2 } else { 1 };
            word.len().abs_diff(token.len()) <= errors
                && word.as_bytes()[0] == token.as_bytes()[0]
                && strsim::osa_distance(word, token) <= errors
        };
        self.correct.iter().find(near).map_or(token, String::as_str)
    }
}

/// A place in a sentence where a rule fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    /// Index of the rule.
    pub(crate) rule: usize,
    /// First byte in the sentence's text.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
}

/// What the rules make of a sentence.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Where rules fire, one place a rule, in the order of the rules.
    pub(crate) found: Vec<Match>,
    /// Rules of which a pattern matched and a guard (`unless`, `unless_before`) held it back.
    pub(crate) held_back: Vec<usize>,
}

/// Rules, lexicons and trained heads, checked and compiled.
#[derive(Debug)]
pub struct Ruleset {
    pub(crate) lexicons: Lexicons,
    pub(crate) rules: Vec<Rule>,
    pub(crate) spelling: Spelling,
    set: RegexSet,
    /// Each pattern of the set with its rule.
    patterns: Vec<(Regex, usize)>,
    sha256: String,
    pub(crate) categories: Vec<(String, Category)>,
    /// The files whose text does not ship with Callmark.
    own_files: BTreeSet<String>,
    head: Head,
    encoder: Option<Arc<dyn SentenceEncoder>>,
}

impl Ruleset {
    /// The rules and lexicons that ship with Callmark.
    pub fn built_in() -> Self {
        Self::from_sources(&[]).expect("the built-in rules are valid: a test loads them")
    }

    /// Whether a text of that name ships with Callmark, so that another of the name takes its place.
    pub fn is_built_in(name: &str) -> bool {
        BUILT_IN.iter().chain(sentiment::BUILT_IN).any(|(built_in, _)| *built_in == name)
    }

    /// Rules and lexicons from texts by file name (`rules/human_request.toml`, `lexicons/service.toml`). A name that
    /// is built in replaces the built-in text; other `rules/` files are added; built-in texts not named stay.
    pub fn from_sources(sources: &[(&str, &str)]) -> Result<Self, RuleError> {
        let mut texts: BTreeMap<&str, &str> = BUILT_IN.iter().chain(sentiment::BUILT_IN).copied().collect();
        for (name, text) in sources {
            if !["rules/", "lexicons/", "heads/"].iter().any(|folder| name.starts_with(folder)) {
                let reason = "name must begin with rules/, lexicons/ or heads/".to_owned();
                return Err(RuleError { file: (*name).to_owned(), reason });
            }
            texts.insert(name, text);
        }
        let own = texts.iter().filter(|(name, text)| !BUILT_IN.contains(&(**name, **text)));
        let own_files = own.map(|(name, _)| (*name).to_owned()).collect();
        let mut digest = Sha256::new();
        let mut loader = Loader::default();
        let mut lexicons = Vec::new();
        for (name, text) in &texts {
            for part in [name, text] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part.as_bytes());
            }
            if name.starts_with("rules/") {
                loader.add_file(name, text)?;
            } else if name.starts_with("lexicons/") {
                lexicons.push((*name, *text));
            }
        }
        let sha256 = digest.finalize().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        loader.check_orders()?;
        let set = loader.compile_set()?;
        let head = Head::from_toml(texts[HUMAN_REQUEST_HEAD])
            .map_err(|reason| RuleError { file: HUMAN_REQUEST_HEAD.to_owned(), reason })?;
        Ok(Self {
            lexicons: Lexicons::from_sources(&lexicons)?,
            rules: loader.rules,
            spelling: loader.spelling,
            set,
            patterns: loader.patterns.into_iter().map(|(_, regex, rule)| (regex, rule)).collect(),
            sha256,
            categories: loader.categories,
            own_files,
            head,
            encoder: None,
        })
    }

    /// The same with a sentence model: its heads and the semantic conditions of rules count from here on.
    ///
    /// # Errors
    /// Where a head was trained on another model's vectors.
    pub fn with_encoder(mut self, encoder: Arc<dyn SentenceEncoder>) -> Result<Self, RuleError> {
        if self.head.model_sha256 != encoder.sha256() {
            let reason = format!(
                "it was trained on the sentence model {}, not on {}; train it again or use that model",
                self.head.model_sha256,
                encoder.sha256()
            );
            return Err(RuleError { file: HUMAN_REQUEST_HEAD.to_owned(), reason });
        }
        for (_, category) in self.categories.iter_mut().filter(|(_, c)| c.needs_model()) {
            category.learn_vectors(encoder.as_ref(), &self.spelling);
        }
        self.encoder = Some(encoder);
        Ok(self)
    }

    /// The category that needs a sentence model and has none, by id.
    pub fn lacks_model(&self) -> Option<&str> {
        let needing = self.categories.iter().find(|(_, c)| c.needs_model()).map(|(_, c)| c.id.as_str());
        needing.filter(|_| self.encoder.is_none())
    }

    /// The sentence model, where there is one.
    pub(crate) fn encoder(&self) -> Option<&dyn SentenceEncoder> {
        self.encoder.as_deref()
    }

    /// SHA-256 of the sentence model's weights, hex; `None` where scoring does without one.
    pub fn text_model_sha256(&self) -> Option<&str> {
        self.encoder.as_deref().map(SentenceEncoder::sha256)
    }

    /// Whether a rule stands in a text that ships with Callmark, and so is meant for English.
    pub(crate) fn ships(&self, rule: usize) -> bool {
        !self.own_files.contains(&self.rules[rule].file)
    }

    /// Name and version of a rule; of the head where no rule fired.
    pub(crate) fn identity(&self, rule: Option<usize>) -> (&str, &str) {
        rule.map_or((&self.head.id, &self.head.version), |index| {
            (&self.rules[index].id, &self.rules[index].version)
        })
    }

    /// The head for requests with the model that it needs, where there is one.
    pub(crate) fn trained(&self) -> Option<(&Head, &dyn SentenceEncoder)> {
        Some((&self.head, self.encoder.as_deref()?))
    }

    /// SHA-256 of all rule and lexicon texts, hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Every place in `sentence` where a rule for `speaker` fires, and what was held back.
    pub(crate) fn look(&self, sentence: &Sentence, speaker: Option<Speaker>) -> Look {
        let bytes = sentence.text.as_bytes();
        let mut look = Look::default();
        for pattern in self.set.matches(bytes) {
            let (regex, rule_index) = &self.patterns[pattern];
            let rule = &self.rules[*rule_index];
            let known = look.found.iter().any(|m| m.rule == *rule_index);
            if known || !rule.side.looks_at(speaker) || rule.question.is_some_and(|q| q != sentence.question)
            {
                continue;
            }
            let held = |m: &regex::bytes::Match<'_>| {
                !rule.unless_before.iter().any(|guard| guard.is_match(&bytes[..m.start()]))
            };
            let is_guarded = rule.unless.iter().any(|guard| guard.is_match(bytes));
            match regex.find_iter(bytes).find(held).filter(|_| !is_guarded) {
                Some(m) => look.found.push(Match { rule: *rule_index, start: m.start(), end: m.end() }),
                None => look.held_back.push(*rule_index),
            }
        }
        look.found.sort_by_key(|m| m.rule);
        // A rule that another of its patterns made fire was not held back, and of one that was it is enough to know once.
        look.held_back.retain(|rule| !look.found.iter().any(|m| m.rule == *rule));
        look.held_back.sort_unstable();
        look.held_back.dedup();
        look
    }
}

#[cfg(test)]
mod tests;
