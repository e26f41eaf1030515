//! Rule files: read, checked, compiled.
//!
//! A rule is data, so that who knows the calls can change what counts as a finding without a programmer. Whatever
//! a rule file gets wrong is refused with the place and the remedy, because a rule that silently never fires looks
//! like a call center without problems.

use crate::categories::{self, Category};
use crate::head::Head;
use crate::sentiment::{self, Lexicons};
use crate::signal::Signal;
use crate::text::Sentence;
use callmark_types::{EventKind, SentenceEncoder, Speaker};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest compiled size of all patterns together, in bytes.
const MAX_COMPILED_BYTES: usize = 256 << 20;
/// From this length on, two wrong letters are forgiven.
const LONG_WORD: usize = 12;
/// Largest nesting of fragments in fragments.
const MAX_FRAGMENT_DEPTH: usize = 8;
/// Longest pattern after fragments are put in, in bytes.
const MAX_PATTERN_BYTES: usize = 64 << 10;

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
    head: Head,
    encoder: Option<Arc<dyn SentenceEncoder>>,
}

impl Ruleset {
    /// The rules and lexicons that ship with Callmark.
    pub fn built_in() -> Self {
        Self::from_sources(&[]).expect("the built-in rules are valid: a test loads them")
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
        look
    }
}

#[derive(Default)]
struct Loader {
    rules: Vec<Rule>,
    spelling: Spelling,
    /// Pattern text, compiled pattern, rule.
    patterns: Vec<(String, Regex, usize)>,
    /// With the file that each stands in.
    categories: Vec<(String, Category)>,
}

const FILE_KEYS: &[&str] = &["version", "about", "fragments", "spelling", "rule", "category"];
const SPELLING_KEYS: &[&str] = &["correct", "keep", "replace"];
const CASE_KEYS: &[&str] = &["text", "expect"];
const RULE_KEYS: &[&str] = &[
    "id",
    "version",
    "finds",
    "side",
    "detail",
    "confidence",
    "question",
    "patterns",
    "unless",
    "unless_before",
    "cases",
];

impl Loader {
    /// What `after` and `before` name must be there: a type of event, a rule, or a category that is found earlier.
    fn check_orders(&self) -> Result<(), RuleError> {
        let mut names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        names.extend(self.rules.iter().map(|rule| rule.id.as_str()));
        for (file, category) in &self.categories {
            if let Some(unknown) = category.named().find(|name| !names.contains(name)) {
                let reason = format!(
                    "category {:?}: {unknown:?} is no type of event, no rule and no category before this one; {}",
                    category.id,
                    nearest(unknown, &names)
                );
                return Err(RuleError { file: file.clone(), reason });
            }
            names.push(&category.id);
        }
        Ok(())
    }

    fn compile_set(&self) -> Result<RegexSet, RuleError> {
        RegexSetBuilder::new(self.patterns.iter().map(|(text, _, _)| text))
            .unicode(false)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|e| RuleError {
                file: "rules/".to_owned(),
                reason: format!("patterns do not fit together: {e}"),
            })
    }

    fn add_file(&mut self, name: &str, text: &str) -> Result<(), RuleError> {
        let fail = |reason: String| RuleError { file: name.to_owned(), reason };
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| fail(e.to_string().trim().to_owned()))?;
        check_keys(&table, FILE_KEYS, "file").map_err(fail)?;
        let mut fragments = BTreeMap::new();
        if let Some(value) = table.get("fragments") {
            let entries =
                value.as_table().ok_or_else(|| fail("[fragments] must be a table of texts".to_owned()))?;
            for (key, value) in entries {
                let text = value.as_str().ok_or_else(|| fail(format!("fragment {key} must be a text")))?;
                fragments.insert(key.as_str(), text);
            }
        }
        if let Some(value) = table.get("spelling") {
            self.add_spelling(value).map_err(fail)?;
        }
        let none = Vec::new();
        let rules = match table.get("rule") {
            None => &none,
            Some(value) => value.as_array().ok_or_else(|| fail("write rules as [[rule]]".to_owned()))?,
        };
        for (position, value) in rules.iter().enumerate() {
            let table = value.as_table().ok_or_else(|| fail("write rules as [[rule]]".to_owned()))?;
            let label = table
                .get("id")
                .and_then(toml::Value::as_str)
                .map_or_else(|| format!("rule number {}", position + 1), |id| format!("rule {id:?}"));
            self.add_rule(name, table, &fragments).map_err(|reason| fail(format!("{label}: {reason}")))?;
        }
        let categories = match table.get("category") {
            None => &none,
            Some(value) => {
                value.as_array().ok_or_else(|| fail("write categories as [[category]]".to_owned()))?
            }
        };
        for (position, value) in categories.iter().enumerate() {
            let table =
                value.as_table().ok_or_else(|| fail("write categories as [[category]]".to_owned()))?;
            let label = table
                .get("id")
                .and_then(toml::Value::as_str)
                .map_or_else(|| format!("category number {}", position + 1), |id| format!("category {id:?}"));
            self.add_category(name, table, &fragments)
                .map_err(|reason| fail(format!("{label}: {reason}")))?;
        }
        Ok(())
    }

    fn add_spelling(&mut self, value: &toml::Value) -> Result<(), String> {
        let table = value.as_table().ok_or("[spelling] must be a table")?;
        check_keys(table, SPELLING_KEYS, "[spelling]")?;
        self.spelling.correct.extend(texts(table, "correct")?);
        self.spelling.keep.extend(texts(table, "keep")?);
        if let Some(value) = table.get("replace") {
            for (wrong, right) in value.as_table().ok_or("replace must be a table of texts")? {
                let right = right.as_str().ok_or_else(|| format!("replace: {wrong} must be a text"))?;
                self.spelling.replace.insert(wrong.clone(), right.to_owned());
            }
        }
        Ok(())
    }

    fn new_id(&self, table: &toml::Table) -> Result<String, String> {
        let id = required(table, "id")?;
        if self.rules.iter().any(|r| r.id == id) || self.categories.iter().any(|(_, c)| c.id == id) {
            return Err("a rule or category of this id exists; ids must differ".to_owned());
        }
        Ok(id.to_owned())
    }

    fn add_category(
        &mut self,
        file: &str,
        table: &toml::Table,
        fragments: &BTreeMap<&str, &str>,
    ) -> Result<(), String> {
        check_keys(table, categories::KEYS, "category")?;
        self.new_id(table)?;
        let expression = |pattern: &str| compile(pattern, fragments).map(|(_, regex)| regex);
        self.categories.push((file.to_owned(), Category::from_table(table, &expression)?));
        Ok(())
    }

    fn add_rule(
        &mut self,
        file: &str,
        table: &toml::Table,
        fragments: &BTreeMap<&str, &str>,
    ) -> Result<(), String> {
        check_keys(table, RULE_KEYS, "rule")?;
        let id = self.new_id(table)?;
        let finds = required(table, "finds")?;
        let signal = Signal::parse(finds)
            .ok_or_else(|| format!("finds {finds:?} is unknown; {}", nearest(finds, &Signal::names())))?;
        let side = match required(table, "side")? {
            "customer" => Side::Customer,
            "agent" => Side::Agent,
            "any" => Side::Any,
            other => return Err(format!("side {other:?} is unknown; use customer, agent or any")),
        };
        let confidence = table
            .get("confidence")
            .and_then(toml::Value::as_float)
            .filter(|c| (0.0..=1.0).contains(c))
            .ok_or("confidence must be a decimal number from 0.0 to 1.0")?;
        let guards = |key: &str| -> Result<Vec<Regex>, String> {
            texts(table, key)?.iter().map(|p| compile(p, fragments).map(|(_, regex)| regex)).collect()
        };
        let rule = Rule {
            version: required(table, "version")?.to_owned(),
            file: file.to_owned(),
            signal,
            side,
            detail: table.get("detail").and_then(|v| v.as_str()).map(str::to_owned),
            confidence,
            question: table.get("question").and_then(toml::Value::as_bool),
            unless: guards("unless")?,
            unless_before: guards("unless_before")?,
            cases: cases(table)?,
            id,
        };
        let patterns = texts(table, "patterns")?;
        if patterns.is_empty() {
            return Err("patterns is empty: the rule would never fire".to_owned());
        }
        for pattern in &patterns {
            let (text, regex) = compile(pattern, fragments)?;
            self.patterns.push((text, regex, self.rules.len()));
        }
        self.rules.push(rule);
        Ok(())
    }
}

fn required<'a>(table: &'a toml::Table, key: &str) -> Result<&'a str, String> {
    table.get(key).and_then(|v| v.as_str()).ok_or_else(|| format!("{key} is missing or no text"))
}

fn texts(table: &toml::Table, key: &str) -> Result<Vec<String>, String> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| format!("{key} must be a list of texts"))?;
    list.iter()
        .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| format!("{key} must be a list of texts")))
        .collect()
}

fn cases(table: &toml::Table) -> Result<Vec<(String, bool)>, String> {
    let Some(value) = table.get("cases") else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or("cases must be a list of { text, expect }")?;
    let mut out = Vec::with_capacity(list.len());
    for case in list {
        let case = case.as_table().ok_or("cases must be a list of { text, expect }")?;
        check_keys(case, CASE_KEYS, "case")?;
        let expect =
            case.get("expect").and_then(toml::Value::as_bool).ok_or("expect must be true or false")?;
        out.push((required(case, "text")?.to_owned(), expect));
    }
    Ok(out)
}

fn check_keys(table: &toml::Table, valid: &[&str], place: &str) -> Result<(), String> {
    match table.keys().find(|key| !valid.contains(&key.as_str())) {
        Some(key) => Err(format!("{place} has no key {key:?}; {}", nearest(key, valid))),
        None => Ok(()),
    }
}

fn nearest(word: &str, valid: &[&str]) -> String {
    let best =
        valid.iter().max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)));
    best.map_or_else(
        || "nothing is valid here".to_owned(),
        |name| format!("the nearest valid one is {name:?}"),
    )
}

/// Puts `{name}` fragments in and compiles.
fn compile(pattern: &str, fragments: &BTreeMap<&str, &str>) -> Result<(String, Regex), String> {
    let text = with_fragments(pattern, fragments, 0)?;
    let regex = RegexBuilder::new(&text)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|e| format!("pattern {pattern:?} is no regular expression: {e}"))?;
    Ok((text, regex))
}

fn with_fragments(pattern: &str, fragments: &BTreeMap<&str, &str>, depth: usize) -> Result<String, String> {
    if depth > MAX_FRAGMENT_DEPTH {
        return Err(format!("fragments are nested deeper than {MAX_FRAGMENT_DEPTH}"));
    }
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let after = &rest[open + 1..];
        let close = after.find('}').ok_or_else(|| format!("pattern {pattern:?} has an open brace"))?;
        let name = &after[..close];
        out.push_str(&rest[..open]);
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let known: Vec<&str> = fragments.keys().copied().collect();
            let text = fragments
                .get(name)
                .ok_or_else(|| format!("no fragment {name:?}; {}", nearest(name, &known)))?;
            out.push_str("(?:");
            out.push_str(&with_fragments(text, fragments, depth + 1)?);
            out.push(')');
        } else {
            out.push_str(&rest[open..open + close + 2]);
        }
        rest = &after[close + 1..];
        if out.len() > MAX_PATTERN_BYTES {
            return Err(format!("pattern is longer than {MAX_PATTERN_BYTES} bytes with its fragments"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests;
