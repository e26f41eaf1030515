//! How speech is packed for the recogniser, and the way back to the recording's clock.
//!
//! What a recogniser of fixed windows gets wrong is decided here: long silences make it invent words, single short
//! segments leave it without context, and every window costs the same however little is in it. So the speech of one
//! channel is joined into packs of up to some 18 s, with a little of the recorded silence left around every span, and
//! the map between the two clocks is exact to the millisecond.

use crate::transcriber::Pack;
use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ, Pcm, Span};

/// Length of the stretches whose energy is compared when a long span must be split.
const SPLIT_FRAME_MS: i64 = 30;

/// How speech is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// The longest pack.
    pub longest_pack: Millis,
    /// How much recorded sound is kept on each side of a span, where the neighbours leave room. On a quarter of the
    /// telephone sentences the word error rate was 0.201 with 200 ms, 0.199 with 400 ms, 0.189 with 600 ms and 0.191 with
    /// 800 ms; on whole calls it stayed the same.
    pub margin: Millis,
    /// Silence put between two pieces that do not follow each other in the recording.
    pub joint: Millis,
    /// Spans shorter than this are left out: nobody says a word in that time.
    pub shortest_span: Millis,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self {
            longest_pack: Millis(18_000),
            margin: Millis(600),
            joint: Millis(100),
            shortest_span: Millis(80),
        }
    }
}

/// A stretch of the recording and its place in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackPiece {
    /// Index into the speech spans that [`plan_packs`] was given, after cleaning (see [`clean_spans`]).
    pub span_index: usize,
    /// The part of the speech span that this piece carries, on the recording's clock.
    pub speech: Span,
    /// What is copied: `speech` with its margins, on the recording's clock.
    pub source: Span,
    /// Where `source` starts on the pack's clock.
    pub pack_start: Millis,
}

impl PackPiece {
    /// The copied stretch on the pack's clock.
    pub fn on_pack_clock(&self) -> Span {
        Span::new(self.pack_start, self.pack_start + self.source.duration())
    }

    /// The speech on the pack's clock.
    pub fn speech_on_pack_clock(&self) -> Span {
        let start = self.pack_start + (self.speech.start - self.source.start);
        Span::new(start, start + self.speech.duration())
    }
}

/// What goes into one pack. Pieces are in order on both clocks and overlap on neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackPlan {
    /// At least one piece.
    pub pieces: Vec<PackPiece>,
}

impl PackPlan {
    /// How long the pack is.
    pub fn duration(&self) -> Millis {
        self.pieces.last().map_or(Millis::ZERO, |piece| piece.on_pack_clock().end)
    }

    /// How much speech is in it.
    pub fn speech_duration(&self) -> Millis {
        self.pieces.iter().map(|piece| piece.speech.duration()).sum()
    }

    /// The samples of the pack, joints being digital silence.
    pub fn build(&self, pcm: &Pcm) -> Pack {
        let mut samples = vec![0.0; self.duration().to_sample(PIPELINE_SAMPLE_RATE_HZ)];
        for piece in &self.pieces {
            let start = piece.pack_start.to_sample(PIPELINE_SAMPLE_RATE_HZ);
            for (slot, &sample) in samples[start..].iter_mut().zip(pcm.slice(piece.source)) {
                *slot = f32::from(sample) / 32768.0;
            }
        }
        Pack { samples }
    }

    /// The time of the recording at `time` on the pack's clock. Inside a joint it is the nearer piece's edge.
    pub fn to_recording(&self, time: Millis) -> Millis {
        let after = self.pieces.partition_point(|piece| piece.pack_start <= time);
        let Some(piece) = self.pieces.get(after.saturating_sub(1)) else { return time };
        let inside = piece.source.start + (time - piece.pack_start).max(Millis::ZERO);
        if inside <= piece.source.end {
            return inside;
        }
        match self.pieces.get(after) {
            Some(next) if next.pack_start - time < time - piece.on_pack_clock().end => next.source.start,
            _ => piece.source.end,
        }
    }

    /// The time on the pack's clock of `time` in the recording; `None` for what is not in the pack.
    pub fn to_pack(&self, time: Millis) -> Option<Millis> {
        let piece = self.pieces.iter().find(|piece| piece.source.contains(time))?;
        Some(piece.pack_start + (time - piece.source.start))
    }
}

/// The spans that are packed: cut to the recording, in order, without overlaps and without those too short for a word.
pub fn clean_spans(pcm: &Pcm, speech: &[Span], limits: &PackLimits) -> Vec<Span> {
    let whole = Span::new(Millis::ZERO, pcm.duration());
    let inside = speech.iter().filter_map(|span| span.intersection(whole));
    let mut spans = Span::union(inside);
    spans.retain(|span| span.duration() >= limits.shortest_span);
    spans
}

/// Packs the speech of one channel: every cleaned span lands in one pack, or in several where it is longer than one.
///
/// Packs are filled to about the same length, so that no pack is left with a single short word.
pub fn plan_packs(pcm: &Pcm, speech: &[Span], limits: &PackLimits) -> Vec<PackPlan> {
    let spans = clean_spans(pcm, speech, limits);
    let sources = with_margins(pcm, &spans, limits.margin);
    let mut parts = Vec::new();
    for (span_index, (&span, &source)) in spans.iter().zip(&sources).enumerate() {
        split_span(pcm, span_index, span, source, limits, &mut parts);
    }
    join_parts(&parts, limits)
}

/// Packs parts of the cleaned `spans`, each given with the index of its span: what was passed over is heard again with
/// nothing beside it but the silence around its span.
pub(crate) fn plan_stretches(
    pcm: &Pcm,
    spans: &[Span],
    stretches: &[(usize, Span)],
    limits: &PackLimits,
) -> Vec<PackPlan> {
    let sources = with_margins(pcm, spans, limits.margin);
    let mut parts = Vec::new();
    for &(span_index, stretch) in stretches {
        let (span, source) = (spans[span_index], sources[span_index]);
        let start = if stretch.start == span.start { source.start } else { stretch.start };
        let end = if stretch.end == span.end { source.end } else { stretch.end };
        split_span(pcm, span_index, stretch, Span::new(start, end), limits, &mut parts);
    }
    join_parts(&parts, limits)
}

/// Each span with up to `margin` on both sides; neighbours share the gap between them in halves.
fn with_margins(pcm: &Pcm, spans: &[Span], margin: Millis) -> Vec<Span> {
    let end_of_recording = pcm.duration();
    (0..spans.len())
        .map(|i| {
            let floor = if i == 0 { Millis::ZERO } else { middle(spans[i - 1].end, spans[i].start) };
            let ceiling = spans.get(i + 1).map_or(end_of_recording, |next| middle(spans[i].end, next.start));
            Span::new((spans[i].start - margin).max(floor), (spans[i].end + margin).min(ceiling))
        })
        .collect()
}

/// The quotient of non-negative `a` and positive `b`, rounded up.
pub(crate) fn ceil_div(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

fn middle(a: Millis, b: Millis) -> Millis {
    Millis(i64::midpoint(a.0, b.0))
}

/// Pushes `span` as one part, or as several cut at the quietest places where it does not fit one pack.
fn split_span(
    pcm: &Pcm,
    span_index: usize,
    span: Span,
    source: Span,
    limits: &PackLimits,
    parts: &mut Vec<PackPiece>,
) {
    let mut rest = source;
    while rest.duration() > limits.longest_pack {
        let pieces_left = ceil_div(rest.duration().0, limits.longest_pack.0);
        let even = rest.duration().0 / pieces_left;
        let reach = Span::new(
            rest.start + Millis((even * 3 / 4).max(1)),
            rest.start + Millis((even * 5 / 4).min(limits.longest_pack.0)),
        );
        let cut = quietest_moment(pcm, reach);
        let head = Span::new(rest.start, cut);
        parts.extend(part(span_index, span, head));
        rest = Span::new(cut, rest.end);
    }
    parts.extend(part(span_index, span, rest));
}

fn part(span_index: usize, span: Span, source: Span) -> Option<PackPiece> {
    let speech = span.intersection(source)?;
    Some(PackPiece { span_index, speech, source, pack_start: Millis::ZERO })
}

/// The middle of the frame with the least energy in `reach`, never its very start.
fn quietest_moment(pcm: &Pcm, reach: Span) -> Millis {
    let frames = (reach.duration().0 / SPLIT_FRAME_MS).max(1);
    let energy_at = |frame: i64| {
        let start = reach.start + Millis(frame * SPLIT_FRAME_MS);
        let samples = pcm.slice(Span::new(start, start + Millis(SPLIT_FRAME_MS)));
        samples.iter().map(|&s| i64::from(s) * i64::from(s)).sum::<i64>()
    };
    let quietest = (0..frames).min_by_key(|&frame| energy_at(frame)).unwrap_or(0);
    let moment = reach.start + Millis(quietest * SPLIT_FRAME_MS + SPLIT_FRAME_MS / 2);
    moment.min(reach.end)
}

/// Lays parts one after the other into as few packs as hold them, and among those ways into the one whose packs are most
/// alike in length: the least sum of their squares.
fn join_parts(parts: &[PackPiece], limits: &PackLimits) -> Vec<PackPlan> {
    // The best way for the first parts: how many packs, the sum of their squares, and where the last pack begins.
    let mut ways = vec![(0_usize, 0_i64, 0_usize)];
    for end in 1..=parts.len() {
        let mut best = None;
        let mut length = 0;
        for start in (0..end).rev() {
            let joint =
                if start + 1 < end { joint(&parts[start], &parts[start + 1], limits) } else { Millis::ZERO };
            length += parts[start].source.duration().0 + joint.0;
            if length > limits.longest_pack.0 && start + 1 < end {
                break;
            }
            let (packs, squares, _) = ways[start];
            let way = (packs + 1, squares + length * length, start);
            best = best.filter(|&least| least <= way).or(Some(way));
        }
        ways.extend(best);
    }
    let mut packs = Vec::new();
    let mut end = parts.len();
    while end > 0 {
        let start = ways[end].2;
        packs.push(lay(&parts[start..end], limits));
        end = start;
    }
    packs.reverse();
    packs
}

/// The silence between two parts in a pack: none where the recording goes on.
fn joint(part: &PackPiece, next: &PackPiece, limits: &PackLimits) -> Millis {
    if part.source.end == next.source.start { Millis::ZERO } else { limits.joint }
}

/// One pack of `parts`, one after the other.
fn lay(parts: &[PackPiece], limits: &PackLimits) -> PackPlan {
    let mut pieces: Vec<PackPiece> = Vec::with_capacity(parts.len());
    for part in parts {
        let after = |last: &PackPiece| last.on_pack_clock().end + joint(last, part, limits);
        let pack_start = pieces.last().map_or(Millis::ZERO, after);
        pieces.push(PackPiece { pack_start, ..*part });
    }
    PackPlan { pieces }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recording(seconds: usize) -> Pcm {
        let samples = (0..seconds * 16_000).map(|i| (i * 31 % 1_999) as i16).collect();
        Pcm { samples }
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        proptest::collection::vec((0i64..4_000, 1i64..25_000), 0..12).prop_map(|gaps| {
            let mut clock = 0;
            let span = |(gap, length): (i64, i64)| {
                let start = clock + gap;
                clock = start + length;
                Span::of_ms(start, clock)
            };
            gaps.into_iter().map(span).collect()
        })
    }

    fn any_limits() -> impl Strategy<Value = PackLimits> {
        (2_000i64..28_000, 0i64..900, 0i64..400, 1i64..300).prop_map(
            |(longest_pack, margin, joint, shortest_span)| PackLimits {
                longest_pack: Millis(longest_pack),
                margin: Millis(margin),
                joint: Millis(joint),
                shortest_span: Millis(shortest_span),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_time_maps_to_the_pack_and_back_unchanged(speech in spans(), limits in any_limits()) {
            let pcm = recording(120);
            for plan in plan_packs(&pcm, &speech, &limits) {
                for piece in &plan.pieces {
                    for time in (piece.source.start.0..piece.source.end.0).step_by(37).map(Millis) {
                        let in_pack = plan.to_pack(time).expect("a time inside a piece");
                        prop_assert!(piece.on_pack_clock().contains(in_pack));
                        prop_assert_eq!(plan.to_recording(in_pack), time);
                    }
                }
            }
        }

        #[test]
        fn the_map_to_the_recording_never_goes_back_and_stays_in_the_pieces(speech in spans(), limits in any_limits()) {
            let pcm = recording(120);
            for plan in plan_packs(&pcm, &speech, &limits) {
                let mut before = Millis::ZERO;
                for time in (0..=plan.duration().0).step_by(13).map(Millis) {
                    let mapped = plan.to_recording(time);
                    prop_assert!(mapped >= before);
                    let touches = |piece: &PackPiece| piece.source.start <= mapped && mapped <= piece.source.end;
                    prop_assert!(plan.pieces.iter().any(touches));
                    before = mapped;
                }
            }
        }

        #[test]
        fn packs_hold_all_the_speech_once_and_never_too_much(speech in spans(), limits in any_limits()) {
            let pcm = recording(120);
            let plans = plan_packs(&pcm, &speech, &limits);
            let packed: Millis = plans.iter().map(PackPlan::speech_duration).sum();
            let wanted: Millis = clean_spans(&pcm, &speech, &limits).into_iter().map(Span::duration).sum();
            prop_assert_eq!(packed, wanted);
            for plan in &plans {
                prop_assert!(plan.duration() <= limits.longest_pack);
                prop_assert_eq!(plan.build(&pcm).duration(), plan.duration());
                for pair in plan.pieces.windows(2) {
                    prop_assert!(pair[0].source.end <= pair[1].source.start);
                    prop_assert!(pair[0].on_pack_clock().end <= pair[1].pack_start);
                }
            }
        }
    }

    #[test]
    fn a_pack_carries_the_samples_of_its_spans() {
        let pcm = recording(20);
        let speech = [Span::of_ms(1_000, 2_000), Span::of_ms(10_000, 11_000)];
        let plans = plan_packs(&pcm, &speech, &PackLimits::default());
        assert_eq!(plans.len(), 1);
        let pack = plans[0].build(&pcm);
        for time in [Millis(1_500), Millis(10_999)] {
            let in_pack = plans[0].to_pack(time).expect("inside").to_sample(16_000);
            let in_recording = time.to_sample(16_000);
            assert_eq!(pack.samples[in_pack], f32::from(pcm.samples[in_recording]) / 32768.0);
        }
    }

    #[test]
    fn as_few_packs_as_can_be_are_filled_alike() {
        let pcm = recording(60);
        let speech: Vec<Span> = (0..6).map(|i| Span::of_ms(i * 10_000 + 2_000, i * 10_000 + 7_000)).collect();
        let limits = PackLimits { margin: Millis(0), longest_pack: Millis(18_000), ..PackLimits::default() };
        let lengths = |speech: &[Span]| -> Vec<i64> {
            plan_packs(&pcm, speech, &limits).iter().map(|plan| plan.duration().0).collect()
        };
        assert_eq!(lengths(&speech), [15_200, 15_200]);
        assert_eq!(lengths(&speech[..4]), [10_100, 10_100], "not three and one");
    }

    #[test]
    fn speech_outside_the_recording_and_clicks_are_left_out() {
        let pcm = recording(5);
        let speech = [Span::of_ms(1_000, 1_040), Span::of_ms(4_500, 9_000), Span::of_ms(9_000, 9_500)];
        assert_eq!(clean_spans(&pcm, &speech, &PackLimits::default()), [Span::of_ms(4_500, 5_000)]);
        assert!(plan_packs(&pcm, &[], &PackLimits::default()).is_empty());
    }

    #[test]
    fn a_long_span_is_cut_where_it_is_quiet() {
        let mut pcm = recording(30);
        pcm.samples[14_000 * 16..14_200 * 16].fill(0);
        let plans = plan_packs(&pcm, &[Span::of_ms(0, 30_000)], &PackLimits::default());
        assert_eq!(plans.len(), 2);
        let cut = plans[0].pieces[0].speech.end;
        assert!(Span::of_ms(14_000, 14_200).contains(cut), "{cut:?}");
        assert_eq!(plans[1].pieces[0].speech.start, cut);
    }
}
