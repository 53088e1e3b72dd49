//! Committed changes of diffs, tables, stories and the workflow, as a journal has them.

use records::journal::SidecarChange;
use records::journal::facts::{
    DiffChanged, DiffStatus, Fact, LogEntry, Retry, Said, TableChanged, TableStatus,
    WorkflowChanged, WorkflowHold, WorkflowStatus,
};

use super::{STEP_ROWS, WALL_MS};

fn change(fact: Fact, at_ms: u64) -> SidecarChange {
    SidecarChange {
        table: String::new(),
        gtid: String::new(),
        commit_us: (WALL_MS + at_ms) * 1_000,
        before: None,
        after: None,
        cursor_ordinal: None,
        facts: vec![fact],
    }
}

/// A change of a diff, by its states.
pub(crate) fn vdiff(
    id: u64,
    uuid: &str,
    from: Option<&str>,
    to: Option<&str>,
    epoch: u64,
    at_ms: u64,
) -> SidecarChange {
    let status = |state: &str| DiffStatus {
        state: state.to_owned(),
        owner: Some(epoch),
        ..DiffStatus::default()
    };
    let (before, after) = (from.map(status), to.map(status));
    let changed = DiffChanged { diff: id.to_string(), uuid: uuid.to_owned(), before, after };
    change(Fact::Diff(changed), at_ms)
}

/// A diff that was started comes to rest in an error.
pub(crate) fn falls(error: &str, retry: Retry, epoch: u64, at_ms: u64) -> SidecarChange {
    let mut fall = vdiff(1, super::UUID, Some("started"), Some("error"), epoch, at_ms);
    let after = diff_of(&mut fall).unwrap().after.as_mut().unwrap();
    error.clone_into(&mut after.error);
    after.memory_was_short = error.starts_with("memory");
    after.retry = Some(retry);
    fall
}

/// The cursor after so many checkpoints.
pub(crate) fn cursor(steps: u64) -> Option<String> {
    (steps > 0).then(|| format!("[{}]", steps * STEP_ROWS))
}

/// A change of a table, by its states and checkpoints.
pub(crate) fn table(
    id: u64,
    from: Option<(&str, u64)>,
    to: Option<(&str, u64)>,
    epoch: u64,
    at_ms: u64,
) -> SidecarChange {
    let status = |(state, steps): (&str, u64)| TableStatus {
        state: state.to_owned(),
        rows: steps * STEP_ROWS,
        cursor: cursor(steps),
        place: (steps > 0).then_some(steps * STEP_ROWS),
        owner: Some(epoch),
    };
    let (before, after) = (from.map(status), to.map(status));
    let changed = TableChanged { diff: id.to_string(), table: "t".to_owned(), before, after };
    change(Fact::Table(changed), at_ms)
}

/// A line of a diff's story.
pub(crate) fn entry(id: u64, said: Said, at_ms: u64) -> SidecarChange {
    change(Fact::Entry(LogEntry { diff: id.to_string(), said }), at_ms)
}

/// The story tells a state.
pub(crate) fn told(id: u64, to: &str, at_ms: u64) -> SidecarChange {
    entry(id, Said::StateMoved { to: to.to_owned() }, at_ms)
}

/// The story tells that a stream begins after so many checkpoints.
pub(crate) fn streams(id: u64, steps: u64, at_ms: u64) -> SidecarChange {
    entry(id, Said::StreamBegan { table: "t".to_owned(), after: cursor(steps) }, at_ms)
}

/// Who keeps a workflow with this message from running.
pub(crate) fn hold(message: &str) -> Option<WorkflowHold> {
    match message {
        "for vdiff" => Some(WorkflowHold::Diff),
        "FROZEN" => Some(WorkflowHold::Frozen),
        _ => None,
    }
}

/// A change of the workflow, by state and message.
pub(crate) fn workflow(from: (&str, &str), to: (&str, &str), at_ms: u64) -> SidecarChange {
    let status = |(state, message): (&str, &str)| {
        Some(WorkflowStatus {
            state: state.to_owned(),
            message: message.to_owned(),
            hold: hold(message),
            owner: None,
        })
    };
    let (before, after) = (status(from), status(to));
    change(Fact::Workflow(WorkflowChanged { workflow: "1".to_owned(), before, after }), at_ms)
}

/// The change of a diff, if it is one.
pub(crate) fn diff_of(change: &mut SidecarChange) -> Option<&mut DiffChanged> {
    change.facts.iter_mut().find_map(|fact| match fact {
        Fact::Diff(diff) => Some(diff),
        _ => None,
    })
}

/// The change of a table, if it is one.
pub(crate) fn table_of(change: &mut SidecarChange) -> Option<&mut TableChanged> {
    change.facts.iter_mut().find_map(|fact| match fact {
        Fact::Table(table) => Some(table),
        _ => None,
    })
}

/// What a line of a story says, if it is one.
pub(crate) fn said_of(change: &mut SidecarChange) -> Option<&mut Said> {
    change.facts.iter_mut().find_map(|fact| match fact {
        Fact::Entry(entry) => Some(&mut entry.said),
        _ => None,
    })
}

/// Whether a diff comes to this state.
pub(crate) fn comes_to(change: &mut SidecarChange, state: &str) -> bool {
    diff_of(change).is_some_and(|it| it.after.as_ref().is_some_and(|after| after.state == state))
}
