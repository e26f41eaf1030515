//! Finding names in bytes: many at once, in whatever form they may stand there, and without taking a longer name that
//! stays for one that goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// From this length on, in bytes, a name is looked for anywhere, in compressed bytes too: there it does not turn up by
/// chance (once in 2^64 bytes). A shorter one counts in text only, and only as a word of its own.
pub(super) const LEAST_DISTINCT_BYTES: usize = 8;
/// Bytes of a name that the search looks up at each place.
const PREFIX_BYTES: usize = 4;
/// Bits of the filter before that look-up.
const FILTER_BITS: u32 = 16;
/// Parquet's statistics hold so many bytes of a longer text, of which the last may be another than in the text.
const STATISTICS_BYTES: usize = 64;

/// Names to look for.
pub(super) struct Matcher {
    names: Vec<Vec<u8>>,
    by_prefix: HashMap<[u8; PREFIX_BYTES], Vec<usize>>,
    filter: Vec<u64>,
    /// Names too short for a prefix.
    tiny: Vec<usize>,
    /// Longer texts that may stay: where a name stands in them, and the whole of them.
    excuses: HashSet<(usize, Vec<u8>)>,
    /// Offset of the name, its length and length of the text, of all these.
    excuse_shapes: BTreeSet<(usize, usize, usize)>,
}

/// What kind of bytes these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, in which every name counts.
    Text,
    /// Text in which a short name means nothing: numbers, and what was said.
    Words,
    /// Anything, in which only long names count, whatever stands around them.
    Binary,
}

impl Matcher {
    /// Looks for `names`: as they are, and as JSON and percent signs write them.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = BTreeSet::new();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            all.extend(forms(name));
        }
        let mut matcher = Self {
            names: all.into_iter().collect(),
            by_prefix: HashMap::new(),
            filter: vec![0; 1 << (FILTER_BITS - 6)],
            tiny: Vec::new(),
            excuses: HashSet::new(),
            excuse_shapes: BTreeSet::new(),
        };
        for index in 0..matcher.names.len() {
            match prefix_at(&matcher.names[index], 0) {
                Some(prefix) => {
                    let bit = filter_bit(prefix);
                    matcher.filter[bit / 64] |= 1 << (bit % 64);
                    matcher.by_prefix.entry(prefix).or_default().push(index);
                }
                None => matcher.tiny.push(index),
            }
        }
        matcher
    }

    /// Lets `text` stay, although a name stands within it.
    pub(super) fn excuse(&mut self, text: &str) {
        for text in forms(text) {
            let mut places = Vec::new();
            self.each(&text, 0..text.len(), &mut |index, at| {
                places.push((at, self.names[index].len()));
                false
            });
            for (at, length) in places {
                let mut pieces = vec![text.clone()];
                if text.len() > STATISTICS_BYTES {
                    pieces.push(text[..STATISTICS_BYTES - 1].to_vec());
                }
                for piece in
                    pieces.into_iter().filter(|piece| piece.len() > length && at + length <= piece.len())
                {
                    self.excuse_shapes.insert((at, length, piece.len()));
                    self.excuses.insert((at, piece));
                }
            }
        }
    }

    /// Bytes on either side of a place that may decide what stands there.
    pub(super) fn context_bytes(&self) -> usize {
        let longest = self.names.iter().map(Vec::len).max().unwrap_or(0);
        let excuse = self.excuse_shapes.iter().map(|(_, _, length)| *length).max().unwrap_or(0);
        longest.max(excuse) + 2
    }

    /// Whether one of the names begins in `within` and has no excuse.
    pub(super) fn is_in(&self, bytes: &[u8], within: Range<usize>, kind: Kind) -> bool {
        self.each(bytes, within, &mut |index, at| self.counts(bytes, at, index, kind))
    }

    /// Whether one of the names stands in a text as a name of its own, however long it is: `a-1` does not in `a-1-b`.
    pub(super) fn is_named_in(&self, text: &[u8]) -> bool {
        self.each(text, 0..text.len(), &mut |index, at| {
            let end = at + self.names[index].len();
            !is_part_of_a_name(text, at, end) && !self.is_excused(text, at, end - at)
        })
    }

    /// Whether one of the names stands in a text.
    pub(super) fn is_in_text(&self, text: &[u8]) -> bool {
        self.is_in(text, 0..text.len(), Kind::Text)
    }

    /// Tells of every place at which a name begins, until `found` says that it is enough. Returns whether it was.
    fn each(&self, bytes: &[u8], within: Range<usize>, found: &mut dyn FnMut(usize, usize) -> bool) -> bool {
        for at in within {
            let Some(prefix) = prefix_at(bytes, at) else {
                // The last bytes, in which only the shortest names fit.
                if self
                    .tiny
                    .iter()
                    .any(|index| bytes[at..].starts_with(&self.names[*index]) && found(*index, at))
                {
                    return true;
                }
                continue;
            };
            let bit = filter_bit(prefix);
            if self.filter[bit / 64] & (1 << (bit % 64)) != 0
                && let Some(candidates) = self.by_prefix.get(&prefix)
                && candidates
                    .iter()
                    .any(|index| bytes[at..].starts_with(&self.names[*index]) && found(*index, at))
            {
                return true;
            }
            if self.tiny.iter().any(|index| bytes[at..].starts_with(&self.names[*index]) && found(*index, at))
            {
                return true;
            }
        }
        false
    }

    fn counts(&self, bytes: &[u8], at: usize, index: usize, kind: Kind) -> bool {
        let length = self.names[index].len();
        let end = at + length;
        let is_another = match (kind, length < LEAST_DISTINCT_BYTES) {
            (Kind::Text, true) => is_part_of_a_name(bytes, at, end),
            (Kind::Words | Kind::Binary, true) => true,
            // `customer-1` goes on in `customer-12`.
            (Kind::Text | Kind::Words, false) => {
                bytes[end - 1].is_ascii_digit() && bytes.get(end).is_some_and(u8::is_ascii_digit)
            }
            (Kind::Binary, false) => false,
        };
        !is_another && !self.is_excused(bytes, at, length)
    }

    fn is_excused(&self, bytes: &[u8], at: usize, length: usize) -> bool {
        self.excuse_shapes.iter().filter(|(_, of, _)| *of == length).any(|(offset, _, whole)| {
            let Some(start) = at.checked_sub(*offset) else { return false };
            let piece = bytes.get(start..start + whole);
            piece.is_some_and(|piece| self.excuses.contains(&(*offset, piece.to_vec())))
        })
    }
}

/// Whether a name goes on before or behind. The `n` of a line feed in JSON is no letter; a full stop between digits is one
/// of a version or a sum.
fn is_part_of_a_name(bytes: &[u8], start: usize, end: usize) -> bool {
    let at = |index: Option<usize>| index.and_then(|index| bytes.get(index).copied());
    let goes_on = |byte: Option<u8>, beyond: Option<u8>| match byte {
        Some(b'.') => beyond.is_some_and(|byte| byte.is_ascii_digit()),
        Some(byte) => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii(),
        None => false,
    };
    let (before, beyond) = (at(start.checked_sub(1)), at(start.checked_sub(2)));
    let is_escape = beyond == Some(b'\\') && matches!(before, Some(b'n' | b'r' | b't' | b'b' | b'f'));
    (goes_on(before, beyond) && !is_escape) || goes_on(at(Some(end)), at(Some(end + 1)))
}

fn prefix_at(bytes: &[u8], at: usize) -> Option<[u8; PREFIX_BYTES]> {
    bytes.get(at..at + PREFIX_BYTES)?.try_into().ok()
}

fn filter_bit(prefix: [u8; PREFIX_BYTES]) -> usize {
    (u32::from_le_bytes(prefix).wrapping_mul(0x9E37_79B1) >> (32 - FILTER_BITS)) as usize
}

/// The ways in which a name may be written.
fn forms(name: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([name.as_bytes().to_vec()]);
    if let Ok(json) = serde_json::to_string(name) {
        forms.insert(json.as_bytes()[1..json.len() - 1].to_vec());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(is_plain) {
        let mut escaped = Vec::new();
        for byte in name.bytes() {
            if is_plain(byte) {
                escaped.push(byte);
            } else {
                escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
        forms.insert(escaped);
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(matcher: &Matcher, text: &str) -> bool {
        matcher.is_in_text(text.as_bytes())
    }

    #[test]
    fn a_name_is_found_in_every_form() {
        let matcher = Matcher::new(["Müller \"7\"", "customer-4711"]);
        let json = serde_json::to_string(&["x", "Müller \"7\""]).unwrap();
        for text in ["(Müller \"7\")", &json, "/a/M%C3%BCller%20%227%22.wav", "xcustomer-4711x"] {
            assert!(found(&matcher, text), "{text}");
        }
        assert!(!found(&matcher, "customer-471 1 muller"));
        assert!(matcher.is_in(b"\0\xffcustomer-4711\0", 0..17, Kind::Binary));
    }

    #[test]
    fn a_short_name_counts_as_a_word_in_text_only() {
        let matcher = Matcher::new(["c1", "7"]);
        for text in ["c1", "\"c1\"", "/a/c1.wav", "a\\nc1", "is 7, or"] {
            assert!(found(&matcher, text), "{text}");
        }
        for text in ["c12", "abc1", "77", "a7b", "", "agent-7", "7_x", "ü7", "0.7.1"] {
            assert!(!found(&matcher, text), "{text}");
        }
        assert!(!matcher.is_in(b"\0c1\0", 0..4, Kind::Binary));
    }

    #[test]
    fn a_name_that_goes_on_is_another_name() {
        let matcher = Matcher::new(["customer-1", "4711"]);
        assert!(!found(&matcher, "customer-12") && found(&matcher, "customer-1x"));
        assert!(matcher.is_in(b"customer-12", 0..11, Kind::Binary));
        assert!(!matcher.is_named_in(b"customer-1x customer-1-b xcustomer-1 4711-2"));
        assert!(
            matcher.is_named_in(b"{\"customer_key\":\"customer-1\"}") && matcher.is_named_in(b"/a/4711.wav")
        );
        assert!(!matcher.is_in(b"4711", 0..4, Kind::Words));
    }

    #[test]
    fn a_longer_name_that_stays_is_no_trace_of_a_shorter_one() {
        let mut matcher = Matcher::new(["customer-1", "ab"]);
        matcher.excuse("customer-1b");
        matcher.excuse("ab-2");
        matcher.excuse(&format!("{}customer-1{}", "x".repeat(20), "y".repeat(60)));
        assert!(!found(&matcher, "customer-1b, ab-2"));
        assert!(found(&matcher, "customer-1b customer-1"));
        assert!(found(&matcher, "customer-1c"));
        assert!(found(&matcher, "ab-2 ab"));
        let cut = format!("{}customer-1{}z", "x".repeat(20), "y".repeat(33));
        assert!(!found(&matcher, &cut), "statistics hold 64 bytes of it");
        let mut same = Matcher::new(["customer-1"]);
        same.excuse("customer-1");
        assert!(found(&same, "customer-1"));
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_plain_one_finds(
            names in proptest::collection::vec("[ab]{8,10}", 1..4), text in "[abc]{0,200}",
        ) {
            let matcher = Matcher::new(names.iter().map(String::as_str));
            prop_assert_eq!(found(&matcher, &text), names.iter().any(|name| text.contains(name)));
        }
    }
}
