//! The sidecar database: where the system keeps its diffs, read without asking the system.

use std::collections::BTreeMap;

use async_trait::async_trait;
use records::journal::SidecarChange;
use records::journal::facts::WorkflowHold;
use records::schedule::Phase;

use super::SystemError;

/// How far a diff is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Which VDiff.
    pub uuid: String,
    /// `pending`, `started`, `stopped`, `completed` or `error`; none: there is no such VDiff.
    pub state: Option<String>,
    /// In state `error`: the system has announced that it tries again by itself.
    pub will_retry: bool,
    /// Its last error.
    pub error: String,
    /// Sum of rows compared.
    pub rows_compared: u64,
    /// Its tables.
    pub tables: Vec<TableProgress>,
}

/// How far one table is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableProgress {
    /// Its name.
    pub table: String,
    /// `pending`, `started`, `completed`, …
    pub state: String,
    /// Its phase, where it is in one.
    pub phase: Option<Phase>,
    /// Rows compared.
    pub rows_compared: u64,
}

impl Progress {
    /// Done rows as a fraction of all.
    #[must_use]
    pub fn fraction(&self, rows_total: u64) -> f64 {
        self.rows_compared as f64 / rows_total.max(1) as f64
    }

    /// The table at work.
    #[must_use]
    pub fn at_work(&self) -> Option<&TableProgress> {
        self.tables.iter().find(|table| table.state == "started")
    }

    /// It has come to its end.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state.as_deref() == Some("completed")
    }

    /// Completed, stopped, or failed for good.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        match self.state.as_deref() {
            Some("completed" | "stopped") => true,
            Some("error") => !self.will_retry,
            Some(_) | None => false,
        }
    }
}

/// The workflow as it lies in the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowRow {
    /// `Running`, `Stopped`, …
    pub state: String,
    /// Why.
    pub message: String,
    /// The position at which it is to stop; empty: nowhere.
    pub stop_pos: String,
    /// Who holds it, by that message.
    pub hold: Option<WorkflowHold>,
}

impl WorkflowRow {
    /// It runs, and nobody has asked it to stop.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.state == "Running" && self.message.is_empty() && self.stop_pos.is_empty()
    }
}

/// The sidecar database of a trial.
#[async_trait]
pub trait Sidecar: Send + Sync {
    /// How far a VDiff is.
    ///
    /// # Errors
    /// [`NoTable`](super::ErrorKind::NoTable) where the system has not made its tables yet.
    async fn progress(&self, uuid: &str) -> Result<Progress, SystemError>;

    /// The trial's workflow; none: there is no such row.
    ///
    /// # Errors
    /// As [`Sidecar::progress`].
    async fn workflow(&self) -> Result<Option<WorkflowRow>, SystemError>;

    /// Deletes a VDiff's row by hand, as the operator of the incident did; how many rows that were.
    async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError>;

    /// Rows whose parent is not there, by table; tables without any are left out.
    async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError>;

    /// The clock that the history is told by, now: microseconds since the Unix epoch.
    async fn now_us(&self) -> Result<u64, SystemError>;

    /// Ends the trial's history here: what comes later is no part of it. A second time changes nothing.
    async fn end_history(&self) -> Result<(), SystemError>;

    /// Every committed change of the diffs and their workflow from the deployment to the history's end, each
    /// with its facts.
    async fn history(&self) -> Result<Vec<SidecarChange>, SystemError>;

    /// The SQL statement whose row locks hold a VDiff in a phase; none where no lock does.
    fn lock_of_phase(&self, _phase: Phase, _uuid: &str) -> Option<String> {
        None
    }

    /// The table, with its database, that checkpoints are written to; none where it is no table.
    fn checkpoint_table(&self) -> Option<String> {
        None
    }
}
