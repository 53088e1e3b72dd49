//! The life of the process: listeners first, then everything else; the end in order.
//!
//! The end: refuse new calls, close the engines (their diffs checkpoint), cut the streams, stop the
//! shard sync loop, deregister. It fits into 10 seconds also when MySQL and etcd are away.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Settings};
use crate::engine::{EngineDeps, Engines, LiveSettings, VdiffStats};
use crate::exit::Exit;
use crate::grpc::{self, Services};
use crate::http;
use crate::memory_guard::MemoryGuard;
use crate::metrics::Shown;
use crate::seeded_bugs::SeededBug;
use crate::tabletmanager::engine_driver;
use crate::tabletmanager::locks::TopoLocks;
use crate::tabletmanager::registration::{Identity, Registrar};
use crate::tabletmanager::shard_sync::{self, ShardSync};
use crate::tabletmanager::state::{Registration, StateCell, TabletState};
use crate::topo::locator::TopoLocator;
use crate::topo::{Etcd, Paths};

/// For tasks that have nothing to do but to notice.
const JOIN: Duration = Duration::from_millis(500);
/// For the engines: their own deadline and a little more.
const JOIN_ENGINES: Duration = Duration::from_millis(5500);
/// For the engines of a tablet that has panicked: they may be what is broken.
const JOIN_ENGINES_BROKEN: Duration = Duration::from_secs(2);

/// Runs the tablet until a signal, a panic (`fatal`), or a newer incarnation ends it.
pub async fn run(
    settings: Settings,
    make_engines: impl FnOnce(EngineDeps) -> Arc<dyn Engines>,
    fatal: CancellationToken,
) -> Exit {
    let listeners = match Listeners::bind(&settings.config).await {
        Ok(listeners) => listeners,
        Err(exit) => return exit,
    };
    let signals = match stop_signals() {
        Ok(signals) => signals,
        Err(error) => return Exit::Fatal(format!("signals cannot be received: {error}")),
    };
    let slow_to_end = settings.bugs.has(SeededBug::SlowSigterm);
    let tablet = match Tablet::start(settings, make_engines, listeners) {
        Ok(tablet) => tablet,
        Err(exit) => return exit,
    };
    let exit = tokio::select! {
        () = fatal.cancelled() => Exit::Panicked,
        by = tablet.superseded() => Exit::Superseded(by),
        () = signals => Exit::Stopped,
    };
    tracing::info!(?exit, "the tablet is stopping");
    if slow_to_end && exit == Exit::Stopped {
        // vitessio/vitess#19370: whoever closes waits for a stream that nobody ends.
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    tablet.stop(&exit).await;
    if fatal.is_cancelled() { Exit::Panicked } else { exit }
}

struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Listeners, Exit> {
        let bind = async |address| {
            TcpListener::bind(address)
                .await
                .map_err(|error| Exit::Fatal(format!("cannot listen on {address}: {error}")))
        };
        let grpc = bind(config.grpc_address()).await?;
        let http = bind(config.http_address()).await?;
        Ok(Listeners { grpc, http })
    }
}

/// Ends at the first SIGTERM or SIGINT.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "asked to stop"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "asked to stop"),
        }
    })
}

/// A task with its name and its own way to be stopped.
struct Task<T> {
    name: &'static str,
    stop: CancellationToken,
    handle: JoinHandle<T>,
}

impl<T: Send + 'static> Task<T> {
    fn spawn<F>(name: &'static str, body: impl FnOnce(CancellationToken) -> F) -> Task<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let handle = tokio::spawn(body(stop.clone()));
        Task { name, stop, handle }
    }

    /// Stops the task and waits for it; none when it was late or had panicked.
    async fn join(mut self, within: Duration) -> Option<T> {
        self.stop.cancel();
        match tokio::time::timeout(within, &mut self.handle).await {
            Ok(Ok(output)) => Some(output),
            Ok(Err(error)) => {
                tracing::error!(task = self.name, %error, "a task has failed");
                None
            }
            Err(_elapsed) => {
                tracing::error!(task = self.name, ?within, "a task did not end in time");
                self.handle.abort();
                None
            }
        }
    }
}

/// All tasks of the process.
struct Tablet {
    state: StateCell,
    engines: Task<()>,
    grpc: Task<()>,
    http: Task<()>,
    memory: Task<()>,
    shard_sync: Task<()>,
    registrar: Task<Registrar>,
    locks: TaskTracker,
}

impl Tablet {
    fn start(
        settings: Settings,
        make_engines: impl FnOnce(EngineDeps) -> Arc<dyn Engines>,
        listeners: Listeners,
    ) -> Result<Tablet, Exit> {
        let config = settings.config.clone();
        let etcd = Etcd::new(&config.topo_address)
            .map_err(|error| Exit::Usage(format!("--topo-address: {error}")))?;
        let paths = Paths::new(&config.topo_root);
        let state = StateCell::default();
        let limits = Arc::new(LiveSettings::new(config.vdiff_rows_per_second));
        let stats = Arc::new(VdiffStats::default());
        let mut marks = config.guard_settings();
        if settings.bugs.has(SeededBug::NoMemoryGuard) {
            // As Vitess, which has none (vitessio/vitess#17637): no mark is ever reached.
            (marks.slow_percent, marks.high_percent) = (u64::MAX, u64::MAX);
        }
        let guard = MemoryGuard::new(marks);
        let locks = TaskTracker::new();
        let shown = Shown {
            state: state.clone(),
            memory: guard.readings(),
            stats: Arc::clone(&stats),
            limits: Arc::clone(&limits),
        };
        let topology = Topology { etcd: &etcd, paths: &paths, state: &state, locks: &locks };
        let engines =
            make_engines(topology.engine_deps(&settings, limits, stats, guard.pressure()));
        let services = Services {
            engines: Arc::clone(&engines),
            state: state.clone(),
            alias: config.alias.clone(),
            keyspace: config.keyspace.clone(),
            shard: config.shard.clone(),
            cut: CancellationToken::new(),
        };
        Ok(Tablet {
            state: state.clone(),
            http: Task::spawn("http", |stop| {
                serve("http", http::serve(listeners.http, shown, stop))
            }),
            grpc: Task::spawn("grpc", |cut| {
                serve("grpc", grpc::serve(listeners.grpc, Services { cut, ..services }))
            }),
            memory: Task::spawn("memory guard", |stop| guard.run(stop)),
            engines: Task::spawn("engines", {
                let state = state.clone();
                |stop| engine_driver::run(engines, state, stop)
            }),
            shard_sync: Task::spawn("shard sync", |stop| {
                let retry = Duration::from_millis(config.shard_sync_retry_ms);
                let alias = config.alias.clone();
                let sync = ShardSync::new(alias, retry, settings.bugs, Instant::now());
                let key = paths.shard(&config.keyspace, &config.shard);
                shard_sync::run(sync, etcd.clone(), key, state.clone(), stop)
            }),
            registrar: Task::spawn("registration", |stop| {
                let identity = identity(&config);
                Registrar::new(etcd.clone(), &paths, identity, state.clone()).run(stop)
            }),
            locks,
        })
    }

    /// Returns when a newer incarnation has registered.
    async fn superseded(&self) -> String {
        let mut changes = self.state.subscribe();
        let newer = |state: &TabletState| matches!(state.registration, Registration::Superseded(_));
        match changes.wait_for(newer).await {
            Ok(state) => state.reasons().join("; "),
            Err(_) => std::future::pending().await,
        }
    }

    async fn stop(self, exit: &Exit) {
        self.state.update(|state| state.stopping = true);
        let engines_within = match exit {
            Exit::Panicked => JOIN_ENGINES_BROKEN,
            Exit::Stopped | Exit::Fatal(_) | Exit::Superseded(_) | Exit::Usage(_) => JOIN_ENGINES,
        };
        self.engines.join(engines_within).await;
        self.grpc.join(JOIN).await;
        self.locks.close();
        let (registrar, _) = tokio::join!(self.registrar.join(JOIN), self.shard_sync.join(JOIN));
        let deregister = async {
            // Only an orderly end says goodbye: after a panic the records should tell the truth.
            if let (Exit::Stopped, Some(registrar)) = (exit, registrar) {
                registrar.deregister().await;
            }
        };
        let locks = tokio::time::timeout(JOIN * 2, self.locks.wait());
        if let ((), Err(_elapsed)) = tokio::join!(deregister, locks) {
            tracing::warn!("named locks were not released in time: their leases will run out");
        }
        tokio::join!(self.http.join(JOIN), self.memory.join(JOIN));
    }
}

/// What the engines are built from.
struct Topology<'a> {
    etcd: &'a Etcd,
    paths: &'a Paths,
    state: &'a StateCell,
    locks: &'a TaskTracker,
}

impl Topology<'_> {
    fn engine_deps(
        &self,
        settings: &Settings,
        limits: Arc<LiveSettings>,
        stats: Arc<VdiffStats>,
        memory: tokio::sync::watch::Receiver<crate::engine::Pressure>,
    ) -> EngineDeps {
        let config = &settings.config;
        let locks = TopoLocks::new(
            self.etcd.clone(),
            self.paths.clone(),
            config.alias.clone(),
            self.state.clone(),
            Duration::from_secs(config.lease_ttl_seconds),
            self.locks.clone(),
        );
        EngineDeps {
            alias: config.alias.clone(),
            keyspace: config.keyspace.clone(),
            shard: config.shard.clone(),
            db_name: config.db_name.clone(),
            sidecar_db: config.sidecar_db.clone(),
            mysql: settings.mysql.clone(),
            limits,
            options: config.vdiff_options(),
            memory,
            locator: Arc::new(TopoLocator::new(self.etcd.clone(), self.paths.clone())),
            locks: Arc::new(locks),
            stats,
            bugs: settings.bugs,
        }
    }
}

fn identity(config: &Config) -> Identity {
    Identity {
        id: uuid::Uuid::new_v4().to_string(),
        alias: config.alias.clone(),
        keyspace: config.keyspace.clone(),
        shard: config.shard.clone(),
        hostname: config.hostname.clone(),
        grpc_port: config.grpc_port,
        http_port: config.http_port,
        mysql_host: config.mysql_host.clone(),
        mysql_port: config.mysql_port,
        db_name: config.db_name.clone(),
        sidecar_db: config.sidecar_db.clone(),
        lease_ttl: Duration::from_secs(config.lease_ttl_seconds),
    }
}

/// A server's task. A listener that fails is a defect of the process, not of a connection.
async fn serve<E: std::error::Error>(
    name: &'static str,
    serving: impl Future<Output = Result<(), E>>,
) {
    if let Err(error) = serving.await {
        panic!("the {name} server has failed: {}", crate::error_chain(&error));
    }
}
