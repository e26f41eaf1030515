//! What becomes of the sound of a call whose messages are out of order, double, missing, late or broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its input must stop")]

use callmark_acoustics::{AcousticOptions, VoiceOptions};
use callmark_analytics::Ruleset;
use callmark_asr::ChannelTranscript;
use callmark_audio::ChunkCodec;
use callmark_live::{
    CallEvent, CallEventKind, Chunk, EndReason, FinishedCall, LiveOptions, Output, Position, Refusal,
    Sessions, Source,
};
use callmark_types::{CallId, Handler, Millis, Span};
use proptest::prelude::*;
use std::sync::Arc;

const CHUNK_MS: i64 = 20;
const ORIGIN_MS: i64 = 1_780_000_000_000;

/// A chunk of 20 ms whose samples say which it is.
fn chunk(channel: u16, seq: u64) -> Chunk {
    let sample = (1_000 + 37 * seq as i16 % 8_000 + channel as i16).to_le_bytes();
    Chunk {
        call_id: CallId::new("call-1").unwrap(),
        channel,
        seq,
        ts_ms: ORIGIN_MS + seq as i64 * CHUNK_MS,
        codec: ChunkCodec::PcmS16le,
        rate_hz: 16_000,
        bytes: std::iter::repeat_n(sample, 320).flatten().collect(),
        offset: 0,
    }
}

fn position(offset: usize) -> Position {
    Position { source: Source { topic: 0, partition: 0 }, offset: offset as i64 }
}

/// Feeds `chunks` to one session and ends it; no utterance has words.
fn played_with(options: LiveOptions, chunks: &[Chunk]) -> (Vec<FinishedCall>, Sessions, Vec<String>) {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), options);
    let (mut finished, mut broken) = (Vec::new(), Vec::new());
    let mut handle = |sessions: &mut Sessions, outputs: Vec<Output>| {
        let mut waiting = std::collections::VecDeque::from(outputs);
        while let Some(output) = waiting.pop_front() {
            match output {
                Output::Transcribe(job) => {
                    waiting.extend(sessions.on_transcript(job.complete(Ok(ChannelTranscript::default()))));
                }
                Output::Finished(call) => finished.push(*call),
                Output::Broken(chunk) => broken.push(chunk.reason),
                Output::Alert(_) => {}
            }
        }
    };
    for (offset, chunk) in chunks.iter().enumerate() {
        let outputs = sessions.on_chunk(position(offset), 0, chunk.clone()).unwrap();
        handle(&mut sessions, outputs);
    }
    let outputs = sessions.end_all();
    handle(&mut sessions, outputs);
    (finished, sessions, broken)
}

fn played(chunks: &[Chunk]) -> FinishedCall {
    let (mut finished, _, broken) = played_with(LiveOptions::default(), chunks);
    assert!(broken.is_empty(), "{broken:?}");
    finished.pop().unwrap()
}

fn two_channels(count: u64) -> Vec<Chunk> {
    (0..count).flat_map(|seq| [chunk(0, seq), chunk(1, seq)]).collect()
}

#[test]
fn a_gap_keeps_the_clock_and_is_flagged() {
    let kept: Vec<Chunk> =
        (0..300).filter(|seq| !(100..150).contains(seq)).map(|seq| chunk(0, seq)).collect();
    let call = played(&kept);
    let sound = call.decode();
    assert_eq!(sound[0].samples.len(), 300 * 320);
    assert_eq!(sound[0].samples[100 * 320..150 * 320], vec![0; 50 * 320]);
    assert_eq!(
        sound[0].samples[150 * 320],
        i16::from_le_bytes([chunk(0, 150).bytes[0], chunk(0, 150).bytes[1]])
    );
    assert_eq!(call.missing(), Millis(1_000));
    assert_eq!(call.flags(), ["missing_audio"]);
    assert_eq!(call.channels[0].trouble.lost_chunks, 50);
}

#[test]
fn a_late_chunk_is_dropped_and_counted() {
    let mut chunks: Vec<Chunk> = (0..200).filter(|seq| *seq != 50).map(|seq| chunk(0, seq)).collect();
    chunks.push(chunk(0, 50));
    chunks.push(chunk(0, 51));
    let call = played(&chunks);
    let trouble = call.channels[0].trouble;
    assert_eq!((trouble.lost_chunks, trouble.late_chunks, trouble.duplicate_chunks), (1, 1, 1));
    assert_eq!(call.flags(), ["late_audio", "missing_audio"]);
    assert_eq!(call.decode()[0].samples.len(), 200 * 320);
}

#[test]
fn codec_and_rate_may_change_in_mid_call() {
    let mut chunks: Vec<Chunk> = (0..300).map(|seq| chunk(0, seq)).collect();
    for chunk in &mut chunks[100..200] {
        (chunk.codec, chunk.rate_hz, chunk.bytes) = (ChunkCodec::Pcmu, 8_000, vec![0xFF; 160]);
    }
    let call = played(&chunks);
    assert_eq!(call.decode()[0].samples.len(), 300 * 320);
    assert_eq!(call.channels[0].trouble.format_changes, 2);
    assert!(call.flags().is_empty());
}

#[test]
fn a_channel_that_begins_later_lies_where_its_time_says() {
    let mut chunks: Vec<Chunk> = (0..200).map(|seq| chunk(0, seq)).collect();
    chunks.extend((100..200).map(|seq| Chunk { seq: seq - 100, ..chunk(1, seq) }));
    chunks.sort_by_key(|chunk| chunk.ts_ms);
    let sound = played(&chunks).decode();
    assert_eq!(sound[1].samples[..100 * 320], vec![0; 100 * 320]);
    assert_ne!(sound[1].samples[100 * 320], 0);
    assert_eq!(sound[1].samples.len(), 200 * 320);
}

#[test]
fn a_broken_packet_is_a_dead_letter_and_silence() {
    let mut chunks: Vec<Chunk> = (0..200).map(|seq| chunk(0, seq)).collect();
    chunks[100].codec = ChunkCodec::Opus;
    chunks[100].bytes = vec![0x4B];
    let (finished, _, broken) = played_with(LiveOptions::default(), &chunks);
    assert_eq!(broken.len(), 1);
    assert_eq!(finished[0].decode()[0].samples.len(), 200 * 320);
    assert_eq!(finished[0].flags(), ["broken_audio"]);
}

#[test]
fn a_time_far_ahead_is_refused_and_costs_the_call_nothing() {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
    for seq in 0..100 {
        sessions.on_chunk(position(seq as usize), 0, chunk(0, seq)).unwrap();
    }
    let far = Chunk { ts_ms: ORIGIN_MS + 100_000_000, ..chunk(0, 100) };
    assert!(matches!(sessions.on_chunk(position(100), 0, far), Err(Refusal::FarAhead { .. })));
    let [Output::Finished(call)] = &sessions.end_all()[..] else { panic!("one call ends") };
    assert_eq!(call.decode()[0].samples.len(), 100 * 320);
}

#[test]
fn a_first_chunk_with_a_wrong_clock_is_a_dead_letter_and_the_call_goes_on() {
    for wrong in [1, ORIGIN_MS - 86_400_000, ORIGIN_MS + 86_400_000] {
        let mut chunks: Vec<Chunk> = (0..200).map(|seq| chunk(0, seq)).collect();
        chunks[0].ts_ms = wrong;
        let (finished, _, broken) = played_with(LiveOptions::default(), &chunks);
        assert!(matches!(&broken[..], [reason] if reason.contains("ahead")), "{broken:?}");
        assert_eq!(finished[0].decode()[0].samples.len(), 199 * 320);
    }
}

#[test]
fn no_time_and_no_number_stops_the_worker() {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
    for (offset, ts_ms) in [i64::MIN, -1, i64::MAX].into_iter().enumerate() {
        let refused = sessions.on_chunk(position(offset), 0, Chunk { ts_ms, ..chunk(0, 0) });
        assert!(matches!(refused, Err(Refusal::HeaderValue { name: "ts-ms", .. })), "{refused:?}");
    }
    let mut offset = 10;
    for seq in [u64::MAX, 0, 1, u64::MAX, 2, u64::MAX - 1, 3] {
        for step in 0..120 {
            let later = Chunk { seq, ts_ms: ORIGIN_MS + offset * 20 + step, ..chunk(0, 0) };
            let _ = sessions.on_chunk(position(offset as usize), 0, later).unwrap();
            offset += 1;
        }
    }
    assert!(!sessions.end_all().is_empty());
    let _ = sessions.counters();
}

fn told(kind: CallEventKind, at_ms: i64) -> CallEvent {
    CallEvent { call_id: CallId::new("call-1").unwrap(), ts_ms: Some(ORIGIN_MS + at_ms), kind }
}

/// What comes of `chunks`, then `events`, then the end of all calls.
fn finished_with(chunks: &[Chunk], events: Vec<CallEvent>) -> FinishedCall {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
    let mut outputs = Vec::new();
    for (offset, chunk) in chunks.iter().enumerate() {
        outputs.extend(sessions.on_chunk(position(offset), 0, chunk.clone()).unwrap());
    }
    for (offset, event) in events.into_iter().enumerate() {
        outputs.extend(sessions.on_event(position(1_000 + offset), 0, event).unwrap());
    }
    outputs.extend(sessions.end_all());
    let mut waiting = std::collections::VecDeque::from(outputs);
    while let Some(output) = waiting.pop_front() {
        match output {
            Output::Transcribe(job) => {
                waiting.extend(sessions.on_transcript(job.complete(Ok(ChannelTranscript::default()))));
            }
            Output::Finished(call) => return *call,
            Output::Broken(_) | Output::Alert(_) => {}
        }
    }
    panic!("the call did not end")
}

#[test]
fn a_hold_without_sound_is_part_of_the_call() {
    let chunks: Vec<Chunk> = (0..150).map(|seq| chunk(0, seq)).collect();
    let events = vec![
        told(CallEventKind::HoldStarted, 3_000),
        told(CallEventKind::HoldEnded, 30_000),
        told(CallEventKind::Ended, 31_000),
    ];
    let call = finished_with(&chunks, events);
    assert_eq!(call.holds, [Span::of_ms(3_000, 30_000)]);
    assert_eq!(call.decode()[0].samples.len(), 31 * 16_000);
    assert_eq!(call.missing(), Millis::ZERO);
}

#[test]
fn a_call_of_which_only_events_come_is_a_call() {
    let started = CallEventKind::HandlerChanged { handler: Handler::Queue, agent_id: None };
    let call = finished_with(&[], vec![told(started, 0), told(CallEventKind::Ended, 45_000)]);
    assert_eq!((call.length, call.flags()), (Millis(45_000), vec!["no_audio"]));
    assert_eq!(call.metadata.started_at.map(callmark_types::Timestamp::epoch_millis), Some(ORIGIN_MS));
    let heard = call.hear(&AcousticOptions::default(), &VoiceOptions::default());
    assert_eq!((heard.facts.format.duration, heard.facts.format.channels), (Millis(45_000), 0));
}

#[test]
fn a_call_whose_end_never_comes_ends_when_it_is_idle() {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
    for seq in 0..100 {
        sessions.on_chunk(position(seq as usize), 1_000, chunk(0, seq)).unwrap();
    }
    assert!(sessions.on_tick(300_999).is_empty());
    let outputs = sessions.on_tick(301_000);
    let [Output::Finished(call)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((call.end, call.flags()), (EndReason::Idle, vec!["idle_end"]));
    // What comes after that opens no second call, and holds nothing back once the first is committed.
    assert!(sessions.on_chunk(position(100), 302_000, chunk(0, 100)).unwrap().is_empty());
    assert_eq!(sessions.commit_point(position(0).source), Some(0));
    sessions.on_committed(&CallId::new("call-1").unwrap());
    assert_eq!(sessions.commit_point(position(0).source), Some(101));
    assert_eq!(sessions.counters().after_end, 1);
}

#[test]
fn a_call_that_lasts_too_long_is_cut_and_flagged() {
    let options = LiveOptions { max_duration: Millis(2_000), ..LiveOptions::default() };
    let (finished, sessions, _) = played_with(options, &two_channels(200));
    assert_eq!((finished.len(), finished[0].end), (1, EndReason::TooLong));
    assert!(sessions.counters().after_end > 0);
}

#[test]
fn more_calls_than_allowed_are_refused_until_one_has_ended() {
    let options = LiveOptions { max_sessions: 1, ..LiveOptions::default() };
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), options);
    sessions.on_chunk(position(0), 0, chunk(0, 0)).unwrap();
    let second = Chunk { call_id: CallId::new("call-2").unwrap(), ..chunk(0, 0) };
    assert_eq!(sessions.on_chunk(position(1), 0, second.clone()), Err(Refusal::TooManySessions(1)));
    // The refused message is not done with.
    assert_eq!(sessions.commit_point(position(0).source), Some(0));
    sessions.end_all();
    sessions.on_committed(&CallId::new("call-1").unwrap());
    assert_eq!(sessions.commit_point(position(0).source), Some(1));
    assert!(sessions.on_chunk(position(1), 0, second).is_ok());
}

#[test]
fn a_long_hold_is_alerted_once_even_when_nothing_comes() {
    let mut sessions = Sessions::new(Arc::new(Ruleset::built_in()), LiveOptions::default());
    for seq in 0..100 {
        sessions.on_chunk(position(seq as usize), seq as i64 * CHUNK_MS, chunk(0, seq)).unwrap();
    }
    let held = format!(r#"{{"type":"hold_started","ts_ms":{}}}"#, ORIGIN_MS + 1_000);
    let event = CallEvent::from_message(Some("call-1"), held.as_bytes()).unwrap();
    let elsewhere = Position { source: Source { topic: 1, partition: 0 }, offset: 0 };
    sessions.on_event(elsewhere, 2_000, event).unwrap();
    let mut alerts = Vec::new();
    for second in 2..250 {
        for output in sessions.on_tick(second * 1_000) {
            let Output::Alert(alert) = output else { panic!("{output:?}") };
            alerts.push((second, alert));
        }
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (second, alert) = &alerts[0];
    assert_eq!((*second, alert.detail.as_deref(), alert.value), (121, Some("hold"), Some(120.0)));
    let json: serde_json::Value = serde_json::from_slice(&alert.to_json()).unwrap();
    assert_eq!((json["type"].as_str(), json["start_ms"].as_i64()), (Some("hold_too_long"), Some(1_000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_within_the_window_gives_the_same_call(
        shifts in proptest::collection::vec(0_i64..900, 300),
    ) {
        let chunks = two_channels(150);
        let mut shuffled: Vec<(i64, Chunk)> =
            chunks.iter().zip(&shifts).map(|(c, shift)| (c.ts_ms + shift, c.clone())).collect();
        shuffled.sort_by_key(|(at, _)| *at);
        let shuffled: Vec<Chunk> = shuffled.into_iter().map(|(_, chunk)| chunk).collect();
        prop_assert_eq!(played(&shuffled), played(&chunks));
    }

    #[test]
    fn duplicates_change_nothing_but_their_count(
        again in proptest::collection::vec(0_usize..200, 0..60),
    ) {
        let chunks = two_channels(100);
        let mut doubled = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            doubled.push(chunk.clone());
            doubled.extend(again.iter().filter(|a| **a <= index).take(3).map(|a| chunks[*a].clone()));
        }
        let (once, twice) = (played(&chunks), played(&doubled));
        prop_assert_eq!(once.decode(), twice.decode());
        prop_assert_eq!(once.flags(), twice.flags());
    }

    #[test]
    fn whatever_is_missing_the_clock_stays_right(
        missing in proptest::collection::btree_set(1_u64..199, 0..120),
    ) {
        let kept: Vec<Chunk> = (0..200).filter(|seq| !missing.contains(seq)).map(|seq| chunk(0, seq)).collect();
        let call = played(&kept);
        let sound = &call.decode()[0];
        prop_assert_eq!(sound.samples.len(), 200 * 320);
        for seq in 0..200_u64 {
            let expected = if missing.contains(&seq) { 0 } else {
                i16::from_le_bytes([chunk(0, seq).bytes[0], chunk(0, seq).bytes[1]])
            };
            prop_assert_eq!(sound.samples[seq as usize * 320 + 100], expected);
        }
        prop_assert_eq!(call.missing(), Millis(missing.len() as i64 * CHUNK_MS));
    }
}
