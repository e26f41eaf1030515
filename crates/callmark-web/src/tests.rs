//! What tests of several modules need: a call of which little is known.

use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, HumanAccess, Lineage, Outcome, Resolution,
    ScoredCall, SentimentRollup, SourcePosition, Trust,
};

/// A call of which nothing is known.
pub(crate) fn call(id: &str) -> ScoredCall {
    let record = CallRecord {
        call_id: CallId::new(id).unwrap(),
        started_at: None,
        source: SourcePosition::default(),
        first_handler: None,
        final_handler: None,
        handler_segments: Vec::new(),
        agent_ids: Vec::new(),
        customer_key: None,
        queue: None,
        issue_type: None,
        language: None,
        audio: AudioColumns::default(),
        conversation: ConversationMetrics::default(),
        sentiment: SentimentRollup::default(),
        human_access: HumanAccess {
            human_request_count: 0,
            first_human_request: None,
            deflection_count: 0,
            human_reached: None,
            time_to_human: None,
            human_request_honoured: None,
        },
        resolution: Resolution {
            outcome: Outcome::Unknown,
            resolved_at: None,
            resolution_time: None,
            confidence: 0.0,
            evidence_turn: None,
        },
        trust: Trust::default(),
        lineage: Lineage::default(),
    };
    ScoredCall { record, turns: Vec::new(), turn_sentiment: Vec::new(), events: Vec::new() }
}
