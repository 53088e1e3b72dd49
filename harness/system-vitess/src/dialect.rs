//! How Vitess tells its facts: the columns of its sidecar tables, and the lines of a vttablet's log, in both its
//! formats.

use records::journal::SidecarChange;
use records::journal::facts::{
    Dialect, DiffStatus, Fact, LogWord, Retry, Said, TableStatus, WorkflowHold, WorkflowStatus,
};
use records::tellings::Telling;
use serde_json::Value;
use sidecar::facts::{Columns, Row, facts, text};

/// What VDiff writes into the row of a workflow that it stops, and starts up to a position.
const FOR_VDIFF: [&str; 2] = ["for vdiff", "synchronizing for vdiff"];
const AT_POSITION: [&str; 2] = ["Stop position ", "Stopped at position "];
/// What an operator writes into the row of a workflow that is not to run.
const FROZEN: &str = "FROZEN";
/// The first thing that a start says is its version.
const STARTS: (&str, &str) = ("Version: ", "(Git revision");
/// MySQL's errors after which Vitess takes a diff up by itself (`sqlerror.IsEphemeralError`). An error that names
/// none counts as `ERUnknownError`, which is one of them.
const EPHEMERAL: [u16; 30] = [
    1021, 1037, 1038, 1041, 1053, 1078, 1080, 1105, 1129, 1135, 1203, 1205, 1206, 1213, 1226, 1317,
    1815, 1874, 2000, 2002, 2003, 2005, 2006, 2012, 2013, 2018, 2026, 2027, 3024, 3168,
];

/// Vitess's dialect.
#[derive(Clone, Copy, Debug, Default)]
pub struct VitessDialect;

impl Dialect for VitessDialect {
    fn facts(&self, change: &SidecarChange) -> Vec<Fact> {
        facts(change, self)
    }

    fn log_word(&self, line: &str) -> Option<LogWord> {
        // Go's runtime speaks for itself, in neither format.
        if line.starts_with("panic: ") || line.starts_with("fatal error: ") {
            return Some(LogWord::Panicked { caught: false, message: line.to_owned() });
        }
        let said = message(line);
        if said.contains(STARTS.0) && said.contains(STARTS.1) {
            return Some(LogWord::Started);
        }
        // A controller catches the panic of its stream when its MySQL dies, and starts it again: no death.
        None
    }

    fn workflow_hold(&self, message: &str) -> Option<WorkflowHold> {
        match message {
            FROZEN => Some(WorkflowHold::Frozen),
            // A stream that VDiff starts up to a position stops there, and says so.
            message if AT_POSITION.iter().any(|begin| message.starts_with(begin)) => {
                Some(WorkflowHold::Diff)
            }
            message => FOR_VDIFF.contains(&message).then_some(WorkflowHold::Diff),
        }
    }

    fn untold(&self) -> Vec<Telling> {
        Telling::ALL.to_vec()
    }
}

/// What a line of a log says: JSON since v23, glog's text before.
fn message(line: &str) -> String {
    let value: Option<Value> = serde_json::from_str(line).ok();
    let message = value.as_ref().and_then(|value| value.get("msg")).and_then(Value::as_str);
    message.unwrap_or(line).to_owned()
}

/// Whether Vitess takes up a diff with this error by itself.
pub(super) fn is_taken_up(error: &str) -> bool {
    let number = error.rsplit_once("(errno ").and_then(|(_, after)| {
        let (number, _) = after.split_once(')')?;
        number.parse::<u16>().ok()
    });
    number.is_none_or(|number| EPHEMERAL.contains(&number))
}

impl Columns for VitessDialect {
    fn diff(&self, row: &Row) -> DiffStatus {
        let (state, error) = (text(row, "state"), text(row, "last_error"));
        let retry = (state == "error").then(|| match is_taken_up(&error) {
            true => Retry::Tablet,
            false => Retry::Operator,
        });
        DiffStatus { state, error, retry, memory_was_short: false, owner: None }
    }

    fn table(&self, row: &Row, place: Option<u64>) -> TableStatus {
        let cursor = text(row, "lastpk");
        TableStatus {
            state: text(row, "state"),
            rows: text(row, "rows_compared").parse().unwrap_or_default(),
            cursor: (!cursor.is_empty()).then_some(cursor),
            place,
            owner: None,
        }
    }

    fn workflow(&self, row: &Row) -> WorkflowStatus {
        let message = text(row, "message");
        WorkflowStatus {
            state: text(row, "state"),
            hold: VitessDialect.workflow_hold(&message),
            message,
            owner: None,
        }
    }

    fn said(&self, message: &str) -> Said {
        let state = message.strip_prefix("State changed to: ");
        let word = |state: &str| state.split([' ', ',', '(']).next().unwrap_or_default().to_owned();
        state.map_or(Said::Other, |state| Said::StateMoved { to: word(state) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As v21.0.1 wrote them.
    #[test]
    fn the_panics_of_the_incident_are_read() {
        for line in [
            "panic: assignment to entry in nil map",
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "fatal error: concurrent map writes",
        ] {
            let message = line.to_owned();
            let told = VitessDialect.log_word(line);
            assert_eq!(told, Some(LogWord::Panicked { caught: false, message }), "{line}");
        }
        assert_eq!(VitessDialect.log_word("goroutine 1 [running]:"), None);
    }

    #[test]
    fn a_start_is_read_in_both_formats_and_a_caught_panic_is_no_death() {
        let said =
            "Version: 24.0.4 (Git revision  branch '') built on  by @ using go1.26.8 linux/amd64";
        let json = serde_json::json!({ "time": "t", "level": "INFO", "msg": said }).to_string();
        let glog = format!("I1128 00:37:56.925828       1 servenv.go:57] {said}");
        for line in [json, glog] {
            assert_eq!(VitessDialect.log_word(&line), Some(LogWord::Started), "{line}");
        }
        let caught =
            r#"{"level":"ERROR","msg":"workflow wf, stream 1: caught panic: runtime error"}"#;
        assert_eq!(VitessDialect.log_word(caught), None);
    }

    #[test]
    fn an_error_is_taken_up_as_vitess_does() {
        for (error, taken_up) in [
            ("context canceled", true),
            ("server gone (errno 2006) (sqlstate HY000)", true),
            ("Lock wait timeout exceeded (errno 1205) (sqlstate HY000)", true),
            ("Table 'vt.t' doesn't exist (errno 1146) (sqlstate 42S02)", false),
        ] {
            assert_eq!(is_taken_up(error), taken_up, "{error}");
        }
    }
}
