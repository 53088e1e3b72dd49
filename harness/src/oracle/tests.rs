//! Tests of the testers: for each invariant a journal that must pass, for each rule one that must
//! fail, and for each kind of evidence one that must be inconclusive.

mod diff_cases;
mod effects;
mod evidence_cases;
mod history_cases;
mod laws;
mod look_cases;
mod probes;
mod process_cases;
mod scenario_cases;
mod serving_cases;
mod support;

/// The records of a trial that passes, for tests of what uses the oracles.
pub(crate) fn good_records() -> Vec<reports::journal::Record> {
    support::JournalBuilder::good(reports::schedule::Fault::Sigkill).records()
}
