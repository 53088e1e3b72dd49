//! The statements that write the rows of a diff's tables.
//!
//! A checkpoint is a statement of its own, without a transaction around it: given up, it may still be
//! committed later. So none of these touches a completed table, and a checkpoint never takes back
//! the count of a later one.

use super::super::error::DiffError;
use super::super::state::{DiffState, TablePhase};
use super::Store;
use crate::mysql::{DbError, Value, bind, quote_text};

/// What a checkpoint saves, in one statement.
#[derive(Clone, Debug)]
pub(in crate::vdiff) struct Progress {
    pub(in crate::vdiff) rows_compared: u64,
    pub(in crate::vdiff) lastpk: Option<String>,
    pub(in crate::vdiff) report: String,
    pub(in crate::vdiff) mismatch: bool,
}

const NOT_COMPLETED: &str = "coalesce(state, '') <> 'completed'";

/// One change of a table's row, with the diff's log line in the same transaction if it has one.
struct Change<'a> {
    attempted: &'static str,
    /// Besides that the row is there and ours.
    condition: &'a str,
    set: &'a str,
    log: Option<String>,
}

impl Store {
    /// Makes the rows of tables that have none yet.
    pub(in crate::vdiff) async fn add_tables(
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
    pub(in crate::vdiff) async fn table_started(
        &self,
        id: i64,
        table: &str,
    ) -> Result<(), DiffError> {
        let set = format!("state = 'started', phase = '{}'", TablePhase::Snapshot.name());
        let change = Change {
            attempted: "starting a table",
            condition: "state in ('pending', 'started')",
            set: &set,
            log: Some(format!("started: table '{table}'")),
        };
        self.change_table(id, table, change).await
    }

    /// Both snapshots stand; rows are compared from now on.
    pub(in crate::vdiff) async fn table_streaming(
        &self,
        id: i64,
        table: &str,
        after: &str,
    ) -> Result<(), DiffError> {
        let set = format!("phase = '{}'", TablePhase::Streaming.name());
        let change = Change {
            attempted: "beginning to stream",
            condition: NOT_COMPLETED,
            set: &set,
            log: Some(format!("streaming: table '{table}' after {after}")),
        };
        self.change_table(id, table, change).await
    }

    /// Saves progress: counts, samples and cursor in one statement, and nothing else.
    pub(in crate::vdiff) async fn checkpoint(
        &self,
        id: i64,
        table: &str,
        progress: &Progress,
    ) -> Result<(), DiffError> {
        let condition = format!("{NOT_COMPLETED} and rows_compared <= {}", progress.rows_compared);
        let change = Change {
            attempted: "saving a checkpoint",
            condition: &condition,
            set: &saved(progress),
            log: None,
        };
        self.change_table(id, table, change).await
    }

    /// Saves what a checkpoint counts, and leaves the cursor to the statement that follows: only a
    /// seeded bug does that.
    pub(in crate::vdiff) async fn counts_alone(
        &self,
        id: i64,
        table: &str,
        progress: &Progress,
    ) -> Result<(), DiffError> {
        let set = bind("report = ?", &[Value::from(progress.report.as_str())]);
        let change =
            Change { attempted: "saving counts", condition: NOT_COMPLETED, set: &set, log: None };
        self.change_table(id, table, change).await
    }

    /// All rows were compared.
    pub(in crate::vdiff) async fn table_reconciling(
        &self,
        id: i64,
        table: &str,
    ) -> Result<(), DiffError> {
        let set = format!("phase = '{}'", TablePhase::Reconcile.name());
        let change = Change {
            attempted: "beginning to reconcile",
            condition: NOT_COMPLETED,
            set: &set,
            log: Some(format!("reconciling: table '{table}'")),
        };
        self.change_table(id, table, change).await
    }

    /// A table is done, with its final report.
    pub(in crate::vdiff) async fn table_completed(
        &self,
        id: i64,
        table: &str,
        progress: &Progress,
    ) -> Result<(), DiffError> {
        let done = TablePhase::Done.name();
        let set = format!("{}, state = 'completed', phase = '{done}'", saved(progress));
        let change = Change {
            attempted: "completing a table",
            condition: NOT_COMPLETED,
            set: &set,
            log: Some(format!("completed: table '{table}'")),
        };
        self.change_table(id, table, change).await
    }

    /// Puts a diff that has no table in work back to the beginning of the table completed last, with
    /// its counts: only a seeded bug does that.
    pub(in crate::vdiff) async fn last_table_again(&self, id: i64) -> Result<(), DbError> {
        let tables = self.tables(id).await?;
        let of = |state: DiffState| tables.iter().filter(move |table| table.state == state.name());
        let between = of(DiffState::Started).next().is_none() && of(DiffState::Pending).count() > 0;
        let Some(last) = of(DiffState::Completed).max_by_key(|table| &table.name) else {
            return Ok(());
        };
        if !between {
            return Ok(());
        }
        let statement = format!(
            "update {} set state = 'pending', lastpk = null where vdiff_id = {id} \
             and table_name = {} and owner_epoch = {}",
            self.vdiff_table(),
            quote_text(&last.name),
            self.epoch
        );
        self.db().run("going back to a table", &statement).await.map(|_| ())
    }

    /// The parent is read without a lock (`READ COMMITTED`): a diff whose row was deleted is not
    /// written to, and a checkpoint never waits for who holds that row.
    async fn change_table(
        &self,
        id: i64,
        table: &str,
        change: Change<'_>,
    ) -> Result<(), DiffError> {
        let Change { attempted, condition, set, log } = change;
        let statement = format!(
            "update {} set {set} where vdiff_id = {id} and table_name = {} and owner_epoch = {} \
             and {condition} and exists (select 1 from {} v where v.id = {id})",
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
            if log.is_some() {
                session.rollback(attempted).await?;
            }
            return Err(self.why_unmatched(id, Some(table)).await);
        }
        if let Some(log) = log {
            self.log(&mut session, attempted, id, &log).await?;
            session.commit(attempted).await?;
        }
        Ok(())
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
