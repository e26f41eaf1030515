//! The cheap stage: what was heard or written down, plus metadata, to one scored call. Pure.

use crate::assemble::{LaneTurns, turns_of};
use crate::spool::HeardCall;
use crate::transcripts::WrittenConversation;
use callmark_analytics::{Conversation, Roles, Ruleset, Scores, assign_speakers, score};
use callmark_types::{
    AudioColumns, AudioFacts, CallMetadata, CallRecord, Lineage, Millis, ScoredCall, SourcePosition, Span,
    Speaker, Trust, TrustFlag, Turn,
};

/// A word below this probability has little evidence.
const WEAK_WORD_PROBABILITY: f32 = 0.2;

/// A call whose words have less confidence on average is flagged.
const LOW_ASR_CONFIDENCE: f64 = 0.6;

/// A channel with a larger share of clipped samples is flagged.
const CLIPPED_RATIO: f64 = 0.01;

/// Scores a recording.
pub(crate) fn compose_heard(
    rules: &Ruleset,
    metadata: &CallMetadata,
    call: &HeardCall,
    source: SourcePosition,
    lineage: Lineage,
) -> ScoredCall {
    let LaneTurns { mut turns, lanes } =
        turns_of(&call.heard, &call.facts.voices, call.mixed_channel, &metadata.channel_roles);
    let spoken = assign_speakers(rules, metadata, &lanes);
    for (turn, speaker) in turns.iter_mut().zip(&spoken.speakers) {
        turn.speaker = *speaker;
    }
    let end = call.facts.format.duration;
    // What was heard is judged in the language in which it was heard.
    let language = metadata.language.clone().or_else(|| call.language.clone());
    let metadata = &CallMetadata { language: language.clone(), ..metadata.clone() };
    let scores =
        score(rules, &Conversation { metadata, turns: &turns, audio: Some(&call.facts), end: Some(end) });
    let trust = trust_of(&turns, Some((call, end)), &spoken, &scores, metadata);
    let audio = audio_columns(&call.facts);
    record(metadata, language, audio, turns, scores, trust, source, lineage)
}

/// Scores a conversation that was written down.
pub(crate) fn compose_written(
    rules: &Ruleset,
    written: WrittenConversation,
    source: SourcePosition,
    lineage: Lineage,
) -> ScoredCall {
    let WrittenConversation { metadata, mut turns, lanes, misspelt: _ } = written;
    let spoken = assign_speakers(rules, &metadata, &lanes);
    for (turn, speaker) in turns.iter_mut().zip(&spoken.speakers) {
        if turn.speaker == Speaker::Unknown {
            turn.speaker = *speaker;
        }
    }
    let end = turns.iter().filter_map(|t| t.span.map(|s| s.end)).max();
    let scores = score(rules, &Conversation { metadata: &metadata, turns: &turns, audio: None, end });
    let trust = trust_of(&turns, None, &spoken, &scores, &metadata);
    let audio = AudioColumns { total_conversation_duration: end, ..AudioColumns::default() };
    let language = metadata.language.clone();
    record(&metadata, language, audio, turns, scores, trust, source, lineage)
}

#[allow(clippy::too_many_arguments, reason = "the one place where the parts of a row come together")]
fn record(
    metadata: &CallMetadata,
    language: Option<String>,
    audio: AudioColumns,
    turns: Vec<Turn>,
    scores: Scores,
    trust: Trust,
    source: SourcePosition,
    lineage: Lineage,
) -> ScoredCall {
    let record = CallRecord {
        call_id: metadata.call_id.clone(),
        started_at: metadata.started_at,
        source,
        first_handler: scores.first_handler,
        final_handler: scores.final_handler,
        handler_segments: scores.handler_segments,
        agent_ids: metadata.agent_ids.clone(),
        customer_key: metadata.customer_key.clone(),
        queue: metadata.queue.clone(),
        issue_type: metadata.issue_type.clone(),
        language,
        audio,
        conversation: scores.conversation,
        sentiment: scores.sentiment,
        human_access: scores.human_access,
        resolution: scores.resolution,
        trust,
        lineage,
    };
    ScoredCall { record, turns, turn_sentiment: scores.turn_sentiment, events: scores.events }
}

fn audio_columns(facts: &AudioFacts) -> AudioColumns {
    let worst = |values: Vec<f64>, pick: fn(f64, f64) -> f64| values.into_iter().reduce(pick);
    // A live call of which only events came was recorded in no way.
    let recorded = facts.format.channels > 0;
    AudioColumns {
        codec: recorded.then(|| facts.format.codec.clone()),
        sample_rate: i32::try_from(facts.format.sample_rate_hz).ok().filter(|_| recorded),
        channels: recorded.then(|| i32::from(facts.format.channels)),
        total_conversation_duration: Some(facts.format.duration),
        clipped_ratio: worst(facts.channels.iter().map(|c| c.clipped_ratio).collect(), f64::max),
        snr_db: worst(facts.channels.iter().filter_map(|c| c.snr_db).collect(), f64::min),
    }
}

fn trust_of(
    turns: &[Turn],
    heard: Option<(&HeardCall, Millis)>,
    roles: &Roles,
    scores: &Scores,
    metadata: &CallMetadata,
) -> Trust {
    let mut flags = [roles.flags.clone(), scores.flags.clone()].concat();
    let mut trust = Trust::default();
    if let Some((call, end)) = heard {
        trust.asr_confidence = mean_probability(turns);
        trust.hallucination_risk = hallucination_risk(turns);
        trust.non_speech_ratio = non_speech_ratio(call, end);
        flags.extend(audio_flags(call, turns, metadata));
        if trust.asr_confidence.is_some_and(|c| c < LOW_ASR_CONFIDENCE) {
            flags.push(TrustFlag::LowAsrConfidence);
        }
    }
    flags.sort_unstable();
    flags.dedup();
    trust.flags = flags.into_iter().map(|f| f.as_str().to_owned()).collect();
    trust.flags.sort_unstable();
    trust
}

fn mean_probability(turns: &[Turn]) -> Option<f64> {
    let (sum, count) = turns
        .iter()
        .filter(|t| t.is_kept())
        .flat_map(|t| &t.words)
        .fold((0.0, 0u32), |(sum, count), word| (sum + f64::from(word.probability), count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Share of the recognised words that were dropped as invented or have little evidence.
fn hallucination_risk(turns: &[Turn]) -> Option<f64> {
    let words = |turn: &Turn| turn.words.len().max(turn.text.split(' ').filter(|w| !w.is_empty()).count());
    let all: usize = turns.iter().map(words).sum();
    let doubtful: usize = turns
        .iter()
        .map(|turn| {
            let weak = turn.words.iter().filter(|w| w.probability < WEAK_WORD_PROBABILITY).count();
            if turn.is_kept() { weak } else { words(turn) }
        })
        .sum();
    (all > 0).then(|| doubtful as f64 / all as f64)
}

fn non_speech_ratio(call: &HeardCall, end: Millis) -> Option<f64> {
    (end > Millis::ZERO).then(|| (1.0 - call.speech.0 as f64 / end.0 as f64).clamp(0.0, 1.0))
}

fn audio_flags(call: &HeardCall, turns: &[Turn], metadata: &CallMetadata) -> Vec<TrustFlag> {
    let voices: std::collections::BTreeSet<u8> = call.facts.voices.iter().map(|v| v.voice).collect();
    let told = metadata.channel_roles.iter().flatten().count();
    let speaks =
        |channel: u16| call.facts.channels.iter().any(|c| c.channel == channel && !c.speech.is_empty());
    let extra = told > 0 && (told..call.facts.channels.len()).any(|c| speaks(c as u16));
    [
        (TrustFlag::Truncated, call.facts.format.truncation.is_some()),
        (TrustFlag::SpeakersEstimated, voices.len() > 1),
        (TrustFlag::OneVoice, call.mixed_channel.is_some() && voices.len() == 1),
        (TrustFlag::SpeakersUnknown, turns.iter().any(|t| t.is_kept() && t.speaker == Speaker::Unknown)),
        (
            TrustFlag::NoSpeech,
            Span::union(call.facts.channels.iter().flat_map(|c| c.speech.clone())).is_empty(),
        ),
        (TrustFlag::TextDropped, turns.iter().any(|t| !t.is_kept())),
        (TrustFlag::Clipped, call.facts.channels.iter().any(|c| c.clipped_ratio > CLIPPED_RATIO)),
        (TrustFlag::ExtraChannels, extra),
    ]
    .into_iter()
    .filter_map(|(flag, applies)| applies.then_some(flag))
    .collect()
}
