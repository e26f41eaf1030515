//! Any sample rate to 16 kHz, block by block, without delay.

use callmark_types::PIPELINE_SAMPLE_RATE_HZ;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Smallest block transformed at once, in input frames: long enough for a steep filter (its transition band is some
/// hundred hertz wide), short enough to stay in the processor's cache.
const MIN_BLOCK_FRAMES: usize = 1_024;

/// Converts channels of one rate to [`PIPELINE_SAMPLE_RATE_HZ`].
///
/// The filter's delay is taken off, so that sample `n` of the output lies at `n / 16000` seconds of the input, and
/// the output of a stream of `frames` has `round(frames * 16000 / rate)` samples a channel.
pub(crate) struct BlockResampler {
    fft: Fft<f32>,
    rate_hz: u32,
    block_frames: usize,
    pending: Vec<Vec<f32>>,
    converted: Vec<Vec<f32>>,
    delay_left: usize,
    frames_in: u64,
    frames_out: u64,
}

impl BlockResampler {
    pub(crate) fn new(rate_hz: u32, channels: usize) -> Self {
        let fft = Fft::new_custom(
            rate_hz as usize,
            PIPELINE_SAMPLE_RATE_HZ as usize,
            block_frames(rate_hz),
            1,
            channels,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .expect("rates were checked to lie from 4 to 192 kHz and the block is not empty");
        let block_frames = fft.input_frames_next();
        Self {
            rate_hz,
            block_frames,
            pending: vec![Vec::with_capacity(block_frames); channels],
            converted: vec![vec![0.0; fft.output_frames_next()]; channels],
            delay_left: fft.output_delay(),
            fft,
            frames_in: 0,
            frames_out: 0,
        }
    }

    /// Frames to bring until the next block is full, at least one.
    pub(crate) fn room(&self) -> usize {
        self.block_frames - self.pending[0].len()
    }

    /// Takes up to [`room`](Self::room) frames through `fill`, which appends the same number of samples, full scale
    /// 1.0, to each channel's vector; appends what comes out to `out`.
    pub(crate) fn push(
        &mut self,
        frames: usize,
        out: &mut [Vec<i16>],
        mut fill: impl FnMut(usize, &mut Vec<f32>),
    ) {
        for (channel, pending) in self.pending.iter_mut().enumerate() {
            fill(channel, pending);
        }
        self.frames_in += frames as u64;
        if self.room() == 0 {
            self.convert_block(out);
        }
    }

    /// Ends the stream: appends the rest.
    pub(crate) fn finish(&mut self, out: &mut [Vec<i16>]) {
        let total = output_frames(self.frames_in, self.rate_hz);
        while self.frames_out < total {
            for pending in &mut self.pending {
                pending.resize(self.block_frames, 0.0);
            }
            self.convert_block(out);
        }
        let excess = (self.frames_out - total) as usize;
        for channel in out {
            channel.truncate(channel.len() - excess);
        }
    }

    fn convert_block(&mut self, out: &mut [Vec<i16>]) {
        let channels = self.pending.len();
        let frames_out = self.converted[0].len();
        let input = SequentialSliceOfVecs::new(&self.pending, channels, self.block_frames)
            .expect("every channel holds one block");
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.converted, channels, frames_out)
            .expect("every channel holds one block");
        self.fft
            .process_into_buffer(&input, &mut output, None)
            .expect("input and output have the size that the resampler asked for");
        let skipped = self.delay_left.min(frames_out);
        self.delay_left -= skipped;
        self.frames_out += (frames_out - skipped) as u64;
        for ((channel, pending), converted) in out.iter_mut().zip(&mut self.pending).zip(&self.converted) {
            channel.extend(converted[skipped..].iter().map(|&sample| sample_of(sample)));
            pending.clear();
        }
    }
}

/// Length of a block: the shortest from [`MIN_BLOCK_FRAMES`] on that has an even number of frames on both sides. The
/// filter of an odd one has its centre between two samples and would shift the sound by half of one.
fn block_frames(rate_hz: u32) -> usize {
    let step = (rate_hz / greatest_common_divisor(rate_hz, PIPELINE_SAMPLE_RATE_HZ)) as usize;
    MIN_BLOCK_FRAMES.next_multiple_of(2 * step)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Length at 16 kHz of `frames` at `rate_hz`, rounded to the nearest.
pub(crate) fn output_frames(frames: u64, rate_hz: u32) -> u64 {
    let rate = u128::from(rate_hz);
    ((u128::from(frames) * u128::from(PIPELINE_SAMPLE_RATE_HZ) + rate / 2) / rate) as u64
}

/// A sample of full scale 1.0 as 16 bit, rounded to the nearest and limited to full scale.
pub(crate) fn sample_of(value: f32) -> i16 {
    let scaled = value * 32_768.0;
    (scaled + 0.5_f32.copysign(scaled)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(frames: usize, rate_hz: u32, hertz: f64) -> Vec<f32> {
        (0..frames).map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate_hz)).sin()) as f32).collect()
    }

    fn resampled(samples: &[f32], rate_hz: u32) -> Vec<i16> {
        let mut resampler = BlockResampler::new(rate_hz, 1);
        let mut out = vec![Vec::new()];
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(resampler.room()).min(777));
            resampler.push(now.len(), &mut out, |_, pending| pending.extend_from_slice(now));
            rest = later;
        }
        resampler.finish(&mut out);
        out.swap_remove(0)
    }

    #[test]
    fn a_tone_keeps_its_level_its_place_and_its_length_at_every_rate() {
        for rate_hz in [8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 6_001]
        {
            let frames = rate_hz as usize + 17;
            let out = resampled(&sine(frames, rate_hz, 1_000.0), rate_hz);
            assert_eq!(out.len() as u64, output_frames(frames as u64, rate_hz), "{rate_hz}");
            let inner = 2_000..out.len() - 2_000;
            let (mut noise, mut signal) = (0.0, 0.0);
            for n in inner {
                let wanted = 0.5 * 32_768.0 * (TAU * 1_000.0 * n as f64 / 16_000.0).sin();
                noise += (f64::from(out[n]) - wanted).powi(2);
                signal += wanted * wanted;
            }
            let snr_db = 10.0 * (signal / noise).log10();
            assert!(snr_db > 60.0, "{rate_hz} Hz: {snr_db:.1} dB");
        }
    }

    #[test]
    fn what_lies_above_8_khz_does_not_fold_back() {
        let out = resampled(&sine(48_000, 48_000, 11_000.0), 48_000);
        let peak = out[1_000..15_000].iter().map(|s| i32::from(*s).abs()).max().unwrap();
        assert!(peak < 16, "{peak}");
    }

    #[test]
    fn a_stream_shorter_than_a_block_has_its_exact_length() {
        for frames in [1, 2, 3, 100, 1_023, 1_024, 1_025] {
            assert_eq!(resampled(&sine(frames, 8_000, 500.0), 8_000).len(), frames * 2);
        }
    }

    #[test]
    fn full_scale_is_limited_not_wrapped() {
        assert_eq!(sample_of(2.0), i16::MAX);
        assert_eq!(sample_of(-2.0), i16::MIN);
        assert_eq!(sample_of(f32::NAN), 0);
        assert_eq!(sample_of(-0.49 / 32_768.0), 0);
    }
}
