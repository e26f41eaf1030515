//! One live call.

use crate::alerts::{Alert, Progress, Watch};
use crate::channel::{BrokenChunk, Channel, ChannelTrouble, Heard};
use crate::chunk::{Chunk, Refusal};
use crate::event::{CallEvent, CallEventKind};
use crate::finish::{EndReason, FinishedCall, FinishedChannel};
use crate::job::{TranscribeJob, Transcribed};
use crate::options::LiveOptions;
use crate::reorder::Arrival;
use crate::story::Story;
use callmark_acoustics::SpeechDetector;
use callmark_analytics::{Conversation, HeardUtterance, Ruleset, assign_speakers, score, turns_of};
use callmark_asr::model_language;
use callmark_types::{CallId, Millis, Span};
use std::collections::BTreeMap;

/// A channel that is this far behind the others sends nothing: nobody waits for it.
const MAX_CHANNEL_LAG: Millis = Millis(1_500);
/// A language that was detected on less speech than this is not taken for the rest of the channel.
const MIN_LANGUAGE_SPEECH: Millis = Millis(2_000);
/// A language that was detected with less probability than this is not either.
const MIN_LANGUAGE_PROBABILITY: f64 = 0.7;

/// What a session hands out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Have this recognised, and hand the result to [`Sessions::on_transcript`](crate::Sessions::on_transcript).
    Transcribe(TranscribeJob),
    /// Send this to `calls.alerts`.
    Alert(Box<Alert>),
    /// Score and commit this, then say so to [`Sessions::on_committed`](crate::Sessions::on_committed).
    Finished(Box<FinishedCall>),
    /// Make this a dead letter; the call goes on with silence in its place.
    Broken(Box<BrokenChunk>),
}

/// What is shared by all sessions.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) rules: std::sync::Arc<Ruleset>,
    pub(crate) options: LiveOptions,
    pub(crate) detector: SpeechDetector,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    channel: u16,
    span: Span,
}

/// The instants of a session on the caller's clock.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "the unit stands last")]
struct Instants {
    first_ms: i64,
    last_ms: i64,
    /// When an ended call's grace is over.
    due_ms: Option<i64>,
}

/// One live call.
#[derive(Debug)]
pub(crate) struct Session {
    call_id: CallId,
    story: Story,
    channels: BTreeMap<u16, Channel>,
    origin_ms: Option<i64>,
    pending: BTreeMap<u64, Pending>,
    /// Transcripts that wait for their turn, with the end of their utterance.
    results: BTreeMap<u64, (Millis, Transcribed)>,
    next_number: u64,
    next_taken: u64,
    taken: Vec<HeardUtterance>,
    /// Language by channel, with the probability of those detected.
    languages: BTreeMap<u16, (String, f64)>,
    failed_utterances: u64,
    watch: Watch,
    instants: Instants,
    ending: Option<EndReason>,
}

/// How far a session has gone.
struct Standing<'a> {
    channels: &'a BTreeMap<u16, Channel>,
    pending: &'a BTreeMap<u64, Pending>,
    is_ending: bool,
}

impl Progress for Standing<'_> {
    fn now(&self) -> Millis {
        self.channels.values().map(Channel::clock).max().unwrap_or(Millis::ZERO)
    }

    fn is_quiet(&self, channel: Option<u16>, from: Millis, until: Millis) -> bool {
        let now = self.now();
        let concerns = |index: u16| channel.is_none_or(|wanted| wanted == index);
        let waits =
            self.pending.values().any(|p| concerns(p.channel) && p.span.end > from && p.span.start < until);
        let quiet = |channel: &Channel| {
            let lags = channel.clock() + MAX_CHANNEL_LAG < now;
            let heard = lags || channel.heard_until() >= until || self.is_ending;
            heard && channel.open_since().is_none_or(|since| since >= until)
        };
        !waits && self.channels.iter().filter(|(index, _)| concerns(**index)).all(|(_, c)| quiet(c))
    }

    fn is_complete(&self, until: Millis) -> bool {
        let open = self.channels.values().filter_map(Channel::open_since);
        self.pending.values().map(|p| p.span.start).chain(open).all(|start| start > until)
    }

    fn last_speech_end(&self) -> Millis {
        self.channels.values().map(Channel::last_speech_end).max().unwrap_or(Millis::ZERO)
    }
}

impl Session {
    pub(crate) fn new(call_id: CallId, common: &Common, now_ms: i64) -> Self {
        Self {
            story: Story::new(call_id.clone()),
            watch: Watch::new(call_id.clone(), common.options.alerts.clone()),
            call_id,
            channels: BTreeMap::new(),
            origin_ms: None,
            pending: BTreeMap::new(),
            results: BTreeMap::new(),
            next_number: 0,
            next_taken: 0,
            taken: Vec::new(),
            languages: BTreeMap::new(),
            failed_utterances: 0,
            instants: Instants { first_ms: now_ms, last_ms: now_ms, due_ms: None },
            ending: None,
        }
    }

    /// How long the call is.
    fn now(&self) -> Millis {
        self.channels.values().map(Channel::clock).max().unwrap_or(Millis::ZERO)
    }

    /// How long the call is by its sound and by what was told of it. A time that is told far ahead of the sound is no
    /// length.
    fn length(&self, options: &LiveOptions) -> Millis {
        let (now, origin_ms) = (self.now(), self.origin_ms.or(self.story.first_ms()));
        let told =
            self.story.last_ms().zip(origin_ms).map(|(last, origin)| Millis(last.saturating_sub(origin)));
        told.filter(|told| *told > now && *told <= (now + options.max_gap).min(options.max_duration))
            .unwrap_or(now)
    }

    /// Whether nothing more is taken: only transcripts are waited for.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether nothing was ever heard of it.
    pub(crate) fn is_without_sound(&self) -> bool {
        self.channels.is_empty()
    }

    pub(crate) fn jobs_in_flight(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn stored_bytes(&self) -> usize {
        self.channels.values().map(Channel::stored_bytes).sum()
    }

    pub(crate) fn trouble(&self) -> ChannelTrouble {
        let mut all = ChannelTrouble::default();
        for channel in self.channels.values() {
            all += channel.trouble;
        }
        all
    }

    /// Takes a chunk that was checked.
    pub(crate) fn on_chunk(
        &mut self,
        common: &Common,
        chunk: Chunk,
        now_ms: i64,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        self.check_time(&chunk, &common.options, outputs)?;
        self.instants.last_ms = now_ms;
        let (index, seq) = (chunk.channel, chunk.seq);
        let new_channel = || Channel::new(index, &common.detector, &common.options);
        let channel = self.channels.entry(index).or_insert_with(new_channel);
        if channel.accept(chunk.clone()) == Arrival::Restart {
            self.advance(common, true, outputs);
            if let Some(channel) = self.channels.get_mut(&index) {
                channel.restart(seq);
                channel.accept(chunk);
            }
        }
        self.advance(common, false, outputs);
        let too_much = self.stored_bytes() >= common.options.max_stored_bytes;
        if too_much || self.now() >= common.options.max_duration {
            self.end(common, EndReason::TooLong, outputs);
        }
        Ok(())
    }

    /// Takes an event.
    pub(crate) fn on_event(
        &mut self,
        common: &Common,
        event: CallEvent,
        now_ms: i64,
        outputs: &mut Vec<Output>,
    ) {
        self.instants.last_ms = now_ms;
        if event.kind == CallEventKind::Ended {
            self.instants.due_ms.get_or_insert(now_ms.saturating_add(common.options.end_grace.0));
        }
        let unstamped = self.origin_ms.unwrap_or(now_ms).saturating_add(self.now().0);
        let ts_ms = event.ts_ms.unwrap_or(unstamped);
        self.story.take(event, ts_ms);
        self.look_at_clock(Millis::ZERO, outputs);
    }

    /// Takes what was understood of an utterance.
    pub(crate) fn on_transcript(
        &mut self,
        common: &Common,
        transcribed: Transcribed,
        outputs: &mut Vec<Output>,
    ) {
        let Some(pending) = self.pending.remove(&transcribed.number) else { return };
        self.learn_language(&transcribed, pending.span);
        self.results.insert(transcribed.number, (pending.span.end, transcribed));
        self.take_ready(common, outputs);
    }

    /// Lets time pass on the caller's clock.
    pub(crate) fn on_tick(&mut self, common: &Common, now_ms: i64, outputs: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        let since_last = now_ms.saturating_sub(self.instants.last_ms);
        if self.instants.due_ms.is_some_and(|due| now_ms >= due) {
            self.end(common, EndReason::Ended, outputs);
        } else if since_last >= common.options.idle_timeout.0 {
            self.end(common, EndReason::Idle, outputs);
        } else {
            let window = common.options.reorder_window.0;
            if self.origin_ms.is_none() && now_ms.saturating_sub(self.instants.first_ms) >= window {
                self.advance(common, true, outputs);
            }
            self.look_at_clock(Millis(since_last.max(0)), outputs);
        }
    }

    /// Nothing more is taken; what is open is heard to its end.
    pub(crate) fn end(&mut self, common: &Common, reason: EndReason, outputs: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        self.advance(common, true, outputs);
        self.ending = Some(reason);
        let end = self.length(&common.options);
        let mut heard = Vec::new();
        for channel in self.channels.values_mut() {
            // Many a telephony system sends nothing during a hold: the call went on.
            channel.silence_until(end, &mut heard);
            channel.finish(&mut heard);
        }
        self.hand_out(common, heard, outputs);
        self.take_ready(common, outputs);
    }

    /// The call, once it is over and everything was transcribed. One without sound is a call, too: the customer may have
    /// given up in a queue.
    pub(crate) fn into_finished(self, options: &LiveOptions) -> Option<FinishedCall> {
        let end = self.ending?;
        let now = self.length(options);
        let begun_ms = self.origin_ms.or(self.story.first_ms());
        let origin_ms = begun_ms.unwrap_or(0);
        let metadata = self.story.metadata(begun_ms, now);
        let surest =
            self.languages.values().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(found, _)| found.clone());
        let told = metadata.language.as_deref().and_then(model_language).map(str::to_owned);
        Some(FinishedCall {
            end,
            length: now,
            origin_ms,
            language: told.or(surest),
            holds: self.story.holds(origin_ms, now).0,
            transfers: self.story.transfers(origin_ms),
            metadata,
            channels: self
                .channels
                .into_iter()
                .map(|(channel, c)| FinishedChannel { channel, trouble: c.trouble, sound: c.into_kept() })
                .collect(),
            utterances: self.taken,
            failed_utterances: self.failed_utterances,
        })
    }

    /// Whether it can be finished.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending() && self.pending.is_empty() && self.results.is_empty()
    }

    /// A chunk that lies far ahead would put hours of silence into the call.
    fn check_time(
        &mut self,
        chunk: &Chunk,
        options: &LiveOptions,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let limit_ms = options.max_gap.0;
        let Some(origin_ms) = self.origin_ms else { return self.check_first_times(chunk, limit_ms, outputs) };
        let ahead_ms = chunk.ts_ms.saturating_sub(origin_ms).saturating_sub(self.now().0);
        if ahead_ms > limit_ms { Err(Refusal::FarAhead { ahead_ms, limit_ms }) } else { Ok(()) }
    }

    /// Before the call has a beginning no clock is more right than another: of two chunks that lie far apart the one
    /// goes that stands alone, the earlier taken one where both do.
    fn check_first_times(
        &mut self,
        chunk: &Chunk,
        limit_ms: i64,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let channels = || self.channels.values();
        let earliest = channels().filter_map(Channel::earliest_ts_ms).min();
        let latest = channels().filter_map(Channel::latest_ts_ms).max();
        let (Some(earliest), Some(latest)) = (earliest, latest) else { return Ok(()) };
        let ahead_ms = chunk.ts_ms.saturating_sub(earliest).max(latest.saturating_sub(chunk.ts_ms));
        if ahead_ms <= limit_ms {
            return Ok(());
        }
        if channels().map(Channel::waiting).sum::<usize>() > 1 {
            return Err(Refusal::FarAhead { ahead_ms, limit_ms });
        }
        let reason = Refusal::FarAhead { ahead_ms, limit_ms }.to_string();
        for alone in self.channels.values_mut().flat_map(Channel::give_up) {
            outputs.push(Output::Broken(Box::new(BrokenChunk { chunk: alone, reason: reason.clone() })));
        }
        Ok(())
    }

    /// Decodes what may be decoded.
    fn advance(&mut self, common: &Common, flush: bool, outputs: &mut Vec<Output>) {
        let starts = flush || self.channels.values().any(Channel::may_start);
        if self.origin_ms.is_none() && starts {
            self.origin_ms = self.channels.values().filter_map(Channel::earliest_ts_ms).min();
        }
        let Some(origin_ms) = self.origin_ms else { return };
        let (mut heard, mut broken) = (Vec::new(), Vec::new());
        for channel in self.channels.values_mut() {
            channel.drain(origin_ms, flush, &mut heard, &mut broken);
        }
        outputs.extend(broken.into_iter().map(|b| Output::Broken(Box::new(b))));
        self.hand_out(common, heard, outputs);
        self.look_at_clock(Millis::ZERO, outputs);
    }

    /// Hands out utterances, in the order in which they end.
    fn hand_out(&mut self, common: &Common, mut heard: Vec<Heard>, outputs: &mut Vec<Output>) {
        heard.retain(|h| !h.speech.is_empty() && !self.is_leak(common, h));
        heard.sort_by_key(|h| (h.span.end, h.channel));
        let told = self.story.metadata(self.origin_ms, self.now()).language;
        let told = told.as_deref().and_then(model_language);
        for utterance in heard {
            let Heard { channel, span, speech, pcm, offset } = utterance;
            let detected = self.languages.get(&channel).filter(|(_, p)| *p >= MIN_LANGUAGE_PROBABILITY);
            let language = told.map(str::to_owned).or_else(|| detected.map(|(found, _)| found.clone()));
            let number = self.next_number;
            self.next_number += 1;
            self.pending.insert(number, Pending { channel, span });
            let call_id = self.call_id.clone();
            let job = TranscribeJob { call_id, channel, number, span, pcm, speech, language, offset };
            outputs.push(Output::Transcribe(job));
        }
    }

    /// Whether another channel is so much louder that this is its leak.
    fn is_leak(&self, common: &Common, heard: &Heard) -> bool {
        let level = |channel: &Channel| {
            let levels = heard
                .speech
                .iter()
                .filter_map(|s| channel.level_dbfs(Span::new(s.start + heard.offset, s.end + heard.offset)));
            levels.reduce(f64::max)
        };
        let Some(own) = self.channels.get(&heard.channel).and_then(level) else { return false };
        let others = self.channels.iter().filter(|(index, _)| **index != heard.channel);
        let bound = common.options.acoustics.leak_always_below_db;
        others.filter_map(|(_, c)| level(c)).any(|other| own - other < bound)
    }

    fn learn_language(&mut self, transcribed: &Transcribed, span: Span) {
        let Some((found, Some(probability))) = &transcribed.language else { return };
        let known = self.languages.get(&transcribed.channel).map_or(0.0, |(_, p)| *p);
        let settled = known >= MIN_LANGUAGE_PROBABILITY;
        if !settled && span.duration() >= MIN_LANGUAGE_SPEECH && *probability > known {
            self.languages.insert(transcribed.channel, (found.clone(), *probability));
        }
    }

    /// Takes transcripts in the order of their utterances, and looks at the turns after each.
    fn take_ready(&mut self, common: &Common, outputs: &mut Vec<Output>) {
        while let Some((ended, result)) = self.results.remove(&self.next_taken) {
            self.next_taken += 1;
            self.failed_utterances += u64::from(result.is_failed);
            if !result.utterances.is_empty() {
                self.taken.extend(result.utterances);
                self.look_at_turns(common, ended, outputs);
            }
            self.look_at_clock(Millis::ZERO, outputs);
        }
    }

    fn look_at_turns(&mut self, common: &Common, known: Millis, outputs: &mut Vec<Output>) {
        let end = self.now();
        let metadata = self.story.metadata(self.origin_ms, end);
        let mut turns = turns_of(&self.taken, &[], None, &metadata.channel_roles);
        let spoken = assign_speakers(&common.rules, &metadata, &turns.lanes);
        for (turn, speaker) in turns.turns.iter_mut().zip(spoken.speakers) {
            turn.speaker = speaker;
        }
        let call = Conversation { metadata: &metadata, turns: &turns.turns, audio: None, end: Some(end) };
        let scores = score(&common.rules, &call);
        let mut alerts = Vec::new();
        self.watch.on_turns(&turns.turns, &scores, known, self.origin_ms.unwrap_or(0), &mut alerts);
        outputs.extend(alerts.into_iter().map(|a| Output::Alert(Box::new(a))));
    }

    /// `beyond` is how long nothing came on the caller's clock: a hold goes on without a sound.
    fn look_at_clock(&mut self, beyond: Millis, outputs: &mut Vec<Output>) {
        let Some(origin_ms) = self.origin_ms else { return };
        let (holds, on_hold) = self.story.holds(origin_ms, self.now() + beyond);
        let mut alerts = Vec::new();
        let progress =
            Standing { channels: &self.channels, pending: &self.pending, is_ending: self.ending.is_some() };
        let held = if on_hold { beyond } else { Millis::ZERO };
        self.watch.on_clock(&progress, held, (&holds, on_hold), origin_ms, &mut alerts);
        outputs.extend(alerts.into_iter().map(|a| Output::Alert(Box::new(a))));
    }
}
