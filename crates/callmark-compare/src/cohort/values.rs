//! What is kept of values as they are read: their numbers, the names that a filter asks for, whether they can be.

use std::collections::{BTreeSet, HashMap, HashSet};

/// Names that an error about an unknown one lists.
pub(super) const NAMES_SAID: usize = 20;
/// No call is longer: a week. A time beyond is a fault of the data, and taken for not known.
const LONGEST_CALL_MS: i64 = 7 * 86_400_000;
/// Distinct values and their numbers.
#[derive(Default)]
pub(super) struct Interner {
    pub(super) ids: HashMap<String, u32>,
}

impl Interner {
    pub(super) fn id(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return u32::MAX };
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let next = self.ids.len() as u32;
        self.ids.insert(text.to_owned(), next);
        next
    }
}

/// The names of a column that a filter names some of.
#[derive(Default)]
pub(super) struct Filtered {
    /// Those asked for that a call has.
    pub(super) met: HashSet<String>,
    /// Those that there are, as many as an error lists.
    pub(super) known: BTreeSet<String>,
}

impl Filtered {
    pub(super) fn look(&mut self, wanted: &[String], level: Option<&str>) {
        let Some(level) = level.filter(|_| !wanted.is_empty()) else { return };
        if wanted.iter().any(|w| w == level) {
            if !self.met.contains(level) {
                self.met.insert(level.to_owned());
            }
        } else if self.known.len() < NAMES_SAID && !self.known.contains(level) {
            self.known.insert(level.to_owned());
        }
    }
}

/// Counts values that cannot be, and takes them for not known.
#[derive(Default)]
pub(super) struct Plausible {
    pub(super) refused: u64,
}

impl Plausible {
    pub(super) fn number(&mut self, value: f64, (low, high): (f64, f64)) -> f64 {
        let refuse = !value.is_nan() && !(low..=high).contains(&value);
        self.refused += u64::from(refuse);
        if refuse { f64::NAN } else { value }
    }

    pub(super) fn time(&mut self, ms: Option<i64>) -> Option<i64> {
        let found = ms.filter(|ms| (0..=LONGEST_CALL_MS).contains(ms));
        self.refused += u64::from(found != ms);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTIMENT: (f64, f64) = (-5.0, 5.0);

    #[test]
    fn values_that_cannot_be_are_not_known_and_counted() {
        let mut plausible = Plausible::default();
        assert_eq!(plausible.time(Some(1 << 62)), None);
        assert_eq!(plausible.time(Some(-5)), None);
        assert_eq!(plausible.time(Some(60_000)), Some(60_000));
        assert_eq!(plausible.time(None), None);
        assert!(
            plausible.number(1e300, SENTIMENT).is_nan()
                && plausible.number(f64::INFINITY, SENTIMENT).is_nan()
        );
        assert_eq!(plausible.number(-5.0, SENTIMENT), -5.0);
        assert!(plausible.number(f64::NAN, SENTIMENT).is_nan());
        assert_eq!(plausible.refused, 4);
    }
}
