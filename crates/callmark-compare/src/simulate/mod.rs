//! Data sets whose true effects are known, to prove the comparison on and to load it with.
//!
//! Each call is drawn with what would have happened in *both* arms; one of them is written, both are the truth. What
//! makes comparisons go wrong is in there and can be set: calls that are hard go to one arm (confounding), hard calls
//! are handed over (informative escalation, also given what the call is about), customers and agents are alike among
//! themselves (clusters), who is not helped calls again, recordings break off, and the scorer errs.

mod model;
mod truth;
mod words;
mod write;

pub use model::{ISSUES, LANGUAGES, Potential, QUEUES, Scenario, SimulatedCall, draw};
pub use truth::{
    exact_effects, exact_means_of_arm, expected_outcomes, outcomes, sample_effects, sample_return_effect,
};
pub use write::{SimulateError, Spoken, Truth, simulate, write_reviews};
