//! Words of a text as the lexicons spell them, with what punctuation and spelling say of their weight.

use crate::text::NUMBER_WORDS;

/// Longest text looked at, in words; what comes after is left out.
const MAX_TOKENS: usize = 2_000;
/// Letters repeated this often or more are emphasis ("sooo").
const ELONGATION: usize = 3;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Lower case, contractions spelled out.
    pub(super) text: String,
    /// Number of its sentence, from 0.
    pub(super) sentence: usize,
    /// Written in capitals, or with letters drawn out.
    pub(super) emphasised: bool,
    /// What sort of word it is.
    pub(super) kind: TokenKind,
    /// Followed by a comma or the end of its sentence.
    pub(super) pause_after: bool,
}

/// What sort of word a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Plain,
    /// A digit or a number word.
    Number,
    /// Came as a hash tag.
    Hashtag,
}

/// A text, cut into words and sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text {
    pub(super) tokens: Vec<Token>,
    /// Whether each sentence ends with a question mark.
    pub(super) questions: Vec<bool>,
    /// Exclamation marks in the whole text.
    pub(super) exclamations: usize,
}

/// Contractions that are not their parts put together, and those that recognisers write without an apostrophe.
const CONTRACTIONS: &[(&str, &[&str])] = &[
    ("can't", &["can", "not"]),
    ("cant", &["can", "not"]),
    ("won't", &["will", "not"]),
    ("wont", &["will", "not"]),
    ("shan't", &["will", "not"]),
    ("ain't", &["is", "not"]),
    ("aint", &["is", "not"]),
    ("dont", &["do", "not"]),
    ("doesnt", &["does", "not"]),
    ("didnt", &["did", "not"]),
    ("isnt", &["is", "not"]),
    ("wasnt", &["was", "not"]),
    ("arent", &["are", "not"]),
    ("werent", &["were", "not"]),
    ("havent", &["have", "not"]),
    ("hasnt", &["has", "not"]),
    ("hadnt", &["had", "not"]),
    ("wouldnt", &["would", "not"]),
    ("couldnt", &["could", "not"]),
    ("shouldnt", &["should", "not"]),
    ("im", &["i", "am"]),
    ("ive", &["i", "have"]),
    ("youre", &["you", "are"]),
    ("theyre", &["they", "are"]),
    ("thats", &["that", "is"]),
    ("whats", &["what", "is"]),
    ("wheres", &["where", "is"]),
    ("theres", &["there", "is"]),
    ("gonna", &["going", "to"]),
    ("wanna", &["want", "to"]),
    ("gotta", &["got", "to"]),
    ("u", &["you"]),
    ("ur", &["your"]),
    ("r", &["are"]),
    ("pls", &["please"]),
    ("plz", &["please"]),
    ("cuz", &["because"]),
    ("w/o", &["without"]),
    ("let's", &["let", "us"]),
];

/// Words whose `'s` is "is".
const IS_WORDS: &[&str] = &[
    "it",
    "that",
    "what",
    "where",
    "there",
    "here",
    "who",
    "how",
    "he",
    "she",
    "everything",
    "nothing",
    "this",
    "when",
];

/// Cuts `text`; `is_known` tells which spellings the lexicons have (smileys and drawn-out words are looked up).
pub(super) fn cut(text: &str, is_known: impl Fn(&str) -> bool) -> Text {
    let mut out = Text { exclamations: text.matches('!').count(), ..Text::default() };
    let mut sentence = 0;
    for chunk in text.replace('\u{2019}', "'").replace("&amp;", "&").split_whitespace() {
        if out.tokens.len() >= MAX_TOKENS {
            break;
        }
        if chunk.starts_with('@') || chunk.contains("://") {
            continue;
        }
        let before = out.tokens.len();
        if is_known(chunk) && !chunk.contains(char::is_alphanumeric) {
            out.tokens.push(plain(chunk, sentence));
        } else {
            push_chunk(&mut out.tokens, chunk, sentence, &is_known);
        }
        let ends =
            chunk.trim_end_matches(['"', '\'', ')', '\u{201d}']).ends_with(['.', '!', '?', ';', '\u{2026}']);
        if let Some(last) = out.tokens.last_mut().filter(|_| ends || chunk.ends_with(',')) {
            last.pause_after = true;
        }
        if ends && out.tokens.len() + before > 0 {
            set_question(&mut out.questions, sentence, chunk.contains('?'));
            sentence += 1;
        }
    }
    set_question(&mut out.questions, sentence, false);
    out
}

fn set_question(questions: &mut Vec<bool>, sentence: usize, question: bool) {
    if questions.len() <= sentence {
        questions.resize(sentence + 1, false);
        questions[sentence] = question;
    }
}

fn plain(text: &str, sentence: usize) -> Token {
    Token { text: text.to_owned(), sentence, emphasised: false, kind: TokenKind::Plain, pause_after: false }
}

/// Cuts what stands between two spaces: at hyphens, slashes and dots, and around pictographs.
fn push_chunk(tokens: &mut Vec<Token>, chunk: &str, sentence: usize, is_known: &impl Fn(&str) -> bool) {
    let hashtag = chunk.starts_with('#');
    let mut word = String::new();
    for character in chunk.chars() {
        if character.is_alphanumeric() || character == '\'' {
            word.push(character);
            continue;
        }
        push_word(tokens, &std::mem::take(&mut word), sentence, hashtag, is_known);
        let mut buffer = [0; 4];
        let alone: &str = character.encode_utf8(&mut buffer);
        if !character.is_ascii() && is_known(alone) {
            tokens.push(plain(alone, sentence));
        }
    }
    push_word(tokens, &word, sentence, hashtag, is_known);
}

fn push_word(
    tokens: &mut Vec<Token>,
    raw: &str,
    sentence: usize,
    hashtag: bool,
    is_known: &impl Fn(&str) -> bool,
) {
    let raw = raw.trim_matches('\'');
    if raw.is_empty() {
        return;
    }
    let capitals = raw.chars().count() > 2
        && raw.chars().all(|c| !c.is_lowercase())
        && raw.chars().any(char::is_uppercase);
    let lower = raw.to_lowercase();
    let (text, drawn_out) = without_elongation(&lower, is_known);
    for part in expanded(&text) {
        let is_number = part.starts_with(|c: char| c.is_ascii_digit())
            || NUMBER_WORDS.contains(&part.as_str())
            || part == "thousand";
        let kind = match (hashtag, is_number) {
            (true, _) => TokenKind::Hashtag,
            (false, true) => TokenKind::Number,
            (false, false) => TokenKind::Plain,
        };
        tokens.push(Token {
            text: part,
            sentence,
            emphasised: capitals || drawn_out,
            kind,
            pause_after: false,
        });
    }
}

/// The words that a written word stands for.
fn expanded(word: &str) -> Vec<String> {
    if let Some((_, parts)) = CONTRACTIONS.iter().find(|(contraction, _)| *contraction == word) {
        return parts.iter().map(|part| (*part).to_owned()).collect();
    }
    let Some((stem, ending)) = word.rsplit_once('\'') else { return vec![word.to_owned()] };
    if ending == "t" && stem.ends_with('n') {
        return vec![stem[..stem.len() - 1].to_owned(), "not".to_owned()];
    }
    let second = match ending {
        "s" if IS_WORDS.contains(&stem) => "is",
        "m" => "am",
        "re" => "are",
        "ve" => "have",
        "ll" => "will",
        "d" => "would",
        "s" | "" => return vec![stem.to_owned()],
        _ => return vec![word.to_owned()],
    };
    vec![stem.to_owned(), second.to_owned()]
}

/// Takes out letters repeated for emphasis, down to two or one, whichever the lexicons know.
fn without_elongation(word: &str, is_known: &impl Fn(&str) -> bool) -> (String, bool) {
    let squeezed = |keep: usize| {
        let mut out = String::with_capacity(word.len());
        let mut run = 0;
        let mut last = None;
        for character in word.chars() {
            run = if last == Some(character) { run + 1 } else { 1 };
            last = Some(character);
            if run <= keep {
                out.push(character);
            }
        }
        out
    };
    let twice = squeezed(2);
    let is_elongated = word.chars().count() >= twice.chars().count() + ELONGATION - 2
        && twice.len() < word.len()
        && !word.contains(|c: char| c.is_ascii_digit());
    if !is_elongated {
        return (word.to_owned(), false);
    }
    if is_known(&twice) { (twice, true) } else { (squeezed(1), true) }
}
