//! I4, one story: what `show` reports of a completed diff is what is committed of it: its state, and of each
//! table the state and the rows. A report made in memory may look right, and be gone with the process.

use std::collections::BTreeMap;

use records::journal::facts::TableStatus;
use records::journal::{Event, FinalReport};
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::view::{At, View};

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I4, judge };

fn judge(view: &View<'_>) -> Judgement {
    let reports = view.events(|event| match event {
        // One that is not at rest may have gone on since.
        Event::FinalReport(report) if report.state == "completed" => Some(report),
        _ => None,
    });
    if reports.is_empty() {
        // That there is none where there should be, another oracle of this invariant says.
        return Examination::not_applicable(Invariant::I4);
    }
    let mut exam = Examination::new(Invariant::I4, view);
    if exam.needs_history(view) {
        for report in &reports {
            compare(&mut exam, view, report);
        }
    }
    exam.finish()
}

fn compare(exam: &mut Examination, view: &View<'_>, report: &At<&FinalReport>) {
    let (seq, shown) = (Some(report.seq), report.what);
    let uuid = &shown.uuid;
    // The history ends after the reports, and nothing acts on a diff in between.
    let diffs = view.history.diffs();
    // A report of another diff than the trial's says nothing of those: that they have none is told elsewhere.
    let Some(diff) = diffs.iter().rev().find(|diff| diff.uuid == uuid) else { return };
    let committed = diff.last.map_or("(deleted)", |status| status.state.as_str());
    exam.check(shown.state == committed, seq, || {
        format!("show says that the diff {uuid} is {}; committed is {committed}", shown.state)
    });
    let mut tables: BTreeMap<&str, &TableStatus> = BTreeMap::new();
    for change in view.history.of_tables().filter(|change| change.fact.diff == diff.id) {
        match &change.fact.after {
            Some(status) => tables.insert(&change.fact.table, status),
            None => tables.remove(change.fact.table.as_str()),
        };
    }
    for (table, told) in &shown.tables {
        let Some(status) = tables.get(table.as_str()) else {
            exam.fail(seq, format!("{table}: show reports it, and nothing of it is committed"));
            continue;
        };
        exam.check(told.state == status.state, seq, || {
            format!("{table}: show says {}; committed is {}", told.state, status.state)
        });
        exam.check(told.processed == status.rows, seq, || {
            let (shown, committed) = (told.processed, status.rows);
            format!("{table}: show says {shown} rows processed; {committed} are committed")
        });
    }
}
