//! What needs no server.

use super::*;

#[test]
fn samples_are_taken_out_of_a_report_and_counts_are_left() {
    let report = r#"{"TableName":"t","MismatchedRows":2,"MismatchedRowsSample":[{"Source":{}}]}"#;
    let mut columns = BTreeMap::from([("report".to_owned(), Some(report.to_owned()))]);
    without_samples(&mut columns);
    assert_eq!(columns["report"].as_deref(), Some(r#"{"TableName":"t","MismatchedRows":2}"#));
}

// MySQL ends the older of two readers with the same id.
#[test]
fn every_reader_has_an_id_of_its_own() {
    assert_ne!(server_id(), server_id());
}
