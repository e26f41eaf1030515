//! Signalling tones: dial, ringback, busy, key tones, and other steady ones.
//!
//! Frequencies and cadences: ITU-T E.180 supplement 2 (North America 350+440, 440+480, 480+620 Hz; most of Europe
//! 425 Hz with a cadence; United Kingdom 350+450, 400+450, 400 Hz) and ITU-T Q.23 (key tones).

use crate::power::{FRAME_MS, frames_of, quantile};
use crate::spectrum::{STEP_MS, SpectrumFrame};
use callmark_types::{Millis, PIPELINE_SAMPLE_RATE_HZ, Pcm, Span, Tone, ToneKind};
use realfft::RealFftPlanner;

/// Share of a frame's power that its two strongest peaks hold at least in a tone.
const TONE_CONCENTRATION: f32 = 0.95;
/// Power of a frame's loudest part from which it can be a tone: -50 dB full scale.
const TONE_POWER: f32 = 1e-5;
/// How far a peak may wander from frame to frame in hertz: a bin and a half.
const PEAK_WANDER_HZ: f32 = 24.0;
/// Shortest key tone (Q.24 asks receivers to take 40 ms).
const MINIMUM_KEY: Millis = Millis(40);
/// Shortest burst of any known signal but a key.
const MINIMUM_BURST: Millis = Millis(150);
/// Shortest other tone.
const MINIMUM_OTHER: Millis = Millis(300);
/// How much a steady tone's frequency may differ between its halves in hertz; voices glide.
const STEADY_HZ: f64 = 4.0;
/// The second of a pair is at most this much weaker, in power.
const PAIR_POWER_RATIO: f64 = 0.06;
/// Samples of a burst whose frequencies are measured: a quarter of a second.
const MEASURED_SAMPLES: usize = PIPELINE_SAMPLE_RATE_HZ as usize / 4;
const LONG_FFT: usize = 8192;
/// How much the edge of a burst is moved at most to where its power sets in.
const EDGE_FRAMES: usize = 8;
/// Share of a burst that may lie inside speech.
const MAXIMUM_SPEECH_SHARE: f64 = 0.5;
const KEY_LOW_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const KEY_HIGH_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Pauses that belong to a signal: ringing pauses for up to 5 s, busy for up to 0.75 s.
const RINGBACK_PAUSE: Millis = Millis(5500);
const BUSY_PAUSE: Millis = Millis(900);

/// One uninterrupted tone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Burst {
    span: Span,
    /// Frequencies in rising order; the same twice for a single one.
    hertz: [f64; 2],
    steady: bool,
}

/// The tones of a channel, in order, apart. A cadence (ringing, busy) is one tone, its pauses included.
pub(crate) fn find_tones(pcm: &Pcm, powers: &[f32], frames: &[SpectrumFrame], speech: &[Span]) -> Vec<Tone> {
    let bursts: Vec<Burst> = runs(frames, powers)
        .into_iter()
        .map(|run| to_sounding(run, powers))
        .filter(|span| span.duration() >= MINIMUM_KEY && !is_speech(*span, speech))
        .filter_map(|span| measure(pcm, span))
        .collect();
    let mut tones: Vec<Tone> = Vec::new();
    for (index, burst) in bursts.iter().enumerate() {
        let Some(kind) = kind_of(index, &bursts) else { continue };
        let pause = match kind {
            ToneKind::Ringback => RINGBACK_PAUSE,
            ToneKind::Busy => BUSY_PAUSE,
            ToneKind::Dial | ToneKind::Other => MINIMUM_BURST,
            ToneKind::Dtmf => Millis::ZERO,
        };
        match tones.last_mut() {
            Some(last) if last.kind == kind && continues(last.span, burst.span, pause, speech) => {
                last.span.end = burst.span.end;
            }
            Some(last) if burst.span.start < last.span.end => {}
            _ => tones.push(Tone { span: burst.span, kind }),
        }
    }
    tones
}

fn continues(before: Span, after: Span, pause: Millis, speech: &[Span]) -> bool {
    let between = Span::new(before.end, after.start);
    after.start - before.end < pause && speech.iter().all(|s| s.overlap(between) == Millis::ZERO)
}

/// Stretches of frames that are concentrated on the same peaks.
fn runs(frames: &[SpectrumFrame], powers: &[f32]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut begun: Option<usize> = None;
    for index in 0..=frames.len() {
        let tonal = frames.get(index).is_some_and(|f| f.audible && f.concentration >= TONE_CONCENTRATION)
            && frame_power(index, powers) >= TONE_POWER;
        let goes_on = tonal && index > 0 && same_peaks(&frames[index - 1], &frames[index]);
        if let Some(first) = begun.filter(|_| !goes_on) {
            // A frame's middle is one step after its start; half a step belongs to it on either side.
            found.push(Span::of_ms(
                first as i64 * STEP_MS + STEP_MS / 2,
                index as i64 * STEP_MS + STEP_MS / 2,
            ));
            begun = None;
        }
        if tonal && begun.is_none() {
            begun = Some(index);
        }
    }
    found
}

fn frame_power(index: usize, powers: &[f32]) -> f32 {
    let span = Span::of_ms(index as i64 * STEP_MS, (index as i64 + 2) * STEP_MS);
    powers[frames_of(span, powers.len())].iter().copied().fold(0.0, f32::max)
}

/// Whether the strongest peak of one is among the two of the other: pairs beat, and trade places.
fn same_peaks(before: &SpectrumFrame, after: &SpectrumFrame) -> bool {
    after.peaks_hz.iter().any(|hz| (hz - before.peaks_hz[0]).abs() < PEAK_WANDER_HZ)
}

/// The run with its edges moved to where its power sets in and ends.
fn to_sounding(run: Span, powers: &[f32]) -> Span {
    let inside = frames_of(run, powers.len());
    let Some(usual) = quantile(&powers[inside.clone()], 0.7) else { return run };
    let loud = |frame: usize| powers.get(frame).is_some_and(|p| *p > usual / 8.0);
    let (mut first, mut end) = (inside.start, inside.end);
    for _ in 0..EDGE_FRAMES {
        if first > 0 && loud(first - 1) {
            first -= 1;
        }
        if loud(end) {
            end += 1;
        }
    }
    while first < end && !loud(first) {
        first += 1;
    }
    while end > first && !loud(end - 1) {
        end -= 1;
    }
    Span::of_ms(first as i64 * FRAME_MS, end as i64 * FRAME_MS)
}

fn is_speech(span: Span, speech: &[Span]) -> bool {
    let spoken: Millis = speech.iter().map(|s| s.overlap(span)).sum();
    spoken.0 as f64 > span.duration().0 as f64 * MAXIMUM_SPEECH_SHARE
}

/// The frequencies of a burst, and whether they stay the same from its first to its second half.
fn measure(pcm: &Pcm, span: Span) -> Option<Burst> {
    let samples = pcm.slice(span);
    let middle = samples.len().saturating_sub(MEASURED_SAMPLES) / 2;
    let hertz = dominant_hertz(&samples[middle..samples.len().min(middle + MEASURED_SAMPLES)])?;
    let (early, late) = samples.split_at(samples.len() / 2);
    let half = |part: &[i16]| dominant_hertz(&part[..part.len().min(MEASURED_SAMPLES)]);
    let steady = match (half(early), half(late)) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() <= STEADY_HZ),
        _ => false,
    };
    Some(Burst { span, hertz, steady })
}

/// The strongest frequency and the second, if that is nearly as strong; in rising order.
fn dominant_hertz(samples: &[i16]) -> Option<[f64; 2]> {
    let length = samples.len();
    if length < 2 {
        return None;
    }
    let mut padded = vec![0.0_f64; LONG_FFT];
    for (i, (out, sample)) in padded.iter_mut().zip(samples).enumerate() {
        let weight = 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / length as f64).cos();
        *out = f64::from(*sample) * weight;
    }
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(LONG_FFT);
    let mut bins = fft.make_output_vec();
    fft.process(&mut padded, &mut bins).expect("all buffers have the lengths of the plan");
    let bin_hz = f64::from(PIPELINE_SAMPLE_RATE_HZ) / LONG_FFT as f64;
    // The main lobe of the Hann window ends two divided by its length to either side.
    let lobe = (2.0 * LONG_FFT as f64 / length as f64).ceil() as usize;
    let power = |bin: usize| bins[bin].norm_sqr();
    let highest = |taken: Option<usize>| {
        (1..bins.len() - 1)
            .filter(|bin| taken.is_none_or(|t| bin.abs_diff(t) > lobe))
            .filter(|bin| power(*bin) >= power(bin - 1) && power(*bin) > power(bin + 1))
            .max_by(|a, b| power(*a).total_cmp(&power(*b)))
    };
    let first = highest(None)?;
    let second =
        highest(Some(first)).filter(|bin| power(*bin) >= power(first) * PAIR_POWER_RATIO).unwrap_or(first);
    let mut hertz = [first as f64 * bin_hz, second as f64 * bin_hz];
    hertz.sort_by(f64::total_cmp);
    Some(hertz)
}

fn near(hertz: f64, nominal: f64) -> bool {
    (hertz - nominal).abs() <= (nominal * 0.018).max(6.0)
}

/// What a burst is, judged by its frequencies and by how it repeats; `None` where it is nothing in particular.
fn kind_of(index: usize, bursts: &[Burst]) -> Option<ToneKind> {
    let burst = bursts[index];
    let [low, high] = burst.hertz;
    let is_pair = |a: f64, b: f64| near(low, a) && near(high, b);
    if KEY_LOW_HZ.iter().any(|l| KEY_HIGH_HZ.iter().any(|h| is_pair(*l, *h))) {
        return Some(ToneKind::Dtmf);
    }
    let length = burst.span.duration();
    if length < MINIMUM_BURST {
        return None;
    }
    if burst.steady && is_pair(350.0, 440.0) {
        return Some(ToneKind::Dial);
    }
    if is_pair(440.0, 480.0) || is_pair(400.0, 450.0) {
        return Some(ToneKind::Ringback);
    }
    if burst.steady && is_pair(480.0, 620.0) {
        return Some(ToneKind::Busy);
    }
    if burst.steady && (is_pair(425.0, 425.0) || is_pair(400.0, 400.0) || is_pair(450.0, 450.0)) {
        return Some(single_kind(index, bursts));
    }
    (burst.steady && length >= MINIMUM_OTHER).then_some(ToneKind::Other)
}

/// What a single tone of 400 to 450 Hz is, by its cadence: dial is unbroken, ringing sounds for a second or so and
/// pauses longer, busy and congestion alternate quickly.
fn single_kind(index: usize, bursts: &[Burst]) -> ToneKind {
    let burst = bursts[index];
    let length = burst.span.duration();
    let pause_before = index.checked_sub(1).map(|i| burst.span.start - bursts[i].span.end);
    let pause_after = bursts.get(index + 1).map(|next| next.span.start - burst.span.end);
    let quick = |pause: Option<Millis>| pause.is_some_and(|p| p <= BUSY_PAUSE);
    if length >= Millis(2500) {
        ToneKind::Dial
    } else if length <= Millis(800) && (quick(pause_before) || quick(pause_after)) {
        ToneKind::Busy
    } else if length >= Millis(350) {
        ToneKind::Ringback
    } else {
        ToneKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::frame_powers;
    use crate::spectrum::spectrum_frames;
    use crate::test_sounds::{sine, white_noise};

    fn tones(samples: Vec<i16>) -> Vec<Tone> {
        let powers = frame_powers(&samples);
        let frames = spectrum_frames(&samples, &powers, 1e-7);
        find_tones(&Pcm { samples }, &powers, &frames, &[])
    }

    fn cadence(hertz: &[f64], on: f64, off: f64, times: usize) -> Vec<i16> {
        let mut samples = vec![0; 8000];
        for _ in 0..times {
            samples.extend(sine(hertz, on, 0.1));
            samples.extend(vec![0; (off * 16_000.0) as usize]);
        }
        samples
    }

    fn assert_one(samples: Vec<i16>, kind: ToneKind, start_ms: i64, end_ms: i64) {
        let found = tones(samples);
        assert_eq!(found.len(), 1, "{kind:?}: {found:?}");
        assert_eq!(found[0].kind, kind);
        assert!((found[0].span.start.0 - start_ms).abs() <= 40, "{kind:?}: {found:?}");
        assert!((found[0].span.end.0 - end_ms).abs() <= 40, "{kind:?}: {found:?}");
    }

    #[test]
    fn north_american_signals_are_named_by_their_pairs() {
        assert_one(cadence(&[350.0, 440.0], 3.0, 1.0, 1), ToneKind::Dial, 500, 3500);
        assert_one(cadence(&[440.0, 480.0], 2.0, 4.0, 2), ToneKind::Ringback, 500, 8500);
        assert_one(cadence(&[480.0, 620.0], 0.5, 0.5, 4), ToneKind::Busy, 500, 4000);
    }

    #[test]
    fn european_signals_are_named_by_their_cadence() {
        assert_one(cadence(&[425.0], 5.0, 1.0, 1), ToneKind::Dial, 500, 5500);
        assert_one(cadence(&[425.0], 1.0, 4.0, 2), ToneKind::Ringback, 500, 6500);
        assert_one(cadence(&[425.0], 0.48, 0.48, 4), ToneKind::Busy, 500, 3860);
        assert_one(cadence(&[425.0], 0.24, 0.24, 6), ToneKind::Busy, 500, 3140);
    }

    #[test]
    fn every_key_is_found_on_its_own() {
        for low in KEY_LOW_HZ {
            for high in KEY_HIGH_HZ {
                let found = tones(cadence(&[low, high], 0.1, 0.1, 2));
                assert_eq!(found.len(), 2, "{low} {high} {found:?}");
                assert!(found.iter().all(|t| t.kind == ToneKind::Dtmf));
            }
        }
    }

    #[test]
    fn a_beep_is_another_tone_and_noise_is_none() {
        assert_one(cadence(&[1000.0], 0.4, 1.0, 1), ToneKind::Other, 500, 900);
        assert!(tones(white_noise(3.0, 0.1)).is_empty());
    }
}
