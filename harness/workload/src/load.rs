//! Loads a dataset into two MySQL servers: `LOAD DATA LOCAL` streams, without binlog, both sides at
//! the same time, one table after the other on each side.
//!
//! With `LOCAL` the server turns errors into warnings and skips rows, so a load counts as done only
//! without warnings and after the rows were counted.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Pool};
use records::journal::Side;
use thiserror::Error;

use super::cell::{Cell, Row};
use super::dataset::Dataset;
use super::shape::Class;

/// Bytes handed to the driver at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A load may take this long plus one millisecond for every [`SLOWEST_ROWS_PER_MS`] rows.
const PATIENCE: Duration = Duration::from_secs(120);
const SLOWEST_ROWS_PER_MS: u64 = 2;

/// Loading failed.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A statement failed.
    #[error("{side} database '{database}': cannot {what}")]
    Statement {
        /// `source` or `target`.
        side: &'static str,
        /// Into which database.
        database: String,
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// MySQL took other rows than it was sent.
    #[error(
        "{side} database '{database}': table '{table}' holds {found} rows instead of {expected} \
         ({warnings})"
    )]
    Count {
        /// `source` or `target`.
        side: &'static str,
        /// Into which database.
        database: String,
        /// Which table.
        table: String,
        /// Rows counted.
        found: u64,
        /// Rows sent.
        expected: u64,
        /// The server's first warnings.
        warnings: String,
    },
    /// It took too long.
    #[error("loading {rows} rows took longer than {} s", .deadline.as_secs())]
    Deadline {
        /// Rows of both sides.
        rows: u64,
        /// The deadline.
        deadline: Duration,
    },
}

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Rows of both sides.
    pub rows: u64,
    /// How long it took.
    pub took: Duration,
}

/// Creates the databases where they are missing, creates and fills the dataset's tables in them,
/// and refreshes the tables' statistics. Nothing of it is written to the binlogs. Other datasets
/// may be loaded into other databases meanwhile.
///
/// # Errors
///
/// A statement that fails (a table that exists already, for instance), rows that MySQL did not
/// take as they were sent, or two minutes plus half a second for every thousand rows gone by.
pub async fn load(
    dataset: &Dataset,
    source_pool: &Pool,
    source_database: &str,
    target_pool: &Pool,
    target_database: &str,
) -> Result<Loaded, LoadError> {
    let begun = Instant::now();
    let names = dataset.tables();
    let rows = names
        .iter()
        .flat_map(|name| [Side::Source, Side::Target].map(|side| dataset.row_count(name, side)))
        .flatten()
        .sum();
    let deadline = PATIENCE + Duration::from_millis(rows / SLOWEST_ROWS_PER_MS);
    let source = Destination { side: Side::Source, database: source_database };
    let target = Destination { side: Side::Target, database: target_database };
    let both = futures::future::try_join(
        source.load(dataset, source_pool),
        target.load(dataset, target_pool),
    );
    match tokio::time::timeout(deadline, both).await {
        Ok(done) => done.map(|_| Loaded { rows, took: begun.elapsed() }),
        Err(_) => Err(LoadError::Deadline { rows, deadline }),
    }
}

#[derive(Clone, Copy)]
struct Destination<'a> {
    side: Side,
    database: &'a str,
}

impl Destination<'_> {
    async fn load(self, dataset: &Dataset, pool: &Pool) -> Result<(), LoadError> {
        let connected = pool.get_conn().await;
        let mut conn = connected.map_err(|error| self.failed("connect", error))?;
        let done = self.load_over(dataset, &mut conn).await;
        // Not back into the pool: it carries session settings that nobody else expects.
        let closed = conn.disconnect().await;
        done?;
        closed.map_err(|error| self.failed("disconnect", error))
    }

    async fn load_over(self, dataset: &Dataset, conn: &mut Conn) -> Result<(), LoadError> {
        let database = quoted(self.database);
        self.run(conn, "set session sql_log_bin = 0, unique_checks = 0, time_zone = '+00:00'")
            .await?;
        self.run(conn, &format!("create database if not exists {database}")).await?;
        self.run(conn, &format!("use {database}")).await?;
        let local_infile: Option<bool> = conn
            .query_first("select @@global.local_infile")
            .await
            .map_err(|error| self.failed("read local_infile", error))?;
        if local_infile != Some(true) {
            self.run(conn, "set global local_infile = 1").await?;
        }
        for name in dataset.tables() {
            self.load_table(dataset, &name, conn).await?;
        }
        Ok(())
    }

    async fn load_table(
        self,
        dataset: &Dataset,
        name: &str,
        conn: &mut Conn,
    ) -> Result<(), LoadError> {
        let Some(table) = dataset.table(name) else { return Ok(()) };
        self.run(conn, &table.shape().create_sql()).await?;
        let chunks =
            Chunks { dataset: dataset.clone(), table: name.to_owned(), place: 0, side: self.side };
        conn.set_infile_handler(async move { Ok(futures::stream::iter(chunks.map(Ok)).boxed()) });
        self.run(conn, &load_sql(dataset, name)).await?;

        let expected = table.row_count(self.side);
        let warned = conn.get_warnings();
        let mut warnings = String::from("no warnings");
        if warned > 0 {
            let rows: Vec<(String, u16, String)> = conn
                .query("show warnings limit 3")
                .await
                .map_err(|error| self.failed("show warnings", error))?;
            let texts: Vec<String> = rows.into_iter().map(|(_, _, message)| message).collect();
            warnings = format!("{warned} warnings: {}", texts.join("; "));
        }
        let found: Option<u64> = conn
            .query_first(format!("select count(*) from {}", quoted(name)))
            .await
            .map_err(|error| self.failed("count rows", error))?;
        let found = found.unwrap_or(0);
        if warned > 0 || found != expected {
            return Err(LoadError::Count {
                side: self.name(),
                database: self.database.to_owned(),
                table: name.to_owned(),
                found,
                expected,
                warnings,
            });
        }
        self.run(conn, &format!("analyze no_write_to_binlog table {}", quoted(name))).await
    }

    async fn run(self, conn: &mut Conn, sql: &str) -> Result<(), LoadError> {
        let what = sql.split_inclusive('\n').next().unwrap_or(sql).trim_end();
        conn.query_drop(sql).await.map_err(|error| self.failed(what, error))
    }

    fn failed(self, what: &str, source: mysql_async::Error) -> LoadError {
        let (side, database) = (self.name(), self.database.to_owned());
        LoadError::Statement { side, database, what: what.to_owned(), source: Box::new(source) }
    }

    const fn name(self) -> &'static str {
        match self.side {
            Side::Source => "source",
            Side::Target => "target",
        }
    }
}

/// A name in backticks.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Binary columns travel as hexadecimal digits, so that no byte of them needs an escape.
fn load_sql(dataset: &Dataset, name: &str) -> String {
    let columns = dataset.table(name).map_or(&[][..], |table| table.shape().columns);
    let mut fields = Vec::new();
    let mut sets = Vec::new();
    for column in columns {
        let column_name = quoted(column.name);
        match column.class {
            Class::Text => fields.push(column_name),
            Class::Binary => {
                let variable = format!("@{}", column.name);
                sets.push(format!("{column_name} = unhex({variable})"));
                fields.push(variable);
            }
        }
    }
    let set = if sets.is_empty() { String::new() } else { format!(" set {}", sets.join(", ")) };
    format!(
        "load data local infile 'rows' into table {} character set utf8mb4 ({}){set}",
        quoted(name),
        fields.join(", ")
    )
}

/// The rows of one side of a table in `LOAD DATA`'s default format, a chunk at a time.
struct Chunks {
    dataset: Dataset,
    table: String,
    place: u64,
    side: Side,
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let table = self.dataset.table(&self.table)?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + 8192);
        while self.place < table.places() && chunk.len() < CHUNK_BYTES {
            if let Some(row) = table.row(self.place, self.side) {
                write_row(&row, &mut chunk);
            }
            self.place += 1;
        }
        (!chunk.is_empty()).then(|| Bytes::from(chunk))
    }
}

fn write_row(row: &Row, out: &mut Vec<u8>) {
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            out.push(b'\t');
        }
        match cell {
            Cell::Null => out.extend_from_slice(b"\\N"),
            Cell::Bytes(bytes) => out.extend_from_slice(hex::encode(bytes).as_bytes()),
            Cell::Text(text) => {
                for byte in text.bytes() {
                    match byte {
                        b'\\' => out.extend_from_slice(b"\\\\"),
                        b'\t' => out.extend_from_slice(b"\\t"),
                        b'\n' => out.extend_from_slice(b"\\n"),
                        b'\r' => out.extend_from_slice(b"\\r"),
                        0 => out.extend_from_slice(b"\\0"),
                        plain => out.push(plain),
                    }
                }
            }
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    // A tab or a backslash that went out as it is would shift or merge the row's fields.
    #[test]
    fn a_row_keeps_its_fields_apart_whatever_they_hold() {
        let row = vec![
            Cell::Text("a\tb\\N\n".to_owned()),
            Cell::Null,
            Cell::Text(String::new()),
            Cell::Bytes(vec![0, 9, 255]),
        ];
        let mut out = Vec::new();
        write_row(&row, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a\\tb\\\\N\\n\t\\N\t\t0009ff\n");
    }
}
