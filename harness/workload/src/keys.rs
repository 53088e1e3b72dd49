//! Keys: a key is a monotone function of its place, with gaps between neighbours, so that order
//! and place of any key are found by bisection instead of by a scan.

use serde_json::Value;

use super::shape::{Shape, Sorts};

/// A part of a key in a form that sorts as MySQL sorts the column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPart {
    Number(i128),
    /// Without letter case and accents.
    Folded(String),
    /// As it is printed.
    Bytes(String),
}

/// Letters with an accent that an accent-insensitive collation ignores.
pub(super) const ACCENTED: [(char, char); 5] =
    [('á', 'a'), ('é', 'e'), ('î', 'i'), ('ö', 'o'), ('ü', 'u')];

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
pub(super) fn parts(shape: &Shape, texts: &[String]) -> Option<Vec<KeyPart>> {
    if texts.len() != shape.key.len() {
        return None;
    }
    let part = |((_, sorts), text): (&(usize, Sorts), &String)| match sorts {
        Sorts::ByNumber => text.parse().ok().map(KeyPart::Number),
        Sorts::Folded => Some(KeyPart::Folded(fold(text))),
        Sorts::ByBytes => Some(KeyPart::Bytes(text.clone())),
    };
    shape.key.iter().zip(texts).map(part).collect()
}

/// The key in a cursor as a tablet saves it:
/// `{"columns":["customer_id","order_no"],"values":["12","x"]}`.
pub(super) fn parse_cursor(shape: &Shape, cursor: &str) -> Option<Vec<KeyPart>> {
    let cursor: Value = serde_json::from_str(cursor).ok()?;
    let columns = cursor.get("columns")?.as_array()?;
    let values = cursor.get("values")?.as_array()?;
    if columns.len() != values.len() {
        return None;
    }
    let texts: Option<Vec<String>> = shape
        .key
        .iter()
        .map(|(index, _)| {
            let name = shape.columns[*index].name;
            let at = columns.iter().position(|column| column.as_str() == Some(name))?;
            match &values[at] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            }
        })
        .collect();
    parts(shape, &texts?)
}
