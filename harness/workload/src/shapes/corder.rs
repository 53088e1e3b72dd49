//! `corder`: composite integer key whose order differs from the order of the columns.

use crate::cell::{Cell, Row};
use crate::random::Draws;
use crate::rows::{decimal, next_of, note, words};
use crate::shape::{Flaw, Shape, Sorts, number, text};

/// The table.
pub(crate) const CORDER: Shape = Shape {
    name: "corder",
    columns: &[
        text("order_no", "int not null"),
        text("status", "varchar(40) not null"),
        text("customer_id", "bigint not null"),
        text("amount", "decimal(14,4) not null"),
        text("discount", "decimal(8,2)"),
        text("note", "varchar(60)"),
    ],
    key: &[(2, Sorts::ByNumber), (0, Sorts::ByNumber)],
    flaws: &[(Flaw::Text, 1), (Flaw::Decimal, 3), (Flaw::NullOrEmpty, 5)],
    key_at,
    row,
};

fn key_at(place: u64, _places: u64, draws: &mut Draws) -> Vec<Cell> {
    let at = i128::from(place);
    vec![number(1000 + at / 7 * 2), number(1 + at % 7 * 10 + i128::from(draws.below(10)))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    let (customer, order) = (next_of(key), next_of(key));
    let discount = if draws.one_in(3) { Cell::Null } else { decimal(draws, 4, 2) };
    let status = Cell::Text(words(draws, 1));
    vec![order, status, customer, decimal(draws, 8, 4), discount, note(draws)]
}
