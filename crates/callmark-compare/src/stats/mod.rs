//! The statistics: pure functions from numbers to numbers.
//!
//! They are apart from the report so that each can be held against a reference implementation on its own. Nothing here
//! reads a file or knows what a call is. Each module names its formula and where it comes from; an estimate that the
//! data cannot give is `None`, never a number with a warning.

pub mod bootstrap;
pub mod censoring;
pub mod clusters;
pub mod correction;
pub mod curves;
pub mod differences;
pub mod distributions;
pub mod doubly_robust;
pub mod estimate;
pub mod heterogeneity;
pub mod linear;
pub mod logistic;
pub mod margin;
pub mod multiplicity;
pub mod proportion;
pub mod random;
pub mod sensitivity;
pub mod shift;
pub mod standardise;
pub mod strata;
pub mod weighting;
