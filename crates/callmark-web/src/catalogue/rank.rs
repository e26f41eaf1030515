//! One page of the calls that are asked for, in order: found in one pass over the rows, however far down it lies.

use super::{Catalogue, Filter, Row, RowSet};
use callmark_query::TrustLimits;
use std::collections::BinaryHeap;

/// Where a page ended: the next begins behind it. Stays right when calls are added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    key: i64,
    row: u32,
}

impl Cursor {
    /// Behind this row.
    pub(crate) fn of(filter: &Filter, number: u32, row: &Row) -> Self {
        Self { key: filter.sort.key(row), row: number }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (key, row) = text.split_once('.')?;
        Some(Self { key: key.parse().ok()?, row: row.parse().ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.key, self.row)
    }
}

/// A page of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Rows in order.
    pub(crate) rows: Vec<u32>,
    /// Calls that are asked for, on all pages.
    pub(crate) total: usize,
    /// Behind which the next page begins; `None` on the last.
    pub(crate) next: Option<Cursor>,
}

/// The first `limit` calls behind `after` that meet the filter and are in all of `sets`.
pub(crate) fn page(
    catalogue: &Catalogue,
    filter: &Filter,
    sets: &[RowSet],
    limits: TrustLimits,
    after: Option<Cursor>,
    limit: usize,
) -> Page {
    // The largest of the smallest on top: what is beaten goes.
    let mut best: BinaryHeap<Cursor> = BinaryHeap::with_capacity(limit + 2);
    let mut total = 0;
    for (number, row) in filter.rows(catalogue, sets, limits) {
        total += 1;
        let place = Cursor { key: filter.sort.key(row), row: number };
        if after.is_some_and(|after| place <= after) {
            continue;
        }
        if best.len() <= limit || best.peek().is_some_and(|worst| place < *worst) {
            best.push(place);
            if best.len() > limit + 1 {
                best.pop();
            }
        }
    }
    let mut found = best.into_sorted_vec();
    let more = found.len() > limit;
    found.truncate(limit);
    Page {
        next: if more { found.last().copied() } else { None },
        rows: found.into_iter().map(|place| place.row).collect(),
        total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::row;
    use crate::catalogue::{Row, Sort};

    fn catalogue() -> Catalogue {
        let rows = (0..1_000).map(|i| Row {
            started_ms: (i % 7 != 0).then_some(i64::from(i % 100) * 1_000),
            duration_ms: i % 13,
            requests: (i % 2) as u16,
            ..row(&format!("c{i}"))
        });
        Catalogue { rows: rows.collect(), ..Catalogue::default() }
    }

    #[test]
    fn pages_together_are_all_calls_once_and_in_order() {
        let catalogue = catalogue();
        for (sort, ..) in Sort::ALL {
            let filter = Filter { sort, ..Filter::parse([("asked", "yes")]).unwrap() };
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = page(&catalogue, &filter, &[], TrustLimits::default(), after, 37);
                assert_eq!(page.total, 500);
                seen.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let mut expected: Vec<u32> = (0..1_000).filter(|i| i % 2 == 1).collect();
            expected.sort_by_key(|i| (sort.key(&catalogue.rows[*i as usize]), *i));
            assert_eq!(seen, expected, "{sort:?}");
        }
    }

    #[test]
    fn sets_narrow_and_cursors_survive_the_address() {
        let catalogue = catalogue();
        let sets = [RowSet::from_iter([1, 3, 5, 7]), RowSet::from_iter([3, 4, 5])];
        let page = page(&catalogue, &Filter::default(), &sets, TrustLimits::default(), None, 1);
        assert_eq!((page.total, page.rows), (2, vec![5]));
        let next = page.next.unwrap();
        assert_eq!(Cursor::parse(&next.to_string()), Some(next));
        assert_eq!(Cursor::parse("1"), None);
    }
}
