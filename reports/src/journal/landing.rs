//! A fault that landed: by what it is known, and what it hit.

use serde::{Deserialize, Serialize};

use crate::schedule::{Fault, Phase};

/// Proof that a fault happened and hit what it aimed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultLanded {
    /// Index of the schedule's step.
    pub step: usize,
    /// The fault.
    pub fault: Fault,
    /// The fault's own evidence.
    pub evidence: Evidence,
    /// The diff as it lay in MySQL between death and restart (for faults aimed at a diff's middle).
    pub interrupted: Option<Interrupted>,
}

/// A fault's own evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Evidence {
    /// The process ended by this signal (or exited in order, for SIGTERM).
    Exit {
        /// Exit code as the engine reports it.
        exit_code: i64,
    },
    /// The kernel's counter of the container's cgroup rose.
    OomCounter {
        /// Before the fault, per start.
        baseline: u64,
        /// After it.
        count: u64,
        /// Exit code as the engine reports it.
        exit_code: i64,
    },
    /// The kernel's log names cgroup and process.
    KernelLog {
        /// The line.
        line: String,
    },
    /// The engine's `oom` event, together with the death.
    EngineEvent {
        /// Exit code as the engine reports it.
        exit_code: i64,
    },
    /// The sidecar state before and after.
    State {
        /// Before.
        before: String,
        /// After.
        after: String,
    },
    /// What was seen, in words, for faults whose effect is their own evidence.
    Observed {
        /// Text.
        what: String,
    },
}

/// The sidecar state of an interrupted diff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// `_vt.vdiff.state`.
    pub state: String,
    /// Sum of `_vt.vdiff_table.rows_compared`.
    pub rows_compared: u64,
    /// Rows an exact diff processes.
    pub rows_total: u64,
    /// The phase it lay in.
    pub phase: Option<Phase>,
}

impl Interrupted {
    /// Whether the fault hit the middle of the diff: unfinished, some rows compared, not all.
    #[must_use]
    pub fn is_mid_diff(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "started")
            && self.rows_compared > 0
            && self.rows_compared < self.rows_total
    }

    /// Fraction of the diff that was done, 0 to 1.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        if self.rows_total == 0 { 0.0 } else { self.rows_compared as f64 / self.rows_total as f64 }
    }
}
