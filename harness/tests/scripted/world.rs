//! What lies on the scripted system's disk: diffs, their tables and story, the workflow; and every committed
//! change of it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use records::journal::SidecarChange;
use records::journal::facts::{
    DiffChanged, DiffStatus, Fact, LogEntry, Said, TableChanged, TableStatus, WorkflowChanged,
    WorkflowHold, WorkflowStatus,
};
use system::{Progress, TableProgress};

/// A diff as it lies there.
#[derive(Clone, Debug)]
pub(crate) struct Diff {
    pub(crate) id: String,
    pub(crate) status: DiffStatus,
    pub(crate) tables: BTreeMap<String, TableStatus>,
}

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) diffs: BTreeMap<String, Diff>,
    pub(crate) workflow: Option<WorkflowStatus>,
    pub(crate) changes: Vec<SidecarChange>,
    /// How many of the changes are the trial's history, once that has ended.
    pub(crate) ended: Option<usize>,
    transactions: u64,
    made: u64,
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

impl World {
    /// Commits changes in one transaction.
    pub(crate) fn commit(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.transactions += 1;
        let (gtid, commit_us) = (format!("scripted:{}", self.transactions), now_us());
        self.changes.extend(facts.into_iter().map(|fact| SidecarChange {
            table: "scripted".to_owned(),
            gtid: gtid.clone(),
            commit_us,
            before: None,
            after: None,
            cursor_ordinal: None,
            facts: vec![fact],
        }));
    }

    /// A new diff of these tables, pending.
    pub(crate) fn create(&mut self, uuid: &str, tables: impl Iterator<Item = String>) {
        self.made += 1;
        let status = DiffStatus { state: "pending".to_owned(), ..DiffStatus::default() };
        let pending = TableStatus { state: "pending".to_owned(), ..TableStatus::default() };
        let tables = tables.map(|name| (name, pending.clone())).collect();
        let diff = Diff { id: self.made.to_string(), status: status.clone(), tables };
        let (before, after) = (None, Some(status));
        let created = DiffChanged { diff: diff.id.clone(), uuid: uuid.to_owned(), before, after };
        let mut facts = vec![Fact::Diff(created), tells(&diff.id, "pending")];
        let made = |(name, status): (&String, &TableStatus)| {
            let (diff, table) = (diff.id.clone(), name.clone());
            Fact::Table(TableChanged { diff, table, before: None, after: Some(status.clone()) })
        };
        facts.extend(diff.tables.iter().map(made));
        self.diffs.insert(uuid.to_owned(), diff);
        self.commit(facts);
    }

    /// A diff moves, and its tables that are not completed with it, in one transaction.
    pub(crate) fn move_to(&mut self, uuid: &str, state: &str, owner: Option<u64>) {
        let Some(diff) = self.diffs.get_mut(uuid) else { return };
        let before = diff.status.clone();
        let again = before.state == "completed" && state == "pending";
        diff.status = DiffStatus { state: state.to_owned(), owner, ..DiffStatus::default() };
        let after = Some(diff.status.clone());
        let (id, uuid) = (diff.id.clone(), uuid.to_owned());
        let before = Some(before);
        let mut facts = vec![Fact::Diff(DiffChanged { diff: id.clone(), uuid, before, after })];
        facts.push(tells(&id, state));
        for (table, status) in &mut diff.tables {
            let follows = match state {
                "stopped" => status.state == "started",
                "pending" => status.state == "stopped" || again,
                _ => false,
            };
            if follows {
                let before = Some(status.clone());
                status.state = state.to_owned();
                if again {
                    (status.rows, status.cursor, status.place) = (0, None, None);
                }
                let (diff, table, after) = (id.clone(), table.clone(), Some(status.clone()));
                facts.push(Fact::Table(TableChanged { diff, table, before, after }));
            }
        }
        self.commit(facts);
    }

    /// A table changes, and what the story says of it, in one transaction.
    pub(crate) fn change_table(
        &mut self,
        uuid: &str,
        table: &str,
        change: impl FnOnce(&mut TableStatus),
        said: impl IntoIterator<Item = Said>,
    ) {
        let Some(diff) = self.diffs.get_mut(uuid) else { return };
        let id = diff.id.clone();
        let Some(status) = diff.tables.get_mut(table) else { return };
        let before = Some(status.clone());
        change(status);
        let (after, table) = (Some(status.clone()), table.to_owned());
        let changed = Fact::Table(TableChanged { diff: id.clone(), table, before, after });
        let said = said.into_iter();
        let said = said.map(|said| Fact::Entry(LogEntry { diff: id.clone(), said }));
        let facts: Vec<Fact> = std::iter::once(changed).chain(said).collect();
        self.commit(facts);
    }

    /// The story says something.
    pub(crate) fn tell(&mut self, uuid: &str, said: Said) {
        let Some(diff) = self.diffs.get(uuid) else { return };
        let fact = Fact::Entry(LogEntry { diff: diff.id.clone(), said });
        self.commit([fact]);
    }

    /// A diff and its tables go.
    pub(crate) fn delete(&mut self, uuid: &str) {
        let Some(diff) = self.diffs.remove(uuid) else { return };
        let (id, uuid) = (diff.id, uuid.to_owned());
        let before = Some(diff.status);
        let gone = Fact::Diff(DiffChanged { diff: id.clone(), uuid, before, after: None });
        let tables = diff.tables.into_iter().map(|(table, status)| {
            let (diff, before) = (id.clone(), Some(status));
            Fact::Table(TableChanged { diff, table, before, after: None })
        });
        self.commit(std::iter::once(gone).chain(tables).collect::<Vec<_>>());
    }

    /// The workflow is made, runs or rests.
    pub(crate) fn set_workflow(&mut self, state: &str, message: &str, hold: Option<WorkflowHold>) {
        let before = self.workflow.clone();
        let (state, message) = (state.to_owned(), message.to_owned());
        let after = WorkflowStatus { state, message, hold, owner: None };
        self.workflow = Some(after.clone());
        let workflow = "1".to_owned();
        let after = Some(after);
        self.commit([Fact::Workflow(WorkflowChanged { workflow, before, after })]);
    }

    /// How far a diff is.
    pub(crate) fn progress(&self, uuid: &str) -> Progress {
        let mut progress = Progress { uuid: uuid.to_owned(), ..Progress::default() };
        let Some(diff) = self.diffs.get(uuid) else { return progress };
        progress.state = Some(diff.status.state.clone());
        progress.error.clone_from(&diff.status.error);
        let tables = diff.tables.iter().map(|(name, status)| TableProgress {
            table: name.clone(),
            state: status.state.clone(),
            phase: None,
            rows_compared: status.rows,
        });
        progress.tables = tables.collect();
        progress.rows_compared = progress.tables.iter().map(|table| table.rows_compared).sum();
        progress
    }

    /// The trial's history.
    pub(crate) fn history(&self) -> Vec<SidecarChange> {
        self.changes[..self.ended.unwrap_or(self.changes.len())].to_vec()
    }
}

fn tells(diff: &str, state: &str) -> Fact {
    let said = Said::StateMoved { to: state.to_owned() };
    Fact::Entry(LogEntry { diff: diff.to_owned(), said })
}
