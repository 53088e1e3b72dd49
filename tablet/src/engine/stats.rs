//! What is shown about VDiff.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is shown about VDiff; written by the engines, rendered by HTTP.
#[derive(Debug, Default)]
pub struct VdiffStats {
    progress: Mutex<BTreeMap<String, VdiffProgress>>,
    /// Controllers that the engine has now.
    pub controllers: AtomicI64,
    /// Operators' actions that have arrived, done or not; looks (`show`) are none.
    pub actions_total: AtomicU64,
    /// Failed actions and failed diffs.
    pub errors_total: AtomicU64,
    /// Rows processed by this process, of all diffs.
    pub rows_compared_total: AtomicU64,
    /// Committed checkpoints.
    pub checkpoints_total: AtomicU64,
    /// Row streams served that have not ended.
    pub row_streams_open: AtomicI64,
}

/// Where one diff is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdiffProgress {
    /// The table it is at; empty between tables.
    pub table: String,
    /// What it does there.
    pub phase: VdiffPhase,
    /// Rows processed of this table, over all attempts.
    pub rows_compared: u64,
}

/// What a diff does with its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VdiffPhase {
    /// Between tables, waiting, or at rest.
    Idle,
    /// Takes the two snapshots.
    Snapshot,
    /// Compares rows.
    Streaming,
    /// Matches extra rows of both sides.
    Reconcile,
    /// Writes the end.
    Completing,
}

impl VdiffPhase {
    /// The word in `/debug/vars`.
    pub fn name(self) -> &'static str {
        match self {
            VdiffPhase::Idle => "idle",
            VdiffPhase::Snapshot => "snapshot",
            VdiffPhase::Streaming => "streaming",
            VdiffPhase::Reconcile => "reconcile",
            VdiffPhase::Completing => "completing",
        }
    }
}

impl VdiffStats {
    /// Says where the diff `uuid` is.
    pub fn set(&self, uuid: &str, progress: VdiffProgress) {
        self.locked().insert(uuid.to_owned(), progress);
    }

    /// Forgets the diff `uuid`.
    pub fn remove(&self, uuid: &str) {
        self.locked().remove(uuid);
    }

    /// All diffs, by uuid.
    pub fn snapshot(&self) -> BTreeMap<String, VdiffProgress> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, VdiffProgress>> {
        // Numbers for display: a writer that panicked leaves nothing to protect others from.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
