//! Where decoded sound goes: takes frames of any rate, holds the limits, gives 16 kHz channels.

use crate::error::Fault;
use crate::options::{DecodeLimits, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ};
use crate::resample::{BlockResampler, output_frames, sample_of};
use callmark_types::Millis;
use callmark_types::{PIPELINE_SAMPLE_RATE_HZ, Pcm};

/// Collects the channels of one recording.
pub(crate) struct Sink {
    rate_hz: u32,
    channels: Vec<Vec<i16>>,
    resampler: Option<BlockResampler>,
    frames_in: u64,
    max_frames: u64,
}

impl Sink {
    /// A sink for sound of `rate_hz` and `channels`; refuses what is outside the limits. `byte_offset` is where the
    /// header says so.
    pub(crate) fn new(
        rate_hz: u32,
        channels: u32,
        limits: &DecodeLimits,
        byte_offset: u64,
    ) -> Result<Self, Fault> {
        if !(MIN_SAMPLE_RATE_HZ..=MAX_SAMPLE_RATE_HZ).contains(&rate_hz) {
            let reason = format!(
                "the sample rate of {rate_hz} Hz is not in the range from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
            );
            return Err(Fault::malformed(byte_offset, reason));
        }
        if channels == 0 {
            return Err(Fault::malformed(byte_offset, "it has no channels"));
        }
        if channels > u32::from(limits.max_channels) {
            return Err(Fault::TooManyChannels(channels));
        }
        let channels = channels as usize;
        let resampler = (rate_hz != PIPELINE_SAMPLE_RATE_HZ).then(|| BlockResampler::new(rate_hz, channels));
        let max_frames = (limits.max_duration.0.max(0) as u64).saturating_mul(u64::from(rate_hz)) / 1000;
        Ok(Self { rate_hz, channels: vec![Vec::new(); channels], resampler, frames_in: 0, max_frames })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Frames taken so far, at the recording's rate.
    pub(crate) fn frames_in(&self) -> u64 {
        self.frames_in
    }

    /// Makes room for `frames` more, at the recording's rate. The caller vouches that the input has the bytes for
    /// them.
    pub(crate) fn reserve(&mut self, frames: u64) -> Result<(), Fault> {
        if self.frames_in.saturating_add(frames) > self.max_frames {
            return Err(Fault::TooLong);
        }
        let samples = output_frames(frames, self.rate_hz) as usize + PIPELINE_SAMPLE_RATE_HZ as usize;
        for channel in &mut self.channels {
            channel.try_reserve_exact(samples).map_err(|_| Fault::TooLong)?;
        }
        Ok(())
    }

    /// Takes whole frames of interleaved 16-bit samples.
    pub(crate) fn push_i16(&mut self, samples: &[i16]) -> Result<(), Fault> {
        self.push(samples, |sample| sample, |sample| f32::from(sample) / 32_768.0)
    }

    /// Takes whole frames of interleaved samples of full scale 1.0.
    pub(crate) fn push_f32(&mut self, samples: &[f32]) -> Result<(), Fault> {
        self.push(samples, sample_of, |sample| if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 })
    }

    /// Takes `frames` of silence, in place of sound that could not be decoded.
    pub(crate) fn push_silence(&mut self, frames: usize) -> Result<(), Fault> {
        const STEP: usize = 1_024;
        let zeros = vec![0_i16; STEP * self.channels.len()];
        let mut left = frames;
        while left > 0 {
            let now = left.min(STEP);
            self.push_i16(&zeros[..now * self.channels.len()])?;
            left -= now;
        }
        Ok(())
    }

    fn push<T: Copy>(
        &mut self,
        samples: &[T],
        narrow: impl Fn(T) -> i16,
        widen: impl Fn(T) -> f32,
    ) -> Result<(), Fault> {
        if samples.is_empty() {
            return Ok(());
        }
        let count = self.channels.len();
        self.frames_in += (samples.len() / count) as u64;
        if self.frames_in > self.max_frames {
            return Err(Fault::TooLong);
        }
        let Some(resampler) = &mut self.resampler else {
            for (index, channel) in self.channels.iter_mut().enumerate() {
                channel.extend(samples[index..].iter().step_by(count).map(|&s| narrow(s)));
            }
            return Ok(());
        };
        let mut rest = samples;
        while rest.len() >= count {
            let frames = (rest.len() / count).min(resampler.room());
            let (now, later) = rest.split_at(frames * count);
            resampler.push(frames, &mut self.channels, |channel, pending| {
                pending.extend(now[channel..].iter().step_by(count).map(|&s| widen(s)));
            });
            rest = later;
        }
        Ok(())
    }

    /// The channels at 16 kHz, and how long they last by the recording's own clock.
    pub(crate) fn finish(mut self) -> (Vec<Pcm>, Millis) {
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.channels);
        }
        let duration = Millis::of_sample(self.frames_in as usize, self.rate_hz);
        let channels = self
            .channels
            .into_iter()
            .map(|mut samples| {
                samples.shrink_to_fit();
                Pcm { samples }
            })
            .collect();
        (channels, duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_stay_apart_at_every_rate() {
        for rate_hz in [8_000, 16_000, 44_100] {
            let mut sink = Sink::new(rate_hz, 3, &DecodeLimits::default(), 0).unwrap();
            let frame = [0_i16, 8_000, -8_000];
            let block: Vec<i16> = frame.iter().copied().cycle().take(3 * rate_hz as usize).collect();
            sink.push_i16(&block).unwrap();
            let (channels, duration) = sink.finish();
            assert_eq!(duration, Millis(1000));
            for (channel, level) in channels.iter().zip(frame) {
                assert_eq!(channel.samples.len(), 16_000);
                assert!(
                    channel.samples[4_000..12_000].iter().all(|s| s.abs_diff(level) < 4),
                    "{rate_hz} {level}"
                );
            }
        }
    }

    #[test]
    fn a_recording_beyond_the_limits_is_refused() {
        let limits = DecodeLimits { max_duration: Millis(1000), ..DecodeLimits::default() };
        let mut sink = Sink::new(8_000, 1, &limits, 0).unwrap();
        assert!(matches!(sink.reserve(8_001), Err(Fault::TooLong)));
        assert!(sink.push_i16(&[0; 8_000]).is_ok());
        assert!(matches!(sink.push_i16(&[0]), Err(Fault::TooLong)));
        assert!(matches!(Sink::new(8_000, 9, &limits, 0), Err(Fault::TooManyChannels(9))));
        assert!(matches!(Sink::new(1_092_676, 1, &limits, 0), Err(Fault::Malformed { .. })));
        assert!(matches!(Sink::new(8_000, 0, &limits, 0), Err(Fault::Malformed { .. })));
    }
}
