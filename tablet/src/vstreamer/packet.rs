//! Rows as they travel: one buffer of values and their lengths, as in Vitess.

use tablet_wire::query::Row;

use crate::mysql::Value;

/// One value; `None` is NULL.
pub type Cell<'a> = Option<&'a [u8]>;

/// Puts the values of a row, as the text protocol delivers them, into one buffer.
pub fn encode_row(values: Vec<Value>) -> Row {
    let size =
        values.iter().map(|value| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 });
    let mut row =
        Row { lengths: Vec::with_capacity(values.len()), values: Vec::with_capacity(size.sum()) };
    for value in values {
        match value {
            Value::NULL => row.lengths.push(-1),
            Value::Bytes(bytes) => {
                row.lengths.push(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
                row.values.extend_from_slice(&bytes);
            }
            other => {
                let text = other.as_sql(true);
                let text = text.trim_matches('\'');
                row.lengths.push(i64::try_from(text.len()).unwrap_or(i64::MAX));
                row.values.extend_from_slice(text.as_bytes());
            }
        }
    }
    row
}

/// A received row whose lengths fit its buffer: what comes over the network may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCells {
    values: Vec<u8>,
    /// Where each value ends; `None` is NULL.
    ends: Vec<(usize, bool)>,
}

impl RowCells {
    /// Checks the row; `None` if its lengths lie.
    pub fn new(row: Row, columns: usize) -> Option<RowCells> {
        if row.lengths.len() != columns {
            return None;
        }
        let mut end = 0usize;
        let mut ends = Vec::with_capacity(columns);
        for length in &row.lengths {
            if *length >= 0 {
                end = end.checked_add(usize::try_from(*length).ok()?)?;
            }
            ends.push((end, *length < 0));
        }
        (end == row.values.len()).then_some(RowCells { values: row.values, ends })
    }

    /// The value of column `at`.
    pub fn get(&self, at: usize) -> Cell<'_> {
        let (end, null) = self.ends[at];
        let begin = if at == 0 { 0 } else { self.ends[at - 1].0 };
        (!null).then(|| &self.values[begin..end])
    }

    /// Whether the first `columns` values of both are the same bytes.
    pub fn same_beginning(&self, other: &RowCells, columns: usize) -> bool {
        let end = if columns == 0 { 0 } else { self.ends[columns - 1].0 };
        self.ends[..columns] == other.ends[..columns] && self.values[..end] == other.values[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_stay_apart() {
        let row = encode_row(vec![Value::NULL, Value::from("ab"), Value::from("")]);
        let cells = RowCells::new(row, 3).unwrap();
        assert_eq!((cells.get(0), cells.get(1)), (None, Some(&b"ab"[..])));
        assert_eq!(cells.get(2), Some(&b""[..]));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let row = |lengths: &[i64]| Row { lengths: lengths.to_vec(), values: b"abc".to_vec() };
        assert!(RowCells::new(row(&[3]), 1).is_some());
        for lengths in [&[2][..], &[4], &[3, 1], &[i64::MAX], &[]] {
            assert!(RowCells::new(row(lengths), lengths.len()).is_none(), "{lengths:?}");
        }
        assert!(RowCells::new(row(&[3]), 2).is_none());
    }

    #[test]
    fn same_beginning_sees_where_values_end() {
        let row = |a: &str, b: &str| {
            RowCells::new(encode_row(vec![Value::from(a), Value::from(b)]), 2).unwrap()
        };
        assert!(row("a", "b").same_beginning(&row("a", "c"), 1));
        assert!(!row("ab", "c").same_beginning(&row("a", "bc"), 2));
    }
}
