//! The sidecar tables' committed history, as the binlog told it, with the shape that oracles need.

use std::collections::BTreeMap;

use reports::journal::{Event, Record, SidecarChange};
use reports::verdict::Reason;

use super::view::reason;

/// A row's columns.
pub(super) type Row = BTreeMap<String, Option<String>>;

/// One committed change with its place in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) seq: u64,
    pub(super) change: &'a SidecarChange,
}

/// The history of one `vdiff` row.
#[derive(Clone, Debug)]
pub(super) struct Diff<'a> {
    pub(super) id: &'a str,
    pub(super) uuid: &'a str,
    pub(super) inserted: Option<Change<'a>>,
    pub(super) deleted: Option<Change<'a>>,
    /// The last image of a row that is still there.
    pub(super) last: Option<&'a Row>,
    pub(super) moves: Vec<Move<'a>>,
}

/// A change of a state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'a> {
    pub(super) change: Change<'a>,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// All committed changes of a trial, in commit order.
pub(super) struct History<'a> {
    pub(super) changes: Vec<Change<'a>>,
    told: Option<u64>,
}

impl<'a> History<'a> {
    pub(super) fn new(records: &'a [Record]) -> Self {
        let mut changes = Vec::new();
        let mut told: Option<u64> = None;
        for record in records {
            match &record.event {
                Event::SidecarChange(change) => changes.push(Change { seq: record.seq, change }),
                Event::HistoryRead { changes } => {
                    *told.get_or_insert_default() += changes;
                }
                _ => {}
            }
        }
        Self { changes, told }
    }

    /// Why the history cannot be relied upon.
    pub(super) fn problem(&self) -> Option<Reason> {
        let found = self.changes.len() as u64;
        match self.told {
            None => {
                Some(reason(None, "the binlog was not read to its end (no history-read)".into()))
            }
            Some(told) if told != found => Some(reason(
                None,
                format!("the binlog held {told} changes, the journal holds {found}"),
            )),
            Some(_) => None,
        }
    }

    /// Changes of one table, in order.
    pub(super) fn of(&self, table: &'static str) -> impl Iterator<Item = Change<'a>> + '_ {
        self.changes.iter().copied().filter(move |change| change.change.table == table)
    }

    /// Every diff that the history knows, in order of appearance.
    pub(super) fn diffs(&self) -> Vec<Diff<'a>> {
        let mut diffs: Vec<Diff<'a>> = Vec::new();
        for change in self.of("vdiff") {
            let Some(row) = change.row() else { continue };
            let (id, uuid) = (text(row, "id"), text(row, "vdiff_uuid"));
            let position = diffs.iter().position(|diff| diff.id == id && diff.uuid == uuid);
            let position = position.unwrap_or_else(|| {
                diffs.push(Diff {
                    id,
                    uuid,
                    inserted: None,
                    deleted: None,
                    last: None,
                    moves: Vec::new(),
                });
                diffs.len() - 1
            });
            let diff = &mut diffs[position];
            match (&change.change.before, &change.change.after) {
                (None, _) => diff.inserted = Some(change),
                (Some(_), None) => diff.deleted = Some(change),
                (Some(_), Some(_)) => diff.moves.extend(change.state_move()),
            }
            diff.last = change.change.after.as_ref();
        }
        diffs
    }

    /// Messages of `vdiff_log`, with the diff's id.
    pub(super) fn log(&self) -> impl Iterator<Item = (Change<'a>, &'a str, &'a str)> + '_ {
        self.of("vdiff_log").filter_map(|change| {
            let row = change.change.after.as_ref()?;
            let is_insert = change.change.before.is_none();
            is_insert.then(|| (change, text(row, "vdiff_id"), text(row, "message")))
        })
    }
}

impl<'a> Change<'a> {
    /// The row after, or before when it was deleted.
    pub(super) fn row(&self) -> Option<&'a Row> {
        self.change.after.as_ref().or(self.change.before.as_ref())
    }

    /// The change of the column `state`, if it is one.
    pub(super) fn state_move(self) -> Option<Move<'a>> {
        let (from, to) = self.moved("state")?;
        Some(Move { change: self, from, to })
    }

    /// Values of a column before and after, if the change altered it.
    pub(super) fn moved(&self, column: &str) -> Option<(&'a str, &'a str)> {
        let before = text(self.change.before.as_ref()?, column);
        let after = text(self.change.after.as_ref()?, column);
        (before != after).then_some((before, after))
    }

    /// The transaction.
    pub(super) fn gtid(&self) -> &'a str {
        &self.change.gtid
    }
}

/// A column's text; empty when NULL or absent.
pub(super) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

/// A column's number; none when NULL, absent or no number.
pub(super) fn number(row: &Row, column: &str) -> Option<u64> {
    text(row, column).parse().ok()
}
