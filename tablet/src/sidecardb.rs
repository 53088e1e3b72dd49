//! The sidecar database: where a tablet keeps its state in its own MySQL.
//!
//! [`Sidecar::prepare`] makes tables that are missing and adds columns that are missing; it may be
//! killed at any statement, run twice at once, and run on what an older or newer tablet has made.
//! [`Sidecar::fence`] makes sure that no former incarnation of this tablet can write any more: first
//! their connections are killed, then every row is claimed by our epoch, which each later write
//! carries in its `where`.

mod fence;
mod schema;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::{EngineError, Epoch, TabletAlias};
use crate::mysql::{Db, DbError, Value, bind, quote_identifier};

/// The sidecar tables of one tablet.
#[derive(Clone)]
pub struct Sidecar {
    db: Db,
    name: String,
    alias: TabletAlias,
    db_name: String,
}

/// DDL waits for metadata locks and is slower than other statements.
const DDL_DEADLINE: Duration = Duration::from_secs(30);

impl Sidecar {
    /// The sidecar database `name` of the tablet `alias` whose tables are in `db_name`.
    pub fn new(db: Db, name: &str, alias: TabletAlias, db_name: &str) -> Sidecar {
        Sidecar { db, name: name.to_owned(), alias, db_name: db_name.to_owned() }
    }

    /// The connections.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database that holds the tablet's tables: all rows carry it, so that tablets may share a
    /// MySQL.
    pub fn db_name(&self) -> &str {
        &self.db_name
    }

    /// A sidecar table's full name, quoted.
    pub fn table(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&self.name), quote_identifier(table))
    }

    /// Makes what is missing.
    ///
    /// # Errors
    /// MySQL is away or refuses.
    pub async fn prepare(&self) -> Result<(), EngineError> {
        self.create_missing().await.map_err(|error| failed("preparing the sidecar tables", error))
    }

    /// Makes former incarnations harmless and claims their rows.
    ///
    /// # Errors
    /// MySQL is away or refuses, or knows a newer incarnation than `epoch`.
    pub async fn fence(&self, epoch: Epoch) -> Result<(), EngineError> {
        fence::fence(self, epoch).await
    }

    async fn create_missing(&self) -> Result<(), DbError> {
        let attempted = "creating the sidecar tables";
        let mut session = self.db.session().await?.with_deadline(DDL_DEADLINE);
        let existing = self.existing_columns(&mut session).await?;
        if existing.is_empty() {
            let name = quote_identifier(&self.name);
            session.run(attempted, &format!("create database if not exists {name}")).await?;
        }
        for table in schema::TABLES {
            let missing: Vec<_> = table
                .columns
                .iter()
                .filter(|column| !existing.contains(&(table.name.to_owned(), column.0.to_owned())))
                .collect();
            if missing.len() == table.columns.len() {
                session.run(attempted, &table.create(&self.table(table.name))).await?;
                continue;
            }
            for column in missing {
                let statement = table.add(&self.table(table.name), column);
                match session.run(attempted, &statement).await {
                    Err(error) if error.code() == Some(schema::DUPLICATE_COLUMN) => {}
                    other => {
                        other?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn existing_columns(
        &self,
        session: &mut crate::mysql::Session,
    ) -> Result<BTreeSet<(String, String)>, DbError> {
        let statement = bind(
            "select lower(table_name), lower(column_name) from information_schema.columns \
             where table_schema = ?",
            &[Value::from(self.name.as_str())],
        );
        let rows = session.rows("reading the sidecar's schema", &statement).await?;
        Ok(rows.iter().filter_map(|row| Some((row.get(0)?, row.get(1)?))).collect())
    }
}

fn failed(attempted: &str, source: DbError) -> EngineError {
    EngineError::Mysql { attempted: attempted.to_owned(), source: Box::new(source) }
}
