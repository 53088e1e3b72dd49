//! The rows of `vdiff`, `vdiff_table` and `vdiff_log`: every statement that VDiff writes, of diffs in
//! [`diffs`], of their tables in [`tables`].
//!
//! Every write carries our epoch in its `where`; one that matches no row finds out why. The log line
//! of a state change is written in the transaction of the change. Log lines are inserted from a
//! select on the diff's row, so that a deleted diff gets no later writes.

mod diffs;
mod tables;

use super::error::DiffError;
use super::state::DiffState;
use crate::engine::Epoch;
use crate::mysql::{Db, DbError, Row, Session, Value, bind, quote_text, truncate_chars};
use crate::sidecardb::Sidecar;

pub(super) use tables::Progress;

/// A diff's row.
#[derive(Clone, Debug)]
pub(super) struct DiffRow {
    pub(super) id: i64,
    pub(super) uuid: String,
    pub(super) workflow: String,
    /// As written; others write too.
    pub(super) state: String,
    pub(super) options: String,
    /// Announced for a diff in `error` that is to be tried again.
    pub(super) next_retry_at_ms: Option<i64>,
    pub(super) retries: u32,
}

impl DiffRow {
    /// Whether a controller has to work on it.
    pub(super) fn is_to_run(&self) -> bool {
        match DiffState::parse(&self.state) {
            Some(DiffState::Pending | DiffState::Started) => true,
            Some(DiffState::Error) => self.next_retry_at_ms.is_some(),
            Some(DiffState::Stopped | DiffState::Completed) | None => false,
        }
    }
}

/// A table's row.
#[derive(Clone, Debug)]
pub(super) struct TableRow {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) lastpk: Option<Vec<u8>>,
    pub(super) report: Option<String>,
}

/// Reads and writes the rows of one tablet's diffs under one epoch.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) sidecar: Sidecar,
    pub(super) keyspace: String,
    pub(super) shard: String,
    pub(super) epoch: Epoch,
}

const DIFF_COLUMNS: &str = "id, vdiff_uuid, cast(coalesce(workflow, '') as char), \
    cast(coalesce(state, '') as char), cast(coalesce(options, '') as char), \
    next_retry_at, coalesce(retries, 0)";

impl Store {
    pub(super) fn db(&self) -> &Db {
        self.sidecar.db()
    }

    pub(super) fn vdiff(&self) -> String {
        self.sidecar.table("vdiff")
    }

    pub(super) fn vdiff_table(&self) -> String {
        self.sidecar.table("vdiff_table")
    }

    pub(super) fn vdiff_log(&self) -> String {
        self.sidecar.table("vdiff_log")
    }

    /// The diffs that are to run: unfinished ones and those whose retry was announced.
    pub(super) async fn unfinished(&self) -> Result<Vec<DiffRow>, DbError> {
        let condition = "state in ('pending', 'started') or \
             (state = 'error' and error_kind = 'ephemeral' and next_retry_at is not null)";
        self.diffs("reading unfinished diffs", condition).await
    }

    /// The diff of that uuid.
    pub(super) async fn diff(&self, uuid: &str) -> Result<Option<DiffRow>, DbError> {
        let condition = format!("vdiff_uuid = {}", quote_text(uuid));
        Ok(self.diffs("reading a diff", &condition).await?.into_iter().next())
    }

    /// The uuids of all diffs of a workflow.
    pub(super) async fn uuids(&self, workflow: &str) -> Result<Vec<String>, DbError> {
        let condition = format!("workflow = {}", quote_text(workflow));
        let diffs = self.diffs("listing diffs", &condition).await?;
        Ok(diffs.into_iter().map(|diff| diff.uuid).collect())
    }

    async fn diffs(
        &self,
        attempted: &'static str,
        condition: &str,
    ) -> Result<Vec<DiffRow>, DbError> {
        let statement = format!(
            "select {DIFF_COLUMNS} from {} where db_name = {} and ({condition}) order by id",
            self.vdiff(),
            quote_text(self.sidecar.db_name()),
        );
        let rows = self.db().rows(attempted, &statement).await?;
        let shape = || DbError::Shape { attempted, column: "vdiff".to_owned() };
        rows.iter().map(|row| diff_row(row).ok_or_else(shape)).collect()
    }

    /// The tables of a diff.
    pub(super) async fn tables(&self, id: i64) -> Result<Vec<TableRow>, DbError> {
        let attempted = "reading a diff's tables";
        let statement = bind(
            &format!(
                "select cast(table_name as char), cast(coalesce(state, '') as char), lastpk, \
                 cast(report as char) from {} where vdiff_id = ?",
                self.vdiff_table()
            ),
            &[Value::from(id)],
        );
        let rows = self.db().rows(attempted, &statement).await?;
        let shape = || DbError::Shape { attempted, column: "vdiff_table".to_owned() };
        rows.iter().map(|row| table_row(row).ok_or_else(shape)).collect()
    }

    /// Deletes child rows whose diff is gone, after an operator's surgery.
    pub(super) async fn sweep_orphans(&self) -> Result<(), DbError> {
        for child in [self.vdiff_table(), self.vdiff_log()] {
            let statement = format!(
                "delete from {child} where vdiff_id not in (select id from {})",
                self.vdiff()
            );
            let done = self.db().run("sweeping orphaned rows", &statement).await?;
            if done.matched > 0 {
                tracing::info!(rows = done.matched, table = child, "swept orphaned rows");
            }
        }
        Ok(())
    }

    /// Adds a line to the diff's log.
    async fn log(
        &self,
        session: &mut Session,
        attempted: &'static str,
        id: i64,
        message: &str,
    ) -> Result<(), DbError> {
        let statement = bind(
            &format!(
                "insert into {} (vdiff_id, message) select id, ? from {} where id = ?",
                self.vdiff_log(),
                self.vdiff()
            ),
            &[Value::from(truncate_chars(message, 8192)), Value::from(id)],
        );
        session.run(attempted, &statement).await.map(|_| ())
    }

    /// A fenced statement matched no row: was the row deleted, taken over, or changed?
    async fn why_unmatched(&self, id: i64, table: Option<&str>) -> DiffError {
        let statement = format!(
            "select cast(coalesce(state, '') as char), owner_epoch from {} where id = {id}",
            self.vdiff()
        );
        let rows = match self.db().rows("looking for a diff's row", &statement).await {
            Ok(rows) => rows,
            Err(error) => return error.into(),
        };
        let Some(row) = rows.first() else { return DiffError::Gone };
        let state: String = row.get(0).unwrap_or_default();
        let owner: Option<i64> = row.get::<Option<i64>, _>(1).flatten();
        if owner != Some(self.epoch.0) {
            return DiffError::TakenOver(format!("its owner is {owner:?}"));
        }
        match table {
            // Child rows were deleted under us: made anew, the table is compared from its beginning.
            Some(table) if state == DiffState::Started.name() => {
                DiffError::Ephemeral(format!("the row of table '{table}' was deleted or changed"))
            }
            _ => DiffError::TakenOver(format!("its state is '{state}'")),
        }
    }
}

fn diff_row(row: &Row) -> Option<DiffRow> {
    Some(DiffRow {
        id: row.get(0)?,
        uuid: row.get(1)?,
        workflow: row.get(2)?,
        state: row.get(3)?,
        options: row.get(4)?,
        next_retry_at_ms: row.get::<Option<i64>, _>(5)?,
        retries: row.get(6)?,
    })
}

fn table_row(row: &Row) -> Option<TableRow> {
    Some(TableRow {
        name: row.get(0)?,
        state: row.get(1)?,
        lastpk: row.get::<Option<Vec<u8>>, _>(2)?,
        report: row.get::<Option<String>, _>(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that runs without an announced retry would undo `auto_retry = false` at each restart.
    #[test]
    fn an_error_runs_by_itself_only_if_its_retry_was_announced() {
        let runs = |state: &str, next_retry_at_ms| {
            let diff = DiffRow {
                id: 1,
                uuid: "u".to_owned(),
                workflow: "w".to_owned(),
                state: state.to_owned(),
                options: String::new(),
                next_retry_at_ms,
                retries: 0,
            };
            diff.is_to_run()
        };
        assert!(runs("pending", None) && runs("started", None) && runs("error", Some(7)));
        for state in ["error", "stopped", "completed", "unknown"] {
            assert!(!runs(state, None), "{state}");
        }
        assert!(!runs("stopped", Some(7)));
    }
}
