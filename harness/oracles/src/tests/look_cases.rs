//! What is judged by single looks, and by the pace of the history.

use records::journal::facts::Said;
use records::journal::{
    Answer, CallOutcome, CountedWhen, Event, OperatorAct, ResourceCount, Sample, Side, Verbs,
};
use records::schedule::Fault;
use records::verdict::Invariant::{I3, I5, I6, I7, I8};
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

use crate::sample::{
    JournalBuilder, STEP_ROWS, WALL_MS, diff_of, entry, expect, streams, table, table_of, vdiff,
    workflow,
};

fn edit_verbs(journal: &mut JournalBuilder, change: impl Fn(&mut Verbs)) {
    journal.edit(|_, event| {
        if let Event::Verbs(verbs) = event {
            change(verbs);
        }
    });
}

fn answered(answers: &mut [Answer], call: &str, outcome: CallOutcome) {
    answers.iter_mut().find(|answer| answer.call == call).unwrap().outcome = outcome;
}

#[test]
fn a_diff_at_rest_takes_every_verb() {
    let silence = || CallOutcome::Silence("no answer".into());
    let refused = || CallOutcome::Refused("no".into());
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I3, Pass),
            (
                "a failed diff that a stop puts to rest",
                |j| {
                    edit_verbs(j, |v| {
                        v.state = "error".into();
                        v.after_stop = Some("stopped".into());
                    })
                },
                I3,
                Pass,
            ),
            ("not tried", |j| j.without(|e| matches!(e, Event::Verbs(_))), I3, Inconclusive),
            (
                "a stop that changes it",
                |j| edit_verbs(j, |v| v.after_stop = Some("stopped".into())),
                I3,
                Fail,
            ),
            (
                "a resume without effect",
                |j| edit_verbs(j, |v| v.after_resume = Some("error".into())),
                I3,
                Fail,
            ),
            ("a row that stays", |j| edit_verbs(j, |v| v.still_there = true), I3, Fail),
            ("a slow answer", |j| edit_verbs(j, |v| v.before[1].took_ms = 10_001), I3, Fail),
        ],
    );
    for call in ["show", "resume", "delete"] {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        edit_verbs(&mut journal, |v| answered(&mut v.before, call, refused()));
        assert!(journal.judgement(I3).is_fail(), "{call} was refused");
    }
    for call in ["show", "stop", "resume", "delete"] {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        edit_verbs(&mut journal, |v| answered(&mut v.after, call, silence()));
        assert!(journal.judgement(I3).is_fail(), "{call} was not answered");
    }
    for call in ["show", "resume"] {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        edit_verbs(&mut journal, |v| answered(&mut v.after, call, CallOutcome::Done));
        assert!(journal.judgement(I3).is_fail(), "{call} of what is gone was done");
    }
}

/// Moves a checkpoint and what follows of the diff to a later time.
pub(super) fn delayed(journal: &mut JournalBuilder, rows: u64, by_ms: u64) {
    let mut moved = false;
    journal.edit(|_, event| {
        if let Event::SidecarChange(change) = event {
            let after = table_of(change).and_then(|table| table.after.as_ref());
            moved |= after.is_some_and(|after| after.rows >= rows);
            if moved {
                change.commit_us += by_ms * 1_000;
            }
        }
    });
    journal.edit(|at_ms, event| {
        if !matches!(event, Event::SidecarChange(_)) && *at_ms >= 9_000 {
            *at_ms += by_ms;
        }
    });
}

#[test]
fn a_diff_that_is_to_run_moves() {
    expect(
        Fault::RpcDrop,
        &[
            ("as it should be", |_| {}, I3, Pass),
            ("a pause that a lease explains", |j| delayed(j, 2 * STEP_ROWS, 5_000), I3, Pass),
            ("a stall", |j| delayed(j, 2 * STEP_ROWS, 6_000), I3, Fail),
            (
                "no move while the fault is at work",
                |j| {
                    delayed(j, 2 * STEP_ROWS, 20_000);
                    j.edit(|at_ms, e| {
                        if matches!(e, Event::FaultHealed { .. }) {
                            *at_ms = 20_000;
                        }
                    });
                },
                I3,
                Pass,
            ),
        ],
    );
}

/// A workflow that is stopped and started, and a report that is written anew, bring no row nearer its end.
#[test]
fn only_rows_and_states_are_moves() {
    let mut journal = JournalBuilder::good(Fault::RpcDrop);
    delayed(&mut journal, 2 * STEP_ROWS, 20_000);
    for second in 7..26 {
        journal.append(vec![workflow(RUNS, PAUSED, second * 1_000)]);
        journal.append(vec![workflow(PAUSED, RUNS, second * 1_000 + 100)]);
    }
    assert!(journal.judgement(I3).is_fail());
}

/// A resumed diff without a controller looks like one that waits for its turn.
#[test]
fn a_diff_that_is_to_run_is_taken_up() {
    let taken_up = |by_ms: u64| {
        let mut journal = JournalBuilder::good(Fault::Cancel);
        journal.edit_history(|change| {
            let before = diff_of(change).and_then(|diff| diff.before.as_ref());
            let was_pending = before.is_some_and(|status| status.state == "pending");
            if was_pending && change.commit_us > (WALL_MS + 4_400) * 1_000 {
                change.commit_us += by_ms * 1_000;
            }
        });
        journal.judgement(I3).verdict
    };
    assert_eq!((taken_up(1), taken_up(1_900), taken_up(2_100)), (Pass, Pass, Fail));
}

#[test]
fn checkpoints_come_in_time() {
    expect(
        Fault::RpcDrop,
        &[
            ("as it should be", |_| {}, I5, Pass),
            ("one that is late", |j| delayed(j, 2 * STEP_ROWS, 4_000), I5, Fail),
            ("each of them late", |j| many_checkpoints(j, 1_000), I5, Fail),
            ("each of them in time", |j| many_checkpoints(j, 120), I5, Pass),
            (
                "one that is late on an overloaded machine",
                |j| {
                    delayed(j, 2 * STEP_ROWS, 6_000);
                    loaded(j, 16.0);
                },
                I5,
                Inconclusive,
            ),
            (
                "each of them late on an overloaded machine",
                |j| {
                    many_checkpoints(j, 4_000);
                    loaded(j, 16.0);
                },
                I5,
                Inconclusive,
            ),
            (
                "each of them late on a busy machine",
                |j| {
                    many_checkpoints(j, 1_000);
                    loaded(j, 2.0);
                },
                I5,
                Fail,
            ),
            (
                "each of them as late as so busy a machine makes them",
                |j| {
                    many_checkpoints(j, 1_000);
                    loaded(j, 6.0);
                },
                I5,
                Pass,
            ),
            (
                "one that is later than a busy machine makes it",
                |j| {
                    delayed(j, 2 * STEP_ROWS, 2_500);
                    loaded(j, 4.0);
                },
                I5,
                Fail,
            ),
            (
                "each of them in time on an overloaded machine",
                |j| {
                    many_checkpoints(j, 120);
                    loaded(j, 16.0);
                },
                I5,
                Pass,
            ),
        ],
    );
}

/// Samples all along, each with so many runnable tasks on each core.
pub(super) fn loaded(journal: &mut JournalBuilder, runnable_per_core: f64) {
    for at_ms in (0..20_000).step_by(500) {
        let load = Sample { runnable_per_core: Some(runnable_per_core), ..Sample::default() };
        journal.insert(at_ms, Event::Sample(load));
    }
}

/// Another diff, with eight checkpoints so far apart.
fn many_checkpoints(journal: &mut JournalBuilder, apart_ms: u64) {
    journal.append(vec![vdiff(7, "u-7", None, Some("pending"), 1, 9_000)]);
    journal.append(vec![table(7, None, Some(("pending", 0)), 1, 9_000)]);
    journal.append(vec![streams(7, 0, 9_000)]);
    for step in 0..8 {
        let (from, to) = (("started", step), ("started", step + 1));
        let mut change = table(7, Some(from), Some(to), 1, 9_000 + (step + 1) * apart_ms);
        let changed = table_of(&mut change).unwrap();
        changed.before.as_mut().unwrap().rows = from.1 * 500;
        let after = changed.after.as_mut().unwrap();
        (after.rows, after.place) = (to.1 * 500, Some(to.1 * 500));
        journal.append(vec![change]);
    }
}

fn edit_held(
    journal: &mut JournalBuilder,
    moment: CountedWhen,
    change: impl Fn(&mut ResourceCount),
) {
    journal.edit(|_, event| match event {
        Event::ResourcesCounted(held) if held.moment == moment => change(held),
        _ => {}
    });
}

#[test]
fn the_living_hold_no_more_than_at_rest() {
    let is_held = |wanted: CountedWhen| move |e: &Event| matches!(e, Event::ResourcesCounted(held) if held.moment == wanted);
    for moment in [CountedWhen::AtRest, CountedWhen::AtEnd] {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        journal.without(is_held(moment));
        assert_eq!(journal.judgement(I7).verdict, Inconclusive, "{moment:?} was not looked at");
    }
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I7, Pass),
            (
                "tasks that do not end",
                |j| edit_held(j, CountedWhen::AtEnd, |h| h.tasks = Some(18 + 9)),
                I7,
                Fail,
            ),
            (
                "a few tasks",
                |j| edit_held(j, CountedWhen::AtEnd, |h| h.tasks = Some(18 + 3)),
                I7,
                Pass,
            ),
            (
                "one file that stays open",
                |j| {
                    edit_held(j, CountedWhen::AtEnd, |h| {
                        h.descriptors.as_mut().unwrap().insert("file".into(), 6);
                    })
                },
                I7,
                Fail,
            ),
            (
                "a pool that has grown",
                |j| {
                    edit_held(j, CountedWhen::AtEnd, |h| {
                        h.descriptors.as_mut().unwrap().insert("socket".into(), 28);
                    })
                },
                I7,
                Pass,
            ),
            (
                "sockets that stay open",
                |j| {
                    edit_held(j, CountedWhen::AtEnd, |h| {
                        h.descriptors.as_mut().unwrap().insert("socket".into(), 29);
                    })
                },
                I7,
                Fail,
            ),
            (
                "tasks not counted",
                |j| {
                    edit_held(j, CountedWhen::AtEnd, |h| {
                        h.tasks = None;
                        h.not_looked_at.push("tasks: no answer".into());
                    })
                },
                I7,
                Inconclusive,
            ),
        ],
    );
    // On a host that cannot see the process nothing is claimed of its descriptors.
    let checks = |change: fn(&mut JournalBuilder)| {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        change(&mut journal);
        let judgement = journal.judgement(I7);
        assert!(judgement.is_pass(), "{judgement:#?}");
        judgement.checks
    };
    let unseen = checks(|j| edit_held(j, CountedWhen::AtEnd, |h| h.descriptors = None));
    assert_eq!(unseen + 1, checks(|_| {}));
}

#[test]
fn a_deleted_diff_leaves_no_orphans() {
    expect(
        Fault::Sigkill,
        &[(
            "rows without a parent",
            |j| {
                edit_verbs(j, |v| {
                    v.orphans.insert("vdiff_log".into(), 12);
                })
            },
            I7,
            Fail,
        )],
    );
}

#[test]
fn no_log_rages() {
    let busiest = |j: &mut JournalBuilder, lines: u64| {
        j.edit(|_, e| {
            if let Event::LogVolume { busiest_second, .. } = e {
                *busiest_second = lines;
            }
        });
    };
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    busiest(&mut journal, 81);
    assert!(journal.judgement(I8).is_fail());
    let entries = |apart_ms: u64| {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        for nth in 0..80 {
            journal.append(vec![entry(1, Said::Other, 8_960 + nth * apart_ms)]);
        }
        journal.judgement(I8).verdict
    };
    assert_eq!((entries(5), entries(50)), (Fail, Pass));
    expect(
        Fault::Sigkill,
        &[(
            "not counted",
            |j| j.without(|e| matches!(e, Event::LogVolume { .. })),
            I8,
            Inconclusive,
        )],
    );
}

const RUNS: (&str, &str) = ("Running", "");
const PAUSED: (&str, &str) = ("Stopped", "for vdiff");
const STOPPED: (&str, &str) = ("Stopped", "maintenance");
const SILENT: (&str, &str) = ("Stopped", "");
const FROZEN: (&str, &str) = ("Running", "FROZEN");

#[test]
fn an_operators_workflow_stays_as_the_operator_left_it() {
    type Row<'a> = (&'a str, &'a str);
    let judged = |changes: &[(Row<'_>, Row<'_>)], last: Row<'_>| {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        for (before, after) in changes {
            journal.append(vec![workflow(*before, *after, 1_000)]);
            let act = match *after {
                STOPPED => OperatorAct::StopWorkflow,
                FROZEN => OperatorAct::FreezeWorkflow,
                _ => continue,
            };
            journal.insert(1_010, Event::OperatorAct { act });
        }
        journal.edit(|_, e| match e {
            Event::WorkflowRow { state, message, hold, after_ms, .. } => {
                (*state, *message) = (last.0.to_owned(), last.1.to_owned());
                *hold = crate::sample::hold(last.1);
                *after_ms = 1;
            }
            Event::Verbs(verbs) => {
                verbs.workflow = last.0.to_owned();
                verbs.before[0].took_ms = 1;
            }
            _ => {}
        });
        journal.judgement(I6).verdict
    };
    assert_eq!(judged(&[(RUNS, PAUSED), (PAUSED, RUNS)], RUNS), Pass);
    assert_eq!(judged(&[(RUNS, STOPPED)], STOPPED), Pass);
    assert_eq!(judged(&[(RUNS, FROZEN)], FROZEN), Pass);
    assert_eq!(judged(&[(RUNS, PAUSED)], PAUSED), Fail, "left behind");
    // A tablet that stops it in one statement and says why in the next must not die between them.
    assert_eq!(judged(&[(RUNS, SILENT), (SILENT, PAUSED), (PAUSED, RUNS)], RUNS), Pass);
    assert_eq!(judged(&[(RUNS, SILENT)], SILENT), Fail, "left behind in silence");
    assert_eq!(judged(&[(RUNS, STOPPED), (STOPPED, RUNS)], RUNS), Fail, "started");
    assert_eq!(
        judged(&[(RUNS, STOPPED), (STOPPED, PAUSED), (PAUSED, RUNS)], RUNS),
        Fail,
        "taken over"
    );
    assert_eq!(judged(&[(RUNS, FROZEN), (FROZEN, PAUSED), (PAUSED, RUNS)], RUNS), Fail, "thawed");
    assert_eq!(judged(&[(RUNS, STOPPED)], RUNS), Fail, "the row tells another story");
    // An error's text in the row is no operator.
    let lost = ("Stopped", "vdiff error: lost connection");
    assert_eq!(judged(&[(RUNS, lost)], lost), Fail, "the tablet's own words");
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    edit_verbs(&mut journal, |verbs| verbs.workflow = "Stopped".into());
    assert!(journal.judgement(I6).is_fail(), "stopped by the last diff");
}

#[test]
fn what_could_not_be_looked_at_is_no_pass() {
    let residue = |change: fn(&mut records::journal::Residue)| {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        journal.edit(|_, e| {
            if let Event::Residue(residue) = e {
                change(residue);
            }
        });
        journal.judgement(I7).verdict
    };
    assert_eq!(residue(|r| r.not_looked_at.push("metadata locks".into())), Inconclusive);
    assert_eq!(residue(|r| r.leases.push("7 keeps a key of epoch 3".into())), Fail);
    // A tablet of which nobody lives holds nothing.
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    journal.exit(9_050, 2, 137, Some(0));
    journal.without(|e| matches!(e, Event::ResourcesCounted(held) if held.side == Side::Target));
    assert!(journal.judgement(I7).is_pass());
}
