//! The record of a run: what was planned ([`schedule`]), what happened ([`journal`]), what was judged
//! ([`verdict`]), which crash points there are ([`coverage`]), and where all that lies ([`layout`]). Pure
//! data: no async, no MySQL, no Docker.

pub mod coverage;
pub mod journal;
pub mod layout;
pub mod run;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
pub mod schedule;
pub mod statistics;
pub mod tellings;
pub mod text;
pub mod verdict;
pub mod witnesses;

pub use run::{Host, RunInfo, TrialRecord};
pub use witnesses::{NotPossible, Witnesses};

/// Whole milliseconds, as records have them.
#[must_use]
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
