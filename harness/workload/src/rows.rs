//! Rows: made from a table's place, and damaged where a difference is planted.

use super::cell::{Cell, Row};
use super::keys;
use super::random::Draws;
use super::shape::{Class, Flaw, Shape};

const WORDS: [&str; 16] = [
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "iris", "juniper",
    "kelp", "lagoon", "Zürich", "naïve", "東京", "O'Neil",
];
/// What an escaping mistake would change.
const TRAPS: [&str; 8] = ["\t", "\n", "\\", "\\N", "\"", "\r\n", "\\t", ","];

/// The row at `place` as both sides have it when nothing is planted there.
pub(super) fn base(shape: &Shape, place: u64, places: u64, draws: &mut Draws) -> Row {
    let mut key = (shape.key_at)(place, places, draws).into_iter();
    (shape.row)(&mut key, draws)
}

/// The key's next part.
pub(super) fn next_of(key: &mut dyn Iterator<Item = Cell>) -> Cell {
    key.next().unwrap_or(Cell::Null)
}

/// Makes an unequal pair of two equal rows.
pub(super) fn damage(
    shape: &Shape,
    flaw: Flaw,
    source: &mut Row,
    target: &mut Row,
    draws: &mut Draws,
) {
    let Some((_, column)) = shape.flaws.iter().find(|(known, _)| *known == flaw) else { return };
    let column = *column;
    let (whole, damaged) = match (flaw, source[column].clone()) {
        (Flaw::Text, Cell::Text(text)) => {
            let other = other_text(&text, draws);
            (Cell::Text(text), Cell::Text(other))
        }
        (Flaw::KeyBytes, Cell::Text(text)) => {
            let other = keys::respelled(&text);
            (Cell::Text(text), Cell::Text(other))
        }
        (Flaw::Decimal | Flaw::Microsecond, Cell::Text(text)) => {
            let other = other_last_digit(&text);
            (Cell::Text(text), Cell::Text(other))
        }
        (Flaw::NullOrEmpty, _) => {
            let empty = match shape.columns[column].class {
                Class::Text => Cell::Text(String::new()),
                Class::Binary => Cell::Bytes(Vec::new()),
            };
            if draws.one_in(2) { (empty, Cell::Null) } else { (Cell::Null, empty) }
        }
        (Flaw::Json, _) => {
            let score = draws.below(1000);
            let document =
                |score| Cell::Text(format!(r#"{{"score": {score}, "tags": ["a", null]}}"#));
            (document(score), document(score + 1))
        }
        (Flaw::BlobByte, cell) => {
            let bytes = match cell {
                Cell::Bytes(bytes) if !bytes.is_empty() => bytes,
                Cell::Bytes(_) | Cell::Text(_) | Cell::Null => vec![0, 1, 2, 0xff],
            };
            let mut other = bytes.clone();
            let at = draws.below(other.len() as u64) as usize;
            other[at] ^= 1 << draws.below(8);
            (Cell::Bytes(bytes), Cell::Bytes(other))
        }
        (Flaw::Text | Flaw::KeyBytes | Flaw::Decimal | Flaw::Microsecond, cell) => {
            (cell, Cell::Text("0".to_owned()))
        }
    };
    source[column] = whole;
    target[column] = damaged;
}

fn other_text(text: &str, draws: &mut Draws) -> String {
    match draws.below(3) {
        0 => keys::respelled(text),
        1 => format!("{text} "),
        _ => format!("{text}x"),
    }
}

/// The last digit, one more or (after 9) one less.
fn other_last_digit(text: &str) -> String {
    let mut other = text.to_owned();
    let digit = match other.pop() {
        Some('9') => '8',
        Some(digit) => char::from((digit as u8).saturating_add(1)),
        None => '0',
    };
    other.push(digit);
    other
}

/// Begins with a letter; may hold what an escaping mistake would change.
pub(super) fn words(draws: &mut Draws, count: u64) -> String {
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            text.push(' ');
        }
        let from = if index == 0 { &WORDS[..12] } else { &WORDS[..] };
        text.push_str(draws.pick(from));
        if draws.one_in(24) {
            text.push_str(draws.pick(&TRAPS));
        }
    }
    text
}

pub(super) fn note(draws: &mut Draws) -> Cell {
    match draws.below(6) {
        0 | 1 => Cell::Null,
        2 => Cell::Text(String::new()),
        _ => Cell::Text(words(draws, 2)),
    }
}

/// As MySQL prints it: at most `digits` digits, then `scale` digits; negative at times, never -0.
pub(super) fn decimal(draws: &mut Draws, digits: u32, scale: u32) -> Cell {
    let shorter = draws.below(u64::from(digits)) as u32;
    let whole = draws.below(10u64.pow(digits - shorter));
    let part = draws.below(10u64.pow(scale));
    let sign = if whole + part > 0 && draws.one_in(4) { "-" } else { "" };
    Cell::Text(format!("{sign}{whole}.{part:0width$}", width = scale as usize))
}

pub(super) fn datetime(draws: &mut Draws) -> Cell {
    Cell::Text(format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
        1990 + draws.below(45),
        1 + draws.below(12),
        1 + draws.below(28),
        draws.below(24),
        draws.below(60),
        draws.below(60),
        draws.below(1_000_000)
    ))
}

pub(super) fn json(draws: &mut Draws) -> Cell {
    if draws.one_in(8) {
        return Cell::Null;
    }
    let (score, word) = (draws.below(1000), draws.pick(&WORDS));
    let (ratio, large) = (draws.below(1000), draws.next());
    Cell::Text(format!(
        r#"{{"score": {score}, "tags": ["{word}", null, {ratio}.5], "on": true, "n": {{"big": {large}, "q": "a\"b\\c"}}}}"#
    ))
}

pub(super) fn blob(draws: &mut Draws, least: u64, most: u64) -> Cell {
    let mut bytes = vec![0; (least + draws.below(most - least + 1)) as usize];
    draws.fill(&mut bytes);
    Cell::Bytes(bytes)
}
