//! One stage, so often, for a profiler: `stage decode|measure|score|write [TIMES]`.
//!
//! `benches/guard.py` counts its instructions; `perf record` on it shows where a stage's time goes.

#[path = "../inputs.rs"]
mod inputs;

use callmark_acoustics::{AcousticOptions, analyse};
use callmark_analytics::{Conversation, Ruleset, score};
use callmark_audio::{DecodeOptions, decode_bytes};
use callmark_store::{Table, write_table};
use callmark_types::{Millis, Pcm, ScoredCall};
use inputs::{metadata, scored, turns, wav};
use std::hint::black_box;

/// Calls whose turns are written at once: few, for under callgrind it takes longer to make them than to write them.
const CALLS: usize = 20;

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let stage = arguments.next().unwrap_or_default();
    let times: usize =
        arguments.next().map_or(Ok(1), |times| times.parse()).map_err(|e| format!("TIMES: {e}"))?;
    let wav = wav();
    let decode = || decode_bytes("bench.wav", None, wav.clone(), &DecodeOptions::default());
    match stage.as_str() {
        "decode" => (0..times).for_each(|_| drop(black_box(decode()))),
        "measure" => {
            let channels: Vec<Pcm> = decode().map(|audio| audio.channels).unwrap_or_default();
            (0..times).for_each(|_| drop(black_box(analyse(&channels, &AcousticOptions::default()))));
        }
        "score" => {
            let (rules, metadata, turns) = (Ruleset::built_in(), metadata("bench"), turns());
            let end = Some(Millis(240_000));
            let call = Conversation { metadata: &metadata, turns: &turns, audio: None, end };
            (0..times).for_each(|_| drop(black_box(score(&rules, &call))));
        }
        "write" => {
            let rules = Ruleset::built_in();
            let calls: Vec<ScoredCall> = (0..CALLS).map(|i| scored(&format!("bench-{i}"), &rules)).collect();
            let calls: Vec<&ScoredCall> = calls.iter().collect();
            (0..times).for_each(|_| drop(black_box(write_table(Table::Turns, &calls, Vec::new()))));
        }
        _ => return Err("name a stage: decode, measure, score or write".to_owned()),
    }
    Ok(())
}
