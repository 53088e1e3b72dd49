//! `document`: composite key of a case-insensitive string and an integer; JSON, larger blobs.

use crate::cell::{Cell, Row};
use crate::random::Draws;
use crate::rows::{blob, json, next_of, note, words};
use crate::shape::{Flaw, Shape, Sorts, binary, number, text};

/// In collation order, which is not the order of their bytes.
const KINDS: [&str; 4] = ["invoice", "Letter", "memo", "Report"];

/// The table.
pub(crate) const DOCUMENT: Shape = Shape {
    name: "document",
    columns: &[
        text("kind", "varchar(16) collate utf8mb4_general_ci not null"),
        text("id", "int unsigned not null"),
        text("title", "varchar(100) not null"),
        text("summary", "varchar(80)"),
        text("meta", "json"),
        binary("body", "mediumblob"),
    ],
    key: &[(0, Sorts::Folded), (1, Sorts::ByNumber)],
    flaws: &[
        (Flaw::KeyBytes, 0),
        (Flaw::Text, 2),
        (Flaw::NullOrEmpty, 3),
        (Flaw::Json, 4),
        (Flaw::BlobByte, 5),
    ],
    key_at,
    row,
};

fn key_at(place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    let (at, all) = (i128::from(place), i128::from(places));
    let kind = KINDS[(at * 4 / all.max(1)) as usize];
    let kind = match draws.below(4) {
        0 => kind.to_uppercase(),
        1 => kind.to_lowercase(),
        _ => kind.to_owned(),
    };
    vec![Cell::Text(kind), number(1 + at * 2 + i128::from(draws.below(2)))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    let largest = if draws.one_in(64) { 4096 } else { 400 };
    let body = match draws.below(8) {
        0 => Cell::Null,
        1 => Cell::Bytes(Vec::new()),
        _ => blob(draws, 1, largest),
    };
    let (kind, id) = (next_of(key), next_of(key));
    vec![kind, id, Cell::Text(words(draws, 4)), note(draws), json(draws), body]
}
