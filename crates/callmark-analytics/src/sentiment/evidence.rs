//! What one text shows by itself: words and phrases with their weights, negation, contrast, mockery.

use super::lexicon::Lexicons;
use super::text::{Text, TokenKind};

/// Words before a sentiment word in which a negator is looked for.
const NEGATION_REACH: usize = 3;
/// Words before a sentiment word in which one is looked for that strengthens or weakens it.
const DEGREE_REACH: usize = 2;
/// Weight of praise that is denied ("not happy"), turned round.
const DENIED_PRAISE: f64 = -0.6;
/// Weight of trouble that is denied ("not angry"), turned round.
const DENIED_TROUBLE: f64 = 0.15;
const INTENSIFIED: f64 = 1.25;
const DIMINISHED: f64 = 0.7;
const EMPHASISED: f64 = 1.15;
/// Praise of what is not so yet ("would be great").
const HYPOTHETICAL: f64 = 0.3;
/// Trouble that has not come ("if I can't …").
const CONDITIONAL_TROUBLE: f64 = 0.4;
/// Praise in a question.
const ASKED_PRAISE: f64 = 0.4;
/// Trouble in a question.
const ASKED_TROUBLE: f64 = 0.85;
/// What stands before "but".
const BEFORE_CONTRAST: f64 = 0.4;
/// What praise is worth beside trouble in the same text.
const PRAISE_BESIDE_TROUBLE: f64 = 0.55;
/// The same for mere politeness.
const POLITENESS_BESIDE_TROUBLE: f64 = 0.15;
/// Scores up to this are politeness.
const POLITE: f64 = 1.0;
/// Each further piece of evidence of one sign counts this much less than the one before.
const DECAY: f64 = 0.45;
/// Trouble from which mockable praise at the start of a text is mockery.
const TROUBLE_FOR_MOCKERY: f64 = -1.4;
/// Score of praise that mocks.
const MOCKERY: f64 = -1.5;
/// Most that one word of praise weighs as an answer ("Great, …"): it is as much a receipt as praise.
const MAX_RECEIPT: f64 = 2.0;
/// "No" before these is an answer, not a denial of what follows.
const AFTER_ANSWER: &[&str] = &[
    "i",
    "we",
    "you",
    "he",
    "she",
    "it",
    "that",
    "this",
    "they",
    "thanks",
    "thank",
    "no",
    "all",
    "everything",
    "the",
];
/// An exclamation mark strengthens by this, at most [`MAX_EXCLAMATIONS`] times.
const PER_EXCLAMATION: f64 = 0.08;
const MAX_EXCLAMATIONS: usize = 3;

/// What a text shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Evidence {
    /// -5 to 5; 0 where nothing was found.
    pub(super) score: f64,
    /// The entry that weighs most.
    pub(super) entry: Option<String>,
    /// The text begins with praise that could be meant as its opposite.
    pub(super) opens_with_praise: bool,
    /// Thanks, or a word of relief: not mockery.
    pub(super) is_grateful: bool,
    /// Words in the text.
    pub(super) words: usize,
    /// Exclamation marks in the text.
    pub(super) exclamations: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Hit {
    at: usize,
    end: usize,
    score: f64,
    entry: String,
    is_phrase: bool,
}

/// Weighs a customer's text.
pub(super) fn weigh(lexicons: &Lexicons, text: &str) -> Evidence {
    let text = lexicons.cut(text);
    let mut hits = find(lexicons, &text);
    for hit in &mut hits {
        hit.score *= weight_in_place(lexicons, &text, hit);
    }
    let opens_with_praise = opens_with_praise(lexicons, &text);
    let worst = hits.iter().map(|hit| hit.score).fold(0.0, f64::min);
    if opens_with_praise && worst <= TROUBLE_FOR_MOCKERY {
        mock(lexicons, &text, &mut hits);
    }
    let is_grateful =
        text.tokens.iter().any(|token| token.text.starts_with("thank") || token.text == "relief");
    let entry = hits
        .iter()
        .max_by(|a, b| a.score.abs().total_cmp(&b.score.abs()))
        .filter(|hit| hit.score != 0.0)
        .map(|hit| hit.entry.clone());
    Evidence {
        score: combined(&hits, text.exclamations),
        entry,
        opens_with_praise,
        is_grateful,
        words: text.tokens.len(),
        exclamations: text.exclamations,
    }
}

/// Phrases first, then words, from left to right without overlaps.
fn find(lexicons: &Lexicons, text: &Text) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut at = 0;
    while at < text.tokens.len() {
        let token = &text.tokens[at];
        let phrase = lexicons.phrases.longest(&text.tokens, at);
        let word = || match lexicons.word(&token.text) {
            None if token.kind == TokenKind::Hashtag => lexicons.hashtag(&token.text),
            known => known,
        };
        let single = || word().map(|score| (1, score, token.text.clone(), false));
        let multiple = phrase.map(|found| (found.words, found.score, found.source.to_owned(), true));
        let Some((words, score, entry, is_phrase)) = multiple.or_else(single) else {
            at += 1;
            continue;
        };
        hits.push(Hit { at, end: at + words, score, entry, is_phrase });
        at += words;
    }
    hits
}

/// By how much the words around a hit change it.
fn weight_in_place(lexicons: &Lexicons, text: &Text, hit: &Hit) -> f64 {
    let modifiers = &lexicons.modifiers;
    let tokens = &text.tokens;
    let sentence = tokens[hit.at].sentence;
    let mut before = tokens[..hit.at]
        .iter()
        .rev()
        .take_while(|token| token.sentence == sentence)
        .take_while(|token| !modifiers.contrasts.contains(&token.text));
    let near: Vec<&str> = before.by_ref().take(NEGATION_REACH).map(|token| token.text.as_str()).collect();
    let is_answer = |distance: usize| {
        let position = hit.at - 1 - distance;
        let next = &tokens[position + 1].text;
        tokens[position].text == "no"
            && (tokens[position].pause_after || AFTER_ANSWER.contains(&next.as_str()))
    };
    let praise = hit.score > 0.0;
    let mut weight = 1.0;
    if !hit.is_phrase || praise {
        let negators = near
            .iter()
            .enumerate()
            .filter(|(distance, word)| modifiers.negators.contains(**word) && !is_answer(*distance))
            .count();
        if negators % 2 == 1 && hit.score.abs() > POLITE * 0.5 {
            weight *= if praise { DENIED_PRAISE } else { -DENIED_TROUBLE };
        }
    }
    for word in near.iter().take(DEGREE_REACH) {
        if modifiers.intensifiers.contains(*word) && hit.score.abs() > POLITE {
            weight *= INTENSIFIED;
        } else if modifiers.diminishers.contains(*word) {
            weight *= DIMINISHED;
        }
    }
    if praise && hit.score > POLITE && near.iter().any(|word| modifiers.hypotheticals.contains(*word)) {
        weight *= HYPOTHETICAL;
    }
    if !praise && near.contains(&"if") {
        weight *= CONDITIONAL_TROUBLE;
    }
    let is_receipt = !hit.is_phrase && tokens[hit.at].pause_after && near.len() <= 1;
    if praise && is_receipt && hit.score > MAX_RECEIPT && text.exclamations == 0 {
        weight *= MAX_RECEIPT / hit.score;
    }
    if tokens[hit.at..hit.end].iter().any(|token| token.emphasised) {
        weight *= EMPHASISED;
    }
    if text.questions.get(sentence).copied().unwrap_or(false) && hit.score.abs() > POLITE {
        weight *= if praise { ASKED_PRAISE } else { ASKED_TROUBLE };
    }
    let contrast_follows = tokens[hit.end..]
        .iter()
        .take_while(|token| token.sentence <= sentence + 1)
        .any(|token| matches!(token.text.as_str(), "but" | "however" | "except"));
    if contrast_follows {
        weight *= BEFORE_CONTRAST;
    }
    weight
}

/// Whether the first words praise with a word that is often mockery.
fn opens_with_praise(lexicons: &Lexicons, text: &Text) -> bool {
    text.tokens.iter().take(3).any(|token| lexicons.modifiers.mockable.contains(&token.text))
}

/// Turns the praise round that opens a text full of trouble.
fn mock(lexicons: &Lexicons, text: &Text, hits: &mut [Hit]) {
    for hit in hits.iter_mut().filter(|hit| hit.at < 3 && hit.score > POLITE) {
        let is_mockable = text.tokens[hit.at..hit.end]
            .iter()
            .any(|token| lexicons.modifiers.mockable.contains(&token.text));
        if is_mockable {
            hit.score = MOCKERY;
        }
    }
}

/// One score of many: the strongest evidence of each sign counts in full, further evidence ever less.
fn combined(hits: &[Hit], exclamations: usize) -> f64 {
    let sum = |sign: f64| {
        let mut scores: Vec<f64> =
            hits.iter().map(|hit| hit.score * sign).filter(|score| *score > 0.0).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let mut weight = 1.0;
        let mut total = 0.0;
        for score in &scores {
            total += score * weight;
            weight *= DECAY;
        }
        (total, scores.first().copied().unwrap_or(0.0))
    };
    let ((praise, best), (trouble, _)) = (sum(1.0), sum(-1.0));
    let beside = match (trouble > 0.0, best <= POLITE) {
        (false, _) => 1.0,
        (true, true) => POLITENESS_BESIDE_TROUBLE,
        (true, false) => PRAISE_BESIDE_TROUBLE,
    };
    // Thanks said twice are not twice the thanks.
    let praise = if best <= POLITE { best } else { praise };
    let shouted = 1.0 + PER_EXCLAMATION * exclamations.min(MAX_EXCLAMATIONS) as f64;
    ((praise * beside - trouble) * shouted).clamp(-5.0, 5.0)
}
