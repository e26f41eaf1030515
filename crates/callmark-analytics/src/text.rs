//! Words as the rules see them: lower case, without punctuation and fillers, contractions written out, in sentences.
//!
//! It exists because recognisers, chat users and people who write rules spell differently, and because a finding
//! must lead back to the very words, and so to the time, at which it was said.

use crate::ruleset::Spelling;
use callmark_types::{Millis, Span, Turn};

/// One sentence, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Normalised tokens separated by single spaces.
    pub(crate) text: String,
    /// For each token: where it starts in `text`, and the index of the written word that it comes from.
    tokens: Vec<(usize, usize)>,
    /// Whether it ends in a question mark.
    pub(crate) question: bool,
}

impl Sentence {
    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// What a sentence model is shown: the words as rules see them, and whether it is a question.
    pub(crate) fn shown(&self) -> String {
        if self.question { format!("{}?", self.text) } else { self.text.clone() }
    }

    /// First and last written word of the bytes `start..end` of the text.
    pub(crate) fn words_of(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.tokens.partition_point(|&(at, _)| at <= start).saturating_sub(1);
        let last = self.tokens.partition_point(|&(at, _)| at < end).saturating_sub(1);
        (self.tokens[first].1, self.tokens[last.max(first)].1)
    }

    /// First and last written word of the sentence.
    pub(crate) fn words(&self) -> (usize, usize) {
        (self.tokens[0].1, self.tokens[self.tokens.len() - 1].1)
    }
}

/// The written words of a turn: the recogniser's where there are any, else the text's.
pub(crate) fn written_words(turn: &Turn) -> Vec<&str> {
    if turn.words.is_empty() {
        turn.text.split_whitespace().collect()
    } else {
        turn.words.iter().map(|w| w.word.as_str()).collect()
    }
}

/// When the written words `first..=last` of a turn were said: by the words' own times, else in proportion to the
/// letters of the turn, else nothing.
pub(crate) fn span_of_words(turn: &Turn, first: usize, last: usize) -> Option<Span> {
    if let (Some(a), Some(b)) = (turn.words.get(first), turn.words.get(last)) {
        return Some(Span::new(a.span.start, b.span.end));
    }
    let span = turn.span?;
    let words = written_words(turn);
    let letters = |words: &[&str]| words.iter().map(|w| w.len() as i64 + 1).sum::<i64>();
    let all = letters(&words).max(1);
    let at = |upto: usize| {
        Millis(span.start.0 + span.duration().0 * letters(&words[..upto.min(words.len())]) / all)
    };
    Some(Span::new(at(first), at(last + 1)))
}

/// Words of small numbers.
pub(crate) const NUMBER_WORDS: &[&str] = &[
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "hundred",
];

/// Words that carry no meaning and come anywhere in speech.
pub(crate) const FILLERS: &[&str] = &["um", "uh", "erm", "er", "uhm", "umm", "hmm", "mm", "ah", "eh", "mhm"];

/// Spellings without apostrophe that are no words of their own.
const BARE_CONTRACTIONS: &[(&str, &str)] = &[
    ("dont", "do not"),
    ("cant", "can not"),
    ("wont", "will not"),
    ("didnt", "did not"),
    ("doesnt", "does not"),
    ("isnt", "is not"),
    ("wasnt", "was not"),
    ("havent", "have not"),
    ("hasnt", "has not"),
    ("wouldnt", "would not"),
    ("couldnt", "could not"),
    ("shouldnt", "should not"),
    ("arent", "are not"),
    ("aint", "is not"),
    ("im", "i am"),
    ("ive", "i have"),
    ("youre", "you are"),
    ("youve", "you have"),
    ("theyre", "they are"),
    ("thats", "that is"),
    ("whats", "what is"),
    ("theres", "there is"),
    ("cannot", "can not"),
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "got to"),
    ("lemme", "let me"),
    ("gimme", "give me"),
    ("dunno", "do not know"),
    ("ok", "okay"),
    ("alright", "all right"),
    ("u", "you"),
    ("pls", "please"),
    ("plz", "please"),
    ("thx", "thanks"),
    ("yea", "yeah"),
];

/// Words after which `'s` is "is" (or "has"), not a genitive.
const IS_AFTER: &[&str] = &[
    "it",
    "that",
    "this",
    "what",
    "there",
    "here",
    "he",
    "she",
    "who",
    "where",
    "how",
    "everything",
    "nothing",
    "something",
    "all",
    "when",
    "why",
];

/// Splits written words into normalised sentences. Sentences without a word left are dropped.
pub(crate) fn sentences(words: &[&str], spelling: &Spelling) -> Vec<Sentence> {
    let mut out = Vec::new();
    let mut current = Sentence { text: String::new(), tokens: Vec::new(), question: false };
    for (index, word) in words.iter().enumerate() {
        for token in tokens_of(word) {
            push_token(&mut current, spelling.corrected(&token), index);
        }
        let ended = word.trim_end_matches(['"', '\'', ')', '*', '”', '’']);
        if ended.ends_with(['.', '!', '?', ';', '…']) || *word == "-" || *word == "–" {
            current.question = ended.ends_with('?');
            flush(&mut current, &mut out);
        }
    }
    flush(&mut current, &mut out);
    out
}

/// Splits a plain text into normalised sentences.
pub(crate) fn sentences_of_text(text: &str, spelling: &Spelling) -> Vec<Sentence> {
    let words: Vec<&str> = text.split_whitespace().collect();
    sentences(&words, spelling)
}

fn flush(current: &mut Sentence, out: &mut Vec<Sentence>) {
    if current.tokens.is_empty() {
        return;
    }
    let empty = Sentence { text: String::new(), tokens: Vec::new(), question: false };
    out.push(std::mem::replace(current, empty));
}

fn push_token(sentence: &mut Sentence, token: &str, word: usize) {
    let last_start = sentence.tokens.last().map(|t| t.0);
    let repeats = last_start.is_some_and(|at| &sentence.text[at..] == token);
    if token.is_empty() || FILLERS.contains(&token) || repeats {
        return;
    }
    if !sentence.text.is_empty() {
        sentence.text.push(' ');
    }
    sentence.tokens.push((sentence.text.len(), word));
    sentence.text.push_str(token);
}

/// The normalised tokens of one written word: `Don't,` gives `do` and `not`.
fn tokens_of(word: &str) -> Vec<String> {
    let folded: String = word
        .to_lowercase()
        .replace("e-mail", "email")
        .chars()
        .map(|c| match c {
            '’' | '‘' | '`' | '´' => '\'',
            '-' | '/' | '–' | '—' | ',' | ':' | '_' => ' ',
            c => c,
        })
        .collect();
    let mut out = Vec::new();
    for piece in folded.split(' ') {
        let piece: String = piece.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect();
        let piece = piece.trim_matches('\'');
        if piece.is_empty() {
            continue;
        }
        expand(piece, &mut out);
    }
    out
}

fn expand(piece: &str, out: &mut Vec<String>) {
    let mut push = |text: &str| out.extend(text.split(' ').filter(|t| !t.is_empty()).map(str::to_owned));
    if let Some((_, long)) = BARE_CONTRACTIONS.iter().find(|(short, _)| *short == piece) {
        return push(long);
    }
    match piece {
        "won't" => return push("will not"),
        "can't" => return push("can not"),
        "let's" => return push("let us"),
        "y'all" => return push("you all"),
        "ma'am" => return push("madam"),
        _ => {}
    }
    let Some((stem, ending)) = piece.rsplit_once('\'') else {
        return push(piece);
    };
    match ending {
        "t" if stem.ends_with('n') => push(&format!("{} not", &stem[..stem.len() - 1])),
        "m" => push(&format!("{stem} am")),
        "re" => push(&format!("{stem} are")),
        "ve" => push(&format!("{stem} have")),
        "ll" => push(&format!("{stem} will")),
        "d" => push(&format!("{stem} would")),
        "s" if IS_AFTER.contains(&stem) => push(&format!("{stem} is")),
        _ => push(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Vec<String> {
        sentences_of_text(text, &Spelling::default()).into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn punctuation_case_fillers_and_contractions_are_folded() {
        assert_eq!(
            normal("Um, I don't WANT it. That's, that’s the -- e-mail! Cant you?"),
            ["i do not want it", "that is that is the email", "can not you"]
        );
    }

    #[test]
    fn a_genitive_keeps_its_s_and_a_full_stop_inside_a_number_ends_nothing() {
        assert_eq!(normal("my agent's fee is 3.50 dollars"), ["my agent's fee is 350 dollars"]);
    }

    #[test]
    fn tokens_lead_back_to_the_words_they_come_from() {
        let sentence = &sentences_of_text("Well, I don't know.", &Spelling::default())[0];
        let at = sentence.text.find("not know").unwrap();
        assert_eq!(sentence.words_of(at, at + "not know".len()), (2, 3));
        assert_eq!(sentence.words(), (0, 3));
    }
}
