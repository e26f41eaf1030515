//! Copies of recordings that are silent where something must not be heard: for those that are kept, and for those that are
//! played.

use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ, Pcm, Span};
use std::ops::Range;
use std::path::Path;

/// Silenced beside what was said: word times are exact to about this.
pub const SILENCE_MARGIN: Millis = Millis(60);

/// The frames at 16 kHz that are silent where `spans` are not to be heard, in order and apart.
pub fn silent_frames(spans: impl IntoIterator<Item = Span>) -> Vec<Range<usize>> {
    let wide =
        spans.into_iter().map(|span| Span::new(span.start - SILENCE_MARGIN, span.end + SILENCE_MARGIN));
    let frame = |time: Millis| time.to_sample(PIPELINE_SAMPLE_RATE_HZ);
    Span::union(wide).into_iter().map(|span| frame(span.start)..frame(span.end)).collect()
}

/// Writes channels as WAV, 16 bits at 16 kHz, with silence on all of them in the frames `silent`, which are in order.
///
/// # Errors
/// Where the file cannot be written; what is there then is not whole.
pub fn write_wav(path: &Path, channels: &[Pcm], silent: &[Range<usize>]) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: PIPELINE_SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    let mut next = 0;
    for at in 0..channels.iter().map(|pcm| pcm.samples.len()).max().unwrap_or(0) {
        while silent.get(next).is_some_and(|range| range.end <= at) {
            next += 1;
        }
        let is_silent = silent.get(next).is_some_and(|range| range.contains(&at));
        for pcm in channels {
            let sample = pcm.samples.get(at).copied().filter(|_| !is_silent);
            writer.write_sample(sample.unwrap_or(0))?;
        }
    }
    writer.finalize()
}
