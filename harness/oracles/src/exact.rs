//! I4, exact: a completed diff reports exactly the planted differences, as a set of (table, kind,
//! key), and exact counts, however often it was interrupted.

use std::collections::BTreeMap;

use records::journal::{DifferenceKind, Event, FinalReport, TableReport, TableTruth, Truth};
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::view::{At, View};

/// Keys named of one kind of deviation; the rest is counted.
const KEYS_MAX: usize = 10;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I4, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I4, view);
    let reports = view.events(|event| match event {
        Event::FinalReport(report) => Some(report),
        _ => None,
    });
    if reports.is_empty() {
        exam.missing(None, "there is no final report");
    }
    for settled in view.settled() {
        let (uuid, state) = settled.what;
        if state == "completed" && !reports.iter().any(|report| report.what.uuid == uuid) {
            exam.missing(
                Some(settled.seq),
                format!("the completed diff {uuid} has no final report"),
            );
        }
    }
    let Some(truth) = view.head.map(|head| &head.truth) else { return exam.finish() };
    for report in reports.iter().filter(|report| report.what.state == "completed") {
        compare(&mut exam, truth, report);
    }
    exam.finish()
}

fn compare(exam: &mut Examination, truth: &Truth, report: &At<&FinalReport>) {
    let seq = Some(report.seq);
    exam.check(!truth.tables.is_empty(), seq, || "expected tables in the planted truth".to_owned());
    for (table, expected) in &truth.tables {
        match report.what.tables.get(table) {
            Some(found) => compare_table(exam, seq, table, expected, found),
            None => {
                exam.fail(seq, format!("expected a report of the table {table}; there is none"))
            }
        }
    }
    for table in report.what.tables.keys().filter(|table| !truth.tables.contains_key(*table)) {
        exam.fail(seq, format!("expected no report of the table {table}, which is not compared"));
    }
}

fn compare_table(
    exam: &mut Examination,
    seq: Option<u64>,
    table: &str,
    expected: &TableTruth,
    found: &TableReport,
) {
    let counts = [
        ("processed rows", expected.processed, found.processed),
        ("matching rows", expected.matching, found.matching),
        ("mismatched rows", expected.mismatched.len() as u64, found.mismatched),
        ("extra rows on the source", expected.extra_source.len() as u64, found.extra_source),
        ("extra rows on the target", expected.extra_target.len() as u64, found.extra_target),
    ];
    for (what, expected, found) in counts {
        exam.check(expected == found, seq, || {
            format!("{table}: expected {expected} {what}, found {found}")
        });
    }
    let kinds = [
        (DifferenceKind::Mismatch, "mismatched", &expected.mismatched),
        (DifferenceKind::ExtraSource, "only on the source", &expected.extra_source),
        (DifferenceKind::ExtraTarget, "only on the target", &expected.extra_target),
    ];
    for (kind, words, keys) in kinds {
        // By count: a key reported twice was compared twice.
        let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
        for key in keys {
            *balance.entry(key).or_default() -= 1;
        }
        for difference in found.differences.iter().filter(|difference| difference.kind == kind) {
            *balance.entry(&difference.key).or_default() += 1;
        }
        let missing: Vec<&str> = select(&balance, |count| count < 0);
        let unexpected: Vec<&str> = select(&balance, |count| count > 0);
        exam.check(missing.is_empty(), seq, || {
            format!("{table}: {} {words} not reported: {}", missing.len(), list(&missing))
        });
        exam.check(unexpected.is_empty(), seq, || {
            format!(
                "{table}: {} {words} reported wrongly or twice: {}",
                unexpected.len(),
                list(&unexpected)
            )
        });
    }
}

fn select<'a>(balance: &BTreeMap<&'a str, i64>, wanted: impl Fn(i64) -> bool) -> Vec<&'a str> {
    balance.iter().filter(|(_, count)| wanted(**count)).map(|(key, _)| *key).collect()
}

fn list(keys: &[&str]) -> String {
    let named: Vec<String> = keys.iter().take(KEYS_MAX).map(|key| format!("({key})")).collect();
    let more = keys.len().saturating_sub(KEYS_MAX);
    let more = if more > 0 { format!(", … and {more} more") } else { String::new() };
    named.join(", ") + &more
}
