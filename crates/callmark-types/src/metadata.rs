//! What is known of a call before anybody listens to it: the recorder's and the CTI system's words.

use crate::id::CallId;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Who or what handles a part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handler {
    /// An AI agent.
    Ai,
    /// A person.
    Human,
    /// A menu.
    Ivr,
    /// The customer is on hold.
    Hold,
    /// The customer waits in a queue.
    Queue,
}

impl Handler {
    /// Whether it deals with the customer, who waits otherwise.
    pub fn serves(self) -> bool {
        matches!(self, Self::Ai | Self::Human | Self::Ivr)
    }

    /// The value in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::Human => "human",
            Self::Ivr => "ivr",
            Self::Hold => "hold",
            Self::Queue => "queue",
        }
    }
}

/// One handler's part of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerSegment {
    /// Who.
    pub handler: Handler,
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// The agent's id, where known.
    #[serde(default)]
    pub agent_id: Option<String>,
}

/// Whose voice a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelRole {
    /// The customer.
    Customer,
    /// The company's side: AI, person, menu, queue.
    Agent,
    /// Both sides on one channel.
    Mixed,
}

/// How a call ended for the customer's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Settled by the first handler.
    Resolved,
    /// Settled after a handoff to a person.
    EscalatedResolved,
    /// Left this call for another department with the matter open.
    Transferred,
    /// Ended with the matter open.
    Unresolved,
    /// The customer gave up.
    Abandoned,
    /// The transcript does not tell.
    Unknown,
}

impl Outcome {
    /// The value of the `outcome` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::EscalatedResolved => "escalated_resolved",
            Self::Transferred => "transferred",
            Self::Unresolved => "unresolved",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
        }
    }
}

/// What a recorder knows about a call. Everything absent is `None` or empty; nothing is guessed.
#[derive(Debug, Clone, PartialEq)]
pub struct CallMetadata {
    /// The call.
    pub call_id: CallId,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Roles by channel index; shorter than the number of channels where not all are known.
    pub channel_roles: Vec<Option<ChannelRole>>,
    /// Who took the call first.
    pub first_handler: Option<Handler>,
    /// Ids of the agents that took part.
    pub agent_ids: Vec<String>,
    /// Who handled what, in order; empty when unknown.
    pub handler_segments: Vec<HandlerSegment>,
    /// Pseudonym of the customer, the same across calls.
    pub customer_key: Option<String>,
    /// Queue or department.
    pub queue: Option<String>,
    /// What the call is about.
    pub issue_type: Option<String>,
    /// Language as BCP 47 (`en`, `es-MX`).
    pub language: Option<String>,
}

impl CallMetadata {
    /// Metadata of which nothing but the id is known.
    pub fn unknown(call_id: CallId) -> Self {
        Self {
            call_id,
            started_at: None,
            channel_roles: Vec::new(),
            first_handler: None,
            agent_ids: Vec::new(),
            handler_segments: Vec::new(),
            customer_key: None,
            queue: None,
            issue_type: None,
            language: None,
        }
    }

    /// Whether the segments tell who handled the call: those of hold and queue alone tell when the customer waited.
    pub fn tells_handlers(&self) -> bool {
        self.handler_segments.iter().any(|segment| segment.handler.serves())
    }
}
