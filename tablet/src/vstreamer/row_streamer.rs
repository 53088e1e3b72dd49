//! The stream itself: lock, position, snapshot, unlock, rows.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::{Field, Type};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::packet::{RowCells, encode_row};
use super::table::TableSchema;
use super::{StreamError, select};
use crate::engine::VdiffStats;
use crate::mysql::{Db, DbError, Session, quote_identifier};
use crate::seeded_bugs::{SeededBug, SeededBugs};

/// Waiting for the table's lock is bounded: an open transaction of somebody else may hold it for
/// hours, and the workflow is stopped meanwhile.
const LOCK_WAIT_SECONDS: u64 = 10;
const LOCK_DEADLINE: Duration = Duration::from_secs(LOCK_WAIT_SECONDS + 2);
/// How long the server may take to the next row.
const ROW_DEADLINE: Duration = Duration::from_secs(120);

/// Serves row streams from one MySQL.
#[derive(Clone)]
pub struct RowStreamer {
    db: Db,
    db_name: String,
    packet_bytes: usize,
    stats: Arc<VdiffStats>,
    tasks: TaskTracker,
    bugs: SeededBugs,
}

/// A row stream that is asked for.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// `select … from …`.
    pub query: String,
    /// Rows strictly after this key; all if `None`.
    pub after: Option<Vec<Vec<u8>>>,
}

impl StreamRequest {
    /// Reads it from the wire.
    ///
    /// # Errors
    /// The last key is malformed.
    pub fn from_wire(request: VStreamRowsRequest) -> Result<StreamRequest, StreamError> {
        let query = request.query;
        let Some(lastpk) = request.lastpk else {
            return Ok(StreamRequest { query, after: None });
        };
        let refused = |reason: &str| StreamError::LastKey {
            table: crate::mysql::truncate_chars(&query, 100).to_owned(),
            reason: reason.to_owned(),
        };
        // No row is not "from the beginning": that would compare rows twice.
        let [row] = <[_; 1]>::try_from(lastpk.rows).map_err(|_| refused("it is not one row"))?;
        let columns = row.lengths.len();
        let cells = RowCells::new(row, columns).ok_or_else(|| refused("its lengths lie"))?;
        let after: Option<Vec<Vec<u8>>> =
            (0..columns).map(|at| cells.get(at).map(<[u8]>::to_vec)).collect();
        let after = after.ok_or_else(|| refused("it holds a NULL"))?;
        Ok(StreamRequest { query, after: Some(after) })
    }
}

type Item = Result<VStreamRowsResponse, StreamError>;

enum Part {
    Item(Box<Item>),
    End,
}

impl RowStreamer {
    /// Streams tables of `db_name` in packets of about `packet_bytes`.
    pub fn new(db: Db, db_name: &str, packet_bytes: usize, stats: Arc<VdiffStats>) -> RowStreamer {
        let db_name = db_name.to_owned();
        let (tasks, bugs) = (TaskTracker::new(), SeededBugs::none());
        RowStreamer { db, db_name, packet_bytes, stats, tasks, bugs }
    }

    /// With known bugs that are switched on.
    #[must_use]
    pub fn with_bugs(self, bugs: SeededBugs) -> RowStreamer {
        RowStreamer { bugs, ..self }
    }

    /// Begins a stream. The task behind it ends when the rows end, when the stream is dropped, or
    /// when `cancel` is cancelled, also while the reader does not read; its snapshot ends with it.
    pub fn stream(
        &self,
        request: StreamRequest,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Item> {
        // One packet waits here, one is held by the task: the bound of the stream's memory.
        let (sender, receiver) = mpsc::channel(1);
        let streamer = self.clone();
        self.tasks.spawn(async move {
            let open = OpenStream::begin(&streamer.stats, &request.query);
            let work = async {
                let last = match streamer.produce(&request, &open, &sender).await {
                    Ok(()) => Part::End,
                    Err(error) => Part::Item(Box::new(Err(error))),
                };
                if sender.send(last).await.is_err() {
                    tracing::debug!("the reader of a row stream went away at its end");
                }
            };
            tokio::select! {
                biased;
                () = sender.closed() => {}
                // Without a last word, which the reader takes for an end before the last row.
                () = cancel.cancelled() => {}
                () = work => {}
            }
        });
        futures::stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Part::Item(item)) => {
                    let rest = item.is_ok().then_some(receiver);
                    Some((*item, rest))
                }
                Some(Part::End) => None,
                // The task died without a word: its rows must not pass for all rows.
                None => Some((Err(StreamError::Ended), None)),
            }
        })
        .boxed()
    }

    /// Waits until all streams have ended, for at most `grace`.
    pub async fn settle(&self, grace: Duration) {
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(late = self.tasks.len(), "row streams were still ending");
        }
    }

    async fn produce(
        &self,
        request: &StreamRequest,
        open: &OpenStream,
        sender: &mpsc::Sender<Part>,
    ) -> Result<(), StreamError> {
        let wanted = select::parse(&request.query)?;
        let (session, schema, gtid) = self.snapshot(&wanted.table).await?;
        let mut snapshot = Snapshot { session: Some(session), bugs: self.bugs };
        let Some(session) = snapshot.session.as_mut() else { return Err(StreamError::Ended) };
        let columns = wanted_columns(&schema, wanted.columns)?;
        let after = request.after.as_deref();
        let statement = select::statement(&schema, &columns, &self.db_name, after)?;
        let header = header(&schema, &columns, gtid);
        send(sender, header).await?;
        let mut rows = session.stream("streaming rows", statement, ROW_DEADLINE).await?;
        let mut packet = Packet::default();
        while let Some(row) = rows.next().await? {
            packet.push(encode_row(row.unwrap()));
            if packet.bytes >= self.packet_bytes {
                open.send(sender, packet.take(&schema, &columns)).await?;
            }
        }
        if !packet.rows.is_empty() {
            open.send(sender, packet.take(&schema, &columns)).await?;
        }
        drop(rows);
        // The snapshot ends here; should this fail, the connection is killed.
        session.rollback("ending the snapshot").await?;
        snapshot.bugs = SeededBugs::none();
        Ok(())
    }

    /// A connection that reads `table` as it was at the returned position.
    async fn snapshot(&self, table: &str) -> Result<(Session, TableSchema, String), StreamError> {
        let mut locker = self.db.stream_session().await?.with_deadline(LOCK_DEADLINE);
        let mut reader = self.db.stream_session().await?;
        let set = format!("set session lock_wait_timeout = {LOCK_WAIT_SECONDS}");
        locker.run("preparing the table lock", &set).await?;
        let full_name = format!("{}.{}", quote_identifier(&self.db_name), quote_identifier(table));
        let locked =
            locker.run("locking the table", &format!("lock tables {full_name} read")).await;
        match locked {
            Err(error) if error.is_missing_table() => {
                return Err(StreamError::NoTable(table.to_owned()));
            }
            other => other?,
        };
        let schema = TableSchema::read(&mut reader, &self.db_name, table).await?;
        let rows = locker.rows("reading the position", "select @@global.gtid_executed").await?;
        let gtid: String = rows.first().and_then(|row| row.get(0)).ok_or(DbError::Shape {
            attempted: "reading the position",
            column: "gtid_executed".to_owned(),
        })?;
        let attempted = "taking the snapshot";
        reader.run(attempted, "set session transaction_isolation = 'REPEATABLE-READ'").await?;
        reader.begin_as(attempted, "start transaction with consistent snapshot, read only").await?;
        locker.run("unlocking the table", "unlock tables").await?;
        Ok((reader, schema, gtid.replace('\n', "")))
    }
}

/// A connection with a snapshot. Dropped in its middle, the snapshot ends with the connection.
struct Snapshot {
    session: Option<Session>,
    bugs: SeededBugs,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.bugs.has(SeededBug::SnapshotLeftOpen) {
            // vitessio/vitess#19370: a stream that is cancelled in its middle never ends.
            std::mem::forget(self.session.take());
        }
    }
}

/// A stream as it is shown to who looks.
struct OpenStream {
    stats: Arc<VdiffStats>,
    number: u64,
}

impl OpenStream {
    fn begin(stats: &Arc<VdiffStats>, query: &str) -> OpenStream {
        OpenStream { stats: Arc::clone(stats), number: stats.stream_begins(query) }
    }

    async fn send(
        &self,
        sender: &mpsc::Sender<Part>,
        packet: VStreamRowsResponse,
    ) -> Result<(), StreamError> {
        let rows = packet.rows.len() as u64;
        send(sender, packet).await?;
        self.stats.stream_sends(self.number, rows);
        Ok(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.stats.stream_ends(self.number);
    }
}

async fn send(
    sender: &mpsc::Sender<Part>,
    response: VStreamRowsResponse,
) -> Result<(), StreamError> {
    sender.send(Part::Item(Box::new(Ok(response)))).await.map_err(|_| StreamError::Ended)
}

fn wanted_columns(
    schema: &TableSchema,
    names: Option<Vec<String>>,
) -> Result<Vec<usize>, StreamError> {
    let Some(names) = names else { return Ok((0..schema.columns.len()).collect()) };
    let find = |name: String| {
        let found = schema.columns.iter().position(|c| c.name.eq_ignore_ascii_case(&name));
        found.ok_or(StreamError::NoColumn { table: schema.name.clone(), column: name })
    };
    let columns = names.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    match schema.key.iter().find(|key| !columns.contains(&key.position)) {
        Some(key) => Err(StreamError::Query(format!("key column '{}' is not selected", key.name))),
        None => Ok(columns),
    }
}

/// Fields of the wanted columns, then of the weights, which have no table.
fn header(schema: &TableSchema, columns: &[usize], gtid: String) -> VStreamRowsResponse {
    let mut fields: Vec<Field> =
        columns.iter().map(|at| schema.columns[*at].field(&schema.name)).collect();
    fields.extend(select::weights(schema).into_iter().map(|at| Field {
        name: format!("weight_string({})", schema.columns[at].name),
        org_name: schema.columns[at].name.clone(),
        r#type: Type::Varbinary.into(),
        charset: 63,
        ..Field::default()
    }));
    let pkfields =
        schema.key.iter().map(|key| schema.columns[key.position].field(&schema.name)).collect();
    VStreamRowsResponse { fields, pkfields, gtid, ..VStreamRowsResponse::default() }
}

#[derive(Default)]
struct Packet {
    rows: Vec<tablet_wire::query::Row>,
    bytes: usize,
}

impl Packet {
    fn push(&mut self, row: tablet_wire::query::Row) {
        // What it takes in memory: of narrow rows, most is not values.
        self.bytes += size_of_val(&row) + row.values.len() + size_of_val(&row.lengths[..]);
        self.rows.push(row);
    }

    fn take(&mut self, schema: &TableSchema, columns: &[usize]) -> VStreamRowsResponse {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let lastpk = rows.last().and_then(|row| key_of(row, schema, columns));
        VStreamRowsResponse { rows, lastpk, ..VStreamRowsResponse::default() }
    }
}

/// The key's values alone, without a copy of the row, which may be large.
fn key_of(
    row: &tablet_wire::query::Row,
    schema: &TableSchema,
    columns: &[usize],
) -> Option<tablet_wire::query::Row> {
    let mut key = tablet_wire::query::Row::default();
    for column in &schema.key {
        let at = columns.iter().position(|at| *at == column.position)?;
        let length = *row.lengths.get(at)?;
        let before = row.lengths[..at].iter().filter(|length| **length > 0).sum::<i64>();
        let begin = usize::try_from(before).ok()?;
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        key.lengths.push(length);
        key.values.extend_from_slice(row.values.get(begin..end)?);
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::schema;
    use super::*;
    use crate::mysql::Value;

    fn row(values: &[Option<&str>]) -> tablet_wire::query::Row {
        encode_row(values.iter().map(|value| value.map_or(Value::NULL, Value::from)).collect())
    }

    /// A reader that continues after a wrong last key skips rows or gets them twice.
    #[test]
    fn the_last_key_is_the_last_rows_in_key_order_behind_nulls_and_in_any_column_order() {
        let table =
            [("a", "int", 63, false), ("b", "varchar(9)", 255, false), ("c", "int", 63, false)];
        let schema = schema(&table, 2);
        let mut packet = Packet::default();
        packet.push(row(&[Some("x"), Some("old"), Some("1")]));
        // As selected: c, b, a.
        packet.push(row(&[None, Some("bb"), Some("17")]));
        let response = packet.take(&schema, &[2, 1, 0]);
        assert_eq!(response.lastpk, Some(row(&[Some("17"), Some("bb")])));
        assert_eq!((response.rows.len(), packet.bytes, packet.rows.len()), (2, 0, 0));
    }

    #[test]
    fn a_packet_counts_what_narrow_rows_take_in_memory() {
        let mut packet = Packet::default();
        packet.push(row(&[Some("1")]));
        assert_eq!(packet.bytes, size_of::<tablet_wire::query::Row>() + 8 + 1);
    }
}
