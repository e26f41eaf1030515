//! Categories that users write: what a call is about or what was said in it, by words, by meaning, by time.
//!
//! They come after everything else, because they may ask where in the call a thing was said: near the end, after a
//! request for a person, three times, never.

use crate::hearing::Heard;
use crate::ruleset::Spelling;
use crate::text::{self, Sentence, sentences_of_text};
use crate::{Conversation, Ruleset};
use callmark_types::{Embedding, Event, EventKind, Millis, SentenceEncoder, Span, Speaker};
use regex::bytes::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How near is near, where a category does not say.
const USUAL_NEARNESS: f64 = 0.6;
/// A sentence of fewer tokens means nothing by itself.
const MIN_NEAR_TOKENS: usize = 2;

/// The keys of a `[[category]]`.
pub(crate) const KEYS: &[&str] = &[
    "id",
    "version",
    "name",
    "speaker",
    "exact",
    "patterns",
    "unless",
    "near",
    "nearness",
    "question",
    "first_seconds",
    "last_seconds",
    "after",
    "before",
    "within_seconds",
    "at_least",
    "absent",
    "confidence",
    "cases",
    "calls",
];

/// A `[[category]]` as written.
#[derive(Debug, Deserialize)]
struct Written {
    id: String,
    version: String,
    name: String,
    #[serde(default)]
    speaker: Who,
    #[serde(default)]
    exact: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
    #[serde(default)]
    near: Vec<String>,
    nearness: Option<f64>,
    question: Option<bool>,
    first_seconds: Option<f64>,
    last_seconds: Option<f64>,
    after: Option<String>,
    before: Option<String>,
    within_seconds: Option<f64>,
    at_least: Option<u32>,
    #[serde(default)]
    absent: bool,
    confidence: Option<f64>,
    #[serde(default)]
    cases: Vec<TextCase>,
    #[serde(default)]
    calls: Vec<CallCase>,
}

/// A text with the answer expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextCase {
    pub(crate) text: String,
    pub(crate) expect: bool,
}

/// A call in short with the answer expected, for conditions of time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallCase {
    pub(crate) turns: Vec<CaseTurn>,
    /// End of the call in seconds; that of its last turn where it is left out.
    pub(crate) ends: Option<f64>,
    pub(crate) expect: bool,
}

/// A turn of such a call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseTurn {
    pub(crate) speaker: Speaker,
    /// Start in seconds.
    pub(crate) at: f64,
    pub(crate) text: String,
}

/// Whose words count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    /// Everybody.
    #[default]
    Any,
    /// The customer.
    Customer,
    /// AI, person or menu.
    Agent,
    /// The AI.
    AiAgent,
    /// A person.
    HumanAgent,
    /// The menu.
    Ivr,
}

impl Who {
    fn speaks(self, speaker: Speaker) -> bool {
        match self {
            Self::Any => true,
            Self::Customer => speaker == Speaker::Customer,
            Self::Agent => speaker.is_agent_side(),
            Self::AiAgent => speaker == Speaker::AiAgent,
            Self::HumanAgent => speaker == Speaker::HumanAgent,
            Self::Ivr => speaker == Speaker::Ivr,
        }
    }
}

/// A category, compiled.
#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) id: String,
    pub(crate) version: String,
    name: String,
    who: Who,
    /// Normalised, with a space before and after.
    exact: Vec<String>,
    patterns: Vec<Regex>,
    unless: Vec<Regex>,
    near: Vec<String>,
    near_vectors: Vec<Embedding>,
    nearness: f64,
    question: Option<bool>,
    first: Option<Millis>,
    last: Option<Millis>,
    after: Option<String>,
    before: Option<String>,
    within: Option<Millis>,
    at_least: usize,
    absent: bool,
    confidence: f64,
    pub(crate) cases: Vec<TextCase>,
    pub(crate) calls: Vec<CallCase>,
}

/// What about a sentence makes it belong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ground {
    Exact,
    Pattern,
    Near(f64),
}

impl Ground {
    /// As details name it.
    pub(crate) fn in_words(self) -> String {
        match self {
            Self::Exact => "exact".to_owned(),
            Self::Pattern => "pattern".to_owned(),
            Self::Near(near) => format!("near;nearness={near:.2}"),
        }
    }
}

/// A sentence that belongs.
struct Hit<'h> {
    turn: &'h Heard,
    words: (usize, usize),
    span: Option<Span>,
    ground: Ground,
}

fn seconds(key: &str, value: Option<f64>) -> Result<Option<Millis>, String> {
    match value {
        Some(s) if !(s.is_finite() && s > 0.0 && s < 1e6) => {
            Err(format!("{key} must be a number of seconds above 0"))
        }
        Some(s) => Ok(Some(Millis((s * 1000.0).round() as i64))),
        None => Ok(None),
    }
}

impl Category {
    /// Compiles a table whose keys are known to be valid; `compile` turns a pattern with fragments into an expression.
    pub(crate) fn from_table(
        table: &toml::Table,
        compile: &dyn Fn(&str) -> Result<Regex, String>,
    ) -> Result<Self, String> {
        let written: Written = table.clone().try_into().map_err(|e| e.to_string().trim().to_owned())?;
        let plain = Spelling::default();
        let exact = written.exact.iter().map(|phrase| {
            let words: Vec<String> = sentences_of_text(phrase, &plain).into_iter().map(|s| s.text).collect();
            if words.is_empty() {
                Err(format!("exact: {phrase:?} has no word"))
            } else {
                Ok(format!(" {} ", words.join(" ")))
            }
        });
        let expressions =
            |patterns: &[String]| patterns.iter().map(|p| compile(p)).collect::<Result<Vec<_>, _>>();
        let category = Self {
            exact: exact.collect::<Result<_, _>>()?,
            patterns: expressions(&written.patterns)?,
            unless: expressions(&written.unless)?,
            near: written.near,
            near_vectors: Vec::new(),
            nearness: written.nearness.unwrap_or(USUAL_NEARNESS),
            question: written.question,
            first: seconds("first_seconds", written.first_seconds)?,
            last: seconds("last_seconds", written.last_seconds)?,
            within: seconds("within_seconds", written.within_seconds)?,
            after: written.after,
            before: written.before,
            at_least: written.at_least.unwrap_or(1) as usize,
            absent: written.absent,
            confidence: written.confidence.unwrap_or(0.8),
            who: written.speaker,
            id: written.id,
            version: written.version,
            name: written.name,
            cases: written.cases,
            calls: written.calls,
        };
        category.check()?;
        Ok(category)
    }

    fn check(&self) -> Result<(), String> {
        if self.exact.is_empty() && self.patterns.is_empty() && self.near.is_empty() {
            return Err("it has neither exact nor patterns nor near: it would never apply".to_owned());
        }
        if !(self.nearness > 0.0 && self.nearness <= 1.0) {
            return Err("nearness must be above 0 and at most 1".to_owned());
        }
        if !(0.0..=1.0).contains(&self.confidence) {
            return Err("confidence must be from 0.0 to 1.0".to_owned());
        }
        if self.at_least == 0 {
            return Err(
                "at_least must be 1 or more; for what must not be said, write absent = true".to_owned()
            );
        }
        if self.absent && self.at_least > 1 {
            return Err("absent and at_least do not go together".to_owned());
        }
        if self.within.is_some() && self.after.is_none() && self.before.is_none() {
            return Err("within_seconds needs after or before".to_owned());
        }
        let is_blank = |name: &str| name.is_empty() || name.contains([';', '=']);
        if is_blank(&self.name) || is_blank(&self.id) {
            return Err("id and name must have a letter, and neither `;` nor `=`".to_owned());
        }
        Ok(())
    }

    /// Whether a sentence model is needed.
    pub(crate) fn needs_model(&self) -> bool {
        !self.near.is_empty()
    }

    pub(crate) fn learn_vectors(&mut self, encoder: &dyn SentenceEncoder, spelling: &Spelling) {
        let shown: Vec<String> = self
            .near
            .iter()
            .map(|phrase| {
                let parts: Vec<String> =
                    sentences_of_text(phrase, spelling).iter().map(Sentence::shown).collect();
                parts.join(" ")
            })
            .collect();
        self.near_vectors = encoder.encode(&shown.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Whether the words of `speaker` count.
    pub(crate) fn speaks(&self, speaker: Speaker) -> bool {
        self.who.speaks(speaker)
    }

    pub(crate) fn confidence(&self) -> f64 {
        self.confidence
    }

    /// Whether conditions of time, order or number stand beside those on words.
    pub(crate) fn has_conditions(&self) -> bool {
        self.first.is_some()
            || self.last.is_some()
            || self.after.is_some()
            || self.before.is_some()
            || self.at_least > 1
            || self.absent
    }

    /// Whether it asks when something was said and the call does not tell; the order of turns is always known.
    fn lacks_times(&self, call: &Conversation<'_>) -> bool {
        let asks = self.first.is_some() || self.last.is_some() || self.within.is_some();
        let told = call.turns.iter().filter(|turn| turn.is_kept()).all(|turn| turn.span.is_some());
        asks && !(told && (call.end.is_some() || self.last.is_none()))
    }

    /// What `after` and `before` name.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.after.as_deref().into_iter().chain(self.before.as_deref())
    }

    /// How near the nearest phrase is.
    pub(crate) fn nearest(&self, vector: &Embedding) -> Option<f64> {
        self.near_vectors.iter().map(|phrase| phrase.nearness(vector)).max_by(f64::total_cmp)
    }

    /// What makes a sentence belong, by its words and meaning alone.
    pub(crate) fn ground(
        &self,
        sentence: &Sentence,
        vector: Option<&Embedding>,
    ) -> Option<(Ground, (usize, usize))> {
        let bytes = sentence.text.as_bytes();
        if self.question.is_some_and(|q| q != sentence.question)
            || self.unless.iter().any(|u| u.is_match(bytes))
        {
            return None;
        }
        let spaced = format!(" {} ", sentence.text);
        if let Some((at, phrase)) = self.exact.iter().find_map(|p| Some((spaced.find(p.as_str())?, p))) {
            return Some((Ground::Exact, sentence.words_of(at, at + phrase.len() - 2)));
        }
        if let Some(m) = self.patterns.iter().find_map(|p| p.find(bytes)).filter(|m| !m.is_empty()) {
            return Some((Ground::Pattern, sentence.words_of(m.start(), m.end())));
        }
        let near = self.nearest(vector?).filter(|n| *n >= self.nearness)?;
        Some((Ground::Near(near), sentence.words()))
    }

    /// Whether the thing said at `hit` was said in time.
    fn in_time(&self, hit: &Hit<'_>, turn_index: u32, events: &[Event], end: Option<Millis>) -> bool {
        let start = hit.span.map(|s| s.start);
        if self.first.is_some_and(|first| start.is_none_or(|at| at > first)) {
            return false;
        }
        if self.last.is_some_and(|last| start.zip(end).is_none_or(|(at, end)| at < end - last)) {
            return false;
        }
        let meets = |wanted: &str, is_before: bool| {
            events.iter().filter(|e| is_called(e, wanted)).any(|e| match (e.span, hit.span) {
                (Some(other), Some(mine)) => {
                    let gap = if is_before { mine.start - other.start } else { other.start - mine.start };
                    gap > Millis::ZERO && self.within.is_none_or(|within| gap <= within)
                }
                // Without times there is an order.
                _ => e
                    .turn_index
                    .is_some_and(|other| if is_before { other < turn_index } else { other > turn_index }),
            })
        };
        self.after.as_deref().is_none_or(|wanted| meets(wanted, true))
            && self.before.as_deref().is_none_or(|wanted| meets(wanted, false))
    }
}

/// Whether an event is what `after` or `before` name: a type, a rule, a category.
fn is_called(event: &Event, name: &str) -> bool {
    event.kind.as_str() == name || event.rule_id.as_deref() == Some(name)
}

/// The categories of a call, in the order in which they are written, and whether one of them asks for times that the
/// call does not have: nothing is said of such a one. `events` are the call's other events.
pub(crate) fn find(
    rules: &Ruleset,
    call: &Conversation<'_>,
    heard: &[Heard],
    events: &[Event],
) -> (Vec<Event>, bool) {
    if rules.categories.is_empty() {
        return (Vec::new(), false);
    }
    let vectors = vectors(rules, heard);
    let mut known = events.to_vec();
    let before = known.len();
    let mut untold: Vec<&str> = Vec::new();
    for (_, category) in &rules.categories {
        // What comes after or before one of which nothing is known is not known either.
        if category.lacks_times(call) || category.named().any(|name| untold.contains(&name)) {
            untold.push(&category.id);
            continue;
        }
        let mut hits = Vec::new();
        for (position, turn) in heard.iter().enumerate().filter(|(_, t)| category.who.speaks(t.speaker)) {
            for (index, sentence) in turn.sentences.iter().enumerate() {
                let Some((ground, words)) = category.ground(sentence, vectors.get(&(position, index))) else {
                    continue;
                };
                let span = text::span_of_words(&call.turns[turn.at], words.0, words.1);
                let hit = Hit { turn, words, span, ground };
                if category.in_time(&hit, call.turns[turn.at].index, &known, call.end) {
                    hits.push(hit);
                }
            }
        }
        known.extend(events_of(category, &hits, call, heard));
    }
    (known.split_off(before), !untold.is_empty())
}

fn events_of(category: &Category, hits: &[Hit<'_>], call: &Conversation<'_>, heard: &[Heard]) -> Vec<Event> {
    let about = |by: &str, event: Event| Event {
        detail: Some(format!("category={};by={by}", category.name)),
        rule_id: Some(category.id.clone()),
        rule_version: Some(category.version.clone()),
        confidence: Some(category.confidence),
        ..event
    };
    if category.absent {
        // Nothing can be missing from what somebody never said.
        let spoke = heard.iter().any(|t| category.who.speaks(t.speaker));
        let whole = Span::new(Millis::ZERO, call.end.unwrap_or(Millis::ZERO));
        let event = Event { span: call.end.map(|_| whole), ..Event::lasting(EventKind::Category, whole) };
        return if spoke && hits.is_empty() { vec![about("absence", event)] } else { Vec::new() };
    }
    // Of several that are asked for, the one that makes the number is the finding.
    let counted = hits.iter().enumerate().filter(|(i, _)| (i + 1) % category.at_least == 0).map(|(_, h)| h);
    counted
        .map(|hit| about(&hit.ground.in_words(), hit.turn.event(call.turns, EventKind::Category, hit.words)))
        .collect()
}

/// Vectors of the sentences that a semantic category looks at, by turn (position in `heard`) and sentence.
fn vectors(rules: &Ruleset, heard: &[Heard]) -> BTreeMap<(usize, usize), Embedding> {
    let Some(encoder) = rules.encoder() else { return BTreeMap::new() };
    let mut places = Vec::new();
    let mut texts = Vec::new();
    for (position, turn) in heard.iter().enumerate() {
        let wanted = rules.categories.iter().any(|(_, c)| c.needs_model() && c.who.speaks(turn.speaker));
        for (index, sentence) in
            turn.sentences.iter().enumerate().filter(|(_, s)| wanted && s.len() >= MIN_NEAR_TOKENS)
        {
            places.push((position, index));
            texts.push(sentence.shown());
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    places.into_iter().zip(encoder.encode(&texts)).collect()
}
