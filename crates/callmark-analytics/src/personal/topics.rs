//! What a line speaks of: which numbers, names and places it asks for or announces.
//!
//! Each line is looked through once; the finders then ask which of its words stand near a number.

use super::Written;
use std::collections::BTreeSet;

/// What is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// A number, of whatever.
    Number,
    /// Something that has a number: an order, an account.
    Thing,
    Card,
    Phone,
    National,
    Birth,
    Address,
    Postcode,
    Name,
    /// Several letters or figures on a card beside its number: its security code, its expiry.
    CardCode,
    /// When a card ends, or something else does.
    Expiry,
    /// A number of a bank: sort code, IBAN.
    Bank,
    Email,
    /// What lets somebody in: a password, a PIN.
    Secret,
}

/// Several of them.
pub(super) type Topics = BTreeSet<Topic>;

/// The phrases that speak of a topic.
const PHRASES: &[(Topic, &[&str])] = &[
    (
        Topic::Number,
        &[
            "number",
            "numbers",
            "code",
            "digits",
            "ending in",
            "ends in",
            "ending with",
            "last four",
            "id",
            "identification",
        ],
    ),
    (
        Topic::Thing,
        &[
            "reference",
            "order",
            "account",
            "policy",
            "claim",
            "tracking",
            "booking",
            "confirmation",
            "reservation",
            "ticket",
            "invoice",
            "membership",
            "contract",
            "case",
            "customer id",
            "record locator",
            "locator",
            "user id",
            "username",
            "user name",
            "licence",
            "license",
            "serial",
        ],
    ),
    (Topic::Card, &["card", "visa", "mastercard"]),
    (
        Topic::Phone,
        &[
            "phone",
            "telephone",
            "mobile",
            "cell",
            "call you",
            "reach you",
            "call me",
            "reach me",
            "text you",
            "text me",
            "callback",
            "call back",
            "number you're calling from",
            "line ending",
            "direct number",
        ],
    ),
    (Topic::National, &["social", "ssn", "national insurance", "tax id", "passport", "identity number"]),
    (Topic::Birth, &["born", "birth", "birthday", "birthdate", "dob"]),
    (Topic::Address, &["address", "live", "street", "located", "deliver", "delivered", "delivery"]),
    (Topic::Postcode, &["zip", "postcode", "postal", "zipcode"]),
    (
        Topic::Name,
        &[
            "your name",
            "full name",
            "first name",
            "last name",
            "name please",
            "name on",
            "the name",
            "your surname",
            "speaking with",
            "speaking to",
            "who am i",
            "spell",
            "spelled",
            "spelling",
            "maiden name",
        ],
    ),
    (
        Topic::CardCode,
        &[
            "security code",
            "cvv",
            "cvc",
            "cv2",
            "code on the back",
            "digits on the back",
            "number on the back",
            "expiry",
            "expiration",
            "exp date",
        ],
    ),
    (Topic::Expiry, &["expires", "expiring", "valid until", "valid through", "valid thru", "good through"]),
    (Topic::Bank, &["sort code", "iban", "routing", "swift", "bic", "branch code"]),
    (Topic::Email, &["email", "e-mail", "mail address", "emails"]),
    (
        Topic::Secret,
        &[
            "pin",
            "pin code",
            "password",
            "passcode",
            "passphrase",
            "pass code",
            "secret word",
            "memorable word",
        ],
    ),
];

/// A phrase that stands in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mention {
    first: usize,
    last: usize,
    topic: Topic,
}

/// The phrases of a line, in order of their first words.
pub(super) fn mentions(words: &[Written]) -> Vec<Mention> {
    let mut found = Vec::new();
    for first in 0..words.len() {
        for (topic, phrases) in PHRASES {
            let lengths = phrases.iter().filter_map(|phrase| length_at(words, first, phrase));
            found.extend(lengths.map(|length| Mention { first, last: first + length - 1, topic: *topic }));
        }
    }
    found
}

/// How many words `phrase` has, where it begins at word `first`.
pub(super) fn length_at(words: &[Written], first: usize, phrase: &str) -> Option<usize> {
    let mut length = 0;
    for wanted in phrase.split(' ') {
        if words.get(first + length)?.plain != wanted {
            return None;
        }
        length += 1;
    }
    Some(length)
}

/// What the words `from..to` of a line speak of.
pub(super) fn topics(mentions: &[Mention], from: usize, to: usize) -> Topics {
    mentions.iter().filter(|m| from <= m.first && m.last < to).map(|m| m.topic).collect()
}
