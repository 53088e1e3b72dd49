//! The statements that write a diff's own row. A state changes along legal transitions only, in one
//! transaction with its log line: what was given up before its commit never happens. The statements
//! that stand alone (postpone, release, take over) change no state and may come late.

use super::super::error::DiffError;
use super::super::state::DiffState;
use super::Store;
use crate::mysql::{DbError, Session, Value, bind};

const DUPLICATE_KEY: u16 = 1062;

impl Store {
    /// Makes a new diff; false if there is one of this uuid.
    pub(in crate::vdiff) async fn create(
        &self,
        uuid: &str,
        workflow: &str,
        state: DiffState,
        options: &str,
    ) -> Result<bool, DiffError> {
        let attempted = "creating a diff";
        let statement = bind(
            &format!(
                "insert into {} (vdiff_uuid, workflow, keyspace, shard, db_name, state, options, \
                 last_error, owner_epoch) values (?, ?, ?, ?, ?, ?, ?, '', ?)",
                self.vdiff()
            ),
            &[
                Value::from(uuid),
                Value::from(workflow),
                Value::from(self.keyspace.as_str()),
                Value::from(self.shard.as_str()),
                Value::from(self.sidecar.db_name()),
                Value::from(state.name()),
                Value::from(options),
                Value::from(self.epoch.0),
            ],
        );
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        let done = match session.run(attempted, &statement).await {
            Err(error) if error.code() == Some(DUPLICATE_KEY) => {
                session.rollback(attempted).await?;
                return Ok(false);
            }
            other => other?,
        };
        let shape = |_| DbError::Shape { attempted, column: "id".to_owned() };
        let id = i64::try_from(done.last_insert_id).map_err(shape)?;
        let log = format!("State changed to: {}", state.name());
        self.log(&mut session, attempted, id, &log).await?;
        session.commit(attempted).await?;
        Ok(true)
    }

    /// The diff's run begins. Returns the unclean starts without progress so far.
    pub(in crate::vdiff) async fn start(&self, id: i64) -> Result<u32, DiffError> {
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

    /// The whole diff is done.
    pub(in crate::vdiff) async fn complete(&self, id: i64) -> Result<(), DiffError> {
        let attempted = "completing a diff";
        let set = "completed_at = now(), last_error = '', error_kind = null, \
                   next_retry_at = null, attempts = 0";
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Completed, set).await?;
        Ok(session.commit(attempted).await?)
    }

    /// Writes the diff's error; `retry_at_ms` announces the next try.
    pub(in crate::vdiff) async fn fail(
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
    pub(in crate::vdiff) async fn postpone(
        &self,
        id: i64,
        retry_at_ms: i64,
    ) -> Result<(), DiffError> {
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
    pub(in crate::vdiff) async fn retry(&self, id: i64) -> Result<(), DiffError> {
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
            session.rollback(attempted).await?;
            return Err(self.why_unmatched(id, None).await);
        }
        self.unfinished_tables_become_pending(&mut session, attempted, id).await?;
        self.log(&mut session, attempted, id, "State changed to: pending").await?;
        Ok(session.commit(attempted).await?)
    }

    /// A clean end of our work on a diff that goes on later: the next start is not counted as coming
    /// after a crash. A diff that was stopped stays ours, for its resume may come before this.
    pub(in crate::vdiff) async fn release(&self, id: i64) -> Result<(), DbError> {
        let statement = format!(
            "update {} set owner_epoch = null where id = {id} and owner_epoch = {} \
             and state in ('pending', 'started')",
            self.vdiff(),
            self.epoch
        );
        self.db().run("releasing a diff", &statement).await.map(|_| ())
    }

    async fn unfinished_tables_become_pending(
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
    async fn change_state(
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

    /// The diff is to rest until it is resumed.
    pub(in crate::vdiff) async fn stop(&self, id: i64) -> Result<(), DiffError> {
        let attempted = "stopping a diff";
        let set =
            "last_error = '', error_kind = null, next_retry_at = null, attempts = 0, retries = 0";
        let mut session = self.db().session().await?;
        self.take_over(&mut session, attempted, id).await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Stopped, set).await?;
        let tables = format!(
            "update {} set state = 'stopped' where vdiff_id = {id} and state <> 'completed' \
             and owner_epoch = {}",
            self.vdiff_table(),
            self.epoch
        );
        session.run(attempted, &tables).await?;
        Ok(session.commit(attempted).await?)
    }

    /// The diff is to run again. Completed tables stay so, unless the whole diff was completed: then
    /// every table is continued after its last key, and its counts go on from where they were.
    pub(in crate::vdiff) async fn resume(
        &self,
        id: i64,
        cumulative: bool,
    ) -> Result<(), DiffError> {
        let attempted = "resuming a diff";
        let set = "started_at = null, completed_at = null, last_error = '', error_kind = null, \
                   next_retry_at = null, attempts = 0, retries = 0";
        let mut session = self.db().session().await?;
        self.take_over(&mut session, attempted, id).await?;
        session.begin(attempted).await?;
        self.change_state(&mut session, attempted, id, DiffState::Pending, set).await?;
        if cumulative {
            let tables = format!(
                "update {} set state = 'pending', phase = null, owner_epoch = {} where vdiff_id = {id}",
                self.vdiff_table(),
                self.epoch
            );
            session.run(attempted, &tables).await?;
        } else {
            self.unfinished_tables_become_pending(&mut session, attempted, id).await?;
        }
        Ok(session.commit(attempted).await?)
    }

    /// Rows that nobody owns (written by hand, or released) become ours; a newer owner's stay its own.
    async fn take_over(
        &self,
        session: &mut Session,
        attempted: &'static str,
        id: i64,
    ) -> Result<(), DiffError> {
        let statement = format!(
            "update {} set owner_epoch = {epoch} where id = {id} \
             and (owner_epoch is null or owner_epoch < {epoch})",
            self.vdiff(),
            epoch = self.epoch
        );
        session.run(attempted, &statement).await?;
        Ok(())
    }

    /// Deletes the diff, its tables and its log.
    pub(in crate::vdiff) async fn delete(&self, id: i64) -> Result<(), DiffError> {
        self.delete_with(id, &[self.vdiff_table(), self.vdiff_log()]).await
    }

    /// Deletes the diff and its log, and leaves its tables, as Vitess leaves a log (S26 of its
    /// `schema.go`): only a seeded bug does that.
    pub(in crate::vdiff) async fn delete_alone(&self, id: i64) -> Result<(), DiffError> {
        self.delete_with(id, &[self.vdiff_log()]).await
    }

    async fn delete_with(&self, id: i64, children: &[String]) -> Result<(), DiffError> {
        let attempted = "deleting a diff";
        let mut session = self.db().session().await?;
        session.begin(attempted).await?;
        let diff = format!(
            "delete from {} where id = {id} and (owner_epoch is null or owner_epoch <= {})",
            self.vdiff(),
            self.epoch
        );
        if session.run(attempted, &diff).await?.matched == 0 {
            session.rollback(attempted).await?;
            return Err(self.why_unmatched(id, None).await);
        }
        for child in children {
            let statement = format!("delete from {child} where vdiff_id = {id}");
            session.run(attempted, &statement).await?;
        }
        Ok(session.commit(attempted).await?)
    }
}
