//! The rows of `vdiff`, `vdiff_table` and `vdiff_log`: every statement that VDiff writes.
//!
//! Every write carries our epoch in its `where`; one that matches no row finds out why. The log line
//! of a state change is written in the transaction of the change. Log lines are inserted from a
//! select on the diff's row, so that a deleted diff gets no later writes.

use crate::engine::Epoch;
use crate::mysql::{Db, DbError, Row, Session, Value, bind, quote_text, truncate_chars};
use crate::sidecardb::Sidecar;

use super::error::DiffError;
use super::state::{DiffState, TablePhase};

/// A diff's row.
#[derive(Clone, Debug)]
pub(super) struct DiffRow {
    pub(super) id: i64,
    pub(super) uuid: String,
    pub(super) workflow: String,
    /// As written; others write too.
    pub(super) state: String,
    pub(super) options: String,
    pub(super) ephemeral: bool,
    pub(super) next_retry_at_ms: Option<i64>,
    pub(super) retries: u32,
}

/// A table's row.
#[derive(Clone, Debug)]
pub(super) struct TableRow {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) lastpk: Option<Vec<u8>>,
    pub(super) report: Option<String>,
}

/// What a checkpoint saves, in one statement.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) rows_compared: u64,
    pub(super) lastpk: Option<String>,
    pub(super) report: String,
    pub(super) mismatch: bool,
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
    coalesce(error_kind, '') = 'ephemeral', next_retry_at, coalesce(retries, 0)";

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

    /// The diffs that are to run: unfinished ones and those whose error may pass.
    pub(super) async fn unfinished(&self) -> Result<Vec<DiffRow>, DbError> {
        let condition = "state in ('pending', 'started') or \
             (state = 'error' and error_kind = 'ephemeral')";
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

    /// The diff's run begins. Returns the unclean starts without progress so far.
    pub(super) async fn start(&self, id: i64) -> Result<u32, DiffError> {
        let attempted = "starting a diff";
        let progress = format!(
            "(select coalesce(sum(checkpoints), 0) from {} where vdiff_id = {id})",
            self.vdiff_table()
        );
        // MySQL assigns from left to right: `attempts` sees the former `checkpoints_at_start`.
        let set = format!(
            "started_at = now(), last_error = '', error_kind = null, next_retry_at = null, \
             attempts = if({progress} > coalesce(checkpoints_at_start, 0), 0, \
             coalesce(attempts, 0)), checkpoints_at_start = {progress}"
        );
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Started, &set).await?;
        let select = format!("select coalesce(attempts, 0) from {} where id = {id}", self.vdiff());
        let rows = session.rows(attempted, &select).await?;
        session.commit(attempted).await?;
        Ok(rows.first().and_then(|row| row.get(0)).unwrap_or_default())
    }

    /// Makes the rows of tables that have none yet.
    pub(super) async fn add_tables(
        &self,
        id: i64,
        tables: &[(String, i64)],
    ) -> Result<(), DiffError> {
        let attempted = "adding a diff's tables";
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        for (name, rows) in tables {
            let statement = bind(
                &format!(
                    "insert into {} (vdiff_id, table_name, state, table_rows, owner_epoch) \
                     select id, ?, 'pending', ?, ? from {} where id = ? and owner_epoch = ? \
                     on duplicate key update table_rows = values(table_rows)",
                    self.vdiff_table(),
                    self.vdiff()
                ),
                &[
                    Value::from(name.as_str()),
                    Value::from(*rows),
                    Value::from(self.epoch.0),
                    Value::from(id),
                    Value::from(self.epoch.0),
                ],
            );
            session.run(attempted, &statement).await?;
        }
        Ok(session.commit(attempted).await?)
    }

    /// A table's turn begins.
    pub(super) async fn table_started(&self, id: i64, table: &str) -> Result<(), DiffError> {
        let set = format!("state = 'started', phase = '{}'", TablePhase::Snapshot.name());
        let log = format!("started: table '{table}'");
        self.change_table("starting a table", id, table, &set, Some(&log)).await
    }

    /// Both snapshots stand; rows are compared from now on.
    pub(super) async fn table_streaming(
        &self,
        id: i64,
        table: &str,
        after: &str,
    ) -> Result<(), DiffError> {
        let set = format!("phase = '{}'", TablePhase::Streaming.name());
        let log = format!("streaming: table '{table}' after {after}");
        self.change_table("beginning to stream", id, table, &set, Some(&log)).await
    }

    /// Saves progress: counts, samples and cursor in one statement, and nothing else.
    pub(super) async fn checkpoint(
        &self,
        id: i64,
        table: &str,
        progress: &Progress,
    ) -> Result<(), DiffError> {
        let set = saved(progress);
        self.change_table("saving a checkpoint", id, table, &set, None).await
    }

    /// All rows were compared.
    pub(super) async fn table_reconciling(&self, id: i64, table: &str) -> Result<(), DiffError> {
        let set = format!("phase = '{}'", TablePhase::Reconcile.name());
        let log = format!("reconciling: table '{table}'");
        self.change_table("beginning to reconcile", id, table, &set, Some(&log)).await
    }

    /// A table is done, with its final report.
    pub(super) async fn table_completed(
        &self,
        id: i64,
        table: &str,
        progress: &Progress,
    ) -> Result<(), DiffError> {
        let done = TablePhase::Done.name();
        let set = format!("{}, state = 'completed', phase = '{done}'", saved(progress));
        let log = format!("completed: table '{table}'");
        self.change_table("completing a table", id, table, &set, Some(&log)).await
    }

    /// The parent is read without a lock (`READ COMMITTED`): a diff whose row was deleted is not
    /// written to, and a checkpoint never waits for who holds that row.
    async fn change_table(
        &self,
        attempted: &'static str,
        id: i64,
        table: &str,
        set: &str,
        log: Option<&str>,
    ) -> Result<(), DiffError> {
        let statement = format!(
            "update {} set {set} where vdiff_id = {id} and table_name = {} and owner_epoch = {} \
             and exists (select 1 from {} v where v.id = {id})",
            self.vdiff_table(),
            quote_text(table),
            self.epoch,
            self.vdiff()
        );
        let mut session = self.db().session().await?;
        if log.is_some() {
            session.begin(attempted).await?;
        }
        if session.run(attempted, &statement).await?.matched == 0 {
            drop(session);
            return Err(self.why_unmatched(id, Some(table)).await);
        }
        if let Some(log) = log {
            self.log(&mut session, attempted, id, log).await?;
            session.commit(attempted).await?;
        }
        Ok(())
    }

    /// The whole diff is done.
    pub(super) async fn complete(&self, id: i64) -> Result<(), DiffError> {
        let attempted = "completing a diff";
        let set = "completed_at = now(), last_error = '', error_kind = null, \
                   next_retry_at = null, attempts = 0";
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Completed, set).await?;
        Ok(session.commit(attempted).await?)
    }

    /// Writes the diff's error; `retry_at_ms` announces the next try.
    pub(super) async fn fail(
        &self,
        id: i64,
        text: &str,
        ephemeral: bool,
        retry_at_ms: Option<i64>,
    ) -> Result<(), DiffError> {
        let attempted = "recording a diff's error";
        let kind = if ephemeral { "ephemeral" } else { "lasting" };
        let set = bind(
            "last_error = ?, error_kind = ?, next_retry_at = ?, \
             retries = coalesce(retries, 0) + ?, attempts = if(?, 0, attempts)",
            &[
                Value::from(text),
                Value::from(kind),
                Value::from(retry_at_ms),
                Value::from(i32::from(retry_at_ms.is_some())),
                // A lasting error at the cap goes on showing why.
                Value::from(i32::from(ephemeral)),
            ],
        );
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Error, &set).await?;
        let tables = format!(
            "update {} set state = 'error' where vdiff_id = {id} and state = 'started' \
             and owner_epoch = {}",
            self.vdiff_table(),
            self.epoch
        );
        session.run(attempted, &tables).await?;
        self.log(&mut session, attempted, id, &format!("error: {text}")).await?;
        Ok(session.commit(attempted).await?)
    }

    /// Announces a later time for the next try.
    pub(super) async fn postpone(&self, id: i64, retry_at_ms: i64) -> Result<(), DiffError> {
        let statement = format!(
            "update {} set next_retry_at = {retry_at_ms} where id = {id} and state = 'error' \
             and owner_epoch = {}",
            self.vdiff(),
            self.epoch
        );
        match self.db().run("postponing a retry", &statement).await?.matched {
            0 => Err(self.why_unmatched(id, None).await),
            _ => Ok(()),
        }
    }

    /// An ephemeral error is over: the diff is tried again.
    pub(super) async fn retry(&self, id: i64) -> Result<(), DiffError> {
        let attempted = "retrying a diff";
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        // Not from `stopped` or `completed`: only an operator's resume does that.
        let statement = format!(
            "update {} set state = 'pending', last_error = '', error_kind = null, \
             next_retry_at = null where id = {id} and owner_epoch = {} and state = 'error'",
            self.vdiff(),
            self.epoch
        );
        if session.run(attempted, &statement).await?.matched == 0 {
            drop(session);
            return Err(self.why_unmatched(id, None).await);
        }
        self.unfinished_tables_become_pending(&mut session, attempted, id).await?;
        self.log(&mut session, attempted, id, "State changed to: pending").await?;
        Ok(session.commit(attempted).await?)
    }

    /// A clean end of our work on a diff that is not complete: the next start is not counted as
    /// coming after a crash.
    pub(super) async fn release(&self, id: i64) -> Result<(), DbError> {
        let statement = format!(
            "update {} set owner_epoch = null where id = {id} and owner_epoch = {}",
            self.vdiff(),
            self.epoch
        );
        self.db().run("releasing a diff", &statement).await.map(|_| ())
    }

    pub(super) async fn unfinished_tables_become_pending(
        &self,
        session: &mut Session,
        attempted: &'static str,
        id: i64,
    ) -> Result<(), DbError> {
        let statement = format!(
            "update {} set state = 'pending', owner_epoch = {} where vdiff_id = {id} \
             and state <> 'completed'",
            self.vdiff_table(),
            self.epoch
        );
        session.run(attempted, &statement).await.map(|_| ())
    }

    /// Moves a diff into `state` along a legal transition, with its log line.
    pub(super) async fn change_state(
        &self,
        session: &mut Session,
        attempted: &'static str,
        id: i64,
        state: DiffState,
        set: &str,
    ) -> Result<(), DiffError> {
        let statement = format!(
            "update {} set state = '{}', {set} where id = {id} and owner_epoch = {} and {}",
            self.vdiff(),
            state.name(),
            self.epoch,
            state.reached_from_condition()
        );
        if session.run(attempted, &statement).await?.matched == 0 {
            session.rollback(attempted).await?;
            return Err(self.why_unmatched(id, None).await);
        }
        let log = format!("State changed to: {}", state.name());
        Ok(self.log(session, attempted, id, &log).await?)
    }

    /// Adds a line to the diff's log.
    pub(super) async fn log(
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

fn saved(progress: &Progress) -> String {
    bind(
        "rows_compared = ?, lastpk = ?, report = ?, mismatch = ?, \
         checkpoints = coalesce(checkpoints, 0) + 1",
        &[
            Value::from(progress.rows_compared),
            Value::from(progress.lastpk.as_deref()),
            Value::from(progress.report.as_str()),
            Value::from(i32::from(progress.mismatch)),
        ],
    )
}

fn diff_row(row: &Row) -> Option<DiffRow> {
    Some(DiffRow {
        id: row.get(0)?,
        uuid: row.get(1)?,
        workflow: row.get(2)?,
        state: row.get(3)?,
        options: row.get(4)?,
        ephemeral: row.get::<u8, _>(5)? == 1,
        next_retry_at_ms: row.get::<Option<i64>, _>(6)?,
        retries: row.get(7)?,
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
