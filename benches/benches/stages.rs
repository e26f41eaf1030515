//! What everything but transcription costs: decode and resample, measure, score, write. `cargo bench -p callmark-benches`.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "../inputs.rs"]
mod inputs;

use callmark_acoustics::{AcousticOptions, analyse};
use callmark_analytics::{Conversation, Ruleset, score};
use callmark_audio::{DecodeOptions, decode_bytes};
use callmark_store::{Table, write_table};
use callmark_types::{Millis, Pcm, ScoredCall};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inputs::{SECONDS, metadata, scored, turns, wav};
use std::hint::black_box;

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
