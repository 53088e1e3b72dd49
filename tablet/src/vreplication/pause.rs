//! The workflow's pause for a snapshot.
//!
//! Invariant: whoever stops a workflow starts it again. The guard exists before the stop statement
//! is sent; if it is dropped instead of resumed (error, cancel, panic), a background task takes over
//! and tries until MySQL confirms. What even that cannot do (the process dies, MySQL stays away) is
//! done when the engines open next. Rows that an operator stopped or froze are never touched: only
//! rows with our own message are started.
//!
//! A statement that was given up may still be committed later. So the row carries a generation: a
//! stop needs the generation that was read before it, a restart needs that one or the stop's, and
//! both raise it. Once a restart is confirmed, a late stop matches nothing, nor does a late restart
//! once the next pause has begun. A restart always finds its row, whatever is running there, so it
//! waits for a stop that holds the row's lock instead of overtaking it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::source::{SourceError, parse_source};
use crate::backoff::Backoff;
use crate::engine::{Epoch, LockError, LockGuard, NamedLocks};
use crate::mysql::{DbError, Row, Value, bind};
use crate::seeded_bugs::{SeededBug, SeededBugs};
use crate::sidecardb::Sidecar;

const FOR_VDIFF: &str = "for vdiff";
const FROZEN: &str = "FROZEN";
const GENERATION: &str = "coalesce(pause_generation, 0)";
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// One workflow's row.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Keyspace, shard and rules of the source.
    pub source: tablet_wire::binlogdata::BinlogSource,
}

/// Why a workflow cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// MySQL is away or refuses.
    #[error(transparent)]
    Db(#[from] DbError),
    /// There is no such row.
    #[error("the workflow '{0}' does not exist (no row in vreplication)")]
    Missing(String),
    /// It has several streams.
    #[error("the workflow '{workflow}' has {streams} streams; only one source shard is supported")]
    Streams {
        /// The workflow.
        workflow: String,
        /// How many.
        streams: usize,
    },
    /// Its source is not understood.
    #[error("the workflow '{workflow}' cannot be used")]
    Source {
        /// The workflow.
        workflow: String,
        /// What is wrong.
        #[source]
        source: SourceError,
    },
    /// The topology's lock was not got.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl WorkflowError {
    /// Whether it is worth another try.
    pub fn is_ephemeral(&self) -> bool {
        match self {
            WorkflowError::Db(error) => error.is_ephemeral(),
            WorkflowError::Lock(_) => true,
            WorkflowError::Missing(_)
            | WorkflowError::Streams { .. }
            | WorkflowError::Source { .. } => false,
        }
    }
}

/// Pauses workflows of one tablet.
#[derive(Clone)]
pub struct Pauser {
    sidecar: Sidecar,
    keyspace: String,
    locks: Arc<dyn NamedLocks>,
    bugs: SeededBugs,
    restarts: TaskTracker,
    /// Cancelled when the engines close: restarts are tried a little longer, then left to the next
    /// open.
    closing: CancellationToken,
}

impl Pauser {
    /// For the workflows of `keyspace`.
    pub fn new(
        sidecar: Sidecar,
        keyspace: &str,
        locks: Arc<dyn NamedLocks>,
        bugs: SeededBugs,
    ) -> Pauser {
        Pauser {
            sidecar,
            keyspace: keyspace.to_owned(),
            locks,
            bugs,
            restarts: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Reads the workflow's row.
    ///
    /// # Errors
    /// MySQL is away, or the row is missing or not understood.
    pub async fn workflow(&self, workflow: &str) -> Result<Workflow, WorkflowError> {
        let (attempted, column) = ("reading the workflow", "source");
        let row = self.only_row(attempted, workflow, column).await?;
        let text: Vec<u8> =
            row.get(0).ok_or_else(|| DbError::Shape { attempted, column: column.to_owned() })?;
        let source = parse_source(&String::from_utf8_lossy(&text))
            .map_err(|source| WorkflowError::Source { workflow: workflow.to_owned(), source })?;
        Ok(Workflow { source })
    }

    async fn generation(&self, workflow: &str) -> Result<i64, WorkflowError> {
        let (attempted, column) = ("reading the workflow's generation", "pause_generation");
        let row = self.only_row(attempted, workflow, GENERATION).await?;
        let generation = row.get(0);
        Ok(generation.ok_or_else(|| DbError::Shape { attempted, column: column.to_owned() })?)
    }

    async fn only_row(
        &self,
        attempted: &'static str,
        workflow: &str,
        columns: &str,
    ) -> Result<Row, WorkflowError> {
        let statement = bind(
            &format!(
                "select {columns} from {} where workflow = ? and db_name = ? order by id",
                self.sidecar.table("vreplication")
            ),
            &[Value::from(workflow), Value::from(self.sidecar.db_name())],
        );
        let mut rows = self.sidecar.db().rows(attempted, &statement).await?;
        match (rows.pop(), rows.len()) {
            (None, _) => Err(WorkflowError::Missing(workflow.to_owned())),
            (Some(row), 0) => Ok(row),
            (Some(_), others) => {
                Err(WorkflowError::Streams { workflow: workflow.to_owned(), streams: others + 1 })
            }
        }
    }

    /// Takes the workflow's lock and stops it. A workflow that is not running stays as it is.
    ///
    /// # Errors
    /// The lock or MySQL is away, or the row is missing.
    pub async fn pause(
        &self,
        workflow: &str,
        epoch: Epoch,
        cancel: &CancellationToken,
    ) -> Result<PausedWorkflow, WorkflowError> {
        let lock = self.locks.lock(&self.keyspace, workflow, cancel).await?;
        let generation = self.generation(workflow).await?;
        let pause = Pause { workflow: workflow.to_owned(), epoch, generation };
        let paused = PausedWorkflow { pauser: self.clone(), pause, lock: Some(lock) };
        self.stop(&paused.pause).await?;
        Ok(paused)
    }

    /// Starts what a crash or a close has left stopped: called when the engines open, before any
    /// diff runs. Statements of ours that are still on their way match nothing afterwards.
    ///
    /// # Errors
    /// MySQL is away or refuses.
    pub async fn restart_left_over(&self, epoch: Epoch) -> Result<(), DbError> {
        let attempted = "restarting workflows";
        let table = self.sidecar.table("vreplication");
        let ours = "where db_name = ? and (owner_epoch is null or owner_epoch <= ?)";
        let (db_name, epoch) = (Value::from(self.sidecar.db_name()), Value::from(epoch.0));
        let outdate = bind(
            &format!("update {table} set pause_generation = {GENERATION} + 2 {ours}"),
            &[db_name.clone(), epoch.clone()],
        );
        self.sidecar.db().run(attempted, &outdate).await?;
        // As Vitess, whose failed restart of the streams is not seen by anybody
        // (`restartTargetVReplicationStreams`), and which writes errors of its own into the message.
        let set = if self.bugs.has(SeededBug::WorkflowLeftStopped) {
            "message = 'vdiff error: lost connection'"
        } else {
            "state = 'Running', message = ''"
        };
        let restart = bind(
            &format!("update {table} set {set} {ours} and state = 'Stopped' and message = ?"),
            &[db_name, epoch, Value::from(FOR_VDIFF)],
        );
        let done = self.sidecar.db().run(attempted, &restart).await?;
        if done.matched > 0 {
            tracing::info!(workflows = done.matched, "restarted workflows that VDiff had stopped");
        }
        Ok(())
    }

    /// Waits for the background restarts. What is not done within `grace` is given up and left to
    /// the next open.
    pub async fn close(&self, grace: Duration) {
        self.restarts.close();
        if tokio::time::timeout(grace, self.restarts.wait()).await.is_err() {
            self.closing.cancel();
            self.restarts.wait().await; // They end at once, wherever they are.
        }
    }

    async fn stop(&self, pause: &Pause) -> Result<(), WorkflowError> {
        let attempted = "stopping the workflow";
        let ours = bind(
            "message = ?, owner_epoch = ?, pause_generation = ?",
            &[
                Value::from(FOR_VDIFF),
                Value::from(pause.epoch.0),
                Value::from(pause.generation + 1),
            ],
        );
        // As Vitess, which stops the streams before it registers who restarts them
        // (`workflow_differ.go`): after a crash between the two, nobody knows the stop as ours.
        let late = self.bugs.has(SeededBug::LateRestartGuard);
        let set = if late { "state = 'Stopped'" } else { &format!("state = 'Stopped', {ours}") };
        let done = self.sidecar.db().run(attempted, &self.update(pause, "Running", set)).await?;
        if done.matched == 0 {
            self.workflow(&pause.workflow).await?; // Missing is an error; stopped by somebody is not.
            let workflow = &pause.workflow;
            tracing::info!(workflow, "the workflow was not running: nothing to pause");
        } else if late {
            self.sidecar.db().run(attempted, &self.update(pause, "Stopped", &ours)).await?;
        }
        Ok(())
    }

    /// Changes the row of a workflow in `state`, if nobody froze it, took it or paused it meanwhile.
    fn update(&self, pause: &Pause, state: &str, set: &str) -> String {
        let condition = bind(
            &format!(
                "workflow = ? and db_name = ? and state = ? and coalesce(message, '') <> ? \
                 and (owner_epoch is null or owner_epoch <= ?) and {GENERATION} = ?"
            ),
            &[
                Value::from(pause.workflow.as_str()),
                Value::from(self.sidecar.db_name()),
                Value::from(state),
                Value::from(FROZEN),
                Value::from(pause.epoch.0),
                Value::from(pause.generation),
            ],
        );
        format!("update {} set {set} where {condition}", self.sidecar.table("vreplication"))
    }

    /// Confirmed also when no row matches: then a restart of ours was committed before, or the row
    /// was deleted or taken over by a newer incarnation, which starts it itself.
    async fn restart(&self, pause: &Pause) -> Result<(), DbError> {
        let statement = bind(
            // MySQL assigns from left to right: the message is still the old one at `state`.
            &format!(
                "update {} set state = if(state = 'Stopped' and message = ?, 'Running', state), \
                 message = if(message = ?, '', message), pause_generation = ? \
                 where workflow = ? and db_name = ? and (owner_epoch is null or owner_epoch <= ?) \
                 and {GENERATION} in (?, ?)",
                self.sidecar.table("vreplication")
            ),
            &[
                Value::from(FOR_VDIFF),
                Value::from(FOR_VDIFF),
                Value::from(pause.generation + 2),
                Value::from(pause.workflow.as_str()),
                Value::from(self.sidecar.db_name()),
                Value::from(pause.epoch.0),
                Value::from(pause.generation),
                Value::from(pause.generation + 1),
            ],
        );
        self.sidecar.db().run("restarting the workflow", &statement).await.map(|_| ())
    }

    /// Tries until MySQL confirms; ends without success only when the engines close.
    async fn restart_surely(&self, pause: &Pause, lock: LockGuard) {
        let workflow = &pause.workflow;
        tokio::select! {
            biased;
            () = self.restart_until_confirmed(pause) => {}
            () = self.closing.cancelled() => {
                tracing::error!(workflow, "the workflow stays stopped until the engines open next");
                return; // The lock is let go of in the background.
            }
        }
        if self.bugs.has(SeededBug::LockNotReleased) {
            // Vitess's named lock outlives whoever took it by up to a day (`NamedLockTTL`).
            return std::mem::forget(lock);
        }
        tokio::select! {
            () = lock.release() => {}
            () = self.closing.cancelled() => {}
        }
    }

    async fn restart_until_confirmed(&self, pause: &Pause) {
        let (workflow, began) = (&pause.workflow, Instant::now());
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        while let Err(error) = self.restart(pause).await {
            let for_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::error!(workflow, %error, for_ms, "restarting the workflow failed");
            tokio::time::sleep(backoff.wait()).await;
        }
    }
}

/// What the statements of one pause carry.
#[derive(Clone, Debug)]
struct Pause {
    workflow: String,
    epoch: Epoch,
    /// Of the row before the pause.
    generation: i64,
}

/// A workflow that is stopped, and will be started again whatever happens.
pub struct PausedWorkflow {
    pauser: Pauser,
    pause: Pause,
    lock: Option<LockGuard>,
}

impl PausedWorkflow {
    /// Whether nobody else can have paused or started it meanwhile.
    pub fn is_held(&self) -> bool {
        self.lock.as_ref().is_some_and(LockGuard::is_held)
    }

    /// Starts the workflow and lets go of its lock.
    ///
    /// # Errors
    /// MySQL is away or refuses; the background goes on trying.
    pub async fn resume(mut self) -> Result<(), DbError> {
        self.pauser.restart(&self.pause).await?;
        if let Some(lock) = self.lock.take() {
            lock.release().await;
        }
        Ok(())
    }
}

impl Drop for PausedWorkflow {
    fn drop(&mut self) {
        // The lock is taken only after the restart has succeeded.
        let Some(lock) = self.lock.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (pauser, pause) = (self.pauser.clone(), self.pause.clone());
        let tracker = self.pauser.restarts.clone();
        let restart = async move { pauser.restart_surely(&pause, lock).await };
        tracker.spawn_on(restart, &runtime);
    }
}
