//! What a report says must be what is committed.

use records::journal::Event;
use records::schedule::Fault;
use records::verdict::Invariant::I4;
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

use crate::sample::{STEP_ROWS, expect};

// A report that is made in memory looks exact, and what a crash would leave of it is another one.
#[test]
fn what_show_reports_is_what_is_committed() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I4, Pass),
            (
                "rows that were never saved",
                |j| j.edit_table(("completed", 3), |table| table.rows = 2 * STEP_ROWS),
                I4,
                Fail,
            ),
            (
                "a table that is still at work",
                |j| j.edit_table(("completed", 3), |table| table.state = "started".into()),
                I4,
                Fail,
            ),
            (
                "a diff that is not completed",
                |j| {
                    j.edit_diff("completed", |diff| {
                        diff.after.as_mut().unwrap().state = "started".into()
                    })
                },
                I4,
                Fail,
            ),
            (
                "nobody has read what is committed",
                |j| j.without(|event| matches!(event, Event::HistoryRead { .. })),
                I4,
                Inconclusive,
            ),
        ],
    );
}
