//! Keys: a key is a monotone function of its place, with gaps between neighbours, so that order
//! and place of any key are found by bisection instead of by a scan.

use serde_json::Value;

use super::catalogue::TableKind;
use super::cell::Cell;
use super::random::Draws;

/// A part of a key in a form that sorts as MySQL sorts the column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPart {
    Number(i128),
    /// Without letter case and accents.
    Folded(String),
}

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
const SKU_LETTERS: u32 = 7;
const SKU_TAILS: [&str; 5] = ["", "-7", " Kit", "'S", "%"];

/// In collation order, which is not the order of their bytes.
const DOCUMENT_KINDS: [&str; 4] = ["invoice", "Letter", "memo", "Report"];

/// Letters with an accent that an accent-insensitive collation ignores.
const ACCENTED: [(char, char); 5] = [('á', 'a'), ('é', 'e'), ('î', 'i'), ('ö', 'o'), ('ü', 'u')];

/// The key at `place` of `places`, in key order. Draws from the place's own stream.
pub(super) fn cells(table: TableKind, place: u64, places: u64, draws: &mut Draws) -> Vec<Cell> {
    let (at, all) = (i128::from(place), i128::from(places));
    let number = |value: i128| Cell::Text(value.to_string());
    match table {
        TableKind::Customer => {
            vec![number((at - all / 3) * 3 + i128::from(draws.below(3)))]
        }
        TableKind::Corder => {
            vec![number(1000 + at / 7 * 2), number(1 + at % 7 * 10 + i128::from(draws.below(10)))]
        }
        TableKind::Event => {
            let middle = i128::from(i64::MAX);
            vec![number(middle + (at - all / 2) * 5 + i128::from(draws.below(5)))]
        }
        TableKind::Product => vec![Cell::Text(sku(place, places, draws))],
        TableKind::Document => {
            let kind = DOCUMENT_KINDS[(at * 4 / all.max(1)) as usize];
            let kind = match draws.below(4) {
                0 => kind.to_uppercase(),
                1 => kind.to_lowercase(),
                _ => kind.to_owned(),
            };
            vec![Cell::Text(kind), number(1 + at * 2 + i128::from(draws.below(2)))]
        }
    }
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

/// The same key under its collation, in other bytes.
pub(super) fn respelled(text: &str) -> String {
    let mut done = false;
    text.chars()
        .map(|letter| {
            if done || !letter.is_ascii_alphabetic() {
                return letter;
            }
            done = true;
            if letter.is_ascii_lowercase() {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect()
}

fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| {
            ACCENTED.iter().find(|(accent, _)| *accent == letter).map_or(letter, |(_, base)| *base)
        })
        .collect()
}

/// The sortable form of a key's texts, in key order; none where they are no key of this table.
pub(super) fn parts(table: TableKind, texts: &[String]) -> Option<Vec<KeyPart>> {
    if texts.len() != table.key().len() {
        return None;
    }
    let folds_first = matches!(table, TableKind::Product | TableKind::Document);
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            if folds_first && index == 0 {
                Some(KeyPart::Folded(fold(text)))
            } else {
                text.parse().ok().map(KeyPart::Number)
            }
        })
        .collect()
}

/// The key in a cursor as a tablet saves it:
/// `{"columns":["customer_id","order_no"],"values":["12","x"]}`.
pub(super) fn parse_cursor(table: TableKind, cursor: &str) -> Option<Vec<KeyPart>> {
    let cursor: Value = serde_json::from_str(cursor).ok()?;
    let columns = cursor.get("columns")?.as_array()?;
    let values = cursor.get("values")?.as_array()?;
    if columns.len() != values.len() {
        return None;
    }
    let texts: Option<Vec<String>> = table
        .key()
        .iter()
        .map(|index| {
            let name = table.columns()[*index].name;
            let at = columns.iter().position(|column| column.as_str() == Some(name))?;
            match &values[at] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            }
        })
        .collect();
    parts(table, &texts?)
}
