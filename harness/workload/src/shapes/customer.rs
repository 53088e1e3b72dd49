//! `customer`: signed integer key below and above zero; text, decimals, microseconds, JSON, NULLs.

use crate::cell::{Cell, Row};
use crate::random::Draws;
use crate::rows::{datetime, decimal, json, next_of, note, words};
use crate::shape::{Flaw, Shape, Sorts, number, text};

/// The table.
pub(crate) const CUSTOMER: Shape = Shape {
    name: "customer",
    columns: &[
        text("id", "bigint not null"),
        text("name", "varchar(80) not null"),
        text("balance", "decimal(20,6) not null"),
        text("joined", "datetime(6) not null"),
        text("note", "varchar(120)"),
        text("profile", "json"),
    ],
    key: &[(0, Sorts::ByNumber)],
    flaws: &[
        (Flaw::Text, 1),
        (Flaw::Decimal, 2),
        (Flaw::Microsecond, 3),
        (Flaw::NullOrEmpty, 4),
        (Flaw::Json, 5),
    ],
    key_at,
    row,
};

fn key_at(place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    let (at, all) = (i128::from(place), i128::from(places));
    vec![number((at - all / 3) * 3 + i128::from(draws.below(3)))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    vec![
        next_of(key),
        Cell::Text(words(draws, 3)),
        decimal(draws, 9, 6),
        datetime(draws),
        note(draws),
        json(draws),
    ]
}
