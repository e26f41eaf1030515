//! Identities. A call id keys every table and every message, so it is checked once, here.

use serde::{Deserialize, Serialize};

/// Longest call id accepted, in bytes.
const MAX_CALL_ID_BYTES: usize = 256;

/// The identity of one call: 1 to 256 bytes, no control characters, no leading or trailing white space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(String);

/// Why a text is no call id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallId {
    /// The text is empty.
    #[error("call id is empty")]
    Empty,
    /// The text is longer than 256 bytes.
    #[error("call id has {0} bytes, at most {MAX_CALL_ID_BYTES} are allowed")]
    TooLong(usize),
    /// The text holds a control character, or white space at an end.
    #[error("call id {0:?} has a control character or white space at an end")]
    BadCharacter(String),
}

impl CallId {
    /// Checks `text` and makes it a call id.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidCallId> {
        let text = text.into();
        if text.is_empty() {
            return Err(InvalidCallId::Empty);
        }
        if text.len() > MAX_CALL_ID_BYTES {
            return Err(InvalidCallId::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(InvalidCallId::BadCharacter(text));
        }
        Ok(Self(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CallId {
    type Error = InvalidCallId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_is_refused_when_empty_long_or_unprintable() {
        assert_eq!(CallId::new(""), Err(InvalidCallId::Empty));
        assert_eq!(CallId::new("x".repeat(257)), Err(InvalidCallId::TooLong(257)));
        assert!(matches!(CallId::new("a\nb"), Err(InvalidCallId::BadCharacter(_))));
        assert!(matches!(CallId::new(" a"), Err(InvalidCallId::BadCharacter(_))));
        assert_eq!(CallId::new("2026/call 7").map(|id| id.to_string()), Ok("2026/call 7".to_owned()));
    }
}
