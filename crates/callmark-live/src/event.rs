//! One message of `calls.events`: what the telephony system tells of a call while it goes on.

use crate::chunk::Refusal;
use callmark_types::{CallId, ChannelRole, Handler, HandlerSegment, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest event, in bytes.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// Most channels that an event may give roles to.
const MAX_ROLES: usize = 8;

/// What happened on a call, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct CallEvent {
    /// The call.
    pub call_id: CallId,
    /// When, in milliseconds since 1970; `None` where the message does not say: then it counts from when it is read.
    pub ts_ms: Option<i64>,
    /// What.
    pub kind: CallEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEventKind {
    /// The call began; what is known of it, in the columns of `calls.csv`.
    Started(Box<StartedFields>),
    /// The call is over.
    Ended,
    /// Somebody else handles the call now.
    HandlerChanged {
        /// Who.
        handler: Handler,
        /// The agent's id.
        agent_id: Option<String>,
    },
    /// The customer was put on hold.
    HoldStarted,
    /// The customer was taken off hold.
    HoldEnded,
    /// The call goes to another department.
    Transferred {
        /// Where to, in the words of the telephony system.
        to: Option<String>,
    },
}

/// What is told of a call at its start; everything absent is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StartedFields {
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Roles by channel.
    pub channel_roles: Vec<Option<ChannelRole>>,
    /// Who takes it first.
    pub first_handler: Option<Handler>,
    /// Ids of agents.
    pub agent_ids: Vec<String>,
    /// Who handles what, where that is known beforehand.
    pub handler_segments: Vec<HandlerSegment>,
    /// Pseudonym of the customer.
    pub customer_key: Option<String>,
    /// Queue or department.
    pub queue: Option<String>,
    /// What it is about.
    pub issue_type: Option<String>,
    /// Language as BCP 47.
    pub language: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    call_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    ts_ms: Option<i64>,
    at: Option<Timestamp>,
    handler: Option<Handler>,
    agent_id: Option<String>,
    to: Option<String>,
    started_at: Option<Timestamp>,
    first_handler: Option<Handler>,
    #[serde(default)]
    agent_ids: OneOrMany,
    #[serde(default)]
    handler_segments: Option<Vec<HandlerSegment>>,
    customer_key: Option<String>,
    queue: Option<String>,
    issue_type: Option<String>,
    language: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// A list, or its values in one text, parted by `;` as in `calls.csv`.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
    #[default]
    Nothing,
}

impl CallEvent {
    /// Reads a message: its key, and its value as JSON.
    ///
    /// `type` is `started`, `ended`, `handler_changed` (with `handler`, `agent_id`), `hold_started`, `hold_ended` or
    /// `transferred` (with `to`); `ts_ms` (milliseconds since 1970) or `at` (RFC 3339) says when. `started` has the
    /// columns of `calls.csv` (`channel_0_role`, `first_handler`, `language`, …). `call_id` is the key, where absent.
    pub fn from_message(key: Option<&str>, value: &[u8]) -> Result<Self, Refusal> {
        if value.len() > MAX_EVENT_BYTES {
            return Err(Refusal::Oversize { bytes: value.len(), limit: MAX_EVENT_BYTES });
        }
        // What serde says may quote the message, which holds personal data: only the place is passed on.
        let raw: Raw = serde_json::from_slice(value).map_err(|e| {
            Refusal::Event(format!("line {} column {}: {:?} error", e.line(), e.column(), e.classify()))
        })?;
        let call_id = raw.call_id.as_deref().or(key).unwrap_or_default();
        let call_id = CallId::new(call_id)?;
        let ts_ms = raw.ts_ms.or_else(|| raw.at.map(Timestamp::epoch_millis));
        let kind = match raw.kind.as_str() {
            "started" | "call_started" => CallEventKind::Started(Box::new(started(raw)?)),
            "ended" | "call_ended" => CallEventKind::Ended,
            "handler_changed" => CallEventKind::HandlerChanged {
                handler: raw.handler.ok_or_else(|| {
                    Refusal::Event("`handler_changed` has no `handler`: add ai, human, ivr, queue".to_owned())
                })?,
                agent_id: raw.agent_id.filter(|id| !id.is_empty()),
            },
            "hold_started" | "hold_start" => CallEventKind::HoldStarted,
            "hold_ended" | "hold_end" => CallEventKind::HoldEnded,
            "transferred" | "transfer" => CallEventKind::Transferred { to: raw.to },
            _ => {
                let known = "started, ended, handler_changed, hold_started, hold_ended, transferred";
                return Err(Refusal::Event(format!("the `type` is none of {known}")));
            }
        };
        Ok(Self { call_id, ts_ms, kind })
    }
}

fn started(raw: Raw) -> Result<StartedFields, Refusal> {
    let given = |text: Option<String>| text.filter(|t| !t.trim().is_empty());
    let agent_ids = match raw.agent_ids {
        OneOrMany::Many(ids) => ids,
        OneOrMany::One(text) => text.split(';').map(|id| id.trim().to_owned()).collect(),
        OneOrMany::Nothing => Vec::new(),
    };
    let mut channel_roles = Vec::new();
    for channel in 0..MAX_ROLES {
        let name = format!("channel_{channel}_role");
        let value = raw.rest.get(&name).filter(|v| !v.is_null() && v.as_str() != Some(""));
        let role = value.map(|v| serde_json::from_value::<ChannelRole>(v.clone())).transpose();
        let wrong = |_| Refusal::Event(format!("`{name}` is none of customer, agent, mixed"));
        channel_roles.push(role.map_err(wrong)?);
    }
    while channel_roles.last().is_some_and(Option::is_none) {
        channel_roles.pop();
    }
    Ok(StartedFields {
        started_at: raw.started_at,
        channel_roles,
        first_handler: raw.first_handler,
        agent_ids: agent_ids.into_iter().filter(|id| !id.is_empty()).collect(),
        handler_segments: raw.handler_segments.unwrap_or_default(),
        customer_key: given(raw.customer_key),
        queue: given(raw.queue),
        issue_type: given(raw.issue_type),
        language: given(raw.language),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CallEvent, Refusal> {
        CallEvent::from_message(Some("call-1"), json.as_bytes())
    }

    #[test]
    fn a_start_has_the_columns_of_the_call_table() {
        let json = r#"{"type":"started","ts_ms":5,"channel_0_role":"customer","channel_1_role":"agent",
            "first_handler":"ai","agent_ids":"bot-1;h-2","queue":"","language":"en"}"#;
        let event = read(json).unwrap();
        let CallEventKind::Started(fields) = event.kind else { panic!("{event:?}") };
        assert_eq!(fields.channel_roles, [Some(ChannelRole::Customer), Some(ChannelRole::Agent)]);
        assert_eq!((fields.first_handler, fields.queue.as_deref()), (Some(Handler::Ai), None));
        assert_eq!(fields.agent_ids, ["bot-1", "h-2"]);
        assert_eq!(event.ts_ms, Some(5));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_quoting_it() {
        let text = read(r#"{"type":"started","queue":"secret","ts_ms":"x"}"#).unwrap_err().to_string();
        assert!(text.contains("column") && !text.contains("secret"), "{text}");
        assert!(read(r#"{"type":"handler_changed"}"#).unwrap_err().to_string().contains("`handler`"));
        assert!(read(r#"{"type":"sneezed"}"#).is_err());
        assert!(CallEvent::from_message(None, br#"{"type":"ended"}"#).is_err());
    }
}
