//! A VDiff's report of a table, as Vitess words it.

use records::journal::{Difference, DifferenceKind, TableReport};
use serde_json::Value;

/// A table's report; `key` are the columns by which a difference is named.
#[must_use]
pub fn table(state: &str, said: &Value, key: &[String]) -> TableReport {
    let count = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or(0);
    let samples = |name: &str| {
        said.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
    };
    let key_of = |sample: &Value| {
        let row = sample.get("Row");
        let value = |column: &String| {
            row.and_then(|row| row.get(column)).and_then(Value::as_str).unwrap_or("(none)")
        };
        key.iter().map(value).collect::<Vec<_>>().join(",")
    };
    let mut differences = Vec::new();
    for pair in samples("MismatchedRowsSample") {
        let key = key_of(pair.get("Source").unwrap_or(&Value::Null));
        differences.push(Difference { kind: DifferenceKind::Mismatch, key });
    }
    for row in samples("ExtraRowsSourceSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraSource, key: key_of(row) });
    }
    for row in samples("ExtraRowsTargetSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraTarget, key: key_of(row) });
    }
    TableReport {
        state: state.to_owned(),
        processed: count("ProcessedRows").max(count("RowsCompared")),
        matching: count("MatchingRows"),
        mismatched: count("MismatchedRows"),
        extra_source: count("ExtraRowsSource"),
        extra_target: count("ExtraRowsTarget"),
        differences,
    }
}
