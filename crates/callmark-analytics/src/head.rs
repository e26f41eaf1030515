//! The trained layer over the rules for requests: a logistic model on sentence embeddings, and the one place where
//! its view and the rules' become a probability.
//!
//! Rules are right where they speak, and blind to wordings that nobody thought of; the head has seen many wordings,
//! and knows nothing of negation that it was not shown. What each adds was fitted on examples that neither was
//! fitted on (`models/heads/human_request.md`). Only sentences with a word that a request cannot do without are
//! looked at, because a vector costs as much as all rules together.

use crate::Ruleset;
use crate::hearing::{Basis, Heard, Hit};
use crate::signal::Signal;
use crate::text::Sentence;
use callmark_types::Embedding;
use serde::Deserialize;
use std::collections::BTreeSet;

/// From this probability on a sentence is a request by the head alone: a false alarm costs more trust than a miss.
const DECIDES: f64 = 0.7;
/// A sentence of fewer tokens is left to the rules: it means nothing by itself.
const MIN_TOKENS: usize = 2;
/// Numbers in a vector that a head may weigh.
const MAX_WIDTH: usize = 4096;

/// The signals that ask for a person, one way or another.
const ASKING: &[Signal] = &[
    Signal::HumanRequest,
    Signal::BareHumanRequest,
    Signal::MachineRefusal,
    Signal::SupervisorRequest,
    Signal::DepartmentRequest,
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    version: String,
    #[serde(rename = "about")]
    _about: String,
    model_sha256: String,
    words: BTreeSet<String>,
    combined: Combined,
    bias: f64,
    weights: Vec<f32>,
}

/// How head and rules become one: a logistic model of the head's log odds and of what the rules did.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combined {
    /// Log odds where the head's are 0 and no rule says anything.
    pub constant: f64,
    /// For each unit of the head's log odds.
    pub head: f64,
    /// Added where a rule fired.
    pub fired: f64,
    /// Added where a rule was held back by its guards and none fired.
    pub held_back: f64,
}

/// What the rules make of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleVerdict {
    /// A rule for requests fired.
    Fired,
    /// A rule's pattern matched, and its guards held it back.
    HeldBack,
    /// No rule has anything to say.
    Silent,
}

impl Combined {
    /// Probability, 0 to 1, that a sentence asks for a person; `head` in log odds.
    pub fn probability(&self, head: f64, rules: RuleVerdict) -> f64 {
        let said = match rules {
            RuleVerdict::Fired => self.fired,
            RuleVerdict::HeldBack => self.held_back,
            RuleVerdict::Silent => 0.0,
        };
        1.0 / (1.0 + (-(self.constant + self.head * head + said)).exp())
    }
}

/// A trained head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) version: String,
    /// The model whose vectors it weighs.
    pub(crate) model_sha256: String,
    words: BTreeSet<String>,
    combined: Combined,
    bias: f64,
    weights: Vec<f32>,
}

impl Head {
    pub(crate) fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())?;
        if file.weights.is_empty() || file.weights.len() > MAX_WIDTH {
            return Err(format!(
                "it has {} weights; as many as a vector has numbers are needed",
                file.weights.len()
            ));
        }
        let File { id, version, _about: _, model_sha256, words, combined, bias, weights } = file;
        Ok(Self { id, version, model_sha256, words, combined, bias, weights })
    }

    /// Whether a sentence is worth a vector.
    fn looks_at(&self, sentence: &Sentence) -> bool {
        sentence.len() >= MIN_TOKENS && sentence.text.split(' ').any(|token| self.words.contains(token))
    }

    /// The head's log odds.
    fn log_odds(&self, vector: &Embedding) -> f64 {
        let sum: f64 = self.weights.iter().zip(&vector.0).map(|(w, x)| f64::from(w * x)).sum();
        self.bias + sum
    }
}

fn verdict(turn: &Heard, sentence: usize) -> Option<RuleVerdict> {
    let denies = turn.hits.iter().any(|h| h.sentence == sentence && h.signal == Signal::NoRequest);
    let asking = turn.hits.iter().filter(|h| h.sentence == sentence && ASKING.contains(&h.signal));
    match asking.map(|h| h.signal == Signal::HumanRequest).reduce(|a, b| a || b) {
        Some(true) => Some(RuleVerdict::Fired),
        // Asked for in a way that has its own rules.
        Some(false) => None,
        // Said outright: what the head makes of such words is of no account.
        None if denies => None,
        None if turn.held_back.contains(&sentence) => Some(RuleVerdict::HeldBack),
        None => Some(RuleVerdict::Silent),
    }
}

/// Asks the head about the sentences of the customer, or of who may be the customer; does nothing without a
/// sentence model.
pub(crate) fn weigh(rules: &Ruleset, turns: &mut [Heard]) {
    let Some((head, encoder)) = rules.trained() else { return };
    let mut places = Vec::new();
    let mut texts = Vec::new();
    for (position, turn) in turns.iter().enumerate().filter(|(_, t)| t.is_customer()) {
        for (index, sentence) in turn.sentences.iter().enumerate().filter(|(_, s)| head.looks_at(s)) {
            if let Some(verdict) = verdict(turn, index) {
                places.push((position, index, verdict));
                texts.push(sentence.shown());
            }
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for ((position, sentence, verdict), vector) in places.into_iter().zip(encoder.encode(&texts)) {
        let probability = rounded(head.combined.probability(head.log_odds(&vector), verdict));
        let turn = &mut turns[position];
        if verdict == RuleVerdict::Fired {
            // The rule stands, whatever the head thinks of it; how sure one may be does not.
            for hit in
                turn.hits.iter_mut().filter(|h| h.sentence == sentence && h.signal == Signal::HumanRequest)
            {
                hit.confidence = probability;
                if probability >= DECIDES {
                    hit.basis = Basis::RuleAndHead;
                }
            }
        } else if probability >= DECIDES {
            let words = turn.sentences[sentence].words();
            let hit = Hit {
                signal: Signal::HumanRequest,
                rule: None,
                basis: Basis::Head,
                confidence: probability,
                sentence,
                words,
            };
            let at = turn.hits.partition_point(|h| h.sentence <= sentence);
            turn.hits.insert(at, hit);
        }
    }
}

/// The sentences of a customer's text that the head looks at, with the probability of each and whether it decides.
pub(crate) fn opinions(rules: &Ruleset, text: &str) -> Vec<(String, f64, bool)> {
    let Some((head, encoder)) = rules.trained() else { return Vec::new() };
    let said = crate::classify::customer_turn(text);
    let turns = crate::hearing::hear(rules, std::slice::from_ref(&said), None);
    let mut out = Vec::new();
    for turn in &turns {
        for (index, sentence) in turn.sentences.iter().enumerate().filter(|(_, s)| head.looks_at(s)) {
            let verdict =
                match turn.hits.iter().find(|h| h.sentence == index && h.signal == Signal::HumanRequest) {
                    Some(Hit { basis: Basis::Head, .. }) => Some(RuleVerdict::Silent),
                    _ => verdict(turn, index),
                };
            if let (Some(verdict), Some(vector)) = (verdict, encoder.encode(&[&sentence.shown()]).pop()) {
                let probability = rounded(head.combined.probability(head.log_odds(&vector), verdict));
                out.push((sentence.text.clone(), probability, probability >= DECIDES));
            }
        }
    }
    out
}

/// A sentence as a head is trained on it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSentence {
    /// What the sentence model is shown.
    pub shown: String,
    /// What the rules make of it.
    pub rules: RuleVerdict,
}

/// The sentences of a customer's text that a head with these `words` would look at.
pub fn training_sentences(rules: &Ruleset, words: &BTreeSet<String>, text: &str) -> Vec<TrainingSentence> {
    let head = Head {
        id: String::new(),
        version: String::new(),
        model_sha256: String::new(),
        words: words.clone(),
        combined: Combined { constant: 0.0, head: 0.0, fired: 0.0, held_back: 0.0 },
        bias: 0.0,
        weights: Vec::new(),
    };
    let said = crate::classify::customer_turn(text);
    let turns = crate::hearing::hear(rules, std::slice::from_ref(&said), None);
    turns
        .iter()
        .flat_map(|turn| {
            turn.sentences.iter().enumerate().map(move |(index, sentence)| (turn, index, sentence))
        })
        .filter(|(_, _, sentence)| head.looks_at(sentence))
        .filter_map(|(turn, index, sentence)| {
            Some(TrainingSentence { shown: sentence.shown(), rules: verdict(turn, index)? })
        })
        .collect()
}

/// Two processors may differ in the last digits of a vector.
fn rounded(probability: f64) -> f64 {
    (probability * 1000.0).round() / 1000.0
}
