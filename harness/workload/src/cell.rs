//! A value of a row.

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// NULL.
    Null,
    /// Anything that MySQL prints as text.
    Text(String),
    /// Bytes of a binary column.
    Bytes(Vec<u8>),
}

/// Values in the order of the table's columns.
pub type Row = Vec<Cell>;
