//! I3, I4, I6, I7: what is judged by the diff's end.

use records::journal::facts::Retry;
use records::journal::{Difference, DifferenceKind, Event, MissKind};
use records::schedule::Fault;
use records::verdict::Invariant::{I3, I4, I6, I7};
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

use crate::sample::{
    JournalBuilder, NEW_UUID, UUID, action, comes_to, expect, falls, hold, table, table_of, told,
    vdiff,
};

#[test]
fn a_diff_resumes_and_completes_unaided() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I3, Pass),
            (
                "settled in an error",
                |j| {
                    j.edit(|_, e| {
                        if let Event::Settled { state, .. } = e {
                            *state = "error".into();
                        }
                    })
                },
                I3,
                Fail,
            ),
            (
                "never settled",
                |j| {
                    j.without(|e| matches!(e, Event::Settled { .. }));
                    let waiting_for = "the diff to settle".to_owned();
                    j.insert(12_000, Event::DeadlinePassed { waiting_for, after_ms: 60_000 });
                },
                I3,
                Fail,
            ),
            (
                "nobody looked whether it settled",
                |j| {
                    j.without(|e| matches!(e, Event::Settled { .. }));
                },
                I3,
                Inconclusive,
            ),
            ("had to be resumed by hand", |j| j.insert(6_000, action("resume", UUID)), I3, Fail),
            (
                "stays started for ever",
                |j| {
                    j.append(vec![vdiff(1, UUID, Some("completed"), Some("pending"), 2, 9_000)]);
                    j.append(vec![vdiff(1, UUID, Some("pending"), Some("started"), 2, 9_000)]);
                },
                I3,
                Fail,
            ),
            (
                "an error without a reason",
                |j| {
                    j.append(vec![vdiff(1, UUID, Some("started"), Some("error"), 2, 8_000)]);
                    j.append(vec![vdiff(1, UUID, Some("error"), Some("completed"), 2, 8_000)]);
                },
                I3,
                Fail,
            ),
            ("an ephemeral error, retried", |j| passing_error(j, Retry::Tablet), I3, Pass),
            ("a lasting error", |j| passing_error(j, Retry::Operator), I3, Fail),
            (
                "gone without being deleted",
                |j| {
                    j.append(vec![vdiff(1, UUID, Some("completed"), None, 2, 9_000)]);
                },
                I3,
                Fail,
            ),
            (
                "a step of which nothing is told",
                |j| {
                    j.without(|e| matches!(e, Event::FaultLanded(_)));
                },
                I3,
                Inconclusive,
            ),
            (
                "the only fault missed",
                |j| {
                    j.edit(|_, e| {
                        if let Event::FaultLanded(landed) = e {
                            let (step, fault) = (landed.step, landed.fault);
                            *e = Event::FaultMissed {
                                step,
                                fault,
                                reason: "the diff had ended".into(),
                                kind: MissKind::Moot,
                            };
                        }
                    })
                },
                I3,
                Inconclusive,
            ),
        ],
    );
}

fn passing_error(journal: &mut JournalBuilder, retry: Retry) {
    journal.append(vec![falls("lost connection to MySQL", retry, 2, 8_000)]);
    journal.append(vec![vdiff(1, UUID, Some("error"), Some("pending"), 2, 8_000)]);
    journal.append(vec![vdiff(1, UUID, Some("pending"), Some("started"), 2, 8_000)]);
    journal.append(vec![vdiff(1, UUID, Some("started"), Some("completed"), 2, 8_000)]);
}

#[test]
fn a_deleted_diff_is_gone_and_a_new_one_completes() {
    for fault in [Fault::Delete, Fault::RowSurgery] {
        expect(
            fault,
            &[
                ("as it should be", |_| {}, I3, Pass),
                (
                    "its tables were not swept",
                    |j| {
                        j.without_change(|c| table_of(c).is_some_and(|t| t.after.is_none()));
                    },
                    I3,
                    Fail,
                ),
                (
                    "it came back",
                    |j| {
                        j.append(vec![vdiff(1, UUID, None, Some("pending"), 2, 9_000)]);
                    },
                    I3,
                    Fail,
                ),
                (
                    "the new one did not complete",
                    |j| {
                        j.without_change(|c| comes_to(c, "completed"));
                    },
                    I3,
                    Fail,
                ),
                (
                    "a write of the tablet's ghost",
                    |j| {
                        j.append(vec![table(1, None, Some(("started", 1)), 1, 9_000)]);
                    },
                    I3,
                    Fail,
                ),
            ],
        );
    }
    expect(
        Fault::Cancel,
        &[
            ("as it should be", |_| {}, I3, Pass),
            (
                "stopped for ever",
                |j| {
                    j.append(vec![
                        vdiff(1, UUID, Some("completed"), Some("stopped"), 1, 9_000),
                        told(1, "stopped", 9_000),
                    ]);
                },
                I3,
                Fail,
            ),
        ],
    );
}

#[test]
fn a_report_is_exact_or_it_fails() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I4, Pass),
            (
                "one planted difference is missing",
                |j| {
                    j.edit_report(|r| {
                        r.tables.get_mut("t").unwrap().differences.remove(0);
                    })
                },
                I4,
                Fail,
            ),
            (
                "one is reported twice",
                |j| {
                    j.edit_report(|r| {
                        let differences = &mut r.tables.get_mut("t").unwrap().differences;
                        differences.push(differences[0].clone());
                    })
                },
                I4,
                Fail,
            ),
            (
                "one is of another kind",
                |j| {
                    j.edit_report(|r| {
                        r.tables.get_mut("t").unwrap().differences[0].kind =
                            DifferenceKind::ExtraSource;
                    })
                },
                I4,
                Fail,
            ),
            (
                "one is invented",
                |j| {
                    j.edit_report(|r| {
                        let invented =
                            Difference { kind: DifferenceKind::Mismatch, key: "77".into() };
                        r.tables.get_mut("t").unwrap().differences.push(invented);
                    })
                },
                I4,
                Fail,
            ),
            (
                "a row was counted twice",
                |j| {
                    j.edit_report(|r| {
                        r.tables.get_mut("t").unwrap().processed += 1;
                    })
                },
                I4,
                Fail,
            ),
            (
                "matching rows are off",
                |j| {
                    j.edit_report(|r| {
                        r.tables.get_mut("t").unwrap().matching -= 1;
                    })
                },
                I4,
                Fail,
            ),
            (
                "a count is off",
                |j| {
                    j.edit_report(|r| {
                        r.tables.get_mut("t").unwrap().extra_target = 0;
                    })
                },
                I4,
                Fail,
            ),
            ("a table is missing", |j| j.edit_report(|r| r.tables.clear()), I4, Fail),
            (
                "a table too many",
                |j| {
                    j.edit_report(|r| {
                        let table = r.tables["t"].clone();
                        r.tables.insert("u".into(), table);
                    })
                },
                I4,
                Fail,
            ),
            (
                "no final report",
                |j| {
                    j.without(|e| matches!(e, Event::FinalReport(_)));
                },
                I4,
                Inconclusive,
            ),
            (
                "a report of another diff",
                |j| {
                    j.edit_report(|r| {
                        r.uuid = NEW_UUID.into();
                        r.state = "stopped".into();
                    })
                },
                I4,
                Inconclusive,
            ),
        ],
    );
    let pass = JournalBuilder::good(Fault::Sigkill).judgement(I4);
    // The plan of a table, five counts, and of each kind what is missing and what is too much; and of what is
    // committed the diff's state, the table's, and its rows.
    assert_eq!(pass.checks, 1 + 5 + 3 * 2 + 3, "a check is one that can fail");
}

#[test]
fn the_workflow_runs_again() {
    fn row(j: &mut JournalBuilder, new: (&str, &str, &str, u64)) {
        j.edit(|_, e| {
            if let Event::WorkflowRow { state, message, stop_pos, hold: held, after_ms, .. } = e {
                (*state, *message, *stop_pos) = (new.0.into(), new.1.into(), new.2.into());
                *held = hold(new.1);
                *after_ms = new.3;
            }
        });
    }
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I6, Pass),
            ("stopped", |j| row(j, ("Stopped", "", "", 10)), I6, Fail),
            ("a message is left", |j| row(j, ("Running", "for vdiff", "", 10)), I6, Fail),
            ("a stop position is left", |j| row(j, ("Running", "", "uuid:1-9", 10)), I6, Fail),
            (
                "too late",
                |j| {
                    j.edit(|at_ms, e| {
                        if matches!(e, Event::WorkflowRow { .. }) {
                            *at_ms = 19_001;
                        }
                    })
                },
                I6,
                Fail,
            ),
            (
                "nobody looked",
                |j| {
                    j.without(|e| matches!(e, Event::WorkflowRow { .. }));
                },
                I6,
                Inconclusive,
            ),
        ],
    );
}

#[test]
fn nothing_is_left_behind() {
    fn leave(j: &mut JournalBuilder, what: fn(&mut records::journal::Residue)) {
        j.edit(|_, e| {
            if let Event::Residue(residue) = e {
                what(residue);
            }
        });
    }
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I7, Pass),
            ("a connection", |j| leave(j, |r| r.connections.push("17".into())), I7, Fail),
            ("a statement", |j| leave(j, |r| r.statements.push("select".into())), I7, Fail),
            ("a snapshot", |j| leave(j, |r| r.transactions.push("trx".into())), I7, Fail),
            ("a lock", |j| leave(j, |r| r.locks.push("table lock".into())), I7, Fail),
            ("looked at nothing", |j| leave(j, |r| r.looked_at.clear()), I7, Inconclusive),
            ("did not look", |j| j.without(|e| matches!(e, Event::Residue(_))), I7, Inconclusive),
        ],
    );
}
