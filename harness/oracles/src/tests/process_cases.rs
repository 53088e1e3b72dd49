//! I1, I2, I9, I10: what is judged by processes, readiness, memory and times.

use records::journal::facts::Retry;
use records::journal::{Event, Evidence, Side};
use records::schedule::Fault;
use records::verdict::Invariant::{I1, I2, I9, I10};
use records::verdict::Verdict::{self, Fail, Inconclusive, Pass};

use crate::sample::{JournalBuilder, expect, falls, told};

fn is_ready_again(event: &Event) -> bool {
    matches!(event, Event::Readiness { incarnation: 2, ready: true, .. })
}

#[test]
fn coming_back_is_ready_in_time_and_staying_so() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I1, Pass),
            ("never ready", |j| j.without(is_ready_again), I1, Fail),
            (
                "ready too late",
                |j| {
                    j.without(is_ready_again);
                    j.ready(13_900, 2, true);
                },
                I1,
                Fail,
            ),
            (
                "ready, but not for long",
                |j| {
                    j.ready(5_000, 2, false);
                },
                I1,
                Fail,
            ),
            (
                "a flap, then ready and steady",
                |j| {
                    j.ready(5_000, 2, false);
                    j.ready(5_200, 2, true);
                },
                I1,
                Pass,
            ),
            ("ready, then gone by itself", |j| j.exit(5_000, 2, 101, None), I1, Fail),
            (
                "readiness not seen at all",
                |j| {
                    j.without(|e| matches!(e, Event::Readiness { incarnation: 2, .. }));
                },
                I1,
                Inconclusive,
            ),
            (
                "a newer term does not demote",
                |j| {
                    j.edit(|_, e| {
                        if let Event::TermProbe { demoted, .. } = e {
                            *demoted = false;
                        }
                    })
                },
                I1,
                Fail,
            ),
            (
                "a newer term demotes too late",
                |j| {
                    j.edit(|_, e| {
                        if let Event::TermProbe { after_ms, .. } = e {
                            *after_ms = 5_001;
                        }
                    })
                },
                I1,
                Fail,
            ),
            (
                "no newer term was tried",
                |j| {
                    j.without(|e| matches!(e, Event::TermProbe { .. }));
                },
                I1,
                Inconclusive,
            ),
            (
                "a crash loop",
                |j| {
                    for incarnation in 2..5 {
                        let at_ms = 5_000 + u64::from(incarnation) * 1_000;
                        j.exit(at_ms, incarnation, 101, None);
                        j.start(at_ms + 100, incarnation + 1);
                    }
                },
                I1,
                Fail,
            ),
        ],
    );
}

#[test]
fn the_deadline_counts_from_the_return_of_what_was_away() {
    let late = |j: &mut JournalBuilder| {
        j.without(is_ready_again);
        j.without(|e| matches!(e, Event::FaultHealed { .. }));
        j.insert(8_000, Event::FaultHealed { step: 0, fault: Fault::HostCrash });
        j.ready(9_000, 2, true);
    };
    let mut journal = JournalBuilder::good(Fault::HostCrash);
    late(&mut journal);
    journal.edit_head(|head| head.schedule.deadlines.ready_ms = 5_000);
    assert!(journal.judgement(I1).is_pass(), "{:#?}", journal.judgement(I1));
    expect(
        Fault::EtcdRestart,
        &[
            ("ready all the time", |_| {}, I1, Pass),
            (
                "lost with etcd, back with etcd",
                |j| {
                    j.ready(3_300, 1, false);
                    j.ready(5_300, 1, true);
                },
                I1,
                Pass,
            ),
            ("lost with etcd for good", |j| j.ready(3_300, 1, false), I1, Fail),
        ],
    );
}

#[test]
fn a_panic_or_an_exit_out_of_schedule_fails() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I2, Pass),
            ("a panic", |j| j.insert(5_000, panic(false)), I2, Fail),
            ("a panic, caught", |j| j.insert(5_000, panic(true)), I2, Fail),
            ("an exit by itself", |j| j.exit(5_000, 2, 0, None), I2, Fail),
            (
                "a kill that ends with another code",
                |j| j.edit_exit(|e| e.exit_code = 139),
                I2,
                Fail,
            ),
            (
                "an exit of a step that is not there",
                |j| {
                    j.edit_exit(|e| e.scheduled_by = Some(9));
                },
                I2,
                Inconclusive,
            ),
            (
                "an end that nobody saw",
                |j| {
                    j.without(|e| matches!(e, Event::TabletExited(exit) if !exit.at_end));
                },
                I2,
                Inconclusive,
            ),
            (
                "a panic weighs more than a gap",
                |j| {
                    j.insert(5_000, panic(false));
                    j.insert(
                        5_100,
                        Event::ObserverGap { observer: "logs/target".into(), gap_ms: 1_200 },
                    );
                },
                I2,
                Fail,
            ),
        ],
    );
    expect(
        Fault::Sigterm,
        &[
            ("as it should be", |_| {}, I2, Pass),
            ("too slow", |j| j.edit_exit(|e| e.took_ms = Some(10_001)), I2, Fail),
            ("with an error", |j| j.edit_exit(|e| e.exit_code = 1), I2, Fail),
        ],
    );
    expect(
        Fault::RpcDrop,
        &[
            ("as it should be", |_| {}, I2, Pass),
            ("died of it", |j| j.exit(3_500, 1, 137, Some(0)), I2, Fail),
        ],
    );
}

/// A panic upon SIGTERM, or a log that ends in silence, came after everything else had been looked at.
#[test]
fn a_trial_ends_in_order_and_its_logs_are_read_to_the_end() {
    let at_end = |e: &Event| matches!(e, Event::TabletExited(exit) if exit.at_end);
    let read = |j: &mut JournalBuilder, change: fn(&mut bool, &mut bool)| {
        j.edit(|_, e| {
            if let Event::LogRead { start_seen, to_end, .. } = e {
                change(start_seen, to_end);
            }
        });
    };
    type Broken<'a> = (&'a str, &'a dyn Fn(&mut JournalBuilder), Verdict, Verdict);
    let cases: [Broken<'_>; 8] = [
        ("as it should be", &|_| {}, Pass, Pass),
        ("no end", &|j| j.without(at_end), Fail, Fail),
        (
            "too late",
            &|j| {
                j.edit_exit(|exit| {
                    if exit.at_end {
                        exit.took_ms = Some(10_001);
                    }
                });
            },
            Fail,
            Fail,
        ),
        (
            "another code",
            &|j| {
                j.edit_exit(|exit| {
                    if exit.at_end {
                        (exit.at_end, exit.exit_code) = (false, 101);
                    }
                });
            },
            Fail,
            Fail,
        ),
        (
            "not asked",
            &|j| {
                j.without(at_end);
                j.without(|e| matches!(e, Event::ShutdownAsked { .. }));
            },
            Inconclusive,
            Inconclusive,
        ),
        ("the log broke", &|j| read(j, |_, to_end| *to_end = false), Inconclusive, Pass),
        ("its first lines are lost", &|j| read(j, |start, _| *start = false), Inconclusive, Pass),
        (
            "nobody read it",
            &|j| j.without(|e| matches!(e, Event::LogRead { .. })),
            Inconclusive,
            Pass,
        ),
    ];
    for (name, change, panics, prompt) in cases {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        change(&mut journal);
        assert_eq!(journal.judgement(I2).verdict, panics, "{name}: {:#?}", journal.judgement(I2));
        assert_eq!(journal.judgement(I10).verdict, prompt, "{name}: {:#?}", journal.judgement(I10));
    }
}

/// Whose process may end, and how, is the fault's.
#[test]
fn the_exit_must_be_that_of_the_fault_on_its_side() {
    expect(
        Fault::SourceKill,
        &[
            ("as it should be", |_| {}, I2, Pass),
            ("the target died of it", |j| j.exit(3_500, 1, 137, Some(0)), I2, Fail),
        ],
    );
    expect(
        Fault::TabletReplace,
        &[
            ("ended as superseded", |_| {}, I2, Pass),
            ("had to be killed", |j| j.edit_exit(|e| e.exit_code = 137), I2, Fail),
            ("went on for long", |j| j.edit_exit(|e| e.took_ms = Some(10_001)), I2, Fail),
            ("panicked when it was thawed", |j| j.edit_exit(|e| e.exit_code = 101), I2, Fail),
        ],
    );
    expect(
        Fault::Freeze,
        &[
            ("as it should be", |_| {}, I2, Pass),
            ("ended when it was thawed", |j| j.exit(5_000, 1, 3, None), I2, Fail),
        ],
    );
}

/// A tablet that lived through an outage has its deadline from the outage's end.
#[test]
fn after_an_outage_the_tablet_is_ready_again() {
    for fault in [Fault::MysqlKill, Fault::EtcdKill, Fault::Freeze, Fault::Demote, Fault::DiskFull]
    {
        expect(
            fault,
            &[
                ("ready all the time", |_| {}, I1, Pass),
                (
                    "lost, and back in time",
                    |j| {
                        j.ready(3_300, 1, false);
                        j.ready(9_300, 1, true);
                    },
                    I1,
                    Pass,
                ),
                ("lost for good", |j| j.ready(3_300, 1, false), I1, Fail),
                (
                    "back, and gone again by itself",
                    |j| {
                        j.ready(3_300, 1, false);
                        j.ready(5_300, 1, true);
                        j.ready(6_300, 1, false);
                    },
                    I1,
                    Fail,
                ),
            ],
        );
    }
}

#[test]
fn a_lost_lease_is_followed_by_a_new_one() {
    expect(
        Fault::LeaseExpiry,
        &[
            ("registered again", |j| evidence(j, Some("lease 2")), I1, Pass),
            ("never again", |j| evidence(j, Some("none")), I1, Fail),
            ("nobody looked", |j| evidence(j, None), I1, Inconclusive),
        ],
    );
}

#[test]
fn a_newer_term_demotes_promptly() {
    expect(
        Fault::Demote,
        &[
            ("as it should be", |_| {}, I10, Pass),
            ("still primary", |j| evidence(j, Some("PRIMARY")), I10, Fail),
            (
                "too late",
                |j| {
                    j.edit(|at_ms, e| {
                        if matches!(e, Event::FaultLanded(_)) {
                            *at_ms = 8_002;
                        }
                    });
                },
                I10,
                Fail,
            ),
            ("nobody looked", |j| evidence(j, None), I10, Inconclusive),
        ],
    );
}

/// What the fault left behind; none: something else is the evidence.
fn evidence(journal: &mut JournalBuilder, after: Option<&str>) {
    journal.edit(|_, event| {
        if let Event::FaultLanded(landed) = event {
            landed.evidence = match after {
                Some(after) => {
                    Evidence::State { before: "before".to_owned(), after: after.to_owned() }
                }
                None => Evidence::Observed { what: "something".to_owned() },
            };
        }
    });
}

fn panic(caught: bool) -> Event {
    Event::Panicked { side: Side::Target, incarnation: 2, caught, message: "nil map".into() }
}

#[test]
fn memory_is_bounded_in_every_trial() {
    expect(
        Fault::Sigkill,
        &[
            ("as it should be", |_| {}, I9, Pass),
            ("at the mark from which it would slow down", |j| resident(j, 48 << 20), I9, Fail),
            ("below it", |j| resident(j, 47 << 20), I9, Pass),
            (
                "memory not sampled",
                |j| j.without(|e| matches!(e, Event::Sample(_))),
                I9,
                Inconclusive,
            ),
        ],
    );
}

fn resident(journal: &mut JournalBuilder, bytes: u64) {
    journal.edit(|_, e| {
        if let Event::Sample(sample) = e {
            sample.rss_bytes = Some(bytes);
        }
    });
}

#[test]
fn a_squeezed_tablet_gives_way() {
    expect(
        Fault::MemorySqueeze,
        &[
            ("slowed down and completed", |_| {}, I9, Pass),
            ("killed by the kernel", |j| j.exit(3_500, 1, 137, None), I9, Fail),
            ("killed, called scheduled", |j| j.exit(3_500, 1, 137, Some(0)), I9, Fail),
            (
                "died of something else when it was over",
                |j| {
                    j.start(5_000, 2);
                    j.exit(5_100, 2, 101, None);
                },
                I9,
                Pass,
            ),
            (
                "over the limit",
                |j| {
                    j.edit(|_, e| {
                        if let Event::Sample(s) = e {
                            s.rss_bytes = Some(65 << 20);
                        }
                    })
                },
                I9,
                Fail,
            ),
            (
                "the error it promised",
                |j| pressure(j, "memory pressure: 90 %", Retry::Tablet),
                I9,
                Pass,
            ),
            ("another error", |j| pressure(j, "out of memory", Retry::Tablet), I9, Fail),
            (
                "a lasting error",
                |j| pressure(j, "memory pressure: 90 %", Retry::Operator),
                I9,
                Fail,
            ),
            (
                "memory not sampled",
                |j| j.without(|e| matches!(e, Event::Sample(_))),
                I9,
                Inconclusive,
            ),
            (
                "squeeze not landed",
                |j| {
                    j.without(|e| matches!(e, Event::FaultLanded(_)));
                },
                I9,
                Inconclusive,
            ),
        ],
    );
}

/// The diff rests in an error for a while, and goes on.
fn pressure(journal: &mut JournalBuilder, error: &str, retry: Retry) {
    journal.append(vec![falls(error, retry, 1, 3_500), told(1, "error", 3_500)]);
}

#[test]
fn a_cancel_is_prompt_and_leaves_a_resumable_diff() {
    assert!(JournalBuilder::good(Fault::Sigkill).judgement(I10).is_pass());
    expect(
        Fault::Cancel,
        &[
            ("as it should be", |_| {}, I10, Pass),
            ("too slow", |j| j.edit_action("stop", |a| a.effect_ms = Some(10_001)), I10, Fail),
            (
                "effect not observed",
                |j| j.edit_action("stop", |a| a.effect_ms = None),
                I10,
                Inconclusive,
            ),
            (
                "no effect by its deadline",
                |j| {
                    j.edit_action("stop", |a| a.effect_ms = None);
                    let waiting_for = "stopped".to_owned();
                    j.insert(14_000, Event::DeadlinePassed { waiting_for, after_ms: 10_000 });
                },
                I10,
                Fail,
            ),
            (
                "no answer for long",
                |j| {
                    j.edit_action("stop", |a| {
                        a.acknowledged = false;
                        a.took_ms = 12_000;
                    })
                },
                I10,
                Fail,
            ),
            (
                "not resumable",
                |j| {
                    j.edit_action("resume", |a| {
                        a.acknowledged = false;
                        a.error = Some("no such diff".into());
                    })
                },
                I10,
                Fail,
            ),
        ],
    );
    expect(
        Fault::Delete,
        &[
            ("as it should be", |_| {}, I10, Pass),
            ("too slow", |j| j.edit_action("delete", |a| a.effect_ms = Some(10_001)), I10, Fail),
        ],
    );
    expect(
        Fault::Sigterm,
        &[
            ("as it should be", |_| {}, I10, Pass),
            ("too slow", |j| j.edit_exit(|e| e.took_ms = Some(10_001)), I10, Fail),
            ("not measured", |j| j.edit_exit(|e| e.took_ms = None), I10, Inconclusive),
            (
                "left the diff stopped",
                |j| {
                    j.edit(|_, e| {
                        if let Event::FaultLanded(landed) = e {
                            landed.interrupted.as_mut().unwrap().state = "stopped".into();
                        }
                    })
                },
                I10,
                Fail,
            ),
        ],
    );
}
