//! Rows of the binlog as text, column by column.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mysql_async::Value;
use mysql_async::binlog::jsonb::{ObjectKey, Value as Jsonb};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::consts::ColumnType;
use thiserror::Error;

use super::json_diff;

/// The column with a table's report.
pub(super) const REPORT: &str = "report";

/// Values by column name; NULL is none.
pub(super) type Columns = BTreeMap<String, Option<String>>;

/// A value that cannot be told as text.
#[derive(Debug, Error)]
pub(super) enum RenderError {
    #[error("column {0} holds no valid JSON")]
    Json(String),
    #[error("the partial update of column {0} does not fit the document before it")]
    JsonDiff(String),
}

/// How rows are told.
#[derive(Clone, Copy)]
pub(super) struct Telling<'a> {
    /// Column names, where the binlog has none.
    pub(super) names: &'a [String],
    /// With the lists of sample rows in a report. They are by far the most of a history, and are not
    /// even decoded when nobody wants them.
    pub(super) samples: bool,
}

/// Both images of a change.
pub(super) fn pair(
    before: Option<&BinlogRow>,
    after: Option<&BinlogRow>,
    telling: Telling<'_>,
) -> Result<(Option<Columns>, Option<Columns>), RenderError> {
    // A partial update is applied to the whole document.
    let partial = after.is_some_and(has_partial_json);
    let telling = Telling { samples: telling.samples || partial, ..telling };
    let before = before.map(|row| image(row, None, telling)).transpose()?;
    let after = after.map(|row| image(row, before.as_ref(), telling)).transpose()?;
    Ok((before, after))
}

fn has_partial_json(row: &BinlogRow) -> bool {
    (0..row.len()).any(|index| matches!(row.as_ref(index), Some(BinlogValue::JsonDiff(_))))
}

/// Whether a member of a report is a list of sample rows.
pub(super) fn is_samples(member: &str) -> bool {
    member.ends_with("Sample")
}

fn json(value: &Jsonb<'_>) -> std::io::Result<serde_json::Value> {
    Ok(serde_json::Value::from(value.clone().into_owned().parse()?))
}

/// A report without its samples; any other document as it is.
fn without_samples(value: &Jsonb<'_>) -> std::io::Result<serde_json::Value> {
    let mut members = serde_json::Map::new();
    let mut take = |member: std::io::Result<(ObjectKey<'_>, Jsonb<'_>)>| {
        let (name, value) = member?;
        let name = name.value().into_owned();
        if !is_samples(&name) {
            members.insert(name, json(&value)?);
        }
        Ok::<_, std::io::Error>(())
    };
    match value {
        Jsonb::SmallObject(object) => object.iter().try_for_each(&mut take)?,
        Jsonb::LargeObject(object) => object.iter().try_for_each(&mut take)?,
        other => return json(other),
    }
    Ok(serde_json::Value::Object(members))
}

fn image(
    row: &BinlogRow,
    before: Option<&Columns>,
    telling: Telling<'_>,
) -> Result<Columns, RenderError> {
    let mut columns = Columns::new();
    for (index, column) in row.columns_ref().iter().enumerate() {
        // Unnamed columns are called @0, @1, … by their place in the table.
        let written = column.name_str();
        let place = written.strip_prefix('@').and_then(|place| place.parse::<usize>().ok());
        let known = place.and_then(|place| telling.names.get(place));
        let name = known.map_or_else(|| written.clone().into_owned(), Clone::clone);
        let text = match row.as_ref(index) {
            None => None,
            Some(BinlogValue::Value(value)) => plain(value, column.column_type()),
            Some(BinlogValue::Jsonb(value)) => {
                let whole = telling.samples || name != REPORT;
                let parsed = if whole { json(value) } else { without_samples(value) };
                Some(parsed.map_err(|_| RenderError::Json(name.clone()))?.to_string())
            }
            Some(BinlogValue::JsonDiff(diffs)) => {
                let misfit = || RenderError::JsonDiff(name.clone());
                let text = before.and_then(|before| before.get(&name)?.as_deref());
                let document = text.and_then(|text| serde_json::from_str(text).ok());
                let mut document = document.ok_or_else(misfit)?;
                for diff in diffs {
                    json_diff::apply(&mut document, diff).ok_or_else(misfit)?;
                }
                Some(document.to_string())
            }
        };
        columns.insert(name, text);
    }
    Ok(columns)
}

fn plain(value: &Value, kind: ColumnType) -> Option<String> {
    let is_timestamp =
        matches!(kind, ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2);
    Some(match value {
        Value::NULL => return None,
        Value::Int(seconds) if is_timestamp => timestamp(&seconds.to_string()),
        Value::Bytes(bytes) if is_timestamp => timestamp(&String::from_utf8_lossy(bytes)),
        Value::Bytes(bytes) => text(bytes),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Date(year, month, day, ..)
            if matches!(kind, ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE) =>
        {
            format!("{year:04}-{month:02}-{day:02}")
        }
        Value::Date(year, month, day, hour, minute, second, micros) => format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{}",
            fraction(*micros)
        ),
        Value::Time(negative, days, hours, minutes, seconds, micros) => format!(
            "{}{:02}:{minutes:02}:{seconds:02}{}",
            if *negative { "-" } else { "" },
            days * 24 + u32::from(*hours),
            fraction(*micros)
        ),
    })
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

/// Text where it is text, hexadecimal digits where it is not.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("0x{}", hex::encode(bytes)),
    }
}

/// From seconds since the Unix epoch, perhaps with a fraction, to a time in UTC as MySQL prints it.
fn timestamp(seconds: &str) -> String {
    let (whole, micros) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let time = whole.parse().ok().and_then(|whole| DateTime::<Utc>::from_timestamp(whole, 0));
    match (time, micros.parse()) {
        (Some(time), Ok(micros)) if time.timestamp() != 0 => {
            format!("{}{}", time.format("%Y-%m-%d %H:%M:%S"), fraction(micros))
        }
        (Some(_), Ok(0)) => "0000-00-00 00:00:00".to_owned(),
        _ => seconds.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_as_mysql_prints_them() {
        let bytes = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let cases = [
            (Value::NULL, ColumnType::MYSQL_TYPE_LONG, None),
            (Value::Int(-5), ColumnType::MYSQL_TYPE_LONGLONG, Some("-5")),
            (bytes("Zürich"), ColumnType::MYSQL_TYPE_VARCHAR, Some("Zürich")),
            (Value::Bytes(vec![0xff, 0]), ColumnType::MYSQL_TYPE_BLOB, Some("0xff00")),
            (bytes("1700000000"), ColumnType::MYSQL_TYPE_TIMESTAMP2, Some("2023-11-14 22:13:20")),
            (
                bytes("1700000000.000120"),
                ColumnType::MYSQL_TYPE_TIMESTAMP2,
                Some("2023-11-14 22:13:20.000120"),
            ),
            (bytes("0"), ColumnType::MYSQL_TYPE_TIMESTAMP2, Some("0000-00-00 00:00:00")),
            (
                Value::Date(2026, 1, 2, 3, 4, 5, 6),
                ColumnType::MYSQL_TYPE_DATETIME2,
                Some("2026-01-02 03:04:05.000006"),
            ),
            (Value::Date(2026, 1, 2, 0, 0, 0, 0), ColumnType::MYSQL_TYPE_DATE, Some("2026-01-02")),
            (Value::Time(true, 1, 2, 3, 4, 0), ColumnType::MYSQL_TYPE_TIME2, Some("-26:03:04")),
        ];
        for (value, kind, expected) in cases {
            assert_eq!(plain(&value, kind).as_deref(), expected, "{value:?}");
        }
    }
}
