//! For each fault, a tablet that reacts wrongly to its effect: the journal of that trial fails, by the
//! invariant that the reaction breaks. And the same fault with nothing that proves its effect has not
//! landed: a reaction to nothing says nothing of a tablet.

use records::journal::facts::{Retry, WorkflowHold};
use records::journal::{Event, Evidence, Residue, Side, Try};
use records::schedule::Fault;
use records::verdict::{
    Invariant::{self, I1, I2, I3, I4, I6, I7, I8, I9, I10, I11},
    Verdict::{Fail, Inconclusive, Pass},
};

use super::look_cases::delayed;
use crate::sample::{
    JournalBuilder, NEW_UUID, STEP_ROWS, UUID, action, expect, falls, table, table_of, vdiff,
};

/// A fault, what a broken tablet does under it, and the invariant that this breaks.
type Broken = (Fault, &'static str, fn(&mut JournalBuilder), Invariant);

const BROKEN: [Broken; 27] = [
    (Fault::Sigkill, "counts again what was saved", counts_again, I4),
    (Fault::Sigterm, "leaves the diff stopped", leaves_stopped, I10),
    (Fault::Oom, "does not come back", |j| never_ready(j, 2), I1),
    (Fault::MemorySqueeze, "does not give way", |j| after(j, "started: not at 92 %"), I9),
    (Fault::Cancel, "refuses the stop of a running diff", refuses_stop, I10),
    (Fault::Delete, "writes under the deleted diff", writes_later, I11),
    (Fault::RpcDrop, "keeps the snapshot of a gone reader", |j| after(j, "still there"), I7),
    (Fault::RowSurgery, "leaves the deleted diff's tables", leaves_orphans, I3),
    (Fault::EtcdRestart, "unwraps the watch that ended", panics, I2),
    (Fault::HostCrash, "leaves the workflow that it stopped", leaves_workflow, I6),
    (
        Fault::MysqlKill,
        "takes a lost connection for a lasting error",
        |j| error(j, Retry::Operator, "lost connection"),
        I3,
    ),
    (Fault::MysqlSourceKill, "takes a broken stream for its end", takes_for_the_end, I4),
    (Fault::SourceKill, "takes a broken stream for its end", takes_for_the_end, I4),
    (Fault::MysqlConnectionKill, "fails without a reason", |j| error(j, Retry::Tablet, ""), I3),
    (Fault::MysqlReadonly, "does not try the refused write again", has_to_be_resumed, I3),
    (Fault::LockTable, "ends when it has waited for the lock", |j| j.exit(5_000, 1, 1, None), I2),
    (Fault::DiskFull, "goes on from where it had not been", goes_back, I8),
    (Fault::EtcdKill, "stays unready when etcd is back", |j| j.ready(3_050, 1, false), I1),
    (Fault::LeaseExpiry, "does not register again", |j| after(j, "none"), I1),
    (Fault::Freeze, "panics when it is thawed", panics, I2),
    (Fault::Demote, "stays primary", |j| after(j, "PRIMARY"), I10),
    (Fault::TabletReplace, "does not end by itself", |j| j.edit_exit(|e| e.exit_code = 137), I2),
    (
        Fault::Partition,
        "leaves the lock that it could not give back",
        |j| leaves(j, |r| &mut r.locks),
        I7,
    ),
    (
        Fault::Latency,
        "gives a slow answer up for good",
        |j| error(j, Retry::Operator, "timed out"),
        I3,
    ),
    (
        Fault::Reset,
        "leaves the connection that was reset",
        |j| leaves(j, |r| &mut r.connections),
        I7,
    ),
    (
        Fault::CpuStarve,
        "does not serve again with its share of a core back",
        |j| j.ready(3_050, 1, false),
        I1,
    ),
    (
        Fault::MysqlSourceVanish,
        "waits for a stream that is gone without a word",
        |j| delayed(j, 2 * STEP_ROWS, 20_000),
        I3,
    ),
];

#[test]
fn a_wrong_reaction_to_each_fault_fails_by_the_invariant_that_it_breaks() {
    let faults = BROKEN.map(|(fault, ..)| fault);
    assert_eq!(faults, Fault::ALL);
    for (fault, what, change, invariant) in BROKEN {
        let mut journal = JournalBuilder::good(fault);
        change(&mut journal);
        let judgement = journal.judgement(invariant);
        assert_eq!(judgement.verdict, Fail, "{fault} {what}: {judgement:#?}");
        assert_eq!(journal.verdict(), Fail, "{fault} {what}");
    }
}

// Rows that had arrived before their source died, a link that nobody used, a lease that holds nothing.
#[test]
fn a_fault_whose_effect_is_not_proven_has_not_landed() {
    for fault in Fault::ALL {
        let mut journal = JournalBuilder::good(fault);
        assert_eq!(journal.verdict(), Pass, "{fault}");
        journal.edit(|_, event| {
            if let Event::FaultLanded(landed) = event {
                assert!(landed.had_its_effect());
                landed.hits.clear();
            }
        });
        let judgement = journal.judgement(I3);
        assert_eq!(judgement.verdict, Inconclusive, "{fault}: {judgement:#?}");
        let told = judgement.reasons.iter().any(|it| it.text.contains("its effect is not proven"));
        assert!(told, "{fault}: {judgement:#?}");
    }
}

// Another fault's evidence proves nothing of this one.
#[test]
fn a_hit_of_another_kind_proves_no_effect() {
    for fault in Fault::ALL {
        let mut journal = JournalBuilder::good(fault);
        let other = Fault::ALL.iter().flat_map(|it| it.facts().proven_by);
        let other = *other.clone().find(|kind| !fault.facts().proven_by.contains(kind)).unwrap();
        journal.edit(|_, event| {
            if let Event::FaultLanded(landed) = event {
                landed.hits.iter_mut().for_each(|hit| hit.kind = other);
            }
        });
        assert_eq!(journal.verdict(), Inconclusive, "{fault}");
    }
}

#[test]
fn refusals_are_judged_where_the_tablet_was_ready_and_unhurt() {
    expect(
        Fault::Cancel,
        &[
            (
                "a stop refused while it starts",
                |j| {
                    starts_late(j);
                    refuses_stop(j)
                },
                I10,
                Pass,
            ),
            (
                "a stop refused in a diff that had ended",
                |j| refuses(j, "stop", "completed", 1),
                I10,
                Pass,
            ),
            (
                "a stop refused and taken later",
                |j| refused_first(j, "stop", "started", 10),
                I10,
                Fail,
            ),
            (
                "a delete refused",
                |j| {
                    rename(j, "stop", "delete");
                    refuses(j, "delete", "started", 1)
                },
                I10,
                Fail,
            ),
            ("a resume that needs two", resumes_twice, I3, Fail),
            ("a resume after a refused stop", refuses_stop, I3, Fail),
            ("a resume taken at once", |j| refused_first(j, "resume", "stopped", 100), I3, Pass),
            (
                "a create refused until it is ready",
                |j| refused_first(j, "create", "", 90),
                I3,
                Pass,
            ),
        ],
    );
    expect(Fault::Delete, &[("a create refused for long", |j| refused_for(j, 3_900), I3, Fail)]);
}

fn counts_again(journal: &mut JournalBuilder) {
    journal.edit_report(|report| {
        report.tables.values_mut().for_each(|table| {
            table.processed += 500;
            table.matching += 500;
        });
    });
}

fn takes_for_the_end(journal: &mut JournalBuilder) {
    journal.edit_report(|report| {
        report.tables.values_mut().for_each(|table| {
            table.matching -= 500;
            table.extra_target += 500;
        });
    });
}

fn leaves_stopped(journal: &mut JournalBuilder) {
    journal.edit(|_, event| {
        if let Event::FaultLanded(landed) = event {
            landed.interrupted.as_mut().unwrap().state = "stopped".into();
        }
    });
}

fn never_ready(journal: &mut JournalBuilder, of: u32) {
    journal.edit(|_, event| {
        if let Event::Readiness { incarnation, ready, .. } = event
            && *incarnation == of
        {
            *ready = false;
        }
    });
}

/// What the fault's evidence says it left.
fn after(journal: &mut JournalBuilder, text: &str) {
    journal.edit(|_, event| {
        if let Event::FaultLanded(landed) = event {
            landed.evidence =
                Evidence::State { before: "before".to_owned(), after: text.to_owned() };
        }
    });
}

fn writes_later(journal: &mut JournalBuilder) {
    journal.append(vec![table(1, Some(("started", 1)), Some(("started", 2)), 1, 8_000)]);
}

fn leaves_orphans(journal: &mut JournalBuilder) {
    journal.without_change(|c| table_of(c).is_some_and(|table| table.after.is_none()));
}

fn panics(journal: &mut JournalBuilder) {
    let message = "called `Option::unwrap()` on a `None` value".to_owned();
    let side = Side::Target;
    journal.insert(4_000, Event::Panicked { side, incarnation: 1, caught: false, message });
}

fn leaves_workflow(journal: &mut JournalBuilder) {
    journal.edit(|_, event| {
        if let Event::WorkflowRow { state, message, hold, .. } = event {
            *state = "Stopped".into();
            *message = "for vdiff".into();
            *hold = Some(WorkflowHold::Diff);
        }
    });
}

fn error(journal: &mut JournalBuilder, retry: Retry, why: &str) {
    journal.append(vec![falls(why, retry, 1, 8_000)]);
}

fn has_to_be_resumed(journal: &mut JournalBuilder) {
    journal.insert(5_500, action("resume", UUID));
}

fn goes_back(journal: &mut JournalBuilder) {
    journal.append(vec![vdiff(1, UUID, Some("completed"), Some("started"), 1, 8_960)]);
}

fn leaves(journal: &mut JournalBuilder, pick: fn(&mut Residue) -> &mut Vec<String>) {
    journal.edit(|_, event| {
        if let Event::Residue(residue) = event {
            pick(residue).push("of incarnation 1".to_owned());
        }
    });
}

fn refuses_stop(journal: &mut JournalBuilder) {
    refuses(journal, "stop", "started", 1);
}

/// The tablet says no to an action, and that is the end of it.
fn refuses(journal: &mut JournalBuilder, name: &str, state: &str, count: u32) {
    journal.edit_action(name, |action| {
        action.acknowledged = false;
        action.effect_ms = None;
        action.error = Some("not now".to_owned());
        action.tries = vec![tried(state, count, (3_150, 3_190))];
    });
}

/// The tablet says no for some milliseconds, and then yes.
fn refused_first(journal: &mut JournalBuilder, name: &str, state: &str, for_ms: u64) {
    let at_ms = match name {
        "stop" => 3_200,
        "create" => 700,
        _ => 4_400,
    };
    journal.edit_action(name, |action| {
        action.tries = vec![tried(state, 1, (at_ms - for_ms, at_ms - 1))];
    });
}

fn refused_for(journal: &mut JournalBuilder, for_ms: u64) {
    journal.edit(|at_ms, event| {
        if let Event::VdiffAction(action) = event
            && action.uuid == NEW_UUID
        {
            action.tries = vec![tried("", 39, (*at_ms - for_ms, *at_ms))];
        }
    });
}

fn tried(state: &str, count: u32, (first_ms, last_ms): (u64, u64)) -> Try {
    Try {
        code: "Unavailable".to_owned(),
        text: "not now".to_owned(),
        refused: true,
        state: (!state.is_empty()).then(|| state.to_owned()),
        count,
        first_ms,
        last_ms,
    }
}

fn starts_late(journal: &mut JournalBuilder) {
    journal.edit(|at_ms, event| {
        if matches!(event, Event::Readiness { ready: true, .. }) {
            *at_ms = 3_000;
        }
    });
}

fn resumes_twice(journal: &mut JournalBuilder) {
    journal.insert(6_000, action("resume", UUID));
}

fn rename(journal: &mut JournalBuilder, from: &str, to: &'static str) {
    journal.edit_action(from, |action| action.action = to.to_owned());
}
