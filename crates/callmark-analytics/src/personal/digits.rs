//! What a word adds to a number: digits said, written or in tens, and letters.

use super::Line;
use crate::text::NUMBER_WORDS;
use std::ops::Range;

/// Words from ten to nineteen, and of the tens, where they stand in the list of number words.
const TEENS: Range<usize> = 9..19;
const TENS: Range<usize> = 19..27;

fn position(of: Range<usize>, word: &str) -> Option<usize> {
    NUMBER_WORDS[of].iter().position(|name| *name == word)
}

/// The piece at word `at`, which may depend on the words beside it: tens take a digit, "hundred" makes noughts.
pub(super) fn piece_at(line: &Line, at: usize) -> Option<Piece> {
    let word = line.words.get(at)?;
    let plain = word.plain.as_str();
    let digit = |at: usize| match line.words.get(at).and_then(|w| piece(&w.plain)) {
        Some(Piece::Digits(digits)) if digits.len() == 1 => Some(digits[0]),
        _ => None,
    };
    let before = at.checked_sub(1).filter(|b| !line.words[*b].stop);
    let is_tens = |at: usize| position(TENS, line.plain(at)).is_some();
    // The digit behind tens was taken with them.
    if let Some(b) = before
        && is_tens(b)
        && digit(at).is_some_and(|d| d > 0)
    {
        return Some(Piece::Tens(Vec::new()));
    }
    let (ten, one) = plain.split_once('-').unwrap_or((plain, ""));
    if let Some(value) = position(TENS, ten) {
        let behind = if one.is_empty() { digit(at + 1).filter(|_| !word.stop) } else { digit_named(one) };
        return Some(Piece::Tens(vec![value as u8 + 2, behind.unwrap_or(0)]));
    }
    if let Some(value) = position(TEENS, plain) {
        return Some(Piece::Tens(vec![1, value as u8]));
    }
    if plain == "hundred" {
        // "Nine hundred one two": noughts of a number; "nine hundred and ten": an amount.
        let said = before.is_some_and(|b| digit(b).is_some());
        return (said && digit(at + 1).is_some() && digit(at + 2).is_some()).then(|| Piece::Tens(vec![0, 0]));
    }
    let bare = word.raw.trim_matches(|c: char| !c.is_alphanumeric());
    let in_capitals = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_uppercase());
    if in_capitals && bare.len() == 1 && bare == "A" {
        // An article, unless letters or digits stand beside it.
        let beside = |at: usize| {
            line.words.get(at).is_some_and(|w| w.raw.chars().next().is_some_and(char::is_uppercase))
                && line.plain(at).chars().count() == 1
        };
        return (beside(at + 1) || before.is_some_and(beside)).then_some(Piece::Letter);
    }
    if in_capitals && (2..=4).contains(&bare.len()) {
        let figures = |at: usize| line.plain(at).bytes().any(|b| b.is_ascii_digit());
        return (before.is_some_and(figures) && figures(at + 1)).then_some(Piece::Letters(bare.len()));
    }
    piece(plain)
}

fn digit_named(word: &str) -> Option<u8> {
    match piece(word) {
        Some(Piece::Digits(digits)) if digits.len() == 1 => Some(digits[0]),
        _ => None,
    }
}

/// Whether a word is a digit, tens, or a letter of a number: what a repeated number consists of.
pub(super) fn is_of_number(word: &str) -> bool {
    position(TEENS.start..TENS.end, word).is_some()
        || matches!(piece(word), Some(Piece::Digits(_) | Piece::Mixed { .. } | Piece::Times(_)))
}

/// What a word adds to a number.
pub(super) enum Piece {
    Digits(Vec<u8>),
    Mixed {
        digits: Vec<u8>,
        letters: usize,
    },
    Letter,
    /// Letters in capitals between figures: "GB29 NWBK 6016".
    Letters(usize),
    /// Digits said in tens.
    Tens(Vec<u8>),
    /// "double", "triple".
    Times(usize),
}

fn piece(word: &str) -> Option<Piece> {
    const NAMES: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    if let Some(digit) = NAMES.iter().position(|name| *name == word) {
        return Some(Piece::Digits(vec![digit as u8]));
    }
    match word {
        "oh" | "nought" | "o" => return Some(Piece::Digits(vec![0])),
        "double" => return Some(Piece::Times(2)),
        "triple" => return Some(Piece::Times(3)),
        _ => {}
    }
    // Digit words that a recogniser joins with hyphens: `four-four-nine-zero`.
    if word.contains('-') {
        let parts: Option<Vec<u8>> = word
            .split('-')
            .map(|part| NAMES.iter().position(|name| *name == part).map(|digit| digit as u8))
            .collect();
        if let Some(digits) = parts {
            return Some(Piece::Digits(digits));
        }
    }
    let digits: Vec<u8> = word.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let others = word.chars().filter(|c| !c.is_alphanumeric() && !"-.+,/()#$£€_".contains(*c)).count();
    let spelled = word.split('-').all(|part| part.chars().count() == 1);
    match (digits.len(), letters) {
        _ if others > 0 => None,
        (1.., 0) => Some(Piece::Digits(digits)),
        // Ordinals and quantities ("4th", "3g", "10am") are no identifiers.
        (1.., 1..=12) if word.contains('_') => Some(Piece::Mixed { digits, letters }),
        (1.., 1..=6) if digits.len() + letters >= 4 && digits.len() >= 2 => {
            Some(Piece::Mixed { digits, letters })
        }
        (0, 1) if word != "a" && word != "i" => Some(Piece::Letter),
        (0, 2..=6) if spelled => Some(Piece::Letter),
        _ => None,
    }
}
