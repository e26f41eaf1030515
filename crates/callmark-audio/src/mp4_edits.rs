//! The edit list of an MP4 track (ISO/IEC 14496-12, 8.6.6): where the sound begins behind the encoder's delay, and
//! how long it is.

use crate::error::Fault;
use crate::headers::{u32_be, u64_be};
use crate::input::Input;

/// Most boxes looked at in one file.
const MAX_BOXES: usize = 10_000;
/// Longest edit list read, in bytes; one entry has 12 or 20.
const MAX_EDIT_LIST_BYTES: u64 = 4_096;

/// A time as a fraction of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) count: u64,
    pub(crate) per_second: u64,
}

impl Ticks {
    /// In frames at `rate_hz`, rounded to the nearest.
    pub(crate) fn frames(self, rate_hz: u32) -> u64 {
        let per_second = u128::from(self.per_second.max(1));
        let scaled = u128::from(self.count) * u128::from(rate_hz) + per_second / 2;
        u64::try_from(scaled / per_second).unwrap_or(u64::MAX)
    }
}

/// Which part of a track's sound is to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Sound to drop from the start.
    pub(crate) skip: Ticks,
    /// Sound to keep after that; `None` for all.
    pub(crate) keep: Option<Ticks>,
}

struct BoxHead {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

struct Walker<'a> {
    input: &'a mut Input,
    boxes_left: usize,
}

/// The edit of the first track of sound, if the file has one that is a plain cut: one piece, at normal speed.
pub(crate) fn first_sound_edit(input: &mut Input) -> Result<Option<Edit>, Fault> {
    let end = input.len();
    let mut walker = Walker { input, boxes_left: MAX_BOXES };
    let Some(moov) = walker.find(0, end, *b"moov")? else {
        return Ok(None);
    };
    let movie_timescale = match walker.find(moov.body, moov.end, *b"mvhd")? {
        Some(header) => walker.timescale(&header)?,
        None => None,
    };
    let mut position = moov.body;
    while let Some(child) = walker.next(position, moov.end)? {
        position = child.end;
        if child.kind == *b"trak" && walker.is_sound(&child)? {
            return walker.edit(&child, movie_timescale);
        }
    }
    Ok(None)
}

impl Walker<'_> {
    fn next(&mut self, position: u64, end: u64) -> Result<Option<BoxHead>, Fault> {
        if self.boxes_left == 0 || position.saturating_add(8) > end {
            return Ok(None);
        }
        self.boxes_left -= 1;
        let head = self.input.read_at(position, 16)?;
        let (Some(size), Some(kind)) = (u32_be(&head, 0), crate::headers::bytes_at(&head, 4)) else {
            return Ok(None);
        };
        let (size, head_bytes) = match size {
            0 => (end - position, 8),
            1 => (u64_be(&head, 8).unwrap_or(0), 16),
            size => (u64::from(size), 8),
        };
        if size < head_bytes {
            return Ok(None);
        }
        let box_end = position.saturating_add(size).min(end);
        Ok(Some(BoxHead { kind, body: position + head_bytes, end: box_end }))
    }

    fn find(&mut self, mut position: u64, end: u64, kind: [u8; 4]) -> Result<Option<BoxHead>, Fault> {
        while let Some(found) = self.next(position, end)? {
            if found.kind == kind {
                return Ok(Some(found));
            }
            position = found.end;
        }
        Ok(None)
    }

    /// Ticks a second of an `mvhd` or `mdhd` box, whose version 1 has 64-bit times before it.
    fn timescale(&mut self, header: &BoxHead) -> Result<Option<u64>, Fault> {
        let body = self.input.read_at(header.body, 24)?;
        let offset = if body.first() == Some(&1) { 20 } else { 12 };
        Ok(u32_be(&body, offset).map(u64::from).filter(|&ticks| ticks > 0))
    }

    fn is_sound(&mut self, track: &BoxHead) -> Result<bool, Fault> {
        let Some(media) = self.find(track.body, track.end, *b"mdia")? else {
            return Ok(false);
        };
        let Some(handler) = self.find(media.body, media.end, *b"hdlr")? else {
            return Ok(false);
        };
        Ok(self.input.read_at(handler.body, 12)?.get(8..) == Some(b"soun"))
    }

    fn edit(&mut self, track: &BoxHead, movie_timescale: Option<u64>) -> Result<Option<Edit>, Fault> {
        let Some(media) = self.find(track.body, track.end, *b"mdia")? else {
            return Ok(None);
        };
        let media_timescale = match self.find(media.body, media.end, *b"mdhd")? {
            Some(header) => self.timescale(&header)?,
            None => None,
        };
        let Some(edits) = self.find(track.body, track.end, *b"edts")? else {
            return Ok(None);
        };
        let Some(list) = self.find(edits.body, edits.end, *b"elst")? else {
            return Ok(None);
        };
        let len = (list.end.saturating_sub(list.body)).min(MAX_EDIT_LIST_BYTES);
        let body = self.input.read_at(list.body, len as usize)?;
        Ok(media_timescale.and_then(|ticks| plain_cut(&body, ticks, movie_timescale)))
    }
}

/// The one piece that an `elst` box keeps; `None` for lists that are empty, have several pieces, or begin with a gap.
fn plain_cut(list: &[u8], media_timescale: u64, movie_timescale: Option<u64>) -> Option<Edit> {
    if u32_be(list, 4)? != 1 {
        return None;
    }
    let (duration, start) = match list.first()? {
        0 => (u64::from(u32_be(list, 8)?), i64::from(u32_be(list, 12)?.cast_signed())),
        1 => (u64_be(list, 8)?, u64_be(list, 16)?.cast_signed()),
        _ => return None,
    };
    let skip = Ticks { count: u64::try_from(start).ok()?, per_second: media_timescale };
    // Fragmented files state a duration of 0 for "not known yet".
    let keep =
        movie_timescale.filter(|_| duration > 0).map(|per_second| Ticks { count: duration, per_second });
    Some(Edit { skip, keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend_from_slice(&kind);
        bytes.extend_from_slice(body);
        bytes
    }

    fn movie(list: &[u8]) -> Vec<u8> {
        let timescale = |ticks: u32| [&[0; 12][..], &ticks.to_be_bytes(), &[0; 4]].concat();
        let handler = boxed(*b"hdlr", &[&[0; 8][..], b"soun", &[0; 12]].concat());
        let media = boxed(*b"mdia", &[boxed(*b"mdhd", &timescale(16_000)), handler].concat());
        let edits = boxed(*b"edts", &boxed(*b"elst", list));
        let track = boxed(*b"trak", &[edits, media].concat());
        let moov = boxed(*b"moov", &[boxed(*b"mvhd", &timescale(1_000)), track].concat());
        [boxed(*b"ftyp", b"M4A "), moov].concat()
    }

    fn list(entries: &[(u32, i32)]) -> Vec<u8> {
        let mut bytes = [&[0; 4][..], &(entries.len() as u32).to_be_bytes()].concat();
        for (duration, start) in entries {
            bytes.extend_from_slice(&duration.to_be_bytes());
            bytes.extend_from_slice(&start.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 0]);
        }
        bytes
    }

    #[test]
    fn one_edit_is_a_cut_at_both_ends() {
        let mut input = Input::from_bytes(movie(&list(&[(5_000, 1_024)])));
        let edit = first_sound_edit(&mut input).unwrap().unwrap();
        assert_eq!(edit.skip.frames(16_000), 1_024);
        assert_eq!(edit.skip.frames(8_000), 512);
        assert_eq!(edit.keep.unwrap().frames(16_000), 80_000);
    }

    #[test]
    fn lists_that_are_no_plain_cut_are_left_alone() {
        for entries in [&[][..], &[(1_000, -1)], &[(1_000, 0), (1_000, 9_000)]] {
            let mut input = Input::from_bytes(movie(&list(entries)));
            assert_eq!(first_sound_edit(&mut input).unwrap(), None, "{entries:?}");
        }
    }

    #[test]
    fn cut_and_broken_movies_are_read_without_harm() {
        let whole = movie(&list(&[(5_000, 1_024)]));
        for len in 0..whole.len() {
            let _ = first_sound_edit(&mut Input::from_bytes(whole[..len].to_vec())).unwrap();
            let mut broken = whole.clone();
            broken[len] ^= 0xFF;
            let _ = first_sound_edit(&mut Input::from_bytes(broken)).unwrap();
        }
    }
}
