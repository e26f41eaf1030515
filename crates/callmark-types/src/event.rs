//! Findings: what happened in a call, when, who did it, and which rule says so.

use crate::time::Span;
use crate::transcript::Speaker;
use serde::{Deserialize, Serialize};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// Every kind, in the order of the schema's documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of the `type` column.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_kinds! {
    /// The customer asks for a person.
    HumanRequest = "human_request",
    /// The agent side offers a person.
    HumanOffer = "human_offer",
    /// The customer takes the offer.
    OfferAccepted = "offer_accepted",
    /// The customer turns the offer down.
    OfferDeclined = "offer_declined",
    /// The agent side answers a request with something else than a handoff.
    Deflection = "deflection",
    /// The agent side announces that somebody else takes over.
    Handoff = "handoff",
    /// The agent side says that it is an AI.
    AiDisclosure = "ai_disclosure",
    /// The customer says that the matter is settled.
    ResolutionConfirmed = "resolution_confirmed",
    /// The customer says that the matter is not settled.
    ResolutionDenied = "resolution_denied",
    /// The agent side delivers the fix or the answer.
    FixDelivered = "fix_delivered",
    /// The customer says that this is not the first contact.
    RepeatContactMention = "repeat_contact_mention",
    /// The agent side says the same thing again.
    Loop = "loop",
    /// One side starts while the other still speaks, and takes the turn.
    Interruption = "interruption",
    /// Nobody speaks for three seconds or more, outside hold and queue.
    Silence = "silence",
    /// The customer is on hold.
    Hold = "hold",
    /// The customer waits in a queue.
    Queue = "queue",
    /// The call leaves for another department.
    Transfer = "transfer",
    /// The customer gives up.
    Abandon = "abandon",
    /// Personal data is said.
    Pii = "pii",
    /// A category of a rule file applies.
    Category = "category",
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When; `None` for chats without times.
    pub span: Option<Span>,
    /// The turn that shows it.
    pub turn_index: Option<u32>,
    /// Who did it.
    pub speaker: Option<Speaker>,
    /// What more there is to say (`target=supervisor`, `occurrence=3`, …).
    pub detail: Option<String>,
    /// The rule that fired; `None` for what was measured on audio or told by metadata.
    pub rule_id: Option<String>,
    /// Version of that rule.
    pub rule_version: Option<String>,
    /// How sure, 0 to 1.
    pub confidence: Option<f64>,
    /// The words that show it.
    pub evidence_text: Option<String>,
}

impl Event {
    /// Something that lasts for `span` and is shown by no turn: measured on audio or told by metadata.
    pub fn lasting(kind: EventKind, span: Span) -> Self {
        Self {
            kind,
            span: Some(span),
            turn_index: None,
            speaker: None,
            detail: None,
            rule_id: None,
            rule_version: None,
            confidence: None,
            evidence_text: None,
        }
    }
}
