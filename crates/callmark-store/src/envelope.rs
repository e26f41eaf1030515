//! What a message says beside its value: needed to send it again as it was.

use crate::hex;
use serde::{Deserialize, Serialize};

/// Key and headers of a message. In a dead letter's record their bytes stand as hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HexEnvelope", into = "HexEnvelope")]
pub struct Envelope {
    /// The key, where there is one.
    pub key: Option<Vec<u8>>,
    /// The headers in their order; a name may stand more than once.
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct HexEnvelope {
    key: Option<String>,
    headers: Vec<(String, String)>,
}

impl From<Envelope> for HexEnvelope {
    fn from(envelope: Envelope) -> Self {
        Self {
            key: envelope.key.map(|key| hex::encode(&key)),
            headers: envelope.headers.into_iter().map(|(name, value)| (name, hex::encode(&value))).collect(),
        }
    }
}

impl TryFrom<HexEnvelope> for Envelope {
    type Error = String;
    fn try_from(text: HexEnvelope) -> Result<Self, String> {
        let headers = text.headers.into_iter().map(|(name, value)| Ok((name, bytes(&value)?)));
        Ok(Self {
            key: text.key.as_deref().map(bytes).transpose()?,
            headers: headers.collect::<Result<_, String>>()?,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).ok_or_else(|| "not hex digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        let envelope =
            Envelope { key: Some(vec![0, 255]), headers: vec![("h".to_owned(), b"\xff\x01".to_vec())] };
        let text = serde_json::to_string(&envelope).unwrap();
        assert!(text.contains("00ff"), "{text}");
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
        assert!(serde_json::from_str::<Envelope>(r#"{"key":"0","headers":[]}"#).is_err());
    }
}
