//! What a table of the catalogue is made of: columns, key, and which differences it can carry. Each table is one
//! file in `shapes/`, and one line in [`super::shapes`].

use super::cell::{Cell, Row};
use super::random::Draws;

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

/// How a part of a key sorts in MySQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sorts {
    /// As a number.
    ByNumber,
    /// As text without letter case and accents.
    Folded,
    /// As the bytes of its text: dates, times.
    ByBytes,
}

/// A table of the catalogue.
#[derive(Debug)]
pub struct Shape {
    /// Its name in a workload and in MySQL.
    pub name: &'static str,
    /// Its columns, in their order in the table.
    pub(super) columns: &'static [Column],
    /// The key's columns in key order: their indices, and how each sorts.
    pub(super) key: &'static [(usize, Sorts)],
    /// The flaws its pairs can have, each with the index of the column that shows it.
    pub(super) flaws: &'static [(Flaw, usize)],
    /// The key at a place of so many, in key order: a greater place has a greater key, with gaps between
    /// neighbours. Draws from the place's own stream.
    pub(super) key_at: fn(u64, u64, &mut Draws) -> Vec<Cell>,
    /// The row with this key, as both sides have it when nothing is planted there. Draws go on after the key's.
    pub(super) row: fn(&mut dyn Iterator<Item = Cell>, &mut Draws) -> Row,
}

/// A column that travels as text.
pub(super) const fn text(name: &'static str, definition: &'static str) -> Column {
    Column { name, definition, class: Class::Text }
}

/// A column that travels as hexadecimal digits.
pub(super) const fn binary(name: &'static str, definition: &'static str) -> Column {
    Column { name, definition, class: Class::Binary }
}

/// A number as MySQL prints it.
pub(super) fn number(value: i128) -> Cell {
    Cell::Text(value.to_string())
}

impl Shape {
    pub(super) fn can_carry(&self, plant: Plant) -> bool {
        match plant {
            Plant::Unequal(flaw) => self.flaws.iter().any(|(known, _)| *known == flaw),
            Plant::FirstRow
            | Plant::LastRow
            | Plant::ExtraSource
            | Plant::ExtraTarget
            | Plant::ExtraFirst
            | Plant::ExtraLast => true,
        }
    }

    pub(super) fn create_sql(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("  `{}` {}", column.name, column.definition))
            .collect();
        let key: Vec<String> =
            self.key.iter().map(|(index, _)| format!("`{}`", self.columns[*index].name)).collect();
        format!(
            "create table `{}` (\n{},\n  primary key ({})\n) engine=InnoDB default charset=utf8mb4",
            self.name,
            columns.join(",\n"),
            key.join(", ")
        )
    }
}

/// A table is one by its name.
impl PartialEq for Shape {
    fn eq(&self, other: &Shape) -> bool {
        self.name == other.name
    }
}

impl Eq for Shape {}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
