//! The demo calls as live audio: the alerts that their truth asks for, and calls as good as their recordings.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

mod support;

use callmark_acoustics::{AcousticOptions, VoiceOptions, analyse};
use callmark_analytics::{Conversation, HeardUtterance, Ruleset, Scores, assign_speakers, score, turns_of};
use callmark_live::{Alert, AlertKind, FinishedCall};
use callmark_types::{AudioFacts, CallMetadata, EventKind, Speaker, Turn};
use std::collections::{BTreeMap, BTreeSet};
use support::{AUDIO, Demo, EVENTS, Message, Worker, demos, play, positions};

/// Milliseconds from the end of an utterance to its alert that the product promises.
const PROMISED_LATENCY_MS: i64 = 3_000;

fn by_id(demos: &[Demo]) -> BTreeMap<String, &Demo> {
    demos.iter().map(|demo| (demo.name.clone(), demo)).collect()
}

fn count(alerts: &[(i64, Alert)], kind: AlertKind) -> usize {
    alerts.iter().filter(|(_, alert)| alert.kind == kind).count()
}

fn ids(alerts: &[(i64, Alert)]) -> Vec<String> {
    let mut ids: Vec<String> = alerts.iter().map(|(_, alert)| alert.alert_id.clone()).collect();
    ids.sort();
    ids
}

#[test]
fn each_request_and_each_deflection_of_the_truth_is_alerted_once_and_in_time() {
    let demos = demos();
    let by_id = by_id(&demos);
    let mut requests = 0;
    for demo in &demos {
        let played = play(&by_id, &demo.messages(&demo.name), 3);
        let found = [AlertKind::HumanRequest, AlertKind::Deflection].map(|kind| count(&played.alerts, kind));
        let asked = [demo.count("human_request"), demo.count("deflection")];
        let said: Vec<_> = played.alerts.iter().map(|(_, a)| (a.kind, &a.evidence_text)).collect();
        assert_eq!(found, asked, "{}: {said:?}", demo.name);
        requests += asked[0];
        let unique: BTreeSet<String> = ids(&played.alerts).into_iter().collect();
        assert_eq!(unique.len(), played.alerts.len());
        for (at_ms, alert) in &played.alerts {
            let after_ms = at_ms - alert.at.unwrap().epoch_millis();
            assert!(after_ms < PROMISED_LATENCY_MS, "{}: {:?} after {after_ms} ms", demo.name, alert.kind);
        }
    }
    assert!(requests > 3);
}

/// Turns and scores of utterances, as a recording's are made.
fn scored(
    rules: &Ruleset,
    metadata: &CallMetadata,
    heard: &[HeardUtterance],
    facts: &AudioFacts,
) -> (Vec<Turn>, Scores) {
    let mut lanes = turns_of(heard, &facts.voices, None, &metadata.channel_roles);
    let spoken = assign_speakers(rules, metadata, &lanes.lanes);
    for (turn, speaker) in lanes.turns.iter_mut().zip(spoken.speakers) {
        turn.speaker = speaker;
    }
    let end = Some(facts.format.duration);
    let call = Conversation { metadata, turns: &lanes.turns, audio: Some(facts), end };
    let scores = score(rules, &call);
    (lanes.turns, scores)
}

fn told_events(scores: &Scores) -> Vec<EventKind> {
    let told = [
        EventKind::HumanRequest,
        EventKind::HumanOffer,
        EventKind::Deflection,
        EventKind::Handoff,
        EventKind::AiDisclosure,
        EventKind::ResolutionConfirmed,
        EventKind::ResolutionDenied,
        EventKind::Hold,
        EventKind::Queue,
    ];
    scores.events.iter().map(|e| e.kind).filter(|kind| told.contains(kind)).collect()
}

fn text_of(turns: &[Turn], speaker: Speaker) -> String {
    let said: Vec<&str> =
        turns.iter().filter(|t| t.speaker == speaker && t.is_kept()).map(|t| t.text.as_str()).collect();
    said.join(" ")
}

#[test]
fn a_finished_call_is_scored_as_its_recording() {
    let demos = demos();
    let by_id = by_id(&demos);
    let rules = Ruleset::built_in();
    for demo in &demos {
        let played = play(&by_id, &demo.messages(&demo.name), 3);
        let [call]: [FinishedCall; 1] = played.finished.try_into().unwrap();
        let metadata = call.metadata.clone();
        let live = call.hear(&AcousticOptions::default(), &VoiceOptions::default());
        let (live_turns, live_scores) = scored(&rules, &metadata, &live.heard, &live.facts);

        let channels = analyse(&demo.channels, &AcousticOptions::default());
        assert_eq!(channels, live.facts.channels, "{}: the sound is the recording's", demo.name);
        let heard: Vec<HeardUtterance> = channels
            .iter()
            .flat_map(|c| demo.recognised(c.channel, &c.speech))
            .map(|utterance| HeardUtterance { utterance, loudness_dbfs: None })
            .collect();
        let (turns, scores) = scored(&rules, &metadata, &heard, &live.facts);

        assert_eq!(told_events(&live_scores), told_events(&scores), "{}", demo.name);
        assert_eq!(live_scores.resolution.outcome, scores.resolution.outcome, "{}", demo.name);
        assert_eq!(live_scores.human_access.human_request_count, scores.human_access.human_request_count);
        for speaker in [Speaker::Customer, Speaker::AiAgent, Speaker::HumanAgent] {
            assert_eq!(text_of(&live_turns, speaker), text_of(&turns, speaker), "{}", demo.name);
        }
    }
}

/// `calls` demo calls at the same time, each a second after the one before it.
fn crowd(demos: &[Demo], calls: usize) -> (BTreeMap<String, &Demo>, Vec<Message>) {
    let mut by_id = BTreeMap::new();
    let mut messages = Vec::new();
    for index in 0..calls {
        let demo = &demos[index % demos.len()];
        let id = format!("call-{index}");
        let shifted = demo.messages(&id).into_iter().map(|message| match message {
            Message::Chunk(mut chunk) => {
                chunk.ts_ms += index as i64 * 1_000;
                Message::Chunk(chunk)
            }
            Message::Event(mut event) => {
                event.ts_ms = event.ts_ms.map(|ts_ms| ts_ms + index as i64 * 1_000);
                Message::Event(event)
            }
        });
        messages.extend(shifted);
        by_id.insert(id, demo);
    }
    messages.sort_by_key(Message::ts_ms);
    (by_id, messages)
}

#[test]
fn twenty_calls_at_once_give_the_alerts_of_each_alone() {
    let demos = demos();
    let (by_id, messages) = crowd(&demos, 20);
    let played = play(&by_id, &messages, 40);
    assert_eq!(played.finished.len(), 20);
    let expected: usize = by_id.values().map(|demo| demo.count("human_request")).sum();
    assert_eq!(count(&played.alerts, AlertKind::HumanRequest), expected);
    let alone: Vec<String> = by_id
        .iter()
        .flat_map(|(id, demo)| ids(&play(&by_id, &demo.messages(id), 0).alerts))
        .collect::<BTreeSet<String>>()
        .into_iter()
        .collect();
    assert_eq!(ids(&played.alerts), alone);
    assert_eq!(played.counters.open_sessions, 0);
}

#[test]
fn a_replay_from_the_low_water_mark_gives_the_same_alerts_and_the_same_calls() {
    let demos = demos();
    let (by_id, messages) = crowd(&demos, 6);
    let positions = positions(&messages);
    let whole = play(&by_id, &messages, 7);
    for cut in [messages.len() / 3, messages.len() * 2 / 3] {
        let mut first = Worker::new(&by_id, 7);
        for (position, message) in positions.iter().zip(&messages).take(cut) {
            first.take(*position, message.clone());
        }
        let committed = [AUDIO, EVENTS].map(|source| (source, first.sessions.commit_point(source).unwrap()));
        let mut second = Worker::new(&by_id, 0);
        for call in &first.played.finished {
            second.sessions.ignore(call.call_id());
        }
        for (position, message) in positions.iter().zip(&messages) {
            if committed.iter().any(|(source, from)| *source == position.source && position.offset >= *from) {
                second.take(*position, message.clone());
            }
        }
        second.finish();
        let all: BTreeSet<String> =
            ids(&first.played.alerts).into_iter().chain(ids(&second.played.alerts)).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ids(&whole.alerts));
        let finished = first.played.finished.iter().chain(&second.played.finished);
        let mut calls: Vec<&FinishedCall> = finished.collect();
        calls.sort_by_key(|call| call.call_id().clone());
        let mut expected: Vec<&FinishedCall> = whole.finished.iter().collect();
        expected.sort_by_key(|call| call.call_id().clone());
        assert_eq!(calls, expected);
    }
}
