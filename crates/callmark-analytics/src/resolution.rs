//! How the matter ended, and when: a state machine over what customer and agent side say.
//!
//! The clock runs from the customer's first words to the end of the turn in which the matter is settled. A handoff
//! does not stop it. A later denial reopens the matter; a handoff after which nobody comes, or the customer giving
//! up, ends it unsettled.

use crate::access::Access;
use crate::handlers::Handlers;
use crate::hearing::{Heard, Hit};
use crate::sentiment::covers_language;
use crate::signal::Signal;
use crate::{Conversation, Ruleset};
use Sign::{
    Accepted, Confirmed, Delivered, Denied, Despaired, Failed, GaveUp, HandedOver, PersonSpeaks, StaysOn,
};
use State::{Abandoned, Delivered as Fixed, NotPossible, Open, Reopened, Settled, Waiting};
use callmark_types::{Event, EventKind, Handler, Millis, Outcome, Resolution, Span, Speaker};

#[cfg(test)]
mod tests;

/// Where the matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been done yet.
    Open,
    /// The agent side says that it is done, or has given the answer.
    Delivered,
    /// The agent side says that it cannot be done, or puts it off.
    NotPossible,
    /// The customer agrees that it is done.
    Settled,
    /// The customer says that it is not done.
    Reopened,
    /// The call was handed on and nobody has taken it yet.
    Waiting,
    /// The customer has given up.
    Abandoned,
}

/// What moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// The agent side delivers.
    Delivered,
    /// The agent side cannot, or puts off.
    Failed,
    /// The customer says that it is settled.
    Confirmed,
    /// The customer, asked for more, has nothing more to ask.
    Accepted,
    /// The customer says that it is not settled.
    Denied,
    /// The agent side hands the call on.
    HandedOver,
    /// A person speaks.
    PersonSpeaks,
    /// The one who offered a person goes on serving instead.
    StaysOn,
    /// The customer gives up.
    GaveUp,
    /// The customer says that it leads nowhere, and takes leave.
    Despaired,
}

/// The table: state, sign, next state. What is not listed changes nothing.
const TABLE: &[(State, Sign, State)] = &[
    (Open, Delivered, Fixed),
    (Open, Failed, NotPossible),
    (Open, Confirmed, Settled),
    (Open, Accepted, Settled),
    (Open, Denied, Reopened),
    (Open, HandedOver, Waiting),
    (Open, GaveUp, Abandoned),
    (Open, Despaired, Abandoned),
    (Fixed, Failed, NotPossible),
    (Fixed, Confirmed, Settled),
    (Fixed, Accepted, Settled),
    (Fixed, Denied, Reopened),
    (Fixed, Despaired, Reopened),
    (Fixed, HandedOver, Waiting),
    (NotPossible, Delivered, Fixed),
    (NotPossible, Confirmed, Settled),
    (NotPossible, Denied, Reopened),
    (NotPossible, HandedOver, Waiting),
    (NotPossible, GaveUp, Abandoned),
    (NotPossible, Despaired, Abandoned),
    (Settled, Denied, Reopened),
    (Settled, HandedOver, Waiting),
    (Settled, Failed, NotPossible),
    (Reopened, Delivered, Fixed),
    (Reopened, Confirmed, Settled),
    (Reopened, HandedOver, Waiting),
    (Reopened, GaveUp, Abandoned),
    (Reopened, Despaired, Abandoned),
    (Waiting, PersonSpeaks, Open),
    (Waiting, StaysOn, Open),
    (Waiting, Delivered, Fixed),
    (Waiting, Confirmed, Settled),
    (Waiting, GaveUp, Abandoned),
    (Waiting, Despaired, Abandoned),
    (Abandoned, PersonSpeaks, Open),
    (Abandoned, Delivered, Fixed),
    (Abandoned, Confirmed, Settled),
    (Abandoned, HandedOver, Waiting),
];

fn next(state: State, sign: Sign) -> State {
    TABLE.iter().find(|(s, g, _)| (*s, *g) == (state, sign)).map_or(state, |row| row.2)
}

/// Resolution and its events.
pub(crate) struct Found {
    pub(crate) resolution: Resolution,
    pub(crate) events: Vec<Event>,
}

/// A denial before the customer's turn of this number describes the problem, and denies nothing.
const FIRST_TURN_THAT_DENIES: usize = 3;
/// Between the one who hands on and the one who takes over there is at least this much.
const PAUSE_FOR_ANOTHER: Millis = Millis(8_000);
/// A queue of this length at the end of a call was waited in, not passed through.
const WAITED_IN_QUEUE: Millis = Millis(20_000);

/// Words of success or failure answer what was delivered or suggested for this many turns of the customer.
const ANSWER_STANDS_TURNS: u32 = 2;

/// Reads the call for how the matter ended.
pub(crate) fn find(
    rules: &Ruleset,
    call: &Conversation<'_>,
    heard: &[Heard],
    access: &Access,
    handlers: &Handlers,
    queue: &[Span],
) -> Found {
    let mut story = Story::new(rules, call, heard);
    for (position, turn) in heard.iter().enumerate() {
        if turn.is_customer() {
            story.customer(position, turn);
            // Who accepts a person is on the way to one, whether or not the machine says so.
            if access.accepted.contains(&position) {
                story.take(HandedOver, position);
                story.only_accepted = true;
            }
        } else {
            story.agent(position, turn, access.handoffs.contains(&position));
        }
    }
    story.finish(access, handlers, queue)
}

/// What the agent side's last turn asks.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    whether_settled: bool,
    for_more: bool,
    /// Something else at its end: a bare no answers that.
    something: bool,
}

struct Story<'a> {
    rules: &'a Ruleset,
    call: &'a Conversation<'a>,
    heard: &'a [Heard],
    state: State,
    /// The turn that delivered since the matter was last open.
    delivered: Option<usize>,
    /// The turn that confirmed, since the matter was last open.
    confirmed: Option<usize>,
    /// The customer's own words confirmed it, not mere politeness.
    outspoken: bool,
    asked: Asked,
    /// Turns in which the customer may still say whether what was delivered or suggested works.
    answer_stands: u32,
    customer_turns: usize,
    agent_turns: usize,
    /// The customer's last turn, where it despaired and nothing was done about it since.
    despaired: Option<usize>,
    /// The customer's last turn asks for a fact.
    asks_to_know: bool,
    /// The agent side's answer to such a question, and the thanks behind it.
    answered: Option<usize>,
    thanked: Option<usize>,
    /// The agent side found nobody there since the customer last spoke.
    nobody_there: Option<usize>,
    /// The customer accepted a person whom nobody has announced yet.
    only_accepted: bool,
    handed_over_by: Option<Speaker>,
    handed_over_end: Option<Millis>,
    events: Vec<Event>,
}

impl<'a> Story<'a> {
    fn new(rules: &'a Ruleset, call: &'a Conversation<'a>, heard: &'a [Heard]) -> Self {
        Self {
            rules,
            call,
            heard,
            state: Open,
            delivered: None,
            confirmed: None,
            outspoken: false,
            asked: Asked::default(),
            answer_stands: 0,
            customer_turns: 0,
            agent_turns: 0,
            despaired: None,
            asks_to_know: false,
            answered: None,
            thanked: None,
            nobody_there: None,
            only_accepted: false,
            handed_over_by: None,
            handed_over_end: None,
            events: Vec::new(),
        }
    }

    fn take(&mut self, sign: Sign, position: usize) {
        let before = self.state;
        self.state = next(before, sign);
        match self.state {
            Fixed if sign == Delivered => {
                self.delivered = Some(position);
                self.confirmed = None;
            }
            Settled if before != Settled => {
                self.confirmed = Some(position);
                self.outspoken = sign == Confirmed;
            }
            Settled if sign == Confirmed && !self.outspoken => {
                self.confirmed = Some(position);
                self.outspoken = true;
            }
            Reopened | NotPossible | Waiting | Open if before != self.state => {
                (self.delivered, self.confirmed) = (None, None);
            }
            _ => {}
        }
    }

    fn event(&mut self, kind: EventKind, turn: &Heard, first: &Hit, last: &Hit) {
        let mut event = turn.event_of(self.rules, self.call.turns, kind, first);
        let words = (turn.evidence_words(first).0, turn.evidence_words(last).1);
        let whole = turn.event(self.call.turns, kind, words);
        (event.span, event.evidence_text) = (whole.span, whole.evidence_text);
        self.events.push(event);
    }

    fn customer(&mut self, position: usize, turn: &Heard) {
        self.customer_turns += 1;
        self.nobody_there = None;
        let asked = std::mem::take(&mut self.asked);
        let (checked, more) = (asked.whether_settled, asked.for_more);
        let (mut denials, mut confirms) = self.verdicts(turn, asked);
        let despaired = std::mem::replace(&mut self.despaired, turn.has(Signal::Despair).then_some(position));
        if checked && denials.is_empty() && confirms.is_empty() {
            let answers = |signal| turn.first(signal).filter(|h| h.sentence == 0);
            match (answers(Signal::Affirmative), answers(Signal::Negative), said_so(turn)) {
                (_, Some(no), false) if !more => denials.push(no),
                (Some(yes), None, _) => confirms.push(yes),
                (_, _, true) => confirms.extend(turn.hits.first()),
                _ => {}
            }
            if confirms.is_empty() && said_so(turn) {
                self.take(Confirmed, position);
                let event =
                    turn.event(self.call.turns, EventKind::ResolutionConfirmed, turn.sentences[0].words());
                self.events.push(Event { confidence: Some(0.8), ..event });
            }
        }
        // What comes last in the turn stands: "no, it dropped again" after "it says connected".
        let denied_last = match (denials.last(), confirms.last()) {
            (Some(d), Some(c)) => d.sentence >= c.sentence,
            (denied, _) => denied.is_some(),
        };
        if denied_last {
            self.event(EventKind::ResolutionDenied, turn, denials[0], denials[denials.len() - 1]);
            self.take(Denied, position);
        } else if let (Some(first), Some(last)) = (confirms.first(), confirms.last()) {
            // Who says it again adds nothing.
            if !(self.state == Settled && self.outspoken) {
                self.event(EventKind::ResolutionConfirmed, turn, first, last);
            }
            self.take(Confirmed, position);
        } else if let Some(despair) = leaves_in_despair(turn, despaired.is_some()) {
            let denies = next(self.state, Despaired) == Reopened;
            let kind = if denies { EventKind::ResolutionDenied } else { EventKind::Abandon };
            self.event(kind, turn, despair.0, despair.1);
            self.take(Despaired, position);
        } else if let Some(hit) = turn.first(Signal::Abandon) {
            self.event(EventKind::Abandon, turn, hit, hit);
            self.take(GaveUp, position);
        } else if turn.has(Signal::NothingMore)
            || (more && (turn.has(Signal::Satisfied) || turn.has(Signal::Negative)))
        {
            self.take(Accepted, position);
        } else if turn.has(Signal::Satisfied) {
            self.thanked = Some(position);
        }
        self.asks_to_know = turn.has(Signal::AsksToKnow);
    }

    /// What the turn says against and for the matter being settled, each in order. Words that only mean something as an
    /// answer count while an answer is due.
    fn verdicts<'t>(&mut self, turn: &'t Heard, asked: Asked) -> (Vec<&'t Hit>, Vec<&'t Hit>) {
        let stands = self.answer_stands > 0;
        let at_once = self.answer_stands == ANSWER_STANDS_TURNS;
        self.answer_stands = self.answer_stands.saturating_sub(1);
        let may_deny = self.customer_turns >= FIRST_TURN_THAT_DENIES
            || self.delivered.is_some()
            || asked.whether_settled
            || stands;
        let mut denials: Vec<&Hit> = Vec::new();
        if may_deny {
            denials.extend(hits(turn, Signal::ResolutionDenied));
        }
        let mut confirms: Vec<&Hit> = Vec::new();
        if self.agent_turns >= 2 || self.delivered.is_some() || stands {
            confirms.extend(hits(turn, Signal::ResolutionConfirmed));
        }
        if stands {
            denials.extend(hits(turn, Signal::FailsStill));
            confirms.extend(hits(turn, Signal::WorksNow));
        }
        if at_once && !asked.for_more && !asked.something {
            denials.extend(turn.first(Signal::PlainNo).filter(|h| h.sentence == 0));
        }
        denials.sort_by_key(|h| h.sentence);
        confirms.sort_by_key(|h| h.sentence);
        (denials, confirms)
    }

    fn agent(&mut self, position: usize, turn: &Heard, hands_over: bool) {
        self.agent_turns += 1;
        if turn.speaker == Speaker::HumanAgent && self.is_somebody_else(turn) {
            self.take(PersonSpeaks, position);
        }
        if self.only_accepted && !hands_over && turn.speaker != Speaker::Ivr && !turn.is_polite() {
            self.take(StaysOn, position);
            self.only_accepted = false;
        }
        let delivered = turn.first(Signal::FixDelivered);
        if self.customer_turns > 0 && turn.has(Signal::NobodyThere) && turn.speaker != Speaker::Ivr {
            self.nobody_there.get_or_insert(position);
        }
        let failed = hits(turn, Signal::Failure);
        let tells = turn.sentences.iter().any(|s| !s.question) && !turn.is_polite();
        if self.asks_to_know && tells && failed.is_empty() && !hands_over && turn.speaker != Speaker::Ivr {
            self.answered = Some(position);
        }
        let outweighed = |d: &Hit| failed.last().is_some_and(|f| f.sentence > d.sentence);
        match delivered.filter(|d| !outweighed(d)) {
            Some(hit) if !hands_over && self.customer_turns > 0 && turn.speaker != Speaker::Ivr => {
                self.event(EventKind::FixDelivered, turn, hit, hit);
                self.take(Delivered, position);
                self.despaired = None;
                self.answer_stands = ANSWER_STANDS_TURNS;
            }
            None if !failed.is_empty() => self.take(Failed, position),
            _ => {}
        }
        if hands_over {
            self.take(HandedOver, position);
            self.despaired = None;
            self.only_accepted = false;
            self.handed_over_by = Some(turn.speaker);
            self.handed_over_end = turn.end;
        }
        let whether_settled = turn.has(Signal::ResolutionCheck);
        let asks = turn.sentences.last().is_some_and(|s| s.question);
        self.asked = Asked {
            whether_settled,
            for_more: turn.has(Signal::AnythingElse),
            something: asks && !whether_settled,
        };
        if turn.has(Signal::Remedy) {
            self.answer_stands = ANSWER_STANDS_TURNS;
        }
    }

    /// After a person handed the call on, the next words may still be that person's: somebody else has come where
    /// there was a pause for it or a greeting.
    fn is_somebody_else(&self, turn: &Heard) -> bool {
        let start = self.call.turns[turn.at].span.map(|s| s.start);
        let paused =
            self.handed_over_end.zip(start).is_some_and(|(end, start)| start - end >= PAUSE_FOR_ANOTHER);
        self.handed_over_by != Some(Speaker::HumanAgent)
            || paused
            || [Signal::HumanAgentWords, Signal::PersonGreets].iter().any(|s| turn.has(*s))
    }

    fn finish(mut self, access: &Access, handlers: &Handlers, queue: &[Span]) -> Found {
        // The customer has stopped talking: gone, where nothing was done yet.
        if let Some(position) = self.nobody_there {
            let turn = &self.heard[position];
            if next(self.state, GaveUp) == Abandoned
                && let Some(hit) = turn.first(Signal::NobodyThere)
            {
                self.event(EventKind::Abandon, turn, hit, hit);
            }
            self.take(GaveUp, position);
        }
        let (outcome, confidence) = self.outcome(access, handlers, queue);
        let settled = matches!(outcome, Outcome::Resolved | Outcome::EscalatedResolved);
        // Mere politeness does not settle the matter later than its delivery did.
        let turn =
            if self.outspoken { self.confirmed } else { self.delivered.or(self.answered).or(self.confirmed) };
        let handoff = access.handoffs.iter().chain(&access.accepted).max().map(|at| &self.heard[*at]);
        if let Some(turn) = handoff.filter(|_| outcome == Outcome::Transferred) {
            let event = turn.event(self.call.turns, EventKind::Transfer, turn.all_words());
            self.events.push(Event { confidence: Some(confidence), ..event });
        }
        let evidence = if settled { turn } else { None };
        let resolved_at = evidence.and_then(|at| self.heard[at].end);
        let first_words =
            self.heard.iter().find(|t| t.is_customer()).and_then(|t| self.call.turns[t.at].span);
        Found {
            resolution: Resolution {
                outcome,
                resolved_at,
                resolution_time: resolved_at
                    .zip(first_words)
                    .map(|(at, first)| Millis((at - first.start).0.max(0))),
                confidence,
                evidence_turn: evidence.map(|at| self.call.turns[self.heard[at].at].index),
            },
            events: self.events,
        }
    }

    fn outcome(&self, access: &Access, handlers: &Handlers, queue: &[Span]) -> (Outcome, f64) {
        if self.customer_turns == 0 || self.agent_turns == 0 {
            return (Outcome::Unknown, 0.0);
        }
        let settled = self.settled_outcome(handlers);
        match self.state {
            Settled if self.outspoken => (settled, 0.95),
            Settled if self.delivered.is_some() => (settled, 0.8),
            Settled => (settled, 0.6),
            Fixed => (settled, 0.65),
            Open if self.answered < self.thanked && self.answered.is_some() => (settled, 0.55),
            // Where the rules do not know the language, nothing said so.
            Open if !covers_language(self.call.metadata.language.as_deref()) => (Outcome::Unknown, 0.0),
            Open => (Outcome::Unresolved, 0.5),
            NotPossible => (Outcome::Unresolved, 0.65),
            Reopened => (Outcome::Unresolved, 0.85),
            Abandoned => (Outcome::Abandoned, 0.85),
            Waiting if self.waited(access, queue) => (Outcome::Abandoned, 0.7),
            // The record ends with the customer's yes: nobody saw the handoff.
            Waiting if access.handoffs.is_empty() => (Outcome::Transferred, 0.6),
            Waiting => (Outcome::Transferred, 0.8),
        }
    }

    /// Settled by a person after an AI had the call first is an escalation; a menu first is none.
    fn settled_outcome(&self, handlers: &Handlers) -> Outcome {
        let at = self.confirmed.or(self.delivered).or(self.answered).unwrap_or(0);
        let by_person = self.heard[..=at]
            .iter()
            .rev()
            .find(|t| matches!(t.speaker, Speaker::AiAgent | Speaker::HumanAgent))
            .is_some_and(|t| t.speaker == Speaker::HumanAgent);
        let ai_before = handlers.first == Some(Handler::Ai);
        if by_person && ai_before { Outcome::EscalatedResolved } else { Outcome::Resolved }
    }

    /// Whether the call ends in a queue that a machine put the customer into, and that took its time.
    fn waited(&self, access: &Access, queue: &[Span]) -> bool {
        let Some(handoff) = access.handoffs.last().map(|at| &self.heard[*at]) else { return false };
        if handoff.speaker == Speaker::HumanAgent {
            return false;
        }
        let after = |span: &&Span| handoff.end.is_none_or(|end| span.end > end);
        let queued: Millis = queue.iter().filter(after).map(|s| s.duration()).sum();
        let told_to_wait =
            self.heard.iter().filter(|t| t.at > handoff.at && t.has(Signal::QueueAnnouncement));
        queued >= WAITED_IN_QUEUE || told_to_wait.count() > 0
    }
}

fn hits(turn: &Heard, signal: Signal) -> Vec<&Hit> {
    turn.hits.iter().filter(|h| h.signal == signal).collect()
}

/// What a turn says in despair and the farewell behind it; the despair may stand in the turn before (`despaired`).
fn leaves_in_despair(turn: &Heard, despaired: bool) -> Option<(&Hit, &Hit)> {
    let farewell = turn.hits.iter().rev().find(|h| h.signal == Signal::Farewell)?;
    let despair = turn.first(Signal::Despair).filter(|d| d.sentence <= farewell.sentence);
    let before = Some(farewell).filter(|_| despaired && !turn.has(Signal::Satisfied));
    despair.or(before).map(|d| (d, farewell))
}

/// "You did", "it is": the answer to "did I answer your question?".
fn said_so(turn: &Heard) -> bool {
    let text = &turn.sentences[0].text;
    ["you did", "it did", "that did", "it is", "it does", "it has", "you have"]
        .iter()
        .any(|words| text.starts_with(words) && !text.contains(" not"))
}
