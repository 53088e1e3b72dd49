//! Rows of the sidecar tables as the binlog shows their changes.

use std::collections::BTreeMap;

use reports::journal::SidecarChange;

use super::{STEP_ROWS, WALL_MS};

type Columns<'a> = &'a [(&'a str, Option<String>)];

fn change(
    table: &str,
    before: Option<Columns<'_>>,
    after: Option<Columns<'_>>,
    at_ms: u64,
) -> SidecarChange {
    let row = |columns: Columns<'_>| {
        columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    SidecarChange {
        table: table.into(),
        gtid: String::new(),
        commit_us: (WALL_MS + at_ms) * 1_000,
        before: before.map(row),
        after: after.map(row),
        cursor_ordinal: None,
    }
}

/// A change of a diff's row, by its states.
pub(in crate::oracle::tests) fn vdiff(
    id: u64,
    uuid: &str,
    from: Option<&str>,
    to: Option<&str>,
    epoch: u64,
    at_ms: u64,
) -> SidecarChange {
    let row = |state: &str| {
        [
            ("id", Some(id.to_string())),
            ("vdiff_uuid", Some(uuid.to_owned())),
            ("state", Some(state.to_owned())),
            ("owner_epoch", Some(epoch.to_string())),
            ("last_error", Some(String::new())),
            ("error_kind", None),
        ]
    };
    let (before, after) = (from.map(row), to.map(row));
    change("vdiff", before.as_ref().map(|r| &r[..]), after.as_ref().map(|r| &r[..]), at_ms)
}

/// The cursor after so many checkpoints.
pub(in crate::oracle::tests) fn cursor(steps: u64) -> Option<String> {
    (steps > 0).then(|| format!("{{\"columns\":[\"id\"],\"values\":[\"{}\"]}}", steps * STEP_ROWS))
}

/// A change of a table's row, by its states and checkpoints.
pub(in crate::oracle::tests) fn table(
    id: u64,
    from: Option<(&str, u64)>,
    to: Option<(&str, u64)>,
    epoch: u64,
    at_ms: u64,
) -> SidecarChange {
    let row = |(state, steps): (&str, u64)| {
        [
            ("vdiff_id", Some(id.to_string())),
            ("table_name", Some("t".to_owned())),
            ("state", Some(state.to_owned())),
            ("rows_compared", Some((steps * STEP_ROWS).to_string())),
            ("lastpk", cursor(steps)),
            ("owner_epoch", Some(epoch.to_string())),
        ]
    };
    let (before, after) = (from.map(row), to.map(row));
    let mut change = change(
        "vdiff_table",
        before.as_ref().map(|r| &r[..]),
        after.as_ref().map(|r| &r[..]),
        at_ms,
    );
    change.cursor_ordinal = to.filter(|(_, steps)| *steps > 0).map(|(_, steps)| steps * STEP_ROWS);
    change
}

pub(in crate::oracle::tests) fn log(id: u64, message: &str, at_ms: u64) -> SidecarChange {
    let row = [("vdiff_id", Some(id.to_string())), ("message", Some(message.to_owned()))];
    change("vdiff_log", None, Some(&row), at_ms)
}

/// Sets a column of a row.
pub(in crate::oracle::tests) fn set(
    row: &mut Option<BTreeMap<String, Option<String>>>,
    column: &str,
    value: &str,
) {
    row.as_mut().unwrap().insert(column.to_owned(), Some(value.to_owned()));
}

/// A change of the workflow's row, by state and message.
pub(in crate::oracle::tests) fn workflow(
    from: (&str, &str),
    to: (&str, &str),
    at_ms: u64,
) -> SidecarChange {
    let row = |(state, message): (&str, &str)| {
        [
            ("id", Some("1".to_owned())),
            ("workflow", Some("move".to_owned())),
            ("state", Some(state.to_owned())),
            ("message", Some(message.to_owned())),
        ]
    };
    change("vreplication", Some(&row(from)), Some(&row(to)), at_ms)
}
