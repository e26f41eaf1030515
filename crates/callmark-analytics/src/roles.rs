//! Who speaks each turn: what metadata tells, else what the words show.

use crate::Ruleset;
use crate::signal::Signal;
use crate::text;
use callmark_types::{CallMetadata, ChannelRole, Handler, Span, Speaker, TrustFlag};
use std::collections::{BTreeMap, BTreeSet};

/// Where a voice is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A channel of its own.
    Channel(u16),
    /// One voice of a mixed channel.
    Voice(u8),
}

/// A turn before it is known who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneTurn {
    /// Where it is heard.
    pub lane: Lane,
    /// When; `None` without times.
    pub span: Option<Span>,
    /// What is said.
    pub text: String,
    /// The role that metadata gives this lane; `Mixed` and `None` tell nothing.
    pub told_role: Option<ChannelRole>,
}

/// Who speaks each turn, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// One speaker a turn.
    pub speakers: Vec<Speaker>,
    /// `RolesDetected` and `HandlersDetected` where the words decided.
    pub flags: Vec<TrustFlag>,
}

/// What is counted on one lane's words.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    told: Option<ChannelRole>,
    agent: i32,
    customer: i32,
}

/// Works out who speaks each turn. Metadata wins for sides (`told_role`) and for handlers (`handler_segments`, then
/// `first_handler`); else the words decide, and a flag says so. A lane that nothing places is `Unknown`; the agent
/// side is a person where nothing shows a machine.
pub fn assign_speakers(rules: &Ruleset, metadata: &CallMetadata, turns: &[LaneTurn]) -> Roles {
    let signals: Vec<BTreeSet<Signal>> = turns.iter().map(|t| signals_in(rules, &t.text)).collect();
    let mut tallies: BTreeMap<Lane, Tally> = BTreeMap::new();
    for (turn, heard) in turns.iter().zip(&signals) {
        let tally = tallies.entry(turn.lane).or_default();
        let told = turn.told_role.filter(|r| *r != ChannelRole::Mixed);
        tally.told = tally.told.or(told);
        tally.agent += i32::from(heard.contains(&Signal::AgentWords))
            + 2 * i32::from(heard.contains(&Signal::AiDisclosure) || heard.contains(&Signal::MenuPrompt));
        tally.customer += i32::from(heard.contains(&Signal::CustomerWords));
    }
    let mut flags = Vec::new();
    let sides = sides_of(&tallies);
    let guessed = |lane: &Lane| tallies[lane].told.is_none() && sides.contains_key(lane);
    if tallies.keys().any(guessed) {
        flags.push(TrustFlag::RolesDetected);
    }
    let agent_turns: Vec<usize> =
        (0..turns.len()).filter(|i| sides.get(&turns[*i].lane) == Some(&ChannelRole::Agent)).collect();
    let (handlers, detected) = handlers_of(metadata, turns, &signals, &agent_turns);
    if detected {
        flags.push(TrustFlag::HandlersDetected);
    }
    let mut speakers: Vec<Speaker> = turns
        .iter()
        .map(|turn| match sides.get(&turn.lane) {
            Some(ChannelRole::Customer) => Speaker::Customer,
            _ => Speaker::Unknown,
        })
        .collect();
    for (index, speaker) in agent_turns.iter().zip(handlers) {
        speakers[*index] = speaker;
    }
    Roles { speakers, flags }
}

fn signals_in(rules: &Ruleset, text: &str) -> BTreeSet<Signal> {
    let sentences = text::sentences_of_text(text, &rules.spelling);
    sentences.iter().flat_map(|s| rules.look(s, None).found).map(|m| rules.rules[m.rule].signal).collect()
}

/// The side of each lane that can be placed: told, else by the balance of words; where one side is known, the other
/// of two lanes is the other side.
fn sides_of(tallies: &BTreeMap<Lane, Tally>) -> BTreeMap<Lane, ChannelRole> {
    let mut sides: BTreeMap<Lane, ChannelRole> =
        tallies.iter().filter_map(|(lane, t)| t.told.map(|role| (*lane, role))).collect();
    let open: Vec<(&Lane, &Tally)> = tallies.iter().filter(|(_, t)| t.told.is_none()).collect();
    let balance = |t: &Tally| t.agent - t.customer;
    let told = |role: ChannelRole| tallies.values().any(|t| t.told == Some(role));
    match open.as_slice() {
        [(lane, _)] if told(ChannelRole::Agent) && !told(ChannelRole::Customer) => {
            sides.insert(**lane, ChannelRole::Customer);
        }
        [(lane, _)] if told(ChannelRole::Customer) && !told(ChannelRole::Agent) => {
            sides.insert(**lane, ChannelRole::Agent);
        }
        [(one, a), (other, b)] if sides.is_empty() && balance(a) != balance(b) => {
            let one_is_agent = balance(a) > balance(b);
            let role = |agent: bool| if agent { ChannelRole::Agent } else { ChannelRole::Customer };
            sides.insert(**one, role(one_is_agent));
            sides.insert(**other, role(!one_is_agent));
        }
        _ => {
            for (lane, tally) in open {
                match balance(tally) {
                    1.. => sides.insert(*lane, ChannelRole::Agent),
                    ..=-1 => sides.insert(*lane, ChannelRole::Customer),
                    0 => None,
                };
            }
        }
    }
    sides
}

/// The speaker of each agent-side turn, and whether words decided.
fn handlers_of(
    metadata: &CallMetadata,
    turns: &[LaneTurn],
    signals: &[BTreeSet<Signal>],
    agent_turns: &[usize],
) -> (Vec<Speaker>, bool) {
    if agent_turns.is_empty() {
        return (Vec::new(), false);
    }
    if metadata.tells_handlers() && agent_turns.iter().all(|i| turns[*i].span.is_some()) {
        let by_time = |i: &usize| turns[*i].span.map_or(Speaker::Unknown, |span| speaker_at(metadata, span));
        return (agent_turns.iter().map(by_time).collect(), false);
    }
    let says = |i: usize, signal: Signal| signals[i].contains(&signal);
    let first = metadata.first_handler.and_then(speaker_of);
    let mut opening = agent_turns.iter().take_while(|i| !says(**i, Signal::Handoff));
    // Whoever is asked for a person is none.
    let handoff_at = agent_turns.iter().find(|i| says(**i, Signal::Handoff)).copied().unwrap_or(turns.len());
    let agent_lane: BTreeSet<usize> = agent_turns.iter().copied().collect();
    let asked_for_person = (0..handoff_at).filter(|i| !agent_lane.contains(i)).any(|i| {
        [Signal::HumanRequest, Signal::BareHumanRequest, Signal::MachineRefusal].iter().any(|s| says(i, *s))
    });
    // Unless they say that they are one.
    let claims = agent_turns.iter().take_while(|i| **i < handoff_at).any(|i| says(*i, Signal::ClaimsPerson));
    let discloses = (asked_for_person && !claims) || opening.any(|i| says(*i, Signal::AiDisclosure));
    let starts_with_menu = says(agent_turns[0], Signal::MenuPrompt);
    let mut current = first.unwrap_or(match (discloses, starts_with_menu) {
        (_, true) => Speaker::Ivr,
        (true, _) => Speaker::AiAgent,
        _ => Speaker::HumanAgent,
    });
    let mut handed_over = false;
    let mut out = Vec::with_capacity(agent_turns.len());
    for &i in agent_turns {
        let announces = says(i, Signal::QueueAnnouncement) || says(i, Signal::MenuPrompt);
        // A second voice that greets by name is somebody else, announced or not.
        let greets = says(i, Signal::PersonGreets) && !says(i, Signal::AiDisclosure) && i != agent_turns[0];
        handed_over |= current == Speaker::AiAgent && asked_for_person && greets;
        // After a handoff, whoever does not read an announcement has taken over; a menu hands over to a machine
        // only when that says so.
        if handed_over && !announces {
            let machine = says(i, Signal::AiDisclosure);
            let human_handed = current == Speaker::HumanAgent;
            current = if machine && !human_handed { Speaker::AiAgent } else { Speaker::HumanAgent };
            handed_over = false;
        } else if current == Speaker::Ivr && first.is_none() && !announces && says(i, Signal::AiDisclosure) {
            current = Speaker::AiAgent;
        } else if current == Speaker::Ivr && !announces && says(i, Signal::HumanAgentWords) {
            current = Speaker::HumanAgent;
        }
        let waits = announces && (handed_over || says(i, Signal::MenuPrompt) || current != Speaker::AiAgent);
        out.push(if waits { Speaker::Ivr } else { current });
        if says(i, Signal::Handoff) && current != Speaker::HumanAgent {
            handed_over = true;
        }
    }
    (out, first.is_none())
}

fn speaker_of(handler: Handler) -> Option<Speaker> {
    match handler {
        Handler::Ai => Some(Speaker::AiAgent),
        Handler::Human => Some(Speaker::HumanAgent),
        Handler::Ivr => Some(Speaker::Ivr),
        Handler::Hold | Handler::Queue => None,
    }
}

/// The speaker by the segment that holds most of the turn; words of the agent side in a queue or on hold are
/// announcements.
fn speaker_at(metadata: &CallMetadata, span: Span) -> Speaker {
    let segments = &metadata.handler_segments;
    let best = segments.iter().max_by_key(|s| (s.span.overlap(span), std::cmp::Reverse(s.span.start)));
    let covering = best.filter(|s| s.span.overlap(span).0 > 0).or_else(|| {
        segments
            .iter()
            .min_by_key(|s| (s.span.start - span.start).0.abs().min((s.span.end - span.start).0.abs()))
    });
    covering.map_or(Speaker::Unknown, |s| speaker_of(s.handler).unwrap_or(Speaker::Ivr))
}

#[cfg(test)]
mod tests;
