//! Rule files: read, checked, compiled.
//!
//! It exists apart from what rules do, because it is all about what people can get wrong when they write them.

use super::{Rule, RuleError, Side, Spelling};
use crate::categories::{self, Category};
use crate::signal::Signal;
use callmark_types::EventKind;
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::collections::BTreeMap;

/// Largest compiled size of all patterns together, in bytes.
const MAX_COMPILED_BYTES: usize = 256 << 20;
/// Largest nesting of fragments in fragments.
const MAX_FRAGMENT_DEPTH: usize = 8;
/// Longest pattern after fragments are put in, in bytes.
const MAX_PATTERN_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Loader {
    pub(super) rules: Vec<Rule>,
    pub(super) spelling: Spelling,
    /// Pattern text, compiled pattern, rule.
    pub(super) patterns: Vec<(String, Regex, usize)>,
    /// With the file that each stands in.
    pub(super) categories: Vec<(String, Category)>,
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
    pub(super) fn check_orders(&self) -> Result<(), RuleError> {
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

    pub(super) fn compile_set(&self) -> Result<RegexSet, RuleError> {
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

    pub(super) fn add_file(&mut self, name: &str, text: &str) -> Result<(), RuleError> {
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

/// Puts `{name}` fragments in and compiles. What could never match, or would always, is refused.
fn compile(pattern: &str, fragments: &BTreeMap<&str, &str>) -> Result<(String, Regex), String> {
    let text = with_fragments(pattern, fragments, 0)?;
    if text.trim().is_empty() {
        return Err("a pattern is empty: it would match every sentence".to_owned());
    }
    if let Some(capital) = capital_in(&text) {
        return Err(format!(
            "pattern {pattern:?} has the capital {capital:?} and can never match: sentences are in small letters; write {:?}",
            capital.to_ascii_lowercase()
        ));
    }
    let regex = RegexBuilder::new(&text)
        .unicode(false)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|e| format!("pattern {pattern:?} is no regular expression: {e}"))?;
    Ok((text, regex))
}

/// The first capital letter of an expression that stands for itself: not one of a class or escape (`\\W`, `\\p{Lu}`), and
/// nothing where the expression ignores case.
fn capital_in(text: &str) -> Option<char> {
    if text.contains("(?i") {
        return None;
    }
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if matches!(letters.next(), Some('p' | 'P' | 'x' | 'u' | 'U')) => {
                letters.by_ref().find(|c| !matches!(c, '{' | '^')).filter(|c| *c != '}');
                let rest = letters.as_str();
                if let Some(end) = rest.find('}').filter(|end| *end < 24) {
                    letters = rest[end + 1..].chars();
                }
            }
            '\\' => {}
            // A named group.
            '(' if letters.as_str().starts_with("?P<") || letters.as_str().starts_with("?<") => {
                letters.by_ref().find(|c| *c == '>');
            }
            letter if letter.is_ascii_uppercase() => return Some(letter),
            _ => {}
        }
    }
    None
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
