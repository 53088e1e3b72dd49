//! How the tablet of this project tells its facts: the columns of its sidecar tables, and the words of its
//! `vdiff_log`.

use records::journal::SidecarChange;
use records::journal::facts::{
    Dialect, DiffStatus, Fact, LogWord, Retry, Said, TableStatus, WorkflowHold, WorkflowStatus,
};
use records::tellings::Telling;
use serde_json::Value;
use sidecar::facts::{Columns, Row, facts, number, text};

/// What VDiff writes into the row of a workflow that it stops.
const FOR_VDIFF: &str = "for vdiff";
/// What an operator writes into the row of a workflow that is not to run.
const FROZEN: &str = "FROZEN";
/// How an error of memory pressure begins.
const MEMORY_PRESSURE: &str = "memory pressure";

/// The tablet's dialect.
#[derive(Clone, Copy, Debug, Default)]
pub struct TabletDialect;

impl Dialect for TabletDialect {
    fn facts(&self, change: &SidecarChange) -> Vec<Fact> {
        facts(change, self)
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

/// A cursor is JSON: its spaces and the order of its fields say nothing.
fn canonical(cursor: &str) -> String {
    let value = serde_json::from_str::<Value>(cursor).map(|mut value| {
        value.sort_all_objects();
        value
    });
    value.map_or_else(|_| cursor.to_owned(), |value| value.to_string())
}

impl Columns for TabletDialect {
    fn diff(&self, row: &Row) -> DiffStatus {
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

    fn table(&self, row: &Row, place: Option<u64>) -> TableStatus {
        let cursor = text(row, "lastpk");
        TableStatus {
            state: text(row, "state"),
            rows: number(row, "rows_compared").unwrap_or_default(),
            cursor: (!cursor.is_empty()).then(|| canonical(&cursor)),
            place,
            owner: number(row, "owner_epoch"),
        }
    }

    fn workflow(&self, row: &Row) -> WorkflowStatus {
        let message = text(row, "message");
        WorkflowStatus {
            state: text(row, "state"),
            hold: TabletDialect.workflow_hold(&message),
            message,
            owner: number(row, "owner_epoch"),
        }
    }

    fn said(&self, message: &str) -> Said {
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
}

#[cfg(test)]
mod tests;
