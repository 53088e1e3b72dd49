//! The engine: opened and closed by the tablet manager, it owns the controllers.
//!
//! A controller is spawned last, after it was registered with the handle that ends it. Locks of this
//! module are never held over an await.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::QueryResult;
use tablet_wire::tabletmanagerdata::{VDiffRequest, VDiffResponse};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::schema::{DiffRow, Store};
use super::state::DiffState;
use super::status::{self, ActionError};
use super::{Context, action, controller, show};
use crate::engine::{EngineDeps, EngineError, Engines, Epoch};
use crate::mysql::{Db, DbError};
use crate::seeded_bugs::SeededBug;
use crate::sidecardb::Sidecar;
use crate::vreplication::{self, Pauser};
use crate::vstreamer::{RowStreamer, StreamRequest};

/// How long a controller may take to end: a last checkpoint and a release. With both graces it fits
/// into the five seconds that closing may take.
const JOIN_DEADLINE: Duration = Duration::from_millis(3200);
/// An aborted controller ends at its next await.
const ABORT_DEADLINE: Duration = Duration::from_millis(200);
/// For restarts of workflows, and beside them for actions that are still under way.
const RESTART_GRACE: Duration = Duration::from_millis(900);
const SETTLE_GRACE: Duration = Duration::from_millis(500);
/// How long the row streams that are served may take to end.
const STREAMS_GRACE: Duration = Duration::from_millis(500);
/// An action waits no longer for another one on the same diff.
const EXCLUSIVE_DEADLINE: Duration = Duration::from_secs(10);
/// Of seeded bugs: a round of a loop that never waits long, and how long a recovery seems good. Two
/// checks that fail, a second apart, make the tablet unready.
const STORM_ROUND: Duration = Duration::from_millis(10);
const UNREADY_AFTER: Duration = Duration::from_secs(2);
/// Shorter than the patience of the one who asks, so that the answer says what is wrong.
const CHECK_DEADLINE: Duration = Duration::from_millis(1800);

/// The vreplication and VDiff engines of one tablet, and its row streamer.
pub struct VdiffEngines {
    deps: EngineDeps,
    db: Db,
    sidecar: Sidecar,
    streamer: RowStreamer,
    /// Cancelled when the streams that are served are to end.
    serving: CancellationToken,
    state: Mutex<Option<Arc<OpenEngine>>>,
    /// One opening or closing at a time.
    gate: tokio::sync::Mutex<()>,
    /// Actions run to their end also when their caller goes away.
    actions: TaskTracker,
}

/// What exists while the engine is open.
pub(super) struct OpenEngine {
    pub(super) context: Context,
    cancel: CancellationToken,
    /// When it went on with diffs that were unfinished; none: there were none.
    resumed_at: Option<Instant>,
    /// `None` until it is initialised.
    registry: Mutex<Option<HashMap<String, Registered>>>,
    /// One action at a time on each diff.
    busy: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

struct Registered {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl VdiffEngines {
    /// Prepares; nothing is opened and MySQL is not asked.
    pub fn new(deps: EngineDeps) -> VdiffEngines {
        let db = Db::new(&deps.mysql);
        let sidecar = Sidecar::new(db.clone(), &deps.sidecar_db, deps.alias.clone(), &deps.db_name);
        let streamer = RowStreamer::new(
            db.clone(),
            &deps.db_name,
            deps.options.packet_bytes,
            Arc::clone(&deps.stats),
        )
        .with_bugs(deps.bugs);
        VdiffEngines {
            deps,
            db,
            sidecar,
            streamer,
            serving: CancellationToken::new(),
            state: Mutex::new(None),
            gate: tokio::sync::Mutex::new(()),
            actions: TaskTracker::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Option<Arc<OpenEngine>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Actions go on by themselves: those that are late are fenced by their epoch.
    async fn actions_end(&self, grace: Duration) {
        self.actions.close();
        if tokio::time::timeout(grace, self.actions.wait()).await.is_err() {
            tracing::warn!(late = self.actions.len(), "vdiff actions were still under way");
        }
    }

    fn opened(&self) -> Option<Arc<OpenEngine>> {
        self.state().clone()
    }

    async fn open_under(&self, epoch: Epoch) -> Result<Arc<OpenEngine>, EngineError> {
        self.sidecar.prepare().await?;
        self.sidecar.fence(epoch).await?;
        let pauser = Pauser::new(
            self.sidecar.clone(),
            &self.deps.keyspace,
            Arc::clone(&self.deps.locks),
            self.deps.bugs,
        );
        let store = Store {
            sidecar: self.sidecar.clone(),
            keyspace: self.deps.keyspace.clone(),
            shard: self.deps.shard.clone(),
            epoch,
        };
        pauser.restart_left_over(epoch).await.map_err(|e| failed("restarting workflows", e))?;
        store.sweep_orphans().await.map_err(|e| failed("sweeping orphaned rows", e))?;
        let diffs = store.unfinished().await.map_err(|e| failed("reading unfinished diffs", e))?;
        if self.deps.bugs.has(SeededBug::CompletedTableAgain) {
            // Vitess diffs completed tables again after a restart, onto their old counts
            // (vitessio/vitess#20877): here those that a crash between two tables has left.
            for diff in diffs.iter().filter(|diff| diff.state == DiffState::Started.name()) {
                let again = store.last_table_again(diff.id).await;
                again.map_err(|e| failed("going back to a table", e))?;
            }
        }
        let context =
            Context { deps: self.deps.clone(), store, pauser, streamer: self.streamer.clone() };
        let engine = Arc::new(OpenEngine {
            context,
            cancel: CancellationToken::new(),
            resumed_at: (!diffs.is_empty()).then(Instant::now),
            registry: Mutex::new(None),
            busy: Mutex::new(HashMap::new()),
        });
        let late = self.deps.bugs.has(SeededBug::RegistryBeforeInit);
        if !late {
            engine.initialise_registry();
        }
        for diff in diffs {
            engine.spawn(diff);
        }
        if late {
            engine.initialise_registry();
        }
        if self.deps.bugs.has(SeededBug::LogStorm) && engine.resumed_at.is_some() {
            tokio::spawn(storm(engine.cancel.clone()));
        }
        Ok(engine)
    }
}

/// As Vitess's shard sync loop, which goes round and round over a watch that has ended
/// (`shard_sync.go`): a line at each round. Only a seeded bug does that.
async fn storm(cancel: CancellationToken) {
    let mut rounds = tokio::time::interval(STORM_ROUND);
    while !cancel.is_cancelled() {
        rounds.tick().await;
        tracing::info!("looking for unfinished diffs again");
    }
}

fn failed(attempted: &str, source: DbError) -> EngineError {
    EngineError::Mysql { attempted: attempted.to_owned(), source: Box::new(source) }
}

#[tonic::async_trait]
impl Engines for VdiffEngines {
    async fn open(&self, epoch: Epoch) -> Result<(), EngineError> {
        let _gate = self.gate.lock().await;
        if self.opened().is_some() {
            return Ok(());
        }
        let engine = self.open_under(epoch).await?;
        // No await between the first controller and here: a dropped open leaves no controllers.
        *self.state() = Some(engine);
        tracing::info!(%epoch, "the vreplication and VDiff engines are open");
        Ok(())
    }

    async fn close(&self) {
        let _gate = self.gate.lock().await;
        let engine = self.state().take();
        if let Some(engine) = &engine {
            engine.close().await;
            let restarts = engine.context.pauser.close(RESTART_GRACE);
            tokio::join!(restarts, self.actions_end(RESTART_GRACE));
        }
        // Also after an open that was dropped half-way.
        self.db.settle(SETTLE_GRACE).await;
        if engine.is_some() {
            tracing::info!("the vreplication and VDiff engines are closed");
        }
    }

    async fn end_streams(&self) {
        self.serving.cancel();
        self.streamer.settle(STREAMS_GRACE).await;
        self.db.settle(SETTLE_GRACE).await;
    }

    async fn check(&self) -> Result<(), EngineError> {
        let resumed_at = self.opened().and_then(|engine| engine.resumed_at);
        if self.deps.bugs.has(SeededBug::UnreadyAfterRecovery)
            && resumed_at.is_some_and(|at| at.elapsed() >= UNREADY_AFTER)
        {
            // vitessio/vitess#19370: what a recovered diff held is never given back, and whoever asks
            // for it afterwards waits in vain.
            return Err(EngineError::Mysql {
                attempted: "asking whether it answers".to_owned(),
                source: "no connection is free".into(),
            });
        }
        self.db
            .ping(CHECK_DEADLINE)
            .await
            .map_err(|error| failed("asking whether it answers", error))
    }

    fn is_open(&self) -> bool {
        self.state().is_some()
    }

    async fn vdiff(&self, request: VDiffRequest) -> Result<VDiffResponse, Status> {
        let stats = Arc::clone(&self.deps.stats);
        if request.action != action::SHOW {
            stats.actions_total.fetch_add(1, Ordering::Relaxed);
        }
        let engine = self.opened().ok_or(ActionError::Closed)?;
        let (sender, receiver) = oneshot::channel();
        self.actions.spawn(async move {
            let outcome = action::perform(&engine, request).await;
            if outcome.is_err() {
                stats.errors_total.fetch_add(1, Ordering::Relaxed);
            }
            if sender.send(outcome).is_err() {
                tracing::debug!("the caller of a vdiff action went away");
            }
        });
        let outcome = receiver.await.map_err(|_| ActionError::Closed)?;
        Ok(outcome?)
    }

    async fn vreplication_exec(&self, statement: String) -> Result<QueryResult, Status> {
        let engine = self.opened().ok_or(ActionError::Closed)?;
        let accepted = vreplication::rewrite(&statement, &engine.context.store.sidecar)
            .map_err(|error| status::of_exec(&error))?;
        let mut session = self.db.session().await.map_err(|error| status::of_db(&error))?;
        let attempted = "executing a vreplication statement";
        if accepted.reads {
            let rows = session.rows(attempted, &accepted.statement).await;
            let rows = rows.map_err(|error| status::of_db(&error))?;
            let columns = rows.first().map(|row| row.columns()).unwrap_or_default();
            let fields = columns.iter().map(|column| tablet_wire::query::Field {
                name: column.name_str().into_owned(),
                ..Default::default()
            });
            return Ok(show::query_result(fields.collect(), rows));
        }
        let done = session.run(attempted, &accepted.statement).await;
        let done = done.map_err(|error| status::of_db(&error))?;
        Ok(QueryResult {
            rows_affected: done.matched,
            insert_id: done.last_insert_id,
            ..QueryResult::default()
        })
    }

    async fn vstream_rows(
        &self,
        request: VStreamRowsRequest,
    ) -> Result<BoxStream<'static, Result<VStreamRowsResponse, Status>>, Status> {
        let request =
            StreamRequest::from_wire(request).map_err(|error| status::of_stream(&error))?;
        let stream = self.streamer.stream(request, self.serving.child_token());
        Ok(stream.map(|item| item.map_err(|error| status::of_stream(&error))).boxed())
    }
}

impl OpenEngine {
    fn registry(&self) -> MutexGuard<'_, Option<HashMap<String, Registered>>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn initialise_registry(&self) {
        *self.registry() = Some(HashMap::new());
    }

    /// Registers a controller for the diff and then lets it run; nothing if it has one.
    pub(super) fn spawn(&self, diff: DiffRow) {
        let mut registry = self.registry();
        let registry = registry.as_mut().expect("the registry is initialised before diffs resume");
        registry.retain(|_, registered| !registered.task.is_finished());
        if self.cancel.is_cancelled() || registry.contains_key(&diff.uuid) {
            return;
        }
        let cancel = self.cancel.child_token();
        // The task begins only when it has been registered.
        let (begin, begun) = oneshot::channel::<()>();
        let (context, uuid, token) = (self.context.clone(), diff.uuid.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            if begun.await.is_ok() {
                controller::run(context, diff, token).await;
            }
        });
        registry.insert(uuid, Registered { cancel, task });
        if begin.send(()).is_err() {
            tracing::error!("a vdiff controller ended before it began");
        }
    }

    /// Ends the diff's controller and waits for it.
    pub(super) async fn end_controller(&self, uuid: &str) {
        let registered = self.registry().as_mut().and_then(|registry| registry.remove(uuid));
        if let Some(registered) = registered {
            registered.cancel.cancel();
            join(uuid, registered.task, Instant::now() + JOIN_DEADLINE).await;
        }
    }

    /// The right to act on one diff.
    pub(super) async fn exclusive(&self, uuid: &str) -> Result<OwnedMutexGuard<()>, ActionError> {
        let lock = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(busy.entry(uuid.to_owned()).or_default())
        };
        tokio::time::timeout(EXCLUSIVE_DEADLINE, lock.lock_owned())
            .await
            .map_err(|_| ActionError::Busy(uuid.to_owned()))
    }

    async fn close(&self) {
        self.cancel.cancel();
        let registry = self.registry().replace(HashMap::new()).unwrap_or_default();
        let deadline = Instant::now() + JOIN_DEADLINE;
        let ends = registry.into_iter().map(async |(uuid, registered)| {
            join(&uuid, registered.task, deadline).await;
        });
        futures::future::join_all(ends).await;
    }
}

async fn join(uuid: &str, mut task: JoinHandle<()>, deadline: Instant) {
    match tokio::time::timeout_at(deadline, &mut task).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => {
            return tracing::error!(uuid, %error, "a vdiff controller ended badly");
        }
        Err(_) => tracing::error!(uuid, "a vdiff controller is late and is aborted"),
    }
    task.abort();
    match tokio::time::timeout(ABORT_DEADLINE, task).await {
        Ok(Err(error)) if !error.is_cancelled() => {
            tracing::error!(uuid, %error, "a late vdiff controller ended badly");
        }
        Ok(_) => {}
        Err(_) => tracing::error!(uuid, "a vdiff controller does not end"),
    }
}
