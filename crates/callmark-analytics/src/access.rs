//! The right to a person: requests, offers and their answers, deflections, handoffs, and whether a person came.
//!
//! Read turn by turn, because the same words mean different things to a machine and to a person, after an offer and
//! out of the blue.

use crate::hearing::{Heard, Hit};
use crate::signal::Signal;
use crate::{Conversation, Ruleset};
use callmark_types::{Event, EventKind, HumanAccess, Millis, Span, Speaker, Turn};

/// Findings less likely than this do not count.
pub(crate) const LEAST_LIKELY: f64 = 0.5;

/// An offer is open for this many turns of the customer.
const OFFER_STAYS_OPEN_TURNS: u32 = 2;

/// What was found on access to a person.
pub(crate) struct Access {
    /// Requests, offers, answers, deflections, handoffs.
    pub(crate) events: Vec<Event>,
    /// Figures.
    pub(crate) human: HumanAccess,
    /// Turns (positions in `heard`) that announce a handoff.
    pub(crate) handoffs: Vec<usize>,
    /// Turns (positions in `heard`) that accept an offer of a person.
    pub(crate) accepted: Vec<usize>,
}

/// Reads the call for requests and what became of them.
pub(crate) fn find(rules: &Ruleset, call: &Conversation<'_>, heard: &[Heard]) -> Access {
    let mut reading = Reading::new(rules, call.turns);
    for (position, turn) in heard.iter().enumerate() {
        if turn.is_customer() {
            reading.customer(position, turn);
        } else {
            reading.agent(position, heard);
        }
    }
    reading.end_of_block();
    let human = reading.figures(heard);
    Access { events: reading.events, human, handoffs: reading.handoffs, accepted: reading.accepted }
}

/// The first request or accepted offer: from here a person is due.
#[derive(Clone, Copy)]
struct Due {
    at: usize,
    span: Option<Span>,
}

/// An offer that the customer has not answered yet.
#[derive(Clone, Copy)]
struct Offer {
    /// Turns of the customer in which it can still be answered.
    turns: u32,
    /// It is one of two things asked for: yes answers neither.
    among_others: bool,
    /// The customer's turn (position in `heard`) behind it that was no answer.
    unanswered: Option<usize>,
}

struct Reading<'a> {
    rules: &'a Ruleset,
    turns: &'a [Turn],
    events: Vec<Event>,
    handoffs: Vec<usize>,
    accepted: Vec<usize>,
    requests: i32,
    deflections: i32,
    first_request: Option<Due>,
    due: Option<Due>,
    listener: Option<Speaker>,
    offer: Option<Offer>,
    /// A request that the agent side has not answered yet; whether it counts for the figures.
    pending: Option<bool>,
    /// The answer that is no handoff, held back until the agent side has finished.
    evasion: Option<Event>,
    in_queue: bool,
}

impl<'a> Reading<'a> {
    fn new(rules: &'a Ruleset, turns: &'a [Turn]) -> Self {
        Self {
            rules,
            turns,
            events: Vec::new(),
            handoffs: Vec::new(),
            accepted: Vec::new(),
            requests: 0,
            deflections: 0,
            first_request: None,
            due: None,
            listener: None,
            offer: None,
            pending: None,
            evasion: None,
            in_queue: false,
        }
    }

    fn customer(&mut self, position: usize, turn: &Heard) {
        self.end_of_block();
        let human_listens = self.listener == Some(Speaker::HumanAgent);
        let hits = request_hits(turn, human_listens);
        if self.offer.is_some() && self.answer_to_offer(position, turn, &hits) {
            return;
        }
        let to = self.listener.map_or("unknown", handler_name);
        for hit in hits {
            let mut event = turn.event_of(self.rules, self.turns, EventKind::HumanRequest, hit);
            let target = event.detail.take().unwrap_or_else(|| "target=human".to_owned());
            event.detail = Some(format!("{target};to_handler={to};by={}", hit.basis.name()));
            if turn.speaker == Speaker::Unknown {
                event.confidence = event.confidence.map(|c| c * 0.7);
            }
            let due = Due { at: turn.at, span: event.span };
            self.events.push(event);
            // One who listens may pass the call on or not: nothing is evaded.
            if !human_listens || hit.signal == Signal::SupervisorRequest {
                self.pending = Some(!human_listens);
            }
            if !human_listens {
                self.requests += 1;
                self.first_request.get_or_insert(due);
                self.due.get_or_insert(due);
            }
        }
    }

    /// Reads the turn, which holds these requests, as an answer to the open offer. Whether it was one.
    fn answer_to_offer(&mut self, position: usize, turn: &Heard, requests: &[&Hit]) -> bool {
        let Some(offer) = self.offer.as_mut() else { return false };
        let refusal = turn.first(Signal::RefusesOffer);
        // "No agent" refuses what was offered.
        let refused = |request: &&Hit| {
            request.signal == Signal::BareHumanRequest
                && refusal.is_some_and(|no| no.sentence == request.sentence)
        };
        let asks = !requests.iter().all(refused);
        let accepts = turn.first(Signal::AcceptsOffer).filter(|_| !offer.among_others);
        let (kind, hit) = match (refusal, accepts) {
            (Some(no), _) if !asks => (EventKind::OfferDeclined, Some(no)),
            (_, Some(yes)) => (EventKind::OfferAccepted, Some(yes)),
            _ if asks => (EventKind::OfferAccepted, requests.first().copied()),
            _ => {
                offer.turns -= 1;
                offer.unanswered = Some(position);
                return false;
            }
        };
        self.offer = None;
        let Some(hit) = hit else { return false };
        let event = turn.event_of(self.rules, self.turns, kind, hit);
        self.answered(event, position, turn);
        true
    }

    fn answered(&mut self, mut event: Event, position: usize, turn: &Heard) {
        event.detail = self.listener.map(|s| format!("to_handler={}", handler_name(s)));
        if event.kind == EventKind::OfferAccepted {
            self.accepted.push(position);
            self.due.get_or_insert(Due { at: turn.at, span: event.span });
        }
        self.events.push(event);
    }

    fn agent(&mut self, position: usize, heard: &[Heard]) {
        let turn = &heard[position];
        let was = self.listener.replace(turn.speaker);
        let by = handler_name(turn.speaker);
        if turn.speaker == Speaker::HumanAgent {
            if was != Some(Speaker::HumanAgent) && self.pending == Some(true) {
                (self.pending, self.evasion) = (None, None);
            }
            self.in_queue = false;
        }
        let offer = turn.first(Signal::HumanOffer);
        // "Shall I do that?" asks for nothing else.
        let go_ahead =
            |at: usize| turn.hits.iter().any(|h| h.sentence == at && h.signal == Signal::AsksGoAhead);
        let asks_after =
            |from: usize| (from..turn.sentences.len()).any(|at| turn.sentences[at].question && !go_ahead(at));
        if let Some(hit) = offer {
            let mut event = turn.event_of(self.rules, self.turns, EventKind::HumanOffer, hit);
            event.detail = Some(format!("target=human;by_handler={by}"));
            self.events.push(event);
            let last = turn.hits.iter().rev().find(|h| h.signal == Signal::HumanOffer).unwrap_or(hit);
            // Only what is asked last is answered by yes.
            let sentence = &turn.sentences[last.sentence];
            let among_others = sentence.question && is_one_of_two(&sentence.text);
            let fresh = Offer { turns: OFFER_STAYS_OPEN_TURNS, among_others, unanswered: None };
            self.offer = Some(fresh).filter(|_| !asks_after(last.sentence + 1));
        } else if self.offer.is_some_and(|o| o.turns == 0) || asks_after(0) {
            self.offer = None;
        }
        let offered_in = offer.map(|h| h.sentence);
        let handoff =
            turn.hits.iter().find(|h| h.signal == Signal::Handoff && Some(h.sentence) != offered_in);
        // In the queue, the same announcement comes again and again.
        let announces = handoff.filter(|_| !(turn.speaker == Speaker::Ivr && self.in_queue));
        if let Some(hit) = announces {
            let event = turn.event_of(self.rules, self.turns, EventKind::Handoff, hit);
            self.events.push(event);
            self.handoffs.push(position);
            self.in_queue = true;
            // What was said before a handoff that follows an offer was a yes, however it was put.
            if let Some(said) = self.offer.take().and_then(|o| o.unanswered) {
                let answer = &heard[said];
                let event = answer.event(self.turns, EventKind::OfferAccepted, answer.all_words());
                self.answered(Event { confidence: Some(0.7), ..event }, said, answer);
            }
        }
        self.weigh_answer(turn, offer.is_some() || handoff.is_some());
    }

    /// Whether the agent side's words answer a pending request, evade it, or leave it open.
    fn weigh_answer(&mut self, turn: &Heard, gives_way: bool) {
        if self.pending.is_none() {
            return;
        }
        let waits = self.in_queue && turn.has(Signal::QueueAnnouncement);
        if gives_way || waits {
            (self.pending, self.evasion) = (None, None);
            return;
        }
        if !turn.is_polite() && self.evasion.is_none() {
            let mut event = turn.event(self.turns, EventKind::Deflection, turn.all_words());
            event.detail = Some(format!("by_handler={}", handler_name(turn.speaker)));
            event.confidence = Some(0.85);
            self.evasion = Some(event);
        }
    }

    /// The agent side has finished: what it said instead of a handoff was a deflection.
    fn end_of_block(&mut self) {
        if let Some(event) = self.evasion.take() {
            if self.pending.take() == Some(true) {
                self.deflections += 1;
            }
            self.events.push(event);
        }
    }

    fn figures(&self, heard: &[Heard]) -> HumanAccess {
        let person = self.due.and_then(|due| {
            heard.iter().find(|t| t.at > due.at && t.speaker == Speaker::HumanAgent).map(|t| t.at)
        });
        let reached: Option<Millis> = person.and_then(|at| self.turns[at].span).map(|s| s.start);
        let waited = |from: Millis| reached.map(|at| Millis((at - from).0.max(0)));
        HumanAccess {
            human_request_count: self.requests,
            first_human_request: self.first_request.and_then(|r| r.span).map(|s| s.start),
            deflection_count: self.deflections,
            human_reached: reached,
            time_to_human: self.due.and_then(|d| d.span).and_then(|s| waited(s.end)),
            human_request_honoured: self.due.map(|_| person.is_some()),
        }
    }
}

/// "Shall I connect you with an agent, or send you a link?": the offer is one of two things.
fn is_one_of_two(sentence: &str) -> bool {
    let same = ["a ", "an ", "another ", "the ", "one ", "someone", "somebody", "to a", "with a", "not"];
    sentence.split_once(" or ").is_some_and(|(_, other)| !same.iter().any(|start| other.starts_with(start)))
}

/// The requests of a turn, at most one a sentence. A person who listens can only be asked for somebody else; a
/// refusal of machines counts where nothing else does; "someone. A human." is one request.
fn request_hits(turn: &Heard, human_listens: bool) -> Vec<&Hit> {
    let rank = |hit: &Hit| match hit.signal {
        Signal::SupervisorRequest => Some(0),
        // A finding that is more likely wrong than right is none.
        _ if hit.confidence < LEAST_LIKELY => None,
        Signal::AnotherPersonRequest if human_listens => Some(1),
        Signal::HumanRequest if !human_listens => Some(1),
        Signal::DepartmentRequest if !human_listens => Some(2),
        Signal::BareHumanRequest if !human_listens => Some(3),
        Signal::MachineRefusal if !human_listens => Some(4),
        _ => None,
    };
    let mut best: Vec<&Hit> = Vec::new();
    for hit in turn.hits.iter().filter(|h| rank(h).is_some()) {
        match best.iter_mut().find(|b| b.sentence == hit.sentence) {
            Some(other) if rank(hit) < rank(other) => *other = hit,
            Some(_) => {}
            None => best.push(hit),
        }
    }
    if best.iter().any(|h| h.signal != Signal::MachineRefusal) {
        best.retain(|h| h.signal != Signal::MachineRefusal);
    } else {
        best.truncate(1);
    }
    let completes = |hit: &Hit, before: Option<&&Hit>| {
        let vague = |s: usize| {
            let text = &turn.sentences[s].text;
            ["someone", "somebody", "anyone", "anybody"].iter().any(|w| text.contains(w))
        };
        hit.signal == Signal::BareHumanRequest
            && before.is_some_and(|b| b.sentence + 1 == hit.sentence && vague(b.sentence))
    };
    let mut out: Vec<&Hit> = Vec::new();
    for hit in best {
        if !completes(hit, out.last()) {
            out.push(hit);
        }
    }
    out
}

/// The handler a speaker belongs to, for details.
fn handler_name(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::AiAgent => "ai",
        Speaker::HumanAgent => "human",
        Speaker::Ivr => "ivr",
        Speaker::Customer | Speaker::Unknown => "unknown",
    }
}
