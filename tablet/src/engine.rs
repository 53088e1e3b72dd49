//! The boundary between the process and its engines: what the tablet manager gives to vreplication
//! and VDiff, and what it asks of them.
//!
//! The tablet manager decides *when* engines are open (as primary, under one epoch) and owns the
//! outside: topology, listeners, memory. The engines own everything between two MySQL servers. Each
//! side is tested with a fake of the other.

#[cfg(test)]
pub(crate) mod fake;
mod identity;
mod settings;
mod stats;
mod topology;

use std::sync::Arc;

use futures::stream::BoxStream;
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::QueryResult;
use tablet_wire::tabletmanagerdata::{VDiffRequest, VDiffResponse};
use tokio::sync::watch;
use tonic::Status;

pub use identity::{Epoch, TabletAlias, TabletAliasError};
pub use settings::{LiveSettings, MysqlSettings, Pressure, VdiffOptions};
pub use stats::{StreamShown, VdiffPhase, VdiffProgress, VdiffStats};
pub use topology::{HeldLock, LocateError, LockError, LockGuard, NamedLocks, TabletLocator};

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
