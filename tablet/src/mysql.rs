//! The tablet's own MySQL: a bounded set of connections with fixed session settings.
//!
//! This is the only module that names the driver. Invariants: every statement has a deadline; a
//! connection whose statement was given up (deadline, cancelled future, transaction left open) is
//! killed on the server and never used again; error texts never echo a statement.

mod error;
mod literal;
mod session;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use error::{DbError, truncate_chars};
pub use literal::{bind, quote_identifier, quote_text};
pub use mysql_async::{Column, Row, Value};
pub use session::{Done, RowStream, Session};

use crate::engine::MysqlSettings;

/// How long a plain statement may take.
pub const STATEMENT_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const PERMIT_DEADLINE: Duration = Duration::from_secs(10);
const KILL_DEADLINE: Duration = Duration::from_secs(3);
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Connections for plain statements.
const STATEMENT_SESSIONS: usize = 16;
/// Connections for row streams (two for each stream while its snapshot is taken).
const STREAM_SESSIONS: usize = 64;
/// Connections that are kept when nobody uses them: a burst of calls (all that came in while the process
/// was frozen) shall not hold its connections for ever.
const IDLE_MAX: usize = 4;
const IDLE_TEST_DEADLINE: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_millis(500);

/// Both sides of a comparison run under the same settings, or equal rows would differ in text.
const SESSION_SETTINGS: &str = "set names utf8mb4, session time_zone = '+00:00', \
     session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
     session transaction_isolation = 'READ-COMMITTED', session autocommit = 1, \
     session lock_wait_timeout = 5, session innodb_lock_wait_timeout = 4, \
     session max_execution_time = 0, session net_write_timeout = 3600, \
     session sql_select_limit = default, session group_concat_max_len = 1048576";

/// Connections to one MySQL. Clones share them.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    opts: mysql_async::Opts,
    user: String,
    statements: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    idle: Mutex<Vec<(Conn, Instant)>>,
    live: Mutex<HashSet<u32>>,
    /// Ends connections that were given up.
    janitors: TaskTracker,
}

impl Db {
    /// Prepares, and does not connect.
    pub fn new(settings: &MysqlSettings) -> Db {
        let opts = OptsBuilder::default()
            .ip_or_hostname(settings.host.clone())
            .tcp_port(settings.port)
            .user(Some(settings.user.clone()))
            .pass(Some(settings.password.clone()))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .stmt_cache_size(0)
            .client_found_rows(true)
            .init(vec![SESSION_SETTINGS.to_owned()]);
        Db {
            inner: Arc::new(Inner {
                opts: opts.into(),
                user: settings.user.clone(),
                statements: Arc::new(Semaphore::new(STATEMENT_SESSIONS)),
                streams: Arc::new(Semaphore::new(STREAM_SESSIONS)),
                idle: Mutex::new(Vec::new()),
                live: Mutex::new(HashSet::new()),
                janitors: TaskTracker::new(),
            }),
        }
    }

    /// The MySQL user of this incarnation.
    pub fn user(&self) -> &str {
        &self.inner.user
    }

    /// A connection for plain statements, for a short time.
    ///
    /// # Errors
    /// MySQL is away, or all connections stayed in use.
    pub async fn session(&self) -> Result<Session, DbError> {
        let permit = self.permit(&self.inner.statements).await?;
        let Some((conn, since)) = self.take_idle() else {
            let conn = self.connect().await?;
            return Ok(Session::new(conn, self.clone(), permit, true));
        };
        let id = conn.id();
        let mut session = Session::new(conn, self.clone(), permit, true);
        if since.elapsed() < TRUSTED_IDLE {
            return Ok(session);
        }
        let Err(error) = session.ping("testing an idle connection", IDLE_TEST_DEADLINE).await
        else {
            return Ok(session);
        };
        // The others are as old: MySQL has been restarted, or has closed them.
        tracing::debug!(connection = id, %error, "an idle connection had died");
        drop(session); // Its permit is taken again.
        self.drop_idle();
        let permit = self.permit(&self.inner.statements).await?;
        let conn = self.connect().await?;
        Ok(Session::new(conn, self.clone(), permit, true))
    }

    /// A connection of its own for a row stream; it is closed after use.
    ///
    /// # Errors
    /// MySQL is away, or too many streams are open.
    pub async fn stream_session(&self) -> Result<Session, DbError> {
        let permit = self.permit(&self.inner.streams).await?;
        let conn = self.connect().await?;
        Ok(Session::new(conn, self.clone(), permit, false))
    }

    /// Asks MySQL for a sign of life, over the pool and by no statement; at most for `deadline`.
    ///
    /// # Errors
    /// MySQL is away, or gave none in time.
    pub async fn ping(&self, deadline: Duration) -> Result<(), DbError> {
        let attempted = "asking whether MySQL answers";
        let ping = async { self.session().await?.ping(attempted, deadline).await };
        tokio::time::timeout(deadline, ping)
            .await
            .map_err(|_| DbError::TimedOut { attempted, after: deadline })?
    }

    /// Whether MySQL is at work on a statement of this connection of ours. After a restart another one may have
    /// its number: the next look tells.
    ///
    /// # Errors
    /// MySQL is away or refuses: then nobody knows.
    async fn works_on(&self, connection: u32) -> Result<bool, DbError> {
        let statement = format!(
            "select 1 from information_schema.processlist where id = {connection} \
             and id <> connection_id() and command = 'Query'"
        );
        Ok(!self.rows("looking after a row stream", &statement).await?.is_empty())
    }

    /// Runs one reading statement on a connection of the pool.
    ///
    /// # Errors
    /// MySQL is away or refuses.
    pub async fn rows(
        &self,
        attempted: &'static str,
        statement: &str,
    ) -> Result<Vec<Row>, DbError> {
        self.session().await?.rows(attempted, statement).await
    }

    /// Runs one writing statement on a connection of the pool.
    ///
    /// # Errors
    /// MySQL is away or refuses.
    pub async fn run(&self, attempted: &'static str, statement: &str) -> Result<Done, DbError> {
        self.session().await?.run(attempted, statement).await
    }

    /// The connections that this process has open now, by MySQL's ids.
    pub fn live_connections(&self) -> HashSet<u32> {
        self.live().clone()
    }

    /// Closes idle connections and waits until the given-up ones are ended, for at most `grace`.
    pub async fn settle(&self, grace: Duration) {
        self.drop_idle();
        // A closed tracker takes tasks all the same; only closed ones can be waited for.
        self.inner.janitors.close();
        if tokio::time::timeout(grace, self.inner.janitors.wait()).await.is_err() {
            tracing::warn!(late = self.inner.janitors.len(), "connections were still being ended");
        }
    }

    async fn permit(
        &self,
        of: &Arc<Semaphore>,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, DbError> {
        let attempted = "waiting for a free connection";
        tokio::time::timeout(PERMIT_DEADLINE, Arc::clone(of).acquire_owned())
            .await
            .map_err(|_| DbError::TimedOut { attempted, after: PERMIT_DEADLINE })?
            .map_err(|_| DbError::TimedOut { attempted, after: Duration::ZERO })
    }

    async fn connect(&self) -> Result<Conn, DbError> {
        let attempted = "connecting";
        let conn = tokio::time::timeout(CONNECT_DEADLINE, Conn::new(self.inner.opts.clone()))
            .await
            .map_err(|_| DbError::TimedOut { attempted, after: CONNECT_DEADLINE })?
            .map_err(|source| DbError::from_driver(attempted, source))?;
        self.live().insert(conn.id());
        Ok(conn)
    }

    fn take_idle(&self) -> Option<(Conn, Instant)> {
        self.idle().pop()
    }

    fn put_idle(&self, conn: Conn) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push((conn, Instant::now()));
            return;
        }
        drop(idle);
        self.discard(conn, false);
    }

    fn drop_idle(&self) {
        let conns = std::mem::take(&mut *self.idle());
        for (conn, _) in conns {
            self.discard(conn, false);
        }
    }

    /// Ends a connection in the background; `kill` first when the server may be busy with it.
    fn discard(&self, conn: Conn, kill: bool) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return; // No runtime: the process ends, and its sockets with it.
        };
        let db = self.clone();
        let end = async move {
            let id = conn.id();
            if kill && let Err(error) = db.kill(id).await {
                tracing::warn!(connection = id, %error, "a given-up connection was not killed");
            }
            let closed = tokio::time::timeout(DISCONNECT_DEADLINE, conn.disconnect()).await;
            if !matches!(closed, Ok(Ok(()))) {
                tracing::debug!(connection = id, "a connection was closed without a goodbye");
            }
            db.live().remove(&id);
        };
        self.inner.janitors.spawn_on(end, &runtime);
    }

    /// Kills a connection of ours, by MySQL's id. Gone already is fine.
    async fn kill(&self, id: u32) -> Result<(), DbError> {
        const NO_SUCH_THREAD: u16 = 1094;
        let attempted = "killing a given-up connection";
        let work = async {
            let mut conn = Conn::new(self.inner.opts.clone()).await?;
            let killed = conn.query_drop(format!("kill {id}")).await;
            conn.disconnect().await?;
            killed
        };
        match tokio::time::timeout(KILL_DEADLINE, work).await {
            Err(_) => Err(DbError::TimedOut { attempted, after: KILL_DEADLINE }),
            Ok(Ok(())) => Ok(()),
            Ok(Err(mysql_async::Error::Server(error))) if error.code == NO_SUCH_THREAD => Ok(()),
            Ok(Err(source)) => Err(DbError::from_driver(attempted, source)),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Conn, Instant)>> {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.inner.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
