//! A tablet serves: its roles, and its readiness to the end of the trial.

use records::journal::{Answer, CallOutcome, Event, Roles, Sample, Side};
use records::schedule::Fault;
use records::verdict::Invariant::{I1, I3};
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

use super::look_cases::loaded;
use crate::sample::{JournalBuilder, expect};

fn edit_answer(journal: &mut JournalBuilder, change: impl Fn(&mut Answer)) {
    journal.edit(|_, event| {
        if let Event::Answers { answers, .. } = event {
            change(&mut answers[1]);
        }
    });
}

fn edit_roles(journal: &mut JournalBuilder, change: impl Fn(&mut Roles)) {
    let mut first = true;
    journal.edit(|_, event| {
        if let Event::Roles(roles) = event
            && std::mem::take(&mut first)
        {
            change(roles);
        }
    });
}

#[test]
fn a_tablet_goes_on_serving() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I1, Pass),
            (
                "a record of another type",
                |j| edit_roles(j, |r| r.tablet_record.kind = "REPLICA".into()),
                I1,
                Fail,
            ),
            ("another term", |j| edit_roles(j, |r| r.tablet_record.term_s -= 1), I1, Fail),
            ("a primary that does not serve", |j| edit_roles(j, |r| r.serving = false), I1, Fail),
            (
                "two primaries",
                |j| edit_roles(j, |r| r.shard_primary = "zone1-0000000999".into()),
                I1,
                Fail,
            ),
            (
                "roles not looked up",
                |j| j.without(|e| matches!(e, Event::Roles(_))),
                I1,
                Inconclusive,
            ),
            (
                "not asked for answers",
                |j| j.without(|e| matches!(e, Event::Answers { .. })),
                I1,
                Inconclusive,
            ),
            ("a slow answer", |j| edit_answer(j, |a| a.took_ms = 5_001), I1, Fail),
            (
                "no answer",
                |j| edit_answer(j, |a| a.outcome = CallOutcome::Silence("reset".into())),
                I1,
                Fail,
            ),
            (
                "a refusal is an answer",
                |j| edit_answer(j, |a| a.outcome = CallOutcome::Refused("closed".into())),
                I1,
                Pass,
            ),
        ],
    );
    let lapse = |from_ms: u64, to_ms: u64| {
        let mut journal = JournalBuilder::good(Fault::Cancel);
        // Its deadline to come back is over by then.
        journal.edit_head(|head| head.schedule.deadlines.ready_ms = 1_000);
        journal.ready(from_ms, 1, false);
        journal.ready(to_ms, 1, true);
        journal.judgement(I1).verdict
    };
    assert_eq!(lapse(7_000, 8_400), Pass);
    assert_eq!(lapse(7_000, 8_600), Fail);
    assert_eq!(lapse(3_500, 5_400), Pass, "the fault explains it");
    assert_eq!(lapse(3_500, 7_100), Fail, "the fault explains a part of it");
}

/// A firewall of the host kept the tablet from etcd, and was told as a finding of I1 and I3.
#[test]
fn before_the_first_readiness_nothing_is_a_finding() {
    let mut journal = JournalBuilder::good(Fault::RpcDrop);
    journal.without(|e| {
        matches!(
            e,
            Event::Readiness { ready: true, .. }
                | Event::TriggerFired { .. }
                | Event::FaultInjected { .. }
                | Event::FaultLanded(_)
                | Event::FaultHealed { .. }
                | Event::Settled { .. }
                | Event::SidecarChange(_)
                | Event::VdiffAction(_)
        )
    });
    journal.recount();
    journal.ready(700, 1, false);
    let waiting_for = "the target tablet to be ready".to_owned();
    journal.insert(30_000, Event::DeadlinePassed { waiting_for, after_ms: 30_000 });
    let failed: Vec<_> = journal.judgements().into_iter().filter(|one| one.is_fail()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(journal.verdict(), Inconclusive);
}

/// "And stays so": what once excused a lapse was any overlap with a window of 16 s around a fault.
#[test]
fn a_tablet_that_came_back_stays_ready_to_the_end() {
    expect(
        Fault::Sigkill,
        &[
            ("unready for good, 3 s after it came back", |j| j.ready(7_200, 2, false), I1, Fail),
            (
                "off and on again",
                |j| {
                    for second in [8_000, 9_000, 10_000, 11_000] {
                        j.ready(second, 2, false);
                        j.ready(second + 500, 2, true);
                    }
                },
                I1,
                Fail,
            ),
            (
                "off and on again on an overloaded machine",
                |j| {
                    for second in [8_000, 9_000, 10_000, 11_000] {
                        j.ready(second, 2, false);
                        j.ready(second + 500, 2, true);
                    }
                    loaded(j, 16.0);
                },
                I1,
                Inconclusive,
            ),
            (
                "off and on again while the harness was held up too",
                |j| {
                    for second in [8_000, 9_000, 10_000, 11_000] {
                        j.ready(second, 2, false);
                        j.ready(second + 500, 2, true);
                    }
                    let late = Sample { timer_lag_ms: Some(501), ..Sample::default() };
                    j.insert(9_600, Event::Sample(late));
                },
                I1,
                Inconclusive,
            ),
            (
                "one missed look",
                |j| {
                    j.ready(9_000, 2, false);
                    j.ready(9_060, 2, true);
                },
                I1,
                Pass,
            ),
            ("unready in the last moment", |j| j.ready(14_500, 2, false), I1, Fail),
            (
                "the last wait for it was in vain",
                |j| {
                    let reason = "no primary".to_owned();
                    j.insert(9_050, Event::NotReadyAtEnd { side: Side::Source, reason });
                },
                I1,
                Fail,
            ),
        ],
    );
}

// MySQL may end under a full disk: the harness that looks into it fails, and heals nothing.
#[test]
fn where_the_harness_left_the_harm_on_nothing_has_to_converge() {
    let left = |trouble: bool| {
        let mut journal = JournalBuilder::good(Fault::DiskFull);
        journal.without(|event| {
            matches!(
                event,
                Event::FaultLanded(_) | Event::FaultHealed { .. } | Event::Settled { .. }
            )
        });
        if trouble {
            let what = "looking for a write that waits for room: connection refused".to_owned();
            journal.insert(4_000, Event::HarnessTrouble { what });
        }
        let reason = "the target tablet to be ready".to_owned();
        let passed = Event::DeadlinePassed { waiting_for: reason.clone(), after_ms: 15_000 };
        journal.insert(9_100, passed);
        journal.insert(9_101, Event::NotReadyAtEnd { side: Side::Target, reason });
        (journal.judgement(I1).verdict, journal.judgement(I3).verdict, journal.verdict())
    };
    assert_eq!(left(true), (Inconclusive, Inconclusive, Inconclusive));
    assert_eq!(left(false), (Fail, Fail, Fail));
}
