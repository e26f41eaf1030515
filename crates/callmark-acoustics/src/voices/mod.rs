//! Who of several people on one channel speaks when.
//!
//! Speech is cut into pieces of a second and a half; each becomes a point (how its spectrum and pitch differ from the
//! recording's average), points are joined into groups, and as many groups are kept as are clearly apart. Then each
//! group becomes a model, and the likeliest path through the models says where one voice stops and another starts.
//! Nothing is learned beforehand, so voices that sound much alike are taken for one.

mod clusters;
mod features;
mod mixture;
mod path;

use callmark_types::{Millis, Pcm, Span, VoiceSpan};
use clusters::{Point, point};
use features::{FRAME_MS, FeatureExtractor, VoiceFrame};
use mixture::Mixture;
use path::{Block, VoiceModel, best_path, blocks};

/// What [`tell_voices_apart`] may be told. The defaults are measured; see `README.md` of this crate.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceOptions {
    /// Fewest voices: 2 where it is known that both sides of a call are on the channel, else 1.
    pub minimum_voices: u8,
    /// Most voices that are told apart.
    pub maximum_voices: u8,
    /// How far apart two groups of pieces of speech must lie to be two voices: the scatter between them over the
    /// scatter of a piece within them (Calinski and Harabasz's ratio for the pair).
    pub minimum_separation: f64,
    /// The same, over the number of pieces: in a long recording small differences are certain, but still small.
    pub minimum_separation_by_piece: f64,
    /// Least speech of a voice.
    pub minimum_voice: Millis,
}

impl Default for VoiceOptions {
    fn default() -> Self {
        Self {
            minimum_voices: 1,
            maximum_voices: 4,
            minimum_separation: 3.1,
            minimum_separation_by_piece: 0.11,
            minimum_voice: Millis(1500),
        }
    }
}

/// Length of the pieces that are grouped.
const PIECE: Millis = Millis(1500);
/// Pieces that are grouped at most; of more, every n-th is taken, and the rest follow by their likelihood.
const MAXIMUM_PIECES: usize = 600;
/// How much quieter than the loudest speech a frame may be to tell a voice, in dB.
const VOICE_RANGE_DB: f64 = 30.0;
/// Frames of a voice that count as much as what all voices have in common.
const MODEL_RELEVANCE: f64 = 16.0;
/// How often the models are renewed from the path found with them.
const RENEWALS: usize = 1;
/// Score per block, in favour of the chosen voice, at which the confidence is 0.5 above chance by a factor of e.
const CONFIDENT_MARGIN: f64 = 3.0;

/// Says for each of `speech` (in order, apart) whose voice it is; spans are split where the voice changes. The result
/// covers exactly what `speech` covers. Where all speech sounds like one person and nothing more is known, everything
/// is voice 0.
pub fn tell_voices_apart(pcm: &Pcm, speech: &[Span], options: &VoiceOptions) -> Vec<VoiceSpan> {
    let extractor = FeatureExtractor::new();
    let frames: Vec<Vec<VoiceFrame>> = speech.iter().map(|s| extractor.frames(pcm, *s)).collect();
    let telling = telling_frames(&frames);
    let Some(models) = voice_models(&telling, options) else {
        return speech.iter().map(|span| VoiceSpan { span: *span, voice: 0, confidence: 1.0 }).collect();
    };
    let (blocks, voices) = follow(&frames, &telling, models);
    number_by_appearance(voice_spans(speech, &blocks, &voices))
}

/// The frames that are loud enough to tell a voice, by span.
fn telling_frames(frames: &[Vec<VoiceFrame>]) -> Vec<Vec<VoiceFrame>> {
    let powers: Vec<f32> = frames.iter().flatten().map(|f| f.power).collect();
    let loudest = crate::power::quantile(&powers, 0.95).unwrap_or(0.0);
    let limit = loudest * crate::power::of_decibels(-VOICE_RANGE_DB);
    frames.iter().map(|span| span.iter().filter(|f| f.power > limit).copied().collect()).collect()
}

/// What the voices of a recording sound like, together and one by one.
struct VoiceModels {
    everybody: Mixture,
    voices: Vec<VoiceModel>,
}

impl VoiceModels {
    /// One model for each group of frames.
    fn of_groups(everybody: Mixture, groups: &[Vec<VoiceFrame>]) -> Self {
        let voices = groups
            .iter()
            .map(|frames| VoiceModel {
                mixture: everybody.adapted(&everybody.statistics(frames), MODEL_RELEVANCE),
                log_pitch: usual_log_pitch(frames),
            })
            .collect();
        Self { everybody, voices }
    }
}

/// The models; `None` where there is one voice only.
fn voice_models(frames: &[Vec<VoiceFrame>], options: &VoiceOptions) -> Option<VoiceModels> {
    let pieces: Vec<&[VoiceFrame]> = frames.iter().flat_map(|span| pieces(span)).collect();
    let every = pieces.len().div_ceil(MAXIMUM_PIECES).max(1);
    let sampled: Vec<&[VoiceFrame]> = pieces.iter().step_by(every).copied().collect();
    let all: Vec<VoiceFrame> = sampled.concat();
    let everybody = Mixture::fit(&all)?;
    let usual = usual_log_pitch(&all).unwrap_or(0.0);
    let points: Vec<Point> = sampled.iter().map(|p| point(p, &everybody, usual)).collect();
    let group_of = grouped(&points, options)?;
    let mut groups = vec![Vec::new(); group_of.iter().max().map_or(0, |g| g + 1)];
    for (piece, group) in sampled.iter().zip(group_of) {
        groups[group].extend_from_slice(piece);
    }
    Some(VoiceModels::of_groups(everybody, &groups))
}

/// Equal pieces of about [`PIECE`].
fn pieces(frames: &[VoiceFrame]) -> impl Iterator<Item = &[VoiceFrame]> {
    let target = (PIECE.0 / FRAME_MS) as usize;
    let count = ((frames.len() + target / 2) / target).max(1);
    frames.chunks(frames.len().div_ceil(count).max(1))
}

fn usual_log_pitch(frames: &[VoiceFrame]) -> Option<f64> {
    let pitches: Vec<f32> = frames.iter().filter_map(|f| f.log_pitch).collect();
    crate::power::quantile(&pitches, 0.5).map(f64::from)
}

/// The group of each point, with as many groups as are clearly apart; `None` where there is one only.
fn grouped(points: &[Point], options: &VoiceOptions) -> Option<Vec<usize>> {
    let mut accepted = None;
    for count in 2..=usize::from(options.maximum_voices).min(points.len()) {
        let groups = clusters::join(points, count);
        let known = count <= usize::from(options.minimum_voices);
        if !known && !clusters::are_apart(points, &groups, count, options) {
            break;
        }
        accepted = Some(groups);
    }
    accepted
}

/// The blocks of all spans and the voice of each: the likeliest path, with the models renewed from it in between.
fn follow(
    frames: &[Vec<VoiceFrame>],
    telling: &[Vec<VoiceFrame>],
    mut models: VoiceModels,
) -> (Vec<Block>, Vec<usize>) {
    let scored = |models: &VoiceModels| -> Vec<Block> {
        frames.iter().enumerate().flat_map(|(span, frames)| blocks(span, frames, &models.voices)).collect()
    };
    let mut blocks = scored(&models);
    let mut path = best_path(&blocks);
    for _ in 0..RENEWALS {
        let count = models.voices.len();
        models = VoiceModels::of_groups(models.everybody, &frames_by_voice(telling, &blocks, &path, count));
        blocks = scored(&models);
        path = best_path(&blocks);
    }
    (blocks, path)
}

fn frames_by_voice(
    telling: &[Vec<VoiceFrame>],
    blocks: &[Block],
    path: &[usize],
    voices: usize,
) -> Vec<Vec<VoiceFrame>> {
    let mut members = vec![Vec::new(); voices];
    let mut frames = telling.iter().flatten().peekable();
    for (block, voice) in blocks.iter().zip(path) {
        while let Some(frame) = frames.next_if(|f| f.index < block.end_frame) {
            members[*voice].push(*frame);
        }
    }
    members
}

/// Spans of one voice each, cut where the path changes voice.
fn voice_spans(speech: &[Span], blocks: &[Block], path: &[usize]) -> Vec<VoiceSpan> {
    let mut out = Vec::new();
    let mut pairs = blocks.iter().zip(path.iter().copied()).peekable();
    for (index, span) in speech.iter().enumerate() {
        let mut inside: Vec<(&Block, usize)> = Vec::new();
        while let Some(pair) = pairs.next_if(|(block, _)| block.span == index) {
            inside.push(pair);
        }
        if inside.is_empty() {
            // Too short to be heard apart: it goes with whoever spoke last.
            let voice = out.last().map_or(0, |v: &VoiceSpan| v.voice);
            out.push(VoiceSpan { span: *span, voice, confidence: 0.0 });
            continue;
        }
        let mut start = span.start;
        let mut rest = &inside[..];
        while let Some((_, voice)) = rest.first().copied() {
            let length = rest.iter().take_while(|(_, v)| *v == voice).count();
            let (run, behind) = rest.split_at(length);
            let end = behind
                .first()
                .map_or(span.end, |(b, _)| Millis(b.first_frame as i64 * FRAME_MS).min(span.end));
            out.push(VoiceSpan {
                span: Span::new(start, end),
                voice: voice as u8,
                confidence: confidence(run),
            });
            start = end;
            rest = behind;
        }
    }
    out
}

/// How sure the voice of a run of blocks is, from how much better it fits than the next best.
fn confidence(run: &[(&Block, usize)]) -> f64 {
    let margin: f64 = run
        .iter()
        .map(|(block, voice)| {
            let others = block.scores.iter().enumerate().filter(|(v, _)| v != voice).map(|(_, s)| *s);
            block.scores[*voice] - others.fold(f64::NEG_INFINITY, f64::max)
        })
        .sum::<f64>()
        / (run.len() as f64).sqrt();
    1.0 / (1.0 + (-margin / CONFIDENT_MARGIN).exp())
}

/// Voices renumbered from 0 in order of first appearance.
fn number_by_appearance(mut spans: Vec<VoiceSpan>) -> Vec<VoiceSpan> {
    let voices: Vec<usize> = spans.iter().map(|s| usize::from(s.voice)).collect();
    for (span, voice) in spans.iter_mut().zip(clusters::renumber(&voices)) {
        span.voice = voice as u8;
    }
    spans
}
