//! Verdicts: what the oracles say of a trial, and what a campaign says of its trials.

use serde::{Deserialize, Serialize};

/// An invariant of the tablet, by its number in ARCHITECTURE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invariant {
    /// Comes back.
    I1,
    /// No panic.
    I2,
    /// Resumes or fails cleanly.
    I3,
    /// Exact.
    I4,
    /// Little lost.
    I5,
    /// Workflow restored.
    I6,
    /// No residue.
    I7,
    /// Legal history.
    I8,
    /// Bounded.
    I9,
    /// Cancel is prompt.
    I10,
    /// Acknowledged is durable.
    I11,
}

/// What an oracle, a trial or a campaign comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The invariant held, and was tried.
    Pass,
    /// The harness could not do its job, or the fault never landed.
    Inconclusive,
    /// The invariant was broken.
    Fail,
}

/// One oracle's judgement of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which invariant.
    pub invariant: Invariant,
    /// The verdict; `fail` wins over `inconclusive` wins over `pass`.
    pub verdict: Verdict,
    /// Checks made: a pass with none would say nothing, and is not given.
    pub checks: u64,
    /// What was expected and what was found, one line each; empty for a pass.
    pub reasons: Vec<Reason>,
    /// The invariant does not apply to this trial (no fault that could break it): not a pass.
    pub not_applicable: bool,
}

/// Why a judgement is not a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Expected, found.
    pub text: String,
    /// The journal's record that shows it.
    pub seq: Option<u64>,
}
