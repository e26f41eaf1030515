//! From turns to the call: overall, start, end, quarters, slope, and by handler.

use callmark_types::{
    Handler, HandlerSegment, Millis, SentimentRollup, SentimentScores, Span, Speaker, Turn,
};

/// Times must be spread over this much for a slope.
const MIN_SLOPE_SPAN: Millis = Millis(10_000);

/// One scored turn.
#[derive(Debug, Clone, Copy)]
struct Point {
    score: f64,
    /// Middle of the turn; `None` for chats without times.
    at: Option<Millis>,
    /// Where in the call it lies, 0 to 1.
    position: f64,
    handler: Option<Handler>,
}

/// Rolls up. Every scored turn weighs the same, as a reader of the turns would average them. Quarters are of the call's time, or of its turns where
/// there are no times. A turn belongs to the handler of the segment in which its middle lies, else to the agent who
/// spoke last before it.
pub(crate) fn roll_up(
    turns: &[Turn],
    scores: &[Option<f64>],
    segments: &[HandlerSegment],
    end: Option<Millis>,
) -> SentimentRollup {
    let points = |wanted: &dyn Fn(Speaker) -> bool| -> Vec<Point> {
        let last = turns.iter().filter_map(|turn| turn.span).map(|span| span.end).max();
        let length = end.or(last).unwrap_or(Millis::ZERO).0.max(1) as f64;
        let counted = turns
            .iter()
            .zip(scores)
            .enumerate()
            .filter(|(_, (turn, _))| turn.is_kept() && wanted(turn.speaker));
        counted
            .filter_map(|(index, (turn, score))| {
                let at = turn.span.map(middle);
                let position = match at {
                    Some(at) => at.0 as f64 / length,
                    None => (index as f64 + 0.5) / turns.len() as f64,
                };
                Some(Point {
                    score: (*score)?,
                    at,
                    position: position.clamp(0.0, 1.0),
                    handler: handler_of(turns, index, at, segments),
                })
            })
            .collect()
    };
    let customer = points(&|speaker| speaker == Speaker::Customer);
    let agent = points(&|speaker| matches!(speaker, Speaker::AiAgent | Speaker::HumanAgent));
    let with = |handler: Handler| average(customer.iter().filter(|point| point.handler == Some(handler)));
    SentimentRollup {
        customer: of_side(&customer),
        agent: of_side(&agent),
        customer_with_ai: with(Handler::Ai),
        customer_with_human: with(Handler::Human),
    }
}

fn of_side(points: &[Point]) -> SentimentScores {
    let quarters = [0, 1, 2, 3].map(|quarter| {
        average(points.iter().filter(|point| ((point.position * 4.0) as usize).min(3) == quarter))
    });
    SentimentScores {
        overall: average(points.iter()),
        start: quarters.iter().copied().find_map(|quarter| quarter),
        end: quarters.iter().rev().copied().find_map(|quarter| quarter),
        quarters,
        slope_per_minute: slope(points),
    }
}

fn average<'a>(points: impl Iterator<Item = &'a Point>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for point in points {
        sum += point.score;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Least-squares change a minute, unweighted.
fn slope(points: &[Point]) -> Option<f64> {
    let timed: Vec<(f64, f64)> =
        points.iter().filter_map(|point| Some((point.at?.seconds() / 60.0, point.score))).collect();
    let first = timed.iter().map(|(time, _)| *time).fold(f64::INFINITY, f64::min);
    let last = timed.iter().map(|(time, _)| *time).fold(f64::NEG_INFINITY, f64::max);
    if timed.len() < 2 || last - first < MIN_SLOPE_SPAN.seconds() / 60.0 {
        return None;
    }
    let count = timed.len() as f64;
    let mean_time = timed.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean_score = timed.iter().map(|(_, score)| score).sum::<f64>() / count;
    let covariance: f64 = timed.iter().map(|(time, score)| (time - mean_time) * (score - mean_score)).sum();
    let variance: f64 = timed.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
    Some(covariance / variance)
}

fn middle(span: Span) -> Millis {
    Millis(i64::midpoint(span.start.0, span.end.0))
}

fn handler_of(
    turns: &[Turn],
    index: usize,
    at: Option<Millis>,
    segments: &[HandlerSegment],
) -> Option<Handler> {
    if let (Some(at), false) = (at, segments.is_empty()) {
        return segments.iter().find(|segment| segment.span.contains(at)).map(|segment| segment.handler);
    }
    let agents = |turn: &Turn| match turn.speaker {
        Speaker::AiAgent => Some(Handler::Ai),
        Speaker::HumanAgent => Some(Handler::Human),
        _ => None,
    };
    let before = turns[..index].iter().rev().filter(|turn| turn.is_kept()).find_map(agents);
    before.or_else(|| turns[index..].iter().filter(|turn| turn.is_kept()).find_map(agents))
}
