//! The catalogue of tables: columns, keys, and which differences each table can carry.

use std::fmt;

/// A table of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// Signed integer key below and above zero; text, decimals, microseconds, JSON, NULLs.
    Customer,
    /// Composite integer key whose order differs from the order of the columns.
    Corder,
    /// String key under an accent- and case-insensitive collation, in mixed case.
    Product,
    /// Unsigned key on both sides of the greatest signed one; blobs, microseconds.
    Event,
    /// Composite key of a case-insensitive string and an integer; JSON, larger blobs.
    Document,
}

/// What a column's values are, as far as loading and rendering must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Travels as text: strings, numbers, times, JSON.
    Text,
    /// Travels as hexadecimal digits.
    Binary,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) definition: &'static str,
    pub(super) class: Class,
}

/// How the two rows of an unequal pair differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flaw {
    /// Text: another letter case, a trailing space or another character.
    Text,
    /// The last digit of a decimal.
    Decimal,
    /// One microsecond.
    Microsecond,
    /// NULL on one side, the empty string on the other.
    NullOrEmpty,
    /// One value inside a JSON document.
    Json,
    /// One bit of one byte of a blob.
    BlobByte,
    /// The key: equal under its collation, different in bytes.
    KeyBytes,
}

/// A kind of planted single difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plant {
    /// An unequal pair.
    Unequal(Flaw),
    /// The table's first pair is unequal.
    FirstRow,
    /// The table's last pair is unequal.
    LastRow,
    /// A row that only the source has.
    ExtraSource,
    /// A row that only the target has.
    ExtraTarget,
    /// A row of one side only before every other row.
    ExtraFirst,
    /// A row of one side only after every other row.
    ExtraLast,
}

impl Plant {
    /// Every kind, in the order in which planting cycles through them.
    pub const ALL: [Self; 13] = [
        Self::Unequal(Flaw::Text),
        Self::FirstRow,
        Self::ExtraTarget,
        Self::Unequal(Flaw::KeyBytes),
        Self::Unequal(Flaw::NullOrEmpty),
        Self::ExtraFirst,
        Self::Unequal(Flaw::Microsecond),
        Self::ExtraSource,
        Self::LastRow,
        Self::Unequal(Flaw::Decimal),
        Self::ExtraLast,
        Self::Unequal(Flaw::Json),
        Self::Unequal(Flaw::BlobByte),
    ];

    /// Whether a table has only one place for it.
    pub(super) const fn is_edge(self) -> bool {
        matches!(self, Self::FirstRow | Self::LastRow | Self::ExtraFirst | Self::ExtraLast)
    }
}

const fn text(name: &'static str, definition: &'static str) -> Column {
    Column { name, definition, class: Class::Text }
}

const fn binary(name: &'static str, definition: &'static str) -> Column {
    Column { name, definition, class: Class::Binary }
}

const CUSTOMER: &[Column] = &[
    text("id", "bigint not null"),
    text("name", "varchar(80) not null"),
    text("balance", "decimal(20,6) not null"),
    text("joined", "datetime(6) not null"),
    text("note", "varchar(120)"),
    text("profile", "json"),
];
const CORDER: &[Column] = &[
    text("order_no", "int not null"),
    text("status", "varchar(40) not null"),
    text("customer_id", "bigint not null"),
    text("amount", "decimal(14,4) not null"),
    text("discount", "decimal(8,2)"),
    text("note", "varchar(60)"),
];
const PRODUCT: &[Column] = &[
    text("description", "text not null"),
    text("sku", "varchar(40) collate utf8mb4_0900_ai_ci not null"),
    text("price", "decimal(12,2) not null"),
    text("note", "varchar(60)"),
];
const EVENT: &[Column] = &[
    text("id", "bigint unsigned not null"),
    text("at", "datetime(6) not null"),
    binary("payload", "blob not null"),
    binary("tag", "varbinary(32)"),
];
const DOCUMENT: &[Column] = &[
    text("kind", "varchar(16) collate utf8mb4_general_ci not null"),
    text("id", "int unsigned not null"),
    text("title", "varchar(100) not null"),
    text("summary", "varchar(80)"),
    text("meta", "json"),
    binary("body", "mediumblob"),
];

impl TableKind {
    /// The whole catalogue, in name order.
    pub const ALL: [Self; 5] =
        [Self::Corder, Self::Customer, Self::Document, Self::Event, Self::Product];

    /// Its name in a workload and in MySQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Corder => "corder",
            Self::Product => "product",
            Self::Event => "event",
            Self::Document => "document",
        }
    }

    /// The table of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Customer => CUSTOMER,
            Self::Corder => CORDER,
            Self::Product => PRODUCT,
            Self::Event => EVENT,
            Self::Document => DOCUMENT,
        }
    }

    /// Indices of the key's columns, in key order.
    pub(super) const fn key(self) -> &'static [usize] {
        match self {
            Self::Customer | Self::Event => &[0],
            Self::Corder => &[2, 0],
            Self::Product => &[1],
            Self::Document => &[0, 1],
        }
    }

    /// The flaws its pairs can have, each with the index of the column that shows it.
    pub(super) const fn flaws(self) -> &'static [(Flaw, usize)] {
        use Flaw::{BlobByte, Decimal, Json, KeyBytes, Microsecond, NullOrEmpty, Text};
        match self {
            Self::Customer => {
                &[(Text, 1), (Decimal, 2), (Microsecond, 3), (NullOrEmpty, 4), (Json, 5)]
            }
            Self::Corder => &[(Text, 1), (Decimal, 3), (NullOrEmpty, 5)],
            Self::Product => &[(Text, 0), (KeyBytes, 1), (Decimal, 2), (NullOrEmpty, 3)],
            Self::Event => &[(Microsecond, 1), (BlobByte, 2), (NullOrEmpty, 3)],
            Self::Document => {
                &[(KeyBytes, 0), (Text, 2), (NullOrEmpty, 3), (Json, 4), (BlobByte, 5)]
            }
        }
    }

    pub(super) fn can_carry(self, plant: Plant) -> bool {
        match plant {
            Plant::Unequal(flaw) => self.flaws().iter().any(|(known, _)| *known == flaw),
            Plant::FirstRow
            | Plant::LastRow
            | Plant::ExtraSource
            | Plant::ExtraTarget
            | Plant::ExtraFirst
            | Plant::ExtraLast => true,
        }
    }

    pub(super) fn create_sql(self) -> String {
        let columns: Vec<String> = self
            .columns()
            .iter()
            .map(|column| format!("  `{}` {}", column.name, column.definition))
            .collect();
        let key: Vec<String> =
            self.key().iter().map(|index| format!("`{}`", self.columns()[*index].name)).collect();
        format!(
            "create table `{}` (\n{},\n  primary key ({})\n) engine=InnoDB default charset=utf8mb4",
            self.name(),
            columns.join(",\n"),
            key.join(", ")
        )
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
