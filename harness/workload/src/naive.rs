//! The naive comparer: reads both sides of some tables whole and compares them by hash maps.
//!
//! It checks the planted truth of a workload once, and shares no code with the workload's generator
//! or with the tablet: columns and keys come from `information_schema`, keys are matched by
//! `WEIGHT_STRING`, values by the bytes that MySQL prints under the same session settings. It keeps
//! a key and a digest for each row, and needs no order.

use std::collections::HashMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Pool, Value};
use records::journal::{TableTruth, Truth};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// One table of one side must be read within this time.
const TABLE_DEADLINE: Duration = Duration::from_secs(600);

/// Comparing failed.
#[derive(Debug, Error)]
pub enum NaiveError {
    /// MySQL refused or went away.
    #[error("cannot {what} '{database}.{table}'")]
    Mysql {
        /// What was attempted.
        what: &'static str,
        /// In which database.
        database: String,
        /// Which table.
        table: String,
        /// Why it failed.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// There is nothing to compare by.
    #[error("table '{database}.{table}' does not exist or has no primary key")]
    NoKey {
        /// In which database.
        database: String,
        /// Which table.
        table: String,
    },
    /// The two sides are defined differently.
    #[error(
        "table '{table}' has other columns or another key in '{source_database}' than in '{target_database}'"
    )]
    Definitions {
        /// Which table.
        table: String,
        /// The one database.
        source_database: String,
        /// The other.
        target_database: String,
    },
    /// Reading took too long.
    #[error("reading '{database}.{table}' took longer than {} s", TABLE_DEADLINE.as_secs())]
    Deadline {
        /// In which database.
        database: String,
        /// Which table.
        table: String,
    },
}

/// Compares tables of equal names in two databases, and says what an exact diff of them reports.
///
/// # Errors
///
/// MySQL's errors, a table that is missing, differs in definition or has no primary key, and ten
/// minutes gone by for one table.
pub async fn compare(
    source_pool: &Pool,
    source_database: &str,
    target_pool: &Pool,
    target_database: &str,
    tables: &[String],
) -> Result<Truth, NaiveError> {
    let mut truth = Truth::default();
    for table in tables {
        let source = Place { database: source_database, table };
        let target = Place { database: target_database, table };
        let (source, target) =
            futures::future::try_join(source.read(source_pool), target.read(target_pool)).await?;
        if source.definition != target.definition {
            return Err(NaiveError::Definitions {
                table: table.clone(),
                source_database: source_database.to_owned(),
                target_database: target_database.to_owned(),
            });
        }
        truth.tables.insert(table.clone(), differences(source.rows, target.rows));
    }
    Ok(truth)
}

/// A row: its key as printed, and a digest of all its values.
struct Row {
    key: String,
    digest: [u8; 32],
}

/// Rows by what makes their keys equal.
type Rows = HashMap<Vec<u8>, Row>;

struct Read {
    definition: Definition,
    rows: Rows,
}

#[derive(Debug, PartialEq, Eq)]
struct Definition {
    columns: Vec<Column>,
    /// Names, in key order.
    key: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    has_collation: bool,
}

fn differences(source: Rows, mut target: Rows) -> TableTruth {
    let mut truth = TableTruth::default();
    for (identity, row) in source {
        truth.processed += 1;
        match target.remove(&identity) {
            None => truth.extra_source.push(row.key),
            Some(other) if other.digest == row.digest => truth.matching += 1,
            Some(_) => truth.mismatched.push(row.key),
        }
    }
    truth.processed += target.len() as u64;
    truth.extra_target.extend(target.into_values().map(|row| row.key));
    truth.mismatched.sort_unstable();
    truth.extra_source.sort_unstable();
    truth.extra_target.sort_unstable();
    truth
}

#[derive(Clone, Copy)]
struct Place<'a> {
    database: &'a str,
    table: &'a str,
}

impl Place<'_> {
    async fn read(self, pool: &Pool) -> Result<Read, NaiveError> {
        let read = async {
            let connected = pool.get_conn().await;
            let mut conn = connected.map_err(|source| self.failed("connect to read", source))?;
            conn.query_drop("set names utf8mb4, time_zone = '+00:00'")
                .await
                .map_err(|source| self.failed("set up the session for", source))?;
            let definition = self.definition(&mut conn).await?;
            let rows = self.rows(&mut conn, &definition).await?;
            Ok(Read { definition, rows })
        };
        tokio::time::timeout(TABLE_DEADLINE, read).await.unwrap_or_else(|_| {
            let (database, table) = self.names();
            Err(NaiveError::Deadline { database, table })
        })
    }

    async fn definition(self, conn: &mut Conn) -> Result<Definition, NaiveError> {
        let columns: Vec<(String, String, Option<String>)> = conn
            .exec(
                "select column_name, column_type, collation_name from information_schema.columns \
                 where table_schema = ? and table_name = ? order by ordinal_position",
                (self.database, self.table),
            )
            .await
            .map_err(|source| self.failed("read the columns of", source))?;
        let key: Vec<String> = conn
            .exec(
                "select column_name from information_schema.key_column_usage where \
                 table_schema = ? and table_name = ? and constraint_name = 'PRIMARY' \
                 order by ordinal_position",
                (self.database, self.table),
            )
            .await
            .map_err(|source| self.failed("read the key of", source))?;
        if key.is_empty() {
            let (database, table) = self.names();
            return Err(NaiveError::NoKey { database, table });
        }
        let columns = columns
            .into_iter()
            .map(|(name, kind, collation)| Column {
                name,
                kind,
                has_collation: collation.is_some(),
            })
            .collect();
        Ok(Definition { columns, key })
    }

    /// Reads every row: first the identities of the key's columns, then all columns.
    async fn rows(self, conn: &mut Conn, definition: &Definition) -> Result<Rows, NaiveError> {
        let key: Vec<(usize, &Column)> = definition
            .key
            .iter()
            .filter_map(|name| {
                definition.columns.iter().enumerate().find(|(_, column)| column.name == *name)
            })
            .collect();
        let identities = key.iter().map(|(_, column)| {
            let name = quoted(&column.name);
            if column.has_collation { format!("weight_string({name})") } else { name }
        });
        let all = definition.columns.iter().map(|column| quoted(&column.name));
        let sql = format!(
            "select {} from {}.{}",
            identities.chain(all).collect::<Vec<_>>().join(", "),
            quoted(self.database),
            quoted(self.table)
        );
        let failed = |source| self.failed("read", source);
        let mut result = conn.query_iter(sql).await.map_err(failed)?;
        let mut rows = Rows::new();
        while let Some(row) = result.next().await.map_err(failed)? {
            let values: Vec<Option<Vec<u8>>> = row.unwrap().into_iter().map(bytes).collect();
            let (identity, all) = values.split_at(key.len());
            let texts: Vec<String> = key
                .iter()
                .map(|(index, column)| printed(all[*index].as_deref(), &column.kind))
                .collect();
            let digest = Sha256::digest(framed(all)).into();
            rows.insert(framed(identity), Row { key: texts.join(","), digest });
        }
        Ok(rows)
    }

    fn names(self) -> (String, String) {
        (self.database.to_owned(), self.table.to_owned())
    }

    fn failed(self, what: &'static str, source: mysql_async::Error) -> NaiveError {
        let (database, table) = self.names();
        NaiveError::Mysql { what, database, table, source: Box::new(source) }
    }
}

/// A value of the text protocol.
fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        other => Some(other.as_sql(true).into_bytes()),
    }
}

/// Values with their lengths before them, so that no two lists look alike.
fn framed(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        match value {
            None => out.push(0),
            Some(bytes) => {
                out.push(1);
                out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }
    out
}

/// A key's value as a report prints it.
fn printed(value: Option<&[u8]>, kind: &str) -> String {
    let Some(bytes) = value else { return String::new() };
    if kind.contains("binary") || kind.contains("blob") {
        return format!("0x{}", hex::encode(bytes));
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name in backticks.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &str, u8)]) -> Rows {
        let row = |(identity, key, value): &(&str, &str, u8)| {
            (identity.as_bytes().to_vec(), Row { key: (*key).to_owned(), digest: [*value; 32] })
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn each_row_counts_once_and_a_mismatch_has_the_key_of_the_source() {
        let source = rows(&[("a", "A", 1), ("b", "B", 1), ("c", "C", 1)]);
        let target = rows(&[("a", "a", 2), ("b", "B", 1), ("d", "D", 1)]);
        let expected = TableTruth {
            processed: 4,
            matching: 1,
            mismatched: vec!["A".to_owned()],
            extra_source: vec!["C".to_owned()],
            extra_target: vec!["D".to_owned()],
        };
        assert_eq!(differences(source, target), expected);
    }

    // Without lengths, ("a", NULL) and (NULL, "a"), or ("ab", "c") and ("a", "bc"), were equal.
    #[test]
    fn values_do_not_run_into_each_other() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_ne!(framed(&[text("a"), None]), framed(&[None, text("a")]));
        assert_ne!(framed(&[text("ab"), text("c")]), framed(&[text("a"), text("bc")]));
        assert_ne!(framed(&[None]), framed(&[text("")]));
    }
}
