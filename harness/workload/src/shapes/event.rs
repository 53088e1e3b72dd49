//! `event`: unsigned key on both sides of the greatest signed one; blobs, microseconds.

use crate::cell::{Cell, Row};
use crate::random::Draws;
use crate::rows::{blob, datetime, next_of};
use crate::shape::{Flaw, Shape, Sorts, binary, number, text};

/// The table.
pub(crate) const EVENT: Shape = Shape {
    name: "event",
    columns: &[
        text("id", "bigint unsigned not null"),
        text("at", "datetime(6) not null"),
        binary("payload", "blob not null"),
        binary("tag", "varbinary(32)"),
    ],
    key: &[(0, Sorts::ByNumber)],
    flaws: &[(Flaw::Microsecond, 1), (Flaw::BlobByte, 2), (Flaw::NullOrEmpty, 3)],
    key_at,
    row,
};

fn key_at(place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    let (at, all) = (i128::from(place), i128::from(places));
    let middle = i128::from(i64::MAX);
    vec![number(middle + (at - all / 2) * 5 + i128::from(draws.below(5)))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    let tag = if draws.one_in(4) { Cell::Null } else { blob(draws, 0, 32) };
    vec![next_of(key), datetime(draws), blob(draws, 1, 160), tag]
}
