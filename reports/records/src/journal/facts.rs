//! What a committed change of the sidecar tables says, in words that every system under test shares.
//! The dialect of a system makes them from its rows; oracles and reports read these and no column.

use serde::{Deserialize, Serialize};

use super::{Event, Record, SidecarChange};
use crate::tellings::Telling;

/// One thing that a change says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// A diff was created, has changed, or was deleted.
    Diff(DiffChanged),
    /// A table of a diff came, has changed, or was swept.
    Table(TableChanged),
    /// A line was added to the story that the system keeps of a diff.
    Entry(LogEntry),
    /// The replication workflow was changed.
    Workflow(WorkflowChanged),
}

/// A change of a diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffChanged {
    /// The system's own number of the diff; a new diff has a new one.
    pub diff: String,
    /// By which operators name it.
    pub uuid: String,
    /// None: it was created.
    pub before: Option<DiffStatus>,
    /// None: it was deleted.
    pub after: Option<DiffStatus>,
}

/// How a diff stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStatus {
    /// `pending`, `started`, `stopped`, `completed` or `error`, as Vitess has them.
    pub state: String,
    /// Its last error; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Who takes it up after the error; none: nothing tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The error says that memory was short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory_was_short: bool,
    /// The epoch of the incarnation that works on it; none: nobody, or nothing tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
}

/// Who takes a diff up again after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The tablet, by itself: the error is ephemeral.
    Tablet,
    /// An operator: the error is lasting.
    Operator,
}

/// A change of a table of a diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChanged {
    /// See [`DiffChanged::diff`].
    pub diff: String,
    /// The table's name.
    pub table: String,
    /// None: its work began.
    pub before: Option<TableStatus>,
    /// None: it was swept.
    pub after: Option<TableStatus>,
}

/// How a table of a diff stands. One with other rows or another cursor than before is a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatus {
    /// As [`DiffStatus::state`].
    pub state: String,
    /// Rows compared, of both sides.
    #[serde(default)]
    pub rows: u64,
    /// The cursor, the same text for the same place; none: no row is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many rows an exact diff has compared when it stands at the cursor, by the workload; none: the
    /// cursor is at no row of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
    /// See [`DiffStatus::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
}

/// A line of a diff's story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// See [`DiffChanged::diff`].
    pub diff: String,
    /// What it says.
    #[serde(flatten)]
    pub said: Said,
}

/// What a line of a diff's story says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Said {
    /// A stream of a table's rows begins.
    StreamBegan {
        /// The table.
        table: String,
        /// After this cursor; none: at the table's beginning.
        after: Option<String>,
    },
    /// Rows are no longer streamed.
    StreamEnded,
    /// The diff's state has changed.
    StateMoved {
        /// To this one.
        to: String,
    },
    /// Something else.
    Other,
}

/// A change of the workflow under diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowChanged {
    /// The system's own number of it.
    pub workflow: String,
    /// None: it was created.
    pub before: Option<WorkflowStatus>,
    /// None: it was deleted.
    pub after: Option<WorkflowStatus>,
}

/// How a workflow stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowStatus {
    /// `Running`, `Stopped`, …, as Vitess has them.
    pub state: String,
    /// Its message; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who keeps it from running, as its row tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<WorkflowHold>,
    /// See [`DiffStatus::owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
}

/// Who keeps a workflow from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowHold {
    /// The diff, for its snapshot.
    Diff,
    /// An operator has frozen it.
    Frozen,
}

/// How a system tells its facts.
pub trait Dialect: Send + Sync {
    /// What a committed change of its sidecar tables says.
    fn facts(&self, change: &SidecarChange) -> Vec<Fact>;
    /// What a line of a tablet's log says, as far as it is judged.
    fn log_word(&self, line: &str) -> Option<LogWord>;
    /// Who keeps a workflow with this message from running.
    fn workflow_hold(&self, message: &str) -> Option<WorkflowHold>;
    /// What it does not tell.
    fn untold(&self) -> Vec<Telling>;
}

/// What a line of a tablet's log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogWord {
    /// The process has come up.
    Started,
    /// A part of it panicked.
    Panicked {
        /// It caught that, and lives on.
        caught: bool,
        /// What it said.
        message: String,
    },
}

/// Gives the records of a journal their facts where they have none: those of an older program, which kept
/// the rows alone.
pub fn complete(records: &mut [Record], dialect: &dyn Dialect) {
    for record in records {
        match &mut record.event {
            Event::SidecarChange(change) if change.facts.is_empty() => {
                change.facts = dialect.facts(change);
            }
            Event::WorkflowRow { message, hold, .. } if hold.is_none() => {
                *hold = dialect.workflow_hold(message);
            }
            _ => {}
        }
    }
}
