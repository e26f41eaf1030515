//! Rules and categories held to the cases that stand beside them, and a phrase held against all of them: what
//! `callmark rules` shows who writes rules.

use crate::categories::{CallCase, Category, Ground};
use crate::head;
use crate::ruleset::{Rule, Side};
use crate::text::{self, Sentence, sentences_of_text};
use crate::{Conversation, Ruleset, score};
use callmark_types::{CallId, CallMetadata, Embedding, EventKind, Millis, Span, Speaker, Turn};

/// A spoken word lasts about this long.
const WORD: Millis = Millis(350);

/// One rule or category and its cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The file that it stands in.
    pub file: String,
    /// Its id.
    pub rule_id: String,
    /// How many cases it has.
    pub cases: usize,
    /// Each case that came out otherwise, in words.
    pub failures: Vec<String>,
}

/// What a rule, a category or the trained head makes of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The sentence as rules see it.
    pub sentence: String,
    /// The rule's, category's or head's id.
    pub rule_id: String,
    /// What it finds.
    pub finds: String,
    /// Whether it applies.
    pub applies: bool,
    /// Why, or what held it back.
    pub because: String,
    /// The rule's confidence; the head's probability; nearness, of a semantic category. 0 to 1.
    pub score: f64,
}

impl Ruleset {
    /// Holds every rule and category of `file` (of all files where it is `None`) to its cases.
    pub fn check_cases(&self, file: Option<&str>) -> Vec<CaseReport> {
        let wanted = |name: &str| file.is_none_or(|file| file == name);
        let rules =
            self.rules.iter().enumerate().filter(|(_, r)| wanted(&r.file)).map(|(index, rule)| CaseReport {
                file: rule.file.clone(),
                rule_id: rule.id.clone(),
                cases: rule.cases.len(),
                failures: self.rule_failures(index, rule),
            });
        let categories =
            self.categories.iter().filter(|(name, _)| wanted(name)).map(|(name, category)| CaseReport {
                file: name.clone(),
                rule_id: category.id.clone(),
                cases: category.cases.len() + category.calls.len(),
                failures: self.category_failures(category),
            });
        rules.chain(categories).collect()
    }

    fn vector_of(&self, sentence: &Sentence) -> Option<Embedding> {
        self.encoder()?.encode(&[&sentence.shown()]).pop()
    }

    fn rule_failures(&self, index: usize, rule: &Rule) -> Vec<String> {
        let speaker = match rule.side {
            Side::Customer => Some(Speaker::Customer),
            Side::Agent => Some(Speaker::AiAgent),
            Side::Any => None,
        };
        let mut failures = Vec::new();
        for (text, expect) in &rule.cases {
            let sentences = sentences_of_text(text, &self.spelling);
            let fired: Vec<usize> =
                sentences.iter().flat_map(|s| self.look(s, speaker).found).map(|m| m.rule).collect();
            // What must not be found must not be found by any other rule either.
            let right = if *expect {
                fired.contains(&index)
            } else {
                !fired.iter().any(|i| self.rules[*i].signal == rule.signal)
            };
            if !right {
                failures.push(failure(text, *expect));
            }
        }
        failures
    }

    fn category_failures(&self, category: &Category) -> Vec<String> {
        let mut failures = Vec::new();
        for case in &category.cases {
            let belongs = sentences_of_text(&case.text, &self.spelling).iter().any(|sentence| {
                let vector = self.vector_of(sentence);
                category.ground(sentence, vector.as_ref()).is_some()
            });
            if belongs != case.expect {
                failures.push(failure(&case.text, case.expect));
            }
        }
        for (number, case) in category.calls.iter().enumerate() {
            if self.applies_to_call(category, case) != case.expect {
                failures.push(failure(&format!("call number {}", number + 1), case.expect));
            }
        }
        failures
    }

    fn applies_to_call(&self, category: &Category, case: &CallCase) -> bool {
        let turns: Vec<Turn> = case
            .turns
            .iter()
            .zip(0..)
            .map(|(turn, index)| {
                let start = Millis((turn.at * 1000.0) as i64);
                let length = WORD.0 * turn.text.split_whitespace().count().max(1) as i64;
                Turn {
                    index,
                    speaker: turn.speaker,
                    span: Some(Span::new(start, start + Millis(length))),
                    ..crate::classify::customer_turn(&turn.text)
                }
            })
            .collect();
        let last = turns.iter().filter_map(|t| t.span.map(|s| s.end)).max();
        let end = case.ends.map(|s| Millis((s * 1000.0) as i64)).or(last);
        let Ok(id) = CallId::new("case") else { return false };
        let metadata = CallMetadata::unknown(id);
        let scores = score(self, &Conversation { metadata: &metadata, turns: &turns, audio: None, end });
        scores
            .events
            .iter()
            .any(|e| e.kind == EventKind::Category && e.rule_id.as_deref() == Some(category.id.as_str()))
    }

    /// What each rule, category and the head make of a text said by `speaker`; what says nothing is left out.
    pub fn try_text(&self, text: &str, speaker: Speaker) -> Vec<Tried> {
        let mut out = Vec::new();
        let turn = Turn { speaker, ..crate::classify::customer_turn(text) };
        let written = text::written_words(&turn);
        for sentence in sentences_of_text(text, &self.spelling) {
            let look = self.look(&sentence, Some(speaker));
            let tried = |rule_id: &str, finds: &str, applies: bool, because: String, score: f64| Tried {
                sentence: sentence.text.clone(),
                rule_id: rule_id.to_owned(),
                finds: finds.to_owned(),
                applies,
                because,
                score,
            };
            for m in &look.found {
                let rule = &self.rules[m.rule];
                let (first, last) = sentence.words_of(m.start, m.end);
                let words = written.get(first..=last).map(|w| w.join(" ")).unwrap_or_default();
                out.push(tried(
                    &rule.id,
                    rule.signal.name(),
                    true,
                    format!("pattern on \"{words}\""),
                    rule.confidence,
                ));
            }
            for index in &look.held_back {
                let rule = &self.rules[*index];
                let because = "a pattern matches; unless or unless_before holds it back".to_owned();
                out.push(tried(&rule.id, rule.signal.name(), false, because, 0.0));
            }
            let vector = self.vector_of(&sentence);
            for (_, category) in self.categories.iter().filter(|(_, c)| c.speaks(speaker)) {
                let nearest = vector.as_ref().and_then(|v| category.nearest(v));
                let conditions = if category.has_conditions() {
                    "; its conditions of time, order or number need a call"
                } else {
                    ""
                };
                match category.ground(&sentence, vector.as_ref()) {
                    Some((ground, _)) => {
                        let because = format!("{}{conditions}", ground.in_words());
                        let score =
                            if let Ground::Near(near) = ground { near } else { category.confidence() };
                        out.push(tried(&category.id, "category", true, because, score));
                    }
                    None if nearest.is_some() => {
                        let score = nearest.unwrap_or(0.0);
                        out.push(tried(&category.id, "category", false, "not near enough".to_owned(), score));
                    }
                    None => {}
                }
            }
        }
        if !speaker.is_agent_side() {
            for (sentence, probability, decides) in head::opinions(self, text) {
                let (id, _) = self.identity(None);
                out.push(Tried {
                    sentence,
                    rule_id: id.to_owned(),
                    finds: "human_request".to_owned(),
                    applies: decides,
                    because: "head and rules together".to_owned(),
                    score: probability,
                });
            }
        }
        out
    }
}

fn failure(what: &str, expect: bool) -> String {
    let should = if expect { "should apply and does not" } else { "should not apply and does" };
    format!("{what:?} {should}")
}
