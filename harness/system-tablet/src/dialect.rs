//! How the tablet of this project tells its facts: the columns of its sidecar tables, and the words of its
//! `vdiff_log`.

use std::collections::BTreeMap;

use records::journal::SidecarChange;
use records::journal::facts::{
    Dialect, DiffChanged, DiffStatus, Fact, LogEntry, LogWord, Retry, Said, TableChanged,
    TableStatus, WorkflowChanged, WorkflowHold, WorkflowStatus,
};
use records::tellings::Telling;
use serde_json::Value;

/// What VDiff writes into the row of a workflow that it stops.
const FOR_VDIFF: &str = "for vdiff";
/// What an operator writes into the row of a workflow that is not to run.
const FROZEN: &str = "FROZEN";
/// How an error of memory pressure begins.
const MEMORY_PRESSURE: &str = "memory pressure";

/// A row's columns.
type Row = BTreeMap<String, Option<String>>;

/// The tablet's dialect.
#[derive(Clone, Copy, Debug, Default)]
pub struct TabletDialect;

impl Dialect for TabletDialect {
    fn facts(&self, change: &SidecarChange) -> Vec<Fact> {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let Some(row) = after.or(before) else { return Vec::new() };
        let fact = match change.table.as_str() {
            "vdiff" => Fact::Diff(DiffChanged {
                diff: text(row, "id"),
                uuid: text(row, "vdiff_uuid"),
                before: before.map(diff),
                after: after.map(diff),
            }),
            "vdiff_table" => Fact::Table(TableChanged {
                diff: text(row, "vdiff_id"),
                table: text(row, "table_name"),
                before: before.map(|row| table(row, None)),
                after: after.map(|row| table(row, change.cursor_ordinal)),
            }),
            // A line is written once: what takes one away is the sweeping of its diff.
            "vdiff_log" if before.is_none() => Fact::Entry(LogEntry {
                diff: text(row, "vdiff_id"),
                said: said(&text(row, "message")),
            }),
            "vreplication" => Fact::Workflow(WorkflowChanged {
                workflow: text(row, "id"),
                before: before.map(workflow),
                after: after.map(workflow),
            }),
            _ => return Vec::new(),
        };
        vec![fact]
    }

    fn log_word(&self, line: &str) -> Option<LogWord> {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            // The runtime's own words, when the tablet's hook could not speak.
            let raw = line.starts_with("thread '") && line.contains("panicked at");
            return raw.then(|| LogWord::Panicked { caught: false, message: line.to_owned() });
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        match text("event")? {
            // It has registered.
            "start" => Some(LogWord::Started),
            "panic" => {
                let caught = match value.get("caught") {
                    Some(Value::Bool(caught)) => *caught,
                    Some(Value::String(caught)) => caught == "true",
                    Some(_) | None => false,
                };
                let place = text("location").map(|place| format!(" at {place}"));
                let said = text("message").unwrap_or(line);
                let message = format!("{said}{}", place.unwrap_or_default());
                Some(LogWord::Panicked { caught, message })
            }
            _ => None,
        }
    }

    fn workflow_hold(&self, message: &str) -> Option<WorkflowHold> {
        match message {
            FOR_VDIFF => Some(WorkflowHold::Diff),
            FROZEN => Some(WorkflowHold::Frozen),
            _ => None,
        }
    }

    fn untold(&self) -> Vec<Telling> {
        Vec::new()
    }
}

fn diff(row: &Row) -> DiffStatus {
    let error = text(row, "last_error");
    DiffStatus {
        state: text(row, "state"),
        memory_was_short: error.starts_with(MEMORY_PRESSURE),
        error,
        retry: match text(row, "error_kind").as_str() {
            "ephemeral" => Some(Retry::Tablet),
            "lasting" => Some(Retry::Operator),
            _ => None,
        },
        owner: number(row, "owner_epoch"),
    }
}

fn table(row: &Row, place: Option<u64>) -> TableStatus {
    let cursor = text(row, "lastpk");
    TableStatus {
        state: text(row, "state"),
        rows: number(row, "rows_compared").unwrap_or_default(),
        cursor: (!cursor.is_empty()).then(|| canonical(&cursor)),
        place,
        owner: number(row, "owner_epoch"),
    }
}

fn workflow(row: &Row) -> WorkflowStatus {
    let message = text(row, "message");
    WorkflowStatus {
        state: text(row, "state"),
        hold: TabletDialect.workflow_hold(&message),
        message,
        owner: number(row, "owner_epoch"),
    }
}

fn said(message: &str) -> Said {
    if let Some(start) = message.strip_prefix("streaming: table '")
        && let Some((table, after)) = start.split_once("' after ")
    {
        let after = (after != "beginning").then(|| canonical(after));
        return Said::StreamBegan { table: table.to_owned(), after };
    }
    if let Some(state) = message.strip_prefix("State changed to: ") {
        let to = state.split([' ', ',', '(']).next().unwrap_or_default();
        return Said::StateMoved { to: to.to_owned() };
    }
    if ["reconciling: ", "completed: "].iter().any(|begin| message.starts_with(begin)) {
        return Said::StreamEnded;
    }
    Said::Other
}

/// A cursor is JSON: its spaces and the order of its fields say nothing.
fn canonical(cursor: &str) -> String {
    let value = serde_json::from_str::<Value>(cursor).map(|mut value| {
        value.sort_all_objects();
        value
    });
    value.map_or_else(|_| cursor.to_owned(), |value| value.to_string())
}

/// A column's text; empty when NULL or absent.
fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Option::clone).unwrap_or_default()
}

/// A column's number; none when NULL, absent or no number.
fn number(row: &Row, column: &str) -> Option<u64> {
    row.get(column)?.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests;
