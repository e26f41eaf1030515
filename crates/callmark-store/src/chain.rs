//! Names of the commits of a chain: what fences a writer that lost its place.
//!
//! Each commit's name follows from the one before it, so whoever knows the chain knows the one name that can come
//! next, and of all who try it one wins. A commit that settles offsets moves the name on to the offset behind them; one
//! that settles none (rows of a live call, while an earlier call is still open) is told apart by a number behind the
//! offset: `…0007`, `…0007-000001`, `…0007-000002`, `…0012`. Names sort as commits follow each other.

use crate::error::StoreError;

/// Digits of an offset in a name: those of the largest one, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 20;
/// Digits of the number behind an offset.
const REPEAT_DIGITS: usize = 6;
/// Commits in a row that settle no offset: at one a second, eleven days.
const MAX_REPEATS: u32 = 999_999;

/// Where a chain stands: behind its last commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChainEnd {
    /// The first offset that no commit covers; `None` where none was ever settled.
    next: Option<i64>,
    /// Commits that begin at that offset and settled none.
    repeats: u32,
}

impl ChainEnd {
    /// The first offset that no commit covers; `None` where none was ever settled.
    pub(crate) fn next_offset(&self) -> Option<i64> {
        self.next
    }

    /// The offset that the next commit begins at.
    pub(crate) fn first(&self) -> i64 {
        self.next.unwrap_or(0)
    }

    /// The name of the next commit.
    pub(crate) fn name(&self) -> String {
        let offset = format!("{:0OFFSET_DIGITS$}", self.first());
        match self.repeats {
            0 => offset,
            repeats => format!("{offset}-{repeats:0REPEAT_DIGITS$}"),
        }
    }

    /// The end of the chain once a commit up to `last` follows. `last` is one less than [`Self::first`] for a commit
    /// that settles no offset.
    pub(crate) fn after(&self, last: i64) -> Result<Self, StoreError> {
        let refuse = |reason: String| Err(StoreError::InvalidBatch { first: self.name(), reason });
        let first = self.first();
        if last == i64::MAX || last < first - 1 {
            return refuse(format!("it ends at offset {last}, before it begins"));
        }
        if last >= first {
            return Ok(Self { next: Some(last + 1), repeats: 0 });
        }
        if self.repeats == MAX_REPEATS {
            return refuse(format!("{MAX_REPEATS} commits in a row settled no offset: settle one"));
        }
        Ok(Self { next: self.next, repeats: self.repeats + 1 })
    }

    /// The end of a chain whose last commit is called `name` and settles up to `last`; `None` where no chain calls a
    /// commit that.
    pub(crate) fn behind(name: &str, last: i64) -> Option<Self> {
        let (offset, repeats) = match name.split_once('-') {
            Some((offset, repeats)) => (offset, repeats.parse().ok()?),
            None => (name, 0),
        };
        let first: i64 = offset.parse().ok()?;
        // A chain of which no offset is settled begins at 0 and says so.
        let next = if first == 0 && last < 0 { None } else { Some(first) };
        Self { next, repeats }.after(last).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chain_that_settles_nothing_stays_where_it_is() {
        let begun = ChainEnd::default();
        assert_eq!(begun.name(), format!("{:020}", 0));
        let once = begun.after(-1).unwrap();
        assert_eq!((once.next_offset(), once.name()), (None, format!("{:020}-000001", 0)));
        let settled = once.after(6).unwrap();
        assert_eq!((settled.next_offset(), settled.name()), (Some(7), format!("{:020}", 7)));
        let twice = settled.after(6).unwrap().after(6).unwrap();
        assert_eq!((twice.next_offset(), twice.name()), (Some(7), format!("{:020}-000002", 7)));
        assert!(settled.after(5).is_err());
        assert!(ChainEnd { next: Some(7), repeats: MAX_REPEATS }.after(6).is_err());
        assert!(ChainEnd { next: Some(7), repeats: MAX_REPEATS }.after(7).is_ok());
    }

    proptest! {
        #[test]
        fn names_sort_as_commits_follow_and_tell_where_the_chain_stands(
            steps in proptest::collection::vec(0_i64..5, 1..60),
        ) {
            let mut end = ChainEnd::default();
            for step in steps {
                let last = end.first() - 1 + step;
                let next = end.after(last).unwrap();
                prop_assert!(end.name() < next.name(), "{} {}", end.name(), next.name());
                prop_assert_eq!(ChainEnd::behind(&end.name(), last), Some(next));
                end = next;
            }
        }
    }
}
