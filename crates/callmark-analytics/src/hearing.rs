//! Every rule held against every sentence once, for the parts of scoring that look at sentences in context.

use crate::Ruleset;
use crate::head;
use crate::sentiment::covers_language;
use crate::signal::Signal;
use crate::text::{self, Sentence};
use callmark_types::{Event, EventKind, Millis, Speaker, Turn};

/// A turn as the rules heard it.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Position of the turn in the call's list.
    pub(crate) at: usize,
    /// Who speaks.
    pub(crate) speaker: Speaker,
    /// When it ends.
    pub(crate) end: Option<Millis>,
    /// Its sentences; at least one.
    pub(crate) sentences: Vec<Sentence>,
    /// What fired in it, in order of sentences.
    pub(crate) hits: Vec<Hit>,
    /// Sentences in which a rule for requests was held back by its guards.
    pub(crate) held_back: Vec<usize>,
}

/// What a finding rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// A rule alone; the trained head was not asked, or disagrees.
    Rule,
    /// A rule and the trained head.
    RuleAndHead,
    /// The trained head alone.
    Head,
}

impl Basis {
    /// As details name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::RuleAndHead => "rule+head",
            Self::Head => "head",
        }
    }
}

/// A rule or head that fired in a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    /// What was found.
    pub(crate) signal: Signal,
    /// Index of the rule; `None` where no rule fired.
    pub(crate) rule: Option<usize>,
    /// What it rests on.
    pub(crate) basis: Basis,
    /// Of the rule, or of rule and head together.
    pub(crate) confidence: f64,
    /// Index of the sentence in its turn.
    pub(crate) sentence: usize,
    /// First and last written word of the match.
    pub(crate) words: (usize, usize),
}

/// A longer sentence is unpunctuated speech: the event then spans the match alone.
const MAX_EVIDENCE_TOKENS: usize = 24;

impl Heard {
    /// Whether the customer speaks, or somebody who may be the customer.
    pub(crate) fn is_customer(&self) -> bool {
        matches!(self.speaker, Speaker::Customer | Speaker::Unknown)
    }

    /// Whether every sentence is mere politeness, such as "okay, one moment".
    pub(crate) fn is_polite(&self) -> bool {
        let polite = |sentence: usize| {
            self.hits.iter().any(|h| h.sentence == sentence && h.signal == Signal::Acknowledgement)
        };
        (0..self.sentences.len()).all(polite)
    }

    /// The first hit of a signal.
    pub(crate) fn first(&self, signal: Signal) -> Option<&Hit> {
        self.hits.iter().find(|h| h.signal == signal)
    }

    /// Whether a signal fired.
    pub(crate) fn has(&self, signal: Signal) -> bool {
        self.first(signal).is_some()
    }

    /// First and last written word that show a hit: its sentence, or the match where the sentence is long.
    pub(crate) fn evidence_words(&self, hit: &Hit) -> (usize, usize) {
        let sentence = &self.sentences[hit.sentence];
        if sentence.len() > MAX_EVIDENCE_TOKENS { hit.words } else { sentence.words() }
    }

    /// First and last written word of the turn.
    pub(crate) fn all_words(&self) -> (usize, usize) {
        (self.sentences[0].words().0, self.sentences[self.sentences.len() - 1].words().1)
    }

    /// An event at written words of this turn.
    pub(crate) fn event(&self, turns: &[Turn], kind: EventKind, words: (usize, usize)) -> Event {
        let turn = &turns[self.at];
        let written = text::written_words(turn);
        Event {
            kind,
            span: text::span_of_words(turn, words.0, words.1),
            turn_index: Some(turn.index),
            speaker: Some(self.speaker),
            detail: None,
            rule_id: None,
            rule_version: None,
            confidence: None,
            evidence_text: written.get(words.0..=words.1).map(|w| w.join(" ")),
        }
    }

    /// The event of a hit, with the rule's name, confidence and detail.
    pub(crate) fn event_of(&self, rules: &Ruleset, turns: &[Turn], kind: EventKind, hit: &Hit) -> Event {
        let (id, version) = rules.identity(hit.rule);
        Event {
            detail: hit.rule.and_then(|index| rules.rules[index].detail.clone()),
            rule_id: Some(id.to_owned()),
            rule_version: Some(version.to_owned()),
            confidence: Some(hit.confidence),
            ..self.event(turns, kind, self.evidence_words(hit))
        }
    }
}

/// Holds the rules against the kept turns; turns without a word are left out. Of a call in another language than English
/// the rules that ship with Callmark, and the trained head, say nothing: its words only look like English ones.
pub(crate) fn hear(rules: &Ruleset, turns: &[Turn], language: Option<&str>) -> Vec<Heard> {
    let is_english = covers_language(language);
    let mut out = Vec::with_capacity(turns.len());
    for (at, turn) in turns.iter().enumerate().filter(|(_, t)| t.is_kept()) {
        let sentences = text::sentences(&text::written_words(turn), &rules.spelling);
        if sentences.is_empty() {
            continue;
        }
        let (mut hits, mut held_back) = (Vec::new(), Vec::new());
        for (index, sentence) in sentences.iter().enumerate() {
            let mut look = rules.look(sentence, Some(turn.speaker));
            if !is_english {
                look.found.retain(|m| !rules.ships(m.rule));
                look.held_back.retain(|rule| !rules.ships(*rule));
            }
            hits.extend(look.found.iter().map(|m| Hit {
                signal: rules.rules[m.rule].signal,
                rule: Some(m.rule),
                basis: Basis::Rule,
                confidence: rules.rules[m.rule].confidence,
                sentence: index,
                words: sentence.words_of(m.start, m.end),
            }));
            if look.held_back.iter().any(|rule| rules.rules[*rule].signal == Signal::HumanRequest) {
                held_back.push(index);
            }
        }
        let end = turn.span.map(|s| s.end);
        out.push(Heard { at, speaker: turn.speaker, end, sentences, hits, held_back });
    }
    if is_english {
        head::weigh(rules, &mut out);
    }
    out
}

/// Events that need no context: disclosure by the machine, mentions of earlier contacts by the customer.
pub(crate) fn plain_events(rules: &Ruleset, turns: &[Turn], heard: &[Heard]) -> Vec<Event> {
    let mut out = Vec::new();
    for turn in heard {
        let (signal, kind) = match turn.speaker {
            Speaker::AiAgent | Speaker::Ivr => (Signal::AiDisclosure, EventKind::AiDisclosure),
            Speaker::Customer => (Signal::RepeatContact, EventKind::RepeatContactMention),
            Speaker::HumanAgent | Speaker::Unknown => continue,
        };
        let mut last_sentence = None;
        for hit in turn.hits.iter().filter(|h| h.signal == signal) {
            // Sentences that follow each other say the same thing once.
            let follows = last_sentence.is_some_and(|s: usize| hit.sentence <= s + 1);
            if !follows {
                out.push(turn.event_of(rules, turns, kind, hit));
            }
            last_sentence = Some(hit.sentence);
        }
    }
    out
}
