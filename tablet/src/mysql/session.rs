//! One connection in use.
//!
//! A session may be dropped at any await. If a statement was under way, a result unread or a
//! transaction open, the connection is killed on the server in the background and thrown away;
//! otherwise it goes back to the pool.

use std::future::Future;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, QueryResult, Row, TextProtocol};
use tokio::sync::OwnedSemaphorePermit;

use super::{Db, DbError, STATEMENT_DEADLINE};

/// A row stream that is silent for so long is looked after.
const SILENCE: Duration = Duration::from_secs(2);
/// What a server has sent is here in this time.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a writing statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Rows matched by the `where` (not only those that changed).
    pub matched: u64,
    /// The generated id of an insert.
    pub last_insert_id: u64,
}

/// A connection, see the module.
pub struct Session {
    conn: Option<Conn>,
    db: Db,
    _permit: OwnedSemaphorePermit,
    reusable: bool,
    busy: bool,
    in_transaction: bool,
    broken: bool,
    deadline: Duration,
}

impl Session {
    pub(super) fn new(conn: Conn, db: Db, permit: OwnedSemaphorePermit, reusable: bool) -> Session {
        Session {
            conn: Some(conn),
            db,
            _permit: permit,
            reusable,
            busy: false,
            in_transaction: false,
            broken: false,
            deadline: STATEMENT_DEADLINE,
        }
    }

    /// Changes the deadline of the statements that follow.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Session {
        self.deadline = deadline;
        self
    }

    /// The rows of a reading statement, all of them.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed.
    pub async fn rows(
        &mut self,
        attempted: &'static str,
        statement: &str,
    ) -> Result<Vec<Row>, DbError> {
        let deadline = self.deadline;
        self.guarded(attempted, deadline, async |conn: &mut Conn| conn.query(statement).await).await
    }

    /// A writing statement.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed.
    pub async fn run(&mut self, attempted: &'static str, statement: &str) -> Result<Done, DbError> {
        let deadline = self.deadline;
        self.guarded(attempted, deadline, async |conn: &mut Conn| {
            conn.query_drop(statement).await?;
            Ok(Done {
                matched: conn.affected_rows(),
                last_insert_id: conn.last_insert_id().unwrap_or_default(),
            })
        })
        .await
    }

    /// Begins a transaction; unless [`Session::commit`] succeeds it is rolled back.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed.
    pub async fn begin(&mut self, attempted: &'static str) -> Result<(), DbError> {
        self.begin_as(attempted, "start transaction").await
    }

    /// Begins a transaction by a statement of its own.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed.
    pub async fn begin_as(
        &mut self,
        attempted: &'static str,
        statement: &str,
    ) -> Result<(), DbError> {
        self.in_transaction = true;
        self.run(attempted, statement).await.map(|_| ())
    }

    /// Commits.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed: whether it was committed is then unknown.
    pub async fn commit(&mut self, attempted: &'static str) -> Result<(), DbError> {
        self.run(attempted, "commit").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back at once, rather than by killing the connection.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed: the connection is killed then.
    pub async fn rollback(&mut self, attempted: &'static str) -> Result<(), DbError> {
        self.run(attempted, "rollback").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Begins to read the rows of `statement`, one by one as the server sends them.
    ///
    /// # Errors
    /// MySQL is away or refuses, or the deadline passed.
    pub async fn stream(
        &mut self,
        attempted: &'static str,
        statement: String,
        deadline: Duration,
    ) -> Result<RowStream<'_>, DbError> {
        self.busy = true; // Until the last row was read; a dropped stream leaves it set.
        let Some(conn) = self.conn.as_mut() else {
            return Err(DbError::Connection { attempted, reason: "it was closed".to_owned() });
        };
        let watch = Watch { db: self.db.clone(), connection: conn.id(), attempted, deadline };
        match watch.over(conn.query_iter(statement)).await {
            Ok(result) => Ok(RowStream { result, busy: &mut self.busy, watch }),
            Err(error) => {
                self.broken |= error.is_connection_dead();
                self.busy = !matches!(error, DbError::Connection { .. });
                Err(error)
            }
        }
    }

    /// Whether the server answers on it; if not, the connection is of no further use.
    pub(super) async fn ping(
        &mut self,
        attempted: &'static str,
        deadline: Duration,
    ) -> Result<(), DbError> {
        let answer =
            self.guarded(attempted, deadline, async |conn: &mut Conn| conn.ping().await).await;
        self.broken |= answer.is_err();
        answer
    }

    async fn guarded<T>(
        &mut self,
        attempted: &'static str,
        deadline: Duration,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Result<T, DbError> {
        let Some(conn) = self.conn.as_mut() else {
            return Err(DbError::Connection { attempted, reason: "it was closed".to_owned() });
        };
        self.busy = true;
        let outcome = within(attempted, deadline, work(conn)).await;
        match &outcome {
            Err(DbError::TimedOut { .. }) => {} // Still busy: the drop kills it.
            Err(error) => {
                self.busy = false;
                self.broken |= error.is_connection_dead();
            }
            Ok(_) => self.busy = false,
        }
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let given_up = self.busy || self.in_transaction;
        if given_up || self.broken || !self.reusable {
            self.db.discard(conn, given_up);
        } else {
            self.db.put_idle(conn);
        }
    }
}

/// The rows of a statement that is still running.
pub struct RowStream<'a> {
    result: QueryResult<'a, 'static, TextProtocol>,
    busy: &'a mut bool,
    watch: Watch,
}

impl RowStream<'_> {
    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// The connection broke, MySQL does not know it any more, or the deadline (for each row) passed.
    pub async fn next(&mut self) -> Result<Option<Row>, DbError> {
        let row = self.watch.over(self.result.next()).await;
        // Nothing is left to be ended on the server: its number may be another connection's by now.
        if matches!(row, Ok(None) | Err(DbError::Connection { .. })) {
            *self.busy = false;
        }
        row
    }

    /// The columns of the result.
    pub fn columns(&self) -> std::sync::Arc<[mysql_async::Column]> {
        self.result.columns().unwrap_or_else(|| std::sync::Arc::from(Vec::new()))
    }
}

/// Waits for what a stream's connection is to bring, and does not take its silence for work.
///
/// A server that died with rows unsent, or whose address is another's now, sends no word of it: the connection
/// looks open for minutes, until a keepalive finds somebody at that address. So MySQL is asked over another
/// connection whether it still works on this one. One that cannot be asked proves nothing.
struct Watch {
    db: Db,
    connection: u32,
    attempted: &'static str,
    /// For each wait.
    deadline: Duration,
}

impl Watch {
    async fn over<T>(
        &self,
        work: impl Future<Output = Result<T, mysql_async::Error>>,
    ) -> Result<T, DbError> {
        let attempted = self.attempted;
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(SILENCE, work.as_mut()).await {
                Ok(done) => return done.map_err(|source| DbError::from_driver(attempted, source)),
                Err(_) if began.elapsed() >= self.deadline => {
                    return Err(DbError::TimedOut { attempted, after: self.deadline });
                }
                Err(_) => {}
            }
            match self.db.works_on(self.connection).await {
                // It may have come to its end just now: then what it sent last is here, or about to be.
                Ok(false) => match tokio::time::timeout(LAST_WORDS, work.as_mut()).await {
                    Ok(done) => {
                        return done.map_err(|source| DbError::from_driver(attempted, source));
                    }
                    Err(_) => {
                        let reason = "MySQL does not know it any more".to_owned();
                        return Err(DbError::Connection { attempted, reason });
                    }
                },
                Ok(true) => {}
                Err(error) => {
                    tracing::debug!(%error, "a silent row stream could not be looked after")
                }
            }
        }
    }
}

async fn within<T>(
    attempted: &'static str,
    after: Duration,
    work: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T, DbError> {
    tokio::time::timeout(after, work)
        .await
        .map_err(|_| DbError::TimedOut { attempted, after })?
        .map_err(|source| DbError::from_driver(attempted, source))
}
