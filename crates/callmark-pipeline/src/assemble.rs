//! From heard utterances to turns, as `callmark-analytics` makes them for recordings and live calls alike.

pub(crate) use callmark_analytics::{HeardUtterance as Heard, LaneTurns, turns_of};
