//! A fault that landed: by what it is known, and what it hit.

use serde::{Deserialize, Serialize};

use crate::schedule::{Fault, HitKind, Phase};

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
    /// What it hit, by name. Without one of the kinds that the catalogue asks for, it had no effect that
    /// is proven, and has not landed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<Hit>,
    /// What lay between the source and the comparison then, where a row stream was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
}

impl FaultLanded {
    /// Whether its hits prove the effect that the catalogue promises.
    #[must_use]
    pub fn had_its_effect(&self) -> bool {
        let proven_by = self.fault.facts().proven_by;
        self.hits.iter().any(|hit| proven_by.contains(&hit.kind) && !hit.what.is_empty())
    }
}

/// One thing that a fault hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// What kind of thing.
    pub kind: HitKind,
    /// Its name, and by which sign it was hit.
    pub what: String,
}

/// Rows on their way at one moment: sent by the source tablet, and not compared yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The table that is streamed.
    pub table: String,
    /// Rows that the source tablet has sent in this stream.
    pub sent: u64,
    /// Rows of it that the target tablet has taken since the stream began.
    pub compared: u64,
}

impl InFlight {
    /// Rows in the buffers on the way, and in the target tablet since its last checkpoint.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sent.saturating_sub(self.compared)
    }
}

/// What a state begins with that tells of a snapshot that has ended.
pub const SNAPSHOT_GONE: &str = "gone";

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

/// What became of a fault that did not land.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissKind {
    /// The harness did not get as far, or the fault had no effect that is proven.
    #[default]
    NotReached,
    /// The tablet said no. The oracles judge that.
    Refused,
    /// The diff had ended.
    Moot,
}

impl MissKind {
    /// Of a miss of which only this is known.
    #[must_use]
    pub fn of(diff_ended: bool) -> Self {
        if diff_ended { Self::Moot } else { Self::NotReached }
    }
}

/// The sidecar state of an interrupted diff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The diff's state.
    pub state: String,
    /// Rows compared, of all tables.
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
