//! The record of a run: what was planned ([`schedule`]), what happened ([`journal`]), what was
//! judged ([`verdict`]), what it comes to ([`summary`]), where it lies ([`layout`]), and the
//! renderers of it ([`render`]). Pure data and text: no async, no MySQL, no Docker.

pub mod coverage;
pub mod journal;
pub mod layout;
pub mod render;
pub mod run;
pub mod schedule;
pub mod statistics;
pub mod summary;
pub mod text;
pub mod verdict;
pub mod witnesses;

pub use layout::{write_all, write_summaries};
pub use run::{Host, RunInfo, TrialRecord};
pub use witnesses::{NotPossible, Witnesses};

/// Whole milliseconds, as records have them.
#[must_use]
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
