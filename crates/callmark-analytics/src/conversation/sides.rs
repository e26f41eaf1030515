//! Who speaks when: the speech of each side, taken from audio where there is audio.

use super::{intersect, subtract, turn_taking::Side};
use crate::Conversation;
use callmark_types::{ChannelFacts, ChannelRole, Millis, Span, Speaker, Turn};

/// A stretch of speech without a recognised word is believed from this length on; shorter ones are clicks and breath.
const MIN_WORDLESS_SPEECH: Millis = Millis(250);

/// Speech of one call. Each list is in order, without overlaps and inside the call.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Speech {
    /// The customer.
    pub(super) customer: Vec<Span>,
    /// AI and human agents; no announcements, no menus.
    pub(super) agent: Vec<Span>,
    /// Somebody of whom nothing tells the side.
    pub(super) unplaced: Vec<Span>,
    /// Anybody, announcements and menus included.
    pub(super) any: Vec<Span>,
    /// End of the call.
    pub(super) end: Millis,
}

impl Speech {
    /// Speech of `call`; `None` where nothing says when anybody spoke, or only when they began: a chat with the times at
    /// which messages were sent.
    pub(super) fn of(call: &Conversation<'_>) -> Option<Self> {
        let last_turn = call.turns.iter().filter_map(|turn| turn.span).map(|span| span.end).max();
        let end = call.end.or(last_turn)?;
        let no_length = |turn: &&Turn| turn.span.is_some_and(|span| span.duration() == Millis::ZERO);
        if call.audio.is_none() && (last_turn.is_none() || call.turns.iter().any(|turn| no_length(&turn))) {
            return None;
        }
        let mut speech = Self { end, ..Self::default() };
        match call.audio {
            Some(audio) => {
                for channel in &audio.channels {
                    speech.add_channel(call, channel);
                }
            }
            None => speech.add_turns(&call.turns.iter().collect::<Vec<_>>(), None),
        }
        speech.customer = speech.inside(&speech.customer);
        speech.agent = speech.inside(&speech.agent);
        speech.unplaced = speech.inside(&speech.unplaced);
        speech.any = speech.inside(&speech.any);
        speech.drop_bleed(call);
        Some(speech)
    }

    pub(super) fn of_side(&self, side: Side) -> &[Span] {
        match side {
            Side::Agent => &self.agent,
            Side::Customer => &self.customer,
        }
    }

    /// Whether this side can be measured: it speaks, or nobody speaks whose side is not known.
    pub(super) fn knows(&self, side: Side) -> bool {
        self.unplaced.is_empty() || !self.of_side(side).is_empty()
    }

    fn add_channel(&mut self, call: &Conversation<'_>, channel: &ChannelFacts) {
        let turns: Vec<&Turn> =
            call.turns.iter().filter(|turn| turn.channel == Some(channel.channel)).collect();
        let believed = believed_speech(channel, &turns);
        match role(call, channel.channel, &turns) {
            Some(ChannelRole::Customer) => self.customer.extend(&believed),
            Some(ChannelRole::Agent) => {
                self.agent.extend(subtract(&believed, &announcements(&turns)));
            }
            Some(ChannelRole::Mixed) => self.add_turns(&turns, Some(&believed)),
            None if turns.iter().any(|turn| turn.is_kept() && turn.speaker == Speaker::Unknown) => {
                self.unplaced.extend(&believed);
            }
            None => {}
        }
        self.any.extend(believed);
    }

    /// Adds what turns say of themselves, cut to the channel's speech where that is known.
    fn add_turns(&mut self, turns: &[&Turn], heard: Option<&[Span]>) {
        for turn in turns.iter().filter(|turn| turn.is_kept()) {
            let Some(span) = turn.span else { continue };
            let mut spoken = heard.map(|heard| intersect(&[span], heard)).unwrap_or_default();
            if spoken.is_empty() {
                spoken.push(span);
            }
            match Side::of(turn.speaker) {
                Some(Side::Customer) => self.customer.extend(&spoken),
                Some(Side::Agent) => self.agent.extend(&spoken),
                None if turn.speaker == Speaker::Unknown => self.unplaced.extend(&spoken),
                None => {}
            }
            self.any.extend(spoken);
        }
    }

    fn inside(&self, spans: &[Span]) -> Vec<Span> {
        let bounds = Span::new(Millis::ZERO, self.end);
        Span::union(spans.iter().filter_map(|span| span.intersection(bounds)))
    }

    /// Takes a channel's speech for an echo of the other side where no word was recognised in it and the other side
    /// speaks all the while.
    fn drop_bleed(&mut self, call: &Conversation<'_>) {
        if call.audio.is_none() {
            return;
        }
        let words_of = |side: Side| -> Vec<Span> {
            let said =
                call.turns.iter().filter(|turn| turn.is_kept() && Side::of(turn.speaker) == Some(side));
            said.filter_map(|turn| turn.span).collect()
        };
        let (customer_words, agent_words) = (words_of(Side::Customer), words_of(Side::Agent));
        let echo = |span: &Span, own_words: &[Span], other: &[Span]| {
            own_words.iter().all(|words| words.intersection(*span).is_none())
                && other.iter().any(|o| o.start <= span.start && span.end <= o.end)
        };
        let customer =
            self.customer.iter().filter(|s| !echo(s, &customer_words, &self.agent)).copied().collect();
        let agent = self.agent.iter().filter(|s| !echo(s, &agent_words, &self.customer)).copied().collect();
        (self.customer, self.agent) = (customer, agent);
    }
}

/// The detector's speech less what the recogniser found to be none: stretches in which every recognised text was
/// dropped as invented, music in which no word was recognised, and wordless clicks.
fn believed_speech(channel: &ChannelFacts, turns: &[&Turn]) -> Vec<Span> {
    let (kept, dropped): (Vec<&Turn>, Vec<&Turn>) = turns.iter().partition(|turn| turn.is_kept());
    let spans = |turns: &[&Turn]| -> Vec<Span> { turns.iter().filter_map(|turn| turn.span).collect() };
    let (kept, dropped) = (spans(&kept), spans(&dropped));
    let meets = |texts: &[Span], span: Span| texts.iter().any(|text| text.intersection(span).is_some());
    let heard = Span::union(channel.speech.iter().copied());
    let worded: Vec<Span> = heard.iter().copied().filter(|span| meets(&kept, *span)).collect();
    let wordless: Vec<Span> =
        heard.into_iter().filter(|span| !meets(&kept, *span) && !meets(&dropped, *span)).collect();
    let outside_music = subtract(&wordless, &Span::union(channel.music.iter().copied()));
    let long_enough = outside_music.into_iter().filter(|span| span.duration() >= MIN_WORDLESS_SPEECH);
    Span::union(worded.into_iter().chain(long_enough))
}

/// Spans of menus and announcements.
fn announcements(turns: &[&Turn]) -> Vec<Span> {
    let machine = turns.iter().filter(|turn| turn.is_kept() && turn.speaker == Speaker::Ivr);
    let people: Vec<Span> = turns
        .iter()
        .filter(|turn| turn.is_kept() && Side::of(turn.speaker).is_some())
        .filter_map(|turn| turn.span)
        .collect();
    subtract(&Span::union(machine.filter_map(|turn| turn.span)), &Span::union(people))
}

/// Whose voice a channel carries: told by metadata, else seen from who speaks on it.
fn role(call: &Conversation<'_>, channel: u16, turns: &[&Turn]) -> Option<ChannelRole> {
    if let Some(Some(told)) = call.metadata.channel_roles.get(usize::from(channel)) {
        return Some(*told);
    }
    let kept = || turns.iter().filter(|turn| turn.is_kept());
    let customer = kept().any(|turn| turn.speaker == Speaker::Customer);
    let agent = kept().any(|turn| turn.speaker.is_agent_side());
    match (customer, agent) {
        (true, true) => Some(ChannelRole::Mixed),
        (true, false) => Some(ChannelRole::Customer),
        (false, true) => Some(ChannelRole::Agent),
        (false, false) => None,
    }
}
