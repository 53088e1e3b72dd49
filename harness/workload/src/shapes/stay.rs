//! `stay`: composite key of a date and an integer, in another order than the columns; an enum.

use crate::cell::{Cell, Row};
use crate::random::Draws;
use crate::rows::{decimal, next_of, note, words};
use crate::shape::{Flaw, Shape, Sorts, number, text};

/// A month of every month.
const DAYS_A_MONTH: u64 = 28;
const DAYS_A_YEAR: u64 = 12 * DAYS_A_MONTH;
const FIRST_YEAR: u64 = 1000;
/// MySQL's last date lies in the year 9999.
const DAYS_MAX: u64 = 8_000 * DAYS_A_YEAR;
/// So many rooms a day at least.
const ROOMS: u64 = 5;
const STATES: [&str; 3] = ["booked", "in house", "gone"];

/// The table.
pub(crate) const STAY: Shape = Shape {
    name: "stay",
    columns: &[
        text("room", "int unsigned not null"),
        text("guest", "varchar(80) not null"),
        text("day", "date not null"),
        text("state", "enum('booked', 'in house', 'gone') not null"),
        text("rate", "decimal(10,2) not null"),
        text("note", "varchar(60)"),
    ],
    key: &[(2, Sorts::ByBytes), (0, Sorts::ByNumber)],
    flaws: &[(Flaw::Text, 1), (Flaw::Decimal, 4), (Flaw::NullOrEmpty, 5)],
    key_at,
    row,
};

fn key_at(place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    let rooms = ROOMS.max(places / DAYS_MAX + 1);
    let day = place / rooms;
    let (year, month) = (FIRST_YEAR + day / DAYS_A_YEAR, 1 + day / DAYS_A_MONTH % 12);
    let date = format!("{year:04}-{month:02}-{:02}", 1 + day % DAYS_A_MONTH);
    let room = 1 + place % rooms * 10 + draws.below(10);
    vec![Cell::Text(date), number(i128::from(room))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    let (day, room) = (next_of(key), next_of(key));
    let guest = Cell::Text(words(draws, 2));
    let state = Cell::Text(draws.pick(&STATES).to_owned());
    vec![room, guest, day, state, decimal(draws, 6, 2), note(draws)]
}
