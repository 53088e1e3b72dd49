//! MySQL as the latch: the harness holds a lock that a phase's statement needs, and sees it wait.
//!
//! A phase may be over in a millisecond. While the statement that the phase cannot do without waits
//! for our lock, the phase lasts as long as we want. When the tablet is killed meanwhile, its
//! statement lives on in the server as a ghost: it is disposed of (its connection killed) before the
//! lock is released, or it would write after its process died.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Pool};
use records::schedule::Phase;

use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};
use system::Progress;

const LOOK: Duration = Duration::from_millis(5);
/// A killed connection is gone in this time.
const GHOST_GONE: Duration = Duration::from_secs(5);

/// A statement that waits for our lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// Its connection's id.
    pub connection: u64,
    /// Its user: one incarnation of a tablet.
    pub user: String,
    /// The statement, as far as the server shows it.
    pub statement: String,
}

/// A held phase.
#[derive(Debug)]
pub struct Latch {
    phase: Phase,
    holder: Conn,
    pool: Pool,
    ghost: Ghost,
}

impl Latch {
    /// Waits until the diff is before the phase, takes the lock, and waits until the phase's
    /// statement waits for it. The inner error says why the phase will not come.
    ///
    /// # Errors
    /// When MySQL fails the harness.
    pub async fn catch(
        stage: &Stage,
        phase: Phase,
        within: Duration,
    ) -> Result<Result<Latch, String>, ActError> {
        let deadline = Instant::now() + within;
        let pool = stage.servers()?.target.pool();
        let what = format!("holding the diff in phase {}", phase.name());
        let mut holder = pool.get_conn().await.during(what.clone())?;
        loop {
            if let Err(reason) = wait_before(stage, phase, deadline).await? {
                return Ok(Err(reason));
            }
            holder.query_drop("start transaction").await.during(what.clone())?;
            holder.query_drop(lock_statement(stage, phase)?).await.during(what.clone())?;
            // The diff may have moved on between the look and the lock.
            let progress = stage.progress().await?;
            if is_before(&progress, phase) {
                break;
            }
            holder.query_drop("rollback").await.during(what.clone())?;
        }
        match wait_caught(stage, &pool, deadline).await? {
            Ok(ghost) => Ok(Ok(Latch { phase, holder, pool, ghost })),
            Err(reason) => {
                holder.query_drop("rollback").await.during(what)?;
                Ok(Err(reason))
            }
        }
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What was seen, for the journal.
    #[must_use]
    pub fn seen(&self) -> String {
        format!(
            "connection {} of {} waits: {}",
            self.ghost.connection, self.ghost.user, self.ghost.statement
        )
    }

    /// The statement lived on after its process died: kills its connection, and waits until it is
    /// gone. Then releases the lock.
    ///
    /// # Errors
    /// When the ghost does not go.
    pub async fn dispose(self) -> Result<(), ActError> {
        let what = "disposing of the dead tablet's statement";
        let mut conn = self.pool.get_conn().await.during(what)?;
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let alive: Option<u64> = conn
                .exec_first(
                    "select id from information_schema.processlist where id = ? and user = ?",
                    (self.ghost.connection, &self.ghost.user),
                )
                .await
                .during(what)?;
            if alive.is_none() {
                break;
            }
            if began.elapsed() > GHOST_GONE {
                return Err(ActError::new(format!(
                    "{what}: it is still there after {GHOST_GONE:?}"
                )));
            }
            match conn.query_drop(format!("kill {}", self.ghost.connection)).await {
                Ok(()) => {}
                // 1094, unknown thread: it went by itself meanwhile.
                Err(mysql_async::Error::Server(error)) if error.code == 1094 => {}
                Err(error) => return Err(error).during(what),
            }
        }
        self.release().await
    }

    /// Releases the lock: the statement goes on.
    ///
    /// # Errors
    /// When MySQL fails the harness.
    pub async fn release(mut self) -> Result<(), ActError> {
        self.holder.query_drop("rollback").await.during("releasing the lock of a phase")
    }
}

/// Whether the diff stands where the phase's next statement is the one that the lock catches.
///
/// The snapshot that is caught is the second table's or a later one: by then some rows are compared,
/// and the fault hits the middle of the diff.
fn is_before(progress: &Progress, phase: Phase) -> bool {
    let streaming = progress
        .at_work()
        .is_some_and(|table| table.phase == Some(Phase::Streaming) && table.rows_compared > 0);
    let others = progress.tables.iter().any(|table| table.state == "pending");
    match phase {
        Phase::Snapshot => streaming && others,
        Phase::Streaming | Phase::Reconcile => streaming,
        Phase::Completing => streaming && !others,
    }
}

async fn wait_before(
    stage: &Stage,
    phase: Phase,
    deadline: Instant,
) -> Result<Result<(), String>, ActError> {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let progress = stage.progress().await?;
        if is_before(&progress, phase) {
            return Ok(Ok(()));
        }
        if let Err(reason) = still_possible(stage, &progress, deadline) {
            return Ok(Err(reason));
        }
    }
}

async fn wait_caught(
    stage: &Stage,
    pool: &Pool,
    deadline: Instant,
) -> Result<Result<Ghost, String>, ActError> {
    let what = "waiting for the phase's statement";
    let user = stage.target().tablet().mysql_users().pop().unwrap_or_default();
    let mut conn = pool.get_conn().await.during(what)?;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // The user is one incarnation of this trial's tablet, and nobody else locks its tables. Not
        // from innodb_trx: its cache is not refreshed while somebody reads it more often than each
        // 100 ms, and the wait would be over before it is seen.
        let waiting: Option<(u64, String, Option<String>)> = conn
            .exec_first(
                "select r.processlist_id, r.processlist_user, left(r.processlist_info, 300) \
                 from performance_schema.data_lock_waits w \
                 join performance_schema.threads r on r.thread_id = w.requesting_thread_id \
                 where r.processlist_user = ?",
                (&user,),
            )
            .await
            .during(what)?;
        if let Some((connection, user, statement)) = waiting {
            let statement = statement.unwrap_or_default();
            return Ok(Ok(Ghost { connection, user, statement }));
        }
        let progress = stage.progress().await?;
        if let Err(reason) = still_possible(stage, &progress, deadline) {
            return Ok(Err(reason));
        }
    }
}

fn still_possible(stage: &Stage, progress: &Progress, deadline: Instant) -> Result<(), String> {
    if !matches!(stage.target().state_now(), ProcessState::Running { .. }) {
        return Err("the target tablet does not run".to_owned());
    }
    if progress.is_completed() {
        return Err("the diff had ended".to_owned());
    }
    if Instant::now() >= deadline {
        return Err("the phase did not come in time".to_owned());
    }
    Ok(())
}

/// The lock that the phase's statement needs.
fn lock_statement(stage: &Stage, phase: Phase) -> Result<String, ActError> {
    let uuid = stage.uuid()?;
    let none = || {
        let phase = phase.name();
        ActError::new(format!("no row lock of this system holds the VDiff `{uuid}` in {phase}"))
    };
    stage.sidecar().lock_of_phase(phase, &uuid).ok_or_else(none)
}
