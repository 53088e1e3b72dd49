//! The boundary between the process and its engines: what the tablet manager gives to vreplication
//! and VDiff, and what it asks of them.
//!
//! The tablet manager decides *when* engines are open (as primary, under one epoch) and owns the
//! outside: topology, listeners, memory. The engines own everything between two MySQL servers. Each
//! side is tested with a fake of the other.

#[cfg(test)]
pub(crate) mod fake;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::QueryResult;
use tablet_wire::tabletmanagerdata::{VDiffRequest, VDiffResponse};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::seeded_bugs::SeededBugs;

/// The vreplication and VDiff engines of one tablet.
///
/// Every method may be dropped at any await (the caller was cancelled) and leaves no half state.
#[tonic::async_trait]
pub trait Engines: Send + Sync {
    /// Opens the engines as primary under `epoch`: sidecar brought up to date, older incarnations
    /// fenced, unfinished diffs resumed. Opening what is open does nothing.
    ///
    /// # Errors
    /// MySQL is away or refuses; the caller tries again with back-off.
    async fn open(&self, epoch: Epoch) -> Result<(), EngineError>;

    /// Stops all diffs with a last checkpoint and joins their tasks, within seconds also when MySQL
    /// is away. Closing what is closed does nothing. The stop of a demotion or of the process leaves
    /// diffs `pending` or `started`. Row streams that are served to others go on.
    async fn close(&self);

    /// Ends the row streams that are served to others, their snapshots with them, within a second:
    /// the process ends. Each tells its reader that rows are missing.
    async fn end_streams(&self);

    /// Whether the engines are open.
    fn is_open(&self) -> bool;

    /// Whether what open engines live on (MySQL) answers now. Asked every second while open; must not
    /// wait long, and should not be a statement of its own.
    ///
    /// # Errors
    /// MySQL does not answer: the tablet is then not ready, and its engines stay open.
    async fn check(&self) -> Result<(), EngineError>;

    /// One VDiff action (`create`, `show`, `stop`, `resume`, `delete`).
    ///
    /// # Errors
    /// `UNAVAILABLE` while closed, `INVALID_ARGUMENT` and `NOT_FOUND` as they say.
    async fn vdiff(&self, request: VDiffRequest) -> Result<VDiffResponse, Status>;

    /// One statement on the sidecar's `vreplication` table.
    ///
    /// # Errors
    /// `UNAVAILABLE` while closed, `INVALID_ARGUMENT` for any other statement.
    async fn vreplication_exec(&self, statement: String) -> Result<QueryResult, Status>;

    /// The rows of one table from a consistent snapshot, in key order. Works on any tablet type once
    /// MySQL is reachable, also while the engines are closed. Dropping the stream ends the snapshot.
    ///
    /// # Errors
    /// `UNAVAILABLE` while MySQL is away, `INVALID_ARGUMENT` for a query that is not understood.
    async fn vstream_rows(
        &self,
        request: VStreamRowsRequest,
    ) -> Result<BoxStream<'static, Result<VStreamRowsResponse, Status>>, Status>;
}

/// Everything that the engines need from the process.
#[derive(Clone)]
pub struct EngineDeps {
    /// Who we are.
    pub alias: TabletAlias,
    /// Our keyspace.
    pub keyspace: String,
    /// Our shard.
    pub shard: String,
    /// The database that holds the tablet's tables.
    pub db_name: String,
    /// The database that holds the sidecar tables (`_vt`).
    pub sidecar_db: String,
    /// The tablet's own MySQL.
    pub mysql: MysqlSettings,
    /// What can be changed while running.
    pub limits: Arc<LiveSettings>,
    /// What is fixed at start.
    pub options: VdiffOptions,
    /// The memory guard's present judgement.
    pub memory: watch::Receiver<Pressure>,
    /// Finds the primary of another shard.
    pub locator: Arc<dyn TabletLocator>,
    /// The topology's named locks.
    pub locks: Arc<dyn NamedLocks>,
    /// What `/debug/vars` and `/metrics` show about VDiff; written by the engines.
    pub stats: Arc<VdiffStats>,
    /// Known bugs that are switched on.
    pub bugs: SeededBugs,
}

/// Why engines could not be opened. All of these are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// MySQL is away, or a statement failed while `attempted`.
    #[error("MySQL failed while {attempted}")]
    Mysql {
        /// What was being done ("creating the sidecar tables").
        attempted: String,
        /// The driver's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// MySQL's own record of incarnations already has a newer one.
    #[error("a newer incarnation of this tablet (epoch {recorded}) has already used this MySQL")]
    Superseded {
        /// The newest epoch that MySQL knows.
        recorded: Epoch,
    },
    /// Closed while opening.
    #[error("the engines were closed while they were opening")]
    Cancelled,
}

/// One start of a tablet, ordered: a greater epoch is a later start. It is etcd's revision at which
/// the incarnation first registered, so it is greater than every epoch before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tablet's name for life, printed as `zone1-0000000200`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TabletAlias {
    /// The cell it lives in.
    pub cell: String,
    /// Its number in the cell.
    pub uid: u32,
}

/// A text that is no tablet alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a tablet alias: expected <cell>-<number>, for instance zone1-0000000200")]
pub struct TabletAliasError(String);

impl fmt::Display for TabletAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:010}", self.cell, self.uid)
    }
}

impl FromStr for TabletAlias {
    type Err = TabletAliasError;

    fn from_str(text: &str) -> Result<TabletAlias, TabletAliasError> {
        let refused = || TabletAliasError(text.to_owned());
        let (cell, uid) = text.rsplit_once('-').ok_or_else(refused)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let digits = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit());
        if cell.is_empty() || !cell.chars().all(plain) || !digits {
            return Err(refused());
        }
        let uid = uid.parse().map_err(|_| refused())?;
        Ok(TabletAlias { cell: cell.to_owned(), uid })
    }
}

/// Where the tablet's MySQL is, and as whom to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct MysqlSettings {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The user of this incarnation.
    pub user: String,
    /// Its password; never printed.
    pub password: String,
}

impl fmt::Debug for MysqlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.port)
    }
}

/// Settings of VDiff that are fixed at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdiffOptions {
    /// A checkpoint at least every so many processed rows.
    pub checkpoint_rows: u64,
    /// A checkpoint at least this often.
    pub checkpoint_interval: Duration,
    /// A packet of rows is sent when it has grown to this size.
    pub packet_bytes: usize,
    /// Unclean starts without progress after which a diff rests in a lasting error.
    pub max_attempts: u32,
    /// The first wait before an ephemeral error is retried.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
}

/// Settings that change while the tablet runs (`/debug/env`).
#[derive(Debug, Default)]
pub struct LiveSettings {
    rows_per_second: AtomicU64,
}

impl LiveSettings {
    /// Settings with this limit on VDiff; 0 is no limit.
    pub fn new(rows_per_second: u64) -> LiveSettings {
        LiveSettings { rows_per_second: AtomicU64::new(rows_per_second) }
    }

    /// How many rows a diff may process in a second; 0 is no limit.
    pub fn rows_per_second(&self) -> u64 {
        self.rows_per_second.load(Ordering::Relaxed)
    }

    /// Changes the limit, also for diffs that are running.
    pub fn set_rows_per_second(&self, limit: u64) {
        self.rows_per_second.store(limit, Ordering::Relaxed);
    }
}

/// How near the tablet is to its memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Room enough.
    None,
    /// Slow down.
    Slow,
    /// Checkpoint and stop with an ephemeral error, before the kernel kills the process.
    High,
}

impl Pressure {
    /// The word in `/debug/vars`.
    pub fn name(self) -> &'static str {
        match self {
            Pressure::None => "none",
            Pressure::Slow => "slow",
            Pressure::High => "high",
        }
    }
}

/// Finds tablets by what they serve.
#[tonic::async_trait]
pub trait TabletLocator: Send + Sync {
    /// The URL (`http://host:port`) of the gRPC port of the shard's primary.
    ///
    /// # Errors
    /// The topology is away, or names no primary that is up. Both pass: worth another try.
    async fn primary_grpc_address(
        &self,
        keyspace: &str,
        shard: &str,
    ) -> Result<String, LocateError>;
}

/// Why a primary was not found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The topology did not answer.
    #[error("the topology did not answer when asked for the primary of {keyspace}/{shard}")]
    Topology {
        /// The keyspace asked for.
        keyspace: String,
        /// The shard asked for.
        shard: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The shard has no primary, or its tablet is down.
    #[error("{keyspace}/{shard} has no primary that is up: {reason}")]
    NoPrimary {
        /// The keyspace asked for.
        keyspace: String,
        /// The shard asked for.
        shard: String,
        /// What the topology says.
        reason: String,
    },
}

/// Locks in the topology, by keyspace and workflow, that several tablets compete for.
#[tonic::async_trait]
pub trait NamedLocks: Send + Sync {
    /// Waits for the lock. A lock that a dead incarnation of our own alias has left is taken over at
    /// once; others are waited for until they are released or their lease ends.
    ///
    /// # Errors
    /// `cancel` was cancelled, or the topology stayed away for longer than the lock's deadline.
    async fn lock(
        &self,
        keyspace: &str,
        workflow: &str,
        cancel: &CancellationToken,
    ) -> Result<LockGuard, LockError>;
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The caller did not want it any longer.
    #[error("waiting for the lock of workflow {0} was cancelled")]
    Cancelled(String),
    /// It was not free in time, or the topology was away.
    #[error("the lock of workflow {workflow} was not free within {waited:?}: {reason}")]
    TimedOut {
        /// The workflow.
        workflow: String,
        /// How long it was waited for.
        waited: Duration,
        /// Who holds it, or why the topology did not answer.
        reason: String,
    },
    /// We are not registered, or no longer the tablet that may take it.
    #[error("this tablet is not registered in the topology")]
    NotRegistered,
}

/// A lock that is held. Dropping it lets go of it in the background; if the topology cannot be
/// reached, its lease runs out.
pub struct LockGuard {
    held: Box<dyn HeldLock>,
}

impl LockGuard {
    /// Wraps an implementation.
    pub fn new(held: Box<dyn HeldLock>) -> LockGuard {
        LockGuard { held }
    }

    /// Whether the lock is still ours, as far as is known.
    pub fn is_held(&self) -> bool {
        !self.held.lost().is_cancelled()
    }

    /// Is cancelled when the lock is lost (its lease ended) or released.
    pub fn lost(&self) -> CancellationToken {
        self.held.lost()
    }

    /// Lets go of the lock and waits, for a bounded time, until the topology knows.
    pub async fn release(self) {
        self.held.release().await;
    }
}

/// What stands behind a [`LockGuard`].
#[tonic::async_trait]
pub trait HeldLock: Send + Sync {
    /// Is cancelled when the lock is no longer ours.
    fn lost(&self) -> CancellationToken;
    /// Lets go, within a bounded time.
    async fn release(self: Box<Self>);
}

/// What is shown about VDiff; written by the engines, rendered by HTTP.
#[derive(Debug, Default)]
pub struct VdiffStats {
    progress: Mutex<BTreeMap<String, VdiffProgress>>,
    /// Controllers that the engine has now.
    pub controllers: AtomicI64,
    /// Failed actions and failed diffs.
    pub errors_total: AtomicU64,
    /// Rows processed by this process, of all diffs.
    pub rows_compared_total: AtomicU64,
    /// Committed checkpoints.
    pub checkpoints_total: AtomicU64,
    /// Row streams served that have not ended.
    pub row_streams_open: AtomicI64,
}

/// Where one diff is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdiffProgress {
    /// The table it is at; empty between tables.
    pub table: String,
    /// What it does there.
    pub phase: VdiffPhase,
    /// Rows processed of this table, over all attempts.
    pub rows_compared: u64,
}

/// What a diff does with its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VdiffPhase {
    /// Between tables, waiting, or at rest.
    Idle,
    /// Takes the two snapshots.
    Snapshot,
    /// Compares rows.
    Streaming,
    /// Matches extra rows of both sides.
    Reconcile,
    /// Writes the end.
    Completing,
}

impl VdiffPhase {
    /// The word in `/debug/vars`.
    pub fn name(self) -> &'static str {
        match self {
            VdiffPhase::Idle => "idle",
            VdiffPhase::Snapshot => "snapshot",
            VdiffPhase::Streaming => "streaming",
            VdiffPhase::Reconcile => "reconcile",
            VdiffPhase::Completing => "completing",
        }
    }
}

impl VdiffStats {
    /// Says where the diff `uuid` is.
    pub fn set(&self, uuid: &str, progress: VdiffProgress) {
        self.locked().insert(uuid.to_owned(), progress);
    }

    /// Forgets the diff `uuid`.
    pub fn remove(&self, uuid: &str) {
        self.locked().remove(uuid);
    }

    /// All diffs, by uuid.
    pub fn snapshot(&self) -> BTreeMap<String, VdiffProgress> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, VdiffProgress>> {
        // Numbers for display: a writer that panicked leaves nothing to protect others from.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_reads_back_as_it_prints() {
        let alias: TabletAlias = "zone1-200".parse().unwrap();
        assert_eq!(alias.to_string(), "zone1-0000000200");
        assert_eq!(alias.to_string().parse(), Ok(alias));
        assert_eq!("a-b-7".parse(), Ok(TabletAlias { cell: "a-b".to_owned(), uid: 7 }));
    }

    #[test]
    fn what_is_no_alias_is_refused() {
        for text in ["", "zone1", "-1", "zone1-", "zone1-x", "zo/ne-1", "z-+1", "z-99999999999"] {
            assert!(text.parse::<TabletAlias>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let mysql = MysqlSettings {
            host: "db".into(),
            port: 3306,
            user: "u".into(),
            password: "secret".into(),
        };
        assert_eq!(format!("{mysql:?}"), "u@db:3306");
    }
}
