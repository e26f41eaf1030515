//! Whether a Matroska or WebM file was cut: its outermost element then promises more bytes than there are.

use crate::error::Fault;
use crate::input::Input;

/// Identifier of the segment, the element that holds everything but the file's head.
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
/// Bytes of the head's identifier.
const HEAD_ID_BYTES: u64 = 4;
/// Longest identifier with its size.
const ELEMENT_HEAD_BYTES: usize = 12;

/// Whether the segment is stated to be longer than the file.
pub(crate) fn is_cut(input: &mut Input) -> Result<bool, Fault> {
    let head = input.read_at(HEAD_ID_BYTES, ELEMENT_HEAD_BYTES)?;
    let Some((head_size, width)) = element_size(&head) else {
        return Ok(false);
    };
    let position = HEAD_ID_BYTES.saturating_add(width).saturating_add(head_size);
    let segment = input.read_at(position, ELEMENT_HEAD_BYTES)?;
    let Some((size, width)) = segment.strip_prefix(&SEGMENT).and_then(element_size) else {
        return Ok(false);
    };
    let is_unknown = size == (1 << (7 * width)) - 1;
    Ok(!is_unknown && position + SEGMENT.len() as u64 + width + size > input.len())
}

/// Value and width in bytes of a size (RFC 8794, 4): the leading zeros of the first byte tell the width.
fn element_size(bytes: &[u8]) -> Option<(u64, u64)> {
    let first = *bytes.first()?;
    let width = first.leading_zeros() + 1;
    if width > 8 {
        return None;
    }
    let rest = bytes.get(1..width as usize)?;
    let marker_cleared = u64::from(first) & ((1 << (8 - width)) - 1);
    Some((rest.iter().fold(marker_cleared, |value, byte| value << 8 | u64::from(*byte)), u64::from(width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_to_eight_bytes() {
        assert_eq!(element_size(&[0x9F]), Some((0x1F, 1)));
        assert_eq!(element_size(&[0x40, 0x02]), Some((2, 2)));
        assert_eq!(element_size(&[0x01, 0, 0, 0, 0, 0, 1, 0]), Some((256, 8)));
        assert_eq!(element_size(&[0x00, 1]), None);
        assert_eq!(element_size(&[0x40]), None);
    }

    #[test]
    fn a_segment_longer_than_the_file_is_cut() {
        let file = |size: u8| {
            [&[0x1A, 0x45, 0xDF, 0xA3, 0x82, 7, 7][..], &SEGMENT, &[0x80 | size, 1, 2, 3]].concat()
        };
        assert!(!is_cut(&mut Input::from_bytes(file(3))).unwrap());
        assert!(is_cut(&mut Input::from_bytes(file(4))).unwrap());
        assert!(!is_cut(&mut Input::from_bytes(file(0x7F))).unwrap());
    }
}
