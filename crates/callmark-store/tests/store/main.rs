//! Tests of the store from outside: what is on disk after commits, crashes and failures.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod chains;
mod conformance;
mod consistency;
mod crashes;
mod dead_letters;
mod dying;
mod erasing;
mod erasing_crashes;
mod failures;
mod reading;
mod round_trip;
mod s3;
mod samples;
mod schema;
mod strategies;
mod streams;
