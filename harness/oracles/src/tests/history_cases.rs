//! I5, I8, I11: what is judged by the binlog.

use records::journal::Event;
use records::journal::facts::Said;
use records::schedule::Fault;
use records::verdict::Invariant::{I5, I8, I11};
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

use crate::sample::{
    JournalBuilder, NEW_UUID, UUID, action, comes_to, diff_of, entry, expect, said_of, table, told,
    vdiff,
};

fn drop_told(journal: &mut JournalBuilder, state: &str) {
    let is_it = |said: &mut Said| matches!(said, Said::StateMoved { to } if to == state);
    journal.without_change(|c| said_of(c).is_some_and(is_it));
}

/// The stream that begins after a checkpoint, and none at the table's beginning.
fn begins_later(said: &Said) -> bool {
    matches!(said, Said::StreamBegan { after: Some(_), .. })
}

#[test]
fn little_is_lost_between_checkpoints() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I5, Pass),
            (
                "too far between checkpoints",
                |j| {
                    j.edit_head(|head| head.schedule.pace.checkpoint_rows = 100);
                },
                I5,
                Fail,
            ),
            (
                "the count is not the cursor's",
                |j| {
                    j.edit_table(("started", 2), |t| t.place = Some(3_999));
                },
                I5,
                Fail,
            ),
            (
                "the cursor falls",
                |j| {
                    j.append(vec![table(
                        1,
                        Some(("completed", 3)),
                        Some(("completed", 2)),
                        2,
                        9_000,
                    )])
                },
                I5,
                Fail,
            ),
            (
                "the cursor is gone",
                |j| {
                    j.edit_table(("completed", 3), |t| t.cursor = None);
                },
                I5,
                Fail,
            ),
            (
                "a cursor that was not placed",
                |j| {
                    j.edit_table(("started", 2), |t| t.place = None);
                },
                I5,
                Inconclusive,
            ),
            (
                "the stream starts from the beginning again",
                |j| {
                    j.edit_history(|c| {
                        if let Some(Said::StreamBegan { after, .. }) = said_of(c) {
                            *after = None;
                        }
                    });
                },
                I5,
                Fail,
            ),
            (
                "a new epoch compares without a stream's start",
                |j| {
                    j.without_change(|c| said_of(c).is_some_and(|said| begins_later(said)));
                },
                I5,
                Fail,
            ),
        ],
    );
}

#[test]
fn states_move_legally_and_the_log_tells_it() {
    for fault in [Fault::Sigkill, Fault::Cancel, Fault::Delete] {
        expect(fault, &[("as it should be", |_| {}, I8, Pass)]);
    }
    expect(
        Fault::Sigkill,
        &[
            (
                "a completed diff is started",
                |j| {
                    j.append(vec![
                        vdiff(1, UUID, Some("completed"), Some("started"), 2, 9_000),
                        told(1, "started", 9_000),
                    ])
                },
                I8,
                Fail,
            ),
            (
                "a diff goes from started to pending",
                |j| {
                    j.edit_diff("completed", |d| {
                        d.after.as_mut().unwrap().state = "pending".into()
                    });
                },
                I8,
                Fail,
            ),
            (
                "a state that is none",
                |j| {
                    j.edit_diff("completed", |d| d.after.as_mut().unwrap().state = "done".into());
                },
                I8,
                Fail,
            ),
            ("a move the log does not tell", |j| drop_told(j, "completed"), I8, Fail),
            (
                "a move the log tells in another transaction",
                |j| {
                    drop_told(j, "completed");
                    j.append(vec![told(1, "completed", 9_000)]);
                },
                I8,
                Fail,
            ),
            (
                "a new diff begins started",
                |j| {
                    j.append(vec![vdiff(5, NEW_UUID, None, Some("started"), 2, 9_000)]);
                },
                I8,
                Fail,
            ),
            (
                "a diff deleted and inserted again",
                |j| {
                    j.append(vec![vdiff(1, UUID, Some("completed"), None, 2, 9_000)]);
                    j.append(vec![vdiff(1, UUID, None, Some("pending"), 2, 9_000)]);
                },
                I8,
                Fail,
            ),
            (
                "the owner's epoch falls",
                |j| {
                    j.edit_diff("completed", |d| {
                        d.before.as_mut().unwrap().owner = Some(2);
                        d.after.as_mut().unwrap().owner = Some(1);
                    })
                },
                I8,
                Fail,
            ),
            (
                "a row that was released, then taken by an older owner",
                |j| j.append(vec![vdiff(1, UUID, Some("completed"), Some("completed"), 1, 9_000)]),
                I8,
                Fail,
            ),
            (
                "a row that was released",
                |j| {
                    let mut release =
                        vdiff(1, UUID, Some("completed"), Some("completed"), 2, 9_000);
                    diff_of(&mut release).unwrap().after.as_mut().unwrap().owner = None;
                    j.append(vec![release]);
                },
                I8,
                Pass,
            ),
            (
                "a completed table is started again",
                |j| {
                    j.append(vec![table(1, Some(("completed", 3)), Some(("started", 3)), 2, 9_000)])
                },
                I8,
                Fail,
            ),
            (
                "a table completes after its diff",
                |j| {
                    j.edit_table(("completed", 3), |t| t.state = "started".into());
                },
                I8,
                Fail,
            ),
            (
                "a table goes back to pending alone",
                |j| {
                    j.append(vec![table(1, Some(("completed", 3)), Some(("pending", 3)), 2, 9_000)])
                },
                I8,
                Fail,
            ),
        ],
    );
}

#[test]
fn what_was_acknowledged_is_in_the_history() {
    for fault in [Fault::Sigkill, Fault::Cancel, Fault::Delete, Fault::RowSurgery] {
        expect(fault, &[("as it should be", |_| {}, I11, Pass)]);
    }
    expect(
        Fault::Sigkill,
        &[
            (
                "a create that left nothing",
                |j| j.insert(6_000, action("create", NEW_UUID)),
                I11,
                Fail,
            ),
            ("a stop that left nothing", |j| j.insert(6_000, action("stop", UUID)), I11, Fail),
            (
                "a resume of a diff that runs",
                |j| j.insert(6_000, action("resume", UUID)),
                I11,
                Pass,
            ),
            (
                "a delete that left everything",
                |j| j.insert(6_000, action("delete", UUID)),
                I11,
                Fail,
            ),
            (
                "an unacknowledged create that left nothing",
                |j| {
                    j.insert(6_000, action("create", NEW_UUID));
                    j.edit(|_, e| {
                        if let Event::VdiffAction(a) = e
                            && a.uuid == NEW_UUID
                        {
                            a.acknowledged = false;
                        }
                    });
                },
                I11,
                Pass,
            ),
            (
                "an unacknowledged stop that stopped a table only",
                |j| {
                    j.insert(6_000, action("stop", UUID));
                    j.edit_action("stop", |a| a.acknowledged = false);
                    j.append(vec![table(1, Some(("started", 3)), Some(("stopped", 3)), 2, 9_000)]);
                },
                I11,
                Fail,
            ),
            (
                "an unacknowledged delete that deleted a table only",
                |j| {
                    j.insert(6_000, action("delete", UUID));
                    j.edit_action("delete", |a| a.acknowledged = false);
                    j.append(vec![table(1, Some(("completed", 3)), None, 2, 9_000)]);
                },
                I11,
                Fail,
            ),
        ],
    );
    expect(
        Fault::Cancel,
        &[
            (
                "stopped did not stay stopped",
                |j| j.append(vec![vdiff(1, UUID, Some("stopped"), Some("pending"), 1, 9_000)]),
                I11,
                Fail,
            ),
            (
                "a resume that left nothing",
                |j| {
                    j.without_change(|c| {
                        comes_to(c, "pending") && diff_of(c).is_some_and(|d| d.before.is_some())
                    });
                },
                I11,
                Fail,
            ),
            (
                "it went on before it was resumed",
                |j| {
                    j.edit_history(|c| {
                        if comes_to(c, "pending") {
                            c.commit_us -= 2_500_000;
                        }
                    });
                },
                I11,
                Fail,
            ),
        ],
    );
    expect(
        Fault::Delete,
        &[
            (
                "a write after the delete",
                |j| {
                    j.append(vec![entry(1, Said::StreamEnded, 9_000)]);
                },
                I11,
                Fail,
            ),
            (
                "the history is not whole",
                |j| {
                    j.without(|e| matches!(e, Event::HistoryRead { .. }));
                },
                I11,
                Inconclusive,
            ),
        ],
    );
}

// On a machine that is busy the record of a resume comes long after its call.
#[test]
fn a_resume_that_is_told_late_is_judged_by_its_call() {
    let told = |ago_ms: Option<u64>| {
        let mut journal = JournalBuilder::good(Fault::Cancel);
        journal.edit(|at_ms, event| {
            if let Event::VdiffAction(action) = event
                && action.action == "resume"
            {
                *at_ms += 700;
                action.asked_ms_ago = ago_ms;
            }
        });
        journal.judgement(I11).verdict
    };
    assert_eq!((told(Some(760)), told(None)), (Pass, Fail));
}
