//! Music, hold music above all: sound that goes on, is no speech, and whose spectrum is made of steady partials.

use crate::power::{decibels, frames_of, of_decibels, quantile};
use crate::spectrum::{STEP_MS, SpectrumFrame};
use crate::speech::CHUNK_MS;
use callmark_types::{Millis, Span};
use std::ops::Range;

/// Flatness of the spectrum up to which a frame has a pitch.
const PITCHED_FLATNESS: f32 = 0.1;
/// Steadiness from which a frame holds its notes; noise stays below 0.82, speech mostly below 0.7.
const HELD_STEADINESS: f32 = 0.86;
/// Speech probability below which a frame is judged by its spectrum.
const NOT_SPEECH: f32 = 0.35;
/// Frames to either side that are judged together: two seconds in all.
const NEIGHBOURS: usize = 31;
/// Fewest frames among them that have anything to say.
const MINIMUM_WITNESSES: usize = 16;
/// Share of them that must have a pitch, and share that must hold its notes.
const PITCHED_SHARE: f64 = 0.75;
const HELD_SHARE: f64 = 0.3;
/// Fewest frames in a row that are taken for music; the first sounds of a word can look like it for fewer.
const MINIMUM_RUN: usize = 8;
/// Music is louder than this, in dB full scale; the hum of a room is not.
const MINIMUM_LEVEL_DBFS: f64 = -45.0;
/// Shortest music that is reported.
const MINIMUM_MUSIC: Millis = Millis(3000);
/// A gap up to this long does not end the music, whatever is in it.
const SHORT_GAP: Millis = Millis(1500);
/// A gap up to this long does not end it if the music goes on under what is in it (an announcement).
const ANNOUNCEMENT_GAP: Millis = Millis(20_000);
/// How much quieter the music may be under an announcement, in dB.
const DUCKED_DB: f64 = 18.0;
/// Share of an announcement's 8 ms frames that are quieter than the music under it: its pauses.
const PAUSE_QUANTILE: f64 = 0.1;
/// Share of a piece that may be signalling tones.
const MAXIMUM_TONE_SHARE: f64 = 0.5;

/// Where music plays, in order, apart. `tones` are signals that are no music however steady they sound.
pub(crate) fn find_music(
    frames: &[SpectrumFrame],
    probabilities: &[f32],
    powers: &[f32],
    tones: &[Span],
) -> Vec<Span> {
    let musical = musical_frames(frames, probabilities);
    let mut pieces: Vec<Span> = Vec::new();
    for piece in stretches(&musical).filter(|run| run.len() >= MINIMUM_RUN).map(span_of_frames) {
        match pieces.last_mut() {
            Some(last) if goes_on(*last, piece, powers) => last.end = piece.end,
            _ => pieces.push(piece),
        }
    }
    let tone_share = |piece: &Span| {
        let covered: Millis = tones.iter().map(|t| t.overlap(*piece)).sum();
        covered.0 as f64 / piece.duration().0 as f64
    };
    let loud =
        |piece: &Span| median_power(*piece, powers).is_some_and(|p| p >= of_decibels(MINIMUM_LEVEL_DBFS));
    pieces.retain(|p| p.duration() >= MINIMUM_MUSIC && loud(p) && tone_share(p) <= MAXIMUM_TONE_SHARE);
    pieces
}

/// For each frame whether it and its neighbourhood sound like music.
fn musical_frames(frames: &[SpectrumFrame], probabilities: &[f32]) -> Vec<bool> {
    // A frame lies over two chunks: its own index and the next.
    let speech = |i: usize| {
        let at = |i: usize| probabilities.get(i).copied().unwrap_or(0.0);
        at(i).max(at(i + 1)) >= NOT_SPEECH
    };
    let witness: Vec<bool> = frames.iter().enumerate().map(|(i, f)| f.audible && !speech(i)).collect();
    let counts = |test: &dyn Fn(&SpectrumFrame) -> bool| -> Vec<usize> {
        let mut total = 0;
        let running = frames.iter().zip(&witness).map(|(f, w)| {
            total += usize::from(*w && test(f));
            total
        });
        std::iter::once(0).chain(running).collect()
    };
    let (all, pitched, held) = (
        counts(&|_| true),
        counts(&|f| f.flatness <= PITCHED_FLATNESS),
        counts(&|f| f.steadiness >= HELD_STEADINESS),
    );
    (0..frames.len())
        .map(|i| {
            let (from, to) = (i.saturating_sub(NEIGHBOURS), (i + NEIGHBOURS + 1).min(frames.len()));
            let among = |c: &[usize]| c[to] - c[from];
            let witnesses = among(&all);
            let share = |c: &[usize]| among(c) as f64 / witnesses.max(1) as f64;
            witness[i]
                && frames[i].flatness <= PITCHED_FLATNESS
                && witnesses >= MINIMUM_WITNESSES
                && share(&pitched) >= PITCHED_SHARE
                && share(&held) >= HELD_SHARE
        })
        .collect()
}

fn stretches(flags: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    flags.chunk_by(|a, b| a == b).filter_map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        run[0].then_some(range)
    })
}

/// A frame's middle is one step after its start; half a step belongs to it on either side.
fn span_of_frames(frames: Range<usize>) -> Span {
    Span::of_ms(frames.start as i64 * STEP_MS + STEP_MS / 2, frames.end as i64 * STEP_MS + CHUNK_MS / 2)
}

/// Whether `after` is the same music as `before`.
fn goes_on(before: Span, after: Span, powers: &[f32]) -> bool {
    let gap = Span::new(before.end, after.start);
    if gap.duration() <= SHORT_GAP {
        return true;
    }
    let under = quantile(&powers[frames_of(gap, powers.len())], PAUSE_QUANTILE);
    let (Some(music), Some(under)) = (median_power(before, powers), under) else { return false };
    gap.duration() <= ANNOUNCEMENT_GAP && under >= music * of_decibels(-DUCKED_DB)
}

fn median_power(span: Span, powers: &[f32]) -> Option<f32> {
    quantile(&powers[frames_of(span, powers.len())], 0.5)
}

/// The power above which something can be heard on a channel whose 8 ms frames have `powers`: above its noise, but
/// not so far above that a channel which is never quiet would count as silent.
pub(crate) fn audible_power(powers: &[f32]) -> f32 {
    const ABOVE_NOISE_DB: f64 = 8.0;
    const LOWEST_DBFS: f64 = -60.0;
    const HIGHEST_DBFS: f64 = -42.0;
    let noise = quantile(powers, 0.05).and_then(|p| decibels(f64::from(p))).unwrap_or(LOWEST_DBFS);
    of_decibels((noise + ABOVE_NOISE_DB).clamp(LOWEST_DBFS, HIGHEST_DBFS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::frame_powers;
    use crate::spectrum::spectrum_frames;
    use crate::test_sounds::{chords, white_noise};

    fn music(samples: &[i16], probabilities: &[f32]) -> Vec<Span> {
        let powers = frame_powers(samples);
        let frames = spectrum_frames(samples, &powers, audible_power(&powers));
        find_music(&frames, probabilities, &powers, &[])
    }

    #[test]
    fn chords_are_music_from_their_start_to_their_end() {
        let mut samples = vec![0; 32_000];
        samples.extend(chords(10.0, 0.1));
        samples.extend(vec![0; 32_000]);
        let found = music(&samples, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0].start.0 - 2000).abs() < 100 && (found[0].end.0 - 12_000).abs() < 150, "{found:?}");
    }

    #[test]
    fn an_announcement_over_ducked_music_does_not_split_it() {
        let mut samples = chords(6.0, 0.1);
        samples.extend(chords(4.0, 0.03));
        samples.extend(chords(6.0, 0.1));
        let mut probabilities = vec![0.0; 500];
        probabilities[187..313].fill(0.9);
        assert_eq!(music(&samples, &probabilities).len(), 1);
    }

    #[test]
    fn neither_noise_nor_a_short_chime_is_music() {
        assert!(music(&white_noise(10.0, 0.1), &[]).is_empty());
        assert!(music(&chords(2.0, 0.1), &[]).is_empty());
    }
}
