//! What a committed change of the sidecar's tables says: which columns name a diff, a table, a line and a workflow is
//! Vitess's; what else stands in them is the system's.

use std::collections::BTreeMap;

use records::journal::SidecarChange;
use records::journal::facts::{
    DiffChanged, DiffStatus, Fact, LogEntry, Said, TableChanged, TableStatus, WorkflowChanged,
    WorkflowStatus,
};

/// A row's columns.
pub type Row = BTreeMap<String, Option<String>>;

/// How a system fills its rows.
pub trait Columns {
    /// How a diff stands.
    fn diff(&self, row: &Row) -> DiffStatus;
    /// How a table of a diff stands; `place`: how far an exact diff is at its cursor.
    fn table(&self, row: &Row, place: Option<u64>) -> TableStatus;
    /// How a workflow stands.
    fn workflow(&self, row: &Row) -> WorkflowStatus;
    /// What a line of a diff's story says.
    fn said(&self, message: &str) -> Said;
}

/// What a change says.
#[must_use]
pub fn facts(change: &SidecarChange, columns: &impl Columns) -> Vec<Fact> {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let Some(row) = after.or(before) else { return Vec::new() };
    let fact = match change.table.as_str() {
        "vdiff" => Fact::Diff(DiffChanged {
            diff: text(row, "id"),
            uuid: text(row, "vdiff_uuid"),
            before: before.map(|row| columns.diff(row)),
            after: after.map(|row| columns.diff(row)),
        }),
        "vdiff_table" => Fact::Table(TableChanged {
            diff: text(row, "vdiff_id"),
            table: text(row, "table_name"),
            before: before.map(|row| columns.table(row, None)),
            after: after.map(|row| columns.table(row, change.cursor_ordinal)),
        }),
        // A line is written once: what takes one away is the sweeping of its diff.
        "vdiff_log" if before.is_none() => Fact::Entry(LogEntry {
            diff: text(row, "vdiff_id"),
            said: columns.said(&text(row, "message")),
        }),
        "vreplication" => Fact::Workflow(WorkflowChanged {
            workflow: text(row, "id"),
            before: before.map(|row| columns.workflow(row)),
            after: after.map(|row| columns.workflow(row)),
        }),
        _ => return Vec::new(),
    };
    vec![fact]
}

/// A column's text; empty when NULL or absent.
#[must_use]
pub fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Option::clone).unwrap_or_default()
}

/// A column's number; none when NULL, absent or no number.
#[must_use]
pub fn number(row: &Row, column: &str) -> Option<u64> {
    row.get(column)?.as_ref()?.parse().ok()
}
