//! AI versus human handling: the statistics, the report, and data sets with known truth to prove them on.
//!
//! It exists to test one claim: that an AI agent handles calls as well as people do. It states who is compared with
//! whom, counts what it leaves out and why, puts an interval on every number, adjusts for case mix, and refuses where
//! the data cannot tell. It must not know audio, Kafka or how a call is scored: it reads the dataset's tables.
//!
//! `stats` is pure and held against reference implementations; `cohort` reads the tables; `analysis` turns calls into
//! figures; `report` writes them as a page, a summary and JSON; `simulate` makes data sets whose true effects are known.

#![allow(clippy::similar_names, reason = "cells, calls and sums are what the formulas call them")]

pub mod analysis;
pub mod claim;
pub mod cohort;
pub mod config;
pub mod report;
pub mod simulate;
pub mod stats;
