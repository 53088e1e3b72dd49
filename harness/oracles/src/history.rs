//! The committed history of a trial's diffs, with the shape that oracles need.

use records::journal::facts::{
    DiffChanged, DiffStatus, Fact, LogEntry, Said, TableChanged, WorkflowChanged,
};
use records::journal::{Event, Record, SidecarChange};
use records::verdict::Reason;

/// A fact with its place in the journal and its transaction.
#[derive(Debug)]
pub(super) struct Change<'a, T> {
    pub(super) seq: u64,
    pub(super) change: &'a SidecarChange,
    pub(super) fact: &'a T,
}

impl<T> Clone for Change<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Change<'_, T> {}

/// The history of one diff.
#[derive(Clone, Debug)]
pub(super) struct Diff<'a> {
    pub(super) id: &'a str,
    pub(super) uuid: &'a str,
    pub(super) inserted: Option<Change<'a, DiffChanged>>,
    pub(super) deleted: Option<Change<'a, DiffChanged>>,
    /// How a diff that is still there stood at last.
    pub(super) last: Option<&'a DiffStatus>,
    pub(super) moves: Vec<Move<'a, DiffChanged>>,
}

/// A change of a state.
#[derive(Clone, Debug)]
pub(super) struct Move<'a, T> {
    pub(super) change: Change<'a, T>,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// All committed changes of a trial, in commit order.
pub(super) struct History<'a> {
    pub(super) facts: Vec<Change<'a, Fact>>,
    changes: u64,
    told: Option<u64>,
}

impl<'a> History<'a> {
    pub(super) fn new(records: &'a [Record]) -> Self {
        let mut facts = Vec::new();
        let mut changes = 0;
        let mut told: Option<u64> = None;
        for record in records {
            match &record.event {
                Event::SidecarChange(change) => {
                    changes += 1;
                    let of = |fact| Change { seq: record.seq, change, fact };
                    facts.extend(change.facts.iter().map(of));
                }
                Event::HistoryRead { changes } => {
                    *told.get_or_insert_default() += changes;
                }
                _ => {}
            }
        }
        Self { facts, changes, told }
    }

    /// Why the history cannot be relied upon.
    pub(super) fn problem(&self) -> Option<Reason> {
        let found = self.changes;
        match self.told {
            None => Some(Reason::new(None, "the binlog was not read to its end (no history-read)")),
            Some(told) if told != found => Some(Reason::new(
                None,
                format!("the binlog held {told} changes, the journal holds {found}"),
            )),
            Some(_) => None,
        }
    }

    /// Changes of diffs, in order.
    pub(super) fn of_diffs(&self) -> impl Iterator<Item = Change<'a, DiffChanged>> + '_ {
        self.facts.iter().filter_map(|change| match change.fact {
            Fact::Diff(diff) => Some(change.with(diff)),
            _ => None,
        })
    }

    /// Changes of diffs' tables, in order.
    pub(super) fn of_tables(&self) -> impl Iterator<Item = Change<'a, TableChanged>> + '_ {
        self.facts.iter().filter_map(|change| match change.fact {
            Fact::Table(table) => Some(change.with(table)),
            _ => None,
        })
    }

    /// Changes of the workflow, in order.
    pub(super) fn of_workflows(&self) -> impl Iterator<Item = Change<'a, WorkflowChanged>> + '_ {
        self.facts.iter().filter_map(|change| match change.fact {
            Fact::Workflow(workflow) => Some(change.with(workflow)),
            _ => None,
        })
    }

    /// The lines of the diffs' stories, in order.
    pub(super) fn log(&self) -> impl Iterator<Item = Change<'a, LogEntry>> + '_ {
        self.facts.iter().filter_map(|change| match change.fact {
            Fact::Entry(entry) => Some(change.with(entry)),
            _ => None,
        })
    }

    /// Every diff that the history knows, in order of appearance.
    pub(super) fn diffs(&self) -> Vec<Diff<'a>> {
        let mut diffs: Vec<Diff<'a>> = Vec::new();
        for change in self.of_diffs() {
            let (id, uuid) = (change.fact.diff.as_str(), change.fact.uuid.as_str());
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
            match (&change.fact.before, &change.fact.after) {
                (None, _) => diff.inserted = Some(change),
                (Some(_), None) => diff.deleted = Some(change),
                (Some(_), Some(_)) => diff.moves.extend(change.state_move()),
            }
            diff.last = change.fact.after.as_ref();
        }
        diffs
    }
}

impl<'a, T> Change<'a, T> {
    fn with<U>(&self, fact: &'a U) -> Change<'a, U> {
        Change { seq: self.seq, change: self.change, fact }
    }

    /// The transaction.
    pub(super) fn gtid(&self) -> &'a str {
        &self.change.gtid
    }
}

impl<'a> Change<'a, DiffChanged> {
    /// The diff's status after, or before when it was deleted.
    pub(super) fn status(&self) -> Option<&'a DiffStatus> {
        self.fact.after.as_ref().or(self.fact.before.as_ref())
    }

    /// The change of its state, if it is one.
    pub(super) fn state_move(self) -> Option<Move<'a, DiffChanged>> {
        let (from, to) = (&self.fact.before.as_ref()?.state, &self.fact.after.as_ref()?.state);
        (from != to).then_some(Move { change: self, from, to })
    }
}

impl<'a> Change<'a, TableChanged> {
    /// The change of its state, if it is one.
    pub(super) fn state_move(self) -> Option<Move<'a, TableChanged>> {
        let (from, to) = (&self.fact.before.as_ref()?.state, &self.fact.after.as_ref()?.state);
        (from != to).then_some(Move { change: self, from, to })
    }
}

impl<'a> Change<'a, LogEntry> {
    /// The state that the entry says the diff has come to.
    pub(super) fn told_state(&self) -> Option<&'a str> {
        match &self.fact.said {
            Said::StateMoved { to } => Some(to),
            _ => None,
        }
    }
}
