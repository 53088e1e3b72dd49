//! The cursor: the greatest key K such that every row up to K, of both sides, has been counted.
//!
//! It is stored as JSON: `{"columns":["a","b"],"values":["12","x"]}`, binary values as `0x…`.

use serde::{Deserialize, Serialize};

use super::report::render;
use super::table_plan::{KeyAt, Plan, PlanKey};
use crate::vstreamer::{KeyColumn, KeyKind, RowCells};

/// A key in stored form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    columns: Vec<String>,
    values: Vec<String>,
}

/// The stored cursor does not fit the table any more, or was never one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CursorError {
    #[error("the saved last key is malformed")]
    Malformed,
    #[error("the saved last key has the columns ({saved}), but the table's key is ({now})")]
    KeyChanged { saved: String, now: String },
}

impl Cursor {
    /// The key of a row that was just consumed, read where its side has it.
    pub(super) fn of_row(plan: &Plan, row: &RowCells, at: impl Fn(&PlanKey) -> KeyAt) -> Cursor {
        let text =
            |key: &PlanKey| row.get(at(key).value).map(|value| render(value, is_bytes(&key.kind)));
        Cursor {
            columns: plan.key.iter().map(|key| key.name.clone()).collect(),
            values: plan.key.iter().map(|key| text(key).unwrap_or_default()).collect(),
        }
    }

    /// Reads the stored text.
    pub(super) fn parse(text: &[u8]) -> Result<Cursor, CursorError> {
        let cursor: Cursor = serde_json::from_slice(text).map_err(|_| CursorError::Malformed)?;
        let whole = cursor.columns.len() == cursor.values.len() && !cursor.columns.is_empty();
        if whole { Ok(cursor) } else { Err(CursorError::Malformed) }
    }

    /// The text to store.
    pub(super) fn to_json(&self) -> String {
        let cursor = serde_json::json!({ "columns": self.columns, "values": self.values });
        cursor.to_string()
    }

    /// The values as a row stream takes them.
    pub(super) fn key_values(&self, key: &[KeyColumn]) -> Result<Vec<Vec<u8>>, CursorError> {
        let same = self.columns.len() == key.len()
            && self.columns.iter().zip(key).all(|(name, key)| name.eq_ignore_ascii_case(&key.name));
        if !same {
            let now: Vec<&str> = key.iter().map(|key| key.name.as_str()).collect();
            return Err(CursorError::KeyChanged {
                saved: self.columns.join(", "),
                now: now.join(", "),
            });
        }
        self.values.iter().zip(key).map(|(value, key)| decode(value, &key.kind)).collect()
    }
}

fn is_bytes(kind: &KeyKind) -> bool {
    matches!(kind, KeyKind::Bytes | KeyKind::Bits)
}

fn decode(value: &str, kind: &KeyKind) -> Result<Vec<u8>, CursorError> {
    if !is_bytes(kind) {
        return Ok(value.as_bytes().to_vec());
    }
    let digits = value.strip_prefix("0x").ok_or(CursorError::Malformed)?;
    hex::decode(digits).map_err(|_| CursorError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tablet_wire::query::Type;

    use super::super::table_plan::tests::header;
    use super::*;
    use crate::mysql::Value;
    use crate::vstreamer::encode_row;

    fn keys(kinds: &[(&str, KeyKind)]) -> Vec<KeyColumn> {
        let column = |(position, (name, kind)): (usize, &(&str, KeyKind))| KeyColumn {
            name: (*name).to_owned(),
            position,
            kind: kind.clone(),
        };
        kinds.iter().enumerate().map(column).collect()
    }

    #[test]
    fn a_cursor_of_other_columns_is_refused_with_both_named() {
        let cursor = Cursor::parse(br#"{"columns":["a"],"values":["1"]}"#).unwrap();
        let error = cursor.key_values(&keys(&[("b", KeyKind::Integer)])).unwrap_err().to_string();
        assert!(error.contains("(a)") && error.contains("(b)"), "{error}");
    }

    #[test]
    fn malformed_cursors_are_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"columns":["a"],"values":[]}"#,
            r#"{"columns":[],"values":[]}"#,
            r#"{"columns":["a"],"values":[1]}"#,
        ] {
            assert_eq!(Cursor::parse(text.as_bytes()), Err(CursorError::Malformed), "{text}");
        }
        let cursor = Cursor::parse(br#"{"columns":["a"],"values":["zz"]}"#).unwrap();
        assert!(cursor.key_values(&keys(&[("a", KeyKind::Bytes)])).is_err());
    }

    proptest! {
        #[test]
        fn a_key_survives_saving(number in any::<i64>(), bytes in any::<Vec<u8>>(), text: String) {
            let columns = [("n", Type::Int64), ("b", Type::Varbinary), ("t", Type::Varchar)];
            let header = header(&columns, 3);
            let plan = Plan::new("t", &header, &header).unwrap();
            let number = number.to_string();
            let values = vec![number.as_str().into(), Value::Bytes(bytes.clone()),
                text.as_str().into(), Value::from("weight")];
            let row = RowCells::new(encode_row(values), 4).unwrap();
            let saved = Cursor::of_row(&plan, &row, |key| key.source).to_json();
            let read = Cursor::parse(saved.as_bytes()).unwrap();
            let kinds = [("n", KeyKind::Integer), ("b", KeyKind::Bytes),
                ("t", KeyKind::Text { collation: 255 })];
            let expected = vec![number.into_bytes(), bytes, text.into_bytes()];
            prop_assert_eq!(read.key_values(&keys(&kinds)).unwrap(), expected);
        }
    }
}
