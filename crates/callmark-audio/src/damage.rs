//! How much of a recording may be broken before it counts as broken as a whole.
//!
//! A block or packet that cannot be decoded becomes silence of its length, so that what follows keeps its time.

use crate::error::Fault;
use callmark_types::Truncation;

/// Broken blocks in a row after which decoding stops.
pub(crate) const MAX_CONSECUTIVE_BAD: u32 = 50;

/// A recording with more than one broken block in this many is malformed, and none of it is used.
pub(crate) const MAX_BAD_ONE_IN: u64 = 10;

/// What was good and bad so far.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    good: u64,
    bad: u64,
    consecutive: u32,
    first: Option<(u64, String)>,
    gap_frames: usize,
}

impl Damage {
    /// Counts a good block; returns the frames of silence to put before it, for broken ones since the last good one.
    #[must_use]
    pub(crate) fn good(&mut self) -> usize {
        self.good += 1;
        self.consecutive = 0;
        std::mem::take(&mut self.gap_frames)
    }

    /// Counts a broken block of `frames` at `byte_offset`; returns whether to stop.
    #[must_use]
    pub(crate) fn bad(&mut self, byte_offset: u64, reason: &str, frames: usize) -> bool {
        self.bad += 1;
        self.consecutive += 1;
        self.gap_frames = self.gap_frames.saturating_add(frames);
        if self.first.is_none() {
            self.first = Some((byte_offset, reason.to_owned()));
        }
        self.consecutive >= MAX_CONSECUTIVE_BAD
    }

    /// The end: nothing, a flag, or an error when too much was broken.
    pub(crate) fn verdict(self) -> Result<Option<Truncation>, Fault> {
        let Some((byte_offset, reason)) = self.first else {
            return Ok(None);
        };
        let total = self.good + self.bad;
        let stopped = self.consecutive >= MAX_CONSECUTIVE_BAD;
        if self.bad * MAX_BAD_ONE_IN > total && !(stopped && self.good > self.bad) {
            let reason = format!("{reason} ({} of {total} blocks cannot be decoded)", self.bad);
            return Err(Fault::malformed(byte_offset, reason));
        }
        let end = if stopped { "decoding stopped there" } else { "they are silent" };
        let reason = format!("{reason} ({} of {total} blocks cannot be decoded, {end})", self.bad);
        Ok(Some(Truncation { byte_offset, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_broken_blocks_are_silence_and_a_flag() {
        let mut damage = Damage::default();
        for n in 0..100_u64 {
            if n % 20 == 7 {
                assert!(!damage.bad(n, "odd", 160));
            } else {
                assert_eq!(damage.good(), if n % 20 == 8 { 160 } else { 0 });
            }
        }
        assert_eq!(damage.verdict().unwrap().unwrap().byte_offset, 7);
    }

    #[test]
    fn many_broken_blocks_are_no_recording() {
        let mut damage = Damage::default();
        for n in 0..20_u64 {
            if n % 4 == 3 { assert!(!damage.bad(n, "odd", 160)) } else { assert_eq!(damage.good() % 160, 0) }
        }
        assert!(matches!(damage.verdict(), Err(Fault::Malformed { byte_offset: 3, .. })));
    }

    #[test]
    fn a_broken_tail_stops_decoding_and_keeps_what_came_before() {
        let mut damage = Damage::default();
        for _ in 0..200 {
            assert_eq!(damage.good(), 0);
        }
        let stopped_after = (1..1_000).find(|&n| damage.bad(n, "odd", 1)).unwrap();
        assert_eq!(stopped_after, u64::from(MAX_CONSECUTIVE_BAD));
        assert!(damage.verdict().unwrap().is_some());
    }
}
