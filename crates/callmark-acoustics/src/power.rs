//! The power of a channel over time, in frames of 8 ms: what level, silence, crosstalk and signal-to-noise ratio are
//! measured on.

use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use callmark_types::Span;
use std::ops::Range;

/// Samples in a frame: 8 ms, a quarter of what the speech network judges at a time.
pub(crate) const FRAME_SAMPLES: usize = 128;
/// Milliseconds in a frame.
pub(crate) const FRAME_MS: i64 = FRAME_SAMPLES as i64 * 1000 / PIPELINE_SAMPLE_RATE_HZ as i64;

/// Mean square per frame, full scale = 1; a last frame that is not full is measured over what there is.
pub(crate) fn frame_powers(samples: &[i16]) -> Vec<f32> {
    samples.chunks(FRAME_SAMPLES).map(|frame| mean_square(frame) as f32).collect()
}

/// Mean square, full scale = 1; 0 for no samples.
pub(crate) fn mean_square(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    // A block of 2^16 squares of 2^30 stays far below 2^63.
    let total: f64 = samples
        .chunks(1 << 16)
        .map(|block| block.iter().map(|s| i64::from(i32::from(*s) * i32::from(*s))).sum::<i64>() as f64)
        .sum();
    total / samples.len() as f64 / (32768.0 * 32768.0)
}

/// 10 log10; `None` for no power at all.
pub(crate) fn decibels(power: f64) -> Option<f64> {
    (power > 0.0).then(|| 10.0 * power.log10())
}

/// The power that is `decibels` above (below, where negative) 1.
pub(crate) fn of_decibels(decibels: f64) -> f32 {
    10.0_f64.powf(decibels / 10.0) as f32
}

/// The frames that lie wholly or in part inside `span`, of `frames`.
pub(crate) fn frames_of(span: Span, frames: usize) -> Range<usize> {
    let first = (span.start.0.max(0) / FRAME_MS) as usize;
    let end = (span.end.0.max(0) as usize).div_ceil(FRAME_MS as usize);
    first.min(frames)..end.min(frames).max(first.min(frames))
}

/// The value below which the share `fraction` of `values` lies; `None` where there are none.
pub(crate) fn quantile(values: &[f32], fraction: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    let index = ((values.len().checked_sub(1)?) as f64 * fraction).round() as usize;
    let (_, value, _) = sorted.select_nth_unstable_by(index, f32::total_cmp);
    Some(*value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_square_wave_has_power_one() {
        assert!((mean_square(&[-32768; 1000]) - 1.0).abs() < 1e-12);
        assert_eq!(mean_square(&[]), 0.0);
    }

    #[test]
    fn a_span_maps_to_the_frames_it_touches_and_never_beyond_the_end() {
        assert_eq!(frames_of(Span::of_ms(8, 17), 100), 1..3);
        assert_eq!(frames_of(Span::of_ms(-50, 17), 2), 0..2);
        assert_eq!(frames_of(Span::of_ms(900, 1700), 2), 2..2);
    }
}
