//! What is shown about VDiff.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
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
    /// How often somebody asked whether the tablet is ready.
    pub readiness_asked_total: AtomicU64,
    /// Rows of the source that were taken off the newest row stream.
    pub source_rows_taken: AtomicU64,
    streams: Mutex<BTreeMap<u64, StreamShown>>,
    streams_begun: AtomicU64,
}

/// A row stream that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamShown {
    /// What is streamed: its query.
    pub query: String,
    /// Rows that were handed to the reader's connection.
    pub rows_sent: u64,
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

    /// A row stream begins; its number.
    pub fn stream_begins(&self, query: &str) -> u64 {
        let number = self.streams_begun.fetch_add(1, Ordering::Relaxed);
        let shown = StreamShown { query: query.to_owned(), rows_sent: 0 };
        self.row_streams_open.fetch_add(1, Ordering::Relaxed);
        self.streams_locked().insert(number, shown);
        number
    }

    /// More rows of it were handed over.
    pub fn stream_sends(&self, number: u64, rows: u64) {
        if let Some(shown) = self.streams_locked().get_mut(&number) {
            shown.rows_sent += rows;
        }
    }

    /// It has ended.
    pub fn stream_ends(&self, number: u64) {
        self.row_streams_open.fetch_sub(1, Ordering::Relaxed);
        self.streams_locked().remove(&number);
    }

    /// All row streams that have not ended, oldest first.
    pub fn streams(&self) -> Vec<StreamShown> {
        self.streams_locked().values().cloned().collect()
    }

    fn streams_locked(&self) -> MutexGuard<'_, BTreeMap<u64, StreamShown>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, VdiffProgress>> {
        // Numbers for display: a writer that panicked leaves nothing to protect others from.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
