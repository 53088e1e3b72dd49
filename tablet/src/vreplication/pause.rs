//! The workflow's pause for a snapshot.
//!
//! Invariant: whoever stops a workflow starts it again. The guard exists before the stop statement
//! is sent; if it is dropped instead of resumed (error, cancel, panic), a background task takes over
//! and tries until MySQL confirms. What even that cannot do (the process dies, MySQL stays away) is
//! done when the engines open next. Rows that an operator stopped or froze are never touched: only
//! rows with our own message are started.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::source::{SourceError, parse_source};
use crate::engine::{Epoch, LockError, LockGuard, NamedLocks};
use crate::mysql::{DbError, Value, bind};
use crate::sidecardb::Sidecar;

const FOR_VDIFF: &str = "for vdiff";
const FROZEN: &str = "FROZEN";
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
    restarts: TaskTracker,
    /// Cancelled when the engines close: restarts are tried a little longer, then left to the next
    /// open.
    closing: CancellationToken,
}

impl Pauser {
    /// For the workflows of `keyspace`.
    pub fn new(sidecar: Sidecar, keyspace: &str, locks: Arc<dyn NamedLocks>) -> Pauser {
        Pauser {
            sidecar,
            keyspace: keyspace.to_owned(),
            locks,
            restarts: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// The same with a fresh life, for engines that open again.
    #[must_use]
    pub fn reopened(&self) -> Pauser {
        Pauser::new(self.sidecar.clone(), &self.keyspace, Arc::clone(&self.locks))
    }

    /// Reads the workflow's row.
    ///
    /// # Errors
    /// MySQL is away, or the row is missing or not understood.
    pub async fn workflow(&self, workflow: &str) -> Result<Workflow, WorkflowError> {
        let statement = bind(
            &format!(
                "select source from {} where workflow = ? and db_name = ? order by id",
                self.sidecar.table("vreplication")
            ),
            &[Value::from(workflow), Value::from(self.sidecar.db_name())],
        );
        let attempted = "reading the workflow";
        let rows = self.sidecar.db().rows(attempted, &statement).await?;
        let row = match &rows[..] {
            [] => return Err(WorkflowError::Missing(workflow.to_owned())),
            [row] => row,
            several => {
                let (workflow, streams) = (workflow.to_owned(), several.len());
                return Err(WorkflowError::Streams { workflow, streams });
            }
        };
        let text: Vec<u8> =
            row.get(0).ok_or_else(|| DbError::Shape { attempted, column: "source".to_owned() })?;
        let source = parse_source(&String::from_utf8_lossy(&text))
            .map_err(|source| WorkflowError::Source { workflow: workflow.to_owned(), source })?;
        Ok(Workflow { source })
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
        let paused = PausedWorkflow {
            pauser: self.clone(),
            workflow: workflow.to_owned(),
            epoch,
            lock: Some(lock),
        };
        self.stop(workflow, epoch).await?;
        Ok(paused)
    }

    /// Starts what a crash has left stopped: called when the engines open, before any diff runs.
    ///
    /// # Errors
    /// MySQL is away or refuses.
    pub async fn restart_left_over(&self) -> Result<(), DbError> {
        let statement = bind(
            &format!(
                "update {} set state = 'Running', message = '' \
                 where db_name = ? and state = 'Stopped' and message = ?",
                self.sidecar.table("vreplication")
            ),
            &[Value::from(self.sidecar.db_name()), Value::from(FOR_VDIFF)],
        );
        let done = self.sidecar.db().run("restarting workflows", &statement).await?;
        if done.matched > 0 {
            tracing::info!(workflows = done.matched, "restarted workflows that VDiff had stopped");
        }
        Ok(())
    }

    /// Ends the background restarts: they get `grace` to finish.
    pub async fn close(&self, grace: Duration) {
        self.restarts.close();
        if tokio::time::timeout(grace, self.restarts.wait()).await.is_err() {
            self.closing.cancel();
            self.restarts.wait().await;
        }
    }

    async fn stop(&self, workflow: &str, epoch: Epoch) -> Result<(), WorkflowError> {
        let statement = bind(
            &format!(
                "update {} set state = 'Stopped', message = ?, owner_epoch = ? \
                 where workflow = ? and db_name = ? and state = 'Running' \
                 and coalesce(message, '') <> ? and (owner_epoch is null or owner_epoch <= ?)",
                self.sidecar.table("vreplication")
            ),
            &[
                Value::from(FOR_VDIFF),
                Value::from(epoch.0),
                Value::from(workflow),
                Value::from(self.sidecar.db_name()),
                Value::from(FROZEN),
                Value::from(epoch.0),
            ],
        );
        let done = self.sidecar.db().run("stopping the workflow", &statement).await?;
        if done.matched == 0 {
            self.workflow(workflow).await?; // Missing is an error; stopped by somebody is not.
            tracing::info!(workflow, "the workflow was not running: nothing to pause");
        }
        Ok(())
    }

    async fn restart(&self, workflow: &str, epoch: Epoch) -> Result<(), DbError> {
        let statement = bind(
            &format!(
                "update {} set state = 'Running', message = '' where workflow = ? and db_name = ? \
                 and state = 'Stopped' and message = ? and owner_epoch = ?",
                self.sidecar.table("vreplication")
            ),
            &[
                Value::from(workflow),
                Value::from(self.sidecar.db_name()),
                Value::from(FOR_VDIFF),
                Value::from(epoch.0),
            ],
        );
        self.sidecar.db().run("restarting the workflow", &statement).await.map(|_| ())
    }

    /// Tries until MySQL confirms; ends without success only when the engines close.
    async fn restart_surely(&self, workflow: &str, epoch: Epoch, lock: LockGuard) {
        let began = Instant::now();
        let mut wait = RETRY_MIN;
        loop {
            match self.restart(workflow, epoch).await {
                Ok(()) => break,
                Err(error) => {
                    let for_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::error!(workflow, %error, for_ms, "restarting the workflow failed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
                () = self.closing.cancelled() => {
                    tracing::error!(workflow, "the workflow stays stopped until the next start");
                    break;
                }
            }
        }
        lock.release().await;
    }
}

/// A workflow that is stopped, and will be started again whatever happens.
pub struct PausedWorkflow {
    pauser: Pauser,
    workflow: String,
    epoch: Epoch,
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
        self.pauser.restart(&self.workflow, self.epoch).await?;
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
        let (pauser, workflow, epoch) = (self.pauser.clone(), self.workflow.clone(), self.epoch);
        let tracker = self.pauser.restarts.clone();
        let restart = async move { pauser.restart_surely(&workflow, epoch, lock).await };
        tracker.spawn_on(restart, &runtime);
    }
}
