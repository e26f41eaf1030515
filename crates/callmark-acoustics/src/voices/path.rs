//! The most likely path of voices through the frames (Viterbi 1967): a change of voice costs something, so that one
//! odd sound does not make one, and costs less where there is a pause.

use super::features::VoiceFrame;
use super::mixture::Mixture;

/// Frames decided together: 100 ms.
const BLOCK_FRAMES: usize = 10;
/// What a change of voice costs inside a span, as a logarithm of likelihood.
const CHANGE_COST: f64 = 40.0;
/// What it costs at the start of a span, before which there was a pause.
const CHANGE_COST_AFTER_PAUSE: f64 = 8.0;
/// How much of a frame's likelihood counts: neighbouring frames share most of their samples and say the same.
const FRAME_SHARE: f64 = 0.3;
/// Standard deviation of a voice's log pitch.
const PITCH_DEVIATION: f64 = 0.2;
/// How far off a pitch counts at most, in standard deviations: halved and doubled pitches are measuring errors.
const PITCH_LIMIT: f64 = 2.0;
/// Weight of the pitch of one frame.
const PITCH_SHARE: f64 = 0.3;

/// What one voice sounds like.
#[derive(Debug, Clone)]
pub(super) struct VoiceModel {
    pub(super) mixture: Mixture,
    pub(super) log_pitch: Option<f64>,
}

impl VoiceModel {
    fn score(&self, frame: &VoiceFrame) -> f64 {
        let shape = FRAME_SHARE * self.mixture.log_likelihood(frame);
        let (Some(pitch), Some(usual)) = (frame.log_pitch, self.log_pitch) else { return shape };
        let off = ((f64::from(pitch) - usual) / PITCH_DEVIATION).abs().min(PITCH_LIMIT);
        shape - PITCH_SHARE * 0.5 * off * off
    }
}

/// A few frames of one span, decided together.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Which span it lies in.
    pub(super) span: usize,
    /// Index of its first frame in the recording, and of the first behind it.
    pub(super) first_frame: usize,
    pub(super) end_frame: usize,
    /// Logarithm of the likelihood of each voice.
    pub(super) scores: Vec<f64>,
}

/// The frames of span `span`, in blocks, scored for each voice.
pub(super) fn blocks(span: usize, frames: &[VoiceFrame], voices: &[VoiceModel]) -> Vec<Block> {
    frames
        .chunks(BLOCK_FRAMES)
        .map(|part| Block {
            span,
            first_frame: part[0].index,
            end_frame: part[part.len() - 1].index + 1,
            scores: voices.iter().map(|v| part.iter().map(|f| v.score(f)).sum()).collect(),
        })
        .collect()
}

/// The voice of each block. Every block has a score for each of the same voices, one or more.
pub(super) fn best_path(blocks: &[Block]) -> Vec<usize> {
    let Some(first) = blocks.first() else { return Vec::new() };
    let voices = first.scores.len();
    let mut totals = first.scores.clone();
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(blocks.len());
    for pair in blocks.windows(2) {
        let change = if pair[0].span == pair[1].span { CHANGE_COST } else { CHANGE_COST_AFTER_PAUSE };
        let best = (0..voices).max_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
        let origin: Vec<usize> =
            (0..voices).map(|v| if totals[best] - change > totals[v] { best } else { v }).collect();
        totals = (0..voices)
            .map(|v| {
                let paid = if origin[v] == v { 0.0 } else { change };
                totals[origin[v]] - paid + pair[1].scores[v]
            })
            .collect();
        origins.push(origin);
    }
    let mut voice = (0..voices).max_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
    let mut path = vec![voice];
    for origin in origins.iter().rev() {
        voice = origin[voice];
        path.push(voice);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(span: usize, scores: [f64; 2]) -> Block {
        Block { span, first_frame: 0, end_frame: 1, scores: scores.to_vec() }
    }

    #[test]
    fn one_odd_block_does_not_change_the_voice_and_many_do() {
        let mut blocks = vec![block(0, [0.0, -20.0]); 10];
        blocks[5] = block(0, [-20.0, 0.0]);
        assert_eq!(best_path(&blocks), vec![0; 10]);
        blocks.extend(vec![block(0, [-20.0, 0.0]); 10]);
        assert_eq!(best_path(&blocks)[10..], [1; 10]);
        assert!(best_path(&[]).is_empty());
    }
}
