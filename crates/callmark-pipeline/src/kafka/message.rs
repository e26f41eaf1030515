//! What a message of `calls.recordings` asks for.
//!
//! A value is either JSON (metadata with a `uri`, or a conversation with `turns`) or the recording itself, whose
//! metadata stands in the header `call`. Errors name the field and quote nothing that was said.

use super::event::Incoming;
use crate::hear::StageError;
use crate::metadata_fields::{METADATA_FIELDS, metadata_from_fields, nearest};
use crate::transcripts::{WrittenConversation, parse_conversation};
use callmark_types::{CallId, CallMetadata};
use serde_json::Value;
use std::collections::HashMap;

/// Tells what the value is.
const CONTENT_TYPE: &str = "content-type";
/// Metadata beside a recording.
const CALL: &str = "call";
/// Where a recording is.
const URI: &str = "uri";
/// Longest URI, in bytes.
const MAX_URI_BYTES: usize = 4096;

/// What is to be scored.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// A recording in the message.
    Recording { metadata: CallMetadata, content_type: Option<String> },
    /// A recording elsewhere.
    Remote { metadata: CallMetadata, uri: String },
    /// A conversation that was written down.
    Written(Box<WrittenConversation>),
}

/// The call that a message is about, as far as its key tells.
pub(crate) fn call_of_key(message: &Incoming) -> Option<CallId> {
    CallId::new(std::str::from_utf8(message.key.as_deref()?).ok()?).ok()
}

/// How often a message was tried before it was sent again.
pub(crate) fn attempts_before(message: &Incoming) -> u32 {
    let header = message.header("attempts").and_then(|text| std::str::from_utf8(text).ok());
    header.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Reads a message.
pub(crate) fn read_request(message: &Incoming, max_bytes: u64) -> Result<Request, StageError> {
    let Some(value) = message.value.as_deref().filter(|value| !value.is_empty()) else {
        return Err(parse_error(
            "the message has no value: send JSON with a `uri`, or the recording's bytes",
        ));
    };
    if value.len() as u64 > max_bytes {
        let bytes = value.len();
        return Err(StageError::new(
            "read",
            format!("the message has {bytes} bytes, the limit is {max_bytes}"),
        ));
    }
    let content_type = header_text(message, CONTENT_TYPE)?;
    if is_json(message, content_type.as_deref(), value) {
        return from_json(message, value);
    }
    let fields = match message.header(CALL) {
        Some(json) => object(json).map_err(|e| parse_error(format!("header `call`: {e}")))?,
        None => HashMap::new(),
    };
    let metadata = metadata_of(message, &fields).map_err(|e| parse_error(format!("header `call`: {e}")))?;
    Ok(Request::Recording { metadata, content_type })
}

fn parse_error(reason: impl Into<String>) -> StageError {
    StageError::new("parse", reason)
}

fn header_text(message: &Incoming, name: &str) -> Result<Option<String>, StageError> {
    match message.header(name).map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(parse_error(format!("header `{name}` is not UTF-8"))),
    }
}

/// By the content type where there is one; else a value that begins as JSON does and has no header `call`.
fn is_json(message: &Incoming, content_type: Option<&str>, value: &[u8]) -> bool {
    match content_type {
        Some(media) => {
            let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            media == "application/json" || media.ends_with("+json") || media == "text/json"
        }
        None => {
            message.header(CALL).is_none()
                && value.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'[' | b'"'))
        }
    }
}

fn object(json: &[u8]) -> Result<HashMap<String, Value>, String> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => Ok(fields.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        Ok(_) => Err("not a JSON object".to_owned()),
        // Where it breaks, never what stands there.
        Err(error) => Err(format!("not a JSON object: line {} column {}", error.line(), error.column())),
    }
}

fn from_json(message: &Incoming, value: &[u8]) -> Result<Request, StageError> {
    let fields = object(value).map_err(parse_error)?;
    if fields.contains_key("turns") {
        let conversation = if fields.contains_key("call_id") {
            parse_conversation(value)
        } else {
            let id = call_of_key(message)
                .ok_or_else(|| parse_error("no field `call_id`, and the message's key is none"))?;
            let mut named: serde_json::Map<String, Value> = fields.into_iter().collect();
            named.insert("call_id".to_owned(), Value::String(id.as_str().to_owned()));
            parse_conversation(Value::Object(named).to_string().as_bytes())
        };
        return Ok(Request::Written(Box::new(conversation.map_err(parse_error)?)));
    }
    let uri = match fields.get(URI) {
        Some(Value::String(uri)) if !uri.is_empty() && uri.len() <= MAX_URI_BYTES => uri.clone(),
        Some(_) => return Err(parse_error(format!("field `uri` is no text of 1 to {MAX_URI_BYTES} bytes"))),
        None => {
            let strangers = fields.keys().map(String::as_str).filter(|name| !METADATA_FIELDS.contains(name));
            let hint = nearest(URI, strangers).map(|near| format!(" (is it `{near}`?)")).unwrap_or_default();
            return Err(parse_error(format!("no field `uri`{hint} and no field `turns`")));
        }
    };
    let metadata = metadata_of(message, &fields).map_err(parse_error)?;
    Ok(Request::Remote { metadata, uri })
}

fn metadata_of(message: &Incoming, fields: &HashMap<String, Value>) -> Result<CallMetadata, String> {
    let id = match fields.get("call_id") {
        Some(Value::String(id)) => CallId::new(id.clone()).map_err(|e| format!("field `call_id`: {e}"))?,
        Some(_) => return Err("field `call_id` is not a text".to_owned()),
        None => call_of_key(message).ok_or("no field `call_id`, and the message's key is none")?,
    };
    metadata_from_fields(id, fields).map_err(|e| e.replace("column `", "field `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: &str, headers: &[(&str, &str)], value: &[u8]) -> Incoming {
        Incoming {
            key: Some(key.as_bytes().to_vec()),
            headers: headers.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect(),
            value: Some(value.to_vec()),
            ..Incoming::default()
        }
    }

    fn reason(message: &Incoming) -> String {
        read_request(message, 1000).unwrap_err().reason
    }

    #[test]
    fn bytes_take_their_metadata_from_the_header_and_their_id_from_the_key() {
        let headers = [("content-type", "audio/wav"), ("call", r#"{"queue":"billing"}"#)];
        let Request::Recording { metadata, content_type } =
            read_request(&message("c1", &headers, b"RIFF"), 1000).unwrap()
        else {
            panic!("a recording")
        };
        assert_eq!((metadata.call_id.as_str(), metadata.queue.as_deref()), ("c1", Some("billing")));
        assert_eq!(content_type.as_deref(), Some("audio/wav"));
    }

    #[test]
    fn json_names_a_recording_or_holds_a_conversation() {
        let remote = message("k", &[], br#"{"call_id":"c2","uri":"s3://b/c2.wav","language":"en"}"#);
        assert!(
            matches!(read_request(&remote, 1000).unwrap(), Request::Remote { uri, .. } if uri == "s3://b/c2.wav")
        );
        let written = message("c3", &[], br#"{"turns":[{"speaker":"customer","text":"hi"}]}"#);
        let Request::Written(chat) = read_request(&written, 1000).unwrap() else { panic!("a conversation") };
        assert_eq!(chat.metadata.call_id.as_str(), "c3");
    }

    #[test]
    fn a_message_that_cannot_be_read_says_why_and_quotes_nothing() {
        for (bad, part) in [
            (message("k", &[], b""), "no value"),
            (message("k", &[], &[b'x'; 1001]), "1001 bytes, the limit is 1000"),
            (message("k", &[], br#"{"call_id":"c","uris":"x"}"#), "is it `uris`?"),
            (message("k", &[], br#"{"4111": "#), "not a JSON object: line 1"),
            (message("", &[("content-type", "audio/wav")], b"RIFF"), "the message's key is none"),
            (message("k", &[("call", "4111")], b"RIFF"), "header `call`: not a JSON object"),
            (message("k", &[("call", r#"{"started_at":"4111"}"#)], b"RIFF"), "field `started_at`"),
            (message("k", &[("content-type", "application/json")], b"4111"), "not a JSON object"),
        ] {
            let said = reason(&bad);
            assert!(said.contains(part) && !said.contains("4111"), "{said}");
        }
    }
}
