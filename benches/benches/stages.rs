//! What everything but transcription costs: decode and resample, measure, score, write.
//!
//! The input is made here, so the figures depend on the machine alone: a two-channel mu-law call of one minute with
//! speech-like bursts, and a conversation of 40 turns. `cargo bench -p callmark-benches`.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use callmark_acoustics::{AcousticOptions, analyse};
use callmark_analytics::{Conversation, Ruleset, score};
use callmark_audio::{DecodeOptions, decode_bytes};
use callmark_store::{Table, write_table};
use callmark_types::{
    AudioColumns, CallId, CallMetadata, CallRecord, Handler, Lineage, Millis, Pcm, ScoredCall,
    SourcePosition, Span, Speaker, Trust, Turn, Word,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const RATE: usize = 8_000;
const SECONDS: usize = 60;

/// Noise bursts of 2 s every 4 s, the channels in turn: the shape of a conversation, not its sound.
fn samples(channel: usize) -> Vec<i16> {
    let mut state = 0x9E37_79B9_u32 ^ channel as u32;
    (0..RATE * SECONDS)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 16) as i16;
            let speaking = (i / RATE / 2 + channel).is_multiple_of(2);
            let pitch = ((i * 140 / RATE * 2 % 2) as i16 * 2 - 1) * 3_000;
            if speaking { noise / 16 + pitch } else { noise / 512 }
        })
        .collect()
}

fn wav() -> Vec<u8> {
    let (left, right) = (samples(0), samples(1));
    let data: Vec<u8> =
        left.iter().zip(&right).flat_map(|(l, r)| [l.to_le_bytes(), r.to_le_bytes()].concat()).collect();
    let mut wav = Vec::with_capacity(data.len() + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(data.len() as u32 + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend_from_slice(&(RATE as u32).to_le_bytes());
    wav.extend_from_slice(&(RATE as u32 * 4).to_le_bytes());
    wav.extend_from_slice(&[4, 0, 16, 0]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&(data.len() as u32).to_le_bytes());
    wav.extend_from_slice(&data);
    wav
}

fn turns() -> Vec<Turn> {
    const TEXTS: [&str; 4] = [
        "Thanks for calling Fernhill Water, I am the virtual assistant, how can I help you today?",
        "My bill is wrong again and this is the third time I call, can I please speak to a real person?",
        "I understand. I can see the meter reading of last month, would you like me to correct it?",
        "No, I want to talk to a human, nobody ever called me back about this.",
    ];
    (0..40u32)
        .map(|index| {
            let text = TEXTS[index as usize % 4];
            let start = i64::from(index) * 6_000;
            let words: Vec<Word> = text
                .split(' ')
                .enumerate()
                .map(|(i, word)| Word {
                    word: word.to_owned(),
                    span: Span::of_ms(start + i as i64 * 250, start + i as i64 * 250 + 240),
                    probability: 0.9,
                })
                .collect();
            Turn {
                index,
                channel: Some((index % 2) as u16),
                speaker: if index % 2 == 0 { Speaker::AiAgent } else { Speaker::Customer },
                span: Some(Span::of_ms(start, start + words.len() as i64 * 250)),
                text: text.to_owned(),
                words,
                asr_confidence: Some(0.9),
                no_speech_probability: Some(0.01),
                loudness_dbfs: Some(-20.0),
                dropped_reason: None,
            }
        })
        .collect()
}

fn metadata(id: &str) -> CallMetadata {
    let id = CallId::new(id).expect("a short id without spaces is valid");
    CallMetadata { first_handler: Some(Handler::Ai), ..CallMetadata::unknown(id) }
}

fn scored(id: &str, rules: &Ruleset) -> ScoredCall {
    let (metadata, turns) = (metadata(id), turns());
    let scores = score(
        rules,
        &Conversation { metadata: &metadata, turns: &turns, audio: None, end: Some(Millis(240_000)) },
    );
    let record = CallRecord {
        call_id: metadata.call_id,
        started_at: None,
        source: SourcePosition::default(),
        first_handler: scores.first_handler,
        final_handler: scores.final_handler,
        handler_segments: scores.handler_segments,
        agent_ids: Vec::new(),
        customer_key: None,
        queue: None,
        issue_type: None,
        language: None,
        audio: AudioColumns::default(),
        conversation: scores.conversation,
        sentiment: scores.sentiment,
        human_access: scores.human_access,
        resolution: scores.resolution,
        trust: Trust::default(),
        lineage: Lineage::default(),
    };
    ScoredCall { record, turns, turn_sentiment: scores.turn_sentiment, events: scores.events }
}

fn stages(criterion: &mut Criterion) {
    let wav = wav();
    let rules = Ruleset::built_in();
    let mut group = criterion.benchmark_group("seconds of a two-channel call");
    group.throughput(Throughput::Elements(SECONDS as u64)).sample_size(20);
    let decode = |bytes: Vec<u8>| decode_bytes("bench.wav", None, bytes, &DecodeOptions::default());
    group.bench_function("decode and resample", |b| b.iter(|| decode(black_box(wav.clone()))));
    let channels: Vec<Pcm> = decode(wav.clone()).map(|audio| audio.channels).unwrap_or_default();
    group
        .bench_function("measure", |b| b.iter(|| analyse(black_box(&channels), &AcousticOptions::default())));
    group.finish();

    let mut group = criterion.benchmark_group("turns");
    let (metadata, turns) = (metadata("bench"), turns());
    let call = Conversation { metadata: &metadata, turns: &turns, audio: None, end: Some(Millis(240_000)) };
    group.throughput(Throughput::Elements(turns.len() as u64)).sample_size(20);
    group.bench_function("score", |b| b.iter(|| score(&rules, black_box(&call))));
    let calls: Vec<ScoredCall> = (0..200).map(|i| scored(&format!("bench-{i}"), &rules)).collect();
    let calls: Vec<&ScoredCall> = calls.iter().collect();
    group.throughput(Throughput::Elements((calls.len() * turns.len()) as u64));
    group.bench_function("write", |b| b.iter(|| write_table(Table::Turns, black_box(&calls), Vec::new())));
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
