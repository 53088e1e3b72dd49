//! The durable history of a trial: every committed change of the sidecar tables, in commit order,
//! read from MySQL's own binlog after the trial.
//!
//! What polling can miss stands here. The invariant: [`read`] either returns every change of the
//! transactions asked for, or fails; it counts the transactions it has seen against the GTID sets it
//! was given. Changes that rolled back are absent by nature, as are those made without binlog.

mod gtid;
mod json_diff;
mod render;
mod statements;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::StreamExt;
use mysql_async::binlog::events::{Event, EventData, GtidEvent, RowsEventData};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Opts, Sid};
use records::journal::SidecarChange;
use thiserror::Error;

pub use gtid::{GtidSet, GtidSetError};

/// A history larger than this is refused instead of filling the harness's memory.
const TEXT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Of a statement that is told.
const STATEMENT_MAX: usize = 200;

/// MySQL's `ER_MASTER_FATAL_ERROR_READING_BINLOG`.
const FATAL_ERROR_READING_BINLOG: u16 = 1236;

/// What to read.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// The target's MySQL, with a user that may replicate.
    pub server: Opts,
    /// The trial's sidecar database.
    pub sidecar_database: String,
    /// Its tables whose changes are read.
    pub tables: &'static [&'static str],
    /// `gtid_executed` before the trial: its transactions are left out.
    pub after: GtidSet,
    /// `gtid_executed` at the end of the trial: its transactions are all read.
    pub upto: GtidSet,
    /// Whether the column `report` keeps its lists of sample rows. They are written again with
    /// every checkpoint, and can be most of a binlog.
    pub keep_samples: bool,
    /// For the whole of it.
    pub deadline: Duration,
}

/// The history could not be read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// MySQL refused or went away.
    #[error("cannot {what}")]
    Mysql {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// The begin of the history is gone.
    #[error(
        "MySQL cannot send the binlog after {after} (were binlogs purged meanwhile? keep them for \
         the length of a trial)"
    )]
    Unreadable {
        /// From where on.
        after: GtidSet,
        /// What MySQL said.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// An event that this build cannot decode.
    #[error("cannot decode a change of '{table}' in transaction {gtid}: {what}")]
    Decode {
        /// Which table, if that much was understood.
        table: String,
        /// In which transaction.
        gtid: String,
        /// What is wrong with it.
        what: String,
    },
    /// Rows were changed by a statement that does not say which.
    #[error(
        "transaction {gtid} changes the sidecar tables by a statement, which does not tell their rows: \
         {statement}"
    )]
    Hidden {
        /// In which transaction.
        gtid: String,
        /// Its beginning.
        statement: String,
    },
    /// The binlog ended early.
    #[error("the binlog held {seen} of the {expected} transactions asked for")]
    Incomplete {
        /// Transactions seen.
        seen: u64,
        /// Transactions in the sets.
        expected: u64,
    },
    /// Too much to hold.
    #[error("the history is larger than {} MiB; let it begin later or take shorter trials", TEXT_BYTES_MAX >> 20)]
    TooLarge,
    /// It took too long.
    #[error("reading the binlog took longer than {} ms", .0.as_millis())]
    Deadline(Duration),
}

/// Reads the committed changes of the sidecar tables, in commit order; the caller fills in
/// [`SidecarChange::cursor_ordinal`].
///
/// # Errors
///
/// See [`HistoryError`]; never a history with something missing.
pub async fn read(options: &HistoryOptions) -> Result<Vec<SidecarChange>, HistoryError> {
    let expected = options.upto.count_without(&options.after);
    if expected == 0 {
        return Ok(Vec::new());
    }
    let deadline = options.deadline;
    let read = async {
        let (mut stream, columns) = open(options).await?;
        let mut reader = Reader {
            options,
            columns,
            expected,
            seen: 0,
            transaction: None,
            text_bytes: 0,
            changes: Vec::new(),
        };
        let done = reader.drain(&mut stream).await;
        if let Err(error) = stream.close().await {
            tracing::debug!(%error, "the binlog's connection did not close in order");
        }
        done.map(|()| reader.changes)
    };
    tokio::time::timeout(deadline, read).await.unwrap_or(Err(HistoryError::Deadline(deadline)))
}

/// Column names by table: for servers that write no names into their binlog.
type Columns = HashMap<String, Vec<String>>;

async fn open(options: &HistoryOptions) -> Result<(BinlogStream, Columns), HistoryError> {
    let failed = |what| move |source| HistoryError::Mysql { what, source: Box::new(source) };
    let mut conn =
        Conn::new(options.server.clone()).await.map_err(failed("connect for binlogs"))?;
    let names: Vec<(String, String)> = conn
        .exec(
            "select table_name, column_name from information_schema.columns \
             where table_schema = ? order by table_name, ordinal_position",
            (&options.sidecar_database,),
        )
        .await
        .map_err(failed("read the sidecar tables' columns"))?;
    let mut columns = Columns::new();
    for (table, column) in names {
        columns.entry(table).or_default().push(column);
    }
    let sids: Vec<Sid<'static>> = options.after.sids();
    let request =
        BinlogStreamRequest::new(server_id()).with_gtid().with_gtid_set(sids).with_non_blocking();
    let stream = conn.get_binlog_stream(request).await.map_err(failed("request the binlog"))?;
    Ok((stream, columns))
}

/// MySQL ends an older reader of the same id, so each reader has its own.
fn server_id() -> u32 {
    let (random, ..) = uuid::Uuid::new_v4().as_fields();
    random | 0x8000_0000
}

/// The transaction whose events are being read.
struct Transaction {
    gtid: String,
    commit_us: u64,
}

struct Reader<'a> {
    options: &'a HistoryOptions,
    columns: Columns,
    expected: u64,
    seen: u64,
    /// None outside of the transactions asked for.
    transaction: Option<Transaction>,
    text_bytes: usize,
    changes: Vec<SidecarChange>,
}

impl Reader<'_> {
    /// Reads to the end of the binlog, or to the first transaction behind the last one asked for.
    async fn drain(&mut self, stream: &mut BinlogStream) -> Result<(), HistoryError> {
        while let Some(event) = stream.next().await {
            let event = event.map_err(|source| self.stream_failed(source))?;
            let data = event.read_data().map_err(|error| self.undecodable("", &error))?;
            match data {
                Some(EventData::GtidEvent(gtid)) => {
                    if self.seen == self.expected {
                        return Ok(());
                    }
                    self.begin(&gtid);
                }
                Some(EventData::QueryEvent(query)) if self.transaction.is_some() => {
                    let (schema, text) = (query.schema(), query.query());
                    if statements::hides_changes(&text, &schema, &self.options.sidecar_database) {
                        return Err(self.hidden(&text));
                    }
                }
                Some(EventData::RowsEvent(rows)) if self.transaction.is_some() => {
                    self.rows(&rows, stream, &event)?;
                }
                _ => {}
            }
        }
        if self.seen < self.expected {
            return Err(HistoryError::Incomplete { seen: self.seen, expected: self.expected });
        }
        Ok(())
    }

    fn begin(&mut self, event: &GtidEvent) {
        let sid = uuid::Uuid::from_bytes(event.sid()).to_string();
        let tag = event.tag().map(ToString::to_string);
        let (wanted, gtid) = {
            let number = event.gno();
            let sid = tag.map_or(sid.clone(), |tag| format!("{sid}:{tag}"));
            let (after, upto) = (&self.options.after, &self.options.upto);
            let wanted = upto.contains(&sid, number) && !after.contains(&sid, number);
            (wanted, format!("{sid}:{number}"))
        };
        self.seen += u64::from(wanted);
        let commit_us = match event.immediate_commit_timestamp() {
            0 => event.original_commit_timestamp(),
            written => written,
        };
        self.transaction = wanted.then_some(Transaction { gtid, commit_us });
    }

    fn rows(
        &mut self,
        rows: &RowsEventData<'_>,
        stream: &BinlogStream,
        event: &Event,
    ) -> Result<(), HistoryError> {
        let Some(map) = stream.get_tme(rows.table_id()) else {
            let what = format!("no table map at {}", event.header().log_pos());
            return Err(self.undecodable("", &what));
        };
        let table = map.table_name().into_owned();
        if map.database_name() != self.options.sidecar_database
            || !self.options.tables.contains(&&*table)
        {
            return Ok(());
        }
        for row in rows.rows(map) {
            let (before, after) = row.map_err(|error| self.undecodable(&table, &error))?;
            let names = self.columns.get(&table).map_or(&[][..], Vec::as_slice);
            let telling = render::Telling { names, samples: self.options.keep_samples };
            let pair = render::pair(before.as_ref(), after.as_ref(), telling);
            let (mut before, mut after) = pair.map_err(|error| self.undecodable(&table, &error))?;
            if !self.options.keep_samples {
                before.iter_mut().chain(&mut after).for_each(without_samples);
            }
            self.push(&table, before, after)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        table: &str,
        before: Option<render::Columns>,
        after: Option<render::Columns>,
    ) -> Result<(), HistoryError> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let images = before.iter().chain(&after);
        self.text_bytes += images
            .flatten()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len))
            .sum::<usize>();
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(HistoryError::TooLarge);
        }
        self.changes.push(SidecarChange {
            table: table.to_owned(),
            gtid: transaction.gtid.clone(),
            commit_us: transaction.commit_us,
            before,
            after,
            cursor_ordinal: None,
            facts: Vec::new(),
        });
        Ok(())
    }

    fn hidden(&self, statement: &str) -> HistoryError {
        let gtid = self.transaction.as_ref().map_or("(none)", |transaction| &transaction.gtid);
        let end = statement.floor_char_boundary(STATEMENT_MAX);
        HistoryError::Hidden { gtid: gtid.to_owned(), statement: statement[..end].to_owned() }
    }

    fn undecodable(&self, table: &str, what: &dyn std::fmt::Display) -> HistoryError {
        let gtid = self.transaction.as_ref().map_or("(none)", |transaction| &transaction.gtid);
        HistoryError::Decode {
            table: table.to_owned(),
            gtid: gtid.to_owned(),
            what: what.to_string(),
        }
    }

    fn stream_failed(&self, source: mysql_async::Error) -> HistoryError {
        let refused = matches!(
            &source,
            mysql_async::Error::Server(error) if error.code == FATAL_ERROR_READING_BINLOG
        );
        let source = Box::new(source);
        if refused {
            HistoryError::Unreadable { after: self.options.after.clone(), source }
        } else {
            HistoryError::Mysql { what: "read the binlog", source }
        }
    }
}

/// Takes the lists of sample rows out of a report.
fn without_samples(columns: &mut BTreeMap<String, Option<String>>) {
    let Some(Some(report)) = columns.get_mut(render::REPORT) else { return };
    if !report.contains("Sample\":") {
        return; // They were never decoded.
    }
    if let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(report) {
        fields.retain(|name, _| !render::is_samples(name));
        *report = serde_json::Value::Object(fields).to_string();
    }
}
