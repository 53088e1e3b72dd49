//! `product`: string key under an accent- and case-insensitive collation, in mixed case.

use crate::cell::{Cell, Row};
use crate::keys::ACCENTED;
use crate::random::Draws;
use crate::rows::{decimal, next_of, note, words};
use crate::shape::{Flaw, Shape, Sorts, text};

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
const SKU_LETTERS: u32 = 7;
const SKU_TAILS: [&str; 5] = ["", "-7", " Kit", "'S", "%"];

/// The table.
pub(crate) const PRODUCT: Shape = Shape {
    name: "product",
    columns: &[
        text("description", "text not null"),
        text("sku", "varchar(40) collate utf8mb4_0900_ai_ci not null"),
        text("price", "decimal(12,2) not null"),
        text("note", "varchar(60)"),
    ],
    key: &[(1, Sorts::Folded)],
    flaws: &[(Flaw::Text, 0), (Flaw::KeyBytes, 1), (Flaw::Decimal, 2), (Flaw::NullOrEmpty, 3)],
    key_at,
    row,
};

fn key_at(place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    vec![Cell::Text(sku(place, places, draws))]
}

fn row(key: &mut dyn Iterator<Item = Cell>, draws: &mut Draws) -> Row {
    let length = 4 + draws.below(12);
    vec![Cell::Text(words(draws, length)), next_of(key), decimal(draws, 6, 2), note(draws)]
}

/// Seven letters that count upwards, in mixed case, some with an accent, then a tail.
fn sku(place: u64, places: u64, draws: &mut Draws) -> String {
    let step = 26u64.pow(SKU_LETTERS) / (places + 1);
    let mut rest = place * step + draws.below(step);
    let mut letters = [0u8; SKU_LETTERS as usize];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[(rest % 26) as usize];
        rest /= 26;
    }
    let mut shape = draws.next();
    let mut text = String::with_capacity(12);
    for letter in letters {
        let plain = char::from(letter);
        let accented = ACCENTED.iter().find(|(_, base)| *base == plain).map(|(accent, _)| *accent);
        let letter = accented.filter(|_| shape & 6 == 6).unwrap_or(plain);
        if shape & 1 == 1 {
            text.extend(letter.to_uppercase())
        } else {
            text.push(letter)
        }
        shape >>= 3;
    }
    text.push_str(SKU_TAILS[(shape % SKU_TAILS.len() as u64) as usize]);
    text
}
