//! What a supervisor hears of while a call goes on, each thing once.
//!
//! The rules are those of the recording's scoring, held against the turns so far after every utterance, in the order
//! in which utterances end. So what is alerted depends on the call alone, not on how fast it was transcribed, and a
//! replay gives the same alerts with the same ids.

use crate::alert_rules::{AlertRules, SentimentCollapse};
use callmark_analytics::Scores;
use callmark_types::{CallId, Event, EventKind, Millis, Span, Speaker, Timestamp, Turn};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Version of the JSON form.
const SCHEMA: u32 = 1;
/// Most alerts of one kind and call: a loop of refusals fills no pager.
const MAX_ALERTS_OF_A_KIND: u32 = 20;
/// Bytes of the digest that make an alert's id.
const ID_BYTES: usize = 16;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// The customer asks for a person.
    HumanRequest,
    /// The agent side answers a request with something else than a handoff.
    Deflection,
    /// No person took over in time.
    HumanRequestNotHonoured,
    /// The customer's sentiment collapsed.
    SentimentCollapse,
    /// The customer waits for too long.
    HoldTooLong,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::HumanRequest,
        Self::Deflection,
        Self::HumanRequestNotHonoured,
        Self::SentimentCollapse,
        Self::HoldTooLong,
    ];

    /// The value of `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HumanRequest => "human_request",
            Self::Deflection => "deflection",
            Self::HumanRequestNotHonoured => "human_request_not_honoured",
            Self::SentimentCollapse => "sentiment_collapse",
            Self::HoldTooLong => "hold_too_long",
        }
    }
}

/// One message of `calls.alerts`, keyed by `call_id`. Its JSON form is that of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Version of this form.
    pub schema: u32,
    /// Made of call, kind and ordinal: the same whenever the call is heard again.
    pub alert_id: String,
    /// The call.
    pub call_id: CallId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: AlertKind,
    /// How many of this kind the call had before.
    pub ordinal: u32,
    /// The evidence on the call's clock.
    #[serde(flatten)]
    pub span: Span,
    /// When it could be known: the end of the utterance that showed it, or the instant at which a bound was passed.
    pub at: Option<Timestamp>,
    /// Who is quoted.
    pub speaker: Option<Speaker>,
    /// Channel of the evidence.
    pub channel: Option<u16>,
    /// What was said: personal data, as everything in the dataset.
    pub evidence_text: Option<String>,
    /// What else there is to know (`by_handler=ai`, `hold`, `nobody_speaks`).
    pub detail: Option<String>,
    /// The measured value, where there is one: sentiment, or seconds waited.
    pub value: Option<f64>,
    /// The rule that found it.
    pub rule_id: Option<String>,
    /// Version of the rule, else of the alert rules.
    pub rule_version: Option<String>,
    /// How sure, 0 to 1.
    pub confidence: Option<f64>,
}

impl Alert {
    /// The message's value.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an alert holds nothing that JSON cannot say")
    }
}

/// How far a call has gone, as far as alerts look at it.
pub(crate) trait Progress {
    /// How long the call is.
    fn now(&self) -> Millis;
    /// Whether it is sure that nothing was said on `channel` (any, where `None`) between `from` and `until`.
    fn is_quiet(&self, channel: Option<u16>, from: Millis, until: Millis) -> bool;
    /// Whether everything that was said before `until` is among the turns.
    fn is_complete(&self, until: Millis) -> bool;
    /// End of the last speech of anybody.
    fn last_speech_end(&self) -> Millis;
}

/// An alert before it has its number.
#[derive(Debug, Clone, PartialEq)]
struct Draft {
    kind: AlertKind,
    span: Span,
    /// When it could be known.
    known: Millis,
    speaker: Option<Speaker>,
    channel: Option<u16>,
    evidence_text: Option<String>,
    detail: Option<String>,
    value: Option<f64>,
    rule_id: Option<String>,
    rule_version: Option<String>,
    confidence: Option<f64>,
}

/// A deflection that may still turn out to be the beginning of a handoff.
#[derive(Debug, Clone)]
struct Candidate {
    draft: Draft,
    answered: bool,
}

/// What a call's alerts are raised from.
#[derive(Debug)]
pub(crate) struct Watch {
    call_id: CallId,
    rules: AlertRules,
    given: Vec<(AlertKind, Span)>,
    deflections: Vec<Candidate>,
    request: Option<Draft>,
    reached: Option<Millis>,
}

impl Watch {
    pub(crate) fn new(call_id: CallId, rules: AlertRules) -> Self {
        Self { call_id, rules, given: Vec::new(), deflections: Vec::new(), request: None, reached: None }
    }

    /// Looks at the turns after one more utterance, which ended at `known`.
    pub(crate) fn on_turns(
        &mut self,
        turns: &[Turn],
        scores: &Scores,
        known: Millis,
        origin_ms: i64,
        alerts: &mut Vec<Alert>,
    ) {
        let events = |kind: EventKind| scores.events.iter().filter(move |e| e.kind == kind);
        if self.rules.human_request {
            for event in events(EventKind::HumanRequest) {
                let draft = draft_of(AlertKind::HumanRequest, event, turns);
                self.give(Draft { known, ..draft }, origin_ms, alerts);
            }
        }
        if self.rules.deflection_settles_in.is_some() {
            let drafts = events(EventKind::Deflection).map(|e| draft_of(AlertKind::Deflection, e, turns));
            self.deflections = drafts.map(|draft| candidate(draft, turns)).collect();
        }
        let access = &scores.human_access;
        let first = |e: &&Event| e.span.map(|s| s.start) == access.first_human_request;
        let due =
            events(EventKind::HumanRequest).find(first).filter(|_| access.first_human_request.is_some());
        self.request = due.map(|e| draft_of(AlertKind::HumanRequestNotHonoured, e, turns));
        self.reached = access.human_reached;
        if let Some(collapse) = self.rules.sentiment_collapse
            && let Some(draft) = collapsed(collapse, turns, &scores.turn_sentiment)
            && !self.was_given(AlertKind::SentimentCollapse)
        {
            let rule_version = Some(self.rules.version.clone());
            self.give(Draft { known, rule_version, ..draft }, origin_ms, alerts);
        }
    }

    /// Looks at the clock. `holds` are those told, the last of them open where `on_hold`.
    pub(crate) fn on_clock(
        &mut self,
        progress: &impl Progress,
        held: Millis,
        (holds, on_hold): (&[Span], bool),
        origin_ms: i64,
        alerts: &mut Vec<Alert>,
    ) {
        if let Some(settle) = self.rules.deflection_settles_in {
            let settled = |c: &Candidate| {
                let end = c.draft.span.end;
                c.answered || progress.is_quiet(c.draft.channel, end, end + settle)
            };
            let (ready, open) = std::mem::take(&mut self.deflections).into_iter().partition(settled);
            self.deflections = open;
            let ready: Vec<Candidate> = ready;
            for candidate in ready {
                self.give(candidate.draft, origin_ms, alerts);
            }
        }
        self.not_honoured(progress, held, origin_ms, alerts);
        self.waits(progress, holds, on_hold, origin_ms, alerts);
    }

    fn not_honoured(
        &mut self,
        progress: &impl Progress,
        held: Millis,
        origin_ms: i64,
        alerts: &mut Vec<Alert>,
    ) {
        let (Some(within), Some(request)) = (self.rules.honoured_within, &self.request) else { return };
        let due = request.span.end + within;
        let came = self.reached.is_some_and(|at| at <= due);
        if came || progress.now() + held < due || self.was_given(request.kind) || !progress.is_complete(due) {
            return;
        }
        let draft = Draft {
            known: due,
            value: Some(within.seconds()),
            rule_id: Some("human_request_not_honoured".to_owned()),
            rule_version: Some(self.rules.version.clone()),
            ..request.clone()
        };
        self.give(draft, origin_ms, alerts);
    }

    fn waits(
        &mut self,
        progress: &impl Progress,
        holds: &[Span],
        on_hold: bool,
        origin_ms: i64,
        alerts: &mut Vec<Alert>,
    ) {
        if let Some(bound) = self.rules.hold {
            for hold in holds.iter().filter(|h| h.duration() >= bound) {
                self.give(self.wait(Span::new(hold.start, hold.start + bound), "hold"), origin_ms, alerts);
            }
        }
        let Some(bound) = self.rules.nobody_speaks else { return };
        let since = progress.last_speech_end();
        let until = since + bound;
        let told = on_hold || holds.iter().any(|h| h.overlap(Span::new(since, until)) > Millis::ZERO);
        if !told && progress.now() >= until && progress.is_quiet(None, since, until) {
            self.give(self.wait(Span::new(since, until), "nobody_speaks"), origin_ms, alerts);
        }
    }

    fn wait(&self, span: Span, detail: &str) -> Draft {
        Draft {
            kind: AlertKind::HoldTooLong,
            span,
            known: span.end,
            speaker: None,
            channel: None,
            evidence_text: None,
            detail: Some(detail.to_owned()),
            value: Some(span.duration().seconds()),
            rule_id: Some("hold_too_long".to_owned()),
            rule_version: Some(self.rules.version.clone()),
            confidence: None,
        }
    }

    fn was_given(&self, kind: AlertKind) -> bool {
        self.given.iter().any(|(given, _)| *given == kind)
    }

    /// Gives an alert its number, unless it was given before.
    fn give(&mut self, draft: Draft, origin_ms: i64, alerts: &mut Vec<Alert>) {
        let same = |(kind, span): &(AlertKind, Span)| {
            *kind == draft.kind && (*span == draft.span || span.overlap(draft.span) > Millis::ZERO)
        };
        let ordinal = self.given.iter().filter(|(kind, _)| *kind == draft.kind).count() as u32;
        if self.given.iter().any(same) || ordinal >= MAX_ALERTS_OF_A_KIND {
            return;
        }
        self.given.push((draft.kind, draft.span));
        alerts.push(Alert {
            schema: SCHEMA,
            alert_id: alert_id(&self.call_id, draft.kind, ordinal),
            call_id: self.call_id.clone(),
            kind: draft.kind,
            ordinal,
            span: draft.span,
            at: Timestamp::from_epoch_millis(origin_ms.saturating_add(draft.known.0)),
            speaker: draft.speaker,
            channel: draft.channel,
            evidence_text: draft.evidence_text,
            detail: draft.detail,
            value: draft.value,
            rule_id: draft.rule_id,
            rule_version: draft.rule_version,
            confidence: draft.confidence,
        });
    }
}

/// The id of a call's alert: hex of the first half of SHA-256 over call, kind and ordinal.
fn alert_id(call: &CallId, kind: AlertKind, ordinal: u32) -> String {
    let digest = Sha256::digest(format!("{call}\n{}\n{ordinal}", kind.as_str()));
    digest.iter().take(ID_BYTES).fold(String::with_capacity(2 * ID_BYTES), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn turn_of<'a>(event: &Event, turns: &'a [Turn]) -> Option<&'a Turn> {
    turns.get(event.turn_index? as usize)
}

fn draft_of(kind: AlertKind, event: &Event, turns: &[Turn]) -> Draft {
    let turn = turn_of(event, turns);
    let span = event.span.or(turn.and_then(|t| t.span)).unwrap_or(Span::of_ms(0, 0));
    Draft {
        kind,
        span,
        known: span.end,
        speaker: event.speaker,
        channel: turn.and_then(|t| t.channel),
        evidence_text: event.evidence_text.clone(),
        detail: event.detail.clone(),
        value: None,
        rule_id: event.rule_id.clone(),
        rule_version: event.rule_version.clone(),
        confidence: event.confidence,
    }
}

/// A deflection is one for sure when somebody else has spoken after it.
fn candidate(draft: Draft, turns: &[Turn]) -> Candidate {
    let after = |t: &&Turn| t.is_kept() && t.channel != draft.channel && t.speaker == Speaker::Customer;
    let answered =
        turns.iter().filter(after).any(|t| t.span.is_some_and(|span| span.start >= draft.span.end));
    Candidate { draft, answered }
}

/// The turn with which the customer's running sentiment has been too low for long enough.
fn collapsed(rule: SentimentCollapse, turns: &[Turn], sentiment: &[Option<f64>]) -> Option<Draft> {
    let scored: Vec<(&Turn, f64)> = turns
        .iter()
        .zip(sentiment)
        .filter(|(turn, _)| turn.speaker == Speaker::Customer)
        .filter_map(|(turn, score)| Some((turn, (*score)?)))
        .collect();
    let mut low_turns = 0;
    for (last, window) in scored.windows(rule.window_turns).enumerate() {
        let mean = window.iter().map(|(_, score)| score).sum::<f64>() / window.len() as f64;
        low_turns = if mean <= rule.threshold { low_turns + 1 } else { 0 };
        if low_turns >= rule.turns {
            let (turn, _) = scored[last + rule.window_turns - 1];
            return Some(Draft {
                kind: AlertKind::SentimentCollapse,
                span: turn.span.unwrap_or(Span::of_ms(0, 0)),
                known: turn.span.map_or(Millis::ZERO, |span| span.end),
                speaker: Some(turn.speaker),
                channel: turn.channel,
                evidence_text: Some(turn.text.clone()),
                detail: None,
                value: Some(mean),
                rule_id: Some("sentiment_collapse".to_owned()),
                rule_version: None,
                confidence: None,
            });
        }
    }
    None
}
