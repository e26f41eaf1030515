//! Tests of the store from outside: what is on disk after commits, crashes and failures.

mod consistency;
mod crashes;
mod dead_letters;
mod failures;
mod reading;
mod round_trip;
mod samples;
mod schema;
mod strategies;
