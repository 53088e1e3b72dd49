//! Row streaming: one table from a consistent snapshot at a known position, in key order, after a
//! given key. The source tablet serves it over gRPC; the target reads its own table by the same code.
//!
//! Each response holds one packet of rows: the rows that fill its bytes, the last of which may
//! overshoot. At most two packets wait for the reader, and the server's cursor waits with them, so
//! memory does not depend on the table's size. A stream ends with `None` only after the last row:
//! every other end is an error item.

mod packet;
mod row_streamer;
mod select;
mod table;

pub use packet::{Cell, RowCells, encode_row};
pub use row_streamer::{RowStreamer, StreamRequest};
pub use table::{KeyColumn, KeyKind, TableSchema, list_tables};

use crate::mysql::DbError;

/// Why rows could not be streamed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// MySQL is away or refuses.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The table is not there.
    #[error("table '{0}' does not exist")]
    NoTable(String),
    /// Rows have no order in which two sides could be compared.
    #[error("table '{0}' has no primary key and no unique key of columns that are not null")]
    NoKey(String),
    /// A key whose order is not reproduced here.
    #[error(
        "key column '{column}' of table '{table}' has the type {kind}, which is not supported in a key"
    )]
    KeyType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type, as MySQL prints it.
        kind: String,
    },
    /// The query is not one that is understood.
    #[error("only 'select * from <table>' or 'select <columns> from <table>' can be streamed: {0}")]
    Query(String),
    /// A column that is asked for is not in the table.
    #[error("table '{table}' has no column '{column}'")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The last key does not fit the table's key.
    #[error("the last key does not fit the key of table '{table}': {reason}")]
    LastKey {
        /// The table.
        table: String,
        /// What does not fit.
        reason: String,
    },
    /// The tablet stops serving.
    #[error("the row stream was ended by the tablet that serves it")]
    Ended,
}

impl StreamError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_ephemeral(&self) -> bool {
        match self {
            StreamError::Db(error) => error.is_ephemeral(),
            StreamError::Ended => true,
            StreamError::NoTable(_)
            | StreamError::NoKey(_)
            | StreamError::KeyType { .. }
            | StreamError::Query(_)
            | StreamError::NoColumn { .. }
            | StreamError::LastKey { .. } => false,
        }
    }
}
