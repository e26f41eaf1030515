//! What the stages are measured on, made here, so that figures depend on the machine alone: a two-channel mu-law call of one
//! minute with speech-like bursts, and a conversation of 40 turns.

use callmark_analytics::{Conversation, Ruleset, score};
use callmark_types::{
    AudioColumns, CallId, CallMetadata, CallRecord, Handler, Lineage, Millis, ScoredCall, SourcePosition,
    Span, Speaker, Trust, Turn, Word,
};

const RATE: usize = 8_000;
pub(crate) const SECONDS: usize = 60;

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

pub(crate) fn wav() -> Vec<u8> {
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

pub(crate) fn turns() -> Vec<Turn> {
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

pub(crate) fn metadata(id: &str) -> CallMetadata {
    let id = CallId::new(id).expect("a short id without spaces is valid");
    CallMetadata { first_handler: Some(Handler::Ai), ..CallMetadata::unknown(id) }
}

pub(crate) fn scored(id: &str, rules: &Ruleset) -> ScoredCall {
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
